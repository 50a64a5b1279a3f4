# One image for web, worker, beat and the migrations: docker-compose.yml says which command each runs.
# Embedded PostgreSQL and Redis come with the dependencies but never start here, because both addresses are set.

FROM python:3.12-slim AS build
WORKDIR /app
RUN python -m venv /venv
COPY requirements.lock .
RUN /venv/bin/pip install --no-cache-dir --require-hashes -r requirements.lock

FROM python:3.12-slim
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ARBORIST_STATIC_ROOT=/app/staticfiles \
    ARBORIST_VAR_DIR=/app/var \
    ARBORIST_BIND=0.0.0.0
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin arborist \
    && mkdir -p /app/var && chown arborist /app/var
WORKDIR /app
COPY --from=build /venv /venv
COPY . .
# Needs the settings but no server; the key is only for this step.
RUN ARBORIST_SECRET_KEY=not-a-secret-only-used-while-building-the-image \
    DATABASE_URL=postgresql://nobody@localhost/none REDIS_URL=redis://localhost/0 \
    python manage.py collectstatic --no-input --verbosity 0
USER arborist
EXPOSE 8000
CMD ["uvicorn", "project.asgi:application", "--host", "0.0.0.0", "--port", "8000", "--no-access-log", "--lifespan", "off", "--timeout-graceful-shutdown", "20"]

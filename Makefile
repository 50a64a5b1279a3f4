# `make run` and `make test` are all that is needed. Paths are relative throughout: make splits on spaces, and the
# repository may lie under a path that has some.

.DEFAULT_GOAL := help
.PHONY: help run test lint types bench lock clean environment environment-dev

PY := .venv/bin/python

help:
	@echo "make run     the whole site on this machine, until Ctrl-C"
	@echo "make test    everything: unit, integration and browser tests (some: make test ARGS=tests/hud)"
	@echo "make lint    style and formatting          make types   mypy --strict"
	@echo "make bench   how fast it is, as one table  make lock    pin the newest dependencies"
	@echo "make clean   removes what these made, the data of 'make run' included"

run: environment
	@exec $(PY) manage.py up

test: environment-dev
	@.ci/chromium
	@$(PY) -m pytest --numprocesses 2 --dist worksteal $(ARGS)

lint: environment-dev
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

types: environment-dev
	@$(PY) -m mypy

bench: environment-dev
	@$(PY) -m tests.bench $(ARGS)

# One resolution for Python 3.11 and newer and for all platforms, with the hash of every file that pip may install.
LOCK := $(PY) -m uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-annotate \
	--no-header --no-emit-index-url --no-emit-find-links --no-strip-extras --upgrade --quiet
lock: environment-dev
	@$(LOCK) --output-file requirements.lock
	@$(LOCK) --extra dev --constraint requirements.lock --output-file requirements-dev.lock
	@if grep -n "://" requirements.lock requirements-dev.lock; then echo "a lock names an address" >&2; exit 1; fi

clean:
	@rm -rf .venv var .mypy_cache .ruff_cache .pytest_cache .hypothesis

environment:
	@.ci/install requirements.lock

environment-dev:
	@.ci/install requirements-dev.lock

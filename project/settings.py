"""All settings, in one file. Everything that a deployment may change comes from the environment.

docs/deploy.md lists the variables. A wrong value stops the process at start with one line that names the variable.
Importing this starts nothing and connects to nothing.
"""

import os
from pathlib import Path
from typing import Any

from django.core.management.utils import get_random_secret_key

from project.configuration import Environment

env = Environment()
BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = Path(env.text("ARBORIST_VAR_DIR", str(BASE_DIR / "var"))).absolute()

DEBUG = env.flag("ARBORIST_DEBUG")
# Set by manage.py and the tests, not by people.
EMBEDDED = env.flag("ARBORIST_EMBEDDED")
TESTING = env.flag("ARBORIST_TESTING")
PROCESS = env.choice("ARBORIST_PROCESS", ["", "web"], "")

# -- what is watched --------------------------------------------------------------------------------------------------
REPOSITORIES: list[str] = env.repositories("ARBORIST_REPOSITORIES")
GITHUB_TOKEN = env.text("ARBORIST_GITHUB_TOKEN")
GITHUB_APP_ID = env.text("ARBORIST_GITHUB_APP_ID")
GITHUB_APP_PRIVATE_KEY = env.text("ARBORIST_GITHUB_APP_PRIVATE_KEY").replace("\\n", "\n")
GITHUB_APP_INSTALLATION_ID = env.text("ARBORIST_GITHUB_APP_INSTALLATION_ID")
GITHUB_API_URL = env.address("ARBORIST_GITHUB_API_URL", "https://api.github.com")
# Of a job's log that is longer, the beginning and the end are kept.
LOG_LIMIT_MB = env.number("ARBORIST_LOG_LIMIT_MB", 20, least=3, most=200)

# Several while they are being exchanged: a delivery is believed if it is signed with any of them.
WEBHOOK_SECRETS: list[str] = [one.strip() for one in env.text("ARBORIST_WEBHOOK_SECRET").split(",") if one.strip()]
WEBHOOK_HOOK_ID = env.text("ARBORIST_WEBHOOK_HOOK_ID")
if any(len(one) < 8 for one in WEBHOOK_SECRETS):
    env.wrong("ARBORIST_WEBHOOK_SECRET", "8 characters or more; several secrets separated by commas")
if WEBHOOK_HOOK_ID and not (WEBHOOK_HOOK_ID.isascii() and WEBHOOK_HOOK_ID.isdigit() and len(WEBHOOK_HOOK_ID) < 19):
    env.wrong("ARBORIST_WEBHOOK_HOOK_ID", "a number: the last part of the webhook's address on GitHub", WEBHOOK_HOOK_ID)

_app = {
    "ARBORIST_GITHUB_APP_ID": GITHUB_APP_ID,
    "ARBORIST_GITHUB_APP_PRIVATE_KEY": GITHUB_APP_PRIVATE_KEY,
    "ARBORIST_GITHUB_APP_INSTALLATION_ID": GITHUB_APP_INSTALLATION_ID,
}
if any(_app.values()) and not all(_app.values()):
    _missing = " and ".join(name for name, value in _app.items() if not value)
    _given = " and ".join(name for name, value in _app.items() if value)
    env.problem(f"{_missing} must be set too, because {_given} is: a GitHub App needs all three.")
for _name in ("ARBORIST_GITHUB_APP_ID", "ARBORIST_GITHUB_APP_INSTALLATION_ID"):
    if _app[_name] and not (_app[_name].isascii() and _app[_name].isdigit()):
        env.wrong(_name, "a number", _app[_name])
if GITHUB_APP_PRIVATE_KEY and "PRIVATE KEY-----" not in GITHUB_APP_PRIVATE_KEY:
    env.wrong("ARBORIST_GITHUB_APP_PRIVATE_KEY", "the text of a PEM file (-----BEGIN RSA PRIVATE KEY----- and on)")
if any(letter.isspace() or not letter.isprintable() for letter in GITHUB_TOKEN):
    env.wrong("ARBORIST_GITHUB_TOKEN", "one token, without spaces or line ends inside")
if REPOSITORIES and not GITHUB_TOKEN and not GITHUB_APP_ID and GITHUB_API_URL == "https://api.github.com":
    env.warnings.append(
        "Neither ARBORIST_GITHUB_TOKEN nor a GitHub App is set: GitHub allows 60 requests an hour without one, "
        "too few to keep a trunk up to date."
    )

# -- servers ----------------------------------------------------------------------------------------------------------
BIND = env.text("ARBORIST_BIND", "127.0.0.1")
PORT = env.number("ARBORIST_PORT", 8000, least=1, most=65535)
REDIS_URL = env.redis("REDIS_URL", "redis://127.0.0.1:6379/0")
_database = env.database("DATABASE_URL", "postgresql://arborist@127.0.0.1:5432/arborist")
_database["CONN_HEALTH_CHECKS"] = True
if PROCESS == "web":
    # Under ASGI every request runs in a thread of its own, so that a connection kept by its thread (CONN_MAX_AGE) is
    # never used again: each request would pay for a new one, some 6 ms. A pool hands them on, and bounds them.
    _database["CONN_MAX_AGE"] = 0
    _database.setdefault("OPTIONS", {})["pool"] = {"min_size": 2, "max_size": 12, "timeout": 10}
else:
    # Workers, beat and commands have one thread each; workers fork, which a pool's threads would not survive.
    _database["CONN_MAX_AGE"] = 300
DATABASES: dict[str, dict[str, Any]] = {"default": _database}

# -- security ---------------------------------------------------------------------------------------------------------
SECRET_KEY = env.text("ARBORIST_SECRET_KEY")
if not SECRET_KEY:
    if env.text("DATABASE_URL") and not DEBUG:
        env.problem("ARBORIST_SECRET_KEY must be set when DATABASE_URL is: a long random text, kept secret.")
    SECRET_KEY = get_random_secret_key()  # for the tools that only read this file
elif len(SECRET_KEY) < 32 and not DEBUG and not TESTING:
    env.wrong("ARBORIST_SECRET_KEY", "at least 32 characters long")
_hosts = env.hosts("ARBORIST_HOSTS", [])
ALLOWED_HOSTS = [*_hosts, "localhost", "127.0.0.1", "[::1]"]  # these too: health checks ask from inside
HTTPS = env.flag("ARBORIST_HTTPS")
if HTTPS:
    # A proxy in front ends TLS and must set X-Forwarded-Proto itself, whatever the client sent: see docs/deploy.md.
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = True
    SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]  # asked from inside, without the proxy
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    CSRF_TRUSTED_ORIGINS = [f"https://{'*' if host[0] == '.' else ''}{host}" for host in _hosts if host != "*"]
SECURE_HSTS_SECONDS = env.number("ARBORIST_HSTS_SECONDS", 0, least=0, most=126_144_000)
if SECURE_HSTS_SECONDS and not HTTPS:
    env.problem("ARBORIST_HSTS_SECONDS needs ARBORIST_HTTPS=true: browsers would refuse this site over plain HTTP.")
SITE_URL = env.address("ARBORIST_SITE_URL", f"http://127.0.0.1:{PORT}")  # what links in alerts begin with
METRICS_TOKEN = env.text("ARBORIST_METRICS_TOKEN")  # empty: anybody who reaches the site may read /metrics
SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = (
    "arborist_session",
    "arborist_csrf",
)  # cookies know no ports: localhost is shared
DATA_UPLOAD_MAX_MEMORY_SIZE = 26 * 1024 * 1024  # GitHub's webhooks are at most 25 MB
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'none'"],
    }
}

# -- people -----------------------------------------------------------------------------------------------------------
# Where people have their accounts: beside the API, unless it is said.
GITHUB_WEB_URL = GITHUB_API_URL.removesuffix("/api/v3")
if GITHUB_WEB_URL == "https://api.github.com":
    GITHUB_WEB_URL = "https://github.com"
if env.text("ARBORIST_GITHUB_WEB_URL"):
    GITHUB_WEB_URL = env.address("ARBORIST_GITHUB_WEB_URL", GITHUB_WEB_URL)
OAUTH_CLIENT_ID = env.text("ARBORIST_OAUTH_CLIENT_ID")
OAUTH_CLIENT_SECRET = env.text("ARBORIST_OAUTH_CLIENT_SECRET")
if bool(OAUTH_CLIENT_ID) != bool(OAUTH_CLIENT_SECRET):
    _missing, _given = "ARBORIST_OAUTH_CLIENT_ID", "ARBORIST_OAUTH_CLIENT_SECRET"
    if OAUTH_CLIENT_ID:
        _missing, _given = _given, _missing
    env.problem(f"{_missing} must be set too, because {_given} is: signing in with GitHub needs both.")
PUBLIC = env.flag("ARBORIST_PUBLIC", default=True)
ADMIN_LOGINS = frozenset(login.lower().removeprefix("@") for login in env.names("ARBORIST_ADMINS"))
for _name in ADMIN_LOGINS:
    if not (_name.isascii() and _name.replace("-", "").replace("_", "").isalnum() and len(_name) <= 100):
        env.wrong("ARBORIST_ADMINS", "GitHub logins, separated by commas", _name)
SESSION_HOURS = env.number("ARBORIST_SESSION_HOURS", 14 * 24, least=1, most=24 * 365)
SESSION_COOKIE_AGE = SESSION_HOURS * 3600
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
LOGIN_URL, LOGIN_REDIRECT_URL = "account_login", "/"
CSRF_FAILURE_VIEW = "project.accounts.refusals.csrf_failure"
AUTHENTICATION_BACKENDS = ["project.accounts.backend.Roles"]
# Only GitHub says who somebody is: no passwords, no mail (but Django's own admin takes what `createsuperuser` made).
SOCIALACCOUNT_ONLY = True
SOCIALACCOUNT_PROVIDERS = {"github": {"SCOPE": ["read:org"], "OAUTH_PKCE_ENABLED": True}}
SOCIALACCOUNT_ADAPTER = "project.accounts.adapters.GitHubPeople"
SOCIALACCOUNT_QUERY_EMAIL = SOCIALACCOUNT_STORE_TOKENS = False
SOCIALACCOUNT_EMAIL_VERIFICATION = ACCOUNT_EMAIL_VERIFICATION = "none"
SOCIALACCOUNT_REQUESTS_TIMEOUT = 10
ACCOUNT_ADAPTER = "project.accounts.adapters.NoPasswords"
ACCOUNT_LOGIN_METHODS, ACCOUNT_SIGNUP_FIELDS = {"username"}, ["username*"]
if TESTING:
    # The audit log can't be emptied, except by tests that empty the whole database after themselves.
    _database.setdefault("OPTIONS", {})["options"] = "-c arborist.may_truncate_audit=on"

# -- Django -----------------------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django_htmx",
    "csp",
    "ninja",
    "allauth",
    "allauth.account",
    "allauth.socialaccount",
    "project.accounts",
    "project.audit",
    "project.embedded",
    "project.outbox",
    "project.simulator",
    "hud",
]
AUTH_USER_MODEL = "accounts.User"

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "project.accounts.members.members_only",
    "project.threads.in_one_thread",  # last: see there
]

ROOT_URLCONF = "project.urls"
ASGI_APPLICATION = "project.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

STATIC_URL = "static/"
STATIC_ROOT = Path(env.text("ARBORIST_STATIC_ROOT", str(VAR_DIR / "staticfiles"))).absolute()
STATICFILES_DIRS = [BASE_DIR / "static"]
# Names with a hash, compressed, kept by browsers for ever. They need `collectstatic`: `up` and the Dockerfile run it.
_hashed = not (DEBUG or TESTING)
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if _hashed
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = WHITENOISE_AUTOREFRESH = DEBUG
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

# -- Celery -----------------------------------------------------------------------------------------------------------
# Celery's name for a UNIX socket differs from the Redis client's.
_socket, _, _query = REDIS_URL.partition("?")
CELERY_BROKER_URL = (
    f"redis+socket://{_socket.removeprefix('unix://')}?virtual_host={(_query or 'db=0').partition('db=')[2] or 0}"
    if REDIS_URL.startswith("unix://")
    else REDIS_URL
)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_RESULT_BACKEND = None  # whatever matters about a task is in our tables
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_DEFAULT_QUEUE = "poll"
# A worker takes from all of them in turn, so that what a person waits for does not stand behind a hundred polls.
CELERY_TASK_QUEUES = {name: {"routing_key": name} for name in ("poll", "live", "outbox")}
CELERY_TASK_ROUTES = {
    "project.outbox.tasks.*": {"queue": "outbox"},
    "hud.live_tasks.process*": {"queue": "live"},
}
# A task is acknowledged when it is done, so that a killed worker's task runs again; all are safe to repeat.
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_SOFT_TIME_LIMIT = 240
CELERY_TASK_TIME_LIMIT = 300
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 600}  # must exceed the longest task, or it would run twice
CELERY_WORKER_CONCURRENCY = env.number("ARBORIST_WORKER_CONCURRENCY", 2, least=1, most=64)
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# With REMAP_SIGTERM=SIGQUIT a stopping worker gives its tasks so long, then hands what is unfinished back to the queue.
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = env.number(
    "ARBORIST_WORKER_STOP_SECONDS", 4 if EMBEDDED else 30, least=0, most=600
)
CELERY_BEAT_SCHEDULE_FILENAME = str(VAR_DIR / "celerybeat-schedule")
CELERY_BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    # `expires`: ticks that found no worker must not pile up and run all at once when one comes back.
    "poll-due": {"task": "hud.tasks.poll_due", "schedule": 10.0, "options": {"expires": 10}},
    "webhooks-waiting": {
        "task": "hud.live_tasks.process_waiting",
        "schedule": 10.0,
        "options": {"expires": 10, "queue": "live"},
    },
    "webhooks-redeliver": {"task": "hud.live_tasks.redeliver", "schedule": 300.0, "options": {"expires": 300}},
    "webhooks-forget": {"task": "hud.live_tasks.forget_old", "schedule": 600.0, "options": {"expires": 600}},
    "measure": {"task": "hud.metrics_tasks.measure", "schedule": 300.0, "options": {"expires": 300}},
    "alerts": {"task": "hud.metrics_tasks.tell", "schedule": 10.0, "options": {"expires": 10}},
    "outbox": {"task": "project.outbox.tasks.sweep", "schedule": 10.0, "options": {"expires": 10}},
    "read-logs": {"task": "hud.tasks.read_logs", "schedule": 10.0, "options": {"expires": 10}},
    "judge-again": {"task": "hud.tasks.judge_again", "schedule": 60.0, "options": {"expires": 60}},
    "renew-roles": {"task": "project.accounts.tasks.renew_roles", "schedule": 86400.0, "options": {"expires": 3600}},
    "heartbeat": {"task": "project.celery.heartbeat", "schedule": 15.0, "options": {"expires": 15}},
}

# -- logs -------------------------------------------------------------------------------------------------------------
_log_format = env.choice("ARBORIST_LOG_FORMAT", ["json", "text"], "text" if DEBUG or EMBEDDED else "json")
_log_level = env.choice("ARBORIST_LOG_LEVEL", ["DEBUG", "INFO", "WARNING", "ERROR"], "INFO")
_quiet = {"level": "WARNING", "handlers": [], "propagate": True}
_plain = {"level": _log_level, "handlers": [], "propagate": True}  # instead of what each library sets up by itself
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "project.logs.Json" if _log_format == "json" else "project.logs.Text",
            "secrets": [
                GITHUB_TOKEN,
                GITHUB_APP_PRIVATE_KEY,
                OAUTH_CLIENT_SECRET,
                SECRET_KEY,
                METRICS_TOKEN,
                *WEBHOOK_SECRETS,
                _database.get("PASSWORD", ""),
                REDIS_URL if "@" in REDIS_URL else "",
            ],
        }
    },
    "handlers": {"stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "line"}},
    "root": {"level": _log_level, "handlers": ["stdout"]},
    "loggers": {
        "django": _plain,
        "django.request": _plain,
        "django.server": _plain,
        "uvicorn": _quiet if EMBEDDED else _plain,
        "uvicorn.error": _quiet if EMBEDDED else _plain,
        "uvicorn.access": _quiet,
        "celery": _quiet if EMBEDDED else _plain,
        "kombu": _quiet,
        "celery.beat": _quiet,  # it would say every ten seconds that it polls
        "celery.worker.strategy": _quiet,  # and this one that it received the poll
        "celery.app.trace": _quiet,
        "project.github": _quiet if EMBEDDED else _plain,  # a line a request
        "urllib3": _quiet,
        "apprise": _quiet,  # below that it tells whole addresses of alerts, with their tokens
        "psycopg.pool": _quiet,
    },
}

env.warn_of_unknown("ARBORIST_")
WARNINGS = env.warnings
if "DJANGO_SETTINGS_MODULE" in os.environ:  # type checkers and editors import this file outside of any site
    env.stop_if_wrong()

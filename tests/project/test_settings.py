"""Settings: a wrong one stops the process with one line that names it; right ones arrive typed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

ROOT = Path(__file__).resolve().parents[2]
PRODUCTION = {
    "DATABASE_URL": "postgresql://someone:pass-word-x@db.example.org:5433/hud",
    "REDIS_URL": "redis://cache.example.org:6379/1",
    "ARBORIST_SECRET_KEY": "k" * 40,
}


def load(expression: str = "None", **variables: str) -> subprocess.CompletedProcess[str]:
    """Import settings in a fresh process with exactly these variables, and print an expression as JSON."""
    code = f"import json; from project import settings; print(json.dumps({expression}))"
    environment = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "project.settings", **variables}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def value(expression: str, **variables: str) -> Any:
    done = load(expression, **PRODUCTION | variables)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("name", "given", "wanted"),
    [
        ("ARBORIST_REPOSITORIES", "pytorch", "owner/name"),
        ("ARBORIST_REPOSITORIES", "pytorch/pytorch,a/b/c", "“a/b/c”"),
        ("ARBORIST_REPOSITORIES", "https://github.com/pytorch/pytorch", "owner/name"),
        ("ARBORIST_PORT", "http", "a number from 1 to 65535"),
        ("ARBORIST_PORT", "70000", "a number from 1 to 65535"),
        ("ARBORIST_PORT", "٣", "a number from 1 to 65535"),
        ("ARBORIST_DEBUG", "maybe", "true or false"),
        ("ARBORIST_GITHUB_API_URL", "api.github.com", "such as https://"),
        ("ARBORIST_GITHUB_API_URL", "https://[broken", "such as https://"),
        ("ARBORIST_GITHUB_TOKEN", "one two", "one token"),
        ("ARBORIST_GITHUB_APP_ID", "12", "ARBORIST_GITHUB_APP_PRIVATE_KEY and ARBORIST_GITHUB_APP_INSTALLATION_ID"),
        ("ARBORIST_HOSTS", "https://example.org", "host names without https://"),
        ("ARBORIST_HSTS_SECONDS", "60", "ARBORIST_HTTPS=true"),
        ("ARBORIST_LOG_LEVEL", "LOUD", "DEBUG, INFO"),
        ("ARBORIST_SECRET_KEY", "short", "at least 32 characters"),
        ("ARBORIST_SECRET_KEY", "", "must be set when DATABASE_URL is"),
        ("DATABASE_URL", "mysql://root:hunter22@db/x", "postgresql://user:password@host"),
        ("DATABASE_URL", "postgresql://host", "postgresql://user:password@host"),
        ("DATABASE_URL", "postgresql://host:port/x", "postgresql://user:password@host"),
        ("REDIS_URL", "http://:hunter22@localhost", "redis://host:6379/0"),
        ("REDIS_URL", "localhost:6379", "redis://host:6379/0"),
    ],
)
def test_a_wrong_setting_is_one_line(name: str, given: str, wanted: str) -> None:
    done = load(**PRODUCTION | {name: given})
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("arborist: ")
    assert name in done.stderr
    assert wanted in done.stderr
    assert "hunter22" not in done.stderr
    assert "one two" not in done.stderr


@pytest.mark.parametrize(
    "tool", ["manage.py check", "-m uvicorn project.asgi:application", "-m celery -A project.celery worker"]
)
def test_every_process_stops_with_that_line(tool: str) -> None:
    environment = {"PATH": os.environ["PATH"], **PRODUCTION, "ARBORIST_REPOSITORIES": "pytorch"}
    done = subprocess.run(
        [sys.executable, *tool.split()],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "arborist: ARBORIST_REPOSITORIES must be owner/name" in done.stderr


def test_several_wrong_settings_are_named_at_once() -> None:
    done = load(**PRODUCTION | {"ARBORIST_PORT": "x", "ARBORIST_DEBUG": "x"})
    assert [line.split()[1] for line in done.stderr.splitlines()] == ["ARBORIST_DEBUG", "ARBORIST_PORT"]


def test_repositories_without_a_token_are_warned_of() -> None:
    assert any("60 requests an hour" in text for text in value("settings.WARNINGS", ARBORIST_REPOSITORIES="a/b"))
    assert value("settings.WARNINGS", ARBORIST_REPOSITORIES="a/b", ARBORIST_GITHUB_TOKEN="t") == []


def test_a_misspelt_setting_is_warned_of() -> None:
    warnings = value("settings.WARNINGS", ARBORIST_REPOSITORY="a/b")
    assert warnings == ["ARBORIST_REPOSITORY is set, but there is no such setting. Did you mean ARBORIST_REPOSITORIES?"]


def test_production_settings() -> None:
    names = "settings.DEBUG, settings.SESSION_COOKIE_SECURE, settings.CSRF_COOKIE_SECURE, settings.CSRF_TRUSTED_ORIGINS"
    found = value(f"[{names}]", ARBORIST_HTTPS="true", ARBORIST_HOSTS="hud.example.org,.example.net")
    assert found == [False, True, True, ["https://hud.example.org", "https://*.example.net"]]
    assert value("settings.SECURE_HSTS_SECONDS", ARBORIST_HTTPS="1", ARBORIST_HSTS_SECONDS="60") == 60
    assert value("settings.STORAGES['staticfiles']['BACKEND']").endswith("CompressedManifestStaticFilesStorage")


def test_only_the_web_process_pools_connections() -> None:
    assert value("[settings.DATABASES['default']['CONN_MAX_AGE'], 'OPTIONS' in settings.DATABASES['default']]") == [
        300,
        False,
    ]
    pool = value("settings.DATABASES['default']['OPTIONS']['pool']", ARBORIST_PROCESS="web")
    assert pool["max_size"] > 1


@pytest.mark.parametrize(
    ("redis_url", "broker_url"),
    [
        ("redis://h:6379/1", "redis://h:6379/1"),
        ("unix:///tmp/a/redis?db=0", "redis+socket:///tmp/a/redis?virtual_host=0"),
        ("unix:///tmp/a/redis?db=3", "redis+socket:///tmp/a/redis?virtual_host=3"),
        ("unix:///tmp/a/redis", "redis+socket:///tmp/a/redis?virtual_host=0"),
    ],
)
def test_celery_gets_the_same_redis(redis_url: str, broker_url: str) -> None:
    assert value("settings.CELERY_BROKER_URL", REDIS_URL=redis_url) == broker_url


IN_A_THREAD = """
import threading, django; django.setup()
from hud.live_tasks import process
threads = [threading.Thread(target=lambda: print(process.app.main)) for _ in range(2)]
threads[0].start(); threads[0].join()
import project.celery
threads[1].start(); threads[1].join()
"""


def test_tasks_know_their_broker_in_threads_too() -> None:
    """A web process sends tasks from threads; one may have looked at a task before the application was there."""
    environment = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "project.settings", **PRODUCTION}
    done = subprocess.run(
        [sys.executable, "-c", IN_A_THREAD], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["default", "arborist"]


def test_nothing_is_connected_or_started_by_reading_settings(tmp_path: Path) -> None:
    done = load("'psycopg' in __import__('sys').modules", ARBORIST_VAR_DIR=str(tmp_path / "var"))
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "var").exists()


def test_logs_are_json_and_hide_secrets() -> None:
    code = "import django, logging; django.setup(); log = logging.getLogger('x'); "
    code += "log.error('token %s', 'ghp_secret1', extra={'n': 1})"
    environment = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "project.settings", **PRODUCTION}
    environment["ARBORIST_GITHUB_TOKEN"] = "ghp_secret1"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    line = json.loads(done.stdout)
    assert (line["level"], line["logger"], line["message"], line["n"]) == ("ERROR", "x", "token [hidden]", 1)
    assert "time" in line


def test_the_tests_themselves_run_on_servers_of_their_own() -> None:
    assert settings.TESTING
    assert settings.DEBUG is False

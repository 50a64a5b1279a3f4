"""The settings about people: derived where they can be, one line where they are wrong."""

from __future__ import annotations

import pytest

from tests.project.test_settings import PRODUCTION, load, value


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"ARBORIST_OAUTH_CLIENT_ID": "abc"}, "ARBORIST_OAUTH_CLIENT_SECRET must be set too"),
        ({"ARBORIST_OAUTH_CLIENT_SECRET": "hunter22"}, "ARBORIST_OAUTH_CLIENT_ID must be set too"),
        ({"ARBORIST_GITHUB_WEB_URL": "github.com"}, "ARBORIST_GITHUB_WEB_URL must be an address"),
        ({"ARBORIST_SESSION_HOURS": "0"}, "a number from 1 to"),
        ({"ARBORIST_PUBLIC": "perhaps"}, "true or false"),
        ({"ARBORIST_ADMINS": "a b"}, "GitHub logins, separated by commas"),
    ],
)
def test_a_wrong_one_is_one_line(given: dict[str, str], wanted: str) -> None:
    done = load(**PRODUCTION | given)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    assert wanted in done.stderr
    assert "hunter22" not in done.stderr


@pytest.mark.parametrize(
    ("api", "web"),
    [
        ("https://api.github.com", "https://github.com"),
        ("https://github.example.org/api/v3", "https://github.example.org"),
        ("http://127.0.0.1:8010", "http://127.0.0.1:8010"),
    ],
)
def test_people_sign_in_where_the_api_is(api: str, web: str) -> None:
    assert value("settings.GITHUB_WEB_URL", ARBORIST_GITHUB_API_URL=api) == web
    other = value("settings.GITHUB_WEB_URL", ARBORIST_GITHUB_API_URL=api, ARBORIST_GITHUB_WEB_URL="https://x.example")
    assert other == "https://x.example"


def test_defaults() -> None:
    names = "settings.PUBLIC, settings.SESSION_COOKIE_AGE, sorted(settings.ADMIN_LOGINS), settings.OAUTH_CLIENT_ID"
    assert value(f"[{names}]") == [True, 14 * 86_400, [], ""]
    assert value(f"[{names}]", ARBORIST_ADMINS="@Odalys, mkrv_corp", ARBORIST_SESSION_HOURS="8") == [
        True,
        8 * 3600,
        ["mkrv_corp", "odalys"],
        "",
    ]


def test_the_audit_log_can_be_emptied_in_tests_only() -> None:
    assert value("settings.DATABASES['default'].get('OPTIONS', {}).get('options')") is None


def test_secrets_stay_out_of_logs() -> None:
    secrets = value(
        "settings.LOGGING['formatters']['line']['secrets']",
        ARBORIST_OAUTH_CLIENT_ID="abc",
        ARBORIST_OAUTH_CLIENT_SECRET="the-client-secret",
    )
    assert "the-client-secret" in secrets

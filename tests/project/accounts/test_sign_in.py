"""Signing in with GitHub, over HTTP, against the simulated one."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from allauth.socialaccount.models import SocialAccount, SocialToken
from django.contrib.sessions.models import Session

from project.accounts.models import User
from project.audit.models import Entry

pytestmark = pytest.mark.django_db


def test_somebody_signs_in(person: Any) -> None:
    one = person()
    answer = one.sign_in("oakapple", "/status?page=2")
    assert (answer.status_code, answer["Location"]) == (302, "/status?page=2")
    user = User.objects.get()
    assert (user.username, user.first_name, user.email) == ("oakapple", "Oakapple", "")
    assert not user.has_usable_password()
    assert b"@oakapple" in one.browser.get("/accounts/login/").content
    entry = Entry.objects.get()
    assert (entry.action, entry.actor_login, entry.actor_id) == ("account.sign_in", "oakapple", user.pk)


def test_what_is_asked_of_github_is_little_and_proven(person: Any, settings: Any) -> None:
    asked = dict(parse_qsl(urlsplit(person().begin()).query))
    assert asked["scope"] == "read:org"
    assert asked["code_challenge_method"] == "S256"
    assert len(asked["code_challenge"]) == 43
    assert asked["redirect_uri"] == "http://localhost/accounts/github/login/callback/"
    assert settings.OAUTH_CLIENT_SECRET not in str(asked)


def test_no_token_is_kept(person: Any, github: Any) -> None:
    person().sign_in("oakapple")
    assert not SocialToken.objects.exists()
    kept = str(list(SocialAccount.objects.values())) + str([one.get_decoded() for one in Session.objects.all()])
    assert "gho_" not in kept
    assert "oakapple" in kept


def test_a_new_login_is_followed_by_its_number(person: Any, github: Any) -> None:
    person().sign_in("oakapple")
    github.control("people", rename="oakapple", to="oak-the-second")
    person().sign_in("oak-the-second")
    assert User.objects.get().username == "oak-the-second"
    # Somebody else takes the login that was given up, before its former owner came again.
    person().sign_in("rowan-ash")
    github.control("people", rename="rowan-ash", to="elsewhere")
    github.control("people", rename="larchmont-sim", to="rowan-ash")
    person().sign_in("rowan-ash")
    logins = dict(SocialAccount.objects.values_list("uid", "user__username"))
    assert len(logins) == 3
    assert sorted(logins.values())[-1].startswith("rowan-ash@was-")
    assert "rowan-ash" in logins.values()
    person().sign_in("elsewhere")
    assert set(User.objects.values_list("username", flat=True)) == {"oak-the-second", "rowan-ash", "elsewhere"}


def test_a_namesake_made_at_the_terminal_is_somebody_else(person: Any, django_user_model: Any) -> None:
    boss = django_user_model.objects.create_superuser("oakapple", password="p")
    person().sign_in("oakapple")
    newcomer = User.objects.exclude(pk=boss.pk).get()
    assert (newcomer.username, newcomer.is_superuser, newcomer.is_staff) == ("oakapple@github", False, False)


def test_the_same_number_at_another_github_is_somebody_else(person: Any, github: Any, settings: Any) -> None:
    person().sign_in("oakapple")
    settings.GITHUB_WEB_URL = github.url.replace("127.0.0.1", "localhost")
    person().sign_in("oakapple")
    assert User.objects.count() == 2


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", "https:evil.example",
        "http://localhost:9@evil.example/", "///evil.example", "\thttps://evil.example", "/accounts/login/?next=/x",
    ],
)  # fmt: skip
def test_it_leads_back_to_own_pages_only(person: Any, address: str) -> None:
    answer = person().sign_in("oakapple", address)
    assert (answer.status_code, answer["Location"]) == (302, "/")


def test_cancelled_at_github(person: Any) -> None:
    one = person()
    answer = one.back(one.choose(one.begin("/status"), ""))
    assert answer.status_code == 302
    page = one.browser.get(answer["Location"])
    assert b"You cancelled at GitHub. Nothing was changed." in page.content
    assert not User.objects.exists()
    assert one.browser.get("/audit").status_code == 302


def test_a_state_of_another_browser_signs_nobody_in(person: Any) -> None:
    victim, attacker = person(), person()
    victim.begin()
    stolen = attacker.choose(attacker.begin(), "oakapple")
    answer = victim.back(stolen)
    assert answer.status_code == 401
    assert "not begun in this browser" in answer.content.decode()
    assert not User.objects.exists()


def test_a_code_is_good_once_and_not_for_long(person: Any, github: Any) -> None:
    one = person()
    address = one.choose(one.begin(), "oakapple")
    assert one.back(address).status_code == 302
    assert one.back(address).status_code == 401  # the state is used up
    code = dict(parse_qsl(urlsplit(address).query))["code"]
    second = one.begin()
    state = dict(parse_qsl(urlsplit(second).query))["state"]
    answer = one.back(f"/accounts/github/login/callback/?code={code}&state={state}")
    assert answer.status_code == 401
    assert "did not confirm" in answer.content.decode()
    late = one.choose(one.begin(), "oakapple")
    github.control("people", age_codes=601)
    assert one.back(late).status_code == 401


@pytest.mark.parametrize("kind", ["error", "cut", "malformed", "truncated"])
@pytest.mark.parametrize("where", ["access_token", "/user$"])
def test_github_is_out_of_order(person: Any, github: Any, kind: str, where: str) -> None:
    one = person()
    address = one.choose(one.begin(), "oakapple")
    github.control("faults", match=where, kind=kind)
    answer = one.back(address)
    assert answer.status_code == 401
    assert "did not confirm" in answer.content.decode()
    assert not User.objects.exists()
    assert one.sign_in("oakapple").status_code == 302


def test_wrong_credentials_are_said_to_whom_they_concern(person: Any, settings: Any, caplog: Any) -> None:
    settings.OAUTH_CLIENT_SECRET = "another-secret-entirely"
    one = person()
    answer = one.sign_in("oakapple")
    assert answer.status_code == 401
    assert "ARBORIST_OAUTH_CLIENT_SECRET" in answer.content.decode()
    assert "another-secret-entirely" not in answer.content.decode() + caplog.text
    assert "incorrect_client_credentials" in caplog.text


def test_the_session_gets_a_new_key_and_an_end(person: Any, settings: Any) -> None:
    settings.SESSION_HOURS = 5
    one = person()
    authorize = one.begin()
    before = one.browser.cookies["arborist_session"].value
    one.back(one.choose(authorize, "oakapple"))
    cookie = one.browser.cookies["arborist_session"]
    assert cookie.value != before
    assert not Session.objects.filter(session_key=before).exists()
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert 4.9 * 3600 < int(cookie["max-age"]) <= 5 * 3600
    # Whoever knew the old key has nothing.
    other = person()
    other.browser.cookies["arborist_session"] = before
    assert b"You are signed in" not in other.browser.get("/accounts/login/").content


def test_signing_out_is_posted(person: Any) -> None:
    one = person()
    one.sign_in("oakapple")
    assert one.browser.get("/accounts/logout/").status_code == 405
    assert one.browser.post("/accounts/logout/").status_code == 403
    page = one.browser.get("/accounts/login/")
    answer = one.browser.post("/accounts/logout/", {"csrfmiddlewaretoken": str(page.context["csrf_token"])})
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert b"You are signed in" not in one.browser.get("/accounts/login/").content
    assert [entry.action for entry in Entry.objects.order_by("id")] == ["account.sign_in", "account.sign_out"]


def test_beginning_needs_our_own_form(person: Any) -> None:
    answer = person().browser.post("/accounts/login/", {"next": "/"})
    assert answer.status_code == 403
    assert "Load it again" in answer.content.decode()
    assert not Session.objects.exists()


def test_a_closed_account_stays_out(person: Any) -> None:
    one = person()
    one.sign_in("oakapple")
    User.objects.update(is_active=False)
    assert b"You are signed in" not in one.browser.get("/accounts/login/").content
    answer = one.sign_in("oakapple")
    assert "This account is closed here" in one.browser.get(answer["Location"]).content.decode()


def test_only_github_signs_people_in(person: Any) -> None:
    one = person()
    for address in ("signup/", "password/reset/", "email/", "3rdparty/", "3rdparty/signup/", "github/login/"):
        assert one.browser.get(f"/accounts/{address}").status_code == 404, address


def test_without_an_oauth_app_the_page_says_so(client: Any, settings: Any) -> None:
    settings.OAUTH_CLIENT_ID = ""
    page = client.get("/accounts/login/").content.decode()
    assert "ARBORIST_OAUTH_CLIENT_ID" in page
    assert "<button" not in page
    assert client.post("/accounts/login/").status_code == 200
    assert client.get("/accounts/github/login/callback/?code=1&state=2").status_code == 404


def test_the_first_admins_are_named_in_the_settings(person: Any, settings: Any) -> None:
    settings.ADMIN_LOGINS = frozenset({"birchbark"})
    one = person()
    one.sign_in("birchbark")
    user = User.objects.get()
    assert (user.is_staff, user.is_superuser) == (True, False)
    assert one.browser.get("/admin/accounts/rolegrant/").status_code == 200
    settings.ADMIN_LOGINS = frozenset()
    assert one.browser.get("/admin/accounts/rolegrant/").status_code == 403
    one.sign_in("birchbark")
    assert User.objects.get().is_staff is False


def test_a_password_is_for_the_admin_alone(client: Any, django_user_model: Any) -> None:
    django_user_model.objects.create_superuser("root", password="secret-word")
    client.post("/admin/login/", {"username": "root", "password": "secret-word"})
    assert client.get("/admin/").status_code == 200
    assert Entry.objects.get().detail == {"by": "password"}

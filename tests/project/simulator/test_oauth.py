"""The simulated GitHub's sign-in, asked as any OAuth app would ask it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
import requests

from project.simulator.oauth_routes import CLIENT_ID, CLIENT_SECRET
from project.simulator.payloads import user_id
from project.simulator.running import Running, running_simulator

VERIFIER = "v" * 60
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
CALLBACK = "http://localhost:8000/accounts/github/login/callback/"
ASKED = {
    "client_id": CLIENT_ID, "redirect_uri": CALLBACK, "state": "s", "scope": "read:org user:email",
    "code_challenge": CHALLENGE, "code_challenge_method": "S256",
}  # fmt: skip


@pytest.fixture(scope="module")
def github() -> Iterator[Running]:
    with running_simulator(scale="tiny", start="2026-11-18T16:00:00Z", speed=0, hourly_limit=100_000) as running:
        yield running


def authorize(github: Running, person: str, **changed: str) -> requests.Response:
    return requests.post(
        f"{github}/login/oauth/authorize", data=ASKED | changed | {"person": person}, allow_redirects=False, timeout=9
    )


def code(github: Running, person: str = "oakapple", **changed: str) -> str:
    return parse_qs(urlsplit(authorize(github, person, **changed).headers["location"]).query)["code"][0]


def exchange(github: Running, **sent: str) -> dict[str, Any]:
    given = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "code_verifier": VERIFIER} | sent
    answer = requests.post(
        f"{github}/login/oauth/access_token", data=given, headers={"Accept": "application/json"}, timeout=9
    )
    assert answer.status_code == 200
    told: dict[str, Any] = answer.json()
    return told


def get(github: Running, path: str, token: str = "") -> requests.Response:
    headers = {"User-Agent": "tests"} | ({"Authorization": f"token {token}"} if token else {})
    return requests.get(f"{github}{path}", headers=headers, timeout=9)


def test_the_page_offers_everybody_by_team(github: Running) -> None:
    page = requests.get(f"{github}/login/oauth/authorize", params=ASKED | {"state": '"><b>'}, timeout=9).text
    for title in ("Owners", "Maintainers", "Tree huggers", "Triagers", "Contributors"):
        assert f"<h2>{title}</h2>" in page
    assert '"><b>' not in page
    assert 'value="oakapple"' in page


@pytest.mark.parametrize("prefix", ["", "/api/v3"])
def test_a_token_says_who_and_which_teams(github: Running, prefix: str) -> None:
    told = exchange(github, code=code(github))
    assert (told["token_type"], told["scope"]) == ("bearer", "read:org,user:email")
    token = told["access_token"]
    answer = get(github, f"{prefix}/user", token)
    assert answer.headers["x-oauth-scopes"] == "read:org, user:email"
    me = answer.json()
    assert (me["login"], me["type"]) == ("oakapple", "User")
    assert me["id"] == user_id("oakapple")
    assert get(github, f"{prefix}/user/emails", token).json()[0]["verified"] is True
    (team,) = get(github, f"{prefix}/user/teams", token).json()
    assert (team["slug"], team["organization"]["login"]) == ("tree-huggers", "grove")
    members = get(github, f"{prefix}/orgs/grove/teams/tree-huggers/members?per_page=2", token)
    assert len(members.json()) == 2
    assert "next" in members.links


def test_scopes_bound_a_token(github: Running) -> None:
    token = exchange(github, code=code(github, scope=""))["access_token"]
    assert get(github, "/user", token).status_code == 200
    assert get(github, "/user/teams", token).status_code == 404
    assert get(github, "/user/emails", token).status_code == 404


def test_permissions(github: Running) -> None:
    def of(login: str) -> tuple[int, str, str]:
        answer = get(github, f"/repos/{github.full_name}/collaborators/{login}/permission", "t")
        return answer.status_code, answer.json().get("permission", ""), answer.json().get("role_name", "")

    assert of("birchbark") == (200, "read", "read")
    assert of("ivy-lattice") == (200, "read", "triage")
    assert of("oakapple") == (200, "write", "write")
    assert of("cedarline") == (200, "write", "maintain")
    assert of("juniper-q") == (200, "admin", "admin")
    assert of("no-such-person") == (404, "", "")


def test_bad_codes(github: Running) -> None:
    good = code(github)
    assert exchange(github, code="0" * 20)["error"] == "bad_verification_code"
    assert "access_token" in exchange(github, code=good)
    assert exchange(github, code=good)["error"] == "bad_verification_code"
    assert exchange(github, code=code(github), code_verifier="w" * 60)["error"] == "bad_verification_code"
    old = code(github)
    github.control("people", age_codes=601)
    assert exchange(github, code=old)["error"] == "bad_verification_code"
    assert exchange(github, code=code(github), client_secret="x")["error"] == "incorrect_client_credentials"
    assert exchange(github, code=code(github), redirect_uri="http://localhost/x")["error"] == "redirect_uri_mismatch"


def test_the_answer_is_a_form_unless_json_is_asked_for(github: Running) -> None:
    given = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "code_verifier": VERIFIER, "code": code(github)}
    answer = requests.post(f"{github}/login/oauth/access_token", data=given, timeout=9)
    assert answer.headers["content-type"].startswith("application/x-www-form-urlencoded")
    assert dict(parse_qsl(answer.text))["token_type"] == "bearer"
    assert requests.post(f"{github}/login/oauth/access_token", data={"client_id": "x"}, timeout=9).status_code == 404


def test_what_is_refused_at_the_door(github: Running) -> None:
    assert authorize(github, "oakapple", client_id="x").status_code == 404
    for uri in ("https://evil.example/", "javascript:alert(1)", "//x", "http://localhost.evil.example/", "http://["):
        assert authorize(github, "oakapple", redirect_uri=uri).status_code == 400
    denied = parse_qs(urlsplit(authorize(github, "").headers["location"]).query)
    assert (denied["error"], denied["state"]) == (["access_denied"], ["s"])
    plain = parse_qs(urlsplit(authorize(github, "oakapple", code_challenge_method="plain").headers["location"]).query)
    assert plain["error"] == ["invalid_request"]


def test_tokens_cannot_be_forged(github: Running) -> None:
    token = exchange(github, code=code(github))["access_token"]
    for forged in (token[:-1] + "0z"[token[-1] == "0"], "gho_1.2.3.4", "gho_", "gho_ü", "something"):
        assert get(github, "/user", forged.encode("latin-1").decode("latin-1")).status_code == 401, forged
    assert get(github, "/user").status_code == 401
    assert get(github, "/orgs/grove/teams/tree-huggers/members").status_code == 401
    assert get(github, "/orgs/grove/teams/nobody/members", token).status_code == 404


def test_a_number_outlives_a_login(github: Running) -> None:
    token = exchange(github, code=code(github))["access_token"]
    before = get(github, "/user", token).json()
    github.control("people", rename="oakapple", to="oak-two")
    after = get(github, "/user", token).json()
    assert (after["login"], after["id"]) == ("oak-two", before["id"])
    github.control("people", reset=True)

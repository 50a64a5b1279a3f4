"""Signing in with GitHub: the web flow of OAuth apps with PKCE, and what a person's token may ask.

There are no passwords: the page of `/login/oauth/authorize` offers everybody. Answers are GitHub's, its habit of saying
an error with status 200 included.
"""

import base64
import hashlib
import hmac
import html
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from project.simulator import payloads
from project.simulator.faults import spoil
from project.simulator.gate import ApiError, Call, Gate, Simulator
from project.simulator.payloads import Json
from project.simulator.repository_routes import both
from project.simulator.teams import TEAMS, Organization

CLIENT_ID, CLIENT_SECRET = "simulated-client", "simulated-secret-of-no-value"
CODE_SECONDS = 600
LOOPBACK = ("localhost", "127.0.0.1", "::1")
DOCS = "https://docs.github.com/apps/managing-oauth-apps/troubleshooting-oauth-app-access-token-request-errors"
ERRORS = {
    "bad_verification_code": "The code passed is incorrect or expired.",
    "incorrect_client_credentials": "The client_id and/or client_secret passed are incorrect.",
    "redirect_uri_mismatch": "The redirect_uri MUST match the registered callback URL for this application.",
}
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><link rel="icon" href="data:,">
<style>:root{{color-scheme:light dark}}body{{font:16px/1.5 system-ui;max-width:34rem;
margin:3rem auto;padding:0 1rem}}h2{{font-size:1rem;margin:1.4rem 0 .4rem}}button{{font:inherit;min-height:44px;
padding:0 .9rem;margin:0 .4rem .4rem 0;border:1px solid #8888;border-radius:6px;background:none;color:inherit;
cursor:pointer}}button:hover{{background:#8883}}p{{color:color-mix(in srgb,currentcolor 75%,transparent)}}</style>
<h1>{title}</h1>{body}</html>"""


@dataclass
class _Code:
    person: str
    scope: str
    redirect_uri: str
    challenge: str
    made: float


class SignIn:
    """The codes given out, and the people."""

    def __init__(self, simulator: Simulator, organization: Organization) -> None:
        self.simulator, self.organization = simulator, organization
        self.codes: dict[str, _Code] = {}

    # -- /login/oauth/authorize ------------------------------------------------------------------------------

    async def authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        if request.method == "POST":
            asked = dict(parse_qsl((await request.body()).decode(errors="replace"), keep_blank_values=True))
        if asked.get("client_id") != CLIENT_ID:
            return _page("Not found", "<p>There is no application with this client_id.</p>", 404)
        uri = asked.get("redirect_uri", "")
        if not _registered(uri):
            return _page("Be careful!", "<p>The redirect_uri is not associated with this application.</p>", 400)
        challenge = asked.get("code_challenge", "")
        if challenge and asked.get("code_challenge_method") != "S256":
            return _back(uri, asked, error="invalid_request", error_description="Only S256 is supported.")
        if request.method != "POST":
            return self._choice(asked)
        person = self.organization.named(asked.get("person", ""))
        if person is None:
            denied = "The user has denied your application access."
            return _back(uri, asked, error="access_denied", error_description=denied, error_uri=DOCS)
        code = secrets.token_hex(10)
        self.codes[code] = _Code(person, asked.get("scope", ""), uri, challenge, time.time())
        return _back(uri, asked, code=code)

    def _choice(self, asked: dict[str, str]) -> Response:
        kept = ("client_id", "redirect_uri", "scope", "state", "code_challenge", "code_challenge_method")
        hidden = "".join(
            f'<input type="hidden" name="{name}" value="{html.escape(asked[name])}">' for name in kept if name in asked
        )
        found = self.organization
        groups = [(team.replace("-", " ").capitalize(), found.members[team]) for team in reversed(TEAMS)]
        groups.append(("Contributors", [one for one in found.people() if not found.teams_of(one)]))

        def button(person: str) -> str:
            login = html.escape(found.login(person))
            return f'<button name="person" value="{login}">{login}</button>'

        people = "".join(f"<h2>{title}</h2>" + "".join(map(button, who)) for title, who in groups)
        scope = html.escape(asked.get("scope", "") or "nothing but public data")
        words = f"<p>This page stands for GitHub's. The application asks for: {scope}. Who are you?</p>"
        cancel = '<p><button name="person" value="">Cancel</button></p>'
        form = f'<form method="post" action="/login/oauth/authorize">{hidden}{people}{cancel}</form>'
        return _page("Simulated GitHub: sign in", words + form)

    # -- /login/oauth/access_token ---------------------------------------------------------------------------

    async def access_token(self, request: Request) -> Response:
        sent = dict(request.query_params)
        body = (await request.body()).decode(errors="replace")
        if "json" in request.headers.get("content-type", ""):
            found: Any = await request.json()
            sent |= {str(key): str(value) for key, value in dict(found).items()}
        else:
            sent |= dict(parse_qsl(body))
        response = self._exchange(sent, request.headers.get("accept", ""))
        fault = self.simulator.faults.take(request.url.path)
        return response if fault is None else await spoil(fault, response)

    def _exchange(self, sent: dict[str, str], accept: str) -> Response:
        if sent.get("client_id") != CLIENT_ID:
            return JSONResponse({"error": "Not Found"}, 404)
        error = ""
        if not hmac.compare_digest(sent.get("client_secret", "").encode(), CLIENT_SECRET.encode()):
            error = "incorrect_client_credentials"
        else:
            code = self.codes.pop(sent.get("code", ""), None)  # good for once, also if it then turns out wrong
            if code is None or time.time() - code.made > CODE_SECONDS or not _proven(code, sent):
                error = "bad_verification_code"
            elif sent.get("redirect_uri") not in (None, code.redirect_uri):
                error = "redirect_uri_mismatch"
        told = {"error": error, "error_description": ERRORS.get(error, ""), "error_uri": f"{DOCS}#{error}"}
        if not error:
            assert code is not None
            token = self._token(code.person, code.scope)
            told = {"access_token": token, "scope": ",".join(_scopes(code.scope)), "token_type": "bearer"}
        if "json" in accept:
            return JSONResponse(told)
        return Response(urlencode(told), media_type="application/x-www-form-urlencoded")

    # -- tokens ----------------------------------------------------------------------------------------------

    def _token(self, person: str, scope: str) -> str:
        text = f"{payloads.user_id(person):x}.{'.'.join(_scopes(scope)).encode().hex() or '0'}.{secrets.token_hex(6)}"
        return f"gho_{text}.{self.simulator.sign('user ' + text)}"

    def person_of(self, call: Call) -> tuple[str, list[str]]:
        """Whose token a request came with, and its scopes. Raises ApiError."""
        text, _, signature = call.token.removeprefix("gho_").rpartition(".")
        if not call.token:
            raise ApiError(401, "Requires authentication")
        ours = self.simulator.sign("user " + text).encode()
        if not call.token.startswith("gho_") or not hmac.compare_digest(signature.encode(), ours):
            raise ApiError(401, "Bad credentials")
        number, scopes, _ = text.split(".")
        person = self.organization.numbered(int(number, 16))
        if person is None:
            raise ApiError(401, "Bad credentials")
        granted = bytes.fromhex(scopes).decode().split(".") if scopes != "0" else []
        call.headers["x-oauth-scopes"] = ", ".join(granted)
        return person, granted

    # -- API -------------------------------------------------------------------------------------------------

    def user(self, call: Call) -> Json:
        person, _ = self.person_of(call)
        return self._public(person, call.base) | {
            "name": person.replace("-", " ").title(), "company": None, "blog": "", "location": None, "email": None,
            "hireable": None, "bio": None, "twitter_username": None, "public_repos": 2, "public_gists": 0,
            "followers": 7, "following": 3, "created_at": "2019-03-20T08:00:00Z", "updated_at": "2026-10-01T08:00:00Z",
        }  # fmt: skip

    def emails(self, call: Call) -> list[Json]:
        person, scopes = self.person_of(call)
        if not {"user", "user:email"} & set(scopes):
            raise ApiError(404)
        address = f"{person}@example.org"
        return [{"email": address, "primary": True, "verified": True, "visibility": "private"}]

    def teams(self, call: Call) -> list[Json]:
        person, scopes = self.person_of(call)
        if not {"read:org", "user", "repo"} & set(scopes):
            raise ApiError(404)
        organization = payloads.user(call.world.owner, call.base, "Organization")
        return call.paged(
            [self._team(slug, call) | {"organization": organization} for slug in self.organization.teams_of(person)]
        )

    def members(self, call: Call) -> list[Json]:
        if not call.token:
            raise ApiError(401, "Requires authentication")
        members = self.organization.members.get(call.path("slug"))
        if members is None or call.path("org").lower() != call.world.owner.lower():
            raise ApiError(404)
        return call.paged([self._public(one, call.base) for one in members])

    def permission(self, call: Call) -> Json:
        person = self.organization.named(call.path("username"))
        if person is None:
            raise ApiError(404, f"{call.path('username')} is not a user")
        permission, role = self.organization.permission(person), self.organization.role_name(person)
        shown = self._public(person, call.base) | {"role_name": role}
        return {"permission": permission, "role_name": role, "user": shown}

    def _public(self, person: str, base: str) -> Json:
        login = self.organization.login(person)
        known = payloads.user(login, base)
        number = payloads.user_id(person)
        return {
            **known,
            "id": number,
            "node_id": payloads.node_id("U", number),
            "avatar_url": f"{base}/avatars/u/{number}",
        }

    def _team(self, slug: str, call: Call) -> Json:
        number = 4_000_000 + list(self.organization.members).index(slug)
        url = f"{call.base}/orgs/{call.world.owner}/teams/{slug}"
        return {
            "id": number, "node_id": payloads.node_id("T", number), "name": slug.replace("-", " "), "slug": slug,
            "description": "", "privacy": "closed", "notification_setting": "notifications_enabled",
            "permission": "pull", "url": url, "html_url": url, "members_url": f"{url}/members{{/member}}",
            "repositories_url": f"{url}/repos", "parent": None,
            "members_count": len(self.organization.members[slug]), "repos_count": 1,
            "created_at": "2019-03-20T08:00:00Z", "updated_at": "2026-10-01T08:00:00Z",
        }  # fmt: skip

    # -- for tests -------------------------------------------------------------------------------------------

    async def control(self, request: Request) -> Response:
        """{"join" | "leave": team, "person": first login} {"rename": first login, "to": login}
        {"age_codes": seconds}: codes given out get older. {"reset": true}: the teams as in the beginning."""
        try:
            body = await request.json() if await request.body() else {}
            person = str(body.get("person", ""))
            if body.get("reset"):
                fresh = Organization()
                self.organization.members, self.organization.renamed = fresh.members, fresh.renamed
            if "leave" in body:
                self.organization.members[str(body["leave"])].remove(person)
            if "join" in body:
                self.organization.members[str(body["join"])].append(person)
            if "rename" in body:
                self.organization.renamed[str(body["rename"])] = str(body["to"])
            for code in self.codes.values():
                code.made -= float(body.get("age_codes", 0))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return JSONResponse({"message": str(error)}, 400)
        return JSONResponse({"teams": self.organization.members, "codes": len(self.codes)})


def _registered(uri: str) -> bool:
    """The application is registered for this machine: as at GitHub, any port of it will do."""
    try:
        parts = urlsplit(uri)
        return parts.scheme in ("http", "https") and parts.hostname in LOOPBACK and not parts.fragment
    except ValueError:
        return False


def _back(uri: str, asked: dict[str, str], **told: str) -> Response:
    state = {"state": asked["state"]} if "state" in asked else {}
    return RedirectResponse(uri + ("&" if "?" in uri else "?") + urlencode(told | state), 302)


def _page(title: str, body: str, status: int = 200) -> Response:
    return HTMLResponse(_PAGE.format(title=title, body=body), status)


def _scopes(scope: str) -> list[str]:
    return [one for one in re.split(r"[ ,]+", scope) if re.fullmatch(r"[a-z:_]+", one)]


def _proven(code: _Code, sent: dict[str, str]) -> bool:
    """PKCE: whoever brings the code began the sign-in."""
    if not code.challenge:
        return True
    digest = hashlib.sha256(sent.get("code_verifier", "").encode()).digest()
    return hmac.compare_digest(base64.urlsafe_b64encode(digest).rstrip(b"=").decode(), code.challenge)


def routes(gate: Gate) -> list[Route]:
    sign_in = SignIn(gate.simulator, Organization())

    def api(path: str, handler: Callable[[Call], Any]) -> list[Route]:
        endpoint = gate(handler, path)
        return [Route(prefix + path, endpoint) for prefix in ("", "/api/v3")]  # GitHub's own, and Enterprise's

    return [
        Route("/login/oauth/authorize", sign_in.authorize, methods=["GET", "POST"]),
        Route("/login/oauth/access_token", sign_in.access_token, methods=["POST"]),
        Route("/_simulator/people", sign_in.control, methods=["GET", "POST"]),
        *api("/user", sign_in.user),
        *api("/user/emails", sign_in.emails),
        *api("/user/teams", sign_in.teams),
        *api("/orgs/{org}/teams/{slug}/members", sign_in.members),
        *both(gate, "/collaborators/{username}/permission", sign_in.permission),
    ]

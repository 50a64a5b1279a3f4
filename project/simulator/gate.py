"""What every API request passes through: headers, tokens, rate limits, faults, ETags, counting."""

import hashlib
import hmac
import json
import secrets
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from project.simulator import ci_payloads, payloads
from project.simulator.faults import Faults, refuse, spoil
from project.simulator.limits import Limits, Window
from project.simulator.payloads import Json
from project.simulator.world import World

Listener = Callable[[str, Json], None]

DOCS = "https://docs.github.com/rest"
TOKEN_SECONDS = 3600  # an installation token lives this long
APP_LOGIN, TOKEN_LOGIN = "arborist-app[bot]", "canopy-keeper"  # who writes with a token that sign-in does not know
_API_VERSIONS = ("2022-11-28", "2026-03-10")


@dataclass
class Counts:
    """What was asked since the last reset, for tests and benchmarks."""

    requests: int = 0
    counted: int = 0  # against a rate limit
    not_modified: int = 0
    by_route: Counter[str] = field(default_factory=Counter)
    counted_by_route: Counter[str] = field(default_factory=Counter)
    by_status: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    bytes: int = 0


@dataclass
class Simulator:
    """Everything that one simulator process holds."""

    world: World
    limits: Limits = field(default_factory=Limits)
    faults: Faults = field(default_factory=Faults)
    counts: Counts = field(default_factory=Counts)
    revoked: set[str] = field(default_factory=set)  # tokens that get 401
    logins: dict[str, str] = field(default_factory=dict)  # whose a token is, where sign-in knows
    state_file: Path | None = None  # keeps what requests wrote over a restart
    listeners: list[Listener] = field(default_factory=list)

    def on_write(self, listener: Listener) -> None:
        """Have a function called with (event, payload) for each webhook event that a request causes.

        What comes by the clock is not told here, be it drawn, an attempt that a request began or a landing: those
        are found by asking the world and `pull_events.between`.
        """
        self.listeners.append(listener)

    def written(self) -> None:
        """To be called after each change of what requests wrote."""
        self.world.written()
        if self.state_file is not None:
            self.world.writes.save(self.state_file)

    def tell(self, event: str, payload: Json) -> None:
        for listener in self.listeners:
            listener(event, payload)

    @property
    def key(self) -> bytes:
        """Signs links and tokens. From the seed, so that both outlive a restart."""
        return hashlib.sha256(f"simulator {self.world.seed}".encode()).digest()

    def sign(self, text: str) -> str:
        return hmac.new(self.key, text.encode(), hashlib.sha256).hexdigest()[:32]

    def installation_token(self, expires: int) -> str:
        text = f"{expires:x}.{secrets.token_hex(6)}"
        return f"ghs_{text}.{self.sign(text)}"

    def token_is_good(self, token: str) -> bool:
        """Any token will do, except revoked ones and installation tokens that have expired or are not ours."""
        if token in self.revoked:
            return False
        if token.startswith("ghs_") and token.count(".") == 2:
            text, _, signature = token.removeprefix("ghs_").rpartition(".")
            return hmac.compare_digest(signature, self.sign(text)) and int(text.split(".")[0], 16) > time.time()
        return True


class ApiError(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, message: str = "Not Found", *, headers: dict[str, str] | None = None, **more: Any):
        super().__init__(message)
        self.status, self.message, self.headers, self.more = status, message, headers or {}, more

    def body(self) -> Json:
        return {"message": self.message, **self.more, "documentation_url": DOCS, "status": str(self.status)}


@dataclass
class Call:
    """One request, as the endpoints see it."""

    simulator: Simulator
    request: Request
    now: float  # simulated
    base: str
    token: str
    headers: dict[str, str] = field(default_factory=dict)  # to add to the answer
    body: bytes = b""
    status: int = 0  # of the answer; 0 leaves it to the method

    @property
    def world(self) -> World:
        return self.simulator.world

    @property
    def actor(self) -> str:
        """The login of whoever the token belongs to."""
        known = self.simulator.logins.get(self.token)
        return known or (APP_LOGIN if self.token.startswith("ghs_") else TOKEN_LOGIN)

    def json(self) -> Json:
        """The request's body, which must be an object; none counts as an empty one."""
        try:
            told = json.loads(self.body or b"{}")
        except ValueError:
            raise ApiError(400, "Problems parsing JSON") from None
        if not isinstance(told, dict):
            raise ApiError(400, "Body should be a JSON object")
        return told

    def path(self, name: str) -> str:
        return str(self.request.path_params[name])

    def number(self, name: str) -> int:
        try:
            return int(self.request.path_params[name])
        except ValueError:
            raise ApiError(404) from None

    def query(self, name: str, default: str = "") -> str:
        return self.request.query_params.get(name, default)

    def page_size(self) -> tuple[int, int]:
        """(page, per_page); nonsense counts as the default, as it does at GitHub."""

        def whole(name: str, default: int) -> int:
            text = self.query(name)
            return int(text) if text.isascii() and text.isdigit() and int(text) > 0 else default

        return whole("page", 1), min(whole("per_page", 30), 100)

    def link(self, *, last: int | None, more: bool | None = None) -> None:
        """Add the Link header. `last` is None where the number of pages is unknown; then `more` says if one follows."""
        page, _ = self.page_size()
        links = []
        path = self.request.url.path
        if "owner" in self.request.path_params:
            # GitHub's links name the repository by its number; a client that builds page addresses itself shows.
            path = "/".join(["", "repositories", str(self.world.id), *path.split("/")[4:]])

        def add(rel: str, number: int) -> None:
            params = [(k, v) for k, v in self.request.query_params.multi_items() if k != "page"]
            query = urlencode([*params, ("page", str(number))])
            links.append(f'<{self.base}{path}?{query}>; rel="{rel}"')

        follows = more if last is None else page < last
        if page > 1:
            add("prev", page - 1)
        if follows:
            add("next", page + 1)
            if last is not None:
                add("last", last)
        if page > 1:
            add("first", 1)
        if links:
            self.headers["link"] = ", ".join(links)

    def paged(self, items: Sequence[Any]) -> list[Any]:
        """The page that was asked for of a list that is known whole."""
        page, size = self.page_size()
        self.link(last=-(-len(items) // size))
        return list(items[(page - 1) * size : page * size])


Handler = Callable[[Call], Any]


def to_json(value: Any, world: World, base: str) -> bytes:
    text = json.dumps(value, separators=(",", ":"))
    if ci_payloads.REPOSITORY_MARK in text:
        whole = json.dumps(payloads.minimal_repository(world, base), separators=(",", ":"))
        text = text.replace(f'"{ci_payloads.REPOSITORY_MARK}"', whole)
    return text.encode()


def base_of(request: Request) -> str:
    """Where the request came to, for links back."""
    return f"{request.url.scheme}://{request.headers.get('host', request.url.netloc)}"


def _token(request: Request) -> str:
    """The credential without its scheme; "" for an anonymous request."""
    return request.headers.get("authorization", "").partition(" ")[2].strip()


class Gate:
    """Turns a handler, which returns JSON or a Response or raises a ApiError, into an endpoint."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator

    def __call__(self, handler: Handler, route: str, *, free: bool = False) -> Callable[[Request], Any]:
        """`free`: costs nothing, and is answered even when nothing is left."""

        async def endpoint(request: Request) -> Response:
            simulator = self.simulator
            simulator.counts.requests += 1
            simulator.counts.by_route[route] += 1
            sent = await request.body()
            fault = simulator.faults.take(request.url.path, request.method)
            if fault is not None:
                simulator.counts.faults[fault.kind] += 1
            if fault is not None and fault.before:
                response = await refuse(fault)
            else:
                with simulator.world.lock:
                    response = self._answer(handler, route, request, free, sent)
                if fault is not None:
                    response = await spoil(fault, response)
            simulator.counts.by_status[str(response.status_code)] += 1
            simulator.counts.bytes += len(response.body)
            return response

        return endpoint

    def _answer(self, handler: Handler, route: str, request: Request, free: bool, sent: bytes) -> Response:
        simulator = self.simulator
        base = base_of(request)
        if not request.headers.get("user-agent"):
            return Response(
                "Request forbidden by administrative rules. Please make sure your request has a User-Agent header.\n",
                403,
                media_type="text/html",
            )
        token = _token(request)
        window = simulator.limits.window(token)
        headers = {
            "x-github-request-id": secrets.token_hex(10).upper(),
            "x-github-media-type": "github.v3; format=json",
        }
        call = Call(simulator, request, simulator.world.now(), base, token, body=sent)
        try:
            version = request.headers.get("x-github-api-version", _API_VERSIONS[0])
            headers["x-github-api-version-selected"] = version
            if version not in _API_VERSIONS:
                raise ApiError(400, f"{version} is not a supported version of the GitHub API.")
            if not simulator.token_is_good(token):
                raise ApiError(401, "Bad credentials")
            if not free and window.remaining == 0:
                whose = "user ID 9200000" if token else "127.0.0.1"
                raise ApiError(403, f"API rate limit exceeded for {whose}.")
            result = handler(call)
        except ApiError as error:
            # Refusals at the door cost nothing; an answer such as 404 costs as much as any other.
            if error.status not in (400, 401) and not free and window.remaining:
                self._count(window, route)
            headers |= error.headers
            body = json.dumps(error.body()).encode()
            return self._finish(body, error.status, headers | self._rate(window))
        headers |= call.headers
        if isinstance(result, Response):
            if not free:
                self._count(window, route)
            for name, value in (headers | self._rate(window)).items():
                result.headers.setdefault(name, value)
            return result
        body = to_json(result, simulator.world, base)
        if request.method in ("GET", "HEAD"):
            # A token has its own ETags at GitHub.
            key = hashlib.sha256(token.encode()).digest()
            etag = hashlib.blake2b(body, key=key, digest_size=32).hexdigest()
            headers |= {
                "etag": f'W/"{etag}"',
                "cache-control": "private, max-age=60, s-maxage=60" if token else "public, max-age=60, s-maxage=60",
                "vary": "Accept, Authorization, Cookie, X-GitHub-OTP, Accept-Encoding, Accept, X-Requested-With",
            }
            known = request.headers.get("if-none-match", "").split(",")
            if etag in (tag.strip().removeprefix("W/").strip('"') for tag in known):
                simulator.counts.not_modified += 1
                if not token and not free:
                    self._count(window, route)
                return self._finish(b"", 304, headers | self._rate(window))
        if not free:
            self._count(window, route)
        status = call.status or (201 if request.method == "POST" else 200)
        return self._finish(body, status, headers | self._rate(window))

    def _count(self, window: Window, route: str) -> None:
        window.used += 1
        self.simulator.counts.counted += 1
        self.simulator.counts.counted_by_route[route] += 1

    @staticmethod
    def _rate(window: Window) -> dict[str, str]:
        return window.headers()

    @staticmethod
    def _finish(body: bytes, status: int, headers: dict[str, str]) -> Response:
        if status in (204, 304):
            return Response(status_code=status, headers=headers)
        return Response(body, status, headers, media_type="application/json; charset=utf-8")

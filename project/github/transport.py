"""One request to GitHub and everything that may happen to it, ending in an `Answer` or a `GitHubError`.

Time-outs always; GETs are tried again with exponential backoff and full jitter after 5xx answers and cut connections;
redirects by hand, so that the Authorization header never reaches another host; bodies bounded; rate limits
told to the budget. HTTP and requests end here: nothing above sees a response or an exception of theirs.

A write is sent once: nobody here can tell whether one without an answer took effect. `project.outbox` finds out.
"""

import json
import logging
import os
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from .budget import Budget, Priority
from .errors import (
    BadAnswer,
    BadCredentials,
    Forbidden,
    GitHubError,
    Gone,
    Invalid,
    Misdirected,
    NotFound,
    ServerFault,
    Unreachable,
)
from .fields import clean
from .pacing import Pace
from .tokens import Bearer, TokenSource

log = logging.getLogger(__name__)

BODY_MAX: Final = 25 * 1024 * 1024  # bytes, unpacked
ANSWER_SECONDS: Final = 120.0  # for a whole body, however steadily it trickles
WRITE_SECONDS: Final = 40.0  # the same for a write's answer, which is short
REDIRECTS_MAX: Final = 5
BACKOFF: Final = 0.5  # seconds, doubled with each try
BACKOFF_MAX: Final = 20.0
WRITE_REDIRECTS_MAX: Final = 2
_MOVED: Final = frozenset({301, 302, 303, 307, 308})

_sessions: dict[int, requests.Session] = {}


def process_session() -> requests.Session:
    """This process's one session, made when first asked for. A forked child gets its own sockets."""
    session = _sessions.get(os.getpid())
    if session is None:
        _sessions.clear()
        session = _sessions[os.getpid()] = requests.Session()
    return session


@dataclass(frozen=True, slots=True)
class Answer:
    """A 2xx with its JSON (None if it has no body), or a 304 with None. ``url`` is where redirects led."""

    not_modified: bool
    data: Any
    headers: Mapping[str, str]
    url: str


@dataclass(frozen=True, slots=True)
class _Raw:
    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str


class Transport:
    """Requests to one GitHub as one credential."""

    def __init__(
        self,
        *,
        token: TokenSource,
        api_url: str,
        budget: Budget,
        session: requests.Session | None,
        timeout: tuple[float, float],
        sleep: Callable[[float], None],
        retries: int,
        user_agent: str,
    ) -> None:
        self._token = token
        self._origin = origin(api_url)
        self._prefix = urlsplit(api_url).path.rstrip("/")
        self._budget = budget
        self._session = session
        self._timeout = timeout
        self._sleep = sleep
        self._retries = retries
        self._user_agent = user_agent

    def get(self, url: str, *, etag: str | None, priority: Priority) -> Answer:
        """GET ``url``, conditionally if ``etag`` is given. Raises `GitHubError`."""
        asked = f"GET {self.path(url)}"
        renewed = garbled = False
        tries = 0
        while True:
            tries += 1
            self._budget.before(priority, asked=asked)
            bearer = Bearer(self._token.header())
            try:
                return self._judge(self._follow(url, bearer, etag, asked, tries), etag, asked, tries)
            except (ServerFault, Unreachable):
                if tries > self._retries:
                    raise
            except BadAnswer:
                # Once may be a proxy's bad moment.
                if garbled:
                    raise
                garbled = True
            except BadCredentials:
                if renewed:
                    raise
                renewed = True
                self._token.forget()
                if Bearer(self._token.header()) == bearer:
                    raise
                # ETags belong to the token that was just given up.
                etag = None
                continue
            self._sleep(random.uniform(0, min(BACKOFF_MAX, BACKOFF * 2 ** (tries - 1))))

    def send(self, method: str, url: str, body: object, *, pace: Pace) -> Answer:
        """One write, in its turn. Raises `GitHubError`; after one that is `passing` it may have taken effect.

        It is sent a second time in two cases only, in both of which GitHub did nothing: the token has just been
        renewed, or GitHub says that it moved, on the same host (a renamed repository).
        """
        asked = f"{method} {self.path(url)}"
        data = None if body is None else json.dumps(body).encode()
        renewed, hops = False, 0
        while True:
            self._budget.before(Priority.HIGH, asked=asked)
            bearer = Bearer(self._token.header())
            with pace.turn(asked):
                raw = self._once(url, bearer, None, asked, 1, method=method, data=data)
            self._budget.learn(raw.headers)
            if raw.status in _MOVED:
                url, hops = self._moved(raw, asked), hops + 1
                if hops > WRITE_REDIRECTS_MAX:
                    raise Misdirected(asked, "it redirects in circles")
                continue
            if raw.status == 401 and not renewed:
                renewed = True
                self._token.forget()
                if Bearer(self._token.header()) != bearer:
                    continue
            if 200 <= raw.status < 300:
                return Answer(False, _json(raw.body, asked) if raw.body.strip() else None, raw.headers, raw.url)
            raise self._fault(raw, asked, 1)

    def _moved(self, raw: _Raw, asked: str) -> str:
        """Where a write is to be sent instead. 303 would have it read something there: that is no write."""
        try:
            target = _target(raw.url, raw.headers.get("location", ""), asked)
            ours = origin(target) == self._origin
        except (BadAnswer, ValueError):
            ours = False
        if not ours or raw.status == 303:
            raise Misdirected(asked, "it redirects to where we do not follow with a write")
        return target

    def path(self, url: str) -> str:
        """The path of ``url`` below the API's own, without the query: what errors and logs may show."""
        return clean(urlsplit(url).path.removeprefix(self._prefix) or "/", 300)

    # -- one try ---------------------------------------------------------------------------------------------

    def _follow(self, url: str, bearer: Bearer, etag: str | None, asked: str, tries: int) -> _Raw:
        for _ in range(REDIRECTS_MAX + 1):
            ours = origin(url) == self._origin
            if not ours:
                # Once it has left, it is a stranger's request, even if it is sent back.
                bearer, etag = Bearer(""), None
            raw = self._once(url, bearer, etag, asked, tries)
            if ours:
                self._budget.learn(raw.headers)
            if raw.status not in _MOVED:
                return raw
            url = _target(url, raw.headers.get("location", ""), asked)
        raise BadAnswer(asked, f"it redirects more than {REDIRECTS_MAX} times")

    def _once(
        self,
        url: str,
        bearer: Bearer,
        etag: str | None,
        asked: str,
        tries: int,
        *,
        method: str = "GET",
        data: bytes | None = None,
    ) -> _Raw:
        headers = {
            "Accept": "application/vnd.github+json",
            "User-Agent": self._user_agent,
            "X-GitHub-Api-Version": "2022-11-28",
        }
        if etag:
            headers["If-None-Match"] = etag
        if data is not None:
            headers["Content-Type"] = "application/json; charset=utf-8"
        started = time.monotonic()
        status, failure, senseless = 0, "", False
        try:
            with (self._session or process_session()).request(
                method,
                url,
                data=data,
                headers=headers,
                auth=bearer,
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
            ) as response:
                status = response.status_code
                body = _body(response, asked, started, ANSWER_SECONDS if method == "GET" else WRITE_SECONDS)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            failure = _failure(error)
        except ValueError:
            # requests looks at a Location even if told not to follow it, and trips over some.
            senseless = True
        finally:
            log.info(
                "github request",
                extra={
                    "method": method,
                    "path": self.path(url),
                    "status": status,
                    "ms": round((time.monotonic() - started) * 1000),
                    "counted": status not in (0, 304),
                    "tries": tries,
                },
            )
        if failure:
            # Here and not in the handler: the original error holds the request, and that holds the token.
            raise Unreachable(asked, failure, tries)
        if senseless:
            raise BadAnswer(asked, "it redirects to nowhere, or its headers make no sense")
        return _Raw(status, response.headers, body, url)

    # -- what came back --------------------------------------------------------------------------------------

    def _judge(self, raw: _Raw, etag: str | None, asked: str, tries: int) -> Answer:
        if raw.status == 200:
            return Answer(False, _json(raw.body, asked), raw.headers, raw.url)
        if raw.status == 304 and etag:
            return Answer(True, None, raw.headers, raw.url)
        raise self._fault(raw, asked, tries)

    def _fault(self, raw: _Raw, asked: str, tries: int) -> GitHubError:
        status = raw.status
        if status in (403, 429):
            message = _message(raw.body)
            limited = self._budget.refused(status, raw.headers, message, asked=asked)
            return limited or Forbidden(
                asked, message, clean(raw.headers.get("x-accepted-github-permissions", ""), 200)
            )
        if status >= 500:
            return ServerFault(asked, status, tries)
        match status:
            case 401:
                return BadCredentials(asked)
            case 404:
                return NotFound(asked, _message(raw.body))
            case 410:
                return Gone(asked, _message(raw.body))
            case 451:
                return Forbidden(asked, _message(raw.body))
        if 400 <= status < 500:
            return Invalid(asked, status, _reasons(raw.body))
        return BadAnswer(asked, f"its status is {status}")


def origin(url: str) -> tuple[str, str, int]:
    """(scheme, host, port): only where all are equal a token is sent. Raises ValueError for a bad port."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _target(url: str, location: str, asked: str) -> str:
    """Where a redirect leads."""
    try:
        target = urljoin(url, location) if location else ""
        scheme, host, _ = origin(target)
    except ValueError:
        scheme = host = ""
    if scheme not in ("http", "https") or not host:
        raise BadAnswer(asked, "it redirects to nowhere")
    if url.startswith("https:") and scheme == "http":
        raise BadAnswer(asked, "it redirects from https to http")
    return target


def _body(response: requests.Response, asked: str, started: float, seconds: float) -> bytes:
    chunks, size = [], 0
    # read1 and not iter_content: it returns what has come, so a server that trickles can be given up on.
    while chunk := response.raw.read1(64 * 1024, decode_content=True):
        chunks.append(chunk)
        size += len(chunk)
        if size > BODY_MAX:
            raise BadAnswer(asked, f"it is longer than {BODY_MAX // 1024 // 1024} MB")
        if time.monotonic() - started > seconds:
            raise requests.Timeout
    return b"".join(chunks)


def _failure(error: Exception) -> str:
    """In words, and without the error's own text, which repeats the URL with its query."""
    if isinstance(error, requests.ConnectTimeout):
        return "no connection in time"
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
        return "no answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not accepted"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy does not let us through"
    if isinstance(error, urllib3.exceptions.DecodeError):
        return "the answer was garbled on its way"
    if isinstance(error, urllib3.exceptions.HTTPError):
        return "the connection was cut in the middle of the answer"
    return "no connection, or it was cut"


def _json(body: bytes, asked: str) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        pass
    raise BadAnswer(asked, "it is not valid JSON" if body else "it is empty")


def _error_body(body: bytes) -> dict[str, Any]:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _message(body: bytes) -> str:
    message = _error_body(body).get("message")
    return clean(message, 300) if isinstance(message, str) else ""


def _reasons(body: bytes) -> tuple[str, ...]:
    """The reasons of a 4xx: objects with resource, field, code, message; or strings; or one message."""
    reasons = []
    errors = _error_body(body).get("errors")
    for error in errors[:20] if isinstance(errors, list) else ():
        if isinstance(error, str):
            reasons.append(clean(error, 300))
        elif isinstance(error, dict):
            said = error.get("message") or " ".join(
                part for key in ("resource", "field", "code") if isinstance(part := error.get(key), str)
            )
            if isinstance(said, str) and said:
                reasons.append(clean(said, 300))
    return tuple(reasons) or ((_message(body),) if _message(body) else ())

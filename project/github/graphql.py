"""GitHub's GraphQL API, for what its REST API cannot do. Its errors come in answers with status 200; here they become
the same `GitHubError`s."""

import time
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from .errors import BadAnswer, Forbidden, GitHubError, Invalid, NotFound, RateLimited, ServerFault
from .fields import as_dict, clean
from .transport import Answer

REVERT_PULL_REQUEST: Final = """
mutation($id: ID!, $title: String, $body: String, $draft: Boolean) {
  revertPullRequest(input: {pullRequestId: $id, title: $title, body: $body, draft: $draft}) {
    revertPullRequest { number url }
  }
}
"""
WAIT: Final = 60.0  # seconds, if a limit does not say how long

_FORBIDDEN: Final = frozenset({"FORBIDDEN", "INSUFFICIENT_SCOPES", "SAML", "IP_ALLOW_LIST"})


def address(api_url: str) -> str:
    """Where GraphQL is: beside REST on github.com, a level above it on an Enterprise server (``/api/v3``)."""
    parts = urlsplit(api_url)
    path = parts.path.rstrip("/").removesuffix("/v3")
    return urlunsplit((parts.scheme, parts.netloc, f"{path}/graphql", "", ""))


def data_of(answer: Answer, asked: str) -> dict[str, Any]:
    """What was asked for. Raises the `GitHubError` that the answer's errors amount to."""
    said = as_dict(answer.data)
    errors = said.get("errors")
    if isinstance(errors, list) and errors:
        raise _error(as_dict(errors[0]), answer, asked)
    data = said.get("data")
    if isinstance(data, dict):
        return data
    raise BadAnswer(asked, "there is no data in it")


def _error(first: dict[str, Any], answer: Answer, asked: str) -> GitHubError:
    kind, message = first.get("type"), first.get("message")
    words = clean(message, 300) if isinstance(message, str) else ""
    if kind == "RATE_LIMITED" or kind == "RATE_LIMIT":
        return RateLimited(asked, _reset(answer), secondary=False, reason="GitHub's limit for GraphQL is used up")
    if kind == "NOT_FOUND":
        return NotFound(asked, words)
    if kind in _FORBIDDEN:
        return Forbidden(asked, words)
    if kind is None and ("something went wrong" in words.lower() or "timedout" in words.lower()):
        return ServerFault(asked, 502, 1)  # how GitHub words its time-outs; it may have been done
    if kind in ("SERVICE_UNAVAILABLE", "INTERNAL"):
        return ServerFault(asked, 503, 1)
    return Invalid(asked, 422, (words,) if words else ())


def _reset(answer: Answer) -> datetime:
    try:
        until = float(answer.headers.get("x-ratelimit-reset", ""))
    except ValueError:
        until = 0.0
    now = time.time()
    return datetime.fromtimestamp(until if now < until < now + 7200 else now + WAIT, UTC)

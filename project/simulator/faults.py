"""Trouble on request: answers that a client must survive. Asked for through `control`, consumed one per request."""

import asyncio
import json
import re
from dataclasses import dataclass

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

KINDS = (
    "error",  # an error status, by default 502
    "cut",  # the connection breaks in the middle of the body
    "truncated",  # a complete HTTP answer whose JSON stops in the middle
    "malformed",  # a complete HTTP answer that is no JSON at all
    "secondary",  # GitHub's secondary rate limit
    "latency",  # the right answer, late
)


_DOCS = "https://docs.github.com/rest"
_SAYS = {
    401: "Bad credentials", 403: "Resource not accessible by integration", 404: "Not Found", 409: "Conflict",
    410: "Gone", 422: "Validation Failed", 429: "Too many requests",
}  # fmt: skip


@dataclass
class Fault:
    kind: str
    count: int  # how many more requests it hits
    match: re.Pattern[str] | None = None  # only requests whose path it finds
    status: int = 0
    retry_after: int | None = None  # seconds
    seconds: float = 0.0  # how late
    before: bool = False  # nothing is done: the request never reaches the world. Otherwise only the answer is lost.
    method: str = ""  # only requests of this method
    message: str = ""  # what an error says, as GitHub's JSON


class Faults:
    def __init__(self) -> None:
        self.queue: list[Fault] = []

    def add(self, fault: Fault) -> None:
        self.queue.append(fault)

    def take(self, path: str, method: str = "GET") -> Fault | None:
        """The first fault that hits this request, if any."""
        for fault in self.queue:
            if fault.method not in ("", method):
                continue
            if fault.match is None or fault.match.search(path):
                fault.count -= 1
                if fault.count <= 0:
                    self.queue.remove(fault)
                return fault
        return None


class CutResponse(Response):
    """Promises a whole body, sends half of it, and hangs up."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        half = bytes(self.body)[: max(1, len(self.body) // 2)]
        await send({"type": "http.response.body", "body": half, "more_body": True})
        # Returning without the rest makes uvicorn close the connection.


async def refuse(fault: Fault) -> Response:
    """The answer to a request that is turned away before it did anything."""
    return await spoil(fault, Response(b"{}", 200, {"content-type": "application/json; charset=utf-8"}))


async def spoil(fault: Fault, response: Response) -> Response:
    """What the client gets in place of the right answer."""
    body = bytes(response.body)
    headers = {key: value for key, value in response.headers.items() if key not in ("content-length", "etag")}
    if fault.kind == "latency":
        await asyncio.sleep(fault.seconds)
        return response
    if fault.kind == "cut":
        return CutResponse(body or b"{}", response.status_code, headers)
    if fault.kind == "truncated":
        return Response(body[: max(1, len(body) // 2)], response.status_code, headers)
    if fault.kind == "malformed":
        return Response(b'{"total_count": 3, "workflow_runs": [{"id": NaN,,\x00', response.status_code, headers)
    if fault.kind == "secondary":
        text = {
            "message": "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
            "documentation_url": "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api"
            "#about-secondary-rate-limits",
        }
        if fault.retry_after is not None:
            headers["retry-after"] = str(fault.retry_after)
        return Response(json.dumps(text), fault.status or 403, headers)
    status = fault.status or 502
    if fault.message or 400 <= status < 500:
        told = {"message": fault.message or _SAYS.get(status, "Unprocessable"), "documentation_url": _DOCS,
                "status": str(status)}  # fmt: skip
        if fault.retry_after is not None:
            headers["retry-after"] = str(fault.retry_after)
        return Response(json.dumps(told), status, {**headers, "content-type": "application/json; charset=utf-8"})
    page = b"<html><head><title>Unicorn!</title></head><body>This page is taking too long to load.</body></html>"
    return Response(page, status, {**headers, "content-type": "text/html"})

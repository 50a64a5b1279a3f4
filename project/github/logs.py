"""What GitHub hands out by a link to somewhere else: the logs of jobs, and artifacts.

A link is followed without the token, and what it leads to is read piece by piece: nobody knows how long it is, and a
small answer may unpack to a huge one. `Downloads` stands beside `Transport`, which reads whole JSON answers only.
"""

import logging
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

import requests
import urllib3

from .budget import Priority
from .errors import BadAnswer, GitHubError, Gone, NotFound, ServerFault, Unreachable
from .fields import as_object, optional_id, read_date, read_id, read_name
from .tokens import Bearer
from .transport import _MOVED, REDIRECTS_MAX, Transport, _failure, _Raw, _target, origin, process_session

if TYPE_CHECKING:
    from .client import RepoRef

log = logging.getLogger(__name__)

PIECE: Final = 64 * 1024
FAULT_MAX: Final = 64 * 1024  # bytes of an answer that is an error


@dataclass(frozen=True, slots=True)
class ArtifactPayload:
    """An artifact of a workflow run. GitHub does not say which attempt made it; `created_at` does."""

    id: int
    name: str
    size: int
    expired: bool
    created_at: datetime | None
    workflow_run_id: int | None


def parse_artifact(data: object) -> ArtifactPayload:
    """Raises `PayloadError`."""
    found = as_object(data, "artifact")
    run = found.get("workflow_run")
    size = found.get("size_in_bytes")
    return ArtifactPayload(
        read_id(found, "id", "artifact"),
        read_name(found, "name", "artifact"),
        size if type(size) is int and size >= 0 else 0,
        found.get("expired") is True,
        read_date(found.get("created_at")),
        optional_id(run.get("id")) if isinstance(run, dict) else None,
    )


class Download:
    """An answer that is being read. `pieces` are its bytes, unpacked, each at most `PIECE` long."""

    def __init__(self, response: requests.Response, asked: str) -> None:
        self._response = response
        self._asked = asked

    def pieces(self) -> Iterator[bytes]:
        """Raises `Unreachable` if the connection is cut, `BadAnswer` if it can't be unpacked."""
        encoding = self._response.headers.get("content-encoding", "identity").strip().lower()
        if encoding in ("", "identity"):
            yield from self._raw()
        elif encoding in ("gzip", "x-gzip", "deflate"):
            yield from self._unpacked()
        else:
            raise BadAnswer(self._asked, "it is packed in a way that was not asked for")

    def read(self, limit: int) -> bytes:
        """All of it. Raises `BadAnswer` if that is more than `limit` bytes."""
        found = bytearray()
        for piece in self.pieces():
            found += piece
            if len(found) > limit:
                raise BadAnswer(self._asked, f"it is longer than {limit // 1024 // 1024} MB")
        return bytes(found)

    def _raw(self) -> Iterator[bytes]:
        failure = ""
        try:
            while piece := self._response.raw.read1(PIECE, decode_content=False):
                yield piece
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            failure = _failure(error)
        if failure:
            raise Unreachable(self._asked, failure, 1)

    def _unpacked(self) -> Iterator[bytes]:
        # By hand: urllib3 would unpack a piece at once, and 64 kB may unpack to 64 MB.
        unpacker = zlib.decompressobj(47)
        try:
            for packed in self._raw():
                while packed and not unpacker.eof:
                    if piece := unpacker.decompress(packed, PIECE):
                        yield piece
                    packed = unpacker.unconsumed_tail
        except zlib.error:
            packed = b"?"
        else:
            packed = b"" if unpacker.eof else b"?"
        if packed:
            raise BadAnswer(self._asked, "it can't be unpacked")


class Downloads(Transport):
    """A transport that also follows links to downloads."""

    @contextmanager
    def download(self, url: str, priority: Priority) -> Iterator[Download]:
        """GET `url` and what it redirects to. Not tried again: whoever asks keeps count of tries and knows when."""
        asked = f"GET {self.path(url)}"
        self._budget.before(priority, asked=asked)
        response, ours, problem = None, True, ""
        started = time.monotonic()
        try:
            try:
                for _ in range(REDIRECTS_MAX + 1):
                    ours = ours and origin(url) == self._origin
                    response = self._open(url, Bearer(self._token.header() if ours else ""))
                    if ours:
                        self._budget.learn(response.headers)
                    if response.status_code not in _MOVED:
                        break
                    url = _target(url, response.headers.get("location", ""), asked)
                    response.close()
                else:
                    raise BadAnswer(asked, f"it redirects more than {REDIRECTS_MAX} times")
                if response.status_code != 200:
                    raise self._refusal(response, ours, asked)
            except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
                problem = _failure(error)
            except ValueError:
                problem = "it redirects to nowhere"
            if problem or response is None:
                # Not in the handler: the original error holds the request, and that holds the token.
                raise Unreachable(asked, problem, 1)
            yield Download(response, asked)
        finally:
            status = response.status_code if response is not None else 0
            if response is not None:
                response.close()
            log.info(
                "github download",
                extra={
                    "path": self.path(asked.removeprefix("GET ")),
                    "status": status,
                    "ms": round((time.monotonic() - started) * 1000),
                },
            )

    def _open(self, url: str, bearer: Bearer) -> requests.Response:
        headers = {
            "Accept": "application/vnd.github+json",
            "Accept-Encoding": "identity",
            "User-Agent": self._user_agent,
            "X-GitHub-Api-Version": "2022-11-28",
        }
        return (self._session or process_session()).get(
            url, headers=headers, auth=bearer, timeout=self._timeout, allow_redirects=False, stream=True
        )

    def _refusal(self, response: requests.Response, ours: bool, asked: str) -> GitHubError:
        status = response.status_code
        if ours:
            if status == 401:
                self._token.forget()  # the next try asks for a new one
            body = response.raw.read(FAULT_MAX, decode_content=True)
            return self._fault(_Raw(status, response.headers, body, ""), asked, 1)
        # A stranger's answer: it says nothing about the token and the budget.
        if status == 404:
            return NotFound(asked)
        if status == 410:
            return Gone(asked)
        if status >= 500:
            return ServerFault(asked, status, 1)
        return BadAnswer(asked, f"the link that it gives answers {status}")


class DownloadReads:
    """The client's part that reads logs and artifacts."""

    _transport: Downloads

    if TYPE_CHECKING:

        def _url(self, repo: RepoRef, *path: str | int, **query: str | int) -> str: ...

    @contextmanager
    def job_log(self, repo: "RepoRef", job_id: int, *, priority: Priority = Priority.LOW) -> Iterator[Download]:
        """The log of a finished job. `NotFound` while it runs, or for good if its runner died; `Gone` after 90 days."""
        with self._transport.download(self._url(repo, "actions", "jobs", job_id, "logs"), priority) as found:
            yield found

    @contextmanager
    def artifact(self, repo: "RepoRef", artifact_id: int, *, priority: Priority = Priority.LOW) -> Iterator[Download]:
        """An artifact's zip. `Gone` when it has expired."""
        with self._transport.download(self._url(repo, "actions", "artifacts", artifact_id, "zip"), priority) as found:
            yield found

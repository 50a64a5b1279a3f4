"""What can go wrong between us and GitHub, each with a sentence that a person understands.

Every error says what was asked (method and path). The query, the headers and the token are never part of an
error: they may hold secrets, and errors end up on pages and in logs.
"""

# ruff: noqa: N818 - `except NotFound` reads better than `except NotFoundError`

from datetime import datetime
from typing import Any, Final

SLOW_DOWN: Final = "GitHub asks us to slow down"
USED_UP: Final = "The hour's requests to GitHub are used up"


class GitHubError(Exception):
    """The base of all. ``words`` is for the status page; ``asked`` is method and path, as "GET /user"."""

    #: True if the same request may succeed later without anyone changing anything.
    passing = False
    #: GitHub's status code, 0 if there was no answer.
    status = 0
    #: GitHub's own message, "" if it gave none.
    said = ""

    def __init__(self, asked: str, words: str) -> None:
        super().__init__(asked, words)
        self.asked = asked
        self.words = words

    def __str__(self) -> str:
        return f"{self.words} ({self.asked})"

    def __reduce__(self) -> tuple[Any, ...]:
        # Celery pickles what its tasks raise; the constructors' arguments are not kept, the outcome is.
        return _restored, (type(self), self.args, self.__dict__.copy())


class BadCredentials(GitHubError):
    """401: the token is wrong, expired or revoked."""

    status = 401

    def __init__(self, asked: str, words: str = "") -> None:
        super().__init__(asked, words or "GitHub does not accept the token: it is wrong, has expired or was revoked.")


class Forbidden(GitHubError):
    """403 that is not a rate limit: the token lacks a permission, or an organization blocks it."""

    status = 403

    def __init__(self, asked: str, said: str = "", permissions: str = "") -> None:
        words = "GitHub forbids this to the token" + (f": {said.rstrip('.')}." if said else ".")
        if permissions:
            words += f" It would need the permission {permissions}."
        super().__init__(asked, words)
        self.said = said
        self.permissions = permissions


class RateLimited(GitHubError):
    """No more requests until ``retry_at`` (aware, UTC), whether GitHub said so or our own budget did.

    ``secondary`` is true for GitHub's limits on speed, false for the hourly number of requests.
    """

    passing = True

    def __init__(self, asked: str, retry_at: datetime, *, secondary: bool = False, reason: str = "") -> None:
        if not reason:
            reason = SLOW_DOWN if secondary else USED_UP
        super().__init__(asked, f"{reason}; going on at {retry_at:%H:%M:%S} UTC.")
        self.retry_at = retry_at
        self.secondary = secondary


class NotFound(GitHubError):
    """404: it does not exist, or the token may not know that it does."""

    status = 404

    def __init__(self, asked: str, said: str = "") -> None:
        super().__init__(asked, "GitHub does not find this: it does not exist, or the token may not see it.")
        self.said = said


class Gone(GitHubError):
    """410: it existed and was deleted or has expired, or is switched off for the repository."""

    status = 410

    def __init__(self, asked: str, said: str = "") -> None:
        super().__init__(asked, "This existed on GitHub but is gone.")
        self.said = said


class Invalid(GitHubError):
    """422 and other 4xx: GitHub understood the request and refuses it; ``errors`` are its reasons."""

    def __init__(self, asked: str, status: int, errors: tuple[str, ...] = ()) -> None:
        reasons = "; ".join(errors).rstrip(".")
        super().__init__(asked, f"GitHub refuses the request ({status})" + (f": {reasons}." if reasons else "."))
        self.status = status
        self.errors = errors
        self.said = reasons


class ServerFault(GitHubError):
    """5xx, still after all retries."""

    passing = True

    def __init__(self, asked: str, status: int, tries: int) -> None:
        super().__init__(asked, f"GitHub has a fault of its own (it answered {status}, {_times(tries)}).")
        self.status = status


class Unreachable(GitHubError):
    """No connection, a time-out or a connection cut before the answer was complete, after all retries."""

    passing = True

    def __init__(self, asked: str, what: str, tries: int) -> None:
        super().__init__(asked, f"GitHub cannot be reached: {what}, {_times(tries)}.")


class BadAnswer(GitHubError):
    """The answer is no JSON, too big, of another shape than documented, or leads where we do not follow."""

    passing = True

    def __init__(self, asked: str, what: str) -> None:
        super().__init__(asked, f"GitHub's answer cannot be used: {what}.")


class Misdirected(GitHubError):
    """A write was redirected to where we do not follow; it took no effect."""

    def __init__(self, asked: str, what: str) -> None:
        super().__init__(asked, f"GitHub sends this write elsewhere: {what}.")


def _times(tries: int) -> str:
    return "once" if tries == 1 else f"{tries} times"


def _restored(kind: type[GitHubError], args: tuple[str, str], state: dict[str, Any]) -> GitHubError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error

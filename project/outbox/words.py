"""GitHub's refusals and faults, in the words that a person who asked for a write reads."""

from __future__ import annotations

from project.github.errors import Forbidden, GitHubError, RateLimited
from project.github.fields import clean

PLAIN = {
    401: "GitHub does not accept Arborist's token: it is wrong, has expired or was revoked",
    404: "it does not exist, or Arborist's token may not see it or may not change it",
    410: "it existed on GitHub but is gone",
}


def problem_of(error: GitHubError) -> str:
    """What went wrong: GitHub's own message if it gave one, and what that means."""
    if isinstance(error, RateLimited) or error.passing or not error.status:
        return clean(error.words, 500)
    said = error.said.strip().rstrip(".")
    if said.lower() in ("not found", "gone", "bad credentials", ""):
        said = PLAIN.get(error.status, said or "without saying why")
    words = f"GitHub refused ({error.status}): {said}."
    if isinstance(error, Forbidden) and error.permissions:
        words += f" It would need the permission {error.permissions}."
    return clean(words, 500)

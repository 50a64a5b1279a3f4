"""Where “Go to commit, PR, job or person” leads."""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import quote

from hud.address import Address
from hud.models import Commit, Configuration, PullRequest
from hud.places import Place, page_of

_SHA = re.compile(r"[0-9a-f]{4,64}")
_PR = re.compile(r"(#?)([0-9]{1,9})")
_PULL_URL = re.compile(r"/pull/([0-9]{1,9})(?:[/?#]|$)")


def find(place: Place, address: Address, wanted: str) -> str | None:
    """The address of what was typed; None if nothing is known by that name. The view that the person had is kept."""
    if wanted.startswith("http"):
        of_pull = _PULL_URL.search(wanted)
        wanted = f"#{of_pull[1]}" if of_pull else wanted.rstrip("/").rpartition("/")[2]
    address = replace(address, at="", page=1)
    pr = _PR.fullmatch(wanted)
    if pr and (pr[1] or _is_pull_request(place, int(pr[2]))):
        return f"{place.base}/pull/{int(pr[2])}"
    sha = wanted.lower()
    if _SHA.fullmatch(sha):
        found = _commit(place, address, sha)
        if found:
            return found
    login = wanted.removeprefix("@")
    if login and _is_author(place, login):
        return place.path + replace(address, author=login).query()
    if wanted and not wanted.startswith("@") and _is_job(place, wanted):
        return place.path + replace(address, q=wanted, regex=False).query()
    return None


def _commit(place: Place, address: Address, sha: str) -> str | None:
    on_page = page_of(place.branch_id, sha) if place.branch_id else None
    if on_page:
        full, page = on_page
        # The author's name would hide other people's commits, and the commit with them.
        return place.path + replace(address, at=full[:10], page=page, author="").query() + "#" + full
    known = Commit.objects.filter(repository=place.repository).beginning_with(sha).values_list("sha", flat=True).first()
    return f"{place.base}/commit/{quote(known)}" if known else None


def _is_pull_request(place: Place, number: int) -> bool:
    """Whether a bare number is one. (With a `#` nothing else is meant, and the page finds out.)"""
    return (
        PullRequest.objects.filter(repository=place.repository, number=number).exclude(updated_at=None).exists()
        or Commit.objects.filter(repository=place.repository, pr_number=number).exists()
    )


def _is_author(place: Place, login: str) -> bool:
    return place.commits.filter(commit__author_login__iexact=login).exists()


def _is_job(place: Place, text: str) -> bool:
    configurations = Configuration.objects.filter(repository=place.repository)
    return (
        configurations.filter(name__icontains=text).exists()
        or configurations.filter(workflow__icontains=text).exists()
        or configurations.filter(group__icontains=text).exists()
    )

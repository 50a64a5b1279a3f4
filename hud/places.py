"""Finding what an address names: a repository, one of its branches, a page of it. Each is one query.

`branch_place` is plain SQL, for it stands before every answer of the grid, and most of those are “nothing has changed”.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from django.db import connection
from django.db.models import QuerySet
from django.http import Http404
from django.utils import timezone

from hud.freshness import Freshness, judge
from hud.models import Branch, BranchCommit, Commit, Repository

PER_PAGE = 50


@dataclass(frozen=True, slots=True)
class Place:
    """A repository and, unless nothing of it has been read yet, a branch."""

    repository: Repository
    branch_id: int | None
    branch: str
    head: str
    deleted: bool = False

    @property
    def commits(self) -> QuerySet[BranchCommit]:
        """The branch's commits in their places; none if nothing has been read."""
        if self.branch_id is None:
            return BranchCommit.objects.none()
        return BranchCommit.objects.filter(branch_id=self.branch_id)

    @property
    def base(self) -> str:
        """The repository's address on this site."""
        return repository_path(self.repository.owner, self.repository.name)

    @property
    def path(self) -> str:
        """The branch's address on this site."""
        return f"{self.base}/{quote(self.branch)}" if self.branch else f"{self.base}/"

    @property
    def details_query(self) -> str:
        """What the address of a cell's details ends with, if it isn't trunk's history that they shall show."""
        return f"?branch={quote(self.branch, safe='')}"

    @property
    def github(self) -> str:
        """The repository's address on GitHub. What GitHub told is used only if it is an address of the web."""
        url = self.repository.html_url
        if url.startswith(("https://", "http://")) and url.isprintable() and not set(url) & set("\"'<> "):
            return url.rstrip("/")
        return f"https://github.com/{quote(self.repository.owner)}/{quote(self.repository.name)}"


def repository_path(owner: str, name: str) -> str:
    """A repository's address on this site, without a slash at its end."""
    return f"/hud/{quote(owner)}/{quote(name)}"


_PLACE = """
    SELECT r.id, r.owner, r.name, r.html_url, r.trunk, r.active, r.version, r.layout_version,
           b.id, b.name, b.head_sha, b.deleted_at IS NOT NULL,
           s.kind, s.succeeded_at, s.problem, s.behind, s.done, s.total
    FROM hud_repository r LEFT JOIN hud_branch b ON b.repository_id = r.id AND b.name = %s
    LEFT JOIN hud_syncstate s ON s.repository_id = r.id
    WHERE lower(r.owner) = %s AND lower(r.name) = %s
"""
_REPOSITORY = ("id", "owner", "name", "html_url", "trunk", "active", "version", "layout_version")


def branch_place(owner: str, name: str, branch: str) -> tuple[Place, Freshness]:
    """The branch, and how fresh it is; owner and name in any case, the branch exactly."""
    if "\0" in owner + name + branch:  # PostgreSQL takes none, and nothing on GitHub is called so
        raise _unknown(owner, name)
    with connection.cursor() as cursor:
        cursor.execute(_PLACE, [branch, owner.lower(), name.lower()])
        rows = cursor.fetchall()
    if not rows:
        raise _unknown(owner, name)
    first = rows[0]
    repository = Repository.from_db("default", _REPOSITORY, first[:8])
    branch_id, branch_name, head, deleted = first[8:12]
    if branch_id is None and branch != repository.trunk:
        raise Http404(f"{repository} has no branch “{branch}” that Arborist knows. It may not have been read yet.")
    fresh = judge((row[12:] for row in rows if row[12]), timezone.now(), repository.active)
    return Place(repository, branch_id, branch_name or branch, head or "", bool(deleted)), fresh


def the_repository(owner: str, name: str) -> Repository:
    """The repository, its name in any case."""
    named = Repository.objects.filter(owner__iexact=owner, name__iexact=name)
    found = named.first() if "\0" not in owner + name else None
    if found is None:
        raise _unknown(owner, name)
    return found


def _unknown(owner: str, name: str) -> Http404:
    return Http404(f"{owner}/{name} is not a repository that Arborist watches.")


def trunk_place(repository: Repository) -> Place:
    """The repository's trunk, or its only place if nothing has been read yet."""
    branches = Branch.objects.filter(repository=repository)
    found = branches.filter(name=repository.trunk).first() if repository.trunk else None
    if found is None:
        return Place(repository, None, repository.trunk, "")
    return Place(repository, found.pk, found.name, found.head_sha)


def the_commit(repository: Repository, sha: str) -> Commit:
    """The commit whose sha is, or alone begins with, these digits."""
    found = list(Commit.objects.filter(repository=repository).beginning_with(sha.lower())[:2])
    if len(found) == 1:
        return found[0]
    what = "more than one commit that begins with" if found else "no commit"
    raise Http404(f"Arborist knows {what} {sha[:40]} in {repository}.")


def page_of(branch_id: int, sha: str) -> tuple[str, int] | None:
    """The full sha of the newest commit on the branch that begins with `sha`, and the page that it is on."""
    on_branch = BranchCommit.objects.filter(branch_id=branch_id)
    found = (
        on_branch.filter(commit__in=Commit.objects.filter(repository__branch=branch_id).beginning_with(sha))
        .order_by("-position")
        .values_list("commit__sha", "position")
        .first()
    )
    if found is None:
        return None
    newer = on_branch.filter(position__gt=found[1]).count()
    return found[0], newer // PER_PAGE + 1


_CHOICES = """
    SELECT r.owner, r.name, b.name, b.name = r.trunk FROM hud_repository r
    LEFT JOIN hud_branch b ON b.repository_id = r.id AND (b.watched OR b.name = r.trunk) AND b.deleted_at IS NULL
    ORDER BY lower(r.owner), lower(r.name), b.name = r.trunk DESC, b.name
"""


def choices() -> list[tuple[str, str, str | None, bool | None]]:
    """What the pickers offer: (owner, name, branch, is trunk) of all that is watched; a repository at least once."""
    with connection.cursor() as cursor:
        cursor.execute(_CHOICES)
        found: list[tuple[str, str, str | None, bool | None]] = cursor.fetchall()
    return found

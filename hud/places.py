"""Finding what an address names: a repository, one of its branches, a page of it. Each is one query."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from django.db.models import F
from django.http import Http404

from hud.models import Branch, BranchCommit, Commit, Repository

PER_PAGE = 50


@dataclass(frozen=True, slots=True)
class Place:
    """A repository and, unless nothing of it has been read yet, a branch."""

    repository: Repository
    branch_id: int | None
    branch: str
    head: str
    forced: bool = False
    deleted: bool = False

    @property
    def base(self) -> str:
        """The repository's address on this site."""
        return repository_path(self.repository.owner, self.repository.name)

    @property
    def path(self) -> str:
        """The branch's address on this site."""
        return f"{self.base}/{quote(self.branch)}" if self.branch else f"{self.base}/"

    @property
    def github(self) -> str:
        """The repository's address on GitHub. What GitHub told is used only if it is an address of the web."""
        url = self.repository.html_url
        if url.startswith(("https://", "http://")) and not set(url) & set("\"'<> "):
            return url.rstrip("/")
        return f"https://github.com/{quote(self.repository.owner)}/{quote(self.repository.name)}"


def repository_path(owner: str, name: str) -> str:
    """A repository's address on this site, without a slash at its end."""
    return f"/hud/{quote(owner)}/{quote(name)}"


def branch_place(owner: str, name: str, branch: str) -> Place:
    """The branch; owner and name in any case, the branch exactly."""
    found = (
        Branch.objects.filter(repository__owner__iexact=owner, repository__name__iexact=name, name=branch)
        .select_related("repository")
        .first()
    )
    if found is not None:
        deleted = found.deleted_at is not None
        return Place(found.repository, found.pk, found.name, found.head_sha, found.forced_at is not None, deleted)
    repository = the_repository(owner, name)
    if branch in (repository.trunk, ""):
        return Place(repository, None, branch, "")
    raise Http404(f"{repository} has no branch “{branch}” that Arborist knows. It may not have been read yet.")


def the_repository(owner: str, name: str) -> Repository:
    """The repository, its name in any case."""
    found = Repository.objects.filter(owner__iexact=owner, name__iexact=name).first()
    if found is None:
        raise Http404(f"{owner}/{name} is not a repository that Arborist watches.")
    return found


def trunk_place(repository: Repository) -> Place:
    """The repository's trunk, or its only place if nothing has been read yet."""
    branches = Branch.objects.filter(repository=repository)
    found = branches.filter(name=repository.trunk).first() if repository.trunk else None
    if found is None:
        return Place(repository, None, repository.trunk, "")
    return Place(repository, found.pk, found.name, found.head_sha)


def the_commit(repository: Repository, sha: str) -> Commit:
    """The commit whose sha is, or alone begins with, these digits."""
    found = list(Commit.objects.filter(repository=repository, sha__startswith=sha.lower())[:2])
    if len(found) == 1:
        return found[0]
    what = "more than one commit that begins with" if found else "no commit"
    raise Http404(f"Arborist knows {what} {sha[:40]} in {repository}.")


def page_of(branch_id: int, sha: str) -> tuple[str, int] | None:
    """The full sha of the newest commit on the branch that begins with `sha`, and the page that it is on."""
    on_branch = BranchCommit.objects.filter(branch_id=branch_id)
    found = (
        on_branch.filter(commit__sha__startswith=sha).order_by("-position").values_list("commit__sha", "position").first()
    )
    if found is None:
        return None
    newer = on_branch.filter(position__gt=found[1]).count()
    return found[0], newer // PER_PAGE + 1


def choices() -> list[tuple[str, str, str, bool]]:
    """What the pickers offer: (owner, name, branch, is trunk) of all that is watched; a repository at least once."""
    rows = Repository.objects.order_by("owner", "name", F("branch__watched").desc(nulls_last=True), "branch__name")
    chosen: dict[tuple[str, str], list[tuple[str, bool]]] = {}
    for owner, name, trunk, branch, watched, deleted in rows.values_list(
        "owner", "name", "trunk", "branch__name", "branch__watched", "branch__deleted_at"
    ):
        branches = chosen.setdefault((owner, name), [])
        if branch and (watched or branch == trunk) and not deleted:
            branches.append((branch, branch == trunk))
    return [
        (owner, name, branch, is_trunk)
        for (owner, name), branches in chosen.items()
        for branch, is_trunk in sorted(branches or [("", True)], key=lambda one: not one[1])
    ]

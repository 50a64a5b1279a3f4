"""Pages of commits, newest first, as the APIs list them: down a branch, or down the first parents of a commit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import connection
from django.db.models import Q
from django.http import Http404

from hud import places
from hud.models import Branch, BranchCommit, Repository

MAX_PAGE = 100_000
LONGEST_WALK = 10_000  # commits that are followed from parent to parent; each costs some 20 µs


class Listed(NamedTuple):
    """A commit with its packed cells. `committed_at` is empty while only the sha is known."""

    pk: int
    sha: str
    title: str
    message: str
    author_login: str
    author_name: str
    committed_at: datetime | None
    pr_number: int | None
    cells: bytes


def page(repository: Repository, ref: str, *, page: int, per_page: int, author: str = "") -> tuple[list[Listed], bool]:
    """A page of the branch or commit that `ref` names, and whether an older one exists. Two queries, or three.

    `author` leaves only commits of that login, or whose author's name contains it. Raises Http404, in words.
    """
    branch_id = Branch.objects.filter(repository=repository, name=ref).values_list("pk", flat=True).first()
    start = (page - 1) * per_page
    if branch_id is not None:
        rows = _of_branch(branch_id, author, start, per_page + 1)
    elif 4 <= len(ref) <= 64 and set(ref.lower()) <= set("0123456789abcdef"):
        rows = _from_commit(repository.pk, places.the_commit(repository, ref).pk, author, start, per_page + 1)
    elif ref in (repository.trunk, ""):
        rows = []  # the trunk of a repository that has not been read yet
    else:
        raise Http404(f"{repository} has no branch “{ref[:250]}” that Arborist knows. It may not have been read yet.")
    return rows[:per_page], len(rows) > per_page


def _of_branch(branch_id: int, author: str, start: int, count: int) -> list[Listed]:
    commits = BranchCommit.objects.filter(branch_id=branch_id)
    if author:
        commits = commits.filter(Q(commit__author_login__iexact=author) | Q(commit__author_name__icontains=author))
    rows = commits.order_by("-position").values_list(
        "commit_id", "commit__sha", "commit__title", "commit__message", "commit__author_login", "commit__author_name",
        "commit__committed_at", "commit__pr_number", "commit__commitcells__cells",
    )[start : start + count]  # fmt: skip
    return [_listed(row) for row in rows]


_WALK = """
    WITH RECURSIVE chain (id, parent_sha, depth) AS (
        SELECT id, parent_sha, 0 FROM hud_commit WHERE id = %(commit)s
        UNION ALL
        SELECT c.id, c.parent_sha, chain.depth + 1
        FROM chain JOIN hud_commit c ON c.repository_id = %(repository)s AND c.sha = chain.parent_sha
        WHERE chain.depth + 1 < %(stop)s
    )
    SELECT c.id, c.sha, c.title, c.message, c.author_login, c.author_name, c.committed_at, c.pr_number, k.cells
    FROM chain JOIN hud_commit c USING (id) LEFT JOIN hud_commitcells k ON k.commit_id = c.id
    WHERE %(author)s = '' OR lower(c.author_login) = lower(%(author)s)
       OR position(lower(%(author)s) IN lower(c.author_name)) > 0
    ORDER BY chain.depth OFFSET %(start)s LIMIT %(count)s
"""


def _from_commit(repository_id: int, commit_id: int, author: str, start: int, count: int) -> list[Listed]:
    stop = LONGEST_WALK if author else min(start + count, LONGEST_WALK)
    with connection.cursor() as cursor:
        cursor.execute(
            _WALK,
            {
                "commit": commit_id,
                "repository": repository_id,
                "stop": stop,
                "author": author,
                "start": start,
                "count": count,
            },
        )
        return [_listed(row) for row in cursor.fetchall()]


def _listed(row: Sequence[object]) -> Listed:
    return Listed._make((*row[:-1], bytes(row[-1] or b"")))  # type: ignore[call-overload]

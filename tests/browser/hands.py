"""What the tests of the grid do to its page and its trunk."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from hud.cells import Outcome
from hud.models import Branch, BranchCommit, Commit, CommitCells, Configuration, Repository


def focused(page: Any) -> dict[str, Any]:
    """Where the focus is: the commit's place from above, the column, the cell's label."""
    found: dict[str, Any] = page.evaluate("""() => {
        const cell = document.activeElement.closest("td, th");
        return cell && {
            row: cell.parentElement.sectionRowIndex, column: cell.cellIndex, sha: cell.parentElement.id,
            section: cell.closest("thead") ? "head" : "body", label: cell.getAttribute("aria-label"),
        };
    }""")
    return found


def stand(page: Any, row: int, column: int) -> dict[str, Any]:
    """Put the focus on a cell; `column` counts from the first square."""
    page.locator("tbody tr").nth(row).locator("td:not(.m)").nth(column).evaluate(
        "td => { td.tabIndex = -1; td.focus(); }"
    )
    return focused(page)


def until(page: Any, condition: str) -> None:
    """Wait for a condition. (Playwright's own way evaluates strings in the page, which the page's policy forbids.)"""
    for _ in range(250):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(20)
    pytest.fail(f"never came true: {condition}")


def change(commit: Commit, slots: dict[int, Outcome]) -> None:
    """Squares change, as ingestion would change them."""
    row = CommitCells.objects.get(commit=commit)
    cells = bytearray(row.cells)
    for slot, outcome in slots.items():
        cells[slot] = outcome
    CommitCells.objects.filter(commit=commit).update(cells=bytes(cells))
    bump(commit.repository)


def bump(repository: Repository) -> None:
    Repository.objects.filter(pk=repository.pk).update(version=Repository.objects.get(pk=repository.pk).version + 1)


def push(repository: Repository, count: int) -> None:
    """New commits on trunk, everything queued."""
    branch = Branch.objects.get(repository=repository, name="main")
    top = BranchCommit.objects.filter(branch=branch).count()
    size = Configuration.objects.filter(repository=repository).count()
    for number in range(1, count + 1):
        sha = f"{number:x}".rjust(40, "e")
        commit = Commit.objects.create(
            repository=repository, sha=sha, title=f"New {number}", committed_at=timezone.now()
        )
        CommitCells.objects.create(commit=commit, cells=bytes([Outcome.QUEUED]) * size)
        BranchCommit.objects.create(branch=branch, commit=commit, position=top + number)
        Branch.objects.filter(pk=branch.pk).update(head_sha=sha)
    bump(repository)


def commits(repository: Repository) -> list[Commit]:
    return list(Commit.objects.filter(repository=repository).order_by("-branchcommit__position"))

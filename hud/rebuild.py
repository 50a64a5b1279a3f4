"""Proof that derived state is what the runs say it is, and its repair: cells, groups, the order of branches,
signals and open breaks.

Works through a repository in small steps, each under the lock that ingestion takes, so that what is compared belongs
together, ingestion waits for a step at most, and memory stays flat however many commits there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.db.models import F

from hud import derive
from hud import signals as verdicts
from hud.cells import Outcome
from hud.models import (
    Branch,
    BranchCommit,
    Break,
    BreakSignal,
    Commit,
    CommitCells,
    Configuration,
    Repository,
    Signal,
)

CHUNK = 100  # commits a step: some 0.3 s at 1000 configurations


@dataclass(frozen=True, slots=True)
class Step:
    """How many things were compared, and what differed, in words."""

    compared: int
    differences: list[str]


def cells(repository: Repository, *, repair: bool) -> Iterator[Step]:
    """Compare every commit's stored cells with what its runs say. Yields after each hundred commits."""
    last = 0
    slots: dict[int, str] = {}
    while True:
        with transaction.atomic():
            _lock(repository)
            commits = list(
                Commit.objects.filter(repository=repository, pk__gt=last)
                .order_by("pk")
                .values_list("pk", "sha")[:CHUNK]
            )
            if not commits:
                return
            last = commits[-1][0]
            pks = [pk for pk, _ in commits]
            stored = dict(CommitCells.objects.filter(commit__in=pks).values_list("commit_id", "cells"))
            differences, wrong = [], []
            for pk, sha in commits:
                before, after = bytes(stored.get(pk, b"")), derive.rebuilt_cells(pk)
                if before == after:
                    continue
                if not slots:
                    rows = Configuration.objects.filter(repository=repository)
                    slots = {one.slot: one.full_name for one in rows}
                differences += _squares(sha, before, after, slots)
                wrong.append(CommitCells(commit_id=pk, cells=after))
            if repair and wrong:
                CommitCells.objects.bulk_create(
                    wrong, update_conflicts=True, unique_fields=["commit"], update_fields=["cells"]
                )
                _changed(repository)
        yield Step(len(commits), differences)


def groups(repository: Repository, *, repair: bool) -> Step:
    """Compare every configuration's group with what the rules say."""
    with transaction.atomic():
        _lock(repository)
        rules = derive.grouping(repository)
        rows = Configuration.objects.filter(repository=repository).order_by("slot")
        compared, differences = 0, []
        for row in rows.iterator(chunk_size=1000):
            name, order = rules.group(row.workflow, row.name)
            compared += 1
            if (row.group, row.group_order) != (name, order):
                differences.append(
                    f"group of {row.full_name}: “{row.group}” at place {row.group_order},"
                    f" should be “{name}” at place {order}"
                )
        if repair and differences:
            derive.regroup(repository)
    return Step(compared, differences)


def branches(repository: Repository, *, repair: bool) -> Step:
    """Compare the order of each watched branch with the chain of first parents from its head."""
    with transaction.atomic():
        _lock(repository)
        compared, differences = 0, []
        for branch in Branch.objects.filter(repository=repository, watched=True).exclude(head_sha="").order_by("name"):
            chain = _chain(repository.pk, branch.head_sha)
            if not chain:
                continue  # its head has not been read yet: until then it is shown as it was
            stored = list(
                BranchCommit.objects.filter(branch=branch).order_by("-position").values_list("commit_id", flat=True)
            )
            compared += 1
            if stored == chain:
                continue
            same = next(
                (n for n, (a, b) in enumerate(zip(stored, chain, strict=False)) if a != b), min(len(stored), len(chain))
            )
            differences.append(
                f"order of {branch.name}: {len(stored)} commits, should be {len(chain)};"
                f" the first difference is {same + 1} from the top"
            )
            if repair:
                BranchCommit.objects.filter(branch=branch).delete()
                BranchCommit.objects.bulk_create(
                    [
                        BranchCommit(branch=branch, commit_id=pk, position=position)
                        for position, pk in enumerate(reversed(chain), start=1)
                    ],
                    batch_size=5000,
                )
        if repair and differences:
            _changed(repository)
    return Step(compared, differences)


def signals(repository: Repository, *, repair: bool) -> Step:
    """Compare every signal, and every break that is open, with what the runs and logs say now.

    Breaks have a history that can't be made again; but made once more from their signals, none may change.
    """
    with transaction.atomic():
        locked = _lock(repository)
        before = _judged(locked)
        changed = verdicts.update(locked, (), everything=True)
        after = _judged(locked)
        differences = [
            f"{what}: {_listed(before.get(what))}, should be {_listed(after.get(what))}"
            for what in sorted(before.keys() | after.keys())
            if before.get(what) != after.get(what)
        ]
        if repair and changed:
            _changed(locked)
        if not repair:
            transaction.set_rollback(True)
    return Step(len(after), differences)


_OF_SIGNALS = (
    "code", "suspect", "culprit", "red", "decision", "suspect_at", "range_from", "failing_to", "restart", "failures",
    "failure_key", "evidence", "broke_at",
)  # fmt: skip
_OF_BREAKS = (
    "title", "state", "code", "suspect__sha", "culprit__sha", "decision", "suspect_at", "range_from", "failing_to",
    "failure_key", "broke_at", "closed_at",
)  # fmt: skip


def _judged(repository: Repository) -> dict[str, tuple[Any, ...]]:
    """What signals and open breaks say, each by its name in words."""
    found = {
        f"signal of {workflow} / {name}" + (f", {test}" if test else ""): tuple(values)
        for workflow, name, test, *values in Signal.objects.filter(repository=repository).values_list(
            "configuration__workflow", "configuration__name", "test", *_OF_SIGNALS
        )
    }
    holds: dict[int, list[str]] = {}
    members = BreakSignal.objects.filter(broken__repository=repository, left_at=None)
    for number, *who in members.values_list("broken__number", "configuration__workflow", "configuration__name", "test"):
        holds.setdefault(number, []).append(" / ".join(who))
    rows = Break.objects.filter(repository=repository, closed_at=None).values_list("number", *_OF_BREAKS)
    return found | {f"break {number}": (*values, sorted(holds.get(number, ()))) for number, *values in rows}


def _listed(values: tuple[Any, ...] | None) -> str:
    """The first few say enough for a line."""
    if values is None:
        return "none"
    return " ".join(str(value) for value in values[:3] if value != "") or "nothing"


def _lock(repository: Repository) -> Repository:
    return Repository.objects.select_for_update(no_key=True).get(pk=repository.pk)


def _changed(repository: Repository) -> None:
    Repository.objects.filter(pk=repository.pk).update(version=F("version") + 1)


def _squares(sha: str, before: bytes, after: bytes, names: dict[int, str]) -> list[str]:
    size = max(len(before), len(after))
    pairs = enumerate(zip(before.ljust(size, b"\0"), after.ljust(size, b"\0"), strict=True))
    return [
        f"{sha[:10]} {names.get(slot, f'slot {slot}')}: {_words(old)}, should be {_words(new)}"
        for slot, (old, new) in pairs
        if old != new
    ] or [f"{sha[:10]}: {len(before)} bytes of cells, should be {len(after)}"]


def _words(byte: int) -> str:
    return Outcome(byte).words if byte < len(Outcome) else f"byte {byte}"


def _chain(repository_id: int, head_sha: str) -> list[int]:
    """Ids of the known commits from the head down the first parents, newest first; empty if the head is not known."""
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH RECURSIVE chain (id, parent_sha, depth) AS ("
            " SELECT id, parent_sha, 0 FROM hud_commit"
            " WHERE repository_id = %(repository)s AND sha = %(head)s AND committed_at IS NOT NULL"
            " UNION ALL"
            " SELECT c.id, c.parent_sha, depth + 1 FROM chain JOIN hud_commit c"
            " ON c.repository_id = %(repository)s AND c.sha = chain.parent_sha AND c.committed_at IS NOT NULL"
            " WHERE depth < 1000000"
            ") SELECT id FROM chain ORDER BY depth",
            {"repository": repository_id, "head": head_sha},
        )
        return [pk for (pk,) in cursor.fetchall()]

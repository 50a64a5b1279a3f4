"""State that follows from other state: cells, the order of a branch, groups. Each can be made anew at any time.

`hud.ingest` calls these for what a batch touched, in its transaction; `manage.py rebuild_cells` for everything.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import groupby
from operator import itemgetter

from django.db import connection
from django.db.models import F, Q

from hud import groups
from hud.cells import RunFact, merge
from hud.models import Branch, Configuration, GroupRule, Repository

_FACTS = """
    SELECT r.commit_id, c.slot, r.id, r.job_name_id, n.unstable OR c.unstable, r.workflow_run_id, r.attempt, r.status,
           r.conclusion, date_part('epoch', r.started_at), date_part('epoch', r.completed_at),
           r.status < 9 AND EXISTS (SELECT FROM hud_workflowrun w WHERE w.id = r.workflow_run_id
                                    AND w.attempt >= r.attempt AND w.status = 9)
    FROM {source}
    JOIN hud_configuration c ON c.id = r.configuration_id
    JOIN hud_jobname n ON n.id = r.job_name_id
    ORDER BY r.commit_id, c.slot
"""


def cells(touched: Iterable[tuple[int, int]]) -> int:
    """Make the squares of these (commit, configuration) anew; returns how many changed.

    A touched square whose last run has moved away to another name becomes empty.
    """
    pairs = sorted(touched)
    if not pairs:
        return 0
    commit_ids = [commit_id for commit_id, _ in pairs]
    configuration_ids = [configuration_id for _, configuration_id in pairs]
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, slot FROM hud_configuration WHERE id = ANY(%s)", [sorted(set(configuration_ids))])
        slots: dict[int, int] = dict(cursor.fetchall())
        made: dict[int, dict[int, int]] = {}
        for commit_id, configuration_id in pairs:
            made.setdefault(commit_id, {})[slots[configuration_id]] = 0
        cursor.execute(
            _FACTS.format(
                source="unnest(%s::int[], %s::int[]) AS t (commit_id, configuration_id)"
                " JOIN hud_run r USING (commit_id, configuration_id)"
            ),
            [commit_ids, configuration_ids],
        )
        for (commit_id, slot), rows in groupby(cursor.fetchall(), key=itemgetter(0, 1)):
            made[commit_id][slot] = merge([RunFact._make(row[2:]) for row in rows])
    return _write_cells(made)


def rebuilt_cells(commit_id: int) -> bytes:
    """What a commit's cells should be, made from all its runs. Trailing empty squares are left off."""
    with connection.cursor() as cursor:
        cursor.execute(
            _FACTS.format(source="(SELECT * FROM hud_run WHERE commit_id = %s) AS r"),
            [commit_id],
        )
        packed = bytearray()
        for slot, rows in groupby(cursor.fetchall(), key=itemgetter(1)):
            packed.extend(bytes(slot + 1 - len(packed)))
            packed[slot] = merge([RunFact._make(row[2:]) for row in rows])
    return bytes(packed).rstrip(b"\0")


def _write_cells(made: dict[int, dict[int, int]]) -> int:
    changed = 0
    writes: list[tuple[int, bytes]] = []
    with connection.cursor() as cursor:
        cursor.execute("SELECT commit_id, cells FROM hud_commitcells WHERE commit_id = ANY(%s)", [list(made)])
        stored: dict[int, bytes] = dict(cursor.fetchall())
        for commit_id, by_slot in made.items():
            before = bytes(stored.get(commit_id, b""))
            packed = bytearray(before.ljust(max(by_slot) + 1, b"\0"))
            for slot, outcome in by_slot.items():
                changed += packed[slot] != outcome
                packed[slot] = outcome
            after = bytes(packed).rstrip(b"\0")
            if after != before:
                writes.append((commit_id, after))
        if writes:
            cursor.execute(
                "INSERT INTO hud_commitcells (commit_id, cells)"
                " SELECT * FROM unnest(%s::int[], %s::bytea[])"
                " ON CONFLICT (commit_id) DO UPDATE SET cells = excluded.cells",
                [[commit_id for commit_id, _ in writes], [packed for _, packed in writes]],
            )
    return changed


# The chain of first parents from a branch's head, newest first, until the commit at `stop` or an unknown one.
_CHAIN = """
    WITH RECURSIVE chain (id, parent_sha, depth) AS (
        SELECT id, parent_sha, 0 FROM hud_commit
        WHERE repository_id = %(repository)s AND sha = %(head)s AND committed_at IS NOT NULL
        UNION ALL
        SELECT c.id, c.parent_sha, chain.depth + 1
        FROM chain
        JOIN hud_commit c ON c.repository_id = %(repository)s AND c.sha = chain.parent_sha
        WHERE c.committed_at IS NOT NULL AND chain.depth < 1000000
          AND NOT EXISTS (SELECT FROM hud_branchcommit b WHERE b.branch_id = %(branch)s AND b.commit_id = chain.id)
    )
    SELECT chain.id, b.position FROM chain
    LEFT JOIN hud_branchcommit b ON b.branch_id = %(branch)s AND b.commit_id = chain.id
    ORDER BY depth
"""


def branch_order(repository: Repository, at: datetime) -> bool:
    """Bring the order of every watched branch up to its head; returns whether any changed.

    The order is the chain of first parents from the head over the commits that are known. New commits are put on top;
    after a force-push what the head no longer reaches leaves; when older commits have become known, they are put below.
    """
    changed = False
    for branch in Branch.objects.filter(repository=repository, watched=True).exclude(head_sha=""):
        changed |= _order_one(branch, at)
    return changed


def _order_one(branch: Branch, at: datetime) -> bool:
    with connection.cursor() as cursor:
        where: dict[str, int | str] = {"repository": branch.repository_id, "branch": branch.pk, "head": branch.head_sha}
        cursor.execute(_CHAIN, where)
        chain = cursor.fetchall()
        if not chain:
            return False  # the head itself is not known yet: what was shown stays until it is
        met = chain[-1][1]
        new = [commit_id for commit_id, position in chain if position is None]
        if met is None:
            cursor.execute("DELETE FROM hud_branchcommit WHERE branch_id = %s", [branch.pk])
            removed, top = cursor.rowcount, 0
        else:
            cursor.execute("DELETE FROM hud_branchcommit WHERE branch_id = %s AND position > %s", [branch.pk, met])
            removed, top = cursor.rowcount, met
        _insert_positions(branch.pk, [(commit_id, top + len(new) - n) for n, commit_id in enumerate(new)])
        below = _extend_below(branch)
        if removed:
            Branch.objects.filter(pk=branch.pk).update(forced_at=at)
    return bool(new or removed or below)


def _extend_below(branch: Branch) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT b.position, c.parent_sha FROM hud_branchcommit b JOIN hud_commit c ON c.id = b.commit_id"
            " WHERE b.branch_id = %s ORDER BY b.position LIMIT 1",
            [branch.pk],
        )
        bottom, parent_sha = cursor.fetchone()
        cursor.execute(_CHAIN, {"repository": branch.repository_id, "branch": branch.pk, "head": parent_sha})
        older = [commit_id for commit_id, position in cursor.fetchall() if position is None]
    _insert_positions(branch.pk, [(commit_id, bottom - 1 - n) for n, commit_id in enumerate(older)])
    return len(older)


def _insert_positions(branch_id: int, rows: list[tuple[int, int]]) -> None:
    if not rows:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO hud_branchcommit (branch_id, commit_id, position)"
            " SELECT %s, * FROM unnest(%s::int[], %s::int[])",
            [branch_id, [commit_id for commit_id, _ in rows], [position for _, position in rows]],
        )


def grouping(repository: Repository) -> groups.Grouping:
    """The repository's own group rules, else the installation's, else those shipped for it."""
    for owner in (Q(repository=repository), Q(repository=None)):
        rules = list(GroupRule.objects.filter(owner).values_list("name", "pattern"))
        if rules:
            return groups.compile_rules([groups.Rule(name, pattern) for name, pattern in rules])
    return groups.compile_rules(groups.rules_for(repository.owner, repository.name))


def regroup(repository: Repository) -> int:
    """Apply the group rules to every configuration; returns how many moved. Bumps the layout's version if any did."""
    rules = grouping(repository)
    moved = []
    for configuration in Configuration.objects.filter(repository=repository):
        group, order = rules.group(configuration.workflow, configuration.name)
        if (configuration.group, configuration.group_order) != (group, order):
            configuration.group, configuration.group_order = group, order
            moved.append(configuration)
    Configuration.objects.bulk_update(moved, ["group", "group_order"], batch_size=500)
    if moved:
        Repository.objects.filter(pk=repository.pk).update(
            version=F("version") + 1, layout_version=F("layout_version") + 1
        )
    return len(moved)

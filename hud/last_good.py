"""Last good: the newest commit of trunk on which everything required passed, and what keeps newer ones from it.

A required configuration has passed where its square says passed, flaky, neutral or tolerated. Where it has no result
(skipped, cancelled, absent), that is no pass either, unless it is a configuration that often does not run: one that
ran on fewer than half of the last fifty commits on which anything ran, or that had never run before that commit. A
commit on which nothing required ran at all is never good.

`judge` is pure. It works on whole rows at once, as numbers of one byte a configuration, because `update` runs in every
transaction that changes a square. What follows depends on the cells alone, so it can be made anew at any time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import F, Q
from django.utils import timezone

from hud import last_good_push
from hud.cells import FINISHED, Outcome
from hud.layout import Kept
from hud.models import BranchCommit, Commit, Configuration, LastGood, Repository, RequirementRule
from hud.names import is_unstable
from hud.requirements import Requirement, Requirements, Rule, compile_rules
from project import audit

NEAR = 60  # commits among which the last good one mostly is: looked at first
WINDOW = 200  # commits that are judged at once
USUAL = 50  # commits that say whether a configuration usually runs
LONGEST_SEARCH = 2000  # commits in which a good one is looked for
MOST_BLOCKS = 50  # that are kept in words

_PASSED, _FAILED, _PENDING, _MISSING = 1, 2, 4, 8
_PENDING_OUTCOMES = (Outcome.QUEUED, Outcome.OVERDUE, Outcome.RUNNING)


def _class_of(code: int) -> int:
    if code in _PENDING_OUTCOMES:
        return _PENDING
    if code in FINISHED:
        return _FAILED if code >= Outcome.TIMED_OUT else _PASSED
    return 0


_CLASSES = bytes(_class_of(code) for code in range(256))


# -- pure -------------------------------------------------------------------------------------------------------------


class BlockedSlot(NamedTuple):
    """A configuration that keeps commits newer than the last good one from being good.

    `first`: the oldest commit of its newest stretch without a pass, as an index, 0 the newest commit. `commits`: how
    many it blocks. `still`: its newest result is no pass, so it blocks now. `failed`: else it has no result.
    """

    slot: int
    failed: bool
    still: bool
    commits: int
    first: int


class Judged(NamedTuple):
    """What rows of cells say. All are indexes or numbers of rows, 0 the newest commit."""

    good: int | None
    first_bad: int | None  # the oldest commit newer than that which can't be good
    running: int  # newer commits that may still turn out good
    blocks: tuple[BlockedSlot, ...]


def judge(rows: Sequence[bytes], required: bytes, *, among: int | None = None) -> Judged:
    """Judge packed rows, newest first. `required`: one byte a configuration, 1 where it is required.

    Only the first `among` rows are judged; those below tell what had run before.
    """
    size = len(required)
    ones = int.from_bytes(b"\1" * size, "little")
    wanted = int.from_bytes(required, "little")
    states = [int.from_bytes(row[:size].translate(_CLASSES), "little") for row in rows]
    ran = [(state | state >> 1 | state >> 2) & ones for state in states]
    usual = wanted & _usual(ran, size)
    before = [0] * len(rows)  # what had run before each commit
    for n in range(len(rows) - 2, -1, -1):
        before[n] = before[n + 1] | ran[n + 1]

    good: int | None = None
    bad: list[int] = []
    running = 0
    newer: list[int] = []
    for n, state in enumerate(states[:among]):
        pending = state & ones << 2
        missing = usual & before[n] & ~ran[n] if ran[n] else 0
        failed = state & wanted << 1
        waiting = state & wanted << 2 or (missing and pending)
        if not failed and not waiting and not missing and ran[n] & wanted:
            good = n
            break
        # While anything runs on a commit, what has no result may just not have been started yet.
        newer.append(state & wanted * 7 | (0 if pending else missing << 3))
        if failed or (missing and not pending):
            bad.append(n)
        elif waiting:
            running += 1
    return Judged(good, max(bad, default=None), running, _blocks(newer, size))


def _usual(ran: Sequence[int], size: int) -> int:
    """1 at each configuration that ran on at least half of the newest commits on which anything ran."""
    seen = [row for row in ran if row][:USUAL]
    counts = sum(seen).to_bytes(size, "little")  # at most fifty a byte: none runs over
    return int.from_bytes(counts.translate(bytes(int(2 * n >= max(len(seen), 1)) for n in range(256))), "little")


def _blocks(newer: Sequence[int], size: int) -> tuple[BlockedSlot, ...]:
    """Each configuration's column over the commits newer than the last good one: a stride through the joined rows."""
    rows = [row.to_bytes(size, "little") for row in newer[:WINDOW]]
    joined = b"".join(rows)
    union = 0
    for row in newer[:WINDOW]:
        union |= row
    found = []
    for slot, codes in enumerate(union.to_bytes(size, "little")):
        if not codes & (_FAILED | _MISSING):
            continue
        column = joined[slot::size].translate(_DEFINITE)
        start = column.find(b"x")
        passed = column.find(b"O")
        end = column.find(b"O", start)
        stretch = column[: end if end >= 0 else None]
        first = stretch.rfind(b"x")
        failed = b"\2" in joined[slot::size][start : first + 1]
        found.append(BlockedSlot(slot, failed, not 0 <= passed < start, column.count(b"x"), first))
    return tuple(sorted(found, key=lambda one: (not one.still, not one.failed, -one.commits, one.slot)))


_DEFINITE = bytes(
    ord("x") if code in (_FAILED, _MISSING) else ord("O") if code == _PASSED else 0 for code in range(256)
)


# -- what is required -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Required:
    """One byte a configuration, 1 where it is required, and the configurations' names by slot."""

    mask: bytes
    names: dict[int, str]


_KEPT = Kept(64)

# Whatever may change what is required, as numbers: replaced rules have new keys.
_STAMP = """
    SELECT max(c.id), count(*) FILTER (WHERE c.unstable), sum(c.slot) FILTER (WHERE c.unstable),
           (SELECT max(id) FROM hud_requirementrule WHERE repository_id = %(id)s),
           (SELECT max(id) FROM hud_requirementrule WHERE repository_id IS NULL)
    FROM hud_configuration c WHERE c.repository_id = %(id)s
"""


def required(repository_id: int) -> Required:
    """What is required of the repository's commits now. One query while nothing has changed."""
    with connection.cursor() as cursor:
        cursor.execute(_STAMP, {"id": repository_id})
        stamp = cursor.fetchone()
    return _KEPT.get((repository_id, *stamp), lambda: read_required(repository_id))


def read_required(repository_id: int, rules: Requirements | None = None) -> Required:
    """What these rules, or else the stored ones, require of the configurations as they are."""
    rules = rules or stored_rules(repository_id)
    rows = Configuration.objects.filter(repository_id=repository_id).values_list("slot", "workflow", "name", "unstable")
    mask, names = bytearray(), {}
    for slot, workflow, name, unstable in rows:
        names[slot] = f"{workflow} / {name}"
        mask.extend(bytes(max(0, slot + 1 - len(mask))))
        unstable = unstable or is_unstable(workflow + name)
        mask[slot] = rules.of(names[slot], unstable=unstable) is Requirement.REQUIRED
    return Required(bytes(mask), names)


def stored_rules(repository_id: int) -> Requirements:
    """The repository's own rules, else the installation's, else none, by which everything stable is required."""
    for owner in (Q(repository=repository_id), Q(repository=None)):
        rows = list(RequirementRule.objects.filter(owner).values_list("requirement", "pattern"))
        if rows:
            return compile_rules(Rule(Requirement(requirement), pattern) for requirement, pattern in rows)
    return compile_rules(())


# -- stored -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Block:
    """A blocking configuration as it is stored, in `LastGood.blocked`. `kind`: failed, or missing (no result)."""

    slot: int
    name: str
    kind: str
    still: bool
    commits: int
    first_sha: str
    first_position: int
    first_at: str  # when that commit landed; ISO


_TRUNK = """
    SELECT b.commit_id, b.position, k.cells
    FROM hud_repository r JOIN hud_branch t ON t.repository_id = r.id AND t.name = r.trunk
    JOIN hud_branchcommit b ON b.branch_id = t.id LEFT JOIN hud_commitcells k ON k.commit_id = b.commit_id
    WHERE r.id = %s ORDER BY b.position DESC OFFSET %s LIMIT %s
"""


def update(repository: Repository, *, at: datetime | None = None) -> bool:
    """Bring the repository's last good commit up to its cells; returns whether anything of it changed.

    Call it within the transaction that changed cells, the order of trunk or the rules, under the repository's lock.
    Costs a read of trunk's newest commits, and a write only if something changed.
    """
    at = at or timezone.now()
    what = required(repository.pk)
    rows, judged, good = _judged(repository.pk, what.mask)
    fields = _fields(rows, judged, good, what.names)
    stored = LastGood.objects.filter(pk=repository.pk).first()
    if stored is not None and all(getattr(stored, name) == value for name, value in fields.items()):
        return False
    row = stored or LastGood(repository=repository)
    was = (row.sha, row.position)
    for name, value in fields.items():
        setattr(row, name, value)
    if was[0] != row.sha:
        row.good_since = at if row.sha else None
    row.judged_at = at
    row.save()
    if row.sha and was[0] != row.sha and not _went_back(repository, *was, row.position or 0):
        last_good_push.queue(repository, row)
    return True


_Place = tuple[int, int, bytes]  # commit id, position, cells


def _judged(repository_id: int, mask: bytes) -> tuple[list[_Place], Judged, _Place | None]:
    """Trunk's newest commits, what they say, and the good one, which may be older than all of them."""
    for among in (min(NEAR, WINDOW), WINDOW):
        rows = _trunk(repository_id, 0, among)
        judged = judge([cells for _, _, cells in rows], mask, among=among)
        if judged.good is not None:
            return rows, judged, rows[judged.good]
        if len(rows) <= among:
            return rows, judged, None
    return rows, judged, _older_good(repository_id, mask)


def _trunk(repository_id: int, start: int, among: int) -> list[_Place]:
    with connection.cursor() as cursor:
        cursor.execute(_TRUNK, [repository_id, start, among + USUAL])
        return [(commit_id, position, bytes(cells or b"")) for commit_id, position, cells in cursor.fetchall()]


def _older_good(repository_id: int, mask: bytes) -> _Place | None:
    """The newest good commit below the window: looked for only while there is none within it."""
    for start in range(WINDOW, LONGEST_SEARCH, WINDOW):
        rows = _trunk(repository_id, start, WINDOW)
        found = judge([cells for _, _, cells in rows], mask, among=WINDOW).good
        if found is not None:
            return rows[found]
        if len(rows) <= WINDOW:
            break
    return None


def good_of(repository_id: int, mask: bytes) -> int | None:
    """The id of the commit that would be good if this were required: for previews."""
    good = _judged(repository_id, mask)[2]
    return good[0] if good else None


def _fields(
    rows: Sequence[_Place],
    judged: Judged,
    good: _Place | None,
    names: dict[int, str],
) -> dict[str, Any]:
    shown = judged.blocks[:MOST_BLOCKS]
    wanted = {rows[block.first][0] for block in shown}
    wanted |= {good[0]} if good else set()
    wanted |= {rows[judged.first_bad][0]} if judged.first_bad is not None else set()
    found = Commit.objects.filter(pk__in=wanted).values_list("pk", "sha", "committed_at") if wanted else ()
    commits = {pk: (sha, landed) for pk, sha, landed in found}
    sha, landed = commits[good[0]] if good else ("", None)
    blocks = []
    for block in shown:
        commit_id, position, _ = rows[block.first]
        first_sha, first_at = commits[commit_id]
        blocks.append(
            Block(
                block.slot, names.get(block.slot, f"configuration {block.slot}"),
                "failed" if block.failed else "missing", block.still, block.commits,
                first_sha, position, first_at.isoformat() if first_at else "",
            )
        )  # fmt: skip
    return {
        "sha": sha,
        "position": good[1] if good else None,
        "committed_at": landed,
        "behind": rows[0][1] - good[1] if good else min(len(rows), WINDOW),
        "running": judged.running,
        "blocking": sum(block.still for block in judged.blocks),
        "blocked": [asdict(block) for block in blocks],
        "stuck_since": commits[rows[judged.first_bad][0]][1] if judged.first_bad is not None else None,
    }


def _went_back(repository: Repository, sha: str, position: int | None, now: int) -> bool:
    """Whether the commit that was last good is still on trunk, and newer: a branch on GitHub only goes forward."""
    if not sha or position is None or now >= position:
        return False
    branch_commits = BranchCommit.objects.filter(branch__repository=repository, branch__name=repository.trunk)
    return branch_commits.filter(commit__sha=sha).exists()


@transaction.atomic
def replace_rules(*, repository: Repository | None, rules: Sequence[Rule], by: Any) -> list[tuple[Repository, str]]:
    """Make these the repository's own rules, or without one the installation's. Returns the repositories whose last
    good commit is another one now, with its sha.

    Raises `hud.groups.BadRule` at the first rule that can't be used; then nothing has changed.
    """
    compile_rules(rules)
    mine = [one.pk for one in concerned_by(repository)]
    concerned = list(Repository.objects.select_for_update(no_key=True).filter(pk__in=mine).order_by("pk"))
    RequirementRule.objects.filter(repository=repository).delete()
    RequirementRule.objects.bulk_create(
        RequirementRule(repository=repository, position=n, requirement=rule.requirement.value, pattern=rule.pattern)
        for n, rule in enumerate(rules, start=1)
    )
    before = dict(LastGood.objects.filter(pk__in=[one.pk for one in concerned]).values_list("pk", "sha"))
    changed = []
    for one in concerned:
        if update(one):
            Repository.objects.filter(pk=one.pk).update(version=F("version") + 1)
        sha = LastGood.objects.get(pk=one.pk).sha
        if sha != before.get(one.pk, ""):
            changed.append((one, sha))
    audit.record(
        by=by,
        action="requirements.replace",
        target=f"requirement rules of {repository or 'the installation'}",
        repository=str(repository or ""),
        detail={"rules": [{"requirement": rule.requirement.value, "pattern": rule.pattern} for rule in rules]},
    )
    return changed


def concerned_by(repository: Repository | None) -> list[Repository]:
    """The repositories to which the rules of this one apply; the installation's: all without their own."""
    if repository is not None:
        return [repository]
    return list(Repository.objects.filter(requirementrule=None).order_by("pk"))

"""Breaks kept in step with signals: made, merged, split and closed by themselves.

`hud.gathering` decides who belongs together; this module writes it down. It never touches what people decided (owner,
note, issue, dismissal, acknowledgement), and closes a break only for reasons that it can name.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from django.db.models import Max, Q

from hud import alerts, failures
from hud.gathering import Cluster, Plan, Red, SignalId, Standing, gather
from hud.models import Break, BreakSignal, BreakState, Commit, Repository, Signal

LONGEST_LINE = 160
_SUREST = ("revert", "wait", "restart", "none")


def update(repository: Repository, branch_id: int, now: datetime) -> bool:
    """Bring the breaks of the repository's trunk up to its signals; returns whether any changed. The caller holds the
    repository's lock."""
    signals = {SignalId(row.configuration_id, row.test): row for row in _signals(repository)}
    held = list(BreakSignal.objects.filter(left_at=None, broken__repository=repository).select_related("broken"))
    reds = [_red(row) for row in signals.values() if row.red]
    if not reds and not held:
        return False
    breaks = {row.broken.number: row.broken for row in held}
    before = {number: _face(one) for number, one in breaks.items()}
    standing = [
        Standing(
            number,
            frozenset(SignalId(row.configuration_id, row.test) for row in held if row.broken.number == number),
            _decided(one),
        )
        for number, one in breaks.items()
    ]
    plan = gather(reds, standing)
    new = _make(repository, plan, signals, now)
    breaks |= new
    clusters: dict[int, Cluster] = plan.standing
    moved = _move_members(breaks, clusters, held, signals, now)
    _describe(repository, breaks, clusters, signals, now)
    for number, into in plan.merged.items():
        breaks[number].merged_into = breaks[into]
        breaks[number].closed_at = breaks[number].closed_at or now
    for number, one in breaks.items():
        if number not in clusters and number not in plan.merged:
            _end(one, [row for row in held if row.broken_id == one.pk], signals, now)
    _note_reverts([one for one in breaks.values() if one.reverted_at is None], branch_id)
    changed = [number for number, one in breaks.items() if _face(one) != before.get(number)]
    for number in changed:
        one = breaks[number]
        one.save(update_fields=[*_FACE])
        if one.closed_at is None and number in new:
            alerts.trunk_broke(one)
        if one.closed_at is None and one.culprit_at == now:
            alerts.culprit_confirmed(one)
    return bool(changed) or moved


# What the machine writes of a break. (`state` is shared: people acknowledge, dismiss and revert.)
_FACE = (
    "title", "state", "decision", "code", "suspect", "suspect_at", "range_from", "failing_to", "culprit",
    "failure_key", "failure_line", "merged_into", "broke_at", "culprit_at", "green_at", "closed_at", "reverted_at",
)  # fmt: skip


def _face(one: Break) -> tuple[object, ...]:
    return tuple(getattr(one, one._meta.get_field(name).attname) for name in _FACE)  # type: ignore[union-attr]


def _signals(repository: Repository) -> Iterable[Signal]:
    held = BreakSignal.objects.filter(left_at=None, broken__repository=repository).values("configuration_id")
    rows = Signal.objects.filter(repository=repository).filter(Q(red=True) | Q(configuration_id__in=held))
    return rows.select_related("configuration")


def _red(row: Signal) -> Red:
    return Red(
        SignalId(row.configuration_id, row.test), row.code, row.suspect_at, row.range_from, row.failing_to,
        row.failures, row.failure_key, bool(row.culprit),
    )  # fmt: skip


def _decided(one: Break) -> bool:
    """Whether a person has put a word on it, so that the machine may not take it away."""
    return bool(
        one.owner_id or one.acknowledged_at or one.dismissed_at or one.note or one.issue_url or one.revert_asked_at
    )


def _make(repository: Repository, plan: Plan, signals: Mapping[SignalId, Signal], now: datetime) -> dict[int, Break]:
    """A row for each new cluster, which then stands in the plan under its number."""
    if not plan.new:
        return {}
    last = Break.objects.filter(repository=repository).aggregate(last=Max("number"))["last"] or 0
    made = {}
    for number, cluster in enumerate(plan.new, start=last + 1):
        began = [signals[red.id].broke_at for red in cluster.members]
        made[number] = Break.objects.create(
            repository=repository, number=number, broke_at=_not_after(now, began), noticed_at=now
        )
        plan.standing[number] = cluster
    return made


def _move_members(
    breaks: Mapping[int, Break],
    clusters: Mapping[int, Cluster],
    held: Collection[BreakSignal],
    signals: Mapping[SignalId, Signal],
    now: datetime,
) -> bool:
    """Bring memberships up to the clusters; returns whether any changed."""
    where = {red.id: (number, red) for number, cluster in clusters.items() for red in cluster.members}
    staying: set[SignalId] = set()
    changed = False
    for row in held:
        signal_id = SignalId(row.configuration_id, row.test)
        number, red = where.get(signal_id, (0, None))
        if number == row.broken.number:
            staying.add(signal_id)
            if red is None or red.suspect_at is None:
                continue  # its suspect has left the window: the last known one stays
            if (red.suspect_at, red.range_from, red.failing_to) == (row.suspect_at, row.range_from, row.failing_to):
                continue
            row.suspect_at, row.range_from, row.failing_to = red.suspect_at, red.range_from, red.failing_to
        else:
            signal = signals.get(signal_id)
            row.left_at, row.green = now, signal is not None and signal.code == "recovered_at_head"
        row.save()
        changed = True
    joining = [(breaks[number], red) for signal_id, (number, red) in where.items() if signal_id not in staying]
    BreakSignal.objects.bulk_create(
        BreakSignal(
            broken=one, configuration_id=red.id.configuration_id, test=red.id.test, joined_at=now,
            suspect_at=red.suspect_at, range_from=red.range_from, failing_to=red.failing_to,
        )
        for one, red in joining
    )  # fmt: skip
    return changed or bool(joining)


def _describe(
    repository: Repository,
    breaks: Mapping[int, Break],
    clusters: Mapping[int, Cluster],
    signals: Mapping[SignalId, Signal],
    now: datetime,
) -> None:
    """Title, suspect, verdict and failure of each break, from its signals as they are now."""
    rows = {number: [signals[red.id] for red in cluster.members] for number, cluster in clusters.items()}
    shas = {row.suspect for members in rows.values() for row in members if row.suspect}
    commits = {one.sha: one for one in Commit.objects.filter(repository=repository, sha__in=shas)} if shas else {}
    lines = failures.lines_of_keys(repository.pk, {cluster.key for cluster in clusters.values() if cluster.key})
    for number, cluster in clusters.items():
        one, members = breaks[number], rows[number]
        tops = [row.failing_to for row in members if row.failing_to is not None]
        one.failing_to = max(tops, default=one.failing_to)
        if cluster.suspect_at is not None:
            row = min(members, key=lambda row: (row.suspect_at != cluster.suspect_at, row.configuration_id, row.test))
            suspect = commits.get(row.suspect)
            if suspect is not None:
                one.suspect = suspect
            one.suspect_at, one.range_from = cluster.suspect_at, cluster.range_from
            surest = min(members, key=lambda row: (_SUREST.index(row.decision), row.configuration_id, row.test))
            one.decision, one.code = surest.decision, surest.code
            began = [row.broke_at for row in members if row.suspect_at == cluster.suspect_at]
            if any(began):
                one.broke_at = _not_after(one.noticed_at, began)
            guilty = commits.get(next((row.culprit for row in members if row.culprit), ""))
            if guilty is not None and one.culprit_id != guilty.pk:
                one.culprit = guilty
                one.culprit_at = one.culprit_at or now
            elif guilty is None and one.culprit_id is not None and one.culprit_id != one.suspect_id:
                one.culprit = None  # what was known of another commit doesn't hold for this one
        if cluster.key:
            one.failure_key, one.failure_line = cluster.key, lines.get(cluster.key, one.failure_line)
        one.title = title(one.failure_line, [row.configuration.name for row in members])


def _not_after(noticed: datetime, began: Collection[datetime | None]) -> datetime:
    """When it broke: never after it was noticed, though a runner's clock may be ahead, or the suspect another now."""
    return min([noticed, *(at for at in began if at)])


def title(line: str, names: Collection[str]) -> str:
    """A break in words: what failed, and where."""
    different = sorted(set(names))
    first, more = different[0] if different else "", len(different) - 1
    where = f"{first} and {more} more" if more > 0 else first
    told = _told(line)[:LONGEST_LINE].strip(" .:")
    if told and not _NOTHING_SAID.search(told):
        return f"{told} ({where})"[:500]
    return f"{where} {'fail' if more > 0 else 'fails'}"[:500]


# What a failing line has before its point: marks of the runner, how long it took, and where the file lies.
_BEFORE = re.compile(r"^(?:##\[error\]|FAILED|FAIL:|ERROR:|E)?\s*(?:\[[0-9.]+s\]\s*)?(?:>>> Lint for\s+)?")
_FOLDERS = re.compile(r"(?<![\w.])/?(?:[\w.+-]+/)+(?=[\w.+-]+(?::|\s|$))")


# A line that any failure ends with: better to name the job alone.
_NOTHING_SAID = re.compile(r"(?i)^(?:process|command|script|job)\b.{0,40}\bwith (?:exit )?(?:code|status) \d+$")


def _told(line: str) -> str:
    short = _FOLDERS.sub("", _BEFORE.sub("", line.strip()))
    return short or line


def _end(one: Break, held: Collection[BreakSignal], signals: Mapping[SignalId, Signal], now: datetime) -> None:
    """No signal is left in it: passed again, or shown to be nobody's fault."""
    codes = {signals[key].code if (key := SignalId(row.configuration_id, row.test)) in signals else "" for row in held}
    if "recovered_at_head" in codes:
        one.state, one.green_at = BreakState.FIXED if one.dismissed_at is None else one.state, now
    elif one.dismissed_at is None:
        one.state = BreakState.NOT_A_BREAK
    one.code = min(codes - {""}, default=one.code, key=lambda code: (code != "recovered_at_head", code))
    one.decision = "none"
    one.closed_at = one.closed_at or now


def _note_reverts(breaks: Collection[Break], branch_id: int) -> None:
    """When a commit on trunk says that it reverts the suspect: that is when it was undone, whoever did it."""
    wanted = [one for one in breaks if one.suspect_id is not None]
    if not wanted:
        return
    suspects = Commit.objects.in_bulk([one.suspect_id for one in wanted])
    lowest = min((one.suspect_at for one in wanted if one.suspect_at is not None), default=0)
    # Git's own words, or GitHub's: the pull request's title in quotes.
    later = Commit.objects.filter(branchcommit__branch=branch_id, branchcommit__position__gt=lowest)
    reverts = later.filter(Q(message__icontains="this reverts commit") | Q(title__istartswith='revert "'))
    said = list(reverts.order_by("committed_at").values_list("message", "title", "committed_at")[:200])
    for one in wanted:
        suspect = suspects[one.suspect_id]
        bare = suspect.title.removesuffix(f"(#{suspect.pr_number})").strip()
        for message, words, at in said:
            quoted = words.partition('"')[2].rpartition('"')[0]
            if f"reverts commit {suspect.sha[:7]}" in message.lower() or (bare and quoted in (bare, suspect.title)):
                one.reverted_at = at
                if one.state in (BreakState.OPEN, BreakState.ACKNOWLEDGED) and one.closed_at is None:
                    one.state = BreakState.REVERTING
                break

"""What stands behind a square of the grid: the runs of one configuration on one commit, or a group's members."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from django.utils import timezone

from hud import failures, layout
from hud.cells import Outcome
from hud.models import Commit, Run
from hud.places import Place
from hud.runs import Square, at_slot, between, cells_of, squares
from hud.runs import duration as duration

HISTORY = 24
BAR_WIDTH, BAR_STEP, BAR_HEIGHT = 8, 11, 26


@dataclass(frozen=True, slots=True)
class Bar:
    """A commit in a column's history. Numbers are those of the SVG."""

    x: int
    y: int
    height: int
    outcome: Outcome
    label: str
    url: str
    here: bool


def of_cell(place: Place, commit: Commit, slot: int) -> dict[str, Any] | None:
    """The context of a cell's details; None if no configuration has this slot."""
    columns = layout.load(place.repository.pk, place.repository.layout_version)
    found = columns.by_slot.get(slot)
    if found is None:
        return None
    group, member = found
    cells = cells_of(commit)
    outcome = at_slot(cells, slot)
    found_squares = squares(place, commit, columns, cells=cells, slot=slot)
    square = found_squares[0] if found_squares else Square(group, member, outcome, (), None, "")
    return {
        "place": place,
        "commit": commit,
        "square": square,
        "failure": failures.line_at(commit.pk, slot) if outcome.finished else None,
        "history": _history(place, commit, slot),
        "now": timezone.now(),
    }


def of_group(place: Place, commit: Commit, slug: str) -> dict[str, Any] | None:
    """The context of a group's details; None if there is no such group."""
    columns = layout.load(place.repository.pk, place.repository.layout_version)
    group = columns.group(slug)
    if group is None:
        return None
    cells = cells_of(commit)
    members = [(member, at_slot(cells, member.slot)) for member in group.members]
    loud = sorted((pair for pair in members if _needs_words(pair[1])), key=lambda pair: -pair[1])
    quiet = [outcome for _, outcome in members if not _needs_words(outcome)]
    return {
        "place": place,
        "commit": commit,
        "group": group,
        "outcome": max(outcome for _, outcome in members),
        "loud": loud[:HISTORY],
        "more": len(loud) - HISTORY,
        "sums": sums(quiet),
    }


DOUBTFUL = (Outcome.FLAKY, Outcome.TOLERATED, Outcome.OVERDUE)


def _needs_words(outcome: Outcome) -> bool:
    return outcome.failing or outcome in (*DOUBTFUL, Outcome.RUNNING)


def sums(outcomes: Iterable[Outcome]) -> list[tuple[Outcome, int]]:
    """How many of each outcome, the loudest first; what did not run is not counted."""
    counted: dict[Outcome, int] = {}
    for outcome in outcomes:
        counted[outcome] = counted.get(outcome, 0) + 1
    return sorted(((outcome, n) for outcome, n in counted.items() if outcome), reverse=True)


def _history(place: Place, commit: Commit, slot: int) -> dict[str, Any]:
    """The column's commits up to a little after this one, oldest first, as bars as high as the runs were long."""
    on_branch = place.commits
    here = on_branch.filter(commit=commit).values_list("position", flat=True).first()
    if here is None:
        return {"bars": []}
    rows = list(
        on_branch.filter(position__lte=here + HISTORY // 4)
        .order_by("-position")
        .values_list("commit_id", "commit__sha", "commit__committed_at", "commit__commitcells__cells")[:HISTORY]
    )
    rows.reverse()
    spent: dict[int, float] = {}
    runs = Run.objects.filter(commit_id__in=[row[0] for row in rows], configuration__slot=slot)
    for commit_id, started, ended in runs.filter(configuration__repository=place.repository).values_list(
        "commit_id", "started_at", "completed_at"
    ):
        spent[commit_id] = max(spent.get(commit_id, 0), between(started, ended) or 0)
    most = max(spent.values(), default=0) or 1
    bars = []
    for index, (commit_id, sha, _, cells) in enumerate(rows):
        outcome = at_slot(bytes(cells or b""), slot)
        height = max(6, round(BAR_HEIGHT * spent.get(commit_id, 0) / most)) if spent.get(commit_id) else 6
        url = f"{place.base}/cell/{quote(sha)}/{slot}"
        label = f"{sha[:7]}: {outcome.words}" + (f", {duration(spent[commit_id])}" if spent.get(commit_id) else "")
        x = index * BAR_STEP
        bars.append(Bar(x, 30 - height, height, outcome, label, url, sha == commit.sha))
    words = ", ".join(f"{number} {outcome.words}" for outcome, number in sums(bar.outcome for bar in bars))
    return {"bars": bars, "words": words, "oldest": rows[0][2], "newest": rows[-1][2], "width": len(rows) * BAR_STEP}

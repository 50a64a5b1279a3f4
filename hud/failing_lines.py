"""The failing line of a run as pages show it: some lines of its log, or in words why there are none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hud.failure_rules import says_little
from hud.models import JobLog, LogState
from hud.places import Place

AROUND = 2  # lines on either side


@dataclass(frozen=True, slots=True)
class FailingLine:
    """What a log said. `key` is what failures of one cause have in common, empty while none is known.

    `context` holds (line number, text, is the line itself). `missing` says in words why there is no line; `waiting`
    tells whether there may still be one.
    """

    run_id: int
    key: str
    rule: str
    category: str
    number: int | None
    text: str
    context: tuple[tuple[int, str, bool], ...]
    log: str
    elsewhere: str
    missing: str = ""
    waiting: bool = False


def of_runs(place: Place, run_ids: Iterable[int]) -> dict[int, FailingLine]:
    """The failing lines of these runs, by `Run.id`; runs that nobody has looked at are left out. One query."""
    rows = JobLog.objects.filter(run_id__in=list(run_ids)).only(
        "run_id", "key", "rule", "category", "line_number", "line", "context", "state", "problem", "due_at"
    )
    return {row.run_id: _line(place, row) for row in rows}


def _line(place: Place, row: JobLog) -> FailingLine:
    log = f"{place.base}/job/{row.run_id >> 2}" + (f"#L{row.line_number}" if row.line_number else "")
    # That something ended with an exit code is no cause to look for elsewhere.
    elsewhere = f"{place.base}/failure/{row.key}" if row.key and not says_little(row.rule) else ""
    context: tuple[tuple[int, str, bool], ...] = ()
    if row.line_number:
        before = [str(one) for one in row.context.get("before", ())][-AROUND:]
        after = [str(one) for one in row.context.get("after", ())][:AROUND]
        first = row.line_number - len(before)
        texts = [*before, row.line, *after]
        context = tuple((first + n, text, n == len(before)) for n, text in enumerate(texts))
    waiting = row.state == LogState.WAITING
    missing = "" if context else _MISSING.get(row.state, "Its log does not say why it failed.")
    if row.problem and not context and not waiting:
        missing = row.problem
    return FailingLine(
        row.run_id, row.key, row.rule, row.category, row.line_number, row.line, context, log, elsewhere, missing,
        waiting,
    )  # fmt: skip


_MISSING: dict[str, str] = {
    LogState.WAITING: "Its log has not been read yet.",
    LogState.EXPIRED: "GitHub has deleted this log (older than 90 days).",
    LogState.MISSING: "GitHub has no log of this job.",
    LogState.FAILED: "Its log could not be read.",
}

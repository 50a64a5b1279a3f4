"""When, and by which requests, what a verdict asks for is really run again. Pure; used for the button, for repositories
that let Arborist re-run by itself, and by the bench that scores it.

Machines cost money and an outage outlasts an impatient re-run: one that starts in the same minutes fails for the same
reason, or, worse, passes by luck and so speaks against an innocent commit.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

SPACING: Final = (timedelta(0), timedelta(minutes=20), timedelta(minutes=40), timedelta(hours=1), timedelta(hours=1))
"""How long after the one before each re-run of a job on a commit may be asked for. There are no more than these."""

INFRA_PAUSE: Final = timedelta(minutes=90)
"""How long after the first failure nothing is run again, where the failure's own text blames machines or network."""


def due(asked: Sequence[datetime], *, now: datetime, failed_at: datetime | None = None, infra: bool = False) -> bool:
    """Whether a job may be run again on a commit now. `asked`: when it was before; `failed_at`: when its first failure
    started; `infra`: whether that failure's text blames machines or network."""
    if len(asked) >= len(SPACING):
        return False
    if infra and failed_at is not None and now - failed_at < INFRA_PAUSE:
        return False
    return not asked or now - max(asked) >= SPACING[len(asked)]


@dataclass(frozen=True, slots=True)
class Ran:
    """The newest attempt of a job that a verdict wants to see again. `wanted` names commit and configuration."""

    wanted: tuple[str, int]
    job_id: int
    workflow_run_id: int
    attempt: int  # of the workflow run, the newest
    over: bool  # whether that attempt has ended
    failed: bool


@dataclass(frozen=True, slots=True)
class Ask:
    """One request to GitHub: the kind of outbox row and its payload."""

    kind: str
    payload: dict[str, int]

    @property
    def key(self) -> str:
        """The same for everybody who wants this attempt to be followed by another: one effect, however many press."""
        return f"rerun:{self.payload['run_id']}:{self.payload['expected_attempt']}"


@dataclass(frozen=True, slots=True)
class RerunPlan:
    """What to ask GitHub for, and what can't be run again and why, in words by commit."""

    asks: tuple[Ask, ...]
    cannot: tuple[str, ...]


def plan(wanted: Collection[tuple[str, int]], ran: Collection[Ran]) -> RerunPlan:
    """How to run these (sha, configuration id) again. GitHub takes one request for a workflow run at a time: a single
    job, all that failed, or everything; never more than is needed."""
    never = {sha for sha, _ in set(wanted) - {one.wanted for one in ran}}
    cannot = [f"{sha[:7]} was never run here, so there is nothing to run again" for sha in sorted(never)]
    asks = []
    by_run: dict[int, list[Ran]] = {}
    for one in ran:
        if one.wanted in wanted:
            by_run.setdefault(one.workflow_run_id, []).append(one)
    for run_id, jobs in sorted(by_run.items()):
        first = min(jobs, key=lambda one: (not one.failed, one.job_id))
        if not first.over:
            cannot.append(f"{first.wanted[0][:7]} is still running")
            continue
        expected = {"run_id": run_id, "expected_attempt": first.attempt}
        failed = [one for one in jobs if one.failed]
        if len({one.wanted for one in jobs}) == 1 and len(failed) <= 1:
            asks.append(Ask("rerun_job", {"job_id": first.job_id, **expected}))
        elif len({one.wanted for one in failed}) == len({one.wanted for one in jobs}):
            asks.append(Ask("rerun_failed", expected))
        else:
            asks.append(Ask("rerun_run", expected))
    return RerunPlan(tuple(asks), tuple(dict.fromkeys(cannot)))

"""Running again what GitHub Actions ran. A workflow run's number of attempts tells whether it was done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from project.outbox.kinds import Kind, Result, Turn


@dataclass(frozen=True)
class Rerun:
    """A workflow run, whose newest attempt is ``expected_attempt`` as far as the asking person has seen."""

    run_id: int
    expected_attempt: int


@dataclass(frozen=True)
class RerunJob:
    """A job of such a workflow run."""

    job_id: int
    run_id: int
    expected_attempt: int


def _find(turn: Turn[Rerun] | Turn[RerunJob]) -> Result | None:
    run = turn.github.workflow_run(turn.repo, turn.payload.run_id)
    if run.attempt <= turn.payload.expected_attempt:
        return None
    return {"run_id": run.id, "attempt": run.attempt, "url": run.html_url}


def _send(again: Callable[[Turn[Any]], None]) -> Callable[[Turn[Any]], Result]:
    def send(turn: Turn[Any]) -> Result:
        # Somebody may have done it on GitHub meanwhile; a second time would cost the runners' hours once more.
        if found := _find(turn):
            return {**found, "already": True}
        again(turn)
        return {"run_id": turn.payload.run_id, "attempt": turn.payload.expected_attempt + 1}

    return send


KINDS: list[Kind[Any]] = [
    Kind(
        "rerun_job",
        RerunJob,
        _send(lambda turn: turn.github.rerun_job(turn.repo, turn.payload.job_id)),
        _find,
        "TREE_HUGGER",
        "re-run of a job",
    ),
    Kind(
        "rerun_failed",
        Rerun,
        _send(lambda turn: turn.github.rerun_failed(turn.repo, turn.payload.run_id)),
        _find,
        "TREE_HUGGER",
        "re-run of failed jobs",
    ),
    Kind(
        "rerun_run",
        Rerun,
        _send(lambda turn: turn.github.rerun_run(turn.repo, turn.payload.run_id)),
        _find,
        "TREE_HUGGER",
        "re-run of a workflow run",
    ),
]

"""GitHub's two fields that say how a run is doing, as numbers that fit a SMALLINT.

What GitHub may add tomorrow is UNKNOWN today; nothing here raises, whatever JSON comes in.
"""

from enum import IntEnum
from typing import Any, Final


class Status(IntEnum):
    """How far a run has come. The numbers are ranks: of the same attempt, the higher one is the later one."""

    UNKNOWN = 0
    REQUESTED = 1
    PENDING = 2
    WAITING = 3
    QUEUED = 4
    IN_PROGRESS = 5
    COMPLETED = 9


class Conclusion(IntEnum):
    """How a completed run ended; NONE until it is completed."""

    NONE = 0
    SUCCESS = 1
    FAILURE = 2
    TIMED_OUT = 3
    STARTUP_FAILURE = 4
    NEUTRAL = 5
    SKIPPED = 6
    CANCELLED = 7
    ACTION_REQUIRED = 8
    STALE = 9
    UNKNOWN = 20


_STATUSES: Final = {status.name.lower(): status for status in Status if status is not Status.UNKNOWN}
_CONCLUSIONS: Final = {
    conclusion.name.lower(): conclusion
    for conclusion in Conclusion
    if conclusion not in (Conclusion.NONE, Conclusion.UNKNOWN)
}
# Module constants: an enum member looked up through its class costs more than the dictionary around it.
_STATUS_UNKNOWN: Final = Status.UNKNOWN
_COMPLETED: Final = Status.COMPLETED
_NOT_YET: Final = Conclusion.NONE
_CONCLUSION_UNKNOWN: Final = Conclusion.UNKNOWN

# A commit status has one field where checks have two.
_STATES: Final = {
    "pending": (Status.IN_PROGRESS, Conclusion.NONE),
    "success": (Status.COMPLETED, Conclusion.SUCCESS),
    "failure": (Status.COMPLETED, Conclusion.FAILURE),
    "error": (Status.COMPLETED, Conclusion.FAILURE),
}


def outcome_of(data: dict[str, Any]) -> tuple[Status, Conclusion]:
    """The status and conclusion of a run, a job or a check; the conclusion is NONE until completed."""
    said = data.get("status")
    status = _STATUSES.get(said, _STATUS_UNKNOWN) if type(said) is str else _STATUS_UNKNOWN
    if status is not _COMPLETED:
        return status, _NOT_YET
    said = data.get("conclusion")
    return status, _CONCLUSIONS.get(said, _CONCLUSION_UNKNOWN) if type(said) is str else _CONCLUSION_UNKNOWN


def outcome_of_state(state: str) -> tuple[Status, Conclusion]:
    """The same for a commit status, which says both in one word."""
    return _STATES.get(state, (_STATUS_UNKNOWN, _NOT_YET))

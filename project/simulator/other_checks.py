"""What other services say about a commit: check runs of two apps, and commit statuses. Pure, like `plans`."""

from dataclasses import dataclass

from project.simulator.draws import Draws
from project.simulator.history import Commit, History
from project.simulator.plans import RUNS_A_COMMIT, STATUS_ID, SUITE_ID

CHECK_ID = 90_000_000_000


@dataclass(frozen=True, slots=True)
class App:
    id: int
    slug: str
    name: str
    checks: tuple[str, ...]


ACTIONS = App(15368, "github-actions", "GitHub Actions", ())
OTHER_APPS = (
    App(91_001, "leaf-style", "Leaf Style", ("style / formatting", "style / licences")),
    App(91_002, "canopy-coverage", "Canopy Coverage", ("coverage / patch", "coverage / project")),
)


@dataclass(frozen=True, slots=True)
class OtherCheck:
    id: int
    suite_id: int
    app: App
    name: str
    created: int
    started: int
    completed: int
    conclusion: str
    summary: str

    def status(self, now: float) -> str:
        if now >= self.completed:
            return "completed"
        return "in_progress" if now >= self.started else "queued"


@dataclass(frozen=True, slots=True)
class Status:
    """One entry in a context's history. A new state is a new entry."""

    id: int
    context: str
    state: str  # pending | success | failure | error
    description: str
    time: int


def other_checks(history: History, commit: Commit) -> tuple[OtherCheck, ...]:
    draws = Draws(history.seed, history.catalogue.scale, "other-checks", commit.serial)
    checks = []
    number = 0
    for place, app in enumerate(OTHER_APPS):
        suite = SUITE_ID + (commit.serial * RUNS_A_COMMIT + place) * 2 + 1
        for name in app.checks:
            created = commit.time + 3 + draws.whole(0, 10)
            started = created + draws.whole(1, 60)
            roll = draws.random()
            conclusion = "neutral" if name.endswith("patch") and roll < 0.3 else "failure" if roll < 0.02 else "success"
            summary = {"neutral": "Nothing to compare with.", "failure": "Some files need attention."}.get(
                conclusion, "All is well."
            )
            checks.append(
                OtherCheck(CHECK_ID + commit.serial * 8 + number, suite, app, name, created, started,
                           started + draws.whole(20, 600), conclusion, summary)
            )  # fmt: skip
            number += 1
    return tuple(checks)


def statuses(history: History, commit: Commit) -> tuple[Status, ...]:
    """All entries of all contexts of a commit, oldest first."""
    draws = Draws(history.seed, history.catalogue.scale, "statuses", commit.serial)
    entries = []
    for context, low, high in (("ci/legacy-buildbot", 900, 5400), ("docs/preview", 60, 900)):
        begun = commit.time + 4 + draws.whole(0, 20)
        roll = draws.random()
        state = "failure" if roll < 0.03 else "error" if roll < 0.04 else "success"
        entries.append((begun, context, "pending", "Waiting for a builder"))
        told = {"failure": "The build failed", "error": "The builder went away", "success": "The build passed"}
        entries.append((begun + draws.whole(low, high), context, state, told[state]))
    entries.sort()
    first = STATUS_ID + commit.serial * 8
    return tuple(
        Status(first + number, context, state, text, moment)
        for number, (moment, context, state, text) in enumerate(entries)
    )

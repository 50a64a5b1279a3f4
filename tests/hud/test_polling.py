"""The real road: simulated GitHub → HTTP → client → payloads → ingest → PostgreSQL, in sickness and in health."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connections

from hud import derive, ingest, polling
from hud.cells import Outcome
from hud.models import (
    Branch,
    BranchCommit,
    CommitCells,
    Configuration,
    Repository,
    Run,
    SetAside,
    SyncKind,
    SyncState,
    WorkflowRun,
)
from project.github.budget import Budget
from project.github.client import Client
from project.github.tokens import PersonalToken
from project.simulator.running import running_simulator

START = "2026-03-04T12:00:00Z"


@pytest.fixture
def github():
    with running_simulator(scale="tiny", seed=3, start=START, hourly_limit=100_000, speed=0) as simulator:
        yield simulator


class Road:
    """A repository, and polls of it at the simulator's own time. Most tests need little of its history."""

    def __init__(self, simulator, commits=6):
        self.simulator = simulator
        owner, name = simulator.full_name.split("/")
        self.repository, _ = ingest.add_repository(owner, name)
        self.repository.backfill_commits = commits
        self.repository.save()
        self.budget = Budget("test", None)

    @property
    def now(self) -> datetime:
        return datetime.fromisoformat(self.simulator.control("clock")["now"].replace("Z", "+00:00"))

    def client(self) -> Client:
        return Client(
            token=PersonalToken("a-token"),
            api_url=self.simulator.url,
            budget=self.budget,
            validators=polling._StoredValidators(),
            sleep=lambda seconds: None,
        )

    def poll(self, *kinds: SyncKind) -> list[str]:
        now = self.now
        return [polling.poll(self.repository.pk, kind, now=now, client=self.client()) for kind in kinds or SyncKind]

    def settle(self) -> None:
        for _ in range(30):
            self.poll()
            if not SyncState.objects.exclude(behind="").exists():
                return
            self.advance(0)
        raise AssertionError("the backfill does not end")

    def advance(self, seconds: int) -> None:
        self.simulator.control("clock", advance=seconds)
        SyncState.objects.update(due_at=None)

    def counted(self) -> int:
        counts = self.simulator.control("counts", reset=True)
        return counts["counted"]

    def state(self, kind: SyncKind) -> SyncState:
        return SyncState.objects.get(repository=self.repository, kind=kind)


@pytest.fixture
def road(transactional_db, github):
    return Road(github)


def truth_of_cells(road: Road) -> dict[str, set[str]]:
    """Raw jobs of the simulator's commits as GitHub lists them, asked over HTTP without our client."""
    import requests

    found: dict[str, set[str]] = {}
    headers = {"Authorization": "Bearer other", "User-Agent": "test"}
    for sha in BranchCommit.objects.filter(branch__name="main").values_list("commit__sha", flat=True):
        at = f"{road.simulator.url}/repos/{road.simulator.full_name}"
        runs = requests.get(f"{at}/actions/runs?head_sha={sha}&per_page=100", headers=headers, timeout=10).json()
        for run in runs["workflow_runs"]:
            for attempt in range(1, run["run_attempt"] + 1):
                url = f"{at}/actions/runs/{run['id']}/attempts/{attempt}/jobs?per_page=100"
                for job in requests.get(url, headers=headers, timeout=10).json()["jobs"]:
                    found.setdefault(sha, set()).add(f"{job['id']}:{job['status']}:{job['conclusion']}")
    return found


def test_a_new_repository_is_read_whole_and_then_followed(transactional_db, github):
    road = Road(github, commits=20)
    road.settle()
    repository = Repository.objects.get()
    assert repository.trunk == "main"
    assert repository.github_id
    assert BranchCommit.objects.filter(branch__name="main").count() >= 20
    assert not SyncState.objects.exclude(problem="").exists(), SyncState.objects.exclude(problem="").values()
    assert road.state(SyncKind.BACKFILL).done == road.state(SyncKind.BACKFILL).total == 20

    for _ in range(12):
        road.advance(300)
        road.poll()
    stored: dict[str, set[str]] = {}
    from project.github.payloads import Conclusion, Status

    for run in Run.objects.filter(workflow_run_id__isnull=False, job_name__isnull=False).select_related("commit"):
        if run.id & 3 == 0:
            conclusion = Conclusion(run.conclusion).name.lower() if run.conclusion else None
            stored.setdefault(run.commit.sha, set()).add(
                f"{run.id >> 2}:{Status(run.status).name.lower()}:{conclusion}"
            )
    assert stored == truth_of_cells(road)
    for commit_id, cells in CommitCells.objects.values_list("commit_id", "cells"):
        assert derive.rebuilt_cells(commit_id) == bytes(cells)
    shown = {Outcome(byte) for (cells,) in CommitCells.objects.values_list("cells") for byte in cells}
    assert {Outcome.PASSED, Outcome.FAILED} <= shown
    apps = set(Configuration.objects.values_list("workflow", flat=True))
    assert "status" in apps
    assert not SetAside.objects.exists(), SetAside.objects.values_list("reason")


def test_an_idle_repository_costs_nothing(road):
    road.settle()
    road.simulator.control("overlay", quiet=True)
    road.advance(8 * 3600)
    road.settle()
    road.advance(700)
    road.settle()
    road.counted()
    for _ in range(20):
        road.advance(60)
        road.poll()
    assert road.counted() == 0
    assert not SyncState.objects.exclude(problem="").exists()


def test_a_forced_push_is_followed_and_said(road):
    road.settle()
    before = list(
        BranchCommit.objects.filter(branch__name="main").order_by("-position").values_list("commit__sha", flat=True)
    )
    road.simulator.control("overlay", force_push=2)
    road.advance(60)
    road.poll()
    after = list(
        BranchCommit.objects.filter(branch__name="main").order_by("-position").values_list("commit__sha", flat=True)
    )
    assert after == before[2:]
    assert Branch.objects.get(name="main").forced_at is not None


def test_a_renamed_repository_is_followed_to_its_new_name(road):
    road.settle()
    road.simulator.control("overlay", rename="grove/renamed")
    road.advance(700)
    road.poll()
    road.repository.refresh_from_db()
    assert str(road.repository) == "grove/renamed"
    road.advance(60)
    assert "failed" not in road.poll()


def test_a_deleted_branch_is_marked_and_the_rest_goes_on(road):
    road.settle()
    side = Branch.objects.exclude(name="main").first()
    road.repository.watched_branches = [side.name]
    road.repository.trunk = "main"
    road.repository.save()
    road.simulator.control("overlay", delete_branch=side.name)
    road.advance(60)
    road.poll(SyncKind.COMMITS)
    side.refresh_from_db()
    assert side.deleted_at is not None
    assert road.state(SyncKind.COMMITS).problem == ""


@pytest.mark.parametrize("status", [404, 410, 403])
def test_a_repository_that_is_gone_is_said_and_asked_ever_less_often(road, status):
    road.settle()
    road.simulator.control("overlay", gone=status)
    road.advance(60)
    assert set(road.poll()) <= {"failed", "done"}
    state = road.state(SyncKind.COMMITS)
    assert state.problem
    first = state.due_at - road.now
    SyncState.objects.update(due_at=None)
    road.poll()
    assert timedelta() < first < road.state(SyncKind.COMMITS).due_at - road.now <= polling.LONGEST_PAUSE
    road.simulator.control("overlay", gone=None)
    road.advance(60)
    road.poll()
    assert road.state(SyncKind.COMMITS).problem == ""


@pytest.mark.parametrize("kind", ["error", "cut", "truncated", "malformed", "secondary"])
def test_trouble_on_the_way_is_said_in_words_and_healed(road, kind):
    road.poll(SyncKind.REPOSITORY, SyncKind.COMMITS)
    road.simulator.control("faults", kind=kind, count=50)
    road.advance(60)
    road.poll()
    assert SyncState.objects.exclude(problem="").exists()
    road.simulator.control("faults", clear=True)
    road.budget = Budget("again", None)
    road.advance(300)
    road.settle()
    assert not SyncState.objects.exclude(problem="").exists()
    assert WorkflowRun.objects.exists()


def test_hostile_titles_are_stored_as_text(road):
    road.simulator.control("overlay", hostile_titles=True)
    road.settle()
    titles = set(BranchCommit.objects.filter(branch__name="main").values_list("commit__title", flat=True))
    assert any("<script>" in title for title in titles)
    assert all("\0" not in title and len(title) <= 500 for title in titles)


def test_two_polls_of_the_same_never_run_at_once(road):
    with polling._only_one(road.repository.pk, SyncKind.JOBS) as mine:
        assert mine
        other = connections.create_connection("default")
        try:
            with other.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_try_advisory_lock(%s, %s)",
                    [road.repository.pk, list(SyncKind).index(SyncKind.JOBS)],
                )
                assert cursor.fetchone() == (False,)
        finally:
            other.close()


def test_due_lists_what_was_never_polled_first_and_nothing_twice_too_soon(road):
    now = datetime(2026, 3, 4, 12, tzinfo=UTC)
    assert len(polling.due(now)) == len(SyncKind)
    road.poll(SyncKind.REPOSITORY)
    assert (road.repository.pk, "repository") not in polling.due(road.now)
    assert polling.poll(road.repository.pk, "repository", now=road.now, client=road.client()) == "not due"


def test_a_workflow_run_deleted_on_github_does_not_stop_the_jobs_of_others(road):
    road.settle()
    with_jobs = Run.objects.filter(status=9, attempt=1, workflow_run_id__isnull=False).values("workflow_run_id")
    run = WorkflowRun.objects.filter(pk__in=with_jobs, attempt=1, status=9).order_by("-created_at").first()
    # as if its end had been missed
    WorkflowRun.objects.filter(pk=run.pk).update(status=5, conclusion=0, jobs_fetched_attempt=0)
    road.simulator.control("faults", kind="error", status=404, count=9, match=f"/actions/runs/{run.pk}$")
    road.advance(60)
    assert road.poll(SyncKind.JOBS) == ["done"]
    run.refresh_from_db()
    assert run.jobs_fetched_attempt == 1

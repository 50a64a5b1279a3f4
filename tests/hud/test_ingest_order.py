"""Ingestion gives the same tables in any order, with repeats and stale reports, in any split into batches.

Against the real PostgreSQL: each example runs in a savepoint that is rolled back.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hud import derive, ingest
from hud.cells import Outcome
from hud.models import (
    Branch,
    BranchCommit,
    Break,
    Commit,
    CommitCells,
    Configuration,
    Repository,
    Run,
    Signal,
    SyncedPage,
    WaitingJob,
    WorkflowRun,
)
from project.github.client import Validator
from project.github.payloads import (
    BranchPayload,
    CheckRunPayload,
    CommitPayload,
    Conclusion,
    JobPayload,
    RepositoryPayload,
    Status,
    StatusPayload,
    WorkflowRunPayload,
)
from tests.hud.worlds import batch, minutes

SHAS = [f"{n:x}" * 40 for n in range(1, 5)]


def commit(n: int) -> CommitPayload:
    parents = (SHAS[n - 1],) if n else ("0" * 40,)
    return CommitPayload(SHAS[n], parents, f"Change {n} (#{100 + n})\n\nWhy.", "ash", "Ash", minutes(n), minutes(n), "")


def workflow_run(id: int, sha: str, status: Status, conclusion=Conclusion.NONE, attempt=1, at=5, name="pull"):
    return WorkflowRunPayload(
        id, name, ".github/workflows/pull.yml", "push", sha, "main", 1, attempt, status, conclusion, minutes(5),
        minutes(at), minutes(5), 9000 + id, "ash", "",
    )  # fmt: skip


def job(id: int, name: str, status: Status, conclusion=Conclusion.NONE, *, run=1, attempt=1, sha=SHAS[1], start=6,
        end=None, workflow: str | None = "pull"):  # fmt: skip
    return JobPayload(
        id, run, attempt, workflow, name, sha, "main", status, conclusion, minutes(5),
        None if start is None else minutes(start), None if end is None else minutes(end), "runner-1", (), "",
    )  # fmt: skip


Q, B, D = Status.QUEUED, Status.IN_PROGRESS, Status.COMPLETED
OK, BAD = Conclusion.SUCCESS, Conclusion.FAILURE
SHARD1, SHARD2 = "linux / test (default, 1, 2, linux.2xlarge)", "linux / test (default, 2, 2, linux.2xlarge)"

EVENTS = [
    RepositoryPayload(77, "grove", "orchard", "main", "https://example.invalid/grove/orchard", False, False),
    BranchPayload("main", SHAS[3], False),
    *(commit(n) for n in range(4)),
    workflow_run(1, SHAS[1], B),
    workflow_run(1, SHAS[1], D, BAD, at=30),
    workflow_run(1, SHAS[1], B, attempt=2, at=31),
    workflow_run(1, SHAS[1], D, OK, attempt=2, at=60),
    job(11, SHARD1, Q, start=5), job(11, SHARD1, B), job(11, SHARD1, D, OK, end=20),
    job(12, SHARD2, B), job(12, SHARD2, D, BAD, end=30),
    job(13, SHARD1, D, OK, attempt=2, end=20),  # the clone that "re-run failed jobs" makes
    job(14, SHARD2, B, attempt=2, start=32), job(14, SHARD2, D, OK, attempt=2, start=32, end=60),
    workflow_run(2, SHAS[2], B, name="trunk"),
    workflow_run(2, SHAS[2], D, OK, name="trunk", at=40),
    job(21, "win / build", B, run=2, sha=SHAS[2], workflow=None),
    job(21, "win / build", D, BAD, run=2, sha=SHAS[2], workflow=None, end=22),
    job(22, "mac / build", B, run=2, sha=SHAS[2], workflow=None),  # its completion was lost
    job(23, "gone / build", B, run=3, sha=SHAS[2], workflow=None),  # its workflow run was lost
    workflow_run(4, SHAS[3], D, Conclusion.STARTUP_FAILURE, name="broken"),
    CheckRunPayload(31, "coverage", "meter", "Meter", SHAS[3], B, Conclusion.NONE, minutes(6), None, "", 8),
    CheckRunPayload(31, "coverage", "meter", "Meter", SHAS[3], D, OK, minutes(6), minutes(9), "", 8),
    CheckRunPayload(31, "coverage", "meter", "Meter", SHAS[3], B, Conclusion.NONE, minutes(20), None, "", 8),
    # Actions tells its jobs as check runs too: these are jobs 21 and 24, and one of a workflow run that was lost
    CheckRunPayload(21, "win / build", "github-actions", "", SHAS[2], B, Conclusion.NONE, minutes(6), None, "", 9002),
    CheckRunPayload(24, "bsd / build", "github-actions", "Actions", SHAS[2], D, OK, minutes(6), minutes(8), "", 9002),
    job(24, "bsd / build", D, OK, run=2, sha=SHAS[2], end=8, workflow="trunk"),
    CheckRunPayload(32, "any", "github-actions", "GitHub Actions", SHAS[3], D, OK, minutes(6), minutes(9), "", 8),
    StatusPayload(41, "ci/legacy", "pending", B, Conclusion.NONE, SHAS[3], "", minutes(6), minutes(6)),
    StatusPayload(42, "ci/legacy", "failure", D, BAD, SHAS[3], "", minutes(8), minutes(8)),
    # A break: passed on the first commit, failed on the third and fourth
    job(51, "sun / build", D, OK, run=5, sha=SHAS[0], end=9, workflow="night"),
    job(52, "sun / build", B, run=6, sha=SHAS[2], workflow="night"),
    job(52, "sun / build", D, BAD, run=6, sha=SHAS[2], end=9, workflow="night"),
    job(53, "sun / build", D, BAD, run=7, sha=SHAS[3], end=9, workflow="night"),
]  # fmt: skip


def snapshot(repository: Repository) -> dict[str, object]:
    """Everything stored, without surrogate keys."""
    slots = {c.slot: c.full_name for c in Configuration.objects.filter(repository=repository)}
    return {
        "repository": Repository.objects.values("github_id", "owner", "name", "trunk").get(pk=repository.pk),
        "commits": sorted(Commit.objects.values_list(
            "sha", "parent_sha", "title", "message", "author_login", "committed_at", "pr_number")),
        "branches": sorted(Branch.objects.values_list("name", "head_sha", "seen_at", "deleted_at")),
        "order": list(BranchCommit.objects.order_by("-position").values_list("commit__sha", flat=True)),
        "configurations": sorted(Configuration.objects.values_list("workflow", "name", "group", "group_order")),
        "workflow_runs": sorted(WorkflowRun.objects.values_list(
            "id", "commit__sha", "workflow", "attempt", "status", "conclusion", "updated_at")),
        "runs": sorted(Run.objects.values_list(
            "id", "commit__sha", "configuration__workflow", "job_name__name", "attempt", "status", "conclusion",
            "workflow_run_id", "runner"), key=str),
        "times": dict(Run.objects.values_list("id", "started_at")),
        "cells": {
            sha: {slots[slot]: Outcome(byte).name for slot, byte in enumerate(cells) if byte}
            for sha, cells in CommitCells.objects.values_list("commit__sha", "cells")
        },
        "signals": sorted(Signal.objects.values_list(
            "configuration__name", "test", "decision", "code", "red", "suspect", "culprit", "restart", "failures",
            "evidence", "broke_at"), key=str),
        "breaks": sorted(
            (one.suspect.sha, one.title, one.broke_at, one.decision, one.code, sorted(
                one.members.filter(left_at=None).values_list("configuration__name", flat=True)))
            for one in Break.objects.filter(closed_at=None).select_related("suspect")
        ),
        "waiting": sorted(WaitingJob.objects.values_list("workflow_run_id", "key")),
    }  # fmt: skip


@contextmanager
def undone():
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def ingested(batches, key=lambda repository: None) -> dict[str, object]:
    with undone():
        repository, _ = ingest.add_repository("grove", "orchard", trunk="main")
        for events in batches:
            ingest.store(repository.pk, batch(events))
        result = snapshot(repository)
        for commit_id, cells in CommitCells.objects.values_list("commit_id", "cells"):
            assert derive.rebuilt_cells(commit_id) == bytes(cells)
        # waiting keys hash the repository's id, which differs between examples
        result["waiting"] = [run_id for run_id, _ in result["waiting"]]
        return result


@pytest.fixture(scope="module")
def _expected_once():
    return {}


@pytest.fixture
def expected(db, _expected_once):
    if not _expected_once:
        _expected_once.update(ingested([EVENTS]))
    return _expected_once


def test_what_is_stored_is_what_was_said(expected):
    assert expected["order"] == SHAS[::-1]
    assert expected["cells"] == {
        SHAS[1]: {"pull / linux / test (default)": "FLAKY"},
        SHAS[2]: {"trunk / win / build": "FAILED", "trunk / mac / build": "OVERDUE", "trunk / bsd / build": "PASSED",
                  "night / sun / build": "FAILED"},
        SHAS[3]: {"broken / startup": "FAILED", "Meter / coverage": "RUNNING", "status / ci/legacy": "FAILED",
                  "night / sun / build": "FAILED"},
        SHAS[0]: {"night / sun / build": "PASSED"},
    }  # fmt: skip
    assert [(sha, title, names) for sha, title, *_, names in expected["breaks"]] == [
        (SHAS[2], "sun / build fails", ["sun / build"])
    ]
    assert expected["waiting"] == [3]
    assert [row[6] for row in expected["commits"]] == [100, 101, 102, 103]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_order_any_repetition_any_split_gives_the_same_tables(expected, data):
    events = data.draw(st.permutations(EVENTS + data.draw(st.lists(st.sampled_from(EVENTS), max_size=12))))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(events)), max_size=8)))
    batches = [events[a:b] for a, b in zip([0, *cuts], [*cuts, len(events)], strict=True)]
    assert ingested(batches) == expected


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_was_lost_first_and_found_by_a_sweep_later_makes_no_difference(expected, data):
    lost = data.draw(st.sets(st.integers(0, len(EVENTS) - 1)))
    first = [event for n, event in enumerate(EVENTS) if n not in lost]
    assert ingested([data.draw(st.permutations(first)), data.draw(st.permutations(EVENTS))]) == expected


@pytest.mark.django_db
def test_storing_the_same_again_changes_nothing_not_even_the_version():
    repository, _ = ingest.add_repository("grove", "orchard", trunk="main")
    first = ingest.store(repository.pk, batch(EVENTS))
    again = ingest.store(repository.pk, batch(EVENTS))
    assert again.version == first.version
    assert (again.cells, again.commits) == (0, 0)


@pytest.mark.django_db
def test_a_late_in_progress_never_hides_completed():
    repository, _ = ingest.add_repository("grove", "orchard", trunk="main")
    ingest.store(repository.pk, batch([job(11, "a / build", D, OK, end=20)]))
    ingest.store(repository.pk, batch([job(11, "a / build", B)]))
    assert Run.objects.get().status == D


@pytest.mark.django_db
def test_a_newer_answer_about_a_branch_wins_however_late_the_older_is_stored():
    repository, _ = ingest.add_repository("grove", "orchard", trunk="main")
    commits = [commit(n) for n in range(4)]
    ingest.store(repository.pk, batch([*commits, BranchPayload("main", SHAS[3], False)], minutes(2)))
    ingest.store(repository.pk, batch([BranchPayload("main", SHAS[2], False)], minutes(1)))
    assert Branch.objects.get().head_sha == SHAS[3]


@pytest.mark.django_db
def test_a_forced_push_takes_what_the_head_no_longer_reaches_off_the_branch():
    repository, _ = ingest.add_repository("grove", "orchard", trunk="main")
    commits = [commit(n) for n in range(4)]
    ingest.store(repository.pk, batch([*commits, BranchPayload("main", SHAS[3], False)], minutes(2)))
    other = replace(commits[3], sha="f" * 40, parents=(SHAS[1],))
    ingest.store(repository.pk, batch([other, BranchPayload("main", "f" * 40, False)], minutes(3)))
    assert snapshot(repository)["order"] == ["f" * 40, SHAS[1], SHAS[0]]
    assert Branch.objects.get().forced_at == minutes(3)


@pytest.mark.django_db
def test_a_branch_missing_from_the_full_list_is_deleted_and_may_return():
    repository, _ = ingest.add_repository("grove", "orchard", trunk="main")
    main, side = BranchPayload("main", SHAS[0], False), BranchPayload("side", SHAS[0], False)
    ingest.store(repository.pk, replace(batch([main, side], minutes(1)), all_branches=True))
    ingest.store(repository.pk, replace(batch([main], minutes(2)), all_branches=True))
    assert Branch.objects.get(name="side").deleted_at == minutes(2)
    ingest.store(repository.pk, replace(batch([main, side], minutes(3)), all_branches=True))
    assert Branch.objects.get(name="side").deleted_at is None


@pytest.mark.django_db
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (1, 2, 0)])
def test_a_branch_that_was_not_found_by_name_is_deleted_until_it_is_seen_again(order):
    repository, _ = ingest.add_repository("grove", "orchard", trunk="main")
    side = BranchPayload("side", SHAS[0], False)
    batches = [
        batch([side], minutes(1)),
        replace(batch([], minutes(2)), gone_branches=["side"]),
        batch([side], minutes(3)),
    ]
    ingest.store(repository.pk, batches[0])
    ingest.store(repository.pk, batches[1])
    assert Branch.objects.get().deleted_at == minutes(2)
    for n in order:
        ingest.store(repository.pk, batches[n])
    assert Branch.objects.get().deleted_at is None


@pytest.mark.django_db
def test_a_renamed_job_leaves_the_square_of_its_old_name():
    repository, _ = ingest.add_repository("grove", "orchard", trunk="main")
    ingest.store(repository.pk, batch([job(11, "${{ matrix }} / build", B)]))
    ingest.store(repository.pk, batch([job(11, "linux / build", D, OK, end=9)]))
    assert snapshot(repository)["cells"] == {SHAS[1]: {"pull / linux / build": "PASSED"}}


@pytest.mark.django_db
@pytest.mark.parametrize(("event", "cells"), [("push", ["PASSED"]), ("workflow_run", [])])
def test_what_another_workflow_started_is_no_evidence_about_the_commit(event, cells):
    repository, _ = ingest.add_repository("grove", "orchard", trunk="main")
    run = replace(workflow_run(1, SHAS[1], B), event=event)
    check = CheckRunPayload(
        5, "a / build", "github-actions", "GitHub Actions", SHAS[1], D, OK, minutes(6), minutes(8), "", 9001
    )
    ingest.store(repository.pk, batch([run]))
    ingest.store(repository.pk, batch([check]))
    assert [name for by_name in snapshot(repository)["cells"].values() for name in by_name.values()] == cells


@pytest.mark.django_db
def test_a_page_of_check_runs_is_asked_again_until_its_workflow_runs_are_known():
    repository, _ = ingest.add_repository("grove", "orchard", trunk="main")
    check = CheckRunPayload(
        5, "a / build", "github-actions", "GitHub Actions", SHAS[1], D, OK, minutes(6), minutes(8), "", 9001
    )
    page = replace(batch([check]), validators=[Validator("k" * 64, "", "an-etag", None)])
    ingest.store(repository.pk, page)
    assert not SyncedPage.objects.exists()
    ingest.store(repository.pk, batch([workflow_run(1, SHAS[1], B)]))
    ingest.store(repository.pk, page)
    assert SyncedPage.objects.exists()
    assert Run.objects.exists()


@pytest.mark.django_db
def test_an_error_stores_nothing_of_the_batch(monkeypatch):
    repository, _ = ingest.add_repository("grove", "orchard", trunk="main")
    monkeypatch.setattr(derive, "branch_order", lambda *a: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        ingest.store(repository.pk, batch(EVENTS))
    assert not Commit.objects.exists()
    assert not Run.objects.exists()

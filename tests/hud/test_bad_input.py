"""What GitHub should never send, on the real road: parsed, stored or set aside with a reason, and shown as text."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from hud import ingest
from hud.cells import Outcome
from hud.models import Commit, CommitCells, Configuration, Run, SetAside, WaitingJob
from project.github.payloads import (
    BranchPayload,
    parse_branch,
    parse_check_run,
    parse_commit,
    parse_job,
    parse_many,
    parse_workflow_run,
)

AT = datetime(2026, 1, 5, 12, tzinfo=UTC)
SHA = "a" * 40
LONG = "x" * 10_000


def job(**changes):
    return {
        "id": 1, "run_id": 7, "run_attempt": 1, "workflow_name": "pull", "name": "linux / build", "head_sha": SHA,
        "head_branch": "main", "status": "completed", "conclusion": "success", "created_at": "2026-01-05T10:00:00Z",
        "started_at": "2026-01-05T10:01:00Z", "completed_at": "2026-01-05T10:09:00Z", "runner_name": "r1",
        "labels": [], "html_url": "https://example.invalid/1",
    } | changes  # fmt: skip


def commit(**changes):
    person = {"name": "Ash", "date": "2026-01-05T10:00:00Z"}
    return {
        "sha": SHA, "parents": [], "html_url": "", "author": {"login": "ash"},
        "commit": {"message": "A change", "author": person, "committer": person},
    } | changes  # fmt: skip


@pytest.fixture
def repository(db):
    return ingest.add_repository("grove", "orchard", trunk="main")[0]


def store(repository, **raw):
    """Through the parsers and into the tables, as a poll would."""
    parsers = {
        "jobs": parse_job, "commits": parse_commit, "workflow_runs": parse_workflow_run, "branches": parse_branch,
        "check_runs": parse_check_run,
    }  # fmt: skip
    fields, rejected = {}, []
    for kind, payloads in raw.items():
        fields[kind], refused = parse_many(parsers[kind], payloads, kind)
        rejected += refused
    ingest.store(repository.pk, ingest.Batch(asked_at=AT, rejected=rejected, **fields))


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        ({"id": "seven"}, "id"),
        ({"id": 2**70}, "id"),
        ({"name": None}, "name"),
        ({"head_sha": "not a sha"}, "head_sha"),
        ({"run_id": None}, "run_id"),
        ({"run_attempt": 10**9}, "run_attempt"),
    ],
)
def test_what_cannot_be_stored_is_set_aside_with_a_reason_and_nothing_else_is_lost(repository, broken, named):
    store(repository, jobs=[job(), job(**({"id": 2} | broken)), job(id=3, name="mac / build")])
    assert Run.objects.count() == 2
    aside = SetAside.objects.get()
    assert named in aside.reason
    assert aside.payload


@pytest.mark.parametrize("nonsense", [None, 5, "a job", [], True])
def test_something_that_is_no_object_at_all_is_set_aside(repository, nonsense):
    store(repository, jobs=[nonsense, job()])
    assert Run.objects.count() == SetAside.objects.count() == 1


def test_the_same_nonsense_again_is_counted_and_not_kept_twice(repository):
    for _ in range(3):
        store(repository, jobs=[{"id": None}])
    assert SetAside.objects.get().times == 3


def test_unknown_words_are_kept_as_unknown(repository):
    store(
        repository, jobs=[job(conclusion="exploded"), job(id=2, name="mac / build", status="dreaming", conclusion=None)]
    )
    cells = bytes(CommitCells.objects.get().cells)
    assert sorted(Outcome(code) for code in cells) == [Outcome.CANCELLED, Outcome.QUEUED]
    assert not SetAside.objects.exists()


def test_absurd_dates_are_left_out(repository):
    store(repository, jobs=[job(started_at="0001-01-01T00:00:00Z", completed_at="9999-12-31T23:59:59Z")])
    run = Run.objects.get()
    assert (run.started_at, run.completed_at) == (None, None)


def test_names_of_any_length_nul_bytes_marks_and_html_are_stored_as_text(repository):
    wild = "\0<script>alert(1)</script>\u202e" + LONG
    message = f"<b>bold</b>\0 \u202eesrever\n{LONG}"
    store(
        repository,
        jobs=[job(name=wild, workflow_name=wild, runner_name=wild)],
        commits=[commit(commit={**commit()["commit"], "message": message})],
    )
    configuration = Configuration.objects.get()
    assert configuration.name.startswith("<script>")
    assert len(configuration.name) <= 500
    assert Commit.objects.get().title.startswith("<b>bold</b>")
    assert "\0" not in configuration.full_name + Commit.objects.get().message + Run.objects.get().runner


def test_the_longest_names_fit_whatever_they_are_written_in(repository):
    tall = "".join(chr(0x1F300 + n % 500) for n in range(600))
    store(repository, jobs=[job(name=tall, workflow_name=tall), job(id=2, name=tall + "!", workflow_name=tall)])
    assert Run.objects.count() == 2


def test_a_run_without_a_commit_holds_the_commits_place(repository):
    store(repository, jobs=[job()])
    assert Commit.objects.get().committed_at is None
    store(repository, commits=[commit()])
    assert Commit.objects.get().title == "A change"


def test_a_job_without_a_run_or_workflow_waits(repository):
    store(repository, jobs=[job(workflow_name=None)])
    assert not Run.objects.exists()
    assert WaitingJob.objects.get().workflow_run_id == 7


def test_one_id_under_two_names_in_one_batch_is_one_run(repository):
    store(repository, jobs=[job(), job(name="mac / build")])
    assert Run.objects.count() == 1
    assert sum(code != 0 for code in bytes(CommitCells.objects.get().cells)) == 1


def test_a_branch_whose_head_is_unknown_keeps_what_was_shown(repository):
    ingest.store(repository.pk, ingest.Batch(asked_at=AT, branches=[BranchPayload("main", "b" * 40, False)]))
    assert repository.branch_set.get().head_sha == "b" * 40


@pytest.mark.parametrize("path", ["/", "/status", "/hud/grove/orchard/main", f"/hud/grove/orchard/commit/{SHA}"])
def test_hostile_text_is_text_on_every_page(repository, client, path):
    evil = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
    store(
        repository,
        branches=[{"name": "main", "commit": {"sha": SHA}, "protected": False}],
        commits=[commit(commit={**commit()["commit"], "message": evil}, author={"login": evil})],
        jobs=[job(name=evil, workflow_name=evil, conclusion="failure"), {"id": evil}],
    )
    page = client.get(path, follow=True)
    assert page.status_code == 200
    text = page.content.decode()
    assert "<script>alert" not in text
    assert "<img src=x" not in text

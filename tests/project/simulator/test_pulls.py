"""Pull requests of the simulated GitHub: their shapes, their lives, and why their checks fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from project.simulator.clock import Clock, parse_iso
from project.simulator.history import DAY
from project.simulator.pull_state import item, recent
from project.simulator.running import Running, running_simulator
from project.simulator.world import World
from tests.project.simulator.conftest import START
from tests.project.simulator.test_payloads import typed_client

NOW = parse_iso(START)


@pytest.fixture(scope="module")
def github(frozen: Running) -> Iterator[Any]:
    with typed_client(frozen) as client:
        yield client


@pytest.fixture(scope="module")
def at(frozen: Running) -> dict[str, str]:
    return {"owner": frozen.world.owner, "repo": frozen.world.repo}


def world(scale: str = "tiny", seed: int = 1) -> World:
    return World(seed=seed, scale=scale, clock=Clock(start=NOW, speed=0))


def test_lists_and_single_pull_requests(github: Any, at: dict[str, str]) -> None:
    opened = github.rest.pulls.list(**at, per_page=100).parsed_data
    assert 15 <= len(opened) <= 60
    assert {pull.state for pull in opened} == {"open"}
    closed = github.rest.pulls.list(**at, state="closed", sort="updated", direction="desc", per_page=30).parsed_data
    assert [pull.updated_at for pull in closed] == sorted((p.updated_at for p in closed), reverse=True)
    assert any(pull.merged_at for pull in closed)
    for pull in [*opened[:5], *closed[:5]]:
        whole = github.rest.pulls.get(**at, pull_number=pull.number).parsed_data
        assert (whole.head.sha, whole.merged) == (pull.head.sha, pull.merged_at is not None)
        commits = github.rest.pulls.list_commits(**at, pull_number=pull.number).parsed_data
        assert whole.commits == len(commits)
        assert commits[-1].sha == pull.head.sha
        assert commits[0].parents[0].sha == pull.base.sha
        files = github.rest.pulls.list_files(**at, pull_number=pull.number).parsed_data
        assert whole.changed_files == len(files) > 0
        for review in github.rest.pulls.list_reviews(**at, pull_number=pull.number).parsed_data:
            assert review.state == "APPROVED"
        issue = github.rest.issues.get(**at, issue_number=pull.number).parsed_data
        assert (issue.title, issue.state) == (pull.title, pull.state)
        assert issue.pull_request
        compared = github.rest.repos.compare_commits(**at, basehead=f"{pull.base.ref}...{pull.head.sha}").parsed_data
        assert compared.merge_base_commit.sha == pull.base.sha
        assert compared.ahead_by == len(commits)
        assert {file.filename for file in compared.files} == {file.filename for file in files}


def test_a_merged_pull_request_and_its_commit(frozen: Running, get: Any) -> None:
    commit = get(frozen, "R/commits?per_page=5").json()[3]
    pulls = get(frozen, f"R/commits/{commit['sha']}/pulls").json()
    assert [pull["merge_commit_sha"] for pull in pulls] == [commit["sha"]]
    assert f"(#{pulls[0]['number']})" in commit["commit"]["message"]
    assert pulls[0]["merged_at"] == commit["commit"]["committer"]["date"]


def test_where_a_bot_lands_nothing_is_merged() -> None:
    w = world("pytorch")
    commit = w.resolve("main", NOW)
    assert commit is not None
    found = item(w, commit.number, NOW)
    assert found is not None
    assert (found.state, found.merged_at, found.landed) == ("closed", None, commit)
    assert "Merged" in found.labels
    assert any("Merge started" in comment.body for comment in found.comments)


def test_force_pushes_are_on_the_timeline(frozen: Running, github: Any, at: dict[str, str], get: Any) -> None:
    found = next(
        one for one in recent(frozen.world, NOW) if one.state == "open" and any(push.forced for push in one.pushes)
    )
    entries = get(frozen, f"R/issues/{found.number}/timeline?per_page=100").json()
    pushed = [entry for entry in entries if entry["event"] == "head_ref_force_pushed"]
    forced = [push.head.sha for push in found.pushes if push.forced]
    assert [entry["commit_id"] for entry in pushed] == forced
    gone = pushed[0]["before_commit"]["oid"]
    runs = get(frozen, f"R/actions/runs?head_sha={gone}").json()["workflow_runs"]
    assert {run["event"] for run in runs} == {"pull_request"}
    assert gone not in {entry.get("sha") for entry in entries if entry["event"] == "committed"}


def test_checks_of_a_head(frozen: Running, github: Any, at: dict[str, str]) -> None:
    pull = github.rest.pulls.list(**at, per_page=100).parsed_data[10]
    runs = github.rest.actions.list_workflow_runs_for_repo(**at, head_sha=pull.head.sha).parsed_data.workflow_runs
    assert {"pull", "lint"} <= {run.name for run in runs}
    assert {(run.event, run.head_branch) for run in runs} == {("pull_request", pull.head.ref)}
    for run in runs:
        jobs = github.rest.actions.list_jobs_for_workflow_run(**at, run_id=run.id).parsed_data.jobs
        for job in jobs[:2]:
            same = github.rest.actions.get_job_for_workflow_run(**at, job_id=job.id).parsed_data
            assert same.head_sha == run.head_sha
    checks = github.rest.checks.list_for_ref(**at, ref=pull.head.sha, per_page=100).parsed_data
    assert checks.total_count >= 5


def test_they_fail_for_every_reason() -> None:
    w = world("default")
    told = w.truth(NOW - 3 * DAY, NOW)["pull_failures"]
    assert set(Counter(failure["why"] for failure in told)) == {"new", "broken_trunk", "flaky", "unstable", "infra"}
    breaks = {b.key: b for b in w.breaks(NOW - 12 * DAY, NOW)}
    for failure in told:
        job = w.job(failure["job_id"], NOW)
        assert job is not None
        if failure["why"] == "broken_trunk":
            base = w.base(job[0].commit)
            assert base is not None
            assert breaks[failure["broken_by"]].failure == job[1].failure
            assert breaks[failure["broken_by"]] in w.history.active_breaks(base)
        elif failure["why"] == "new":
            assert failure["broken_by"] == f"pull-{failure['pull']}"


def test_some_flakes_are_alike_on_unrelated_commits() -> None:
    w = world("default")
    found: dict[str, set[str]] = {}
    for run in w.runs(NOW):
        if run.created < NOW - 6 * DAY:
            break
        for attempt in w.attempts(run, NOW):
            for job in attempt.jobs:
                if job.failure and job.failure.kind == "pytest" and not job.broken_by and not job.unstable:
                    found.setdefault(job.failure.lines[0], set()).add(run.commit.sha)
    assert max(len(commits) for commits in found.values()) >= 4


def test_same_seed_same_pull_requests() -> None:
    one, two = world(), world()
    list(two.runs(NOW))  # other questions before make no difference
    assert [(p.number, p.title, p.head, p.labels) for p in recent(one, NOW)] == [
        (p.number, p.title, p.head, p.labels) for p in recent(two, NOW)
    ]
    with running_simulator(start=START, speed=0) as a, running_simulator(start=START, speed=0) as b:
        pages = [
            requests.get(f"{running}/repos/{running.full_name}/pulls?per_page=50", timeout=10).text.replace(
                running.url, ""
            )
            for running in (a, b)
        ]
    assert pages[0] == pages[1]


def test_files_of_commits_overlap_now_and_then(github: Any, at: dict[str, str]) -> None:
    touched: Counter[str] = Counter()
    commits = github.rest.repos.list_commits(**at, per_page=40).parsed_data
    for commit in commits:
        files = github.rest.repos.get_commit(**at, ref=commit.sha).parsed_data.files
        assert 1 <= len(files) <= 8
        touched.update(file.filename for file in files)
    assert touched.most_common(1)[0][1] >= 3
    assert len(touched) > 20


def test_issues_list_has_pull_requests(github: Any, at: dict[str, str]) -> None:
    issues = github.rest.issues.list_for_repo(
        **at, state="all", sort="updated", since="2026-11-18T10:00:00Z", per_page=100
    ).parsed_data
    assert issues
    assert all(issue.pull_request for issue in issues)
    assert all(issue.updated_at.isoformat() >= "2026-11-18T10" for issue in issues)

"""Every endpoint's answer, read by githubkit, whose models are generated from GitHub's own API description."""

from collections.abc import Iterator
from typing import Any

import pytest
from githubkit import GitHub, TokenAuthStrategy

from project.simulator.running import Running, running_simulator
from tests.project.simulator.conftest import START


def typed_client(running: Running) -> GitHub[Any]:
    """As a context manager it keeps one connection, which saves most of the time."""
    return GitHub(TokenAuthStrategy("typed"), base_url=running.url, http_cache=False, auto_retry=False)


@pytest.fixture(scope="module")
def github(frozen: Running) -> Iterator[Any]:
    with typed_client(frozen) as client:
        yield client


@pytest.fixture(scope="module")
def at(frozen: Running) -> dict[str, str]:
    return {"owner": frozen.world.owner, "repo": frozen.world.repo}


def test_repository_branches_commits(github: Any, at: dict[str, str]) -> None:
    repository = github.rest.repos.get(**at).parsed_data
    assert repository.default_branch == "main"
    branches = github.rest.repos.list_branches(**at).parsed_data
    names = [branch.name for branch in branches]
    assert {"main", "viable/strict"} <= set(names)
    for name in names:
        assert github.rest.repos.get_branch(**at, branch=name).parsed_data.name == name
    commits = github.rest.repos.list_commits(**at, sha="main", per_page=100).parsed_data
    assert len(commits) == 100
    assert commits[0].sha == next(b.commit.sha for b in branches if b.name == "main")
    assert commits[0].parents[0].sha == commits[1].sha
    commit = github.rest.repos.get_commit(**at, ref=commits[3].sha).parsed_data
    assert commit.sha == commits[3].sha
    assert commit.files[0].filename
    assert github.rest.repos.get_commit(**at, ref="viable/strict").parsed_data.sha
    compared = github.rest.repos.compare_commits(**at, basehead=f"{commits[5].sha}...main").parsed_data
    assert [c.sha for c in compared.commits] == [c.sha for c in reversed(commits[:5])]


@pytest.mark.parametrize("scale", ["tiny", "default"])
def test_runs_and_jobs(scale: str) -> None:
    github: Any
    with running_simulator(scale=scale, start=START, speed=0) as running, typed_client(running) as github:
        at = {"owner": running.world.owner, "repo": running.world.repo}
        listed = github.rest.actions.list_workflow_runs_for_repo(**at, per_page=100).parsed_data
        assert listed.total_count > 1000
        assert len(listed.workflow_runs) == 100
        created = [run.created_at for run in listed.workflow_runs]
        assert created == sorted(created, reverse=True)
        assert {run.status for run in listed.workflow_runs} > {"completed"}
        for run in listed.workflow_runs[:30]:
            assert github.rest.actions.get_workflow_run(**at, run_id=run.id).parsed_data == run
            jobs = github.rest.actions.list_jobs_for_workflow_run(**at, run_id=run.id, per_page=100).parsed_data
            for number in range(1, run.run_attempt + 1):
                attempt = github.rest.actions.get_workflow_run_attempt(
                    **at, run_id=run.id, attempt_number=number
                ).parsed_data
                assert attempt.run_attempt == number
                own = github.rest.actions.list_jobs_for_workflow_run_attempt(
                    **at, run_id=run.id, attempt_number=number, per_page=100
                ).parsed_data
                assert {job.run_attempt for job in own.jobs} <= {number}
            assert [job.id for job in own.jobs] == [job.id for job in jobs.jobs]
            for job in jobs.jobs[:2]:
                assert github.rest.actions.get_job_for_workflow_run(**at, job_id=job.id).parsed_data == job
                check = github.rest.checks.get(**at, check_run_id=job.id).parsed_data
                assert (check.id, check.name, check.conclusion) == (job.id, job.name, job.conclusion)


def test_a_re_run_over_http(github: Any, at: dict[str, str], frozen: Running) -> None:
    world = frozen.world
    run = next(r for r in world.runs(world.now()) if len(world.attempts(r, world.now())) > 1)
    first = github.rest.actions.get_workflow_run_attempt(**at, run_id=run.id, attempt_number=1).parsed_data
    whole = github.rest.actions.get_workflow_run(**at, run_id=run.id).parsed_data
    assert (whole.id, whole.run_number, whole.created_at) == (first.id, first.run_number, first.created_at)
    assert whole.run_attempt >= 2
    assert whole.run_started_at > first.run_started_at
    every = github.rest.actions.list_jobs_for_workflow_run(**at, run_id=run.id, filter_="all", per_page=100).parsed_data
    by_attempt: dict[int, dict[str, Any]] = {}
    for job in every.jobs:
        by_attempt.setdefault(job.run_attempt, {})[job.name] = job
    cloned = [
        (job, by_attempt[2][name])
        for name, job in by_attempt[1].items()
        if name in by_attempt[2] and by_attempt[2][name].started_at == job.started_at
    ]
    assert cloned
    assert all(old.id != new.id and old.completed_at == new.completed_at for old, new in cloned)


def test_checks_and_statuses(github: Any, at: dict[str, str], frozen: Running) -> None:
    commits = github.rest.repos.list_commits(**at, per_page=20).parsed_data
    for ref in ("main", commits[9].sha, "viable/strict"):
        suites = github.rest.checks.list_suites_for_ref(**at, ref=ref, per_page=100).parsed_data
        assert suites.total_count >= 4
        assert {suite.app.slug for suite in suites.check_suites} >= {"github-actions"}
        for suite in suites.check_suites:
            assert github.rest.checks.get_suite(**at, check_suite_id=suite.id).parsed_data == suite
            inside = github.rest.checks.list_for_suite(**at, check_suite_id=suite.id, per_page=100).parsed_data
            assert inside.total_count == suite.latest_check_runs_count
        latest = github.rest.checks.list_for_ref(**at, ref=ref, per_page=100).parsed_data
        every = github.rest.checks.list_for_ref(**at, ref=ref, filter_="all", per_page=100).parsed_data
        assert every.total_count >= latest.total_count
        combined = github.rest.repos.get_combined_status_for_ref(**at, ref=ref).parsed_data
        history = github.rest.repos.list_commit_statuses_for_ref(**at, ref=ref).parsed_data
        assert combined.total_count == len({entry.context for entry in history})
        assert [entry.id for entry in history] == sorted((entry.id for entry in history), reverse=True)
    other = github.rest.checks.list_for_ref(**at, ref=commits[9].sha, app_id=91_001).parsed_data
    assert {check.name for check in other.check_runs} == {"style / formatting", "style / licences"}
    assert all(check.app.slug == "leaf-style" for check in other.check_runs)
    name = "quick-checks / linux-job"
    named = github.rest.checks.list_for_ref(**at, ref=commits[9].sha, check_name=name).parsed_data
    assert {check.name for check in named.check_runs} == {name}


def test_rate_limit_and_installation_token(github: Any, frozen: Running) -> None:
    overview = github.rest.rate_limit.get().parsed_data
    assert overview.resources.core.limit == 1_000_000


def test_filters(github: Any, at: dict[str, str]) -> None:
    def runs(**filters: Any) -> Any:
        return github.rest.actions.list_workflow_runs_for_repo(**at, per_page=100, **filters).parsed_data

    newest = runs().workflow_runs[0]
    same = runs(head_sha=newest.head_sha)
    assert same.total_count == len(same.workflow_runs)
    assert {run.head_sha for run in same.workflow_runs} == {newest.head_sha}
    assert runs(head_sha=newest.head_sha[:10]).total_count == 0
    assert {run.event for run in runs(event="schedule").workflow_runs} == {"schedule"}
    assert runs(branch="main").total_count == 1000
    assert {run.status for run in runs(status="in_progress").workflow_runs} == {"in_progress"}
    assert {run.conclusion for run in runs(status="failure").workflow_runs} == {"failure"}
    day = runs(created="2026-11-16..2026-11-16")
    assert day.total_count > 20
    assert {run.created_at.day for run in day.workflow_runs} == {16}
    after = runs(created=">=2026-11-18T12:00:00Z")
    assert all(run.created_at.hour >= 12 and run.created_at.day == 18 for run in after.workflow_runs)
    assert runs(check_suite_id=newest.check_suite_id).workflow_runs[0].id == newest.id

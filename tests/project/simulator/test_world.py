"""The world without HTTP: it depends on the seed and the moment alone, and tells a consistent story."""

import itertools
import time

import pytest

from project.simulator.catalogue import CATALOGUES
from project.simulator.clock import Clock, iso, parse_iso
from project.simulator.history import DAY
from project.simulator.plans import Run
from project.simulator.world import World

MOMENT = parse_iso("2026-11-18T16:00:00Z")


def world(scale: str = "tiny", seed: int = 1) -> World:
    return World(seed=seed, scale=scale, clock=Clock(start=MOMENT, speed=0))


def newest(w: World, count: int) -> list[str]:
    return [commit.sha for commit in itertools.islice(w.history.backwards(0, MOMENT), count)]


def recent_runs(w: World, count: int) -> list[Run]:
    return list(itertools.islice(w.runs(MOMENT), count))


def test_same_seed_same_world() -> None:
    assert newest(world(), 300) == newest(world(), 300)
    one, two = world(), world()
    assert [one.plans.attempts(r) for r in recent_runs(one, 60)] == [
        two.plans.attempts(r) for r in recent_runs(two, 60)
    ]


def test_other_seed_other_world() -> None:
    assert not set(newest(world(), 50)) & set(newest(world(seed=2), 50))


def test_the_order_of_questions_does_not_matter() -> None:
    forward, backward = world(), world()
    runs = recent_runs(forward, 80)
    first = {run.id: forward.plans.attempts(run) for run in runs}
    again = {run.id: backward.plans.attempts(run) for run in reversed(recent_runs(backward, 80))}
    assert first == again


@pytest.mark.parametrize(("scale", "configurations", "workflows"), [("default", 120, 14), ("pytorch", 400, 34)])
def test_size(scale: str, configurations: int, workflows: int) -> None:
    catalogue = CATALOGUES[scale]
    assert abs(len(catalogue.configurations) - configurations) <= 2
    assert len(set(catalogue.configurations)) == len(catalogue.configurations)
    assert len(catalogue.workflows) == workflows
    w = world(scale)
    days = range(int(MOMENT // DAY) - 60, int(MOMENT // DAY))
    mean = sum(len(w.history.times_of_day(0, day)) for day in days) / 60
    assert mean == pytest.approx(catalogue.commits_a_day, rel=0.1)


def test_a_pytorch_commit_has_about_600_jobs_on_25_runs() -> None:
    w = world("pytorch")
    commit = next(w.history.backwards(0, MOMENT - DAY))
    pushed = [run for run in w.runs_on(commit, MOMENT) if run.event == "push"]
    jobs = sum(len(w.plans.attempts(run)[0].jobs) for run in pushed if w.plans.attempts(run)[0].jobs)
    assert 24 <= len(pushed) <= 28
    assert 450 <= jobs <= 620
    assert len(w.branches(MOMENT)) == 5


def test_trunk_is_a_line() -> None:
    w = world()
    commits = list(itertools.islice(w.history.backwards(0, MOMENT), 250))
    for newer, older in itertools.pairwise(commits):
        assert newer.time > older.time
        assert w.parent(newer) == older
    assert len({commit.sha for commit in commits}) == 250
    assert len({commit.number for commit in commits}) == 250


def test_a_sha_leads_back_to_its_commit() -> None:
    w = world()
    for commit in itertools.islice(w.history.backwards(0, MOMENT), 100):
        assert len(commit.sha) == 40
        assert w.history.find(commit.sha) == commit
        assert w.history.find(commit.sha[:7]) == commit
        assert w.history.find(commit.sha[:-1] + ("0" if commit.sha[-1] != "0" else "1")) is None


def test_a_release_branch_goes_on_into_trunk() -> None:
    w = world("pytorch")
    for line, _ in w.history.releases(int(MOMENT // DAY)):
        commits = list(itertools.islice(w.history.backwards(line, MOMENT), 600))
        assert len(commits) == 600
        assert commits[-1].line == 0
        assert [c.time for c in commits] == sorted((c.time for c in commits), reverse=True)


def test_runs_are_counted_without_drawing_them() -> None:
    for scale in CATALOGUES:
        w = world(scale)
        for day in range(int(MOMENT // DAY) - 8, int(MOMENT // DAY)):
            assert w._count_of_day(day) == len(w._runs_of_day(day))


def test_numbers_are_unique() -> None:
    w = world("default")
    runs = recent_runs(w, 400)
    assert len({run.id for run in runs}) == len({run.suite_id for run in runs}) == 400
    assert len({(run.workflow.name, run.number) for run in runs}) == 400
    jobs = [job.id for run in runs for attempt in w.plans.attempts(run) for job in attempt.jobs]
    assert len(set(jobs)) == len(jobs)
    assert all(100_000_000_000 <= number < 2**53 for number in jobs)


def test_re_run_clones_what_it_does_not_run_again() -> None:
    w = world("default")
    seen = 0
    for run in recent_runs(w, 800):
        attempts = w.plans.attempts(run)
        for before, after in itertools.pairwise(attempts):
            seen += 1
            assert after.number == before.number + 1
            assert after.started > before.completed
            old = {job.name: job for job in before.jobs}
            for job in after.jobs:
                if job.clone_of is None:
                    assert job.created >= after.started
                    assert job.name not in old or old[job.name].conclusion != "success" or "/ test" in job.name
                else:
                    source = old[job.name]
                    assert job.id != source.id
                    assert (job.created, job.started, job.completed) == (
                        source.created,
                        source.started,
                        source.completed,
                    )
                    assert job.conclusion == source.conclusion
                    assert job.conclusion not in ("failure", "timed_out", "cancelled")
    assert seen > 10


def test_a_break_fails_everywhere_alike_until_it_is_fixed() -> None:
    w = world("default")
    checked = 0
    for found in w.breaks(MOMENT - 10 * DAY, MOMENT - 3 * DAY):
        assert found.culprit.time < found.fix.time
        if found.reverted:
            assert found.fix.title.startswith(f'Revert "{found.culprit.title}"')
            assert found.fix.reverts == found.culprit.sha
        for commit in w.history.backwards(0, found.fix.time - 1):
            if commit.time < found.culprit.time:
                break
            for run in w.plans.runs(commit.serial):
                for job in w.plans.attempts(run)[0].jobs:
                    if job.broken_by == found.key:
                        checked += 1
                        assert (run.workflow.name, job.base) in found.configurations
                        assert job.conclusion == "failure"
                        assert job.failure == found.failure
        after = w.plans.runs(found.fix.serial)
        assert not any(job.broken_by == found.key for run in after for a in w.plans.attempts(run) for job in a.jobs)
    assert checked > 20


def test_the_truth_knows_breaks_and_flakes() -> None:
    w = world("default")
    truth = w.truth(MOMENT - 3 * DAY, MOMENT)
    assert truth["breaks"]
    assert truth["flaky"]
    for flake in truth["flaky"]:
        found = w.job(flake["job_id"], MOMENT)
        assert found is not None
        assert found[1].broken_by is None
    assert any(b["fixed_by"] for b in truth["breaks"])


def test_every_kind_of_outcome_occurs() -> None:
    w = world("default")
    runs = recent_runs(w, 4000)
    attempts = [attempt for run in runs for attempt in w.plans.attempts(run)]
    assert {a.conclusion for a in attempts} >= {"success", "failure", "cancelled", "startup_failure"}
    jobs = {job.conclusion for attempt in attempts for job in attempt.jobs}
    assert jobs >= {"success", "failure", "cancelled", "timed_out", "skipped"}
    others = {check.conclusion for run in runs for check in w.other_checks(run.commit)}
    assert "neutral" in others


def test_something_changes_every_few_seconds_in_the_default_world() -> None:
    w = world("default")
    moments = set()
    for run in w.runs(MOMENT):
        if run.created < MOMENT - DAY:
            break
        for attempt in w.plans.attempts(run):
            moments |= {m for job in attempt.jobs for m in (job.created, job.started, job.completed)}
    hours = [m for m in moments if MOMENT - 8 * 3600 < m <= MOMENT]
    assert len(hours) > 8 * 3600 / 12
    ordered = sorted(hours)
    assert max(b - a for a, b in itertools.pairwise(ordered)) < 300


def test_the_clock() -> None:
    clock = Clock(start=MOMENT, speed=0)
    assert clock.now() == MOMENT
    clock.advance(90)
    assert iso(clock.now()) == "2026-11-18T16:01:30Z"
    clock.set_speed(1000)
    assert clock.now() >= MOMENT + 90
    anchored = Clock(anchor=MOMENT, speed=60)
    assert anchored.now() - MOMENT == pytest.approx((time.time() - MOMENT) * 60, abs=60)
    assert parse_iso("2026-11-18") == MOMENT - 16 * 3600

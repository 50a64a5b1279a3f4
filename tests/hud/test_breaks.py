"""Signals and breaks as runs arrive: made, merged, split and closed by themselves."""

from __future__ import annotations

import pytest

from hud import breaks, signals
from hud.models import Break, BreakSignal, BreakState, JobLog, Judgement, Repository, Run, Signal
from tests.hud import worlds as w

pytestmark = pytest.mark.django_db


def play(repository: Repository, *results: tuple[str, int, str], start: int = 1) -> None:
    """Each (name, commit, conclusion) is a job of a workflow run of its own."""
    for id, (name, of, conclusion) in enumerate(results, start=start):
        run = 1000 + id
        ended = conclusion if conclusion in ("success", "failure") else "in_progress"
        w.store(repository, w.workflow_run(run, ended, of=of), w.job(id, name, conclusion, of=of, run=run))


def known(repository: Repository, id: int, key: str, line: str = "FAILED test_a.py::test_b", category: str = "test"):
    """The log of the job with that id has been read."""
    run = Run.objects.get(pk=id << 2)
    JobLog.objects.update_or_create(
        run_id=run.pk,
        defaults={
            "repository": repository, "commit": run.commit, "configuration": run.configuration,
            "state": "read", "key": key, "line": line, "category": category,
            "failed_at": w.minutes(0),
        },
    )  # fmt: skip
    signals.failure_known(repository.pk, [(run.commit_id, run.configuration_id)])


@pytest.fixture
def repository() -> Repository:
    found = w.repository()
    w.trunk(found, 12)
    return found


def the_break() -> Break:
    return Break.objects.get()


def test_green_makes_nothing(repository) -> None:
    play(repository, ("build", 0, "success"), ("build", 1, "success"))
    assert Signal.objects.get().code == "recovered_at_head"
    assert not Break.objects.exists()


def test_a_single_failure_is_a_red_signal_but_no_break(repository) -> None:
    play(repository, ("build", 0, "success"), ("build", 1, "failure"))
    signal = Signal.objects.get()
    assert signal.red
    assert (signal.decision, signal.suspect) == ("restart", w.sha(1))
    assert signal.evidence["missing"]
    assert not Break.objects.exists()


def test_two_failures_are_a_break(repository) -> None:
    play(repository, ("build", 0, "success"), ("build", 1, "failure"), ("build", 2, "failure"))
    one = the_break()
    assert one.suspect.sha == w.sha(1)
    assert one.state == BreakState.OPEN
    assert one.broke_at == w.minutes(2)
    assert one.title == "build fails"
    assert one.number == 1


def test_the_same_whatever_the_order(repository) -> None:
    play(repository, ("build", 2, "failure"), ("build", 1, "failure"), ("build", 0, "success"))
    assert the_break().suspect.sha == w.sha(1)


def test_a_gap_is_a_range(repository) -> None:
    play(repository, ("build", 0, "success"), ("build", 3, "failure"), ("build", 4, "failure"))
    one = the_break()
    assert one.suspect.sha == w.sha(3)
    assert one.suspect_at - one.range_from == 2


def test_it_is_fixed_when_it_passes(repository) -> None:
    play(repository, ("build", 0, "success"), ("build", 1, "failure"), ("build", 2, "failure"))
    play(repository, ("build", 3, "success"), start=10)
    one = the_break()
    assert one.state == BreakState.FIXED
    assert one.green_at
    assert one.closed_at
    assert BreakSignal.objects.get().green


def test_confirmed_when_all_evidence_is_there(repository) -> None:
    play(repository, ("build", 0, "success"), ("build", 1, "failure"), ("build", 2, "failure"))
    # The suspect again, and the newest green again after the first failure.
    w.store(
        repository,
        w.workflow_run(1002, "failure", of=1, attempt=2),
        w.job(20, "build", "failure", of=1, run=1002, attempt=2, start=40, end=50),
        w.workflow_run(1001, "success", of=0, attempt=2),
        w.job(21, "build", "success", of=0, run=1001, attempt=2, start=45, end=55),
    )
    one = the_break()
    assert (one.decision, one.code) == ("revert", "confirmed")
    assert one.culprit.sha == w.sha(1)
    assert one.culprit_at


def test_alike_failures_join_and_unlike_ones_split(repository) -> None:
    names = ("build", "test")
    play(repository, *((name, n, "failure" if n else "success") for n in range(3) for name in names))
    assert Break.objects.count() == 1  # nothing is known of the failures yet
    known(repository, 3, "a")
    known(repository, 5, "a")
    known(repository, 4, "b", "ld: undefined reference")
    known(repository, 6, "b", "ld: undefined reference")
    first, second = Break.objects.order_by("number")
    assert {row.configuration.name for row in first.members.filter(left_at=None)} == {"build"}
    assert {row.configuration.name for row in second.members.filter(left_at=None)} == {"test"}
    assert second.title == "ld: undefined reference (test)"


def test_a_flake_beside_the_culprit_does_not_hide_it(repository) -> None:
    play(
        repository, ("build", 0, "success"), ("build", 1, "success"), ("build", 2, "failure"), ("build", 3, "failure"),
        ("build", 4, "failure"),
    )  # fmt: skip
    known(repository, 3, "flake", "network is down")
    known(repository, 4, "true")
    known(repository, 5, "true")
    assert the_break().suspect.sha == w.sha(3)
    assert Signal.objects.filter(red=True, test="true").get().suspect == w.sha(3)


def test_opinions_are_heard_and_can_be_withdrawn(repository, django_user_model) -> None:
    play(repository, ("build", 0, "success"), ("build", 1, "failure"), ("build", 2, "failure"))
    said = Judgement.objects.create(
        repository=repository, sha=w.sha(1), says="not_related", given_at=w.minutes(30), by=None
    )
    signals.sweep(repository.pk)
    one = the_break()
    assert one.state == BreakState.NOT_A_BREAK
    assert one.code == "adviser_says_not_related"
    said.withdrawn_at = w.minutes(31)
    said.save()
    signals.sweep(repository.pk)
    assert Break.objects.filter(closed_at=None).get().suspect.sha == w.sha(1)


def test_a_dismissed_break_is_not_opened_again_by_more_of_the_same(repository) -> None:
    play(repository, ("build", 0, "success"), ("build", 1, "failure"), ("build", 2, "failure"))
    Break.objects.update(dismissed_at=w.minutes(50), closed_at=w.minutes(50), state=BreakState.NOT_A_BREAK)
    play(repository, ("build", 3, "failure"), start=10)
    one = the_break()
    assert one.state == BreakState.NOT_A_BREAK
    assert one.closed_at == w.minutes(50)


def test_a_revert_on_trunk_is_noticed(repository) -> None:
    play(repository, ("build", 0, "success"), ("build", 1, "failure"), ("build", 2, "failure"))
    w.store(repository, w.commit(12, 'Revert "Change 1 (#101)"', body=f"This reverts commit {w.sha(1)}."), w.branch(12))
    one = the_break()
    assert one.state == BreakState.REVERTING
    assert one.reverted_at == w.minutes(12)


def test_what_a_person_wrote_stays(repository, django_user_model) -> None:
    person = django_user_model.objects.create(username="ash")
    play(repository, ("build", 0, "success"), ("build", 1, "failure"), ("build", 2, "failure"))
    Break.objects.update(owner=person, note="looking", state=BreakState.ACKNOWLEDGED)
    play(repository, ("build", 3, "failure"), ("build", 4, "failure"), start=10)
    one = the_break()
    assert (one.owner, one.note, one.state) == (person, "looking", BreakState.ACKNOWLEDGED)


def test_the_version_rises_with_a_break_alone(repository) -> None:
    play(repository, ("build", 0, "success"), ("build", 1, "failure"), ("build", 2, "failure"))
    before = Repository.objects.get(pk=repository.pk).version
    known(repository, 2, "a")
    assert Repository.objects.get(pk=repository.pk).version > before
    known(repository, 2, "a")


def test_an_unstable_job_breaks_nothing(repository) -> None:
    play(repository, *(("test (x, 1, 1, linux, unstable)", n, "failure" if n else "success") for n in range(3)))
    assert not Signal.objects.filter(red=True).exists()


def test_the_cost_of_a_batch_does_not_grow_with_what_is_red(repository, django_assert_max_num_queries) -> None:
    names = [f"job {n}" for n in range(30)]
    play(repository, *((name, n, "failure" if n else "success") for n in range(2) for name in names))
    with django_assert_max_num_queries(60):
        play(repository, *((name, 2, "failure") for name in names[:1]), start=200)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "linux / build fails"),
        ("/var/lib/jenkins/workspace/aten/native/Reduce.cpp:12:3: error: 'x' was not declared in this scope",
         "Reduce.cpp:12:3: error: 'x' was not declared in this scope (linux / build)"),
        ("FAILED [3.1416s] inductor/test_a.py::TestA::test_b - RuntimeError: no",
         "test_a.py::TestA::test_b - RuntimeError: no (linux / build)"),
        ("##[error]Process completed with exit code 1.", "linux / build fails"),
        ("RuntimeError: CUDA out of memory", "RuntimeError: CUDA out of memory (linux / build)"),
    ],
)  # fmt: skip
def test_a_break_is_named_by_what_failed_and_where(line, words) -> None:
    assert breaks.title(line, ["linux / build", "linux / build"]) == words

"""Verdicts kept step by step are those that are made from scratch, and breaks keep their promises, whatever happens.

Random worlds against the real database: results early, late and repeated, logs and reports read, words given and taken
back, commits landing and being pushed away. After each step the rows are compared with a rebuild, and with an
oracle that reads every run of the window.
"""

from __future__ import annotations

import io
import itertools
import threading
import time
import traceback
import zlib
from dataclasses import dataclass, field, replace
from datetime import timedelta
from random import Random

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.utils import timezone
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from hud import break_actions, histories, rebuild, remedies, signals, tracks
from hud.models import Break, BreakSignal, BreakState, Configuration, Judgement, Repository, Run, Signal
from hud.models import logs as reports
from project import outbox
from project.accounts.models import User
from project.outbox import deliver
from tests.hud import worlds as w
from tests.hud.test_breaks import known, play
from tests.hud.test_ingest_order import undone

QUICK = (Phase.explicit, Phase.generate)  # shrinking these worlds takes minutes; the seed is told
NAMES = ("build", "test", "lint")
PERSONS = (
    "acknowledged_at", "acknowledged_by_id", "owner_id", "note", "issue_url", "dismissed_at", "dismissed_by_id",
    "why_dismissed", "classification", "revert_write", "writes", "revert_url", "revert_asked_at", "version",
)  # fmt: skip
FIELDS = [field.attname for field in Signal._meta.concrete_fields if field.name not in ("id", "judged_at")]


def rows(repository: Repository) -> dict[tuple[int, str], dict[str, object]]:
    """Every signal as it stands."""
    return {
        (row["configuration_id"], row["test"]): row
        for row in Signal.objects.filter(repository=repository).values(*FIELDS)
    }


def from_scratch(repository: Repository) -> dict[tuple[int, str], dict[str, object]]:
    """Every signal as it would be if nothing were stored."""
    with transaction.atomic():
        Signal.objects.all().delete()
        signals.update(Repository.objects.get(pk=repository.pk), (), everything=True)
        made = rows(repository)
        transaction.set_rollback(True)
    return made


def oracle(repository: Repository) -> dict[tuple[int, str], tuple[object, ...]]:
    """The red signals, from every run of the window, whatever cells say."""
    window = histories.trunk(repository)
    if window is None:
        return {}
    everything = histories.Trunk(
        repository, window.branch_id, [place._replace(cells=b"\x0b" * 64) for place in window.places]
    )
    slots = dict(Configuration.objects.filter(repository=repository, unstable=False).values_list("pk", "slot"))
    said, infra = histories.read(everything, slots)
    opinions = signals._Opinions(everything, timezone.now())
    tests = histories.of_tests(everything, said)
    return {
        (pk, one.test): (
            one.verdict.decision, one.verdict.code, one.verdict.evidence.suspect or "", one.verdict.culprit or "",
            list(one.restart), one.failures, one.key,
        )
        for pk, commits in said.items()
        for one in tracks.judged(commits, opinions.on(pk), infra, tests.get(pk))
        if one.failing  # of what has no result yet there is nothing to say
    }  # fmt: skip


def check(repository: Repository) -> None:
    """All that must hold at any time."""
    repository.refresh_from_db()
    found = rows(repository)
    assert found == from_scratch(repository)
    reds = {key: row for key, row in found.items() if row["red"]}
    assert {
        key: tuple(row[name] for name in ("decision", "code", "suspect", "culprit", "restart", "failures",
                                          "failure_key"))
        for key, row in reds.items()
    } == oracle(repository)  # fmt: skip
    assert all(row["red"] or not row["test"] for row in found.values())
    members: dict[int, list[BreakSignal]] = {}
    for row in BreakSignal.objects.filter(left_at=None):
        members.setdefault(row.broken_id, []).append(row)
        assert found[row.configuration_id, row.test]["red"]
    held = [(row.configuration_id, row.test) for mine in members.values() for row in mine]
    assert len(held) == len(set(held))
    for one in Break.objects.all():
        mine = members.get(one.pk, [])
        if one.closed_at is None:
            assert mine
            assert one.state in (BreakState.OPEN, BreakState.ACKNOWLEDGED, BreakState.REVERTING)
        elif one.dismissed_at is None:
            assert not mine
            assert one.merged_into_id or one.state in (BreakState.FIXED, BreakState.NOT_A_BREAK)
        placed = [found[row.configuration_id, row.test] for row in mine]
        placed = [row for row in placed if row["suspect_at"] is not None]
        if placed:
            assert max(row["range_from"] for row in placed) <= min(row["suspect_at"] for row in placed)
            keys = {row["failure_key"] for row in placed} - {""}
            assert len(keys) <= 1 or any(row["culprit"] for row in placed)
        assert one.broke_at <= one.noticed_at
        for later in (one.culprit_at, one.green_at, one.closed_at):
            assert later is None or later >= one.noticed_at
    assert not rebuild.signals(repository, repair=False).differences


@dataclass
class Happening:
    """A world to which things happen; each method is one."""

    data: st.DataObject
    repository: Repository
    person: User
    head: int = 3
    jobs: int = 0
    said: list[tuple[object, ...]] = field(default_factory=list)

    def result(self) -> None:
        name, of = self.data.draw(st.sampled_from(NAMES)), self.data.draw(st.integers(0, self.head))
        conclusion = self.data.draw(
            st.sampled_from(["failure"] * 4 + ["success"] * 3 + ["in_progress", "cancelled", "neutral", "timed_out"])
        )
        self.jobs += 1
        start = self.data.draw(st.integers(1, 40))
        run = 1000 + 100 * NAMES.index(name) + of
        attempt = 1 + sum(job[0] == run for job in self.said)
        shard = self.data.draw(st.sampled_from(["", "", "", " (x, 1, 2)", " (x, 2, 2)"]))
        events = (
            w.workflow_run(run, "in_progress", of=of, attempt=attempt),
            w.job(
                self.jobs, name + shard, conclusion, of=of, run=run, attempt=attempt, start=start,
                end=start + self.jobs / 100,
            ),
        )  # fmt: skip
        self.said.append((run, events))
        w.store(self.repository, *events)

    def again(self) -> None:
        """A repeated report."""
        if self.said:
            w.store(self.repository, *self.data.draw(st.sampled_from(self.said))[1])

    def ends(self) -> None:
        """What was running has an answer, late."""
        row = Run.objects.filter(status__lt=9).first()
        if row is not None:
            events = next(events for run, events in self.said if events[1].id == row.pk >> 2)
            w.store(self.repository, _ended(events[1], self.data.draw(st.sampled_from(["failure", "success"]))))

    def log(self) -> None:
        failed = [row for row in Run.objects.order_by("pk") if _failed(row)]
        if failed:
            row = self.data.draw(st.sampled_from(failed))
            key = self.data.draw(st.sampled_from(["a", "b", "outage", ""]))
            known(
                self.repository, row.pk >> 2, key, f"says {key}" if key else "", "infra" if key == "outage" else "test"
            )

    def word(self) -> None:
        suspects = list(Signal.objects.exclude(suspect="").order_by("pk").values_list("suspect", flat=True))
        if suspects:
            Judgement.objects.create(
                repository=self.repository, sha=self.data.draw(st.sampled_from(suspects)), given_at=timezone.now(),
                says=self.data.draw(st.sampled_from(["related", "not_related", "infra", "garbage"])),
                confidence=self.data.draw(st.sampled_from([1.0, 1.0, 0.5])),
            )  # fmt: skip
            signals.sweep(self.repository.pk)

    def word_back(self) -> None:
        Judgement.objects.filter(withdrawn_at=None).update(withdrawn_at=timezone.now())
        signals.sweep(self.repository.pk)

    def lands(self) -> None:
        self.head += 1
        w.store(self.repository, w.commit(self.head), w.branch(self.head), at=w.minutes(len(self.said) + self.head))

    def forced(self) -> None:
        """The newest commit is pushed away by another one."""
        at, below = self.head + 1, self.data.draw(st.integers(max(0, self.head - 3), self.head))
        self.head = at
        w.store(self.repository, w.commit(at, parent=below), w.branch(at), at=w.minutes(len(self.said) + at))

    def later(self) -> None:
        """Trunk was quiet for half a day: what was before leaves the window."""
        self.repository.window_hours = self.data.draw(st.sampled_from([16, 0.1, 0.05]))
        Repository.objects.filter(pk=self.repository.pk).update(window_hours=self.repository.window_hours)
        signals.sweep(self.repository.pk)

    def marked(self) -> None:
        column = Configuration.objects.filter(name=self.data.draw(st.sampled_from(NAMES))).first()
        if column is not None:
            remedies.mark_unstable(configuration=column, unstable=not column.unstable, why="machines", by=self.person)

    def person_acts(self) -> None:
        one = Break.objects.filter(merged_into=None).order_by("-pk").first()
        if one is not None:
            act = self.data.draw(st.sampled_from(["own", "dismiss", "reopen", "note"]))
            {
                "own": lambda: break_actions.own(one=one, by=self.person),
                "dismiss": lambda: break_actions.dismiss(one=one, why="known", by=self.person),
                "reopen": lambda: break_actions.reopen(one=one, by=self.person),
                "note": lambda: break_actions.write_note(one=one, note="hm", by=self.person),
            }[act]()


def _failed(row: Run) -> bool:
    return row.conclusion in _FAILED


def _ended(job, conclusion: str):
    status, ended = w.outcome(conclusion)
    return replace(job, status=status, conclusion=ended, completed_at=job.started_at + timedelta(minutes=5))


_FAILED = {int(w.outcome(words)[1]) for words in ("failure", "timed_out")}
STEPS = ["result"] * 9 + [
    "again", "ends", "log", "log", "log", "word", "word_back", "lands", "lands", "forced", "later", "marked",
    "person_acts",
]  # fmt: skip


@pytest.mark.django_db
@settings(max_examples=25, deadline=None, phases=QUICK, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_step_by_step_is_the_same_as_from_scratch(data) -> None:
    with undone():
        repository = w.repository()
        w.trunk(repository, 4)
        world = Happening(data, repository, User.objects.create(username="ash"))
        for _ in range(data.draw(st.integers(5, 14))):
            step = data.draw(st.sampled_from(STEPS))
            before = {one.pk: [getattr(one, name) for name in PERSONS] for one in Break.objects.all()}
            getattr(world, step)()
            if step != "person_acts":
                for one in Break.objects.all():
                    assert before.get(one.pk) in (None, [getattr(one, name) for name in PERSONS])
            check(repository)
        event(f"{min(Break.objects.count(), 3)} breaks")


# -- tests ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def repository(db) -> Repository:
    found = w.repository()
    w.trunk(found, 8)
    return found


def report(repository: Repository, of: int, failed: tuple[str, ...] = (), passed: tuple[str, ...] = ()) -> None:
    """What the report of the only job on that commit says has been read."""
    run = Run.objects.get(commit__sha=w.sha(of))
    reports.TestReport.objects.create(
        artifact_id=run.pk, workflow_run_id=run.workflow_run_id, repository=repository, commit=run.commit,
        configuration=run.configuration, name="test-reports", read_at=w.minutes(60),
        failed=[[one, "no"] for one in failed],
        passed=zlib.compress("\n".join(sorted(passed)).encode()) if passed else b"", passed_count=len(passed),
    )  # fmt: skip
    signals.failure_known(repository.pk, [(run.commit_id, run.configuration_id)])


def of_test(name: str) -> Signal | None:
    return Signal.objects.filter(test=name, red=True).first()


ONE, OTHER = "test_a.py::TestA::test_one", "test_b.py::test_other"


def test_a_test_has_a_history_of_its_own(repository) -> None:
    play(repository, ("test", 0, "success"), *(("test", n, "failure") for n in range(1, 5)))
    report(repository, 0, passed=(ONE, OTHER))
    report(repository, 1, failed=(OTHER,), passed=(ONE,))
    for n in (2, 3, 4):
        report(repository, n, failed=(ONE,), passed=(OTHER,))
    assert Signal.objects.get(test="").suspect == w.sha(1)
    one = of_test(ONE)
    assert one is not None
    assert (one.suspect, one.failures) == (w.sha(2), 3)
    assert one.evidence["green"] == [w.sha(1), w.sha(0)]
    assert of_test(OTHER) is None  # it passed at the head
    assert Break.objects.filter(suspect__sha=w.sha(2), closed_at=None).exists()
    check(repository)


def test_until_the_newest_report_is_read_a_test_is_what_it_was(repository) -> None:
    play(repository, ("test", 0, "success"), ("test", 1, "failure"), ("test", 2, "failure"))
    report(repository, 0, passed=(ONE,))
    for n in (1, 2):
        report(repository, n, failed=(ONE,))
    number = Break.objects.get().number
    play(repository, ("test", 3, "failure"), start=30)
    assert of_test(ONE) is not None
    report(repository, 3, passed=(ONE,))
    assert of_test(ONE) is None
    assert not Signal.objects.filter(test=ONE).exists()
    assert Break.objects.get().number == number
    check(repository)


def test_a_report_that_is_about_no_job_says_nothing(repository) -> None:
    play(repository, ("test", 0, "success"), ("test", 1, "failure"))
    report(repository, 1, failed=(ONE,))
    assert of_test(ONE) is None  # it was never seen to pass
    reports.TestReport.objects.update(configuration=None)
    signals.sweep(repository.pk)
    check(repository)


def test_what_is_red_costs_the_same_number_of_queries(repository, django_assert_max_num_queries) -> None:
    names = [f"job {n}" for n in range(20)]
    play(repository, *((name, n, "failure" if n else "success") for n in range(3) for name in names))
    with django_assert_max_num_queries(20):
        signals.sweep(repository.pk)


def test_a_break_outlives_a_log_that_is_not_read_yet(repository) -> None:
    play(
        repository, ("build", 0, "success"), ("build", 1, "failure"), ("build", 1, "success"), ("build", 2, "failure"),
        ("build", 3, "failure"),
    )  # fmt: skip
    known(repository, 2, "flake")
    known(repository, 4, "true")
    known(repository, 5, "true")
    one = Break.objects.get(closed_at=None)
    play(repository, ("build", 4, "failure"), start=30)
    assert Break.objects.get(closed_at=None).number == one.number
    assert not Break.objects.filter(state=BreakState.FIXED).exists()
    check(repository)


# -- checked and made again -------------------------------------------------------------------------------------------


def command(*arguments: str) -> str:
    out = io.StringIO()
    call_command("rebuild_cells", *arguments, stdout=out)
    return out.getvalue()


def test_the_rebuild_tells_and_repairs_what_differs(repository) -> None:
    play(repository, ("build", 0, "success"), ("build", 1, "failure"), ("build", 2, "failure"), ("lint", 2, "success"))
    assert "Everything derived equals a rebuild." in command("--check")
    right = rows(repository)
    Signal.objects.filter(configuration__name="build").update(suspect=w.sha(5), decision="revert", code="confirmed")
    Signal.objects.filter(configuration__name="lint").delete()
    Signal.objects.create(
        repository=repository, configuration=Configuration.objects.get(name="lint"), test="gone", red=True,
        code="flaky", decision="none", judged_at=w.minutes(1),
    )  # fmt: skip
    BreakSignal.objects.all().delete()
    wrong = rows(repository)
    with pytest.raises(CommandError, match="differences"):
        command("--check")
    assert rows(repository) == wrong
    said = command()
    assert "signal of pull / build" in said
    assert "signal of pull / lint, gone" in said
    assert "break" in said
    assert rows(repository) == right
    assert "Everything derived equals a rebuild." in command("--check")


# -- all at once ------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_everybody_at_once_neither_stops_nor_breaks_anything() -> None:
    repository = w.repository()
    w.trunk(repository, 10)
    play(repository, *((name, n, "failure" if n else "success") for n in range(3) for name in NAMES))
    people = [User.objects.create(username=name) for name in ("ash", "birch")]
    until = time.monotonic() + 5
    wrong: list[BaseException] = []
    numbers = itertools.count(1000)

    def forever(turn) -> None:
        random = Random(turn.__name__)
        try:
            while time.monotonic() < until and not wrong:
                turn(random)
        except BaseException as error:
            wrong.append(error)
        finally:
            connection.close()

    def ingests(random: Random) -> None:
        play(Repository.objects.get(), (
            random.choice(NAMES), random.randint(0, 9), random.choice(["success", "failure", "failure"])
        ), start=next(numbers))  # fmt: skip

    def reads(random: Random) -> None:
        run = Run.objects.order_by("?").first()
        if run is not None and _failed(run):
            known(repository, run.pk >> 2, random.choice("ab"))

    def presses(random: Random) -> None:
        one = Break.objects.filter(closed_at=None).select_related("suspect", "repository").order_by("?").first()
        if one is None:
            return
        by = random.choice(people)
        random.choice([
            lambda: break_actions.own(one=one, by=by),
            lambda: break_actions.dismiss(one=one, why="known", by=by),
            lambda: break_actions.reopen(one=one, by=by),
            lambda: remedies.rerun(one=one, by=by),
            lambda: remedies.file_issue(one=one, by=by),
            lambda: one.suspect and remedies.revert(
                repository=one.repository, commit=one.suspect, classification="weird", why="it broke trunk", by=by,
                one=one),
            lambda: break_actions.give_opinion(
                repository=one.repository, sha=one.suspect.sha if one.suspect else "", says="infra", why="", by=by),
        ])()  # fmt: skip

    def delivers(random: Random) -> None:
        write = outbox.Write.objects.order_by("?").first()
        if write is None:
            return
        act = random.choice(["cancel", "retry", "deliver", "deliver"])
        if act == "deliver":
            outbox.Write.objects.filter(pk=write.pk).update(due_at=timezone.now())
            taken = deliver._take(write.pk)
            if taken is not None:
                state = random.choice([outbox.State.DONE, outbox.State.FAILED])
                deliver._record_and_tell(taken, deliver.Outcome(state, {}, "no" if state == "failed" else ""))
        else:
            getattr(outbox, act)(write, by=random.choice(people))

    def sweeps(random: Random) -> None:
        signals.sweep(repository.pk)
        remedies.rerun_by_itself(repository=repository, now=timezone.now())

    def marks(random: Random) -> None:
        column = Configuration.objects.get(name="lint")
        remedies.mark_unstable(configuration=column, unstable=not column.unstable, why="machines", by=people[0])
        time.sleep(0.1)

    turns = [ingests, ingests, reads, presses, presses, delivers, delivers, sweeps, marks]
    threads = [threading.Thread(target=forever, args=(turn,)) for turn in turns]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert not wrong, "".join(traceback.format_exception(wrong[0]))
    assert outbox.Write.objects.exists()
    check(repository)
    assert "Everything derived equals a rebuild." in command("--check")

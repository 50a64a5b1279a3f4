"""Test reports: what JUnit files say, what hostile ones get, and the road from the simulated GitHub's artifacts."""

from __future__ import annotations

import io
import tracemalloc
import zipfile

import pytest

from hud import junit, logs, test_reports
from hud.models import Configuration, JobLog, LogReading, ReportsListed, Run, Signal
from hud.test_reports import names
from project.simulator.running import running_simulator
from tests.hud.test_polling import START, Road

CASE = '<testcase classname="{0}" name="{1}" file="{2}">{3}</testcase>'


def xml(*cases: str) -> bytes:
    return f'<?xml version="1.0"?><testsuites><testsuite>{"".join(cases)}</testsuite></testsuites>'.encode()


def packed(*files: bytes, suffix: str = ".xml") -> bytes:
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w", zipfile.ZIP_DEFLATED) as archive:
        for n, body in enumerate(files):
            archive.writestr(f"../../etc/{n}{suffix}", body)
    return found.getvalue()


def case(name: str, inside: str = "") -> str:
    return CASE.format("test.test_nn.TestNN", name, "test_nn.py", inside)


def test_a_report_tells_who_failed_passed_and_was_skipped():
    found = junit.read_xml(
        xml(case("a"), case("b", '<failure message="E: 1 != 2&#10;more"/>'), case("c", "<error>Boom\nx</error>"),
            case("d", "<skipped/>"))
    )  # fmt: skip
    assert found.failed == {"test_nn.py::TestNN::b": "E: 1 != 2", "test_nn.py::TestNN::c": "Boom"}
    assert found.passed == {"test_nn.py::TestNN::a"}
    assert found.skipped == {"test_nn.py::TestNN::d"}


@pytest.mark.parametrize(
    ("attributes", "name"),
    [
        ('classname="test_nn" name="t" file="a/test_nn.py"', "a/test_nn.py::t"),
        ('classname="a.b.C" name="t[x-1]" file=".\\a\\b.py"', "a/b.py::C::t[x-1]"),
        ('classname="com.tree.Leaf" name="grows"', "com.tree.Leaf::grows"),
        ('name="alone"', "alone"),
    ],
)
def test_tests_are_named_as_logs_name_them(attributes, name):
    assert junit.read_xml(xml(f"<testcase {attributes}/>")).passed == {name}


def test_a_retry_that_passed_counts_in_whatever_order_it_is_told():
    failed, passed = xml(case("a", "<failure message='x'/>")), xml(case("a"))
    one, other = junit.read_zip(packed(failed, passed)), junit.read_zip(packed(passed, failed))
    assert one == other
    assert (one.failed, one.passed) == ({}, {"test_nn.py::TestNN::a"})


def test_a_broken_file_is_counted_and_the_others_are_read():
    found = junit.read_zip(packed(xml(case("a")), xml(case("b"))[:-30], b"\xff\xfe\0", b""))
    assert found.passed == {"test_nn.py::TestNN::a"}
    assert found.broken_files == 3


def test_nothing_is_read_by_way_of_xml():
    evil = b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>' + xml(case("a", "<error>&f;</error>"))[21:]
    laughs = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;">]>' + xml(case("&b;"))[21:]
    found = junit.read_zip(packed(evil, laughs))
    assert (found.broken_files, found.failed, found.passed) == (2, {}, set())


def test_a_bomb_is_refused_in_bounded_memory():
    bomb = packed(*[b"<testsuites>" + b" " * 60_000_000] * 4)
    assert len(bomb) < 1_000_000
    tracemalloc.start()
    with pytest.raises(junit.BadReport, match="unpacks to more than 200 MB"):
        junit.read_zip(bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000_000


def test_too_many_files_are_refused_before_they_are_listed():
    with pytest.raises(junit.BadReport, match="more than 5000 files"):
        junit.read_zip(packed(*[b""] * 5_001))


@pytest.mark.parametrize("body", [b"", b"no zip", packed(xml(case("a")))[:-25]])
def test_what_is_no_zip_is_refused(body):
    with pytest.raises(junit.BadReport, match="zip"):
        junit.read_zip(body)


def test_other_files_are_not_looked_at():
    assert junit.read_zip(packed(xml(case("a")), suffix=".txt")).passed == set()


@pytest.mark.parametrize(
    ("name", "whose"),
    [
        ("test-reports-test-default-1-5-linux.2xlarge_700000001.zip", (1, 1)),
        ("test-reports-test-default-1-5-linux.2xlarge_700000009.zip", None),
        ("junit linux / test (b, 2)", (2, 3)),
        ("junit-linux", None),
    ],
)
def test_whose_a_report_is(name, whose):
    jobs = [(700000001 << 2, 1, 1, "linux / test (a)"), (5 << 2, 2, 3, "linux / test (b, 2)"),
            (6 << 2, 2, 2, "linux / test (b, 2)"), (7 << 2, 4, 1, "linux"), (8 << 2, 5, 1, "linux")]  # fmt: skip
    assert test_reports._whose(name, jobs) == whose


@pytest.fixture
def broken():
    """A world in which tests are broken just now."""
    with running_simulator(scale="tiny", seed=5, start=START, hourly_limit=100_000, speed=0) as simulator:
        yield simulator


@pytest.mark.django_db(transaction=True)
def test_the_simulated_github_s_reports_agree_with_its_logs(transactional_db, broken):
    road = Road(broken, commits=20)
    road.settle()
    for _ in range(60):
        if logs.read(road.repository.pk, now=road.now, client=road.client()) != "behind":
            break
    reports = list(test_reports.TestReport.objects.all())
    assert reports
    assert all(report.configuration_id and report.read_at and not report.problem for report in reports)
    assert ReportsListed.objects.exists()
    by_run = {Run.objects.get(pk=report.artifact_id << 2).pk: report for report in reports}
    pytest_logs = JobLog.objects.filter(run_id__in=by_run, rule="pytest")
    for log in pytest_logs:
        assert [test for test, _ in by_run[log.run_id].failed] == [log.test]
        told = test_reports.events(log.configuration_id, log.test, [log.commit_id])
        assert "F" in {status for _, _, status in told[log.commit_id]}
        assert log.test in test_reports.failed_tests([log.commit_id])[log.commit_id, log.configuration_id]
    assert pytest_logs.exists()
    green = next(report for report in reports if not report.failed and report.passed_count)
    test = min(names(green.passed))
    told = test_reports.events(green.configuration_id, test, [green.commit_id])
    assert (green.workflow_run_id, green.attempt, "S") in told[green.commit_id]
    assert Configuration.objects.get(pk=green.configuration_id).name.startswith("linux-jammy-py3.10-gcc11 / test")
    # When a report has been read, its cells are judged again.
    Signal.objects.all().delete()
    test_reports.TestReport.objects.update(due_at=road.now)
    LogReading.objects.update(reports_due_at=None)
    while logs.read(road.repository.pk, now=road.now, client=road.client()) == "behind":
        pass
    assert set(Signal.objects.values_list("configuration_id", flat=True)) == {one.configuration_id for one in reports}
    # All of it once.
    road.counted()
    assert logs.read(road.repository.pk, now=road.now, client=road.client()) == "done"
    assert road.counted() == 0

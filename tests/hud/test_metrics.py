"""Metrics: what is measured of a day, and again without change; what page, API and Prometheus make of it."""

from __future__ import annotations

import random
from datetime import date, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from prometheus_client.parser import text_string_to_metric_families

from hud import last_good, metrics, metrics_page, places
from hud.metrics import reds
from hud.models import (
    Break,
    Commit,
    CommitCells,
    Configuration,
    DailyMetric,
    LastGood,
    MeasuredDay,
    Metric,
)
from tests.hud import worlds
from tests.hud.test_last_good import rows
from tests.hud.worlds import T0, job, minutes

DAY = T0.date()


def counted(*lines: str, required: str = "", only: range | None = None):
    size = max(len(line) for line in lines)
    mask = bytes(int(letter) for letter in required.ljust(size, "1"))
    found = reds(rows(*lines), mask, only or range(len(lines)))
    return found.n, found.broken, found.flaky


class TestReds:
    def test_two_failures_in_a_row_are_a_break(self):
        assert counted("O", "X", "X", "O") == (4, 2, 0)

    def test_a_lone_failure_between_passes_is_flaky(self):
        assert counted("O", "X", "O") == (3, 0, 1)
        assert counted("O", "?", "X", ".", "O") == (3, 0, 1)

    def test_at_the_head_it_is_a_break_until_something_passes(self):
        assert counted("X", "O") == (2, 1, 0)
        assert counted("?", "X", "O") == (2, 1, 0)

    def test_passed_on_a_retry_is_flaky(self):
        assert counted("F", "O") == (2, 0, 1)

    def test_both_is_broken(self):
        assert counted("OO", "XF", "XO", "OO") == (4, 2, 0)

    def test_only_what_is_required_and_only_those_commits(self):
        assert counted("XO", "XO", required="01") == (2, 0, 0)
        assert counted("O", "X", "X", "X", only=range(1, 2)) == (1, 1, 0)

    def test_without_results_nothing_is_counted(self):
        assert counted("?", ".", "S", "C") == (0, 0, 0)


@pytest.fixture
def repository(db):
    """One day: a lone failure, a pass on retry, and jobs that waited."""
    found = worlds.repository()
    worlds.trunk(found, 6)
    conclusions = ["success", "failure", "success", "success", "success", "success"]
    worlds.store(
        found,
        *(job(10 + n, "linux / test", conclusions[n], of=n, run=n + 1, start=2 + n, end=20 + n) for n in range(6)),
        job(30, "linux / build", "failure", of=3, run=4, start=1, end=5),
        job(31, "linux / build", "success", of=3, run=4, attempt=2, start=100, end=200),
        *(job(40 + n, "linux / build", "success", of=n, run=n + 1, start=1, end=5) for n in (0, 1, 2, 4, 5)),
    )
    return found


def row(metric, label="") -> DailyMetric:
    return DailyMetric.objects.get(metric=metric, label=label)


class TestMeasuring:
    def test_a_day(self, repository):
        metrics.measure(repository, DAY)
        assert (row(Metric.RED, "broken").value, row(Metric.RED, "broken").n) == (0, 6)
        assert (row(Metric.RED, "flaky").value, row(Metric.RED, "flaky").made_of) == (2, worlds.sha(5))
        # From landing to the first result of the slowest; the re-run an hour later makes nothing slow.
        signal = row(Metric.TIME_TO_SIGNAL)
        assert (signal.n, signal.value) == (6, 22.5 * 60)
        build = Configuration.objects.get(name="linux / build")
        assert (row(Metric.FLAKY, str(build.slot)).value, row(Metric.FLAKY, str(build.slot)).n) == (1, 6)
        queue = row(Metric.QUEUE)
        assert (queue.n, queue.value) == (13, 2 * 60)
        assert row(Metric.QUEUE, "pull").n == 13

    def test_measuring_again_changes_nothing(self, repository):
        assert metrics.measure(repository, DAY) > 0
        before = list(DailyMetric.objects.order_by("pk").values())
        assert metrics.measure(repository, DAY) == 0
        assert list(DailyMetric.objects.order_by("pk").values()) == before

    def test_a_commit_that_still_runs_has_no_time_to_signal(self, repository):
        worlds.store(repository, job(90, "linux / slow", "in_progress", of=5, run=6))
        metrics.measure(repository, DAY)
        assert row(Metric.TIME_TO_SIGNAL).n == 5

    def test_a_status_that_was_pending_once_is_not_waited_for(self, repository):
        worlds.store(repository, worlds.status(1, "pending", of=0), worlds.status(2, "success", of=0))
        metrics.measure(repository, DAY)
        assert row(Metric.TIME_TO_SIGNAL).n == 6

    def test_what_is_gone_is_taken_back(self, repository):
        metrics.measure(repository, DAY)
        CommitCells.objects.all().update(cells=b"")
        metrics.measure(repository, DAY)
        assert not DailyMetric.objects.filter(metric=Metric.RED).exists()

    def test_older_days_only_once_and_again_when_something_changed(self, repository):
        now = T0 + timedelta(days=5)
        assert metrics.measure_due(repository, now) == 1
        assert metrics.measure_due(repository, now) == 0
        worlds.store(repository, job(91, "linux / test", "success", of=1, run=2, attempt=2, start=300, end=310))
        assert metrics.measure_due(repository, now) == 1
        assert metrics.measure_due(repository, now) == 0
        assert MeasuredDay.objects.count() == 1

    def test_today_and_yesterday_each_time(self, repository):
        now = T0 + timedelta(hours=30)
        assert [metrics.measure_due(repository, now) for _ in range(2)] == [1, 1]

    def test_breaks_of_the_day_on_which_they_were_reverted(self, repository):
        for number, took, why in ((1, 60, "nosignal"), (2, 120, "nosignal"), (3, 600, "")):
            a_break(repository, number, reverted_at=minutes(took), culprit_at=minutes(30), classification=why)
        a_break(repository, 4, reverted_at=minutes(5), merged_into=Break.objects.get(number=1))
        a_break(repository, 5)
        metrics.measure(repository, DAY)
        assert (row(Metric.TIME_TO_REVERT).value, row(Metric.TIME_TO_REVERT).n) == (120 * 60, 3)
        assert (row(Metric.TIME_TO_CULPRIT).value, row(Metric.TIME_TO_CULPRIT).n) == (30 * 60, 3)
        assert [(row(Metric.REVERTS, label).n, row(Metric.REVERTS, label).made_of) for label in ("nosignal", "")] == [
            (2, f"{DAY}..{DAY}"), (1, "3"),
        ]  # fmt: skip

    def test_a_repository_without_trunk_has_nothing(self, db):
        empty = worlds.repository("grove/empty", trunk="")
        assert metrics.measure_due(empty, T0) == 0
        assert metrics.measure(empty, DAY) == 0


def a_break(repository, number, **fields) -> Break:
    return Break.objects.create(
        **{"repository": repository, "number": number, "title": f"Break {number}", "decision": "revert",
           "code": "confirmed", "broke_at": T0, "noticed_at": minutes(5), **fields}
    )  # fmt: skip


@pytest.fixture
def history(db):
    """Forty days of numbers, and a last good commit."""
    repository = worlds.repository()
    worlds.trunk(repository, 3)
    worlds.store(repository, *(job(10 + n, "linux / build", "success", of=n, run=n + 1) for n in range(3)))
    last_good.update(repository)
    seed_history(repository, date.today())
    return repository


def seed_history(repository, today: date, days: int = 40) -> None:
    """Numbers as a busy trunk has them. Some days have none."""
    chance = random.Random(4)
    sha = Commit.objects.filter(repository=repository).values_list("sha", flat=True).first() or ""
    slots = list(Configuration.objects.filter(repository=repository).values_list("slot", flat=True))
    made = []

    def add(day, metric, label, value, n, p90=None, made_of=sha):
        made.append(
            DailyMetric(
                repository=repository, day=day, metric=metric, label=label, value=value, n=n, p90=p90, made_of=made_of
            )
        )

    for back in range(days):
        day = today - timedelta(days=back)
        if back in (9, 10):
            continue
        n = chance.randint(30, 55) if day.weekday() < 5 else chance.randint(4, 12)
        broken = chance.choice([0, 0, 1, 2, 3, 6]) if n > 20 else 0
        add(day, Metric.RED, "broken", broken, n)
        add(day, Metric.RED, "flaky", chance.randint(0, n // 6), n)
        half = chance.uniform(5000, 8200)
        add(day, Metric.TIME_TO_SIGNAL, "", half, n, half * chance.uniform(1.3, 1.9))
        for label, factor in (("", 1), ("Linux", 0.4), ("CUDA 12.8 sm86", 3.0), ("ROCm gfx942", 7.0), ("macOS", 1.5)):
            half = chance.uniform(60, 200) * factor
            add(day, Metric.QUEUE, label, half, chance.randint(50, 4000), half * chance.uniform(2, 6))
        for slot in slots[:40]:
            add(day, Metric.FLAKY, str(slot), chance.choice([0, 0, 0, 0, 1, 2]), n)
        if broken > 1:
            label = chance.choice(["nosignal", "nosignal", "landrace", "ignoredsignal", "weird"])
            add(day, Metric.REVERTS, label, 1, 1, made_of="12")
            took = chance.uniform(3600, 30000)
            add(day, Metric.TIME_TO_REVERT, "", took, 1, took, made_of="12")
            add(day, Metric.TIME_TO_CULPRIT, "", took / 2, 1, took / 2, made_of="12")
    DailyMetric.objects.bulk_create(made)


class TestPage:
    def test_it_has_every_plot_with_a_table_and_links(self, history, client):
        page = client.get("/hud/grove/orchard/metrics?days=30").content.decode()
        for title in ("Red commits", "Time to signal", "Time to revert", "Reverts by classification", "Queue time",
                      "Flakiest configurations", "Queue time by group"):  # fmt: skip
            assert title in page
        assert page.count("As a table") == 5
        assert page.count('<svg class="plot') == 5
        assert "/hud/grove/orchard/main?at=" in page
        assert "/hud/grove/orchard/break/12" in page
        assert "/hud/grove/orchard/column/0" in page
        assert "style=" not in page

    def test_the_number_of_queries_does_not_grow(self, history, client):
        client.get("/hud/grove/orchard/metrics?days=30")
        seen = []
        for days in (7, 365):
            with CaptureQueriesContext(
                connection,
            ) as queries:
                client.get(f"/hud/grove/orchard/metrics?days={days}")
            seen.append(len(queries))
        assert seen[0] == seen[1] <= 8

    def test_without_numbers_it_says_so(self, client, db):
        worlds.repository()
        page = client.get("/hud/grove/orchard/metrics").content.decode()
        assert "Nothing has been measured in these days yet" in page
        assert "No break was reverted in these days." in page
        assert "No configuration was flaky in these days." in page
        assert '<svg class="plot' not in page

    @pytest.mark.parametrize(
        ("asked", "days"), [("", 30), ("7", 7), ("0", 1), ("9999", 366), ("x", 30), ("1e3", 30), ("٣", 30)]
    )
    def test_absurd_ranges(self, asked, days):
        assert metrics_page.days_asked(asked) == days

    def test_few_things_have_no_90th_percentile(self, repository):
        metrics.measure(repository, DAY)
        DailyMetric.objects.filter(metric=Metric.TIME_TO_SIGNAL).update(n=3)
        place = places.trunk_place(repository)
        shown = metrics.read(repository.pk, 1, today=DAY)
        panel = metrics_page.panels(place, shown)[1]
        assert [len(one.marks) for one in panel.chart.series] == [1, 0]
        assert panel.table.rows[0][3] == ("too few", "")
        assert "p90" not in panel.chart.series[0].marks[0].label

    def test_small_numbers_are_told(self, repository):
        a_break(repository, 1, reverted_at=minutes(60), classification="nosignal")
        metrics.measure(repository, DAY)
        shown = metrics.read(repository.pk, 1, today=DAY)
        revert = metrics_page.panels(places.trunk_place(repository), shown)[2]
        assert revert.said == "1 revert, typical day 1 h"
        assert revert.chart.series[0].marks[0].label == "Jan 5: 1 revert, took 1 h"
        assert revert.chart.series[0].marks[0].url.endswith("/break/1")

    def test_the_flakiest_come_by_share_but_one_flake_is_no_habit(self, repository):
        for label, flaky, results in (("0", 1, 1), ("1", 5, 50), ("2", 4, 10)):
            DailyMetric.objects.create(
                repository=repository, day=DAY, metric=Metric.FLAKY, label=label, value=flaky, n=results
            )
        found = metrics.flakiest(repository.pk, metrics.read(repository.pk, 1, today=DAY))
        assert [one.slot for one in found] == [2, 1, 0]


class TestApi:
    def test_json_and_csv(self, history, client):
        told = client.get("/api/v1/repositories/grove/orchard/metrics?days=7").json()
        assert (told["days"], told["last_day"]) == (7, str(date.today()))
        assert {one["metric"] for one in told["numbers"]} >= {"red", "time_to_signal", "queue", "flaky"}
        assert all(one["value"] for one in told["numbers"] if one["metric"] == "flaky")
        only = client.get("/api/v1/repositories/grove/orchard/metrics?days=7&metric=flaky").json()["numbers"]
        assert {one["metric"] for one in only} == {"flaky"}
        assert any(one["value"] == 0 for one in only)
        answer = client.get("/api/v1/repositories/grove/orchard/metrics?days=7&format=csv")
        assert answer["Content-Type"].startswith("text/csv")
        assert answer.content.decode().splitlines()[0] == "day,metric,label,value,p90,n,made_of"

    @pytest.mark.parametrize("query", ["days=0", "days=367", "days=x", "format=xml", "metric=" + "x" * 41])
    def test_what_it_refuses(self, history, client, query):
        answer = client.get(f"/api/v1/repositories/grove/orchard/metrics?{query}")
        assert answer.status_code == 400
        assert query.split("=")[0] in answer.json()["detail"]

    def test_a_label_is_no_formula(self, repository):
        DailyMetric.objects.create(repository=repository, day=DAY, metric=Metric.QUEUE, label='=cmd|"x"', value=1, n=1)
        assert "'=cmd" in metrics.as_csv(metrics.read(repository.pk, 1, today=DAY))


class TestPrometheus:
    def test_the_numbers(self, history, client, redis_server):
        LastGood.objects.update(behind=4)
        a_break(history, 1)
        a_break(history, 2, closed_at=T0)
        answer = client.get("/metrics")
        assert answer["Content-Type"].startswith("text/plain; version=0.0.4")
        found = {}
        for family in text_string_to_metric_families(answer.content.decode()):
            for sample in family.samples:
                found.setdefault(sample.name, []).append((sample.labels, sample.value))
        name = {"repository": "grove/orchard"}
        assert found["arborist_last_good_behind_commits"] == [(name, 4)]
        assert found["arborist_open_breaks"] == [(name, 1)]
        assert found["arborist_last_good_age_seconds"][0][1] > 0
        assert "arborist_unreadable" not in found
        assert found["arborist_worker_alive"] == [({}, 0)]
        assert {labels["state"] for labels, _ in found["arborist_outbox_writes"]} >= {"queued", "failed"}
        assert {"arborist_red_share", "arborist_webhook_deliveries_waiting", "arborist_alerts"} <= found.keys()

    def test_without_anything(self, client, db, redis_server):
        assert client.get("/metrics").status_code == 200

    def test_hostile_names_are_escaped(self, client, db, redis_server):
        worlds.repository('grove/or"ch\nard')
        families = list(text_string_to_metric_families(client.get("/metrics").content.decode()))
        assert any(
            sample.labels.get("repository") == 'grove/or"ch\nard' for family in families for sample in family.samples
        )

    def test_with_a_token_only_for_who_knows_it(self, client, db, settings, redis_server):
        settings.METRICS_TOKEN = "abc"
        refused = client.get("/metrics")
        assert (refused.status_code, refused["WWW-Authenticate"]) == (401, "Bearer")
        for wrong in ("Bearer ab", "Bearer", "abc", "Basic abc", "Bearer ä"):
            assert client.get("/metrics", headers={"Authorization": wrong}).status_code == 401
        assert client.get("/metrics", headers={"Authorization": "Bearer abc"}).status_code == 200

    def test_the_number_of_queries_does_not_grow(self, history, client, redis_server):
        with CaptureQueriesContext(connection) as first:
            client.get("/metrics")
        other = worlds.repository("grove/other")
        seed_history(other, date.today(), 3)
        with CaptureQueriesContext(connection) as second:
            client.get("/metrics")
        assert len(first) == len(second) <= 14

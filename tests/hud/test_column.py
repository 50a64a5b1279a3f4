"""A column's history: rates told only where they say something, durations, breaks, and what it costs."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from hud import column
from hud.models import Break, BreakSignal, Commit, Configuration, Repository
from hud.places import trunk_place
from tests.hud import worlds
from tests.hud.test_views import assert_well_formed, text_of

pytestmark = pytest.mark.django_db


def history(outcomes: str) -> Repository:
    """A trunk of today on which one job ended as told, oldest first; F failed, then passed when run again."""
    repository = worlds.repository()
    worlds.trunk(repository, len(outcomes))
    said = {"X": "failure", "O": "success", "?": "in_progress", "F": "failure", "~": "cancelled"}
    jobs = []
    for n, one in enumerate(outcomes):
        if one in said:
            jobs.append(worlds.job(n * 2 + 1, "test", said[one], of=n, run=n + 1, start=2, end=12 + n % 3))
        if one == "F":
            jobs.append(worlds.job(n * 2 + 2, "test", "success", of=n, run=n + 1, attempt=2, start=20, end=25))
    worlds.store(repository, *jobs)
    # The world's clock stands still; the page's does not.
    first = timezone.now() - timedelta(hours=20)
    for n in range(len(outcomes)):
        Commit.objects.filter(sha=worlds.sha(n)).update(committed_at=first + timedelta(minutes=n))
    return repository


def page(client: Client, repository: Repository, query: str = "") -> str:
    response = client.get(f"/hud/{repository}/column/0{query}")
    assert response.status_code == 200
    assert_well_formed(response.content.decode())
    return text_of(response)


def test_rates_with_their_counts(client: Client) -> None:
    said = page(client, history("OOOOOOOOFX~·O?"))
    assert "Passed 90.9 % (10 of 11)" in said
    assert "Flaked 9.1 % (1 of 11)" in said
    assert "Now passed on" in said
    assert "1 running, 1 flaky, 9 passed" in said.replace("1 failed, ", "")
    assert "Last 14 commits" in said


@pytest.mark.parametrize(
    ("outcomes", "words"),
    [
        ("OX", "2 results: too few for a rate"),
        ("O", "1 result: too few for a rate"),
        ("?·", "no results"),
        ("O" * 20, "100 % (20 of 20)"),
        ("X" * 20, "0 % (0 of 20)"),
    ],
)
def test_thin_data_is_called_thin(client: Client, outcomes: str, words: str) -> None:
    assert f"Passed {words}" in page(client, history(outcomes))


def test_a_share_is_never_rounded_to_all_or_nothing() -> None:
    assert column.Rate(1999, 2000).words == "99.9 % (1999 of 2000)"
    assert column.Rate(1, 5000).words == "0.1 % (1 of 5000)"


def test_times_are_those_of_the_attempt_that_came_to_a_result() -> None:
    repository = history("OFX~")
    found = column.of_column(trunk_place(repository), 0, 14)
    assert found
    assert [(step.seconds, step.waited) for step in found["steps"]] == [(600, 120), (300, 120), (720, 120), (None, 120)]
    assert found["took"]["median"] == 600
    assert found["took"]["p90"] is None  # of three
    assert len(found["failed"]) == 2


def test_it_fails_since(client: Client) -> None:
    said = page(client, history("OOXX"))
    assert f"Now failed on {worlds.sha(3)[:7]} ; last passed on {worlds.sha(1)[:7]}" in said
    assert "it has not passed in this time" in page(client, history_anew("XX"))


def history_anew(outcomes: str) -> Repository:
    Repository.objects.all().delete()
    return history(outcomes)


def test_breaks_and_marks(client: Client) -> None:
    repository = history("OX")
    assert "It was part of no break" in page(client, repository)
    now = timezone.now()
    one = Break.objects.create(
        repository=repository, number=4, title="test fails", decision="revert", code="x", broke_at=now, noticed_at=now
    )
    BreakSignal.objects.create(broken=one, configuration=Configuration.objects.get(), joined_at=now)
    assert "Break 4 test fails open" in page(client, repository)
    Configuration.objects.update(unstable=True)
    assert "unstable: marked" in page(client, repository)


def test_days_and_nonsense(client: Client) -> None:
    repository = history("OX")
    Commit.objects.filter(sha=worlds.sha(0)).update(committed_at=timezone.now() - timedelta(days=20))
    assert "Last 1 commits" in page(client, repository)
    assert "Last 2 commits" in page(client, repository, "?days=30")
    for nonsense in ("?days=x", "?days=-1", "?days=99999999999999999999", "?days=%00"):
        assert "Last 1 commits" in page(client, repository, nonsense)
    Commit.objects.update(committed_at=timezone.now() - timedelta(days=200))
    assert "Trunk has no commits in the last 14 days." in page(client, repository)
    for slot in (1, 10**30):
        assert client.get(f"/hud/{repository}/column/{slot}").status_code == 404


def test_its_cost_is_bounded(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def queries(repository: Repository) -> int:
        page(client, repository)
        with CaptureQueriesContext(connection) as seen:
            page(client, repository)
        return len(seen)

    few = queries(history("OX"))
    monkeypatch.setattr(column, "MOST_COMMITS", 30)
    many = history_anew("OXF" * 20)
    assert queries(many) == few <= 14
    assert "Last 30 commits oldest first; more are not shown" in page(client, many)

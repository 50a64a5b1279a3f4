"""`/status` says how reading from GitHub is going, whatever is wrong; the readiness check says it in one line."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from hud import ingest, readiness, status
from hud.models import SetAside, SyncKind, SyncState, WaitingJob
from project import health
from project.github.budget import BudgetState
from project.health import NotReadyError
from tests.hud import worlds

pytestmark = pytest.mark.django_db


@pytest.fixture
def repository():
    return worlds.repository()


def state(repository, kind, ago=None, **fields):
    """The state of one kind, whose last success was `ago` seconds ago."""
    now = timezone.now()
    fields.setdefault("started_at", now)
    succeeded = None if ago is None else now - timedelta(seconds=ago)
    return SyncState.objects.create(repository=repository, kind=kind, succeeded_at=succeeded, **fields)


def read(repository, ago=12):
    """As if the trunk had last been read `ago` seconds ago."""
    for kind in (SyncKind.COMMITS, SyncKind.WORKFLOW_RUNS):
        state(repository, kind, ago)


def shown(client, query=""):
    response = client.get(f"/status{query}")
    assert response.status_code == 200
    return response.content.decode()


def words(html):
    return " ".join(html.split())


def test_without_repositories_it_says_how_to_add_one(client, redis_server):
    html = shown(client)
    assert "No repository is watched yet" in html
    assert "add_repository" in html
    assert "Nothing was set aside" in html


def test_every_kind_of_poll_has_its_line_even_before_its_first_turn(client, repository):
    html = shown(client)
    for kind in SyncKind:
        assert f'<th scope="row">{kind.label}</th>' in html
    assert html.count("waits for its first turn") == len(SyncKind)
    assert "not read yet" in html


def test_it_says_last_poll_next_turn_errors_in_words_and_what_is_behind(client, repository):
    now = timezone.now()
    read(repository, 75)
    state(repository, SyncKind.JOBS, 30, behind="14 workflow runs", due_at=now + timedelta(seconds=90))
    state(repository, SyncKind.CHECKS, None, failures=3, problem="GitHub forbids this to the token.")
    html = shown(client)
    assert "1 min ago" in html
    assert "14 workflow runs" in html
    assert "in 1 min" in html
    assert "failed 3 times" in html
    assert "GitHub forbids this to the token." in html


def test_progress_of_the_first_reading(client, repository):
    state(repository, SyncKind.BACKFILL, None, done=50, total=200)
    assert "Reading the history: 50 of 200 commits." in shown(client)


def test_forced_deleted_and_missing_branches(client, repository):
    worlds.trunk(repository, 3)
    repository.watched_branches = ["release"]
    repository.save()
    worlds.store(repository, worlds.commit(9, parent=0), worlds.branch(9), at=worlds.minutes(2))
    assert "force-pushed" in shown(client)
    worlds.store(repository, worlds.branch(1, "other"), at=worlds.minutes(3), all_branches=True)
    html = words(shown(client))
    assert "deleted</span> GitHub stopped listing it; noticed 2026-01-05 12:03 UTC." in html
    assert '<bdi class="b">release</bdi> <span class="tag red">not found</span>' in html


def test_what_was_set_aside_is_shown_as_text_with_its_reason_and_count(client, repository):
    nasty = worlds.rejected("job 7: name is <b>missing</b>", '{"title": "<script>alert(1)</script>\u202e"}')
    worlds.store(repository, nasty)
    worlds.store(repository, nasty, at=worlds.minutes(5))
    html = shown(client)
    assert "job 7: name is &lt;b&gt;missing&lt;/b&gt;" in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\u202e" in html
    assert "<script>alert" not in html
    assert "2 times" in html
    assert "2026-01-05 12:05:00 UTC" in html


def test_what_was_set_aside_is_paged_and_a_silly_page_is_the_nearest(client, repository):
    worlds.store(repository, *(worlds.rejected(f"reason {n}", f"{n}") for n in range(30)))
    assert "Page 1 of 2" in shown(client)
    assert shown(client, "?page=2").count("What was sent") == 5
    assert "Page 2 of 2" in shown(client, "?page=99")
    assert "Page 1 of 2" in shown(client, "?page=nonsense")


def test_jobs_that_wait_for_their_workflow_run(client, repository):
    worlds.store(repository, worlds.job(1, workflow=None), worlds.job(2, workflow=None))
    assert WaitingJob.objects.count() == 2
    assert "2 jobs wait for their workflow run" in words(shown(client))
    WaitingJob.objects.first().delete()
    assert "1 job waits for its workflow run" in words(shown(client))


def test_the_budget_in_words(client, repository, monkeypatch):
    def said(**fields):
        empty = {"limit": None, "remaining": None, "reset_at": None, "blocked_until": None, "reason": ""}
        monkeypatch.setattr(status, "_budget", lambda: BudgetState(**{**empty, **fields}))
        return words(shown(client))

    assert "GitHub says it with its next answer" in said()
    assert "<b>4200</b> of 5000 requests left" in said(limit=5000, remaining=4200, reset_at=worlds.minutes(30))
    blocked = said(limit=5000, remaining=0, blocked_until=worlds.minutes(30), reason="GitHub asks us to slow down")
    assert "GitHub asks us to slow down; going on at 12:30:00 UTC." in blocked


def test_the_heartbeat_of_the_worker(client, redis_server):
    assert "No heartbeat" in shown(client)
    redis_server.set(health.HEARTBEAT_KEY, f"{timezone.now().timestamp() - 5:.3f}")
    assert "Working; last heartbeat" in shown(client)
    redis_server.set(health.HEARTBEAT_KEY, f"{timezone.now().timestamp() - 100:.3f}")
    assert "Last heartbeat 100 s ago" in shown(client)
    redis_server.set(health.HEARTBEAT_KEY, "nonsense")
    assert "No heartbeat" in shown(client)


def test_it_is_there_without_redis(client, repository, settings, monkeypatch):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    monkeypatch.setattr("project.github.factory._parts", {})
    html = shown(client)
    assert "Unknown, because Redis does not answer." in html
    assert "grove/orchard" in html
    assert client.get("/api/v1/status").json()["worker"]["ok"] is False


def test_htmx_gets_only_the_part_that_refreshes(client, repository):
    html = client.get("/status", headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in html
    assert "What was sent" not in html
    assert "grove/orchard" in html


def test_nothing_of_it_is_inline_script_or_style(client, repository):
    html = shown(client)
    assert "style=" not in html
    assert "<style" not in html
    assert all("src=" in tag for tag in html.split("<script")[1:])


def test_the_number_of_queries_does_not_grow(client, repository, django_assert_num_queries):
    def fill(other):
        read(other)
        worlds.trunk(other, 2)
        worlds.store(other, worlds.job(1, workflow=None, run=5), worlds.rejected(payload=str(other)))

    fill(repository)
    with django_assert_num_queries(11):
        shown(client)
    for n in range(5):
        fill(worlds.repository(f"grove/other-{n}"))
    with django_assert_num_queries(11):
        shown(client)
    with django_assert_num_queries(9):
        client.get("/status", headers={"HX-Request": "true"})


def test_a_sync_state_of_a_kind_that_no_longer_exists_is_passed_over(client, repository):
    state(repository, "phrenology", 5)
    assert "phrenology" not in shown(client)


class TestReadiness:
    def test_it_says_how_old_each_repository_is(self, repository):
        read(repository, 12)
        assert readiness.data_ages() == "grove/orchard 12 s"

    def test_without_repositories_there_is_nothing_to_be_old(self):
        assert readiness.data_ages() == "no repository is watched"

    def test_one_that_stalled_is_named_but_the_site_is_ready(self, repository):
        read(repository, 3600)
        read(worlds.repository("grove/other"), 12)
        assert readiness.data_ages() == "grove/orchard 1 h 0 min (stalled); grove/other 12 s"

    def test_all_stalled_is_not_ready(self, repository):
        read(repository, 3600)
        with pytest.raises(NotReadyError, match="stalled"):
            readiness.data_ages()

    def test_never_read_is_not_ready(self, repository):
        with pytest.raises(NotReadyError, match="not read yet"):
            readiness.data_ages()

    def test_what_is_no_longer_watched_does_not_count(self, repository):
        repository.active = False
        repository.save()
        assert readiness.data_ages() == "no repository is watched"

    def test_it_is_part_of_readyz(self, client, repository):
        read(repository, 12)
        assert client.get("/readyz").json()["checks"]["data"] == {"ok": True, "says": "grove/orchard 12 s"}


def test_dismissed_payloads_come_back_only_if_sent_again(client, repository):
    worlds.store(repository, worlds.rejected())
    SetAside.objects.all().delete()
    assert "Nothing was set aside" in shown(client)
    ingest.set_aside(None, [worlds.rejected()], worlds.minutes(9))
    assert "could not be stored" in shown(client)


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_it_refreshes_itself_without_moving_or_closing_anything(live_server, page):
    repository = worlds.repository()
    worlds.trunk(repository, 2)
    read(repository)
    worlds.store(repository, worlds.rejected(payload="the text"))
    page.clock.install()
    page.goto(f"{live_server.url}/status")
    page.click("summary")
    before = page.locator("#aside").bounding_box()
    SyncState.objects.filter(kind=SyncKind.COMMITS).update(problem="GitHub cannot be reached.", failures=1)
    with page.expect_response("**/status"):
        page.clock.fast_forward(11_000)
    page.get_by_text("GitHub cannot be reached.").wait_for()
    assert page.get_by_text("the text").is_visible()
    assert page.locator("#aside").bounding_box() == before


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_it_can_be_read_without_script_and_on_a_phone(live_server, browser):
    read(worlds.repository())
    context = browser.new_context(java_script_enabled=False, viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.goto(f"{live_server.url}/status")
    assert page.get_by_text("grove/orchard").is_visible()
    context.close()
    context = browser.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.goto(f"{live_server.url}/status")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()

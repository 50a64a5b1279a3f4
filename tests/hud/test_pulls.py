"""Pull requests on the real road: simulated GitHub → HTTP → `hud.pulls` → PostgreSQL → the page."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
import requests
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from hud import polling, pull_page, pulls
from hud.models import (
    Branch,
    Break,
    Commit,
    CommitCells,
    Configuration,
    JobLog,
    LogState,
    PullHead,
    PullRequest,
    Repository,
    Run,
    SetAside,
    SyncedPage,
    WorkflowRun,
)
from hud.places import trunk_place
from hud.pull_verdict import Label
from project.github.budget import Budget
from project.github.client import Client
from project.github.pulls import parse_pull_request
from project.github.tokens import PersonalToken
from project.simulator.running import running_simulator
from tests.hud import worlds
from tests.hud.test_polling import Road
from tests.hud.test_views import assert_well_formed, text_of

pytestmark = pytest.mark.django_db
START = "2026-03-04T12:00:00Z"


# -- read from GitHub ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def github():
    with running_simulator(scale="tiny", seed=3, start=START, hourly_limit=100_000, speed=0) as simulator:
        yield simulator


@pytest.fixture
def road(transactional_db, github):
    github.control("counts", reset=True)
    found = Road(github)
    found.repository.trunk = "main"
    found.repository.backfill_commits = 5
    found.repository.save()
    found.poll(*list(polling.INTERVALS)[:3])
    return found


def ask(road: Road, path: str) -> Any:
    headers = {"Authorization": "Bearer other", "User-Agent": "test"}
    url = f"{road.simulator.url}/repos/{road.simulator.full_name}/{path}"
    return requests.get(url, headers=headers, timeout=10).json()


def listed(road: Road, **wanted: Any) -> list[dict[str, Any]]:
    return [
        one
        for one in ask(road, "pulls?state=all&sort=updated&direction=desc&per_page=100")
        if all(one[key] == value for key, value in wanted.items())
    ]


def runs_of(road: Road, sha: str) -> list[dict[str, Any]]:
    return ask(road, f"actions/runs?head_sha={sha}")["workflow_runs"]


def read(road: Road, number: int, sha: str = "", minutes: float = 0) -> str:
    now = timezone.now() + timedelta(minutes=minutes)
    return pulls.read(road.repository.pk, number, sha, now=now, client=road.client())


def test_a_pull_request_is_read_with_its_commits_and_runs(road: Road) -> None:
    told = next(one for one in listed(road, state="open") if len(ask(road, f"pulls/{one['number']}/commits")) > 2)
    number, head = told["number"], told["head"]["sha"]
    assert read(road, number) == "done"
    pull = PullRequest.objects.get()
    assert (pull.number, pull.title, pull.author, pull.open) == (number, told["title"], told["user"]["login"], True)
    commits = [one["sha"] for one in ask(road, f"pulls/{number}/commits")]
    assert list(pull.heads.filter(place__isnull=False).order_by("place").values_list("sha", flat=True)) == commits
    newest = pull.heads.get(sha=head)
    compared = ask(road, f"compare/{told['base']['ref']}...{head}")
    assert newest.merge_base == compared["merge_base_commit"]["sha"] != head
    runs = ask(road, f"actions/runs?head_sha={head}")
    assert WorkflowRun.objects.filter(commit__sha=head).count() == runs["total_count"] > 0
    assert Run.objects.filter(commit__sha=head).exists()
    # The head's runs are ordinary ones, and its commit is on no branch, so that no grid shows it.
    assert not Commit.objects.get(sha=head).branchcommit_set.exists()
    assert not SetAside.objects.exists()


def test_reading_again_costs_no_counted_request(road: Road) -> None:
    number = listed(road, state="closed")[0]["number"]
    read(road, number)
    road.counted()
    assert read(road, number, minutes=5) == "done"
    assert road.counted() <= 1  # a commit's check suites or so


def test_a_head_that_was_forced_away_stays(road: Road) -> None:
    forced = next(
        one
        for one in listed(road)
        if "head_ref_force_pushed" in [what["event"] for what in ask(road, f"issues/{one['number']}/timeline")]
    )
    number = forced["number"]
    read(road, number)
    gone = PullHead.objects.filter(pull__number=number, place=None).exclude(sha=forced["head"]["sha"])
    (away,) = gone.filter(replaced_at__isnull=False)[:1]
    assert read(road, number, away.sha) == "done"
    away.refresh_from_db()
    assert away.read_at
    assert WorkflowRun.objects.filter(commit__sha=away.sha).exists()


def test_a_merged_pull_request_is_not_its_own_base(road: Road) -> None:
    merged = next(one for one in listed(road, state="closed") if one["merged_at"])
    read(road, merged["number"])
    pull = PullRequest.objects.get()
    assert pull.landed
    assert pull.landed_sha == merged["merge_commit_sha"]
    assert pull.heads.get(sha=pull.head_sha).merge_base not in ("", pull.head_sha)


def test_polling_leaves_heads_alone(road: Road) -> None:
    told = next(
        one
        for one in listed(road, state="open")
        if any(run["status"] != "completed" for run in runs_of(road, one["head"]["sha"]))
    )
    read(road, told["number"])
    assert Commit.objects.get(sha=told["head"]["sha"]).runs_listed_at is None
    before = Repository.objects.get().version
    road.simulator.control("counts", reset=True)
    seen: list[str] = []
    client = road.client()
    original = client.attempt_jobs
    client.attempt_jobs = lambda *a, **k: seen.append(str(a)) or original(*a, **k)  # type: ignore[method-assign]
    polling.poll(road.repository.pk, "jobs", client=client)
    assert not seen
    assert Repository.objects.get().version == before


def test_what_is_not_there_is_said_and_remembered(road: Road, client: Browser) -> None:
    assert read(road, 999_999) == "not found"
    pull = PullRequest.objects.get()
    assert pull.missing_at
    PullRequest.objects.update(missing_at=timezone.now(), asked_at=timezone.now())
    response = client.get(f"/hud/{road.repository}/pull/999999")
    assert response.status_code == 404
    assert "has no pull request #999999" in text_of(response)
    assert pulls.ask(road.repository, 999_999) == (pull, False)


def test_githubs_faults_are_told(road: Road, client: Browser) -> None:
    number = listed(road, state="open")[0]["number"]
    read(road, number)
    broken = Client(
        token=PersonalToken("a"), api_url="http://127.0.0.1:9", budget=Budget("none", None),
        validators=polling._StoredValidators(), sleep=lambda seconds: None, retries=0,
    )  # fmt: skip
    assert pulls.read(road.repository.pk, number, client=broken) == "failed"
    PullRequest.objects.update(asked_at=timezone.now(), read_at=timezone.now() - timedelta(hours=1))
    said = text_of(client.get(f"/hud/{road.repository}/pull/{number}"))
    assert "Could not be read again: GitHub cannot be reached" in said
    assert "Shown as of" in said
    assert "Did I break it?" in said


def test_the_list_is_read_to_what_is_known(road: Road) -> None:
    newest = pulls.read_open(road.repository, client=road.client(), since=None)
    assert PullRequest.objects.count() == 100
    assert newest == max(PullRequest.objects.values_list("updated_at", flat=True))
    road.counted()
    assert pulls.read_open(road.repository, client=road.client(), since=newest) == newest
    assert road.counted() == 0


def test_a_validator_is_only_kept_with_what_it_is_of(road: Road, monkeypatch: pytest.MonkeyPatch) -> None:
    number = listed(road, state="open")[0]["number"]
    before = SyncedPage.objects.count()

    def crash(*_: Any) -> None:
        raise RuntimeError("killed")

    monkeypatch.setattr(pulls, "_store_commits", crash)
    with pytest.raises(RuntimeError):
        read(road, number)
    assert SyncedPage.objects.count() == before + 1  # the pull request itself was stored
    monkeypatch.undo()
    read(road, number)
    assert PullHead.objects.filter(pull__number=number, place=0).exists()


# -- told by events ------------------------------------------------------------------------------------------------


def event(number: int = 5, sha: int = 900, at: str = "2026-01-05T12:00:00Z", **fields: Any) -> dict[str, Any]:
    pull = {
        "number": number, "title": "Fuse it", "user": {"login": "tsuzuki"}, "state": "open", "draft": False,
        "head": {"sha": worlds.sha(sha), "ref": "fuse"}, "base": {"ref": "main"}, "labels": [{"name": "module: x"}],
        "created_at": "2026-01-05T10:00:00Z", "updated_at": at, "closed_at": None, "merged_at": None,
        "merge_commit_sha": "e" * 40,
    } | fields  # fmt: skip
    return {"action": "synchronize", "number": number, "pull_request": pull}


@pytest.fixture
def repository() -> Repository:
    return worlds.repository()


def test_events_may_come_in_any_order(repository: Repository) -> None:
    first = event(sha=900)
    second = event(sha=901, at="2026-01-05T13:00:00Z") | {"before": worlds.sha(900), "after": worlds.sha(901)}
    closed = event(sha=901, at="2026-01-05T14:00:00Z", state="closed")
    for order in ((first, second, closed), (closed, first, second), (second, closed, first, first)):
        PullRequest.objects.all().delete()
        for one in order:
            pulls.store_event(repository, one)
        pull = PullRequest.objects.get()
        assert (pull.open, pull.head_sha, pull.title) == (False, worlds.sha(901), "Fuse it")
        assert set(pull.heads.values_list("sha", flat=True)) == {worlds.sha(900), worlds.sha(901)}


@pytest.mark.parametrize(
    "payload",
    [
        {}, {"pull_request": None}, {"pull_request": []}, event(number=2**40), event(head=None),
        event(updated_at="yesterday"), event(head={"sha": "abc"}),
    ],
)  # fmt: skip
def test_a_bad_event_is_set_aside(repository: Repository, payload: dict[str, Any]) -> None:
    pulls.store_event(repository, payload)
    assert not PullRequest.objects.exists()
    assert SetAside.objects.count() == 1


def test_hostile_text_is_bounded_and_escaped(repository: Repository, client: Browser) -> None:
    evil = "<script>alert(1)</script>\0" + "x" * 5000
    head = {"sha": worlds.sha(1), "ref": evil}
    pulls.store_event(repository, event(title=evil, user=None, labels=[{"name": evil}, None, 7], head=head))
    response = client.get(f"/hud/{repository}/pull/5")
    assert response.status_code == 200
    content = response.content.decode()
    assert "<script>alert" not in content
    assert "a deleted account" in content
    assert_well_formed(content)


def test_a_test_merge_is_no_landing() -> None:
    assert parse_pull_request(event()["pull_request"]).landed_sha == ""
    merged = event(merged_at="2026-01-05T15:00:00Z", state="closed")["pull_request"]
    assert parse_pull_request(merged).landed_sha == "e" * 40


# -- the page ------------------------------------------------------------------------------------------------------

JOB, LINT = "linux / test", "lint"
BASE, HEAD = 5, 900


def pull_request(
    repository: Repository, *, number: int = 5, head: int = HEAD, author: str = "ash", **fields: Any
) -> PullRequest:
    """A pull request on top of commit `BASE` of a trunk of ten."""
    now = timezone.now()
    pull = PullRequest.objects.create(
        repository=repository, number=number, title="Fuse it", author=author, head_sha=worlds.sha(head),
        base_ref="main", created_at=worlds.T0, updated_at=worlds.T0, read_at=now, asked_at=now, **fields,
    )  # fmt: skip
    PullHead.objects.create(
        pull=pull, sha=worlds.sha(head), place=0, merge_base=worlds.sha(BASE), read_at=timezone.now(), title="Fuse it"
    )
    worlds.store(repository, worlds.commit(head, parent=BASE, author=author))
    return pull


def ran(repository: Repository, of: int, conclusion: str, name: str = JOB, *, attempt: int = 1) -> None:
    number = of * 10 + [JOB, LINT, "linux / unstable"].index(name)
    whole = conclusion if conclusion == "in_progress" else "success"
    worlds.store(
        repository,
        worlds.workflow_run(number, whole, of=of, attempt=attempt, event="pull_request"),
        worlds.job(number * 10 + attempt, name, conclusion, of=of, run=number, attempt=attempt, start=attempt * 20),
    )


def said_why(repository: Repository, of: int, key: str, name: str = JOB, **fields: Any) -> None:
    """The failing lines of all failed runs of a job on a commit."""
    runs = Run.objects.filter(commit__sha=worlds.sha(of), configuration__name=name, conclusion=2)
    for run in runs:
        values = {
            "state": LogState.READ, "rule": "pytest", "category": "test", "key": key, "line_number": 12,
            "line": f"FAILED test_{key}.py::test - AssertionError", "failed_at": run.completed_at or worlds.T0,
            "context": {"before": ["a", "b", "c"], "after": ["d"]},
        } | fields  # fmt: skip
        JobLog.objects.create(
            run_id=run.pk,
            repository=repository,
            commit_id=run.commit_id,
            configuration_id=run.configuration_id,
            **values,
        )


@pytest.fixture
def world(repository: Repository) -> Repository:
    worlds.trunk(repository, 10)
    for n in range(10):
        ran(repository, n, "success")
    return repository


def label(repository: Repository, sha: str = "") -> tuple[list[tuple[Label, int]], str]:
    context = pull_page.of_pull(trunk_place(repository), PullRequest.objects.get(number=5), sha)
    return [(one[0], one[2]) for one in context["labels"]], context["answer"].words


def test_a_failure_of_its_own_is_new(world: Repository, client: Browser) -> None:
    pull_request(world)
    ran(world, HEAD, "failure")
    said_why(world, HEAD, "k1")
    assert label(world) == ([(Label.NEW, 1)], "Yes: 1 new failure (pull / linux / test).")
    response = client.get(f"/hud/{world}/pull/5")
    said = text_of(response)
    assert "Did I break it? X Yes: 1 new failure" in said
    assert "It passed on the merge base, and the same failure was seen nowhere else." in said
    assert "FAILED test_k1.py::test - AssertionError" in said
    assert_well_formed(response.content.decode())


def test_red_on_its_base_is_trunks(world: Repository) -> None:
    pull_request(world)
    ran(world, HEAD, "failure")
    said_why(world, HEAD, "k1")
    ran(world, BASE, "failure", LINT)
    ran(world, HEAD, "failure", LINT)
    said_why(world, BASE, "k2", LINT)
    said_why(world, HEAD, "k2", LINT)
    assert label(world)[0] == [(Label.NEW, 1), (Label.BROKEN_TRUNK, 1)]


def test_a_base_without_a_result_is_stood_in_for(world: Repository) -> None:
    pull_request(world)
    ran(world, BASE - 2, "failure", LINT)
    ran(world, HEAD, "failure", LINT)
    said_why(world, BASE - 2, "k2", LINT)
    said_why(world, HEAD, "k2", LINT)
    assert label(world) == ([(Label.BROKEN_TRUNK, 1)], "No: 1 failure, 1 on trunk before you.")


@pytest.mark.parametrize(
    ("seen_on", "expected"),
    [
        ("newer trunk", Label.FLAKY),
        ("older trunk", Label.NEW),
        ("another's", Label.FLAKY),
        ("same author's", Label.NEW),
        ("stacked", Label.NEW),
        ("long ago", Label.NEW),
        ("own earlier head", Label.NEW),
        ("after it landed", Label.NEW),
        ("unknown commit", Label.NEW),
    ],
)
def test_where_the_same_failure_counts(world: Repository, seen_on: str, expected: Label) -> None:
    pull = pull_request(world)
    ran(world, HEAD, "failure")
    said_why(world, HEAD, "k1")
    on = {"newer trunk": 7, "long ago": 7, "older trunk": 3, "after it landed": 8}.get(seen_on, 950)
    if seen_on == "older trunk":
        ran(world, on, "success", attempt=2)
    if seen_on in ("another's", "same author's", "stacked"):
        other = pull_request(world, number=6, head=on, author="ash" if seen_on == "same author's" else "birch")
        if seen_on == "stacked":
            PullHead.objects.create(pull=other, sha=worlds.sha(HEAD), place=1)
    elif on == 950:
        worlds.store(world, worlds.commit(on, parent=1))
    if seen_on == "own earlier head":
        PullHead.objects.create(pull=pull, sha=worlds.sha(on))
    if seen_on == "after it landed":
        Commit.objects.filter(sha=worlds.sha(7)).update(pr_number=5)
    ran(world, on, "failure", attempt=3)
    when = {"failed_at": worlds.T0 - timedelta(days=9)} if seen_on == "long ago" else {"failed_at": worlds.minutes(900)}
    said_why(world, on, "k1", **when)
    assert label(world)[0] == [(expected, 1)]


def test_passed_on_a_rerun_is_flaky_and_unstable_is_nobodys(world: Repository) -> None:
    pull_request(world)
    ran(world, HEAD, "failure")
    ran(world, HEAD, "success", attempt=2)
    assert label(world) == ([(Label.FLAKY, 1)], "No: 1 failure, 1 flaky.")
    ran(world, HEAD, "failure", "linux / unstable")
    assert label(world)[0] == [(Label.FLAKY, 1), (Label.UNSTABLE, 1)]


def test_nothing_is_said_before_it_is_known(world: Repository, client: Browser) -> None:
    pull = pull_request(world)
    assert label(world)[1] == "Nothing has run on this commit."
    assert "No CI has run on this commit" in text_of(client.get(f"/hud/{world}/pull/5"))
    ran(world, HEAD, "in_progress", LINT)
    assert label(world)[1] == "Can’t say yet: 1 job still to finish."
    ran(world, HEAD, "failure")
    said_why(world, HEAD, "", state=LogState.WAITING, rule="", category="", line_number=None, line="")
    assert label(world)[1] == "Can’t say yet: 1 log still to be read, 1 job still to finish."
    assert "Its log has not been read yet." in text_of(client.get(f"/hud/{world}/pull/5"))
    JobLog.objects.update(state=LogState.MISSING)
    assert label(world)[0] == [(Label.INFRA, 1)]
    PullHead.objects.filter(pull=pull).update(problem="GitHub does not find this.")
    assert "Its runs could not be read: GitHub does not find this." in text_of(client.get(f"/hud/{world}/pull/5"))


def test_approval_is_no_result(world: Repository, client: Browser) -> None:
    pull_request(world)
    worlds.store(world, worlds.workflow_run(77, "action_required", of=HEAD, event="pull_request"))
    said = text_of(client.get(f"/hud/{world}/pull/5"))
    assert "Nothing has run yet: 1 workflow waiting for approval." in said
    assert "approval, which is no result" in said


def test_one_picks_the_head(world: Repository, client: Browser) -> None:
    pull = pull_request(world)
    worlds.store(world, worlds.commit(899, parent=BASE))
    PullHead.objects.create(
        pull=pull, sha=worlds.sha(899), replaced_at=worlds.T0, merge_base=worlds.sha(BASE), read_at=timezone.now()
    )
    ran(world, HEAD, "success")
    ran(world, 899, "failure")
    said_why(world, 899, "k1")
    assert label(world)[1] == "No: everything that ran passed."
    response = client.get(f"/hud/{world}/pull/5?head={worlds.sha(899)}")
    said = text_of(response)
    assert "Yes: 1 new failure" in said
    assert "not its newest commit" in said
    assert "replaced Jan 5, 12:00" in said
    content = response.content.decode()
    assert re.search(rf'rel="prev" href="\?head={worlds.sha(HEAD)}"', content)
    assert 'aria-current="true"' in content


def test_what_became_of_it(world: Repository, client: Browser) -> None:
    pull_request(world, open=False, landed_sha=worlds.sha(7))
    said = text_of(client.get(f"/hud/{world}/pull/5"))
    assert "landed" in said
    assert "broke nothing that is known" in said
    landed = Commit.objects.get(sha=worlds.sha(7))
    now = timezone.now()
    Break.objects.create(
        repository=world, number=3, title="x", decision="revert", code="confirmed", culprit=landed, broke_at=now,
        noticed_at=now,
    )  # fmt: skip
    Commit.objects.filter(sha=worlds.sha(9)).update(message=f'Revert "x"\n\nThis reverts commit {worlds.sha(7)}.')
    said = text_of(client.get(f"/hud/{world}/pull/5"))
    assert "Break 3 open" in said
    assert f"reverted by {worlds.sha(9)[:7]}" in said


def test_a_bot_lands_by_a_commit_that_names_the_pull_request(world: Repository) -> None:
    pull_request(world, open=False)
    Commit.objects.filter(sha=worlds.sha(8)).update(pr_number=5)
    context = pull_page.of_pull(trunk_place(world), PullRequest.objects.get(), "")
    assert (context["fate"].sha, context["fate"].on_trunk) == (worlds.sha(8), True)


# -- asking --------------------------------------------------------------------------------------------------------


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any) -> list[tuple[Any, ...]]:
    """Readings that were asked of the worker; there is none in these tests."""
    found: list[tuple[Any, ...]] = []
    from hud.tasks import read_pull

    monkeypatch.setattr(read_pull, "apply_async", lambda arguments, **_: found.append(arguments))
    return found


@pytest.mark.django_db(transaction=True)
def test_a_first_look_asks_once_and_says_so(repository: Repository, client: Browser, sent: list[Any]) -> None:
    for _ in range(3):
        response = client.get(f"/hud/{repository}/pull/12")
        assert response.status_code == 200
        assert "Reading #12 from GitHub…" in text_of(response)
    assert sent == [(repository.pk, 12, "")]
    content = response.content.decode()
    again = re.search(r'hx-get="([^"]+)" hx-trigger="every 3s"', content)
    assert again
    address = again[1].replace("&amp;", "&")
    assert client.get(address, headers={"hx-request": "true"}).status_code == 204
    pulls.store_event(repository, event(number=12))
    answer = client.get(address, headers={"hx-request": "true"})
    assert answer.status_code == 200
    assert answer.content.decode().startswith('<div class="live"')
    PullRequest.objects.update(asked_at=timezone.now() - timedelta(seconds=60))
    client.get(f"/hud/{repository}/pull/12")
    assert len(sent) == 2


@pytest.mark.django_db(transaction=True)
def test_a_robot_cannot_spend_the_budget(repository: Repository, client: Browser, sent: list[Any]) -> None:
    for number in range(1, pulls.FIRST_READS + 6):
        client.get(f"/hud/{repository}/pull/{number}")
    assert len(sent) == pulls.FIRST_READS
    response = client.get(f"/hud/{repository}/pull/5000")
    assert response.status_code == 503
    assert "Many pull requests are being read just now" in text_of(response)
    assert client.get(f"/hud/{repository}/pull/{2**31}").status_code == 404
    assert client.get(f"/hud/{repository}/pull/0").status_code == 404
    assert client.get(f"/hud/{repository}/pull/{10**40}").status_code == 404


@pytest.mark.django_db(transaction=True)
def test_what_is_fresh_is_not_asked_for(world: Repository, client: Browser, sent: list[Any]) -> None:
    pull_request(world, open=False)
    PullRequest.objects.update(read_at=timezone.now() - timedelta(minutes=9), asked_at=None)
    PullHead.objects.update(read_at=timezone.now() - timedelta(minutes=9))
    content = client.get(f"/hud/{world}/pull/5").content.decode()
    assert not sent
    assert "hx-trigger" not in content  # closed, and nothing runs: nothing will change
    ran(world, HEAD, "in_progress")
    content = client.get(f"/hud/{world}/pull/5").content.decode()
    assert len(sent) == 1
    assert "Read" in content


def test_what_the_page_costs(world: Repository, client: Browser) -> None:
    pull_request(world)

    def queries() -> int:
        client.get(f"/hud/{world}/pull/5")
        with CaptureQueriesContext(connection) as seen:
            client.get(f"/hud/{world}/pull/5")
        return len(seen)

    ran(world, BASE, "failure")
    ran(world, HEAD, "failure")
    said_why(world, HEAD, "k1")
    few = queries()
    for n in range(60):
        number = 50_000 + n
        worlds.store(world, worlds.job(number, f"linux-{n} / test", "failure", of=HEAD, run=HEAD * 10))
        worlds.store(world, worlds.job(number + 1000, f"linux-{n} / test", "failure", of=BASE, run=BASE * 10))
        said_why(world, HEAD, f"k{n % 7}", f"linux-{n} / test")
    assert queries() == few <= 32
    assert Configuration.objects.count() > 60
    assert CommitCells.objects.exists()
    assert Branch.objects.count() == 1

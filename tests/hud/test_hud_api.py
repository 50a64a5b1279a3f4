"""Clients of hud.pytorch.org's API find here what they read there."""

from __future__ import annotations

import pytest

from hud.models import Branch
from tests.hud import worlds
from tests.hud.worlds import job, sha

pytestmark = pytest.mark.django_db
BASE = "/api/hud/grove/orchard"
SHARD = "linux-jammy-py3.10-gcc11 / test (default, {}, 5, linux.2xlarge)"


@pytest.fixture
def repository():
    found = worlds.repository()
    worlds.trunk(found, 3)
    return found


def get(client, branch="main", page=1, **query):
    response = client.get(f"{BASE}/{branch}/{page}", query)
    assert response.status_code == 200, response.content
    return response.json()


def cell(content, name, row=0):
    return content["shaGrid"][row]["jobs"][content["jobNames"].index(name)]


def test_jobs_stand_in_the_order_of_the_sorted_names_as_given(client, repository):
    worlds.store(
        repository,
        job(1, SHARD.format(3), of=2),
        job(2, "win-vs2022-cpu-py3 / build", "failure", of=2, workflow="trunk", run=2),
        job(3, SHARD.format(3), "skipped", of=1, run=3),
    )
    content = get(client)
    assert content["jobNames"] == [f"pull / {SHARD.format(3)}", "trunk / win-vs2022-cpu-py3 / build"]
    assert [[job.get("conclusion") for job in row["jobs"]] for row in content["shaGrid"]] == [
        ["success", "failure"], ["skipped", None], [None, None],
    ]  # fmt: skip
    assert content["shaGrid"][2]["jobs"] == [{}, {}]


def test_a_commit_says_what_clients_read_of_it(client, repository):
    body = "Pull Request resolved: https://github.com/grove/orchard/pull/7\n\nDifferential Revision: [D123](x)"
    worlds.store(
        repository, worlds.commit(3, "Prune (#7)", author="birch", body=body), worlds.branch(3), at=worlds.minutes(9)
    )
    row = get(client, per_page=1)["shaGrid"][0]
    assert row == {
        "sha": sha(3),
        "commitUrl": f"https://github.com/grove/orchard/commit/{sha(3)}",
        "commitTitle": "Prune (#7)",
        "commitMessageBody": f"Prune (#7)\n\n{body}",
        "time": "2026-01-05T12:03:00Z",
        "author": "birch",
        "authorUrl": "https://github.com/birch",
        "prNum": 7,
        "diffNum": "D123",
        "jobs": [],
        "isForcedMerge": False,
        "isForcedMergeWithFailures": False,
        "isAutoreverted": False,
    }


def test_a_job_links_to_its_page_and_log_and_says_how_long_it_took(client, repository):
    worlds.store(repository, job(41, "linux / build", "failure", of=2, run=9, start=1, end=11))
    assert cell(get(client), "pull / linux / build") == {
        "id": "41",
        "workflowId": "9",
        "conclusion": "failure",
        "status": "completed",
        "htmlUrl": "https://github.com/grove/orchard/actions/runs/9/job/41",
        "logUrl": f"https://github.com/grove/orchard/commit/{sha(2)}/checks/41/logs",
        "durationS": 600,
        "runnerName": "runner-1",
    }


def test_what_has_not_ended_is_queued_or_pending(client, repository):
    worlds.store(
        repository, *(job(n, said, said, of=2) for n, said in enumerate(("queued", "in_progress", "waiting"), 1))
    )
    content = get(client)
    assert [cell(content, f"pull / {name}")["conclusion"] for name in ("queued", "in_progress", "waiting")] == [
        "queued", "pending", "pending",
    ]  # fmt: skip
    assert "logUrl" not in cell(content, "pull / queued")


@pytest.mark.parametrize(
    ("conclusions", "shown", "id", "flaky"),
    [
        (["success", "failure"], "success", "1", True),
        (["failure", "success"], "success", "2", True),
        (["cancelled", "success"], "success", "2", False),
        (["success", "cancelled"], "success", "1", False),
        (["failure", "timed_out"], "timed_out", "2", False),
        (["in_progress", "failure"], "failure", "2", False),
        (["neutral", "queued"], "queued", "2", False),
        (["skipped", "neutral"], "neutral", "2", False),
        (["skipped", "cancelled"], "skipped", "1", False),
        (["success", "success", "skipped"], "success", "2", False),
        (["cancelled", "cancelled"], "cancelled", "2", False),
    ],
)
def test_all_runs_under_one_name_are_merged_whatever_their_order(client, repository, conclusions, shown, id, flaky):
    events = [job(n, "linux / build", said, of=2, run=n) for n, said in enumerate(conclusions, 1)]
    worlds.store(repository, *reversed(events))
    merged = cell(get(client), "pull / linux / build")
    assert (merged["conclusion"], merged["id"], merged.get("failedPreviousRun", False)) == (shown, id, flaky)
    assert len(merged["cellRuns"]) == len(conclusions)
    assert merged["cellRuns"][0]["isRepresentative"]
    assert merged["cellRuns"][0]["id"] == id


def test_of_equal_runs_the_newest_by_number_is_shown_not_by_text(client, repository):
    worlds.store(repository, job(9, of=2, run=1), job(10, of=2, run=2))
    assert cell(get(client), "pull / linux / build")["id"] == "10"


def test_other_apps_and_statuses_are_columns_with_their_own_links(client, repository):
    worlds.store(
        repository, worlds.check_run(5, of=2, url="https://meter.example/5"), worlds.status(6, "pending", of=2)
    )
    content = get(client)
    assert content["jobNames"] == ["Meter / coverage", "status / ci/legacy"]
    assert cell(content, "Meter / coverage")["htmlUrl"] == "https://meter.example/5"
    assert cell(content, "status / ci/legacy")["conclusion"] == "pending"


def test_pages_count_from_one_and_zero_is_the_first_too(client, repository):
    def shas(page):
        return [row["sha"] for row in get(client, page=page, per_page=2)["shaGrid"]]

    assert shas(0) == shas(1) == [sha(2), sha(1)]
    assert shas(2) == [sha(0)]
    assert shas(3) == []
    assert shas(10**30) == []


def test_a_branch_may_contain_slashes_escaped_or_not(client, repository):
    worlds.store(repository, worlds.branch(1, "release/2.6"))
    repository.watched_branches = ["release/2.6"]
    repository.save()
    worlds.store(repository, worlds.branch(1, "release/2.6"), at=worlds.minutes(2))
    assert Branch.objects.get(name="release/2.6").watched
    for spelled in ("release/2.6", "release%2F2.6"):
        assert [row["sha"] for row in get(client, spelled)["shaGrid"]] == [sha(1), sha(0)]


def test_a_sha_is_as_good_as_a_branch_even_shortened_or_off_every_branch(client, repository):
    worlds.store(repository, worlds.commit(9, parent=1))
    for ref in (sha(9), sha(9)[:10], sha(9).upper()):
        assert [row["sha"] for row in get(client, ref)["shaGrid"]] == [sha(9), sha(1), sha(0)]
    assert [row["sha"] for row in get(client, sha(9), 2, per_page=2)["shaGrid"]] == [sha(0)]


def test_names_can_be_filtered_and_fleets_merged(client, repository):
    worlds.store(
        repository,
        job(1, "linux / test (default, 1, 2, linux.2xlarge)", "failure", of=2),
        job(2, "linux / test (default, 1, 2, lf.linux.2xlarge)", of=2, run=2),
        job(3, "linux / test (default, 1, 2, linux.2xlarge, unstable)", of=2),
        job(4, "linux / test (default, 1, 2, linux.2xlarge, rerun_disabled_tests)", of=2),
    )
    assert len(get(client)["jobNames"]) == 4
    query = {"filter_reruns": "true", "filter_unstable": "true", "mergeEphemeralLF": "true"}
    content = get(client, **query)
    assert content["jobNames"] == ["pull / linux / test (default, 1, 2, linux.2xlarge)"]
    assert cell(content, content["jobNames"][0])["failedPreviousRun"]


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        ("/api/hud/no/such/main/1", 404, "no/such is not a repository that Arborist watches"),
        (f"{BASE}/no-such/1", 404, "has no branch “no-such”"),
        (f"{BASE}/deadbeef/1", 404, "no commit deadbeef"),
        (f"{BASE}/main/1?per_page=many", 400, "per_page: should be a number, but is “many”"),
    ],
)
def test_bad_input_names_what_and_where(client, repository, path, code, words):
    response = client.get(path)
    assert response.status_code == code
    assert words in response.json()["detail"]


def test_a_repository_that_was_not_read_yet_has_an_empty_page(client):
    worlds.repository()
    assert get(client) == {"shaGrid": [], "jobNames": []}


def test_any_page_may_read_it_but_nobody_may_write(client, repository):
    assert client.get(f"{BASE}/main/1")["Access-Control-Allow-Origin"] == "*"
    assert client.post(f"{BASE}/main/1").status_code == 405


def test_an_unchanged_page_is_not_sent_again(client, repository):
    worlds.store(repository, job(1, SHARD.format(1), of=2), job(2, SHARD.format(2), "in_progress", of=2))
    first = client.get(f"{BASE}/main/1")
    assert client.get(f"{BASE}/main/1", headers={"If-None-Match": first["ETag"]}).status_code == 304
    # The square stays "failed" while its second shard goes on, so the repository's version would not do as a validator.
    worlds.store(repository, job(2, SHARD.format(2), of=2))
    assert client.get(f"{BASE}/main/1", headers={"If-None-Match": first["ETag"]}).status_code == 200


@pytest.mark.parametrize(("ref", "queries"), [("main", 5), (sha(2), 6)])
def test_the_number_of_queries_does_not_grow(client, repository, django_assert_num_queries, ref, queries):
    worlds.fill(repository, commits=3, jobs=40)
    with django_assert_num_queries(queries):
        content = get(client, ref)
    assert len(content["jobNames"]) == 40


def test_text_is_sent_as_text(client, repository):
    worlds.store(repository, job(1, '<b>\u202e😀 "quoted"', of=2))
    assert get(client)["jobNames"] == ['pull / <b>\u202e😀 "quoted"']

"""How the simulated GitHub answers over HTTP: pages, ETags, limits, redirects, trouble."""

import itertools
import re
import time
from collections.abc import Callable

import jwt
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from project.simulator.running import Running, running_simulator
from tests.project.simulator.conftest import START

Get = Callable[..., requests.Response]


def links(response: requests.Response) -> dict[str, str]:
    return {rel: link["url"] for rel, link in response.links.items()}


# -- pages ----------------------------------------------------------------------------------------------------


def test_pages_follow_one_another(frozen: Running, get: Get) -> None:
    run = next(
        r for r in frozen.world.runs(frozen.world.now() - 86_400) if len(frozen.world.plans.attempts(r)[0].jobs) == 5
    )
    first = get(frozen, f"R/actions/runs/{run.id}/jobs?per_page=2")
    assert set(links(first)) == {"next", "last"}
    assert links(first)["next"].startswith(f"{frozen.url}/repositories/{frozen.world.id}/")
    seen, page = [], first
    while True:
        seen += [job["id"] for job in page.json()["jobs"]]
        if "next" not in links(page):
            break
        page = get(frozen, links(page)["next"])
    assert set(links(page)) == {"prev", "first"}
    assert len(seen) == len(set(seen)) == first.json()["total_count"]


def test_page_size(frozen: Running, get: Get) -> None:
    assert len(get(frozen, "R/commits").json()) == 30
    assert len(get(frozen, "R/commits?per_page=1000").json()) == 100
    assert len(get(frozen, "R/commits?per_page=nonsense&page=-3").json()) == 30
    third = get(frozen, "R/commits?per_page=10&page=3").json()
    assert third == get(frozen, "R/commits?per_page=30").json()[20:]


def test_commits_by_date_and_branch(frozen: Running, get: Get) -> None:
    since, until = "2026-11-17T00:00:00Z", "2026-11-17T12:00:00Z"
    dates = [
        c["commit"]["committer"]["date"]
        for c in get(frozen, f"R/commits?since={since}&until={until}&per_page=100").json()
    ]
    assert dates
    assert all(since <= date <= until for date in dates)
    for branch in ("viable/strict", "viable%2Fstrict"):
        head = get(frozen, f"R/branches/{branch}").json()["commit"]["sha"]
        assert get(frozen, f"R/commits?sha={branch}&per_page=1").json()[0]["sha"] == head
    assert get(frozen, "R/commits?sha=nowhere").status_code == 404


def test_a_filtered_list_ends_after_1000(frozen: Running, get: Get) -> None:
    last = get(frozen, "R/actions/runs?branch=main&per_page=100&page=10")
    assert len(last.json()["workflow_runs"]) == 100
    assert "next" not in links(last)
    assert get(frozen, "R/actions/runs?branch=main&per_page=100&page=11").json()["workflow_runs"] == []


# -- names ----------------------------------------------------------------------------------------------------


def test_names_ignore_case(frozen: Running, get: Get) -> None:
    assert get(frozen, f"/repos/{frozen.full_name.upper()}").json()["full_name"] == frozen.full_name
    assert get(frozen, f"/repositories/{frozen.world.id}").json()["full_name"] == frozen.full_name


@pytest.mark.parametrize(
    "path", ["/repos/no/such", "R/actions/runs/1", "R/actions/runs/x/jobs", "R/actions/jobs/199000000000",
             "R/branches/no", "/nowhere/at/all", "R/check-suites/7/check-runs", "R/check-runs/12"],
)  # fmt: skip
def test_unknown_is_404_in_githubs_words(frozen: Running, get: Get, path: str) -> None:
    response = get(frozen, path)
    assert response.status_code == 404
    assert response.json()["message"] in ("Not Found", "Branch not found")
    assert response.json()["documentation_url"]


def test_unknown_sha_is_422(frozen: Running, get: Get) -> None:
    response = get(frozen, f"R/commits/{'0' * 40}")
    assert response.status_code == 422
    assert response.json()["message"].startswith("No commit found for SHA")


# -- conditional requests -------------------------------------------------------------------------------------


def test_not_modified_costs_nothing(simulator: Running, get: Get) -> None:
    first = get(simulator, "R/actions/runs")
    etag = first.headers["etag"]
    assert re.fullmatch(r'W/"[0-9a-f]{64}"', etag)
    for sent in (etag, etag.removeprefix("W/"), f'"other", {etag}'):
        again = get(simulator, "R/actions/runs", headers={"If-None-Match": sent})
        assert again.status_code == 304
        assert again.content == b""
        assert again.headers["x-ratelimit-used"] == first.headers["x-ratelimit-used"] == "1"
    assert get(simulator, "R/actions/runs", token="other").headers["etag"] != etag
    assert simulator.counts()["not_modified"] == 3
    assert simulator.counts()["counted"] == 2


def test_not_modified_costs_those_without_a_token(simulator: Running, get: Get) -> None:
    etag = get(simulator, "R/branches", token=None).headers["etag"]
    again = get(simulator, "R/branches", token=None, headers={"If-None-Match": etag})
    assert (again.status_code, again.headers["x-ratelimit-used"]) == (304, "2")
    assert again.headers["x-ratelimit-limit"] == "60"


def test_etag_changes_with_the_world_only(simulator: Running, get: Get) -> None:
    paths = ["R/commits", "R/branches", "R/actions/runs?per_page=100"]
    before = {path: get(simulator, path).headers["etag"] for path in paths}
    assert before == {path: get(simulator, path).headers["etag"] for path in paths}
    simulator.control("clock", advance=4 * 3600)
    assert all(get(simulator, path).headers["etag"] != etag for path, etag in before.items())


def test_a_quiet_world_comes_to_rest(simulator: Running, get: Get) -> None:
    simulator.control("overlay", quiet=True)
    simulator.control("clock", advance=2 * 86_400)
    paths = ["", "R/commits", "R/branches", "R/actions/runs?per_page=100", "R/commits/main/check-runs"]
    paths[0] = f"/repos/{simulator.full_name}"
    before = {path: get(simulator, path).headers["etag"] for path in paths}
    simulator.control("clock", advance=3 * 86_400)
    for path, etag in before.items():
        if "runs?" not in path:  # old runs leave the list after 90 days, and its total with them
            assert get(simulator, path, headers={"If-None-Match": etag}).status_code == 304, path


def test_a_run_is_updated_only_by_its_own_status(simulator: Running) -> None:
    world = simulator.world
    run = next(r for r in world.runs(world.now()) if r.workflow.name == "pull")
    attempt = world.plans.attempts(run)[0]
    moments = {attempt.started, attempt.first_job, attempt.completed}
    assert {attempt.updated(m) for m in range(attempt.started, attempt.completed + 50)} == moments


# -- tokens and limits ----------------------------------------------------------------------------------------


def test_limit(get: Get) -> None:
    with running_simulator(start=START, speed=0, hourly_limit=3) as running:
        left = [get(running, "R/branches").headers["x-ratelimit-remaining"] for _ in range(3)]
        assert left == ["2", "1", "0"]
        refused = get(running, "R/branches")
        assert refused.status_code == 403
        assert "API rate limit exceeded" in refused.json()["message"]
        assert refused.headers["x-ratelimit-remaining"] == "0"
        assert 0 < int(refused.headers["x-ratelimit-reset"]) - time.time() <= 3600
        assert get(running, "R/branches", token="other").status_code == 200
        free = get(running, "/rate_limit")
        assert free.status_code == 200
        assert free.json()["resources"]["core"]["remaining"] == 0
        running.control("limits", clear=True)
        assert get(running, "R/branches").status_code == 200


def test_exhausting_the_limit(simulator: Running, get: Get) -> None:
    get(simulator, "R/branches")
    simulator.control("limits", exhaust=1)
    assert get(simulator, "R/branches").status_code == 403
    time.sleep(1.2)
    assert get(simulator, "R/branches").status_code == 200


def test_without_user_agent(frozen: Running) -> None:
    response = requests.get(f"{frozen.url}/rate_limit", headers={"User-Agent": ""}, timeout=10)
    assert response.status_code == 403
    assert "User-Agent" in response.text


def test_api_version(frozen: Running, get: Get) -> None:
    for version, status in (("2022-11-28", 200), ("2026-03-10", 200), ("1999-01-01", 400)):
        assert get(frozen, "/rate_limit", headers={"X-GitHub-Api-Version": version}).status_code == status


def test_revoked_token(simulator: Running, get: Get) -> None:
    simulator.control("tokens", revoke="t")
    response = get(simulator, "R/branches")
    assert (response.status_code, response.json()["message"]) == (401, "Bad credentials")


def test_installation_token(frozen: Running, get: Get) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    now = int(time.time())
    signed = jwt.encode({"iss": "77", "iat": now - 60, "exp": now + 540}, pem, algorithm="RS256")

    def ask(token: str) -> requests.Response:
        headers = {"User-Agent": "tests", "Authorization": f"Bearer {token}"}
        return requests.post(f"{frozen.url}/app/installations/5/access_tokens", headers=headers, timeout=10)

    answer = ask(signed)
    assert answer.status_code == 201
    token = answer.json()["token"]
    assert get(frozen, "R/branches", token=token).status_code == 200
    assert get(frozen, "R/branches", token=token[:-1] + "?").status_code == 401
    assert get(frozen, "R/branches", token=frozen.simulator.installation_token(now - 1)).status_code == 401
    assert ask("nonsense").status_code == 401
    assert ask(jwt.encode({"iss": "77", "exp": now - 5}, pem, algorithm="RS256")).status_code == 401
    assert ask(jwt.encode({"iss": "77", "exp": now + 5000}, pem, algorithm="RS256")).status_code == 401


# -- trouble --------------------------------------------------------------------------------------------------


def test_errors(simulator: Running, get: Get) -> None:
    simulator.control("faults", kind="error", count=2, status=503)
    assert [get(simulator, "R/branches").status_code for _ in range(3)] == [503, 503, 200]


def test_only_where_asked(simulator: Running, get: Get) -> None:
    simulator.control("faults", kind="error", match="/commits$")
    assert get(simulator, "R/branches").status_code == 200
    assert get(simulator, "R/commits").status_code == 502
    assert get(simulator, "R/commits").status_code == 200


def test_cut_connection(simulator: Running, get: Get) -> None:
    simulator.control("faults", kind="cut")
    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError)):
        get(simulator, "R/commits")
    assert get(simulator, "R/commits").status_code == 200


@pytest.mark.parametrize("kind", ["truncated", "malformed"])
def test_broken_json(simulator: Running, get: Get, kind: str) -> None:
    simulator.control("faults", kind=kind)
    spoiled = get(simulator, "R/commits")
    assert spoiled.status_code == 200
    with pytest.raises(requests.exceptions.JSONDecodeError):
        spoiled.json()


def test_secondary_limit(simulator: Running, get: Get) -> None:
    simulator.control("faults", kind="secondary", status=429, retry_after=7)
    response = get(simulator, "R/commits")
    assert (response.status_code, response.headers["retry-after"]) == (429, "7")
    assert "secondary rate limit" in response.json()["message"]
    assert int(response.headers["x-ratelimit-remaining"]) > 0


def test_latency(simulator: Running, get: Get) -> None:
    simulator.control("faults", kind="latency", seconds=0.3)
    begun = time.monotonic()
    assert get(simulator, "R/branches").status_code == 200
    assert time.monotonic() - begun >= 0.3


def test_clear_and_unknown_faults(simulator: Running, get: Get) -> None:
    simulator.control("faults", kind="error", count=100)
    simulator.control("faults", clear=True)
    assert get(simulator, "R/branches").status_code == 200
    refused = requests.post(f"{simulator.url}/_simulator/faults", json={"kind": "meteor"}, timeout=10)
    assert refused.status_code == 400


# -- what happens to repositories -----------------------------------------------------------------------------


def test_force_push(simulator: Running, get: Get) -> None:
    before = [c["sha"] for c in get(simulator, "R/commits").json()]
    simulator.control("overlay", force_push=3)
    after = [c["sha"] for c in get(simulator, "R/commits").json()]
    assert after[0] == before[3]
    assert get(simulator, "R/branches/main").json()["commit"]["sha"] == before[3]
    assert get(simulator, f"R/commits/{before[0]}").status_code == 200
    simulator.control("clock", advance=86_400)
    chain = get(simulator, "R/commits?per_page=100").json()
    assert not {c["sha"] for c in chain} & set(before[:3])
    assert all(newer["parents"][0]["sha"] == older["sha"] for newer, older in itertools.pairwise(chain))


def test_rename(simulator: Running, get: Get) -> None:
    old = simulator.full_name
    simulator.control("overlay", rename="grove/Bonsai-Two")
    moved = get(simulator, f"/repos/{old}/commits?per_page=2")
    assert moved.status_code == 301
    assert moved.headers["location"] == f"{simulator.url}/repositories/{simulator.world.id}/commits?per_page=2"
    assert len(get(simulator, moved.headers["location"]).json()) == 2
    assert get(simulator, "/repos/grove/bonsai-two").json()["full_name"] == "grove/Bonsai-Two"


def test_deleted_branch_and_gone_repository(simulator: Running, get: Get) -> None:
    simulator.control("overlay", delete_branch="viable/strict")
    assert get(simulator, "R/branches/viable/strict").status_code == 404
    assert "viable/strict" not in [b["name"] for b in get(simulator, "R/branches").json()]
    for status in (404, 410, 403):
        simulator.control("overlay", gone=status)
        assert get(simulator, "R/branches").status_code == status
    simulator.control("overlay", reset=True)
    assert get(simulator, "R/branches/viable/strict").status_code == 200


def test_hostile_titles(simulator: Running, get: Get) -> None:
    simulator.control("overlay", hostile_titles=True)
    response = get(simulator, "R/commits")
    messages = [c["commit"]["message"] for c in response.json()]
    assert "<script>" in messages[0]
    assert "\u202e" in messages[1]
    assert "\u0000" in messages[2]
    assert b"\\u0000" in response.content
    assert len(messages[3]) > 10_000
    page = get(simulator, f"/{simulator.full_name}/commit/{response.json()[0]['sha']}")
    assert page.status_code == 200
    assert "<script>" not in page.text


# -- logs, pages, counters ------------------------------------------------------------------------------------


def finished_job(running: Running, kind: str) -> int:
    world = running.world
    for run in world.runs(world.now() - 86_400):
        for job in world.plans.attempts(run)[0].jobs:
            if job.failure is not None and job.failure.kind == kind:
                return job.id
    raise AssertionError(f"nothing failed with {kind}")


def test_log(simulator: Running, get: Get) -> None:
    number = finished_job(simulator, "pytest")
    redirect = get(simulator, f"R/actions/jobs/{number}/logs")
    assert redirect.status_code == 302
    assert redirect.headers["x-ratelimit-used"] == "1"
    log = get(simulator, redirect.headers["location"], token=None)
    assert log.status_code == 200
    assert re.search(r"^\S+Z FAILED \[\S+s\] \S+\.py::\w+::\w+ - ", log.text, re.MULTILINE)
    assert "##[error]Process completed with exit code 1." in log.text
    forged = redirect.headers["location"].replace("sig=", "sig=0")
    assert get(simulator, forged, token=None).status_code == 403
    assert simulator.counts()["counted"] == 1
    simulator.control("clock", advance=91 * 86_400)
    assert get(simulator, f"R/actions/jobs/{number}/logs").status_code == 410


def test_no_log_while_running(frozen: Running, get: Get) -> None:
    world = frozen.world
    unfinished = next(
        job
        for run in world.runs(world.now())
        for job in world.jobs(world.attempts(run, world.now())[-1], world.now())
        if job.status(world.now()) != "completed"
    )
    assert get(frozen, f"R/actions/jobs/{unfinished.id}/logs").status_code == 404


def test_links_for_people_lead_somewhere(frozen: Running, get: Get) -> None:
    commit = get(frozen, "R/commits?per_page=1").json()[0]
    run = get(frozen, "R/actions/runs?per_page=1").json()["workflow_runs"][0]
    world = frozen.world
    job = next(j for r in world.runs(world.now() - 86_400) for j in world.plans.attempts(r)[0].jobs)
    addresses = [
        commit["html_url"],
        run["html_url"],
        commit["author"]["avatar_url"],
        f"{frozen.url}/{frozen.full_name}",
        f"{frozen.url}/{frozen.full_name}/pull/12",
        f"{frozen.url}/{frozen.full_name}/actions/runs/{job.run_id}/job/{job.id}",
        frozen.url + "/",
    ]
    for address in addresses:
        response = get(frozen, address)
        assert response.status_code == 200, address
        assert "x-ratelimit-used" not in response.headers


def test_counters(simulator: Running, get: Get) -> None:
    get(simulator, "R/branches")
    get(simulator, "/rate_limit")
    get(simulator, "R/actions/runs/1")
    counts = simulator.counts()
    assert (counts["requests"], counts["counted"]) == (3, 2)
    assert counts["by_route"] == {"/branches": 1, "/rate_limit": 1, "/actions/runs/{run_id}": 1}
    simulator.control("counts", reset=True)
    assert simulator.counts()["requests"] == 0


def test_truth_is_not_in_the_api(frozen: Running, get: Get) -> None:
    truth = get(frozen, "/_simulator/truth?since=2026-11-15T00:00:00Z").json()
    assert truth["breaks"]
    commits = get(frozen, "R/commits?per_page=100").text + get(frozen, "R/actions/runs?per_page=100").text
    assert not any(found["key"] in commits for found in truth["breaks"])


def test_state(frozen: Running, get: Get) -> None:
    state = get(frozen, "/_simulator/state").json()
    assert state["now"] == START
    assert state["full_name"] == frozen.full_name

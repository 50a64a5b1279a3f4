"""The client over real HTTP, against servers that misbehave."""

import gzip
import json
import logging
import pickle
import traceback
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from project.github import errors, transport
from project.github.budget import Budget
from project.github.client import Client, RepoRef
from project.github.payloads import parse_job
from project.github.tokens import Anonymous, PersonalToken

from . import samples
from .conftest import TOKEN, Memory
from .server import FakeServer, Reply

REPO = RepoRef("pytorch", "pytorch")
Maker = Callable[..., Client]


def runs(*ids: int) -> dict[str, Any]:
    return {"total_count": len(ids), "workflow_runs": [{**samples.WORKFLOW_RUN, "id": one} for one in ids]}


def ids(pages: Any) -> list[int]:
    return [item.id for page in pages for item in page.items]


# -- what is sent ---------------------------------------------------------------------------------------------


def test_every_request_says_who_asks_and_for_what(server: FakeServer, client: Client) -> None:
    server.tell(Reply(body=samples.REPOSITORY))
    page = client.repository("pytorch", "pytorch")
    method, path, headers = server.seen[0]
    assert (method, path) == ("GET", "/repos/pytorch/pytorch")
    assert headers["authorization"] == f"Bearer {TOKEN}"
    assert headers["accept"] == "application/vnd.github+json"
    assert headers["x-github-api-version"] == "2022-11-28"
    assert headers["user-agent"] == "arborist"
    assert "if-none-match" not in headers
    assert page.items[0].name == "pytorch"
    assert datetime.now(UTC) - page.fetched_at < timedelta(seconds=5)


def test_each_method_asks_its_own_address(server: FakeServer, client: Client) -> None:
    sha = samples.SHA
    asked: list[tuple[Callable[[], Any], Any, str]] = [
        (lambda: client.branches(REPO), [samples.BRANCH], "branches?per_page=100"),
        (lambda: client.commits(REPO, "main"), [samples.COMMIT], "commits?sha=main&per_page=100"),
        (
            lambda: client.workflow_runs(REPO, event="push"),
            runs(1),
            "actions/runs?per_page=100&event=push",
        ),
        (
            lambda: client.attempt_jobs(REPO, 5, 2),
            {"jobs": [samples.JOB]},
            "actions/runs/5/attempts/2/jobs?per_page=100",
        ),
        (
            lambda: client.check_suites(REPO, sha),
            {"check_suites": [samples.CHECK_SUITE]},
            f"commits/{sha}/check-suites?per_page=100",
        ),
        (
            lambda: client.suite_check_runs(REPO, 7),
            {"check_runs": [samples.CHECK_RUN]},
            "check-suites/7/check-runs?filter=all&per_page=100",
        ),
        (
            lambda: client.commit_check_runs(REPO, sha),
            {"check_runs": [samples.CHECK_RUN]},
            f"commits/{sha}/check-runs?filter=all&per_page=100",
        ),
        (lambda: client.statuses(REPO, sha), [samples.STATUS], f"commits/{sha}/statuses?per_page=100"),
        (lambda: [client.branch(REPO, "gh/ada/1")], samples.BRANCH, "branches/gh%2Fada%2F1"),
        (lambda: [client.workflow_run(REPO, 5)], samples.WORKFLOW_RUN, "actions/runs/5"),
    ]
    for call, body, path in asked:
        server.tell(Reply(body=body))
        (page,) = list(call())
        assert len(page.items) == 1
        assert page.rejected == ()
        assert server.paths[-1] == f"/repos/pytorch/pytorch/{path}"


def test_an_enterprise_address_keeps_its_path(server: FakeServer, make_client: Maker) -> None:
    server.tell(Reply(status=404))
    with pytest.raises(errors.NotFound) as caught:
        make_client(api_url=f"{server.url}/api/v3").repository("a", "b")
    assert server.paths == ["/api/v3/repos/a/b"]
    assert caught.value.asked == "GET /repos/a/b"


def test_nobody_sends_no_authorization_even_if_a_netrc_offers_one(
    server: FakeServer, make_client: Maker, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    server.tell(Reply(body=samples.REPOSITORY))
    make_client(token=Anonymous()).repository("a", "b")
    make_client().repository("a", "b")
    assert "authorization" not in server.seen[0][2]
    assert server.seen[1][2]["authorization"] == f"Bearer {TOKEN}"


def test_an_empty_filter_is_refused_before_it_returns_everything(client: Client) -> None:
    with pytest.raises(ValueError, match="empty filter"):
        client.workflow_runs(REPO, head_sha="")


# -- pages ----------------------------------------------------------------------------------------------------


def test_pages_follow_the_link_and_nothing_else(server: FakeServer, client: Client) -> None:
    link = f'<{server.url}/any?after=abc>; rel="next", <{server.url}/any?page=9>; rel="last"'
    server.tell(Reply(body=runs(1, 2), headers={"Link": link}), Reply(body=runs(3)))
    assert ids(client.workflow_runs(REPO)) == [1, 2, 3]
    assert server.paths[1:] == ["/any?after=abc"]


def test_a_page_is_fetched_only_when_it_is_wanted(server: FakeServer, client: Client) -> None:
    server.tell(Reply(body=runs(1), headers={"Link": f'<{server.url}/2>; rel="next"'}))
    pages = client.workflow_runs(REPO)
    assert server.seen == []
    assert next(pages).next_url == f"{server.url}/2"
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    "target", ["http://evil.example/2", "http://127.0.0.1:1/2", "https://127.0.0.1/2", "/2", "http://h:port/"]
)
def test_a_next_page_elsewhere_is_refused(server: FakeServer, client: Client, target: str) -> None:
    server.tell(Reply(body=runs(1), headers={"Link": f'<{target}>; rel="next"'}))
    with pytest.raises(errors.BadAnswer, match="another host"):
        list(client.workflow_runs(REPO))
    assert len(server.seen) == 1


def test_pages_that_go_in_a_circle_end(server: FakeServer, client: Client) -> None:
    server.tell(Reply(body=runs(1), headers={"Link": f'<{server.url}/again>; rel="next"'}))
    with pytest.raises(errors.BadAnswer, match="circle"):
        list(client.workflow_runs(REPO))
    assert len(server.seen) == 2


def test_what_cannot_be_parsed_is_set_aside_and_the_rest_kept(server: FakeServer, client: Client) -> None:
    body = runs(1, 2)
    body["workflow_runs"].insert(1, {"id": 9})
    server.tell(Reply(body=body))
    (page,) = client.workflow_runs(REPO)
    assert [item.id for item in page.items] == [1, 2]
    assert [one.reason for one in page.rejected] == ["workflow run 9: created_at is missing"]


def test_an_empty_repository_has_an_empty_page_of_commits(server: FakeServer, client: Client) -> None:
    server.tell(Reply(409, {"message": "Git Repository is empty."}))
    (page,) = client.commits(REPO, "main")
    assert page.items == ()
    assert page.validator is None


# -- asking again for free ------------------------------------------------------------------------------------


def test_an_unchanged_page_costs_nothing_and_knows_where_the_list_goes_on(
    server: FakeServer, client: Client, memory: Memory
) -> None:
    following = f"{server.url}/2"
    server.tell(Reply(body=runs(1), headers={"ETag": 'W/"a"', "Link": f'<{following}>; rel="next"'}))
    first = next(client.workflow_runs(REPO))
    assert memory.saved == {}, "the client itself saves nothing"
    memory.save(first.validator)

    server.tell(Reply(304))
    second = next(client.workflow_runs(REPO))
    assert server.seen[-1][2]["if-none-match"] == 'W/"a"'
    assert second.not_modified
    assert (second.items, second.next_url, second.validator) == ((), following, first.validator)


def test_validators_belong_to_one_token_and_one_address(server: FakeServer, make_client: Maker, memory: Memory) -> None:
    server.tell(Reply(body=runs(1), headers={"ETag": '"a"'}))
    for token in (PersonalToken("ghp_one"), PersonalToken("ghp_two")):
        (page,) = make_client(token=token).workflow_runs(REPO)
        memory.save(page.validator)
    assert all("if-none-match" not in headers for _, _, headers in server.seen)
    assert len(memory.saved) == 2
    assert all(len(key) == 64 for key in memory.saved)
    assert "ghp_" not in str(memory.saved)


def test_a_page_can_be_asked_for_in_full(server: FakeServer, client: Client, memory: Memory) -> None:
    server.tell(Reply(body=runs(1), headers={"ETag": '"a"'}))
    memory.save(next(client.workflow_runs(REPO)).validator)
    next(client.workflow_runs(REPO, conditional=False))
    assert "if-none-match" not in server.seen[-1][2]


def test_a_304_that_nobody_asked_for_is_a_bad_answer(server: FakeServer, client: Client) -> None:
    server.tell(Reply(304))
    with pytest.raises(errors.BadAnswer):
        client.repository("a", "b")


def test_an_etag_that_cannot_be_sent_back_is_not_kept(server: FakeServer, client: Client) -> None:
    server.tell(Reply(body=runs(1), headers={"ETag": '"' + "x" * 400 + '"'}))
    assert next(client.workflow_runs(REPO)).validator is None


def test_a_full_last_page_of_branches_is_never_taken_as_unchanged(server: FakeServer, client: Client) -> None:
    server.tell(Reply(body=[samples.BRANCH] * 100, headers={"ETag": '"a"'}))
    assert next(client.branches(REPO)).validator is None
    server.tell(Reply(body=[samples.BRANCH] * 99, headers={"ETag": '"a"'}))
    assert next(client.branches(REPO)).validator is not None


# -- faults ---------------------------------------------------------------------------------------------------


def test_a_passing_fault_is_tried_again_with_growing_patience(
    server: FakeServer, client: Client, naps: list[float]
) -> None:
    server.tell(Reply(502, b"<html>"), Reply(503), Reply(body=samples.REPOSITORY))
    assert client.repository("a", "b").items
    assert len(server.seen) == 3
    assert len(naps) == 2
    assert naps[0] <= 0.5
    assert naps[1] <= 1.0


def test_a_lasting_fault_ends_in_words(server: FakeServer, client: Client) -> None:
    server.tell(Reply(500))
    with pytest.raises(errors.ServerFault) as caught:
        client.repository("a", "b")
    assert len(server.seen) == 4
    assert caught.value.passing
    assert str(caught.value) == ("GitHub has a fault of its own (it answered 500, 4 times). (GET /repos/a/b)")


@pytest.mark.parametrize("chunked", [False, True])
def test_an_answer_cut_in_the_middle_is_asked_for_again(server: FakeServer, client: Client, chunked: bool) -> None:
    whole = Reply(body=samples.REPOSITORY, chunked=chunked)
    server.tell(replace(whole, cut=50), whole)
    assert client.repository("a", "b").items[0].id == 65600975
    server.tell(replace(whole, cut=50))
    with pytest.raises(errors.Unreachable, match="cut in the middle"):
        client.repository("a", "b")


def test_a_slow_server_is_given_up(server: FakeServer, make_client: Maker) -> None:
    server.tell(Reply(body={}, slow=0.5))
    with pytest.raises(errors.Unreachable, match="no answer in time, 2 times"):
        make_client(timeout=(1, 0.1), retries=1).repository("a", "b")


def test_a_server_that_trickles_is_given_up(
    server: FakeServer, make_client: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "ANSWER_SECONDS", 0.2)
    server.tell(Reply(body=samples.REPOSITORY, slow=0.02, drip=True))
    with pytest.raises(errors.Unreachable, match="no answer in time"):
        make_client(retries=0).repository("a", "b")


def test_no_server_at_all(make_client: Maker) -> None:
    with pytest.raises(errors.Unreachable, match="no connection"):
        make_client(api_url="http://127.0.0.1:1", retries=1).repository("a", "b")


@pytest.mark.parametrize("body", [b'{"id": 1', b"", b"\xff\xfe", b"[" * 100_000, b'{"id": ' + b"9" * 5000 + b"}"])
def test_json_that_is_none_is_asked_for_once_more(server: FakeServer, client: Client, body: bytes) -> None:
    server.tell(Reply(body=body), Reply(body=samples.REPOSITORY))
    assert client.repository("a", "b").items
    server.seen.clear()
    server.tell(Reply(body=body))
    with pytest.raises(errors.BadAnswer):
        client.repository("a", "b")
    assert len(server.seen) == 2


@pytest.mark.parametrize("body", [[], {"workflow_runs": {}}, {"message": "hm"}, None, 5])
def test_json_of_another_shape_is_a_bad_answer(server: FakeServer, client: Client, body: Any) -> None:
    server.tell(Reply(body=body))
    with pytest.raises(errors.BadAnswer, match="no list of workflow runs"):
        list(client.workflow_runs(REPO))


def test_a_body_without_end_is_not_read_to_its_end(
    server: FakeServer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "BODY_MAX", 1024 * 1024)
    server.tell(Reply(body=gzip.compress(b" " * 30 * 1024 * 1024), headers={"Content-Encoding": "gzip"}))
    with pytest.raises(errors.BadAnswer, match="longer than 1 MB"):
        client.repository("a", "b")


def test_compressed_answers_are_unpacked(server: FakeServer, client: Client) -> None:
    packed = gzip.compress(json.dumps(samples.REPOSITORY).encode())
    server.tell(Reply(body=packed, headers={"Content-Encoding": "gzip"}))
    assert client.repository("a", "b").items
    server.tell(Reply(body=packed[:-30] + b"x" * 30, headers={"Content-Encoding": "gzip"}))
    with pytest.raises(errors.GitHubError):
        client.repository("a", "b")


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (401, {"message": "Bad credentials"}, errors.BadCredentials, "does not accept the token"),
        (403, {"message": "Resource not accessible."}, errors.Forbidden, ": Resource not accessible."),
        (404, {}, errors.NotFound, "does not find"),
        (410, {}, errors.Gone, "is gone"),
        (451, {"message": "Repository access blocked"}, errors.Forbidden, "access blocked"),
        (422, {"message": "x", "errors": ["No commit found"]}, errors.Invalid, "No commit found"),
        (
            422,
            {"errors": [{"resource": "Run", "field": "sha", "code": "missing"}, 7]},
            errors.Invalid,
            "Run sha missing",
        ),
        (400, b"<html>", errors.Invalid, "(400)."),
        (201, {}, errors.BadAnswer, "201"),
    ],
)
def test_each_refusal_has_its_error_and_words(
    server: FakeServer, client: Client, status: int, body: Any, kind: type[errors.GitHubError], words: str
) -> None:
    server.tell(Reply(status, body))
    with pytest.raises(kind) as caught:
        client.repository("a", "b")
    assert words in caught.value.words
    assert caught.value.asked == "GET /repos/a/b"
    assert pickle.loads(pickle.dumps(caught.value)).words == caught.value.words


# -- redirects ------------------------------------------------------------------------------------------------


def test_a_renamed_repository_is_found_under_its_old_name(server: FakeServer, client: Client) -> None:
    server.tell(Reply(301, {}, {"Location": f"{server.url}/repositories/65600975"}), Reply(body=samples.REPOSITORY))
    page = client.repository("old", "name")
    assert page.items[0].owner == "pytorch"
    assert page.url.endswith("/repos/old/name")
    assert page.final_url.endswith("/repositories/65600975")
    assert server.seen[1][2]["authorization"] == f"Bearer {TOKEN}"


def test_the_token_never_reaches_another_host(server: FakeServer, other_server: FakeServer, client: Client) -> None:
    server.tell(Reply(302, {}, {"Location": f"{other_server.url}/x"}), Reply(body=samples.REPOSITORY))
    other_server.tell(Reply(307, {}, {"Location": f"{server.url}/back"}))
    assert client.repository("a", "b").items
    assert "authorization" in server.seen[0][2]
    assert "authorization" not in other_server.seen[0][2]
    assert "authorization" not in server.seen[1][2], "a request that has left is a stranger's"


@pytest.mark.parametrize("location", [None, "ftp://x/", "http://[", "http://h:port/"])
def test_a_redirect_to_nowhere_is_a_bad_answer(server: FakeServer, client: Client, location: str | None) -> None:
    server.tell(Reply(301, {}, {"Location": location} if location else {}))
    with pytest.raises(errors.BadAnswer, match="redirects to nowhere"):
        client.repository("a", "b")


def test_redirects_without_end_are_given_up(server: FakeServer, client: Client) -> None:
    server.tell(Reply(302, {}, {"Location": "/again"}))
    with pytest.raises(errors.BadAnswer, match="more than 5 times"):
        client.repository("a", "b")


# -- limits ---------------------------------------------------------------------------------------------------


def limits(remaining: int, *, limit: int = 5000, seconds: float = 1800) -> dict[str, str]:
    reset = datetime.now(UTC) + timedelta(seconds=seconds)
    return {
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": str(remaining),
        "X-RateLimit-Reset": str(int(reset.timestamp())),
        "X-RateLimit-Resource": "core",
    }


def test_the_used_up_hour_stops_everyone_until_it_is_over(server: FakeServer, make_client: Maker) -> None:
    budget = Budget("shared")
    server.tell(Reply(403, {"message": "API rate limit exceeded"}, limits(0)))
    for _ in range(2):
        with pytest.raises(errors.RateLimited) as caught:
            make_client(budget=budget).repository("a", "b")
        assert not caught.value.secondary
        left = caught.value.retry_at - datetime.now(UTC)
        assert timedelta(seconds=1780) < left < timedelta(seconds=1810)
    assert len(server.seen) == 1, "the second was refused without asking"


@pytest.mark.parametrize(
    ("status", "headers", "message", "seconds"),
    [
        (403, {"Retry-After": "30"}, "", 30),
        (429, {"Retry-After": "30", **limits(4000)}, "", 30),
        (403, limits(4000), "You have exceeded a secondary rate limit", 60),
        (429, {}, "", 60),
        (429, {"Retry-After": "soon"}, "", 60),
        (403, {}, "You have triggered an abuse detection mechanism", 60),
    ],
)
def test_a_secondary_limit_is_obeyed(
    server: FakeServer, client: Client, status: int, headers: dict[str, str], message: str, seconds: float
) -> None:
    server.tell(Reply(status, {"message": message}, headers))
    with pytest.raises(errors.RateLimited) as caught:
        client.repository("a", "b")
    assert caught.value.secondary
    left = (caught.value.retry_at - datetime.now(UTC)).total_seconds()
    assert seconds - 5 < left <= seconds
    assert len(server.seen) == 1


def test_the_budget_learns_from_every_answer(server: FakeServer, client: Client) -> None:
    server.tell(Reply(body=samples.REPOSITORY, headers=limits(4321)))
    client.repository("a", "b")
    state = client.budget.snapshot()
    assert (state.limit, state.remaining, state.blocked_until) == (5000, 4321, None)


# -- secrets --------------------------------------------------------------------------------------------------


def test_the_token_is_in_no_error_and_no_log(
    server: FakeServer, make_client: Maker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="project.github")
    for reply in (Reply(401), Reply(500), Reply(body=b"x"), Reply(body={}, cut=0), Reply(403)):
        server.tell(reply)
        with pytest.raises(errors.GitHubError) as caught:
            make_client(retries=1).repository("a", "b")
        error = caught.value
        told = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
        assert TOKEN not in told
        assert error.__context__ is None
    assert caplog.records
    assert TOKEN not in "".join(str(vars(record)) for record in caplog.records)


def test_the_log_says_what_each_request_cost(
    server: FakeServer, client: Client, memory: Memory, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="project.github")
    server.tell(Reply(body=runs(1), headers={"ETag": '"a"'}), Reply(304))
    memory.save(next(client.workflow_runs(REPO, actor="secret")).validator)
    next(client.workflow_runs(REPO, actor="secret"))
    first, second = (vars(record) for record in caplog.records)
    assert (first["method"], first["path"]) == ("GET", "/repos/pytorch/pytorch/actions/runs")
    assert (first["status"], first["counted"]) == (200, True)
    assert (second["status"], second["counted"]) == (304, False)
    assert first["ms"] >= 0


def test_a_process_keeps_one_session() -> None:
    session = transport.process_session()
    assert session is transport.process_session()
    assert isinstance(session, requests.Session)


def test_a_job_parsed_twice_is_equal_and_hashable() -> None:
    assert len({parse_job(samples.JOB), parse_job(dict(samples.JOB))}) == 1

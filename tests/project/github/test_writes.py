"""Writes over real HTTP: what is sent, what is never sent twice, and what refusals become."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis as redis_client

from project.github import errors, graphql
from project.github.budget import Budget
from project.github.client import RepoRef
from project.github.gitdata import TreeEntry
from project.github.pacing import Pace
from project.github.tokens import PersonalToken
from project.github.transport import Transport
from project.github.writes import Writer

from . import samples
from .conftest import TOKEN
from .server import FakeServer, Reply

REPO = RepoRef("pytorch", "pytorch")
SHA = samples.SHA
COMMENT = {
    "id": 5,
    "body": "Hi.",
    "user": {"login": "ada"},
    "created_at": "2026-01-01T00:00:00Z",
    "html_url": "https://github.com/pytorch/pytorch/pull/7#issuecomment-5",
}
ISSUE = {"number": 7, "title": "Red", "state": "closed", "created_at": "2026-01-01T00:00:00Z", "labels": []}
PULL = {**ISSUE, "head": {"ref": "revert", "sha": SHA}, "base": {"ref": "main"}, "node_id": "PR_7"}
REF = {"ref": "refs/heads/viable/strict", "object": {"sha": SHA}}
GIT_COMMIT = {"sha": SHA, "tree": {"sha": SHA}, "parents": [{"sha": samples.PARENT}], "message": "m"}
TREE = {"sha": SHA, "tree": [{"path": "a", "mode": "100755", "type": "blob", "sha": SHA}], "truncated": False}
Maker = Callable[..., Writer]


@pytest.fixture
def make_writer(server: FakeServer) -> Maker:
    def make(**changes: Any) -> Writer:
        options: dict[str, Any] = {
            "token": PersonalToken(TOKEN),
            "api_url": server.url,
            "budget": Budget("writes", sleep=lambda _: None),
            "session": None,
            "timeout": (2, 2),
            "sleep": lambda _: None,
            "retries": 0,
            "user_agent": "arborist",
        } | changes
        return Writer(Transport(**options), options["api_url"], Pace("writes", pause=0.0))

    return make


@pytest.fixture
def writer(make_writer: Maker) -> Writer:
    return make_writer()


def test_each_method_sends_its_own_request(server: FakeServer, writer: Writer) -> None:
    author = {"name": "ada", "email": "ada@users.noreply.github.com", "date": "2026-01-01T00:00:00Z"}
    entries = [TreeEntry("a", "100755", "blob", SHA), TreeEntry("b", "100644", "blob", None)]
    sent: list[tuple[Callable[[], Any], Any, str, Any]] = [
        (lambda: writer.create_comment(REPO, 7, "Hi."), COMMENT, "POST issues/7/comments", {"body": "Hi."}),
        (lambda: writer.delete_comment(REPO, 5), b"", "DELETE issues/comments/5", None),
        (
            lambda: writer.create_issue(REPO, title="Red", body="b", labels=["ci"]),
            ISSUE,
            "POST issues",
            {"title": "Red", "body": "b", "labels": ["ci"]},
        ),
        (lambda: writer.set_issue_state(REPO, 7, "closed"), ISSUE, "PATCH issues/7", {"state": "closed"}),
        (lambda: writer.add_labels(REPO, 7, ("a b",)), [], "POST issues/7/labels", {"labels": ["a b"]}),
        (lambda: writer.remove_label(REPO, 7, "a/b c"), [], "DELETE issues/7/labels/a%2Fb%20c", None),
        (
            lambda: writer.create_pull(REPO, title="t", body="b", head="h", base="main"),
            PULL,
            "POST pulls",
            {"title": "t", "body": "b", "head": "h", "base": "main", "maintainer_can_modify": True},
        ),
        (lambda: writer.set_pull_state(REPO, 7, "closed"), PULL, "PATCH pulls/7", {"state": "closed"}),
        (lambda: writer.rerun_job(REPO, 3), {}, "POST actions/jobs/3/rerun", {}),
        (lambda: writer.rerun_failed(REPO, 3), {}, "POST actions/runs/3/rerun-failed-jobs", {}),
        (lambda: writer.rerun_run(REPO, 3), b"", "POST actions/runs/3/rerun", {}),
        (
            lambda: writer.create_tree(REPO, base=SHA, entries=entries),
            TREE,
            "POST git/trees",
            {
                "base_tree": SHA,
                "tree": [
                    {"path": "a", "mode": "100755", "type": "blob", "sha": SHA},
                    {"path": "b", "mode": "100644", "type": "blob", "sha": None},
                ],
            },
        ),
        (
            lambda: writer.create_commit(REPO, message="m", tree=SHA, parents=[SHA], author=author),
            GIT_COMMIT,
            "POST git/commits",
            {"message": "m", "tree": SHA, "parents": [SHA], "author": author, "committer": author},
        ),
        (
            lambda: writer.create_branch(REPO, "viable/strict", SHA),
            REF,
            "POST git/refs",
            {"ref": "refs/heads/viable/strict", "sha": SHA},
        ),
        (
            lambda: writer.move_branch(REPO, "viable/strict", SHA, force=False),
            REF,
            "PATCH git/refs/heads/viable/strict",
            {"sha": SHA, "force": False},
        ),
    ]
    for call, body, request, said in sent:
        server.bodies.clear()
        server.tell(Reply(status=204 if body == b"" else 201, body=body))
        call()
        method, path, headers = server.seen[-1]
        assert f"{method} {path.removeprefix('/repos/pytorch/pytorch/')}" == request
        assert headers["authorization"] == f"Bearer {TOKEN}"
        assert server.bodies == ([] if said is None else [said])
    assert len(server.seen) == len(sent)


def test_a_revert_goes_through_graphql(server: FakeServer, writer: Writer) -> None:
    made = {"number": 8, "url": "https://github.com/pytorch/pytorch/pull/8"}
    server.tell(Reply(body={"data": {"revertPullRequest": {"revertPullRequest": made}}}))
    assert writer.revert_pull("PR_7", title="t", body="b", draft=True) == (8, made["url"])
    assert server.seen[0][:2] == ("POST", "/graphql")
    assert server.bodies[0]["variables"] == {"id": "PR_7", "title": "t", "body": "b", "draft": True}
    assert graphql.address("https://github.example.org/api/v3") == "https://github.example.org/api/graphql"


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        ({"type": "UNPROCESSABLE", "message": "Pull request is not merged"}, errors.Invalid, "is not merged"),
        ({"type": "NOT_FOUND", "message": "Could not resolve"}, errors.NotFound, "Could not resolve"),
        ({"type": "FORBIDDEN", "message": "Resource not accessible"}, errors.Forbidden, "Resource not accessible"),
        ({"type": "RATE_LIMITED", "message": "API rate limit exceeded"}, errors.RateLimited, ""),
        ({"message": "Something went wrong while executing your query."}, errors.ServerFault, ""),
        ({"message": 7}, errors.Invalid, ""),
    ],
)
def test_graphql_errors_become_our_own(
    server: FakeServer, writer: Writer, error: Any, kind: type[errors.GitHubError], words: str
) -> None:
    server.tell(Reply(body={"data": None, "errors": [error]}))
    with pytest.raises(kind) as caught:
        writer.revert_pull("PR_7", title="t", body="b", draft=False)
    assert words in caught.value.said
    assert caught.value.passing is (kind in (errors.RateLimited, errors.ServerFault))


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(status=502), errors.ServerFault),
        (Reply(status=201, body=COMMENT, cut=10), errors.Unreachable),
        (Reply(status=201, body=b"{"), errors.BadAnswer),
        (Reply(status=201, body={"id": "five"}), errors.BadAnswer),
        (Reply(status=201, body=b""), errors.BadAnswer),
        (Reply(status=201, body=COMMENT, slow=3.0), errors.Unreachable),
    ],
)
def test_a_write_without_a_clear_answer_is_not_sent_again(
    server: FakeServer, writer: Writer, reply: Reply, kind: type[errors.GitHubError]
) -> None:
    server.tell(reply)
    with pytest.raises(kind) as caught:
        writer.create_comment(REPO, 7, "Hi.")
    assert caught.value.passing
    assert len(server.seen) == 1


def test_a_moved_repository_is_followed_with_the_same_request(server: FakeServer, writer: Writer) -> None:
    for status in (301, 302, 307, 308):
        there = {"Location": f"{server.url}/repositories/1/issues/7/comments"}
        server.tell(Reply(status=status, headers=there), Reply(status=201, body=COMMENT))
        assert writer.create_comment(REPO, 7, "Hi.").id == 5
        assert [one[:2] for one in server.seen[-2:]] == [
            ("POST", "/repos/pytorch/pytorch/issues/7/comments"),
            ("POST", "/repositories/1/issues/7/comments"),
        ]
        assert server.bodies[-1] == {"body": "Hi."}


def test_a_write_is_not_led_astray(server: FakeServer, other_server: FakeServer, writer: Writer) -> None:
    other_server.tell(Reply(status=201, body=COMMENT))
    ways = [
        (307, {"Location": f"{other_server.url}/x"}),
        (303, {"Location": f"{server.url}/x"}),
        (302, {}),
        (301, {"Location": "http://[bad"}),
        (307, {"Location": f"{server.url}/x"}),  # in circles
    ]
    for status, headers in ways:
        server.tell(Reply(status=status, headers=headers))
        with pytest.raises((errors.Misdirected, errors.BadAnswer)):
            writer.create_comment(REPO, 7, "Hi.")
    assert other_server.seen == []
    assert len(server.seen) == 4 + 3


def test_a_renewed_token_is_tried_once(server: FakeServer, make_writer: Maker) -> None:
    class Renewing(PersonalToken):
        def forget(self) -> None:
            self._token = "ghs_new"

    server.tell(Reply(status=401, body={"message": "Bad credentials"}), Reply(status=201, body=COMMENT))
    assert make_writer(token=Renewing("ghs_old")).create_comment(REPO, 7, "Hi.").id == 5
    assert [one[2]["authorization"] for one in server.seen] == ["Bearer ghs_old", "Bearer ghs_new"]
    server.tell(Reply(status=401, body={"message": "Bad credentials"}))
    with pytest.raises(errors.BadCredentials):
        make_writer().create_comment(REPO, 7, "Hi.")
    assert len(server.seen) == 3


def test_a_limit_on_writes_holds_for_the_credential(server: FakeServer, writer: Writer) -> None:
    server.tell(Reply(status=403, body={"message": "secondary rate limit"}, headers={"Retry-After": "30"}))
    for _ in range(2):
        with pytest.raises(errors.RateLimited) as caught:
            writer.create_comment(REPO, 7, "Hi.")
        assert caught.value.secondary
    assert len(server.seen) == 1


def test_lists_are_followed_to_their_end_on_this_host(server: FakeServer, writer: Writer) -> None:
    more = {"Link": f'<{server.url}/page2>; rel="next"'}
    server.tell(Reply(body=[COMMENT], headers=more), Reply(body=[{**COMMENT, "id": 6}]))
    since = errors_since()
    assert [one.id for one in writer.comments_since(REPO, 7, since)] == [5, 6]
    assert "since=2025-12-31T23%3A58%3A00Z" in server.paths[0]
    server.tell(Reply(body=[COMMENT], headers={"Link": '<https://elsewhere.example/2>; rel="next"'}))
    with pytest.raises(errors.BadAnswer):
        list(writer.comments_since(REPO, 7, since))


def errors_since() -> Any:
    from datetime import UTC, datetime

    return datetime(2026, 1, 1, tzinfo=UTC)


# -- turns ----------------------------------------------------------------------------------------------------------


def test_turns_are_shared_and_paused_between(redis: redis_client.Redis) -> None:
    inside, times = [], []
    overlap = False

    def work() -> None:
        nonlocal overlap
        pace = Pace("c", redis, pause=0.2)  # of a process of its own
        with pace.turn("POST /"):
            times.append(time.monotonic())
            inside.append(1)
            overlap = overlap or len(inside) > 1
            time.sleep(0.05)
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert not overlap
    times.sort()
    assert len(times) == 3
    assert min(times[1] - times[0], times[2] - times[1]) >= 0.24


def test_whoever_waits_too_long_comes_back_later(redis: redis_client.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("project.github.pacing.PATIENCE", 0.1)
    with Pace("c", redis).turn("POST /"), pytest.raises(errors.RateLimited), Pace("c", redis).turn("POST /"):
        pass


def test_without_redis_a_process_paces_itself(redis_away: redis_client.Redis) -> None:
    pace = Pace("c", redis_away, pause=0.2)
    started = time.monotonic()
    for _ in range(2):
        with pace.turn("POST /"):
            pass
    assert time.monotonic() - started >= 0.2

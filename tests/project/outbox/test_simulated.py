"""The outbox against the simulated GitHub: comments, reverts of both ways, re-runs and branches, end to end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import requests
from django.db import transaction

from project import outbox
from project.simulator.running import Running, running_simulator

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with running_simulator() as simulator:
        simulator.control("overlay", quiet=True)  # or trunk might move in the middle of a test
        yield simulator


@pytest.fixture
def simulator(running: Running, settings: Any, redis_server: Any, monkeypatch: pytest.MonkeyPatch) -> Running:
    from project.github import pacing

    defaults = pacing.Pace.__init__.__kwdefaults__
    monkeypatch.setattr(pacing.Pace.__init__, "__kwdefaults__", {**defaults, "pause": 0.001})
    settings.GITHUB_API_URL, settings.GITHUB_TOKEN = running.url, "ghp_outbox"
    return running


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    from project.outbox import deliver

    monkeypatch.setattr(deliver, "BACKOFF", 0.0)


def get(simulator: Running, path: str, **query: Any) -> Any:
    url = f"{simulator.url}/repos/{simulator.full_name}/{path}"
    answer = requests.get(url, params=query, headers={"User-Agent": "tests", "Authorization": "Bearer x"}, timeout=10)
    answer.raise_for_status()
    return answer.json()


def write(simulator: Running, kind: str, payload: dict[str, Any], key: str = "k") -> Any:
    from project.outbox.deliver import deliver

    with transaction.atomic():
        made = outbox.queue(kind=kind, key=key, repository=simulator.full_name, payload=payload, by=None)
    while deliver(made.pk) not in ("not due", "busy"):
        pass
    made.refresh_from_db()
    return made


def plan(simulator: Running, sha: str, head: str) -> Any:
    from project.outbox import preview

    return preview.revert_commit(
        repository=simulator.full_name, sha=sha, trunk_head=head, branch=f"revert-{sha[:7]}", base="main"
    )


def trunk(simulator: Running) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = get(simulator, "commits", sha="main", per_page=60)
    return found


def a_revertible(simulator: Running) -> tuple[str, str]:
    commits = trunk(simulator)
    head = commits[0]["sha"]
    return next(one["sha"] for one in commits[1:] if plan(simulator, one["sha"], head).possible), head


@pytest.mark.parametrize("fault", [None, "cut", "error"])
def test_a_comment_is_there_once(simulator: Running, impatient: None, fault: str | None) -> None:
    number = get(simulator, "pulls", state="open")[0]["number"]
    if fault:  # comes after the effect
        simulator.control("faults", kind=fault, match=f"issues/{number}/comments")
    made = write(simulator, "comment", {"number": number, "body": f"Red {fault}."})
    assert made.state == "done"
    assert made.tries == (2 if fault else 1)
    bodies = [one["body"] for one in get(simulator, f"issues/{number}/comments", per_page=100)]
    assert sum(f"Red {fault}." in body for body in bodies) == 1
    assert write(simulator, "delete_comment", {"comment_id": made.result["id"]}, "d").state == "done"
    assert not any(f"Red {fault}." in one["body"] for one in get(simulator, f"issues/{number}/comments"))


@pytest.mark.parametrize("fault", [None, "cut"])
def test_a_commit_is_reverted_by_a_commit(simulator: Running, impatient: None, fault: str | None) -> None:
    sha, head = a_revertible(simulator)
    branch = f"revert-{sha[:7]}-{fault}"
    payload = {"sha": sha, "onto": head, "branch": branch, "base": "main", "title": f'Revert "{sha[:7]}"'}
    if fault:
        for path in ("git/trees$", "git/commits$", "git/refs$", "pulls$"):
            simulator.control("faults", kind=fault, match=path)
    made = write(simulator, "revert_commit", payload)
    assert (made.state, made.problem) == ("done", "")
    pull = get(simulator, f"pulls/{made.result['number']}")
    assert pull["head"]["ref"] == branch
    assert pull["head"]["sha"] == made.result["sha"]
    assert [one["number"] for one in get(simulator, "pulls", head=f"{made.repository.split('/')[0]}:{branch}")] == [
        made.result["number"]
    ]
    # What the commit changed is as it was before, and nothing else has moved.
    parent = get(simulator, f"commits/{sha}")["parents"][0]["sha"]
    trees = [
        {
            one["path"]: one["sha"]
            for one in get(simulator, f"git/trees/{ref}", recursive=1)["tree"]
            if one["type"] == "blob"
        }
        for ref in (parent, head, made.result["sha"])
    ]
    before, at_head, reverted = trees
    touched = {file["filename"] for file in get(simulator, f"commits/{sha}")["files"]}
    assert touched
    for path in before.keys() | at_head.keys():
        assert reverted.get(path) == (before if path in touched else at_head).get(path)


def test_a_worker_killed_between_the_steps_of_a_revert(simulator: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    from project.outbox import deliver
    from project.outbox.kinds import Turn

    sha, head = a_revertible(simulator)
    branch = f"revert-{sha[:7]}-killed"
    payload = {"sha": sha, "onto": head, "branch": branch, "base": "main", "title": "Take it back"}
    with transaction.atomic():
        made = outbox.queue(kind="revert_commit", key="k", repository=simulator.full_name, payload=payload, by=None)

    def die_after(name: str) -> Any:
        def step(self: Any, done: str, value: Any) -> None:
            if done == name:
                raise KeyboardInterrupt  # before it is kept
            keep(self, done, value)

        return step

    keep = Turn.step
    monkeypatch.setattr(deliver, "LEASE", timedelta(0))
    for name in ("commit", "branch"):
        with monkeypatch.context() as patch:
            patch.setattr(Turn, "step", die_after(name))
            with pytest.raises(KeyboardInterrupt):
                deliver.deliver(made.pk)
    assert deliver.deliver(made.pk) == "done"
    made.refresh_from_db()
    assert made.tries == 3
    assert get(simulator, f"git/ref/heads/{branch}")["object"]["sha"] == made.result["sha"]
    pulls = [one for one in get(simulator, "pulls", state="all", per_page=100) if one["head"]["ref"] == branch]
    assert [one["number"] for one in pulls] == [made.result["number"]]


def test_a_commit_whose_files_were_touched_later_is_not(simulator: Running) -> None:
    commits = trunk(simulator)
    head = commits[0]["sha"]
    blocked = next(found for one in commits[1:] if (found := plan(simulator, one["sha"], head)).blocked_by)
    later = {one["sha"] for one in commits}
    assert all(blocker.sha in later and set(blocker.files) <= set(blocked.files) for blocker in blocked.blocked_by)
    assert blocked.blocked_by[0].sha[:7] in blocked.why_not
    payload = {"sha": blocked.sha, "onto": head, "branch": "revert-x", "base": "main", "title": "Revert it"}
    made = write(simulator, "revert_commit", payload)
    assert made.state == "failed"
    assert blocked.blocked_by[0].title in made.problem
    assert f"git revert {blocked.sha}" in made.result["git_commands"]
    assert made.result["blocked_by"][0]["sha"] == blocked.blocked_by[0].sha
    assert not any(pull["head"]["ref"] == "revert-x" for pull in get(simulator, "pulls", state="all"))


def test_a_merged_pull_request_is_reverted_by_github(simulator: Running, impatient: None) -> None:
    for pull in get(simulator, "pulls", state="closed", per_page=100):
        if pull["merged_at"]:
            break
    else:
        number = get(simulator, "pulls", state="open")[0]["number"]
        url = f"{simulator.url}/repos/{simulator.full_name}/pulls/{number}/merge"
        headers = {"User-Agent": "tests", "Authorization": "Bearer x"}
        requests.put(url, json={"merge_method": "squash"}, headers=headers, timeout=10).raise_for_status()
        pull = get(simulator, f"pulls/{number}")
    simulator.control("faults", kind="cut", match="/graphql$")
    said = {"pull_number": pull["number"], "node_id": pull["node_id"], "title": "Revert it", "body": "It broke trunk."}
    made = write(simulator, "revert_pull", said)
    assert (made.state, made.tries) == ("done", 2)
    reverting = get(simulator, f"pulls/{made.result['number']}")
    assert reverting["body"].startswith("It broke trunk.")
    titles = [one["title"] for one in get(simulator, "pulls", state="all", sort="created", direction="desc")]
    assert titles.count("Revert it") == 1
    assert write(simulator, "close_pull", {"number": reverting["number"]}, "c").state == "done"
    assert get(simulator, f"pulls/{reverting['number']}")["state"] == "closed"


def test_an_unmerged_pull_request_is_not(simulator: Running) -> None:
    pull = get(simulator, "pulls", state="open")[0]
    said = {"pull_number": pull["number"], "node_id": pull["node_id"], "title": "Revert it"}
    made = write(simulator, "revert_pull", said)
    assert (made.state, made.problem) == ("failed", "GitHub refused (422): Pull request is not merged.")


def test_failed_jobs_run_again_once(simulator: Running, impatient: None) -> None:
    runs = get(simulator, "actions/runs", status="failure", branch="main", per_page=30)["workflow_runs"]
    run = runs[0]
    simulator.control("faults", kind="cut", match="rerun-failed-jobs$")
    payload = {"run_id": run["id"], "expected_attempt": run["run_attempt"]}
    made = write(simulator, "rerun_failed", payload)
    assert (made.state, made.tries) == ("done", 2)
    assert get(simulator, f"actions/runs/{run['id']}")["run_attempt"] == run["run_attempt"] + 1
    assert write(simulator, "rerun_failed", payload, "other").result["already"] is True


def test_a_branch_follows_forwards_only(simulator: Running) -> None:
    shas = [one["sha"] for one in trunk(simulator)]
    follow = {"branch": "viable/strict", "create": True}
    assert write(simulator, "update_ref", {**follow, "sha": shas[2]}, "1").state == "done"
    assert get(simulator, "git/ref/heads/viable/strict")["object"]["sha"] == shas[2]
    assert write(simulator, "update_ref", {**follow, "sha": shas[1]}, "2").state == "done"
    back = write(simulator, "update_ref", {**follow, "sha": shas[4]}, "3")
    assert (back.state, back.problem) == ("failed", "GitHub refused (422): Update is not a fast forward.")
    assert write(simulator, "update_ref", {**follow, "sha": shas[4], "force": True}, "4").state == "done"
    assert get(simulator, "git/ref/heads/viable/strict")["object"]["sha"] == shas[4]


def test_issues_and_labels(simulator: Running, impatient: None) -> None:
    simulator.control("faults", kind="cut", match="/issues$")
    made = write(simulator, "create_issue", {"title": "Trunk is red", "body": "See.", "labels": ["ci"]})
    assert (made.state, made.tries) == ("done", 2)
    number = made.result["number"]
    for step, (kind, payload) in enumerate(
        (
            ("add_labels", {"number": number, "labels": ["module: nn", "bug"]}),
            ("remove_label", {"number": number, "labels": ["bug"]}),
            ("close_issue", {"number": number}),
        )
    ):
        assert write(simulator, kind, payload, f"{step}").state == "done"
    issue = get(simulator, f"issues/{number}")
    assert issue["state"] == "closed"
    assert {one["name"] for one in issue["labels"]} >= {"module: nn"}
    assert "bug" not in {one["name"] for one in issue["labels"]}
    assert write(simulator, "reopen_issue", {"number": number}, "r").state == "done"


def test_a_renamed_repository_is_written_to_under_its_old_name(simulator: Running) -> None:
    number = get(simulator, "pulls", state="open")[0]["number"]
    before = simulator.full_name
    simulator.control("overlay", rename="renamed/tree")
    try:
        with transaction.atomic():
            made = outbox.queue(
                kind="comment", key="k", repository=before, payload={"number": number, "body": "Hi."}, by=None
            )
        from project.outbox.deliver import deliver

        assert deliver(made.pk) == "done"
    finally:
        simulator.control("overlay", reset=True)


def test_a_repository_that_is_gone_says_so(simulator: Running) -> None:
    simulator.control("overlay", gone=404)
    try:
        made = write(simulator, "comment", {"number": 1, "body": "Hi."})
    finally:
        simulator.control("overlay", reset=True)
    assert made.state == "failed"
    assert made.problem.startswith("GitHub refused (404): it does not exist, or Arborist's token may not see it")

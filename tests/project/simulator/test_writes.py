"""What requests write to the simulated GitHub, and what follows from it: re-runs, reverts, refusals, lost answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from project.simulator import pull_events
from project.simulator.clock import iso, parse_iso
from project.simulator.history import DAY, Break, Commit
from project.simulator.plans import Job, Run
from project.simulator.pull_state import item, recent
from project.simulator.running import Running, running_simulator
from project.simulator.writes import Writes
from tests.project.simulator.conftest import START
from tests.project.simulator.test_payloads import typed_client

NOW = parse_iso(START)
Ask = Callable[..., requests.Response]


def asking(running: Running) -> Ask:
    def ask(method: str, path: str, body: object = None, *, token: str | None = "t") -> requests.Response:
        headers = {"User-Agent": "tests"} | ({"Authorization": f"Bearer {token}"} if token else {})
        url = running.url + path.replace("R/", f"/repos/{running.full_name}/")
        return requests.request(method, url, json=body, headers=headers, timeout=10, allow_redirects=False)

    return ask


@pytest.fixture
def ask(simulator: Running) -> Ask:
    return asking(simulator)


@pytest.fixture(params=["tiny", "pytorch"])
def broken(request: pytest.FixtureRequest) -> Iterator[Running]:
    """A world in which trunk is broken: its clock stands a while after a culprit, long before the fix."""
    with running_simulator(scale=request.param, start=START, speed=0) as running:
        found = open_break(running)
        running.control("clock", set=iso_of(found.culprit.time + 600))
        yield running


def iso_of(moment: float) -> str:
    return iso(moment)


def open_break(running: Running) -> Break:
    """A break that lasts for hours and hits something that runs on every commit."""
    w = running.world
    return next(
        b for b in w.breaks(NOW - 20 * DAY, NOW)
        if b.fix.time - b.culprit.time > 7200 and any(c[0] == "pull" for c in b.configurations)
    )  # fmt: skip


def failing(running: Running, found: Break, commit: Commit) -> bool:
    w = running.world
    return any(
        job.broken_by == found.key
        for run in w.plans.runs(commit.serial) for attempt in w.all_attempts(run) for job in attempt.jobs
    )  # fmt: skip


def open_pull(running: Running) -> int:
    return next(p.number for p in recent(running.world, running.world.now()) if p.state == "open" and not p.draft
                and p.base == "main")  # fmt: skip


# -- comments, labels, issues ---------------------------------------------------------------------------------


def test_comments(simulator: Running, ask: Ask) -> None:
    number = open_pull(simulator)
    with typed_client(simulator) as github:
        at = {"owner": simulator.world.owner, "repo": simulator.world.repo}
        made = github.rest.issues.create_comment(**at, issue_number=number, body="It is red.").parsed_data
        assert [c.id for c in github.rest.issues.list_comments(**at, issue_number=number).parsed_data] == [made.id]
        github.rest.issues.update_comment(**at, comment_id=made.id, body="It is green.")
        assert github.rest.issues.get_comment(**at, comment_id=made.id).parsed_data.body == "It is green."
        assert github.rest.issues.get(**at, issue_number=number).parsed_data.comments == 1
        github.rest.issues.delete_comment(**at, comment_id=made.id)
    assert ask("GET", f"R/issues/{number}/comments").json() == []
    assert ask("GET", f"R/issues/comments/{made.id}").status_code == 404
    assert ask("POST", f"R/issues/{number}/comments", {"body": " "}).status_code == 422
    assert ask("POST", f"R/issues/{number}/comments", {"body": "x"}, token=None).status_code == 401
    assert ask("POST", "R/issues/77/comments", {"body": "x"}).status_code == 404


def test_labels_and_issues(simulator: Running, ask: Ask) -> None:
    number = open_pull(simulator)
    with typed_client(simulator) as github:
        at = {"owner": simulator.world.owner, "repo": simulator.world.repo}
        labels = github.rest.issues.add_labels(**at, issue_number=number, labels=["autorevert: disable"]).parsed_data
        assert "autorevert: disable" in {label.name for label in labels}
        github.rest.issues.remove_label(**at, issue_number=number, name="autorevert: disable")
        opened = github.rest.issues.create(**at, title="Trunk is red", body="since noon", labels=["ci: sev"])
        issue = opened.parsed_data
        assert [i.number for i in github.rest.issues.list_for_repo(**at, labels="ci: sev").parsed_data] == [
            issue.number
        ]
        closed = github.rest.issues.update(**at, issue_number=issue.number, state="closed").parsed_data
        assert (closed.state, closed.state_reason) == ("closed", "completed")
    assert ask("DELETE", f"R/issues/{number}/labels/nothing").status_code == 404


# -- re-runs --------------------------------------------------------------------------------------------------


def failed_job(running: Running, *, broken: bool) -> tuple[Run, Job]:
    w = running.world
    for run in w.runs(w.now()):
        attempt = w.attempts(run, w.now())[-1]
        if run.event != "push" or attempt.status(w.now()) != "completed":
            continue
        for job in attempt.jobs:
            if job.conclusion == "failure" and not job.unstable and bool(job.broken_by) == broken:
                return run, job
    raise AssertionError("nothing failed")


def test_rerun_of_a_broken_job_fails_again_alike(simulator: Running, ask: Ask) -> None:
    run, job = failed_job(simulator, broken=True)
    before = ask("GET", f"R/actions/runs/{run.id}").json()
    assert ask("POST", f"R/actions/jobs/{job.id}/rerun").status_code == 201
    told = ask("GET", f"R/actions/runs/{run.id}").json()
    assert told["run_attempt"] == before["run_attempt"] + 1
    assert told["status"] in ("queued", "in_progress")
    assert told["run_started_at"] == START
    assert told["created_at"] == before["created_at"]
    assert ask("POST", f"R/actions/runs/{run.id}/rerun").status_code == 403
    jobs = ask("GET", f"R/actions/runs/{run.id}/jobs?per_page=100").json()["jobs"]
    again = next(j for j in jobs if j["name"] == job.name)
    assert (again["status"], again["id"] != job.id) == ("queued", True)
    assert ask("GET", f"R/actions/jobs/{again['id']}").json() == again
    simulator.control("clock", advance=6 * 3600)
    assert ask("GET", f"R/actions/jobs/{again['id']}").json()["conclusion"] == "failure"
    found = simulator.world.job(again["id"], simulator.world.now())
    assert found is not None
    assert found[1].failure == job.failure
    others = [j for j in jobs if j["name"] != job.name and j["completed_at"] and j["completed_at"] < START]
    assert all(j["run_attempt"] == told["run_attempt"] for j in others)


def test_flakes_mostly_pass_when_run_again() -> None:
    with running_simulator(scale="default", start=START, speed=0) as running:
        ask, w = asking(running), running.world
        passed = tried = 0
        for run in w.runs(w.now()):
            if tried == 15:
                break
            attempt = w.attempts(run, w.now())[-1]
            flaky = [j for j in attempt.jobs if j.conclusion == "failure" and not j.broken_by and not j.unstable]
            if not flaky or attempt.status(w.now()) != "completed":
                continue
            tried += 1
            assert ask("POST", f"R/actions/runs/{run.id}/rerun-failed-jobs").status_code == 201
            newest = w.all_attempts(run)[-1]
            passed += next(j for j in newest.jobs if j.name == flaky[0].name).conclusion == "success"
            assert any(j.clone_of for j in newest.jobs) or len(newest.jobs) == len(flaky)
        assert passed >= 11


def test_rerun_is_refused(simulator: Running, ask: Ask) -> None:
    w = simulator.world
    running = next(r for r in w.runs(NOW) if w.attempts(r, NOW)[-1].status(NOW) != "completed")
    assert ask("POST", f"R/actions/runs/{running.id}/rerun").status_code == 403
    old = next(r for r in w.runs(NOW) if r.created < NOW - 31 * DAY)
    assert "over a month ago" in ask("POST", f"R/actions/runs/{old.id}/rerun").json()["message"]
    assert ask("POST", "R/actions/runs/1/rerun").status_code == 404
    green = next(r for r in w.runs(NOW - 2 * DAY) if {j.conclusion for j in w.attempts(r, NOW)[-1].jobs} == {"success"})
    assert ask("POST", f"R/actions/runs/{green.id}/rerun-failed-jobs").status_code == 403
    assert ask("POST", f"R/actions/runs/{green.id}/rerun").status_code == 201


# -- git data -------------------------------------------------------------------------------------------------


def revert_branch(ask: Ask, culprit: str, branch: str = "revert-it") -> requests.Response:
    """What the product does where pull requests close unmerged."""
    commit = ask("GET", f"R/commits/{culprit}").json()
    before = ask("GET", f"R/git/trees/{commit['parents'][0]['sha']}?recursive=1").json()["tree"]
    old = {entry["path"]: entry["sha"] for entry in before if entry["type"] == "blob"}
    head = ask("GET", "R/git/ref/heads/main").json()["object"]["sha"]
    base = ask("GET", f"R/git/commits/{head}").json()["tree"]["sha"]
    entries = [
        {"path": f["filename"], "mode": "100644", "type": "blob", "sha": old.get(f["filename"])}
        for f in commit["files"]
    ]
    tree = ask("POST", "R/git/trees", {"base_tree": base, "tree": entries})
    assert tree.status_code == 201, tree.text
    body = {
        "message": f'Revert "{commit["commit"]["message"].splitlines()[0]}"\n\nThis reverts commit {culprit}.',
        "tree": tree.json()["sha"],
        "parents": [head],
        "author": {"name": "A", "email": "a@example.org", "date": "2026-11-18T10:00:00Z"},
    }
    made, same = ask("POST", "R/git/commits", body), ask("POST", "R/git/commits", body)
    assert made.json()["sha"] == same.json()["sha"]
    ref = {"ref": f"refs/heads/{branch}", "sha": made.json()["sha"]}
    assert ask("POST", "R/git/refs", ref).status_code == 201
    assert ask("POST", "R/git/refs", ref).json()["message"] == "Reference already exists"
    assert branch in {b["name"] for b in ask("GET", "R/branches?per_page=100").json()}
    pull = {"title": body["message"].splitlines()[0], "head": branch, "base": "main", "body": "It broke trunk."}
    return ask("POST", "R/pulls", pull)


def test_a_revert_by_git_data_turns_trunk_green(broken: Running) -> None:
    ask, w, found = asking(broken), broken.world, open_break(broken)
    pull = revert_branch(ask, found.culprit.sha)
    assert pull.status_code == 201, pull.text
    number = pull.json()["number"]
    assert ask("POST", "R/pulls", {"title": "x", "head": "revert-it", "base": "main"}).status_code == 422
    again = ask("GET", f"R/pulls/{number}").json()
    assert (again["state"], again["commits"], again["changed_files"]) == (
        "open", 1, len(ask("GET", f"R/commits/{found.culprit.sha}").json()["files"]),
    )  # fmt: skip
    broken.control("clock", advance=200)
    landed = ask("GET", f"R/pulls/{number}").json()
    head = ask("GET", "R/commits?per_page=1").json()[0]
    assert head["commit"]["message"].startswith(f'Revert "{found.culprit.title}"')
    assert landed["state"] == "closed"
    if broken.world.catalogue.bot_lands:
        assert landed["merged_at"] is None
        assert "Merged" in {label["name"] for label in landed["labels"]}
        assert ask("GET", f"R/pulls/{found.culprit.number}").json()["state"] == "open"
    else:
        assert (landed["merged"], landed["merge_commit_sha"]) == (True, head["sha"])
    now = next(b for b in w.breaks(found.culprit.time - 1, found.culprit.time + 1))
    assert (now.key, now.fix.sha, now.reverted) == (found.key, head["sha"], True)
    later = [c for c in w.trunk(found.fix.time + 1) if c.time > found.culprit.time + 800]
    assert later
    assert not any(failing(broken, found, commit) for commit in [*later, now.fix])
    assert failing(broken, found, found.culprit)
    assert all(not c.title.startswith(f'Revert "{found.culprit.title}') or c.made for c in later)
    # The same files are back as they were.
    diff = ask("GET", f"R/compare/{head['parents'][0]['sha']}...{head['sha']}").json()
    culprit = ask("GET", f"R/commits/{found.culprit.sha}").json()
    assert {f["filename"] for f in diff["files"]} == {f["filename"] for f in culprit["files"]}
    runs = ask("GET", f"R/actions/runs?head_sha={head['sha']}").json()["workflow_runs"]
    assert {run["event"] for run in runs} == {"push"}
    assert ask("GET", f"R/commits/{head['sha']}/check-runs").json()["total_count"] > 0


def test_a_branch_that_takes_nothing_back_is_left_to_people(simulator: Running, ask: Ask) -> None:
    head = ask("GET", "R/git/ref/heads/main").json()["object"]["sha"]
    tree = ask("POST", "R/git/trees", {"base_tree": head, "tree": [{"path": "README.md", "content": "words"}]})
    made = ask("POST", "R/git/commits", {"message": "Words", "tree": tree.json()["sha"], "parents": [head]}).json()
    ask("POST", "R/git/refs", {"ref": "refs/heads/words", "sha": made["sha"]})
    pull = ask("POST", "R/pulls", {"title": "Words", "head": "words", "base": "main"}).json()
    simulator.control("clock", advance=3600)
    assert ask("GET", f"R/pulls/{pull['number']}").json()["state"] == "open"
    more = ask("POST", "R/git/commits",
               {"message": "More", "tree": tree.json()["sha"], "parents": [made["sha"]]}).json()  # fmt: skip
    other = ask("POST", "R/git/commits", {"message": "Other", "tree": tree.json()["sha"], "parents": [head]}).json()
    assert ask("PATCH", "R/git/refs/heads/words", {"sha": more["sha"]}).status_code == 200
    assert ask("GET", f"R/pulls/{pull['number']}").json()["head"]["sha"] == more["sha"]
    assert ask("PATCH", "R/git/refs/heads/words", {"sha": other["sha"]}).status_code == 422
    assert ask("PATCH", "R/git/refs/heads/words", {"sha": other["sha"], "force": True}).status_code == 200
    assert ask("GET", f"R/compare/main...{other['sha']}").json()["status"] == "diverged"
    assert ask("PATCH", "R/git/refs/heads/main", {"sha": other["sha"], "force": True}).status_code == 422
    assert ask("DELETE", "R/git/refs/heads/words").status_code == 204
    assert ask("GET", "R/git/ref/heads/words").status_code == 404
    nothing = ask("POST", "R/git/refs", {"ref": "refs/heads/nothing", "sha": head})
    assert nothing.status_code == 201
    refused = ask("POST", "R/pulls", {"title": "Nothing", "head": "nothing", "base": "main"})
    assert "No commits between main and nothing" in refused.text


def test_last_good_can_be_pushed(simulator: Running, ask: Ask) -> None:
    good = ask("GET", "R/commits?per_page=40").json()[5]["sha"]
    assert ask("PATCH", "R/git/refs/heads/viable/strict", {"sha": good, "force": True}).status_code == 200
    assert ask("GET", "R/branches/viable/strict").json()["commit"]["sha"] == good


def test_git_data_in_githubs_shapes(simulator: Running) -> None:
    with typed_client(simulator) as github:
        at = {"owner": simulator.world.owner, "repo": simulator.world.repo}
        head = github.rest.git.get_ref(**at, ref="heads/main").parsed_data.object_.sha
        commit = github.rest.git.get_commit(**at, commit_sha=head).parsed_data
        tree = github.rest.git.get_tree(**at, tree_sha=commit.tree.sha, recursive="1").parsed_data
        assert tree.sha == commit.tree.sha
        top = github.rest.git.get_tree(**at, tree_sha=head).parsed_data
        folder = next(entry for entry in top.tree if entry.type == "tree")
        assert github.rest.git.get_tree(**at, tree_sha=folder.sha).parsed_data.tree
        blob = github.rest.git.create_blob(**at, content="words").parsed_data
        assert github.rest.git.get_blob(**at, file_sha=blob.sha).parsed_data.size == 5
        made = github.rest.git.create_tree(
            **at, base_tree=commit.tree.sha, tree=[{"path": "a/b", "mode": "100644", "type": "blob", "sha": blob.sha}]
        ).parsed_data
        own = github.rest.git.create_commit(**at, message="m", tree=made.sha, parents=[head]).parsed_data
        assert own.parents[0].sha == head
        files = github.rest.repos.get_commit(**at, ref=own.sha).parsed_data.files
        assert [(f.filename, f.status) for f in files] == [("a/b", "added")]


# -- merging, GitHub's revert, the merge bot ------------------------------------------------------------------


def test_merging(simulator: Running, ask: Ask) -> None:
    number = open_pull(simulator)
    pull = ask("GET", f"R/pulls/{number}").json()
    assert ask("PUT", f"R/pulls/{number}/merge", {"sha": "0" * 40}).status_code == 409
    merged = ask("PUT", f"R/pulls/{number}/merge", {"sha": pull["head"]["sha"], "merge_method": "squash"})
    assert (merged.status_code, merged.json()["merged"]) == (200, True)
    head = ask("GET", "R/commits?per_page=2").json()
    assert head[0]["sha"] == merged.json()["sha"]
    assert head[0]["parents"][0]["sha"] == head[1]["sha"]
    assert ask("PUT", f"R/pulls/{number}/merge").status_code == 405
    after = ask("GET", f"R/pulls/{number}").json()
    assert (after["merged"], after["merge_commit_sha"]) == (True, head[0]["sha"])
    simulator.control("clock", advance=4 * DAY)
    titles = [c["commit"]["message"].splitlines()[0] for c in ask("GET", "R/commits?per_page=100").json()]
    assert sum(f"(#{number})" in title for title in titles) == 1


def test_githubs_own_revert(ask: Ask, simulator: Running) -> None:
    found = open_break(simulator)
    simulator.control("clock", set=iso_of(found.culprit.time + 600))
    owner, name = simulator.full_name.split("/")
    query = """query($owner: String!, $name: String!, $number: Int!) { rateLimit { cost remaining }
      repository(owner: $owner, name: $name) { pullRequest(number: $number) {
        id number state mergeCommit { oid } } } }"""
    variables = {"owner": owner, "name": name, "number": found.culprit.number}
    asked = ask("POST", "/graphql", {"query": query, "variables": variables}).json()
    pull = asked["data"]["repository"]["pullRequest"]
    assert (pull["state"], pull["mergeCommit"]["oid"]) == ("MERGED", found.culprit.sha)
    mutation = """mutation($id: ID!) { revertPullRequest(input: {pullRequestId: $id, body: "It broke trunk."}) {
      revertPullRequest { number title state } } }"""
    made = ask("POST", "/api/graphql", {"query": mutation, "variables": {"id": pull["id"]}}).json()
    reverting = made["data"]["revertPullRequest"]["revertPullRequest"]
    assert reverting["title"].startswith('Revert "')
    assert simulator.control("land", pull=reverting["number"])["landed"]
    head = ask("GET", "R/commits?per_page=1").json()[0]
    assert f"(#{reverting['number']})" in head["commit"]["message"]
    now = next(b for b in simulator.world.breaks(found.culprit.time - 1, found.culprit.time + 1))
    assert now.fix.sha == head["sha"]
    unmerged = next(p.number for p in recent(simulator.world, simulator.world.now()) if p.state == "open")
    asked = ask("POST", "/graphql", {"query": query, "variables": variables | {"number": unmerged}}).json()
    variables = {"id": asked["data"]["repository"]["pullRequest"]["id"]}
    refused = ask("POST", "/graphql", {"query": mutation, "variables": variables})
    assert (refused.status_code, refused.json()["errors"][0]["message"]) == (200, "Pull request is not merged")
    assert "errors" in ask("POST", "/graphql", {"query": "{ nonsense }"}).json()
    assert "errors" in ask("POST", "/graphql", {"query": "{ rateLimit {"}).json()
    assert ask("GET", "/rate_limit").json()["resources"]["graphql"]["used"] == 5


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("revert -c nosignal", "required: -m"),
        ('revert -m "broke trunk tests"', "required: -c"),
        ('revert -m "broke trunk tests" -c because', "invalid choice: 'because'"),
        ("dance", "usage"),
    ],
)
def test_the_bot_explains_its_grammar(simulator: Running, ask: Ask, words: str, problem: str) -> None:
    number = ask("GET", "R/pulls?state=closed&per_page=30").json()[0]["number"]
    assert ask("POST", f"R/issues/{number}/comments", {"body": f"@pytorchbot {words}"}).status_code == 201
    simulator.control("clock", advance=10)
    last = ask("GET", f"R/issues/{number}/comments?per_page=100").json()[-1]
    assert last["user"]["type"] == "Bot"
    assert problem in last["body"]


def test_the_bot_reverts(broken: Running) -> None:
    ask, w, found = asking(broken), broken.world, open_break(broken)
    path = f"R/issues/{found.culprit.number}/comments"
    body = '@pytorchbot revert -m "Broke trunk tests on linux" -c nosignal'
    assert ask("POST", path, {"body": body}).status_code == 201
    assert ask("POST", path, {"body": body}).status_code == 201  # a second time: told that it is under way
    broken.control("clock", advance=200)
    commits = ask("GET", "R/commits?per_page=3").json()
    assert commits[0]["commit"]["message"].startswith(f'Revert "{found.culprit.title}"')
    assert f"This reverts commit {found.culprit.sha}." in commits[0]["commit"]["message"]
    assert not commits[1]["commit"]["message"].startswith("Revert")
    said = [c["body"] for c in ask("GET", path).json()]
    assert sum("successfully reverted" in text for text in said) == 1
    assert sum("already been reverted or is being" in text for text in said) == 1
    pull = ask("GET", f"R/pulls/{found.culprit.number}").json()
    assert pull["state"] == ("open" if w.catalogue.bot_lands else "closed")
    head = w.resolve("main", w.now())
    assert head is not None
    assert not failing(broken, found, head)


# -- trouble --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [403, 404, 409, 422, 429, 502])
@pytest.mark.parametrize("before", [True, False])
def test_refusals_before_and_after_the_effect(simulator: Running, ask: Ask, status: int, before: bool) -> None:
    number = open_pull(simulator)
    simulator.control("faults", kind="error", status=status, before=before, method="POST", match="/comments")
    assert ask("GET", f"R/issues/{number}/comments").json() == []
    assert ask("POST", f"R/issues/{number}/comments", {"body": "once"}).status_code == status
    assert len(ask("GET", f"R/issues/{number}/comments").json()) == (0 if before else 1)


@pytest.mark.parametrize("before", [True, False])
def test_an_answer_that_is_lost(simulator: Running, ask: Ask, before: bool) -> None:
    number = open_pull(simulator)
    simulator.control("faults", kind="cut", before=before, method="POST")
    with pytest.raises(requests.RequestException):
        ask("POST", f"R/issues/{number}/comments", {"body": "once"})
    assert len(ask("GET", f"R/issues/{number}/comments").json()) == (0 if before else 1)


def test_too_much_content(simulator: Running, ask: Ask) -> None:
    number = open_pull(simulator)
    simulator.control("limits", content=3)
    answers = [ask("POST", f"R/issues/{number}/comments", {"body": str(n)}) for n in range(5)]
    assert [a.status_code for a in answers] == [201, 201, 201, 403, 403]
    assert answers[-1].headers["retry-after"] == "60"


def test_listeners_hear_what_requests_do(simulator: Running, ask: Ask) -> None:
    heard: list[tuple[str, Any]] = []
    simulator.simulator.on_write(lambda event, payload: heard.append((event, payload)))
    number = open_pull(simulator)
    ask("POST", f"R/issues/{number}/comments", {"body": "words"})
    ask("POST", f"R/issues/{number}/labels", {"labels": ["a"]})
    ask("PATCH", f"R/issues/{number}", {"state": "closed"})
    assert [(event, payload["action"]) for event, payload in heard] == [
        ("issue_comment", "created"), ("pull_request", "labeled"), ("pull_request", "closed"),
    ]  # fmt: skip
    assert heard[1][1]["pull_request"]["number"] == number


def test_writes_outlive_a_restart(broken: Running, tmp_path: Path) -> None:
    ask, found = asking(broken), open_break(broken)
    broken.simulator.state_file = tmp_path / "state.json"
    revert_branch(ask, found.culprit.sha)
    w, now = broken.world, broken.world.now()
    run = next(r for r in w.runs(now) if w.attempts(r, now)[-1].status(now) == "completed")
    assert ask("POST", f"R/actions/runs/{run.id}/rerun").status_code == 201
    number = ask("POST", "R/issues", {"title": "Red"}).json()["number"]
    broken.control("land")
    before = [ask("GET", path).text for path in ("R/commits", "R/pulls?state=all", f"R/actions/runs/{run.id}")]
    broken.world.writes = Writes.load(tmp_path / "state.json")
    broken.world.written()
    assert [ask("GET", p).text for p in ("R/commits", "R/pulls?state=all", f"R/actions/runs/{run.id}")] == before
    assert item(broken.world, number, broken.world.now()) is not None


def test_reset_takes_everything_back(simulator: Running, ask: Ask) -> None:
    number = open_pull(simulator)
    head = ask("GET", "R/branches/main").json()["commit"]["sha"]
    ask("PUT", f"R/pulls/{number}/merge")
    assert ask("GET", "R/branches/main").json()["commit"]["sha"] != head
    simulator.control("overlay", reset=True)
    assert ask("GET", "R/branches/main").json()["commit"]["sha"] == head


def test_what_comes_by_the_clock_is_found_by_asking(broken: Running) -> None:
    ask, found = asking(broken), open_break(broken)
    number = revert_branch(ask, found.culprit.sha).json()["number"]
    begun = broken.world.now()
    broken.control("clock", advance=4 * 3600)
    events = list(pull_events.between(broken.world, begun, broken.world.now(), broken.url))
    assert {event.action for event in events} >= {"opened", "synchronize", "closed"}
    own = [event for event in events if event.number == number]
    assert [event.action for event in own] == ["closed"]
    assert own[0].payload["pull_request"]["merged"] is not broken.world.catalogue.bot_lands
    reopened = [event.number for event in events if event.action == "reopened"]
    assert (found.culprit.number in reopened) is broken.world.catalogue.bot_lands

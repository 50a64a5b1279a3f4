"""What it takes to revert a commit, told from what GitHub says of it."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import pytest

from project.github import errors, reverts
from project.github.budget import Budget
from project.github.client import RepoRef
from project.github.gitdata import TreeEntry
from project.github.lookups import Lookups
from project.github.tokens import Anonymous
from project.github.transport import Transport

from .server import FakeServer, Reply

REPO = RepoRef("octo", "tree")
BAD, PARENT, HEAD, LATER = "b" * 40, "a" * 40, "d" * 40, "c" * 40
OLD, NEW = "1" * 40, "2" * 40


def commit(sha: str, title: str, *files: dict[str, str], parents: tuple[str, ...] = (PARENT,)) -> dict[str, Any]:
    when = {"date": "2026-01-01T00:00:00Z", "name": "ada"}
    return {
        "sha": sha,
        "parents": [{"sha": one} for one in parents],
        "commit": {"message": f"{title}\n\nMore.", "author": when, "committer": when},
        "files": list(files),
    }


def change(path: str, status: str = "modified", **more: str) -> dict[str, str]:
    return {"filename": path, "status": status, "sha": NEW, **more}


def entry(path: str, mode: str = "100644", kind: str = "blob") -> dict[str, str]:
    return {"path": path, "mode": mode, "type": kind, "sha": OLD}


@pytest.fixture
def tell(server: FakeServer) -> Callable[..., Lookups]:
    """A GitHub where this commit was followed by these changes."""

    def make(bad: dict[str, Any], since: list[Any], *, status: str = "ahead", **more: Any) -> Lookups:
        answers: dict[str, Any] = {
            f"/commits/{BAD}": bad,
            f"/compare/{BAD}...{HEAD}": {"status": status, "files": since},
            "/commits": [commit(LATER, "[nn] Later"), commit(BAD, "Bad")],
            f"/git/commits/{PARENT}": {"sha": PARENT, "tree": {"sha": OLD}, "parents": [], "message": ""},
            f"/git/trees/{OLD}": {"sha": OLD, "tree": more.get("tree", []), "truncated": more.get("truncated", False)},
        }

        def answer(path: str, headers: dict[str, str]) -> Reply:
            plain = unquote(path.partition("?")[0]).removeprefix("/repos/octo/tree")
            found = answers.get(plain)
            return Reply(body=found) if found is not None else Reply(status=404, body={"message": "Not Found"})

        server.tell(answer)
        transport = Transport(
            token=Anonymous(), api_url=server.url, budget=Budget("r"), session=None, timeout=(2, 2),
            sleep=lambda _: None, retries=0, user_agent="arborist",
        )  # fmt: skip
        return Lookups(transport, server.url)

    return make


def plan(github: Lookups) -> reverts.RevertPlan:
    return reverts.plan(github, REPO, BAD, HEAD, branch="revert it", base="main")


def test_untouched_files_go_back_to_what_the_parent_had(tell: Callable[..., Lookups]) -> None:
    bad = commit(
        BAD,
        "Bad",
        change("changed.py"),
        change("new.py", "added"),
        change("gone.sh", "removed"),
        change("to/here.py", "renamed", previous_filename="from/there.py"),
        change("copy.py", "copied", previous_filename="original.py"),
        change("module", "modified"),
    )
    before = [
        entry("changed.py"), entry("gone.sh", "100755"), entry("from", "040000", "tree"), entry("from/there.py"),
        entry("original.py"), entry("module", "160000", "commit"),
    ]  # fmt: skip
    github = tell(bad, [change("elsewhere.py")], tree=before)
    found = plan(github)
    assert found.possible
    assert (found.title, found.parent, found.blocked_by) == ("Bad", PARENT, ())
    assert "original.py" not in found.files
    assert {one.path: one for one in reverts.restored(github, REPO, found)} == {
        "changed.py": TreeEntry("changed.py", "100644", "blob", OLD),
        "new.py": TreeEntry("new.py", "100644", "blob", None),
        "gone.sh": TreeEntry("gone.sh", "100755", "blob", OLD),
        "to/here.py": TreeEntry("to/here.py", "100644", "blob", None),
        "from/there.py": TreeEntry("from/there.py", "100644", "blob", OLD),
        "copy.py": TreeEntry("copy.py", "100644", "blob", None),
        "module": TreeEntry("module", "160000", "commit", OLD),
    }


@pytest.mark.parametrize(
    "later", [change("a.py"), change("b.py", "renamed", previous_filename="a.py"), change("a.py", "removed")]
)
def test_a_later_commit_on_the_same_file_is_named(tell: Callable[..., Lookups], later: dict[str, str]) -> None:
    found = plan(tell(commit(BAD, "Bad", change("a.py")), [later]))
    assert not found.possible
    assert found.blocked_by == (reverts.Blocker(LATER, "[nn] Later", ("a.py",)),)
    assert found.why_not == "Later commits touched the same files: ccccccc ([nn] Later)."
    assert found.git_commands == (
        "git fetch origin main",
        "git switch -c 'revert it' FETCH_HEAD",
        f"git revert {BAD}",
        "git push -u origin 'revert it'",
        "gh pr create --repo octo/tree --base main --head 'revert it' --fill",
    )


def test_when_github_names_not_all_files_each_is_asked_for(tell: Callable[..., Lookups]) -> None:
    many = [change(f"{number}.py") for number in range(300)]
    assert plan(tell(commit(BAD, "Bad", change("a.py")), many)).blocked_by[0].sha == LATER
    wide = commit(BAD, "Bad", *(change(f"x{number}.py") for number in range(40)))
    assert not plan(tell(wide, many)).possible


@pytest.mark.parametrize(
    ("bad", "status", "words"),
    [
        (commit(BAD, "Bad", change("a"), parents=(PARENT, HEAD)), "ahead", "a merge"),
        (commit(BAD, "Bad", change("a"), parents=()), "ahead", "the first commit"),
        (commit(BAD, "Bad"), "ahead", "changes no file"),
        (commit(BAD, "Bad", *(change(f"{n}") for n in range(300))), "ahead", "300 files or more"),
        (commit(BAD, "Bad", change("a")), "diverged", "not on the trunk"),
        (commit(BAD, "Bad", change("a")), "behind", "not on the trunk"),
    ],
)
def test_what_cannot_be_reverted_says_why(
    tell: Callable[..., Lookups], bad: dict[str, Any], status: str, words: str
) -> None:
    found = plan(tell(bad, [], status=status))
    assert words in found.why_not
    assert any("git revert" in line for line in found.git_commands)
    assert any("-m 1" in line for line in found.git_commands) is (len(bad["parents"]) == 2)


def test_a_tree_with_holes_is_not_used(tell: Callable[..., Lookups]) -> None:
    github = tell(commit(BAD, "Bad", change("a.py")), [], truncated=True)
    with pytest.raises(errors.Invalid, match="more files than GitHub shows"):
        reverts.restored(github, REPO, plan(github))
    github = tell(commit(BAD, "Bad", change("a.py")), [], tree=[entry("a.py", "777")])
    with pytest.raises(errors.BadAnswer):
        reverts.restored(github, REPO, plan(github))


def test_hostile_names_stay_text(tell: Callable[..., Lookups]) -> None:
    bad = commit(BAD, "$(rm -rf /)\0" + "x" * 500, change("a\u202e.py"))
    found = plan(tell(bad, []))
    assert "\0" not in found.title
    assert len(found.title) <= 300
    assert "rm" not in " ".join(found.git_commands)
    with pytest.raises(errors.BadAnswer):
        plan(tell(commit(BAD, "Bad", change("a\0.py")), []))
    assert json.dumps(found.git_commands)

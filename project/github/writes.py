"""What Arborist writes to GitHub: one method a request, sent once, in turn with all other writes.

After an error that is `passing` a write may have taken effect. Nothing here finds that out or repeats anything:
`project.outbox` does, and nobody else calls this.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from . import conversation, gitdata, graphql
from .client import RepoRef
from .conversation import CommentPayload, IssuePayload, PullPayload
from .errors import BadAnswer
from .fields import as_dict, read_id, read_url
from .gitdata import GitCommitPayload, RefPayload, TreeEntry, TreePayload
from .lookups import Lookups, read
from .pacing import Pace
from .transport import Transport

T = TypeVar("T")


class Writer(Lookups):
    """Writes to one GitHub as one credential, and the reads that go with them.

    Every method may raise any `GitHubError`.
    """

    def __init__(self, transport: Transport, api_url: str, pace: Pace) -> None:
        super().__init__(transport, api_url)
        self._pace = pace

    # -- issues, pull requests, comments -----------------------------------------------------------------------

    def create_comment(self, repo: RepoRef, number: int, body: str) -> CommentPayload:
        """Comment on an issue or pull request."""
        return self._write("POST", conversation.parse_comment, {"body": body}, repo, "issues", number, "comments")

    def delete_comment(self, repo: RepoRef, comment_id: int) -> None:
        """Delete a comment."""
        self._send("DELETE", None, repo, "issues", "comments", comment_id)

    def create_issue(self, repo: RepoRef, *, title: str, body: str, labels: Sequence[str]) -> IssuePayload:
        """File an issue. Labels are dropped without a word if the credential may not set them."""
        said = {"title": title, "body": body, "labels": list(labels)}
        return self._write("POST", conversation.parse_issue, said, repo, "issues")

    def set_issue_state(self, repo: RepoRef, number: int, state: str, reason: str = "") -> IssuePayload:
        """Close or reopen an issue."""
        said = {"state": state} | ({"state_reason": reason} if reason else {})
        return self._write("PATCH", conversation.parse_issue, said, repo, "issues", number)

    def add_labels(self, repo: RepoRef, number: int, labels: Sequence[str]) -> None:
        """Add labels to those that are there."""
        self._send("POST", {"labels": list(labels)}, repo, "issues", number, "labels")

    def remove_label(self, repo: RepoRef, number: int, label: str) -> None:
        """Take a label off. `NotFound` if it is not there."""
        self._send("DELETE", None, repo, "issues", number, "labels", label)

    def create_pull(self, repo: RepoRef, *, title: str, body: str, head: str, base: str) -> PullPayload:
        """Open a pull request from a branch of the same repository."""
        said = {"title": title, "body": body, "head": head, "base": base, "maintainer_can_modify": True}
        return self._write("POST", conversation.parse_pull, said, repo, "pulls")

    def set_pull_state(self, repo: RepoRef, number: int, state: str) -> PullPayload:
        """Close or reopen a pull request."""
        return self._write("PATCH", conversation.parse_pull, {"state": state}, repo, "pulls", number)

    def revert_pull(self, node_id: str, *, title: str, body: str, draft: bool) -> tuple[int, str]:
        """Have GitHub open the pull request that reverts a merged one; its number and address."""
        variables = {"id": node_id, "title": title, "body": body, "draft": draft}
        url = graphql.address(self._api_url)
        asked = self.asked("POST", url)
        said = {"query": graphql.REVERT_PULL_REQUEST, "variables": variables}
        data = graphql.data_of(self._transport.send("POST", url, said, pace=self._pace), asked)
        made = as_dict(as_dict(data.get("revertPullRequest")).get("revertPullRequest"))
        return read(lambda it: read_id(as_dict(it), "number", "pull request"), made, asked), read_url(made.get("url"))

    # -- runs ----------------------------------------------------------------------------------------------------

    def rerun_job(self, repo: RepoRef, job_id: int) -> None:
        """Run a job again, and what depends on it."""
        self._send("POST", {}, repo, "actions", "jobs", job_id, "rerun")

    def rerun_failed(self, repo: RepoRef, run_id: int) -> None:
        """Run the failed jobs of a workflow run again."""
        self._send("POST", {}, repo, "actions", "runs", run_id, "rerun-failed-jobs")

    def rerun_run(self, repo: RepoRef, run_id: int) -> None:
        """Run a whole workflow run again."""
        self._send("POST", {}, repo, "actions", "runs", run_id, "rerun")

    # -- git -----------------------------------------------------------------------------------------------------

    def create_tree(self, repo: RepoRef, *, base: str, entries: Sequence[TreeEntry]) -> TreePayload:
        """A tree like ``base`` but for these entries."""
        changed = [{"path": one.path, "mode": one.mode, "type": one.type, "sha": one.sha} for one in entries]
        return self._write("POST", gitdata.parse_tree, {"base_tree": base, "tree": changed}, repo, "git", "trees")

    def create_commit(
        self, repo: RepoRef, *, message: str, tree: str, parents: Sequence[str], author: dict[str, str]
    ) -> GitCommitPayload:
        """A commit on no branch. The same arguments make the same commit: its date stands in ``author``."""
        said = {"message": message, "tree": tree, "parents": list(parents), "author": author, "committer": author}
        return self._write("POST", gitdata.parse_git_commit, said, repo, "git", "commits")

    def create_branch(self, repo: RepoRef, branch: str, sha: str) -> RefPayload:
        """A new branch. `Invalid` (422) if there is one of that name."""
        said = {"ref": f"refs/heads/{branch}", "sha": sha}
        return self._write("POST", gitdata.parse_ref, said, repo, "git", "refs")

    def move_branch(self, repo: RepoRef, branch: str, sha: str, *, force: bool) -> RefPayload:
        """Point a branch at another commit; without ``force`` only forwards."""
        said = {"sha": sha, "force": force}
        return self._write("PATCH", gitdata.parse_ref, said, repo, "git", "refs", "heads", *branch.split("/"))

    # -- how -----------------------------------------------------------------------------------------------------

    def _write(self, method: str, parse: Callable[[object], T], body: object, repo: RepoRef, *path: str | int) -> T:
        data, asked = self._send(method, body, repo, *path)
        if data is None:
            raise BadAnswer(asked, "it is empty")
        return read(parse, data, asked)

    def _send(self, method: str, body: object, repo: RepoRef, *path: str | int) -> tuple[Any, str]:
        url = self.url(repo, *path)
        return self._transport.send(method, url, body, pace=self._pace).data, self.asked(method, url)

"""GitHub's webhook deliveries: whether they are genuine, and what they tell, as the dataclasses that polling gives.

The body is a stranger's until its signature has been checked over the very bytes that came.
"""

import hmac
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from . import payloads
from .fields import (
    MESSAGE_LENGTH,
    NAME_LENGTH,
    PayloadError,
    as_dict,
    as_object,
    inside,
    optional_id,
    read_date,
    read_exact_name,
    read_id,
    read_sha,
    read_text,
)
from .payloads import (
    BranchPayload,
    CheckRunPayload,
    CommitPayload,
    JobPayload,
    StatusPayload,
    WorkflowRunPayload,
)

BODY_MAX: Final = 25 * 1024 * 1024  # GitHub sends nothing larger
ACTIONS_APP: Final = "github-actions"
_HEAD = "refs/heads/"
_NOBODY = "0" * 40
_EVENT = re.compile(r"[a-z0-9_]{1,50}\Z")
_GUID = re.compile(r"[A-Za-z0-9-]{8,64}\Z")


def signature(secret: str, body: bytes) -> str:
    """What `X-Hub-Signature-256` says for this body."""
    return "sha256=" + hmac.new(secret.encode(), body, "sha256").hexdigest()


def genuine(secrets: Iterable[str], body: bytes, given: str) -> bool:
    """Whether `given` is the signature of `body` under one of the secrets. Takes as long whichever it is."""
    said = given.encode("utf-8", "replace")
    found = False
    for secret in secrets:
        found |= hmac.compare_digest(signature(secret, body).encode(), said)
    return found


@dataclass(frozen=True, slots=True)
class Delivery:
    """The envelope of a delivery. `body` holds the bytes as they came."""

    hook_id: int
    guid: str
    event: str
    action: str
    repository_id: int | None
    full_name: str
    body: bytes


def read_delivery(headers: Mapping[str, str], body: bytes) -> Delivery:
    """The envelope, from headers with lower-case names and a body whose signature is right. Raises `PayloadError`."""
    event, guid, hook = (headers.get(f"x-github-{name}", "") for name in ("event", "delivery", "hook-id"))
    for name, value, good in (
        ("X-GitHub-Event", event, _EVENT.match(event)),
        ("X-GitHub-Delivery", guid, _GUID.match(guid)),
        ("X-GitHub-Hook-ID", hook, hook.isascii() and hook.isdigit() and len(hook) < 20 and 0 < int(hook) < 2**63),
    ):
        if not good:
            raise PayloadError(
                "delivery", f"is {'not what GitHub sends' if value else 'missing'}", f"the header {name}"
            )
    data = as_object(_json(body), event)
    repository = inside(data, "repository")
    return Delivery(
        int(hook),
        guid,
        event,
        read_text(data.get("action"), 50),
        optional_id(repository.get("id")),
        read_text(repository.get("full_name"), 201),
        body,
    )


def _json(body: bytes) -> object:
    try:
        return json.loads(body)
    except UnicodeDecodeError as error:
        what = f"is not UTF-8 at byte {error.start}"
    except json.JSONDecodeError as error:
        what = f"is not valid JSON at line {error.lineno}, column {error.colno}: {error.msg}"
    except RecursionError:
        what = "is nested too deeply"
    except ValueError:
        what = "holds a number that is too long"
    raise PayloadError("body", what)


@dataclass(frozen=True, slots=True)
class Push:
    """A branch has moved. `commit` is the new head where the push alone tells all about it: one commit on top of
    `before`. Of more, or of a forced push, GitHub does not say whose parents are whose.
    """

    branch: BranchPayload
    before: str
    forced: bool
    deleted: bool
    pushed_at: datetime | None
    commit: CommitPayload | None


@dataclass(frozen=True, slots=True)
class Told:
    """What one delivery tells. `branches` are names under which the commit in question is known to GitHub.

    `ignored` says in words why there is nothing in it for us.
    """

    jobs: tuple[JobPayload, ...] = ()
    workflow_runs: tuple[WorkflowRunPayload, ...] = ()
    check_runs: tuple[CheckRunPayload, ...] = ()
    statuses: tuple[StatusPayload, ...] = ()
    push: Push | None = None
    pull_request: dict[str, Any] | None = None
    branches: frozenset[str] = field(default_factory=frozenset)
    ignored: str = ""

    @property
    def shas(self) -> set[str]:
        """The commits that it is about."""
        return (
            {job.head_sha for job in self.jobs}
            | {run.head_sha for run in self.workflow_runs}
            | {check.head_sha for check in self.check_runs}
            | {status.sha for status in self.statuses}
            | ({self.push.branch.head_sha} if self.push and not self.push.deleted else set())
        )


def tell(event: str, body: bytes) -> Told:
    """What the delivery tells. Raises `PayloadError`, which names the field, and nothing else."""
    read = _READERS.get(event)
    if read is None:
        return Told(ignored=f"the event {event} tells nothing that Arborist shows")
    return read(as_object(_json(body), event))


def _workflow_job(data: dict[str, Any]) -> Told:
    job = payloads.parse_job(data.get("workflow_job"))
    return Told(jobs=(job,), branches=frozenset((job.head_branch,)))


def _workflow_run(data: dict[str, Any]) -> Told:
    run = payloads.parse_workflow_run(data.get("workflow_run"))
    # Runs of pull requests may come from a fork's branch that is called like trunk.
    return Told(workflow_runs=(run,), branches=frozenset((run.head_branch,) if run.event == "push" else ()))


def _check_run(data: dict[str, Any]) -> Told:
    check = payloads.parse_check_run(data.get("check_run"))
    if check.app_slug == ACTIONS_APP:
        return Told(ignored="GitHub tells the same, and more, as workflow_job")
    suite = inside(inside(data, "check_run"), "check_suite")
    return Told(check_runs=(check,), branches=frozenset((read_text(suite.get("head_branch"), NAME_LENGTH),)))


def _status(data: dict[str, Any]) -> Told:
    given = data.get("branches")
    branches = given if isinstance(given, list) else []
    status = payloads.parse_status(data, read_sha(data.get("sha"), "sha", "status"))
    return Told(
        statuses=(status,), branches=frozenset(read_text(as_dict(b).get("name"), NAME_LENGTH) for b in branches)
    )


def _push(data: dict[str, Any]) -> Told:
    kind = "push"
    ref = read_exact_name(data, "ref", kind)
    if not ref.startswith(_HEAD):
        return Told(ignored="it moves no branch")
    deleted = data.get("deleted") is True
    after = read_sha(data.get("after"), "after", kind)
    branch = BranchPayload(ref.removeprefix(_HEAD), after, False)
    push = Push(
        branch,
        read_sha(data.get("before"), "before", kind),
        data.get("forced") is True,
        deleted or after == _NOBODY,
        _pushed_at(data),
        None if deleted else _only_commit(data, after),
    )
    return Told(push=push, branches=frozenset((branch.name,)))


def _pushed_at(data: dict[str, Any]) -> datetime | None:
    """When GitHub took the push: only here are the repository's times epochs."""
    pushed = inside(data, "repository").get("pushed_at")
    if type(pushed) is int and 946_684_800 <= pushed < 4_102_444_800:
        return datetime.fromtimestamp(pushed, UTC)
    return read_date(pushed)


def _only_commit(data: dict[str, Any], after: str) -> CommitPayload | None:
    commits, before = data.get("commits"), data.get("before")
    if data.get("forced") is True or data.get("created") is True or before == _NOBODY:
        return None
    if not isinstance(commits, list) or len(commits) != 1:
        return None
    it = as_dict(commits[0])
    message = read_text(it.get("message"), MESSAGE_LENGTH)
    if it.get("id") != after or message.startswith("Merge "):
        return None
    author = inside(it, "author")
    when = read_date(it.get("timestamp"))
    if when is None:
        return None
    return CommitPayload(
        after,
        (str(before),),
        message,
        read_text(author.get("username"), 100),
        read_text(author.get("name"), NAME_LENGTH),
        when,
        when,
        "",
    )


def _pull_request(data: dict[str, Any]) -> Told:
    pull = as_object(data.get("pull_request"), "pull request")
    read_id(pull, "number", "pull request")
    return Told(pull_request=data)


_READERS: dict[str, Callable[[dict[str, Any]], Told]] = {
    "workflow_job": _workflow_job,
    "workflow_run": _workflow_run,
    "check_run": _check_run,
    "check_suite": lambda data: Told(ignored="its check runs and workflow runs are told one by one"),
    "status": _status,
    "push": _push,
    "pull_request": _pull_request,
    "ping": lambda data: Told(ignored="a ping only asks whether somebody is there"),
}

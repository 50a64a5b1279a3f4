"""Payloads: what GitHub says today, what it may say tomorrow, and what nobody should ever say."""

import copy
import json
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from project.github import payloads
from project.github.payloads import Conclusion, PayloadError, Status

from . import samples

PARSERS: list[tuple[str, Callable[[object], Any], dict[str, Any]]] = [
    ("repository", payloads.parse_repository, samples.REPOSITORY),
    ("branch", payloads.parse_branch, samples.BRANCH),
    ("commit", payloads.parse_commit, samples.COMMIT),
    ("workflow run", payloads.parse_workflow_run, samples.WORKFLOW_RUN),
    ("job", payloads.parse_job, samples.JOB),
    ("check suite", payloads.parse_check_suite, samples.CHECK_SUITE),
    ("check run", payloads.parse_check_run, samples.CHECK_RUN),
    ("status", partial(payloads.parse_status, sha=samples.SHA), samples.STATUS),
]
by_kind = pytest.mark.parametrize(("kind", "parse", "sample"), PARSERS, ids=[kind for kind, _, _ in PARSERS])


def changed(sample: dict[str, Any], **values: Any) -> dict[str, Any]:
    return {**sample, **values}


def without(sample: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in sample.items() if name not in names}


def test_a_job_is_read_in_full() -> None:
    assert payloads.parse_job(samples.JOB) == payloads.JobPayload(
        id=100_000_000_001,
        run_id=13_000_000_001,
        attempt=2,
        workflow="pull",
        name="linux-jammy-py3.10-gcc11 / test (default, 3, 5, linux.2xlarge)",
        head_sha=samples.SHA,
        head_branch="main",
        status=Status.COMPLETED,
        conclusion=Conclusion.FAILURE,
        created_at=datetime(2025, 3, 1, 11, 0, tzinfo=UTC),
        started_at=datetime(2025, 3, 1, 11, 5, tzinfo=UTC),
        completed_at=datetime(2025, 3, 1, 11, 45, tzinfo=UTC),
        runner="i-0abc",
        labels=("linux.2xlarge",),
        html_url="https://github.com/pytorch/pytorch/actions/runs/13000000001/job/100000000001",
    )


def test_a_job_without_its_optional_fields_has_defaults() -> None:
    wanted = ("id", "run_id", "name", "head_sha", "created_at")
    job = payloads.parse_job({name: samples.JOB[name] for name in wanted})
    assert (job.attempt, job.workflow, job.head_branch, job.runner) == (1, None, "", "")
    assert (job.status, job.conclusion) == (Status.UNKNOWN, Conclusion.NONE)
    assert (job.started_at, job.completed_at, job.labels, job.html_url) == (None, None, (), "")


def test_a_commit_is_read_in_full() -> None:
    commit = payloads.parse_commit(samples.COMMIT)
    assert commit.parents == (samples.PARENT,)
    assert (commit.author_login, commit.author_name) == ("ada", "Ada")
    assert commit.message.startswith("Fix the stride")
    assert commit.authored_at < commit.committed_at


def test_a_commit_with_one_absurd_date_borrows_the_other() -> None:
    sample = copy.deepcopy(samples.COMMIT)
    sample["commit"]["committer"]["date"] = "1970-01-01T00:00:00Z"
    commit = payloads.parse_commit(sample)
    assert commit.committed_at == commit.authored_at == datetime(2025, 3, 1, 10, tzinfo=UTC)


def test_a_commit_of_an_author_without_an_account_is_kept() -> None:
    assert payloads.parse_commit(changed(samples.COMMIT, author=None)).author_login == ""


def test_a_workflow_run_without_a_name_goes_by_its_path() -> None:
    run = payloads.parse_workflow_run(
        changed(samples.WORKFLOW_RUN, name=None, path=".github/workflows/pull.yml@refs/heads/main")
    )
    assert run.workflow == run.path == ".github/workflows/pull.yml"


def test_a_check_run_links_to_its_own_page_first() -> None:
    assert payloads.parse_check_run(samples.CHECK_RUN).url == "https://easycla.example/1"
    run = payloads.parse_check_run(changed(samples.CHECK_RUN, details_url=None, app=None))
    assert run.url == samples.CHECK_RUN["html_url"]
    assert (run.app_slug, run.app_name) == ("", "")


@pytest.mark.parametrize(
    ("state", "status", "conclusion"),
    [
        ("pending", Status.IN_PROGRESS, Conclusion.NONE),
        ("success", Status.COMPLETED, Conclusion.SUCCESS),
        ("failure", Status.COMPLETED, Conclusion.FAILURE),
        ("error", Status.COMPLETED, Conclusion.FAILURE),
        ("exploded", Status.UNKNOWN, Conclusion.NONE),
    ],
)
def test_a_state_is_mapped_to_status_and_conclusion(state: str, status: Status, conclusion: Conclusion) -> None:
    parsed = payloads.parse_status(changed(samples.STATUS, state=state), samples.SHA)
    assert (parsed.state, parsed.status, parsed.conclusion, parsed.sha) == (
        state,
        status,
        conclusion,
        samples.SHA,
    )


@pytest.mark.parametrize(
    ("said", "ended", "status", "conclusion"),
    [
        ("completed", "success", Status.COMPLETED, Conclusion.SUCCESS),
        ("completed", "startup_failure", Status.COMPLETED, Conclusion.STARTUP_FAILURE),
        ("completed", None, Status.COMPLETED, Conclusion.UNKNOWN),
        ("completed", "evaporated", Status.COMPLETED, Conclusion.UNKNOWN),
        ("completed", "none", Status.COMPLETED, Conclusion.UNKNOWN),
        ("in_progress", "success", Status.IN_PROGRESS, Conclusion.NONE),
        ("waiting", None, Status.WAITING, Conclusion.NONE),
        ("dreaming", "failure", Status.UNKNOWN, Conclusion.NONE),
        (["completed"], {"a": 1}, Status.UNKNOWN, Conclusion.NONE),
        (None, None, Status.UNKNOWN, Conclusion.NONE),
    ],
)
def test_a_conclusion_is_empty_until_completed(said: Any, ended: Any, status: Status, conclusion: Conclusion) -> None:
    job = payloads.parse_job(changed(samples.JOB, status=said, conclusion=ended))
    assert (job.status, job.conclusion) == (status, conclusion)


def test_status_numbers_are_ranks() -> None:
    assert Status.QUEUED < Status.IN_PROGRESS < Status.COMPLETED
    assert max(max(Status), max(Conclusion)) < 2**15


@pytest.mark.parametrize("field", ["id", "run_id", "name", "head_sha"])
def test_a_missing_required_field_is_named(field: str) -> None:
    with pytest.raises(PayloadError) as caught:
        payloads.parse_job(without(samples.JOB, field))
    assert (caught.value.kind, caught.value.where, caught.value.what) == ("job", field, "is missing")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", 0),
        ("id", -1),
        ("id", 2**63),
        ("id", True),
        ("id", 1.5),
        ("id", "12"),
        ("run_id", None),
        ("run_attempt", 10**9),
        ("name", "\0"),
        ("head_sha", "HEAD"),
        ("head_sha", samples.SHA + "\n"),
        ("head_sha", samples.SHA.upper()),
        ("created_at", "yesterday"),
        ("created_at", "0001-01-01T00:00:00Z"),
        ("created_at", "9999-12-31T23:59:59-12:00"),
        ("created_at", 1740823200),
    ],
)
def test_an_unusable_required_field_is_refused(field: str, value: Any) -> None:
    with pytest.raises(PayloadError, match=f"^job: {field} is "):
        payloads.parse_job(changed(samples.JOB, **{field: value}))


@pytest.mark.parametrize("date", ["1999-12-31T23:59:59Z", "2101-01-01T00:00:00Z", "soon", 5, None, []])
def test_an_absurd_optional_date_is_no_date(date: Any) -> None:
    assert payloads.parse_job(changed(samples.JOB, completed_at=date)).completed_at is None


@pytest.mark.parametrize("date", ["2025-03-01T12:30:00+01:30", "2025-03-01T11:00:00", "2025-03-01T11:00:00.000Z"])
def test_dates_are_in_utc(date: str) -> None:
    parsed = payloads.parse_job(changed(samples.JOB, completed_at=date)).completed_at
    assert parsed == datetime(2025, 3, 1, 11, tzinfo=UTC)
    assert parsed.tzinfo is UTC


def test_an_old_server_without_created_at_has_the_start_instead() -> None:
    job = payloads.parse_job(without(samples.JOB, "created_at"))
    assert job.created_at == job.started_at


def test_text_is_bounded_and_storable_but_otherwise_as_it_came() -> None:
    for name, expected in [
        ("x" * 10_000, "x" * 499 + "…"),
        ("a\0b", "ab"),
        ("\ud800tail", "���tail"),
        ("<b>‮drawkcab</b>", "<b>‮drawkcab</b>"),
    ]:
        parsed = payloads.parse_job(changed(samples.JOB, name=name)).name
        assert parsed == expected
        parsed.encode()


def test_a_branch_whose_name_would_have_to_be_changed_is_refused() -> None:
    for name in ("x" * 501, "a\0b", "\ud800", ""):
        with pytest.raises(PayloadError, match="name is"):
            payloads.parse_branch(changed(samples.BRANCH, name=name))
    assert payloads.parse_branch(changed(samples.BRANCH, name="gh/ädä/1")).name == "gh/ädä/1"


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "//x", "https://x/" + "y" * 1000, 7])
def test_a_link_that_a_page_must_not_use_is_dropped(url: Any) -> None:
    assert payloads.parse_job(changed(samples.JOB, html_url=url)).html_url == ""


def test_owners_that_would_change_a_path_are_refused() -> None:
    for login in ("..", "a/b", "a?b", ""):
        with pytest.raises(PayloadError, match=r"owner\.login"):
            payloads.parse_repository(changed(samples.REPOSITORY, owner={"login": login}))


def test_many_are_parsed_and_the_bad_ones_set_aside_with_a_reason() -> None:
    bad = changed(samples.JOB, run_id=None, name="x" * 20_000)
    parsed, rejected = payloads.parse_many(payloads.parse_job, [samples.JOB, None, bad, [], "x", samples.JOB], "job")
    assert len(parsed) == 2
    assert [one.reason for one in rejected] == [
        "job is not a JSON object but None",
        "job 100000000001: run_id is missing",
        "job is not a JSON object but a list",
        "job is not a JSON object but 'x'",
    ]
    assert all(len(one.payload_text) <= 10_000 and one.waits_for is None for one in rejected)


def test_a_rejected_payload_can_be_stored_and_read() -> None:
    _, (rejected,) = payloads.parse_many(payloads.parse_job, [{"name": "\0\ud800‮", "id": 10**5000}], "job")
    assert "\0" not in rejected.payload_text
    (rejected.payload_text + rejected.reason).encode()


# -- whatever JSON comes --------------------------------------------------------------------------------------

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=10**18, max_value=10**40)
    | st.floats()
    | st.text()
    | st.characters(categories=["Cs"])
    | st.sampled_from(["completed", "2025-03-01T11:00:00Z", "https://x", samples.SHA, "x" * 20_000]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def storable(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" not in value and len(value.encode()) <= 40_000
    if isinstance(value, int):
        return 0 <= value < 2**63
    if isinstance(value, datetime):
        return value.tzinfo is UTC and 2000 <= value.year <= 2100
    if isinstance(value, tuple):
        return all(storable(one) for one in value)
    return value is None


@st.composite
def damaged(draw: st.DrawFn, sample: dict[str, Any]) -> Any:
    """The sample with some fields, at any depth, replaced by any JSON value or removed."""
    data = copy.deepcopy(sample)
    for _ in range(draw(st.integers(1, 3))):
        place = data
        while True:
            name = draw(st.sampled_from(sorted(place)))
            if isinstance(place[name], dict) and place[name] and draw(st.booleans()):
                place = place[name]
                continue
            break
        if len(place) > 1 and draw(st.integers(0, 4)) == 0:
            del place[name]
        else:
            place[name] = draw(json_values)
    return data


@by_kind
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_json_in_any_field_gives_something_storable_or_a_payload_error(
    kind: str, parse: Callable[[object], Any], sample: dict[str, Any], data: st.DataObject
) -> None:
    payload = data.draw(damaged(sample) | json_values)
    parsed, rejected = payloads.parse_many(parse, [payload], kind)
    for one in parsed:
        for field in fields(one):
            assert storable(getattr(one, field.name)), field.name
        if hasattr(one, "conclusion"):
            assert (one.conclusion == Conclusion.NONE) == (one.status != Status.COMPLETED)
    for refused in rejected:
        assert refused.reason.startswith(kind)
        assert storable(refused.reason)
        assert storable(refused.payload_text)


@by_kind
@given(extra=st.dictionaries(st.text(min_size=1), json_values, max_size=3))
@settings(max_examples=25, deadline=None)
def test_fields_that_we_do_not_know_change_nothing(
    kind: str, parse: Callable[[object], Any], sample: dict[str, Any], extra: dict[str, Any]
) -> None:
    assert parse({**extra, **sample}) == parse(json.loads(json.dumps(sample)))

"""`/api/v1`: what the pages show, as JSON."""

from __future__ import annotations

import pytest

from hud import api_shapes
from hud.cells import Outcome
from hud.models import SyncKind, SyncState
from tests.hud import worlds
from tests.hud.worlds import job, sha

pytestmark = pytest.mark.django_db
BASE = "/api/v1/repositories/grove/orchard"


@pytest.fixture
def repository():
    found = worlds.repository()
    worlds.trunk(found, 3)
    return found


@pytest.fixture
def busy(repository):
    """Two configurations on two commits, one of them flaky."""
    worlds.store(
        repository,
        job(1, "linux / test (default, 1, 2, linux.2xlarge)", "failure", of=2, run=1),
        job(2, "linux / test (default, 2, 2, linux.2xlarge)", of=2, run=1),
        job(3, "linux / test (default, 1, 2, linux.2xlarge)", of=2, run=1, attempt=2, start=20, end=30),
        job(4, "win / build (unstable)", "failure", of=1, run=2, workflow="trunk"),
        worlds.check_run(5, of=1, url="https://meter.example/5"),
    )
    return repository


def get(client, path="", code=200, **query):
    response = client.get(path if path.startswith("/") else f"{BASE}{'/' if path else ''}{path}", query)
    assert response.status_code == code, response.content
    return response.json()


def problem(client, path, code, **query):
    return get(client, path, code, **query)["detail"]


def test_repositories(client, busy):
    worlds.repository("grove/bare", trunk="")
    found = get(client, "/api/v1/repositories")
    assert [one["name"] for one in found] == ["bare", "orchard"]
    assert found[1] == {
        "owner": "grove", "name": "orchard", "html_url": "https://github.com/grove/orchard", "trunk": "main",
        "active": True, "version": busy.version,
    }  # fmt: skip
    assert get(client) == found[1]
    assert get(client, "/api/v1/repositories/GROVE/Orchard") == found[1]


def test_branches_are_paged_and_watched_ones_come_first(client, repository):
    worlds.store(repository, *(worlds.branch(0, f"a-{n:02}") for n in range(30)))
    first = get(client, "branches", per_page=20)
    assert (len(first["branches"]), first["more"]) == (20, True)
    assert (first["branches"][0]["name"], first["branches"][0]["head_sha"]) == ("main", sha(2))
    assert get(client, "branches", per_page=20, page=2)["branches"][-1]["name"] == "a-29"


def test_configurations_stand_in_the_order_of_the_columns(client, busy):
    found = get(client, "configurations")["configurations"]
    assert {(one["name"], one["group"], one["unstable"]) for one in found} == {
        ("pull / linux / test (default)", "pull", False),
        ("trunk / win / build (unstable)", "trunk", True),
        ("Meter / coverage", "Meter", False),
    }
    assert [one["name"] for one in get(client, "configurations", q="WIN")["configurations"]] == [
        "trunk / win / build (unstable)"
    ]


def test_the_grid_has_one_letter_for_each_configuration(client, busy):
    found = get(client, "grid")
    names = [one["name"] for one in found["configurations"]]
    assert [row["sha"] for row in found["commits"]] == [sha(2), sha(1), sha(0)]
    by_name = [dict(zip(names, row["outcomes"], strict=True)) for row in found["commits"]]
    assert by_name[0] == {
        "pull / linux / test (default)": "F",
        "trunk / win / build (unstable)": ".",
        "Meter / coverage": ".",
    }
    assert by_name[1] == {
        "pull / linux / test (default)": ".",
        "trunk / win / build (unstable)": "W",
        "Meter / coverage": "P",
    }
    assert set(by_name[2].values()) == {"."}
    assert found["version"] == busy.version
    assert found["commits"][0] | {"outcomes": ""} == {
        "sha": sha(2), "title": "Change 2 (#102)", "author_login": "ash", "author_name": "Ash",
        "committed_at": "2026-01-05T12:02:00Z", "pr_number": 102, "outcomes": "",
    }  # fmt: skip


def test_every_outcome_has_its_own_letter():
    assert len(set(api_shapes.LETTERS)) == len(Outcome) == len(api_shapes.LETTERS)


def test_the_grid_is_paged_by_commits(client, busy):
    first = get(client, "grid", per_page=2)
    assert (len(first["commits"]), first["more"], first["page"], first["per_page"]) == (2, True, 1, 2)
    second = get(client, "grid", per_page=2, page=2)
    assert ([row["sha"] for row in second["commits"]], second["more"]) == ([sha(0)], False)
    assert get(client, "grid", page=100_000)["commits"] == []


def test_the_grid_can_be_filtered_by_text_expression_and_author(client, busy):
    def names(**query):
        return [one["name"] for one in get(client, "grid", **query)["configurations"]]

    assert names(q="COVER") == ["Meter / coverage"]
    assert names(q="^pull.*default", re="1") == ["pull / linux / test (default)"]
    assert names(q="^pull.*default") == []
    worlds.store(busy, worlds.commit(3, author="birch"), worlds.branch(3), at=worlds.minutes(5))
    for author in ("birch", "BIRCH", "irc"):
        assert [row["sha"] for row in get(client, "grid", author=author)["commits"]] == [sha(3)]
    assert get(client, "grid", author="birch", q="nothing")["commits"][0]["outcomes"] == ""


def test_the_grid_of_a_branch_or_of_a_commit(client, busy):
    worlds.store(busy, worlds.commit(9, parent=1, author="birch"))
    assert [row["sha"] for row in get(client, "grid", branch=sha(9)[:12])["commits"]] == [sha(9), sha(1), sha(0)]
    assert [row["sha"] for row in get(client, "grid", branch=sha(9), author="ash")["commits"]] == [sha(1), sha(0)]
    assert get(client, "grid", branch="main") == get(client, "grid")


def test_a_commit_lists_every_configuration_also_those_that_did_not_run(client, busy):
    found = get(client, f"commits/{sha(2)[:8]}")
    assert found["sha"] == sha(2)
    assert found["html_url"] == f"https://github.com/grove/orchard/commit/{sha(2)}"
    assert found["parent_sha"] == sha(1)
    assert {square["name"]: square["outcome"] for square in found["squares"]} == {
        "pull / linux / test (default)": "flaky", "trunk / win / build (unstable)": "none", "Meter / coverage": "none",
    }  # fmt: skip


def test_runs_list_all_attempts_with_names_times_machine_and_links(client, busy):
    slot = next(one["slot"] for one in get(client, "configurations")["configurations"] if "test" in one["name"])
    found = get(client, f"commits/{sha(2)}/runs", configuration=slot)["runs"]
    assert [(run["id"], run["attempt"], run["conclusion"]) for run in found] == [
        (1, 1, "failure"), (2, 1, "success"), (3, 2, "success"),
    ]  # fmt: skip
    assert found[0] == {
        "id": 1, "kind": "job", "configuration": slot, "name": "pull / linux / test (default, 1, 2, linux.2xlarge)",
        "attempt": 1, "workflow_run_id": 1, "status": "completed", "conclusion": "failure",
        "queued_at": "2026-01-05T12:02:00Z", "started_at": "2026-01-05T12:03:00Z",
        "completed_at": "2026-01-05T12:12:00Z",
        "runner": "runner-1", "html_url": "https://github.com/grove/orchard/actions/runs/1/job/1",
    }  # fmt: skip


def test_runs_of_all_configurations_are_paged(client, busy):
    first = get(client, f"commits/{sha(1)}/runs", per_page=1)
    second = get(client, f"commits/{sha(1)}/runs", per_page=1, page=2)
    assert (first["more"], second["more"]) == (True, False)
    by_kind = {run["kind"]: run for run in first["runs"] + second["runs"]}
    assert by_kind["check_run"]["html_url"] == "https://meter.example/5"
    assert by_kind["job"]["conclusion"] == "failure"


def test_status(client, busy):
    SyncState.objects.create(repository=busy, kind=SyncKind.COMMITS, failures=2, problem="GitHub cannot be reached.")
    worlds.store(busy, worlds.rejected())
    found = get(client, "/api/v1/status")
    one = found["repositories"][0]
    assert [poll["kind"] for poll in one["polls"]] == list(SyncKind)
    assert next(poll for poll in one["polls"] if poll["kind"] == "commits")["problem"] == "GitHub cannot be reached."
    assert (one["state"], one["set_aside"], one["branches"][0]["name"]) == ("unread", 1, "main")
    assert found["set_aside"][0]["reason"] == "job 7: name is missing"
    assert set(found["budget"]) == {"limit", "remaining", "reset_at", "blocked_until", "reason"}


@pytest.mark.parametrize(
    ("path", "query", "code", "words"),
    [
        ("/api/v1/repositories/no/such", {}, 404, "no/such is not a repository that Arborist watches."),
        ("grid", {"branch": "no-such"}, 404, "has no branch “no-such”"),
        ("grid", {"branch": "\0"}, 200, ""),
        ("grid", {"per_page": 101}, 400, "per_page: input should be less than or equal to 100"),
        ("grid", {"page": 0}, 400, "page: input should be greater than or equal to 1"),
        ("grid", {"page": "x"}, 400, "page: input should be a valid integer"),
        ("grid", {"q": "(a", "re": "1"}, 400, "can't be used: missing ), unterminated subpattern, at"),
        ("grid", {"q": "a" * 201}, 400, "q: string should have at most 200 characters"),
        ("grid", {"re": "perhaps"}, 400, "re: input should be a valid boolean"),
        ("commits/zzz", {}, 404, "no commit zzz in grove/orchard"),
        ("commits/deadbeef", {}, 404, "no commit deadbeef"),
        (f"commits/{sha(1)}/runs", {"configuration": 99}, 404, "no configuration with slot 99"),
        (f"commits/{sha(1)}/runs", {"configuration": -1}, 400, "configuration: input should be greater"),
    ],
)  # fmt: skip
def test_bad_input_names_what_and_where(client, busy, path, query, code, words):
    found = get(client, path, code, **query)
    assert words in found.get("detail", "")


def test_a_repository_that_was_not_read_yet_has_an_empty_grid(client):
    worlds.repository()
    assert get(client, "grid")["commits"] == []
    assert get(client, "configurations") == {"configurations": []}


@pytest.mark.parametrize("path", ["grid", "configurations", f"commits/{sha(2)}"])
def test_what_has_not_changed_is_not_sent_again_and_costs_one_query(client, busy, django_assert_num_queries, path):
    etag = client.get(f"{BASE}/{path}")["ETag"]
    with django_assert_num_queries(1):
        same = client.get(f"{BASE}/{path}", headers={"If-None-Match": etag})
    assert (same.status_code, same["ETag"]) == (304, etag)
    assert same["Access-Control-Allow-Origin"] == "*"
    worlds.store(busy, job(9, "mac / build", of=2))
    assert client.get(f"{BASE}/{path}", headers={"If-None-Match": etag}).status_code == 200


@pytest.mark.parametrize(
    ("path", "queries"),
    [
        ("/api/v1/repositories", 1),
        ("branches", 2),
        ("configurations", 1),
        ("grid", 3),
        (f"grid?branch={sha(2)}", 4),
        (f"commits/{sha(2)}", 3),
        (f"commits/{sha(2)}/runs", 3),
        ("/api/v1/status", 11),
    ],
)
def test_the_number_of_queries_does_not_grow(client, repository, django_assert_num_queries, path, queries):
    worlds.fill(repository, commits=3, jobs=40)
    worlds.store(repository, *(worlds.rejected(payload=str(n)) for n in range(5)))
    address = path if path.startswith("/") else f"{BASE}/{path}"
    client.get(address)  # the layout is kept from now on
    with django_assert_num_queries(queries):
        assert client.get(address).status_code == 200


def test_the_openapi_document_describes_every_answer(client):
    document = get(client, "/api/v1/openapi.json")
    assert document["info"]["title"] == "Arborist"
    assert len(document["paths"]) == 12
    for path in document["paths"].values():
        operation = path["get"]
        assert operation["description"]
        assert all(parameter["schema"] for parameter in operation.get("parameters", ()))
        assert "$ref" in str(operation["responses"][200 if 200 in operation["responses"] else "200"])
    for name, schema in document["components"]["schemas"].items():
        assert schema.get("description"), name


def test_the_documentation_page_is_served_from_here_alone(client):
    html = client.get("/api/v1/docs").content.decode()
    assert "//cdn" not in html
    assert "ninja/swagger-ui-bundle.js" in html


def test_any_page_may_read_it_but_nobody_may_write(client, busy):
    for path in (f"{BASE}/grid", f"{BASE}/nowhere", "/api/v1/repositories/no/such"):
        response = client.get(path)
        assert response.status_code == 404 or response["Access-Control-Allow-Origin"] == "*"
    assert client.get("/api/v1/repositories/no/such")["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in client.get(f"{BASE}/grid")
    for method in (client.post, client.put, client.patch, client.delete):
        assert method(f"{BASE}/grid").status_code == 405


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_the_documentation_page_works_under_our_content_security_policy(live_server, page):
    page.goto(f"{live_server.url}/api/v1/docs")
    page.get_by_text("/api/v1/status", exact=False).first.wait_for()

"""The pages as a browser without script gets them, through the real middleware."""

import gzip
import json
import re
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from hud.cells import Outcome
from hud.models import Branch, Commit, CommitCells, Configuration, Repository, SyncState
from project.github.outcomes import Conclusion
from tests.factories import hud as make

pytestmark = pytest.mark.django_db


def trunk(
    commits: int = 3, configurations: int = 4, groups: int = 2, cells: bytes | None = None, **fields: Any
) -> Repository:
    """A repository with a trunk; all passed unless `cells` says otherwise for the newest commit."""
    repository = make.RepositoryFactory(**fields)
    for slot in range(configurations):
        make.ConfigurationFactory(
            repository=repository, slot=slot, name=f"linux / test (config{slot})", group=f"Group {slot % groups}"
        )
    branch = make.BranchFactory(repository=repository)
    made = make.CommitFactory.create_batch(commits, repository=repository)
    packed = [b"\4" * configurations] * commits
    if cells is not None:
        packed[-1] = cells
    make.place_on_branch(branch, made, packed)
    for kind in ("commits", "workflow_runs"):
        SyncState.objects.create(repository=repository, kind=kind, succeeded_at=timezone.now() - timedelta(seconds=9))
    return repository


def url(repository: Repository, rest: str = "main") -> str:
    return f"/hud/{repository.owner}/{repository.name}/{rest}"


def newest(repository: Repository) -> Commit:
    return Commit.objects.filter(branchcommit__branch__repository=repository).latest("branchcommit__position")


def text_of(response: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def queries(client: Client, address: str, **headers: str) -> int:
    client.get(address, headers=headers)
    with CaptureQueriesContext(
        connection,
    ) as seen:
        client.get(address, headers=headers)
    return len(seen)


@pytest.mark.parametrize("query", ["", "?open=*", "?page=2", "?author=mkrv", "?show=failing&q=linux&rare=0"])
def test_the_number_of_queries_does_not_grow(client: Client, query: str) -> None:
    small = trunk(commits=5, configurations=10)
    large = trunk(commits=120, configurations=500, groups=30)
    few, many = queries(client, url(small) + query), queries(client, url(large) + query)
    assert max(few, many) <= 7
    assert many <= few + (query == "?page=2")  # the small one has no second page, so nothing newer to look at
    assert queries(client, url(large) + query, x_arborist_refresh=newest(large).sha) <= 7


def test_nothing_is_asked_twice_when_nothing_changed(client: Client) -> None:
    repository = trunk()
    first = client.get(url(repository), headers={"accept-encoding": "gzip"})
    assert first["Content-Encoding"] == "gzip"
    with CaptureQueriesContext(connection) as seen:
        second = client.get(url(repository), headers={"if-none-match": first["ETag"], "accept-encoding": "gzip"})
    assert second.status_code == 304
    assert len(seen) <= 2
    assert second["ETag"] == first["ETag"]
    assert second["X-Arborist-Checked"] == first["X-Arborist-Checked"] != ""
    assert second["Cache-Control"] == "private, no-cache"
    for response in (first, second):
        assert {"Accept-Encoding", "Cookie", "X-Arborist-Refresh"} <= set(response["Vary"].split(", "))


@pytest.mark.parametrize("change", ["version", "layout_version", "head", "stalled", "problem", "view", "user"])
def test_whatever_changes_the_page_changes_its_etag(client: Client, change: str, django_user_model: Any) -> None:
    repository = trunk()
    address = url(repository)
    before = client.get(address)["ETag"]
    if change in ("version", "layout_version"):
        Repository.objects.update(**{change: 2})
    elif change == "head":
        Branch.objects.update(head_sha="f" * 40)
    elif change == "stalled":
        SyncState.objects.update(succeeded_at=timezone.now() - timedelta(hours=1))
    elif change == "problem":
        SyncState.objects.update(problem="GitHub answers 403.")
    elif change == "view":
        address += "?open=group-1"
    else:
        client.force_login(django_user_model.objects.create(username="odalys"))
    assert client.get(address, headers={"if-none-match": before}).status_code == 200


def test_content_is_compressed_once_and_is_the_same(client: Client) -> None:
    repository = trunk(commits=50, configurations=300)
    plain = client.get(url(repository, "main?open=*"))
    zipped = client.get(url(repository, "main?open=*"), headers={"accept-encoding": "gzip, br"})
    assert gzip.decompress(zipped.content) == plain.content
    assert "Content-Encoding" not in plain


def refresh(client: Client, repository: Repository, head: str, etag: str = "", query: str = "") -> Any:
    headers = {"x-arborist-refresh": head} | ({"if-none-match": etag} if etag else {})
    return client.get(url(repository) + query, headers=headers)


def test_a_refresh_says_what_has_changed(client: Client) -> None:
    repository = trunk(commits=3, configurations=4, groups=2)
    page = client.get(url(repository, "main?at=abcd")).content.decode()
    etag = re.search(r'data-etag="([^"]+)"', page)
    layout = re.search(r'data-layout="([^"]+)"', page)
    assert etag
    assert layout
    head = newest(repository)
    known = etag[1].replace("&quot;", '"')
    assert refresh(client, repository, head.sha, known).status_code == 304
    CommitCells.objects.filter(commit=head).update(cells=bytes([Outcome.FAILED]) + b"\4\4\4")
    Repository.objects.update(version=2)
    answer = refresh(client, repository, head.sha, known)
    said = json.loads(answer.content)
    assert said["rows"][head.sha] == "XO"
    assert (said["now"], said["new_commits"], said["layout"], said["version"]) == ("XO", 0, layout[1], 2)
    assert said["counts"]["failing"] == 1
    assert said["state"]["kind"] == "live"
    assert refresh(client, repository, head.sha, answer["ETag"]).status_code == 304


def test_new_commits_wait_and_the_known_ones_stay(client: Client) -> None:
    repository = trunk(commits=60)
    head = newest(repository)
    branch = Branch.objects.get(repository=repository)
    make.place_on_branch(branch, make.CommitFactory.create_batch(3, repository=repository), [b"\5\5\5\5"] * 3)
    said = refresh(client, repository, head.sha).json()
    assert said["new_commits"] == 3
    assert next(iter(said["rows"])) == head.sha
    assert len(said["rows"]) == 50
    # A page further back has moved by as many.
    old = re.search(r"<tr id=(\w{40})", client.get(url(repository, "main?page=2")).content.decode())
    assert old
    assert refresh(client, repository, old[1], query="?page=2").json()["new_commits"] == 0
    # Trunk was rewritten: what the page shows is nowhere, so everything is new.
    assert refresh(client, repository, "0" * 40).json()["new_commits"] == 50
    assert refresh(client, repository, "1").json()["new_commits"] == 0


@pytest.mark.parametrize(
    ("query", "words", "place"),
    [
        ("linux ((", "missing ), unterminated subpattern", 8),
        ("*", "nothing to repeat", 1),
        ("[z-a]", "bad character range z-a", 2),
    ],
)
def test_a_broken_regex_says_what_and_where(client: Client, query: str, words: str, place: int) -> None:
    response = client.get(url(trunk()), {"q": query, "re": "1"})
    assert response.status_code == 200
    page = response.content.decode()
    assert f"{words}, at character {place}. All columns are shown." in page
    assert re.search(rf"\n {{{place - 1}}}\^</pre>", page)
    assert page.count('scope=col data-c="') == 2


def test_a_regex_filters_by_words_edges_and_never_hangs(client: Client) -> None:
    repository = trunk(configurations=12, groups=12)
    columns = client.get(url(repository), {"q": r"config1\b|CONFIG1[01]", "re": "1"}).content.decode()
    assert re.findall(r'data-n="Group (\d+)"', columns) == ["1", "10", "11"]
    hostile = "(a+)+(a+)+(a+)+(a+)+(.*)(.*)(.*)(.*)(.*)\\1\\2\\3x$"
    Configuration.objects.filter(slot=0).update(name="a" * 480)
    Repository.objects.update(layout_version=2)
    response = client.get(url(repository), {"q": hostile, "re": "1"})
    assert response.status_code == 200


def test_a_regex_that_only_postgresql_refuses_is_said_too(client: Client) -> None:
    page = client.get(url(trunk()), {"q": "(?P<name>x)", "re": "1"}).content.decode()
    assert "can’t be used" in page


def test_no_column_matches(client: Client) -> None:
    repository = trunk()
    said = text_of(client.get(url(repository), {"q": "cuda13", "page": "1"}))
    assert "No column matches “ cuda13 ”. Clear filter" in said


def test_paging_keeps_the_filter(client: Client) -> None:
    page = client.get(url(trunk(commits=120)), {"q": "linux", "open": "group-1", "page": "2"}).content.decode()
    assert 'href="/hud/octo/' in page
    assert 'rel="prev" href="' in page
    older = re.search(r'rel="next" href="([^"]+)"', page)
    assert older
    assert 'rel="prev" href="/hud/' in client.get(url(Repository.objects.get(), "main?page=2")).content.decode()
    assert older[1].endswith("main?q=linux&amp;open=group-1&amp;page=3")


def test_hostile_text_is_text(client: Client) -> None:
    evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>\u202e\u2066&amp;"
    repository = trunk(commits=1, configurations=2, groups=2, cells=bytes([Outcome.FAILED]) * 2)
    Commit.objects.update(title=evil, author_login=evil[:100], message=evil)
    Configuration.objects.update(group=evil, workflow=evil)
    Configuration.objects.filter(slot=1).update(group="<!--rows--><b>")
    Repository.objects.update(html_url="javascript:alert(1)", layout_version=7)
    sha = newest(repository).sha
    make.RunFactory(
        commit=newest(repository), configuration=Configuration.objects.get(slot=0), runner=evil,
        url="javascript:alert(1)", workflow_run_id=None, id=4 * 77 + 1, conclusion=int(Conclusion.FAILURE),
    )  # fmt: skip
    for address in ("main", "main?open=*", f"commit/{sha}", f"cell/{sha}/0", f"go?to={evil}", f"main?q={evil}"):
        page = client.get(url(repository, address)).content.decode()
        assert page.count("<script") == len(re.findall(r'<script (?:type="module" )?src="/static', page))
        assert "<img" not in page
        assert "javascript:" not in page
        assert "<b>" not in page.replace("<b data", "").replace("<b>Now</b>", "").replace("<b>Failed</b>", "")
        assert_well_formed(page)


class Checker(HTMLParser):
    """Counts what must balance."""

    def __init__(self) -> None:
        super().__init__()
        self.open: dict[str, int] = {}
        self.handlers: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.open[tag] = self.open.get(tag, 0) + 1
        self.handlers += [name for name, _ in attrs if name.startswith("on") or name == "style"]

    def handle_endtag(self, tag: str) -> None:
        self.open[tag] = self.open.get(tag, 0) - 1


def assert_well_formed(page: str) -> None:
    checker = Checker()
    checker.feed(page)
    assert not checker.handlers
    for tag in ("a", "div", "main", "table", "bdi", "form", "span", "ul", "dl", "p", "nav"):
        assert checker.open.get(tag, 0) == 0, tag


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("/hud/no/such/main", "no/such is not a repository that Arborist watches."),
        ("/hud/octo/known/nobranch", "has no branch “nobranch”"),
        ("/hud/octo/known/commit/" + "0" * 40, "Arborist knows no commit 0000"),
        ("/hud/octo/known/cell/" + "0" * 40 + "/1", "Arborist knows no commit"),
        ("/nowhere", "There is no page at this address."),
    ],
)
def test_what_is_not_there_has_words(client: Client, address: str, words: str) -> None:
    trunk(name="known")
    response = client.get(address)
    assert response.status_code == 404
    assert words in text_of(response)


def test_a_repository_is_found_in_any_case(client: Client) -> None:
    repository = trunk(name="Hello-World")
    assert client.get("/hud/OCTO/hello-WORLD/main").status_code == 200
    assert client.get("/hud/OCTO/hello-WORLD/")["Location"] == url(repository)


def test_branches_with_slashes_and_names_of_other_pages(client: Client) -> None:
    repository = trunk()
    for name in ("release/2.10", "commit/fix", "cell/x/1", "go/on", "a b#c?d"):
        make.BranchFactory(repository=repository, name=name)
        response = client.get(
            "/hud/octo/" + repository.name + "/" + name.replace(" ", "%20").replace("#", "%23").replace("?", "%3F")
        )
        assert response.status_code == 200
        assert f"{name} · octo/" in text_of(response)
    linked = client.get(url(repository)).content.decode()
    assert "a%20b%23c%3Fd" in linked


def test_the_first_address(client: Client) -> None:
    assert "No repository is watched yet" in text_of(client.get("/"))
    one = trunk(name="one")
    assert client.get("/")["Location"] == url(one)
    trunk(name="two")
    page = text_of(client.get("/"))
    assert "octo/one" in page
    assert "octo/two" in page


def test_before_anything_is_read(client: Client) -> None:
    repository = make.RepositoryFactory(name="fresh", trunk="")
    assert "Nothing has been read from GitHub yet" in text_of(client.get(url(repository, "")))
    SyncState.objects.create(repository=repository, kind="backfill", done=84, total=200)
    page = client.get(url(repository, ""))
    assert "Reading the last 200 commits: 84 of 200." in text_of(page)
    assert '<progress id="progress" max="200" value="84">' in page.content.decode()
    SyncState.objects.create(
        repository=repository, kind="commits", problem="GitHub answers 404: the token may not see it."
    )
    assert "GitHub answers 404" in text_of(client.get(url(repository, "")))


def test_stalled_data_says_so(client: Client) -> None:
    repository = trunk()
    SyncState.objects.update(succeeded_at=timezone.now() - timedelta(hours=1), problem="The rate limit is used up.")
    said = text_of(client.get(url(repository)))
    assert "Results below may be old. The rate limit is used up." in said


def test_a_commits_address_follows_it_to_its_page(client: Client) -> None:
    repository = trunk(commits=120)
    oldest = Commit.objects.earliest("branchcommit__position")
    response = client.get(url(repository), {"at": oldest.sha[:10], "q": "linux"})
    assert response["Location"] == url(repository, f"main?q=linux&at={oldest.sha[:10]}&page=3")
    assert client.get(response["Location"]).status_code == 200
    assert client.get(url(repository), {"at": "ffffffffff"}).status_code == 200


def test_go_to_what_was_typed(client: Client) -> None:
    repository = trunk(commits=120)
    old = Commit.objects.earliest("branchcommit__position")
    Commit.objects.filter(pk=old.pk).update(author_login="Tsuzuki")
    go = url(repository, "go")
    held = url(repository, f"main?open=group-1&at={old.sha[:10]}&page=3#{old.sha}")
    for typed in (
        old.sha,
        old.sha[:12].upper(),
        f"https://github.com/o/r/commit/{old.sha}",
    ):
        assert client.get(go, {"to": typed, "branch": "main", "open": "group-1", "page": "2"})["Location"] == held
    pull, github = f"pull/{old.pr_number}", "https://github.com/octo/x"
    for typed in (f"#{old.pr_number}", str(old.pr_number), f"{github}/{pull}", f"{github}/{pull}/files"):
        assert client.get(go, {"to": typed, "branch": "main"})["Location"] == url(repository, pull)
    assert client.get(go, {"to": "#999999"})["Location"] == url(repository, "pull/999999")
    assert client.get(go, {"to": "@tsuzuki"})["Location"] == url(repository, "main?author=tsuzuki")
    assert client.get(go, {"to": "TEST (config"})["Location"] == url(
        repository, "main?q=TEST+(config".replace("(", "%28")
    )
    elsewhere = make.CommitFactory(repository=repository, sha="abcdef" + "0" * 34)
    assert client.get(go, {"to": "abcdef"})["Location"] == url(repository, f"commit/{elsewhere.sha}")
    for unknown in ("nothing like this", "999999", "@nobody", "fffffff"):
        response = client.get(go, {"to": unknown})
        assert response.status_code == 404
        assert f"Nothing is called “ {unknown} ”" in text_of(response)


def test_a_cells_details_as_page_and_as_fragment(client: Client) -> None:
    repository = trunk(cells=bytes([Outcome.FLAKY]) + b"\4\4\4")
    head = newest(repository)
    configuration = Configuration.objects.get(repository=repository, slot=0)
    shards = [
        make.JobNameFactory(configuration=configuration, name=f"linux / test (config0, {n}, 2, linux.2xlarge)")
        for n in (1, 2)
    ]
    run = make.WorkflowRunFactory(repository=repository, commit=head, attempt=2, event="schedule")
    for attempt, conclusion in ((1, Conclusion.FAILURE), (2, Conclusion.SUCCESS)):
        for shard in shards:
            make.RunFactory(
                commit=head, configuration=configuration, job_name=shard, attempt=attempt, workflow_run_id=run.pk,
                conclusion=int(conclusion), started_at=make.NOON + timedelta(hours=attempt),
                completed_at=make.NOON + timedelta(hours=attempt, minutes=47, seconds=12),
            )  # fmt: skip
    address = url(repository, f"cell/{head.sha}/0")
    page, fragment = client.get(address), client.get(address, headers={"hx-request": "true"})
    assert "<html" in page.content.decode()
    assert "<html" not in fragment.content.decode()
    for response in (page, fragment):
        said = text_of(response)
        assert "Flaky, passed on retry" in said
        assert "1 of 2 attempts failed" in said
        assert "47 min 12 s" in said
        assert "linux / test (config0, 2, 2, linux.2xlarge)" in said
        assert "linux.g6.4xlarge-7" in said
        assert f"https://github.com/octo/{repository.name}/actions/runs/{run.pk}/job/" in response.content.decode()
        assert "Last 3 commits of this column, oldest first" in response.content.decode()
    assert client.get(url(repository, f"cell/{head.sha}/99")).status_code == 404
    group = client.get(url(repository, f"cell/{head.sha}/group/group-0"))
    assert "linux / test (config0)" in text_of(group)
    assert "1 passed" in text_of(group)
    assert client.get(url(repository, f"cell/{head.sha}/group/nothing")).status_code == 404


def test_the_queries_of_details_do_not_grow_with_runs(client: Client) -> None:
    repository = trunk(commits=40, configurations=30)
    head = newest(repository)
    configurations = list(Configuration.objects.filter(repository=repository))

    def count(address: str) -> int:
        return queries(client, url(repository, address), hx_request="true")

    make.RunFactory(commit=head, configuration=configurations[0])
    few = count(f"cell/{head.sha}/0"), count(f"commit/{head.sha}")
    for configuration in configurations:
        name = make.JobNameFactory(configuration=configuration, name="many")
        make.RunFactory.create_batch(4, commit=head, configuration=configuration, job_name=name)
    assert (count(f"cell/{head.sha}/0"), count(f"commit/{head.sha}")) == few


def test_a_commits_page(client: Client) -> None:
    repository = trunk(cells=bytes([Outcome.FAILED, Outcome.TOLERATED, 4, 4]))
    head = newest(repository)
    for configuration in Configuration.objects.filter(repository=repository):
        make.RunFactory(
            commit=head, configuration=configuration,
            conclusion=int(Conclusion.FAILURE if configuration.slot < 2 else Conclusion.SUCCESS),
        )  # fmt: skip
    page = client.get(url(repository, f"commit/{head.sha[:8]}"))
    said = text_of(page)
    assert "1 of 4 configurations failed" in said
    assert "1 failed, 1 tolerated, 2 passed." in said
    assert said.index("Failing since this commit 1") < said.index("In doubt 1") < said.index("All jobs by workflow")
    assert "head of main" in said
    assert "older" in said
    assert_well_formed(page.content.decode())


def test_everything_can_be_reached_without_script(client: Client) -> None:
    repository = trunk(commits=60, cells=bytes([Outcome.FAILED]) + b"\4\4\4")
    page = client.get(url(repository)).content.decode()
    links = {link.replace("&amp;", "&") for link in re.findall(r'href="(/hud/[^"#]+)"', page)}
    assert url(repository, "main?open=group-0") in links
    assert url(repository, "main?show=failing") in links
    assert url(repository, "main?page=2") in links
    assert url(repository, f"cell/{newest(repository).sha}/group/group-0") in links
    for link in sorted(links):
        assert client.get(link, follow=True).status_code == 200, link
    assert 'method="get"' in page
    assert "scope=row" in page
    assert "aria-expanded=false" in page
    assert 'aria-label="Group 0, ' in page


def test_writing_to_a_page_that_only_reads(client: Client) -> None:
    assert client.post(url(trunk())).status_code == 405

"""Last good: judged row by row, whatever the order in which results arrived; stored, shown, told by badge and API."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from defusedxml import ElementTree
from django.db import transaction

from hud import ingest, last_good, last_good_page
from hud.cells import Outcome
from hud.last_good import judge
from hud.models import (
    Break,
    BreakSignal,
    Commit,
    Configuration,
    LastGood,
    LastGoodSettings,
    Repository,
    RequirementRule,
)
from project.outbox.models import Write
from tests.hud import worlds
from tests.hud.worlds import job

CODES = dict(zip(".SCNOQ!WF?TX", Outcome, strict=True))


def rows(*lines: str) -> list[bytes]:
    """Newest first, one letter a square: `.` none, S skipped, C cancelled, N neutral, ! no report, and as shown."""
    return [bytes(CODES[letter] for letter in line) for line in lines]


def judged(*lines: str, required: str = ""):
    size = max(len(line) for line in lines)
    mask = bytes(int(letter) for letter in required.ljust(size, "1"))
    return judge(rows(*lines), mask)


class TestJudging:
    @pytest.mark.parametrize("line", ["OO", "FO", "NO", "WO", "OF"])
    def test_passed_flaky_neutral_and_tolerated_are_good(self, line):
        assert judged(line, "OO").good == 0

    @pytest.mark.parametrize("line", ["XO", "OT", "?O", "OQ", "O!", "O.", "SO", "CO", ".."])
    def test_failed_running_and_missing_are_not(self, line):
        assert judged(line, "OO", "OO").good == 1

    def test_what_is_not_required_does_not_matter(self):
        assert judged("OX", "OO", required="10").good == 0
        assert judged("O?", "OO", required="10").good == 0

    def test_a_commit_on_which_nothing_ran_is_never_good(self):
        found = judged("..", "OO")
        assert (found.good, found.first_bad, found.running) == (1, None, 0)
        assert judged("..", "..").good is None
        assert judged("S.", "S.").good is None
        assert judge([], b"").good is None
        assert judge([b"", b""], b"\1\1").good is None

    def test_only_what_is_not_required_ran(self):
        assert judged(".O", "OO", required="10").good == 1

    def test_a_rarely_run_configuration_may_be_absent_but_not_fail(self):
        rare = ["O."] * 6 + ["OO"] + ["O."] * 3
        assert judged(*rare).good == 0
        assert judged("OX", *rare).good == 1

    def test_usual_is_counted_among_commits_on_which_anything_ran(self):
        # Landed in batches of three: of each batch only the newest was tested.
        assert judged("O.", "..", "..", "OO", "..", "..", "OO").good == 3

    def test_a_configuration_that_is_new_is_not_missed_on_commits_from_before_it(self):
        found = judged(*["XO"] * 3, *["O."] * 2)
        assert found.good == 3

    def test_a_configuration_that_was_removed_is_not_missed(self):
        assert judged(*["O."] * 40, *["OO"] * 10).good == 0

    def test_while_anything_runs_what_is_absent_may_still_come(self):
        found = judged("?.", "OO", "OO")
        assert (found.good, found.running, found.first_bad, found.blocks) == (1, 1, None, ())
        found = judged("O.", "OO", "OO")
        assert (found.good, found.running, found.first_bad) == (1, 0, 0)
        assert [(block.slot, block.failed) for block in found.blocks] == [(1, False)]

    def test_rows_shorter_and_longer_than_the_mask(self):
        assert judge(rows("O", "OO"), b"\1\1").good == 1
        assert judge(rows("OX", "OO"), b"\1").good == 0

    def test_bytes_of_a_newer_edition_count_for_nothing(self):
        assert judge([bytes([200, 4]), bytes([4, 4])], b"\1\1").good == 1


class TestBlocks:
    def test_each_configuration_with_the_first_commit_of_its_stretch(self):
        found = judged(
            "?OO",
            "XOO",
            "X?X",
            "XOX",
            "OOX",
            "OOO",
        )
        assert (found.good, found.first_bad, found.running) == (5, 4, 1)
        assert found.blocks == (
            last_good.BlockedSlot(slot=0, failed=True, still=True, commits=3, first=3),
            last_good.BlockedSlot(slot=2, failed=True, still=False, commits=3, first=4),
        )

    def test_an_older_stretch_does_not_count_as_the_beginning_of_this_one(self):
        (block, *_) = judged("XO", "OX", "XO", "OO").blocks
        assert (block.slot, block.first, block.commits) == (0, 0, 2)

    def test_without_a_good_commit_the_whole_window_is_told(self):
        found = judged("XO", "XO")
        assert (found.good, found.first_bad) == (None, 1)
        assert found.blocks[0].first == 1


def test_a_plain_reading_of_the_rules_agrees():
    """The same rules, square by square, over random trunks."""
    chance = random.Random(7)
    for _ in range(300):
        width, count = chance.randint(1, 6), chance.randint(1, 80)
        letters = chance.choice(["OOOOOOOOX", "OOO?X.", ".SCNOQ!WF?TX", "OOOOOOOO."])
        lines = ["".join(chance.choices(letters, k=width)) for _ in range(count)]
        mask = [chance.random() < 0.8 for _ in range(width)]
        assert judge(rows(*lines), bytes(mask)).good == slowly(lines, mask), (lines, mask)


def slowly(lines, mask):
    with_any = [line for line in lines if any(one not in ".SC" for one in line)][:50]
    for n, line in enumerate(lines):
        fine = any(one not in ".SC" for one, wanted in zip(line, mask, strict=True) if wanted)
        for slot, wanted in enumerate(mask):
            if not wanted or line[slot] in "NOWF":
                continue
            usual = 2 * sum(one[slot] not in ".SC" for one in with_any) >= max(len(with_any), 1)
            existed = any(older[slot] not in ".SC" for older in lines[n + 1 :])
            if line[slot] not in ".SC" or (usual and existed):
                fine = False
        if fine:
            return n
    return None


# -- stored -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def repository(db):
    """Three commits, of which the newest broke a build, the one before it still runs, and the oldest is good."""
    found = worlds.repository()
    worlds.trunk(found, 3)
    worlds.store(
        found,
        *(job(10 + n, "linux / build", "success", of=n, run=n + 1) for n in range(2)),
        *(job(20 + n, "linux / test", "success", of=n, run=n + 1) for n in (0, 2)),
        job(12, "linux / build", "failure", of=2, run=3),
        job(21, "linux / test", "in_progress", of=1, run=2),
    )
    return found


def row(repository) -> LastGood:
    return LastGood.objects.get(pk=repository.pk)


def update(repository) -> bool:
    with transaction.atomic():
        return last_good.update(repository)


def test_it_is_stored_with_what_blocks_it(repository):
    found = row(repository)
    assert (found.sha, found.behind, found.running, found.blocking) == (worlds.sha(0), 2, 1, 1)
    assert found.stuck_since == worlds.minutes(2)
    (block,) = last_good_page.blocks(found)
    assert (block.name, block.kind, block.first_sha, block.commits) == (
        "pull / linux / build", "failed", worlds.sha(2), 1,
    )  # fmt: skip
    assert not update(repository)  # nothing changed since


def test_a_pass_on_retry_makes_it_good(repository):
    since = row(repository).good_since
    later = worlds.batch([job(32, "linux / build", "success", of=2, run=3, attempt=2, start=20, end=30)])
    ingest.store(repository.pk, replace(later, asked_at=worlds.minutes(60)))
    found = row(repository)
    assert (found.sha, found.behind, found.blocking, found.stuck_since) == (worlds.sha(2), 0, 0, None)
    assert found.good_since > since


def test_results_in_any_order_give_the_same(db):
    events = [
        *(worlds.commit(n) for n in range(4)),
        worlds.branch(3),
        *(job(10 + n, "linux / build", "failure" if n == 2 else "success", of=n, run=n + 1) for n in range(4)),
        *(job(20 + n, "linux / test", "failure" if n > 1 else "success", of=n, run=n + 1) for n in range(4)),
    ]
    told = set()
    for seed in range(6):
        Repository.objects.all().delete()
        repository = worlds.repository()
        order = random.Random(seed).sample(events, len(events))
        for event in order:
            worlds.store(repository, event)
            update(repository)
        found = row(repository)
        blocked = sorted((one["name"], one["first_sha"], one["commits"], one["still"]) for one in found.blocked)
        told.add((found.sha, found.behind, found.running, found.stuck_since, str(blocked)))
    assert len(told) == 1
    assert next(iter(told))[:2] == (worlds.sha(1), 2)


def test_without_trunk_or_results_there_is_none(db):
    repository = worlds.repository()
    update(repository)
    assert (row(repository).sha, row(repository).stuck_since) == ("", None)
    worlds.trunk(repository, 2)
    update(repository)
    assert (row(repository).sha, row(repository).behind) == ("", 2)


def test_a_good_commit_below_the_window_is_found(db, monkeypatch):
    monkeypatch.setattr(last_good, "WINDOW", 5)
    repository = worlds.repository()
    worlds.trunk(repository, 20)
    worlds.store(repository, *(job(n, "a / b", "success" if n < 4 else "failure", of=n, run=n + 1) for n in range(20)))
    update(repository)
    assert (row(repository).sha, row(repository).behind) == (worlds.sha(3), 16)


class TestRules:
    def test_what_is_marked_unstable_or_optional_blocks_nothing(self, repository):
        Configuration.objects.filter(name="linux / build").update(unstable=True)
        update(repository)
        assert row(repository).sha == worlds.sha(2)
        Configuration.objects.update(unstable=False)
        update(repository)
        assert row(repository).sha == worlds.sha(0)
        RequirementRule.objects.create(repository=repository, position=1, requirement="optional", pattern="build")
        update(repository)
        assert row(repository).sha == worlds.sha(2)

    def test_own_rules_stand_before_the_installations(self, repository):
        RequirementRule.objects.create(repository=None, position=1, requirement="optional", pattern="build")
        assert last_good.required(repository.pk).mask == bytes([0, 1])
        RequirementRule.objects.create(repository=repository, position=1, requirement="optional", pattern="test")
        assert last_good.required(repository.pk).mask == bytes([1, 0])


def test_an_update_without_news_costs_four_queries(repository, django_assert_num_queries):
    update(repository)
    with django_assert_num_queries(4):
        last_good.update(repository)


# -- pushed -----------------------------------------------------------------------------------------------------------


class TestPush:
    @pytest.fixture(autouse=True)
    def follow(self, repository):
        LastGood.objects.all().delete()  # as if nothing had been judged before the branch was named
        LastGoodSettings.objects.create(repository=repository, push_branch="viable/strict")

    def test_the_branch_is_asked_for_once_and_only_the_newest(self, repository):
        update(repository)
        (write,) = Write.objects.all()
        assert write.kind == "update_ref"
        assert write.payload == {"branch": "viable/strict", "sha": worlds.sha(0), "force": False, "create": True}
        worlds.store(repository, job(22, "linux / test", "success", of=1, run=2, start=2, end=30))
        update(repository)
        assert [write.state for write in Write.objects.order_by("pk")] == ["cancelled", "queued"]
        update(repository)
        assert Write.objects.count() == 2

    def test_its_failure_is_on_the_page(self, repository, client):
        update(repository)
        Write.objects.update(state="failed", problem="GitHub refused (422): Update is not a fast forward")
        page = client.get("/hud/grove/orchard/last-good").content.decode()
        assert "could not be moved" in page
        assert "not a fast forward" in page

    def test_it_does_not_go_back(self, repository):
        worlds.store(repository, job(32, "linux / build", "success", of=2, run=3, attempt=2, start=20, end=30))
        update(repository)
        assert Write.objects.get().payload["sha"] == worlds.sha(2)
        # A rule now asks for more than that commit has.
        worlds.store(repository, job(42, "linux / docs", "failure", of=2, run=3))
        update(repository)
        assert row(repository).sha == worlds.sha(0)
        assert Write.objects.count() == 1


# -- shown ------------------------------------------------------------------------------------------------------------


class TestPages:
    def test_the_page_says_what_blocks_since_when_and_by_whom(self, repository, client, django_assert_max_num_queries):
        update(repository)
        suspect = Commit.objects.get(sha=worlds.sha(2))
        broken = Break.objects.create(
            repository=repository, number=7, title="linux build broke", decision="wait", code="too_few_failures",
            suspect=suspect, broke_at=worlds.minutes(2), noticed_at=worlds.minutes(3),
        )  # fmt: skip
        build = Configuration.objects.get(name="linux / build")
        BreakSignal.objects.create(broken=broken, configuration=build, joined_at=worlds.minutes(3))
        with django_assert_max_num_queries(12):
            page = client.get("/hud/grove/orchard/last-good").content.decode()
        for words in (worlds.sha(0)[:7], "pull / linux / build", "Break 7", worlds.sha(2)[:7], "@ash", "/column/0"):
            assert words in page

    def test_the_grid_has_it_in_a_line(self, repository, client):
        update(repository)
        page = client.get("/hud/grove/orchard/main").content.decode()
        assert 'id="last-good"' in page
        assert "Blocked by 1: pull / linux / build" in page

    def test_before_anything_is_judged(self, client, db):
        worlds.repository()
        assert "not known yet" in client.get("/hud/grove/orchard/last-good").content.decode()
        assert "not known yet" in client.get("/hud/grove/orchard/last-good.svg").content.decode()
        assert client.get("/api/v1/repositories/grove/orchard/last-good").json()["sha"] == ""
        assert client.get("/hud/grove/nothing/last-good.svg").status_code == 404

    def test_hostile_names_are_text(self, client, db):
        repository = worlds.repository()
        worlds.trunk(repository, 2)
        worlds.store(repository, job(1, "<script>x</script>", "failure", of=1), job(2, "ok", of=0, run=2))
        update(repository)
        page = client.get("/hud/grove/orchard/last-good").content.decode()
        assert "<script>x" not in page
        assert "&lt;script&gt;x" in page

    def test_the_api_says_the_same(self, repository, client):
        update(repository)
        told = client.get("/api/v1/repositories/Grove/orchard/last-good").json()
        assert (told["sha"], told["behind"], told["blocking"], told["push"]) == (worlds.sha(0), 2, 1, None)
        assert told["blocked_by"][0]["name"] == "pull / linux / build"
        assert told["blocked_by"][0]["first_bad_sha"] == worlds.sha(2)

    def test_the_badge_is_a_picture_that_lasts_a_minute(self, repository, client):
        update(repository)
        answer = client.get("/hud/grove/orchard/last-good.svg")
        assert answer["Content-Type"].startswith("image/svg+xml")
        assert answer["Cache-Control"] == "public, max-age=60"
        picture = ElementTree.fromstring(answer.content)
        assert worlds.sha(0)[:7] in picture.get("aria-label")
        assert worlds.sha(0)[:7] in picture.find("{http://www.w3.org/2000/svg}title").text
        assert b"style" not in answer.content
        again = client.get("/hud/grove/orchard/last-good.svg", headers={"If-None-Match": answer["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
        worlds.store(repository, job(32, "linux / build", "success", of=2, run=3, attempt=2, start=20, end=30))
        update(repository)
        assert client.get("/hud/grove/orchard/last-good.svg", headers={"If-None-Match": answer["ETag"]}).content

"""`add_repository` and `rebuild_cells`, as a person calls them."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from hud import rebuild
from hud.cells import Outcome
from hud.models import Branch, BranchCommit, CommitCells, Configuration, Repository
from tests.hud import worlds
from tests.hud.worlds import job, sha

pytestmark = pytest.mark.django_db


def call(*arguments):
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


class TestAddRepository:
    def test_it_is_watched_from_now_on(self):
        said = call("add_repository", "grove/orchard", "--trunk", "develop", "--backfill", "20")
        assert said == "grove/orchard is watched from now on.\n"
        found = Repository.objects.get()
        assert (str(found), found.trunk, found.backfill_commits, found.active) == ("grove/orchard", "develop", 20, True)

    def test_repeating_it_changes_nothing(self):
        call("add_repository", "grove/orchard", "--trunk", "develop")
        assert call("add_repository", "Grove/Orchard") == "grove/orchard is watched already; nothing has changed.\n"
        assert Repository.objects.get().trunk == "develop"

    def test_further_branches_are_added_to_those_watched_already(self):
        call_command("add_repository", "grove/orchard", "--watch", "viable/strict")
        call_command("add_repository", "grove/orchard", "--watch", "release/2.1", "--watch", "viable/strict")
        assert Repository.objects.get().watched_branches == ["viable/strict", "release/2.1"]

    def test_repeating_it_with_options_changes_what_they_say_and_watches_it_again(self):
        call("add_repository", "grove/orchard")
        Repository.objects.update(active=False)
        said = call("add_repository", "grove/orchard", "--trunk", "main")
        assert said == "grove/orchard was known already; changed: active, trunk.\n"
        found = Repository.objects.get()
        assert (found.trunk, found.active) == ("main", True)

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["orchard"], "'orchard' is not owner/name, such as pytorch/pytorch."),
            (["https://github.com/grove/orchard"], "is not owner/name"),
            (["grove/or chard"], "is not owner/name"),
            (["grove/orchard\n"], "is not owner/name"),
            (["grove/orchard", "--backfill", "-1"], "--backfill must be from 0 to 100,000, not -1."),
            (["grove/orchard", "--backfill", "many"], "invalid int value"),
            (["grove/orchard", "--trunk", " "], "--trunk must be the name of a branch."),
            (["grove/orchard", "--trunk", "a\0b"], "--trunk must be the name of a branch."),
        ],
    )
    def test_what_cannot_be_meant_is_refused_in_one_line(self, arguments, words):
        with pytest.raises(CommandError, match=r"\A.*\Z") as error:
            call("add_repository", *arguments)
        assert words in str(error.value)
        assert not Repository.objects.exists()


class TestRebuildCells:
    @pytest.fixture
    def repository(self):
        found = worlds.repository()
        worlds.trunk(found, 4)
        worlds.store(
            found, *(job(n, f"linux-{n} / build", "failure" if n == 2 else "success", of=n, run=n) for n in range(1, 4))
        )
        return found

    @staticmethod
    def spoil(repository):
        """Make one of each wrong: a square, a missing row, a row too much, a group, the order of the branch."""
        ids = dict(BranchCommit.objects.values_list("commit__sha", "commit_id"))
        CommitCells.objects.filter(commit=ids[sha(1)]).update(cells=bytes([Outcome.TIMED_OUT]))
        CommitCells.objects.filter(commit=ids[sha(2)]).delete()
        CommitCells.objects.create(commit_id=ids[sha(0)], cells=bytes([0, 0, Outcome.PASSED]))
        Configuration.objects.filter(slot=2).update(group="Elsewhere")
        BranchCommit.objects.filter(commit=ids[sha(0)]).delete()

    def test_all_is_well(self, repository):
        said = call("rebuild_cells", "--check")
        assert said == (
            "grove/orchard: 4 commits, 3 configurations and 1 branches, 3 signals and breaks compared, 0 differences.\n"
            "Everything derived equals a rebuild.\n"
        )

    def test_check_says_what_differs_exits_with_1_and_repairs_nothing(self, repository):
        self.spoil(repository)
        out = StringIO()
        with pytest.raises(CommandError, match="6 differences") as error:
            call_command("rebuild_cells", "--check", "grove/orchard", stdout=out)
        assert error.value.returncode == 1
        said = out.getvalue()
        assert f"{sha(1)[:10]} pull / linux-1 / build: timed out, should be passed" in said
        assert f"{sha(2)[:10]} pull / linux-2 / build: not run, should be failed" in said
        assert f"{sha(0)[:10]} pull / linux-3 / build: passed, should be not run" in said
        assert "group of pull / linux-3 / build: “Elsewhere” at place 0, should be “pull” at place 0" in said
        assert "order of main: 3 commits, should be 4; the first difference is 4 from the top" in said
        with pytest.raises(CommandError):
            call("rebuild_cells", "--check")

    def test_without_check_all_of_it_is_repaired(self, repository):
        self.spoil(repository)
        before = repository.version
        assert "Repaired 5 differences." in call("rebuild_cells")
        assert "Everything derived equals a rebuild." in call("rebuild_cells", "--check")
        assert list(BranchCommit.objects.order_by("-position").values_list("commit__sha", flat=True)) == [
            sha(3), sha(2), sha(1), sha(0),
        ]  # fmt: skip
        repository.refresh_from_db()
        assert repository.version > before

    def test_a_repaired_branch_goes_on_growing(self, repository):
        self.spoil(repository)
        call("rebuild_cells")
        worlds.store(repository, worlds.commit(4), worlds.branch(4), at=worlds.minutes(9))
        assert "Everything derived equals a rebuild." in call("rebuild_cells", "--check")

    def test_a_branch_whose_head_was_not_read_yet_is_left_as_it_is(self, repository):
        Branch.objects.update(head_sha="f" * 40)
        assert "0 branches, 3 signals and breaks compared, 0 differences" in call("rebuild_cells", "--check")

    def test_other_repositories_are_left_alone_if_one_is_named(self, repository):
        self.spoil(repository)
        worlds.repository("grove/other")
        assert "Everything derived" in call("rebuild_cells", "--check", "grove/other")
        with pytest.raises(CommandError, match="no/such is not a repository"):
            call("rebuild_cells", "no/such")

    def test_it_goes_in_steps_so_that_memory_stays_flat(self, repository, monkeypatch):
        monkeypatch.setattr(rebuild, "CHUNK", 3)
        assert [step.compared for step in rebuild.cells(repository, repair=False)] == [3, 1]

    def test_very_many_differences_are_counted_not_listed(self, repository):
        worlds.fill(worlds.repository("grove/big"), commits=2, jobs=150)
        CommitCells.objects.update(cells=b"")
        said = call("rebuild_cells")
        assert "… and 200 more." in said
        assert len(said.splitlines()) < 110

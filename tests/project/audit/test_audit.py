"""The audit log: what is written stays written; who may read it finds what they look for."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import DatabaseError, connection, transaction

from project import audit
from project.accounts import roles
from project.accounts.models import User
from project.audit.models import Entry

pytestmark = pytest.mark.django_db


@pytest.fixture
def user() -> User:
    return User.objects.create(username="oakapple")


@pytest.fixture
def reader(user: User, client: Any) -> Any:
    """A client of somebody with a role."""
    roles.grant(user, roles.Role.TRIAGER, by=None)
    client.force_login(user)
    return client


def shown(answer: Any) -> list[str]:
    return [one["entry"].target for one in answer.context["entries"]]


class TestWriting:
    def test_who_what_why(self, user: User) -> None:
        made = audit.record(
            by=user, action="break.acknowledge", target="break 12", repository="grove/orchard", why="on it",
            detail={"from": "open", "n": 3, "when": datetime(2026, 1, 5, tzinfo=UTC), "list": [1, {"a": None}]},
        )  # fmt: skip
        stored = Entry.objects.get()
        assert stored.pk == made.pk
        assert (stored.actor_id, stored.actor_login, stored.action, stored.target) == (
            user.pk, "oakapple", "break.acknowledge", "break 12",
        )  # fmt: skip
        assert stored.detail == {
            "from": "open", "n": 3, "when": "2026-01-05 00:00:00+00:00", "list": [1, {"a": None}],
        }  # fmt: skip
        assert stored.at is not None

    def test_it_outlives_the_person(self, user: User) -> None:
        audit.record(by=user, action="x", target="y")
        user.delete()
        assert Entry.objects.get().actor_login == "oakapple"

    @pytest.mark.parametrize("by", [None, AnonymousUser()])
    def test_the_site_itself(self, by: Any) -> None:
        assert audit.record(by=by, action="x", target="y").actor_id is None

    def test_hostile_text(self, user: User) -> None:
        made = audit.record(
            by=user, action="a" * 100, target="\0" + "t" * 999, repository="r" * 999, why="w\0" * 9999,
            detail={"\0k": "v\0", "s": {1}, "o": object()},
        )  # fmt: skip
        made.refresh_from_db()
        assert (len(made.action), len(made.target), len(made.why)) == (60, 200, audit.WHY_LENGTH)
        assert "\0" not in made.target + made.why + str(made.detail)

    def test_it_goes_with_the_change(self, user: User) -> None:
        with transaction.atomic():
            audit.record(by=user, action="x", target="y")
            transaction.set_rollback(True)
        assert not Entry.objects.exists()


class TestAppendOnly:
    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE audit_entry SET why = 'another'",
            "DELETE FROM audit_entry",
            "SET LOCAL arborist.may_truncate_audit = off; TRUNCATE audit_entry",
            "SET LOCAL arborist.may_truncate_audit = ''; TRUNCATE audit_entry CASCADE",
        ],
    )
    def test_the_database_refuses(self, user: User, statement: str) -> None:
        audit.record(by=user, action="x", target="y", why="the reason")
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
        assert Entry.objects.get().why == "the reason"

    def test_also_through_the_orm(self, user: User) -> None:
        made = audit.record(by=user, action="x", target="y")
        made.why = "another"
        for change in (made.save, made.delete, Entry.objects.all().delete):
            with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
                change()


class TestReading:
    def test_strangers_sign_in_first(self, client: Any) -> None:
        assert client.get("/audit?action=break")["Location"] == "/accounts/login/?next=%2Faudit%3Faction%3Dbreak"
        assert client.get("/audit.csv").status_code == 302

    def test_a_role_is_needed(self, client: Any, user: User) -> None:
        boss = User.objects.create(username="juniper-q")
        roles.grant(boss, roles.Role.ADMIN, by=None)
        client.force_login(user)
        answer = client.get("/audit")
        assert answer.status_code == 403
        assert "Only people with a role can read the audit log. Ask @juniper-q." in answer.content.decode()

    def test_newest_first_in_few_queries(self, reader: Any, user: User, django_assert_max_num_queries: Any) -> None:
        for number in range(120):
            audit.record(by=user, action="break.own", target=f"break {number}", repository="grove/orchard")
        with django_assert_max_num_queries(4):  # session, person, roles, entries
            first = reader.get("/audit?target=break")
        assert shown(first) == [f"break {number}" for number in range(119, 69, -1)]
        second = reader.get("/audit" + first.context["older"])
        third = reader.get("/audit" + second.context["older"])
        assert shown(second)[0] == "break 69"
        assert shown(third)[-1] == "break 0"
        assert third.context["older"] == ""

    def test_filters(self, reader: Any, user: User) -> None:
        ash = User.objects.create(username="rowan-ash")
        audit.record(by=ash, action="break.own", target="break 1", repository="grove/orchard")
        audit.record(by=user, action="break.note", target="break 12", repository="grove/orchard")
        audit.record(by=user, action="breaks", target="commit abcd", repository="grove/redwood")

        def found(query: str) -> list[str]:
            return shown(reader.get(f"/audit?{query}"))

        assert found("person=@Rowan-Ash") == ["break 1"]
        assert found("action=break") == ["break 12", "break 1"]
        assert found("action=break.note") == ["break 12"]
        assert found("repository=Grove/Redwood") == ["commit abcd"]
        assert found("target=break+1") == ["break 1"]
        assert found("target=commit") == ["commit abcd"]
        assert found("target=oakapple") == ["@oakapple"]
        assert found("since=2999-01-01") == []
        assert found("until=1999-01-01") == []
        today = f"{datetime.now(UTC):%Y-%m-%d}"
        assert len(found(f"since={today}&until={today}")) == 4
        assert found("person=rowan-ash&action=break.note") == []

    @pytest.mark.parametrize(
        "query",
        [
            "since=yesterday", "until=2026-02-31", "before=x", "before=-1", "before=" + "9" * 30, "person=%00",
            "since=0001-01-01", "target=%25%27--",
        ],
    )  # fmt: skip
    def test_nonsense_is_survived(self, reader: Any, query: str) -> None:
        answer = reader.get(f"/audit?{query}")
        assert answer.status_code == 200
        if "since=y" in query or "until" in query:
            assert "is not a date such as" in answer.content.decode()

    def test_empty_in_words(self, reader: Any) -> None:
        assert "Nothing that was done matches this." in reader.get("/audit?person=nobody").content.decode()
        assert "Nothing older." in reader.get("/audit?before=1").content.decode()

    def test_hostile_entries_are_text(self, reader: Any, user: User) -> None:
        evil = "<script>alert(1)</script>"
        audit.record(by=user, action=evil, target=evil, repository="a/" + evil, why=evil, detail={evil: evil})
        answer = reader.get("/audit")
        assert b"<script>alert" not in answer.content
        assert answer.headers["Content-Security-Policy"]

    def test_targets_lead_to_their_pages(self, reader: Any, user: User) -> None:
        audit.record(by=user, action="commit.revert", target="commit " + "a" * 40, repository="grove/orchard")
        assert f"/hud/grove/orchard/commit/{'a' * 40}" in reader.get("/audit").content.decode()

    def test_csv(self, reader: Any, user: User) -> None:
        audit.record(by=user, action="break.note", target="break 1", why='=HYPERLINK("http://evil")', detail={"a": "b"})
        answer = reader.get("/audit.csv?action=break")
        assert answer["Content-Type"] == "text/csv; charset=utf-8"
        rows = list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode())))
        assert rows[0] == ["at", "person", "action", "repository", "target", "why", "detail"]
        assert rows[1][1:] == ["oakapple", "break.note", "", "break 1", '\'=HYPERLINK("http://evil")', '{"a": "b"}']
        assert len(rows) == 2

"""How an act is answered: to a form, to script, and to an address; and what pages say of writes."""

from __future__ import annotations

from typing import Any

from django.test import Client
from django.utils import timezone

from hud import attention
from hud.models import Break, Repository
from project import outbox
from tests.hud.test_acting import BASE, ash, broken, hugger, now, person, press  # noqa: F401 - fixtures

SCRIPT = {"X-Arborist-Script": "1"}


def test_script_hears_what_became_of_it_and_how_to_undo_it(hugger: Client, broken: Break) -> None:  # noqa: F811
    said = hugger.post(f"{BASE}/break/1/own", headers=SCRIPT).json()
    assert said == {"done": True, "words": "You own it.", "undo": f"{BASE}/break/1/own?release=1"}
    assert hugger.post(f"{BASE}/break/1/own", headers=SCRIPT).json() == {
        "done": False, "words": "You own it already."
    }  # fmt: skip
    said = hugger.post(f"{BASE}/break/1/own", {"release": "1"}, headers=SCRIPT).json()
    assert (said["words"], "undo" in said) == ("Nobody owns it now.", False)


def test_script_hears_of_the_write(hugger: Client, broken: Break) -> None:  # noqa: F811
    fields = {"send": "1", "classification": "nosignal", "why": "breaks the build"}
    said = hugger.post(f"{BASE}/break/1/revert", fields, headers=SCRIPT).json()
    write = outbox.Write.objects.get()
    assert (said["write"], said["undo"]) == (f"/writes/{write.pk}", f"/writes/{write.pk}/cancel")
    assert 50 <= said["seconds"] <= 60
    again = hugger.post(f"{BASE}/break/1/revert", fields, headers=SCRIPT).json()
    assert again["done"] is False
    assert "undo" not in again


def test_a_form_goes_back_to_where_it_was_pressed(hugger: Client, broken: Break) -> None:  # noqa: F811
    page = f"http://testserver{BASE}/main?at=abc"
    answer = hugger.post(f"{BASE}/break/1/own", {"stay": "1"}, headers={"Referer": page})
    assert (answer.status_code, answer["Location"]) == (303, page)
    for elsewhere in ("https://evil.example/x", "//evil.example", "javascript:alert(1)"):
        answer = hugger.post(f"{BASE}/break/1/own", {"stay": "1"}, headers={"Referer": elsewhere})
        assert answer["Location"] == "/"
    assert hugger.post(f"{BASE}/break/1/own", {"stay": "1"})["Location"] == f"{BASE}/break/1"


def test_an_act_asked_for_by_its_address_is_a_question(hugger: Client, client: Client, broken: Break) -> None:  # noqa: F811
    answer = hugger.get(f"{BASE}/break/1/opinion")
    assert answer["Location"] == f"{BASE}/break/1?act=opinion#opinion"
    hugger.get(f"{BASE}/break/1/acknowledge")
    assert now(broken).acknowledged_at is None
    assert Client().get(f"{BASE}/break/1/opinion", headers=SCRIPT).status_code == 401


def test_a_write_that_failed_raises_the_version_and_stands_above_the_grid(broken: Break) -> None:  # noqa: F811
    from hud import remedies

    repository = Repository.objects.get()
    write = outbox.Write.objects.create(
        key="k", kind="comment", repository=str(repository).upper(), subject="", payload={}, state="failed",
        problem="GitHub said no.", due_at=timezone.now(), give_up_at=timezone.now(), done_at=timezone.now(),
    )  # fmt: skip
    before = repository.version
    remedies.fate(write)
    repository.refresh_from_db()
    assert repository.version == before + 1
    failed: Any = attention.of(repository.pk, repository.version).failed
    assert tuple(failed) == ("comment", "GitHub said no.", 1)

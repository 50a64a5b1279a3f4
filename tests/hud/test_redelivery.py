"""Failed deliveries are found in GitHub's list and asked for again: really, over HTTP, with bounds."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import requests
from django.utils import timezone

from hud import ingest, redelivery
from hud.models import Redelivery
from project.simulator.running import running_simulator


@pytest.fixture
def github(db: None, settings: Any, redis_server: Any) -> Any:
    with running_simulator(scale="tiny", seed=3, start="2026-03-04T12:00:00Z", speed=0) as simulator:
        settings.GITHUB_API_URL, settings.GITHUB_TOKEN = simulator.url, "token"
        settings.WEBHOOK_SECRETS = ["a secret of ours"]
        ingest.add_repository(*simulator.full_name.split("/"))
        answer = requests.post(
            f"{simulator.url}/repos/{simulator.full_name}/hooks",
            json={"config": {"url": "http://127.0.0.1:9/nobody", "secret": "a secret of ours"}, "events": ["push"]},
            headers={"Authorization": "Bearer token"},
            timeout=10,
        )
        settings.WEBHOOK_HOOK_ID = str(answer.json()["id"])
        while not simulator.hooks.idle():  # the ping fails: nobody listens there
            pass
        yield simulator


def test_each_failed_delivery_is_asked_for_once_an_hour(github: Any) -> None:
    now = timezone.now() + timedelta(minutes=5)
    assert redelivery.redeliver(now) == 1
    assert redelivery.redeliver(now + timedelta(minutes=30)) == 0
    assert redelivery.redeliver(now + timedelta(minutes=61)) == 1
    assert Redelivery.objects.get().times == 2
    assert sum(sent.redelivery for sent in github.hooks.sent.values()) == 2


def test_where_nothing_is_configured_nothing_is_asked(github: Any, settings: Any) -> None:
    settings.WEBHOOK_HOOK_ID = ""
    assert redelivery.redeliver() == 0


def test_a_credential_that_may_not_is_no_error(github: Any) -> None:
    github.control("faults", kind="error", status=403, match="deliveries", count=5)
    assert redelivery.redeliver(timezone.now() + timedelta(minutes=5)) == 0

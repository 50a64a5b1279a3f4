"""A GitHub in memory, no pause between writes, and a way to queue."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from project import outbox
from project.github import budget, pacing
from tests.project.outbox.fake import REPO, Fake, serving


@pytest.fixture
def github(settings: Any, redis_server: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    monkeypatch.setattr(pacing.Pace.__init__, "__kwdefaults__", {**pacing.Pace.__init__.__kwdefaults__, "pause": 0.001})
    monkeypatch.setattr(budget, "PATIENCE", 0.2)
    with serving() as fake:
        settings.GITHUB_API_URL, settings.GITHUB_TOKEN = fake.url, "ghp_outbox"
        yield fake


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pause between tries, and the row of a killed worker is taken at once."""
    from project.outbox import deliver as delivery  # models can't be imported before Django is set up

    monkeypatch.setattr(delivery, "BACKOFF", 0.0)
    monkeypatch.setattr(delivery, "LEASE", timedelta(0))


@pytest.fixture
def queue() -> Callable[..., outbox.Write]:
    import project.celery  # noqa: F401 - as the web process does, so that tasks know their broker

    def make(kind: str = "comment", payload: dict[str, Any] | None = None, **more: Any) -> outbox.Write:
        if payload is None:
            payload = {"number": 7, "body": "Trunk is red."}
        options = {"key": f"{kind} {timezone.now():%f}", "repository": REPO, "by": None} | more
        with transaction.atomic():
            return outbox.queue(kind=kind, payload=payload, **options)

    return make


@pytest.fixture
def broker(redis_server: Any) -> Any:
    """The Redis that tasks go to."""
    return redis_server

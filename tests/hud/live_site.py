"""The site as `make run` starts it, on the database of the tests: uvicorn, a worker for webhooks, signed deliveries.

Tests that use it need `django_db(transaction=True)`: other processes see only what is committed.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import requests
from django.conf import settings

from project.github.webhooks import signature

SECRET = "only-for-tests-of-webhooks"
HOOK_ID = 4_800_001


def database_url() -> str:
    """The address of the database that this process uses, which is not the one it was started with."""
    it = settings.DATABASES["default"]
    who = quote(it["USER"]) + (f":{quote(it['PASSWORD'])}" if it["PASSWORD"] else "")
    return f"postgresql://{who}@{quote(it['HOST'], safe='')}{':' + str(it['PORT']) if it['PORT'] else ''}/{it['NAME']}"


def signed(body: bytes, event: str, guid: str = "", secret: str = SECRET) -> dict[str, str]:
    """The headers of a delivery."""
    return {
        "content-type": "application/json",
        "user-agent": "GitHub-Hookshot/044aadd",
        "x-github-event": event,
        "x-github-delivery": guid or str(uuid.uuid4()),
        "x-github-hook-id": str(HOOK_ID),
        "x-hub-signature-256": signature(secret, body),
    }


@dataclass
class LiveSite:
    """Its processes, and what a test does to them."""

    url: str
    env: dict[str, str]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    session: requests.Session = field(default_factory=requests.Session)

    def deliver(self, event: str, data: dict[str, Any], guid: str = "") -> requests.Response:
        """Send a delivery, as GitHub would."""
        body = json.dumps(data).encode()
        address = f"{self.url}/webhooks/github"
        return self.session.post(address, data=body, headers=signed(body, event, guid), timeout=10)

    def start_worker(self) -> None:
        """A worker for webhooks, as `make run` starts it."""
        self.processes["live"] = subprocess.Popen(
            [sys.executable, "-m", "celery", "--quiet", "--app", "project.celery", "worker", "--without-gossip",
             "--without-mingle", "--without-heartbeat", "--queues", "live", "--concurrency", "1",
             "--hostname", "live@%h"],
            env=self.env,
        )  # fmt: skip

    def stop(self, name: str, *, kill: bool = False) -> None:
        """End one process."""
        process = self.processes.pop(name)
        process.kill() if kill else process.terminate()
        process.wait(15)


@contextmanager
def running(*, worker: bool = True, **variables: str) -> Iterator[LiveSite]:
    """The site, with a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = os.environ | {
        "DATABASE_URL": database_url(),
        "ARBORIST_WEBHOOK_SECRET": SECRET,
        "ARBORIST_TESTING": "true",
        "ARBORIST_DEBUG": "true",  # serves static files as they are
        "ARBORIST_LOG_LEVEL": "WARNING",
        "DJANGO_ALLOW_ASYNC_UNSAFE": "",
        **variables,
    }
    site = LiveSite(f"http://127.0.0.1:{port}", env)
    with ExitStack() as stack:
        stack.callback(lambda: [site.stop(name, kill=True) for name in list(site.processes)])
        site.processes["web"] = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "project.asgi:application", "--host", "127.0.0.1", "--port", str(port),
             "--log-level", "warning", "--no-access-log", "--lifespan", "off", "--timeout-graceful-shutdown", "1"],
            env=env,
        )  # fmt: skip
        if worker:
            site.start_worker()
        deadline = time.monotonic() + 30
        while True:
            try:
                requests.get(f"{site.url}/healthz", timeout=1).raise_for_status()
                break
            except requests.RequestException:
                if site.processes["web"].poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("the site did not start") from None
                time.sleep(0.1)
        yield site

"""From a webhook to the changed cell: a storm of deliveries, a hundred open pages, one of them in a real browser.

Everything is as `make run` starts it: uvicorn, a worker for webhooks, PostgreSQL and Redis, and on the same machine,
together with whoever sends the deliveries and looks at the pages. BENCH_LIVE_SECONDS and BENCH_LIVE_RATE shorten it.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import psutil
import requests
from django.conf import settings
from django.utils import timezone

from hud.models import BranchCommit, Configuration, Delivery, DeliveryState, Repository
from project.github.webhooks import signature
from tests.chromium import CHROMIUM_ARGUMENTS, chromium_path

from . import world
from .serving import running_site
from .table import Row

SECRET = "only-for-benchmarks"
CONFIGURATIONS = 400
PAGES = 100
DECODED = 4  # of them look at each cell; the others only at what has come last
RATE = int(os.environ.get("BENCH_LIVE_RATE", "200"))
SECONDS = int(os.environ.get("BENCH_LIVE_SECONDS", "60"))
QUIET_SECONDS = min(20, SECONDS)
GITHUB_ID = 777
STEPS = ("queued", "in_progress", "completed")
RANK = {"Q": 1, "P": 2, "O": 3, "X": 3}
PADDING = {"description": "as long as the rest of what GitHub says about a repository " * 90}


@dataclass
class Cell:
    """A job on its way through a cell of the grid, and when each step was sent and seen."""

    sha: str
    slot: int
    id: int
    failed: bool
    sent: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])


@contextmanager
def _worker() -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-m", "celery", "--quiet", "--app", "project.celery", "worker", "--without-gossip",
         "--without-mingle", "--without-heartbeat", "--queues", "live", "--concurrency", "1",
         "--hostname", "live@%h"],
        env=os.environ | {"ARBORIST_LOG_LEVEL": "WARNING"},
    )  # fmt: skip
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


def _cells(repository: Repository) -> list[Cell]:
    """As many cells as there are jobs to tell of, none twice, among the commits of the first page."""
    chance = random.Random(7)
    shas = list(
        BranchCommit.objects.filter(branch__repository=repository)
        .order_by("-position")
        .values_list("commit__sha", flat=True)[:50]
    )
    places = [(sha, slot) for sha in shas for slot in range(CONFIGURATIONS)]
    chance.shuffle(places)
    wanted = RATE * SECONDS // len(STEPS)
    return [
        Cell(sha, slot, 300_000_000_000 + n, chance.random() < 0.1) for n, (sha, slot) in enumerate(places[:wanted])
    ]


def _deliveries(cells: list[Cell]) -> list[tuple[Cell, int]]:
    """(cell, step) in the order of sending: each job's next step comes a second after the one before."""
    due = [(n * len(STEPS) + step * RATE, n, step) for n in range(len(cells)) for step in range(len(STEPS))]
    return [(cells[n], step) for _, n, step in sorted(due)]


def _body(cell: Cell, step: int, names: dict[int, tuple[str, str]]) -> bytes:
    workflow, name = names[cell.slot]
    at = timezone.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    job = {
        "id": cell.id, "run_id": 40_000_000_000 + int(cell.sha, 16) * 40 + cell.slot % 31, "run_attempt": 1,
        "workflow_name": workflow, "name": name, "head_sha": cell.sha, "head_branch": "main", "status": STEPS[step],
        "conclusion": ("failure" if cell.failed else "success") if step == 2 else None, "created_at": at,
        "started_at": at, "completed_at": at if step == 2 else None, "runner_name": "i-0123", "labels": ["linux"],
        "steps": [{"name": f"step {n}", "status": "completed", "number": n} for n in range(12)], "html_url": "",
    }  # fmt: skip
    repository = {"id": GITHUB_ID, "full_name": "bench/grid", **PADDING}
    return json.dumps({"action": STEPS[step], "workflow_job": job, "repository": repository}).encode()


class _Stream:
    """One open page, as far as the server can tell."""

    def __init__(
        self, site: str, query: str, first: str, etag: str, columns: dict[int, int] | None, rows: dict[str, str]
    ) -> None:
        self.host, _, port = site.removeprefix("http://").partition(":")
        self.port = int(port)
        self.address = "/hud/bench/grid/live?" + urlencode(
            {"path": f"/hud/bench/grid/main{query}", "first": first, "etag": etag}
        )
        self.columns = columns
        self.rows = dict(rows)
        self.etag = etag
        self.seen: dict[tuple[str, int], list[float]] = {}
        self.bytes = 0

    async def run(self) -> None:
        reader, writer = await asyncio.open_connection(self.host, self.port, limit=2**22)
        writer.write(f"GET {self.address} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n".encode())
        data = ""
        try:
            while line := await reader.readline():
                self.bytes += len(line)
                if line.startswith(b"id: "):
                    self.etag = line[4:].decode().strip()
                elif line.startswith(b"data: ") and self.columns is not None:
                    data = line[6:].decode()
                    self._take(json.loads(data)["rows"], time.time())
        finally:
            writer.close()

    def _take(self, rows: dict[str, str], now: float) -> None:
        assert self.columns is not None
        for sha, row in rows.items():
            before = self.rows[sha]
            self.rows[sha] = row
            for slot, column in self.columns.items():
                if before[column] != row[column]:
                    rank = RANK.get(row[column], 0)
                    times = self.seen.setdefault((sha, slot), [0.0, 0.0, 0.0, 0.0])
                    for lower in range(1, rank + 1):
                        times[lower] = times[lower] or now


def _page(site: str, query: str) -> tuple[str, str, dict[int, int]]:
    """First commit, ETag, and the column of each slot, as the page's script would find them."""
    text = requests.get(f"{site}/hud/bench/grid/main{query}", timeout=30).text
    head = re.search(r'<tr class="?names"?>(.*?)</tr>', text, re.S)
    assert head is not None
    keys = re.findall(r'<th[^>]*\bdata-c="?([^\s">]+)', head[1])
    etag = re.search(r'data-etag="([^"]*)"', text)
    first = re.search(r'<tbody id="rows"><tr id="?([0-9a-f]{40})', text)
    assert etag is not None
    assert first is not None
    columns = {int(key): n for n, key in enumerate(keys) if key.isdigit()}
    return first[1], etag[1].replace("&quot;", '"'), columns


def _grid_latency(site: str, seconds: float) -> list[float]:
    """Milliseconds of whole answers to someone who opens the page, about four times a second."""
    said = subprocess.run(
        [sys.executable, "-m", "tests.bench.asking", f"{site}/hud/bench/grid/main", str(seconds)],
        check=True, capture_output=True, timeout=seconds + 60,
    )  # fmt: skip
    return sorted(json.loads(said.stdout))


async def _send_all(site: str, bodies: list[tuple[Cell, int, bytes]]) -> tuple[list[float], int]:
    """Send at the rate that was asked for, over a few connections; returns answer times and how many were refused."""
    host, _, port = site.removeprefix("http://").partition(":")
    waiting: asyncio.Queue[tuple[Cell, int, bytes] | None] = asyncio.Queue()
    answers: list[float] = []
    refused = 0

    async def sender() -> None:
        nonlocal refused
        reader, writer = await asyncio.open_connection(host, int(port))
        while (one := await waiting.get()) is not None:
            cell, step, body = one
            cell.sent[step] = time.time()
            head = (
                "POST /webhooks/github HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                f"X-GitHub-Event: workflow_job\r\nX-GitHub-Delivery: {cell.id}-{step}-live\r\nX-GitHub-Hook-ID: 5\r\n"
                f"X-Hub-Signature-256: {signature(SECRET, body)}\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            writer.write(head.encode() + body)
            status = int((await reader.readline()).split()[1])
            length = 0
            while (line := await reader.readline()).strip():
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            await reader.readexactly(length)
            answers.append(time.time() - cell.sent[step])
            refused += status != 202
        writer.close()

    senders = [asyncio.create_task(sender()) for _ in range(32)]
    began = time.monotonic()
    for n, one in enumerate(bodies):
        late = began + n / RATE - time.monotonic()
        if late > 0:
            await asyncio.sleep(late)
        waiting.put_nowait(one)
    for _ in senders:
        waiting.put_nowait(None)
    await asyncio.gather(*senders)
    return sorted(answers), refused


async def _storm(site: str, repository: Repository) -> dict[str, Any]:
    cells = _cells(repository)
    names = {c.slot: (c.workflow, c.name) for c in Configuration.objects.filter(repository=repository)}
    bodies = [(cell, step, _body(cell, step, names)) for cell, step in _deliveries(cells)]
    streams = []
    for query, decoded in (("?open=*", DECODED), ("", 0)):
        first, etag, columns = _page(site, query)
        _, rows = _refreshed(site, query)
        ways = [columns if n < decoded else None for n in range(PAGES // 2)]
        streams += [_Stream(site, query, first, etag, way, rows) for way in ways]
    tasks = [asyncio.create_task(stream.run()) for stream in streams]
    # The first delivery ever has all signals judged once; that is not what is measured here.
    await _send_all(site, bodies[:1])
    await _settled()
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as pool:
        quiet = await loop.run_in_executor(pool, _grid_latency, site, QUIET_SECONDS)
        meanwhile = loop.run_in_executor(pool, _grid_latency, site, SECONDS)
        spent = _cpu()
        answers, refused = await _send_all(site, bodies)
        spent = {name: seconds - spent.get(name, 0.0) for name, seconds in _cpu().items()}
        spent["all else on the machine"] -= sum(spent.values()) - spent["all else on the machine"]
        during = await meanwhile
    await _settled()
    finals = {query: _refreshed(site, query) for query in ("?open=*", "")}
    behind = sum(stream.etag != finals["?open=*" if n < PAGES // 2 else ""][0] for n, stream in enumerate(streams))
    lost, latencies = 0, []
    for cell in cells:
        for stream in streams[:DECODED]:
            assert stream.columns is not None
            lost += stream.rows[cell.sha][stream.columns[cell.slot]] != ("X" if cell.failed else "O")
            # A step may be overtaken by the next one before the page has shown it: then that one showed it.
            times = stream.seen.get((cell.sha, cell.slot), [0.0] * 4)
            latencies += [max(0.0, times[step + 1] - cell.sent[step]) for step in range(3) if times[step + 1]]
    for task in tasks:
        task.cancel()
    return {
        "latencies": sorted(latencies), "lost": lost, "behind": behind, "quiet": quiet, "during": during,
        "spent": spent, "answers": answers, "refused": refused, "sent": len(bodies), "cells": cells,
        "megabytes": sum(stream.bytes for stream in streams) / 1e6,
    }  # fmt: skip


async def _settled() -> None:
    """Until everything has been processed, and shown."""
    loop = asyncio.get_running_loop()
    for _ in range(600):
        await asyncio.sleep(0.1)
        if not await loop.run_in_executor(None, _waiting):
            break
    await asyncio.sleep(2)


def _cpu() -> dict[str, float]:
    """Seconds of processor time so far, by what spent them: the site's processes, the database's, and all there are."""
    spent: dict[str, float] = {}
    for process in psutil.process_iter(["cmdline", "cpu_times"]):
        words = " ".join(process.info["cmdline"] or [])
        name = (
            "web" if "project.asgi" in words else "worker" if "live@" in words else "postgres" if "postgres" in words
            else "Chromium" if "chrom" in words else ""
        )  # fmt: skip
        if name and process.info["cpu_times"] and _ours(process):
            times = process.info["cpu_times"]
            spent[name] = spent.get(name, 0.0) + times.user + times.system
    spent["this process"] = time.process_time()
    times = psutil.cpu_times()
    spent["all else on the machine"] = sum(times) - times.idle - times.iowait
    return spent


def _ours(process: psutil.Process) -> bool:
    try:
        if "postgres" in process.name():
            return str(settings.DATABASES["default"]["NAME"]) in " ".join(process.cmdline())
        return any(parent.pid == os.getpid() for parent in process.parents())
    except psutil.Error:
        return False


def _waiting() -> int:
    return Delivery.objects.filter(state=DeliveryState.WAITING).count()


def _refreshed(site: str, query: str) -> tuple[str, dict[str, str]]:
    """ETag and rows of a page as it is now."""
    first, _, _ = _page(site, query)
    headers = {"X-Arborist-Refresh": first}
    answer = requests.get(f"{site}/hud/bench/grid/main{query}", headers=headers, timeout=30)
    return answer.headers["ETag"], answer.json()["rows"]


_WATCH = """() => {
    window.seen = {};
    const rank = { Q: 1, P: 2, X: 3, "": 3 };
    new MutationObserver((records) => {
        const now = Date.now();
        for (const record of records) {
            const cell = record.target.closest?.("tbody td:not(.m)");
            if (!cell) continue;
            const key = cell.parentElement.id + " " + cell.cellIndex;
            const times = window.seen[key] ??= [0, 0, 0, 0];
            for (let n = 1; n <= (rank[cell.className.charAt(0)] ?? 0); n += 1) times[n] ||= now;
        }
    }).observe(document.querySelector("tbody"), { subtree: true, attributes: true, attributeFilter: ["class"] });
}"""


def _browser_latencies(seen: dict[str, list[float]], columns: dict[int, int], cells: list[Cell]) -> list[float]:
    found = []
    for cell in cells:
        times = seen.get(f"{cell.sha} {columns[cell.slot] + 5}", [0] * 4)
        found += [max(0.0, times[step + 1] / 1000 - cell.sent[step]) for step in range(3) if times[step + 1]]
    return sorted(found)


def _p(times: list[float], share: float) -> float:
    return times[min(len(times) - 1, int(len(times) * share))] if times else float("inf")


def measure() -> list[Row]:
    """The table's rows about live pages."""
    from playwright.sync_api import sync_playwright

    world.clear()
    repository = world.make(commits=400, configurations=CONFIGURATIONS)
    Repository.objects.filter(pk=repository.pk).update(github_id=GITHUB_ID)
    Delivery.objects.all().delete()
    os.environ["ARBORIST_WEBHOOK_SECRET"] = SECRET
    with running_site() as site, _worker(), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=CHROMIUM_ARGUMENTS)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(f"{site}/hud/bench/grid/main?open=*", wait_until="load")
        page.wait_for_timeout(3000)
        page.evaluate(_WATCH)
        with ThreadPoolExecutor(1) as pool:  # Playwright keeps a loop of its own in this thread
            told = pool.submit(lambda: asyncio.run(_storm(site, repository))).result()
        _, _, columns = _page(site, "?open=*")
        seen = _browser_latencies(page.evaluate("window.seen"), columns, told["cells"])
        browser.close()
    note = (
        f"{told['sent']} deliveries at {RATE}/s, {PAGES} pages, {told['megabytes']:.0f} MB sent to them; answer to a "
        f"delivery p50 {_p(told['answers'], 0.5) * 1000:.0f} ms, p99 {_p(told['answers'], 0.99) * 1000:.0f} ms"
    )
    note += "; processor: " + ", ".join(f"{name} {seconds / SECONDS:.0%}" for name, seconds in told["spent"].items())
    note += f"; load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"
    lost = told["lost"] + told["refused"] + told["behind"]
    said = f"{told['refused']} refused, {told['lost']} never shown, {told['behind']} pages behind at the end"
    expected = told["sent"]
    return [
        Row("live: webhook to changed cell, p50", _p(told["latencies"], 0.5) * 1000, "ms", 1000, "<=", 1, note),
        Row("live: webhook to changed cell, p99", _p(told["latencies"], 0.99) * 1000, "ms", 1000, "<=", 1),
        Row("live: webhook to cell in Chromium, p50", _p(seen, 0.5) * 1000, "ms", 1000, "<=", 1),
        Row("live: webhook to cell in Chromium, p99", _p(seen, 0.99) * 1000, "ms", 1000, "<=", 1,
            f"{len(seen)} of {expected} steps shown in it"),
        Row("live: deliveries lost", lost, "deliveries", 1, "<=", 0, said),
        Row("live: grid's answer meanwhile, p50", _p(told["during"], 0.5), "ms", _p(told["quiet"], 0.5), "<=", 1.5),
        Row("live: grid's answer meanwhile, p99", _p(told["during"], 0.99), "ms", _p(told["quiet"], 0.99), "<=", 1.5),
    ]  # fmt: skip

"""The grid's server time beside its floor, the whole HTTP response, and that history does not slow it down.

The floor fetches the same packed bytes with psycopg and joins the same strings. Nothing is cached between requests but
what a worker process keeps anyway: every request has another address.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from statistics import median

import psycopg
import requests
from django.conf import settings
from django.db import connection
from django.test import RequestFactory

from hud import grid, views
from hud.grid import _CELLS, PER_PAGE
from hud.models import Repository

from . import world
from .serving import running_site
from .table import Row

CONFIGURATIONS = 1000
# The very strings that the page is made of, one for each value of a byte.
TABLE = [html.decode() for _, html in _CELLS] + [""] * (256 - len(_CELLS))
ROUNDS = 60


def _times(act: Callable[[int], object], rounds: int = ROUNDS) -> list[float]:
    for n in range(5):
        act(n)
    times = []
    for n in range(rounds):
        began = time.perf_counter()
        act(n)
        times.append((time.perf_counter() - began) * 1000)
    return sorted(times)


def _floor(repository: Repository) -> list[float]:
    url = settings.DATABASES["default"]
    with psycopg.connect(
        host=url["HOST"],
        port=url["PORT"] or None,
        user=url["USER"],
        password=url["PASSWORD"] or None,
        dbname=url["NAME"],
    ) as direct:

        def fetch_and_join(n: int) -> str:
            rows = direct.execute(
                "SELECT x.cells FROM hud_branchcommit b JOIN hud_commitcells x ON x.commit_id = b.commit_id"
                " JOIN hud_branch br ON br.id = b.branch_id WHERE br.repository_id = %s AND br.name = 'main'"
                " ORDER BY b.position DESC LIMIT %s",
                [repository.pk, PER_PAGE],
            ).fetchall()
            return "".join(["".join(map(TABLE.__getitem__, cells)) for (cells,) in rows])

        return _times(fetch_and_join)


def _server(repository: Repository, *, keep_rows: bool) -> list[float]:
    """Times of the view. A worker keeps the HTML of unchanged rows; without `keep_rows` it is made to forget it."""
    factory = RequestFactory()

    class Nobody:
        is_authenticated = False
        pk = None

    def serve(n: int) -> bytes:
        if not keep_rows:
            grid.ROWS.clear()
        request = factory.get(f"/hud/{repository}/main?open=*&n={n}")
        request.user = Nobody()
        request.htmx = False
        response = views.grid(request, repository.owner, repository.name, "main")
        assert response.status_code == 200
        return response.content

    return _times(serve)


def _p(times: list[float], share: float) -> float:
    return times[min(len(times) - 1, int(len(times) * share))]


def measure() -> list[Row]:
    """The table's rows about the grid. BENCH_RUNS: the largest history, for a quicker look."""
    most = int(os.environ.get("BENCH_RUNS", "10000000"))
    world.clear()
    repository = world.make(commits=20_000, configurations=CONFIGURATIONS)
    floor = median(_floor(repository))
    server = median(_server(repository, keep_rows=False))
    kept = median(_server(repository, keep_rows=True))
    with running_site() as site:
        session = requests.Session()
        headers = {"Accept-Encoding": "gzip"}

        def get(n: int) -> requests.Response:
            url = f"{site}/hud/{repository}/main?open=*&n={n}"
            response = session.get(url, headers=headers, timeout=10, stream=True)
            assert response.status_code == 200
            sent.append(len(response.raw.read(decode_content=False)))  # as sent: unpacking it is not the site's work
            return response

        sent: list[int] = []
        answers = _times(get, rounds=200)
        page = session.get(f"{site}/hud/{repository}/main?open=*", timeout=10)
        squares = page.text.count("<td") - PER_PAGE * 6
        assert squares >= PER_PAGE * CONFIGURATIONS
        p50, p99 = _p(answers, 0.5), _p(answers, 0.99)
    rows = [
        Row("grid: server time, 50 × 1000 expanded", kept, "ms", floor, "<=", 3, "rows of unchanged commits kept"),
        Row("grid: server time of a worker's first page", server, "ms", floor, "<=", 3, "every row made anew"),
        Row("grid: whole HTTP response, p50", p50, "ms", 3 * floor, "<=", 2, "floor: 3 × the floor above"),
        Row("grid: whole HTTP response, p99", p99, "ms", 3 * floor, "<=", 5, "floor: 3 × the floor above"),
        Row("grid: compressed", max(sent) / 1024, "KB", 120, "<=", 1),
    ]
    first = 0.0
    for count in [count for count in (100_000, 1_000_000, 10_000_000) if count <= most]:
        world.add_runs(repository, count)
        now = median(_server(repository, keep_rows=False))
        first = first or now
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM hud_run")
            assert cursor.fetchone()[0] == count
        rows.append(Row(f"grid: server time with {count:,} runs stored", now, "ms", first, "<=", 1.2))
    return rows

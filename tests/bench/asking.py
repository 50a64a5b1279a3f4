"""Someone who opens the grid again and again, in a process of their own: `python -m tests.bench.asking URL SECONDS`.

In the process that also sends the deliveries and reads the streams, an answer would wait for that process's
interpreter as well as for the site. Prints milliseconds of whole answers as JSON.
"""

from __future__ import annotations

import http.client
import json
import sys
import time
from urllib.parse import urlsplit

EVERY = 0.25  # seconds from the end of one answer to the next question


def ask(url: str, seconds: float) -> list[float]:
    """Milliseconds from each question to the last byte of its answer, over one connection."""
    site = urlsplit(url)
    assert site.hostname
    connection = http.client.HTTPConnection(site.hostname, site.port, timeout=30)
    times = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.perf_counter()
        connection.request("GET", f"{site.path}?n={len(times)}", headers={"Accept-Encoding": "gzip"})
        answer = connection.getresponse()
        answer.read()
        times.append((time.perf_counter() - began) * 1000)
        assert answer.status == 200
        time.sleep(EVERY)
    return times


if __name__ == "__main__":
    print(json.dumps(ask(sys.argv[1], float(sys.argv[2]))))

"""`make bench`: one table of all measures, also written as JSON to `var/bench.json`.

    python -m tests.bench [ingestion] [grid] [browser] [polling] [repair] [live] [verdicts]

Servers and data are this run's own and are thrown away; everything stays on this machine and ends by itself.
"""

from __future__ import annotations

import importlib
import logging
import os
import shutil
import sys
import tempfile
from pathlib import Path

PARTS = ("ingestion", "grid", "browser", "polling", "repair", "live", "verdicts")


def main() -> int:
    """Run the parts named on the command line, or all. Exit status 1 if a promise is broken."""
    wanted = sys.argv[1:] or list(PARTS)
    if unknown := [name for name in wanted if name not in PARTS]:
        print(f"There is no part {unknown[0]!r}; there are {', '.join(PARTS)}.")
        return 2
    out = Path(os.environ.get("ARBORIST_VAR_DIR", "var")) / "bench.json"
    var = tempfile.mkdtemp(prefix="arborist-bench-")
    os.environ.update(
        ARBORIST_VAR_DIR=var, ARBORIST_SECRET_KEY="only-for-benchmarks-" * 3, DJANGO_SETTINGS_MODULE="project.settings"
    )
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"  # Playwright keeps an event loop in this thread
    for name in ("DATABASE_URL", "REDIS_URL"):
        os.environ.pop(name, None)
    from project.embedded.environment import prepare

    servers = prepare()
    assert servers is not None
    servers.start()
    try:
        return _measure(wanted, out)
    finally:
        servers.stop()
        shutil.rmtree(var, ignore_errors=True)
        shutil.rmtree(servers.places.socket_dir, ignore_errors=True)


def _measure(wanted: list[str], out: Path) -> int:
    import django

    django.setup()
    logging.disable(logging.INFO)
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    call_command("collectstatic", verbosity=0, interactive=False)
    from .table import as_json, printed

    rows = []
    for name in wanted:
        print(f"measuring {name} …", flush=True)
        found = importlib.import_module(f"tests.bench.{name}").measure()
        print(printed(found), flush=True)  # each part as it comes, for the whole takes minutes
        rows += found
    print(printed(rows))
    out.parent.mkdir(exist_ok=True)
    out.write_text(as_json(rows) + "\n")
    print(f"Written to {out}.")
    return 0 if all(row.kept for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())

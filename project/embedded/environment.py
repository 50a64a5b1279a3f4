"""Decides, before settings load, whether servers are embedded, and puts their addresses where settings look."""

from __future__ import annotations

import os

from project.embedded import places
from project.embedded.servers import Servers

VARIABLES = {"postgres": "DATABASE_URL", "redis": "REDIS_URL"}


def prepare(*, durable: bool = True) -> Servers | None:
    """Fill in DATABASE_URL and REDIS_URL where they are not set; None if both are. Starts nothing yet.

    The addresses are known before anything runs, so that settings can be read, and a wrong one reported, first.
    """
    want = [name for name, variable in VARIABLES.items() if not os.environ.get(variable)]
    if not want:
        return None
    servers = Servers(want=want, durable=durable)
    for name, url in zip(VARIABLES, servers.urls, strict=True):
        if name in want:
            os.environ[VARIABLES[name]] = url
    os.environ["ARBORIST_EMBEDDED"] = "true"
    if not os.environ.get("ARBORIST_SECRET_KEY"):
        os.environ["ARBORIST_SECRET_KEY"] = places.secret_key(servers.places.var_dir)
    return servers


def embedded_names() -> list[str]:
    """Which servers this process's environment expects to be embedded."""
    if not os.environ.get("ARBORIST_EMBEDDED"):
        return []
    urls = zip(VARIABLES.items(), Servers().urls, strict=True)
    return [name for (name, variable), url in urls if os.environ.get(variable) == url]

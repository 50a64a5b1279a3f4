"""Which edition of the pages this process serves: part of every ETag, so that a deployment replaces what browsers
keep."""

from hashlib import blake2b
from pathlib import Path

from django.conf import settings


def _edition() -> str:
    seen = blake2b(digest_size=6)
    base = Path(settings.BASE_DIR)
    for folder in ("templates", "static", "hud"):
        for path in sorted((base / folder).rglob("*")):
            if path.suffix in (".html", ".css", ".js", ".py"):
                seen.update(path.read_bytes())
    return seen.hexdigest()


EDITION = _edition()

"""Where the embedded servers keep their data, listen, and what their addresses are. Starts nothing.

Data lives in the var directory. Sockets live in a short private directory under the system's temporary one, because a
UNIX socket's path may have only about 100 characters and the repository may lie deeper than that. Sockets rather than
ports: nobody else on the machine can connect, nothing collides, and it is faster.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

BASE_DIR = Path(__file__).resolve().parents[2]


def default_var_dir() -> Path:
    """The var directory as settings sees it; repeated here because this must run before settings load."""
    return Path(os.environ.get("ARBORIST_VAR_DIR") or BASE_DIR / "var").absolute()


@dataclass(frozen=True)
class Places:
    """The places of one var directory."""

    var_dir: Path
    socket_dir: Path
    password: str

    @property
    def state_file(self) -> Path:
        return self.var_dir / "embedded.json"

    @property
    def lock_file(self) -> Path:
        return self.var_dir / "embedded.lock"

    @property
    def control_socket(self) -> Path:
        return self.socket_dir / "control"

    @property
    def postgres_socket_dir(self) -> Path:
        return self.socket_dir / "pg"

    @property
    def redis_socket(self) -> Path:
        return self.socket_dir / "redis"

    @property
    def database_url(self) -> str:
        return self.url_of_database("arborist")

    def url_of_database(self, name: str) -> str:
        host = quote(str(self.postgres_socket_dir), safe="")
        return f"postgresql://arborist:{self.password}@{host}/{name}"

    @property
    def redis_url(self) -> str:
        return f"unix://{quote(str(self.redis_socket))}?db=0"


def find(var_dir: Path) -> Places:
    """The places of `var_dir`, decided on first use and the same ever after, so that addresses outlive restarts."""
    try:
        var_dir.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0 and os.stat(var_dir).st_uid == 0:
            # PostgreSQL runs as another user then, who must be able to pass through. Files inside guard themselves.
            var_dir.chmod(var_dir.stat().st_mode | stat.S_IXGRP | stat.S_IXOTH)
        with open(var_dir / "places.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            return _find(var_dir)
    except PermissionError as error:
        raise PermissionError(
            f"{error.filename} belongs to another user. Run as that user, remove {var_dir}, "
            "or set ARBORIST_VAR_DIR to a directory of your own."
        ) from error


def _find(var_dir: Path) -> Places:
    path = var_dir / "places.json"
    try:
        known: dict[str, Any] = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        known = {}
    password = known.get("password") or secrets.token_urlsafe(24)
    socket_dir = Path(known.get("socket_dir") or "/nonexistent")
    # A var directory that was copied with its repository must not lead to the servers of the original.
    if known.get("var_dir", str(var_dir)) != str(var_dir) or not _is_ours(socket_dir):
        parent = tempfile.gettempdir()
        socket_dir = Path(tempfile.mkdtemp(prefix="arborist-", dir=parent if len(parent) < 60 else "/tmp"))
        if os.geteuid() == 0:
            socket_dir.chmod(0o711)
    places = Places(var_dir, socket_dir, password)
    now = {"var_dir": str(var_dir), "socket_dir": str(socket_dir), "password": password}
    if now != known:
        write_private(path, json.dumps(now, indent=1))
    return places


def _is_ours(directory: Path) -> bool:
    """Whether nobody else can have put anything into the directory since we made it."""
    try:
        found = directory.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022


def secret_key(var_dir: Path) -> str:
    """The secret key of a site that has none configured: made once, kept where only its user can read it."""
    path = var_dir / "secret_key"
    try:
        if key := path.read_text().strip():
            return key
    except FileNotFoundError:
        pass
    write_private(path, secrets.token_urlsafe(48))
    return path.read_text().strip()


def write_private(path: Path, text: str) -> None:
    """Replace a file in one step, readable by its owner only."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    partial.replace(path)

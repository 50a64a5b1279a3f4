"""The embedded servers: kept data, shared by commands, stopped by the last, back after the worst."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from project.embedded import places
from project.embedded.processes import StartError, end_leftovers
from project.embedded.servers import Servers

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def var_dir() -> Iterator[Path]:
    """A var directory with a long path and spaces in it, which another user can reach (for runs as root)."""
    base = Path(tempfile.mkdtemp(prefix="arborist test "))
    base.chmod(0o755)
    path = base / ("a directory with a long name " * 5).strip() / "var"
    yield path
    found = places.find(path)
    shutil.rmtree(found.socket_dir, ignore_errors=True)
    shutil.rmtree(base, ignore_errors=True)


def pids(var_dir: Path) -> dict[str, int]:
    state = json.loads((var_dir / "embedded.json").read_text())
    return {
        "keeper": state["keeper"],
        **{name: found["pid"] for name, found in state.items() if isinstance(found, dict)},
    }


def until(condition: Callable[[], bool], what: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def write(servers: Servers, value: int) -> None:
    with psycopg.connect(servers.urls[0], autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (value integer)")
        connection.execute("INSERT INTO kept VALUES (%s)", [value])
    with redis.Redis.from_url(servers.urls[1]) as client:
        client.rpush("kept", value)


def read(servers: Servers) -> tuple[list[int], list[int]]:
    with psycopg.connect(servers.urls[0]) as connection:
        rows = [row[0] for row in connection.execute("SELECT value FROM kept ORDER BY value")]
    with redis.Redis.from_url(servers.urls[1]) as client:
        return rows, [int(value) for value in client.lrange("kept", 0, -1)]  # type: ignore[union-attr]


def test_data_and_addresses_survive_a_restart(var_dir: Path) -> None:
    with Servers(var_dir) as servers:
        first = servers.urls
        running = pids(var_dir)
        write(servers, 1)
    until(lambda: all(gone(pid) for pid in running.values()), "the servers stopped")
    assert not (var_dir / "embedded.json").exists()
    with Servers(var_dir) as servers:
        assert servers.urls == first
        assert read(servers) == ([1], [1])


def test_commands_share_the_servers_and_the_last_one_stops_them(var_dir: Path) -> None:
    first, second = Servers(var_dir), Servers(var_dir)
    first.start()
    running = pids(var_dir)
    second.start()
    assert pids(var_dir) == running
    first.stop()  # the one that started them leaves first
    write(second, 1)
    second.stop()
    until(lambda: all(gone(pid) for pid in running.values()), "the servers stopped")


def test_many_commands_may_start_at_once(var_dir: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from project.embedded.servers import Servers; import psycopg, time\n"
        "with Servers(Path(sys.argv[1])) as servers:\n"
        "    psycopg.connect(servers.urls[0]).close(); print('fine')"
    )
    commands = [
        subprocess.Popen([sys.executable, "-c", code, str(var_dir)], cwd=ROOT, stdout=subprocess.PIPE) for _ in range(4)
    ]
    assert [command.communicate(timeout=90)[0] for command in commands] == [b"fine\n"] * 4


def test_only_what_is_wanted_is_started(var_dir: Path) -> None:
    with Servers(var_dir, want=["redis"]):
        assert set(pids(var_dir)) == {"keeper", "redis"}
        assert not (var_dir / "postgres").exists()


def test_a_killed_server_is_started_again(var_dir: Path) -> None:
    with Servers(var_dir) as servers:
        write(servers, 1)
        for name in ("postgres", "redis"):
            before = pids(var_dir)[name]
            os.kill(before, signal.SIGKILL)
            until(lambda name=name, before=before: pids(var_dir)[name] != before, f"{name} came back", 30)
        assert read(servers) == ([1], [1])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_a_killed_keeper_takes_its_servers_with_it(var_dir: Path) -> None:
    servers = Servers(var_dir)
    servers.start()
    write(servers, 1)
    running = pids(var_dir)
    os.kill(running["keeper"], signal.SIGKILL)
    until(lambda: servers.lost, "the command notices")
    until(lambda: all(gone(pid) for pid in running.values()), "nothing is left")
    servers.start()
    assert read(servers) == ([1], [1])
    servers.stop()


def test_after_everything_was_killed_the_next_start_recovers(var_dir: Path) -> None:
    servers = Servers(var_dir)
    servers.start()
    write(servers, 1)
    running = pids(var_dir)
    for pid in running.values():
        os.kill(pid, signal.SIGSTOP)  # so that none can react to another's end
    for pid in running.values():
        os.kill(pid, signal.SIGKILL)
    assert (var_dir / "embedded.json").exists()  # stale, and so is PostgreSQL's own pid file
    with Servers(var_dir) as again:
        assert read(again) == ([1], [1])


def test_a_pid_file_that_names_a_stranger_harms_nobody(var_dir: Path) -> None:
    with Servers(var_dir) as servers:
        write(servers, 1)
        data_dir = var_dir / "postgres"
        pid_file = (data_dir / "postmaster.pid").read_text()
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        (data_dir / "postmaster.pid").write_text(pid_file.replace(pid_file.split()[0], str(stranger.pid), 1))
        with Servers(var_dir) as servers:
            assert read(servers) == ([1], [1])
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_only_processes_of_that_name_in_that_directory_are_leftovers(tmp_path: Path) -> None:
    # In the background of a script, SIGINT and SIGQUIT are ignored, and what it starts inherits that; servers set their
    # own handlers, `sleep` has none.
    code = "import os, signal; [signal.signal(number, signal.SIG_DFL) for number in (signal.SIGINT, signal.SIGQUIT)]; "
    process = subprocess.Popen([sys.executable, "-c", code + "os.execvp('sleep', ['sleep', '60'])"], cwd=tmp_path)
    until(lambda: psutil.Process(process.pid).name() == "sleep", "it sleeps")
    try:
        end_leftovers("postgres", tmp_path.resolve())
        end_leftovers("sleep", tmp_path.parent.resolve())
        assert process.poll() is None
        end_leftovers("sleep", tmp_path.resolve())
        process.wait(5)
    finally:
        process.kill()
        process.wait()


def test_nobody_else_can_read_or_connect(var_dir: Path) -> None:
    with Servers(var_dir) as servers:
        found = places.find(var_dir)
        assert (var_dir / "places.json").stat().st_mode & 0o077 == 0
        assert found.postgres_socket_dir.stat().st_mode & 0o077 == 0
        assert found.redis_socket.stat().st_mode & 0o077 == 0
        assert (var_dir / "postgres").stat().st_mode & 0o077 == 0
        wrong = servers.urls[0].replace(found.password, "wrong")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(wrong)


def test_a_broken_data_directory_is_explained(var_dir: Path) -> None:
    with Servers(var_dir):
        pass
    (var_dir / "postgres" / "PG_VERSION").write_text("12\n")
    with pytest.raises(StartError, match="PostgreSQL stopped at start"), Servers(var_dir):
        pass


def test_a_socket_directory_that_a_stranger_could_write_to_is_not_used(var_dir: Path) -> None:
    first = places.find(var_dir)
    first.socket_dir.chmod(0o777)
    second = places.find(var_dir)
    assert second.socket_dir != first.socket_dir
    assert second.password == first.password
    shutil.rmtree(first.socket_dir)


def test_a_copied_var_directory_has_servers_of_its_own(var_dir: Path) -> None:
    original = places.find(var_dir)
    shutil.copytree(var_dir, var_dir.with_name("copy"))
    copy = places.find(var_dir.with_name("copy"))
    assert copy.socket_dir != original.socket_dir
    assert copy.password == original.password  # the copied data knows that one
    shutil.rmtree(copy.socket_dir)


def test_the_secret_key_is_made_once(var_dir: Path) -> None:
    var_dir.mkdir(parents=True)
    key = places.secret_key(var_dir)
    assert len(key) >= 32
    assert places.secret_key(var_dir) == key
    assert (var_dir / "secret_key").stat().st_mode & 0o077 == 0

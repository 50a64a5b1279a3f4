"""Starting, finding and ending the processes of embedded servers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

import psutil

LAUNCHER = Path(__file__).with_name("launch.py")


class StartError(Exception):
    """A server could not be started; the message says why, in words for the person at the terminal."""


def launch_command(
    command: Sequence[str | Path],
    *,
    death_signal: signal.Signals = signal.SIGTERM,
    owner: tuple[int, int] | None = None,
    parent_pid: int | None = None,
) -> list[str]:
    """`command`, wrapped so that it gets `death_signal` when its parent dies, and runs as `owner` (uid, gid)."""
    who = "-" if owner is None else f"{owner[0]}:{owner[1]}"
    parent = str(parent_pid or os.getpid())
    return [sys.executable, "-I", "-S", str(LAUNCHER), str(int(death_signal)), parent, who, *map(str, command)]


def launch(
    command: Sequence[str | Path],
    *,
    cwd: Path,
    log: IO[bytes],
    env: Mapping[str, str],
    death_signal: signal.Signals = signal.SIGTERM,
    owner: tuple[int, int] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a long-running process that can't outlive this one. Ctrl-C at the terminal doesn't reach it."""
    return subprocess.Popen(
        launch_command(command, death_signal=death_signal, owner=owner),
        cwd=cwd,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )


def end(process: subprocess.Popen[bytes], *signals: tuple[signal.Signals, float]) -> None:
    """Send each signal in turn, waiting its seconds for the process to end; at last kill it."""
    for number, seconds in signals:
        if process.poll() is not None:
            return
        process.send_signal(number)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            continue
    if process.poll() is None:
        process.kill()
        process.wait(10)


def end_leftovers(name: str, directory: Path) -> None:
    """End processes that an earlier start left working in `directory`, which is theirs alone.

    A process counts only by its program's name and its working directory together: a process id read from a file may
    by now be anybody's.
    """
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            if process.name() == name and Path(process.cwd()) == directory:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    for number, seconds in ((signal.SIGINT, 15.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
        for process in found:
            try:
                process.send_signal(number)
            except psutil.Error:
                continue
        _, found = psutil.wait_procs(found, timeout=seconds)
        if not found:
            return
    pids = ", ".join(str(process.pid) for process in found)
    raise StartError(f"{name} processes of an earlier start could not be ended: {pids}")


def tail(path: Path, lines: int = 8) -> str:
    """The last lines of a log, for the message that says why its server did not start."""
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""

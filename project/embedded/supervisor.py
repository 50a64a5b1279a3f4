"""Keeps the site's processes running in one terminal: starts them, shows what they say, restarts what ends.

The lines are printed by honcho. Its own manager isn't used because it ends everything when one process ends, and
because its processes survive a killed manager.
"""

from __future__ import annotations

import datetime
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from honcho.colour import get_colours
from honcho.printer import Message, Printer

from project.embedded.processes import launch_command

PATIENCE_SECONDS = 12.0
LONG_LIFE_SECONDS = 30.0
FIRST_DELAY, LONGEST_DELAY = 0.5, 30.0
PRINTER_NAME = "arborist"


@dataclass
class Service:
    """A process to keep running. A `foundation` is stopped only after everything that isn't one."""

    name: str
    command: Sequence[str | Path]
    env: Mapping[str, str]
    foundation: bool = False
    colour: str = ""
    process: subprocess.Popen[bytes] | None = None
    keeper: threading.Thread | None = None
    stopping: threading.Event = field(default_factory=threading.Event)


class Supervisor:
    """Owns the services that were started through it."""

    def __init__(self, output: TextIO, *, cwd: Path) -> None:
        self.cwd = cwd
        self.services: list[Service] = []
        self.ending = threading.Event()
        self.impatient = False
        self._printer = Printer(output, width=len(PRINTER_NAME))
        self._output = output
        self._print_lock = threading.Lock()
        self._colours = get_colours()

    def say(self, text: str | bytes, *, service: Service | None = None) -> None:
        """Print lines, under the name of the service that said them or our own."""
        name, colour = (service.name, service.colour) if service else (PRINTER_NAME, None)
        with self._print_lock:
            try:
                self._printer.write(
                    Message(type="line", data=text, time=datetime.datetime.now(), name=name, colour=colour)
                )
                self._output.flush()
            except (OSError, ValueError):
                self.ending.set()  # the terminal is gone, and with it whoever looked

    def start(self, service: Service) -> None:
        """Start a service and keep it running until `stop`."""
        service.colour = next(self._colours)
        self.services.append(service)
        service.keeper = threading.Thread(target=self._keep, args=(service,), name=service.name, daemon=True)
        service.keeper.start()

    def wait(self, each_second: Callable[[], None]) -> None:
        """Until Ctrl-C or a signal asks us to end."""
        while not self.ending.wait(1.0):
            each_second()

    def listen_to_signals(self) -> None:
        """The first signal ends everything in order, the second one at once."""

        def end(number: int, frame: object) -> None:
            self.impatient = self.ending.is_set()
            self.ending.set()

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, end)

    def stop(self) -> None:
        """End all services. Returns when none is left."""
        for foundation in (False, True):
            services = [service for service in self.services if service.foundation is foundation]
            for service in services:
                service.stopping.set()
            self._end(services)

    def _end(self, services: list[Service]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        asked: set[int] = set()
        while any(service.keeper is not None and service.keeper.is_alive() for service in services):
            late = self.impatient or time.monotonic() > deadline
            for service in services:
                process = service.process  # again each round: its keeper may just have started another
                if process is None or process.returncode is not None:
                    continue
                if late:
                    _signal_group(process.pid, signal.SIGKILL)
                elif process.pid not in asked:
                    asked.add(process.pid)
                    # To the process alone: a worker tells its own pool. Not through Popen, which would reap it here.
                    os.kill(process.pid, signal.SIGTERM)
            time.sleep(0.05)

    def _keep(self, service: Service) -> None:
        # The system sends the death signal when the thread that started a process ends: this one outlives each.
        delay = FIRST_DELAY
        while not service.stopping.is_set():
            began = time.monotonic()
            process = service.process = subprocess.Popen(
                launch_command(service.command),
                cwd=self.cwd,
                env=dict(service.env),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches us alone, and we end them in order
            )
            reader = threading.Thread(target=self._relay, args=(service, process), daemon=True)
            reader.start()
            _wait_for_group(process)
            reader.join(2)
            if service.stopping.is_set():
                return
            delay = FIRST_DELAY if time.monotonic() - began > LONG_LIFE_SECONDS else min(delay * 2, LONGEST_DELAY)
            self.say(f"{service.name} ended ({_how(process.returncode)}); starting it again in {delay:.0f} s")
            service.stopping.wait(delay)

    def _relay(self, service: Service, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with process.stdout as stream:
            for line in stream:
                self.say(line, service=service)


def _wait_for_group(process: subprocess.Popen[bytes]) -> None:
    """Wait for the process, then end what it may have left of its group (a killed worker's pool)."""
    # Not reaped yet, so that its number can't belong to anyone else when the group is signalled.
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    _signal_group(process.pid, signal.SIGKILL)
    process.wait()


def _signal_group(pid: int, number: signal.Signals) -> None:
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def _how(code: int) -> str:
    return f"exit status {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"

"""`manage.py up`, which is what `make run` runs: the whole site in one terminal, until Ctrl-C."""

from __future__ import annotations

import fcntl
import io
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.core.management import CommandError, call_command
from django.core.management.base import BaseCommand
from django.db import connection, connections
from django.db.migrations.executor import MigrationExecutor

from project.accounts.models import TeamRole
from project.embedded.environment import embedded_names
from project.embedded.processes import StartError
from project.embedded.servers import Servers
from project.embedded.supervisor import Service, Supervisor
from project.simulator import oauth_routes, teams
from project.simulator.catalogue import CATALOGUES
from project.simulator.hooks import FIRST_HOOK_ID

SIMULATOR_PORT = 8010
# So that a newcomer finds a second branch to pick.
SIMULATED_OPTIONS = ("--watch", "viable/strict")
ANSWER_SECONDS = 60.0


class Command(BaseCommand):
    help = "Runs the whole site here: servers if none are configured, web, worker and beat. Ctrl-C ends all of it."
    requires_system_checks = []  # a check that touches the database would come before the migrations

    def handle(self, *args: Any, **options: Any) -> None:
        """Start everything in the order in which it is needed, then watch over it."""
        lock = _only_one(settings.VAR_DIR / "up.lock")
        _require_free_port()
        supervisor = Supervisor(sys.stdout, cwd=settings.BASE_DIR)
        supervisor.listen_to_signals()
        servers = Servers(want=names) if (names := embedded_names()) else None
        try:
            if servers is not None:
                servers.start()
            self._run(supervisor, servers)
        except StartError as error:
            raise CommandError(str(error)) from error
        finally:
            supervisor.say("ending")
            supervisor.stop()
            connections.close_all()
            if servers is not None:
                servers.stop()
            supervisor.say("ended; everything is kept for the next start")
            lock.close()

    def _run(self, supervisor: Supervisor, servers: Servers | None) -> None:
        for warning in settings.WARNINGS:
            supervisor.say(f"WARNING: {warning}")
        env = {**os.environ, "PYTHONUNBUFFERED": "1"}
        if simulated := not settings.REPOSITORIES and not settings.GITHUB_TOKEN and not settings.GITHUB_APP_ID:
            env |= _simulated_github(supervisor, env)
        _migrate(supervisor)
        call_command("collectstatic", interactive=False, verbosity=0)
        if simulated:
            _roles_of_teams()
            _wait_for_port(supervisor, int(env["ARBORIST_GITHUB_API_URL"].rpartition(":")[2]))
        repositories = [name for name in env.get("ARBORIST_REPOSITORIES", "").split(",") if name.strip()]
        for repository in repositories:
            _add_repository(supervisor, repository.strip(), env, *(SIMULATED_OPTIONS if simulated else ()))
        connections.close_all()
        for service in _services(env):
            if supervisor.ending.is_set():
                return
            supervisor.start(service)
        if _wait_for_web(supervisor):
            watched = ", ".join(repositories) or "the repositories in its database"
            world = " in a simulated GitHub" if simulated else ""
            supervisor.say("")
            supervisor.say(f"Arborist watches {watched}{world}. Look at  {_address()}  (Ctrl-C ends it)")
            supervisor.say("")
        supervisor.wait(lambda: _look_after(supervisor, servers))


def _only_one(path: Path) -> IO[str]:
    """A lock that the system takes back when this process ends, however it ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = open(path, "a+")  # noqa: SIM115 - held until the end
    lock.seek(0)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CommandError(f"Arborist is already running {lock.read().strip()}.") from None
    lock.truncate(0)
    lock.write(f"at {_address()} (process {os.getpid()})")
    lock.flush()
    return lock


def _address() -> str:
    host = "localhost" if settings.BIND in {"127.0.0.1", "0.0.0.0", "::1", "::"} else settings.BIND
    return f"http://{host}:{settings.PORT}/"


def _is_free(port: int, host: str = "127.0.0.1") -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as uvicorn: what only lingers isn't taken
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _require_free_port() -> None:
    if not _is_free(settings.PORT, settings.BIND):
        raise CommandError(
            f"Port {settings.PORT} of {settings.BIND} can't be used: another program has it, or it isn't ours to "
            f"use. Choose another with ARBORIST_PORT={settings.PORT + 1} make run"
        )


def _simulated_github(supervisor: Supervisor, env: dict[str, str]) -> dict[str, str]:
    """Start the simulated GitHub; what the other processes must know to watch it."""
    port = SIMULATOR_PORT if _is_free(SIMULATOR_PORT) else _free_port()
    # As generous as GitHub is to an app of a big organization, so that the history is read in minutes.
    command = [*_manage("simulate_github"), "--port", str(port), "--hourly-limit", "15000"]
    host = "127.0.0.1" if settings.BIND in {"0.0.0.0", "127.0.0.1"} else settings.BIND
    where = f"http://{f'[{host}]' if ':' in host else host}:{settings.PORT}/webhooks/github"
    secret = secrets.token_urlsafe(24)  # another at every start: nobody else needs to know it
    command += ["--webhook", where, "--webhook-secret", secret]
    command += ["--state", str(settings.VAR_DIR / "simulator.json")]  # what people did there outlives a restart
    supervisor.start(Service("github", command, env, foundation=True))
    return {
        "ARBORIST_GITHUB_API_URL": f"http://127.0.0.1:{port}",
        "ARBORIST_GITHUB_TOKEN": "token-for-the-simulated-github",  # any will do; without one it is as stingy as GitHub
        "ARBORIST_REPOSITORIES": CATALOGUES["default"].full_name,
        "ARBORIST_WEBHOOK_SECRET": secret,
        "ARBORIST_WEBHOOK_HOOK_ID": str(FIRST_HOOK_ID),
        "ARBORIST_GITHUB_WEB_URL": f"http://127.0.0.1:{port}",
        "ARBORIST_OAUTH_CLIENT_ID": oauth_routes.CLIENT_ID,
        "ARBORIST_OAUTH_CLIENT_SECRET": oauth_routes.CLIENT_SECRET,
    }


def _roles_of_teams() -> None:
    """So that a newcomer who signs in as one of the simulated tree huggers may act. Only at the first start: what
    somebody changed since then stays."""
    host = "127.0.0.1"
    if not TeamRole.objects.filter(host=host).exists():
        for team, role in teams.ROLES.items():
            name = f"{CATALOGUES['default'].owner}/{team}"
            call_command("give_role", name, role, host=host, stdout=io.StringIO())


def _manage(*arguments: str) -> list[str]:
    return [sys.executable, str(settings.BASE_DIR / "manage.py"), *arguments]


def _migrate(supervisor: Supervisor) -> None:
    executor = MigrationExecutor(connection)
    missing = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    if missing:
        supervisor.say(f"preparing the database ({missing} migrations)")
        call_command("migrate", interactive=False, verbosity=0)


def _add_repository(supervisor: Supervisor, name: str, env: dict[str, str], *options: str) -> None:
    # In a process of its own: the simulated GitHub's address is not in our settings.
    done = subprocess.run(
        _manage("add_repository", name, *options),
        env=env,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:  # shown, not fatal: the site can still be looked at, and /status says more
        supervisor.say(f"WARNING: {name} could not be added: {done.stderr.strip()[-500:]}")


def _services(env: dict[str, str]) -> list[Service]:
    web = ["uvicorn", "project.asgi:application", "--host", settings.BIND, "--port", str(settings.PORT)]
    web += ["--no-access-log", "--log-level", "warning", "--lifespan", "off", "--timeout-graceful-shutdown", "5"]
    celery = ["celery", "--quiet", "--app", "project.celery"]
    # Nobody listens to its heartbeat, and a worker that is told to end while Redis is away would wait for one for ever.
    worker = [*celery, "worker", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    live = [*worker, "--queues", "live", "--concurrency", "1", "--hostname", "live@%h"]
    beat = [*celery, "beat", "--pidfile="]
    env = env | {"FORKED_BY_MULTIPROCESSING": "1"} if sys.platform == "darwin" else env
    return [
        Service("web", [sys.executable, "-m", *web], env),
        Service("worker", [sys.executable, "-m", *worker], env | {"REMAP_SIGTERM": "SIGQUIT"}),  # see settings
        # For webhooks alone, so that no slow poll is ever in their way.
        Service("live", [sys.executable, "-m", *live], env | {"REMAP_SIGTERM": "SIGQUIT"}),
        Service("beat", [sys.executable, "-m", *beat], env),
    ]


def _wait_for_port(supervisor: Supervisor, port: int) -> None:
    deadline = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < deadline and not supervisor.ending.is_set():
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    if not supervisor.ending.is_set():
        raise StartError(f"The simulated GitHub did not answer within {ANSWER_SECONDS:.0f} s; see its lines above.")


def _wait_for_web(supervisor: Supervisor) -> bool:
    host = "127.0.0.1" if settings.BIND in {"0.0.0.0", "127.0.0.1"} else settings.BIND
    address = f"http://{f'[{host}]' if ':' in host else host}:{settings.PORT}/healthz"
    request = urllib.request.Request(address, headers={"Host": "localhost"})
    deadline = time.monotonic() + ANSWER_SECONDS
    while not supervisor.ending.is_set():
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=5):
                return True
        except urllib.error.HTTPError as error:
            supervisor.say(f"WARNING: the web process answers {error.code} at /healthz")
            return True
        except OSError:
            if time.monotonic() > deadline:
                supervisor.say("WARNING: the web process does not answer yet; its lines above say why")
                return False
        time.sleep(0.1)
    return False


def _look_after(supervisor: Supervisor, servers: Servers | None) -> None:
    if servers is not None and servers.lost:
        supervisor.say("PostgreSQL and Redis were killed; starting them again")
        try:
            servers.start()
        except StartError as error:
            supervisor.say(f"WARNING: {error}")

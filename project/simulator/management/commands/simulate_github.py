"""`manage.py simulate_github`: run the simulated GitHub. It needs no database."""

import asyncio
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from project.simulator.catalogue import CATALOGUES
from project.simulator.clock import parse_iso
from project.simulator.hooks import Hooks
from project.simulator.server import listening_port, make_server, make_simulator


class Command(BaseCommand):
    help = "Run a simulated GitHub that speaks the REST API over HTTP, in the foreground."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8010, help="0 chooses a free port (default: 8010)")
        parser.add_argument("--seed", type=int, default=1, help="another seed, another world")
        parser.add_argument("--scale", choices=sorted(CATALOGUES), default="default")
        parser.add_argument("--speed", type=float, default=1.0, help="simulated seconds per real second")
        parser.add_argument("--start", metavar="ISO", help="simulated time to begin at (default: now)")
        parser.add_argument(
            "--anchor",
            metavar="ISO",
            help="real time at which the simulated time was --start, so that a restart continues a fast world "
            "(default: now)",
        )
        parser.add_argument("--hourly-limit", type=int, default=5000, help="requests an hour for each token")

        parser.add_argument("--webhook", metavar="URL", help="tell this address of everything that happens")
        parser.add_argument("--webhook-secret", default="", metavar="TEXT", help="what deliveries are signed with")

        parser.add_argument(
            "--state", type=Path, metavar="FILE", help="keep what requests write in this file (default: in memory only)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            start = parse_iso(options["start"]) if options["start"] else None
        except ValueError as error:
            raise CommandError(f"--start: {error}") from error
        try:
            anchor = parse_iso(options["anchor"]) if options["anchor"] else None
        except ValueError as error:
            raise CommandError(f"--anchor: {error}") from error
        if options["speed"] < 0:
            raise CommandError("--speed must not be negative")
        simulator = make_simulator(
            seed=options["seed"], scale=options["scale"], speed=options["speed"], start=start,
            anchor=anchor, hourly_limit=options["hourly_limit"], state_file=options["state"],
        )  # fmt: skip
        server = make_server(simulator, host=options["host"], port=options["port"])

        async def serve() -> None:
            serving = asyncio.create_task(server.serve())
            while not server.started and not serving.done():
                await asyncio.sleep(0.01)
            if server.started:
                where = f"http://{options['host']}:{listening_port(server)}"
                if options["webhook"]:
                    hooks: Hooks = server.config.app.state.hooks  # type: ignore[union-attr]
                    hooks.add(options["webhook"], options["webhook_secret"], frozenset("*"), where)
                self.stdout.write(f"Simulated GitHub at {where} ({simulator.world.full_name})")
                self.stdout.flush()
            await serving

        try:
            asyncio.run(serve())
        except SystemExit as error:
            # uvicorn ends the process when it cannot have the port.
            raise CommandError(f"cannot listen on {options['host']}:{options['port']}") from error
        except KeyboardInterrupt:
            return

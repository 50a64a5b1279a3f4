"""The application: all routes together."""

import json
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from project.simulator import (
    account_routes,
    artifact_routes,
    ci_routes,
    control,
    git_routes,
    graphql_routes,
    hook_routes,
    issue_routes,
    oauth_routes,
    pages,
    pull_routes,
    repository_routes,
    rerun,
)
from project.simulator.clock import Clock
from project.simulator.gate import ApiError, Gate, Simulator
from project.simulator.hooks import Hooks
from project.simulator.limits import Limits
from project.simulator.world import World
from project.simulator.writes import Writes


def make_simulator(
    *,
    seed: int = 1,
    scale: str = "default",
    speed: float = 1.0,
    start: float | None = None,
    anchor: float | None = None,
    hourly_limit: int = 5000,
    state_file: Path | None = None,
) -> Simulator:
    """A world and all that surrounds it. For `start` and `anchor`, in seconds since the epoch, see `Clock`.

    `state_file` keeps what requests write, and is read at the start if it exists.
    """
    world = World(seed=seed, scale=scale, clock=Clock(start=start, speed=speed, anchor=anchor))
    if state_file is not None:
        world.writes = Writes.load(state_file)
        world.written()
    return Simulator(world, Limits(hourly=hourly_limit), state_file=state_file)


def make_app(simulator: Simulator) -> Starlette:
    gate = Gate(simulator)
    hooks = Hooks(simulator)

    def unknown(call: object) -> None:
        raise ApiError(404)

    not_found = gate(unknown, "unknown")

    async def answer_unknown(request: Request, error: Exception) -> Response:
        response: Response = await not_found(request)
        return response

    async def refuse_method(request: Request, error: Exception) -> Response:
        body = json.dumps(ApiError(404).body())
        return Response(body, 404, media_type="application/json; charset=utf-8")

    # Sign-in, webhooks and artifacts each bring a routes function of their own.
    app = Starlette(
        routes=[
            *control.routes(simulator),
            *account_routes.routes(gate),
            *oauth_routes.routes(gate),
            *repository_routes.routes(gate),
            *hook_routes.routes(gate, hooks),
            *ci_routes.routes(gate),
            *artifact_routes.routes(gate),
            *rerun.routes(gate),
            *pull_routes.routes(gate),
            *issue_routes.routes(gate),
            *git_routes.routes(gate),
            *graphql_routes.routes(gate),
            *repository_routes.commit_routes(gate),
            *pages.routes(simulator),
        ],
        exception_handlers={404: answer_unknown, 405: refuse_method},
    )
    app.state.hooks = hooks
    return app


def make_server(simulator: Simulator, *, host: str = "127.0.0.1", port: int = 0) -> uvicorn.Server:
    config = uvicorn.Config(
        make_app(simulator), host=host, port=port, access_log=False, log_level="critical", lifespan="off",
        server_header=False, timeout_graceful_shutdown=1,
    )  # fmt: skip
    return uvicorn.Server(config)


def listening_port(server: uvicorn.Server) -> int:
    """The port of a started server, of use when it was asked to choose one."""
    port: int = server.servers[0].sockets[0].getsockname()[1]
    return port

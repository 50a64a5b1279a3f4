"""The application: all routes together."""

import json

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from project.simulator import account_routes, ci_routes, control, pages, repository_routes
from project.simulator.clock import Clock
from project.simulator.gate import ApiError, Gate, Simulator
from project.simulator.limits import Limits
from project.simulator.world import World


def make_simulator(
    *,
    seed: int = 1,
    scale: str = "default",
    speed: float = 1.0,
    start: float | None = None,
    anchor: float | None = None,
    hourly_limit: int = 5000,
) -> Simulator:
    """A world and all that surrounds it. For `start` and `anchor`, in seconds since the epoch, see `Clock`."""
    world = World(seed=seed, scale=scale, clock=Clock(start=start, speed=speed, anchor=anchor))
    return Simulator(world, Limits(hourly=hourly_limit))


def make_app(simulator: Simulator) -> Starlette:
    gate = Gate(simulator)

    def unknown(call: object) -> None:
        raise ApiError(404)

    not_found = gate(unknown, "unknown")

    async def answer_unknown(request: Request, error: Exception) -> Response:
        response: Response = await not_found(request)
        return response

    async def refuse_method(request: Request, error: Exception) -> Response:
        body = json.dumps(ApiError(404).body())
        return Response(body, 404, media_type="application/json; charset=utf-8")

    # Later: issues, pull requests, writes, GraphQL, sign-in and webhooks each bring a routes function of their own.
    return Starlette(
        routes=[
            *control.routes(simulator),
            *account_routes.routes(gate),
            *repository_routes.routes(gate),
            *ci_routes.routes(gate),
            *repository_routes.commit_routes(gate),
            *pages.routes(simulator),
        ],
        exception_handlers={404: answer_unknown, 405: refuse_method},
    )


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

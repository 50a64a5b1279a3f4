"""`/_simulator/…`: steer the world, ask for trouble, read counters and the truth. Not part of GitHub, not limited."""

import itertools
import re
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from project.simulator import landing
from project.simulator.clock import iso, parse_iso
from project.simulator.faults import KINDS, Fault
from project.simulator.gate import Counts, Simulator
from project.simulator.world import Overlay
from project.simulator.writes import Writes

# What a careless page would choke on.
HOSTILE_TITLES = (
    "<script>alert('trunk')</script><img src=x onerror=alert(1)> (#1)",
    "\u202egnippilf txet\u202c \u200f[fx]\u200f Right-to-left marks \u2066inside\u2069 (#2)",
    "A NUL\u0000 in the middle and a bell\u0007 (#3)",
    "Very long " + "n" * 10_000 + " (#4)",
    '[nn] Emoji \U0001f333\U0001f9ea, combining a\u0301\u0323, and \u00abquotes\u00bb & ampersands &amp; "all" (#5)',
)

Body = dict[str, Any]


def _clock(simulator: Simulator, body: Body) -> Body:
    """{"set": ISO} {"advance": seconds} {"speed": n}; any of them, in this order."""
    clock = simulator.world.clock
    if "speed" in body:
        clock.set_speed(float(body["speed"]))
    if "set" in body:
        clock.set(parse_iso(str(body["set"])))
    if "advance" in body:
        clock.advance(float(body["advance"]))
    return {"now": iso(clock.now()), "speed": clock.speed}


def _faults(simulator: Simulator, body: Body) -> Body:
    """{"kind": …, "count": 1, "match": regex over the path, "method", "status", "message", "retry_after", "seconds"}.

    With {"before": true} the request has no effect; otherwise it has, and only its answer is spoilt. {"clear": true}
    forgets all that wait.
    """
    if body.get("clear"):
        simulator.faults.queue.clear()
    if "kind" in body:
        if body["kind"] not in KINDS:
            raise ValueError(f"kind is one of {', '.join(KINDS)}")
        match = re.compile(str(body["match"])) if body.get("match") else None
        simulator.faults.add(
            Fault(body["kind"], int(body.get("count", 1)), match, int(body.get("status", 0)),
                  body.get("retry_after"), float(body.get("seconds", 0)), bool(body.get("before")),
                  str(body.get("method", "")).upper(), str(body.get("message", "")))
        )  # fmt: skip
    return {"waiting": [{"kind": fault.kind, "count": fault.count} for fault in simulator.faults.queue]}


def _limits(simulator: Simulator, body: Body) -> Body:
    """{"exhaust": seconds until reset, "token": optional} {"hourly": n} {"anonymous": n} {"content": n a minute}
    {"graphql": points an hour} {"clear": true}."""
    simulator.limits.content = int(body.get("content", simulator.limits.content))
    simulator.limits.points = int(body.get("graphql", simulator.limits.points))
    if "hourly" in body or "anonymous" in body or body.get("clear"):
        simulator.limits.clear(hourly=body.get("hourly"), anonymous=body.get("anonymous"))
    if "exhaust" in body:
        simulator.limits.exhaust(body.get("token"), int(body["exhaust"]))
    return {"hourly": simulator.limits.hourly, "anonymous": simulator.limits.anonymous}


def _tokens(simulator: Simulator, body: Body) -> Body:
    """{"revoke": token} {"restore": token}: a revoked token gets 401."""
    if "revoke" in body:
        simulator.revoked.add(str(body["revoke"]))
    simulator.revoked.discard(str(body.get("restore", "")))
    return {"revoked": len(simulator.revoked)}


def _overlay(simulator: Simulator, body: Body) -> Body:
    """What happens to the repository itself.

    {"force_push": k}: trunk's last k commits are dropped. {"rename": "owner/repo"}. {"delete_branch": name}.
    {"gone": 404 | 410 | 403 | null}. {"title": text, "sha": optional}: a commit's whole message, of trunk's head if
    no sha is given. {"hostile_titles": true}: the newest commits get titles from hell. {"quiet": true | false}:
    nothing lands and nothing new starts from now on, but for what requests write. {"reset": true}: all of this and all
    that requests wrote is undone, before the rest.
    """
    world = simulator.world
    if body.get("reset"):
        world.overlay, world.writes = Overlay(), Writes()
        simulator.written()
    overlay = world.overlay
    now = world.now()
    head = world.resolve("main", now)
    assert head is not None
    if "force_push" in body:
        overlay.dropped |= {commit.sha for commit in itertools.islice(world.ancestors(head), int(body["force_push"]))}
    if "rename" in body:
        owner, _, repo = str(body["rename"]).partition("/")
        overlay.renamed_to = (owner, repo)
    if "delete_branch" in body:
        overlay.deleted_branches.add(str(body["delete_branch"]))
    if "gone" in body:
        overlay.gone = None if body["gone"] is None else int(body["gone"])
    if "title" in body:
        overlay.titles[str(body.get("sha") or head.sha)] = str(body["title"])
    if body.get("hostile_titles"):
        for title, commit in zip(HOSTILE_TITLES, world.ancestors(head), strict=False):
            overlay.titles[commit.sha] = title
    if "quiet" in body:
        overlay.quiet_from = now if body["quiet"] else None
    return {
        "full_name": world.full_name,
        "dropped": sorted(overlay.dropped),
        "deleted_branches": sorted(overlay.deleted_branches),
        "titles": len(overlay.titles),
        "gone": overlay.gone,
        "quiet_from": None if overlay.quiet_from is None else iso(overlay.quiet_from),
    }


def _counts(simulator: Simulator, body: Body) -> Body:
    # Not `asdict`: it would rebuild each Counter from its items and so count those.
    told = dict(vars(simulator.counts))
    if body.get("reset"):
        simulator.counts = Counts()
    return told


def _state(simulator: Simulator, body: Body) -> Body:
    world = simulator.world
    return {
        "now": iso(world.now()),
        "speed": world.clock.speed,
        "seed": world.seed,
        "scale": world.catalogue.scale,
        "full_name": world.full_name,
        "branches": {name: head.sha for name, head in world.branches(world.now())},
        "configurations": len(world.catalogue.configurations),
    }


def _land(simulator: Simulator, body: Body) -> Body:
    """{"pull": number, optional}: what the maintainer or the merge bot is about to land, lands now."""
    world = simulator.world
    landed = landing.hurry(world, world.now(), int(body["pull"]) if "pull" in body else None)
    simulator.written()
    return {"landed": landed, "waiting": sum(x.at > world.now() for x in world.writes.landings)}


def _truth(simulator: Simulator, body: Body) -> Body:
    """{"since": ISO, "until": ISO}, by default the last day."""
    since, until = body.get("since"), body.get("until")
    return simulator.world.truth(parse_iso(str(since)) if since else None, parse_iso(str(until)) if until else None)


_ENDPOINTS: dict[str, tuple[Callable[[Simulator, Body], Body], tuple[str, ...]]] = {
    "state": (_state, ("GET",)),
    "clock": (_clock, ("GET", "POST")),
    "faults": (_faults, ("GET", "POST")),
    "limits": (_limits, ("GET", "POST")),
    "tokens": (_tokens, ("POST",)),
    "overlay": (_overlay, ("GET", "POST")),
    "counts": (_counts, ("GET", "POST")),
    "truth": (_truth, ("GET",)),
    "land": (_land, ("POST",)),
}


def routes(simulator: Simulator) -> list[Route]:
    def endpoint(handler: Callable[[Simulator, Body], Body]) -> Callable[[Request], Any]:
        async def inner(request: Request) -> Response:
            try:
                body = dict(request.query_params)
                if request.method == "POST" and await request.body():
                    body = await request.json()
                with simulator.world.lock:
                    return JSONResponse(handler(simulator, body))
            except (ValueError, KeyError, TypeError) as error:
                return JSONResponse({"message": str(error)}, 400)

        return inner

    return [
        Route(f"/_simulator/{name}", endpoint(handler), methods=list(methods))
        for name, (handler, methods) in _ENDPOINTS.items()
    ]

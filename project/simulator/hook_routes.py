"""Endpoints for webhooks: register, list, look at deliveries, send one again; and `/_simulator/hooks` for trouble."""

from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from project.simulator.gate import ApiError, Call, Gate
from project.simulator.hooks import FAULTS, Hook, Hooks, Sent, as_json, delivery_json
from project.simulator.payloads import Json
from project.simulator.repository_routes import both


def routes(gate: Gate, hooks: Hooks) -> list[Route]:
    def the_hook(call: Call) -> Hook:
        found = hooks.hooks.get(call.number("hook_id"))
        if found is None:
            raise ApiError(404)
        return found

    def listed(call: Call) -> list[Json]:
        return [as_json(hooks, hook, call.base) for hook in call.paged(list(hooks.hooks.values()))]

    def one(call: Call) -> Json:
        return as_json(hooks, the_hook(call), call.base)

    def remove(call: Call) -> Response:
        hooks.hooks.pop(the_hook(call).id)
        return Response(status_code=204)

    def register(call: Call) -> Json:
        body = call.json()
        config = body.get("config")
        config = config if isinstance(config, dict) else {}
        url = config.get("url")
        if not isinstance(url, str) or urlsplit(url).scheme not in ("http", "https"):
            problem = {"resource": "Hook", "code": "custom", "message": "Config must contain URL for webhooks"}
            raise ApiError(422, "Validation Failed", errors=[problem])
        if any(hook.url == url for hook in hooks.hooks.values()):
            problem = {"resource": "Hook", "code": "custom", "message": "Hook already exists on this repository"}
            raise ApiError(422, "Validation Failed", errors=[problem])
        events = frozenset(str(event) for event in body.get("events") or ["push"])
        return as_json(hooks, hooks.add(url, str(config.get("secret") or ""), events, call.base), call.base)

    def deliveries(call: Call) -> list[Json]:
        hook = the_hook(call)
        found = [sent for sent in reversed(hooks.sent.values()) if sent.hook is hook and sent.status != "pending"]
        if call.query("status") == "success":
            found = [sent for sent in found if sent.status_code < 400]
        elif call.query("status") == "failure":
            found = [sent for sent in found if sent.status_code >= 400]
        if cursor := call.query("cursor"):
            if not cursor.isdigit():
                raise ApiError(422, "Invalid cursor")
            found = [sent for sent in found if sent.id <= int(cursor)]
        _, size = call.page_size()
        if len(found) > size:
            path = f"{call.base}/repositories/{call.world.id}/hooks/{hook.id}/deliveries"
            kept = f"&status={call.query('status')}" if call.query("status") else ""
            call.headers["link"] = f'<{path}?per_page={size}{kept}&cursor={found[size].id}>; rel="next"'
        return [delivery_json(sent, call.world.id) for sent in found[:size]]

    def the_delivery(call: Call) -> Sent:
        sent = hooks.sent.get(call.number("delivery_id"))
        if sent is None or sent.hook is not the_hook(call):
            raise ApiError(404)
        return sent

    def delivery(call: Call) -> Json:
        sent = the_delivery(call)
        return {**delivery_json(sent, call.world.id), "url": sent.hook.url}

    def attempt(call: Call) -> Response:
        hooks.again(the_delivery(call))
        return JSONResponse({}, 202)

    async def control(request: Request) -> Response:
        """{"lose": 0.1, "repeat": …, "seconds": 5} sets shares of deliveries; {"clear": true} ends all trouble."""
        body: dict[str, Any] = await request.json() if request.method == "POST" and await request.body() else {}
        if body.get("clear"):
            hooks.shares.shares.clear()
        unknown = set(body) - {*FAULTS, "clear", "seconds"}
        if unknown:
            return JSONResponse({"message": f"a fault is one of {', '.join(FAULTS)}"}, 400)
        hooks.shares.shares |= {name: float(body[name]) for name in FAULTS if name in body}
        hooks.shares.seconds = float(body.get("seconds", hooks.shares.seconds))
        counted: dict[str, int] = {}
        for sent in list(hooks.sent.values()):
            counted[sent.status] = counted.get(sent.status, 0) + 1
        return JSONResponse({"shares": hooks.shares.shares, "deliveries": counted, "idle": hooks.idle()})

    return [
        *both(gate, "/hooks", listed),
        *both(gate, "/hooks", register, ["POST"]),
        *both(gate, "/hooks/{hook_id}", one),
        *both(gate, "/hooks/{hook_id}", remove, ["DELETE"]),
        *both(gate, "/hooks/{hook_id}/deliveries", deliveries),
        *both(gate, "/hooks/{hook_id}/deliveries/{delivery_id}", delivery),
        *both(gate, "/hooks/{hook_id}/deliveries/{delivery_id}/attempts", attempt, ["POST"]),
        Route("/_simulator/hooks", control, methods=["GET", "POST"]),
    ]

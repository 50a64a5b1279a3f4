"""What every request that writes passes through, after the gate: it needs a token and may be creating too much."""

from collections.abc import Callable
from typing import Any

from project.simulator.gate import ApiError, Call, Handler
from project.simulator.payloads import Json, minimal_repository, person

_TOO_FAST = (
    "You have exceeded a secondary rate limit and have been temporarily blocked from content creation. Please retry "
    "your request again later."
)


def writing(handler: Handler, *, creates: bool = False) -> Handler:
    """A handler that changes something. `creates`: it counts as content creation."""

    def inner(call: Call) -> Any:
        if not call.token:
            raise ApiError(401, "Requires authentication")
        if creates and not call.simulator.limits.may_create(call.token):
            raise ApiError(403, _TOO_FAST, headers={"retry-after": "60"})
        return handler(call)

    return inner


def invalid(resource: str, field: str, code: str, message: str = "", *, top: str = "Validation Failed") -> ApiError:
    """GitHub's 422."""
    error = {"resource": resource, "field": field, "code": code}
    return ApiError(422, top, errors=[{**error, "message": message} if message else error])


def text(body: Json, name: str, resource: str, *, required: bool = True) -> str:
    """A field of the body that must be text."""
    value = body.get(name)
    if value is None and not required:
        return ""
    if value is None:
        raise invalid(resource, name, "missing_field")
    if not isinstance(value, str):
        raise ApiError(422, f"Invalid request.\n\nFor 'properties/{name}', {value!r} is not a string.")
    return value


def tell(call: Call, event: str, action: str | None, make: Callable[[], Json]) -> None:
    """Tell listeners of a webhook event, which is only put together if there are any."""
    if not call.simulator.listeners:
        return
    payload = {
        **({"action": action} if action else {}),
        **make(),
        "repository": minimal_repository(call.world, call.base),
        "sender": person(call.actor, call.base),
    }
    call.simulator.tell(event, payload)

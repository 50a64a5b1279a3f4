"""Endpoints that belong to a token: its rate limit, its installation."""

import base64
import binascii
import json
import time

from starlette.routing import Route

from project.simulator.clock import iso
from project.simulator.gate import TOKEN_SECONDS, ApiError, Call, Gate
from project.simulator.payloads import Json


def rate_limit(call: Call) -> Json:
    window = call.simulator.limits.window(call.token)
    untouched = {"limit": 30, "used": 0, "remaining": 30, "reset": int(time.time()) + 60}
    graphql = call.simulator.limits.graphql(call.token).as_json()
    return {
        "resources": {"core": window.as_json(), "search": untouched, "graphql": graphql},
        "rate": window.as_json(),
    }


def create_installation_token(call: Call) -> Json:
    """Accept any JWT that says RS256 and has not expired; whose key signed it is not checked."""
    head, _, rest = call.token.partition(".")
    try:
        header = json.loads(_decode(head))
        claims = json.loads(_decode(rest.partition(".")[0]))
        good = header["alg"] == "RS256" and int(claims["exp"]) > time.time() and bool(str(claims["iss"]))
        long = int(claims["exp"]) > time.time() + 660
    except (ValueError, KeyError, TypeError, binascii.Error):
        raise ApiError(401, "A JSON web token could not be decoded") from None
    if long:
        raise ApiError(401, "'Expiration time' claim ('exp') is too far in the future")
    if not good:
        raise ApiError(401, "'Expiration time' claim ('exp') must be a numeric value representing the future time")
    expires = int(time.time()) + TOKEN_SECONDS
    return {
        "token": call.simulator.installation_token(expires),
        "expires_at": iso(expires),
        "permissions": {"actions": "read", "checks": "read", "contents": "read", "metadata": "read",
                        "statuses": "read"},
        "repository_selection": "selected",
    }  # fmt: skip


def _decode(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def routes(gate: Gate) -> list[Route]:
    return [
        Route("/rate_limit", gate(rate_limit, "/rate_limit", free=True)),
        Route(
            "/app/installations/{installation_id}/access_tokens",
            gate(create_installation_token, "/app/installations/{id}/access_tokens", free=True),
            methods=["POST"],
        ),
    ]

"""What GitHub says about the deliveries of a webhook, and asking for one to be sent again.

A repository's webhook is asked about with the usual credential, which must be allowed to administer it; a GitHub App's
own with a token that the App signs itself.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote, urlencode

import jwt
import requests

from .budget import Budget, Priority
from .client import PER_PAGE, USER_AGENT, RepoRef
from .errors import BadAnswer, BadCredentials
from .fields import as_dict, as_object, read_id, read_text, required_date
from .pacing import Pace
from .payloads import PayloadError
from .tokens import JWT_BACKDATED, JWT_LIFE, TokenSource
from .transport import Transport, origin

OK: Final = "OK"


@dataclass(frozen=True, slots=True)
class DeliveryPayload:
    """One try to deliver an event. Tries of one event share the GUID; `id` is the try's own."""

    id: int
    guid: str
    delivered_at: datetime
    status: str
    event: str
    redelivery: bool


class AppJwt:
    """The App itself, as opposed to one of its installations."""

    def __init__(self, app_id: str, private_key: str) -> None:
        self._app_id, self._private_key = app_id, private_key

    def __repr__(self) -> str:
        return f"AppJwt(app {self._app_id})"

    def header(self) -> str:
        """Bearer and a token for ten minutes."""
        now = int(time.time())
        claims = {"iss": self._app_id, "iat": now - JWT_BACKDATED, "exp": now + JWT_LIFE}
        try:
            return "Bearer " + jwt.encode(claims, self._private_key, algorithm="RS256")
        except (ValueError, TypeError, jwt.PyJWTError):
            pass
        raise BadCredentials("GET /app/hook", "The GitHub App's private key is not a usable RSA key (PEM).")

    def fingerprint(self) -> str:
        """Of the App: nothing is cached under it."""
        return f"app-{self._app_id}"

    def credential(self) -> str:
        """Of the App."""
        return self.fingerprint()

    def forget(self) -> None:
        """Another one is made each time."""


class HookDeliveries:
    """The deliveries of one webhook: a repository's if `repo` is given, else the App's own. Raises `GitHubError`."""

    def __init__(
        self,
        *,
        token: TokenSource,
        api_url: str,
        budget: Budget,
        pace: Pace,
        repo: RepoRef | None,
        hook_id: int,
        session: requests.Session | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._transport = Transport(
            token=token, api_url=api_url, budget=budget, session=session, timeout=(5, 30), sleep=sleep, retries=1,
            user_agent=USER_AGENT,
        )  # fmt: skip
        self._origin = origin(api_url)
        self._pace = pace
        place = f"repos/{quote(repo.owner)}/{quote(repo.name)}/hooks/{hook_id}" if repo else "app/hook"
        self._url = f"{api_url.rstrip('/')}/{place}/deliveries"
        self.hook_id = hook_id

    def pages(self) -> Iterator[list[DeliveryPayload]]:
        """The newest first. What makes no sense is left out: it can be neither judged nor asked for."""
        url: str | None = f"{self._url}?{urlencode({'per_page': PER_PAGE})}"
        seen: set[str] = set()
        while url is not None and url not in seen:
            seen.add(url)
            answer = self._transport.get(url, etag=None, priority=Priority.LOW)
            if not isinstance(answer.data, list):
                raise BadAnswer(f"GET {self._transport.path(url)}", "there is no list of deliveries in it")
            yield [found for item in answer.data if (found := _read(item)) is not None]
            links = requests.utils.parse_header_links(answer.headers.get("link", ""))
            url = next((link.get("url") for link in links if link.get("rel") == "next"), None)
            if url is not None and origin(url) != self._origin:
                raise BadAnswer(f"GET {self._transport.path(self._url)}", "its next page is on another host")

    def send_again(self, delivery_id: int) -> None:
        """Have GitHub send it again, under the same GUID."""
        self._transport.send("POST", f"{self._url}/{delivery_id}/attempts", None, pace=self._pace)


def _read(item: Any) -> DeliveryPayload | None:
    kind = "delivery"
    try:
        it = as_object(item, kind)
        return DeliveryPayload(
            read_id(it, "id", kind),
            read_text(it.get("guid"), 64),
            required_date(it, "delivered_at", kind),
            read_text(it.get("status"), 200),
            read_text(as_dict(it).get("event"), 50),
            it.get("redelivery") is True,
        )
    except PayloadError:
        return None

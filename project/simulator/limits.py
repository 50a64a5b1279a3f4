"""Rate limits per token, in real time: the client's clock is the real one, whatever the world's clock does."""

import time
from dataclasses import dataclass

WINDOW = 3600  # seconds


@dataclass
class Window:
    limit: int
    reset: int  # seconds since the epoch
    used: int = 0
    resource: str = "core"

    @property
    def remaining(self) -> int:
        return max(0, self.limit - self.used)

    def headers(self) -> dict[str, str]:
        return {
            "x-ratelimit-limit": str(self.limit),
            "x-ratelimit-remaining": str(self.remaining),
            "x-ratelimit-used": str(self.used),
            "x-ratelimit-reset": str(self.reset),
            "x-ratelimit-resource": self.resource,
        }

    def as_json(self) -> dict[str, int]:
        return {"limit": self.limit, "used": self.used, "remaining": self.remaining, "reset": self.reset}


class Limits:
    """One window per token; those without a token share one, as those behind one address do at GitHub."""

    def __init__(self, *, hourly: int = 5000, anonymous: int = 60) -> None:
        self.hourly, self.anonymous = hourly, anonymous
        self.points = 5000  # of GraphQL, an hour
        self.content = 80  # comments, pull requests and the like that a token may create in a minute
        self._windows: dict[str, Window] = {}
        self._graphql: dict[str, Window] = {}
        self._created: dict[str, list[float]] = {}

    def window(self, token: str) -> Window:
        now = int(time.time())
        found = self._windows.get(token)
        if found is None or now >= found.reset:
            found = Window(self.hourly if token else self.anonymous, now + WINDOW)
            self._windows[token] = found
        return found

    def graphql(self, token: str) -> Window:
        now = int(time.time())
        found = self._graphql.get(token)
        if found is None or now >= found.reset:
            found = self._graphql[token] = Window(self.points, now + WINDOW, resource="graphql")
        return found

    def may_create(self, token: str) -> bool:
        """Count something created, unless a token has created too much in the last minute."""
        now = time.time()
        recent = [moment for moment in self._created.get(token, []) if moment > now - 60]
        if len(recent) >= self.content:
            return False
        self._created[token] = [*recent, now]
        return True

    def exhaust(self, token: str | None, seconds: int) -> None:
        """Leave nothing until `seconds` from now, to one token or to all known ones."""
        for name in list(self._windows) if token is None else [token]:
            window = self.window(name)
            window.used, window.reset = window.limit, int(time.time()) + seconds

    def clear(self, *, hourly: int | None = None, anonymous: int | None = None) -> None:
        """Forget what was used, and perhaps set new limits."""
        self.hourly = self.hourly if hourly is None else hourly
        self.anonymous = self.anonymous if anonymous is None else anonymous
        self._windows.clear()
        self._graphql.clear()
        self._created.clear()

"""Reads the environment, typed. Every wrong value is remembered, and `stop_if_wrong` names them, one line each."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn
from urllib.parse import unquote, urlsplit

import environ

TRUE, FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}
REPOSITORY_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,99})/[A-Za-z0-9._-]{1,100}")


class Environment:
    """The variables a deployment may set, and what was wrong with them."""

    def __init__(self, values: Mapping[str, str] = os.environ) -> None:
        self.values = values
        self.known: set[str] = set()
        self.problems: list[str] = []
        self.warnings: list[str] = []

    def text(self, name: str, default: str = "") -> str:
        """A value as it stands; a variable set to nothing counts as not set, as compose files do that."""
        self.known.add(name)
        return self.values.get(name, "").strip() or default

    def flag(self, name: str, *, default: bool = False) -> bool:
        value = self.text(name).lower()
        if value and value not in TRUE | FALSE:
            self.wrong(name, "true or false", value)
        return value in TRUE if value else default

    def number(self, name: str, default: int, *, least: int, most: int) -> int:
        value = self.text(name)
        if not value:
            return default
        if not re.fullmatch(r"[0-9]{1,12}", value) or not least <= int(value) <= most:
            self.wrong(name, f"a number from {least} to {most}", value)
            return default
        return int(value)

    def choice(self, name: str, choices: Sequence[str], default: str) -> str:
        value = self.text(name, default)
        if value not in choices:
            self.wrong(name, "one of " + ", ".join(choices), value)
            return default
        return value

    def names(self, name: str, default: Sequence[str] = ()) -> list[str]:
        """Names separated by commas."""
        parts = [part.strip() for part in self.text(name).split(",")]
        return [part for part in parts if part] or list(default)

    def repositories(self, name: str) -> list[str]:
        found = self.names(name)
        for value in found:
            if not REPOSITORY_NAME.fullmatch(value):
                self.wrong(name, "owner/name, several separated by commas, such as pytorch/pytorch", value)
        return found

    def address(self, name: str, default: str) -> str:
        """The address of an HTTP server, without a slash at its end."""
        value = self.text(name, default)
        if not _is_address(value):
            self.wrong(name, "an address such as https://github.example.org/api/v3", _without_password(value))
        return value.rstrip("/")

    def hosts(self, name: str, default: Sequence[str]) -> list[str]:
        """Host names, without scheme, port or path."""
        found = self.names(name, default)
        for value in found:
            if not re.fullmatch(r"\*|\.?[A-Za-z0-9_.-]+|\[[0-9a-fA-F:]+\]", value):
                self.wrong(name, "host names without https:// or port, separated by commas", value)
        return found

    def database(self, name: str, default: str) -> dict[str, Any]:
        """A PostgreSQL address as Django wants it. A UNIX socket's directory goes in the host's place, quoted."""
        value = self.text(name, default)
        wanted = "an address such as postgresql://user:password@host:5432/database"
        try:
            parts = urlsplit(value)
            if parts.scheme not in {"postgres", "postgresql", "psql", "pgsql"} or len(parts.path) < 2:
                raise ValueError
            _ = parts.port
            found: dict[str, Any] = environ.Env.db_url_config(value)
        except ValueError:
            self.wrong(name, wanted, _without_password(value))
            return {"ENGINE": "django.db.backends.postgresql", "NAME": "arborist"}
        return {**found, "HOST": unquote(found.get("HOST", ""))}

    def redis(self, name: str, default: str) -> str:
        value = self.text(name, default)
        try:
            parts = urlsplit(value)
            right = bool(parts.path if parts.scheme == "unix" else parts.hostname)
            right &= parts.scheme in {"redis", "rediss", "unix"}
            _ = parts.port
        except ValueError:
            right = False
        if not right:
            self.wrong(name, "an address such as redis://host:6379/0", _without_password(value))
            return default
        return value

    def wrong(self, name: str, wanted: str, got: str | None = None) -> None:
        """Remember a problem. `got` is left out where the value is a secret."""
        said = "" if got is None else f", not {_short(got)}"
        self.problems.append(f"{name} must be {wanted}{said}.")

    def problem(self, sentence: str) -> None:
        """Remember a problem that takes words of its own."""
        self.problems.append(sentence)

    def warn_of_unknown(self, prefix: str) -> None:
        """A variable that nothing reads is most likely misspelt."""
        for name in sorted(self.values):
            if name.startswith(prefix) and name not in self.known:
                close = difflib.get_close_matches(name, self.known, n=1)
                meant = f" Did you mean {close[0]}?" if close else ""
                self.warnings.append(f"{name} is set, but there is no such setting.{meant}")

    def stop_if_wrong(self) -> None:
        """End the process, without a traceback, if anything was wrong."""
        if self.problems:
            _stop(self.problems)


def _stop(problems: Sequence[str]) -> NoReturn:
    # Not ImproperlyConfigured: uvicorn, Celery and Django each show that in their own way, mostly as a traceback.
    raise SystemExit("\n".join(f"arborist: {problem}" for problem in problems))


def _is_address(value: str) -> bool:
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and not parts.query and not parts.fragment


def _without_password(url: str) -> str:
    return re.sub(r"//[^/]*@", "//…@", url)


def _short(value: str) -> str:
    shown = value if len(value) <= 60 else value[:59] + "…"
    return "“" + "".join(letter if letter.isprintable() else "?" for letter in shown) + "”"

"""How log lines look: JSON for machines, one short line for people. Neither ever shows a configured secret."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from pythonjsonlogger.json import JsonFormatter

HIDDEN = "[hidden]"
SHORTEST_SECRET = 6  # anything shorter would also be found where it is no secret


def _worth_hiding(secrets: Iterable[str]) -> tuple[str, ...]:
    return tuple(secret for secret in secrets if len(secret) >= SHORTEST_SECRET)


class Masking(logging.Formatter):
    """Takes secrets out of the finished line, so that tracebacks and arguments are covered too."""

    secrets: tuple[str, ...] = ()

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        for secret in self.secrets:
            line = line.replace(secret, HIDDEN)
        return line


OWN_FIELDS = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "color_message"}


class Text(Masking):
    """For a terminal: level, logger, message, and whatever was passed as `extra`."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__("%(levelname)s %(name)s: %(message)s")
        self.secrets = _worth_hiding(secrets)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """The line before any traceback."""
        more = [f"{name}={value}" for name, value in record.__dict__.items() if name not in OWN_FIELDS]
        return " ".join([super().formatMessage(record), *more])


class Json(Masking, JsonFormatter):
    """One JSON object a line: time, level, logger, message, and whatever was passed as `extra`."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        JsonFormatter.__init__(
            self,
            "%(levelname)s %(name)s %(message)s",
            rename_fields={"levelname": "level", "name": "logger"},
            timestamp="time",
        )
        self.secrets = _worth_hiding(secrets)

"""Sends a message to an address of the notification library (apprise), within a bounded time, and keeps it secret.

Such an address holds passwords and tokens, so no part of it may reach a log, a page or a problem's words.
"""

from __future__ import annotations

import logging
import re
from typing import Any

import apprise

CONNECT_SECONDS, READ_SECONDS, WHOLE_SECONDS = 5.0, 15.0, 60.0
HIDDEN = "…"

# These write to the machine that Arborist runs on, or run something there: nobody would see them.
LOCAL = frozenset(
    {"dbus", "qt", "glib", "kde", "gnome", "macosx", "windows", "syslog", "file", "exec", "kdeglobal", "growl"}
)

# The library logs whole addresses at the level of DEBUG, and its own account of each sending above it.
logging.getLogger("apprise").setLevel(logging.WARNING)


class BadTarget(ValueError):  # noqa: N818 - reads as what it is
    """An address that can't be used, with the reason in words that don't contain it."""


def check(target: str) -> None:
    """Refuse what nothing could be sent to."""
    _plugin(target)


def describe(target: str) -> str:
    """What may be shown of an address: which service it is of."""
    try:
        return str(_plugin(target).service_name)
    except BadTarget:
        return "unusable"


def announce(target: str, title: str, body: str) -> str:
    """Send the message; returns what went wrong, in words without any part of the address; empty if nothing did."""
    try:
        plugin = _plugin(target)
    except BadTarget as error:
        return str(error)
    sender = apprise.Apprise(asset=_asset())
    sender.add(plugin)
    with apprise.LogCapture(level=logging.WARNING) as captured:  # type: ignore[no-untyped-call]
        try:
            sent = sender.notify(body=body, title=title, body_format=apprise.NotifyFormat.TEXT)
        except Exception as error:  # whatever one of a hundred plugins may raise: this alert fails, not the task
            return f"The library failed: {type(error).__name__}."
        said = captured.getvalue()
    if sent:
        return ""
    return _without(target, _first_line(said)) or "The service did not take it."


def _asset() -> apprise.AppriseAsset:
    # No attachments, no configuration files, no plugins from elsewhere, and no persistent store on this disk.
    return apprise.AppriseAsset(
        app_id="Arborist", app_desc="Arborist", app_url="", async_mode=False,
        service_timeout=WHOLE_SECONDS, storage_mode=apprise.PersistentStoreMode.MEMORY,
    )  # fmt: skip


def _plugin(target: str) -> Any:
    scheme = target.partition("://")[0].lower()
    if scheme in LOCAL or "://" not in target:
        raise BadTarget("This is not the address of a service that alerts can be sent to.")
    try:
        plugin = apprise.Apprise.instantiate(target, asset=_asset(), suppress_exceptions=True)
    except Exception:
        plugin = None
    if plugin is None:
        raise BadTarget("The notification library can't read this address.")
    # Whatever the address itself asks for (?rto=300&retry=5), a worker is not to wait longer; `hud.alerts` repeats.
    plugin.retry, plugin.optional = 0, False
    plugin.socket_connect_timeout = min(float(plugin.socket_connect_timeout or CONNECT_SECONDS), CONNECT_SECONDS)
    plugin.socket_read_timeout = min(float(plugin.socket_read_timeout or READ_SECONDS), READ_SECONDS)
    return plugin


_STAMP = re.compile(r"^[-0-9:, ]+ - [A-Z]+ - ")


def _first_line(said: str) -> str:
    lines = [_STAMP.sub("", line).strip() for line in said.splitlines()]
    return next((line for line in lines if line), "")[:300]


def _without(target: str, words: str) -> str:
    """The words with every part of the address that could be a secret taken out, host name included."""
    parts = {part for part in re.split(r"[/:@?&=,#]+", target) if len(part) > 3}
    for part in sorted(parts, key=len, reverse=True):
        if part.lower() not in ("https", "http", "json", "jsons"):
            words = words.replace(part, HIDDEN)
    return words

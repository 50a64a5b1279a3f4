"""Every write to GitHub: a row first, in the transaction that decides it; delivered by a worker; its fate told.

`from project import outbox`, then `outbox.queue(…)`, `outbox.cancel`, `outbox.retry`, `outbox.on_fate`, `outbox.Write`,
`outbox.summary`. See docs/outbox.md. The names are looked up when they are used, for models need their apps first.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from project.outbox.actions import cancel, queue, retry
    from project.outbox.counts import Summary, summary
    from project.outbox.fates import on_fate
    from project.outbox.kinds import BadPayload
    from project.outbox.models import State, Write

__all__ = ["BadPayload", "State", "Summary", "Write", "cancel", "on_fate", "queue", "retry", "summary"]

_WHERE = {
    "BadPayload": "kinds",
    "State": "models",
    "Summary": "counts",
    "Write": "models",
    "cancel": "actions",
    "on_fate": "fates",
    "queue": "actions",
    "retry": "actions",
    "summary": "counts",
}


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

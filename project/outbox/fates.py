"""Who is told when a write is done, has failed or was cancelled."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from project.outbox.models import Write

Told = Callable[[Write], None]

_told: defaultdict[str, list[Told]] = defaultdict(list)


def on_fate(kind: str, function: Told) -> None:
    """Have `function(write)` called in the transaction that records the fate of a write of this kind.

    Register in `AppConfig.ready`. Its changes and the fate are kept together or not at all; if it raises, the fate is
    recorded later, without asking GitHub again.
    """
    if function not in _told[kind]:
        _told[kind].append(function)


def tell(write: Write) -> None:
    """Call them."""
    for function in _told[write.kind]:
        function(write)

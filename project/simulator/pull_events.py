"""What happened to pull requests by the clock between two moments, as `pull_request` events.

Opened, pushed to, closed: those that were drawn, and what the maintainer or the merge bot landed. What a request does
at once (opening, closing, labels, comments) is told to listeners of `Simulator.on_write` instead.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from project.simulator.history import DAY
from project.simulator.payloads import Json
from project.simulator.pull_payloads import whole_pull
from project.simulator.pull_state import Item, item
from project.simulator.world import World


@dataclass(frozen=True, slots=True)
class PullEvent:
    at: int
    action: str  # opened | synchronize | closed | reopened
    number: int
    payload: Json  # without repository and sender
    sender: str


def between(world: World, since: float, until: float, base: str) -> Iterator[PullEvent]:
    """What happened after `since` and not after `until`, in no order."""
    numbers = {
        outline.number
        for day in range(int(since // DAY), int(until // DAY) + 1)
        for outline in world.pulls.alive_on(day)
    }
    numbers |= set(world.writes.pulls) | {landing.reverted for landing in world.writes.landings if landing.reverted}
    for number in sorted(numbers):
        found = item(world, number, until)
        if found is not None and found.is_pull:
            yield from _of(world, found, since, until, base)


def _of(world: World, found: Item, since: float, until: float, base: str) -> Iterator[PullEvent]:
    moments: list[tuple[int, str, str, dict[str, Any]]] = []
    if found.made is None:
        moments.append((found.created, "opened", found.author, {}))
    for before, push in zip(found.pushes, found.pushes[1:], strict=False):
        ends = {"before": before.head.sha, "after": push.head.sha}
        moments.append((push.at, "synchronize", found.author, ends))
    written = {edit.at for edit in world.writes.states if edit.number == found.number}
    moments += [
        (what.at, what.event, what.actor, {})
        for what in found.happenings
        if what.event in ("closed", "reopened") and what.at not in written
    ]
    for at, action, sender, more in moments:
        if since < at <= until:
            then = item(world, found.number, at) or found
            payload = {"number": found.number, "pull_request": whole_pull(world, base, then, at), **more}
            yield PullEvent(at, action, found.number, {"action": action, **payload}, sender)

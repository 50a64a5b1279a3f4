"""Which columns the grid has, in which order, folded into which groups; and how a commit's packed bytes become a row.

Everything here depends only on the configurations and on the view, not on the commits, so it is built once and kept: a
thousand columns' header costs more than the fifty rows below it.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, TypeVar

from hud.address import Address
from hud.groups import column_key
from hud.models import Configuration, JobName
from hud.names import is_unstable

T = TypeVar("T")


class Member(NamedTuple):
    """A configuration as a column: where its byte stands, and what it is called there."""

    slot: int
    full_name: str
    label: str
    unstable: bool


class Group(NamedTuple):
    """Configurations that share one column while folded."""

    name: str
    slug: str
    members: tuple[Member, ...]


class Column(NamedTuple):
    """A column on the page: a group's worst member, or (`single`) one member of an unfolded group.

    A group of which one member is shown is that member's column under the group's name.
    """

    group: Group
    members: tuple[Member, ...]
    single: bool
    unfolded: bool

    @property
    def name(self) -> str:
        """As spoken: “CUDA 12.8 sm86 / default”."""
        return f"{self.group.name} / {self.members[0].label}" if self.single else self.group.name

    @property
    def key(self) -> str:
        """The column's part of a details address: the slot, or the group's slug."""
        return str(self.members[0].slot) if len(self.members) == 1 else f"group/{self.group.slug}"


@dataclass(frozen=True)
class Layout:
    """All configurations of a repository, grouped and in order."""

    groups: tuple[Group, ...]
    size: int

    def group(self, slug: str) -> Group | None:
        """The group that an address calls `slug`."""
        return next((group for group in self.groups if group.slug == slug), None)

    @cached_property
    def by_slot(self) -> dict[int, tuple[Group, Member]]:
        """Where each slot's configuration stands."""
        return {member.slot: (group, member) for group in self.groups for member in group.members}


class Kept:
    """A small map that forgets what was not used for longest. One per process; safe for threads."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[Hashable, object] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, build: Callable[[], T]) -> T:
        """What is kept under `key`, built now if there is nothing yet."""
        found = self.find(key)
        if found is None:
            found = build()
            self.keep(key, found)
        return found  # type: ignore[return-value]

    def find(self, key: Hashable) -> object | None:
        """What is kept under `key`, or None."""
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
                return self._entries[key]
        return None

    def keep(self, key: Hashable, value: object) -> None:
        """Keep it, in place of what was not used for longest."""
        with self._lock:
            self._entries[key] = value
            while len(self._entries) > self._size:
                self._entries.popitem(last=False)

    def clear(self) -> None:
        """Forget everything (tests)."""
        with self._lock:
            self._entries.clear()


LAYOUTS = Kept(32)


def load(repository_id: int, layout_version: int) -> Layout:
    """The repository's layout, read anew only when `layout_version` has moved."""
    return LAYOUTS.get((repository_id, layout_version), lambda: _read(repository_id))


def _read(repository_id: int) -> Layout:
    rows = Configuration.objects.filter(repository_id=repository_id).values_list(
        "pk", "slot", "workflow", "name", "group", "group_order", "unstable"
    )
    # Unstable: a person marked it, or every name under which the configuration ever ran says so.
    unstable: dict[int, bool] = {}
    names = JobName.objects.filter(configuration__repository_id=repository_id)
    for pk, flag in names.values_list("configuration_id", "unstable").distinct():
        unstable[pk] = unstable.get(pk, True) and flag
    return arrange(
        (slot, workflow, name, group, order, marked or unstable.get(pk, False))
        for pk, slot, workflow, name, group, order, marked in rows
    )


def arrange(rows: Iterable[tuple[int, str, str, str, int, bool]]) -> Layout:
    """Groups in the rules' order; members by name, numbers in them counted as numbers."""
    grouped: dict[str, list[tuple[int, str, str, bool]]] = {}
    order: dict[str, int] = {}
    size = 0
    for slot, workflow, name, group, group_order, unstable in rows:
        title = group or workflow or "Other"
        grouped.setdefault(title, []).append((slot, workflow, name, unstable))
        order[title] = min(order.get(title, group_order), group_order)
        size = max(size, slot + 1)
    groups = []
    slugs: set[str] = set()
    for title in sorted(grouped, key=lambda title: column_key(title, order[title])):
        slug = base = re.sub(r"[^\w.]+", "-", title.lower()).strip("-") or "group"
        number = 1
        while slug in slugs:
            number += 1
            slug = f"{base}-{number}"
        slugs.add(slug)
        members = sorted(grouped[title], key=lambda row: column_key(f"{row[1]} / {row[2]}", 0))
        labels = short_labels([name for _, _, name, _ in members])
        groups.append(
            Group(
                title,
                slug,
                tuple(
                    Member(slot, f"{workflow} / {name}", label, unstable or is_unstable(workflow + name))
                    for (slot, workflow, name, unstable), label in zip(members, labels, strict=True)
                ),
            )
        )
    return Layout(tuple(groups), size)


def short_labels(names: Sequence[str]) -> list[str]:
    """Each name without the words that all of them begin with: a folded group's title says those already."""
    if len(names) < 2:
        return list(names)
    low, high = min(names), max(names)
    same = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    cut = max(low.rfind(mark, 0, same) + len(mark) for mark in (" / ", " (", ", ", "-"))
    if cut < 3 or not all(len(name) > cut for name in names):
        return list(names)
    opened = low[:cut].count("(") > low[:cut].count(")")
    return [name[cut:].removesuffix(")") if opened else name[cut:] for name in names]


class Shape:
    """The columns of a page, and how commits' packed bytes become its rows."""

    def __init__(self, columns: Sequence[Column], size: int) -> None:
        self.columns = tuple(columns)
        self._size = size
        groups = [column for column in columns if not column.single]
        # The largest group first: see `_worst`.
        self._groups = sorted(range(len(groups)), key=lambda index: -len(groups[index].members))
        most = len(groups[self._groups[0]].members) if groups else 0
        stacks = [[member.slot for member in groups[index].members] for index in self._groups]
        self._ranks = [[slots[rank] for slots in stacks if len(slots) > rank] for rank in range(most)]
        self._slots = [column.members[0].slot if column.single else None for column in columns]

    def rows(self, packed: Sequence[bytes]) -> tuple[list[bytes], list[bytes]]:
        """For each commit one byte a column; and one a group, which the sums on a phone are made of.

        All commits at once, column by column: a stride through the joined cells is a column, and a stride through the
        joined columns is a row, so no loop of Python's runs over the cells.
        """
        size, count = self._size, len(packed)
        joined = b"".join(packed)
        worst = self._worst(joined, count)
        folded = [b""] * len(self._groups)
        for place, index in enumerate(self._groups):
            folded[index] = worst[place * count : (place + 1) * count]
        groups = b"".join(folded)
        lines = groups
        if len(self._slots) > len(folded):
            next_group = iter(folded)
            lines = b"".join([next(next_group) if slot is None else joined[slot::size] for slot in self._slots])
        return [lines[row::count] for row in range(count)], [groups[row::count] for row in range(count)]

    def _worst(self, joined: bytes, count: int) -> bytes:
        """The columns of the groups, one after the other: each byte the largest of the members' bytes.

        The groups' first members, second members and so on are columns of one number each, and the larger of two such
        numbers' bytes is found for all bytes in a few operations. (Outcomes are below 128, so a byte's highest bit is
        free to say which of the two is larger.) Groups come largest first, so that those without another member are
        at the end.
        """
        if not self._ranks or not count:
            return b""
        size = self._size
        high = int.from_bytes(b"\x80" * (count * len(self._groups)), "little")
        result = 0
        for slots in self._ranks:
            other = int.from_bytes(b"".join([joined[slot::size] for slot in slots]), "little")
            larger = ((result | high) - other) & high
            keep = (larger << 1) - (larger >> 7)  # 255 where the result so far is at least the other
            result = other ^ ((other ^ result) & keep)
        return result.to_bytes(count * len(self._groups), "little")


def shape(layout: Layout, address: Address, keep: Callable[[Group, Member], bool]) -> Shape:
    """The columns of those members that `keep` leaves: folded into their groups, except where the address unfolds
    them."""
    columns: list[Column] = []
    for group in layout.groups:
        members = tuple(member for member in group.members if keep(group, member))
        if members:
            unfolded = len(members) > 1 and address.opens(group.slug)
            columns.append(Column(group, members, False, unfolded))
            if unfolded:
                columns.extend(Column(group, (member,), True, False) for member in members)
    return Shape(columns, layout.size)

"""What a person's regular expression costs: what it cannot match without, and whether it could take forever. Pure.

Python's `re` can neither be interrupted nor bounded, so an expression that is tried on strangers' text is looked at
before it is kept: by its shape, as `hud.groups` does, and by trying it on ever longer lines made to be hard for it.
"""

from __future__ import annotations

import importlib
import re
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

from hud import groups

SHORTEST_NEEDLE: Final = 3
MOST_SECONDS: Final = 0.03  # for one line
_LENGTHS: Final = (8, 12, 16, 20, 24, 28, 32, 40, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2000)


def check(patterns: Sequence[tuple[str, str]]) -> None:
    """Raise `groups.BadRule` at the first (name, pattern) that can't be used."""
    for position, (name, pattern) in enumerate(patterns):
        try:
            groups.compile_rules([groups.Rule(name.replace("\\", "/"), pattern)])
        except groups.BadRule as error:
            raise groups.BadRule(position, error.message.replace("of its group", ""), error.at) from None
        if reason := slow(pattern):
            raise groups.BadRule(position, reason)


def slow(pattern: str) -> str | None:
    """Why the expression is too slow for a log, found by trying; None if it is not.

    The lines grow in small steps, so that an expression whose time explodes is found out before it takes long.
    """
    compiled = re.compile(pattern)
    for length in _LENGTHS:
        for line in _hard_lines(pattern, length):
            started = time.process_time()
            compiled.search(line)
            spent = time.process_time() - started
            if spent > MOST_SECONDS:
                return f"it took {spent * 1000:.0f} ms on a line of {length} characters; make it simpler"
    return None


def _hard_lines(pattern: str, length: int) -> Iterator[str]:
    """Lines of what the expression itself asks for, again and again, that end in something else."""
    words = list(dict.fromkeys(_literals(pattern)))[:8]
    letters = dict.fromkeys("".join(words))
    units = [*words, "".join(words), *list(letters)[:12], "a", "0", "A", " ", ":", "/", "a.", "a: ", "a b "]
    for unit in dict.fromkeys(unit for unit in units if unit):
        repeated = unit * (length // len(unit) + 1)
        yield repeated[: length - 1] + "\x01"
    for word in words:
        # The beginning as asked for, and then what any repeat may eat.
        yield (word + "a" * length)[: length - 1] + "\x01"
        yield (word + "a " * length)[: length - 1] + "\x01"


def needles(pattern: str) -> tuple[str, ...]:
    """Texts in lower case of which every match contains at least one; empty if there are none that would help."""
    parsed = _parsed(pattern)
    return tuple(sorted(_best(parsed) or ())) if parsed is not None else ()


def _parsed(pattern: str) -> Any:
    try:
        # Not a public module, but the only parser there is; without it, rules are slower and nothing else.
        return importlib.import_module("re._parser").parse(pattern)
    except Exception:
        return None


def _best(items: Any) -> set[str] | None:
    """Of all sets that a sequence offers, the one whose shortest text is longest."""
    offers: list[set[str]] = []
    run = ""
    for op, value in [(str(op), value) for op, value in items] + [("END", None)]:
        if op == "LITERAL" and len(chr(value).lower()) == 1:
            run += chr(value).lower()
            continue
        if len(run) >= SHORTEST_NEEDLE:
            offers.append({run})
        run = ""
        if op == "BRANCH":
            branches = [_best(one) for one in value[1]]
            if all(branches):
                offers.append(set().union(*(one for one in branches if one)))
        elif op == "SUBPATTERN":
            if (inner := _best(value[3])) is not None:
                offers.append(inner)
        elif op == "ATOMIC_GROUP":
            if (inner := _best(value)) is not None:
                offers.append(inner)
        elif op.endswith("_REPEAT") and value[0] >= 1 and (inner := _best(value[2])) is not None:
            offers.append(inner)
    return max(offers, key=lambda offer: (min(map(len, offer)), -len(offer)), default=None)


def _literals(pattern: str) -> list[str]:
    """All runs of plain characters, wherever they stand."""
    found: list[str] = []
    run = ""
    stack: list[Any] = list(_parsed(pattern) or ())[::-1]
    while stack:
        item = stack.pop()
        if isinstance(item, tuple) and len(item) == 2 and str(item[0]) == "LITERAL":
            run += chr(item[1])
            continue
        if run:
            found.append(run)
            run = ""
        if isinstance(item, tuple) and len(item) == 2 and str(item[0]) == "IN":
            found += [chr(value) for op, value in item[1] if str(op) == "LITERAL"]
        elif isinstance(item, (list, tuple)) or hasattr(item, "data"):
            stack += list(item)[::-1]
    return [*found, run] if run else found

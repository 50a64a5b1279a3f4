"""Which configurations must pass before a commit counts as good: ordered rules over their names. Pure.

The first rule whose pattern is found in a configuration's full name `workflow / job` decides. What no rule finds is
required, unless it is named or marked unstable: a new configuration that nobody thought of holds the last good commit
back, visibly, rather than slip by.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from hud import groups


class Requirement(StrEnum):
    """What a configuration means for a commit."""

    REQUIRED = "required"  # must pass
    OPTIONAL = "optional"  # its failures are real, but hold nothing back
    UNSTABLE = "unstable"  # its failures need nobody


@dataclass(frozen=True, slots=True)
class Rule:
    """Configurations in whose full name `pattern` is found are `requirement`."""

    requirement: Requirement
    pattern: str


class Requirements:
    """Compiled rules. Made by `compile_rules`."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        # The same search, the same limits and the same complaints as the rules of groups have.
        self._grouping = groups.compile_rules(groups.Rule(rule.requirement.value, rule.pattern) for rule in rules)
        self._unmatched = len(rules)

    def of(self, full_name: str, *, unstable: bool = False) -> Requirement:
        """What the configuration is. `unstable`: it is named or marked so, which a rule may overrule."""
        found, place = self._grouping.group_full(full_name)
        if place < self._unmatched:
            return Requirement(found)
        return Requirement.UNSTABLE if unstable else Requirement.REQUIRED


def compile_rules(rules: Iterable[Rule]) -> Requirements:
    """The rules, ready to use; raises `groups.BadRule` at the first that isn't."""
    return Requirements(list(rules))

"""Small marks that several pages of the grid share."""

from datetime import datetime
from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from hud import details
from hud.cells import Outcome
from hud.freshness import short_age
from hud.grid import LETTERS

register = template.Library()


@register.simple_tag
def square(outcome: Outcome, big: str = "", hidden: bool = False) -> SafeString:
    """A status square: glyph, colour and, unless the words stand beside it, its words for a screen reader."""
    words = mark_safe('aria-hidden="true"') if hidden else format_html('role="img" aria-label="{}"', outcome.words)
    return format_html(
        '<span class="st st-{}{}" {}>{}</span>', LETTERS[outcome], " big" if big else "", words, outcome.glyph
    )


@register.filter
def letter(outcome: Outcome) -> str:
    """The outcome's letter: its class."""
    return LETTERS[outcome]


@register.filter
def glyph(outcome: Outcome) -> str:
    """The outcome's one character."""
    return outcome.glyph


@register.filter
def words(outcome: Outcome) -> str:
    """The outcome in words."""
    return outcome.words


@register.filter
def brief(outcome: Outcome) -> str:
    """The outcome in one word or two, for lists: “10 failed, 1 flaky, 2 tolerated”."""
    return _BRIEF.get(outcome, outcome.words)


_BRIEF = {Outcome.FLAKY: "flaky", Outcome.TOLERATED: "tolerated", Outcome.OVERDUE: "without report"}


@register.filter
def took(seconds: float | None) -> str:
    """A duration in words; empty if it isn't known."""
    return details.duration(seconds)


@register.simple_tag
def ago(when: datetime | None, now: datetime, suffix: str = "") -> Any:
    """An age that the page's script keeps up to date."""
    if when is None:
        return ""
    stamp = when.strftime("%Y-%m-%dT%H:%M:%SZ")
    return format_html(
        '<time datetime="{}" title="{} UTC">{}</time>{}',
        stamp,
        f"{when:%Y-%m-%d %H:%M}",
        short_age((now - when).total_seconds()),
        suffix,
    )

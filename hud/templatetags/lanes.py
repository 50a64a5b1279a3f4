"""Rows of a commit's jobs. Made in Python, not by a template: a commit has hundreds, each with several attempts."""

from django import template
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from hud.cells import Outcome
from hud.commit_page import LANE, Job, Section
from hud.grid import LETTERS
from hud.models import Commit
from hud.places import Place
from hud.runs import duration

register = template.Library()

_SQUARES = [
    f'<span class="st st-{LETTERS[one]}" role="img" aria-label="{one.words}">{one.glyph}</span>' for one in Outcome
]
_GLYPHS = [f'<span class="st st-{LETTERS[one]}">{one.glyph}</span>' for one in Outcome]


@register.simple_tag
def lane(job: Job, width: int = LANE) -> SafeString:
    """When a configuration's attempts waited and ran, on the time axis of its commit."""
    if not job.lanes:
        return mark_safe("")
    bars = "".join(f'<rect class="{kind}" x="{x:g}" y="1" width="{w:g}" height="8"/>' for kind, x, w in job.lanes)
    waited = job.square.waited
    words = f"queued {duration(waited)}, " if waited else ""
    words += f"ran {duration(job.square.seconds)}" if job.square.seconds is not None else "not finished"
    return mark_safe(
        f'<svg class="lane" viewBox="0 0 {width} 10" preserveAspectRatio="none" role="img" aria-label="{words}">'
        f"<title>{words}</title>{bars}</svg>"
    )


@register.simple_tag
def rows(section: Section, place: Place, commit: Commit) -> SafeString:
    """The jobs of a workflow, one line each: every attempt a square that leads to GitHub."""
    made = []
    for job in section.jobs:
        square = job.square
        tries = ""
        if len(square.attempts) > 1:
            tries = "".join(
                f'<a class="try" href="{escape(attempt.url)}" rel="noreferrer" title="{escape(attempt.words)}" '
                f'aria-label="{escape(attempt.words)}">{_GLYPHS[attempt.outcome]}</a>'
                if attempt.url
                else f'<span class="try" title="{escape(attempt.words)}">{_SQUARES[attempt.outcome]}</span>'
                for attempt in square.attempts
            )
        name = escape(square.member.full_name.partition(" / ")[2] or square.member.full_name)
        made.append(
            f"<li>{_SQUARES[square.outcome]}"
            f'<a class="link" href="{place.base}/cell/{commit.sha}/{square.member.slot}"><bdi>{name}</bdi></a>'
            f'<span class="sp"></span><span class="tries">{tries}</span>{lane(job)}'
            f'<span class="small sub nw dur">{duration(square.seconds)}</span>'
        )
    return mark_safe(f'<ul class="runs">{"".join(made)}</ul>')

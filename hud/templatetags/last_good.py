"""The last good commit in a line: for the grid, whose view needs to know nothing of it."""

from typing import Any

from django import template
from django.utils import timezone

from hud import last_good_page
from hud.places import Place

register = template.Library()


@register.simple_tag
def last_good_of(place: Place) -> dict[str, Any] | None:
    """What there is to say of it, if the place is a trunk of which anything has been judged. One query."""
    if place.branch_id is None or place.branch != place.repository.trunk:
        return None
    row = last_good_page.stored(place.repository.pk)
    return last_good_page.headline(row, timezone.now()) if row else None

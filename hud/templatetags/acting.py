"""Whether whoever looks may act, for templates whose views need to know nothing of it."""

from typing import Any

from django import template

from hud import attention, break_history
from hud.models import Repository

register = template.Library()


@register.simple_tag(takes_context=True)
def may_act(context: Any, repository: Repository) -> bool:
    """One query a request for whoever signed in, none for others."""
    request = context.get("request")
    return request is not None and attention.may_act(request.user, repository)


@register.simple_tag
def sayings() -> list[tuple[str, str, str]]:
    """What one may say of a commit: the value, its words, what follows."""
    return break_history.SAYS

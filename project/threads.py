"""Keeps a request in one thread. Our views are synchronous, and so is the database underneath them."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_only_middleware


@sync_only_middleware
def in_one_thread(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Does nothing but be synchronous, innermost: then Django runs the others around it synchronously as well.

    Under ASGI each of them would otherwise go to a thread and back twice, which cost more than the page.
    """
    return get_response

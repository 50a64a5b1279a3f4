"""The ASGI application that uvicorn serves: Django, and beside it the two addresses that must not pass through it."""

import logging
import os
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

from django.core.asgi import get_asgi_application
from django.urls import get_resolver

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
os.environ["ARBORIST_PROCESS"] = "web"  # before settings load: the web process pools its database connections

_django = get_asgi_application()

from hud import live_views, webhook_views  # noqa: E402 - models can't be imported before Django is set up
from project import celery  # noqa: E402 - tasks are sent from here too, and must know their broker

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Streams and deliveries to their own applications (why, is said there), everything else to Django."""
    if scope["type"] == "http":
        if scope["path"] == "/webhooks/github":
            return await webhook_views.receive(scope, receive, send)
        if live_views.is_stream(scope):
            return await live_views.stream(scope, receive, send)
    return await _django(scope, receive, send)  # type: ignore[arg-type]


def _say_warnings() -> None:
    from django.conf import settings

    for warning in settings.WARNINGS:
        logging.getLogger("arborist").warning(warning)


def _settle() -> None:
    # A page makes some hundred thousand objects and keeps none. Looking through all that was loaded at start to find
    # that out took a tenth of a second now and then, of whoever's page it was.
    assert get_resolver().url_patterns  # loads the views, which would otherwise come with the first request
    celery.settle_memory()


_say_warnings()
_settle()

# WhiteNoise reads files synchronously; they are few, small, and kept by browsers for ever.
warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous iterators")

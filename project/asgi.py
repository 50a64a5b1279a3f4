"""The ASGI application that uvicorn serves."""

import logging
import os
import warnings

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
os.environ["ARBORIST_PROCESS"] = "web"  # before settings load: the web process pools its database connections

application = get_asgi_application()


def _say_warnings() -> None:
    from django.conf import settings

    for warning in settings.WARNINGS:
        logging.getLogger("arborist").warning(warning)


_say_warnings()

# WhiteNoise reads files synchronously; they are few, small, and kept by browsers for ever.
warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous iterators")

"""The Celery application: workers run tasks, beat starts the polls."""

from __future__ import annotations

import ctypes
import gc
import logging.config
import os
import signal
import sys
import time
import warnings
from typing import Any

import redis
from celery import Celery
from celery.platforms import SecurityWarning
from celery.signals import setup_logging, worker_process_init, worker_ready
from django.conf import settings

from project.health import HEARTBEAT_KEY

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")  # before settings are first used, below

HEARTBEAT_SECONDS = 120

if settings.EMBEDDED:  # on one's own machine, perhaps as root; it warns of what pickled tasks could do, ours are JSON
    warnings.filterwarnings("ignore", category=SecurityWarning)

app = Celery("arborist")
app.set_default()  # in every thread, even where a task was looked at before this was imported: else it has no broker
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@app.task(name="project.celery.heartbeat")
def heartbeat() -> None:
    """Says that beat schedules, the broker delivers and a worker works. `/readyz` reads it."""
    with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=5) as client:
        client.set(HEARTBEAT_KEY, f"{time.time():.3f}", ex=HEARTBEAT_SECONDS)


@setup_logging.connect
def _use_our_logging(**_: Any) -> None:
    # Being connected is what keeps Celery from setting up its own.
    logging.config.dictConfig(settings.LOGGING)


@worker_ready.connect
def _begin_at_once(**_: Any) -> None:
    # Beat's first tick comes an interval after its start. A page that fills should not wait for that.
    for entry in settings.CELERY_BEAT_SCHEDULE.values():
        options: Any = entry["options"]
        app.send_task(entry["task"], **options)


def settle_memory() -> None:
    """Have the garbage collector leave alone what was loaded at start, and look less often.

    A batch makes tens of thousands of tuples that are freed by reference count; scanning everything that lives after
    each few hundred of them cost ingestion a quarter of its speed.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


@worker_process_init.connect
def _settle_memory(**_: Any) -> None:
    settle_memory()


@worker_process_init.connect
def _die_with_the_worker(**_: Any) -> None:
    # A worker that is killed outright can't tell its pool's processes; the system can.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, int(signal.SIGTERM), 0, 0, 0)

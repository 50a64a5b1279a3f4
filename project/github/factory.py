"""The one place that builds a `Client` from Django's settings. Nothing is built or connected at import."""

import os
import time
from typing import Final

import redis as redis_client
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from redis.backoff import NoBackoff
from redis.retry import Retry

from .budget import Budget
from .client import USER_AGENT, Client, Validators
from .pacing import Pace
from .tokens import Anonymous, AppInstallationToken, PersonalToken, TokenSource
from .transport import Transport, process_session
from .writes import Writer

_SETTINGS: Final = (
    "GITHUB_TOKEN",
    "GITHUB_APP_ID",
    "GITHUB_APP_PRIVATE_KEY",
    "GITHUB_APP_INSTALLATION_ID",
    "GITHUB_API_URL",
    "REDIS_URL",
)
# Per process, since a forked worker must not use its parent's sockets; and per settings, which tests
# override.
_parts: dict[tuple[int, int], tuple[TokenSource, Budget, Pace]] = {}


def client(validators: Validators) -> Client:
    """A client for the GitHub that the settings name. Cheap: all but the store is kept per process."""
    token, budget, _ = _for_this_process()
    return Client(
        token=token,
        api_url=settings.GITHUB_API_URL,
        budget=budget,
        validators=validators,
        session=process_session(),
    )


def writer(*, retries: int = 1) -> Writer:
    """Writes to the GitHub that the settings name, for the outbox alone. ``retries`` is about its reads."""
    token, budget, pace = _for_this_process()
    transport = Transport(
        token=token,
        api_url=settings.GITHUB_API_URL,
        budget=budget,
        session=process_session(),
        timeout=(5, 30),
        sleep=time.sleep,
        retries=retries,
        user_agent=USER_AGENT,
    )
    return Writer(transport, settings.GITHUB_API_URL, pace)


def budget() -> Budget:
    """The rate budget of the credential that the settings name, for the status page."""
    return _for_this_process()[1]


def _for_this_process() -> tuple[TokenSource, Budget, Pace]:
    key = os.getpid(), hash(tuple(getattr(settings, name) for name in _SETTINGS))
    parts = _parts.get(key)
    if parts is None:
        _parts.clear()
        # Short time-outs and no patience: the budget would rather go on by itself than wait for Redis. The one
        # retry is for connections that went stale.
        redis = redis_client.Redis.from_url(
            settings.REDIS_URL, socket_timeout=1.0, socket_connect_timeout=1.0, retry=Retry(NoBackoff(), 1)
        )
        token = _token(redis)
        credential = token.credential()
        parts = _parts[key] = token, Budget(credential, redis), Pace(credential, redis)
    return parts


def _token(redis: redis_client.Redis) -> TokenSource:
    """The GitHub App if it is configured, since its limits are higher; else the personal token; else nobody.

    Raises `ImproperlyConfigured` if the App is only half configured.
    """
    app = (settings.GITHUB_APP_ID, settings.GITHUB_APP_PRIVATE_KEY, settings.GITHUB_APP_INSTALLATION_ID)
    if all(app):
        return AppInstallationToken(
            app_id=app[0],
            private_key=app[1],
            installation_id=app[2],
            api_url=settings.GITHUB_API_URL,
            session=process_session(),
            redis=redis,
        )
    if any(app):
        raise ImproperlyConfigured(
            "The GitHub App needs ARBORIST_GITHUB_APP_ID, ARBORIST_GITHUB_APP_PRIVATE_KEY and "
            "ARBORIST_GITHUB_APP_INSTALLATION_ID, all three."
        )
    return PersonalToken(settings.GITHUB_TOKEN) if settings.GITHUB_TOKEN else Anonymous()

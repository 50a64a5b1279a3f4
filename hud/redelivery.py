"""GitHub does not repeat a delivery that failed. So its list is read now and then, and those are asked for.

This needs a credential that may: a GitHub App, or a token that may administer the webhook of ARBORIST_WEBHOOK_HOOK_ID.
Each event is asked for once an hour at most, while GitHub still keeps it, and not more than some tens in one turn.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from itertools import islice

import redis
from django.conf import settings
from django.utils import timezone

from hud import live
from hud.models import Delivery, Redelivery, Repository
from project.github import errors
from project.github.budget import Budget
from project.github.client import RepoRef
from project.github.hooks import OK, AppJwt, DeliveryPayload, HookDeliveries
from project.github.pacing import Pace
from project.github.tokens import PersonalToken

log = logging.getLogger(__name__)

PAGES = 5  # of a hundred deliveries each, in one turn
ASKED = 50  # in one turn
AGAIN = timedelta(hours=1)
TIMES = 12
BACK = timedelta(hours=24)
YOUNG = timedelta(minutes=1)  # GitHub may be about to note how it went
APP_HOOK = 0  # the App's own webhook has no number that we are told


def redeliver(now: datetime | None = None) -> int:
    """Ask for what failed; returns how many deliveries were asked for. Does nothing where nothing is allowed."""
    now = now or timezone.now()
    asked = 0
    for hook in _hooks():
        try:
            asked += _redeliver(hook, now)
        except errors.GitHubError as error:
            log.warning("failed deliveries could not be asked for: %s", error)
    Redelivery.objects.filter(asked_at__lt=now - timedelta(days=7)).delete()
    return asked


def _hooks() -> list[HookDeliveries]:
    if not settings.WEBHOOK_SECRETS:
        return []
    if settings.WEBHOOK_HOOK_ID:
        hook_id = int(settings.WEBHOOK_HOOK_ID)
        # Whose webhook it is, its deliveries tell; before the first one there is mostly but one repository.
        last = Delivery.objects.filter(hook_id=hook_id).order_by("-id").first()
        watched = Repository.objects.filter(active=True).order_by("pk")
        repository = watched.filter(github_id=last.repository_github_id).first() if last else watched.first()
        if repository is None or not settings.GITHUB_TOKEN:
            return []
        repo = RepoRef(repository.owner, repository.name)
        return [_deliveries(PersonalToken(settings.GITHUB_TOKEN), repo, hook_id)]
    if settings.GITHUB_APP_ID and settings.GITHUB_APP_PRIVATE_KEY:
        return [_deliveries(AppJwt(settings.GITHUB_APP_ID, settings.GITHUB_APP_PRIVATE_KEY), None, APP_HOOK)]
    return []


def _deliveries(token: PersonalToken | AppJwt, repo: RepoRef | None, hook_id: int) -> HookDeliveries:
    client: redis.Redis = live.client()
    credential = token.credential()
    return HookDeliveries(
        token=token,
        api_url=settings.GITHUB_API_URL,
        budget=Budget(credential, client),
        pace=Pace(credential, client),
        repo=repo,
        hook_id=hook_id,
    )


def _redeliver(hook: HookDeliveries, now: datetime) -> int:
    wanted = failed(hook, now)
    done = {
        row.guid: row for row in Redelivery.objects.filter(hook_id=hook.hook_id, guid__in=[one.guid for one in wanted])
    }
    asked = 0
    for one in wanted:
        before = done.get(one.guid)
        if before is not None and (before.asked_at > now - AGAIN or before.times >= TIMES):
            continue
        if asked >= ASKED:
            break
        # First written down: a crash in between costs an hour and not a hundred requests.
        times = before.times + 1 if before else 1
        Redelivery.objects.update_or_create(
            hook_id=hook.hook_id,
            guid=one.guid,
            defaults={"event": one.event, "delivered_at": one.delivered_at, "asked_at": now, "times": times},
        )
        hook.send_again(one.id)
        asked += 1
    return asked


def failed(hook: HookDeliveries, now: datetime) -> list[DeliveryPayload]:
    """The newest failed try of each event that no try has brought, oldest first."""
    brought: set[str] = set()
    found: dict[str, DeliveryPayload] = {}
    for page in islice(hook.pages(), PAGES):
        for one in page:
            if one.status == OK:
                brought.add(one.guid)
            elif one.guid and now - BACK < one.delivered_at < now - YOUNG:
                found.setdefault(one.guid, one)
        if not page or page[-1].delivered_at < now - BACK:
            break
    return sorted((one for guid, one in found.items() if guid not in brought), key=lambda one: one.delivered_at)

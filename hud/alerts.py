"""Alerts: what happened, told to chat, mail or a webhook; once each, in words, and not at night.

Telling is two steps. What happens makes rows (`trunk_broke` and the like, in the transaction that decides it): one for
each rule that wants to know, under a key that the same event cannot have twice. `deliver` takes what is due, one row
after the other: it marks the row as being sent and commits that before it sends, so that no second worker sends it
too. A worker that dies in between leaves the row marked; when its lease is over the row is sent again. So an alert is
told at least once, and twice only if a worker died in the moment between the receiver's answer and the commit after
it; the second says that it may be a repeat. The other way round, never twice but perhaps not at all, would be worse:
nobody looks for an alert that did not come.

What is told is made when it is sent, from the rows as they are then: a break that is over is not told any more, and
one that was merged into another is told as that one, if that has not been told.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from hud import alert_words, announcing
from hud.models import Alert, AlertEvent, AlertRule, AlertState, Break, LastGood, QuietHours, Repository

MOST_TRIES = 8
LEASE = timedelta(minutes=2)  # longer than the longest sending: see `announcing`
BACK_OFF = (15, 60, 300, 900, 1800, 3600, 7200)  # seconds after each failed try
A_TURN = 50  # alerts that one task sends
MAYBE_TOLD = "A worker stopped while sending it; it may have been told already."

log = logging.getLogger(__name__)


# -- what happened ----------------------------------------------------------------------------------------------------


def trunk_broke(broken: Break) -> None:
    """Have it told that trunk broke. Call it once the break is known, as often as you like."""
    _add(AlertEvent.TRUNK_BROKE, f"break:{broken.pk}", broken.repository_id, broken=broken)


def culprit_confirmed(broken: Break) -> None:
    """Have it told which commit it was."""
    _add(AlertEvent.CULPRIT, f"break:{broken.pk}", broken.repository_id, broken=broken)


def last_good_stuck(repository: Repository) -> None:
    """Have it told that nothing newer has been good, to each rule after its own number of hours."""
    row = LastGood.objects.filter(pk=repository.pk).first()
    if row is None or row.stuck_since is None:
        return
    hours = (timezone.now() - row.stuck_since).total_seconds() / 3600
    # Told once for each commit that it is stuck at: when it moves and gets stuck anew, that is another event.
    what = f"last-good:{repository.pk}:{row.sha or 'none'}"
    _add(AlertEvent.LAST_GOOD_STUCK, what, repository.pk, only=Q(stuck_hours__lte=hours))


def write_failed(repository: Repository | None, write_id: int, words: str) -> None:
    """Have it told that a write to GitHub failed; `words` say which and why."""
    _add(AlertEvent.WRITE_FAILED, f"write:{write_id}", repository.pk if repository else None, words=words)


def _add(
    event: AlertEvent,
    what: str,
    repository_id: int | None,
    *,
    broken: Break | None = None,
    words: str = "",
    only: Q | None = None,
) -> None:
    rules = AlertRule.objects.filter(enabled=True, events__contains=[event.value])
    rules = rules.filter(Q(repository=None) | Q(repository=repository_id)).filter(only or Q())
    now = timezone.now()
    Alert.objects.bulk_create(
        (
            Alert(
                rule=rule, event=event, key=f"{event.value}:{what}:{rule.pk}", repository_id=repository_id,
                broken=broken, words=_clean(words), created_at=now, due_at=now,
            )
            for rule in rules
        ),
        ignore_conflicts=True,
    )  # fmt: skip


def watch_last_good() -> None:
    """Find what has been stuck for long enough. One query, and some for each repository that is stuck."""
    if not AlertRule.objects.filter(enabled=True, events__contains=[AlertEvent.LAST_GOOD_STUCK.value]).exists():
        return
    for row in LastGood.objects.exclude(stuck_since=None).select_related("repository"):
        if row.repository.active:
            last_good_stuck(row.repository)


# -- telling ----------------------------------------------------------------------------------------------------------


def deliver(now: datetime | None = None) -> int:
    """Send what is due; returns how many were told. Two workers at once share the work."""
    told = 0
    for _ in range(A_TURN):
        alert = _take(now or timezone.now())
        if alert is None:
            break
        told += _send(alert)
    return told


def _take(now: datetime) -> Alert | None:
    """The alert that is due for longest, marked as being sent; what needs no sending is settled on the way."""
    while True:
        with transaction.atomic():
            due = Alert.objects.select_for_update(skip_locked=True, of=("self",)).filter(
                due_at__lte=now, state__in=[AlertState.WAITING, AlertState.HELD, AlertState.SENDING]
            )
            alert = due.select_related("rule", "repository").order_by("due_at", "pk").first()
            if alert is None:
                return None
            if alert.state == AlertState.SENDING:
                alert.problem = MAYBE_TOLD
            why_not = _settled(alert)
            quiet = quiet_until(alert.rule, now)
            if why_not:
                alert.state, alert.problem = AlertState.DROPPED, why_not
            elif quiet and alert.rule.quiet_does == QuietHours.DROP:
                alert.state, alert.problem = AlertState.DROPPED, "It happened in quiet hours."
            elif quiet:
                alert.state, alert.due_at = AlertState.HELD, quiet
            elif alert.tries >= MOST_TRIES:
                alert.state = AlertState.FAILED
            else:
                alert.state, alert.tries, alert.due_at = AlertState.SENDING, alert.tries + 1, now + LEASE
            alert.save()
            if alert.state == AlertState.SENDING:
                return alert


def _settled(alert: Alert) -> str:
    """Why it isn't to be told any more, in words; empty if it is. A merged break's alert becomes the other's."""
    if not alert.rule.enabled:
        return "The rule was switched off."
    if alert.event == AlertEvent.LAST_GOOD_STUCK:
        row = LastGood.objects.filter(pk=alert.repository_id or 0).first()
        moved = row is None or row.stuck_since is None or f":{row.sha or 'none'}:" not in alert.key
        return "It was not stuck any more." if moved else ""
    if alert.event not in (AlertEvent.TRUNK_BROKE, AlertEvent.CULPRIT):
        return ""
    broken = Break.objects.filter(pk=alert.broken_id).first() if alert.broken_id else None
    seen = set()
    while broken is not None and broken.merged_into_id and broken.pk not in seen:
        seen.add(broken.pk)
        broken = Break.objects.filter(pk=broken.merged_into_id).first()
    if broken is None:
        return "The break is gone."
    if broken.pk != alert.broken_id:
        key = f"{alert.event}:break:{broken.pk}:{alert.rule_id}"
        if Alert.objects.filter(key=key).exists():
            return f"It turned out to be part of break {broken.number}, which is told by itself."
        alert.key, alert.broken = key, broken
    if broken.closed_at is not None:
        return "It was over before it could be told."
    if alert.event == AlertEvent.CULPRIT and broken.culprit_id is None:
        return "The culprit was taken back before it could be told."
    return ""


def _send(alert: Alert) -> bool:
    """Send it and record how that went. Only a row that is still ours is written."""
    title, body = alert_words.of(alert)
    if alert.problem == MAYBE_TOLD:
        body += f"\n({MAYBE_TOLD})"
    problem = announcing.announce(alert.rule.target, title, body)
    now = timezone.now()
    mine = Alert.objects.filter(pk=alert.pk, state=AlertState.SENDING, tries=alert.tries)
    if not problem:
        mine.update(state=AlertState.SENT, sent_at=now, problem="")
        return True
    log.warning("alert not sent", extra={"alert": alert.pk, "rule": alert.rule.name, "problem": problem})
    if alert.tries >= MOST_TRIES:
        mine.update(state=AlertState.FAILED, problem=_clean(problem))
    else:
        again = now + timedelta(seconds=BACK_OFF[min(alert.tries, len(BACK_OFF)) - 1])
        mine.update(state=AlertState.WAITING, problem=_clean(problem), due_at=again)
    return False


def try_rule(rule: AlertRule) -> str:
    """Send a test to the rule's target now, whatever the hour; returns what went wrong, empty if nothing did."""
    title, body = alert_words.test(rule)
    return announcing.announce(rule.target, title, body)


def retry(alerts: Iterable[Alert]) -> int:
    """Take failed ones up again; returns how many."""
    failed = Alert.objects.filter(pk__in=[alert.pk for alert in alerts], state=AlertState.FAILED)
    return failed.update(state=AlertState.WAITING, tries=0, due_at=timezone.now())


# -- quiet hours ------------------------------------------------------------------------------------------------------


def quiet_until(rule: AlertRule, now: datetime) -> datetime | None:
    """When the quiet hours that it is now in end; None outside of them. Pure.

    Hours are those of the rule's zone, daylight saving included, and may go over midnight.
    """
    begin, end = rule.quiet_from, rule.quiet_to
    if begin is None or end is None or begin == end:
        return None
    here = now.astimezone(ZoneInfo(rule.quiet_zone))
    clock = here.time()
    inside = begin <= clock < end if begin < end else clock >= begin or clock < end
    if not inside:
        return None
    day = here.date() if clock < end else here.date() + timedelta(days=1)
    return datetime.combine(day, _whole(end), ZoneInfo(rule.quiet_zone)).astimezone(now.tzinfo)


def _whole(at: time) -> time:
    return at.replace(tzinfo=None)


def _clean(text: Any) -> str:
    return str(text).replace("\0", "\ufffd")[:500]

"""What an alert says: words that a person would say, with a link. Text only: names and titles are strangers'."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from hud.freshness import age
from hud.models import Alert, AlertEvent, AlertRule, Break, BreakSignal, Commit, LastGood, Repository
from hud.places import repository_path

LONGEST = 300


def of(alert: Alert) -> tuple[str, str]:
    """Title and text of an alert, from the rows as they are now."""
    repository = alert.repository
    if alert.event == AlertEvent.LAST_GOOD_STUCK and repository is not None:
        return _stuck(repository)
    if alert.broken_id is not None and repository is not None:
        broken = Break.objects.select_related("suspect", "culprit").get(pk=alert.broken_id)
        return _culprit(repository, broken) if alert.event == AlertEvent.CULPRIT else _broke(repository, broken)
    where = f" of {repository}" if repository else ""
    return f"A write to GitHub{where} failed", _line(alert.words)


def test(rule: AlertRule) -> tuple[str, str]:
    """What a test says."""
    return "A test from Arborist", f"Alerts of the rule “{_line(rule.name)}” arrive here. Nothing is wrong."


def _broke(repository: Repository, broken: Break) -> tuple[str, str]:
    hit = BreakSignal.objects.filter(broken=broken, left_at=None).values("configuration").distinct().count()
    lines = [_line(broken.title)]
    if broken.failure_line:
        lines.append(_line(broken.failure_line))
    if hit:
        lines.append(f"{hit} configuration{'' if hit == 1 else 's'} failing since {_ago(broken)}.")
    if broken.suspect:
        lines.append(f"Suspect: {_commit(broken.suspect)}")
    return f"{_trunk(repository)} is broken", _with_link(lines, repository, broken)


def _culprit(repository: Repository, broken: Break) -> tuple[str, str]:
    lines = [_line(broken.title)]
    title = f"It is known what broke {_trunk(repository)}"
    if broken.culprit:
        title = f"{broken.culprit.sha[:7]} broke {_trunk(repository)}"
        lines.append(f"Culprit: {_commit(broken.culprit)}")
    return title, _with_link(lines, repository, broken)


def _stuck(repository: Repository) -> tuple[str, str]:
    row = LastGood.objects.get(pk=repository.pk)
    since = age(timezone.now() - row.stuck_since) if row.stuck_since else "a while"
    good = f"Last good is {row.sha[:7]}, {row.behind} commits behind." if row.sha else "No commit is good."
    still = [one["name"] for one in row.blocked if one["still"]]
    lines = [good]
    if still:
        more = row.blocking - 5
        lines.append(
            "Blocked by " + ", ".join(_line(name) for name in still[:5]) + (f" and {more} more" if more > 0 else "")
        )
    lines.append(_absolute(f"{repository_path(repository.owner, repository.name)}/last-good"))
    return f"Nothing on {_trunk(repository)} has been good for {since}", "\n".join(lines)


def _with_link(lines: list[str], repository: Repository, broken: Break) -> str:
    path = f"{repository_path(repository.owner, repository.name)}/break/{broken.number}"
    return "\n".join([*lines, _absolute(path)])


def _absolute(path: str) -> str:
    return f"{settings.SITE_URL}{path}"


def _trunk(repository: Repository) -> str:
    return f"{repository} {_line(repository.trunk)}".strip()


def _commit(commit: Commit) -> str:
    who = commit.author_login or commit.author_name
    return _line(f"{commit.sha[:7]} {commit.title}" + (f" (by {who})" if who else ""))


def _ago(broken: Break) -> str:
    return f"{age(max(timedelta(0), timezone.now() - broken.broke_at))} ago"


def _line(text: str) -> str:
    """One printable line, bounded; nobody is called by a stranger's text (@here, @channel, <!everyone>)."""
    flat = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    for sign in ("@", "<!", "<@"):
        flat = flat.replace(sign, sign + "\u200b")
    return flat if len(flat) <= LONGEST else flat[: LONGEST - 1] + "…"

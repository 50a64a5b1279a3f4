"""Pull requests and issues as they stand at a moment: what was drawn, and what requests wrote over it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from project.simulator import names
from project.simulator.files import Touch
from project.simulator.history import DAY, TRUNK, Commit
from project.simulator.pulls import Pull
from project.simulator.world import World
from project.simulator.writes import FIRST_MADE_NUMBER, Comment, Landing, MadePull

COMMENT_ID = 2_000_000_000  # of drawn comments; eight for each pull request
KEPT_DAYS = 60  # lists go back this far
MERGED, REVERTED = "Merged", "Reverted"
_REOPENED_FOR = 2 * DAY  # how long a reverted pull request of a bot-landed world stays open


@dataclass(frozen=True)
class Moment:
    """One push to a pull request's branch."""

    at: int
    head: Commit
    base: Commit
    forced: bool


@dataclass(frozen=True)
class Happening:
    """Something on a pull request's timeline."""

    at: int
    event: str  # closed | reopened | merged | labeled | unlabeled | head_ref_force_pushed | convert_to_draft | …
    actor: str
    commit: str | None = None
    label: str = ""
    before: str = ""


@dataclass
class Item:
    """A pull request or an issue."""

    number: int
    title: str
    body: str
    author: str
    created: int
    state: str = "open"
    reason: str | None = None
    closed_at: int | None = None
    closed_by: str = ""
    merged_at: int | None = None
    landed: Commit | None = None  # what it became on trunk, merged or landed by the bot
    draft: bool = False
    branch: str = ""
    base: str = TRUNK
    pushes: list[Moment] = field(default_factory=list)  # none: an issue
    labels: list[str] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)
    happenings: list[Happening] = field(default_factory=list)
    reviewer: str = ""
    drawn: Pull | None = None
    made: MadePull | None = None

    @property
    def is_pull(self) -> bool:
        return bool(self.pushes)

    @property
    def head(self) -> Commit:
        return self.pushes[-1].head

    @property
    def stands_on(self) -> Commit:
        """The merge base."""
        return self.pushes[-1].base

    @cached_property
    def updated(self) -> int:
        return max([self.created, *(h.at for h in self.happenings), *(c.updated for c in self.comments),
                    *(p.at for p in self.pushes)])  # fmt: skip


def landing_of(world: World, number: int, now: float) -> Landing | None:
    """The landing that a request brought to a pull request, if it has happened."""
    return next((x for x in world.writes.landings if number and x.number == number and x.at <= now), None)


def item(world: World, number: int, now: float) -> Item | None:
    """A pull request or an issue by its number."""
    writes = world.writes
    if number in writes.issues:
        issue = writes.issues[number]
        found = Item(number, issue.title, issue.body, issue.author, issue.created)
    elif number in writes.pulls:
        found = _made(world, writes.pulls[number], now)
    else:
        drawn = world.pulls.pull(number) if number < FIRST_MADE_NUMBER else None
        if drawn is None or drawn.outline.created > world.landed_until(now):
            return None
        found = _drawn(world, drawn, now)
    if found.created > now:
        return None
    _write_over(world, found, now)
    return found


def _made(world: World, made: MadePull, now: float) -> Item:
    found = Item(made.number, made.title, made.body, made.author, made.created, draft=made.draft, branch=made.branch,
                 base=made.base, made=made, reviewer=names.AUTHORS[made.number % len(names.AUTHORS)])  # fmt: skip
    for head in made.heads:
        commit = world.find(head.sha)
        base = world.base(commit) if commit is not None else None
        if commit is not None and base is not None and (head.at <= now or not found.pushes):
            found.pushes.append(Moment(head.at, commit, base, head.forced))
    landing = landing_of(world, made.number, now)
    if landing is not None:
        _land(world, found, landing.at, world.writes.commits[landing.sha], landing.actor)
    return found


def _drawn(world: World, drawn: Pull, now: float) -> Item:
    until = world.landed_until(now)
    found = Item(drawn.number, drawn.title, drawn.body, drawn.author, drawn.outline.created, draft=drawn.draft,
                 branch=drawn.branch, base=drawn.base, labels=list(drawn.labels), drawn=drawn,
                 reviewer=drawn.reviewer)  # fmt: skip
    landing = landing_of(world, drawn.number, now)
    lands = drawn.lands if drawn.lands is not None and world.exists(drawn.lands, now) else None
    end = landing.at if landing is not None else world.ended_pulls.get(drawn.number, until)
    for push, base in zip(drawn.pushes, drawn.bases, strict=True):
        if push.at <= min(until, end):
            found.pushes.append(Moment(push.at, drawn.commits[push.places[-1]], base, push.forced))
    if landing is not None:
        _land(world, found, landing.at, world.writes.commits[landing.sha], landing.actor)
    elif lands is not None:
        _land(world, found, lands.time, lands, names.BOT if world.catalogue.bot_lands else drawn.reviewer)
        _bot_reverts(world, found, lands, now)
    elif drawn.lands is None and drawn.outline.ends <= until:
        found.state, found.closed_at, found.closed_by = "closed", drawn.outline.ends, drawn.author
        found.happenings.append(Happening(drawn.outline.ends, "closed", drawn.author))
    return found


def _land(world: World, found: Item, at: int, commit: Commit, actor: str) -> None:
    found.state, found.closed_at, found.landed, found.closed_by = "closed", at, commit, actor
    if world.catalogue.bot_lands:
        found.closed_by = names.BOT
        found.labels.append(MERGED)
        found.happenings += [Happening(at, "labeled", names.BOT, label=MERGED),
                             Happening(at, "closed", names.BOT, commit.sha)]  # fmt: skip
        asked = max(found.created, at - 1800)
        _comment(found, 0, found.author, "@pytorchbot merge", asked)
        _comment(found, 1, names.BOT, "### Merge started\nYour change will be merged once all checks pass.",
                 asked + 7)  # fmt: skip
    else:
        found.merged_at = at
        found.happenings += [Happening(at, "merged", actor, commit.sha), Happening(at, "closed", actor, commit.sha)]


def _comment(found: Item, place: int, author: str, body: str, at: int) -> None:
    found.comments.append(Comment(COMMENT_ID + found.number * 8 + place, found.number, author, body, at, at))


def _bot_reverts(world: World, found: Item, lands: Commit, now: float) -> None:
    """In a bot-landed world a pull request whose commit was reverted opens again, for a while."""
    if not world.catalogue.bot_lands or lands.line:
        return
    for b in world.history.breaks_of_day(lands.day):
        if b.culprit.sha != lands.sha or not b.reverted or b.fix.made or not world.exists(b.fix, now):
            continue
        _reopen(found, b.fix.time)
        _comment(found, 2, names.BOT, f"@{found.author} your PR has been successfully reverted.", b.fix.time)
        if b.fix.time + _REOPENED_FOR <= now:
            found.state, found.closed_at = "closed", b.fix.time + _REOPENED_FOR
            found.happenings.append(Happening(b.fix.time + _REOPENED_FOR, "closed", found.author))


def _reopen(found: Item, at: int) -> None:
    found.state, found.closed_at, found.closed_by = "open", None, ""
    if REVERTED not in found.labels:
        found.labels.append(REVERTED)
    found.happenings += [Happening(at, "reopened", names.BOT), Happening(at, "labeled", names.BOT, label=REVERTED)]


def _write_over(world: World, found: Item, now: float) -> None:
    writes, number = world.writes, found.number
    for before, push in zip(found.pushes, found.pushes[1:], strict=False):
        if push.forced:
            found.happenings.append(Happening(push.at, "head_ref_force_pushed", found.author, push.head.sha,
                                              before=before.head.sha))  # fmt: skip
    for landing in writes.landings:
        if landing.reverted == number and landing.at <= now and world.catalogue.bot_lands:
            _reopen(found, landing.at)
    for words in writes.words:
        if words.number == number and words.at <= now:
            found.title = words.title if words.title is not None else found.title
            found.body = words.body if words.body is not None else found.body
            found.draft = words.draft if words.draft is not None else found.draft
            found.happenings.append(Happening(words.at, "renamed", found.author))
    for label in writes.labels:
        if label.number == number and label.at <= now and label.added != (label.name in found.labels):
            (found.labels.append if label.added else found.labels.remove)(label.name)
            event = "labeled" if label.added else "unlabeled"
            found.happenings.append(Happening(label.at, event, label.actor, label=label.name))
    for edit in writes.states:
        if edit.number == number and edit.at <= now and edit.state != found.state and found.merged_at is None:
            if found.closed_at is not None and edit.at < found.closed_at:
                continue
            found.state, found.reason = edit.state, edit.reason
            found.closed_at = edit.at if edit.state == "closed" else None
            found.closed_by = edit.actor if edit.state == "closed" else ""
            event = "closed" if edit.state == "closed" else "reopened"
            found.happenings.append(Happening(edit.at, event, edit.actor))
    found.comments += [c for c in writes.comments if c.number == number and c.at <= now and not c.deleted]
    found.comments.sort(key=lambda c: (c.at, c.id))
    found.happenings.sort(key=lambda h: h.at)


def recent(world: World, now: float) -> Iterator[Item]:
    """All pull requests and issues of the last weeks and those still open, in no order."""
    until = world.landed_until(now)
    today = int(until // DAY)
    for day in range(today - KEPT_DAYS, today + 5):
        for outline in world.pulls.outlines_of_day(day):
            if outline.created <= until:
                found = item(world, outline.number, now)
                if found is not None:
                    yield found
    for number in [*world.writes.pulls, *world.writes.issues]:
        found = item(world, number, now)
        if found is not None:
            yield found


def commits_of(world: World, found: Item) -> list[Commit]:
    """The commits between the merge base and the head, oldest first."""
    commits: list[Commit] = []
    for commit in world.ancestors(found.head):
        if commit.sha == found.stands_on.sha:
            break
        commits.append(commit)
    return commits[::-1]


def touches_of(world: World, commits: list[Commit]) -> list[Touch]:
    """What some commits do to files together, by name."""
    found: dict[str, Touch] = {}
    for commit in commits:
        for touch in world.trees.touches(commit):
            before = found.get(touch.name)
            status = before.status if before is not None and before.status == "added" and touch.blob else touch.status
            found[touch.name] = Touch(touch.name, status, touch.blob, touch.additions, touch.deletions)
    return [found[name] for name in sorted(found)]

"""How pull requests come to trunk: merged by request, by the merge bot, or by the simulated maintainer."""

import hashlib
import shlex
from dataclasses import replace

from project.simulator import names
from project.simulator.history import A_DAY, BESIDE, DAY, TRUNK, Commit
from project.simulator.pull_state import Item, item
from project.simulator.world import World
from project.simulator.writes import Comment, Landing

MAINTAINER_SECONDS = 180  # after which the simulated maintainer has merged a revert
_BOT_SECONDS = 5
_SEARCHED = 400  # trunk commits among which the one that a tree takes back is looked for
CLASSIFICATIONS = ("nosignal", "ignoredsignal", "landrace", "weird", "ghfirst")
USAGE = (
    "usage: @pytorchbot revert -m MESSAGE -c {nosignal,ignoredsignal,landrace,weird,ghfirst}\n\n"
    "Revert a merged PR. This requires that you have write access."
)


def land(world: World, found: Item, *, at: int, actor: str, title: str = "", body: str = "") -> Landing:
    """Give trunk a commit from a pull request at a moment, which may lie ahead."""
    reverts = found.made.reverts if found.made is not None else None
    if found.drawn is not None and found.drawn.lands is not None:
        reverts = found.drawn.lands.reverts
    title = title or f"{found.title} (#{found.number})"
    return _push(world, at, found.author, title, body or found.body, found.number, actor, reverts, 0)


def _push(
    world: World, at: int, author: str, title: str, body: str, number: int, actor: str, reverts: str | None,
    reverted: int,
) -> Landing:  # fmt: skip
    """Append a commit of trunk."""
    writes = world.writes
    sha = hashlib.sha1(f"{world.seed} {world.catalogue.scale} landing {number} {reverts} {at}".encode()).hexdigest()
    # Two commits of one second keep the order in which they were asked for; at one moment for one thing, one commit.
    if reverted == 0 and number:
        made = writes.pulls.get(number)
        back = world.find(made.reverts) if made is not None and made.reverts else None
        reverted = back.number if back is not None else 0
    if sha not in writes.commits:
        writes.commits[sha] = Commit(0, at // DAY, A_DAY - 1, writes.next_serial, sha, at, author, title, body, number,
                                     reverts)  # fmt: skip
    landing = Landing(sha, at, number, actor, reverts, reverted)
    writes.landings.append(landing)
    return landing


def unland(world: World, number: int, now: float) -> None:
    """Take back a landing that still lies ahead."""
    world.writes.landings = [x for x in world.writes.landings if x.number != number or x.at <= now]


def hurry(world: World, now: float, number: int | None = None) -> list[str]:
    """Let what the maintainer or the bot is about to land (or only one pull request) land now."""
    told = []
    for landing in world.writes.landings:
        if landing.at <= now or number not in (None, landing.number, landing.reverted):
            continue
        world.writes.commits[landing.sha] = replace(world.writes.commits[landing.sha], time=int(now),
                                                    day=int(now) // DAY)  # fmt: skip
        landing.at = int(now)
        told.append(landing.sha)
        for comment in world.writes.comments:
            if comment.at > now and comment.number == landing.reverted:
                comment.at = comment.updated = int(now)
    return told


def taken_back(world: World, head: Commit, now: float) -> str | None:
    """The sha of the trunk commit that a branch takes back: it restores its files as they were before, and no more."""
    base = world.base(head)
    if base is None or head.line != BESIDE:
        return None
    before, after = world.trees.of(base), world.trees.of(head)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    if not changed:
        return None
    for number, commit in enumerate(world.ancestors(base)):
        if number > _SEARCHED:
            break
        if {touch.name for touch in world.trees.touches(commit)} != changed:
            continue
        parent = world.parent(commit)
        old = world.trees.of(parent) if parent is not None else {}
        if all(after.get(name) == old.get(name) for name in changed):
            return commit.sha
    return None


def revert_title(commit: Commit) -> str:
    return f'Revert "{commit.title}"'


def expect_maintainer(world: World, number: int, now: float) -> Landing | None:
    """A pull request that takes back a commit is merged by a maintainer after a while."""
    found = item(world, number, now)
    if found is None or found.made is None or not found.made.reverts or found.draft or found.base != TRUNK:
        return None
    maintainer = names.BOT if world.catalogue.bot_lands else "mossy-stone"
    return land(world, found, at=int(now) + MAINTAINER_SECONDS, actor=maintainer)


# -- the merge bot --------------------------------------------------------------------------------------------------


def _say(world: World, number: int, at: int, body: str) -> None:
    writes = world.writes
    writes.comments.append(Comment(writes.next_comment, number, names.BOT, body, at, at))


def hear(world: World, found: Item, comment: Comment, url: str, now: float) -> None:
    """The merge bot reads a comment, and obeys or explains."""
    line = next((line for line in comment.body.splitlines() if line.strip().startswith("@pytorchbot")), None)
    if line is None or not found.is_pull:
        return
    try:
        words = shlex.split(line)[1:]
    except ValueError:
        words = []
    at = int(now) + _BOT_SECONDS
    if not words or words[0] != "revert":
        _say(world, found.number, at, f"❌ 🤖 pytorchbot command failed:\n```\n{USAGE}\n```")
        return
    message, classification, problem = _revert_words(words[1:])
    if problem:
        _say(world, found.number, at, f"❌ 🤖 pytorchbot command failed:\n```\n@pytorchbot revert: error: {problem}\n\n"
             f"{USAGE}\n```")  # fmt: skip
        return
    if found.landed is None or found.state == "open" or _being_reverted(world, found.number):
        why = "it has already been reverted or is being reverted" if found.landed is not None else "it was never landed"
        _say(world, found.number, at, f"Reverting PR {found.number} failed\nReason: {why}")
        return
    _say(world, found.number, at, "@pytorchbot successfully started a revert job. Check the current status [here]"
         f"({url}).\nQuestions? Feedback?")  # fmt: skip
    done = int(now) + MAINTAINER_SECONDS
    body = (
        f"This reverts commit {found.landed.sha}.\n\nReverted #{found.number} on behalf of {comment.author} due to "
        f"{message} ([comment]({url}))\n\nClassification: {classification}"
    )
    _push(world, done, names.BOT, revert_title(found.landed), body, 0, names.BOT, found.landed.sha, found.number)
    _say(world, found.number, done, f"@{found.author} your PR has been successfully reverted.")


def _revert_words(words: list[str]) -> tuple[str, str, str]:
    """(message, classification, what is wrong) of the words after `revert`."""
    told = {"-m": "", "-c": ""}
    names_of = {"-m": "-m", "--message": "-m", "-c": "-c", "--classification": "-c"}
    rest = list(words)
    while rest:
        option = names_of.get(rest.pop(0))
        if option is None or not rest:
            return "", "", f"unrecognized arguments: {' '.join(words)}"
        told[option] = rest.pop(0)
    if not told["-m"] or not told["-c"]:
        missing = [name for name, value in (("-m/--message", told["-m"]), ("-c/--classification", told["-c"]))
                   if not value]  # fmt: skip
        return "", "", f"the following arguments are required: {', '.join(missing)}"
    if told["-c"] not in CLASSIFICATIONS:
        choices = ", ".join(f"'{name}'" for name in CLASSIFICATIONS)
        return "", "", f"argument -c/--classification: invalid choice: '{told['-c']}' (choose from {choices})"
    return told["-m"], told["-c"], ""


def _being_reverted(world: World, number: int) -> bool:
    return any(landing.reverted == number for landing in world.writes.landings)

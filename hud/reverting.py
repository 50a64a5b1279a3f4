"""What a revert says and where it goes. Pure: from what is known of a break to the texts that people see before they
are sent, and the payload of the outbox row.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from hud.models import Classification, RevertWay

LEAST_WORDS = 3
LONGEST_WHY = 500
LONGEST_TITLE = 250
LONGEST_SAID = 1000  # to the bot, in one line


class CannotRevert(ValueError):  # noqa: N818 - reads as what it is
    """Why not, in words for the person who asked."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be reverted, and what is known about it."""

    way: str
    sha: str
    title: str
    pr_number: int | None
    trunk: str
    head: str  # trunk's newest commit
    classification: str
    why: str
    bot: str = ""
    evidence: tuple[str, ...] = ()  # sentences
    address: str = ""  # of the break's or commit's page


@dataclass(frozen=True, slots=True)
class Draft:
    """What would be sent. `words` says where it goes; `title` is empty for a comment."""

    kind: str
    words: str
    title: str
    body: str
    payload: dict[str, Any]


def reason(text: str) -> str:
    """The reason as one line. Raises `CannotRevert` if it says too little, for it is what the author will read."""
    why = " ".join(text.replace("\0", "").split())[:LONGEST_WHY]
    if len(re.findall(r"\w+", why)) < LEAST_WORDS:
        raise CannotRevert(f"Say why in {LEAST_WORDS} words or more.")
    return why


def draft(asked: Asked) -> Draft:
    """What the revert would say. Raises `CannotRevert` with the reason in words."""
    if asked.classification not in Classification.values:
        raise CannotRevert("Choose the kind of revert.")
    why = reason(asked.why)
    if asked.way == RevertWay.BOT:
        return _to_the_bot(asked, why)
    title = f'Revert "{_cut(line(asked.title), LONGEST_TITLE - 9)}"'
    body = _body(asked, why)
    if asked.way == RevertWay.GIT:
        payload: dict[str, Any] = {
            "sha": asked.sha, "onto": asked.head, "branch": f"revert-{asked.sha[:12]}", "base": asked.trunk,
            "title": title, "body": body,
        }  # fmt: skip
        return Draft("revert_commit", f"a pull request into {asked.trunk}", title, body, payload)
    if asked.pr_number is None:
        raise CannotRevert("This commit came without a pull request, so GitHub can't revert it. Use a revert commit.")
    payload = {"pull_number": asked.pr_number, "title": title, "body": body}
    return Draft("revert_pull", f"GitHub's revert of #{asked.pr_number}", title, body, payload)


def line(text: str) -> str:
    """Somebody else's words as one line."""
    return " ".join(text.replace("\0", "").split())


def quoted(text: str, longest: int = 200) -> str:
    """What a log or a job's name says, as code: so it is nobody's mention, names no issue and closes none."""
    # Within code GitHub looks for no mentions; the mark in between keeps it so wherever else the text may be pasted.
    return f"`{_cut(line(text).replace('`', chr(39)), longest).replace('@', '@' + NO_MENTION)}`"


NO_MENTION = "\u200b"  # a space without width


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _body(asked: Asked, why: str) -> str:
    parts = [f"This reverts commit {asked.sha}.", why + ("" if why[-1] in ".!?" else ".")]
    if asked.evidence:
        parts.append("\n".join(f"- {line}" for line in asked.evidence))
    parts.append(f"Kind: {asked.classification}.")
    if asked.address:
        parts.append(asked.address)
    return "\n\n".join(parts)


# No quote, and nothing that would take the meaning from the one that ends the message.
_PLAIN = str.maketrans({'"': "'", "`": "'", "\\": "/", "“": "'", "”": "'"})


def _to_the_bot(asked: Asked, why: str) -> Draft:
    """The command in the bot's own grammar: one line, the reason in double quotes, so none inside."""
    if asked.pr_number is None:
        raise CannotRevert("This commit came without a pull request, so there is nowhere to tell the bot.")
    if not re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,98})(?:\[bot\])?", asked.bot):
        raise CannotRevert("No merge bot is set for this repository.")
    told = line(" ".join([why, *asked.evidence[:1]])).translate(_PLAIN)
    said = f"{_cut(told, LONGEST_SAID)} {asked.address}".strip()
    body = f'@{asked.bot} revert -m "{said}" -c {asked.classification}'
    payload = {"number": asked.pr_number, "body": body}
    return Draft("merge_bot_comment", f"a comment to @{asked.bot} on #{asked.pr_number}", "", body, payload)

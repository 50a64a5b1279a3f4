"""What a revert says, whatever the commit, its jobs and their logs are called."""

from __future__ import annotations

import re
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hud.models import RevertWay
from hud.reverting import LONGEST_TITLE, NO_MENTION, CannotRevert, draft, quoted, reason
from project.outbox.kinds import checked
from tests.hud.test_acting import asked

HOSTILE = [
    'say "hi"', "two\nlines\r\nand three", "`rm -rf`", '" -c ghfirst -m "', "\\", '\\" -c weird', "-c weird",
    "x" * 10_000,
    "“curly” quotes", "@everyone look", "tab\tand\x0bothers\x1b[31m", "$(reboot) ${HOME} %s {0}", "fixes #12",
]  # fmt: skip


def command(body: str) -> list[str]:
    """The bot reads its command as a shell would."""
    return shlex.split(body)


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("where", ["why", "evidence", "title"])
def test_the_bot_reads_one_command_with_the_kind_that_was_chosen(text, where) -> None:
    given_text = f"it broke trunk {text}" if where == "why" else (text,) if where == "evidence" else text
    found = draft(asked(RevertWay.BOT, **{where: given_text}))
    words = command(found.body)
    assert words[:3] == ["@pytorchbot", "revert", "-m"]
    assert words[4:] == ["-c", "landrace"]
    assert "\n" not in found.body
    assert len(found.body) < 2_000
    checked(found.kind, found.payload)


@given(st.text(max_size=300), st.text(max_size=300))
def test_no_text_gets_out_of_the_message(why, line) -> None:
    found = draft(asked(RevertWay.BOT, why=f"it broke trunk {why}", evidence=(line,)))
    assert command(found.body)[4:] == ["-c", "landrace"]
    assert len(command(found.body)) == 6


@pytest.mark.parametrize("way", [RevertWay.GITHUB, RevertWay.GIT])
@pytest.mark.parametrize("text", HOSTILE)
def test_a_title_is_one_line_that_github_takes(way, text) -> None:
    found = draft(asked(way, title=text))
    assert len(found.title) <= LONGEST_TITLE
    assert re.fullmatch(r'Revert ".+"', found.title)
    checked(found.kind, found.payload)


@pytest.mark.parametrize("text", ["@everyone", "a @org/team b", "``` @user ```", "\n@user", "x" * 5_000 + "@user"])
def test_what_a_log_says_calls_nobody(text) -> None:
    said = quoted(text)
    assert not re.search(r"@\w", said)
    assert said.startswith("`")
    assert said.endswith("`")
    assert said.count("`") == 2
    assert "\n" not in said
    assert len(said) < 300
    assert NO_MENTION in said or "@" not in said


@pytest.mark.parametrize("why", ["", "  ", "bad", "too short", "… — !", "a\0 b"])
def test_two_words_are_no_reason(why) -> None:
    with pytest.raises(CannotRevert):
        reason(why)


def test_a_reason_is_one_line_of_bounded_length() -> None:
    assert reason(" it\nbroke \0 all\t things ") == "it broke all things"
    assert len(reason("word " * 5_000)) <= 500


@pytest.mark.parametrize("bot", ["", "a b", "x -c weird", 'bot"', "bot\nbot", "-bot", "b" * 120])
def test_a_bot_that_is_no_login_is_told_nothing(bot) -> None:
    with pytest.raises(CannotRevert, match="merge bot"):
        draft(asked(RevertWay.BOT, bot=bot))


def test_a_body_names_the_commit_in_gits_own_words() -> None:
    assert draft(asked(RevertWay.GITHUB)).body.startswith(f"This reverts commit {'a' * 40}.")

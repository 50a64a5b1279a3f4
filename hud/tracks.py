"""Which histories of a job are judged: the job's own and, where it fails in more ways than one, each failure's. Pure.

A job that fails says that something broke, not what. When one attempt of it flaked next to the true culprit, or a
second break hides behind the first, its history as a whole blames the wrong commit, or, by the rule on flakiness,
nobody for hours. The failing lines tell them apart: the history of one failure has its `F` only where the job failed
in that very way, its `S` where the job passed, and nothing where the job failed otherwise, since nobody knows what it
would have done. That is the test track of the rules, with whatever the log says in the place of a test's name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from hud.verdicts import (
    FAILURES_NEEDED,
    SURE_ENOUGH,
    SUSPECT_FAILURES_NEEDED,
    CommitEvents,
    Event,
    Missing,
    Opinion,
    Signal,
    Status,
    Verdict,
    judge,
)

Opinions = Callable[[str, str], Opinion | None]


class Told(NamedTuple):
    """An event and the keys of its failures, one for each way in which a shard failed; empty if none did, or no log of
    it has been read."""

    event: Event
    keys: tuple[str, ...] = ()


class CommitTold(NamedTuple):
    """A commit and what was told of it."""

    sha: str
    events: Sequence[Told]


def job(commits: Sequence[CommitTold]) -> Signal:
    """The job's own history."""
    return Signal("job", [CommitEvents(one.sha, [told.event for told in one.events]) for one in commits])


def of_failure(commits: Sequence[CommitTold], key: str) -> Signal:
    """The history of one way to fail."""
    return Signal(
        "test",
        [
            CommitEvents(one.sha, [told.event for told in one.events if told.event.status != "F" or key in told.keys])
            for one in commits
        ],
    )


def keys_at_head(commits: Sequence[CommitTold]) -> list[str]:
    """In which known ways the newest finished commit failed. While one of its logs is unread, it may be any of the ways
    in which the commits before it did."""
    keys: set[str] = set()
    for one in commits:
        finished = [told for told in one.events if told.event.status != "P"]
        keys.update(key for told in finished for key in told.keys)
        if finished and not any(told.event.status == "F" and not told.keys for told in finished):
            break
    return sorted(keys)


def failed_otherwise(commits: Sequence[CommitTold], key: str) -> set[str]:
    """Commits on which the job failed twice, but not in this way: another run of them would tell nothing about it.
    (Having failed once, it may have flaked, and a run that passes is just what is missing.)"""
    return {one.sha for one in commits if sum(bool(told.keys) and key not in told.keys for told in one.events) >= 2}


def failures_alike(commits: Sequence[CommitTold], shas: Sequence[str], key: str) -> int:
    """How many failures on these commits are of that kind, or of a kind not known yet."""
    wanted = set(shas)
    return sum(
        told.event.status == "F" and (not told.keys or key in told.keys)
        for one in commits
        if one.sha in wanted
        for told in one.events
    )


class Judged(NamedTuple):
    """One history's verdict. `test` is empty for the job's own, otherwise the test's name or the failure's key;
    `failing` the commits that fail, newest first, also where the verdict has no sides; `restart` what is worth running
    again of what the verdict asks for."""

    test: str
    key: str
    verdict: Verdict
    failing: tuple[str, ...]
    failures: int
    restart: tuple[str, ...]


def judged(
    commits: Sequence[CommitTold],
    opinions: Opinions = lambda test, sha: None,
    infra: Collection[str] = (),
    tests: Mapping[str, Signal] | None = None,
) -> list[Judged]:
    """The verdicts on a job whose newest result is a failure, newest commit first; empty if it has recovered.

    `opinions` gives what a person said of (test, suspect), if anything; `infra` are the keys of failures whose text
    blames machines or network; `tests` the histories of tests that failed at the head, as the job's reports tell. The
    failures' own histories are judged only where they can say something else than the job's.
    """
    whole, opined = _opined(job(commits), "", opinions)
    if whole.code == "recovered_at_head":
        return []
    failing = whole.evidence.failing or failing_at_top(commits)
    by_sha = {one.sha: one for one in commits}
    # The suspect's own failure says most; while its log is unread, the next one's.
    in_order = (told for sha in reversed(failing) for told in sorted(by_sha[sha].events, key=_began))
    key = next((key for told in in_order for key in told.keys), "")
    known = {key for sha in failing for told in by_sha[sha].events for key in told.keys}
    alike = failures_alike(commits, failing, key)
    found = [Judged("", key, _doubted(whole, opined, alike, key in infra), failing, alike, whole.restart)]
    for other in keys_at_head(commits):
        if whole.code != "flaky" and known == {other}:
            continue
        verdict, opined = _opined(of_failure(commits, other), other, opinions)
        evidence = verdict.evidence
        if verdict.code == "recovered_at_head" or not evidence.failing:
            continue
        verdict = _doubted(verdict, opined, evidence.failures, other in infra)
        verdict = verdict if opined else _again(verdict, by_sha[evidence.failing[-1]], other)
        vain = failed_otherwise(commits, other)
        restart = tuple(sha for sha in verdict.restart if sha not in vain)
        found.append(Judged(other, other, verdict, evidence.failing, evidence.failures, restart))
    for name, history in (tests or {}).items():
        verdict, _ = _opined(history, name, opinions)
        evidence = verdict.evidence
        if evidence.failing:
            found.append(Judged(name, "", verdict, evidence.failing, evidence.failures, verdict.restart))
    return found


def _began(told: Told) -> tuple[datetime, tuple[str, ...]]:
    return told.event.at, told.keys


def of_test(commits: Sequence[CommitTold], told: Mapping[str, Mapping[tuple[int, int], Status]]) -> Signal:
    """The history of one test. `told`: what the reports say of it, by sha and (workflow run, attempt). An attempt whose
    reports don't tell of it says nothing, one that still runs may yet."""
    return Signal(
        "test",
        [
            CommitEvents(
                one.sha,
                [
                    replace(event, status=status)
                    for event, _ in one.events
                    if (status := _of_test(event, told.get(one.sha, {})))
                ],
            )
            for one in commits
        ],
    )


def _of_test(event: Event, told: Mapping[tuple[int, int], Status]) -> Status | None:
    return "P" if event.status == "P" else told.get((event.run or 0, event.attempt or 0))


def _doubted(verdict: Verdict, opined: bool, alike: int, infra: bool) -> Verdict:
    """Nobody is accused for failures that differ from each other or that blame the machines: the rules can't see what
    the logs say. A person who says that the commit is to blame is believed."""
    if verdict.decision != "revert" or opined:
        return verdict
    if infra:
        lack = Missing("infra_text", "the log blames machines or network", "a person's word on the commit")
        return _waiting(verdict, "infra_not_ruled_out", lack)
    if alike < FAILURES_NEEDED:
        lack = Missing(
            "unlike", f"{alike} of {FAILURES_NEEDED} failures say the same", "another failure like the first"
        )
        return _waiting(verdict, "too_few_failures", lack)
    return verdict


def _again(verdict: Verdict, suspect: CommitTold, key: str) -> Verdict:
    """The rules ask a job's suspect to fail twice itself, but not a test's; a failure's history is made of jobs."""
    own = [told.event for told in suspect.events if told.event.status == "P" or key in told.keys]
    failed = sum(event.status == "F" for event in own)
    if verdict.decision != "revert" or failed >= SUSPECT_FAILURES_NEEDED:
        return verdict
    restart = (suspect.sha,) if failed == len(own) else ()
    lack = Missing("suspect_again", "it failed so once itself", f"another failure of {suspect.sha[:7]}", restart)
    if not restart:
        return _waiting(verdict, "too_few_failures", lack)
    words = f"Not enough evidence against {suspect.sha[:7]} yet: run it again."
    evidence = replace(verdict.evidence, words=words, missing=(*verdict.evidence.missing, lack))
    return Verdict("restart", "need_more_evidence", None, restart, evidence)


def _waiting(verdict: Verdict, code: str, lack: Missing) -> Verdict:
    suspect = (verdict.culprit or "")[:7]
    words = f"{suspect} looks guilty, but {lack.what}."
    evidence = replace(verdict.evidence, words=words, missing=(*verdict.evidence.missing, lack))
    return Verdict("wait", code, None, (), evidence)


def _opined(history: Signal, test: str, opinions: Opinions) -> tuple[Verdict, bool]:
    """The verdict, and whether a person's word was heard for it."""
    verdict = judge(history)
    suspect = verdict.evidence.suspect
    opinion = opinions(test, suspect) if suspect else None
    if opinion is None or opinion.sha != suspect or opinion.confidence < SURE_ENOUGH:
        return verdict, False
    return judge(history, opinion=opinion), True


def failing_at_top(commits: Sequence[CommitTold]) -> tuple[str, ...]:
    """The failed commits at the top, newest first, down to the first one that passed: for verdicts that have no sides,
    as when the green side has left the window."""
    shas = []
    for one in commits:
        statuses = {told.event.status for told in one.events}
        if "S" in statuses:
            break
        if "F" in statuses:
            shas.append(one.sha)
    return tuple(shas)

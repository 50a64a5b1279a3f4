"""The pages of logs: one job's, opened at the line that tells why it failed, and all that failed in one way."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from hud import failures, freshness, links, log_store, log_text, logs, places
from hud.cells import RunKind, shown
from hud.log_text import Group, Line
from hud.models import JobLog, LogState, Repository, Run
from hud.views import frame

WINDOW = 2_000  # lines on a page
ABOVE = 700  # of them, how many stand before the one that it opens at
MOST_JOBS = 2**60  # ids beyond this are nobody's


@dataclass(frozen=True, slots=True)
class Gap:
    """Lines that were not kept."""

    first: int
    last: int

    kind = "gap"


@dataclass(frozen=True, slots=True)
class Window:
    """Some lines of a log; `before` and `after` are lines that could be asked for next, 0 if there are none."""

    items: list[Line | Group | Gap]
    before: int
    after: int


@require_safe
def job(request: HttpRequest, owner: str, repo: str, job_id: int) -> HttpResponse:
    """A job's log, at the line asked for, or at the first that was searched for, or at the failing one."""
    repository, run, row = _found(owner, repo, job_id)
    place = places.trunk_place(repository)
    query = request.GET.get("q", "").replace("\0", "")[: log_text.LONGEST_QUERY]
    context: dict[str, Any] = {
        **frame(place, freshness.of_repository(repository.pk, active=repository.active)),
        "run": run,
        "commit": run.commit,
        "configuration": run.configuration,
        "outcome": shown(run.status, run.conclusion),
        "row": row,
        "job_id": job_id,
        "query": query,
        "github": links.run_url(place.github, run.pk, run.workflow_run_id, run.url),
        "raw": links.log_url(place.github, run.commit.sha, run.pk),
        "words": _words(run, row),
    }
    if row is not None and row.kept:
        found, more = log_text.search(log_store.stored_parts(row), query) if query else ([], False)
        target = _number(request, "line") or (found[0] if found else row.line_number or 0)
        target = min(target, row.lines)
        context |= {
            "target": target,
            "found": found[:20],
            "found_count": len(found),
            "found_more": more,
            "window": _around(row, target),
        }
    response = render(request, "hud/log.html", context, status=200)
    response["Cache-Control"] = "private, no-cache"
    return response


@require_safe
def lines(request: HttpRequest, owner: str, repo: str, job_id: int) -> HttpResponse:
    """The lines before, or after, those that a page shows: a fragment."""
    repository, _, row = _found(owner, repo, job_id)
    if row is None or not row.kept:
        raise Http404("The text of this log is not kept any more.")
    before, after = _number(request, "before"), _number(request, "after")
    if before:
        window = _window(row, max(1, before - WINDOW + 1), before)
    else:
        window = _window(row, max(1, after), after + WINDOW - 1)
    context = {
        "window": window,
        "place": places.Place(repository, None, "", ""),
        "job_id": job_id,
        "earlier": bool(before),
        "later": not before,
        "row": row,
    }
    return render(request, "hud/_log_lines.html", context)


@require_safe
def find(request: HttpRequest, owner: str, repo: str, job_id: int) -> JsonResponse:
    """The numbers of the lines that contain a text."""
    _, _, row = _found(owner, repo, job_id)
    found: list[int] = []
    more = False
    if row is not None and row.kept:
        query = request.GET.get("q", "").replace("\0", "")
        found, more = log_text.search(log_store.stored_parts(row), query)
    return JsonResponse({"lines": found, "more": more})


@require_POST
def again(request: HttpRequest, owner: str, repo: str, job_id: int) -> HttpResponse:
    """Have a log read whose text is not kept any more."""
    repository, run, _ = _found(owner, repo, job_id)
    logs.want(run.pk)
    return redirect("job", repository.owner, repository.name, job_id)


@require_safe
def failure(request: HttpRequest, owner: str, repo: str, key: str) -> HttpResponse:
    """All jobs that failed in the same way. The number of queries does not depend on how many."""
    repository = places.the_repository(owner, repo)
    place = places.trunk_place(repository)
    summary = failures.summary(repository, place.branch_id, key)
    if summary is None:
        raise Http404(f"Nothing in {repository} failed in this way, as far as logs have been read.")
    page, following = failures.instances(repository, place.branch_id, key, _after(request))
    context = {
        **frame(place, freshness.of_repository(repository.pk, active=repository.active)),
        "summary": summary,
        "now_on": failures.on_trunk_now(repository, place.branch_id, key),
        "trunk": _by_commit(one for one in page if one.place),
        "elsewhere": _by_commit(one for one in page if not one.place),
        "further": "after=" + ".".join(map(str, following)) if following else "",
        "continued": "after" in request.GET,
    }
    response = render(request, "hud/failure.html", context)
    response["Cache-Control"] = "private, no-cache"
    return response


def _by_commit(instances: Any) -> list[tuple[failures.Instance, list[failures.Instance]]]:
    found: dict[int, list[failures.Instance]] = {}
    for one in instances:
        found.setdefault(one.commit_id, []).append(one)
    return [(members[0], members) for members in found.values()]


def _after(request: HttpRequest) -> tuple[int, int, int] | None:
    found = re.fullmatch(r"([0-9]{1,9})\.([0-9]{1,9})\.([0-9]{1,18})", request.GET.get("after", ""))
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def _found(owner: str, repo: str, job_id: int) -> tuple[Repository, Run, JobLog | None]:
    repository = places.the_repository(owner, repo)
    run = None
    if job_id < MOST_JOBS:
        runs = Run.objects.filter(configuration__repository=repository).select_related("commit", "configuration")
        run = runs.select_related("job_name").filter(pk=RunKind.JOB.run_id(job_id)).first()
    if run is None:
        raise Http404(f"Arborist knows no job {str(job_id)[:20]} in {repository}.")
    return repository, run, JobLog.objects.filter(run_id=run.pk).first()


def _words(run: Run, row: JobLog | None) -> str:
    """Why there is no log to show; empty if there is."""
    if row is None:
        if not shown(run.status, run.conclusion).failing:
            return "Only the logs of failed jobs are read."
        return "This log has not been read yet."
    if row.kept:
        return ""
    if row.due_at is not None:
        if row.problem:
            return f"This log could not be read so far; it is tried again. {row.problem}"
        return "This log is waiting to be read. It comes within a minute, unless the hour's requests are used up."
    if row.state == LogState.READ:
        return row.problem or "The text of this log was kept for two weeks; what it says of the failure is still here."
    return row.problem


def _number(request: HttpRequest, name: str) -> int:
    text = request.GET.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _around(row: JobLog, target: int) -> Window:
    first = max(1, (target or row.lines) - ABOVE)
    # As much as a window may hold, also near the end.
    first = max(1, min(first, row.lines - WINDOW + 1))
    return _window(row, first, first + WINDOW - 1, {target})


def _window(row: JobLog, first: int, last: int, opened: set[int] | None = None) -> Window:
    kept = log_store.stored_lines(row, first, last)
    opened = (opened or set()) | set(row.errors)
    items: list[Line | Group | Gap] = []
    before, after = first - 1, last + 1 if last < row.lines else 0
    if row.cut_from is not None and row.cut_to is not None:
        above = [one for one in kept if one[0] < row.cut_from]
        below = [one for one in kept if one[0] > row.cut_to]
        items += log_text.folded(above, opened)
        if first <= row.cut_to and last >= row.cut_from:
            items.append(Gap(row.cut_from, row.cut_to))
        items += log_text.folded(below, opened)
        # Beyond the gap is where the next lines are.
        before = row.cut_from - 1 if row.cut_from <= before <= row.cut_to else before
        after = row.cut_to + 1 if row.cut_from <= after <= row.cut_to else after
    else:
        items += log_text.folded(kept, opened)
    return Window(items, before, after)

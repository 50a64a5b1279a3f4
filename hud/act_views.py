"""What people press: each address takes a POST, does one action, and goes back to the page, which tells what became of
it.

The forms stand in `templates/hud/_break_actions.html`; what they do, in `hud.break_actions` and `hud.remedies`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from hud import break_actions, freshness, places, remedies
from hud.break_actions import Told
from hud.models import Break, Classification, Commit, Configuration, Judgement, Repository, RevertWay
from hud.reverting import CannotRevert
from hud.views import frame
from project.accounts import refusals, roles
from project.accounts.models import User
from project.accounts.roles import Role
from project.github import errors
from project.outbox import preview


def _person(request: HttpRequest) -> User:
    return cast(User, request.user)  # `roles.needs` has let nobody else in


def _back(request: HttpRequest, url: str, told: Told, undo: str = "") -> HttpResponse:
    """To the page at `url`, or with `stay` to the one where it was pressed, which then tells what became of it. Script
    gets the words, and where and with what to take it back (`undo`: address?fields)."""
    if "X-Arborist-Script" in request.headers:
        return JsonResponse({"done": told.done, "words": told.words, **_taken_back_by(told, undo)})
    (messages.success if told.done else messages.warning)(
        request, told.words, extra_tags=str(told.write.pk) if told.write else ""
    )
    if request.POST.get("stay"):
        url = refusals.own_address(request, request.headers.get("Referer", "")) if "Referer" in request.headers else url
    response = HttpResponseRedirect(url)
    response.status_code = 303
    return response


def _taken_back_by(told: Told, undo: str) -> dict[str, Any]:
    if told.write is not None:
        left = (told.write.due_at - timezone.now()).total_seconds() if told.done else 0
        can = {"undo": f"/writes/{told.write.pk}/cancel", "seconds": round(left)} if left > 1 else {}
        return {"write": f"/writes/{told.write.pk}", **can}
    return {"undo": undo} if undo and told.done else {}


def _the_break(owner: str, repo: str, number: int) -> Break:
    repository = places.the_repository(owner, repo)
    rows = Break.objects.select_related("repository", "suspect")
    found = rows.filter(repository=repository, number=number).first() if number < 2**31 else None
    if found is None:
        raise Http404(f"{repository} has no break {number}.")
    return found


def _seen(request: HttpRequest) -> int | None:
    text = request.POST.get("version", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


# -- on a break -------------------------------------------------------------------------------------------------------


def _own(request: HttpRequest, one: Break) -> Told:
    if request.POST.get("release"):
        return break_actions.release(one=one, by=_person(request))
    return break_actions.own(one=one, by=_person(request), seen=_seen(request))


def _note(request: HttpRequest, one: Break) -> Told:
    note = request.POST.get("note", "")
    return break_actions.write_note(one=one, note=note, by=_person(request), seen=_seen(request))


def _issue(request: HttpRequest, one: Break) -> Told:
    if request.POST.get("new"):
        return remedies.file_issue(one=one, by=_person(request))
    return break_actions.link_issue(one=one, url=request.POST.get("url", ""), by=_person(request))


def _opinion(request: HttpRequest, one: Break) -> Told:
    sha = request.POST.get("sha", "")
    if one.suspect is None or (sha and sha != one.suspect.sha):
        return Told(False, "Not saved: the suspect is another commit now.")
    return break_actions.give_opinion(
        repository=one.repository, sha=one.suspect.sha, says=request.POST.get("says", ""),
        why=request.POST.get("why", ""), by=_person(request), one=one,
    )  # fmt: skip


def _withdraw(request: HttpRequest, one: Break) -> Told:
    said = Judgement.objects.filter(repository=one.repository, pk=_number(request.POST.get("opinion", ""))).first()
    if said is None:
        return Told(False, "There is no such opinion.")
    return break_actions.withdraw_opinion(said=said, by=_person(request))


_ACTS: dict[str, Callable[[HttpRequest, Break], Told]] = {
    "acknowledge": lambda request, one: break_actions.acknowledge(one=one, by=_person(request)),
    "unacknowledge": lambda request, one: break_actions.unacknowledge(one=one, by=_person(request)),
    "own": _own,
    "note": _note,
    "issue": _issue,
    "dismiss": lambda request, one: break_actions.dismiss(
        one=one, why=request.POST.get("why", ""), by=_person(request)
    ),
    "reopen": lambda request, one: break_actions.reopen(one=one, by=_person(request)),
    "opinion": _opinion,
    "withdraw": _withdraw,
    "rerun": lambda request, one: remedies.rerun(one=one, by=_person(request)),
}


# What takes an act back, with which fields.
_UNDO = {"acknowledge": "unacknowledge", "own": "own?release=1", "dismiss": "reopen"}


@require_http_methods(["GET", "HEAD", "POST"])
@roles.needs(Role.TREE_HUGGER, to="do this")
def act(request: HttpRequest, owner: str, repo: str, number: int, act: str) -> HttpResponse:
    """Anything on a break but its revert, which asks first. Asked for by its address, the question on the break's
    page."""
    if act not in _ACTS:
        raise Http404(f"Nothing is called “{act}” here.")
    one = _the_break(owner, repo, number)
    if request.method != "POST":
        return HttpResponseRedirect(f"{_break_url(one)}?act={act}#{act}")
    undo = "" if request.POST.get("release") else _UNDO.get(act, "")
    return _back(request, _break_url(one), _ACTS[act](request, one), f"{_break_url(one)}/{undo}" if undo else "")


def _break_url(one: Break) -> str:
    return f"{places.repository_path(one.repository.owner, one.repository.name)}/break/{one.number}"


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else 0


# -- reverting --------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@roles.needs(Role.TREE_HUGGER, to="revert")
def revert_break(request: HttpRequest, owner: str, repo: str, number: int) -> HttpResponse:
    """Preview the revert of a break's suspect; with `send`, ask for it."""
    one = _the_break(owner, repo, number)
    if one.suspect is None:
        return _back(request, _break_url(one), Told(False, "No suspect is known, so there is nothing to revert."))
    return _revert(request, one.repository, one.suspect, _break_url(one), one)


@require_http_methods(["GET", "HEAD", "POST"])
@roles.needs(Role.TREE_HUGGER, to="revert")
def revert_commit(request: HttpRequest, owner: str, repo: str, sha: str) -> HttpResponse:
    """The same for a commit, whether or not it broke anything. One that did goes by way of its break."""
    repository = places.the_repository(owner, repo)
    commit = places.the_commit(repository, sha)
    one = Break.objects.filter(repository=repository, suspect=commit, closed_at=None).select_related("repository")
    if found := one.order_by("number").first():
        return _revert(request, repository, commit, _break_url(found), found)
    base = places.repository_path(owner, repo)
    return _revert(request, repository, commit, f"{base}/commit/{commit.sha}", None)


def _revert(request: HttpRequest, repository: Repository, commit: Commit, back: str, one: Break | None) -> HttpResponse:
    said = request.POST if request.method == "POST" else request.GET
    classification, why = said.get("classification", ""), said.get("why", "")
    if request.method == "POST" and "send" in request.POST:
        told = remedies.revert(
            repository=repository, commit=commit, classification=classification, why=why, by=_person(request), one=one
        )
        return _back(request, back, told)
    draft, problem = None, ""
    if why or classification:
        try:
            draft = remedies.revert_draft(
                repository=repository, commit=commit, classification=classification, why=why, one=one
            )
        except CannotRevert as error:
            problem = str(error)
    place = places.trunk_place(repository)
    context = {
        **frame(place, freshness.of_repository(repository.pk, active=repository.active)),
        "commit": commit,
        "one": one,
        "back": back,
        "draft": draft,
        "problem": problem,
        "classification": classification,
        "why": why,
        "classifications": Classification.choices,
        "by_git": repository.revert_way == RevertWay.GIT,
        "here": request.path,
    }
    return render(request, "hud/revert.html", context, status=422 if problem else 200)


@require_safe
@roles.needs(Role.TREE_HUGGER, to="revert")
def revert_plan(request: HttpRequest, owner: str, repo: str, sha: str) -> HttpResponse:
    """What a revert commit of our own would change, and what is in its way: GitHub is asked, so the page loads this by
    itself and says meanwhile what it waits for."""
    repository = places.the_repository(owner, repo)
    commit = places.the_commit(repository, sha)
    plan, problem = None, ""
    try:
        plan = preview.revert_commit(
            repository=str(repository), sha=commit.sha, trunk_head=_head(repository),
            branch=f"revert-{commit.sha[:12]}", base=repository.trunk,
        )  # fmt: skip
    except errors.GitHubError as error:
        problem = error.words
    return render(request, "hud/_revert_plan.html", {"plan": plan, "problem": problem})


def _head(repository: Repository) -> str:
    found = repository.branch_set.filter(name=repository.trunk).values_list("head_sha", flat=True).first()
    return found or ""


# -- on a cell, a commit, a column ------------------------------------------------------------------------------------


def _the_configuration(repository: Repository, slot: int) -> Configuration:
    found = Configuration.objects.filter(repository=repository, slot=slot).first() if slot < 2**31 else None
    if found is None:
        raise Http404(f"{repository} has no configuration in column {slot}.")
    return found


@require_POST
@roles.needs(Role.TREE_HUGGER, to="re-run jobs")
def rerun_cell(request: HttpRequest, owner: str, repo: str, sha: str, slot: int) -> HttpResponse:
    """Run one job again on one commit."""
    repository = places.the_repository(owner, repo)
    commit, configuration = places.the_commit(repository, sha), _the_configuration(repository, slot)
    told = remedies.rerun_cell(commit=commit, configuration=configuration, by=_person(request))
    return _back(request, f"{places.repository_path(owner, repo)}/cell/{commit.sha}/{slot}", told)


@require_http_methods(["GET", "HEAD", "POST"])
@roles.needs(Role.TREE_HUGGER, to="give an opinion")
def opinion(request: HttpRequest, owner: str, repo: str, sha: str, slot: int) -> HttpResponse:
    """A word on one commit and one configuration. Asked for by its address, the question on the cell's page."""
    repository = places.the_repository(owner, repo)
    commit, configuration = places.the_commit(repository, sha), _the_configuration(repository, slot)
    if request.method != "POST":
        return HttpResponseRedirect(f"{places.repository_path(owner, repo)}/cell/{commit.sha}/{slot}#opinion")
    told = break_actions.give_opinion(
        repository=repository, sha=commit.sha, configuration=configuration, says=request.POST.get("says", ""),
        why=request.POST.get("why", ""), by=_person(request),
    )  # fmt: skip
    return _back(request, f"{places.repository_path(owner, repo)}/cell/{commit.sha}/{slot}", told)


@require_POST
@roles.needs(Role.TREE_HUGGER, to="mark configurations unstable")
def unstable(request: HttpRequest, owner: str, repo: str, slot: int) -> HttpResponse:
    """Mark a configuration unstable, with `off` no longer."""
    repository = places.the_repository(owner, repo)
    told = remedies.mark_unstable(
        configuration=_the_configuration(repository, slot), unstable=not request.POST.get("off"),
        why=request.POST.get("why", ""), by=_person(request),
    )  # fmt: skip
    return _back(request, f"{places.repository_path(owner, repo)}/column/{slot}", told)

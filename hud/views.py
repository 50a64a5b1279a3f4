"""The pages of the grid. Each is a question in the address and an answer from the database; nothing here writes."""

from __future__ import annotations

import gzip
import re
from hashlib import blake2b
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotModified, HttpResponseRedirect, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.utils.http import parse_etags, quote_etag
from django.views.decorators.http import require_safe

from hud import attention, brackets, commit_page, details, freshness, jump, layout, patterns, places
from hud import grid as grids
from hud.address import Address, parse
from hud.edition import EDITION
from hud.freshness import Freshness
from hud.models import Repository
from hud.places import Place

VARY = ("Accept-Encoding", "Cookie", "HX-Request", "X-Arborist-Refresh")


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """The only repository's trunk, or the list of repositories."""
    repositories = list(Repository.objects.order_by("owner", "name"))
    if len(repositories) == 1:
        return redirect(places.trunk_place(repositories[0]).path)
    return render(request, "hud/repositories.html", {"choices": places.choices()})


@require_safe
def trunk(request: HttpRequest, owner: str, repo: str) -> HttpResponse:
    """The trunk of a repository, under its branch's own address as soon as the branch is known."""
    repository = places.the_repository(owner, repo)
    place = places.trunk_place(repository)
    if place.branch_id is not None:
        query = request.META.get("QUERY_STRING", "")
        return redirect(place.path + ("?" + query if query else ""))
    return _grid(request, place, freshness.of_repository(repository.pk, active=repository.active))


@require_safe
def grid(request: HttpRequest, owner: str, repo: str, branch: str) -> HttpResponse:
    """A page of a branch: as a page, or as what has changed in it (`X-Arborist-Refresh`)."""
    return _grid(request, *places.branch_place(owner, repo, branch))


def _grid(request: HttpRequest, place: Place, fresh: Freshness) -> HttpResponse:
    repository = place.repository
    refresh = request.headers.get("X-Arborist-Refresh", "")
    address = parse(request.GET)
    etag = _etag(request, place, fresh, address, refresh)
    if etag in parse_etags(request.headers.get("If-None-Match", "")):
        return _cached(HttpResponseNotModified(), etag, fresh)
    pattern = patterns.of(address, repository.pk, repository.layout_version)
    columns = layout.load(repository.pk, repository.layout_version)
    below = _known_position(place, refresh) if refresh else None
    rows = grids.read(place.branch_id, address, below=below) if place.branch_id else []
    if address.at and not refresh and place.branch_id and not any(row.sha.startswith(address.at) for row in rows[:50]):
        moved = _where(place.branch_id, address)
        if moved is not None:
            return HttpResponseRedirect(place.path + moved)
    elsewhere = place.branch_id and (address.page > 1 or address.author)
    page = grids.build(
        columns,
        address,
        pattern,
        rows,
        key=(repository.pk, repository.layout_version),
        path=place.path,
        suffix="" if place.branch == repository.trunk else place.details_query,
        newest=grids.newest_cells(place.branch_id) if elsewhere and place.branch_id else (),
    )
    needs = attention.of(repository.pk, repository.version) if place.branch == repository.trunk else attention.NOTHING
    drawn = brackets.of_page(
        page.shape, [row.position for row in page.rows], needs.breaks, key=(repository.pk, repository.version)
    )
    above = attention.above(request, place, columns, needs, any_commits=bool(page.rows))
    if refresh:
        newer = _newer(place, address, page, below) if place.branch_id and refresh != "1" else 0
        changes = _changes(page, etag, fresh, newer, repository.version)
        shas = [row.sha for row in page.rows]
        changes["breaks"] = {**brackets.as_data(drawn, shas, place.base), "needs": above.decode()}
        return _cached(JsonResponse(changes), etag, fresh)
    context = _context(request, place, address, pattern, page, fresh)
    context["etag"] = _etag(request, place, fresh, address, page.rows[0].sha if page.rows else "1")
    shell = render(request, "hud/grid.html", context)
    table = page.html(place.base, place.github, timezone.now(), drawn.marks)
    shell.content = _filled(shell.content, table | {b"brackets": drawn.svg, b"needs": above})
    return _cached(_zipped(request, shell), etag, fresh)


def _zipped(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Compressed lightly: a page of a thousand columns takes GZipMiddleware as long as it took to make, for a fifth
    less."""
    if re.search(r"\bgzip\b", request.headers.get("Accept-Encoding", "")):  # as the middleware asks
        response.content = gzip.compress(response.content, compresslevel=3, mtime=0)
        response["Content-Encoding"] = "gzip"
    return response


# A person's text can't be mistaken for one of these: its < is escaped.
_PART = re.compile(rb"<!--(columns|names|counts|now|rows|brackets|needs)-->")


def _filled(shell: bytes, parts: dict[bytes, bytes]) -> bytes:
    """The page with its table: that is hundreds of kilobytes, which the template would copy once for each block
    around it."""
    pieces = _PART.split(shell)
    pieces[1::2] = [parts[name] for name in pieces[1::2]]
    return b"".join(pieces)


def _etag(request: HttpRequest, place: Place, fresh: Freshness, address: Address, refresh: str) -> str:
    """Names what would be sent, before any of it is read. A page says “6m”, so it lasts a minute; a refresh says no
    ages."""
    repository = place.repository
    view = address.query(at="") if refresh else address.query() + timezone.now().strftime("%Y%m%d%H%M")
    what = (repository.pk, str(repository), repository.version, repository.layout_version)
    parts = (EDITION, what, place.path, place.head, place.deleted, fresh.key, view, refresh, request.user.pk)
    return "W/" + quote_etag(blake2b(repr(parts).encode(), digest_size=12).hexdigest())


def _cached(response: HttpResponse, etag: str, fresh: Freshness) -> HttpResponse:
    response["ETag"] = etag
    response["Cache-Control"] = "private, no-cache"
    response["X-Arborist-Checked"] = fresh.stamp
    patch_vary_headers(response, VARY)
    return response


def _where(branch_id: int, address: Address) -> str | None:
    """The query of the page that holds `at`, if that is another one: commits move to older pages as time goes by."""
    found = places.page_of(branch_id, address.at) if not address.author else None
    if found is None or found[1] == address.page:
        return None
    return address.query(page=found[1])


def _known_position(place: Place, sha: str) -> int | None:
    """Where the newest commit that the asking page shows stands now."""
    found = place.commits.filter(commit__sha=sha)
    return found.values_list("position", flat=True).first()


def _newer(place: Place, address: Address, page: grids.Grid, below: int | None) -> int:
    """How many commits a page asked for anew would show above those that the asking page shows. If trunk was
    rewritten under it, then all of them."""
    if below is None or place.branch_id is None:
        return len(page.rows)
    return max(0, grids.count_newer(place.branch_id, address.author, below) - (address.page - 1) * grids.PER_PAGE)


def _changes(page: grids.Grid, etag: str, fresh: Freshness, newer: int, version: int) -> dict[str, Any]:
    return {
        "version": version,
        "etag": etag,
        "checked": fresh.stamp,
        "state": {
            "kind": fresh.kind,
            "problem": fresh.problem,
            "words": fresh.words,
            "done": fresh.done,
            "total": fresh.total,
        },
        "new_commits": newer,
        "layout": page.head.key,
        "rows": page.letters,
        "now": grids.as_letters(page.now),
        "counts": page.counts,
    }


def _context(
    request: HttpRequest, place: Place, address: Address, pattern: patterns.Pattern, page: grids.Grid, fresh: Freshness
) -> dict[str, Any]:
    return {
        **frame(place, fresh),
        "address": address,
        "pattern": pattern,
        "page": page,
        "path": place.path,
        "here": place.path + address.query(),
        "width": len(page.shape.columns) + 6,
        "segments": [
            (address.query(show=show, at=""), words, page.counts[count], address.show == show)
            for show, words, count in (
                ("", "All", "all"), ("failing", "Only failing", "failing"), ("notgreen", "Hide green", "notgreen")
            )
        ],
        "newer": place.path + address.query(page=address.page - 1, at="") if address.page > 1 else "",
        "older": place.path + address.query(page=address.page + 1, at="") if page.older else "",
        "newest": address.query(page=1, at=""),
        "unfiltered": address.query(q="", regex=False, at=""),
        "unshown": address.query(show="", at=""),
        "unauthored": address.query(author="", page=1, at=""),
        "caret": " " * (pattern.problem.at or 0) + "^" if pattern.problem else "",
        "fold_all": address.query(open=(), at=""),
        "unfold_all": address.query(open=("*",), at=""),
        "regex_toggle": address.query(regex=not address.regex, at=""),
    }  # fmt: skip


def frame(place: Place, fresh: Freshness) -> dict[str, Any]:
    """What every page's bar shows."""
    offered = places.choices()
    mine = (place.repository.owner, place.repository.name)
    repositories = {(owner, name): places.repository_path(owner, name) + "/" for owner, name, _, _ in offered}
    return {
        "place": place,
        "repository": place.repository,
        "fresh": fresh,
        "repositories": [
            (f"{owner}/{name}", url, (owner, name) == mine) for (owner, name), url in repositories.items()
        ],
        "branches": [
            (branch, Place(place.repository, None, branch, "").path, branch == place.branch)
            for owner, name, branch, _ in offered
            if (owner, name) == mine and branch
        ],
    }


@require_safe
def go(request: HttpRequest, owner: str, repo: str) -> HttpResponse:
    """To the commit, pull request, job or person that was typed, on the page that shows it; or words why not."""
    wanted = request.GET.get("to", "").replace("\0", "").strip()[:200]
    branch = request.GET.get("branch", "")
    repository = places.the_repository(owner, repo)
    try:
        place = places.branch_place(owner, repo, branch)[0] if branch else places.trunk_place(repository)
    except Http404:
        place = places.trunk_place(repository)
    target = jump.find(place, parse(request.GET), wanted)
    if target:
        return redirect(target)
    fresh = freshness.of_repository(repository.pk, active=repository.active)
    context = {**frame(place, fresh), "wanted": wanted, "address": parse(request.GET)}
    return render(request, "hud/not_found.html", context, status=404 if wanted else 200)


@require_safe
def commit(request: HttpRequest, owner: str, repo: str, sha: str) -> HttpResponse:
    """All that ran on one commit, what failed first."""
    repository = places.the_repository(owner, repo)
    place = places.trunk_place(repository)
    found = places.the_commit(repository, sha)
    fresh = freshness.of_repository(repository.pk, active=repository.active)
    context = {**frame(place, fresh), **commit_page.of_commit(place, found)}
    return _cached_details(render(request, "hud/commit.html", context))


@require_safe
def cell(request: HttpRequest, owner: str, repo: str, sha: str, slot: int) -> HttpResponse:
    """All runs of one configuration on one commit: a popover's content, or the same as a page."""
    repository = places.the_repository(owner, repo)
    found = details.of_cell(_details_place(request, repository), places.the_commit(repository, sha), slot)
    if found is None:
        raise Http404(f"{repository} has no configuration in column {slot}.")
    return _details(request, repository, "cell", found)


@require_safe
def group(request: HttpRequest, owner: str, repo: str, sha: str, slug: str) -> HttpResponse:
    """What a group's square is made of: its configurations on one commit."""
    repository = places.the_repository(owner, repo)
    found = details.of_group(_details_place(request, repository), places.the_commit(repository, sha), slug)
    if found is None:
        raise Http404(f"{repository} has no group “{slug}”.")
    return _details(request, repository, "group", found)


def _details_place(request: HttpRequest, repository: Repository) -> Place:
    branch = request.GET.get("branch", "")
    return (
        places.branch_place(repository.owner, repository.name, branch)[0] if branch else places.trunk_place(repository)
    )


def _details(request: HttpRequest, repository: Repository, name: str, context: dict[str, Any]) -> HttpResponse:
    if request.headers.get("HX-Request") == "true":
        return _cached_details(render(request, f"hud/_{name}.html", context))
    fresh = freshness.of_repository(repository.pk, active=repository.active)
    return _cached_details(
        render(request, "hud/details.html", {**frame(context["place"], fresh), **context, "part": f"hud/_{name}.html"})
    )


def _cached_details(response: HttpResponse) -> HttpResponse:
    response["Cache-Control"] = "private, no-cache"
    patch_vary_headers(response, VARY)
    return response

"""How a refusal is said: as a page to people, as a fragment to htmx, as JSON to scripts."""

from __future__ import annotations

from typing import TypeVar
from urllib.parse import urlencode, urlsplit

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.cache import add_never_cache_headers, patch_vary_headers
from django.utils.html import format_html
from django.utils.http import url_has_allowed_host_and_scheme

Answer = TypeVar("Answer", bound=HttpResponseBase)
SCRIPTED = ("X-Arborist-Refresh", "X-Arborist-Script")  # what our own modules send with `fetch`


def sign_in_first(request: HttpRequest, words: str) -> HttpResponseBase:
    """To the sign-in page, and back from there; 401 for whoever can't follow."""
    address = sign_in_address(_page_of(request))
    if _is_htmx(request):
        body = format_html(
            '<p class="refused" role="alert">{} <a class="link" href="{}">Sign in</a></p>', words, address
        )
        return _final(HttpResponse(body, status=401))
    if _is_script(request):
        return _final(JsonResponse({"error": words, "sign_in": address}, status=401))
    return _final(redirect(address))


def refuse(request: HttpRequest, words: str) -> HttpResponse:
    """403, in words."""
    if _is_htmx(request):
        return _final(HttpResponse(format_html('<p class="refused" role="alert">{}</p>', words), status=403))
    if _is_script(request):
        return _final(JsonResponse({"error": words}, status=403))
    return _final(render(request, "403.html", {"exception": words}, status=403))


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form that did not come from a page of ours, or from one that somebody else's sign-in made old."""
    return refuse(request, "This page is too old, or the request came from elsewhere. Load it again and repeat.")


def sign_in_address(next_url: str = "") -> str:
    """The sign-in page, which leads back to `next_url`."""
    address = reverse("account_login")
    return f"{address}?{urlencode({'next': next_url})}" if next_url not in ("", "/") else address


def own_address(request: HttpRequest, address: str) -> str:
    """The address if it is a page of ours, else the start page."""
    # Of those, only what can be nothing else than an address: `redirect` takes a bare word for the name of a view.
    good = address.startswith(("/", "https://", "http://")) and len(address) <= 2000
    good = good and url_has_allowed_host_and_scheme(
        address, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return address if good and not address.startswith(reverse("account_login")) else "/"


def _page_of(request: HttpRequest) -> str:
    """The page that a person is on: what was sent from it can't be asked for again by its address."""
    if _is_htmx(request):
        shown = request.headers.get("HX-Current-URL", "")
    elif request.method in ("GET", "HEAD"):
        return request.get_full_path()
    else:
        shown = request.headers.get("Referer", "")
    parts = urlsplit(own_address(request, shown))
    return parts.path + (f"?{parts.query}" if parts.query else "")


def _is_htmx(request: HttpRequest) -> bool:
    return request.headers.get("HX-Request") == "true"


def _is_script(request: HttpRequest) -> bool:
    """Whoever can do nothing with a page: the API's callers, and `fetch` in a page of ours, as browsers say it."""
    return (
        request.path.startswith("/api/")
        or any(name in request.headers for name in SCRIPTED)
        or request.headers.get("Sec-Fetch-Mode", "navigate") != "navigate"
        or request.headers.get("Accept", "").startswith(("application/json", "text/event-stream"))
    )


def _final(response: Answer) -> Answer:
    add_never_cache_headers(response)
    patch_vary_headers(response, ("Accept", "Cookie", "HX-Request"))
    return response

"""A simulated GitHub to sign in with, and a client that goes through its pages as a browser would."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
from django.test import Client

from project.simulator import oauth_routes
from project.simulator.running import Running, running_simulator

CALLBACK = "http://testserver/accounts/github/login/callback/"


@pytest.fixture
def github(settings: Any) -> Iterator[Running]:
    """A simulated GitHub, and settings that name it."""
    with running_simulator(scale="tiny", start="2026-11-18T16:00:00Z", speed=0) as running:
        settings.GITHUB_WEB_URL = settings.GITHUB_API_URL = running.url
        settings.OAUTH_CLIENT_ID, settings.OAUTH_CLIENT_SECRET = oauth_routes.CLIENT_ID, oauth_routes.CLIENT_SECRET
        settings.GITHUB_TOKEN = "token-of-the-site"
        settings.ALLOWED_HOSTS = ["localhost", "testserver"]
        yield running


class Person:
    """Somebody with a browser."""

    def __init__(self, github: Running) -> None:
        self.github = github
        self.browser = Client(SERVER_NAME="localhost", enforce_csrf_checks=True)

    def begin(self, next_url: str = "") -> str:
        """Press the button; where the page then leads."""
        page = self.browser.get("/accounts/login/", {"next": next_url} if next_url else {})
        token = page.context["csrf_token"]
        posted = self.browser.post("/accounts/login/", {"next": next_url, "csrfmiddlewaretoken": str(token)})
        assert posted.status_code == 200, posted.content
        return str(posted.context["github"])

    def choose(self, authorize: str, login: str) -> str:
        """At GitHub: be this person (or nobody); the address that leads back."""
        asked = dict(parse_qsl(urlsplit(authorize).query)) | {"person": login}
        answer = requests.post(authorize.partition("?")[0], data=asked, allow_redirects=False, timeout=10)
        assert answer.status_code == 302, answer.text
        return answer.headers["location"]

    def back(self, address: str) -> Any:
        parts = urlsplit(address)
        return self.browser.get(f"{parts.path}?{parts.query}")

    def sign_in(self, login: str, next_url: str = "") -> Any:
        return self.back(self.choose(self.begin(next_url), login))


@pytest.fixture
def person(github: Running) -> Callable[[], Person]:
    """Call it for somebody who has a browser."""
    return lambda: Person(github)

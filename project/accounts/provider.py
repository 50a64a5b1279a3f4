"""GitHub, or GitHub Enterprise, as allauth's provider. Found by allauth through this module's name."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from allauth.socialaccount.providers.github.provider import GitHubProvider
from allauth.socialaccount.providers.github.views import GitHubOAuth2Adapter
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView
from django.conf import settings

KEPT = ("id", "login", "name", "html_url")  # of all that GitHub tells about a person


class GitHubAddresses(GitHubOAuth2Adapter):  # type: ignore[misc]
    """Where GitHub is: asked of the settings each time, for tests bring a GitHub of their own."""

    @property
    def access_token_url(self) -> str:
        return f"{settings.GITHUB_WEB_URL}/login/oauth/access_token"

    @property
    def authorize_url(self) -> str:
        return f"{settings.GITHUB_WEB_URL}/login/oauth/authorize"

    @property
    def profile_url(self) -> str:
        return f"{settings.GITHUB_API_URL}/user"


class GitHub(GitHubProvider):  # type: ignore[misc]
    """Keeps of a person's profile what it needs."""

    oauth2_adapter_class = GitHubAddresses

    def extract_extra_data(self, data: dict[str, Any]) -> dict[str, Any]:
        # Other people's text: bounded, and without NUL, which PostgreSQL refuses.
        return {
            key: value if isinstance(value, int) else str(value or "").replace("\0", "")[:200]
            for key, value in data.items()
            if key in KEPT
        }


provider_classes = [GitHub]
callback = OAuth2CallbackView.adapter_view(GitHubAddresses)


def host() -> str:
    """Whose people these are. Number 7 of one GitHub is somebody else than number 7 of another."""
    return urlsplit(settings.GITHUB_WEB_URL).hostname or ""

"""What allauth asks us when somebody comes back from GitHub."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialApp, SocialLogin
from allauth.socialaccount.providers.base.constants import AuthError
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.shortcuts import redirect
from django.utils import timezone

from project import audit
from project.accounts import people, roles, teams
from project.accounts.models import User
from project.accounts.provider import host

log = logging.getLogger(__name__)

OURS = ("incorrect_client_credentials", "redirect_uri_mismatch", "application_suspended")  # the operator's to repair


class NoPasswords(DefaultAccountAdapter):  # type: ignore[misc]
    """Nobody signs up here but by GitHub, and the pages say by themselves what happened."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def add_message(self, *args: Any, **named: Any) -> None:
        pass

    def login(self, request: HttpRequest, user: User) -> None:
        """A session with a new key and an end, whether it is used or not."""
        roles.forget(user)
        super().login(request, user)
        request.session.set_expiry(timezone.now() + timedelta(hours=settings.SESSION_HOURS))
        audit.record(by=user, action="account.sign_in", target=f"@{user.username}")


class GitHubPeople(DefaultSocialAccountAdapter):  # type: ignore[misc]
    """GitHub says who it is and in which teams. Its token is used for that, and kept nowhere."""

    def list_apps(
        self, request: HttpRequest, provider: str | None = None, client_id: str | None = None
    ) -> list[SocialApp]:
        """The one application, from settings."""
        if not settings.OAUTH_CLIENT_ID:
            return []
        app = SocialApp(provider="github", provider_id=host(), name="GitHub")
        app.client_id, app.secret = settings.OAUTH_CLIENT_ID, settings.OAUTH_CLIENT_SECRET
        return [app]

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        return True

    def is_auto_signup_allowed(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        return True

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Before anything is stored. Addresses are no part of who somebody is."""
        sociallogin.email_addresses = []
        login = str(sociallogin.account.extra_data.get("login", ""))
        if not people.LOGIN.fullmatch(login):
            raise PermissionDenied("GitHub named nobody")
        sociallogin.teams = teams.of_person(sociallogin.token.token)
        if sociallogin.is_existing:
            with transaction.atomic():
                user = User.objects.select_for_update().get(pk=sociallogin.user.pk)
                people.call(user, login)
                user.first_name = _shown_name(sociallogin)
                user.save(update_fields=["username", "first_name"])
                sociallogin.user = sociallogin.account.user = user
                teams.renew(user, sociallogin.teams)

    def save_user(self, request: HttpRequest, sociallogin: SocialLogin, form: Any = None) -> User:
        """Somebody's first time here."""
        user: User = sociallogin.user
        user.set_unusable_password()
        user.email, user.last_name = "", ""
        try:
            with transaction.atomic():
                people.call(user, str(sociallogin.account.extra_data["login"]))
                user.first_name = _shown_name(sociallogin)
                sociallogin.save(request)
                teams.renew(user, sociallogin.teams)
        except IntegrityError:
            # In two windows at once: the other one was faster, and this person exists by now.
            raise ImmediateHttpResponse(redirect("account_login")) from None
        return user

    def on_authentication_error(
        self,
        request: HttpRequest,
        provider: Any,
        error: str | None = None,
        exception: Exception | None = None,
        extra_context: dict[str, Any] | None = None,
    ) -> None:
        """Say what kind of trouble it is, in the log and to the page; never what GitHub sent: it may hold a token."""
        text = str(exception or "") + request.GET.get("error", "")[:100]
        ours = next((name for name in OURS if name in text), "")
        if extra_context is not None:
            extra_context["ours"] = ours
            extra_context["unreachable"] = exception is not None and not isinstance(exception, PermissionDenied)
            extra_context["lost"] = exception is None and not request.GET.get("error")
        if error != AuthError.CANCELLED:
            log.warning("signing in with GitHub failed: %s", ours or type(exception).__name__)


def _shown_name(sociallogin: SocialLogin) -> str:
    return str(sociallogin.account.extra_data.get("name") or "")[:150]

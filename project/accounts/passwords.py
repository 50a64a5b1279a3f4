"""Signing in with a password, in Django's admin: for what `createsuperuser` made."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from project import audit


def record_sign_in(sender: Any, request: HttpRequest | None, user: Any, **_: Any) -> None:
    """Only a posted form: coming back from GitHub is recorded where it happens, and tests sign in without a request."""
    if request is not None and request.method == "POST":
        audit.record(by=user, action="account.sign_in", target=f"@{user.get_username()}", detail={"by": "password"})

"""Who we are to GitHub. The token itself appears in the Authorization header and nowhere else."""

import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

import jwt
import redis as redis_client
import requests
from cryptography.fernet import Fernet, InvalidToken

from .errors import BadAnswer, BadCredentials, Forbidden, GitHubError, NotFound, ServerFault, Unreachable

REFRESH_BEFORE: Final = 300.0  # seconds before its end that an installation token is replaced
JWT_BACKDATED: Final = 60  # seconds, for a clock of ours that is ahead
JWT_LIFE: Final = 540  # seconds from now; GitHub allows ten minutes in all


class Bearer(requests.auth.AuthBase):
    """Sets the Authorization header; none for "".

    Always passed to requests, which would otherwise take credentials from a .netrc file. Its repr hides the
    token, so that it may be a local variable of a frame that an error page shows.
    """

    def __init__(self, header: str) -> None:
        self._header = header

    def __repr__(self) -> str:
        return "Bearer(hidden)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bearer) and other._header == self._header

    def __hash__(self) -> int:
        return hash(self._header)

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._header:
            request.headers["Authorization"] = self._header
        return request


class TokenSource(Protocol):
    """Where the Authorization header comes from."""

    def header(self) -> str:
        """The value of the Authorization header, or "" for none. May ask GitHub; raises `GitHubError`."""

    def fingerprint(self) -> str:
        """A short hash that changes with the token: ETags are only valid for the token that got them."""

    def credential(self) -> str:
        """A short hash that stays while tokens change: whose rate budget is spent."""

    def forget(self) -> None:
        """GitHub answered 401: do not offer this token again, if there is a way to get another."""


class Anonymous:
    """No token at all: 60 requests an hour for the whole address."""

    def header(self) -> str:
        """Nothing."""
        return ""

    def fingerprint(self) -> str:
        """The same for everyone."""
        return "anonymous"

    def credential(self) -> str:
        """The same for everyone."""
        return "anonymous"

    def forget(self) -> None:
        """There is nothing to forget."""


class PersonalToken:
    """A personal access token, classic or fine-grained, or any other token that we cannot renew."""

    def __init__(self, token: str) -> None:
        self._token = token.strip()

    def __repr__(self) -> str:
        return f"PersonalToken({self.fingerprint()})"

    def header(self) -> str:
        """Bearer and the token. Raises `BadCredentials` for a text that cannot be one."""
        if not _sendable(self._token):
            raise BadCredentials("GET /", "The GitHub token holds characters that no token has.")
        return f"Bearer {self._token}"

    def fingerprint(self) -> str:
        """Of the token."""
        return _hash(self._token)

    def credential(self) -> str:
        """Of the token."""
        return self.fingerprint()

    def forget(self) -> None:
        """A person has to replace it; until then each request says so."""


@dataclass(frozen=True, slots=True, repr=False)
class _Minted:
    token: str
    expires: float  # seconds since the epoch


class AppInstallationToken:
    """Tokens of a GitHub App's installation: made from its private key, an hour long, renewed before they
    end.

    With ``redis`` all workers share one token, since pages fetched with one token are unknown to another (and
    would be paid for again). It is stored encrypted with a key made from the private key, so Redis never sees
    it.
    """

    def __init__(
        self,
        *,
        app_id: str,
        private_key: str,
        installation_id: str,
        api_url: str,
        session: requests.Session,
        redis: redis_client.Redis | None = None,
        timeout: tuple[float, float] = (5, 30),
        user_agent: str = "arborist",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._app_id = app_id
        self._private_key = private_key
        self._installation_id = installation_id
        self._url = f"{api_url.rstrip('/')}/app/installations/{installation_id}/access_tokens"
        self._asked = f"POST /app/installations/{installation_id}/access_tokens"
        self._session = session
        self._redis = redis
        self._key = f"arborist:github:token:{self.credential()}"
        self._cipher = Fernet(base64.urlsafe_b64encode(hashlib.sha256(private_key.encode()).digest()))
        self._timeout = timeout
        self._user_agent = user_agent
        self._clock = clock
        self._lock = threading.Lock()
        self._minted: _Minted | None = None

    def __repr__(self) -> str:
        return f"AppInstallationToken(app {self._app_id}, installation {self._installation_id})"

    def header(self) -> str:
        """Bearer and a token good for five minutes at least. Raises `GitHubError` if none can be had."""
        return f"Bearer {self._current().token}"

    def fingerprint(self) -> str:
        """Of the current token, so it changes every hour and takes the ETags with it. May ask GitHub."""
        return _hash(self._current().token)

    def credential(self) -> str:
        """Of the app and its installation."""
        return _hash(f"{self._url}\n{self._app_id}")

    def forget(self) -> None:
        """The next `header` makes a new token, unless another worker has already shared one."""
        with self._lock:
            mine, self._minted = self._minted, None
            shared = self._shared()
            if mine is not None and shared is not None and shared.token == mine.token:
                self._unshare()

    def _current(self) -> _Minted:
        with self._lock:
            if not self._fresh(self._minted):
                shared = self._shared()
                self._minted = shared if self._fresh(shared) else self._share(self._mint())
            assert self._minted is not None
            return self._minted

    def _fresh(self, minted: _Minted | None) -> bool:
        return minted is not None and self._clock() < minted.expires - REFRESH_BEFORE

    # -- from GitHub -----------------------------------------------------------------------------------------

    def _mint(self) -> _Minted:
        answer = self._post(self._signed())
        try:
            data = answer.json()
            token, expires = data["token"], datetime.fromisoformat(data["expires_at"]).timestamp()
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            token, expires = "", 0.0
        if not isinstance(token, str) or not _sendable(token):
            raise BadAnswer(self._asked, "it holds no token")
        return _Minted(token, expires)

    def _signed(self) -> Bearer:
        now = int(self._clock())
        claims = {"iss": self._app_id, "iat": now - JWT_BACKDATED, "exp": now + JWT_LIFE}
        try:
            return Bearer("Bearer " + jwt.encode(claims, self._private_key, algorithm="RS256"))
        except (ValueError, TypeError, jwt.PyJWTError):
            pass
        # Outside the handler, so that no part of the key can travel along as the error's context.
        raise BadCredentials(self._asked, "The GitHub App's private key is not a usable RSA key (PEM).")

    def _post(self, bearer: Bearer) -> requests.Response:
        error: GitHubError | None = None
        try:
            answer = self._session.post(
                self._url,
                headers={
                    "Accept": "application/vnd.github+json",
                    "User-Agent": self._user_agent,
                    "X-GitHub-Api-Version": "2022-11-28",
                },
                auth=bearer,
                timeout=self._timeout,
                allow_redirects=False,
            )
        except requests.RequestException:
            # Raised below, outside the handler: the original holds the request with its header.
            error = Unreachable(self._asked, "no token could be had for the app", 1)
        if error is not None:
            raise error
        if answer.status_code == 201:
            return answer
        if answer.status_code == 401:
            raise BadCredentials(self._asked, "GitHub does not accept the app's id or private key.")
        if answer.status_code == 404:
            raise NotFound(self._asked)
        if answer.status_code >= 500:
            raise ServerFault(self._asked, answer.status_code, 1)
        raise Forbidden(self._asked, f"it answered {answer.status_code} to the app")

    # -- shared through Redis --------------------------------------------------------------------------------

    def _shared(self) -> _Minted | None:
        if self._redis is None:
            return None
        try:
            stored: Any = self._redis.get(self._key)
            if not stored:
                return None
            token, expires = json.loads(self._cipher.decrypt(stored))
            return _Minted(str(token), float(expires))
        except (redis_client.RedisError, InvalidToken, ValueError, TypeError):
            return None

    def _share(self, minted: _Minted) -> _Minted:
        """Offer a new token to the other workers; if one of them was faster, take theirs."""
        if self._redis is None or not self._fresh(minted):
            return minted
        secret = self._cipher.encrypt(json.dumps([minted.token, minted.expires]).encode())
        seconds = max(1, int(minted.expires - REFRESH_BEFORE - self._clock()))
        try:
            if self._redis.set(self._key, secret, nx=True, ex=seconds):
                return minted
        except redis_client.RedisError:
            return minted
        shared = self._shared()
        return shared if shared is not None and self._fresh(shared) else minted

    def _unshare(self) -> None:
        if self._redis is not None:
            try:
                self._redis.delete(self._key)
            except redis_client.RedisError:
                return


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _sendable(token: str) -> bool:
    """Whether it may stand in a header: an error about a header that can't be sent would repeat the token."""
    return token.isascii() and token.isprintable() and token != "" and " " not in token

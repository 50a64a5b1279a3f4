"""Tokens: who we are to GitHub, and that nobody else learns it."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
import redis as redis_client
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from project.github import errors, factory
from project.github.client import Client
from project.github.tokens import Anonymous, AppInstallationToken, Bearer, PersonalToken

from . import samples
from .conftest import TOKEN, Memory
from .server import FakeServer, Reply

Maker = Callable[..., AppInstallationToken]


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    ).decode()


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


@pytest.fixture
def make(server: FakeServer, pem: str, session: requests.Session) -> Maker:
    def make(**changes: Any) -> AppInstallationToken:
        arguments: dict[str, Any] = {
            "app_id": "123",
            "private_key": pem,
            "installation_id": "456",
            "api_url": server.url,
            "session": session,
            "timeout": (2, 2),
        }
        return AppInstallationToken(**{**arguments, **changes})

    return make


class Mint:
    """Answers each request with the next token."""

    def __init__(self, life: float = 3600) -> None:
        self.made = 0
        self.life = life
        self.now: Callable[[], float] = time.time

    def __call__(self, path: str, headers: dict[str, str]) -> Reply:
        self.made += 1
        ends = datetime.fromtimestamp(self.now() + self.life, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return Reply(201, {"token": f"ghs_installation{self.made}", "expires_at": ends})


def test_a_personal_token_is_never_shown() -> None:
    token = PersonalToken(f" {TOKEN}\n")
    assert token.header() == f"Bearer {TOKEN}"
    assert TOKEN not in repr(token) + token.fingerprint() + token.credential()
    assert TOKEN not in repr(Bearer(token.header()))
    assert token.fingerprint() != PersonalToken("another").fingerprint()


@pytest.mark.parametrize("text", ["", "a b", "a\nb", "tökén"])
def test_a_text_that_is_no_token_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(errors.BadCredentials) as caught:
        PersonalToken(text).header()
    assert caught.value.asked == "GET /"
    assert not text or text not in str(caught.value)


def test_nobody_has_no_header() -> None:
    assert Anonymous().header() == ""
    assert Anonymous().fingerprint() == Anonymous().credential() == "anonymous"


def test_an_installation_token_is_asked_for_as_the_app(server: FakeServer, make: Maker, key: rsa.RSAPrivateKey) -> None:
    server.tell(Mint())
    token = make()
    assert token.header() == token.header() == "Bearer ghs_installation1"
    ((method, path, headers),) = server.seen
    assert (method, path) == ("POST", "/app/installations/456/access_tokens")
    claims = jwt.decode(headers["authorization"].removeprefix("Bearer "), key.public_key(), algorithms=["RS256"])
    now = time.time()
    assert claims["iss"] == "123"
    assert -65 <= claims["iat"] - now <= -58
    assert claims["exp"] - claims["iat"] <= 600
    assert headers["x-github-api-version"] == "2022-11-28"


def test_a_token_is_renewed_five_minutes_before_its_end_and_its_etags_with_it(server: FakeServer, make: Maker) -> None:
    now = [time.time()]
    mint = Mint()
    mint.now = lambda: now[0]
    server.tell(mint)
    token = make(clock=lambda: now[0])
    first, whose = token.fingerprint(), token.credential()
    now[0] += 3600 - 310
    assert token.fingerprint() == first
    now[0] += 20
    assert token.fingerprint() != first
    assert token.credential() == whose
    assert mint.made == 2


def test_a_revoked_token_is_replaced_within_the_same_request(
    server: FakeServer, make: Maker, make_client: Callable[..., Client]
) -> None:
    mint = Mint()

    def github(path: str, headers: dict[str, str]) -> Reply:
        if path.startswith("/app/"):
            return mint(path, headers)
        good = headers["authorization"] == "Bearer ghs_installation2"
        return Reply(body=samples.REPOSITORY, headers={"ETag": '"a"'}) if good else Reply(401)

    server.tell(github)
    page = make_client(token=make()).repository("a", "b")
    assert page.items
    assert page.validator is None, "its key would be the old token's"
    server.seen.clear()
    with pytest.raises(errors.BadCredentials):
        make_client().repository("a", "b")
    assert len(server.seen) == 1, "a personal token cannot be renewed, so it is not tried again"


def test_workers_share_one_token_that_redis_cannot_read(
    server: FakeServer, make: Maker, redis: redis_client.Redis
) -> None:
    mint = Mint()
    server.tell(mint)
    one, two = make(redis=redis), make(redis=redis)
    assert one.header() == two.header() == "Bearer ghs_installation1"
    assert mint.made == 1
    (name,) = redis.keys("arborist:github:token:*")
    stored = redis.get(name)
    assert isinstance(stored, bytes)
    assert b"ghs_" not in stored
    assert 3200 < int(redis.ttl(name)) <= 3300

    two.forget()
    assert two.header() == "Bearer ghs_installation2"
    one.forget()
    assert one.header() == "Bearer ghs_installation2", "what another worker has renewed is good"
    assert mint.made == 2


def test_junk_or_no_redis_costs_a_token_and_nothing_else(
    server: FakeServer, make: Maker, redis: redis_client.Redis, redis_away: redis_client.Redis
) -> None:
    server.tell(Mint())
    token = make(redis=redis)
    redis.set(f"arborist:github:token:{token.credential()}", b"junk")
    assert token.header().startswith("Bearer ghs_")
    away = make(redis=redis_away)
    assert away.header().startswith("Bearer ghs_")
    away.forget()


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(401), errors.BadCredentials),
        (Reply(404), errors.NotFound),
        (Reply(403), errors.Forbidden),
        (Reply(302, {}, {"Location": "/x"}), errors.Forbidden),
        (Reply(503), errors.ServerFault),
        (Reply(201, b"{"), errors.BadAnswer),
        (Reply(201, []), errors.BadAnswer),
        (Reply(201, {"token": 5, "expires_at": "2030-01-01T00:00:00Z"}), errors.BadAnswer),
        (Reply(201, {"token": "a b", "expires_at": "2030-01-01T00:00:00Z"}), errors.BadAnswer),
        (Reply(201, {"token": "ghs_x", "expires_at": None}), errors.BadAnswer),
        (Reply(201, {"token": "ghs_x"}, cut=3), errors.Unreachable),
    ],
)
def test_a_token_that_cannot_be_had_ends_in_words(
    server: FakeServer, make: Maker, pem: str, reply: Reply, kind: type[errors.GitHubError]
) -> None:
    server.tell(reply)
    with pytest.raises(kind) as caught:
        make().header()
    assert caught.value.asked == "POST /app/installations/456/access_tokens"
    assert caught.value.__context__ is None
    assert len(server.seen) == 1


def test_a_private_key_that_is_none_is_not_repeated(make: Maker) -> None:
    with pytest.raises(errors.BadCredentials, match="private key is not a usable") as caught:
        make(private_key="-----BEGIN nonsense").header()
    assert caught.value.__context__ is None
    assert "nonsense" not in repr(make(private_key="-----BEGIN nonsense"))


# -- from settings --------------------------------------------------------------------------------------------


def from_settings(url: str, redis_socket: str, **values: str) -> Client:
    defaults = {
        "GITHUB_TOKEN": "",
        "GITHUB_APP_ID": "",
        "GITHUB_APP_PRIVATE_KEY": "",
        "GITHUB_APP_INSTALLATION_ID": "",
        "GITHUB_API_URL": url,
        "REDIS_URL": f"unix://{redis_socket}",
    }
    with override_settings(**{**defaults, **values}):
        return factory.client(Memory())


def test_the_settings_decide_who_we_are(
    server: FakeServer, redis: redis_client.Redis, redis_socket: str, pem: str
) -> None:
    mint = Mint()
    server.tell(
        lambda path, headers: mint(path, headers) if path.startswith("/app/") else Reply(body=samples.REPOSITORY)
    )
    from_settings(server.url, redis_socket).repository("a", "b")
    from_settings(server.url, redis_socket, GITHUB_TOKEN=TOKEN).repository("a", "b")
    app = {
        "GITHUB_APP_ID": "123",
        "GITHUB_APP_PRIVATE_KEY": pem,
        "GITHUB_APP_INSTALLATION_ID": "456",
        "GITHUB_TOKEN": TOKEN,
    }
    from_settings(server.url, redis_socket, **app).repository("a", "b")
    asked = [headers.get("authorization") for _, path, headers in server.seen if path == "/repos/a/b"]
    assert asked == [None, f"Bearer {TOKEN}", "Bearer ghs_installation1"]


def test_a_half_configured_app_is_said_at_once(server: FakeServer, redis_socket: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="ARBORIST_GITHUB_APP_PRIVATE_KEY"):
        from_settings(server.url, redis_socket, GITHUB_APP_ID="123")

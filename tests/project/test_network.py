"""The guard in conftest: tests reach this machine only."""

import socket

import pytest
import requests

from tests.conftest import NetworkBlockedError


def test_other_machines_are_out_of_reach() -> None:
    with pytest.raises(NetworkBlockedError, match=r"192\.0\.2\.1"), socket.socket() as client:
        client.connect(("192.0.2.1", 80))
    with pytest.raises(NetworkBlockedError), socket.socket() as client:
        client.connect_ex(("192.0.2.1", 80))


def test_names_are_not_even_resolved() -> None:
    with pytest.raises(NetworkBlockedError, match=r"example\.org"):
        requests.get("http://example.org/", timeout=1)


def test_this_machine_is_within_reach() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        client.connect(server.getsockname())

"""Fixtures for tests that do something forbidden to a peer and check that it still serves."""

import pytest

from p2pwire import keys
from p2pwire.attempt import Attempt
from p2pwire.client import Client


@pytest.fixture(scope="module")
def peer(module_suite):
    return module_suite.peer(files={"f": b"served"})


@pytest.fixture(scope="module")
def identity():
    return keys.Identity()


@pytest.fixture(autouse=True)
def still_serving(peer, identity):
    """After each test, the peer serves an honest client."""
    yield
    with Client(peer.address, identity) as client:
        assert client.fetch("f") == b"served"


@pytest.fixture
def attempt(peer, identity):
    """Makes Attempts; their connections are closed after the test."""
    attempts = []

    def make(rand=None, who=identity):
        attempts.append(Attempt(peer, who, rand))
        return attempts[-1]

    yield make
    for one in attempts:
        one.stream.close()

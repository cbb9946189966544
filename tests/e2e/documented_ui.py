"""A registry, a far peer with files of every kind of name, and a near peer with its dashboard."""

import hashlib
import os

import pytest

from conftest import wait_until

NAMES = [
    "plain.txt",
    "with space.txt",
    "100% &+=;.txt",
    "quote'\".txt",
    "bar|bar",
    "emoji 😀 häß 文件.txt",
    "#hash?query.txt",
    "<img src=x onerror=alert(1)>.txt",
]


class World:
    """A registry, a far peer with files, and a near peer with its dashboard."""

    def __init__(self, suite):
        self.suite = suite
        self.far_files = {
            "far.bin": os.urandom(3_000_000),
            "small.txt": b"small",
            **{f"far {n}": n.encode() for n in NAMES},
        }
        self.discovery = suite.discovery()
        self.far = suite.peer(name="far", discovery=self.discovery, files=self.far_files)
        self.near = suite.peer(name="near", discovery=self.discovery, files={"mine.txt": b"hello\n"})
        self.ui = suite.ui(name="near", discovery=self.discovery, peer=self.near)
        self.api = self.ui.api
        wait_until(lambda: len(self.discovery.registry.peers()) == 2, what="both peers registered")
        wait_until(lambda: self.discovery.registry.peers(file="far.bin"), what="files registered")
        wait_until(
            lambda: any(f["name"] == "mine.txt" for f in self.api.json("/api/status")["shared_files"]),
            what="own file listed",
        )


def snapshot(world):
    """Every file in the test's folder outside the state folders, with the hash of its content."""
    return {
        str(p): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in world.suite.folder.rglob("*")
        if p.is_file() and ".p2p" not in p.parts and "keys" not in p.parts and p.suffix != ".log"
    }


@pytest.fixture(scope="module")
def world(module_suite):
    return World(module_suite)


@pytest.fixture
def api(world):
    return world.api


def mb(size):
    return round(size / 1048576, 3)


def assert_problem(answer, *statuses):
    assert answer.status_code in statuses, (answer.status_code, answer.text)
    assert answer.headers["Content-Type"].split(";")[0] == "application/problem+json"
    body = answer.json()
    assert body["status"] == answer.status_code and body["error"] == body["detail"]
    assert set(body) >= {"type", "title", "code"}

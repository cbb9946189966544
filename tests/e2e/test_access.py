"""Who sees what of a peer: private folders, and callers from outside the local networks. The clients are those of
p2pwire, so nothing but the peer itself hides anything."""

import json
import os
import socket
import subprocess
import urllib.request

import pytest

from conftest import BIN, environment, wait_until
from netns import other_machine
from p2pwire import msg, tree
from p2pwire.client import Client, Refused
from p2pwire.keys import Identity
from p2pwire.protocol1 import Client as Client1
from p2pwire.protocol1 import Refused as Refused1
from p2pwire.stream import Closed

CHUNK = 1 << 18
GONE = (Closed, OSError, TimeoutError, AssertionError)
TWIN, SECRET = os.urandom(100), os.urandom(2 * CHUNK + 5)
FILES = {
    "open.txt": b"for everyone",
    "private/secret.bin": SECRET,
    "private/twin": TWIN,
    "private.txt": b"not in the folder",
    "twin.txt": TWIN,
    "zoo/last.txt": b"behind the private folder",
}
VISIBLE = {name for name in FILES if not name.startswith("private/")}
NO_ROOT = b"\x01" * 32


class World:
    """A peer with a registry; a machine beside it whose further addresses are global ones, so outside."""

    def __init__(self, suite, machine):
        self.suite, self.machine = suite, machine
        number = os.getpid() % 250 + 1
        self.outside = {"v4": (f"198.51.100.{number}", machine.our_ip)}
        self.ip("route", "add", f"198.51.100.{number}/32", "dev", machine.name)
        self.inside("addr", "add", f"198.51.100.{number}/32", "dev", "veth0")
        self.inside("route", "add", f"{machine.our_ip}/32", "dev", "veth0", "src", self.outside["v4"][0])
        if os.path.exists("/proc/net/if_inet6"):
            self.outside["v6"] = (f"2001:db8:7::{number}", "fd00:7::1")
            self.ip("addr", "add", "fd00:7::1/64", "dev", machine.name, "nodad")
            self.inside("addr", "add", "fd00:7::2/64", "dev", "veth0", "nodad")
            self.inside("addr", "add", f"2001:db8:7::{number}/128", "dev", "veth0", "nodad")
            self.ip("route", "add", f"2001:db8:7::{number}/128", "dev", machine.name)
            self.inside("route", "add", "default", "via", "fd00:7::1")
        self.registry = suite.discovery()
        self.friend, self.reader, self.stranger = Identity(), Identity(), Identity()
        self.peer = self.start_peer("peer", discovery=self.registry)
        suite.p2p("peers", "trust", self.friend.peer_id, "--keys-dir", self.peer.keys, check=True)
        self.folder("private", "private", "--allow", self.reader.peer_id)

    def start_peer(self, name, *options, **more):
        return self.suite.peer(
            "--chunk-size", "256K", "--no-mdns", *options, name=name, files=FILES, host="0.0.0.0", wait=False, **more
        )  # fmt: skip

    @staticmethod
    def ip(*words):
        subprocess.run(["ip", *(["-6"] if any(":" in w for w in words) else []), *words], check=True)

    def inside(self, *words):
        self.ip("-n", self.machine.name, *words)

    def folder(self, *words, peer=None):
        self.suite.p2p(
            "folder", *words, "--keys-dir", (peer or self.peer).keys, "--discovery", "none", "--no-mdns", check=True
        )

    def registered(self, text):
        with urllib.request.urlopen(f"{self.registry.url}/search?q={text}", timeout=30) as answer:
            return json.load(answer)["results"]

    def near(self, identity, kind=Client, peer=None):
        """A client on the local network."""
        return kind(("127.0.0.1", (peer or self.peer).port), identity)

    def from_outside(self, how, identity, kind=Client, peer=None):
        source, target = self.outside[how]
        sock = self.machine.run(
            socket.create_connection, (target, (peer or self.peer).port), 20, source_address=(source, 0)
        )
        return kind(sock, identity, timeout=30)


@pytest.fixture(scope="module")
def world(module_suite):
    with other_machine(30) as machine:
        if machine is None:
            pytest.skip("no network namespaces here")
        world = World(module_suite, machine)
        wait_until(lambda: seen(world.near, world.reader) == set(FILES), 60, "all files")
        wait_until(lambda: seen(world.near, world.stranger) == VISIBLE, 60, "the private folder")
        yield world


def names(client):
    return {entry.name.decode() for entry in client.list_all()}


def seen(connect, identity, **more):
    with connect(identity, **more) as client:
        return names(client)


def answer(client, request):
    """The error that answers, without the number of the request."""
    client.send(request)
    error = client.receive()
    assert isinstance(error, msg.Error), error
    return error.code, error.text


def questions(client, name, root):
    yield msg.MetaRequest(client.new_req(), msg.BY_NAME, name)
    yield msg.MetaRequest(client.new_req(), msg.BY_ROOT, root)
    yield msg.LayerRequest(client.new_req(), root, 0, 3)
    yield msg.Get(client.new_req(), root, 0, CHUNK)
    yield msg.HashRequest(client.new_req(), root)
    yield msg.LeavesRequest(client.new_req(), root, 0, 3)


def test_a_private_file_is_like_one_that_does_not_exist(world):
    root = tree.root_of(SECRET)
    for who in (world.stranger, world.friend):
        with world.near(who) as client:
            hidden = [answer(client, q) for q in questions(client, b"private/secret.bin", root)]
            missing = [answer(client, q) for q in questions(client, b"private/nothing.b", NO_ROOT)]
            elsewhere = [answer(client, q) for q in questions(client, b"no/such/file", NO_ROOT)]
            assert hidden == missing == elsewhere
            assert {code for code, _ in hidden} == {msg.NOT_FOUND}
            assert names(client) == VISIBLE
            for cursor in (b"private/", b"private/secret.bin", b"open.txt"):
                assert not any(e.name.startswith(b"private/") for e in client.list_page(cursor).entries)


def test_a_content_with_a_visible_name_is_served_under_that_name(world):
    with world.near(world.stranger) as client:
        assert client.meta(root=tree.root_of(TWIN)).name == b"twin.txt"
        assert client.get(tree.root_of(TWIN), 0, len(TWIN)) == TWIN


def test_the_named_device_sees_the_folder(world):
    with world.near(world.reader) as client:
        assert names(client) == set(FILES)
        assert client.fetch("private/secret.bin") == SECRET
        assert len(client.leaves(tree.root_of(SECRET), 0, 33).leaves) == 33


def test_protocol_1_and_registries_never_see_the_folder(world):
    with world.near(world.reader, Client1) as client:  # its id is only a claim
        assert client.fetch("open.txt") == FILES["open.txt"]
        with pytest.raises(Refused1, match="not found"):
            client.meta("private/secret.bin")
        with pytest.raises(Refused1, match="not found"):
            client.chunk("private/secret.bin", 0)
    wait_until(lambda: world.registered("last"), 60, "the registration")
    wait_until(lambda: not world.registered("secret"), 60, "the registry without the private name")


@pytest.mark.parametrize("how", ["v4", "v6"])
def test_from_outside_strangers_get_nothing(world, how):
    if how not in world.outside:
        pytest.skip("no IPv6 here")
    with pytest.raises(GONE):
        world.from_outside(how, world.stranger)
    with pytest.raises(GONE):
        world.from_outside(how, world.friend, Client1)
    with world.from_outside(how, world.friend) as client:
        assert names(client) == VISIBLE
        assert client.fetch("open.txt") == FILES["open.txt"]
    with world.from_outside(how, world.reader) as client:
        assert names(client) == {"private/secret.bin", "private/twin"}
        assert client.fetch("private/secret.bin") == SECRET
        with pytest.raises(Refused):
            client.meta("open.txt")


def test_a_refused_device_reads_what_its_owner_can_ask_for(world, tmp_path):
    target = f"{world.machine.our_ip}:{world.peer.port}"
    run = subprocess.run(
        ["ip", "netns", "exec", world.machine.name, BIN / "p2p", "ls", target, "--no-mdns", "--discovery", "none",
         "--keys-dir", tmp_path / "keys"],
        cwd=tmp_path, capture_output=True, text=True, timeout=90, env=environment(tmp_path),
    )  # fmt: skip
    assert run.returncode != 0 and "refused this device" in run.stderr and "--public" in run.stderr, run.stderr
    own = world.suite.p2p("peers", "--known", "--json", "--keys-dir", world.peer.keys).stdout
    assert run.stderr.split("p2p peers trust ")[1][:64] in own  # as pending


def test_a_public_peer_serves_everyone_but_not_its_private_folders(world):
    peer = world.start_peer("public", "--public")
    world.folder("private", "private", peer=peer)
    wait_until(lambda: seen(world.near, world.stranger, peer=peer) == VISIBLE, 60, "the files")
    with world.from_outside("v4", world.stranger, peer=peer) as client:
        assert names(client) == VISIBLE
    with world.from_outside("v4", world.stranger, Client1, peer=peer) as client:
        assert client.fetch("open.txt") == FILES["open.txt"]
        with pytest.raises(Refused1):
            client.meta("private/secret.bin")


def test_a_right_that_is_taken_away_ends_what_runs(world):
    """Many requests of two readers are under way: near, where other files stay, and from outside."""
    root = tree.root_of(SECRET)
    with world.from_outside("v4", world.reader) as outside, world.near(world.reader) as near:
        assert near.get(root, 0, CHUNK) == outside.get(root, 0, CHUNK) == SECRET[:CHUNK]
        world.folder("private", "private")
        wait_until(lambda: refused(near, root), 30, "the end of the right")
        assert names(near) == VISIBLE
        with pytest.raises(GONE):  # it may see nothing any longer, so it is not there
            while True:
                outside.get(root, 0, CHUNK)
    with pytest.raises(GONE):
        world.from_outside("v4", world.reader)
    world.folder("private", "private", "--allow", world.reader.peer_id)
    wait_until(lambda: seen(world.near, world.reader) == set(FILES), 30, "the right again")


def refused(client, root):
    try:
        client.get(root, 0, CHUNK)
    except Refused as error:
        return error.code == msg.NOT_FOUND
    return False

"""Heartbeats: a living peer stays listed, whatever happens in its folder, at a registry, or to its address."""

import os
import socket
import threading
import time
from types import SimpleNamespace

import pytest

from conftest import wait_until
from crowd import listed
from netns import OtherMachine, _ip, switched_machines
from p2pwire.web import Registry

TTL_S = 4  # the peer's heartbeat is 1 s, so a busy machine may miss three


def stays_listed(registry, peer, seconds, meanwhile=lambda: None):
    """Checks often for more than two TTLs, and reports when a peer was not listed. `peer`: one or several."""
    wanted = {one.peer_id for one in (peer if isinstance(peer, list) else [peer])}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        meanwhile()
        assert wanted <= set(listed(registry)), f"gone {end - time.monotonic():.1f} s before the end"


def save(folder):
    """Works like an editor: a lock file that exists for a moment, and a text that is saved again and again."""
    lock = folder / ".lock file"
    name = folder / "~$lock"
    for path in (lock, name):
        path.write_bytes(b"")
    (folder / "text").write_bytes(os.urandom(8))
    time.sleep(0.05)
    for path in (lock, name):
        path.unlink()
    time.sleep(0.2)


def test_changes_keep_nobody_from_being_listed(suite):
    """Neither those that the registry is told about, nor those that it is not, which must not restart the pause."""
    program = suite.discovery("--ttl", f"{TTL_S}s")
    names = ("busy", "mode", "link")
    peers = [suite.peer("--heartbeat", "1s", name=name, discovery=program, files={name: b"x"}) for name in names]
    busy, mode, link = peers
    for name in names:
        wait_until(lambda: program.registry.peers(file=name), 30, "registered")  # noqa: B023

    def change():
        save(busy.shared)
        (mode.shared / "mode").chmod(0o600)
        (mode.shared / "mode").chmod(0o644)
        os.link(link.shared / "link", link.folder / "another")
        (link.folder / "another").unlink()

    stays_listed(program.registry, peers, 3 * TTL_S, change)


def test_a_registry_that_hangs_keeps_nobody_from_the_other(suite):
    """It accepts connections and never answers, while there are changes to report all the time."""
    program = suite.discovery("--ttl", f"{TTL_S}s")
    with socket.create_server(("127.0.0.1", 0)) as hangs:
        url = f"http://127.0.0.1:{hangs.getsockname()[1]}"
        peer = suite.peer("--discovery", url, "--heartbeat", "1s", discovery=program, files={"f": b"x"})
        wait_until(lambda: program.registry.peers(file="f"), 30, "registered")
        stays_listed(program.registry, peer, 3 * TTL_S, lambda: save(peer.shared))


def test_a_refused_change_keeps_nobody_from_being_listed(suite):
    """A registry that refuses registrations for a while (429) still gets heartbeats."""
    program = suite.discovery("--ttl", f"{TTL_S}s")
    refuser = Refuser(program)
    try:
        peer = suite.peer("--heartbeat", "1s", discovery=refuser, files={"f": b"x"})
        wait_until(lambda: program.registry.peers(file="f"), what="registered")
        refuser.refuses = True
        stays_listed(program.registry, peer, 2 * TTL_S, lambda: save(peer.shared))
        refuser.refuses = False
        (peer.shared / "late").write_bytes(b"y")
        wait_until(lambda: program.registry.peers(file="late"), 20, "told in the end")
    finally:
        refuser.close()


class Refuser:
    """A proxy between a peer and its registry: answers registrations with 429 while it `refuses`."""

    def __init__(self, program):
        self.refuses, self._target = False, program.address
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(client,), daemon=True).start()

    def _answer(self, client):
        with client:
            client.settimeout(10)
            request = b""
            while b"\r\n\r\n" not in request:
                request += client.recv(65536) or b"\r\n\r\n"
            if self.refuses and b" /register" in request.split(b"\r\n")[0]:
                client.sendall(b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
                return
            with socket.create_connection(self._target, 10) as server:
                server.sendall(request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
                threading.Thread(target=pump, args=(client, server), daemon=True).start()
                pump(server, client)

    def close(self):
        self._server.close()


def pump(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def test_a_restarted_registry_is_noticed_within_a_heartbeat(suite):
    first = suite.discovery("--ttl", "60s")
    peer = suite.peer("--heartbeat", "2s", discovery=first, files={"f": b"x"})
    wait_until(lambda: first.registry.peers(file="f"), what="registered")
    first.kill()
    again = suite.discovery("--ttl", "60s", port=first.address[1], folder="again")
    wait_until(lambda: peer.peer_id in listed(again.registry), 10, "registered again")


# --- addresses -------------------------------------------------------------------------------


@pytest.fixture
def machine():
    """A machine with a way out, and our own address on its network."""
    with switched_machines(1) as (our_ip, machines):
        if our_ip is None:
            pytest.skip("no network namespaces here")
        _ip("-n", machines[0].name, "route", "add", "default", "via", our_ip)
        yield our_ip, machines[0]


def move(machine, our_ip, new_ip, way_out=True):
    _ip("-n", machine.name, "addr", "flush", "dev", "veth0")
    _ip("-n", machine.name, "addr", "add", f"{new_ip}/24", "dev", "veth0")
    if way_out:
        _ip("-n", machine.name, "route", "add", "default", "via", our_ip)


def listed_ip(registry):
    return next((p["ip"] for p in registry.peers()), None)


@pytest.mark.parametrize("way_out", [True, False], ids=["", "no way out"])
def test_a_peer_that_moves_is_listed_where_it_is_at_once(suite, machine, way_out):
    """Long before its next heartbeat; also in a network without a way out."""
    our_ip, other = machine
    if not way_out:
        _ip("-n", other.name, "route", "del", "default")
    program = suite.discovery("--ttl", "10m", host="0.0.0.0")
    seen_from_there = SimpleNamespace(url=f"http://{our_ip}:{program.port}")
    suite.peer("--heartbeat", "5m", discovery=seen_from_there, host="0.0.0.0", prefix=other.prefix)
    wait_until(lambda: listed_ip(program.registry) == other.ip, 20, "listed")
    new_ip = other.ip.rsplit(".", 1)[0] + ".77"
    move(other, our_ip, new_ip, way_out)
    wait_until(lambda: listed_ip(program.registry) == new_ip, 30, "listed at its new address")


def test_a_peer_beside_its_registry_moves_too(suite, machine):
    """The registry sees 127.0.0.1, so the peer states its address, even if it had no network at its start."""
    our_ip, other = machine
    _ip("-n", other.name, "addr", "flush", "dev", "veth0")
    program = suite.discovery("--ttl", "10m", host="0.0.0.0", prefix=other.prefix)
    suite.peer("--heartbeat", "5m", discovery=program, host="0.0.0.0", prefix=other.prefix)
    inside = OtherMachine(other.name, our_ip, other.ip)
    ip = lambda: inside.run(listed_ip, Registry(program.url))  # noqa: E731
    wait_until(lambda: ip() == "127.0.0.1", 20, "listed")
    for last in (5, 77):
        new_ip = other.ip.rsplit(".", 1)[0] + f".{last}"
        move(other, our_ip, new_ip)
        wait_until(lambda: ip() == new_ip, 20, "listed at its new address")

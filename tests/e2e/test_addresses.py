"""Addresses that change, several addresses of one peer, and addresses that lead nowhere."""

import json
import os
import shutil
import socket
import subprocess
from types import SimpleNamespace

import pytest
import requests

from conftest import BIN, LONG, environment, wait_until
from getting import Getter
from netns import switched_machines
from p2pwire.keys import Identity
from test_heartbeats import listed_ip, machine, move  # noqa: F401: a fixture

MIB = 1 << 20


def test_a_download_follows_its_source_to_another_address(suite, machine):
    our_ip, other = machine
    data = os.urandom(24 * MIB)
    program = suite.discovery("--ttl", "10m", host="0.0.0.0")
    there = SimpleNamespace(url=f"http://{our_ip}:{program.port}")
    suite.peer("--heartbeat", "5m", "--limit-rate", "2M", "--no-mdns", discovery=there, host="0.0.0.0",
               prefix=other.prefix, files={"f.bin": data}, wait=False)  # fmt: skip
    wait_until(lambda: program.registry.peers(file="f.bin"), 30, "listed")
    getter = Getter(suite, registry=program.url)
    getter.wait_for(1 * MIB)
    new_ip = other.ip.rsplit(".", 1)[0] + ".77"
    move(other, our_ip, new_ip)
    wait_until(lambda: listed_ip(program.registry) == new_ip, 30, "listed at its new address")
    said, status = getter.finish(240)
    assert status == 0, said
    assert (suite.folder / "out" / "f.bin").read_bytes() == data


# --- what a registry lists ---------------------------------------------------------------------

WHO = Identity()
ENTRY = {"name": "a.txt", "size": 5, "root": "22" * 32, "version": 0}


def places(registry, who=WHO.peer_id):
    peer = registry.get(f"/peers/{who}").json()
    return peer.get("addresses")


def test_a_registry_lists_what_others_can_use(suite):
    registry = suite.discovery().registry
    given = [
        "203.0.113.9:9000", "[2001:DB8::2]:9001", "home.example:7000", "127.0.0.1:9000", "[::1]:9000", "localhost:9000",
        "[fe80::1%lo]:9000", "169.254.7.7:9000",
    ]  # fmt: skip
    about = {"name": "Küche", "addresses": given}
    assert registry.register_signed(WHO, 9000, [ENTRY], 1, about=about).status_code == 200
    right = ["203.0.113.9:9000", "[2001:db8::2]:9001", "home.example:7000"]
    assert places(registry) == right
    assert [p["addresses"] for p in registry.peers()] == [right]
    results = registry.get("/search", q="a.txt", mode="exact").json()["results"]
    assert [(p["name"], p["addresses"]) for r in results for p in r["peers"]] == [("Küche", right)]
    assert registry.register_signed(WHO, 9000, [ENTRY], 2, about={"name": "Küche"}).status_code == 200
    assert places(registry) is None, "it states none any longer"
    assert "addresses" not in registry.get("/search", q="a.txt", mode="exact").json()["results"][0]["peers"][0]


def test_addresses_without_the_second_signature_are_not_taken(suite):
    registry = suite.discovery().registry
    assert registry.register_signed(WHO, 9000, [ENTRY], 1, addresses=["203.0.113.9:9000"]).status_code == 200
    assert places(registry) is None


def test_a_heartbeat_from_a_listed_address_moves_nobody(suite):
    registry = suite.discovery(host="0.0.0.0").registry
    about = {"name": "", "addresses": ["10.99.99.99:9000"]}
    assert registry.register_signed(WHO, 9000, [ENTRY], 1, about=about).status_code == 200

    def beat(source):
        with requests.Session() as session:
            session.mount("http://", Source(source))
            return session.get(f"{registry.url}/heartbeat", params={"peer_id": WHO.peer_id}, timeout=30).status_code

    assert beat("127.0.0.1") == 200
    assert beat("127.0.0.2") == 404, "an address that is not listed"
    assert beat("127.0.0.1") == 200


class Source(requests.adapters.HTTPAdapter):
    """Connects from this address."""

    def __init__(self, address):
        self.address = address
        super().__init__()

    def init_poolmanager(self, *arguments, **kwargs):
        super().init_poolmanager(*arguments, source_address=(self.address, 0), **kwargs)


def test_a_snapshot_keeps_names_and_addresses(suite):
    snapshot = suite.folder / "snapshot"
    about = {"name": "Küche", "kind": 2, "addresses": ["203.0.113.9:9000", "home.example:7000"]}
    first = suite.discovery("--snapshot", snapshot)
    assert first.registry.register_signed(WHO, 9000, [ENTRY], 1, about=about).status_code == 200
    first.stop()
    again = suite.discovery("--snapshot", snapshot, folder="again").registry
    peer = again.get(f"/peers/{WHO.peer_id}").json()
    assert (peer["name"], peer["kind"], peer["addresses"]) == ("Küche", "desktop", about["addresses"])
    assert again.register_signed(WHO, 9000, [ENTRY], 2).status_code == 200
    peer = again.get(f"/peers/{WHO.peer_id}").json()
    assert "name" not in peer and "addresses" not in peer


# --- p2p-peer ---------------------------------------------------------------------------------


def record(program, peer):
    return program.registry.get(f"/peers/{peer.peer_id}").json()


def test_advertised_addresses_come_first(suite):
    program = suite.discovery()
    peer = suite.peer("--advertise", "home.example:7000", "--advertise", "192.0.2.55:7001", "--advertise", "192.0.2.56",
                      discovery=program, files={"a.txt": b"1"})  # fmt: skip
    wait_until(lambda: program.registry.peers(file="a.txt"), 30, "registered")
    listed = record(program, peer)
    assert (listed["ip"], listed["port"]) == ("192.0.2.55", 7001)
    assert listed["addresses"] == ["home.example:7000", f"192.0.2.56:{peer.port}"]


def test_advertise_is_a_setting_of_the_home(suite):
    program = suite.discovery()
    (suite.folder / "peer").mkdir()
    (suite.folder / "peer" / "p2p.conf").write_text("[p2p-peer]\nadvertise = 192.0.2.55:7001\n")
    peer = suite.peer(discovery=program, files={"a.txt": b"1"})
    wait_until(lambda: program.registry.peers(file="a.txt"), 30, "registered")
    listed = record(program, peer)
    assert (listed["ip"], listed["port"]) == ("192.0.2.55", 7001)


@pytest.mark.parametrize(
    "given",
    ["home", "home.example", "home:7000", "192.0.2.55:0", "192.0.2.55:65536", "0.0.0.0:80", "[::]:80", "a b.c:1", ""],
)
def test_what_nobody_can_use_is_not_advertised(suite, given):
    folder = suite.folder / "peer"
    folder.mkdir()
    run = subprocess.run(
        [BIN / "p2p-peer", "--port", "0", "--advertise", given], capture_output=True, text=True, timeout=60, cwd=folder,
        env=environment(folder),
    )  # fmt: skip
    assert run.returncode == 2 and "--advertise" in run.stderr and "ready" not in run.stdout


def test_too_many_addresses_are_refused(suite):
    folder = suite.folder / "peer"
    folder.mkdir()
    many = [word for i in range(9) for word in ("--advertise", f"192.0.2.{i + 1}")]
    run = subprocess.run(
        [BIN / "p2p-peer", "--port", "0", *many], capture_output=True, text=True, timeout=60, cwd=folder,
        env=environment(folder),
    )  # fmt: skip
    assert run.returncode == 2 and "at most 8" in run.stderr


def test_a_download_uses_the_address_that_works(suite, machine):
    """The advertised one leads nowhere from here, as a router's that does not lead back inside."""
    our_ip, other = machine
    nowhere = other.ip.rsplit(".", 1)[0] + ".99"
    data = os.urandom(MIB)
    program = suite.discovery("--ttl", "10m", host="0.0.0.0")
    there = SimpleNamespace(url=f"http://{our_ip}:{program.port}")
    suite.peer("--advertise", f"{nowhere}:9", "--heartbeat", "5m", "--no-mdns", discovery=there, host="0.0.0.0",
               prefix=other.prefix, files={"f.bin": data}, wait=False)  # fmt: skip
    wait_until(lambda: program.registry.peers(file="f.bin"), 30, "listed")
    assert listed_ip(program.registry) == nowhere
    said, status = Getter(suite, registry=program.url).finish(240)
    assert status == 0, said
    assert (suite.folder / "out" / "f.bin").read_bytes() == data


def test_a_peer_is_listed_and_named_at_the_address_that_works(suite, machine):
    our_ip, other = machine
    nowhere = other.ip.rsplit(".", 1)[0] + ".99"
    program = suite.discovery("--ttl", "10m", host="0.0.0.0")
    there = SimpleNamespace(url=f"http://{our_ip}:{program.port}")
    suite.peer("--advertise", f"{nowhere}:9", "--heartbeat", "5m", "--no-mdns", "--name", "Attic", discovery=there,
               host="0.0.0.0", prefix=other.prefix, files={"f.bin": b"12345"}, wait=False)  # fmt: skip
    wait_until(lambda: program.registry.peers(file="f.bin"), 30, "listed")
    run = suite.p2p("ls", "Attic", "--discovery", program.url, "--timeout", "20s", timeout=120)
    assert run.returncode == 0 and "f.bin" in run.stdout, run.stderr
    run = suite.p2p("get", "f.bin", "--peer", "Attic", "--discovery", program.url, "--timeout", "20s", timeout=120)
    assert run.returncode == 0, run.stderr


# --- one identity, two devices -----------------------------------------------------------------


@pytest.fixture
def two():
    """Two machines, and our own address on their network."""
    with switched_machines(2) as (our_ip, machines):
        if our_ip is None:
            pytest.skip("no network namespaces here")
        yield our_ip, machines


def peer_at(suite, machine, there, name, **kwargs):
    return suite.peer("--heartbeat", "1s", "--no-mdns", "--name", name, discovery=there, host="0.0.0.0", name=name,
                      prefix=machine.prefix, wait=False, **kwargs)  # fmt: skip


def copy_keys(peer, folder):
    """Only the keys: the running peer makes and removes other files beside them."""
    (folder / "keys").mkdir(parents=True, mode=0o700)
    for path in peer.keys.glob("*.pem"):
        shutil.copy2(path, folder / "keys" / path.name)


def test_a_copy_of_the_keys_on_another_machine_is_noticed(suite, two):
    our_ip, (one, other) = two
    program = suite.discovery("--ttl", "10m", host="0.0.0.0")
    there = SimpleNamespace(url=f"http://{our_ip}:{program.port}")
    first = peer_at(suite, one, there, "first", files={"f.bin": b"1"})
    wait_until(lambda: listed_ip(program.registry) == one.ip, 30, "listed")
    assert "another device" not in first.stderr()
    copy_keys(first, suite.folder / "clone")
    clone = peer_at(suite, other, there, "clone", files={"g.bin": b"2"})
    wait_until(lambda: f"another device at {other.ip}:" in first.stderr(), 120, "noticed by the first")
    if LONG:  # they take each other's place about once a minute
        wait_until(lambda: f"another device at {one.ip}:" in clone.stderr(), 300, "noticed by the copy")
    assert first.stderr().count("another device") == 1, "said once"
    at = {"discovery": program.url, "keys": first.keys}
    run = suite.p2p("status", "--keys-dir", at["keys"], "--discovery", at["discovery"], timeout=60)
    assert f"another device at {other.ip}:" in run.stdout, run.stdout + run.stderr
    run = suite.p2p("status", "--json", "--keys-dir", at["keys"], "--discovery", at["discovery"], timeout=60)
    assert json.loads(run.stdout)["peer"]["copy_at"].startswith(f"{other.ip}:")
    run = suite.p2p("doctor", "--keys-dir", at["keys"], "--discovery", at["discovery"], timeout=120)
    assert f"another device at {other.ip}:" in run.stdout, run.stdout + run.stderr
    ui = suite.ui(name=first.keys.parent.name, peer=first)
    assert ui.api.json("/api/status")["copy_at"].startswith(f"{other.ip}:")


def test_moving_is_no_copy(suite, machine):
    """Nor does p2p-ui make one, which registers the same device."""
    our_ip, other = machine
    program = suite.discovery("--ttl", "10m", host="0.0.0.0")
    there = SimpleNamespace(url=f"http://{our_ip}:{program.port}")
    peer = peer_at(suite, other, there, "first", files={"f.bin": b"1"})
    wait_until(lambda: listed_ip(program.registry) == other.ip, 30, "listed")
    for last in (77, 78):
        new_ip = other.ip.rsplit(".", 1)[0] + f".{last}"
        move(other, our_ip, new_ip)
        wait_until(lambda: listed_ip(program.registry) == new_ip, 60, "listed at its new address")
        before = program.registry.get(f"/peers/{listed_id(program.registry)}?names=0").json()["seq"]
        (peer.shared / f"more {last}").write_bytes(b"x")
        seq = lambda: program.registry.get(f"/peers/{listed_id(program.registry)}?names=0").json()["seq"]  # noqa: E731
        wait_until(lambda: seq() > before, 60, "registered again")  # noqa: B023
    assert "another device" not in peer.stderr()


def listed_id(registry):
    return registry.peers()[0]["peer_id"]


def test_a_peer_in_short(suite):
    registry = suite.discovery().registry
    assert registry.register_signed(WHO, 9000, [ENTRY], 7, about={"name": "Küche"}).status_code == 200
    whole = registry.get(f"/peers/{WHO.peer_id}").json()
    short = registry.get(f"/peers/{WHO.peer_id}", names=0).json()
    assert short["files"] == [] and short["files_count"] == 1 and "entries" not in short
    assert (short["seq"], short["name"], short["port"]) == (7, "Küche", 9000) and whole["files"] == ["a.txt"]
    assert registry.get(f"/peers/{WHO.peer_id}", names=1).json()["files"] == ["a.txt"]
    assert registry.get(f"/peers/{WHO.peer_id}", names="x").status_code == 400


# --- the reason ------------------------------------------------------------------------------


def test_doctor_names_the_reason(suite):
    program = suite.discovery()
    peer = suite.peer("--no-mdns", discovery=program, files={"a.txt": b"1"})
    with socket.create_server(("127.0.0.1", 0)) as taken:
        closed = taken.getsockname()[1]
    stopped, elsewhere = Identity(), Identity()
    assert program.registry.register_signed(stopped, closed, [], 1).status_code == 200
    assert program.registry.register_signed(elsewhere, peer.port, [], 1).status_code == 200
    run = suite.p2p("doctor", "--discovery", program.url, timeout=120)

    def said(identity):
        return next(line for line in run.stdout.splitlines() if identity.peer_id[:8] in line)

    assert "the connection is refused" in said(stopped), run.stdout
    assert "a device with another identity answers" in said(elsewhere), run.stdout

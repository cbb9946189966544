"""The registry in unusual conditions: clocks that jump, a thousand watchers, hostile keys, IPv6."""

import base64
import hashlib
import json
import re
import socket
import subprocess
import time

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from clocks import Clock
from conftest import Program, wait_until
from crowd import StandIn, entries, listed
from p2pwire import keys, prometheus
from p2pwire.web import Registry
from redis_world import redis  # noqa: F401

A, B = keys.Identity(), StandIn()
HOUR = 3600


# --- clocks ----------------------------------------------------------------------------------


@pytest.mark.parametrize("jump", [HOUR // 2, -HOUR // 2, -30 * 24 * HOUR])
def test_a_jump_of_the_clock_expires_nobody(suite, jump):
    clock = Clock(suite.folder / "clock")
    program = suite.discovery("--ttl", "20s", env=clock.env)
    registry = program.registry
    assert registry.register(B, 9000, ["unsigned"]).status_code == 200
    assert registry.register_signed(A, 9001, entries(["signed"]), 5, expires_in=HOUR).status_code == 200
    clock.set(jump, program)
    registry.register(StandIn(), 9002, ["something happens"])
    time.sleep(0.6)  # two looks for those that are due
    assert {A.peer_id, B.peer_id} <= listed(registry).keys()
    assert [registry.heartbeat(w.peer_id).status_code for w in (A, B)] == [200, 200]
    assert registry.register_signed(A, 9001, [], 5).status_code in (409, 422), "an old seq stays old"


def test_a_record_ends_by_the_clock_and_the_answer_says_which(suite):
    """A jump beyond the end of a signature: the record expires; a peer that signs by another clock gets both times
    in the error.
    """
    clock = Clock(suite.folder / "clock")
    program = suite.discovery(env=clock.env)
    registry = program.registry
    assert registry.register_signed(A, 9001, entries(["f"]), 5, expires_in=HOUR).status_code == 200
    clock.set(3 * HOUR, program)
    registry.register(B, 9000, [])
    wait_until(lambda: A.peer_id not in listed(registry), 10, "the record is over")
    assert registry.heartbeat(A.peer_id).status_code == 404
    answer = registry.register_signed(A, 9001, [], 6, expires_in=HOUR)
    assert (answer.status_code, answer.json()["code"]) == (422, "expired")
    ago, reads = map(int, re.search(r"expired (\d+) s ago.* shows (\d+)", answer.json()["detail"]).groups())
    assert abs(ago - 2 * HOUR) < 60 and abs(reads - time.time() - 3 * HOUR) < 60
    clock.set(-30 * 24 * HOUR, program)
    answer = registry.register_signed(A, 9001, [], 7, expires_in=HOUR)
    assert (answer.status_code, answer.json()["code"]) == (422, "expires_too_late")
    clock.set(0, program)
    assert registry.register_signed(A, 9001, entries(["f"]), 8).status_code == 200
    assert A.peer_id in listed(registry)


@pytest.mark.parametrize("jump", [-3 * HOUR, 10 * 60])
def test_a_snapshot_over_a_jump(suite, jump):
    snapshot, clock = suite.folder / "snapshot", Clock(suite.folder / "clock")
    first = suite.discovery("--snapshot", snapshot, env=clock.env)
    first.registry.register(B, 9000, ["f"])
    first.registry.register_signed(A, 9001, entries(["g"]), 5, expires_in=HOUR)
    first.stop()
    clock.set(jump)
    program = suite.discovery("--snapshot", snapshot, "--ttl", "4s", folder="again", env=clock.env)
    clock.wait_read(program)
    again = program.registry
    assert listed(again).keys() == {A.peer_id, B.peer_id}
    assert again.register_signed(A, 9001, [], 5, expires_in=jump + HOUR).status_code == 409, "seq is remembered"
    wait_until(lambda: listed(again) == {}, 15, "and who is not heard again runs out")


def test_a_peer_whose_clock_jumps_stays_registered(suite):
    registry, clock = suite.discovery("--ttl", "5s"), Clock(suite.folder / "clock")
    peer = suite.peer("--heartbeat", "1s", discovery=registry, files={"f": b"x"}, env=clock.env)
    for jump in (HOUR // 4, -HOUR // 2, 0):
        clock.set(jump)
        (peer.shared / f"{jump}").write_bytes(b"y")
        wait_until(lambda: registry.registry.peers(file=str(jump)), 20, f"the change told after {jump} s")
        clock.wait_read(peer)
    assert registry.registry.peers()[0]["verified"] is True


# --- watchers --------------------------------------------------------------------------------


def watchers(registry):
    return int(prometheus.parse(registry.get("/metrics").text)["p2p_discovery_watchers"].value)


def test_a_thousand_watchers(suite):
    """All watchers get the change, none keeps waiting, and other clients are served meanwhile."""
    count = 1000
    program = suite.discovery("--max-connections", "1200")
    registry = program.registry
    socks, version = [], registry.get("/changes").json()["version"]
    before = program.memory_kib()
    try:
        for _ in range(count):
            socks.append(socket.create_connection(program.address, 30))
        for turn in range(2):
            request = f"GET /changes?since={version}&wait=60 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
            for sock in socks:
                sock.sendall(request)
            wait_until(lambda: watchers(registry) == count, 30, "all wait")
            if turn == 0 and before:
                assert program.memory_kib() - before < 64 * 1024
            assert registry.register(B, 9000 + turn, [f"turn {turn}"]).status_code == 200
            answers = [read_json(sock) for sock in socks]
            assert all(a["peers"] == [{"peer_id": B.peer_id, "gone": False}] and not a["full"] for a in answers)
            assert len({a["version"] for a in answers}) == 1 and watchers(registry) == 0
            version = answers[0]["version"]
        for sock in socks:
            sock.sendall(f"GET /changes?since={version}&wait=60 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        wait_until(lambda: watchers(registry) == count, 30, "all wait again")
    finally:
        for sock in socks:
            sock.close()
    wait_until(lambda: watchers(registry) == 0, 30, "who hangs up is forgotten")


def read_json(sock):
    data = b""
    while b"\r\n\r\n" not in data or len(data) < head_length(data) + content_length(data):
        more = sock.recv(65536)
        assert more, data
        data += more
    return json.loads(data[head_length(data) :])


def head_length(data):
    return data.index(b"\r\n\r\n") + 4


def content_length(data):
    return int(re.search(rb"Content-Length: (\d+)", data).group(1))


# --- keys and names --------------------------------------------------------------------------


def pem_of(key):
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def altered(position, value):
    """Our key with one byte of its DER changed."""
    der = bytearray(keys.SPKI_PREFIX + keys.modulus_of_spki(spki_of(A)).to_bytes(256, "big") + keys.SPKI_SUFFIX)
    der[position] = value
    return keys.pem_of_spki(bytes(der))


def spki_of(identity):
    return base64.b64decode("".join(identity.pem.decode().splitlines()[1:-1]))


HOSTILE_KEYS = {
    "1024 bits": lambda: pem_of(rsa.generate_private_key(65537, 1024).public_key()),
    "3072 bits": lambda: pem_of(rsa.generate_private_key(65537, 3072).public_key()),
    "exponent 3": lambda: pem_of(rsa.generate_private_key(3, 2048).public_key()),
    "exponent 1": lambda: keys.pem_of_spki(
        keys.SPKI_PREFIX + keys.modulus_of_spki(spki_of(A)).to_bytes(256, "big") + b"\x02\x03\x00\x00\x01"
    ),
    "exponent even": lambda: altered(-1, 0),
    "modulus even": lambda: altered(-6, 0),
    "modulus with a small factor": lambda: keys.pem_of_spki(keys.spki_of_modulus((1 << 2047) // 15 * 15 + 15)),
    "elliptic curve": lambda: pem_of(ec.generate_private_key(ec.SECP256R1()).public_key()),
    "bytes behind the PEM": lambda: A.pem + b"x",
    "bytes behind the DER": lambda: keys.pem_of_spki(spki_of(A) + b"\x00"),
    "a private key": lambda: A.pem.replace(b"PUBLIC", b"PRIVATE"),
    "a PEM of 2 MB": lambda: A.pem.replace(b"\n-----END", b"A" * 2_000_000 + b"\n-----END"),
}


@pytest.mark.parametrize("case", HOSTILE_KEYS)
def test_hostile_keys(module_registry, case):
    pem = HOSTILE_KEYS[case]()
    body = {"peer_id": hashlib.sha256(pem).hexdigest(), "public_key": pem.decode(), "port": 1, "files": ["f"]}
    answer = module_registry.request("POST", "/register", json=body)
    assert answer.status_code in (400, 413, 422), answer.text
    assert listed(module_registry) == {}


@pytest.fixture(scope="module")
def module_registry(module_suite):
    return module_suite.discovery().registry


HOSTILE_NAMES = [
    "a\\b", "C:x", "a/../b", "a//b", "a/", "/a", "a/.", "a/.hidden", "trailing.", "trailing ", "con", "aux.txt",
    "fraction\u2044slash", "division\u2215slash", "full\uff0fwidth", "\u202egnp.exe", "zero\u200bwidth", "a%2fb",
    "x" * 256, "/".join(["part"] * 300), "bell\x07", "del\x7f", "c1\x85",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=ascii)
def test_hostile_names(module_registry, name):
    for answer in (
        module_registry.register(B, 9000, ["good.txt", name]),
        module_registry.register_signed(A, 9000, entries(["good.txt"]) + [{**entries(["g"])[0], "name": name}], 5),
    ):
        assert answer.status_code in (400, 422), answer.text
    assert listed(module_registry) == {}


def test_a_name_that_is_a_folder_of_another(suite):
    """This is allowed: they are two different peers, and both are found."""
    registry = suite.discovery().registry
    assert registry.register(B, 9000, ["a", "a/b", "a/b/c"]).status_code == 200
    for name in ("a", "a/b", "a/b/c"):
        assert [p["peer_id"] for p in registry.peers(file=name)] == [B.peer_id]


# --- IPv6 ------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["::", "0.0.0.0"])
def test_both_families_on_one_port(suite, host):
    program = suite.discovery(host=host)
    v6 = Registry(f"http://[::1]:{program.port}")
    other = StandIn()
    assert program.registry.register(B, 9000, ["f"]).json()["ip"] == "127.0.0.1", "not ::ffff:127.0.0.1"
    assert v6.register(other, 9000, ["f"]).json()["ip"] == "::1"
    assert v6.register(other, 9000, ["f"], ip="2001:DB8:0:0::7").json()["ip"] == "2001:db8::7"
    assert listed(v6) == listed(program.registry) and len(listed(v6)) == 2
    for wrong in ("::", "ff02::1", "::ffff:1.2.3.4", "fe80::1%eth0", "[::1]"):
        assert v6.register(other, 9000, [], ip=wrong).status_code in (400, 422), wrong


def test_only_the_family_that_is_asked_for(suite):
    program = suite.discovery(host="::1")
    assert Registry(f"http://[::1]:{program.port}").get("/health").status_code == 200
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", program.port)) != 0


def test_everything_over_ipv6(suite):
    """Registry, peer, command line and dashboard, all at ::1."""
    program = suite.discovery(host="::1")
    program.registry = Registry(f"http://[::1]:{program.port}")
    url = program.registry.url
    folder = suite.folder / "six"
    (folder / "shared").mkdir(parents=True)
    (folder / "shared" / "f.txt").write_bytes(b"over IPv6")
    words = ["--host", "::1", "--port", "0", "--shared-dir", folder / "shared", "--keys-dir", folder / "keys"]
    peer = suite._keep(Program("p2p-peer", [*words, "--discovery", url, "--no-mdns"], folder))
    record = wait_until(lambda: program.registry.peers(file="f.txt"), 20, "registered")[0]
    assert (record["ip"], record["port"]) == ("::1", peer.port)
    run = suite.p2p("get", "f.txt", "--discovery", url, "--output-dir", suite.folder / "out", "--no-mdns")
    assert run.returncode == 0, run.stderr
    assert (suite.folder / "out" / "f.txt").read_bytes() == b"over IPv6"
    ui = suite.ui("--discovery", url, name="ui", host="::1")
    ui.api.url = f"http://[::1]:{ui.port}"
    found = ui.api.request("GET", "/api/search?q=f.txt").json()["results"]
    assert [s["ip"] for s in found[0]["sources"]] == ["::1"]
    transfer = ui.api.request("POST", "/api/transfers", json={"filename": "f.txt"}).json()
    wait_until(
        lambda: ui.api.request("GET", f"/api/transfers/{transfer['id']}").json()["state"] == "completed", 20, "fetched"
    )
    assert (ui.downloads / "f.txt").read_bytes() == b"over IPv6"


def test_one_peer_two_families_one_store(suite, redis):
    """Registries with one store that see a peer under different addresses settle on one record."""
    one = suite.discovery("--store", redis.url, folder="one")
    two = suite.discovery("--store", redis.url, folder="two", host="::1")
    two.registry = Registry(f"http://[::1]:{two.port}")
    peer = suite.peer(
        "--discovery", two.registry.url, "--heartbeat", "1s", host="::", discovery=one, files={"f": b"x"}, wait=False
    )
    both = (one.registry, two.registry)
    wait_until(lambda: all(r.peers(file="f") for r in both), 20, "registered at both")
    changes = lambda: sum(r.get("/changes").json()["version"] for r in both)  # noqa: E731

    def settled():
        before = changes()
        time.sleep(2.5)
        return changes() == before

    wait_until(settled, 20, "no more changes")
    assert one.registry.peers()[0]["ip"] == two.registry.peers()[0]["ip"]
    (peer.shared / "g").write_bytes(b"y")
    wait_until(lambda: all(r.peers(file="g") for r in both), 20, "a change reaches both")

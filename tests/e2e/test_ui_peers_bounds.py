"""What strangers say about themselves costs a dashboard little: no writes, few bytes, few names."""

import os

import pytest

from conftest import wait_until
from crowd import StandIn
from p2pwire import msg
from p2pwire.server import Server


def standing(path):
    stat = os.stat(path)
    return stat.st_ino, stat.st_mtime_ns, stat.st_size, path.read_bytes()


@pytest.fixture(scope="module")
def crowd():
    return [StandIn() for _ in range(600)]


def test_listed_strangers_cause_no_writes(suite, crowd):
    """600 of them, listed at the address of a peer that is remembered."""
    discovery = suite.discovery("--ttl", 900)
    far = suite.peer(name="far", files={"f.txt": b"x"})
    ui = suite.ui(discovery=discovery)
    known = ui.folder / "keys" / "known_peers"
    met = ui.api.request("POST", "/api/peers", json={"address": far.where})
    assert met.status_code == 201, met.text
    far_id = far.peer_id  # asked once: each time is a connection
    assert ui.api.request("POST", f"/api/peers/{far_id}/trust").status_code == 200
    for stranger in crowd:
        answer = discovery.registry.register(stranger, far.port, ["f.txt"], ip="127.0.0.1")
        assert answer.status_code == 200, answer.text
    listed = wait_until(lambda: len(p := ui.api.json("/api/peers")["peers"]) > 600 and p, 20, "the strangers")
    before = standing(known)
    assert {p["trust"] for p in listed if p["peer_id_full"] != far_id} == {"changed"}
    assert all(p["known_as"] == far_id for p in listed if p["trust"] == "changed")
    for _ in range(3):
        ui.api.json("/api/peers")
        ui.api.json(f"/api/peers/{crowd[-1].peer_id}")
        ui.api.json("/api/search", q="f.txt")
    assert standing(known) == before
    # One that is met at that address without proof is not noted either: nobody has these keys.
    answer = ui.api.request("GET", f"/api/peers/{crowd[-1].peer_id}/files")
    assert answer.status_code in (403, 404, 409, 503), answer.text
    assert standing(known) == before


NAMES = [f"{i:05d} " + "n" * 200 for i in range(10_000)]


def test_names_of_all_peers_are_not_kept(suite):
    """20 MB of names: the dashboard keeps the first of each peer, and knows how many there are."""
    discovery = suite.discovery("--ttl", 900)
    ui = suite.ui(discovery=discovery)
    ui.api.json("/api/peers")
    before = ui.memory_kib()
    for stranger in [StandIn() for _ in range(10)]:
        assert discovery.registry.register(stranger, 9, NAMES, ip="127.0.0.1").status_code == 200
    peers = wait_until(lambda: len(p := ui.api.json("/api/peers")["peers"]) == 10 and p, 30, "all listed")
    assert {p["files"] for p in peers} == {len(NAMES)}
    assert all(p["file_list"] == NAMES[:100] for p in peers)
    for _ in range(3):
        answer = ui.api.get("/api/peers")
        assert len(answer.content) < 1 << 20
        assert ui.api.json("/api/search", q=NAMES[5000])["results"]
        assert ui.api.json("/api/peers/search", filename=NAMES[7])["found"] == 10
    assert ui.memory_kib() < before + (24 << 10)
    assert len(ui.api.get("/api/peers", file_list=0).content) < 10_000


def test_the_list_of_peers_has_pages(suite):
    """All of them, each once; peers that were met come first, however many strangers there are."""
    discovery = suite.discovery("--ttl", 900)
    far = suite.peer(name="far", files={"f.txt": b"x"})
    ui = suite.ui(discovery=discovery)
    assert ui.api.request("POST", "/api/peers", json={"address": far.where}).status_code == 201
    for stranger in [StandIn() for _ in range(25)]:
        assert discovery.registry.register(stranger, 9, [f"{i} " + "n" * 200 for i in range(100)], ip="127.0.0.1").status_code == 200
    wait_until(lambda: len(ui.api.json("/api/peers")["peers"]) == 26, 30, "all listed")
    seen, cursor = [], {}
    while True:
        page = ui.api.json("/api/peers", limit=10, **cursor)
        seen += page["peers"]
        assert len(page["peers"]) <= 10
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert len(seen) == len({p["peer_id_full"] for p in seen}) == 26
    assert seen[0]["peer_id_full"] == far.peer_id and seen[0]["files"] == 1
    for wrong in ("limit=0", "limit=x", "cursor=x", "limit=100000"):
        assert ui.api.get(f"/api/peers?{wrong}").status_code == 400


def test_the_registry_says_how_many_names_there_are(suite):
    discovery = suite.discovery()
    assert discovery.registry.register(StandIn(), 9, NAMES[:50], ip="127.0.0.1").status_code == 200
    assert discovery.registry.peers()[0]["files"] == NAMES[:50], "as documented: all of them"
    for names, expected in ((0, []), (3, NAMES[:3]), (50, NAMES[:50]), (9999, NAMES[:50])):
        peer = discovery.registry.peers(names=names)[0]
        assert (peer["files"], peer["files_count"]) == (expected, 50)
    assert discovery.registry.get("/peers", names="x").status_code == 400


class ManyNames(Server):
    """10,000 names of most of a kilobyte, in pages."""

    folder = "/".join(["d" * 200] * 4)
    PAGE = 50

    def on_list(self, connection, request):
        start = int(request.cursor or b"0")
        entries = [msg.Entry(bytes(32), 1, 0, f"{self.folder}/{i:05d}".encode()) for i in range(start, start + self.PAGE)]
        end = start + self.PAGE
        connection.send(msg.List(request.req, entries, b"%d" % end if end < 10_000 else b""))


def test_a_neighbor_with_many_names(suite):
    """The memory for the names is bounded in bytes."""
    with ManyNames({"f.bin": b"x"}) as server:
        ui = suite.ui()
        ui.api.json("/api/peers")
        before = ui.memory_kib()
        assert ui.api.request("POST", "/api/peers", json={"address": server.where}, timeout=60).status_code == 201
        peer = ui.api.json("/api/peers")["peers"][0]
        assert 1000 < peer["files"] < 10_000 and len(peer["file_list"]) == 100
        assert len(ui.api.get("/api/peers").content) < 200_000
        assert ui.memory_kib() < before + (24 << 10)

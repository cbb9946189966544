"""What strangers say about themselves costs a dashboard little: no writes, few bytes, few names."""

import os

import pytest

from conftest import wait_until
from crowd import StandIn


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
    assert ui.api.request("POST", f"/api/peers/{far.peer_id}/trust").status_code == 200
    for stranger in crowd:
        answer = discovery.registry.register(stranger, far.port, ["f.txt"], ip="127.0.0.1")
        assert answer.status_code == 200, answer.text
    listed = wait_until(lambda: len(p := ui.api.json("/api/peers")["peers"]) > 600 and p, 20, "the strangers")
    before = standing(known)
    assert {p["trust"] for p in listed if p["peer_id_full"] != far.peer_id} == {"changed"}
    assert all(p["known_as"] == far.peer_id for p in listed if p["trust"] == "changed")
    for _ in range(3):
        ui.api.json("/api/peers")
        ui.api.json(f"/api/peers/{crowd[-1].peer_id}")
        ui.api.json("/api/search", q="f.txt")
    assert standing(known) == before
    # One that is met at that address without proof is not noted either: nobody has these keys.
    answer = ui.api.request("GET", f"/api/peers/{crowd[-1].peer_id}/files")
    assert answer.status_code in (403, 404, 409, 503), answer.text
    assert standing(known) == before

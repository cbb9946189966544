"""What the dashboard knows of uploads: GET /api/activity and the counters of p2p-peer in /metrics."""

import random

import pytest

from conftest import wait_until
from p2pwire import prometheus
from ui_world import API

SIZE = 2_000_000
FILM = random.Random(7).randbytes(SIZE)  # zeros would not be sent


def activity(ui):
    answer = API.check("GET", "/api/activity", ui.api.request("GET", "/api/activity"))
    assert answer.status_code == 200
    return answer.json()


@pytest.mark.parametrize("more", [[], ["--no-sandbox"]], ids=["sandbox", "none"])
def test_an_upload_is_in_the_activity(suite, more):
    peer = suite.peer(files={"film.bin": FILM})
    ui = suite.ui(*more, peer=peer)
    assert activity(ui)["activity"] == [] and activity(ui)["peer_running"] is True
    suite.get("film.bin", peer, more=["--name", "Laptop"], check=True)
    one = wait_until(lambda: [a for a in activity(ui)["activity"] if a["ended"]], 60, "an ended upload")[0]
    me = suite.p2p("id", "--keys-dir", suite.folder / "cli" / "keys", check=True).stdout.split()[0]
    assert one["peer_id_full"] == me and one["peer_id"] == me[:16] + "..." and one["proven"] is True
    assert one["name"] == "film.bin" and one["size"] == SIZE and one["done"] >= SIZE
    assert one["direction"] == "up" and one["started"] <= one["ended"] and one["id"].startswith("up-")
    assert one["peer"] == {"name": "Laptop", "name_is_claim": True, "kind": "unknown"}
    answer = activity(ui)
    assert answer["uploaded"]["uploads"] == 1 and answer["uploaded"]["bytes"] == one["done"]
    assert answer["peers"][0]["peer_id_full"] == me and answer["peers"][0]["bytes"] == one["done"]
    found = prometheus.parse(ui.api.request("GET", "/metrics").text)
    assert "p2p_peer_uploaded_bytes_total" in found and "p2p_ui_peers" in found


def test_without_a_running_peer(suite):
    peer = suite.peer()
    ui = suite.ui(peer=peer)
    peer.stop()
    assert activity(ui) == {
        "peer_running": False,
        "uploaded": {"running": 0, "speed": 0, "uploads": 0, "bytes": 0, "since": 0},
        "activity": [],
        "peers": [],
    }
    answer = ui.api.request("GET", "/metrics")
    assert answer.status_code == 200 and "p2p_peer_" not in answer.text
    suite.peer()
    assert wait_until(lambda: activity(ui)["peer_running"], 60, "the new peer")


def test_only_who_may_call(suite):
    ui = suite.ui("--require-pairing", peer=suite.peer())
    assert ui.anyone.request("GET", "/api/activity").status_code == 401

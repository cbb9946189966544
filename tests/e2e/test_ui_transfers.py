"""Transfers as resources, judged by docs/openapi.yaml."""

import hashlib
import os
import time

import pytest

from conftest import wait_until
from p2pwire import keys, tree
from ui_world import BIG, SlowFile, World, start_slow

pytestmark = pytest.mark.xdist_group("openapi")  # the operations that tests called are counted in one process


@pytest.fixture(scope="module")
def world(module_suite):
    return World(module_suite)


@pytest.fixture
def slow(world):
    with SlowFile({"slow.bin": os.urandom(6 << 20)}, chunk_size=1 << 17) as server:
        yield server


def test_a_transfer_from_all_sources(world):
    answer = world.call("POST", "/api/transfers", 201, json={"filename": "big.bin"})
    transfer = answer.json()
    assert answer.headers["Location"].endswith("/api/transfers/" + transfer["id"])
    done = world.wait_state(transfer["id"], "completed")
    assert done["size"] == done["received"] == done["verified"] == len(BIG)
    assert done["root"] == tree.root_of(BIG).hex() and done["sha256"] == hashlib.sha256(BIG).hexdigest()
    assert done["finished"] >= done["created"] and done["error"] is None
    assert (world.ui.downloads / done["path"]).read_bytes() == BIG
    assert {s["peer_id_full"] for s in done["sources"]} == {world.far.peer_id, world.twin.peer_id}
    listed = world.json("GET", "/api/transfers")
    assert transfer["id"] in [t["id"] for t in listed["transfers"]]
    assert listed["totals"]["completed"] >= 1
    world.forget(done)


def test_a_transfer_by_root(world):
    transfer = world.json(
        "POST", "/api/transfers", 201, json={"root": tree.root_of(b"small").hex(), "filename": "renamed.txt"}
    )
    done = world.wait_state(transfer["id"], "completed")
    assert (world.ui.downloads / "renamed.txt").read_bytes() == b"small"
    world.forget(done)


def test_the_same_content_is_not_started_twice(world, slow):
    first = start_slow(world, slow)
    peer = {"peer_id": slow.identity.peer_id, "ip": "127.0.0.1", "port": slow.address[1]}
    wait_until(lambda: world.json("GET", f"/api/transfers/{first['id']}")["root"], what="root known")
    body = {
        "root": tree.root_of(slow.files["slow.bin"].data).hex(),
        "filename": "slow.bin",
        "peers": [peer],
        "auto": False,
    }
    again = world.json("POST", "/api/transfers", 200, json=body)
    assert again["id"] == first["id"]
    world.forget(first)


def test_pause_resume_and_what_was_verified_is_kept(world, slow):
    transfer = start_slow(world, slow)
    wait_until(
        lambda: world.json("GET", f"/api/transfers/{transfer['id']}")["verified"] > 1 << 20,
        what="a megabyte verified",
    )
    paused = world.json("POST", f"/api/transfers/{transfer['id']}/pause")
    assert paused["state"] == "paused"
    kept = world.wait_state(transfer["id"], "paused")["verified"]
    assert kept > 0
    time.sleep(0.5)
    assert world.json("GET", f"/api/transfers/{transfer['id']}")["received"] < len(
        slow.files["slow.bin"].data
    )
    assert world.call("POST", f"/api/transfers/{transfer['id']}/pause").status_code in (200, 409)
    resumed = world.json("POST", f"/api/transfers/{transfer['id']}/resume")
    assert resumed["verified"] >= kept
    done = world.wait_state(transfer["id"], "completed")
    assert (world.ui.downloads / "slow.bin").read_bytes() == slow.files["slow.bin"].data
    world.call("POST", f"/api/transfers/{transfer['id']}/pause", 409)
    world.forget(done)


def test_cancel_and_retry(world, slow):
    transfer = start_slow(world, slow)
    wait_until(
        lambda: world.json("GET", f"/api/transfers/{transfer['id']}")["verified"] > 1 << 19, what="some bytes"
    )
    assert world.json("POST", f"/api/transfers/{transfer['id']}/cancel")["state"] == "cancelled"
    wait_until(
        lambda: not [
            p
            for p in (world.ui.downloads / ".p2p").rglob("*")
            if p.is_file() and p.stat().st_size > 1 << 18 and p.suffix not in (".db", ".db-wal")
            and not p.name.startswith("trash-")  # deleted files, kept for an undo
        ],
        10,
        "unfinished data gone",
    )
    world.call("POST", f"/api/transfers/{transfer['id']}/resume", 409)
    slow.delay = 0
    assert world.json("POST", f"/api/transfers/{transfer['id']}/retry")["state"] in (
        "queued",
        "connecting",
        "downloading",
    )
    world.forget(world.wait_state(transfer["id"], "completed"))


def test_failure_has_a_cause(world):
    peer = {"peer_id": keys.Identity().peer_id, "ip": "127.0.0.1", "port": world.far.port}
    transfer = world.json(
        "POST", "/api/transfers", 201, json={"filename": "small.txt", "peers": [peer], "auto": False}
    )

    def failed():
        got = world.json("GET", f"/api/transfers/{transfer['id']}")
        return got["state"] == "failed" and got

    got = wait_until(failed, 60, "failed")
    assert got["error"] and got["error_code"] in ("key_changed", "no_source", "peer_offline", "protocol"), got
    assert not (world.ui.downloads / "small.txt").exists()
    assert world.json("POST", "/api/transfers/retry-failed")["count"] >= 1
    world.forget(got)


def test_pause_all_resume_all_clear_finished(world, slow):
    transfer = start_slow(world, slow)
    assert world.json("POST", "/api/transfers/pause-all")["count"] >= 1
    world.wait_state(transfer["id"], "paused")
    assert world.json("POST", "/api/transfers/resume-all")["count"] >= 1
    slow.delay = 0
    done = world.wait_state(transfer["id"], "completed")
    assert world.json("POST", "/api/transfers/clear-finished")["count"] >= 1
    world.call("GET", f"/api/transfers/{transfer['id']}", 404)
    assert (world.ui.downloads / done["path"]).exists(), "their files stay"
    listed = lambda: {f["name"]: f["sha256"] for f in world.json("GET", "/api/downloads")["downloads"]}  # noqa: E731
    assert done["sha256"] and listed()[done["path"]] == done["sha256"], "and so do their checksums"
    with open(world.ui.downloads / done["path"], "ab") as file:
        file.write(b"x")
    wait_until(lambda: listed()[done["path"]] is None, what="no checksum of other bytes")
    world.call("DELETE", "/api/download/slow.bin", 200)


def test_priority_position_and_limit(world, slow):
    transfer = start_slow(world, slow)
    path = f"/api/transfers/{transfer['id']}"
    assert world.json("PATCH", path, json={"priority": "high"})["priority"] == "high"
    assert world.json("PATCH", path, json={"limit_rate": 500_000})["limit_rate"] == 500_000
    for wrong in ({"priority": "urgent"}, {"limit_rate": -1}, {"position": -1}, {"limit_rate": "x"}):
        assert world.call("PATCH", path, json=wrong).status_code in (400, 422)
    world.call("PATCH", path, json={"priority": "low", "limit_rate": 0})
    world.forget(transfer)


def test_deleting_a_running_transfer_takes_its_data(world, slow):
    transfer = start_slow(world, slow)
    wait_until(
        lambda: world.json("GET", f"/api/transfers/{transfer['id']}")["verified"] > 0, what="some bytes"
    )
    world.forget(transfer)
    world.call("GET", f"/api/transfers/{transfer['id']}", 404)
    assert not (world.ui.downloads / "slow.bin").exists()


@pytest.mark.parametrize(
    "method,tail", [("GET", ""), ("DELETE", ""), ("POST", "/pause"), ("POST", "/retry"), ("PATCH", "")]
)
@pytest.mark.parametrize(
    "transfer_id", ["d24e236d-b834-4c0e-afb5-928660e25b00", "x", "0", "a" * 300, "..%2f.."]
)
def test_transfers_that_are_not(world, method, tail, transfer_id):
    answer = world.http.request(
        method, f"/api/transfers/{transfer_id}{tail}", json={"priority": "low"} if method == "PATCH" else None
    )
    assert answer.status_code in (400, 404)


@pytest.mark.parametrize(
    "body,status",
    [({}, (400, 422)), ({"filename": "nobody has this"}, (404,)), ({"filename": "../x"}, (400,)), ({"filename": 5}, (400, 422)), ({"root": "x"}, (400, 422)), ({"root": "ab" * 32}, (404, 400, 422)),
     ({"filename": "small.txt", "peers": "x"}, (400, 422)), ({"filename": "small.txt", "peers": [{"ip": "x"}]}, (400, 422)), ({"filename": "small.txt", "peers": [{"ip": "127.0.0.1", "port": 0}]}, (400, 422)),
     ({"filename": "small.txt", "priority": "x"}, (400, 422)), ({"filename": "small.txt", "peers": [{"ip": "127.0.0.1", "port": 1}] * 65}, (400, 422))],
    ids=str,
)  # fmt: skip
def test_transfers_that_cannot_be(world, body, status):
    answer = world.call("POST", "/api/transfers", json=body)
    assert answer.status_code in status, answer.text


def test_transfers_survive_a_restart(suite):
    """kill -9 of p2p-ui: afterwards the transfer continues automatically."""
    data = os.urandom(8 << 20)
    with SlowFile({"slow.bin": data}, chunk_size=1 << 17) as server:
        ui = suite.ui(peer=suite.peer(files={"f": b"x"}))
        peer = {"peer_id": server.identity.peer_id, "ip": "127.0.0.1", "port": server.address[1]}
        answer = ui.api.request(
            "POST", "/api/transfers", json={"filename": "slow.bin", "peers": [peer], "auto": False}
        )
        assert answer.status_code == 201, answer.text
        transfer_id = answer.json()["id"]
        wait_until(
            lambda: ui.api.json(f"/api/transfers/{transfer_id}")["verified"] > 2 << 20, 30, "two megabytes"
        )
        ui.kill()
        suite.programs.remove(ui)
        again = suite.ui()
        done = wait_until(
            lambda: (t := again.api.json(f"/api/transfers/{transfer_id}"))["state"] == "completed" and t,
            40,
            "completed by itself",
        )
        assert (again.downloads / done["path"]).read_bytes() == data
        asked = sum(m.length for m in server.requests if hasattr(m, "length"))
        assert asked < len(data) + (4 << 20), "it began again at zero"

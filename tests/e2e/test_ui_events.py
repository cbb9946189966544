"""The event stream of p2p-ui, judged by docs/openapi.yaml."""

import contextlib
import http.client
import json
import os
import re
import socket
import threading
import time

import pytest

from conftest import ROOT, wait_until
from ui_world import SlowFile, World, start_slow

pytestmark = pytest.mark.xdist_group("openapi")  # the operations that tests called are counted in one process


@pytest.fixture(scope="module")
def world(module_suite):
    return World(module_suite)


@pytest.fixture
def slow(world):
    with SlowFile({"slow.bin": os.urandom(6 << 20)}, chunk_size=1 << 17) as server:
        yield server


class Events:
    """Reads an event stream in the background."""

    def __init__(self, ui, last_id=None):
        headers = {"Last-Event-ID": str(last_id)} if last_id is not None else {}
        headers.update(ui.owner)
        connection = http.client.HTTPConnection("127.0.0.1", ui.port, timeout=60)
        connection.request("GET", "/api/events", headers=headers)
        self.socket = connection.sock
        self.answer = connection.getresponse()
        assert self.answer.status == 200, self.answer.read()
        assert self.answer.headers["Content-Type"].startswith("text/event-stream")
        self.events, self.comments = [], 0
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        fields = {}
        try:
            for line in map(bytes.rstrip, self.answer):
                if line.startswith(b":"):
                    self.comments += 1
                elif line:
                    name, _, value = line.decode().partition(":")
                    fields[name] = fields.get(name, "") + value.removeprefix(" ")
                elif fields:
                    if "data" in fields:
                        self.events.append(
                            (
                                int(fields.get("id", 0)),
                                fields.get("event"),
                                json.loads(fields["data"]),
                                time.monotonic(),
                            )
                        )
                    fields = {}
        except Exception:
            pass

    def of(self, kind):
        return [e for e in self.events if e[1] == kind]

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.reader.join(10)


def test_events_of_a_transfer(world, slow):
    events = Events(world.ui)
    transfer = start_slow(world, slow)
    done = world.wait_state(transfer["id"], "completed")
    mine = wait_until(
        lambda: (e := [x for x in events.of("transfer") if x[2].get("id") == transfer["id"]])
        and e[-1][2].get("state") == "completed"
        and e,
        10,
        "the last event",
    )
    for _, _, data, _ in mine:
        world.api.check_named("Transfer", data)
    ids = [e[0] for e in events.events]
    assert ids == sorted(set(ids)), "ids rise"
    progress = [e for e in mine if e[2]["state"] == "downloading"]
    for i in range(len(progress) - 6):
        assert progress[i + 6][3] - progress[i][3] > 0.8, "at most four progress events a second"
    received = [e[2]["received"] for e in mine]
    assert received == sorted(received)
    world.forget(done)
    wait_until(
        lambda: [e for e in events.of("transfer") if e[2].get("removed") and e[2]["id"] == transfer["id"]],
        10,
        "the removal",
    )
    events.close()


def test_events_of_files(world):
    events = Events(world.ui)
    world.http.upload("event.txt", b"x")
    found = wait_until(
        lambda: [f for e in events.of("shared") for f in e[2]["changed"] if f["name"] == "event.txt"],
        15,
        "the shared event",
    )
    world.api.check_named("SharedFile", found[0])
    world.http.request("POST", "/api/upload?on_conflict=overwrite", files={"file": ("event.txt", b"y")})
    wait_until(lambda: [e for e in events.of("versions") if e[2] == {"name": "event.txt"}], 30, "the old version")
    (world.ui.shared / "event.txt").write_bytes(b"by another program")
    wait_until(lambda: [e for e in events.of("versions") if e[2] == {"name": None}], 60, "its copy")
    world.http.delete("shared", "event.txt")
    wait_until(lambda: [e for e in events.of("shared") if "event.txt" in e[2]["removed"]], 15, "the removal")
    events.close()


def test_every_event_is_in_the_document(world):
    """A mirror of a peer that is nowhere tells so."""
    published = set()
    for file in (ROOT / "src" / "ui").rglob("*.c"):
        published |= set(re.findall(r'ui_event_(?:publish|count)\([^;"]*"(\w+)"', file.read_text()))
    table = (ROOT / "docs/openapi.yaml").read_text().split("| event | data |")[1].split("parameters:")[0]
    assert published == set(re.findall(r"^ *\| `(\w+)` \|", table, re.M)) - {"resync"}

    events = Events(world.ui)
    job = {"peer_id": "ab" * 32, "folder": "", "target": "mirrored here"}
    made = world.json("POST", "/api/mirrors", 201, json=job)["mirror"]
    told = wait_until(lambda: [e[2]["mirror"] for e in events.of("mirror")], 60, "a round")[-1]
    world.api.check_named("Mirror", told)
    assert told["id"] == made["id"]
    world.call("DELETE", f"/api/mirrors/{made['id']}", 200)
    events.close()


def test_events_are_replayed(world):
    first = Events(world.ui)
    world.http.upload("r1.txt", b"x")
    last = wait_until(lambda: first.of("shared"), 15, "an event")[-1][0]
    first.close()
    world.http.upload("r2.txt", b"x")
    second = Events(world.ui, last_id=last)
    wait_until(
        lambda: [f for e in second.of("shared") for f in e[2]["changed"] if f["name"] == "r2.txt"],
        15,
        "the missed event",
    )
    assert all(e[0] > last for e in second.events)
    second.close()
    for name in ("r1.txt", "r2.txt"):
        world.http.delete("shared", name)


def test_events_with_an_id_of_another_run(world):
    events = Events(world.ui, last_id=2**52)
    wait_until(lambda: events.of("resync"), 10, "resync")
    assert events.events[0][1] == "resync"
    events.close()


def test_a_stream_on_which_nothing_happened_resyncs_after_a_restart(suite):
    """The one who comes back has an id to come back with, though no event was ever sent."""
    ui = suite.ui()
    quiet = Events(ui)
    first = wait_until(lambda: quiet.of("resync"), 10, "the place in the stream")[0][0]
    quiet.close()
    ui.kill()
    (ui.shared / "while it was away.txt").write_bytes(b"x")
    again = suite.ui(port=ui.port)
    back = Events(again, last_id=first)
    wait_until(lambda: back.of("resync"), 10, "resync")
    assert back.events[0][1] == "resync" and back.events[0][0] > first
    back.close()


def test_many_streams_do_not_stop_the_service(world):
    streams = []
    for _ in range(30):
        try:
            streams.append(Events(world.ui))
        except AssertionError:
            break
    assert world.call("GET", "/api/status").status_code == 200
    for stream in streams:
        stream.close()

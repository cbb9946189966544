"""A file is watched while it is downloaded from two slow devices: start, seeks, end."""

import contextlib
import os
import socket
import threading
import time

import pytest
import requests

from conftest import wait_until
from p2pwire import msg
from p2pwire.keys import Identity
from p2pwire.server import Server
from reloading import Settings
from ui_world import API

pytestmark = pytest.mark.xdist_group("openapi")  # the operations that tests called are counted in one process

CHUNK = 1 << 17
COUNT = 192
FILM = b"\x1a\x45\xdf\xa3\x01webm" + os.urandom(COUNT * CHUNK - 12345)
WATCHERS = 31


class Limited(Server):
    """A chunk in 0.75 s over each connection, until it is told to hurry; none while it may not go on."""

    def __init__(self, **more):
        self.hurry, self.go = threading.Event(), threading.Event()
        self.go.set()
        super().__init__({"film.webm": FILM}, chunk_size=CHUNK, **more)

    def on_get(self, connection, request):
        self.go.wait(60)
        self.hurry.wait(0.75)
        super().on_get(connection, request)


@pytest.fixture(scope="module")
def watched(module_suite):
    """One dashboard, two devices, one transfer."""
    ui = module_suite.ui(name="viewer", discovery=module_suite.discovery())
    with Limited() as one, Limited(identity=Identity()) as two:
        peers = [{"peer_id": s.identity.peer_id, "ip": "127.0.0.1", "port": s.address[1]} for s in (one, two)]
        yield ui, (one, two), peers


def begin(watched):
    ui, _, peers = watched
    body = {"filename": "film.webm", "peers": peers, "auto": False}
    answer = ui.api.request("POST", "/api/transfers", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def content(ui, transfer, first=None, length=None, **more):
    headers = {} if first is None else {"Range": f"bytes={first}-{'' if length is None else first + length - 1}"}
    return ui.api.request("GET", f"/api/transfers/{transfer}/content", headers=headers, timeout=60, **more)


def asked_for(devices):
    return {r.offset // CHUNK for d in devices for r in d.requests if isinstance(r, msg.Get)}


def state(ui, transfer):
    return ui.api.request("GET", f"/api/transfers/{transfer}").json()


def test_start_three_seeks_and_the_end(watched):
    ui, devices, _ = watched
    transfer = begin(watched)
    answer = API.check("GET", f"/api/transfers/{transfer}/content", content(ui, transfer, 0, CHUNK))
    assert answer.status_code == 206 and answer.content == FILM[:CHUNK]
    assert answer.headers["Content-Range"] == f"bytes 0-{CHUNK - 1}/{len(FILM)}"
    assert answer.headers["Content-Type"] == "video/webm" and answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert answer.headers["ETag"] == f'"{state(ui, transfer)["root"]}"'
    for chunk in (150, 70, 110):  # forward, back, and between
        at = chunk * CHUNK + 5
        assert content(ui, transfer, at, CHUNK).content == FILM[at : at + CHUNK]
    # What lies before the seeks was left for later.
    assert state(ui, transfer)["state"] == "downloading"
    assert len(asked_for(devices)) < COUNT * 3 // 4
    assert content(ui, transfer, len(FILM) - 100).content == FILM[-100:]
    pieces = API.check(
        "GET", f"/api/transfers/{transfer}/pieces", ui.api.request("GET", f"/api/transfers/{transfer}/pieces")
    ).json()
    assert pieces["count"] == COUNT == len(pieces["done"]) and pieces["size"] == CHUNK
    assert pieces["done"][150] == 100 and 0 in pieces["done"]
    # An answer that has begun goes on over the end of the download.
    with content(ui, transfer, stream=True) as whole:
        assert whole.status_code == 200
        for device in devices:
            device.hurry.set()
        assert whole.content == FILM
    done = wait_until(lambda: state(ui, transfer)["state"] == "completed" and state(ui, transfer), what="the end")
    assert (ui.downloads / done["path"]).read_bytes() == FILM
    assert content(ui, transfer, 7, 9).content == FILM[7:16]  # as before
    pieces = ui.api.request("GET", f"/api/transfers/{transfer}/pieces").json()
    assert set(pieces["done"]) == {100}
    assert {d["peer_id_full"] for d in pieces["devices"]} == {d.identity.peer_id for d in devices}
    assert sum(d["pieces"] for d in pieces["devices"]) == COUNT
    for number, device in enumerate(pieces["devices"]):
        sent = asked_for([d for d in devices if d.identity.peer_id == device["peer_id_full"]])
        assert {i for i, who in enumerate(pieces["device"]) if who == number} <= sent
    for device in devices:
        device.hurry.clear()
    (ui.downloads / done["path"]).unlink()
    ui.api.request("DELETE", f"/api/transfers/{transfer}")


def test_what_cannot_be_watched_is_refused(watched):
    ui, _, peers = watched
    assert content(ui, "0f0e0d0c-0000-4000-8000-000000000000").status_code == 404
    missing = ui.api.request("GET", "/api/transfers/nothing/pieces")
    assert missing.status_code == 404 and missing.json()["code"] == "not_found"
    transfer = begin(watched)
    assert content(ui, transfer, 0, 1).status_code == 206
    assert content(ui, transfer, len(FILM)).status_code == 416
    assert content(ui, transfer, 0, 1, params={"x": "1"}).status_code == 206
    ui.api.request("POST", f"/api/transfers/{transfer}/pause")
    wait_until(lambda: state(ui, transfer)["state"] == "paused", what="the pause")
    refused = API.check("GET", f"/api/transfers/{transfer}/content", content(ui, transfer, 0, 1))
    assert refused.status_code == 409 and refused.json()["code"] == "wrong_state"
    ui.api.request("DELETE", f"/api/transfers/{transfer}")
    folder = {"filename": "folder/", "peers": peers, "auto": False}
    folder = ui.api.request("POST", "/api/transfers", json=folder).json()["id"]
    refused = content(ui, folder)
    assert refused.status_code == 409 and refused.json()["code"] == "not_readable"
    ui.api.request("DELETE", f"/api/transfers/{folder}")


def test_many_watchers_leave_the_dashboard_alone(watched):
    """There is a bound; nobody else waits for them; those that leave make room."""
    ui, devices, _ = watched
    transfer = begin(watched)
    assert content(ui, transfer, 0, 1).status_code == 206
    for device in devices:
        device.go.clear()
    request = (
        f"GET /api/transfers/{transfer}/content HTTP/1.1\r\nHost: 127.0.0.1:{ui.port}\r\n"
        f"Authorization: Bearer {ui.owner_token}\r\n\r\n"
    ).encode()
    with contextlib.ExitStack() as stack:
        watchers = [socket.create_connection(("127.0.0.1", ui.port), timeout=60) for _ in range(WATCHERS)]
        for watcher in watchers:
            stack.enter_context(watcher)
            watcher.sendall(request)
            assert watcher.recv(12) == b"HTTP/1.1 200"
        one_more = content(ui, transfer, 0, 1)
        assert one_more.status_code == 503 and one_more.json()["code"] == "busy"
        assert int(one_more.headers["Retry-After"]) > 0
        assert ui.api.request("GET", "/api/status", timeout=30).status_code == 200
    wait_until(lambda: content(ui, transfer, 0, 1).status_code == 206, what="room again")
    for device in devices:
        device.go.set()
    stranger = requests.get(
        f"http://127.0.0.1:{ui.port}/api/transfers/{transfer}/content",
        headers={"X-Forwarded-For": "203.0.113.7"},
        timeout=30,
    )
    assert stranger.status_code == 401
    ui.api.request("DELETE", f"/api/transfers/{transfer}")


def test_an_answer_is_of_one_version(watched, module_suite):
    """A file that changes at its source is downloaded as it is now. What was sent of the old one is not continued with it."""
    ui, _, _ = watched
    old, new = (b"\x1a\x45\xdf\xa3\x01webm" + os.urandom(4_000_000) for _ in range(2))
    settings = Settings(module_suite.folder / "source.conf", limit_rate="400k")
    source = module_suite.peer(*settings.words, name="source", files={"clip.webm": old})
    settings.start(source)
    peers = [{"peer_id": source.peer_id, "ip": "127.0.0.1", "port": source.port}]
    body = {"filename": "clip.webm", "peers": peers, "auto": False}
    transfer = ui.api.request("POST", "/api/transfers", json=body).json()["id"]
    got = b""
    with content(ui, transfer, stream=True) as answer, contextlib.suppress(requests.RequestException):  # it breaks off
        for part in answer.iter_content(65536):
            if not got:
                (source.shared / "next").write_bytes(new)
                (source.shared / "next").replace(source.shared / "clip.webm")
            got += part
    assert 0 < len(got) < len(old) and old.startswith(got)
    settings.reload(limit_rate="off")
    wait_until(lambda: state(ui, transfer)["state"] == "completed", 60, "the new version")
    assert content(ui, transfer).content == new
    ui.api.request("DELETE", f"/api/transfers/{transfer}")

"""A device whose access is removed loses its open connections at once, too."""

import http.client
import json
import time

import pytest

from conftest import wait_until

SIZE = 256 << 20  # more than socket buffers hold
PROXIED = {"X-Forwarded-For": "203.0.113.7"}  # not the machine itself, so only the token counts


@pytest.fixture(scope="module")
def ui(module_suite):
    peer = module_suite.peer(files={"f.txt": b"x"})
    with open(module_suite.folder / "peer" / "shared" / "big.bin", "wb") as file:
        file.truncate(SIZE)
    ui = module_suite.ui(peer=peer)
    ui.suite = module_suite
    wait_until(lambda: ui.api.request("HEAD", "/api/shared/big.bin").status_code == 200, 60, "the file shared")
    return ui


class Device:
    def __init__(self, ui, name):
        self.ui = ui
        made = ui.suite.p2p("token", "new", name, "--keys-dir", ui.folder / "keys", "--json", check=True)
        self.token, self.id = (json.loads(made.stdout)[k] for k in ("token", "id"))
        self.headers = {"Authorization": f"Bearer {self.token}", "Connection": "close", **PROXIED}

    def open(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.ui.port, timeout=20)
        connection.request("GET", path, headers=self.headers)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        return answer

    def status(self):
        return self.ui.api.request("GET", "/api/status?shared_files=0", headers=self.headers).status_code


def skip_to(answer, text):
    while text not in (line := answer.fp.readline()):
        assert line, "the stream has ended"


def read_to_the_end(answer):
    """The number of bytes that still arrive; a connection that stays open is a failure."""
    count = 0
    try:
        while data := answer.fp.read1(1 << 20):
            count += len(data)
    except ConnectionError:
        pass
    return count


def by_the_interface(ui, device):
    assert ui.api.request("DELETE", f"/api/devices/{device.id}").status_code == 200


def by_the_command_line(ui, device):
    ui.suite.p2p("token", "revoke", device.id, "--keys-dir", ui.folder / "keys", check=True)


@pytest.mark.parametrize("take_away", [by_the_interface, by_the_command_line])
def test_what_is_open_is_closed(ui, take_away):
    gone, stays = Device(ui, "gone"), Device(ui, "stays")
    streams = {d: [d.open("/api/events") for _ in range(2)] for d in (gone, stays)}
    download = gone.open("/api/shared/big.bin")
    kept = stays.open("/api/shared/big.bin")
    own = http.client.HTTPConnection("127.0.0.1", ui.port, timeout=20)
    own.request("GET", "/api/events")
    own_answer = own.getresponse()
    for answer in (*streams[gone], *streams[stays]):
        skip_to(answer, b"event: resync")
    assert gone.status() == stays.status() == 200

    take_away(ui, gone)
    start = time.monotonic()
    for answer in streams[gone]:
        text = answer.fp.read()  # ends: the server closes
        assert b"device" not in text, "not even the line about its removal"
    assert read_to_the_end(download) < SIZE - (16 << 20)
    assert time.monotonic() - start < 8  # one second is intended, but the machine may be busy
    assert gone.status() == 401

    # All others continue: the other device's streams and downloads, and the page on the machine itself.
    assert stays.status() == 200
    ui.api.upload("news.txt", b"news", "?on_conflict=overwrite")
    for answer in streams[stays]:
        skip_to(answer, b"event: shared")
        answer.close()
    skip_to(own_answer, b"event: shared")
    own.close()
    assert read_to_the_end(kept) > SIZE - (64 << 20)
    by_the_interface(ui, stays)


def test_one_that_removes_itself_hears_of_it(ui):
    device = Device(ui, "self")
    answer = ui.api.request("DELETE", f"/api/devices/{device.id}", headers=device.headers)
    assert answer.status_code in (200, 403), answer.text
    if answer.status_code == 200:
        assert device.status() == 401


def test_streams_of_removed_devices_give_their_places_back(ui):
    """64 clients may receive events: closed streams use none of these places."""
    for _ in range(2):
        device = Device(ui, "many")
        streams = [device.open("/api/events") for _ in range(30)]
        by_the_interface(ui, device)
        for answer in streams:
            answer.fp.read()

    def follows():
        connection = http.client.HTTPConnection("127.0.0.1", ui.port, timeout=20)
        connection.request("GET", "/api/events")
        return connection.getresponse().status == 200 and connection

    opened = [wait_until(follows, 20, "a place") for _ in range(20)]
    for connection in opened:
        connection.close()


def test_the_status_event_names_no_caller(ui):
    """Each page knows who it is from its own request; one event goes to all."""
    device = Device(ui, "phone")
    answer = device.open("/api/events")
    assert ui.api.upload("status.txt", b"x", "?on_conflict=overwrite").status_code == 200
    skip_to(answer, b"event: status")
    data = json.loads(answer.fp.readline().removeprefix(b"data: "))
    assert data["peer_id"] and "caller" not in data
    assert ui.api.request("GET", "/api/status", headers=device.headers).json()["caller"] == "token"
    by_the_interface(ui, device)

"""Uploads into the shared folder, honest and hostile, and deletion there (docs/HTTP.md)."""

import contextlib
import hashlib
import json
import os
import re
import socket
import time

import pytest

from conftest import wait_until
from documented_ui import NAMES, api, assert_problem, mb, snapshot, world  # noqa: F401 (fixtures)
from p2pwire.web import raw


@pytest.mark.parametrize("name", NAMES)
def test_upload_and_delete(world, api, name):
    data = os.urandom(12345)
    answer = api.upload(name, data)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["status"], body["filename"], body["size"], body["size_mb"]) == (
        "success",
        name,
        12345,
        mb(12345),
    )
    assert (world.ui.shared / name).read_bytes() == data
    world.near.wait_for(name)
    deleted = api.delete("shared", name)
    assert deleted.status_code == 200
    assert {k: deleted.json()[k] for k in ("status", "filename")} == {"status": "deleted", "filename": name}
    assert not (world.ui.shared / name).exists()
    assert_problem(api.delete("shared", name), 404)


def test_upload_of_several(world, api):
    answer = api.upload_many({"m1": b"1", "m2": b"22", "m3": b""})
    assert answer.status_code == 200, answer.text
    assert [(f["filename"], f["size"]) for f in answer.json()["files"]] == [("m1", 1), ("m2", 2), ("m3", 0)]
    for name in ("m1", "m2", "m3"):
        assert api.delete("shared", name).status_code == 200


def test_upload_of_an_existing_name(world, api):
    path = world.ui.shared / "twice.txt"
    assert api.upload("twice.txt", b"first").status_code == 200
    assert_problem(api.upload("twice.txt", b"second"), 409)
    assert path.read_bytes() == b"first"
    assert api.upload("twice.txt", b"third", "?on_conflict=overwrite").status_code == 200
    assert path.read_bytes() == b"third"
    renamed = api.upload("twice.txt", b"fourth", "?on_conflict=rename")
    assert renamed.status_code == 200 and renamed.json()["filename"] == "twice (1).txt"
    assert (path.read_bytes(), (world.ui.shared / "twice (1).txt").read_bytes()) == (b"third", b"fourth")
    assert_problem(api.upload("twice.txt", b"x", "?on_conflict=explode"), 400, 422)
    for name in ("twice.txt", "twice (1).txt"):
        api.delete("shared", name)


HOSTILE_NAMES = [
    "../up.txt",
    "..",
    ".",
    "",
    "/abs.txt",
    "a/../../up.txt",
    ".hidden",
    ".p2p/index.db",
    "a\\..\\up.txt",
    "C:\\x.txt",
    "nul\x00.txt",
    "new\nline",
    "esc\x1b[31m",
    "x" * 300,
    "．．/up",
    "a\u202etxt.exe",
]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_upload_of_hostile_names(world, api, name):
    before = snapshot(world)
    boundary = "x1y2z3"
    body = b"--%s\r\nContent-Disposition: form-data; name=\"file\"; filename=\"%s\"\r\n\r\nevil\r\n--%s--\r\n" % (
        boundary.encode(), name.replace('"', '\\"').encode(), boundary.encode(),
    )  # fmt: skip
    answer = api.request(
        "POST",
        "/api/upload",
        data=body,
        headers={"Content-Type": f"multipart/form-data; boundary={boundary}"},
    )
    assert answer.status_code in (400, 403, 422), (answer.status_code, answer.text)
    assert snapshot(world) == before


@pytest.mark.parametrize("kind", ["shared", "download"])
@pytest.mark.parametrize(
    "name",
    [
        "..%2f..%2fkeys",
        "%2e%2e%2fmine.txt",
        "..%5cx",
        "%00",
        "mine.txt%00.png",
        ".%2fmine.txt",
        "%2fetc%2fpasswd",
        ".p2p%2findex.db",
        "%ff%fe",
        "%c0%ae%c0%ae%2fx",
        "a%0ab",
        "%252e%252e%252fmine.txt",
        "..",
        "%2e%2e",
        "",
    ],
)
def test_delete_of_hostile_names(world, kind, name):
    before = snapshot(world)
    status, headers, _ = raw(world.ui.port, "DELETE", f"/api/{kind}/{name}", [("Host", "localhost"), *world.ui.owner])
    assert status in (400, 403, 404, 405), status
    assert snapshot(world) == before


def test_upload_is_streamed(world, api):
    """300 MB from a generator: the daemon's memory does not grow with it."""
    before = world.ui.memory_kib("VmHWM")
    size = 300 << 20

    block, digest = os.urandom(1 << 20), hashlib.sha256()

    def body():
        yield b'--B\r\nContent-Disposition: form-data; name="file"; filename="huge.bin"\r\n\r\n'
        for _ in range(size >> 20):
            digest.update(block)
            yield block
        yield b"\r\n--B--\r\n"

    answer = api.request(
        "POST",
        "/api/upload",
        data=body(),
        headers={"Content-Type": "multipart/form-data; boundary=B"},
        timeout=120,
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["size"] == size
    with open(world.ui.shared / "huge.bin", "rb") as file:
        assert hashlib.file_digest(file, "sha256").digest() == digest.digest()
    assert world.ui.memory_kib("VmHWM") - before < 32 << 10
    api.delete("shared", "huge.bin")


def test_an_upload_that_breaks_off_leaves_nothing(world, api):
    with socket.create_connection(("127.0.0.1", world.ui.port)) as sock:
        sock.sendall(
            b"POST /api/upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=B\r\nContent-Length: 100000\r\n\r\n"
            b'--B\r\nContent-Disposition: form-data; name="file"; filename="half.bin"\r\n\r\nhalf of it'
        )
        time.sleep(0.2)
    assert not (world.ui.shared / "half.bin").exists()
    wait_until(
        lambda: not [
            p for p in world.ui.shared.rglob("*") if p.is_file() and p.read_bytes() == b"half of it"
        ],
        10,
        "the part file removed",
    )


@pytest.mark.parametrize(
    "content_type,body",
    [
        ("multipart/form-data", b"x"), ("multipart/form-data; boundary=", b"----\r\n"), ('multipart/form-data; boundary="', b"--\r\n"), ("multipart/form-data; boundary=" + "b" * 5000, b"x"),
        ("multipart/form-data; boundary=B", b""), ("multipart/form-data; boundary=B", b"--B--\r\n"), ("multipart/form-data; boundary=B", b"--B\r\n\r\nno name\r\n--B--\r\n"),
        ("multipart/form-data; boundary=B", b"--B\r\nContent-Disposition: form-data; name=\"other\"; filename=\"x\"\r\n\r\nx\r\n--B--\r\n"), ("application/json", b"{}"), ("text/plain", b"x"),
    ],
    ids=range(10),
)  # fmt: skip
def test_uploads_that_are_none(world, api, content_type, body):
    before = snapshot(world)
    answer = api.request("POST", "/api/upload", data=body, headers={"Content-Type": content_type})
    assert 400 <= answer.status_code < 500
    assert snapshot(world) == before


def early_answer(ui, head, body, announced, reads_at_once=True):
    """Sends the beginning of an upload of `announced` bytes and returns what the server answers to that."""
    sock = socket.create_connection(ui.address, timeout=60)
    request = (
        f"POST /api/upload{head} HTTP/1.1\r\nHost: {ui.where}\r\nAuthorization: Bearer {ui.owner_token}\r\n"
        f"Content-Type: multipart/form-data; boundary=b0\r\nContent-Length: {announced}\r\n\r\n"
    )
    with sock:
        sock.sendall(request.encode() + body)
        if not reads_at_once:
            with contextlib.suppress(OSError):
                for _ in range(8):
                    sock.sendall(bytes(1 << 20))
        answer = b""
        while more := sock.recv(65536):
            answer += more
            header, _, text = answer.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", header)
            if length and len(text) >= int(length[1]):
                break
        return header.decode(), json.loads(text)


PART = b'--b0\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\n\r\nbeginning'


@pytest.mark.parametrize("reads_at_once", [True, False])
def test_a_bad_name_is_refused_before_the_bytes_of_the_file(suite, reads_at_once):
    ui = suite.ui()
    (ui.shared / "there.bin").write_bytes(b"mine")
    for name, status, words in [
        (b"Re: mail.eml", 400, ['"Re mail.eml" would work', "':'"]),
        (b"there.bin", 409, ["exist"]),
    ]:
        # Twenty gigabytes are announced, and the answer comes after the first bytes.
        head, text = early_answer(ui, "", PART % name, 20 << 30, reads_at_once)
        assert f" {status} " in head and "connection: close" in head.lower()
        assert "x-content-type-options" in head.lower(), "the same headers as every answer"
        for word in words:
            assert word in text["detail"]
    assert not list(ui.shared.glob(".p2p/upload*"))
    assert (ui.shared / "there.bin").read_bytes() == b"mine"
    # Short ones are read to their end, so that every client sees the answer.
    short = ui.api.request("POST", "/api/upload", files={"file": ("a: b", b"x" * 1000)})
    assert short.status_code == 400 and short.json()["suggestion"] == "a b"
    assert ui.api.request("POST", "/api/upload", files={"file": ("good", b"x")}).status_code == 200


def test_a_client_that_goes_on_sending_is_cut_off(suite):
    ui = suite.ui()
    sock = socket.create_connection(ui.address, timeout=60)
    sent = 0
    with sock:
        sock.sendall(
            f"POST /api/upload HTTP/1.1\r\nHost: {ui.where}\r\nAuthorization: Bearer {ui.owner_token}\r\n"
            f"Content-Type: multipart/form-data; boundary=b0\r\nContent-Length: {20 << 30}\r\n\r\n".encode()
            + PART % b"a:b"
        )
        with pytest.raises(OSError):
            while sent < 200 << 20:
                sock.sendall(bytes(1 << 20))
                sent += 1 << 20
    assert sent < 100 << 20
    assert ui.api.request("POST", "/api/upload", files={"file": ("good", b"x")}).status_code == 200

"""Uploads that continue after a break (tus 1.0.0), by a small client of our own; a long test uses tus-js-client."""

import base64
import hashlib
import http.client
import os
import shutil
import subprocess
import urllib.parse
from pathlib import Path

import pytest

from conftest import long_test, wait_until
from ui_world import API

pytestmark = pytest.mark.xdist_group("openapi")

ROOT = Path(__file__).resolve().parents[2]
TUS = {"Tus-Resumable": "1.0.0"}
BYTES = {**TUS, "Content-Type": "application/offset+octet-stream"}


@pytest.fixture(scope="module")
def ui(module_suite):
    return module_suite.ui(name="resumable", discovery=None)


def ask(ui, method, path, status, data=b"", **headers):
    answer = ui.api.request(method, path, headers=headers, data=data)
    if method not in ("HEAD", "OPTIONS"):
        API.check(method, path.split("?")[0], answer)
    assert answer.status_code == status, (method, path, answer.status_code, answer.text)
    assert answer.headers["Tus-Resumable"] == "1.0.0"
    return answer


def create(ui, name, size, query="", status=201, **more):
    metadata = "filename " + base64.b64encode(name.encode()).decode() + ",filetype aW1hZ2U="
    headers = {**TUS, "Upload-Length": str(size), "Upload-Metadata": metadata, **more}
    answer = ask(ui, "POST", "/api/uploads" + query, status, **headers)
    return answer.headers.get("Location")


def send(ui, where, offset, data, status=204, **more):
    return ask(ui, "PATCH", where, status, data, **{**BYTES, "Upload-Offset": str(offset), **more})


def offset(ui, where):
    return int(ask(ui, "HEAD", where, 200, **TUS).headers["Upload-Offset"])


def break_off(ui, where, at, data, declared):
    """Sends a part of the body, then closes the connection."""
    connection = http.client.HTTPConnection("127.0.0.1", ui.port)
    connection.putrequest("PATCH", where)
    for name, value in {**BYTES, **dict(ui.owner), "Upload-Offset": str(at), "Content-Length": str(declared)}.items():
        connection.putheader(name, value)
    connection.endheaders()
    connection.send(data)
    wait_until(lambda: offset(ui, where) == at + len(data), what="the bytes on the disk")
    connection.close()


def test_an_upload_continues_after_breaks_and_a_restart(module_suite, ui):
    data = os.urandom(3_000_000)
    where = create(ui, "été 中.bin", len(data), "?path=photos/new")
    assert offset(ui, where) == 0
    assert ask(ui, "GET", where, 200, **TUS).headers["Upload-Length"] == str(len(data))
    send(ui, where, 0, data[:1_000_000])
    break_off(ui, where, 1_000_000, data[1_000_000:1_500_000], 2_000_000)
    ui.kill()
    module_suite.programs.remove(ui)
    again = module_suite.ui(name="resumable", discovery=None, port=ui.port)
    ui.__dict__.update(again.__dict__)
    done = offset(ui, where)
    assert done == 1_500_000
    assert not (ui.shared / "photos").exists(), "not before it is complete"
    answer = send(ui, where, done, data[done:])
    assert int(answer.headers["Upload-Offset"]) == len(data) and "Upload-Expires" in answer.headers
    assert (ui.shared / "photos/new/été 中.bin").read_bytes() == data
    assert offset(ui, where) == len(data), "a client that missed the answer learns that it is complete"
    wait_until(lambda: "photos/new/été 中.bin" in {f["name"] for f in ui.api.json("/api/shared")["files"]}, what="it is shared")
    assert not list((ui.shared / ".p2p").glob("*.tus"))


def test_names_in_use_and_empty_files(ui):
    create(ui, "empty", 0)
    assert (ui.shared / "empty").read_bytes() == b""
    create(ui, "empty", 1, status=409)
    where = create(ui, "empty", 3, "?on_conflict=rename")
    send(ui, where, 0, b"new")
    assert (ui.shared / "empty (1)").read_bytes() == b"new"
    where = create(ui, "late", 3)
    (ui.shared / "late").write_bytes(b"first")  # takes the name meanwhile
    send(ui, where, 0, b"two")
    assert (ui.shared / "late").read_bytes() == b"first" and (ui.shared / "late (1)").read_bytes() == b"two"
    where = create(ui, "late", 5, "?on_conflict=overwrite")
    send(ui, where, 0, b"third")
    assert (ui.shared / "late").read_bytes() == b"third"


def test_a_checksum_finds_damage(ui):
    sha1 = lambda data: "sha1 " + base64.b64encode(hashlib.sha1(data).digest()).decode()  # noqa: E731
    offered = ask(ui, "OPTIONS", "/api/uploads", 204).headers
    assert "checksum" in offered["Tus-Extension"].split(",") and offered["Tus-Checksum-Algorithm"] == "sha1"
    where = create(ui, "sums.bin", 10)
    send(ui, where, 0, b"01234", **{"Upload-Checksum": sha1(b"01234")})
    send(ui, where, 5, b"567x9", 460, **{"Upload-Checksum": sha1(b"56789")})
    assert offset(ui, where) == 5, "taken back"
    for wrong in ("md5 AAAA", "sha1 AAAA", "sha1", ""):
        send(ui, where, 5, b"56789", 400, **{"Upload-Checksum": wrong})
    send(ui, where, 5, b"56789", **{"Upload-Checksum": sha1(b"56789")})
    assert (ui.shared / "sums.bin").read_bytes() == b"0123456789"


def test_what_is_wrong_is_refused_and_changes_nothing(ui):
    where = create(ui, "right.bin", 10)
    send(ui, where, 0, b"01234")
    send(ui, where, 0, b"01234", 409)
    send(ui, where, 6, b"6789", 409)
    send(ui, where, 5, b"567890", 413)
    send(ui, where, "x", b"5", 400)
    send(ui, where, 5, b"5", 415, **{"Content-Type": "text/plain"})
    send(ui, where, 5, b"5", 412, **{"Tus-Resumable": "0.2.2"})
    assert offset(ui, where) <= 10
    for wrong in ("0" * 32, "../../keys/owner.token", "x" * 32, where.rsplit("/", 1)[1][:-1], where.rsplit("/", 1)[1].upper()):
        path = "/api/uploads/" + urllib.parse.quote(wrong, safe="")
        if wrong.upper() == wrong.lower() or wrong not in where:
            ask(ui, "HEAD", path, 404, **TUS)
    create(ui, "../escape", 5, status=400)
    create(ui, "a", 5, "?path=../up", status=400)
    create(ui, "a", -1, status=400)
    create(ui, "a", 1 << 62, status=400)
    create(ui, "a", 5, status=412, **{"Tus-Resumable": "2"})
    ask(ui, "POST", "/api/uploads", 400, **TUS, **{"Upload-Length": "5"})
    ask(ui, "DELETE", where, 204, **TUS)
    ask(ui, "DELETE", where, 404, **TUS)
    assert not list((ui.shared / ".p2p").glob("*.tus"))
    assert ui.anyone.request("POST", "/api/uploads", headers={**TUS, "Upload-Length": "5", "X-Forwarded-For": "192.0.2.7"}).status_code == 401
    assert ask(ui, "OPTIONS", "/api/uploads", 204).headers["Tus-Version"] == "1.0.0"


def test_unfinished_uploads_are_bounded(ui):
    made = []
    while len(made) < 300:
        answer = ui.api.request("POST", f"/api/uploads?name=u{len(made)}", headers={**TUS, "Upload-Length": "5"})
        if answer.status_code == 503:
            break
        made.append(answer.headers["Location"])
    assert len(made) == 256
    for where in made:
        ask(ui, "DELETE", where, 204, **TUS)


CLIENT = """
const tus = require('tus-js-client');
const fs = require('fs');
const [url, path, token] = process.argv.slice(2);
let breaks = 1;
const upload = new tus.Upload(fs.createReadStream(path), {
  endpoint: url, chunkSize: 300000, uploadSize: fs.statSync(path).size, retryDelays: [0, 100, 500],
  metadata: { filename: 'from tus.bin' }, headers: { Authorization: 'Bearer ' + token },
  onChunkComplete: (size, sent) => {
    if (sent > 500000 && breaks) {
      breaks = 0;
      upload.abort().then(() => upload.start());
    }
  },
  onError: (error) => { console.error(String(error)); process.exit(1); },
  onSuccess: () => process.exit(0),
});
upload.start();
"""


@long_test
def test_a_client_of_others(ui, tmp_path):
    modules = ROOT / "build" / "npm" / "node_modules"
    if not shutil.which("node") or not (modules / "tus-js-client").exists():
        pytest.skip("needs node and npm install --no-save --prefix build/npm tus-js-client")
    data = os.urandom(2_000_000)
    (tmp_path / "in.bin").write_bytes(data)
    (tmp_path / "client.js").write_text(CLIENT)
    command = ["node", tmp_path / "client.js", f"{ui.url}/api/uploads", tmp_path / "in.bin", ui.owner_token]
    run = subprocess.run(command, env={**os.environ, "NODE_PATH": str(modules)}, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert (ui.shared / "from tus.bin").read_bytes() == data

"""p2p-ui's documented endpoints, field by field, and its guards (docs/HTTP.md)."""

import socket
import threading
import time

import pytest

from conftest import wait_until
from documented_ui import NAMES, api, assert_problem, mb, world  # noqa: F401 (fixtures)
from p2pwire import keys
from p2pwire.web import raw


# --- status, peers, search -------------------------------------------------------------------


def test_status(world, api):
    status = api.json("/api/status")
    assert status["peer_id_full"] == world.near.peer_id
    assert status["peer_id"] == world.near.peer_id[:16] + "..."
    assert status["port"] == world.near.port
    assert status["registered"] is True
    assert status["shared_files_count"] == len(status["shared_files"])
    assert status["total_shared_size"] == sum(f["size"] for f in status["shared_files"])
    mine = next(f for f in status["shared_files"] if f["name"] == "mine.txt")
    assert mine["size"] == 6 and mine["size_mb"] == mb(6)


def test_status_without_a_registry(suite):
    peer = suite.peer(files={"f": b"x"})
    status = suite.ui(peer=peer).api.json("/api/status")
    assert status["registered"] is False


def test_peers(world, api):
    peers = {p["peer_id_full"]: p for p in api.json("/api/peers")["peers"]}
    far = peers[world.far.peer_id]
    assert far["peer_id"] == world.far.peer_id[:16] + "..."
    assert (far["ip"], far["port"], far["files"]) == ("127.0.0.1", world.far.port, len(world.far_files))
    assert far["self"] is False and sorted(far["file_list"]) == sorted(world.far_files)
    assert isinstance(far["verified"], bool) and "last_seen" in far
    if world.near.peer_id in peers:
        assert peers[world.near.peer_id]["self"] is True


def test_peers_search(world, api):
    found = api.json("/api/peers/search", filename="far.bin")
    assert (found["filename"], found["found"]) == ("far.bin", 1)
    assert found["peers"] == [
        {
            **found["peers"][0],
            "peer_id": world.far.peer_id[:16] + "...",
            "peer_id_full": world.far.peer_id,
            "ip": "127.0.0.1",
            "port": world.far.port,
        }
    ]


@pytest.mark.parametrize("name", NAMES)
def test_peers_search_of_any_name(api, name):
    assert api.json("/api/peers/search", filename=f"far {name}")["found"] == 1


def test_peers_search_of_nothing(api):
    assert api.json("/api/peers/search", filename="nobody has this") == {
        "filename": "nobody has this",
        "found": 0,
        "peers": [],
    }
    assert_problem(api.get("/api/peers/search"), 400)


# --- downloads -------------------------------------------------------------------------------


def far_peer(api, name):
    return api.json("/api/peers/search", filename=name)["peers"][0]


def wait_download(api, name, *states):
    def ended():
        answer = api.progress(name)
        assert answer.status_code == 200, answer.text
        return answer.json()["status"] in states and answer.json()

    return wait_until(ended, 40, f"{name} {states}")


@pytest.mark.parametrize("name", ["far.bin", *(f"far {n}" for n in NAMES)])
def test_download(world, api, name):
    peer = far_peer(api, name)
    answer = api.download(name, peer)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    where = f"127.0.0.1:{world.far.port}"
    assert (body["status"], body["filename"], body["peer"]) == ("downloading", name, where)
    assert body["id"]
    done = wait_download(api, name, "completed")
    assert done["progress"] == 100 and isinstance(done["progress"], int) and done["peer"] == where
    assert (world.ui.downloads / name).read_bytes() == world.far_files[name]
    listed = next(f for f in api.json("/api/downloads")["downloads"] if f["name"] == name)
    assert (listed["size"], listed["size_mb"]) == (len(world.far_files[name]), mb(len(world.far_files[name])))
    deleted = api.delete("download", name).json()
    assert (deleted["status"], deleted["filename"]) == ("deleted", name)
    assert not (world.ui.downloads / name).exists()
    assert_problem(api.delete("download", name), 404)


def test_download_with_the_short_id_of_the_documentation(world, api):
    """A client written against the documentation sends peer_id as it found it in the list."""
    peer = far_peer(api, "small.txt")
    body = {"filename": "small.txt", "peer_id": peer["peer_id"], "ip": peer["ip"], "port": peer["port"]}
    answer = api.request("POST", "/api/download", json=body)
    assert answer.status_code == 200, answer.text
    wait_download(api, "small.txt", "completed")
    api.delete("download", "small.txt")


def test_download_onto_an_existing_name(world, api):
    (world.ui.downloads / "small.txt").write_bytes(b"mine")
    assert api.download("small.txt", far_peer(api, "small.txt")).status_code == 200
    wait_until(lambda: (world.ui.downloads / "small (1).txt").exists(), what="small (1).txt")
    assert (world.ui.downloads / "small.txt").read_bytes() == b"mine"
    for name in ("small.txt", "small (1).txt"):
        api.delete("download", name)


def test_download_that_fails(world, api):
    answer = api.download("no such file anywhere", far_peer(api, "small.txt"))
    assert answer.status_code in (200, 404)
    if answer.status_code == 200:
        failed = wait_download(api, "no such file anywhere", "failed")
        assert failed["error"]
    assert not (world.ui.downloads / "no such file anywhere").exists()


def test_download_from_somebody_else_than_named(world, api):
    """The id is proven, or nothing is downloaded."""
    peer = {**far_peer(api, "small.txt"), "peer_id_full": keys.Identity().peer_id}
    answer = api.download("small.txt", peer)
    if answer.status_code == 200:
        assert wait_download(api, "small.txt", "failed", "completed")["status"] == "failed"
    assert not (world.ui.downloads / "small.txt").exists()


BAD_DOWNLOADS = {
    "no file": dict(filename=None), "name up": dict(filename="../x"), "name absolute": dict(filename="/etc/passwd"), "name hidden": dict(filename=".x"), "name empty": dict(filename=""),
    "ip no address": dict(ip="nonsense!"), "ip a number": dict(ip=5), "port 0": dict(port=0), "port large": dict(port=70000), "port text": dict(port="x"), "port fraction": dict(port=1.5),
    "id odd": dict(peer_id="zz"), "id number": dict(peer_id=7),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_DOWNLOADS)
def test_downloads_that_cannot_be(world, api, case):
    peer = far_peer(api, "small.txt")
    good = {"filename": "small.txt", "peer_id": peer["peer_id_full"], "ip": peer["ip"], "port": peer["port"]}
    assert_problem(api.request("POST", "/api/download", json={**good, **BAD_DOWNLOADS[case]}), 400, 403, 422)


def test_progress_of_what_was_never_started(api):
    assert_problem(api.progress("never started"), 404)


# --- register --------------------------------------------------------------------------------


def test_register(world, api):
    answer = api.request("POST", "/api/register", json={"port": world.near.port})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["status"] == "registered" and body["port"] == world.near.port
    assert world.near.peer_id.startswith(body["peer_id"].removesuffix("..."))


@pytest.mark.parametrize(
    "body", [{}, {"port": 0}, {"port": 65536}, {"port": "x"}, {"port": None}, [], "x"], ids=str
)
def test_register_refuses(api, body):
    assert_problem(api.request("POST", "/api/register", json=body), 400, 422)


def test_register_without_a_registry(suite):
    ui = suite.ui(peer=suite.peer(files={"f": b"x"}))
    assert_problem(ui.api.request("POST", "/api/register", json={"port": 9000}), 503)


def test_peers_without_a_registry_answers(suite):
    answer = suite.ui(peer=suite.peer(files={"f": b"x"})).api.get("/api/peers")
    assert answer.status_code in (200, 503)


# --- unknown paths and methods ---------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/api", "/api/", "/api/nothing", "/api/status/x", "/api/../etc/passwd", "/api/%2e%2e/x"]
)
def test_unknown_api_paths_are_json(world, path):
    status, headers, body = raw(world.ui.port, "GET", path, [("Host", "localhost"), *world.ui.owner])
    assert status in (400, 404) and "json" in headers["Content-Type"], (status, body)


@pytest.mark.parametrize(
    "path",
    [
        "/../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2fetc%2fpasswd",
        "//etc/passwd",
        "/static/..;/x",
        "/%00",
        "/index.html%00.js",
        "/.git/config",
    ],
)
def test_static_paths_stay_inside(world, path):
    status, _, body = raw(world.ui.port, "GET", path, [("Host", "localhost"), *world.ui.owner])
    assert status in (400, 403, 404) and b"root:" not in body


@pytest.mark.parametrize(
    "method,path",
    [
        ("POST", "/api/status"),
        ("DELETE", "/api/peers"),
        ("GET", "/api/upload"),
        ("GET", "/api/download"),
        ("PUT", "/api/register"),
        ("POST", "/api/shared/x"),
    ],
)
def test_wrong_methods(api, method, path):
    answer = api.request(method, path)
    assert_problem(answer, 405)
    assert answer.headers["Allow"]


BODIES = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"[" * 100000,
    b'{"filename":"\xff"}',
    b"{}{}",
    b'{"port":1e999}',
    b"\x00",
]


@pytest.mark.parametrize("path", ["/api/download", "/api/register"])
@pytest.mark.parametrize("body", BODIES, ids=lambda b: repr(b[:12]))
def test_bodies_that_are_no_json_object(api, path, body):
    answer = api.request("POST", path, data=body, headers={"Content-Type": "application/json"})
    assert_problem(answer, 400, 411, 413, 415, 422)


# --- the page and its headers ----------------------------------------------------------------

CSP = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
)


@pytest.mark.parametrize("path", ["/", "/api/status", "/api/nothing", "/health"])
def test_headers_on_every_answer(api, path):
    headers = api.get(path).headers
    for part in CSP:
        assert part in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert not [h for h in headers if h.lower().startswith("access-control")]
    if path.startswith("/api"):
        assert "no-store" in headers["Cache-Control"]


def test_the_page(api):
    answer = api.get("/")
    assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("text/html")
    assert "http://" not in answer.text.replace("http://www.w3.org", "").replace(
        "http://localhost", ""
    ), "nothing from another host"


# --- robustness ------------------------------------------------------------------------------


def test_slow_senders_are_dropped_and_stop_nobody(world, api):
    idle = []
    for _ in range(50):
        sock = socket.create_connection(("127.0.0.1", world.ui.port), 10)
        sock.sendall(b"POST /api/upload HTTP/1.1\r\nHost: localhost\r\nContent-")
        idle.append(sock)
    start = time.monotonic()
    assert api.get("/api/status").status_code == 200
    assert time.monotonic() - start < 2
    for sock in idle:
        sock.close()


def test_a_body_over_the_cap(world):
    with socket.create_connection(("127.0.0.1", world.ui.port), 10) as sock:
        sock.sendall(
            b"POST /api/register HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 10000000000\r\n\r\n{"
        )
        assert b" 413 " in sock.recv(4096).split(b"\r\n")[0]


def test_downloads_run_in_the_background_and_at_once(world, api):
    names = [f"far {n}" for n in NAMES]
    threads = [threading.Thread(target=api.download, args=(n, far_peer(api, n))) for n in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name in names:
        wait_download(api, name, "completed")
        assert (world.ui.downloads / name).read_bytes() == world.far_files[name]
        api.delete("download", name)

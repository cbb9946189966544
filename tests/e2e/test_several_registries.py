"""Several --discovery URLs, of which one is dead, one hangs, one sends slowly and one lies: all programs stay fast
and correct.
"""

import contextlib
import http.server
import itertools
import json
import socket
import threading
import time

import pytest

from conftest import NO_REGISTRY, wait_until
from p2pwire import tree

SOON = 8.0  # far below the time-out of one request, 30 s (p2p-ui: 4 s)


class Hanging:
    """Accepts connections and never answers."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = "http://127.0.0.1:%d" % self.socket.getsockname()[1]

    def close(self):
        self.socket.close()


class _Fake(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer()

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.answer()

    do_DELETE = do_POST

    def log_message(self, *_):
        pass

    def send(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


class _Liar(_Fake):
    """Endless pages of strangers, names that lead out of the folder, and all contents at one address."""

    def answer(self):
        self.server.asked += 1
        number = next(self.server.numbers)
        strangers = [
            {
                "peer_id": f"{number:032x}{i:032x}", "ip": "127.0.0.1", "port": 9, "verified": True,
                "files": ["../../etc/passwd", "\u202egnp.exe", "the file.bin", 7, None],
            }
            for i in range(200)
        ]  # fmt: skip
        if self.path.startswith("/heartbeat"):
            self.send(404, {"error": "peer not found"})
        elif self.path.startswith("/search"):
            result = {"name": "the file.bin", "size": 1, "root": "ab" * 32, "sha256": None, "peers": strangers}
            self.send(200, {"results": [{**result, "name": "../the file.bin"}, result], "next": f"page{number}"})
        elif self.path.startswith("/register"):
            self.send(409, {"error": "no", "base": 2**62 + number})
        else:
            self.send(200, {"peers": strangers, "next": f"page{number}"})


class _Dripping(_Fake):
    """Each page takes most of a second, and there is always another one."""

    def answer(self):
        time.sleep(0.7)
        self.send(200, {"peers": [], "results": [], "message": "registered", "next": f"{time.monotonic()}"})


@contextlib.contextmanager
def serving(handler):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.numbers, server.asked = itertools.count(1), 0
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    server.url = "http://127.0.0.1:%d" % server.server_address[1]
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def bad(suite):
    """URLs of registries that do not work."""
    hanging = Hanging()
    with serving(_Liar) as liar, serving(_Dripping) as dripping:
        yield [hanging.url, NO_REGISTRY, liar.url, dripping.url]
    hanging.close()


def among(bad, good):
    """--discovery for all, the good one in the middle."""
    return [word for url in [*bad[:2], good.url, *bad[2:]] for word in ("--discovery", url)]


def timed(call, *arguments, **kwargs):
    start = time.monotonic()
    result = call(*arguments, **kwargs)
    took = time.monotonic() - start
    assert took < SOON, f"{arguments[:1]} took {took:.1f} s"
    return result


def test_the_command_line(suite, bad):
    good = suite.discovery()
    data = b"what is wanted" * 1000
    suite.peer(discovery=good, files={"the file.bin": data, "other.bin": b"x"})
    wait_until(lambda: good.registry.peers(file="the file.bin"), 10, "registered")
    all_of_them = [*among(bad, good), "--no-mdns"]
    found = timed(suite.p2p, "search", "the file", "--json", *all_of_them, check=True)
    results = json.loads(found.stdout)["results"]
    assert tree.root_of(data).hex() in [r["root"] for r in results]
    assert not [r for r in results if r["name"].startswith("..")]
    listed = timed(suite.p2p, "peers", *all_of_them, check=True)
    assert good.registry.peers()[0]["peer_id"][:16] in listed.stdout
    # Most of the peers that the liar lists have the name, too: content and keys decide.
    run = timed(
        suite.p2p, "get", "the file.bin", "--root", tree.root_of(data).hex(), "--output-dir", suite.folder / "out",
        *all_of_them,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert (suite.folder / "out" / "the file.bin").read_bytes() == data
    assert not (suite.folder / "etc").exists()


def test_a_peer_stays_registered_where_it_can(suite, bad):
    good = suite.discovery("--ttl", "8s")
    words = [w for url in bad for w in ("--discovery", url)]
    peer = timed(suite.peer, *words, "--heartbeat", "2s", discovery=good, files={"f": b"x"})
    me = wait_until(lambda: good.registry.peers(), SOON, "registered at the good one")[0]["peer_id"]
    (peer.shared / "new.txt").write_bytes(b"new")
    wait_until(lambda: good.registry.peers(file="new.txt"), 2 * SOON, "the change told")
    end = time.monotonic() + 9
    while time.monotonic() < end:
        assert [p["peer_id"] for p in good.registry.peers()] == [me], "it ran out"
        time.sleep(0.5)
    peer.stop()
    assert good.registry.peers() == [], "it said goodbye"


def test_the_dashboard(suite, bad):
    good = suite.discovery()
    peer = suite.peer(discovery=good, files={"the file.bin": b"what is wanted"})
    wait_until(lambda: good.registry.peers(file="the file.bin"), 10, "registered")
    words = [w for url in bad for w in ("--discovery", url)]
    ui = timed(suite.ui, *words, name="other", discovery=good)
    root = tree.root_of(b"what is wanted").hex()
    for _ in range(3):
        answer = timed(ui.api.request, "GET", "/api/search?q=the+file").json()
        assert root in [r["root"] for r in answer["results"]]
    peers = timed(ui.api.request, "GET", "/api/peers").json()["peers"]
    assert peer.port in [p["port"] for p in peers]
    transfer = timed(ui.api.request, "POST", "/api/transfers", json={"root": root, "filename": "the file.bin"}).json()

    def state():
        return ui.api.request("GET", f"/api/transfers/{transfer['id']}").json()["state"]

    wait_until(lambda: state() == "completed", 3 * SOON, "fetched")
    assert (ui.downloads / "the file.bin").read_bytes() == b"what is wanted"

"""A registry that omits a trusted peer, lists it elsewhere, or speaks for it: the trusted peer's own answer decides."""

import contextlib
import http.server
import json
import os
import re
import socket
import threading
import time

import pytest
import requests

from conftest import NO_REGISTRY, wait_until
from getting import CHUNK
from p2pwire import msg, tree
from p2pwire.server import Server

HONEST, EVIL = b"the honest report" * 500, b"EVIL report" * 700
CHOICE_NEEDED = 9
BOUND_S = 15  # time of one command; a peer that is off costs two seconds


def closed_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Liar:
    """A registry that answers as the test says: `results` to searches, `peers` to lists."""

    def __init__(self):
        liar = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                is_search = self.path.startswith("/search")
                body = json.dumps({"results": liar.results} if is_search else {"peers": liar.peers}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        self.results, self.peers = [], []
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def say(self, name, data, *peers):
        """Answers that these peers, (id, port) each, have it."""
        listed = [{"peer_id": i, "ip": "127.0.0.1", "port": p, "verified": True, "files": [name]} for i, p in peers]
        self.results.append({"name": name, "size": len(data), "root": tree.root_of(data).hex(), "sha256": None, "peers": listed})
        self.peers += listed

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class World:
    """A trusted peer whose address is remembered, a stranger with another file of the same name, and the lying
    registry.
    """

    NAME = "report.txt"

    def __init__(self, suite):
        self.suite, self.liar = suite, Liar()
        self.friend = Server({self.NAME: HONEST}, chunk_size=CHUNK)
        self.evil = Server({self.NAME: EVIL}, chunk_size=CHUNK)
        suite.p2p("ls", self.friend.where, check=True)
        suite.p2p("peers", "trust", self.friend.identity.peer_id, check=True)
        self.friend.requests.clear()

    @property
    def stranger(self):
        return (self.evil.identity.peer_id, self.evil.address[1])

    def moved(self, port=None):
        return (self.friend.identity.peer_id, port or closed_port())

    def run(self, *words):
        began = time.monotonic()
        run = self.suite.p2p(*words, "--discovery", self.liar.url, "--no-mdns", "--timeout", "5")
        assert time.monotonic() - began < BOUND_S
        return run

    def get(self, *words):
        return self.run("get", *words, "--output-dir", self.suite.folder / "out")

    def assert_honest(self, run, name=NAME):
        assert run.returncode == 0, run.stderr
        assert (self.suite.folder / "out" / name).read_bytes() == HONEST
        assert not self.evil.requests

    def close(self):
        self.friend.close()
        self.evil.close()
        self.liar.close()


@pytest.fixture
def world(suite):
    world = World(suite)
    yield world
    world.close()


# --- downloads by name -----------------------------------------------------------------------


def test_one_that_leaves_a_trusted_peer_out(world):
    world.liar.say("report.txt", EVIL, world.stranger)
    world.assert_honest(world.get("report.txt"))


def test_one_that_speaks_for_a_trusted_peer(world):
    """At a wrong address, or at the address of the stranger."""
    for port in (None, world.stranger[1]):
        world.liar.results.clear()
        world.liar.say("report.txt", EVIL, world.moved(port), world.stranger)
        world.assert_honest(world.get("report.txt"))
        (world.suite.folder / "out" / "report.txt").unlink()


def test_one_that_says_nothing(world):
    world.assert_honest(world.get("report.txt"))


def test_one_that_is_not_there(world):
    world.liar.close()
    world.assert_honest(world.get("report.txt"))
    world.liar = Liar()


def test_its_word_for_a_trusted_peer_that_is_off_decides_nothing(world):
    with Server({"report.txt": HONEST}, chunk_size=CHUNK) as other:
        world.friend.close()
        world.liar.say("report.txt", EVIL, world.moved(), world.stranger)
        world.liar.say("report.txt", HONEST, (other.identity.peer_id, other.address[1]))
        run = world.get("report.txt")
        assert run.returncode == CHOICE_NEEDED, run.stderr
        assert not re.search(r"\d trusted", run.stderr)
        assert not world.evil.requests


def test_a_peer_that_does_not_have_it_takes_the_word_back(world):
    """Two contents, and the registry says that the trusted peer has one of them."""
    world.friend.files.clear()
    with Server({"report.txt": HONEST}, chunk_size=CHUNK) as other:
        world.liar.say("report.txt", EVIL, world.moved(), world.stranger)
        world.liar.say("report.txt", HONEST, (other.identity.peer_id, other.address[1]))
        assert world.get("report.txt").returncode == CHOICE_NEEDED
        assert world.friend.requests and not world.evil.requests


def test_a_trusted_peer_where_only_the_registry_says_it_is(world):
    """It has moved, and the registry is honest: the remembered address is tried, too, and does no harm."""
    with Server({"report.txt": HONEST}, identity=world.friend.identity, chunk_size=CHUNK) as moved:
        world.friend.close()
        world.liar.say("report.txt", HONEST, world.moved(moved.address[1]))
        world.liar.say("report.txt", EVIL, world.stranger)
        world.assert_honest(world.get("report.txt"))


def test_peers_that_are_off_cost_two_seconds_together(world):
    """Thirty trusted peers, at addresses that never answer."""
    full = socket.create_server(("127.0.0.1", 0), backlog=1)
    fill = [socket.socket() for _ in range(8)]
    for s in fill:  # its queue is full, so further connections wait
        s.setblocking(False)
        s.connect_ex(full.getsockname())
    known = world.suite.folder / "cli" / "keys" / "known_peers"
    line = next(x for x in known.read_text().splitlines() if world.friend.identity.peer_id in x)
    line = line.replace(world.friend.where, "127.0.0.1:%d" % full.getsockname()[1])
    others = [line.replace(world.friend.identity.peer_id, os.urandom(32).hex()) for _ in range(30)]
    known.write_text(known.read_text() + "".join(f"{x}\n" for x in others))
    world.liar.say("report.txt", EVIL, world.stranger)
    world.assert_honest(world.get("report.txt"))
    for s in (full, *fill):
        s.close()


# --- by root, folders, searches --------------------------------------------------------------


@pytest.mark.parametrize("says", ["strangers that are not there", "nothing", "a stranger with another file"])
def test_by_root(world, says):
    root = tree.root_of(HONEST).hex()
    if says.startswith("strangers"):
        world.liar.say("report.txt", HONEST, *((os.urandom(32).hex(), closed_port()) for _ in range(40)))
    elif says.startswith("a stranger"):
        world.liar.say("report.txt", HONEST, world.stranger)
    run = world.get("report.txt", "--root", root)
    assert run.returncode == 0, run.stderr
    assert (world.suite.folder / "out" / "report.txt").read_bytes() == HONEST


def test_a_folder(suite):
    """Two peers have a folder, and the registry lists only the stranger's."""
    friend = suite.peer(name="friend", files={"docs/a": HONEST})
    evil = suite.peer(name="evil", files={"docs/a": EVIL, "docs/b": EVIL})
    suite.p2p("ls", friend.where, check=True)
    suite.p2p("peers", "trust", friend.peer_id, check=True)
    liar = Liar()
    for name in ("docs/a", "docs/b"):
        liar.say(name, EVIL, (evil.peer_id, evil.port), (friend.peer_id, evil.port))
    run = suite.p2p("get", "docs/", "--discovery", liar.url, "--no-mdns", "--output-dir", suite.folder / "out")
    liar.close()
    assert run.returncode == 0, run.stderr
    assert {p.name: p.read_bytes() for p in (suite.folder / "out" / "docs").iterdir()} == {"a": HONEST}


def found(world, *words):
    run = world.run("search", *words, "--json")
    assert run.returncode == 0, run.stderr
    return {r["root"]: r["trust"] for r in json.loads(run.stdout)["results"]}


def test_a_search_shows_what_a_trusted_peer_says(world):
    honest, evil = tree.root_of(HONEST).hex(), tree.root_of(EVIL).hex()
    world.liar.say("report.txt", EVIL, world.stranger, world.moved())
    assert found(world, "report") == {honest: "trusted", evil: "new"}
    assert found(world, "--root", honest) == {honest: "trusted"}
    world.friend.close()
    assert found(world, "report") == {evil: "new"}, "it did not say so itself"


def test_a_vast_answer_is_cut(world):
    """The client takes at most a thousand peers of one result from a registry, and the trusted peer answers for
    itself.
    """
    strangers = [(f"{n:064x}", 9) for n in range(20000)]
    world.liar.say("report.txt", EVIL, *strangers, world.moved())
    run = world.run("search", "report", "--json")
    results = {r["root"]: r for r in json.loads(run.stdout)["results"]}
    assert len(results[tree.root_of(EVIL).hex()]["peers"]) == 1000
    assert results[tree.root_of(HONEST).hex()]["trust"] == "trusted"
    world.assert_honest(world.get("report.txt"))


# --- p2p ls ----------------------------------------------------------------------------------


@pytest.mark.parametrize("says", ["where it is not", "nothing", "no answer"])
def test_ls_finds_a_known_peer_where_it_was_met(world, says):
    if says.startswith("where"):
        world.liar.say("report.txt", HONEST, world.moved())
    url = NO_REGISTRY if says == "no answer" else world.liar.url
    words = ["ls", world.friend.identity.peer_id[:16], "--discovery", url, "--no-mdns", "--timeout", "5"]
    run = world.suite.p2p(*words, "--json")
    assert run.returncode == 0, run.stderr
    said = json.loads(run.stdout)
    assert [f["name"] for f in said["files"]] == ["report.txt"] and said["address"] == world.friend.where
    assert not run.stderr
    run = world.suite.p2p(
        "get", "report.txt", "--peer", world.friend.identity.peer_id[:16], "--discovery", url, "--no-mdns",
        "--output-dir", world.suite.folder / "out",
    )  # fmt: skip
    world.assert_honest(run)


def test_ls_of_a_stranger_is_where_the_registry_says(world):
    world.liar.say("report.txt", EVIL, world.stranger)
    assert world.run("ls", world.stranger[0]).returncode == 0
    assert world.run("ls", os.urandom(32).hex()).returncode != 0


# --- registrations ---------------------------------------------------------------------------


class Freezer:
    """A registry that answers each registration with a newer seq, far ahead, and keeps what it gets."""

    def __init__(self):
        freezer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                with contextlib.suppress(ValueError):
                    freezer.got.append((self.path, json.loads(body)))
                answer = {"status": 409, "code": "stale_seq", "base": 9007199254740989, "error": "x", "message": "x"}
                answer = json.dumps(answer).encode()
                self.send_response(409)
                self.send_header("Content-Type", "application/problem+json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *arguments):
                pass

        self.got = []
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    close = Liar.close


def test_a_hostile_registry_freezes_no_record_elsewhere(suite):
    """Signed requests may be sent on to the honest registry, and the peer's changes still arrive there."""
    honest, freezer = suite.discovery(), Freezer()
    peer = suite.peer("--discovery", freezer.url, files={"one.txt": b"1"}, discovery=honest)

    def is_listed(name):
        return lambda: honest.registry.peers(file=name)

    wait_until(is_listed("one.txt"), 30, "the first file listed")
    for name in ("two.txt", "three.txt"):
        wait_until(lambda: any("seq" in body for _, body in freezer.got), 60, "a registration at the hostile one")
        for path, body in freezer.got:
            assert body.get("seq", 0) < (time.time() + 61) * 1000
            requests.post(honest.url + path, json=body, timeout=20)
        (peer.shared / name).write_bytes(name.encode())
        wait_until(is_listed(name), 60, f"{name} listed")
    freezer.close()


# --- the dashboard ---------------------------------------------------------------------------


def dashboard(world):
    registry = type("Registry", (), {"url": world.liar.url})
    ui = world.suite.ui(name="dashboard", discovery=registry)
    ui.suite = world.suite
    return ui


def remember(ui, server):
    """Behaves like a trusted peer that was met there, and sometimes is not asked for its files."""
    words = ["--keys-dir", ui.folder / "keys"]
    ui.suite.p2p("ls", server.where, *words, check=True)
    ui.suite.p2p("peers", "trust", server.identity.peer_id, *words, check=True)


def test_the_dashboard_downloads_what_a_trusted_peer_says(world):
    world.liar.say("report.txt", EVIL, world.stranger, world.moved())
    ui = dashboard(world)
    remember(ui, world.friend)
    answer = ui.api.request("POST", "/api/transfers", json={"filename": "report.txt"})
    assert answer.status_code == 201, answer.text
    assert answer.json()["root"] == tree.root_of(HONEST).hex()
    path = f"/api/transfers/{answer.json()['id']}"
    wait_until(lambda: ui.api.json(path)["state"] == "completed", 60, "the download")
    assert (ui.downloads / "report.txt").read_bytes() == HONEST
    assert not any(isinstance(r, msg.Get) for r in world.evil.requests)


def test_the_dashboard_downloads_a_root_from_one_that_is_left_out(world):
    ui = dashboard(world)
    remember(ui, world.friend)
    world.liar.say("report.txt", HONEST, world.stranger)  # it has another file
    body = {"filename": "report.txt", "root": tree.root_of(HONEST).hex()}
    answer = ui.api.request("POST", "/api/transfers", json=body)
    assert answer.status_code == 201, answer.text
    path = f"/api/transfers/{answer.json()['id']}"
    wait_until(lambda: ui.api.json(path)["state"] == "completed", 60, "the download")
    assert (ui.downloads / "report.txt").read_bytes() == HONEST

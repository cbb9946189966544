"""Trust decides, and numbers never do: pins, names with several contents, the order in which peers are asked."""

import http.server
import json
import os
import pty
import re
import socket
import subprocess
import threading
import time

import pytest

from conftest import BIN, environment, wait_until
from crowd import StandIn
from getting import CHUNK, DATA, assert_failed, assert_fetched
from p2pwire import keys, tree
from p2pwire.server import Server


def closed_port():
    """Nobody listens there."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Saying:
    """A registry that lists these peers for every name and root."""

    def __init__(self, peers, root, size):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                name = peers[0]["files"][0]
                result = {"name": name, "size": size, "root": root, "sha256": None, "peers": peers}
                body = json.dumps({"peers": peers, "results": [result]}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


# --- one address, many spellings ------------------------------------------------------------


def get_from(suite, where):
    return suite.p2p(
        "get", "f.bin", "--from", where, "--discovery", "none", "--timeout", "3",
        "--output-dir", suite.folder / "out",
    )  # fmt: skip


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "[::ffff:127.0.0.1]", "[::FFFF:7f00:1]", "localhost", "LOCALHOST", "localhost.", "0.0.0.0"],
)
@pytest.mark.parametrize("met_as", ["127.0.0.1", "localhost"])
def test_no_spelling_avoids_the_key_that_is_remembered(suite, met_as, host):
    with Server({"f.bin": DATA}, chunk_size=CHUNK) as server:
        port = server.address[1]
        assert_fetched(suite, get_from(suite, f"{met_as}:{port}"))
    (suite.folder / "out" / "f.bin").unlink()
    with Server({"f.bin": DATA}, chunk_size=CHUNK, port=port) as impostor:
        assert_failed(suite, get_from(suite, f"{host}:{port}"), "key", "p2p peers trust")
        assert not impostor.requests
        suite.p2p("peers", "trust", impostor.identity.peer_id[:16], check=True)
        assert_fetched(suite, get_from(suite, f"{host}:{port}"))


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.0.0.01", "[::1%1]"])
def test_shorthands_of_addresses_are_refused(suite, host):
    run = get_from(suite, f"{host}:9000")
    assert run.returncode == 2, run.stderr
    assert host in run.stderr


def test_strangers_push_no_key_out_of_the_memory(suite):
    """The list of known peers is full of strangers that were met: one more does not push out the oldest key."""
    with Server({"f.bin": DATA}, chunk_size=CHUNK) as nas:
        port = nas.address[1]
        assert_fetched(suite, get_from(suite, nas.where))
        (suite.folder / "out" / "f.bin").unlink()
    known = suite.folder / "cli" / "keys" / "known_peers"
    line = next(x for x in known.read_text().splitlines() if nas.identity.peer_id in x)
    others = (
        line.replace(nas.identity.peer_id, os.urandom(32).hex()).replace(nas.where, f"10.{n // 250}.{n % 250}.1:9000")
        for n in range(10000)
    )
    known.write_text(known.read_text() + "".join(f"{x}\n" for x in others))
    with Server({"f.bin": DATA}, chunk_size=CHUNK) as stranger:
        suite.p2p("ls", stranger.where)
    assert nas.identity.peer_id in known.read_text()
    with Server({"f.bin": DATA}, chunk_size=CHUNK, port=port) as impostor:
        assert_failed(suite, get_from(suite, impostor.where), "key", "p2p peers trust")
        assert not impostor.requests


# --- a name that means different files -------------------------------------------------------

@pytest.fixture(scope="module")
def crowd():
    """Ids that are used once; making keys takes time."""
    return [keys.Identity() for _ in range(20)]


HONEST, EVIL = b"the honest report" * 500, b"EVIL report" * 700
CHOICE_NEEDED = 9


def entry(name, data):
    return {"name": name, "size": len(data), "root": tree.root_of(data).hex(), "version": 1}


def register_signed(registry, identity, port, name, data):
    answer = registry.registry.register_signed(identity, port, [entry(name, data)], int(time.time() * 1000))
    assert answer.status_code == 200, answer.text


class World:
    """An honest peer and twenty new ids with another content under the same name."""

    def __init__(self, suite, crowd):
        self.suite = suite
        self.registry = suite.discovery()
        self.honest = Server({"report.txt": HONEST}, chunk_size=CHUNK)
        self.evil = Server({"report.txt": EVIL}, identity=crowd[0], chunk_size=CHUNK)
        register_signed(self.registry, self.honest.identity, self.honest.address[1], "report.txt", HONEST)
        for identity in crowd:
            register_signed(self.registry, identity, self.evil.address[1], "report.txt", EVIL)

    def close(self):
        self.honest.close()
        self.evil.close()

    def trust(self, server):
        self.suite.p2p("peers", "trust", server.identity.peer_id, check=True)

    def get(self, *more, name="report.txt"):
        return self.suite.p2p(
            "get", name, "--discovery", self.registry.url, "--no-mdns", "--timeout", "5",
            "--output-dir", self.suite.folder / "out", *more,
        )  # fmt: skip


@pytest.fixture
def world(suite, crowd):
    world = World(suite, crowd)
    yield world
    world.close()


def test_the_content_of_a_trusted_peer_is_taken(world):
    world.trust(world.honest)
    run = world.get()
    assert_fetched(world.suite, run, HONEST, "report.txt")
    assert not world.evil.requests
    assert f"match root {tree.root_of(HONEST).hex()[:16]}" in run.stderr
    assert "sent by 1 trusted" in run.stderr


def test_without_a_trusted_peer_the_user_is_asked(world):
    run = world.get()
    assert_failed(world.suite, run, "2 different files", "--root", "--any")
    assert run.returncode == CHOICE_NEEDED
    for data in (HONEST, EVIL):
        assert tree.root_of(data).hex()[:16] in run.stderr
    assert "1 new" in run.stderr and "20 new" in run.stderr
    assert not world.evil.requests and not world.honest.requests

    said = json.loads(world.get("--json").stdout)
    assert (said["event"], said["error"]) == ("choice", "AMBIGUOUS")
    contents = {c["root"]: c for c in said["contents"]}
    assert contents[tree.root_of(HONEST).hex()]["new"] == 1
    assert contents[tree.root_of(HONEST).hex()]["size"] == len(HONEST)
    assert contents[tree.root_of(EVIL).hex()]["new"] == 20
    assert contents[tree.root_of(EVIL).hex()]["trusted"] == 0


def test_a_root_or_its_beginning_selects(world):
    root = tree.root_of(HONEST).hex()
    assert_fetched(world.suite, world.get("--root", root[:8]), HONEST, "report.txt")
    (world.suite.folder / "out" / "report.txt").unlink()
    run = world.get("--root", root)
    assert_fetched(world.suite, run, HONEST, "report.txt")
    assert "sent by 1 known" in run.stderr, "it was met the first time"
    assert world.get("--root", "0" * 16).returncode == 3
    assert world.get("--root", "0123").returncode == 2


def test_any_takes_the_one_of_a_known_peer(world):
    assert_fetched(world.suite, world.get("--root", tree.root_of(HONEST).hex()), HONEST, "report.txt")
    (world.suite.folder / "out" / "report.txt").unlink()
    assert world.get().returncode == CHOICE_NEEDED, "known is not trusted"
    assert_fetched(world.suite, world.get("--any"), HONEST, "report.txt")


def test_two_trusted_peers_that_disagree_are_not_decided_between(world):
    world.trust(world.honest)
    world.trust(world.evil)
    assert world.get().returncode == CHOICE_NEEDED


def test_a_blocked_peer_has_no_say(world):
    world.suite.p2p("peers", "block", world.honest.identity.peer_id, check=True)
    run = world.get()
    assert run.returncode == 0, run.stderr
    assert (world.suite.folder / "out" / "report.txt").read_bytes() == EVIL


def test_on_a_terminal_the_answer_counts(world):
    root = tree.root_of(HONEST).hex()[:16]
    main, child = pty.openpty()
    command = [
        BIN / "p2p", "get", "report.txt", "--discovery", world.registry.url, "--no-mdns",
        "--output-dir", world.suite.folder / "out", "--keys-dir", world.suite.folder / "cli" / "keys",
    ]  # fmt: skip
    process = subprocess.Popen(
        list(map(str, command)), env=environment(world.suite.folder), stdin=child, stdout=subprocess.PIPE, stderr=child,
    )  # fmt: skip
    os.close(child)
    said = b""
    while b"Which one?" not in said:
        said += os.read(main, 4096)
    number = re.search(rb"(\d+)  root " + root.encode(), said)[1]
    os.write(main, b"nonsense\n99\n" + number + b"\n")
    out, _ = process.communicate(timeout=60)
    os.close(main)
    assert process.returncode == 0
    assert (world.suite.folder / "out" / "report.txt").read_bytes() == HONEST


def test_peers_that_do_not_say_what_it_is_cannot_decide_for_a_trusted_one(suite, crowd):
    """Unsigned registrations state no content: the first peer that answers would decide what the name means."""
    registry = suite.discovery()
    with Server({"report.txt": HONEST}, chunk_size=CHUNK) as honest, Server(
        {"report.txt": EVIL}, chunk_size=CHUNK
    ) as evil:
        registry.registry.register(honest.identity, honest.address[1], ["report.txt"])
        for identity in crowd:
            registry.registry.register(identity, evil.address[1], ["report.txt"])
        registry.registry.register(evil.identity, evil.address[1], ["report.txt"])
        suite.p2p("peers", "trust", honest.identity.peer_id, check=True)
        run = suite.p2p(
            "get", "report.txt", "--discovery", registry.url, "--no-mdns", "--output-dir", suite.folder / "out"
        )
        assert_fetched(suite, run, HONEST, "report.txt")
        assert not evil.requests


# --- a folder that means different files -----------------------------------------------------


class Folders:
    """Two peers that share a folder with the same name; `other` decides whether their files are equal."""

    def __init__(self, suite, other):
        self.suite, self.registry = suite, suite.discovery()
        self.one = suite.peer(name="one", files={"docs/a": b"one's a", "docs/b": b"b"}, discovery=self.registry)
        self.other = suite.peer(name="other", files=other, discovery=self.registry)
        names = sorted(["docs/a", "docs/b", *other])
        listed = lambda: sorted(n for p in self.registry.registry.peers() for n in p["files"])  # noqa: E731
        wait_until(lambda: listed() == names, what="all files of both listed")

    def get(self, *more):
        return self.suite.p2p(
            "get", "docs/", "--discovery", self.registry.url, "--no-mdns", "--output-dir", self.suite.folder / "out", *more
        )

    def arrived(self, folder=None):
        folder = folder or self.suite.folder / "out"
        return {f"docs/{p.name}": p.read_bytes() for p in folder.glob("docs/*")}


OTHERS = {"docs/a": b"the other's a, which is longer"}


def test_a_folder_in_dispute_is_asked_about(suite):
    world = Folders(suite, OTHERS)
    run = world.get()
    assert run.returncode == CHOICE_NEEDED and "--peer" in run.stderr
    assert world.one.peer_id[:16] in run.stderr and world.other.peer_id[:16] in run.stderr

    run = world.get("--json")
    assert run.returncode == CHOICE_NEEDED
    said = json.loads(run.stdout)
    assert (said["event"], said["error"], said["name"]) == ("choice", "AMBIGUOUS", "docs/")
    contents = {c["peers"][0]["peer_id"]: c for c in said["contents"]}
    assert set(contents) == {world.one.peer_id, world.other.peer_id}
    assert all(c["root"] is None and (c["new"], len(c["peers"])) == (1, 1) for c in contents.values())
    assert contents[world.one.peer_id]["size"] == len(b"one's a") + len(b"b")
    assert not world.arrived()

    run = world.get("--peer", world.other.peer_id)
    assert run.returncode == 0 and world.arrived() == OTHERS, run.stderr


def test_a_trusted_peer_says_what_is_in_a_folder(suite):
    world = Folders(suite, OTHERS)
    suite.p2p("peers", "trust", world.one.peer_id, check=True)
    run = world.get()
    assert run.returncode == 0 and world.arrived() == {"docs/a": b"one's a", "docs/b": b"b"}, run.stderr
    suite.p2p("peers", "trust", world.other.peer_id, check=True)
    assert world.get().returncode == CHOICE_NEEDED, "they disagree"


def test_peers_that_agree_share_a_folder(suite):
    world = Folders(suite, {"docs/a": b"one's a"})
    run = world.get()
    assert run.returncode == 0 and world.arrived()["docs/a"] == b"one's a", run.stderr


def test_the_dashboard_asks_about_a_folder_in_dispute(suite):
    world = Folders(suite, OTHERS)
    ui = suite.ui(name="dashboard", discovery=world.registry)
    answer = ui.api.request("POST", "/api/transfers", json={"filename": "docs/"})
    assert answer.status_code == 409, answer.text
    problem = answer.json()
    assert (problem["code"], problem["count"]) == ("ambiguous", 2)
    contents = {c["sources"][0]["peer_id_full"]: c for c in problem["contents"]}
    assert {c["root"] for c in contents.values()} == {None}
    (source,) = contents[world.other.peer_id]["sources"]
    peer = {"peer_id": source["peer_id_full"], "ip": source["ip"], "port": source["port"]}
    answer = ui.api.request("POST", "/api/transfers", json={"filename": "docs/", "peers": [peer], "auto": False})
    assert answer.status_code == 201, answer.text
    completed(ui, answer.json())
    assert world.arrived(ui.downloads) == OTHERS

    assert ui.api.request("POST", f"/api/peers/{world.one.peer_id}/trust").status_code == 200
    answer = ui.api.request("POST", "/api/transfers", json={"filename": "docs/", "on_conflict": "overwrite"})
    assert answer.status_code == 201, answer.text
    completed(ui, answer.json())
    assert world.arrived(ui.downloads) == {"docs/a": b"one's a", "docs/b": b"b"}
    assert ui.api.request("POST", "/api/transfers", json={"filename": "nowhere/"}).status_code == 404


# --- who is asked first ----------------------------------------------------------------------


def ground_ids(count, port):
    """Ids that sort before all others, and for which there is no peer."""
    return [
        {"peer_id": f"{n:064x}", "ip": "127.0.0.1", "port": port, "verified": True, "files": ["movie.bin"]}
        for n in range(count)
    ]


@pytest.mark.parametrize("known", [True, False])
def test_ids_that_sort_first_do_not_shut_out_an_honest_source(suite, known):
    data = os.urandom(4 * CHUNK)
    root = tree.root_of(data).hex()
    closed = closed_port()
    with Server({"movie.bin": data}, chunk_size=CHUNK) as honest:
        if known:
            assert_fetched(suite, suite.get("movie.bin", honest), data, "movie.bin")
            (suite.folder / "out" / "movie.bin").unlink()
            honest.requests.clear()
        me = {"peer_id": honest.identity.peer_id, "ip": "127.0.0.1", "port": honest.address[1], "verified": True}
        peers = [*ground_ids(80, closed), {**me, "files": ["movie.bin"]}]
        with Saying(peers, root, len(data)) as registry:
            run = suite.p2p(
                "get", "movie.bin", "--discovery", registry.url, "--no-mdns", "--output-dir", suite.folder / "out"
            )
        assert_fetched(suite, run, data, "movie.bin")
        assert honest.requests


def test_a_registry_cannot_move_a_known_peer_away(suite):
    """The registry lists the met peer at another address, where no peer or another one answers."""
    data = os.urandom(4 * CHUNK)
    with Server({"movie.bin": data}, chunk_size=CHUNK) as honest, Server({}, chunk_size=CHUNK) as other:
        assert_fetched(suite, suite.get("movie.bin", honest), data, "movie.bin")
        for port in (closed_port(), other.address[1]):
            (suite.folder / "out" / "movie.bin").unlink()
            me = {"peer_id": honest.identity.peer_id, "ip": "127.0.0.1", "port": port, "verified": True}
            with Saying([{**me, "files": ["movie.bin"]}], tree.root_of(data).hex(), len(data)) as registry:
                run = suite.p2p(
                    "get", "movie.bin", "--discovery", registry.url, "--no-mdns", "--output-dir", suite.folder / "out"
                )
            assert_fetched(suite, run, data, "movie.bin")


def test_a_registry_cannot_dress_ipv4_up(suite):
    with Server({"movie.bin": DATA}, chunk_size=CHUNK) as server:
        me = {"peer_id": server.identity.peer_id, "ip": "::ffff:127.0.0.1", "port": server.address[1]}
        with Saying([{**me, "files": ["movie.bin"]}], tree.root_of(DATA).hex(), len(DATA)) as registry:
            run = suite.p2p(
                "get", "movie.bin", "--discovery", registry.url, "--no-mdns", "--output-dir", suite.folder / "out"
            )
        assert_failed(suite, run)
        assert not server.requests


def test_a_crowd_does_not_hide_where_a_trusted_peer_is(suite):
    """It has moved, and the registry shows a hundred of the six hundred peers that claim to have the file."""
    registry = suite.discovery()
    with Server({"report.txt": HONEST}) as before:
        suite.p2p("ls", before.where, check=True)
        suite.p2p("peers", "trust", before.identity.peer_id, check=True)
    with Server({"report.txt": HONEST}, identity=before.identity) as honest, Server({"report.txt": EVIL}) as evil:
        for _ in range(300):
            named(registry, StandIn(), evil.address[1], "report.txt")
        named(registry, before.identity, honest.address[1], "report.txt")
        for _ in range(300):
            named(registry, StandIn(), evil.address[1], "report.txt")
        for turn in range(3):
            run = suite.p2p(
                "get", "report.txt", "--discovery", registry.url, "--no-mdns", "--output-dir", suite.folder / f"out{turn}"
            )
            assert run.returncode == 0, run.stderr
            assert (suite.folder / f"out{turn}" / "report.txt").read_bytes() == HONEST
        assert not evil.requests


# --- searching -------------------------------------------------------------------------------


def named(registry, identity, port, *names):
    answer = registry.registry.register(identity, port, sorted(names))
    assert answer.status_code == 200, answer.text


def test_a_search_shows_who_is_trusted_and_begins_with_them(suite):
    """Strangers have more and better matches than the limit shows."""
    registry = suite.discovery()
    friend, met = keys.Identity(), keys.Identity()
    better = [f"report {n:03}.txt" for n in range(300)]
    for _ in range(3):
        named(registry, StandIn(), 9, *better)
    theirs = {"a report of a friend": DATA, "report 299.txt": DATA}
    of_met = {"the report of one who was met": DATA, "report 298.txt": DATA}
    with Server(theirs, identity=friend) as server, Server(of_met, identity=met) as other:
        named(registry, friend, server.address[1], "a report of a friend", "report 299.txt")
        named(registry, met, other.address[1], "report 298.txt", "the report of one who was met")
        suite.p2p("peers", "trust", friend.peer_id, check=True)
        suite.p2p("ls", other.where, check=True)
        words = ["search", "report", "--discovery", registry.url, "--no-mdns", "--limit", "6"]
        found = json.loads(suite.p2p(*words, "--json", check=True).stdout)["results"]
        table = suite.p2p(*words, check=True).stdout.splitlines()
    assert [(r["name"], r["trust"]) for r in found[:4]] == [
        ("a report of a friend", "trusted"),
        ("report 299.txt", "trusted"),
        ("report 298.txt", "known"),
        ("the report of one who was met", "known"),
    ]
    assert len(found) == 6 and {r["trust"] for r in found[4:]} == {"new"}
    assert [p["trust"] for p in found[0]["peers"]] == ["trusted"], "its own word"
    assert [p["trust"] for p in found[2]["peers"]] == ["known"]
    assert not any(p["self"] for r in found for p in r["peers"])
    assert [re.search(r"peers? +(\w+)", line).group(1) for line in table] == ["trusted", "trusted", "known", "known", "new", "new"]
    assert "a report of a friend" in table[0]


def test_a_search_tells_what_only_this_device_has(suite):
    registry = suite.discovery()
    peer = suite.peer(files={"mine.txt": DATA}, discovery=registry)
    words = ["search", "mine", "--discovery", registry.url, "--no-mdns", "--keys-dir", peer.keys]
    wait_until(lambda: suite.p2p(*words).returncode == 0, what="being listed")
    assert " own " in suite.p2p(*words, check=True).stdout
    (result,) = json.loads(suite.p2p(*words, "--json", check=True).stdout)["results"]
    assert (result["trust"], result["peers"][0]["self"]) == ("new", True)


# --- the dashboard ---------------------------------------------------------------------------


def completed(ui, transfer):
    def state():
        return ui.api.request("GET", f"/api/transfers/{transfer['id']}").json()["state"]

    end = wait_until(lambda: state() in ("completed", "failed") and state(), 60, "the end of it")
    assert end == "completed", ui.api.request("GET", f"/api/transfers/{transfer['id']}").json()


def test_the_dashboard_asks_before_the_download_begins(world):
    ui = world.suite.ui(name="dashboard", discovery=world.registry)
    answer = ui.api.request("POST", "/api/transfers", json={"filename": "report.txt"})
    assert answer.status_code == 409
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    problem = answer.json()
    assert (problem["code"], problem["status"], problem["count"]) == ("ambiguous", 409, 2)
    contents = {c["root"]: c for c in problem["contents"]}
    honest, evil = tree.root_of(HONEST).hex(), tree.root_of(EVIL).hex()
    assert (contents[honest]["new"], contents[evil]["new"]) == (1, 20)
    assert contents[honest]["size"] == len(HONEST)
    assert contents[honest]["sources"][0]["peer_id_full"] == world.honest.identity.peer_id
    assert not ui.api.request("GET", "/api/transfers").json()["transfers"]

    answer = ui.api.request("POST", "/api/transfers", json={"filename": "report.txt", "root": honest})
    assert answer.status_code == 201
    completed(ui, answer.json())
    assert not world.evil.requests
    results = ui.api.request("GET", "/api/search?q=report.txt&mode=exact").json()["results"]
    by_root = {r["root"]: r for r in results}
    assert [s["trust"] for s in by_root[honest]["sources"]] == ["known"], "it has delivered"
    assert {s["trust"] for s in by_root[evil]["sources"]} == {"new"}


def test_the_dashboard_takes_the_content_of_a_trusted_peer(world):
    ui = world.suite.ui(name="dashboard", discovery=world.registry)
    assert ui.api.request("GET", "/api/peers").status_code == 200
    trusted = ui.api.request("POST", f"/api/peers/{world.honest.identity.peer_id}/trust")
    assert trusted.status_code == 200, trusted.text
    answer = ui.api.request("POST", "/api/transfers", json={"filename": "report.txt"})
    assert answer.status_code == 201, answer.text
    assert answer.json()["root"] == tree.root_of(HONEST).hex()
    completed(ui, answer.json())
    assert not world.evil.requests


def test_the_dashboard_takes_any_when_it_is_told_to(world):
    ui = world.suite.ui(name="dashboard", discovery=world.registry)
    answer = ui.api.request("POST", "/api/transfers", json={"filename": "report.txt", "any": True})
    assert answer.status_code == 201, answer.text
    completed(ui, answer.json())
    wrong = ui.api.request("POST", "/api/transfers", json={"filename": "report.txt", "any": "yes"})
    assert wrong.status_code == 422

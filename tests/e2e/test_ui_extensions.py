"""p2p-ui beyond the documented endpoints: files, peers, search, settings; judged by docs/openapi.yaml."""

import hashlib
import os
import re
import socket
import subprocess
import time
from urllib.parse import quote

import pytest

from conftest import BIN, ROOT, environment, wait_until
from p2pwire import msg, tree
from p2pwire.server import Server
from ui_world import BIG, World

pytestmark = pytest.mark.xdist_group("openapi")  # what they called is counted in one process


@pytest.fixture(scope="module")
def world(module_suite):
    return World(module_suite)


# --- files over HTTP -------------------------------------------------------------------------


def test_shared_list_pages(world):
    for i in range(5):
        world.http.upload(f"page {i}", b"x")
    names, cursor = [], None
    for _ in range(20):
        page = world.json(
            "GET", "/api/shared?limit=2" + (f"&cursor={quote(cursor, safe='')}" if cursor else "")
        )
        names += [f["name"] for f in page["files"]]
        cursor = page["next"]
        if not cursor:
            break
    assert names == sorted(names) and {f"page {i}" for i in range(5)} <= set(names)
    for i in range(5):
        world.http.delete("shared", f"page {i}")


def test_bytes_of_a_file(world):
    answer = world.call("GET", "/api/shared/mine.txt", 200)
    assert answer.content == b"0123456789"
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    sha256 = hashlib.sha256(b"0123456789").hexdigest()
    etag = wait_until(
        lambda: (e := world.call("GET", "/api/shared/mine.txt").headers.get("ETag", ""))
        and sha256 in e
        and e,
        what="the ETag",
    )
    world.call("GET", "/api/shared/mine.txt", 304, headers={"If-None-Match": etag})


@pytest.mark.parametrize("value,status,expected", [("bytes=0-3", 206, b"0123"), ("bytes=4-", 206, b"456789"), ("bytes=-2", 206, b"89"), ("bytes=9-100", 206, b"9"), ("bytes=10-", 416, None), ("bytes=-0", 416, None), ("bytes=5-2", None, None), ("lines=1-2", 200, b"0123456789"), ("bytes=99999999999999999999-", 416, None)])  # fmt: skip
def test_ranges(world, value, status, expected):
    answer = world.call("GET", "/api/shared/mine.txt", headers={"Range": value})
    assert status is None or answer.status_code == status
    if expected is not None:
        assert answer.content == expected
    if answer.status_code == 206:
        assert answer.headers["Content-Range"].endswith("/10")
    if answer.status_code == 416:
        assert answer.headers["Content-Range"] == "bytes */10"


@pytest.mark.parametrize("name", ["x.html", "x.svg", 'quote".txt', "emoji 😀.txt", "semi;colon.txt"])
def test_a_file_is_never_shown_as_a_page(world, name):
    world.http.upload(name, b"<script>alert(1)</script>")
    answer = world.http.get("/api/shared/" + quote(name, safe=""))
    assert (
        answer.status_code == 200
        and "html" not in answer.headers["Content-Type"]
        and "svg" not in answer.headers["Content-Type"]
    )
    disposition = answer.headers["Content-Disposition"]
    assert disposition.startswith("attachment") and "\n" not in disposition
    assert quote(name, safe="") in disposition or name in disposition or not name.isascii()
    world.http.delete("shared", name)


@pytest.mark.parametrize(
    "name", ["nothing", "..%2f..%2fkeys%2fx", "%2e%2e%2fmine.txt", ".p2p%2findex.db", "%2fetc%2fpasswd"]
)
@pytest.mark.parametrize("folder", ["shared", "downloads"])
def test_bytes_of_what_is_not_shared(world, folder, name):
    assert world.http.get(f"/api/{folder}/{name}").status_code in (400, 403, 404)


def test_delete_and_restore(world):
    world.http.upload("undo.txt", b"precious")
    deleted = world.json("DELETE", "/api/shared/undo.txt")
    if deleted["restore_until"] is not None:
        assert deleted["restore_until"] > time.time()
        world.call("DELETE", "/api/shared/undo.txt", 404)  # a second click takes the undo from nobody
        world.call("POST", "/api/shared/undo.txt/restore", 200)
        assert (world.ui.shared / "undo.txt").read_bytes() == b"precious"
        world.call("POST", "/api/shared/undo.txt/restore", 404)
        world.call("DELETE", "/api/shared/undo.txt", 200)
        world.http.upload("undo.txt", b"new")
        world.call("POST", "/api/shared/undo.txt/restore", 409)
        assert (world.ui.shared / "undo.txt").read_bytes() == b"new"
    world.call("POST", "/api/shared/never%20was/restore", 404)


def test_rename(world):
    world.http.upload("before.txt", b"x")
    assert (
        world.json("POST", "/api/shared/before.txt/rename", json={"to": "after.txt"})["filename"]
        == "after.txt"
    )
    assert (world.ui.shared / "after.txt").read_bytes() == b"x" and not (
        world.ui.shared / "before.txt"
    ).exists()
    world.call("POST", "/api/shared/after.txt/rename", 409, json={"to": "mine.txt"})
    for bad in ("../out", "/abs", ".hidden", "", "a\nb", 5):
        assert world.call("POST", "/api/shared/after.txt/rename", json={"to": bad}).status_code in (400, 422)
    world.call("POST", "/api/shared/nothing/rename", 404, json={"to": "x"})
    world.http.delete("shared", "after.txt")


def test_upload_into_a_folder(world):
    assert world.http.upload("in.txt", b"deep", "?path=one/two").status_code == 200
    assert (world.ui.shared / "one" / "two" / "in.txt").read_bytes() == b"deep"
    for bad in ("..", "../x", "/etc", ".hidden", "a//b", "a/../b"):
        assert world.http.upload("in.txt", b"x", "?path=" + quote(bad, safe="")).status_code == 400
    assert world.http.request("DELETE", "/api/shared/one/two/in.txt").status_code == 200


# --- peers and search ------------------------------------------------------------------------


def test_search(world):
    results = world.json("GET", "/api/search?q=BIG")["results"]
    (big,) = [r for r in results if r["name"] == "big.bin"]
    assert (big["size"], big["root"]) == (len(BIG), tree.root_of(BIG).hex())
    assert {s["peer_id_full"] for s in big["sources"]} == {world.far.peer_id, world.twin.peer_id}
    assert big["verified"] is True
    assert world.json("GET", "/api/search?q=holday&mode=fuzzy")["results"][0]["name"] == "holiday 2024.jpg"
    assert world.json("GET", "/api/search?q=zzzzqqq")["results"] == []
    assert world.call("GET", "/api/search").status_code == 400


def test_one_peer_and_its_files(world):
    peer = world.json("GET", f"/api/peers/{world.far.peer_id}")
    assert peer["port"] == world.far.port
    files = world.json("GET", f"/api/peers/{world.far.peer_id}/files")["files"]
    assert sorted(f["name"] for f in files) == sorted(world.files)
    world.call("GET", f"/api/peers/{'0' * 64}", 404)


def test_add_a_peer_by_address_trust_block_forget(world):
    with Server({"f": b"x"}) as server:
        peer = world.json("POST", "/api/peers", 201, json={"address": server.where})
        assert peer["peer_id_full"] == server.identity.peer_id and peer["found_by"] == "manual"
        path = f"/api/peers/{server.identity.peer_id}"
        assert world.json("POST", path + "/block")["trust"] == "blocked"
        world.call("GET", path + "/files", 403)
        assert world.json("POST", path + "/trust")["trust"] == "verified"
        assert world.json("POST", path + "/name", json={"name": "Far away"})["name"] == "Far away"
        assert world.json("POST", path + "/name", json={"name": ""})["name"] != "Far away"
        world.call("GET", path + "/files", 200)
        world.call("POST", path + "/forget", 200)
    world.call("POST", "/api/peers", 503, json={"address": "127.0.0.1:9"})
    for bad in ("", "x:y", "host:99999", 5, "a b:1"):
        assert world.call("POST", "/api/peers", json={"address": bad}).status_code in (400, 422, 503)


# --- settings and service --------------------------------------------------------------------


def settings_of(config):
    """Without what follows from the free space of the disk."""
    measured = ("limit", "used", "base", "oldest", "stopped")
    return {**config, "versions": {k: v for k, v in config["versions"].items() if k not in measured}}


def test_config(world):
    before = world.json("GET", "/api/config")
    changed = world.json(
        "PATCH",
        "/api/config",
        json={"name": "Küche", "connections": 7, "limit_rate": "2M", "max_running": 3, "verify": "tree"},
    )
    assert (changed["name"], changed["connections"], changed["max_running"], changed["verify"]) == (
        "Küche",
        7,
        3,
        "tree",
    )
    for wrong in (
        {"connections": 0},
        {"connections": 17},
        {"limit_rate": "fast"},
        {"verify": "no"},
        {"name": ""},
        {"name": "x" * 64},
        {"shared_dir": "/"},
        {"nothing": 1},
        {},
        {"connections": 5, "max_running": 0},
        {"versions": {"space": "11%", "keep": "often"}},
        {"versions": {"space": 5}},
        {"versions": {"used": 5}},
        {"versions": {}},
        {"versions": "on"},
        {"connections": 5, "versions": {"on": "yes"}},
    ):
        assert world.call("PATCH", "/api/config", json=wrong).status_code in (400, 422), wrong
    assert settings_of(world.json("GET", "/api/config")) == settings_of(changed), "all or nothing"
    assert settings_of(before)["versions"]["space"] == "10%"
    kept = world.json("PATCH", "/api/config", json={"versions": {"on": False, "space": "20G", "min_age": "2d"}})
    assert (kept["versions"]["on"], kept["versions"]["space"], kept["versions"]["min_age"]) == (False, "20G", "2d")
    assert kept["versions"]["limit"] == 20 << 30 or kept["versions"]["limit"] == 20 * 10**9
    world.json(
        "PATCH",
        "/api/config",
        json={k: before[k] for k in ("name", "connections", "limit_rate", "max_running", "verify")}
        | {"versions": {k: before["versions"][k] for k in ("on", "space", "min_age")}},
    )
    assert settings_of(world.json("GET", "/api/config")) == settings_of(before)


def test_private_folders(world):
    other = "ab" * 32
    rules = world.call("POST", "/api/grants", 200, json={"folder": "nowhere/at", "peers": [other]}).json()["grants"]
    assert [(g["folder"], g["everyone"], g["peers"]) for g in rules] == [("nowhere/at/", False, [other])]
    assert world.json("GET", "/api/grants")["grants"] == rules
    assert world.call("DELETE", f"/api/grants/{rules[0]['id']}", 200).json()["grants"] == []
    world.call("POST", "/api/grants", 422, json={"folder": "nowhere"})


def test_links(world):
    """The URL is shown once; what is listed has no secret. Only what is shared gets a link."""
    (world.ui.shared / "photos").mkdir()
    for name in ("photos/one.jpg", "a.txt"):
        (world.ui.shared / name).write_bytes(b"x")
    wait_until(lambda: "photos/one.jpg" in world.call("GET", "/api/shared").text, 40, "the files are listed")
    wait_until(lambda: '"a.txt"' in world.call("GET", "/api/shared").text, 40, "the file is listed")
    made = world.call("POST", "/api/links", 201, json={"files": ["photos/", "a.txt"], "title": "A", "uses": 3, "pin": "1"}).json()
    assert re.fullmatch(r"http://\S+/l#[A-Za-z0-9_-]{22}", made["url"])
    assert made["qr"].startswith("<svg ")
    assert re.fullmatch(r"[0-9a-f]{64}", made["links"][0]["guest"])
    (link,) = made["links"]
    assert (link["files"], link["title"], link["uses_left"], link["bytes_left"]) == (["photos/", "a.txt"], "A", 3, None)
    assert link["has_pin"] and link["expires"] - link["created"] == 7 * 24 * 3600
    assert world.json("GET", "/api/links") == {"links": [link]}
    for wrong in ({}, {"files": []}, {"files": ["../x"]}, {"files": ["a"], "uses": 0}, {"files": ["a"], "expires": 1e9}):
        world.call("POST", "/api/links", 422, json=wrong)
    for missing in (["a.txt", "b.txt"], ["photo/"], ["a.tx"]):
        world.call("POST", "/api/links", 404, json={"files": missing})
    world.call("DELETE", "/api/links/999", 404)
    assert world.call("DELETE", f"/api/links/{link['id']}", 200).json() == {"links": []}


def test_health_and_the_document(world):
    assert world.json("GET", "/health")["status"] == "ok"
    assert world.call("GET", "/api/openapi.yaml", 200).text == (ROOT / "docs" / "openapi.yaml").read_text()


def test_qr(world):
    for query in ("target=dashboard", "target=share&name=mine.txt"):
        answer = world.call("GET", "/api/qr?" + query)
        if answer.status_code == 200:
            assert answer.text.lstrip().startswith(("<?xml", "<svg")) and "script" not in answer.text
    assert world.call("GET", "/api/qr?target=nothing").status_code == 400
    world.call("GET", "/api/qr?target=share&name=nothing", 404)


def test_a_port_in_use_is_named(suite):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = subprocess.run(
            [BIN / "p2p-ui", "--host", "127.0.0.1", "--port", str(port), "--shared-dir", suite.folder, "--downloads-dir", suite.folder, "--keys-dir", suite.folder / "k"],
            capture_output=True, text=True, timeout=20, cwd=suite.folder, env=environment(suite.folder),
        )  # fmt: skip
    assert run.returncode == 1 and str(port) in run.stderr and "--port" in run.stderr


class EndlessList(Server):
    """Page after page of names that may not be, each page with another cursor."""

    pages = 0

    def on_list(self, connection, request):
        self.pages += 1
        entry = msg.Entry(bytes(32), 1, 0, b".hidden")
        connection.send(msg.List(request.req, [entry], b"page %d" % self.pages))


def test_a_peer_whose_list_does_not_end(suite):
    """It gets a few seconds of us and no more; the program still stops (the suite sees to that)."""
    with EndlessList({"f.bin": b"x"}) as server:
        ui = suite.ui()
        met = ui.api.request("POST", "/api/peers", json={"address": server.where}, timeout=60)
        assert met.status_code == 201
        files = ui.api.request("GET", f"/api/peers/{server.identity.peer_id}/files", timeout=60)
        assert files.status_code == 200 and files.json()["files"] == []


# --- links without a registry ----------------------------------------------------------------


def test_links_meet_here_without_a_registry(world):
    """The page, and boxes, for everybody. What guests of a link see of p2p-ui ends there."""
    assert "connect-src 'self'" in world.call("GET", "/s/l", 200).headers["Content-Security-Policy"]
    world.call("GET", "/s/l/link.js", 200)
    world.call("GET", "/s/l/none.js", 404)
    assert world.call("GET", "/s/reach", 200).json() == {"boxes": True, "links": True, "relays": [], "stun": []}
    link, reply = (f"/s/box/{os.urandom(16).hex()}" for _ in range(2))
    world.call("POST", link, 404, json={})
    assert world.call("GET", link + "?link=1", 200).json() == {"messages": [], "next": 0}
    left = world.call("POST", link, 202, json={"a": 1}).json()["n"]
    assert world.call("GET", link + "?wait=55", 200).json() == {"messages": [{"n": left, "m": {"a": 1}}], "next": left}
    world.call("POST", link, 400, data="x", headers={"Content-Type": "application/json"})
    world.call("DELETE", link, 204)
    world.call("DELETE", link, 404)
    for _ in range(2):  # a box for answers
        world.call("GET", reply, 200)
    world.call("GET", f"/s/box/{os.urandom(32).hex()}", 404)  # no peer has one here
    world.call("GET", link + "?wait=61", 400)

"""What the dashboard's interface says of files that are not shared, and of folders that are away."""

import http.client
import os
import shutil

import pytest

from conftest import wait_until
from p2pwire.server import Server
from test_ui_events import Events
from ui_world import World

pytestmark = pytest.mark.xdist_group("openapi")  # what they called is counted in one process


@pytest.fixture(scope="module")
def world(module_suite):
    return World(module_suite)


@pytest.fixture
def alone(suite):
    """A dashboard whose folders a test may move."""
    ui = suite.ui(name="alone")
    wait_until(lambda: ui.api.json("/api/status")["shared_state"] == "ok", what="the dashboard")
    return ui


def states(api):
    return {f["name"]: f for f in api.json("/api/shared?limit=1000")["files"]}


def wait_file(world, name, state):
    return wait_until(
        lambda: (f := states(world.http).get(name)) and f["state"] == state and f, what=f"{name} is {state}"
    )


def problems(world):
    return {p["name"]: p["reason"] for p in world.json("GET", "/api/shares/problems?limit=1000")["problems"]}


def test_what_is_not_shared_is_told_everywhere_alike(world):
    shared = world.ui.shared
    (shared / "Re: mail.eml").write_bytes(b"x")
    (shared / "Vol. 1.").mkdir()
    (shared / "link").symlink_to("mine.txt")
    (shared / "aux.c").write_bytes(b"x")
    expected = {
        "Re: mail.eml": "it contains ':'",
        "Vol. 1.": "it ends in a dot or a space",
        "link": "it is a symbolic link",
        "aux.c": "the name is reserved on other systems",
    }
    wait_until(lambda: problems(world) == expected, what="the four")
    listed = world.json("GET", "/api/shared")
    assert {p["name"]: p["problem"] for p in listed["problems"]} == expected
    assert listed["problems_count"] == world.json("GET", "/api/status")["problems_count"] == 4
    first = world.json("GET", "/api/shares/problems?limit=3")
    rest = world.json("GET", f"/api/shares/problems?limit=3&cursor={first['next']}")
    assert first["count"] == 4 and len(first["problems"]) == 3 and rest["next"] is None
    assert [p["name"] for p in first["problems"] + rest["problems"]] == sorted(expected)
    world.call("GET", "/api/shares/problems?limit=0", 400)
    for command in ("status", "doctor"):
        wait_until(
            lambda: (
                "4 entries are not shared; `p2p share ls --problems"
                in world.suite.p2p(
                    command, "--shared-dir", shared, "--discovery", world.discovery.url, "--no-mdns"
                ).stdout
            ),
            what=f"p2p {command} tells",
        )
    for name in expected:
        path = shared / name
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    wait_until(lambda: not problems(world), what="no problem left")


def test_an_unreadable_file_says_so(world):
    path = world.ui.shared / "secret.txt"
    path.write_bytes(b"secret")
    path.chmod(0)
    found = wait_file(world, "secret.txt", "unreadable")
    assert "permission" in found["reason"]
    assert problems(world)["secret.txt"] == found["reason"]
    path.chmod(0o644)
    wait_file(world, "secret.txt", "ready")
    path.unlink()


@pytest.mark.parametrize("mtime", [-315619200, 1, 9_300_000_000, 4_294_967_296])
def test_times_are_shown_as_they_are(world, mtime):
    name = f"from {mtime}.txt"  # lists are a second old at most: each time has its own name
    path = world.ui.shared / name
    path.write_bytes(b"old")
    os.utime(path, (mtime, mtime))
    if int(path.stat().st_mtime) != mtime:
        pytest.skip("this file system has no such time")
    found = wait_file(world, name, "ready")
    assert found["mtime"] == mtime
    path.unlink()


def test_downloads_before_1970_are_the_oldest(world):
    for name, mtime in (("new.txt", 1_000_000_000), ("old.txt", -1000)):
        (world.ui.downloads / name).write_bytes(b"x")
        os.utime(world.ui.downloads / name, (mtime, mtime))
    wait_until(
        lambda: (
            [(f["name"], f["mtime"]) for f in world.json("GET", "/api/downloads")["downloads"]]
            == [("new.txt", 1_000_000_000), ("old.txt", -1000)]
        ),
        what="both in order",
    )
    for name in ("new.txt", "old.txt"):
        (world.ui.downloads / name).unlink()


@pytest.mark.parametrize(
    "name, reason, suggestion",
    [
        ("Re: some email.eml", "it contains ':'", "Re some email.eml"),
        ("Mr.", "it ends in a dot or a space", "Mr"),
        ("aux.c", "the name is reserved on other systems", "aux_.c"),
        ("50%2e", "it contains an escaped '/' or dot", "50_2e"),
        ("soft\u00adhyphen", None, "softhyphen"),
    ],
)
def test_an_upload_is_told_why_and_what_works(world, name, reason, suggestion):
    part = {"files": {"file": (name, b"data")}}
    for query, more in (({}, part), ({"name": name}, {"files": {"file": ("plain", b"data")}})):
        answer = world.call("POST", "/api/upload", 400, params=query, **more).json()
        assert answer["code"] == "bad_name" and answer["suggestion"] == suggestion
        assert answer["reason"] in answer["detail"] and (reason is None or answer["reason"] == reason)
    checked = world.json("GET", "/api/shares/check", 400, params={"name": name})
    assert checked["suggestion"] == suggestion
    stored = world.json("POST", "/api/upload", params={"name": suggestion}, **part)
    assert stored["filename"] == suggestion
    world.call("DELETE", f"/api/shared/{suggestion}", 200)


def test_a_name_that_exists_is_refused_before_the_bytes(world):
    assert world.json("GET", "/api/shares/check", 409, params={"name": "mine.txt"})["code"] == "exists"
    world.json("GET", "/api/shares/check", params={"name": "mine.txt", "on_conflict": "rename"})
    world.json("GET", "/api/shares/check", params={"name": "other.txt", "size": 5})
    world.call("GET", "/api/shares/check", 400)
    world.json("GET", "/api/shares/check", 507, params={"name": "other.txt", "size": 1 << 49})

    # The headers alone are answered: nothing of the body has been sent.
    connection = http.client.HTTPConnection("127.0.0.1", world.ui.port, timeout=20)
    connection.putrequest("POST", "/api/upload?name=mine.txt")
    for key, value in (
        ("Content-Type", "multipart/form-data; boundary=b"),
        ("Content-Length", str(1 << 30)),
        ("Authorization", f"Bearer {world.ui.owner_token}"),
    ):
        connection.putheader(key, value)
    connection.endheaders()
    assert connection.getresponse().status == 409
    connection.close()
    assert (world.ui.shared / "mine.txt").read_bytes() == b"0123456789"


def test_a_rescan_is_asked_for(world):
    assert world.json("POST", "/api/shares/rescan", 202, json={}) == {"status": "scanning"}


def test_a_shared_folder_that_is_away(alone):
    (alone.shared / "a.txt").write_bytes(b"a")
    wait_until(lambda: states(alone.api).get("a.txt", {}).get("state") == "ready", what="a.txt is shared")
    aside = alone.shared.with_name("aside")
    events = Events(alone)
    alone.shared.rename(aside)
    wait_until(
        lambda: [e for e in events.of("status") if e[2]["shared_state"] == "away" and e[2]["shared_files_count"] == 0],
        what="the event",
    )
    events.close()
    (aside / "secret.txt").write_bytes(b"secret")
    assert states(alone.api) == {}
    requests = [
        ("POST", "/api/upload", {"files": {"file": ("b.txt", b"b")}}),
        ("GET", "/api/shares/check?name=b.txt", {}),
        ("GET", "/api/shared/secret.txt", {}),
        ("DELETE", "/api/shared/a.txt", {}),
        ("POST", "/api/shared/a.txt/rename", {"json": {"to": "c.txt"}}),
        ("POST", "/api/shares/rescan", {"json": {}}),
        ("GET", "/api/shares/problems", {}),
    ]
    for method, path, more in requests:
        answer = alone.api.request(method, path, **more)
        assert answer.status_code == 503 and answer.json()["code"] == "folder_away", (path, answer.text)
        assert str(alone.shared) in answer.json()["detail"]
    assert sorted(p.name for p in aside.iterdir() if p.name != ".p2p") == ["a.txt", "secret.txt"]
    aside.rename(alone.shared)
    wait_until(lambda: states(alone.api).get("a.txt", {}).get("state") == "ready", what="a.txt is shared again")
    assert alone.api.json("/api/status")["shared_state"] == "ok"


def test_a_page_that_saw_the_folder_away_reads_the_list_again(alone):
    """Away for a moment only, so that nothing but the page's own request saw it."""
    (alone.shared / "a.txt").write_bytes(b"a")
    wait_until(lambda: states(alone.api).get("a.txt", {}).get("state") == "ready", what="a.txt is shared")
    aside = alone.shared.with_name("aside")
    events = Events(alone)
    for _ in range(20):
        before = len(events.of("shared"))
        alone.shared.rename(aside)
        seen = states(alone.api)
        aside.rename(alone.shared)
        assert seen == {}
        wait_until(lambda: [e for e in events.of("shared")[before:] if e[2]["count"] == 1 and e[2]["reload"]], what="told")
    events.close()


def test_a_shared_folder_made_again_is_used(alone):
    shutil.rmtree(alone.shared)
    alone.shared.mkdir()
    (alone.shared / "new.txt").write_bytes(b"new")

    def is_shared():
        try:
            return states(alone.api).get("new.txt", {}).get("state") == "ready"
        except Exception:  # noqa: BLE001 the program may be between two processes
            return False

    wait_until(is_shared, 40, what="the new folder's file")


def test_a_downloads_folder_that_is_away(world):
    aside = world.ui.downloads.with_name("downloads aside")
    world.ui.downloads.rename(aside)
    try:
        one = world.json("POST", "/api/transfers", 201, json={"filename": "small.txt"})
        paused = world.wait_state(one["id"], "paused")
        assert paused["error_code"] == "folder_away" and paused["retry_at"]
        assert "downloads folder" in paused["error"]
        assert world.json("GET", "/api/status")["downloads_state"] == "away"
        world.json("GET", "/api/downloads/x", 503)
    finally:
        aside.rename(world.ui.downloads)
    done = world.wait_state(one["id"], "completed")
    assert (world.ui.downloads / done["path"]).read_bytes() == b"small"
    world.forget(done)


def test_the_list_of_transfers_outlives_the_downloads_folder(suite):
    """Deleted and made again, while p2p-ui runs and while it does not; the list of an older version comes along."""
    files = {"a.bin": b"a" * 5000, "b.bin": b"b" * 5000}
    with Server(files) as server:
        ui = suite.ui()
        where = {"peer_id": server.identity.peer_id, "ip": "127.0.0.1", "port": server.address[1]}

        def listed():
            try:
                return {t["filename"]: t["state"] for t in ui.api.json("/api/transfers")["transfers"]}
            except Exception:  # noqa: BLE001 the program may be between two processes
                return None

        def start(name):
            body = {"filename": name, "peers": [where], "auto": False}
            assert ui.api.request("POST", "/api/transfers", json=body).status_code == 201

        start("a.bin")
        wait_until(lambda: listed() == {"a.bin": "completed"}, what="a.bin")
        shutil.rmtree(ui.downloads)
        ui.downloads.mkdir()
        wait_until(lambda: listed() == {"a.bin": "completed"} and (ui.downloads / ".p2p").is_dir(), 40, "the list")
        start("b.bin")
        wait_until(lambda: listed() == {"a.bin": "completed", "b.bin": "completed"}, what="b.bin")
        assert (ui.downloads / "b.bin").read_bytes() == files["b.bin"]
        ui.stop()
        shutil.rmtree(ui.downloads)
        (ui.downloads / ".p2p").mkdir(parents=True)
        (store,) = (ui.downloads.parent / "keys").glob("transfers-*.db")
        store.rename(ui.downloads / ".p2p" / "transfers.db")
        ui = suite.ui()
        assert listed() == {"a.bin": "completed", "b.bin": "completed"}
        assert (ui.downloads / ".p2p" / "transfers.db.moved").is_file()


# --- mirrors ---------------------------------------------------------------------------------------------------


def test_a_mirror_brings_files_and_is_controlled(world):
    wish = {"peer_id": world.far.peer_id, "folder": "folder/", "target": "copy/mirrored", "delete": True}
    assert world.json("GET", "/api/mirrors") == {"mirrors": []}
    for wrong in ({"peer_id": "x"}, {"target": ""}, {"target": "../out"}, {"quota": -1}):
        world.call("POST", "/api/mirrors", 422, json=wish | wrong)
    mirror = world.json("POST", "/api/mirrors", 201, json=wish)["mirror"]
    path = f"/api/mirrors/{mirror['id']}"
    target = world.near.shared / "copy" / "mirrored"
    assert mirror["target"] == str(target) and mirror["state"] in ("new", "working")
    world.call("POST", "/api/mirrors", 409, json=wish | {"target": "copy"})
    mirror = wait_until(
        lambda: (now := world.json("GET", path)["mirror"])["state"] == "in_step" and now, 60, "the mirror in step"
    )
    assert (mirror["files"], mirror["todo"], mirror["error_code"]) == (1, 0, None)
    assert (target / "in.txt").read_bytes() == b"in" and not (target / "small.txt").exists()
    for verb, state in (("pause", "paused"), ("resume", "in_step"), ("check", "in_step"), ("accept", "in_step")):
        assert world.json("POST", f"{path}/{verb}")["mirror"]["state"] in (state, "working")
    world.call("POST", f"{path}/jump", 404)
    assert world.json("DELETE", path)["status"] == "deleted"
    world.call("GET", path, 404)
    assert (target / "in.txt").exists()

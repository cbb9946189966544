"""A shared folder that had files and has none: emptied, or the place of a disk that is not mounted. Its files
are away until they return, or until the owner confirms that they were deleted."""

import contextlib
import json
import os
import shutil
import subprocess

import pytest

from conftest import wait_until
from file_systems import unmount
from p2pwire.client import Refused
from p2pwire.stream import Closed
from test_ui_events import Events

FILES = {"a.txt": b"a" * 3000, "photos/b.bin": os.urandom(3 << 20), "photos/c.txt": b"c"}


def listed(registry):
    return sorted(f for p in registry.registry.peers() for f in p["files"])


def names(peer):
    with contextlib.suppress(Closed, OSError), peer.client() as client:  # between two processes
        return sorted(f.name.decode() for f in client.list_all())
    return None


def versions(peer):
    with contextlib.suppress(Refused, Closed, OSError), peer.client() as client:  # a file that is being hashed
        found = [f.name.decode() for f in client.list_all()]
        return {name: client.meta(name).version for name in found}
    return {}


def read_bytes(pid):
    return int(open(f"/proc/{pid}/io").read().split()[1])


def empty(folder):
    """Deletes all files that people see."""
    for entry in list(folder.iterdir()):
        if entry.name != ".p2p":
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def status(suite, peer, *more):
    done = suite.p2p("status", "--keys-dir", peer.keys, "--discovery", "none", "--no-mdns", "--json", *more)
    return json.loads(done.stdout)


def is_away(suite, peer, files=len(FILES)):
    seen = status(suite, peer)
    return seen["shared_state"] == "AWAY" and seen["missing_files"] == files


def test_an_emptied_folder_is_away_until_its_files_return(suite):
    registry = suite.discovery()
    peer = suite.peer(files=FILES, discovery=registry)
    wait_until(lambda: listed(registry) == sorted(FILES), what="all listed")
    os.utime(peer.shared / "a.txt")
    (peer.shared / "a.txt").write_bytes(b"version 2")
    wait_until(lambda: versions(peer).get("a.txt") == 2, what="another version")
    before = versions(peer)
    aside = suite.folder / "aside"
    aside.mkdir()
    for entry in ("a.txt", "photos"):
        (peer.shared / entry).rename(aside / entry)
    wait_until(lambda: names(peer) == [] and listed(registry) == [], what="no name listed")
    wait_until(lambda: is_away(suite, peer), what="the folder is away")
    assert "is empty and had files" in peer.stderr()
    for command in ("status", "doctor"):  # the keys folder remembers which folder it is
        text = suite.p2p(command, "--keys-dir", peer.keys, "--discovery", "none", "--no-mdns").stdout
        assert f"{peer.shared} is empty and had 3 files" in text, text
    peer.stop()
    again = suite.peer(discovery=registry, wait=True)
    wait_until(lambda: is_away(suite, again), what="still away after a restart")
    assert names(again) == [] and listed(registry) == []
    read = read_bytes(again.pid)
    for entry in ("a.txt", "photos"):
        (aside / entry).rename(again.shared / entry)
    wait_until(lambda: names(again) == sorted(FILES), what="the files are back")
    assert versions(again) == before, "no deletion was recorded"
    assert read_bytes(again.pid) - read < 1 << 20, "nothing was read again"
    wait_until(lambda: listed(registry) == sorted(FILES), what="all listed again")
    wait_until(lambda: status(suite, again)["shared_state"] == "ok", what="no longer away")


def test_a_confirmed_deletion_is_one(suite):
    peer = suite.peer(files=FILES)
    (peer.shared / "a.txt").write_bytes(b"version 2")
    wait_until(lambda: versions(peer).get("a.txt") == 2, what="another version")
    refused = suite.p2p("share", "confirm", "--shared-dir", peer.shared)
    assert refused.returncode == 3 and "nothing to confirm" in refused.stderr
    empty(peer.shared)
    wait_until(lambda: is_away(suite, peer), what="the folder is away")
    refused = suite.p2p("share", "confirm", "other", "--shared-dir", peer.shared)
    assert refused.returncode == 3 and "no shared folder is called other" in refused.stderr
    assert suite.p2p("share", "confirm", "a", "b", "--shared-dir", peer.shared).returncode == 2
    assert is_away(suite, peer)
    done = suite.p2p("share", "confirm", "shared", "--keys-dir", peer.keys)
    assert done.returncode == 0 and "the 3 files" in done.stderr, done.stderr
    wait_until(lambda: status(suite, peer)["shared_state"] == "ok", what="no longer away")
    peer.stop()
    again = suite.peer()
    (again.shared / ".new").write_bytes(b"new")
    (again.shared / ".new").rename(again.shared / "a.txt")
    wait_until(lambda: versions(again) == {"a.txt": 3}, what="a new file, with the next version of its name")
    assert status(suite, again)["shared_state"] == "ok"


def test_a_deletion_beside_other_files_needs_no_word(suite):
    peer = suite.peer(files={**FILES, "stays": b"s"})
    shutil.rmtree(peer.shared / "photos")
    (peer.shared / "a.txt").unlink()
    wait_until(lambda: names(peer) == ["stays"], what="the others are gone")

    def rows():
        query = "SELECT name FROM files WHERE root IS NOT NULL"
        done = subprocess.run(
            ["sqlite3", "-readonly", peer.shared / ".p2p" / "index.db", query], capture_output=True, text=True
        )
        return done.stdout.split("\n")[:-1]

    if shutil.which("sqlite3"):
        wait_until(lambda: rows() == ["stays"], what="they are forgotten")
    assert status(suite, peer)["shared_state"] == "ok"


def test_a_killed_peer_keeps_it_away(suite):
    peer = suite.peer(files=FILES)
    peer.kill()
    empty(peer.shared)
    again = suite.peer()
    wait_until(lambda: is_away(suite, again), what="away from the start")
    again.kill()
    third = suite.peer()
    wait_until(lambda: is_away(suite, third), what="away after another kill")


def mount(place):
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", place], capture_output=True).returncode:
        pytest.skip("cannot mount here")


def test_an_unmounted_disk_is_away_and_comes_back(suite):
    """The empty mount point is another folder, with its own index."""
    shared, disk = suite.folder / "peer" / "shared", suite.folder / "disk"
    for folder in (shared, disk):
        folder.mkdir(parents=True)
    mount(disk)
    bind = lambda: subprocess.run(["mount", "--bind", disk, shared], check=True)  # noqa: E731
    bind()
    try:
        peer = suite.peer(files=FILES)
        wait_until(lambda: status(suite, peer)["shared_state"] == "ok", what="it is shared")
        subprocess.run(["umount", "-l", shared], check=True)
        wait_until(lambda: is_away(suite, peer), 30, what="the empty place is away")
        peer.stop()
        peer = suite.peer()
        wait_until(lambda: is_away(suite, peer), 30, what="away after a restart")
        bind()
        wait_until(lambda: names(peer) == sorted(FILES), 30, what="the disk is back")
        wait_until(lambda: set(versions(peer).values()) == {1}, what="no deletion was recorded")
        wait_until(lambda: status(suite, peer)["shared_state"] == "ok", what="no longer away")
    finally:
        suite.stop()
        suite.programs.clear()
        subprocess.run(["umount", "-l", shared], capture_output=True)
        unmount(disk)


def test_a_disk_beneath_the_folder_is_away_alone(suite):
    shared, disk = suite.folder / "peer" / "shared", suite.folder / "disk"
    for folder in (shared / "usb", disk):
        folder.mkdir(parents=True)
    for name in ("one", "two"):
        (disk / name).write_bytes(name.encode())
    bind = lambda: subprocess.run(["mount", "--bind", disk, shared / "usb"], capture_output=True).returncode  # noqa: E731
    if bind():
        pytest.skip("cannot mount here")
    everything = ["keep", "usb/one", "usb/two"]
    try:
        registry = suite.discovery()
        peer = suite.peer(files={"keep": b"k"}, discovery=registry)
        ui = suite.ui(peer=peer)
        away = lambda: ui.api.json("/api/status")["shared_folders"][0]["away_disks"]  # noqa: E731
        wait_until(lambda: listed(registry) == everything, 30, what="all listed")
        subprocess.run(["umount", "-l", shared / "usb"], check=True)
        wait_until(lambda: away() == [{"place": "usb", "files": 2}], 30, what="the dashboard tells")
        wait_until(lambda: listed(registry) == ["keep"] == names(peer), 30, what="the other file stays")
        shown = suite.p2p("share", "ls", "--problems", "--shared-dir", shared).stdout
        assert "usb: the disk with 2 files is not mounted here" in shown, shown
        assert status(suite, peer)["shared_state"] == "ok"
        assert ui.api.request("DELETE", "/api/shared/keep").status_code == 200  # the last file that is there
        wait_until(lambda: names(peer) == [], 30, what="deleted")
        (shared / "keep").write_bytes(b"again")
        bind()
        wait_until(lambda: names(peer) == everything and away() == [], 30, what="the disk is back")
        wait_until(lambda: versions(peer).get("usb/one") == 1 == versions(peer).get("usb/two"), 30, what="as before")
        subprocess.run(["umount", "-l", shared / "usb"], check=True)
        wait_until(lambda: away() == [{"place": "usb", "files": 2}], 30, what="away again")
        assert ui.api.request("POST", "/api/shares/confirm", json={}).json()["files"] == 2
        wait_until(lambda: away() == [], 30, what="the deletion is confirmed")
        refused = suite.p2p("share", "confirm", "--shared-dir", shared)
        assert refused.returncode == 3 and "nothing to confirm" in refused.stderr
    finally:
        suite.stop()
        suite.programs.clear()
        subprocess.run(["umount", "-l", shared / "usb"], capture_output=True)


@pytest.mark.parametrize("both", [False, True], ids=["alone", "beside a peer"])
def test_the_dashboard_tells_and_confirms(suite, both):
    peer = suite.peer(files=FILES) if both else None
    ui = suite.ui(peer=peer)
    for name, data in FILES.items():
        (ui.shared / name).parent.mkdir(exist_ok=True)
        (ui.shared / name).write_bytes(data)
    shared = lambda: {f["name"]: f["state"] for f in ui.api.json("/api/shared")["files"]}  # noqa: E731
    wait_until(lambda: shared() == dict.fromkeys(FILES, "ready"), what="all shared")
    refused = ui.api.request("POST", "/api/shares/confirm", json={})
    assert refused.status_code == 409 and refused.json()["code"] == "nothing_missing"
    events = Events(ui)
    empty(ui.shared)
    wait_until(
        lambda: [
            e for e in events.of("status") if e[2]["shared_state"] == "away" and e[2]["shared_missing_files"] == 3
        ],
        what="the event",
    )
    events.close()
    assert shared() == {}
    refused = ui.api.request("POST", "/api/upload", files={"file": ("b.txt", b"b")})
    assert refused.status_code == 503 and refused.json()["code"] == "folder_away", refused.text
    assert "p2p share confirm" in refused.json()["detail"]
    assert ui.api.request("POST", "/api/shares/confirm", json={}).json() == {"status": "confirmed", "files": 3}
    wait_until(lambda: ui.api.json("/api/status")["shared_state"] == "ok", what="no longer away")
    assert ui.api.request("POST", "/api/upload", files={"file": ("b.txt", b"b")}).status_code == 200
    wait_until(lambda: shared() == {"b.txt": "ready"}, what="the upload")


def test_what_the_dashboard_deletes_is_deleted(suite):
    peer = suite.peer(files={"only.txt": b"x"})
    ui = suite.ui(peer=peer)
    wait_until(lambda: ui.api.json("/api/shared")["count"] == 1, what="shared")
    assert ui.api.request("DELETE", "/api/shared/only.txt").status_code == 200
    wait_until(lambda: names(peer) == [], what="gone")
    # The decision is made when no file has disappeared for a while: a restart sees the files that were there before.
    peer.stop()
    peer = suite.peer()
    (peer.shared / "more.txt").write_bytes(b"y")
    peer.wait_for("more.txt")
    assert ui.api.json("/api/status")["shared_state"] == "ok"
    assert status(suite, peer)["shared_state"] == "ok"

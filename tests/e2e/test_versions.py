"""What is replaced or deleted through the dashboard or p2p stays as a version and can be restored."""

import contextlib
import json
import os
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest
from conftest import NO_REGISTRY, wait_until
from file_systems import mounted


def quoted(name):
    return name.replace("/", "%2F")


@pytest.fixture
def ui(suite):
    return suite.ui()


def history(ui, name):
    answer = ui.api.request("GET", f"/api/versions/{quoted(name)}")
    return answer.json()["versions"] if answer.status_code == 200 else answer.status_code


def replace(ui, name, data):
    answer = ui.api.request("POST", "/api/upload?on_conflict=overwrite", files={"file": (name, data)})
    assert answer.status_code == 200, answer.text


def test_versions_through_the_api(ui):
    for text in (b"one", b"two!", b"three"):
        replace(ui, "a.txt", text)
    versions = history(ui, "a.txt")
    assert [(v["version"], v["size"], v["end"], v["kept"]) for v in versions] == [
        (2, 4, "replaced", True),
        (1, 3, "replaced", True),
    ]
    assert ui.api.request("GET", "/api/versions/a.txt/1").content == b"one"
    part = ui.api.request("GET", "/api/versions/a.txt/2", headers={"Range": "bytes=1-2"})
    assert (part.status_code, part.content) == (206, b"wo")

    # Restoring makes the present content a version; another name leaves it.
    answer = ui.api.request("POST", "/api/versions/a.txt/restore", json={"version": 1})
    assert (answer.status_code, answer.json()["filename"]) == (200, "a.txt")
    assert (ui.shared / "a.txt").read_bytes() == b"one"
    assert [v["size"] for v in history(ui, "a.txt")] == [5, 4, 3]
    answer = ui.api.request("POST", "/api/versions/a.txt/restore", json={"version": 2, "save_as": "sub/b.txt"})
    assert answer.status_code == 200 and (ui.shared / "sub/b.txt").read_bytes() == b"two!"
    answer = ui.api.request("POST", "/api/versions/a.txt/restore", json={"version": 2, "save_as": "sub/b.txt"})
    assert answer.status_code == 409

    # A deleted file comes back, by the undo of the dashboard and from the list.
    until = ui.api.delete("shared", "sub/b.txt").json()["restore_until"]
    deleted = ui.api.request("GET", "/api/deleted").json()
    assert [f["name"] for f in deleted["files"]] == ["sub/b.txt"] and deleted["next"] is None
    assert deleted["files"][0]["stays_until"] == pytest.approx(until, abs=5)
    assert deleted["files"][0]["stays_until"] > deleted["files"][0]["until"] + 29 * 86400
    assert deleted["versions"]["on"] and deleted["versions"]["used"] > 0
    assert ui.api.request("POST", f"/api/shared/{quoted('sub/b.txt')}/restore").status_code == 200
    assert (ui.shared / "sub/b.txt").read_bytes() == b"two!"
    assert ui.api.request("GET", "/api/deleted").json()["files"] == []

    # A folder goes back to a time; a trial changes nothing, and it can be taken back.
    def rewind(**how):
        return ui.api.request("POST", "/api/rewind", json=how)

    then = max(v["until"] for v in history(ui, "sub/b.txt"))
    wait_until(lambda: time.time() > then + 2, 30, "the next second")
    replace(ui, "b.txt", b"other bytes")  # not in the folder
    (ui.shared / "sub/b.txt").rename(ui.shared / "sub/c.txt")
    (ui.shared / "sub/c.txt").rename(ui.shared / "sub/b.txt")
    assert ui.api.delete("shared", "sub/b.txt").status_code == 200
    plan = rewind(folder="sub", at=then + 1)
    assert plan.status_code == 200, plan.text
    assert (plan.json()["restored"], plan.json()["dry_run"], plan.json()["files"][0]["name"]) == (1, True, "sub/b.txt")
    assert not (ui.shared / "sub/b.txt").exists()
    assert rewind(folder="sub", at=then + 1, dry_run=False).json()["restored"] == 1
    assert (ui.shared / "sub/b.txt").read_bytes() == b"two!"
    assert rewind(folder="sub", at=then + 1).json()["restored"] == 0
    for bad in ({"folder": "sub"}, {"at": then}, {"folder": "sub", "at": 0}):
        assert rewind(**bad).status_code == 422, bad
    assert rewind(folder="../x", at=then).status_code == 400
    (ui.shared / "b.txt").unlink()

    # What is removed for ever is gone.
    assert ui.api.request("DELETE", "/api/versions/a.txt/1").status_code == 200
    assert ui.api.request("GET", "/api/versions/a.txt/1").status_code == 404
    assert ui.api.delete("shared", "a.txt").status_code == 200
    assert ui.api.request("DELETE", "/api/versions/a.txt").status_code == 200
    assert history(ui, "a.txt") == 404
    assert ui.api.request("DELETE", f"/api/versions/{quoted('sub/b.txt')}").status_code == 200
    # b.txt may have been copied before another program removed it.
    kept = [p for p in (ui.shared / ".p2p/versions").rglob("*") if p.is_file()]
    assert not [p for p in kept if p.read_bytes() != b"other bytes"]
    for bad in ("0", "x", "-1", "99999999999"):
        assert ui.api.request("GET", f"/api/versions/a.txt/{bad}").status_code == 400
    for name in ("..%2Fx", ".p2p%2Findex.db"):
        assert ui.api.request("GET", f"/api/versions/{name}").status_code == 400


def test_versions_on_the_command_line(suite, ui):
    """p2p sees what the dashboard keeps, restores it, and removes it."""
    here = ("--shared-dir", ui.shared)
    for text in (b"one", b"two!", b"three"):
        replace(ui, "a b.txt", text)
    listed = json.loads(suite.p2p("history", "a b.txt", "--json", *here, check=True).stdout)
    assert [(v["version"], v["size"], v["kept"]) for v in listed["versions"]] == [(2, 4, True), (1, 3, True)]
    suite.p2p("restore", "a b.txt", "--version", "1", "--to", "old.txt", *here, check=True)
    assert (ui.shared / "old.txt").read_bytes() == b"one"
    suite.p2p("restore", "a b.txt", "--version", "2", *here, check=True)
    assert (ui.shared / "a b.txt").read_bytes() == b"two!"
    assert ui.api.delete("shared", "a b.txt").status_code == 200
    deleted = suite.p2p("history", "--deleted", *here, check=True).stdout
    assert "a b.txt" in deleted and "stays until" in deleted
    suite.p2p("restore", "a b.txt", *here, check=True)
    assert (ui.shared / "a b.txt").read_bytes() == b"two!"
    assert suite.p2p("restore", "a b.txt", "--version", "99", *here).returncode == 3
    assert suite.p2p("restore", "a b.txt", "--at", "2001-01-01", *here).returncode == 3
    assert suite.p2p("restore", "a b.txt", "--at", "yesterday", *here).returncode == 2
    suite.p2p("versions", "purge", "a b.txt", *here, check=True)
    assert suite.p2p("history", "a b.txt", *here).returncode == 3
    assert "10%" in suite.p2p("versions", "show", *here, check=True).stdout
    replace(ui, "a b.txt", b"more")
    assert history(ui, "a b.txt")[0]["version"] > 4, "no number is used again"


def test_a_download_keeps_what_it_replaces(suite):
    peer = suite.peer(files={"f": b"new"})
    target = suite.folder / "out"
    target.mkdir()
    (target / "f").write_bytes(b"mine")
    suite.get("f", peer, more=["--on-conflict", "version"], check=True)
    assert (target / "f").read_bytes() == b"new"
    suite.p2p("restore", "f", "--shared-dir", target, check=True)
    assert (target / "f").read_bytes() == b"mine"


@pytest.mark.parametrize("kind", ["btrfs", "xfs"])
def test_large_files_are_kept_where_blocks_can_be_shared(suite, kind):
    """The copy of a file that is larger than copy-max takes no space."""
    data = os.urandom(24 << 20)
    with mounted(kind, suite.folder / "peer" / "shared") as shared:
        (shared / "film").write_bytes(data)
        os.sync()
        before = os.statvfs(shared)
        peer = suite.peer(name="peer")
        wait_until(lambda: [*(shared / ".p2p/versions").glob("??/" + "?" * 64)], 60, "a copy")
        os.sync()
        after = os.statvfs(shared)
        assert (before.f_bfree - after.f_bfree) * before.f_frsize < len(data) // 2, "it shares its blocks"
        with open(shared / "film", "r+b") as film:  # in place
            film.write(b"another beginning")

        def versions():
            run = suite.p2p("history", "film", "--shared-dir", shared, "--json")
            return json.loads(run.stdout)["versions"] if run.returncode == 0 else []

        assert wait_until(versions, 60, "a version")[0]["kept"]
        suite.p2p("restore", "film", "--version", "1", "--shared-dir", shared, check=True)
        assert (shared / "film").read_bytes() == data
        peer.stop()


def test_a_peer_keeps_what_other_programs_change(suite):
    """Without p2p-ui: it copies a small file while it is current."""
    peer = suite.peer(files={"f": b"first", "g": b"another"})
    shared = peer.folder / "shared"

    def versions(*words):
        run = suite.p2p("history", *words, "--shared-dir", shared, "--json")
        return json.loads(run.stdout)["versions"] if run.returncode == 0 else []

    wait_until(lambda: len([*(shared / ".p2p/versions").glob("??/" + "?" * 64)]) == 2, 60, "copies")
    # Its sandbox lets it see which run of the machine this is: otherwise versions would never get older.
    with contextlib.closing(sqlite3.connect(f"file:{shared}/.p2p/versions.db?mode=ro", uri=True)) as database:
        ((boot,),) = database.execute("SELECT boot FROM state")
    assert boot == bytes.fromhex(Path("/proc/sys/kernel/random/boot_id").read_text().replace("-", ""))
    (shared / "f").write_bytes(b"second one")  # in place
    assert wait_until(lambda: versions("f"), 60, "a version")[0]["kept"]
    suite.p2p("restore", "f", "--shared-dir", shared, check=True)
    assert (shared / "f").read_bytes() == b"first"
    (shared / "g").unlink()
    assert wait_until(lambda: versions("--deleted"), 60, "it is listed as deleted")[0]["name"] == "g"

    # Another device sees the versions of a file that is there once the owner says so, and downloads one.
    there = ("--peer", peer.where, "--discovery", NO_REGISTRY, "--no-mdns")
    refused = suite.p2p("history", "f", *there)
    assert refused.returncode == 3 and "versions set history readers" in refused.stderr
    suite.p2p("versions", "set", "history", "readers", "--shared-dir", shared, check=True)
    # The list is there as soon as the present content is hashed.
    shown = wait_until(lambda: suite.p2p("history", "f", "--json", *there).stdout, 60, "the list")
    rows = json.loads(shown)["versions"]
    assert [(v["end"], v["kept"]) for v in rows] == [("", True), ("replaced", True), ("replaced", True)]
    second = str(rows[1]["version"])
    suite.get("f", peer, more=["--version", second, "--save-as", "old"], check=True)
    assert (suite.folder / "out" / "old").read_bytes() == b"second one"
    assert suite.get("f", peer, more=["--version", "99"]).returncode == 3
    assert suite.p2p("history", "g", *there).returncode == 3  # deleted: gone for others
    suite.p2p("versions", "purge", "f", "--version", second, "--shared-dir", shared, check=True)
    assert suite.get("f", peer, more=["--version", second, "--save-as", "older"]).returncode == 3


@pytest.fixture
def small_disk(tmp_path):
    """Under the folder of the programs that are called "near"; unmounted when they have ended."""
    disk = tmp_path / "near"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def test_what_the_owner_deleted_makes_room_for_a_download(small_disk, suite):
    """Whatever its age; what was replaced is younger than a day and stays."""
    data = os.urandom(20 << 20)
    peer = suite.peer(name="far", files={"film": data})
    ui = suite.ui("--keep-free", "0", name="near")
    assert ui.shared.is_relative_to(small_disk)
    suite.p2p("versions", "set", "space", "100%", "--shared-dir", ui.shared, check=True)
    replace(ui, "kept", b"first")
    replace(ui, "kept", b"second")
    replace(ui, "old film", os.urandom(12 << 20))
    assert ui.api.delete("shared", "old film").status_code == 200
    assert ui.api.request("GET", "/api/deleted").json()["files"][0]["kept"]
    host, port = peer.address
    started = ui.api.download("film", {"peer_id_full": peer.peer_id, "ip": host, "port": port})
    assert started.status_code in (200, 202), started.text
    wait_until((ui.downloads / "film").exists, 90, "the download")
    assert (ui.downloads / "film").read_bytes() == data
    assert not any(f["kept"] for f in ui.api.request("GET", "/api/deleted").json()["files"])
    assert [v["kept"] for v in history(ui, "kept")] == [True]

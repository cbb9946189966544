"""Downloads and uploads on common file systems: what each one accepts, and what the message says if it does not."""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from conftest import BIN, NO_REGISTRY, environment, wait_until
from file_systems import KINDS, encrypted, encrypted_view, mounted, overlay, remote, tmpfs
from getting import visible
from p2pwire import msg
from p2pwire.client import Refused
from p2pwire.server import Server

DATA = os.urandom(3 << 20)
STRICT = ["exfat", "ntfs", "vfat"]  # no '?' and '*' in names


def asked_for_bytes(server):
    return any(isinstance(m, msg.Get) for m in server.requests)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_and_a_folder_arrive(suite, kind):
    """The same name again gets a number and replaces nothing; a folder with small and large files arrives."""
    files = {"f.bin": DATA, "d/small": b"abc", "d/e/large": os.urandom(5 << 20), "d/empty": b""}
    with Server(files) as server, mounted(kind, suite.folder / "disk") as disk:
        (disk / "f.bin").write_bytes(b"mine")
        for name in ("f.bin", "d/"):
            run = suite.get(name, server, out="disk")
            assert run.returncode == 0, run.stderr
        assert (disk / "f.bin").read_bytes() == b"mine"
        assert (disk / "f (1).bin").read_bytes() == DATA
        for name in ("d/small", "d/e/large", "d/empty"):
            assert (disk / name).read_bytes() == files[name]
        assert visible(disk) == ["d", "f (1).bin", "f.bin"] or "lost+found" in visible(disk)
        assert list((disk / ".p2p").iterdir()) == []


@pytest.mark.parametrize("kind", STRICT)
def test_a_name_that_the_file_system_refuses(suite, kind):
    """This is found before the first byte, and the suggested name works."""
    name = "Who? What*.mp4"
    with Server({name: DATA}) as server, mounted(kind, suite.folder / "disk") as disk:
        run = suite.get(name, server, out="disk")
        assert run.returncode == 6, run.stderr
        assert "does not allow the name" in run.stderr, run.stderr
        assert '--save-as "Who_ What_.mp4"' in run.stderr, run.stderr
        assert not asked_for_bytes(server)
        assert visible(disk) == [] and list((disk / ".p2p").iterdir()) == []
        run = suite.get(name, server, out="disk", more=["--save-as", "Who_ What_.mp4"])
        assert run.returncode == 0, run.stderr
        assert (disk / "Who_ What_.mp4").read_bytes() == DATA


@pytest.mark.parametrize("kind,size", [("vfat", 5 << 30), ("ext3", 20 << 30)])
def test_a_file_that_is_too_large_for_the_file_system(suite, kind, size):
    """It does not wait for room, because room would not help."""

    class Huge(Server):
        def meta_of(self, req, file):
            meta = super().meta_of(req, file)
            meta.size = size
            return meta

    # Large enough that the size does not count as a lie (the disk has a 64th of it).
    with Huge({"f.bin": DATA}) as server, mounted(kind, suite.folder / "disk", mib=512) as disk:
        run = suite.get("f.bin", server, out="disk", timeout=60)
        assert run.returncode == 6, run.stderr
        assert re.search(r"does not allow files of [\d.]+ [MGT]B;", run.stderr), run.stderr
        assert list((disk / ".p2p").iterdir()) == []


def launch(suite, disk, server, log, prefix=(), name="f.bin"):
    words = [
        *prefix, BIN / "p2p", "get", name, "--output-dir", disk, "--keys-dir", suite.folder / "cli" / "keys",
        "--discovery", NO_REGISTRY, "--timeout", "5", "--from", server.where,
    ]  # fmt: skip
    with open(log, "w") as text:
        return subprocess.Popen(list(map(str, words)), env=environment(suite.folder), stderr=text)


def test_no_inodes_and_then_some(suite):
    """It says that files have to be deleted, not that bytes are missing, and continues when some are deleted."""
    with Server({"f.bin": DATA}) as server, tmpfs(suite.folder / "disk", "size=64m,nr_inodes=8") as disk:
        filler = [disk / f"filler{i}" for i in range(7)]
        for path in filler:
            path.touch()
        log = suite.folder / "log"
        getter = launch(suite, disk, server, log)
        wait_until(lambda: "no free inodes" in log.read_text(), 30, "the cause told")
        assert getter.poll() is None and "disk is full" not in log.read_text()
        for path in filler:
            path.unlink()
        assert getter.wait(60) == 0, log.read_text()
        assert (disk / "f.bin").read_bytes() == DATA


def test_a_sparse_file_needs_room_for_its_data_only(suite):
    """The zeros are known from the hashes, before the first byte is asked for. The sentence has the real number."""
    mib = 1 << 20
    sparse = os.urandom(3 * mib) + bytes(60 * mib) + os.urandom(mib)
    full = os.urandom(20 * mib) + bytes(60 * mib)
    with Server({"f.bin": sparse, "g.bin": full}) as server, tmpfs(suite.folder / "disk", "size=16m") as disk:
        run = suite.get("f.bin", server, out="disk")
        assert run.returncode == 0, run.stderr
        assert (disk / "f.bin").read_bytes() == sparse
        (disk / "f.bin").unlink()
        log = suite.folder / "log"
        before = len(server.requests)
        getter = launch(suite, disk, server, log, name="g.bin")
        try:
            wait_until(lambda: "the disk is full" in log.read_text(), 60, "the cause told")
            assert "full: 21" in log.read_text(), log.read_text()
            assert not any(isinstance(m, msg.Get) for m in server.requests[before:])
            subprocess.run(["mount", "-o", "remount,size=32m", disk], check=True)
            assert getter.wait(60) == 0, log.read_text()
        finally:
            getter.kill()
        assert (disk / "g.bin").read_bytes() == full


def test_a_disk_that_is_far_too_small(suite):
    """Making room would not help, so it does not wait, and the source is not blamed. Zeros need no room here either."""
    kib = 1 << 10
    sparse = os.urandom(64 * kib) + bytes(25_000 * kib)
    files = {"full.bin": os.urandom(25_000 * kib), "sparse.bin": sparse, "little.bin": os.urandom(2000 * kib)}
    with Server(files, chunk_size=64 * kib) as server, tmpfs(suite.folder / "disk", "size=300k") as disk:
        run = suite.get("full.bin", server, out="disk")
        assert run.returncode == 6, run.stderr
        said = run.stderr.strip().splitlines()
        assert len(said) == 1, run.stderr
        assert "the disk is too small: it has 307 kB in total, and 25.6 MB are needed" in said[0], run.stderr
        log = suite.folder / "log"
        getter = launch(suite, disk, server, log, name="little.bin")
        try:  # a disk can grow by this much
            wait_until(lambda: "it has 307 kB in total" in log.read_text(), 60, "the cause told")
        finally:
            getter.kill()
            getter.wait()
        assert not asked_for_bytes(server)
        run = suite.get("sparse.bin", server, out="disk")
        assert run.returncode == 0, run.stderr
        assert (disk / "sparse.bin").read_bytes() == sparse


def test_a_folder_waits_for_room_beside_what_stays_free(suite):
    """Its last file would fit, but 5 % of the disk stays free: that is a full disk, and no quota."""
    files = {f"d/{i}": os.urandom(300_000) for i in range(60)}
    with Server(files) as server, tmpfs(suite.folder / "disk", "size=18m") as disk:
        log = suite.folder / "log"
        getter = launch(suite, disk, server, log, name="d/")
        try:
            wait_until(lambda: "waiting" in log.read_text() or getter.poll() is not None, 60, "the cause told")
            assert "the disk is full" in log.read_text() and "quota" not in log.read_text(), log.read_text()
            subprocess.run(["mount", "-o", "remount,size=32m", disk], check=True)
            assert getter.wait(60) == 0, log.read_text()
        finally:
            getter.kill()
        assert all((disk / name).read_bytes() == data for name, data in files.items())


def test_a_read_only_file_system(suite):
    with Server({"f.bin": DATA}) as server, tmpfs(suite.folder / "disk", "size=16m") as disk:
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        run = suite.get("f.bin", server, out="disk")
        assert run.returncode == 6 and "read-only" in run.stderr, run.stderr
        assert not asked_for_bytes(server)


def test_a_read_only_shared_folder_is_hashed_once(suite):
    """Its index is in the keys folder; `p2p share` finds it there."""
    with tmpfs(suite.folder / "disk", "size=16m") as disk:
        (disk / "f.bin").write_bytes(DATA)
        (disk / "a:b").write_bytes(b"x")
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        peer = suite.peer("--shared-dir", f"Disk={disk}")
        peer.wait_for("Disk/f.bin")
        (aside,) = (peer.keys / "folders").iterdir()
        inode = (aside / ".p2p" / "index.db").stat().st_ino
        listed = suite.p2p("share", "ls", "--problems", "--keys-dir", peer.keys)
        assert "Disk/a:b" in listed.stdout, listed.stdout + listed.stderr
        assert suite.p2p("share", "rescan", "--keys-dir", peer.keys).returncode == 0
        ui = suite.ui("--shared-dir", f"Disk={disk}", peer=peer)
        wait_until(lambda: ui.api.json("/api/shared")["count"] == 1, 30, "listed by the other program, too")
        peer.stop()
        assert "in memory" not in peer.stderr() + ui.stderr()
        assert (aside / ".p2p" / "index.db").stat().st_ino == inode


def test_what_stands_in_the_way_is_named(suite):
    """A link or a file in the place of a folder, or another disk mounted there: the error is not "exists already"."""
    files = {f"tree/{i}.txt": b"x" * 100 for i in range(3)} | {"tree/big": DATA}
    out = suite.folder / "out"
    out.mkdir()
    (suite.folder / "elsewhere").mkdir()
    (out / "tree").symlink_to(suite.folder / "elsewhere")
    with Server(files) as server:
        for name in ("tree/1.txt", "tree/"):
            run = suite.get(name, server)
            assert run.returncode == 6 and "a file or a link" in run.stderr, run.stderr
        assert list((suite.folder / "elsewhere").iterdir()) == []
        (out / "tree").unlink()
        (out / "tree").write_bytes(b"mine")
        run = suite.get("tree/1.txt", server)
        assert run.returncode == 6 and "a file or a link" in run.stderr, run.stderr
        assert (out / "tree").read_bytes() == b"mine"
        (out / "tree").unlink()
        with tmpfs(out / "tree", "size=8m"):
            run = suite.get("tree/1.txt", server)
            assert run.returncode == 6 and "another file system is mounted" in run.stderr, run.stderr
        assert not asked_for_bytes(server)


@pytest.mark.parametrize("kind", STRICT)
def test_a_folder_with_names_that_are_refused(suite, kind):
    """These files get names that work, the same ones each time; the others keep their names."""
    files = {"d/ok": b"fine", "d/Who?": b"small", "d/sub*/x": b"below", "d/What?.bin": os.urandom(5 << 20)}
    with Server(files) as server, mounted(kind, suite.folder / "disk") as disk:
        for _ in range(2):
            run = suite.get("d/", server, out="disk")
            assert run.returncode == 0 and "under other names" in run.stderr, run.stderr
        assert visible(disk / "d") == ["What_.bin", "Who_", "ok", "sub_"]
        for name, stored in (("d/Who?", "Who_"), ("d/sub*/x", "sub_/x"), ("d/What?.bin", "What_.bin")):
            assert (disk / "d" / stored).read_bytes() == files[name]


@pytest.mark.parametrize("kind", STRICT)
def test_uploads(suite, kind):
    """The dashboard stores a file on such a disk; if a name is refused, it suggests one that works."""
    shared = suite.folder / "peer" / "shared"
    with mounted(kind, shared):
        peer = suite.peer()
        try:
            http = suite.ui(peer=peer).api
            upload = lambda name, data: http.request("POST", "/api/upload", files={"file": (name, data)})  # noqa: E731
            assert upload("f.bin", DATA).status_code == 200
            assert (shared / "f.bin").read_bytes() == DATA
            answer = upload("Who?.txt", b"x")
            assert answer.status_code == 400, answer.text
            assert answer.json()["code"] == "target_name" and "Who_.txt" in answer.json()["detail"]
            assert upload("f.bin", b"other").status_code == 409
        finally:
            suite.stop()
            suite.programs.clear()


def test_the_dashboard_says_what_it_waits_for(suite):
    """First no space, then a refused name: the sentence, the code, and a name that works."""
    downloads = suite.folder / "peer" / "downloads"
    name = "Who?.mp4"
    with Server({name: DATA, "f.bin": DATA}) as server, mounted("exfat", downloads) as disk:
        try:
            http = suite.ui(peer=suite.peer()).api
            where = {"peer_id": server.identity.peer_id, "ip": "127.0.0.1", "port": server.address[1]}

            def start(filename, **more):
                body = {"filename": filename, "peers": [where], "auto": False, **more}
                return http.request("POST", "/api/transfers", json=body).json()["id"]

            def reaches(transfer, state):
                now = lambda: http.request("GET", f"/api/transfers/{transfer}").json()  # noqa: E731
                return wait_until(lambda: now()["state"] == state and now(), 40, state)

            failed = reaches(start(name), "failed")
            assert failed["error_code"] == "target_name" and failed["suggested_name"] == "Who_.mp4", failed
            assert "does not allow the name" in failed["error"] and failed["retry_at"] is None
            one = f"/api/transfers/{failed['id']}"
            change = lambda body: http.request("PATCH", one, json=body)  # noqa: E731
            assert change({"save_as": "../x"}).status_code == 400
            assert change({"save_as": 7}).status_code == 422
            assert change({"save_as": "folder/"}).status_code == 409
            assert change({"save_as": failed["suggested_name"]}).json()["suggested_name"] is None
            assert http.request("POST", f"{one}/retry").status_code == 200
            done = reaches(failed["id"], "completed")
            assert change({"save_as": "other"}).status_code == 409
            assert done["path"] == "Who_.mp4" and (disk / "Who_.mp4").read_bytes() == DATA
            with open(disk / ".ballast", "wb") as ballast:
                ballast.write(bytes(os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize - (1 << 20)))
            paused = reaches(start("f.bin"), "paused")
            assert paused["error_code"] == "disk_full" and "the disk is full" in paused["error"], paused
            assert paused["retry_at"] is not None
            wrong = http.request("POST", "/api/transfers", json={"filename": "f.bin", "on_conflict": "ask"})
            assert wrong.status_code == 422, wrong.text
        finally:
            suite.stop()
            suite.programs.clear()


def test_an_overlay(suite):
    """Downloads beside and over files of the lower layer, and a peer that shares both layers."""
    files = {"f.bin": DATA, "d/e": b"e", "lower.txt": b"new"}
    with Server(files) as server, overlay(suite.folder / "peer" / "shared") as disk:
        for name in ("f.bin", "d/", "lower.txt"):
            run = suite.get(name, server, out="peer/shared")
            assert run.returncode == 0, run.stderr
        assert (disk / "lower.txt").read_bytes() == b"lower" and (disk / "lower (1).txt").read_bytes() == b"new"
        assert (disk / "f.bin").read_bytes() == DATA and (disk / "d" / "e").read_bytes() == b"e"
        peer = suite.peer()
        try:
            peer.wait_for("lower.txt")
            (disk / "lower.txt").write_bytes(b"copied up")
            with peer.client() as client:
                wait_until(lambda: fetched(client, "lower.txt") == b"copied up", what="the copy in the upper layer")
                assert client.fetch("f.bin") == DATA
        finally:
            suite.stop()
            suite.programs.clear()


def fetched(client, name):
    try:
        return client.fetch(name)
    except Refused:
        return None


@pytest.mark.parametrize("kind", ["gocryptfs", "encfs"])
def test_a_file_system_that_encrypts_names(suite, kind):
    """A name that is too long when encrypted is found before the first byte; a shorter one works."""
    files = {"f.bin": DATA, "n" * 230 + ".bin": DATA}
    with Server(files) as server, encrypted(kind, suite.folder / "disk") as disk:
        run = suite.get("f.bin", server, out="disk")
        assert run.returncode == 0, run.stderr
        assert (disk / "f.bin").read_bytes() == DATA
        before = len(server.requests)
        run = suite.get("n" * 230 + ".bin", server, out="disk")
        if run.returncode == 0:  # gocryptfs keeps long names in a file
            assert (disk / ("n" * 230 + ".bin")).read_bytes() == DATA
            return
        assert run.returncode == 6 and "does not allow the name" in run.stderr, run.stderr
        assert not any(isinstance(m, msg.Get) for m in server.requests[before:])
        works = run.stderr.split('--save-as "')[1].split('"')[0]
        run = suite.get("n" * 230 + ".bin", server, out="disk", more=["--save-as", works])
        assert run.returncode == 0 and (disk / works).read_bytes() == DATA, run.stderr


def test_changes_of_which_the_kernel_does_not_tell_are_found(suite):
    """On FUSE and network file systems, this kernel does not see writes of others: a scan every half minute finds
    them.
    """
    plain = suite.folder / "plain"
    with encrypted_view(plain, suite.folder / "peer" / "shared" / "view"):
        peer = suite.peer()

        def count():
            with peer.client() as client:
                return len([e for e in client.list_all() if e.name.startswith(b"view/")])

        wait_until(lambda: count() > 0, 60, "the view's own files")
        before = count()
        (plain / "new.txt").write_bytes(b"new")
        wait_until(lambda: count() == before + 1, 120, "the new file")
        peer.stop()
        suite.programs.remove(peer)


def test_real_quotas(suite):
    """Downloads, uploads and a shared folder whose quota is used up: a sentence of its own each time, and the peer
    serves. btrfs stores every change in a new place: what is mapped into memory there ends a process.
    """
    folder = suite.folder / "machine"

    def btrfs(*words):
        subprocess.run(["btrfs", *words], check=True, capture_output=True)

    with Server({"f.bin": os.urandom(6 << 20)}) as server, mounted("btrfs", folder, mib=256):
        try:
            btrfs("quota", "enable", folder)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("no quotas of btrfs here")
        for name in ("downloads", "shared"):
            btrfs("subvolume", "create", folder / name)
            btrfs("qgroup", "limit", "4M", folder / name)
        log = suite.folder / "log"
        getter = launch(suite, folder / "downloads", server, log)
        try:
            ui = suite.ui(name="machine")
            sent = ui.api.request("POST", "/api/upload", files={"file": ("up.bin", os.urandom(6 << 20))})
            assert sent.status_code == 507 and sent.json()["code"] == "quota", sent.text
            assert visible(folder / "shared") == []
            wait_until(lambda: "the disk quota is used up" in log.read_text(), 60, "the cause told")
            assert getter.poll() is None and "disk is full" not in log.read_text()
            peer = suite.peer(name="machine", files={"x.bin": DATA})
            subprocess.run(["sync", "-f", folder], check=True)
            btrfs("qgroup", "limit", "1M", folder / "shared")
            peer.stop()
            suite.programs.remove(peer)
            with pytest.raises(OSError):
                (peer.shared / "y.bin").write_bytes(DATA)
            peer = suite.peer(name="machine")
            peer.wait_for("x.bin", 60)
            with peer.client() as client:
                assert client.fetch("x.bin") == DATA
        finally:
            getter.kill()
            getter.wait(30)
            suite.stop()
            suite.programs.clear()


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_a_quota_is_not_a_full_disk(suite):
    """It reports that the quota is used up, and continues when there is room. Few kernels of test machines have
    quotas.
    """
    with Server({"f.bin": DATA}) as server:
        log = suite.folder / "log"
        strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=fallocate:error=EDQUOT:when=1"]
        getter = launch(suite, suite.folder / "out", server, log, strace)
        try:
            wait_until(lambda: "quota" in log.read_text() or getter.poll() is not None, 60, "the cause told")
            if "ptrace" in log.read_text():
                pytest.skip("strace cannot trace here")
            assert "quota" in log.read_text() and "disk is full" not in log.read_text(), log.read_text()
            assert getter.wait(60) == 0, log.read_text()
        finally:
            getter.kill()
        assert (suite.folder / "out" / "f.bin").read_bytes() == DATA


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_a_quota_that_looks_like_a_full_disk(suite):
    """Project quotas of XFS: the write fails as on a full disk, and room is there by the numbers of the disk."""
    with Server({"f.bin": DATA}) as server:
        log = suite.folder / "log"
        strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=fallocate:error=ENOSPC"]
        getter = launch(suite, suite.folder / "out", server, log, strace)
        try:
            wait_until(lambda: "waiting" in log.read_text() or getter.poll() is not None, 60, "the cause told")
            if "ptrace" in log.read_text():
                pytest.skip("strace cannot trace here")
            assert "a quota may be used up" in log.read_text(), log.read_text()
            assert getter.poll() is None and log.read_text().count("waiting") == 1
        finally:
            children = Path(f"/proc/{getter.pid}/task/{getter.pid}/children").read_text().split()
            for pid in [*map(int, children), getter.pid]:
                os.kill(pid, signal.SIGKILL)
            getter.wait(60)


@pytest.mark.parametrize("kind", ["sshfs", "rclone"])
def test_downloads_to_a_folder_of_another_machine(suite, kind):
    files = {"f.bin": DATA, "d/small": b"abc", "d/e/large": os.urandom(5 << 20), "d/none": b""}
    with Server(files) as server, remote(kind, suite.folder / "disk") as (disk, there):
        for name in ("f.bin", "d/"):
            for _ in range(2):  # the second time it is there already
                run = suite.get(name, server, out="disk")
                assert run.returncode == 0, run.stderr
        assert visible(disk) == ["d", "f.bin"]
        for name, data in files.items():
            assert (disk / name).read_bytes() == data
            wait_until(lambda: (there / name).exists() and (there / name).read_bytes() == data, 60, f"{name} over there")


def test_a_folder_that_is_written_in_order_only(suite):
    """`rclone mount` without a cache uploads while a file is written."""
    with Server({"f.bin": DATA}) as server, remote("rclone", suite.folder / "disk", cache="off") as (_, there):
        run = suite.get("f.bin", server, out="disk")
        assert run.returncode == 6 and "from beginning to end" in run.stderr, run.stderr
        assert not asked_for_bytes(server) and visible(there) == []


@pytest.mark.parametrize("kind", ["sshfs", "rclone"])
def test_a_shared_folder_of_another_machine(suite, kind):
    """The kernel tells nothing of changes over there; `p2p share rescan` looks for them at once."""
    shared = suite.folder / "peer" / "shared"
    shared.parent.mkdir()
    with remote(kind, shared) as (_, there):
        try:
            (there / "one.bin").write_bytes(DATA)
            peer = suite.peer()
            peer.wait_for("one.bin", 120)
            run = suite.p2p("get", "one.bin", "--from", peer.where, "--output-dir", suite.folder / "out")
            assert run.returncode == 0, run.stderr
            assert (suite.folder / "out" / "one.bin").read_bytes() == DATA
            (there / "two.bin").write_bytes(b"two")

            def has_two():
                suite.p2p("share", "rescan", "--shared-dir", shared, "--keys-dir", peer.keys)
                with peer.client() as client:
                    return "two.bin" in [e.name.decode() for e in client.list_all()]

            wait_until(has_two, 120, "the new file")
            ui = suite.ui(peer=peer)
            sent = ui.api.request("POST", "/api/upload", files={"file": ("up.bin", b"up" * 1000)})
            assert sent.status_code == 200, sent.text
            wait_until(lambda: (there / "up.bin").exists() and (there / "up.bin").read_bytes() == b"up" * 1000, 60, "up.bin")
        finally:
            suite.stop()
            suite.programs.clear()

"""Shared files as they occur in practice: metadata that changes during a download, names that cannot be shared,
files that are written all the time, disks that fail to read.
"""

import concurrent.futures
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from conftest import wait_until

# Each of these changes the file's inode, and no byte.
TOUCHES = {
    "chmod": lambda shared: os.chmod(shared / "f.bin", 0o640),
    "a hard link": lambda shared: os.link(shared / "f.bin", shared / ".backup"),
    "an attribute": lambda shared: os.setxattr(shared / "f.bin", "user.note", b"x"),
    "a new name": lambda shared: os.rename(shared / "f.bin", shared / "g.bin"),
    "another folder": lambda shared: os.renames(shared / "f.bin", shared / "sub" / "f.bin"),
}


def read_bytes(pid):
    """The number of bytes that the process has read so far, from files, sockets and pipes."""
    return int(Path(f"/proc/{pid}/io").read_text().split()[1])


@pytest.mark.parametrize("what", TOUCHES)
def test_a_change_of_metadata_does_not_interrupt_a_download(suite, what):
    data = os.urandom(24_000_000)
    peer = suite.peer("--limit-rate", "8M", "--chunk-size", "256K", files={"f.bin": data})
    out = suite.folder / "out"
    before = read_bytes(peer.pid)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        download = pool.submit(suite.p2p, "get", "f.bin", "--from", peer.where, "--output-dir", out)
        wait_until(lambda: any((out / ".p2p").glob("*")) if out.exists() else False, what="a download that runs")
        TOUCHES[what](peer.shared)
        done = download.result()
    assert done.returncode == 0, done.stderr
    assert (out / "f.bin").read_bytes() == data
    # The file is read to be served, and not a second time to be hashed. Where the system may report nothing for
    # the file itself (another link; a folder so new that it is not watched yet), its bytes are checked once.
    reads = 2 if what in ("a hard link", "another folder") else 1
    assert read_bytes(peer.pid) - before < (reads + 0.6) * len(data)


def test_a_folder_that_gets_other_permissions_or_another_name_is_not_read_again(suite):
    # Too large for a base copy, which reads a file once, too.
    files = {f"photos/{i}.jpg": os.urandom(5_000_000) for i in range(6)}
    peer = suite.peer(files=files)
    before = read_bytes(peer.pid)
    subprocess.run(["chmod", "-R", "o-r", peer.shared / "photos"], check=True)
    os.rename(peer.shared / "photos", peer.shared / "pictures")
    peer.wait_for("pictures/5.jpg")
    with peer.client() as client:
        wait_until(lambda: len(client.list_all()) == 6, what="every file under its new name")
        assert client.fetch("pictures/3.jpg") == files["photos/3.jpg"]
    assert read_bytes(peer.pid) - before < 15_000_000  # one file is served


def test_a_file_that_leaves_the_folder_is_not_served(suite):
    data = os.urandom(24_000_000)
    peer = suite.peer("--limit-rate", "4M", "--chunk-size", "256K", files={"f.bin": data})
    out = suite.folder / "out"
    with concurrent.futures.ThreadPoolExecutor() as pool:
        download = pool.submit(
            suite.p2p, "get", "f.bin", "--from", peer.where, "--output-dir", out, "--timeout", "5s"
        )
        wait_until(lambda: any((out / ".p2p").glob("*")) if out.exists() else False, what="a download that runs")
        os.rename(peer.shared / "f.bin", suite.folder / "private.bin")
        done = download.result()
    assert done.returncode != 0
    assert not (out / "f.bin").exists()


def test_what_is_not_shared_is_listed_with_its_reason(suite):
    peer = suite.peer(files={"good.txt": b"x"})
    (peer.shared / "Re: mail.eml").write_bytes(b"x")
    (peer.shared / "Vol. 1.").mkdir()
    os.symlink("good.txt", peer.shared / "link")

    def listed():
        done = suite.p2p("share", "ls", "--problems", "--json", "--shared-dir", peer.shared)
        assert done.returncode == 0, done.stderr
        return {p["name"]: p["reason"] for p in json.loads(done.stdout)["problems"]}

    expected = {
        "Re: mail.eml": "it contains ':'",
        "Vol. 1.": "it ends in a dot or a space",
        "link": "it is a symbolic link",
    }
    wait_until(lambda: listed() == expected, what="the three problems")
    text = suite.p2p("share", "ls", "--problems", "--shared-dir", peer.shared).stdout
    assert "Re: mail.eml: it contains ':'" in text
    os.rename(peer.shared / "Re: mail.eml", peer.shared / "Re mail.eml")
    peer.wait_for("Re mail.eml")
    del expected["Re: mail.eml"]
    wait_until(lambda: listed() == expected, what="a problem less")


def test_share_refuses_what_it_cannot_do(suite):
    peer = suite.peer(files={"f": b"x"})
    assert suite.p2p("share", "ls", "--problems", "--shared-dir", "/nowhere").returncode == 3
    assert f"{peer.shared}  (not in use" in suite.p2p("share", "ls", "--shared-dir", peer.shared).stdout
    assert suite.p2p("share", "--shared-dir", peer.shared).returncode == 2
    never = suite.folder / "never"
    never.mkdir()
    done = suite.p2p("share", "ls", "--problems", "--shared-dir", never)
    assert done.returncode == 3 and "p2p-peer" in done.stderr


def test_a_scan_can_be_asked_for(suite):
    peer = suite.peer(files={"f": b"x", "net/seed": b"x"})
    mounted = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", peer.shared / "net"], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("cannot mount here")
    try:
        (peer.shared / "net" / "new").write_bytes(b"new")
        assert suite.p2p("share", "rescan", "--shared-dir", peer.shared).returncode == 0
        peer.wait_for("net/new")
    finally:
        subprocess.run(["umount", "-l", peer.shared / "net"], check=True)


def hashed_in_half_a_second():
    """Bytes that this machine hashes in about half a second."""
    sample = bytes(1 << 26)
    begin = time.monotonic()
    hashlib.sha256(sample).digest()
    return int(len(sample) / (time.monotonic() - begin) / 2)


def test_a_file_that_keeps_changing_is_read_in_proportion_to_its_rest(suite):
    size = hashed_in_half_a_second()
    peer = suite.peer(files={"vm.img": os.urandom(size), "note": b"x"})
    peer.wait_for("vm.img", timeout=60)
    before = read_bytes(peer.pid)
    for _ in range(8):
        with open(peer.shared / "vm.img", "r+b") as file:
            file.write(os.urandom(1))
        time.sleep(0.8)  # the pause of the writing program
    assert read_bytes(peer.pid) - before < 4 * size
    with peer.client() as client:
        wait_until(lambda: client.fetch("note") == b"x", what="the other file served")
    peer.wait_for("vm.img", timeout=60)


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_a_read_error_is_tried_again(suite):
    peer = suite.peer(files={"note": b"x"})
    strace = subprocess.Popen(
        ["strace", "-f", "-p", str(peer.pid), "-o", "/dev/null", "-e", "trace=pread64", "-e",
         "inject=pread64:error=EIO"],
        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )
    try:
        if "attached" not in strace.stderr.readline():
            pytest.skip("strace cannot attach here")
        (peer.shared / "f").write_bytes(b"data")
        wait_until(lambda: "cannot read a file" in peer.stderr(), what="the read error")
    finally:
        strace.send_signal(signal.SIGINT)
        strace.wait(10)
    peer.wait_for("f", timeout=30)


@pytest.mark.parametrize("name", ["f", "renamed"])
@pytest.mark.parametrize("size", [5000, 3_000_000])
def test_a_write_with_a_forged_time_while_the_peer_is_down(suite, size, name):
    """Its hashes are corrected without a reader; a file of which only the times change stays shared meanwhile."""
    old, new = b"a" * size, b"b" * size
    peer = suite.peer(files={"f": old, "touched": old})
    peer.kill()
    path = peer.shared / "f"
    before = path.stat()
    with open(path, "r+b") as file:
        file.write(new)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    path.rename(peer.shared / name)
    (peer.shared / "touched").chmod(0o600)
    peer = suite.peer()
    with peer.client() as client:
        wait_until(lambda: [e.name for e in client.list_all()] == [name.encode(), b"touched"], what="both listed")
        root = client.meta("touched").root
        wait_until(lambda: client.meta(name).root != root, what="the new bytes are described")
        assert client.meta("touched").root == root
        assert client.fetch(name) == new


def test_files_that_were_touched_while_the_peer_was_down_stay_listed(suite):
    files = {f"d/{i}": os.urandom(1_500_000) for i in range(30)}
    peer = suite.peer(files=files)
    peer.stop()
    subprocess.run(["chmod", "-R", "o-r", peer.shared / "d"], check=True)
    peer = suite.peer()
    with peer.client() as client:
        wait_until(lambda: len(client.list_all()) == 30, what="all listed")
        before = [client.meta(name).version for name in files]
        for _ in range(20):
            assert len(client.list_all()) == 30
        assert [client.meta(name).version for name in files] == before


def test_a_name_that_comes_back_goes_on_with_its_numbers(suite):
    """Other peers have signed and seen (name, version): it never stands for another content, however often a file
    is deleted.
    """
    peer = suite.peer(files={"a.txt": b"0", "stays.txt": b"the folder is never empty"})

    def version():
        with peer.client() as client:
            return client.meta("a.txt").version

    def is_removed():
        with sqlite3.connect(f"file:{peer.shared}/.p2p/index.db?mode=ro", uri=True) as index:
            return index.execute("SELECT root IS NULL FROM files WHERE name = 'a.txt'").fetchone() == (1,)

    assert version() == 1
    for number in (2, 3):
        (peer.shared / "a.txt").unlink()
        wait_until(is_removed, 60, "the removal")
        if number == 3:
            peer.stop()
            peer = suite.peer()
        (peer.shared / "a.txt").write_bytes(b"%d" % number)
        peer.wait_for("a.txt")
        assert version() == number


def test_a_file_is_not_shared_under_its_new_name_if_it_cannot_be_read(suite):
    """It is renamed a moment after its permissions were taken away."""
    names = [f"f{i}" for i in range(20)]
    peer = suite.peer(files={**{name: name.encode() for name in names}, "empty": b"", "keep": b"keep"})

    def listed():
        with peer.client() as client:
            return sorted(e.name.decode() for e in client.list_all())

    for name in [*names, "empty"]:
        os.chmod(peer.shared / name, 0)
        os.rename(peer.shared / name, peer.shared / f"new {name}")
    (peer.shared / "later").write_bytes(b"later")
    peer.wait_for("later")
    wait_until(lambda: listed() == ["keep", "later"], 30, "only what can be read")
    for name in [*names, "empty"]:
        os.chmod(peer.shared / f"new {name}", 0o600)
    wait_until(lambda: len(listed()) == 23, 30, "all of them")


def test_a_file_that_cannot_be_read_is_not_promised_for_later(suite):
    """The same for a peer whose index another program writes."""
    ui = suite.ui()
    wait_until(lambda: ui.api.json("/api/status")["shared_state"] == "ok", what="the dashboard owns the index")
    (ui.shared / "secret").write_bytes(b"secret")
    (ui.shared / "secret").chmod(0)
    peer = suite.peer(files={"f": b"x"})
    peer.wait_for("f")
    run = suite.get("secret", peer, timeout=60)
    assert run.returncode == 3, (run.returncode, run.stderr)

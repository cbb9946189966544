"""Downloads that are repeated, and files that move or disappear for a moment at their source."""

import os
import shutil
import time

import pytest

from file_systems import tmpfs
from getting import CHUNK, Getter, visible
from p2pwire import msg
from p2pwire.server import File, Server

DATA = os.urandom(9 * CHUNK + 777)
MTIME = 1_700_000_000  # the answer of the server


class Counting(Server):
    @property
    def gets(self):
        return sum(isinstance(m, msg.Get) for m in self.requests)

    def change(self, name, data):
        old = self.files.pop(name, None)
        if old:
            del self.by_root[old.root]
        if data is not None:
            self.files[name] = File(name, data, 1 << 20)
            self.by_root[self.files[name].root] = self.files[name]


def test_a_file_again_is_already_there(suite):
    """Nothing is downloaded, and this is no failure; a changed file is downloaded once, and then not again."""
    with Counting({"f.bin": DATA}) as server:
        assert suite.get("f.bin", server).returncode == 0
        before = server.gets
        for _ in range(2):
            run = suite.get("f.bin", server)
            assert run.returncode == 0 and "already there" in run.stderr, run.stderr
            assert run.stdout.strip().endswith("out/f.bin")
        assert server.gets == before and visible(suite.folder / "out") == ["f.bin"]
        server.change("f.bin", DATA[::-1])
        for _ in range(3):
            assert suite.get("f.bin", server).returncode == 0
        assert visible(suite.folder / "out") == ["f (1).bin", "f.bin"]
        assert (suite.folder / "out" / "f (1).bin").read_bytes() == DATA[::-1]
        assert (suite.folder / "out" / "f.bin").read_bytes() == DATA


def test_a_folder_again(suite):
    """`p2p get p/` again after a change: one new copy, however often it runs."""
    files = {"p/a.txt": b"one", "p/b.txt": b"two", "p/large": os.urandom(5 << 20)}
    with Counting(files) as server:
        assert suite.get("p/", server).returncode == 0
        before = server.gets
        assert suite.get("p/", server).returncode == 0
        assert server.gets == before
        changed = os.urandom(5 << 20)
        server.change("p/a.txt", b"three")
        server.change("p/large", changed)
        for _ in range(3):
            assert suite.get("p/", server).returncode == 0
        assert visible(suite.folder / "out" / "p") == ["a (1).txt", "a.txt", "b.txt", "large", "large (1)"]
        assert (suite.folder / "out/p/large (1)").read_bytes() == changed


@pytest.mark.parametrize("how", ["overwrite", "skip"])
def test_a_folder_is_brought_up_to_date_or_left(suite, how):
    files = {"p/a.txt": b"one", "p/b.txt": b"two", "p/large": os.urandom(5 << 20)}
    more = ["--on-conflict", how]
    with Counting(files) as server:
        assert suite.get("p/", server, more=more).returncode == 0
        server.change("p/a.txt", b"three")
        server.change("p/large", bytes(5 << 20))
        for _ in range(2):
            assert suite.get("p/", server, more=more).returncode == 0
        out = suite.folder / "out" / "p"
        assert visible(out) == ["a.txt", "b.txt", "large"]
        assert (out / "a.txt").read_bytes() == (b"three" if how == "overwrite" else b"one")
        assert (out / "large").read_bytes() == (bytes(5 << 20) if how == "overwrite" else files["p/large"])


def test_overwrite_replaces_only_what_was_verified(suite):
    """A failed download keeps the old file; a folder with this name is never replaced."""

    class Liar(Counting):
        def on_get(self, connection, request):
            connection.send(msg.Data(request.req, 0, 0, bytes(request.length)))

    out = suite.folder / "out"
    out.mkdir()
    (out / "f.bin").write_bytes(b"old")
    more = ["--on-conflict", "overwrite"]
    with Liar({"f.bin": DATA}) as liar:
        assert suite.get("f.bin", liar, more=more).returncode != 0
        assert (out / "f.bin").read_bytes() == b"old"
    with Counting({"f.bin": DATA}) as server:
        run = suite.get("f.bin", server, more=["--on-conflict", "skip"])
        assert run.returncode == 0 and server.gets == 0, run.stderr
        assert (out / "f.bin").read_bytes() == b"old"
        assert suite.get("f.bin", server, more=more).returncode == 0
        assert (out / "f.bin").read_bytes() == DATA
        (out / "f.bin").unlink()
        (out / "f.bin").mkdir()
        before = server.gets
        assert suite.get("f.bin", server, more=more).returncode != 0
        assert server.gets == before and (out / "f.bin").is_dir()
    assert suite.get("x", "127.0.0.1:1", more=["--on-conflict", "ask"]).returncode == 2


def test_what_is_there_needs_no_space(suite):
    with Counting({"f.bin": DATA}) as server, tmpfs(suite.folder / "disk", "size=1m") as disk:
        assert suite.get("f.bin", server, out="disk").returncode == 0
        with open(disk / ".ballast", "wb") as ballast:
            ballast.write(bytes(shutil.disk_usage(disk).free))
        run = suite.get("f.bin", server, out="disk", timeout=30)
        assert run.returncode == 0 and "already there" in run.stderr, run.stderr


def test_times_are_kept(suite):
    """The time of a file, and of small and large files of a folder; a time in the future is not used."""
    files = {"f.bin": DATA, "p/small": b"x", "p/large": os.urandom(5 << 20)}
    with Server(files) as server:
        assert suite.get("f.bin", server).returncode == 0
        assert suite.get("p/", server).returncode == 0
    for name in ("f.bin", "p/large"):
        assert int((suite.folder / "out" / name).stat().st_mtime) == MTIME

    class Tomorrow(Server):
        def meta_of(self, req, file):
            meta = super().meta_of(req, file)
            meta.mtime = int(time.time()) + 86400
            return meta

    with Tomorrow({"g.bin": DATA}) as server:
        assert suite.get("g.bin", server).returncode == 0
        assert (suite.folder / "out" / "g.bin").stat().st_mtime < time.time() + 60


def test_a_file_that_moves_at_its_source(suite):
    """The name is gone and the connections are closed: the same bytes come from the new name."""
    peer = suite.peer(files={"f.bin": os.urandom(8 << 20)})
    data = (suite.folder / "peer" / "shared" / "f.bin").read_bytes()
    getter = Getter(suite, "--from", peer.where, "--limit-rate", "2M")
    getter.wait_for(2 << 20)
    shared = suite.folder / "peer" / "shared"
    (shared / "sub").mkdir()
    (shared / "f.bin").rename(shared / "sub" / "g.bin")
    said, status = getter.finish()
    assert status == 0, said
    assert (suite.folder / "out" / "f.bin").read_bytes() == data


class Vanishing(Counting):
    """Says for a while after the first bytes that it does not have the file."""

    gone_until = None

    def find(self, request):
        return None if self.gone_until and time.monotonic() < self.gone_until else super().find(request)

    def on_get(self, connection, request):
        if self.gone_until is None and request.offset > 3 * CHUNK:
            self.gone_until = time.monotonic() + 3
        if self.gone_until and time.monotonic() < self.gone_until:
            connection.send(msg.Error(request.req, 1, b"gone"))
            return
        super().on_get(connection, request)


def test_a_file_that_is_gone_for_a_moment(suite):
    """The file is requested again, and the user is told when."""
    with Vanishing({"f.bin": DATA}, chunk_size=CHUNK) as server:
        run = suite.get("f.bin", server)
        assert run.returncode == 0, run.stderr
        assert "retrying in" in run.stderr, run.stderr
        assert (suite.folder / "out" / "f.bin").read_bytes() == DATA


def test_somebody_cleans_up_during_a_download(suite):
    """The data is removed during the download: the download starts again, and says so."""

    class Slow(Server):
        def on_get(self, connection, request):
            time.sleep(0.2)
            super().on_get(connection, request)

    with Slow({"f.bin": DATA}, chunk_size=CHUNK) as server:
        getter = Getter(suite, "--from", server.where, "--connections", "1")
        getter.wait_until(lambda said: said["verified"] >= 2 * CHUNK)
        shutil.rmtree(suite.folder / "out" / ".p2p")
        said, status = getter.finish()
        assert status == 0, said
        assert (suite.folder / "out" / "f.bin").read_bytes() == DATA


@pytest.mark.parametrize("protocol", [1, 2])
def test_holes_arrive_as_holes(suite, protocol):
    """A sparse file uses about as much disk space at the receiver as at the sender, and gets its time."""
    mib = 1 << 20
    peer = suite.peer()
    with open(peer.shared / "disk.img", "wb") as file:
        file.write(b"head" * 1000)
        file.seek(40 * mib)
        file.write(os.urandom(mib))
        file.truncate(100 * mib + 5)
    peer.wait_for("disk.img", timeout=60)
    run = suite.get("disk.img", peer, more=["--protocol", str(protocol)])
    assert run.returncode == 0, run.stderr
    source, copy = peer.shared / "disk.img", suite.folder / "out" / "disk.img"
    assert copy.read_bytes() == source.read_bytes()
    if protocol == 2:  # the other version has neither hashes of chunks nor times
        assert copy.stat().st_blocks * 512 < 8 * mib
        assert int(copy.stat().st_mtime) == int(source.stat().st_mtime)


def test_zeros_are_not_asked_for(suite):
    mib = 1 << 20  # the server's chunks
    data = os.urandom(mib) + bytes(20 * mib) + os.urandom(mib + 5)
    with Counting({"f.bin": data}) as server:
        assert suite.get("f.bin", server).returncode == 0
        asked = sum(m.length for m in server.requests if isinstance(m, msg.Get))
        assert asked <= 4 * mib
    assert (suite.folder / "out" / "f.bin").read_bytes() == data


def test_a_hole_in_the_place_of_older_bytes(suite):
    """Bytes of an interrupted download are where the new content has zeros."""
    old = os.urandom(24 << 20)
    new = bytes(12 << 20) + old[12 << 20 :]
    out = suite.folder / "out"
    with Counting({"f.bin": new}) as server:
        (out / ".p2p").mkdir(parents=True)
        part = out / ".p2p" / f"{server.files['f.bin'].root.hex()}.part"
        part.write_bytes(old)
        run = suite.get("f.bin", server)
        assert run.returncode == 0, run.stderr
    assert (out / "f.bin").read_bytes() == new

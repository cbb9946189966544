"""A large file that was here in an older version: what moves is the difference, counted on the wire."""

import json
import os
import socket
import threading

import pytest

from conftest import wait_until
from getting import visible
from p2pwire import msg
from p2pwire.server import Server
from p2pwire.tree import BLOCK, sha256, sum_of
from test_mirror import Mirror

OLD = os.urandom(50 << 20)
MIDDLE = len(OLD) // 2
NEW = OLD[:MIDDLE] + os.urandom(100) + OLD[MIDDLE:]
# The leaves of 26 chunks are 60 KB, the layer 1.6 KB, a literal two blocks. rsync moves its own blocks of 7 KB, and
# about as many sums.
LITTLE = 200_000


class Wire:
    """Stands between a client and a peer, and counts the bytes of both directions."""

    def __init__(self, target):
        self.target, self.moved = target, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.where = f"127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.create_connection(self.target)
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def _pump(self, one, other):
        try:
            while data := one.recv(1 << 16):
                self.moved += len(data)
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            other.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()


def last_of(run):
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


def test_a_hundred_bytes_in_the_middle(suite):
    peer = suite.peer(files={"f.bin": NEW})
    out = suite.folder / "out"
    out.mkdir()
    (out / "f.bin").write_bytes(OLD)
    with Wire(peer.address) as wire:
        end = last_of(suite.get("f.bin", wire, more=["--json"]))
        assert (out / "f (1).bin").read_bytes() == NEW
        assert wire.moved < LITTLE, f"{wire.moved} bytes"
        assert end["received"] < wire.moved and end["reused"] > len(NEW) - 3 * BLOCK, end
    # Replaced, and said to people.
    with Wire(peer.address) as wire:
        run = suite.get("f.bin", wire, more=["--on-conflict", "overwrite"])
        assert run.returncode == 0 and "the rest was here" in run.stderr, run.stderr
        assert (out / "f.bin").read_bytes() == NEW and wire.moved < LITTLE
    assert visible(out) == ["f (1).bin", "f.bin"]


def test_a_mirror_moves_little(suite):
    old, small = OLD[: 12 << 20], OLD[-(2 << 20) :]
    new = old[: 5 << 20] + b"inserted" + old[5 << 20 :]
    peer = suite.peer(files={"disk/image": old, "disk/small": small})
    shared = peer.folder / "shared" / "disk"
    with Wire(peer.address) as wire:
        mirror = Mirror(suite, wire, "disk")
        mirror.wait("in_step", what=lambda job: job["files"] == 2)
        before = wire.moved
        (shared / ".new").write_bytes(new)
        os.replace(shared / ".new", shared / "image")
        wait_until(lambda: mirror.files() == {"image": new, "small": small}, 60, "the new version")
        assert wire.moved - before < LITTLE, f"{wire.moved - before} bytes"
        # Renamed: both are here already.
        mirror.wait("in_step")
        before = wire.moved
        (shared / "moved").mkdir()
        (shared / "image").rename(shared / "moved" / "an image")
        (shared / "small").rename(shared / "moved" / "small one")
        moved = {"moved/an image": new, "moved/small one": small}
        wait_until(lambda: mirror.files() == {"image": new, "small": small, **moved}, 60, "the new names")
        assert wire.moved - before < LITTLE, f"{wire.moved - before} bytes"


class WithLeaves(Server):
    """Also in Python, from docs/PROTOCOL.md."""

    refuses = False

    def more_handlers(self):
        return {msg.LeavesRequest: self.on_leaves}

    def on_info(self, connection, request):
        connection.send(msg.Info(request.req, 0, 4, self.name, b"p2pwire"))

    def on_leaves(self, connection, request):
        if self.refuses:
            connection.send(msg.Error(request.req, msg.MALFORMED, b"unknown message type"))
            return
        data = self.by_root[request.root].data
        blocks = [data[at * BLOCK : (at + 1) * BLOCK] for at in range(request.first, request.first + request.count)]
        leaves = [msg.Leaf(sha256(block), sum_of(block)) for block in blocks]
        connection.send(msg.Leaves(request.req, request.first, leaves))


@pytest.mark.parametrize("refuses", [False, True])
def test_a_server_written_from_the_specification(suite, refuses):
    old = OLD[: 3 << 20]
    new = old[:1000] + b"inserted" + old[1000:]
    out = suite.folder / "out"
    out.mkdir()
    (out / "f.bin").write_bytes(old)
    with WithLeaves({"f.bin": new}) as server:
        server.refuses = refuses
        end = last_of(suite.get("f.bin", server, more=["--json", "--on-conflict", "overwrite"]))
        assert (out / "f.bin").read_bytes() == new
        asked = sum(m.length for m in server.requests if isinstance(m, msg.Get))
        assert asked == len(new) if refuses else asked <= 2 * BLOCK, end

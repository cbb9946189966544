"""kill -9 of the downloader, of the peer and of both at random moments: each round ends with the right file."""

import contextlib
import hashlib
import os
import random
import re
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from conftest import BIN, LONG, NO_REGISTRY, environment, long_test, wait_until
from p2pwire import tree
from p2pwire.stream import Closed

ROUNDS = 200 if LONG else 4
PEER_OPTIONS = ("--chunk-size", "16K", "--limit-rate", "32M")


class World:
    """A peer that is started again when it was killed, and downloads from it into `out`."""

    def __init__(self, suite, data):
        self.suite, self.out = suite, suite.folder / "out"
        self.peer = suite.peer(*PEER_OPTIONS, files={"f.bin": data})
        self.kills = {"getter": 0, "peer": 0}

    def begin(self):
        command = [
            BIN / "p2p", "get", "f.bin", "--from", self.peer.where, "--discovery", NO_REGISTRY, "--timeout", "5",
            "--output-dir", self.out, "--keys-dir", self.suite.folder / "cli" / "keys",
        ]  # fmt: skip
        self.getter = subprocess.Popen(
            list(map(str, command)), env=environment(self.suite.folder),
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def kill(self, victim):
        self.kills[victim] += (self.getter if victim == "getter" else self.peer.process).poll() is None
        if victim == "getter":
            self.getter.kill()
            self.getter.communicate()
        else:
            self.peer.kill()
            self.suite.programs.remove(self.peer)

    def restart_peer(self):
        self.peer = self.suite.peer(*PEER_OPTIONS, port=self.peer.port)

    def finish(self):
        """The running download, and further ones until one has succeeded."""
        for _ in range(5):
            _, text = self.getter.communicate(timeout=60)
            if self.getter.returncode == 0:
                return
            self.begin()
        pytest.fail(text)

    def left_over(self):
        return sorted(p.name for p in (self.out / ".p2p").rglob("*"))


def descriptors(program):
    return len(os.listdir(f"/proc/{program.pid}/fd"))


@pytest.mark.parametrize("who", ["getter", "peer", "both"])
def test_kill_9_at_random_moments(suite, who):
    data = os.urandom((16 << 20) + 4321)
    world = World(suite, data)
    seed = random.randrange(1 << 32)
    rng = random.Random(seed)
    left_over, idle = set(), descriptors(world.peer)
    for number in range(ROUNDS):
        where = f"seed {seed} round {number}"
        world.begin()
        for _ in range(rng.randint(1, 3)):
            time.sleep(rng.uniform(0, 0.6))
            victims = [who] if who != "both" else rng.sample(["getter", "peer"], 2)
            for victim in victims:
                world.kill(victim)
            if "peer" in victims:
                world.restart_peer()
            if "getter" in victims:
                world.begin()
        world.finish()
        names = [p.name for p in world.out.iterdir() if p.name != ".p2p"]
        left_over.update(world.left_over())
        # Killed after the file got its name, and started again: a second copy, which is also correct.
        assert set(names) <= {"f.bin"} | {f"f ({i}).bin" for i in range(1, 4)} and names, f"{where}: {names}"
        for name in names:
            assert (world.out / name).read_bytes() == data, f"{where}: {name}"
            (world.out / name).unlink()
    print(f"{who}: {ROUNDS} rounds, killed {world.kills}, left over {left_over}")
    assert not left_over
    assert descriptors(world.peer) <= idle + 2, "the peer holds what a killed downloader had"


def rows(peer, sql):
    """Rows of the peer's index; nothing while the index is being created."""
    with contextlib.suppress(sqlite3.OperationalError), contextlib.closing(
        sqlite3.connect(peer.shared / ".p2p" / "index.db", timeout=5)
    ) as db:
        return db.execute(sql).fetchall()
    return []


def bytes_read(program):
    text = Path(f"/proc/{program.pid}/io").read_text()
    return int(re.search(r"rchar: (\d+)", text).group(1))


DEADLINE_S = 240  # hashing in the background gets only the time that the tests beside this one leave


def run_in_slices(peer, condition, what):
    """Lets the peer run for moments only, until the condition holds while it stands still: so it is
    found in the middle of its work, however fast the machine is. Leaves it stopped."""
    end = time.monotonic() + DEADLINE_S
    while True:
        os.kill(peer.pid, signal.SIGSTOP)
        if condition():
            return
        assert time.monotonic() < end, f"{what} not met within {DEADLINE_S} s"
        time.sleep(0.05)
        os.kill(peer.pid, signal.SIGCONT)
        time.sleep(0.01)


@pytest.mark.parametrize("change", ["nothing", pytest.param("content", marks=long_test)])
def test_kill_9_while_a_large_file_is_hashed(suite, change):
    """After a restart, the peer continues with the tree and the SHA-256 where it stopped; not if the file changed."""
    size, piece = 1 << 30, os.urandom(1 << 20)
    path = suite.folder / "peer" / "shared" / "large"
    path.parent.mkdir(parents=True)
    with open(path, "wb") as file:
        for _ in range(size // len(piece)):  # no holes: those are hashed at once
            file.write(piece)
    for kind, where in ("tree", "at >= 0"), ("SHA-256", "at < 0"):
        peer = suite.peer(wait=False)
        run_in_slices(peer, lambda: rows(peer, f"SELECT at FROM progress WHERE {where}"), f"progress of the {kind}")
        peer.kill()
        suite.programs.remove(peer)
        if change == "content":
            break
    if change == "content":
        with open(path, "r+b") as file:
            file.seek(5 << 20)
            file.write(piece)
    peer = suite.peer(wait=False)
    digest = wait_until(lambda: (rows(peer, "SELECT sha256 FROM files") or [(None,)])[0][0], DEADLINE_S, "the SHA-256")
    read = bytes_read(peer)
    with open(path, "rb") as file:
        assert digest == hashlib.file_digest(file, "sha256").digest()
    if change == "nothing":
        assert read < size, "the tree was hashed again"
    else:
        assert read >= 2 * size, "what was hashed of the old content was believed"
    result = suite.get("large", peer)
    assert result.returncode == 0, result.stderr


def contents(peer):
    """Name, root and size of each listed file."""
    with contextlib.suppress(AssertionError, OSError, Closed), peer.client() as client:
        return {e.name.decode(): (e.root, e.size) for e in client.list_all()}
    return None


def test_a_commit_that_is_lost_after_the_registry_knew(suite):
    """The registry has the changes, and the index does not: the machine lost its power, or the peer was killed before
    the commit. Then the other way: the registry never got what the index has.
    """
    registry = suite.discovery()
    files = {"stays": b"s", "changes": b"c" * 3000, "forged": b"f" * 3000, "goes": b"g", "moves": b"m" * 2000}
    peer = suite.peer(files=files, discovery=registry)
    names = lambda: sorted(f for p in registry.registry.peers() for f in p["files"])  # noqa: E731
    wait_until(lambda: names() == sorted(files), 30, "all listed")
    peer.stop()
    suite.programs.remove(peer)
    private = peer.shared / ".p2p"
    before = (private / "index.db").read_bytes()
    peer = suite.peer(discovery=registry, port=peer.port)
    changed = {"stays": b"s", "changes": b"C" * 4000, "forged": b"F" * 3000, "new": os.urandom(300_000), "d/moved": b"m" * 2000}
    times = (peer.shared / "forged").stat()
    (peer.shared / "d").mkdir()
    (peer.shared / "moves").rename(peer.shared / "d" / "moved")
    (peer.shared / "goes").unlink()
    for name in ("changes", "forged", "new"):
        with open(peer.shared / name, "r+b" if name != "new" else "wb") as file:
            file.write(changed[name])
    os.utime(peer.shared / "forged", ns=(times.st_atime_ns, times.st_mtime_ns))
    right = {name: (tree.root_of(data), len(data)) for name, data in changed.items()}
    wait_until(lambda: contents(peer) == right and names() == sorted(changed), 60, "the registry knows the changes")
    peer.kill()
    suite.programs.remove(peer)
    for name in ("index.db-wal", "index.db-shm"):
        (private / name).unlink(missing_ok=True)
    (private / "index.db").write_bytes(before)
    peer = suite.peer(discovery=registry, port=peer.port)
    wait_until(lambda: contents(peer) == right and names() == sorted(changed), 60, "all agree without the commit")
    for name, data in changed.items():
        with peer.client() as client:
            assert client.fetch(name) == data, name

    os.kill(registry.pid, signal.SIGSTOP)  # the registry does not hear of the next changes
    try:
        (peer.shared / "late").write_bytes(b"late")
        (peer.shared / "new").unlink()
        del right["new"]
        right["late"] = (tree.root_of(b"late"), 4)
        wait_until(lambda: contents(peer) == right, 60, "the index has it")
        peer.kill()
        suite.programs.remove(peer)
    finally:
        os.kill(registry.pid, signal.SIGCONT)
    peer = suite.peer(discovery=registry, port=peer.port)
    wait_until(lambda: contents(peer) == right and names() == sorted(right), 60, "all agree without the message")

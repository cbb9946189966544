"""Programs of 0.1.0 with those of this version: registry, peer, command line and dashboard, in every pairing.

Needs a built source tree of the old version: P2P_OLD_TREE names one. With P2P_LONG_TESTS=1 it is made from the
history of this repository, which takes a minute.
"""

import contextlib
import itertools
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from conftest import BIN, LONG, NO_REGISTRY, ROOT, Peer, Program, environment, wait_until
from p2pwire.web import Dashboard, Registry

OLD_COMMIT = "444dad1"  # the last one of 0.1.0
SONG = os.urandom(6 << 20)
FILES = {"song.flac": SONG, "album/one.txt": b"one", "album/two.txt": b"two"}
PAIRINGS = [p for p in itertools.product(("old", "new"), repeat=3) if "old" in p]


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    """Where the programs of each version are."""
    old = os.environ.get("P2P_OLD_TREE")
    if not old and not LONG:
        pytest.skip("P2P_OLD_TREE=DIR names a built tree of 0.1.0; P2P_LONG_TESTS=1 builds one")
    if not old:
        old = tmp_path_factory.mktemp("old")
        archive = subprocess.run(["git", "archive", OLD_COMMIT], cwd=ROOT, capture_output=True)
        if archive.returncode != 0:
            pytest.skip("the history of this clone does not have 0.1.0")
        subprocess.run(["tar", "-x"], cwd=old, input=archive.stdout, check=True)
        subprocess.run(["make", "-s", "-j2"], cwd=old, check=True, capture_output=True)
    return {"old": Path(old) / "bin", "new": BIN}


class Machine:
    """Starts programs of either version, each in a folder of its own."""

    def __init__(self, trees, folder):
        self.trees, self.folder, self.programs = trees, folder, []

    def start(self, name, version, arguments, folder, kind=Program):
        where = self.folder / folder
        binaries = self.trees[version]
        if kind is Peer:
            program = Peer(where, arguments, binaries=binaries)
        else:
            program = Program(name, arguments, where, binaries=binaries)
        self.programs.append(program)
        return program

    def registry(self, version):
        program = self.start("p2p-discovery", version, ["--host", "127.0.0.1", "--port", 0], "registry")
        program.registry = Registry(program.url)
        return program

    def peer(self, version, registry, name="peer", files=FILES):
        shared = self.folder / name / "shared"
        for file, data in files.items():
            (shared / file).parent.mkdir(parents=True, exist_ok=True)
            (shared / file).write_bytes(data)
        shared.mkdir(parents=True, exist_ok=True)
        arguments = ["--host", "127.0.0.1", "--port", 0, "--shared-dir", shared, "--discovery", registry.url]
        arguments += ["--keys-dir", self.folder / name / "keys", "--no-mdns"]
        return self.start("p2p-peer", version, arguments, name, kind=Peer)

    def dashboard(self, version, registry, peer, name):
        folder = self.folder / name
        (folder / "downloads").mkdir(parents=True, exist_ok=True)
        arguments = ["--host", "127.0.0.1", "--port", 0, "--shared-dir", folder / "shared", "--peer-port", peer.port]
        arguments += ["--downloads-dir", folder / "downloads", "--keys-dir", folder / "keys"]
        arguments += ["--discovery", registry.url, "--web-dir", self.trees[version].parent / "web"]
        program = self.start("p2p-ui", version, arguments, name)
        token = folder / "keys" / "owner.token"
        program.api = Dashboard(program.url, token=token.read_text().strip() if token.is_file() else None)
        program.downloads = folder / "downloads"
        return program

    def command(self, version, *arguments):
        folder = self.folder / "cli"
        folder.mkdir(exist_ok=True)
        command = [self.trees[version] / "p2p", *map(str, arguments), "--keys-dir", folder / "keys"]
        return subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=environment(folder),
        )  # fmt: skip

    def p2p(self, version, *arguments):
        process = self.command(version, *arguments)
        out, err = process.communicate(timeout=90)
        assert process.returncode == 0, f"{arguments}: {process.returncode}\n{out}{err}"
        return out

    def stop(self):
        for program in reversed(self.programs):
            program.stop()


@pytest.fixture
def machine(trees, tmp_path):
    result = Machine(trees, tmp_path)
    yield result
    result.stop()


def is_listed(registry, name):
    return [p for p in registry.registry.peers(file=name) if p]


def arrived(folder):
    """The bytes below a folder, wherever the program keeps unfinished downloads."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            total += path.stat().st_blocks * 512 if path.is_file() else 0
    return total


@pytest.mark.parametrize("registry_is, peer_is, client_is", PAIRINGS, ids=["-".join(p) for p in PAIRINGS])
def test_the_command_line(machine, registry_is, peer_is, client_is):
    """Registry, peer, client: register, find, list, download a file and a folder, resume after an interruption."""
    registry = machine.registry(registry_is)
    peer = machine.peer(peer_is, registry)
    wait_until(lambda: is_listed(registry, "song.flac"), 30, "registered")
    out = machine.folder / "cli" / "got"
    ask = ["--discovery", registry.url]
    assert "song.flac" in machine.p2p(client_is, "search", "song", *ask)
    listed = machine.p2p(client_is, "ls", peer.where, "--discovery", NO_REGISTRY)
    assert all(name in listed for name in FILES)

    slow = machine.command(client_is, "get", "song.flac", "--output-dir", out, "--limit-rate", "300K", *ask)
    wait_until(lambda: arrived(out) > 1 << 20, 60, "a part of it")
    slow.send_signal(signal.SIGINT)
    slow.communicate(timeout=30)
    assert slow.returncode != 0 and not (out / "song.flac").exists()
    machine.p2p(client_is, "get", "song.flac", "--output-dir", out, *ask)
    assert (out / "song.flac").read_bytes() == SONG
    machine.p2p(client_is, "get", "album/", "--output-dir", out, *ask)
    assert (out / "album" / "two.txt").read_bytes() == b"two"


def test_a_mirror_of_an_old_peer(machine):
    """It tells no changes, so each round reads its list."""
    peer = machine.peer("old", machine.registry("old"))
    target, album = machine.folder / "copy", machine.folder / "peer" / "shared" / "album"
    ask = ("--discovery", NO_REGISTRY)
    machine.p2p("new", "mirror", "add", f"{peer.where}/album", "--to", target, "--delete", "--no-mdns", *ask)
    keeper = machine.command("new", "keeper", "--every", "1s", *ask)
    try:
        wait_until(lambda: (target / "two.txt").exists(), 60, "the files")
        (album / "one.txt").write_bytes(b"changed")
        (album / "three.txt").write_bytes(b"three")
        (album / "two.txt").unlink()
        right = {"one.txt": b"changed", "three.txt": b"three"}
        wait_until(lambda: {f.name: f.read_bytes() for f in target.glob("*.txt")} == right, 60, "the changes")
    finally:
        keeper.kill()
        keeper.communicate(timeout=30)


@pytest.mark.parametrize("registry_is, peer_is, client_is", PAIRINGS, ids=["-".join(p) for p in PAIRINGS])
def test_the_dashboard(machine, registry_is, peer_is, client_is):
    """The dashboard of a machine beside the peer of the same version there."""
    registry = machine.registry(registry_is)
    machine.peer(peer_is, registry)
    near = machine.peer(client_is, registry, "near", {"mine.txt": b"mine"})
    ui = machine.dashboard(client_is, registry, near, "near")
    wait_until(lambda: is_listed(registry, "song.flac") and is_listed(registry, "mine.txt"), 30, "registered")
    found = ui.api.json("/api/search?q=song")
    assert "song.flac" in json.dumps(found)
    answer = ui.api.request("POST", "/api/transfers", json={"filename": "song.flac"})
    assert answer.status_code in (200, 201), answer.text

    def done():
        one = ui.api.json(f"/api/transfers/{answer.json()['id']}")
        assert one["state"] not in ("failed", "canceled"), one
        return one["state"] == "completed"

    wait_until(done, 60, "downloaded")
    assert (ui.downloads / "song.flac").read_bytes() == SONG


@pytest.mark.parametrize("first, then", [("old", "new"), ("new", "old")])
def test_a_device_changes_its_version(machine, first, then):
    """Upgrade and downgrade with the same keys and shared folder: the id and the shared files stay, and other
    peers do not see a stranger.
    """
    registry = machine.registry("new")
    peer = machine.peer(first, registry)
    wait_until(lambda: is_listed(registry, "song.flac"), 30, "registered")
    was = peer.peer_id
    machine.p2p("new", "get", "song.flac", "--discovery", registry.url, "--output-dir", machine.folder / "a")
    peer.stop()
    again = machine.peer(then, registry)
    assert again.peer_id == was
    wait_until(lambda: [p for p in is_listed(registry, "song.flac") if p["port"] == again.port], 60, "registered again")
    machine.p2p("new", "get", "album/", "--discovery", registry.url, "--output-dir", machine.folder / "b")
    assert (machine.folder / "b" / "album" / "one.txt").read_bytes() == b"one"


def test_a_shared_folder_is_upgraded_and_downgraded(machine):
    """0.1.0 reads nothing of the versions and loses none; this version reads no file again."""
    registry = machine.registry("new")
    shared = machine.folder / "peer" / "shared"
    versions = shared / ".p2p" / "versions"

    def run(version):
        peer = machine.peer(version, registry, files={} if shared.exists() else FILES)
        wait_until(lambda: [p for p in is_listed(registry, "song.flac") if p["port"] == peer.port], 60, "registered")
        return peer

    def rows(name):
        run = subprocess.run(
            [BIN / "p2p", "history", name, "--json", "--shared-dir", shared],
            env=environment(machine.folder), cwd=machine.folder, capture_output=True, text=True,
        )  # fmt: skip
        return json.loads(run.stdout)["versions"] if run.returncode == 0 else []

    run("old").stop()
    index = (shared / ".p2p" / "index.db").stat().st_ino
    peer = run("new")
    assert (shared / ".p2p" / "index.db").stat().st_ino == index  # it is the same index, and not put aside
    wait_until(lambda: len([*versions.glob("??/" + "?" * 64)]) == 2, 60, "copies of the small files")
    (shared / "album/one.txt").write_bytes(b"one, changed")
    assert wait_until(lambda: rows("album/one.txt"), 60, "a version")[0]["kept"]
    peer.stop()

    peer = run("old")  # changes meanwhile have no version
    (shared / "album/two.txt").write_bytes(b"two, changed")
    wait_until(lambda: is_listed(registry, "album/two.txt"), 60, "served by 0.1.0")
    machine.p2p("new", "get", "album/", "--discovery", registry.url, "--output-dir", machine.folder / "c")
    assert (machine.folder / "c" / "album" / "one.txt").read_bytes() == b"one, changed"
    peer.stop()
    assert (shared / ".p2p" / "index.db").stat().st_ino == index

    run("new")
    assert rows("album/one.txt")[0]["kept"]
    restored = [BIN / "p2p", "restore", "album/one.txt", "--shared-dir", shared]
    subprocess.run(restored, env=environment(machine.folder), cwd=machine.folder, check=True, capture_output=True)
    assert (shared / "album/one.txt").read_bytes() == b"one"

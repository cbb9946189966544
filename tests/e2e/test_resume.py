"""`p2p get` killed, interrupted, and started again with a state that may be damaged."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from conftest import BIN, NO_REGISTRY, environment, long_test, wait_until
from getting import Getter, visible
from p2pwire.client import Refused
from p2pwire.server import Server


class Slow(Server):
    """A slow server, so that a kill happens during the download; counts what it sends."""

    sent = 0

    def on_get(self, connection, request):
        time.sleep(0.02)
        self.sent += request.length
        super().on_get(connection, request)


def test_kill_9_and_resume(suite):
    data = os.urandom(24 << 20)
    out = suite.folder / "out"
    with Slow({"f.bin": data}, chunk_size=1 << 18) as server:
        command = [
            BIN / "p2p", "get", "f.bin", "--from", server.where, "--discovery", NO_REGISTRY,
            "--output-dir", out, "--keys-dir", suite.folder / "cli" / "keys",
        ]  # fmt: skip
        for goal in (4 << 20, 10 << 20, 16 << 20):
            process = subprocess.Popen(
                list(map(str, command)),
                env=environment(suite.folder),
                cwd=suite.folder,
                stderr=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
            wait_until(lambda: server.sent > goal or process.poll() is not None, 60, "some bytes sent")
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert visible(out) == [], "no final name before it is complete"
        result = suite.get("f.bin", server)
        assert result.returncode == 0, result.stderr
        assert (out / "f.bin").read_bytes() == data
        assert server.sent < len(data) + (
            18 << 20
        ), f"{server.sent} bytes sent for {len(data)}: it began again"
    leftovers = [p for p in (out / ".p2p").rglob("*") if p.is_file() and p.stat().st_size > 1 << 20]
    assert not leftovers, "the data file was renamed, not copied"


def begin(suite, server):
    """A `p2p get f.bin` from this server that runs while the test goes on."""
    command = [BIN / "p2p", "get", "f.bin", "--from", server.where, "--discovery", NO_REGISTRY, "--output-dir", suite.folder / "out"]
    return subprocess.Popen(
        list(map(str, command)), env=environment(suite.folder), cwd=suite.folder, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )


def test_resume_from_another_source(suite):
    data = os.urandom(16 << 20)
    with Slow({"f.bin": data}, chunk_size=1 << 18) as first:
        process = begin(suite, first)
        wait_until(lambda: first.sent > 8 << 20, 60, "half of it sent")
        process.kill()
        process.wait()
    with Slow({"f.bin": data}, chunk_size=1 << 18) as second:
        assert suite.get("f.bin", second).returncode == 0
        assert (suite.folder / "out" / "f.bin").read_bytes() == data
        assert second.sent < 14 << 20


def test_resume_after_the_file_changed_is_a_new_download(suite):
    old, new = os.urandom(8 << 20), os.urandom(8 << 20)
    with Slow({"f.bin": old}, chunk_size=1 << 18) as server:
        process = begin(suite, server)
        wait_until(lambda: server.sent > 3 << 20, 60, "some of it sent")
        process.kill()
        process.wait()
    with Server({"f.bin": new}, chunk_size=1 << 18) as server:
        assert suite.get("f.bin", server).returncode == 0
        assert (suite.folder / "out" / "f.bin").read_bytes() == new


@pytest.mark.parametrize("damage", ["journal", "data"])
def test_damaged_state_is_detected(suite, damage):
    """Data on disk is not trusted: the result is right whatever happened to the unfinished download."""
    data = os.urandom(8 << 20)
    out = suite.folder / "out"
    with Slow({"f.bin": data}, chunk_size=1 << 18) as server:
        process = begin(suite, server)
        wait_until(lambda: server.sent > 4 << 20, 60, "half of it sent")
        process.kill()
        process.wait()
        files = sorted((p for p in (out / ".p2p").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
        victim = files[-1] if damage == "data" else files[0]
        content = bytearray(victim.read_bytes())
        content[: 1 << 20] = bytes(min(len(content), 1 << 20))
        victim.write_bytes(content)
        result = suite.get("f.bin", server)
        assert result.returncode == 0, result.stderr
        assert (out / "f.bin").read_bytes() == data


def test_interrupt_leaves_a_download_that_goes_on(suite):
    data = os.urandom(8 << 20)
    with Slow({"f.bin": data}, chunk_size=1 << 18) as server:
        process = begin(suite, server)
        wait_until(lambda: server.sent > 2 << 20, 60, "some of it sent")
        process.send_signal(signal.SIGINT)
        assert process.wait(10) != 0
        assert visible(suite.folder / "out") == []
        assert suite.get("f.bin", server).returncode == 0


class Stalling(Slow):
    """Stops sending in the middle."""

    def on_get(self, connection, request):
        if self.sent > 3 << 20:
            time.sleep(60)
        super().on_get(connection, request)


def test_unfinished_downloads_are_listed_and_removed(suite):
    data = os.urandom(8 << 20)
    folder = ["--output-dir", suite.folder / "out"]
    with Stalling({"f.bin": data}, chunk_size=1 << 18) as server:
        process = begin(suite, server)
        wait_until(lambda: server.sent > 2 << 20, 60, "some of it sent")
        [running] = json.loads(suite.p2p("unfinished", "--json", *folder).stdout)["unfinished"]
        assert running["running"]
        assert suite.p2p("unfinished", "remove", "f.bin", *folder).returncode != 0, "it is in use"
        process.kill()
        process.wait()
    [one] = json.loads(suite.p2p("unfinished", "--json", *folder).stdout)["unfinished"]
    assert one["name"] == "f.bin" and one["size"] == len(data) and not one["running"]
    assert 1 << 20 <= one["done"] < len(data)
    assert "f.bin" in suite.p2p("unfinished", *folder).stdout
    assert suite.p2p("unfinished", "remove", "g.bin", *folder).returncode != 0
    suite.p2p("unfinished", "remove", one["root"][:16], *folder, check=True)
    assert os.listdir(suite.folder / "out" / ".p2p") == []
    assert suite.p2p("unfinished", *folder).stdout == ""


def sparse_file(path, size):
    """Mostly a hole, with bytes that identify their position, some of them around 2^32."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        for place in (0, 1 << 31, (1 << 32) - 4096, (1 << 32) + 12345, size - 4096):
            if place + 4096 <= size:
                file.seek(place)
                file.write(os.urandom(4096))
        file.truncate(size)


def shared(client, name):
    try:
        return client.meta(name)
    except Refused:
        return None


@long_test
@pytest.mark.parametrize("size", [1 << 32, (5 << 30) + 4321])
def test_offsets_beyond_4_gib(suite, size):
    """Whole, killed in the middle, and resumed; the downloader's memory does not grow with the file."""
    sparse_file(suite.folder / "peer" / "shared" / "f.bin", size)
    peer = suite.peer(wait=False)
    with peer.client() as client:
        wait_until(lambda: shared(client, "f.bin"), 400, "the tree of the large file")
    out = suite.folder / "out" / "f.bin"
    getter = Getter(suite, "--from", peer.where)
    getter.wait_for(size // 3)
    status = Path(f"/proc/{getter.process.pid}/status").read_text()
    memory_kib = int(re.search(r"VmHWM:\s+(\d+)", status).group(1))
    getter.process.kill()
    getter.process.communicate()
    assert not out.exists()
    getter = Getter(suite, "--from", peer.where)
    last, status = getter.finish(300)
    assert status == 0, last
    assert last["received"] < size * 3 // 4, "it began again"
    assert subprocess.run(["cmp", peer.shared / "f.bin", out]).returncode == 0
    assert memory_kib < 128 << 10, f"{memory_kib} KiB"

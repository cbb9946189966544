"""Claims of a source cost the downloader next to nothing: space, memory, time."""

import os
import subprocess
import time

import pytest
from conftest import BIN, NO_REGISTRY, environment, wait_until
from getting import assert_failed
from p2pwire import msg
from p2pwire.keys import Identity
from p2pwire.server import Server
from test_faults import small_disk

MIB = 1 << 20
DATA = os.urandom(300 << 10)


class States(Server):
    """States that each file has `size` bytes in chunks of `chunk`; has endless hashes and no data."""

    size, chunk = 230 * MIB, 1 << 20

    def meta_of(self, req, file):
        meta = super().meta_of(req, file)
        meta.size, meta.chunk_size = self.size, self.chunk
        return meta


def used_by(folder):
    return sum(p.stat().st_blocks * 512 for p in folder.rglob("*") if p.is_file())


def test_a_size_that_is_not_the_announced_one_is_refused(suite):
    """The registry stated 300 KB, the source states 230 MiB."""
    discovery = suite.discovery()
    with States({"f.bin": DATA}, identity=Identity()) as server, small_disk(suite.folder / "out", "256m") as disk:
        file = server.files["f.bin"]
        entry = {"name": "f.bin", "size": len(DATA), "root": file.root.hex(), "sha256": None, "mtime": 1, "version": 1}
        answer = discovery.registry.register_signed(server.identity, server.address[1], [entry], 1)
        assert answer.status_code == 200, answer.text
        run = suite.p2p(
            "get", "f.bin", "--output-dir", disk, "--keys-dir", suite.folder / "cli" / "keys",
            "--discovery", discovery.url, "--no-mdns", "--timeout", "3",
        )  # fmt: skip
        assert run.returncode != 0
        assert "were announced" in run.stderr, run.stderr
        assert used_by(disk) < MIB


def test_a_stated_size_takes_one_step_of_the_disk(suite):
    with States({"f.bin": DATA}) as server, small_disk(suite.folder / "out", "256m") as disk:
        suite.get("f.bin", server, more=["--timeout", "2"], timeout=60)
        assert used_by(disk) <= 66 * MIB


@pytest.mark.parametrize("room", ["none", "enough"])
def test_a_vast_layer_takes_little_memory(suite, room):
    """256 GiB in chunks of 16 KiB are 512 MiB of hashes."""

    class Vast(States):
        size, chunk = (256 << 30 if room == "none" else 200 * MIB), 16 << 10

    with Vast({"f.bin": DATA}) as server, small_disk(suite.folder / "out", "256m") as disk:
        command = [
            BIN / "p2p", "get", "f.bin", "--from", server.where, "--output-dir", disk,
            "--keys-dir", suite.folder / "cli" / "keys", "--discovery", NO_REGISTRY, "--timeout", "2",
        ]  # fmt: skip
        (suite.folder / "cli").mkdir(exist_ok=True)
        getter = subprocess.Popen(
            list(map(str, command)), cwd=suite.folder / "cli", env=environment(suite.folder / "cli"),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            asked = lambda: any(isinstance(m, msg.MetaRequest) for m in server.requests)  # noqa: E731
            wait_until(asked, what="the first question")
            end, peak = time.monotonic() + 3, 0
            while time.monotonic() < end and getter.poll() is None:
                with open(f"/proc/{getter.pid}/status") as status:
                    lines = dict(line.split(":", 1) for line in status)
                peak = max(peak, int(lines.get("VmHWM", "0 kB").split()[0]))
                time.sleep(0.05)
            assert peak < 160 << 10  # KiB
            if room == "none":
                assert not any(isinstance(m, msg.LayerRequest) for m in server.requests)
        finally:
            getter.kill()
            getter.wait()


def test_some_of_the_disk_stays_free(suite):
    data = os.urandom(15 * MIB + 512 * 1024)
    with Server({"f.bin": data}) as server, small_disk(suite.folder / "out", "16m") as disk:
        free = os.statvfs(disk)
        assert free.f_bavail * free.f_frsize > len(data)
        with pytest.raises(subprocess.TimeoutExpired):  # it waits for room
            suite.get("f.bin", server, timeout=4)
        assert used_by(disk) < MIB
        run = suite.get("f.bin", server, more=["--keep-free", "0"])
        assert run.returncode == 0, run.stderr
        assert (disk / "f.bin").read_bytes() == data


class EndlessList(Server):
    """Endless pages, with files that were not requested."""

    pages = 0

    def on_list(self, connection, request):
        self.pages += 1
        name = b"other/%012d" % self.pages
        entry = msg.Entry(bytes(32), 1, 0, name)
        connection.send(msg.List(request.req, [entry], name))


def test_a_list_without_end_ends(suite):
    with EndlessList({"d/f": DATA}) as server:
        run = suite.get("d/", server, more=["--timeout", "3"], timeout=300)
        assert_failed(suite, run)
        assert server.pages <= 20000
    with Server({"d/f.bin": DATA}) as server:
        assert suite.get("d/", server).returncode == 0


def test_two_peers_with_one_identity(suite, tmp_path):
    """The second one is refused, and the first continues; another one may start after the first has ended."""
    first = suite.peer(files={"f": DATA})
    shared = tmp_path / "other"
    shared.mkdir()
    run = subprocess.run(
        [BIN / "p2p-peer", "--host", "127.0.0.1", "--port", "0", "--shared-dir", shared, "--keys-dir", first.keys,
         "--discovery", NO_REGISTRY, "--no-mdns"],
        capture_output=True, text=True, timeout=30, env=environment(tmp_path), cwd=tmp_path,
    )  # fmt: skip
    assert run.returncode == 1
    assert f"another p2p-peer uses {first.keys}; give this one its own --keys-dir" in run.stderr
    with first.client() as client:
        assert client.fetch("f") == DATA
    first.kill()
    suite.peer(files={"f": DATA})

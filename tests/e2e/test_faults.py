"""Full disks, files that change during a download, signals: the right file in the end, or none."""

import contextlib
import hashlib
import os
import resource
import signal
import subprocess
import threading
import time

import pytest

from clocks import Clock
from conftest import BIN, NO_REGISTRY, environment, wait_until
from p2pwire import msg
from p2pwire.server import Server


def get_command(suite, name, out, *sources):
    words = [
        BIN / "p2p",
        "get",
        name,
        "--output-dir",
        out,
        "--keys-dir",
        suite.folder / "cli" / "keys",
        "--discovery",
        NO_REGISTRY,
        "--timeout",
        "5",
    ]
    for source in sources:
        words += ["--from", source]
    return list(map(str, words))


def launch(suite, command):
    return subprocess.Popen(
        command,
        env=environment(suite.folder),
        cwd=suite.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def visible(folder):
    return sorted(p.name for p in folder.iterdir() if not p.name.startswith(".")) if folder.exists() else []


@contextlib.contextmanager
def small_disk(folder, size):
    folder.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_and_then_room(suite):
    """It reports this and waits, and continues automatically when there is room."""
    data = os.urandom(24 << 20)
    with Server({"f.bin": data}) as server, small_disk(suite.folder / "disk", "16m") as disk:
        log = suite.folder / "log"
        with open(log, "w") as text:
            getter = subprocess.Popen(
                get_command(suite, "f.bin", disk, server.where), env=environment(suite.folder), stderr=text
            )
        wait_until(lambda: "disk is full" in log.read_text(), 20, "the cause told")
        assert visible(disk) == [] and getter.poll() is None
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        assert getter.wait(60) == 0, log.read_text()
        assert (disk / "f.bin").read_bytes() == data


def test_a_folder_onto_a_full_disk_and_then_room(suite):
    """Small files and a large one: those that fit arrive; then it waits; then all of them arrive."""
    files = {f"d/{i:03}": os.urandom(200_000) for i in range(60)} | {"d/large": os.urandom(9 << 20)}
    with Server(files) as server, small_disk(suite.folder / "disk", "8m") as disk:
        log = suite.folder / "log"
        with open(log, "w") as text:
            getter = subprocess.Popen(
                get_command(suite, "d/", disk, server.where), env=environment(suite.folder), stderr=text
            )
        wait_until(lambda: "disk is full" in log.read_text(), 20, "the cause told")
        assert getter.poll() is None, log.read_text()
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        assert getter.wait(60) == 0, log.read_text()
        for name, data in files.items():
            assert (disk / name).read_bytes() == data
        assert list((disk / ".p2p").iterdir()) == []


def test_space_is_reserved_at_the_start(suite):
    """Another program fills the disk during the download: its space was reserved before the first byte."""
    data = os.urandom(24 << 20)

    class Slow(Server):
        def on_get(self, connection, request):
            time.sleep(0.1)
            super().on_get(connection, request)

    with Slow({"f.bin": data}) as server, small_disk(suite.folder / "disk", "32m") as disk:
        getter = launch(suite, get_command(suite, "f.bin", disk, server.where))
        wait_until(lambda: any(isinstance(m, msg.Get) for m in server.requests), what="the first GET")
        with contextlib.suppress(OSError), open(disk / ".ballast", "wb") as ballast:
            for _ in range(32):
                ballast.write(bytes(1 << 20))
                ballast.flush()
        _, text = getter.communicate(timeout=60)
        assert getter.returncode == 0, text
        assert (disk / "f.bin").read_bytes() == data


def test_few_descriptors(suite):
    """accept() runs out of descriptors: the peer neither uses up the processor nor ends, and it recovers."""
    limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))  # noqa: E731
    peer = suite.peer(files={"f": b"served"})
    peer.stop()
    original = subprocess.Popen
    subprocess.Popen = lambda *a, **k: original(*a, **k, preexec_fn=limit)
    try:
        peer = suite.peer(name="peer", wait=False)
    finally:
        subprocess.Popen = original
    peer.wait_for("f")
    import socket

    crowd = []
    for _ in range(120):
        with contextlib.suppress(OSError):
            crowd.append(socket.create_connection(peer.address, 2))
    before = cpu_seconds(peer.pid)
    time.sleep(1.0)
    assert cpu_seconds(peer.pid) - before < 0.5, "it spins"
    for sock in crowd:
        sock.close()
    peer.wait_for("f")


def cpu_seconds(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_idle_daemons_rest(suite):
    """An idle program uses almost no processor time."""
    discovery = suite.discovery()
    peer = suite.peer(discovery=discovery, files={"f": b"x"})
    ui = suite.ui(discovery=discovery, peer=peer)
    time.sleep(1.5)
    programs = (discovery, peer, ui)
    before = {p.name: cpu_seconds(p.pid) for p in programs}
    time.sleep(4)
    for program in programs:
        assert (
            cpu_seconds(program.pid) - before[program.name] < 0.2
        ), f"{program.name} is busy with nothing"


def test_two_downloads_of_one_file_into_one_folder(suite):
    """Two downloads of one file: both end, and the file is right."""
    data = os.urandom(16 << 20)
    with Server({"f.bin": data}) as server:
        getters = [
            launch(suite, get_command(suite, "f.bin", suite.folder / "out", server.where)) for _ in range(2)
        ]
        for getter in getters:
            getter.communicate(timeout=60)
        assert 0 in [g.returncode for g in getters]
        names = visible(suite.folder / "out")
        assert names and set(names) <= {"f.bin", "f (1).bin"}
        for name in names:
            assert (suite.folder / "out" / name).read_bytes() == data


def test_folders_swapped_for_links_during_downloads(suite):
    """Another program replaces the state folder by a link again and again: nothing is written outside."""
    outside = suite.folder / "outside"
    outside.mkdir()
    (outside / "canary").write_bytes(b"untouched")
    out = suite.folder / "out"
    out.mkdir()
    stop = threading.Event()

    def swap():
        while not stop.is_set():
            with contextlib.suppress(OSError):
                (out / ".p2p").rename(out / ".away")
                (out / ".p2p").symlink_to(outside)
                time.sleep(0.001)
                (out / ".p2p").unlink()
                (out / ".away").rename(out / ".p2p")

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        with Server({"f.bin": os.urandom(1 << 20)}) as server:
            for _ in range(10):
                suite.get("f.bin", server, timeout=60)
    finally:
        stop.set()
        thread.join()
    assert [p.name for p in outside.iterdir()] == ["canary"]
    assert hashlib.sha256((outside / "canary").read_bytes()).digest() == hashlib.sha256(b"untouched").digest()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_to_a_download(suite, number):
    """It ends, and keeps its data for the next time."""
    data = os.urandom(8 << 20)

    class Slow(Server):
        def on_get(self, connection, request):
            time.sleep(0.2)
            super().on_get(connection, request)

    with Slow({"f.bin": data}, chunk_size=1 << 18) as server:
        getter = launch(suite, get_command(suite, "f.bin", suite.folder / "out", server.where))
        wait_until(lambda: len(server.requests) > 6, what="the download under way")
        getter.send_signal(number)
        assert getter.wait(15) != 0
        assert visible(suite.folder / "out") == []


def test_a_clock_that_is_set_during_a_download(suite):
    """A jump of three hours must not make an honest peer's records count as too old."""
    clock = Clock(suite.folder / "clock")
    data = os.urandom(3 << 20)
    peer = suite.peer(files={"f.bin": data})

    def jump():
        wait_until(lambda: list((suite.folder / "out").glob(".p2p/*.part")), what="the download runs")
        clock.set(3 * 3600)

    setter = threading.Thread(target=jump)
    setter.start()
    run = suite.get("f.bin", peer, env=clock.env, more=["--limit-rate", "1M", "--connections", "1"])
    setter.join()
    assert run.returncode == 0, run.stderr
    assert 3 * 3600 in clock.told().values(), "the download read the new time"
    assert (suite.folder / "out" / "f.bin").read_bytes() == data

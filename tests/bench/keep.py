#!/usr/bin/env python3
"""Measures old versions and mirrors, with rsync and cp beside them.

    tests/bench/keep.py versions|mirror [--files N] [--large MIB] [--changes N]

Prints one line for each measurement: what, a tab, the value. CPU time is that of all processes of the program; it says
more than seconds on a busy machine, so the load is printed, too. Programs listen on loopback only.
"""

import argparse
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / "bin"
LIMIT_S = 600
TICKS = os.sysconf("SC_CLK_TCK")


def say(what, value):
    print(f"{what}\t{value}", flush=True)


def wait_for(condition, pause=0.05):
    end = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(pause)


def cpu_of(pid):
    """Seconds of a process and all below it."""
    total = 0.0
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total = (int(fields[11]) + int(fields[12])) / TICKS
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                total += cpu_of(int(child))
    except OSError:
        pass
    return total


class Bench:
    def __init__(self, folder):
        self.folder, self.programs = folder, []
        self.env = {**os.environ, "HOME": str(folder), "P2P_HOME": str(folder / "home"), "P2P_RUN_AS_ROOT": "1"}

    def start(self, program, *words):
        """Returns the process and the rest of its ready line."""
        process = subprocess.Popen(
            [BIN / program, *map(str, words)], cwd=self.folder, env=self.env, text=True, stdout=subprocess.PIPE,
            stderr=open(self.folder / "log", "a"),
        )  # fmt: skip
        self.programs.append(process)
        return process, process.stdout.readline()

    def peer(self, shared):
        process, ready = self.start(
            "p2p-peer", "--host", "127.0.0.1", "--port", 0, "--shared-dir", shared, "--discovery", "none", "--no-mdns",
            "--keys-dir", self.folder / "peer-keys", "--log-level", "error",
        )  # fmt: skip
        return process, f"127.0.0.1:{re.search(r'port=([0-9]+)', ready)[1]}"

    def p2p(self, *words):
        run = subprocess.run(
            [BIN / "p2p", *map(str, words)], cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=LIMIT_S
        )
        assert run.returncode == 0, f"{words}: {run.stdout}{run.stderr}"
        return run.stdout

    def stop(self, process):
        process.terminate()
        process.wait(timeout=60)
        self.programs.remove(process)

    def close(self):
        for process in self.programs[:]:
            self.stop(process)


def make_files(folder, count):
    folder.mkdir(parents=True)
    for n in range(count):
        (folder / f"{n:06}").write_bytes(os.urandom(4096))


def has_all(bench, where, last):
    run = subprocess.run(
        [BIN / "p2p", "ls", where, "--discovery", "none", "--no-mdns", "--json"], cwd=bench.folder, env=bench.env,
        capture_output=True, text=True, timeout=LIMIT_S,
    )  # fmt: skip
    return last in run.stdout


def timed(call, rounds=5):
    took = []
    for _ in range(rounds):
        began = time.monotonic()
        call()
        took.append(time.monotonic() - began)
    return f"{statistics.median(took):.3f} s"


def indexing(bench, files, is_on):
    shared = bench.folder / ("on" if is_on else "off")
    make_files(shared / "f", files)
    bench.p2p("versions", "set", "on", "yes" if is_on else "no", "--shared-dir", shared)
    bench.p2p("versions", "set", "space", "90%", "--shared-dir", shared)
    name = f"{files:,} files of 4 KiB, versions {'on' if is_on else 'off'}"
    began = time.monotonic()
    peer, where = bench.peer(shared)
    wait_for(lambda: has_all(bench, where, f"{files - 1:06}"))
    say(f"{name}: first index until all are shared", f"{time.monotonic() - began:.1f} s, {cpu_of(peer.pid):.2f} core-s")
    if is_on:
        objects = shared / ".p2p" / "versions"
        before = cpu_of(peer.pid)
        wait_for(lambda: sum(len(os.listdir(d)) for d in objects.glob("??")) >= files, 0.5)
        say(f"{name}: copies of all of them", f"{1e6 * (cpu_of(peer.pid) - before) / files:.0f} us CPU each")
    bench.stop(peer)
    began = time.monotonic()
    peer, where = bench.peer(shared)
    wait_for(lambda: has_all(bench, where, f"{files - 1:06}"))
    say(f"{name}: restart until all are listed", f"{time.monotonic() - began:.1f} s, {cpu_of(peer.pid):.2f} core-s")
    bench.stop(peer)
    return shared


def versions(bench, options):
    indexing(bench, options.files, False)
    shared = indexing(bench, options.files, True)
    peer, _ = bench.peer(shared)
    changed = min(1000, options.files // 2)
    for n in range(changed):
        (shared / "f" / f"{n:06}").write_bytes(os.urandom(4096))
    here = ("--shared-dir", shared)
    rows = lambda: json.loads(bench.p2p("versions", "show", "--json", *here))["folders"][0]["versions"]  # noqa: E731
    wait_for(lambda: rows() >= changed, 1)
    bench.stop(peer)
    say("p2p history of a name, with the start of the program", timed(lambda: bench.p2p("history", "f/000000", *here)))
    then = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time.time() - 86400))
    rewind = ("restore", "f/", "--at", then, "--dry-run", *here)
    say(f"p2p restore f/ --dry-run, {changed:,} names with versions", timed(lambda: bench.p2p(*rewind), 3))
    restoring(bench, options)


def restoring(bench, options):
    """A large content, which a download has replaced."""
    there, here = bench.folder / "there", bench.folder / "here"
    for folder in (there, here):
        folder.mkdir()
        (folder / "film").write_bytes(os.urandom(options.large << 20))
    shutil.copyfile(here / "film", bench.folder / "plain")
    bench.p2p("versions", "set", "space", "90%", "--shared-dir", here)
    peer, where = bench.peer(there)
    wait_for(lambda: has_all(bench, where, "film"))
    bench.p2p("get", "film", "--from", where, "--output-dir", here, "--on-conflict", "version", "--discovery", "none")
    bench.stop(peer)
    restore = ("restore", "film", "--version", 1, "--shared-dir", here)
    say(f"p2p restore of {options.large} MiB, checked and flushed", timed(lambda: bench.p2p(*restore), 3))

    def copy():
        shutil.copyfile(bench.folder / "plain", bench.folder / "copy")
        subprocess.run(["sync", bench.folder / "copy"], check=True, timeout=LIMIT_S)
        subprocess.run(["sha256sum", bench.folder / "copy"], check=True, stdout=subprocess.DEVNULL, timeout=LIMIT_S)

    say(f"cp of {options.large} MiB, sync and sha256sum", timed(copy, 3))


def rsync_daemon(bench, shared):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = bench.folder / "rsync.conf"
    config.write_text(f"use chroot = no\nuid = {os.getuid()}\ngid = {os.getgid()}\n[s]\npath = {shared}\nread only = yes\n")
    process = subprocess.Popen(
        ["rsync", "--daemon", "--no-detach", "--address", "127.0.0.1", "--port", str(port), "--config", config]
    )
    bench.programs.append(process)
    url = f"rsync://127.0.0.1:{port}/s/"
    wait_for(lambda: subprocess.run(["rsync", url], capture_output=True, timeout=60).returncode == 0)
    return process, url


def mirror(bench, options):
    shared = bench.folder / "shared"
    make_files(shared / "f", options.files)
    peer, where = bench.peer(shared)
    wait_for(lambda: has_all(bench, where, f"{options.files - 1:06}"))
    name = f"{options.files:,} files of 4 KiB"
    ask = ("--discovery", "none", "--no-mdns")

    out = bench.folder / "got"
    get = lambda: bench.p2p("get", "f/", "--from", where, "--output-dir", out, "--discovery", "none")  # noqa: E731
    say(f"{name}: p2p get", timed(get, 1))
    daemon, url = rsync_daemon(bench, shared / "f")

    def run():
        subprocess.run(["rsync", "-a", "--delete", url, f"{bench.folder}/rsynced/"], check=True, timeout=LIMIT_S)
        subprocess.run(["sync", "-f", bench.folder], check=True, timeout=LIMIT_S)

    say(f"{name}: rsync -a --delete and sync, no encryption", timed(run, 1))
    say(f"{name}, unchanged: rsync", timed(run, 3))
    bench.stop(daemon)

    target = bench.folder / "copy"
    added = json.loads(bench.p2p("mirror", "add", f"{where}/f", "--to", target, "--delete", "--json", *ask))
    status = lambda: json.loads(bench.p2p("mirror", "status", added["id"], "--json"))  # noqa: E731
    began = time.monotonic()
    keeper, _ = bench.start("p2p", "keeper", "--discovery", "none")
    wait_for(lambda: status()["state"] == "in_step", 0.2)
    say(f"{name}: mirror, first time", f"{time.monotonic() - began:.1f} s, {cpu_of(keeper.pid):.2f} core-s")

    before, began, at = cpu_of(keeper.pid), time.monotonic(), status()["checked_at"]
    wait_for(lambda: int(time.time()) > at + 1)
    began = time.monotonic()
    bench.p2p("mirror", "check", added["id"])
    wait_for(lambda: status()["checked_at"] > at, 0.1)
    took = time.monotonic() - began
    say(f"{name}, unchanged: a round of the mirror", f"{took:.1f} s, {cpu_of(keeper.pid) - before:.2f} core-s")

    late = []
    for n in range(options.changes):
        began = time.monotonic()
        (shared / "f" / f"new {n}").write_bytes(b"news %d" % n)
        wait_for(lambda n=n: (target / f"new {n}").exists(), 0.01)
        late.append(time.monotonic() - began)
    late.sort()
    say(
        f"{name}: a new file, until it is at the mirror",
        f"median {statistics.median(late):.2f} s, p95 {late[int(0.95 * (len(late) - 1))]:.2f} s",
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=["versions", "mirror"])
    parser.add_argument("--files", type=int, default=10000)
    parser.add_argument("--large", type=int, default=256, help="MiB")
    parser.add_argument("--changes", type=int, default=20)
    options = parser.parse_args()
    say("load of the machine before", f"{os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory(prefix="p2p-bench-") as folder:
        bench = Bench(Path(folder))
        (bench.folder / "home").mkdir()
        try:
            globals()[options.part](bench, options)
        finally:
            bench.close()
    say("load of the machine after", f"{os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()

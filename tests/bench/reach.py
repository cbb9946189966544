#!/usr/bin/env python3
"""Measures a download between two homes behind routers: through the relay, or over a channel.

    tests/bench/reach.py [--path relay|channel] [--delay MS] [--mbit N] [--loss PERCENT] [--size MIB] [--rounds N]

--delay is one way; the round trip is twice that. Prints one line per round: seconds, MB/s, and the CPU time of the
relay in core-seconds per GB, and the most memory of both ends. Needs root, iproute2, nftables, and `make bench`.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "net"))

from networld import Unavailable, world  # noqa: E402

BIN = ROOT / "bin"
SECRET = "a secret of this measurement alone\n"


class Bench:
    def __init__(self, made, folder):
        self.made, self.folder, self.programs = made, folder, []
        self.public, self.far, self.near = made.public[0], *(home.machine for home in made.homes)
        self.env = {**os.environ, "P2P_RUN_AS_ROOT": "1", "HOME": str(folder)}

    def start(self, machine, program, *words):
        """Returns the process and the port of its ready line."""
        process = subprocess.Popen(
            [*machine.prefix, BIN / program, *map(str, words)], cwd=self.folder, env=self.env, text=True,
            stdout=subprocess.PIPE, stderr=open(self.folder / f"{program}.log", "a"),
        )  # fmt: skip
        self.programs.append(process)
        return process, int(re.search(r"[ _]port=(\d+)", process.stdout.readline())[1])

    def p2p(self, machine, keys, *words):
        return subprocess.run(
            [*machine.prefix, BIN / "p2p", *map(str, words), "--keys-dir", self.folder / keys, "--json"],
            cwd=self.folder, env=self.env, capture_output=True, text=True,
        )  # fmt: skip

    def open(self, size):
        (self.folder / "shared").mkdir()
        with open(self.folder / "shared" / "file", "wb") as out:
            for _ in range(size):
                out.write(os.urandom(1 << 20))
        secret = self.folder / "secret"
        secret.write_text(SECRET)
        self.relay, port = self.start(
            self.public, "p2p-relay", "--host", "0.0.0.0", "--port", 0, "--admin-port", 0, "--relay-secret-file", secret,
            "--limit-rate", "off",
        )  # fmt: skip
        where = f"{self.public.address}:{port}"
        _, port = self.start(
            self.public, "p2p-discovery", "--host", "0.0.0.0", "--port", 0, "--relay", where, "--relay-secret-file", secret
        )
        self.url = f"http://{self.public.address}:{port}"
        self.peer, _ = self.start(
            self.far, "p2p-peer", "--host", "0.0.0.0", "--port", 0, "--shared-dir", self.folder / "shared", "--keys-dir",
            self.folder / "far", "--discovery", self.url, "--heartbeat", "2s", "--no-mdns", "--no-port-map",
        )  # fmt: skip
        own = json.loads(self.p2p(self.near, "near", "id").stdout)["peer_id"]
        self.p2p(self.far, "far", "peers", "trust", own)
        for _ in range(600):
            found = self.p2p(self.near, "near", "search", "file", "--discovery", self.url, "--no-mdns").stdout
            if '"file"' in found:
                return
            time.sleep(0.1)
        raise SystemExit("the peer did not register")

    def cpu(self, process):
        """CPU time of a daemon's parent and child so far, in seconds."""
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        ticks = 0
        for pid in [str(process.pid), *children]:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def round(self, path, number):
        before, began = self.cpu(self.relay), time.monotonic()
        words = ["get", "file", "--discovery", self.url, "--no-mdns", "--path", path, "--output-dir", f"out{number}", "--keys-dir", "near"]
        with open(self.folder / "printed", "w+") as out:
            client = subprocess.Popen([*self.near.prefix, BIN / "p2p", *words, "--json"], cwd=self.folder, env=self.env, stdout=out)
            _, client.returncode, used = os.wait4(client.pid, 0)
            seconds, cpu = time.monotonic() - began, self.cpu(self.relay) - before
            out.seek(0)
            printed = out.read()
        if client.returncode != 0:
            raise SystemExit(printed[-500:])
        size = (self.folder / f"out{number}" / "file").stat().st_size
        kind = json.loads(printed.splitlines()[-1])["sources"][0]["path"]["kind"]
        print(
            f"path={kind} seconds={seconds:.2f} MB/s={size / seconds / 1e6:.1f} relay_core_s_per_GB={cpu / size * 1e9:.2f} "
            f"downloader_MB={used.ru_maxrss * 1024 / 1e6:.1f} peer_MB={self.peak(self.peer) / 1e6:.1f}",
            flush=True,
        )

    def peak(self, process):
        """The most memory that a daemon's child has had, in bytes."""
        child = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0]
        return int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{child}/status").read_text())[1]) * 1024

    def close(self):
        for process in reversed(self.programs):
            process.terminate()
        for process in self.programs:
            process.wait()
            process.stdout.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--path", default="relay", choices=["relay", "channel"])
    parser.add_argument("--delay", default="20")
    parser.add_argument("--mbit", default="400")
    parser.add_argument("--loss", default="0")
    parser.add_argument("--size", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    opt = parser.parse_args()
    nats = ("symmetric", "symmetric") if opt.path == "relay" else ("port", "port")
    try:
        with world(nats, line=(opt.delay, opt.mbit, opt.loss)) as made, tempfile.TemporaryDirectory() as folder:
            bench = Bench(made, Path(folder))
            try:
                bench.open(opt.size)
                for number in range(opt.rounds):
                    bench.round(opt.path, number)
            finally:
                bench.close()
    except Unavailable as error:
        raise SystemExit(f"cannot make the namespaces: {error}") from error


if __name__ == "__main__":
    main()

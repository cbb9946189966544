#!/usr/bin/env python3
"""Compares the downloads of two builds of this project, in turns, and fails when the newer one is slower beyond the noise.

    tests/bench/regress.py OLD_TREE [NEW_TREE] [--size MIB] [--rounds N]

Both trees are built, with `make all bench`. A tree's own peer serves its own client the same file over loopback. The
first round is dropped. A round is a pair of times taken one after the other; the sign of the loss is judged by the
median of the pairs' ratios, and the noise by their spread (half of the distance between the quartiles).
Exit status 1: slower, or more CPU, by more than 5 % and by more than the noise.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parents[2]
TOLERANCE = 0.05


class Build:
    """One tree: its peer, and its client."""

    def __init__(self, tree, folder, file):
        self.tree, self.folder = Path(tree).resolve(), folder
        self.get = next(self.tree.glob("build/gcc/bench/bench_get"))
        (folder / "shared").mkdir(parents=True)
        os.link(file, folder / "shared" / "file")
        env = {**os.environ, "P2P_RUN_AS_ROOT": "1", "HOME": str(folder)}
        words = ["--host", "127.0.0.1", "--port", "0", "--shared-dir", folder / "shared", "--keys-dir", folder / "peer"]
        self.peer = subprocess.Popen(
            [self.tree / "bin" / "p2p-peer", *words], cwd=folder, env=env, text=True, stdout=subprocess.PIPE,
            stderr=open(folder / "log", "w"),
        )  # fmt: skip
        self.port = int(re.search(r"[ _]port=(\d+)", self.peer.stdout.readline())[1])

    def fetch(self, mode):
        """Returns the seconds and the core-seconds of both ends."""
        for old in (self.folder / "dl").glob("**/file"):
            old.unlink()
        os.sync()
        before = self.peer_cpu()
        done = subprocess.run(
            [self.get, self.folder / "keys", self.folder / "dl", "file", f"127.0.0.1:{self.port}", mode, "4"],
            capture_output=True, text=True,
        )  # fmt: skip
        fields = dict(re.findall(r"(\w+)=([\d.]+)", done.stdout))
        if done.returncode != 0 or "verified_s" not in fields and "seconds" not in fields:
            raise SystemExit(f"{self.get}: {done.stdout}{done.stderr}")
        return float(fields["seconds"]), float(fields["core_s"]) + self.peer_cpu() - before

    def peer_cpu(self):
        """CPU time of the peer and its child so far, in seconds."""
        children = Path(f"/proc/{self.peer.pid}/task/{self.peer.pid}/children").read_text().split()
        ticks = 0
        for pid in [str(self.peer.pid), *children]:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def close(self):
        self.peer.terminate()
        self.peer.wait()
        self.peer.stdout.close()


def judge(what, pairs):
    """Prints the ratio new/old of a list of (old, new); returns whether it is a loss beyond the noise."""
    ratios = sorted(new / old for old, new in pairs)
    middle = statistics.median(ratios)
    low, _, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else (middle,) * 3
    noise = (high - low) / 2
    old, new = (statistics.median(values) for values in zip(*pairs))
    lost = middle > 1 + max(TOLERANCE, noise)
    print(f"{what:<28} old {old:7.2f}  new {new:7.2f}  ratio {middle:.3f} +- {noise:.3f}{'  LOSS' if lost else ''}", flush=True)
    return lost


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old")
    parser.add_argument("new", nargs="?", default=HERE)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=7)
    opt = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "file"
        with open(file, "wb") as out:
            for _ in range(opt.size):
                out.write(os.urandom(1 << 20))
        builds, lost = [], False
        try:
            for tree, name in ((opt.old, "old"), (opt.new, "new")):
                builds.append(Build(tree, Path(folder) / name, file))
            time.sleep(5)  # Both read the file to know its root.
            for mode in ("tree", "full"):
                rounds = []
                for number in range(opt.rounds + 1):
                    order = builds if number % 2 else builds[::-1]
                    done = {build: build.fetch(mode) for build in order}
                    rounds.append([done[build] for build in builds])
                for index, unit in enumerate(("s", "core-s")):
                    pairs = [(old[index], new[index]) for old, new in rounds[1:]]
                    lost |= judge(f"{mode}, {opt.size} MiB, {unit}", pairs)
        finally:
            for build in builds:
                build.close()
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())

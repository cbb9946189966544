"""Helpers for the tests of `p2p get`: a file, and the signs of success and failure."""

import json
import os
import subprocess
from pathlib import Path

from conftest import BIN, NO_REGISTRY, bounded, environment

CHUNK = 1 << 16
DATA = os.urandom(9 * CHUNK + 777)


def visible(folder):
    """The files that a user sees in the folder."""
    return (
        sorted(p.name for p in Path(folder).iterdir() if not p.name.startswith("."))
        if Path(folder).exists()
        else []
    )


def assert_fetched(suite, run, data=DATA, name="f.bin"):
    assert run.returncode == 0, run.stderr
    assert (suite.folder / "out" / name).read_bytes() == data
    assert visible(suite.folder / "out") == [name]


def assert_failed(suite, run, *words):
    assert run.returncode != 0, run.stdout + run.stderr
    assert visible(suite.folder / "out") == []
    for word in words:
        assert word.lower() in (run.stderr + run.stdout).lower(), run.stderr


class Getter:
    """Runs `p2p get f.bin --json` beside the test, into out/; without a registry unless one is given."""

    def __init__(self, suite, *more, registry=NO_REGISTRY, name="f.bin"):
        command = [
            BIN / "p2p", "get", name, "--json", "--discovery", registry, "--timeout", "5",
            "--output-dir", suite.folder / "out", "--keys-dir", suite.folder / "cli" / "keys", *more,
        ]  # fmt: skip
        self.process = bounded(subprocess.Popen(
            list(map(str, command)), env=environment(suite.folder),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ))  # fmt: skip

    def wait_until(self, condition):
        """Waits until the condition is true for one of its events, and returns this event."""
        for line in self.process.stdout:
            if condition(said := json.loads(line)):
                return said
        raise AssertionError(self.process.stderr.read())

    def wait_for(self, received):
        return self.wait_until(lambda said: said["received"] >= received)

    def finish(self, timeout=60):
        """Its last event, and its exit status."""
        out, _ = self.process.communicate(timeout=timeout)
        return json.loads(out.splitlines()[-1]), self.process.returncode

"""What the tests of `p2p get` share: a file, and what success and failure look like."""

import os
from pathlib import Path

CHUNK = 1 << 16
DATA = os.urandom(9 * CHUNK + 777)


def visible(folder):
    """What a user sees in the folder."""
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

"""Every source file of p2p-ui, p2p-peer and p2p is linked into a unit test: the linker takes an object of
a program's library only if something that is tested needs it."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OBJECTS = ROOT / os.environ.get("P2P_OBJECTS", "build/gcc")
PROGRAMS = {"p2p-ui": "ui", "p2p-peer": "peer", "p2p-relay": "relay", "p2p": "cli"}
# (file, why no unit test links it). Entries may be removed, but not added.
UNREACHED = set()


def names(path, kinds):
    """The functions and variables that a file defines."""
    rows = subprocess.run(["nm", "-P", "--defined-only", path], capture_output=True, text=True, check=True).stdout
    return {name for name, kind in re.findall(rf"^(\S+) ([{kinds}]) ", rows, re.M)}


def users(program):
    """The unit tests that link the program's library."""
    tests = []
    for source in sorted((ROOT / "tests" / "unit").glob("test_*.c")):
        first = source.read_text().split("\n", 1)[0]
        if first.startswith("// uses ") and program in first.split():
            tests.append(OBJECTS / "tests" / source.stem)
    return tests


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_file_is_reached_by_a_unit_test(program):
    tests = users(program)
    assert tests, f"no unit test uses {program}"
    missing = [test.name for test in tests if not test.exists()]
    if missing:
        pytest.skip(f"not built: {missing} (run make check)")
    linked = set().union(*(names(test, "TDBRtdbr") for test in tests))  # hidden ones are local there
    folder = ROOT / "src" / PROGRAMS[program]
    sources = [path for path in sorted(folder.rglob("*.c")) if path != folder / "main.c"]
    unreached = set()
    for source in sources:
        defined = names(OBJECTS / source.relative_to(ROOT).with_suffix(".o"), "TDBR")
        if defined and not defined & linked:
            unreached.add(str(source.relative_to(ROOT)))
    listed = {file for file, _ in UNREACHED if Path(file).is_relative_to(f"src/{PROGRAMS[program]}")}
    assert len(sources) > 5
    assert not unreached - listed, "no unit test links these files; add one that calls their functions"
    assert not listed - unreached, "these are reached now, take them off the list"

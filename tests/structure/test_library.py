"""libp2pcore.so.0 offers what the headers declare and nothing else."""

import re
import subprocess
from pathlib import Path

import pytest

from test_headers import HEADERS, prototypes

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "build" / "gcc" / "libp2pcore.so.0"

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason=f"{LIBRARY} is missing: run make")


def output(*words):
    return subprocess.run(list(map(str, words)), capture_output=True, text=True, check=True).stdout


def exported():
    """{name: version}"""
    rows = output("nm", "-D", "--defined-only", "--with-symbol-versions", LIBRARY)
    return dict(re.findall(r"^\w+ [^A] (\w+)@@?(\w+)$", rows, re.M))


def declared():
    return {name for header in HEADERS for name, _ in prototypes(header.read_text())}


def test_it_exports_what_the_headers_declare():
    names = set(exported())
    assert not names - declared(), "exported, but in no header of include/p2p"
    assert not declared() - names, "declared, but not in the library"
    assert len(names) > 300 and all(name.startswith("p2p_") for name in names)


def test_all_names_have_the_version():
    assert set(exported().values()) == {"P2PCORE_0"}
    assert "[libp2pcore.so.0]" in output("readelf", "-dW", LIBRARY)


def test_it_looks_nothing_of_its_own_up():
    """A function of the library is not replaced by one of the same name in the program."""
    assert "SYMBOLIC" in output("readelf", "-dW", LIBRARY)
    assert not re.search(r" U p2p_", output("nm", "-D", LIBRARY))
    assert not re.search(r"\((RPATH|RUNPATH|TEXTREL)\)", output("readelf", "-dW", LIBRARY))


def test_the_objects_hide_the_rest():
    """Also in libp2pcore.a, so that another library can be made of it."""
    rows = output("readelf", "-sW", LIBRARY.with_suffix("").with_name("libp2pcore.a"))
    seen = set(re.findall(r" GLOBAL +DEFAULT +\d+ (\w+)$", rows, re.M))
    assert seen - declared() <= {"connect", "socket"}  # these stand in for the C library's
    assert len(re.findall(r" GLOBAL +HIDDEN +\d+ p2p_\w+$", rows, re.M)) > 300

"""The linked programs: properties that make a fault in them hard to exploit."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(os.environ.get("P2P_BIN", ROOT / "bin")).resolve()
PROGRAMS = ["p2p", "p2p-discovery", "p2p-peer", "p2p-relay", "p2p-ui"]
ASKED = [
    "-fstack-clash-protection", "-fcf-protection", "-fzero-call-used-regs=used-gpr",
    "-ftrivial-auto-var-init=zero",
]  # fmt: skip

pytestmark = pytest.mark.skipif(
    BIN.parent.parent.name == "build", reason="a sanitizer's programs are not for use"
)


def output(*words):
    return subprocess.run(list(map(str, words)), capture_output=True, text=True, check=True).stdout


@pytest.fixture(params=PROGRAMS)
def program(request):
    return BIN / request.param


def test_is_position_independent(program):
    assert re.search(r"Type: +DYN", output("readelf", "-hW", program))
    assert re.search(r"FLAGS_1\) +Flags:.*\bPIE\b", output("readelf", "-dW", program))


def test_relocations_are_read_only_from_the_start(program):
    assert "GNU_RELRO" in output("readelf", "-lW", program)
    assert re.search(r"BIND_NOW|FLAGS_1\).*\bNOW\b", output("readelf", "-dW", program))


def test_nothing_is_writable_and_executable(program):
    rows = re.findall(r"^ +(LOAD|GNU_STACK) +(?:0x\w+ +){5}([R ][W ][E ]) ", output("readelf", "-lW", program), re.M)
    assert [flags for kind, flags in rows if kind == "GNU_STACK"] == ["RW "]
    assert len(rows) >= 3 and not [row for row in rows if "W" in row[1] and "E" in row[1]]


def test_no_path_of_the_machine_that_built_it(program):
    assert not re.search(r"\((RPATH|RUNPATH)\)", output("readelf", "-dW", program))


def test_canaries_and_checked_functions(program):
    imported = output("readelf", "--dyn-syms", "-W", program)
    assert "__stack_chk_fail" in imported
    assert len(set(re.findall(r"__\w+_chk@", imported))) >= 3, "built without _FORTIFY_SOURCE"


@pytest.mark.skipif(output("uname", "-m").strip() != "x86_64", reason="a feature of x86-64")
def test_indirect_jumps_land_where_they_may(program):
    """endbr64 where a pointer may lead; the C runtime's own start has three of them."""
    assert output("objdump", "-d", "--no-show-raw-insn", program).count("\tendbr64") > 100
    runtime = output("readelf", "-nW", output("gcc", "-print-file-name=Scrt1.o").strip())
    if "IBT" in runtime:  # the linker drops the note when one of its objects lacks it
        assert re.search(r"x86 feature:.*IBT.*SHSTK", output("readelf", "-nW", program))


@pytest.mark.parametrize("flag", ASKED)
def test_the_compiler_was_asked(flag):
    """Some of these leave no mark in the file, so the test checks that make uses them if the compiler knows them."""
    probe = ["gcc", "-Werror", flag, "-E", "-x", "c", "/dev/null"]
    knows = subprocess.run(probe, capture_output=True, check=False).returncode == 0
    assert (flag in variable("HARDEN", "CC=gcc")) == knows
    assert flag not in variable("HARDEN", "CC=gcc", "SAN=address")


def variable(name, *settings):
    text = subprocess.run(
        ["make", "-pnq", "-C", str(ROOT), *settings, "clean"], capture_output=True, text=True, check=False
    ).stdout
    return re.search(rf"^{name} := (.*)$", text, re.M)[1].split()

"""Programs of others that use libp2pcore: `make install` into an empty folder, then examples/list_files.c with the
installed headers, libraries and p2pcore.pc, as C and as C++.
"""

import os
import re
import shlex
import subprocess

import pytest

from conftest import BIN, ROOT, environment
from p2pwire.tree import root_of

FILES = {"a letter.txt": b"hello", "b/empty": b"", "c/large.bin": bytes(300_000)}

pytestmark = pytest.mark.skipif(BIN != ROOT / "bin", reason="a sanitizer's programs are not for use")


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    """Into a folder with a space in its name, by a user whose umask does not let others read."""
    where = tmp_path_factory.mktemp("in stalled") / "pre fix"
    done = subprocess.run(
        ["sh", "-c", 'umask 077; exec make -s -C "$0" install "PREFIX=$1"', ROOT, where],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return where


def config(prefix, *words):
    """The words that pkg-config prints for a shell."""
    env = {**os.environ, "PKG_CONFIG_PATH": str(prefix / "lib" / "pkgconfig")}
    done = subprocess.run(["pkg-config", *words, "p2pcore"], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return shlex.split(done.stdout)


def build(program, compiler, *words):
    command = [*compiler, "-Wall", "-Wextra", "-Werror", "-o", program, ROOT / "examples" / "list_files.c", *words]
    done = subprocess.run(command, cwd=program.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stderr}"
    return program


@pytest.fixture(scope="module")
def programs(prefix, tmp_path_factory):
    """The example from each compiler with the shared library, and one with the static library."""
    folder = tmp_path_factory.mktemp("example")
    use = config(prefix, "--cflags", "--libs")
    whole = [{"-lp2pcore": "-l:libp2pcore.a"}.get(w, w) for w in config(prefix, "--cflags", "--static", "--libs")]
    return {
        "gcc": build(folder / "by_gcc", ["gcc", "-std=c11"], *use),
        "clang": build(folder / "by_clang", ["clang", "-std=c11"], *use),
        "g++": build(folder / "by_gxx", ["g++", "-std=c++11"], *use),
        "static": build(folder / "static", ["gcc"], *whole),
    }


def run(program, prefix, folder, *words):
    env = {**environment(folder), "LD_LIBRARY_PATH": str(prefix / "lib")}
    return subprocess.run(
        [program, *map(str, words)], cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=60
    )  # fmt: skip


@pytest.mark.parametrize("which", ["gcc", "clang", "g++", "static"])
def test_the_example_lists_what_a_peer_shares(suite, tmp_path, prefix, programs, which):
    peer = suite.peer("--no-mdns", files=FILES)
    for name in FILES:
        peer.wait_for(name)
    done = run(programs[which], prefix, tmp_path, peer.where, tmp_path / "own keys")
    assert done.returncode == 0, done.stderr
    found = {name: (root, int(size)) for root, size, name in re.findall(r"^(\w{64}) +(\d+) (.+)$", done.stdout, re.M)}
    assert found == {name: (root_of(data).hex(), len(data)) for name, data in FILES.items()}
    assert done.stderr == "3 files\n"


@pytest.mark.parametrize("words, status", [((), 2), (("no port:x",), 2), (("127.0.0.1:9", "keys"), 4)], ids=repr)
def test_the_example_says_what_fails(tmp_path, prefix, programs, words, status):
    done = run(programs["gcc"], prefix, tmp_path, *words)
    assert done.returncode == status and done.stderr and not done.stdout


def test_only_the_shared_library_is_needed(prefix, programs):
    """No package of another library for those who link it, and none of ours for the static one."""
    needed = subprocess.run(["readelf", "-dW", programs["gcc"]], capture_output=True, text=True, check=True).stdout
    assert "[libp2pcore.so.0]" in needed and "libcrypto" not in needed
    needed = subprocess.run(["readelf", "-dW", programs["static"]], capture_output=True, text=True, check=True).stdout
    assert "libp2pcore" not in needed and "libcrypto" in needed


def test_the_version_is_that_of_the_programs(prefix):
    (version,) = config(prefix, "--modversion")
    assert version == (ROOT / "VERSION").read_text().strip()


def test_the_installed_programs_run(prefix, tmp_path):
    done = run(prefix / "bin" / "p2p", prefix, tmp_path, "--version")
    assert done.returncode == 0 and done.stdout.startswith("p2p ")

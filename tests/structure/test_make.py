"""make and make install, as packagers and users with unusual settings call them."""

import json
import os
import re
import shlex
import subprocess
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def make(*words, umask="022"):
    return subprocess.run(
        ["sh", "-c", 'umask "$0"; exec make -s "$@"', umask, "-C", str(ROOT), *map(str, words)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def mode(*settings):
    done = make("-pnq", *settings, "clean")
    assert "overriding recipe" not in done.stderr, done.stderr
    return re.search(r"^MODE := (.*)$", done.stdout, re.M)[1]


@pytest.mark.parametrize(
    "compiler, folder",
    [
        ("gcc", "gcc"),
        ("/usr/bin/gcc", "gcc"),
        ("ccache gcc", "gcc"),
        ("gcc -m64", "gcc-m64"),
        ("ccache gcc -m32 -march=i686", "gcc-m32-march-i686"),
        ("clang --target=x86_64-linux-gnu", "clang--target-x86_64-linux-gnu"),
    ],
)
def test_every_compiler_has_a_folder(compiler, folder):
    assert mode(f"CC={compiler}") == folder
    assert mode(f"CC={compiler}", "SAN=address,undefined") == folder + "-address-undefined"


@pytest.mark.parametrize("compiler", ["env gcc", "gcc -g0"])
def test_a_compiler_of_several_words_builds(tmp_path, compiler):
    """One object is enough: the rules are the same for all."""
    thing = tmp_path / "src" / "core" / "base" / "chunk.o"
    done = make(f"CC={compiler}", f"B={tmp_path}", thing)
    assert done.returncode == 0 and thing.exists(), done.stderr


@pytest.mark.parametrize("umask", ["022", "027", "077"])
def test_all_may_read_what_is_installed(tmp_path, umask):
    """Also into a folder whose name has a space."""
    where = tmp_path / "a b"
    done = make("install", f"DESTDIR={where}", "PREFIX=/usr", umask=umask)
    assert done.returncode == 0, done.stderr
    files = list((where / "usr").rglob("*"))
    for path in files:
        needed = 0o755 if path.is_dir() or path.parent.name == "bin" else 0o644
        assert path.stat().st_mode & needed == needed, f"{path} {path.stat().st_mode:o}"
    names = {str(p.relative_to(where / "usr")) for p in files}
    assert {"bin/p2p", "bin/p2p-ui", "share/man/man1/p2p.1", "share/bash-completion/completions/p2p"} <= names
    assert {f"share/p2p/{p.relative_to(ROOT)}" for p in (ROOT / "web").rglob("*")} <= names
    assert {str(p.relative_to(ROOT)) for p in (ROOT / "include").rglob("*.h")} <= names
    assert {f"lib/{n}" for n in ("libp2pcore.a", "libp2pcore.so", "libp2pcore.so.0", "pkgconfig/p2pcore.pc")} <= names
    assert [p.name for p in tmp_path.iterdir()] == ["a b"]


def test_folders_that_exist_keep_their_modes(tmp_path):
    for name, kept in (("usr", 0o700), ("usr/share", 0o2775)):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(kept)
    assert make("install", f"DESTDIR={tmp_path}", "PREFIX=/usr").returncode == 0
    assert (tmp_path / "usr").stat().st_mode & 0o7777 == 0o700
    assert (tmp_path / "usr" / "share").stat().st_mode & 0o7777 == 0o2775


def files_beneath(folder):
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir()}


@pytest.mark.parametrize("folder", ["usr/lib", "usr/lib/some triplet"])
def test_uninstall_takes_what_install_has_put_there(tmp_path, folder):
    """Nothing else: files of others stay where they are."""
    where = tmp_path / "a b"
    words = [f"DESTDIR={where}", "PREFIX=/usr", f"LIBDIR=/{folder}"]
    others = ["usr/bin/p2p-other", "usr/include/p2p/other.h", "usr/share/man/man1/a.1", "usr/lib/libother.so"]
    for name in others:
        (where / name).parent.mkdir(parents=True, exist_ok=True)
        (where / name).touch()
    assert make("install", *words).returncode == 0
    assert len(files_beneath(where)) > 50 and (where / folder / "libp2pcore.so").exists()
    done = make("uninstall", *words)
    assert done.returncode == 0, done.stderr
    assert files_beneath(where) == set(others)
    assert not (where / "usr" / "share" / "p2p").exists()
    assert make("uninstall", *words).returncode == 0, "a second time there is nothing to do"


def test_pkg_config_knows_the_folders(tmp_path):
    """Where the library is going to be, without DESTDIR."""
    done = make("install", f"DESTDIR={tmp_path}", "PREFIX=/opt/a b", "LIBDIR=/opt/a b/lib64")
    assert done.returncode == 0, done.stderr
    place = str(tmp_path / "opt" / "a b" / "lib64" / "pkgconfig")
    said = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "p2pcore"], env={**os.environ, "PKG_CONFIG_PATH": place},
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert shlex.split(said) == ["-I/opt/a b/include", "-L/opt/a b/lib64", "-lp2pcore"]


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="a tarball is made from commits")
def test_the_tarball_holds_what_is_committed():
    done = make("dist")
    assert done.returncode == 0, done.stderr
    version = (ROOT / "VERSION").read_text().strip()
    with tarfile.open(ROOT / "build" / f"p2p-{version}.tar.gz") as tarball:
        names = set(tarball.getnames())
    assert {f"p2p-{version}/{n}" for n in ("Makefile", "src/cli/main.c", "include/p2p/err.h", "web/index.html")} <= names
    assert not [n for n in names if not n.startswith(f"p2p-{version}")]


def test_editors_learn_how_each_file_is_compiled(tmp_path):
    """In a folder that links to the source, so that no file appears in this one."""
    for name in ("Makefile", "VERSION", "src", "tests", "include", "docs"):
        (tmp_path / name).symlink_to(ROOT / name)
    done = subprocess.run(
        ["make", "-s", "-C", str(tmp_path), "compile_commands"], capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "compile_commands.json").read_text())
    sources = {str(p.relative_to(ROOT)) for p in (ROOT / "src").rglob("*.c")}
    assert sources <= {row["file"] for row in rows} and {row["directory"] for row in rows} == {str(tmp_path)}
    row = next(row for row in rows if row["file"] == "src/ui/status.c")  # uses P2P_VERSION
    done = subprocess.run(
        [*shlex.split(row["command"]), "-fsyntax-only"], cwd=tmp_path, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr

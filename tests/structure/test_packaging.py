"""packaging/: tarball and apt folder do not depend on where and by whom they are made; what desktops,
firewalls and manuals get is well-formed."""

import configparser
import os
import py_compile
import re
import shutil
import subprocess
import tarfile
import xml.etree.ElementTree as xml
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGING = ROOT / "packaging"
SCRIPTS = [*PACKAGING.glob("*.sh"), PACKAGING / "desktop" / "p2p-share", PACKAGING / "oci" / "entrypoint.sh", *(ROOT / "scripts").glob("*.sh")]
OTHER_SCRIPTS = [*PACKAGING.glob("debian/*.postrm"), *(ROOT / "tests").rglob("*.sh"), ROOT / "completions" / "p2p.bash", ROOT / ".ci" / "run"]
MANUALS = sorted((ROOT / "docs" / "man").glob("*.1"))
PORTS = {"p2p-peer": 9000, "p2p-ui": 8080, "p2p-discovery": 8000, "p2p-relay": 7100}


def needs(tool):
    return pytest.mark.skipif(shutil.which(tool) is None, reason=f"{tool} is not installed")


in_git = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="a tarball is made from commits")


def run(*words, **options):
    done = subprocess.run(
        list(map(str, words)), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, **options
    )  # fmt: skip
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout


# ---- the source tarball


@in_git
def test_the_tarball_is_the_same_everywhere(tmp_path):
    """From another clone in a folder with a space, with another umask and time zone, and later."""
    clone = tmp_path / "an other" / "clone"
    run("git", "clone", "-q", ROOT, clone, env={**os.environ, "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"})
    here, there = tmp_path / "here.tar.gz", tmp_path / "an other" / "there.tar.gz"
    run(PACKAGING / "source-tarball.sh", here)
    run("sh", "-c", 'umask 077; exec "$0" "$1"', clone / "packaging" / "source-tarball.sh", there, env={**os.environ, "TZ": "Pacific/Auckland", "LC_ALL": "C"})
    assert here.read_bytes() == there.read_bytes()
    unpacked = tmp_path / "unpacked"
    with tarfile.open(here) as tarball:
        members = tarball.getmembers()
        tarball.extractall(unpacked)
    assert {(m.uid, m.gid, m.uname, m.gname) for m in members} == {(0, 0, "", "")}
    assert {m.mode for m in members} <= {0o644, 0o755}
    assert [m.name for m in members] == sorted(m.name for m in members)
    # What was unpacked makes the same tarball, without git.
    (folder,) = unpacked.iterdir()
    again = tmp_path / "again.tar.gz"
    run(folder / "packaging" / "source-tarball.sh", again, env={**os.environ, "SOURCE_DATE_EPOCH": str(members[0].mtime)})
    assert again.read_bytes() == here.read_bytes()


@in_git
def test_the_tarball_takes_the_time_that_it_is_told(tmp_path):
    run(PACKAGING / "source-tarball.sh", tmp_path / "x.tar.gz", env={**os.environ, "SOURCE_DATE_EPOCH": "1000000000"})
    with tarfile.open(tmp_path / "x.tar.gz") as tarball:
        assert {m.mtime for m in tarball.getmembers()} == {1000000000}


# ---- the apt folder


def package(folder, name):
    """A small package, always with the same bytes."""
    tree = folder / name
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN" / "control").write_text(
        f"Package: {name}\nVersion: 1\nArchitecture: amd64\nMaintainer: x <x@example.org>\nDescription: x\n"
    )
    for path in (tree, tree / "DEBIAN"):
        path.chmod(0o755)
    run("dpkg-deb", "--root-owner-group", "-b", tree, folder / f"{name}_1_amd64.deb", env={**os.environ, "SOURCE_DATE_EPOCH": "1000000000"})
    return folder / f"{name}_1_amd64.deb"


@pytest.fixture
def signer(tmp_path):
    """Environment of a gpg with one ed25519 key, in a short path: its agent has a socket there."""
    home = Path(run("mktemp", "-d", "/tmp/p2p-gpg-XXXXXX").strip())
    env = {**os.environ, "GNUPGHOME": str(home), "SOURCE_DATE_EPOCH": "1700000000"}
    run("gpg", "--batch", "--quiet", "--passphrase", "", "--faked-system-time", "1600000000!", "--quick-gen-key", "p2p test", "ed25519", "sign", "never", env=env)
    yield env
    subprocess.run(["gpgconf", "--kill", "all"], env=env, check=False)
    shutil.rmtree(home, ignore_errors=True)


def contents(folder):
    return {str(p.relative_to(folder)): (p.read_bytes(), p.stat().st_mode) for p in folder.rglob("*") if p.is_file()}


@needs("gpg")
@needs("dpkg-scanpackages")
def test_the_apt_folder_is_the_same_everywhere_and_apt_believes_it(tmp_path, signer):
    debs = [package(tmp_path, "p2p-one"), package(tmp_path, "p2p-two")]
    one, two = tmp_path / "one", tmp_path / "an other" / "two"
    two.parent.mkdir()
    script = PACKAGING / "apt-repository.sh"
    run(script, one, "p2p test", *debs, env=signer)
    run("sh", "-c", 'umask 077; exec "$@"', "sh", script, two, "p2p test", *reversed(debs), env={**signer, "TZ": "Pacific/Auckland"}, cwd=tmp_path)
    assert contents(one) == contents(two)
    assert len(contents(one)) == 8
    # apt itself verifies the signature and finds the packages.
    root = tmp_path / "apt"
    for part in ("lists/partial", "cache/archives/partial", "etc"):
        (root / part).mkdir(parents=True)
    (root / "status").touch()
    (root / "etc" / "list").write_text(f"deb [signed-by={one}/p2p.gpg arch=amd64] file:{one} stable main\n")
    apt = [
        f"-oDir::Etc::SourceList={root}/etc/list", "-oDir::Etc::SourceParts=/nope", f"-oDir::State={root}",
        f"-oDir::State::Lists={root}/lists", f"-oDir::State::Status={root}/status", f"-oDir::Cache={root}/cache",
        "-oAPT::Architecture=amd64", "-oAPT::Architectures=amd64", "-oAPT::Sandbox::User=root",
    ]  # fmt: skip
    run("apt-get", *apt, "update", "--error-on=any")
    assert "p2p-two" in run("apt-cache", *apt, "pkgnames")
    release = one / "dists/stable/main/binary-amd64/Packages"
    release.chmod(0o644)
    release.write_text(release.read_text().replace("Version: 1", "Version: 2"))
    (one / "dists/stable/main/binary-amd64/Packages.gz").unlink()
    shutil.rmtree(root / "lists")
    (root / "lists/partial").mkdir(parents=True)
    assert subprocess.run(["apt-get", *apt, "update", "--error-on=any"], capture_output=True, check=False).returncode != 0


def test_the_apt_folder_is_never_overwritten(tmp_path):
    deb = tmp_path / "x.deb"
    deb.touch()
    done = subprocess.run([PACKAGING / "apt-repository.sh", tmp_path, "key", deb], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "exists" in done.stderr


# ---- scripts, desktops, firewalls, manuals


@needs("shellcheck")
def test_scripts_are_clean():
    run("shellcheck", *SCRIPTS, *OTHER_SCRIPTS)


def test_scripts_can_be_run():
    for script in [*SCRIPTS, PACKAGING / "debian" / "rules"]:
        assert script.stat().st_mode & 0o111 == 0o111, script


@needs("desktop-file-validate")
@pytest.mark.parametrize("name", ["p2p-dashboard", "p2p-share-thunar"])
def test_desktop_entries_are_valid(name):
    assert run("desktop-file-validate", PACKAGING / "desktop" / f"{name}.desktop") == ""


def test_file_managers_start_what_is_installed(tmp_path):
    installed = (PACKAGING / "debian" / "p2p-node.install").read_text()
    (where,) = re.findall(r"^packaging/desktop/p2p-share (\S+)$", installed, re.M)
    for path in (PACKAGING / "desktop").glob("*.desktop"):
        entry = configparser.RawConfigParser(strict=True)
        entry.optionxform = str
        entry.read(path)
        (command,) = [entry[s]["Exec"] for s in entry.sections() if "Exec" in entry[s]]
        assert command.split()[0] == f"/{where}/p2p-share", path
    extension = PACKAGING / "desktop" / "p2p-share-nautilus.py"
    py_compile.compile(str(extension), cfile=str(tmp_path / "x.pyc"), doraise=True)
    assert f'"/{where}/p2p-share"' in extension.read_text()


def test_firewalls_open_the_ports_of_the_programs():
    ufw = configparser.ConfigParser()
    ufw.read([PACKAGING / "firewall" / "ufw.p2p-node", PACKAGING / "firewall" / "ufw.p2p-discovery"])
    assert set(ufw.sections()) == set(PORTS)
    for program, port in PORTS.items():
        stun = program == "p2p-discovery"  # at the number of its port and the next one
        assert ufw[program]["ports"] == f"{port}/tcp" + (f"|{port}:{port + 1}/udp" if stun else "")
        assert ufw[program]["title"] and ufw[program]["description"]
        service = xml.parse(PACKAGING / "firewall" / f"{program}.xml").getroot()
        assert service.tag == "service"
        opened = [{"protocol": "tcp", "port": str(port)}] + [{"protocol": "udp", "port": f"{port}-{port + 1}"}] * stun
        assert [e.attrib for e in service.findall("port")] == opened


@needs("mandoc")
@pytest.mark.parametrize("manual", MANUALS, ids=lambda path: path.name)
def test_manuals_satisfy_mandoc(manual):
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", manual], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and not done.stdout and not done.stderr, done.stdout + done.stderr


@needs("groff")
@pytest.mark.parametrize("manual", MANUALS, ids=lambda path: path.name)
def test_manuals_satisfy_groff(manual):
    done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-Kutf8", "-rCHECKSTYLE=1", manual], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and not done.stderr, done.stderr


def test_the_packages_have_the_version_of_the_programs():
    version = (ROOT / "VERSION").read_text().strip()
    assert (PACKAGING / "debian" / "changelog").read_text().startswith(f"p2p ({version}-")
    assert re.search(rf"^## {re.escape(version)}\b", (ROOT / "CHANGELOG.md").read_text(), re.M)

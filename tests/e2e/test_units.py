"""packaging/systemd: systemd accepts the units, finds them confined, and the programs work under their
restrictions. A machine without systemd is enough."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import unit_filter
from conftest import BIN, ROOT, Program, environment, wait_until

UNITS = ROOT / "packaging" / "systemd"
SYSTEM = sorted((UNITS / "system").glob("*.service"))
USER = sorted((UNITS / "user").glob("*.service"))
EXPOSURE_MAX = 1.5

pytestmark = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def name_of(path):
    return f"{path.parent.name}/{path.name}"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The units and what they start, below a root of their own."""
    root = tmp_path_factory.mktemp("units")
    for kind in ("system", "user"):
        shutil.copytree(UNITS / kind, root / "usr/lib/systemd" / kind)
    (root / "usr/bin").mkdir(parents=True)
    for program in ("p2p-peer", "p2p-ui", "p2p-discovery", "p2p-relay"):
        shutil.copy(BIN / program, root / "usr/bin")
    (root / "bin").symlink_to("usr/bin")
    (root / "usr/bin/kill").write_text("#!/bin/sh\n")
    (root / "usr/bin/kill").chmod(0o755)
    for target in ("sysinit", "basic", "shutdown", "network-online", "network", "multi-user", "default"):
        for kind in ("system", "user"):
            (root / "usr/lib/systemd" / kind / f"{target}.target").write_text("[Unit]\nDescription=x\n")
    (root / "usr/lib/systemd/system/system.slice").touch()
    (root / "usr/lib/systemd/user/app.slice").touch()
    return root


@pytest.mark.parametrize("unit", SYSTEM, ids=name_of)
def test_systemd_accepts_the_unit(installed, unit):
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", f"--root={installed}", unit.name], capture_output=True, text=True, check=False
    )  # fmt: skip
    said = [line for line in done.stderr.splitlines() if unit.name in line or "p2p" in line]
    assert said == [], done.stderr


@pytest.mark.parametrize("unit", USER, ids=name_of)
def test_a_users_unit_has_known_settings(tmp_path, unit):
    """Read as a unit of the system, because a user's systemd wants a running user session."""
    text = unit.read_text()
    text = re.sub(r"^ExecStart=.*", "ExecStart=/bin/true", text, flags=re.M)
    (tmp_path / unit.name).write_text(re.sub(r"^After=.*", "", text, flags=re.M))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", tmp_path / unit.name], capture_output=True, text=True, check=False
    )  # fmt: skip
    assert unit.name not in done.stderr, done.stderr


@pytest.mark.parametrize("unit", SYSTEM, ids=name_of)
def test_the_unit_is_confined(unit):
    done = subprocess.run(
        ["systemd-analyze", "security", "--no-pager", "--offline=yes", unit], capture_output=True, text=True, check=True
    )  # fmt: skip
    assert float(re.search(r"Overall exposure level for .*: ([0-9.]+)", done.stdout)[1]) <= EXPOSURE_MAX


@pytest.mark.parametrize("unit", SYSTEM + USER, ids=name_of)
def test_every_group_of_calls_is_known_everywhere(unit):
    """systemd of Debian 12 does not know @sandbox: the program could not enter its own one."""
    words = " ".join(unit_filter.settings(unit)["SystemCallFilter"]).split()
    assert [w for w in words if w.startswith("@")] == ["@system-service"]
    assert {"landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "seccomp"} <= set(words)


def under(unit):
    return [sys.executable, str(Path(unit_filter.__file__)), str(unit)]


def assert_sandboxed(program):
    started = wait_until(lambda: re.search(r"sandbox=on .*", program.stderr()), 30, "the line about the sandbox")[0]
    assert "seccomp=on" in started, program.stderr()


@pytest.mark.skipif(BIN != ROOT / "bin", reason="sanitizers need more calls")
@pytest.mark.parametrize("kind", ["system", "user"])
def test_programs_work_under_the_filter_of_their_units(suite, kind):
    """From registration to a finished download, and a reload; each program enters its own sandbox."""
    registry = suite.discovery(prefix=under(UNITS / "system" / "p2p-discovery.service"))
    peer = suite.peer(files={"a.bin": os.urandom(3_000_000)}, discovery=registry, prefix=under(UNITS / kind / "p2p-peer.service"))
    ui = suite.ui(name="other", discovery=registry, prefix=under(UNITS / kind / "p2p-ui.service"))
    for program in (registry, peer, ui):
        assert_sandboxed(program)
    found = wait_until(lambda: registry.registry.peers(), 60, "the registration")
    assert found
    started = ui.api.request("POST", "/api/transfers", json={"filename": "a.bin"})
    assert started.status_code in (200, 201, 202), started.text
    wait_until(lambda: (ui.downloads / "a.bin").exists(), 60, "the download")
    assert (ui.downloads / "a.bin").read_bytes() == (peer.shared / "a.bin").read_bytes()


@pytest.mark.skipif(BIN != ROOT / "bin", reason="sanitizers need more calls")
def test_the_relay_works_under_the_filter_of_its_unit(suite, tmp_path):
    """Its secret is a credential, as systemd would put it there."""
    (tmp_path / "relay.secret").write_text("0123456789abcdef" * 4 + "\n")
    words = ["--host", "127.0.0.1", "--port", "0", "--admin-port", "0", "--relay-secret-file", tmp_path / "relay.secret"]
    relay = Program("p2p-relay", words, tmp_path / "relay", prefix=under(UNITS / "system" / "p2p-relay.service"))
    suite.programs.append(relay)
    assert_sandboxed(relay)


@pytest.mark.skipif(BIN != ROOT / "bin", reason="sanitizers need more calls")
@pytest.mark.parametrize("gone", ["landlock_restrict_self"])
def test_without_its_calls_a_program_says_why_it_does_not_start(tmp_path, gone):
    unit = tmp_path / "x.service"
    unit.write_text((UNITS / "system" / "p2p-discovery.service").read_text().replace(f" {gone}", ""))
    done = subprocess.run(
        [*under(unit), BIN / "p2p-discovery", "--port", "0", "--host", "127.0.0.1"], env=environment(tmp_path),
        cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode != 0 and "sandbox" in done.stderr and "ready" not in done.stdout


def test_reload_restart_and_watchdog_are_set():
    for unit in SYSTEM + USER:
        found = unit_filter.settings(unit)
        assert found["Type"] == ["notify"] and found["Restart"] == ["on-failure"]
        assert found["ExecReload"] == ["/bin/kill -HUP $MAINPID"] and "WatchdogSec" in found


def test_each_system_unit_has_a_user_and_state_of_its_own():
    for unit in SYSTEM:
        found = unit_filter.settings(unit)
        user = unit.stem if unit.stem in ("p2p-discovery", "p2p-relay") else "p2p"
        package = "p2p-node" if user == "p2p" else "p2p-discovery"
        assert found["User"] == found["StateDirectory"] == found["ConfigurationDirectory"] == [user]
        declared = ROOT / "packaging" / "debian" / f"{package}.sysusers"
        assert re.search(rf"^u +{user} +- ", declared.read_text(), re.M)

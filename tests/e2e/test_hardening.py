"""How every program that holds a key protects its memory: no core dumps, no access by other processes, and the
pages of keys are locked and left out of dumps.
"""

import json
import os
import re
import resource
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from conftest import BIN, NO_REGISTRY, environment, wait_until

SANITIZED = "address" in str(BIN)
SECRET = "correct horse"
COMMANDS = [
    ["id"], ["key", "show"], ["key", "rotate"], ["peers"], ["status"], ["doctor"], ["get", "f"],
    ["ls", "127.0.0.1:9"],
]  # fmt: skip  (search holds no key)


def mappings(pid):
    """[(flags, locked KiB)] of the process."""
    text = Path(f"/proc/{pid}/smaps").read_text()
    return [
        (flags.split(), int(locked))
        for locked, flags in re.findall(r"^Locked: +(\d+) kB\n(?:.*\n)*?VmFlags: (.*)$", text, re.M)
    ]


def check(pid):
    limits = Path(f"/proc/{pid}/limits").read_text()
    assert re.search(r"^Max core file size +0 +0 ", limits, re.M), limits
    if SANITIZED:
        return
    if os.geteuid() != 0:  # a process that is not dumpable belongs to root in /proc
        assert Path(f"/proc/{pid}").stat().st_uid == 0
        with pytest.raises(PermissionError):
            Path(f"/proc/{pid}/smaps").read_text()
        return
    keys = [locked for flags, locked in mappings(pid) if "lo" in flags and "dd" in flags]
    assert sum(keys) > 0, "no locked memory that core dumps leave out"


def start_blocked(folder, command, user=None, keys=None):
    """`p2p command` that waits for its passphrase at a named pipe."""
    fifo = folder / "fifo"
    if not fifo.exists():
        os.mkfifo(fifo, 0o666)
    words = [BIN / "p2p", *command, "--keys-dir", keys or folder / "keys"]
    if command[0] in ("peers", "status", "doctor", "get"):
        words += ["--discovery", NO_REGISTRY, "--no-mdns"]
    process = subprocess.Popen(
        list(map(str, words)), cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**environment(folder), "P2P_PASSPHRASE_FILE": str(fifo)}, user=user,
    )  # fmt: skip
    return process, wait_until(lambda: opened(fifo, process), what="the program reads the passphrase")


def opened(fifo, process):
    assert process.poll() is None, process.communicate()
    try:
        return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:  # nobody reads yet
        return None


@pytest.fixture
def protected(suite, tmp_path):
    (tmp_path / "phrase").write_text(SECRET)
    suite.p2p("key", "protect", "--keys-dir", tmp_path / "keys",
              env={"P2P_PASSPHRASE_FILE": str(tmp_path / "phrase")}, check=True)  # fmt: skip
    return tmp_path



@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command(protected, command):
    process, pipe = start_blocked(protected, command)
    try:
        if os.geteuid() == 0 and not SANITIZED:
            # The buffer of the line is its first secret.
            wait_until(lambda: any("dd" in f and k > 0 for f, k in mappings(process.pid)), what="locked memory")
        check(process.pid)
    finally:
        os.close(pipe)
        process.kill()
        process.communicate(timeout=60)


def test_every_daemon(suite, tmp_path):
    (tmp_path / "phrase").write_text(SECRET)
    env = {"P2P_PASSPHRASE_FILE": str(tmp_path / "phrase")}
    discovery = suite.discovery()
    peer = suite.peer(env=env)  # makes the key, and the dashboard finds it
    ui = suite.ui(env=env)
    for daemon in (peer, ui):
        looked = [(limits, rows) for pid in family(daemon.process.pid) for limits, rows in look(pid)]
        for limits, _ in looked:
            assert re.search(r"^Max core file size +0 +0 ", limits, re.M), limits
        if os.geteuid() == 0 and not SANITIZED:
            found = [row for _, rows in looked for row in rows if "lo" in row[0] and "dd" in row[0]]
            assert found, f"{daemon.name}: no locked memory that core dumps leave out"
    limits = Path(f"/proc/{discovery.process.pid}/limits").read_text()
    assert re.search(r"^Max core file size +0 +0 ", limits, re.M), "it holds no key, but does the same"


def look(pid):
    """[(limits, mappings)], or nothing for a child that has just ended."""
    try:
        limits = Path(f"/proc/{pid}/limits").read_text()
        return [(limits, mappings(pid) if os.geteuid() == 0 else [])]
    except (FileNotFoundError, ProcessLookupError):
        return []


def family(pid):
    """The process and its children, one of which may be the one that serves."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(int(c) for c in children)]


@pytest.mark.skipif(SANITIZED, reason="its leak check looks into the process")
def test_a_crash_leaves_no_core(protected):
    resource_limit = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (resource_limit[1], resource_limit[1]))
    try:
        process, pipe = start_blocked(protected, ["id"])
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, resource_limit)
    process.send_signal(signal.SIGSEGV)
    _, status = os.waitpid(process.pid, 0)
    process.returncode = status
    os.close(pipe)
    assert os.WIFSIGNALED(status) and not os.WCOREDUMP(status)
    assert not list(protected.glob("core*"))


@pytest.mark.skipif(SANITIZED or os.geteuid() != 0, reason="runs p2p as another user")
def test_another_process_of_the_user_cannot_look():
    nobody = 65534
    if any(parent.stat().st_mode & 0o005 != 0o005 for parent in [BIN, *BIN.parents]):
        pytest.skip(f"{BIN} is closed to others")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o777)
        look_as(nobody, Path(folder))


def look_as(nobody, folder):
    process, pipe = start_blocked(folder, ["id"], user=nobody, keys=folder / "made by it")
    try:
        assert Path(f"/proc/{process.pid}/status").stat().st_uid == 0, "the mark of a process that is not dumpable"
        seen = subprocess.run(["cat", f"/proc/{process.pid}/maps"], user=nobody, capture_output=True, text=True)
        assert seen.returncode != 0 and seen.stdout == ""
    finally:
        os.close(pipe)
        process.communicate(timeout=60)


def test_little_memory_may_be_locked(suite, protected):
    """This is no failure: a line at level debug, and doctor reports it."""

    def no_locks():
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))

    def run(*words):
        prefix = []
        if os.geteuid() == 0:  # root may lock beyond its limit
            prefix = ["setpriv", "--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock"]
        return subprocess.run(
            [*prefix, BIN / "p2p", *words, "--keys-dir", protected / "keys"], preexec_fn=no_locks,
            env={**environment(protected), "P2P_PASSPHRASE_FILE": str(protected / "phrase")},
            capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    done = run("id", "--log-level", "debug")
    assert done.returncode == 0, done.stderr
    quiet = run("id")
    assert quiet.returncode == 0 and quiet.stderr == ""
    if SANITIZED:
        return
    assert "cannot lock" in done.stderr and "RLIMIT_MEMLOCK" in done.stderr
    doctor = run("doctor", "--discovery", "none", "--no-mdns", "--json")
    found = [c for c in json.loads(doctor.stdout)["checks"] if c["check"] == "key memory"]
    assert [c["result"] for c in found] == ["note"] and "swap" in found[0]["text"]


@pytest.mark.skipif(SANITIZED, reason="the sanitizer's programs can be looked into")
def test_doctor_shows_it(suite, tmp_path):
    done = suite.p2p("doctor", "--keys-dir", tmp_path / "keys", "--discovery", NO_REGISTRY, "--no-mdns", "--json")
    found = [c for c in json.loads(done.stdout)["checks"] if c["check"] == "key memory"]
    assert len(found) == 1 and "never get into a core dump" in found[0]["text"]

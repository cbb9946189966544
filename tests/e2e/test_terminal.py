"""SIGHUP: asks a daemon to read its lists again, and ends it when its terminal has gone."""

import contextlib
import os
import pty
import signal
import subprocess
import time

import pytest

from conftest import BIN, environment, is_alive, wait_until

DAEMONS = ["p2p-peer", "p2p-ui", "p2p-discovery"]


def words_of(program, folder):
    words = [str(BIN / program), "--port", "0", "--host", "127.0.0.1"]
    if program != "p2p-discovery":
        words += ["--shared-dir", str(folder / "s"), "--keys-dir", str(folder / "k"), "--discovery", "http://127.0.0.1:9"]
    return words + (["--no-mdns"] if program == "p2p-peer" else [])


@contextlib.contextmanager
def on_a_terminal(folder, command):
    """A shell that leads a session with its own terminal; yields (terminal, pid of the shell)."""
    pid, terminal = pty.fork()
    if pid == 0:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may run under nohup
        os.chdir(folder)
        os.execve("/bin/sh", ["sh", "-c", command], environment(folder))
    try:
        yield terminal, pid
    finally:
        with contextlib.suppress(OSError):
            os.close(terminal)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def started(folder):
    """Pid of the daemon, once it is ready."""
    ready = folder / "ready"
    wait_until(lambda: ready.exists() and "ready" in ready.read_text(), 30, "ready")
    return int((folder / "pid").read_text())


def end(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not is_alive(pid), 30, "its end")


@pytest.mark.parametrize("program", DAEMONS)
def test_it_ends_with_its_terminal(tmp_path, program):
    command = " ".join(words_of(program, tmp_path))
    with on_a_terminal(tmp_path, f"echo $$ > pid; exec {command} >ready 2>log") as (terminal, _):
        pid = started(tmp_path)
        os.kill(pid, signal.SIGHUP)  # the terminal is there, so this is only a request
        time.sleep(0.5)
        assert is_alive(pid)
        os.close(terminal)
        wait_until(lambda: not is_alive(pid), 30, "its end")
    assert "the terminal was closed: stopping" in (tmp_path / "log").read_text()


@pytest.mark.parametrize("prefix", ["nohup", "setsid"])
@pytest.mark.parametrize("program", DAEMONS)
def test_it_outlives_a_terminal_that_it_was_freed_from(tmp_path, program, prefix):
    command = " ".join(words_of(program, tmp_path))
    script = f"{prefix} sh -c 'echo $$ > pid; exec {command} >ready 2>log' </dev/null & wait; sleep 60"
    with on_a_terminal(tmp_path, script) as (terminal, shell):
        pid = started(tmp_path)
        os.close(terminal)
        wait_until(lambda: not is_alive(shell), 30, "the end of the shell")
        assert is_alive(pid)
        os.kill(pid, signal.SIGHUP)
        time.sleep(0.5)
        assert is_alive(pid)
        end(pid)


@pytest.mark.parametrize("program", DAEMONS)
def test_without_a_terminal_it_is_a_request(tmp_path, program):
    with open(tmp_path / "ready", "w") as ready, open(tmp_path / "log", "w") as log:
        daemon = subprocess.Popen(
            words_of(program, tmp_path), cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=ready, stderr=log,
            env=environment(tmp_path), start_new_session=True,
        )  # fmt: skip
    (tmp_path / "pid").write_text(str(daemon.pid))
    started(tmp_path)
    daemon.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    assert daemon.poll() is None
    daemon.terminate()
    assert daemon.wait(30) == 0

"""scripts/run.sh with a key that has a passphrase: the script asks once, and both daemons get it."""

import os
import pty
import re
import select
import signal
import subprocess
import time
from pathlib import Path

import pytest

from conftest import bounded, environment
from test_run_sh import FREE, RUN

PHRASE = "correct horse"
STARTED = re.compile(r"Dashboard +http://localhost:\d+")


@pytest.fixture
def protected(suite, tmp_path):
    (tmp_path / "phrase").write_text(PHRASE + "\n")
    suite.p2p("key", "protect", "--keys-dir", tmp_path / "keys",
              env={"P2P_PASSPHRASE_FILE": str(tmp_path / "phrase")}, check=True)  # fmt: skip
    return tmp_path


def options(folder):
    words = ["--shared-dir", folder / "shared", "--downloads-dir", folder / "downloads", "--keys-dir", folder / "keys"]
    return [str(word) for word in [*words, *FREE]]


class Terminal:
    """The script in a session with a terminal, typed at and read from."""

    def __init__(self, folder, more=None):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execve(RUN, [str(RUN), *options(folder)], {**environment(folder), **(more or {})})
        self.text = ""

    def wait(self, pattern, timeout=300):
        end = time.monotonic() + timeout
        while not re.search(pattern, self.text):
            assert time.monotonic() < end, self.text
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    self.text += os.read(self.fd, 4096).decode()
                except OSError:
                    assert re.search(pattern, self.text), self.text
        return self

    def type(self, line):
        self.text = ""
        os.write(self.fd, line.encode() + b"\n")

    def descendants(self):
        found, todo = [], [self.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            try:
                todo += [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
            except OSError:
                pass
        return found

    def end(self):
        try:
            os.kill(self.pid, signal.SIGTERM)
        except ProcessLookupError:
            return
        end = time.monotonic() + 30
        while os.waitpid(self.pid, os.WNOHANG)[0] == 0 and time.monotonic() < end:
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    os.read(self.fd, 4096)
                except OSError:
                    pass
        os.close(self.fd)


def arguments_and_environment(pid):
    try:
        return b"".join(Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ"))
    except OSError:  # an ended helper process of the script
        return b""


def test_asked_once_and_hidden(protected):
    terminal = Terminal(protected)
    try:
        terminal.wait("Passphrase of ")
        terminal.type("wrong")
        terminal.wait("wrong passphrase(.|\n)*Passphrase of ")
        terminal.type(PHRASE)
        terminal.wait(STARTED)
        assert "assphrase of" not in terminal.text and PHRASE not in terminal.text
        daemons = [p for p in terminal.descendants() if b"p2p-" in arguments_and_environment(p)]
        assert len(daemons) >= 3
        for pid in terminal.descendants():
            assert PHRASE.encode() not in arguments_and_environment(pid)
    finally:
        terminal.end()


def test_nobody_is_asked_for_a_key_without_one(tmp_path):
    terminal = Terminal(tmp_path)
    try:
        terminal.wait(STARTED)
        assert "assphrase" not in terminal.text
    finally:
        terminal.end()


def run(folder, env, **more):
    return bounded(subprocess.Popen(
        [RUN, *options(folder)], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, start_new_session=True, env={**environment(folder), **env}, **more,
    ))  # fmt: skip


def starts(process):
    text = ""
    try:
        for line in process.stdout:
            text += line
            if STARTED.search(line):
                return True, text
        return False, text
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_without_a_terminal_the_file_is_enough(protected):
    ok, text = starts(run(protected, {"P2P_PASSPHRASE_FILE": str(protected / "phrase")}))
    assert ok, text


@pytest.mark.parametrize("name", ["P2P_PASSPHRASE_FD", "P2P_PASSPHRASE_FILE"])
def test_a_pipe_that_gives_it_once_is_enough_for_both(protected, name):
    ours, theirs = os.pipe()
    os.write(theirs, PHRASE.encode() + b"\n")
    os.close(theirs)
    value = str(ours) if name.endswith("FD") else f"/dev/fd/{ours}"
    ok, text = starts(run(protected, {name: value}, pass_fds=[ours]))
    os.close(ours)
    assert ok, text


def test_without_anything_it_says_what_to_do(protected):
    process = run(protected, {})
    text, _ = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "P2P_PASSPHRASE_FILE" in text and "no terminal" in text, text
    assert "Dashboard" not in text

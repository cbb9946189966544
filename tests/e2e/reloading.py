"""Helpers for tests of SIGHUP and of new processes behind the same listening socket."""

import contextlib
import os
import re
import signal
import socket
import threading
import time

from conftest import wait_until


class Settings:
    """The file of --config of a program. Give its `words` to the program, then start() it here."""

    def __init__(self, path, **values):
        self.path, self.program = path, None
        self.write(**values)
        self.words = ["--config", path]

    def write(self, text=None, **values):
        lines = [f"{name.replace('_', '-')} = {value}" for name, value in values.items()]
        self.path.write_text("\n".join(lines) + "\n" if text is None else text)

    def start(self, program):
        self.program = program
        return program

    def said(self):
        return re.findall(r"(?:info|warn|error) \S+: (settings: .*)$", self.program.stderr(), re.M)

    def reload(self, text=None, **values):
        """Writes the file, sends SIGHUP to the program, and returns its log lines about that."""
        self.write(text, **values)
        before = len(self.said())
        self.program.process.send_signal(signal.SIGHUP)

        def done():
            said = self.said()[before:]
            return any(re.match("settings: (changed|read again|nothing was changed)", line) for line in said) and said

        return wait_until(done, 20, "the settings read again")


@contextlib.contextmanager
def knocking(port):
    """A client connects all the time, and is never refused."""
    refused, knocks, stop = [], [0], threading.Event()

    def knock():
        while not stop.is_set():
            try:
                socket.create_connection(("127.0.0.1", port), 20).close()
                knocks[0] += 1
            except OSError as error:
                refused.append(error)
            time.sleep(0.02)

    thread = threading.Thread(target=knock, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
    assert knocks[0] > 0 and not refused, refused


@contextlib.contextmanager
def a_new_process(program):
    """The body of this `with` makes the parent start another serving process on the same port."""
    first, before = program.pid, program.stderr().count("serving again")
    with knocking(program.port):
        yield
        wait_until(lambda: program.stderr().count("serving again") > before, 60, "a process that serves again")
    assert program.pid != first
    assert sum(line.startswith("ready ") for line in program.lines) == 1, "one ready line"
    assert not os.path.exists(f"/proc/{first}"), "the former one has ended"


@contextlib.contextmanager
def the_same_process(program):
    first = program.pid
    yield
    assert program.running and program.pid == first


def start_with_file_only(suite, name, path, **launch):
    """(program, settings): only the file names its folders, so that they can change there."""
    import conftest

    folder = suite.folder / name
    values = {}
    if name != "p2p-discovery":
        values = {"shared_dir": folder / "shared", "keys_dir": folder / "keys", "discovery": conftest.NO_REGISTRY}
        (folder / "shared").mkdir(parents=True, exist_ok=True)
    if name == "p2p-ui":
        values["downloads_dir"] = folder / "downloads"
    if name == "p2p-peer":
        values["mdns"] = "no"
    settings = Settings(path, **values)
    settings.values = values
    words = ["--host", "127.0.0.1", "--port", "0", *settings.words]
    if name == "p2p-ui":
        words += ["--web-dir", conftest.ROOT / "web"]
    made = conftest.Peer(folder, words, **launch) if name == "p2p-peer" else conftest.Program(name, words, folder, **launch)
    suite._keep(made)
    if name == "p2p-ui":
        token = (folder / "keys" / "owner.token").read_text().strip()
        made.api = conftest.Dashboard(made.url, token=token)
        made.anyone = conftest.Dashboard(made.url)
    if name == "p2p-discovery":
        made.registry = conftest.Registry(made.url)
    return settings.start(made), settings

"""Starts the real programs, each in a folder of the test's own and on a free port.

    P2P_BIN           where the programs are (default: bin/)
    P2P_LONG_TESTS=1  also runs the tests that take minutes
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from p2pwire.client import Client
from p2pwire.client import Refused as Refused2
from p2pwire.keys import Identity
from p2pwire.protocol1 import Client as Client1
from p2pwire.protocol1 import Refused as Refused1
from p2pwire.web import Dashboard, Registry

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(os.environ.get("P2P_BIN", ROOT / "bin")).resolve()
LONG = os.environ.get("P2P_LONG_TESTS") == "1"
NO_REGISTRY = "http://127.0.0.1:9"  # the discard port: no program answers
REPORT = re.compile(r"(ERROR|WARNING): \w+Sanitizer|runtime error:|Sanitizer:DEADLYSIGNAL")

long_test = pytest.mark.skipif(not LONG, reason="takes minutes: P2P_LONG_TESTS=1 runs it")

# The dashboard counts a caller as its owner only if no process of its session listens. The program that started the
# tests may listen, so the tests get a new session, except on a terminal (Ctrl-C).
if not sys.stdin.isatty():
    with contextlib.suppress(PermissionError):  # leads one already
        os.setsid()

# A run in the background starts with SIGINT ignored, and every program would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config):
    config.addinivalue_line("markers", "xdist_group(name): runs in one process with its group")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """For `pytest -n N --dist loadgroup`: a file stays in one process, which starts its programs once."""
    for item in items:
        if not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


def wait_until(condition, timeout=15.0, what="the condition"):
    """Polls until condition() is truthy and returns that value."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"{what} not met within {timeout} s"
        time.sleep(0.02)


def bounded(process, seconds=240):
    """The process, which is killed if it still runs after so long: so nobody waits for ever for what it prints."""
    timer = threading.Timer(seconds, process.kill)
    timer.daemon = True
    timer.start()
    return process


def environment(home):
    """The environment without P2P_*, so that a developer's settings do not reach the programs. Tests may run as
    root, in folders of root.
    """
    env = {k: v for k, v in os.environ.items() if not k.startswith("P2P_") and "proxy" not in k.lower()}
    return {**env, "HOME": str(home), "UBSAN_OPTIONS": "print_stacktrace=1", "P2P_RUN_AS_ROOT": "1", "P2P_HOME": str(home)}


def children(pid):
    """The processes that `pid` has started, except for those between a daemon and the system bus, and for the maker of small pictures."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, _, rest = stat.read_text().rpartition(")")
        except OSError:
            continue
        words = rest.split()
        if int(words[1]) == pid and words[0] not in "ZX" and not head.endswith(("(p2p-bus", "(p2p-pictures")):
            found.append(int(stat.parent.name))
    return found


def is_alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state not in "ZX" or len(os.listdir(f"/proc/{pid}/task")) > 1
    except OSError:
        return False


class Program:
    """One running program."""

    def __init__(self, name, arguments, folder, env=None, ready_timeout=30.0, prefix=(), binaries=None):
        """prefix: words of a command that executes the program, such as `ip netns exec NAME`."""
        self.name, self.folder = name, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.log_path = folder / f"{name}.log"
        self.log = open(self.log_path, "ab")
        self.process = subprocess.Popen(
            [*prefix, (binaries or BIN) / name, *map(str, arguments)], cwd=folder, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=self.log, env={**environment(folder), **(env or {})},
        )  # fmt: skip
        self.lines = []
        self.ready = threading.Event()
        self.reader = threading.Thread(target=self._read_stdout, daemon=True)
        self.reader.start()
        self.port = self._wait_ready(ready_timeout)

    def _read_stdout(self):
        for line in self.process.stdout:
            self.lines.append(line.decode(errors="replace").rstrip("\n"))
            if self.lines[-1].startswith("ready "):
                self.ready.set()
        self.ready.set()

    def _wait_ready(self, timeout):
        self.ready.wait(timeout)
        line = next((x for x in self.lines if x.startswith("ready ")), None)
        if line is None:
            self.kill()
            pytest.fail(f"{self.name} did not get ready: {self.lines}\n{self.stderr()}")
        match = re.fullmatch(rf"ready {self.name} port=(\d+)\b.*", line)
        assert match, f"ready line: {line!r}"
        return int(match.group(1))

    @property
    def address(self):
        return ("127.0.0.1", self.port)

    @property
    def where(self):
        return f"127.0.0.1:{self.port}"

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def running(self):
        return self.process.poll() is None

    @property
    def pid(self):
        """The process that serves: the child of the one that was started."""
        return (children(self.process.pid) or [self.process.pid])[0]

    def stderr(self):
        return self.log_path.read_text(errors="replace")

    def memory_kib(self, field="VmRSS"):
        """0 for a program with sanitizers, because its memory says nothing about the real one."""
        if b"__asan_init" in (BIN / self.name).read_bytes():
            return 0
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(rf"{field}:\s+(\d+)", status).group(1))

    def kill(self):
        """kill -9 of the process that serves: no clean end expected. Its parent reaps it and ends, too."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.process.wait(20)
        self.log.close()

    def stop(self, timeout=20.0):
        """Sends SIGTERM; the program must end with status 0 and without a sanitizer report."""
        if self.log.closed:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            pytest.fail(f"{self.name} did not stop on SIGTERM\n{self.stderr()[-3000:]}")
        self.log.close()
        report = REPORT.search(self.stderr())
        assert not report, f"{self.name}: sanitizer report\n{self.stderr()[-6000:]}"
        assert status == 0, f"{self.name} ended with {status}\n{self.stderr()[-3000:]}"


class Peer(Program):
    def __init__(self, folder, arguments, **kwargs):
        self.shared, self.keys = folder / "shared", folder / "keys"
        super().__init__("p2p-peer", arguments, folder, **kwargs)

    @property
    def peer_id(self):
        with self.client() as client:
            return client.server_id

    def client(self, **kwargs):
        kwargs.setdefault("identity", Suite.identity)
        return Client(self.address, **kwargs)

    def client1(self, **kwargs):
        kwargs.setdefault("identity", Suite.identity)
        return Client1(self.address, **kwargs)

    def wait_for(self, name, timeout=20.0):
        """Waits until the file is hashed and can be requested with both protocols."""

        def served():
            try:
                with self.client1() as client:
                    client.meta(name)
                with self.client() as client:
                    return client.meta(name)
            except (Refused1, Refused2):
                return None

        return wait_until(served, timeout, f"{name} served")


class Suite:
    """The programs of one test: started here, and stopped at the end in reverse order."""

    identity = Identity()  # one RSA key for all tests to which the key does not matter
    made_keys = []  # PEM: each suite uses them again, because a new key takes longer than the start of a program
    key_lock = threading.Lock()

    def __init__(self, folder):
        self.folder, self.programs, self.used_keys = folder, [], 0

    def give_key(self, keys):
        """A private key that no other program of this suite has, unless the folder exists."""
        with self.key_lock:
            if keys.exists():
                return
            if self.used_keys == len(self.made_keys):
                self.made_keys.append(Identity().private_pem())
            keys.mkdir(mode=0o700, parents=True)
            with open(keys / "private_key.pem", "xb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
                file.write(self.made_keys[self.used_keys])
            self.used_keys += 1

    def _keep(self, program):
        self.programs.append(program)
        return program

    def discovery(self, *more, port=0, folder="discovery", host="127.0.0.1", **launch):
        arguments = ["--host", host, "--port", port, *more]
        program = self._keep(Program("p2p-discovery", arguments, self.folder / folder, **launch))
        program.registry = Registry(program.url)
        return program

    def relay(self, *more, port=0, folder="relay", host="127.0.0.1", secret="a secret of this test alone", **launch):
        """With .admin_port, and .secret_file for registries."""
        (self.folder / folder).mkdir(parents=True, exist_ok=True)
        secret_file = self.folder / folder / "relay.secret"
        secret_file.write_text(secret + "\n")
        words = ["--host", host, "--port", port, "--admin-port", 0, "--relay-secret-file", secret_file, *more]
        program = self._keep(Program("p2p-relay", words, self.folder / folder, **launch))
        program.secret, program.secret_file = secret, secret_file
        program.admin_port = int(re.search(r"admin_port=(\d+)", program.lines[0])[1])
        return program

    def peer(
        self, *more, name="peer", files=None, discovery=None, port=0, host="127.0.0.1", wait=True, **launch
    ):
        folder = self.folder / name
        shared = folder / "shared"
        shared.mkdir(parents=True, exist_ok=True)
        for file_name, data in (files or {}).items():
            (shared / file_name).parent.mkdir(parents=True, exist_ok=True)
            (shared / file_name).write_bytes(data)
        self.give_key(folder / "keys")
        registry = discovery.url if discovery else NO_REGISTRY
        arguments = [
            "--host", host, "--port", port, "--shared-dir", shared, "--keys-dir", folder / "keys",
            "--discovery", registry, *more,
        ]  # fmt: skip
        peer = self._keep(Peer(folder, arguments, **launch))
        if wait:
            for file_name in files or {}:
                peer.wait_for(file_name)
        return peer

    def ui(self, *more, name="peer", discovery=None, peer=None, port=0, host="127.0.0.1", **kwargs):
        folder = self.folder / name
        for part in ("shared", "downloads"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        self.give_key(folder / "keys")
        arguments = [
            "--host", host, "--port", port, "--shared-dir", folder / "shared",
            "--downloads-dir", folder / "downloads", "--keys-dir", folder / "keys",
            "--discovery", discovery.url if discovery else NO_REGISTRY, "--web-dir", ROOT / "web",
            *(["--peer-port", peer.port] if peer else []), *more,
        ]  # fmt: skip
        program = self._keep(Program("p2p-ui", arguments, folder, **kwargs))
        program.shared, program.downloads = folder / "shared", folder / "downloads"
        program.owner_token = (folder / "keys" / "owner.token").read_text().strip()
        program.owner = [("Authorization", f"Bearer {program.owner_token}")]
        program.api = Dashboard(program.url, token=program.owner_token)
        program.anyone = Dashboard(program.url)  # shows nothing
        return program

    def p2p(self, *arguments, timeout=90, env=None, check=False, cwd=None, prefix=()):
        """Runs the command line to its end, with the keys in cli/keys."""
        folder = self.folder / "cli"
        folder.mkdir(exist_ok=True)
        self.give_key(folder / "keys")
        run = subprocess.run(
            [*prefix, BIN / "p2p", *map(str, arguments)], cwd=cwd or folder, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=timeout, env={**environment(folder), **(env or {})},
        )  # fmt: skip
        assert not REPORT.search(run.stderr), run.stderr[-6000:]
        assert run.returncode >= 0, f"ended by signal {-run.returncode}\n{run.stderr}"
        assert not check or run.returncode == 0, f"{arguments}: {run.returncode}\n{run.stdout}{run.stderr}"
        return run

    def get(self, name, *sources, out="out", **kwargs):
        """`p2p get NAME` from servers that have a `where`, without a registry."""
        arguments = [
            "get",
            name,
            "--output-dir",
            self.folder / out,
            "--keys-dir",
            self.folder / "cli" / "keys",
        ]
        for source in sources:
            arguments += ["--from", source if isinstance(source, str) else source.where]
        more = kwargs.pop("more", [])
        return self.p2p(*arguments, "--discovery", NO_REGISTRY, *more, **kwargs)

    def stop(self):
        failures = []
        for program in reversed(self.programs):
            try:
                program.stop()
            except BaseException as failure:  # all are stopped before the first failure is reported
                failures.append(failure)
        if failures:
            raise failures[0]


@pytest.fixture
def suite(tmp_path):
    result = Suite(tmp_path)
    yield result
    result.stop()


@pytest.fixture(scope="module")
def module_suite(tmp_path_factory):
    """For files in which many tests share programs that they do not change."""
    result = Suite(tmp_path_factory.mktemp("suite"))
    yield result
    result.stop()

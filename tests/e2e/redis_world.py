"""Real Redis servers and Sentinels on free ports of loopback, to be killed."""

import re
import shutil
import socket
import subprocess

import pytest

from conftest import wait_until


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


class Server:
    """A program that speaks Redis' protocol: a Redis or a Sentinel."""

    def __init__(self, folder, port=None, host="127.0.0.1", prefix=()):
        """prefix: words of a command that executes redis-server, such as `ip netns exec NAME`."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.port, self.host, self.prefix = folder, port or free_port(), host, prefix

    def launch(self, *arguments):
        words = [*self.prefix, "redis-server", *map(str, arguments)]
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(words, stdout=log, stderr=log)
        wait_until(self.answers, 10, "redis-server answers")

    def command(self, *words, password=None):
        """The raw answer, as far as it comes in one piece of 1 MiB."""
        with socket.create_connection((self.host, self.port), 2) as sock:
            reader = sock.makefile("rb")
            if password:
                sock.sendall(self._encode((b"AUTH", password.encode())))
                assert reader.readline() == b"+OK\r\n"
            sock.sendall(self._encode(words))
            return self._read(reader)

    @staticmethod
    def _encode(words):
        return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)

    def _read(self, reader):
        line = reader.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"$":
            return reader.read(int(rest) + 2)[:-2] if int(rest) >= 0 else None
        if kind == b"*":
            return [self._read(reader) for _ in range(int(rest))]
        return rest if kind in b"+:" else line

    def answers(self):
        try:
            return self.command(b"PING") in (b"PONG", b"-NOAUTH Authentication required.\r\n")
        except OSError:
            return False

    def kill(self):
        self.process.kill()
        self.process.wait()


class Redis(Server):
    def __init__(self, folder, *options, port=None):
        super().__init__(folder, port)
        self.options = options
        self.start()

    def start(self):
        self.launch(
            "--port", self.port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes",
            "--appendfsync", "always", "--dir", self.folder, *self.options,
        )  # fmt: skip

    def forget(self):
        """Removes its data, as on a machine that was set up again. Only while it is stopped."""
        shutil.rmtree(self.folder / "appendonlydir", ignore_errors=True)

    def is_master(self, password=None):
        try:
            return self.command(b"ROLE", password=password)[0] == b"master"
        except (OSError, IndexError, TypeError):
            return False

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}/0"


class Sentinel(Server):
    def __init__(self, folder, lines, port=None):
        """lines: more lines of sentinel.conf, besides the port."""
        super().__init__(folder, port)
        self.config = folder / "sentinel.conf"
        text = [f"port {self.port}", "bind 127.0.0.1", f"dir {folder}", *lines]
        self.config.write_text("\n".join(text) + "\n")
        self.start()

    def start(self):
        self.launch(self.config, "--sentinel")

    def master_port(self, name=b"p2p"):
        try:
            return int(self.command(b"SENTINEL", b"get-master-addr-by-name", name)[1])
        except (OSError, ValueError, TypeError):
            return None


def need_redis():
    if not shutil.which("redis-server"):
        pytest.skip("needs the package redis-server")


@pytest.fixture
def redis(tmp_path):
    need_redis()
    server = Redis(tmp_path / "redis")
    yield server
    server.kill()


def calls(redis, command):
    """How often it has been called."""
    stats = redis.command(b"INFO", b"commandstats").decode()
    match = re.search(rf"cmdstat_{command}:calls=(\d+)", stats)
    return int(match.group(1)) if match else 0

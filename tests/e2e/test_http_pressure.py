"""The HTTP daemons while strangers use as much as they can: who is still served (docs/SECURITY.md, "Limits")."""

import contextlib
import json
import os
import resource
import select
import socket
import subprocess
import threading
import time

import pytest

from conftest import wait_until
from crowd import StandIn
from netns import other_machine
from p2pwire.web import raw

MIB = 1 << 20
SERVED_WITHIN = 5  # seconds; a client that is not served waits until the timeout


@pytest.fixture(autouse=True, scope="module")
def many_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def rss(program):
    return program.memory_kib() * 1024


def connect(address, source=None, timeout=10):
    return socket.create_connection(address, timeout, source_address=(source, 0) if source else None)


def head_of_post(length, path="/register"):
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n".encode()


@contextlib.contextmanager
def closing(sockets):
    try:
        yield sockets
    finally:
        for sock in sockets:
            sock.close()


# --- bodies ----------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [18, 200])
def test_a_declared_length_costs_nothing(suite, count):
    """Connections of a stranger that announce 16 MiB and send one byte."""
    registry = suite.discovery()
    before = rss(registry)
    with closing([connect(registry.address, "127.0.0.2") for _ in range(count)]) as sockets:
        for sock in sockets:
            sock.sendall(head_of_post(16 * MIB) + b"{")
        for source in ("127.0.0.2", "127.0.0.3", None):
            who = StandIn()
            start = time.monotonic()
            assert post_from(registry, source, who, ["f" * 200 + str(i) for i in range(5000)])[0] == 200
            assert time.monotonic() - start < SERVED_WITHIN
        assert rss(registry) - before < 64 * MIB


def register_body(who):
    return {"peer_id": who.peer_id, "public_key": who.pem.decode(), "port": 1}


def post_from(registry, source, who, files, timeout=10):
    body = json.dumps({**register_body(who), "files": files}).encode()
    with connect(registry.address, source, timeout) as sock:
        sock.sendall(head_of_post(len(body)).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + body)
        answer = b""
        while piece := sock.recv(65536):
            answer += piece
    return int(answer.split()[1]), answer


def test_a_body_that_stops_is_dropped(suite):
    """Within the five seconds that each body has, plus the time for the bytes that arrived."""
    registry = suite.discovery()
    with closing([connect(registry.address, timeout=30) for _ in range(3)]) as sockets:
        for sock, sent in zip(sockets, (1, 1000, 20000)):
            sock.sendall(head_of_post(16 * MIB) + b" " * sent)
        start = time.monotonic()
        for sock in sockets:
            assert sock.recv(100).startswith(b"HTTP/1.1 408")
        assert time.monotonic() - start < 20


def test_a_body_that_moves_is_not(suite):
    """24 KiB per second is slow, but allowed."""
    registry = suite.discovery()
    body = json.dumps({**register_body(StandIn()), "files": ["x" * 200 + str(i) for i in range(1200)]}).encode()
    assert len(body) > 10 * 24 * 1024 * 0.95
    with connect(registry.address, timeout=30) as sock:
        sock.sendall(head_of_post(len(body)))
        for at in range(0, len(body), 6 * 1024):
            sock.sendall(body[at : at + 6 * 1024])
            time.sleep(0.25)
        assert b" 200 " in sock.recv(100)


def test_bodies_that_are_sent_leave_room_for_others(suite):
    """One address sends 30 bodies of 16 MiB except for their ends: it gets half of the budget, and others get the
    rest.
    """
    registry = suite.discovery("--max-body-memory", "32M")
    before = rss(registry)
    refused, full = 0, b" " * (4 * MIB - 1)
    with closing([connect(registry.address, "127.0.0.2", 20) for _ in range(16)]) as sockets:
        for sock in sockets:
            sock.sendall(head_of_post(4 * MIB))
            with contextlib.suppress(OSError):
                sock.sendall(full)
        refused = sum(b" 503 " in answered(sock) for sock in sockets)
        assert post_from(registry, "127.0.0.3", StandIn(), ["n" * 200 + str(i) for i in range(10000)])[0] == 200
        assert post_from(registry, None, StandIn(), ["f"])[0] == 200
        assert rss(registry) - before < 96 * MIB
    assert refused >= 0


def answered(sock):
    ready, _, _ = select.select([sock], [], [], 0.05)
    with contextlib.suppress(OSError):
        return sock.recv(1000) if ready else b""
    return b""


# --- connections -----------------------------------------------------------------------------


@contextlib.contextmanager
def crowd_of_networks(count, number=0):
    """Another machine with an address in each of `count` networks of /64: (machine, [(ours, its)]), or skips."""
    with other_machine(number) as machine:
        if machine is None:
            pytest.skip("network namespaces cannot be made here")
        prefix = f"fd00:{os.getpid() & 0xFFFF:x}:{number:x}"
        pairs = [(f"{prefix}:{i:x}::1", f"{prefix}:{i:x}::2") for i in range(1, count + 1)]
        for ours, its in pairs:
            for words in (
                ["ip", "addr", "add", f"{ours}/64", "dev", machine.name, "nodad"],
                ["ip", "-n", machine.name, "addr", "add", f"{its}/64", "dev", "veth0", "nodad"],
            ):
                if subprocess.run(words, capture_output=True).returncode:
                    pytest.skip("no IPv6 here")
        yield machine, pairs


def idle_from(machine, pairs, port, each, say=b""):
    """`each` connections from every network that send this and then nothing."""

    def dial():
        made = []
        for ours, its in pairs:
            for _ in range(each):
                with contextlib.suppress(OSError):
                    made.append(connect((ours, port), its))
                    if say:
                        made[-1].sendall(say)
        return made

    return machine.run(dial)


def ask(address, path="/health", source=None, headers=(), machine=None):
    """(status, seconds) of a request on a new connection; status 0: it was closed."""
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}:{address[1]}", "Connection: close", *headers]

    def once():
        start = time.monotonic()
        try:
            with connect(address, source, 15) as sock:
                sock.sendall("\r\n".join([*lines, "", ""]).encode())
                answer = sock.recv(1000)
        except OSError:
            answer = b""
        return int(answer.split()[1]) if answer else 0, time.monotonic() - start

    return machine.run(once) if machine else once()


SAYINGS = {
    "nothing": b"",
    "half a header": b"GET /health HTTP/1.1\r\nHost: ",
    "half a body": b"POST /api/pair HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000\r\n\r\n{",
}


@pytest.mark.parametrize("say", SAYINGS)
@pytest.mark.parametrize("what", ["ui", "discovery"])
def test_nine_networks_do_not_keep_the_owner_out(suite, what, say):
    """Each holds as many connections as one address may have: together more than there are places."""
    options = () if what == "ui" else ("--max-connections", "512", "--max-connections-per-ip", "64")
    with crowd_of_networks(10) as (machine, pairs):
        program = getattr(suite, what)(*options, host="::")
        with closing(idle_from(machine, pairs[:9], program.port, 64, SAYINGS[say])) as sockets:
            assert len(sockets) > 400
            for _ in range(20):
                status, seconds = ask(program.address)
                assert status == 200 and seconds < SERVED_WITHIN
            # Nor does a new client of another network get one.
            if say != "half a header" and say != "half a body":
                ours, its = pairs[9]
                status, seconds = ask((ours, program.port), source=its, machine=machine)
                assert status == 200 and seconds < SERVED_WITHIN


def test_one_network_counts_as_one_address(suite):
    """64 addresses of one /64 share its limit: the newest connection replaces the oldest idle one."""
    with crowd_of_networks(2) as (machine, pairs):
        ours, its = pairs[0]
        for i in range(16, 32):
            subprocess.run(["ip", "-n", machine.name, "addr", "add", f"{its}{i:x}/64", "dev", "veth0", "nodad"], check=True)
        program = suite.discovery("--max-connections-per-ip", "8", host="::")
        places = [(ours, f"{its}{i:x}") for i in range(16, 32)]
        with closing(idle_from(machine, places[:8], program.port, 1)) as sockets:
            open_now = lambda: int(program.registry.get("/metrics").text.split("\np2p_http_connections ")[1].split()[0])
            wait_until(lambda: open_now() >= 9, 10, "eight are accepted")
            sockets += idle_from(machine, places[8:], program.port, 1)
            wait_until(lambda: len(closed(sockets)) == 8, 10, "eight of sixteen are closed")
            assert closed(sockets) == sockets[:8], "the oldest"
            # A mapped IPv4 address counts as the IPv4 address, which is another source.
            v4 = machine.run(lambda: [connect((machine.our_ip, program.port)) for _ in range(9)])
            with closing(v4):
                wait_until(lambda: len(closed(v4)) == 1, 10, "one of nine")
                assert len(closed(sockets)) == 8


def connect_freely(address, source):
    """From an address that no interface lists."""
    sock = socket.socket(socket.AF_INET6)
    sock.setsockopt(socket.IPPROTO_IP, 15, 1)  # IP_FREEBIND
    sock.settimeout(10)
    sock.bind((source, 0))
    sock.connect(address)
    return sock


def test_many_prefixes_of_one_network_push_nobody_out(suite):
    """A customer of a network provider has thousands of /64 networks. They count as one when places are short, so
    its own connections are closed.
    """
    with crowd_of_networks(1) as (machine, pairs):
        ours, its = pairs[0]
        wide = f"fd01:{os.getpid() & 0xFFFF:x}:1"
        for words in (
            ["ip", "route", "add", f"{wide}::/48", "via", its, "dev", machine.name],
            ["ip", "-n", machine.name, "link", "set", "lo", "up"],  # the following makes all of them its own
            ["ip", "-n", machine.name, "route", "add", "local", f"{wide}::/48", "dev", "lo"],
        ):
            subprocess.run(words, check=True)
        program = suite.discovery("--max-connections", "64", "--max-connections-per-ip", "8", host="::")
        honest = machine.run(lambda: [connect((machine.our_ip, program.port)) for _ in range(3)])
        with closing(honest):
            of_each = lambda: [connect_freely((ours, program.port), f"{wide}:{i:x}::1") for i in range(200)]
            with closing(machine.run(of_each)) as sockets:
                wait_until(lambda: len(closed(sockets)) >= 140, 20, "its own are closed")
                assert not closed(honest)
                status, seconds = machine.run(ask, (machine.our_ip, program.port))
                assert status == 200 and seconds < SERVED_WITHIN
                assert not closed(honest)


def closed(sockets):
    """The connections whose other end was closed."""
    ended = []
    for sock in sockets:
        ready, _, _ = select.select([sock], [], [], 0)
        with contextlib.suppress(ConnectionError):
            if ready and sock.recv(1000, socket.MSG_PEEK):
                continue
        if ready:
            ended.append(sock)
    return ended


def test_a_paired_device_keeps_its_connection(suite):
    """The connection of a device that sent its token is not closed in favor of a crowd, and such a device gets a
    place.
    """
    with crowd_of_networks(10) as (machine, pairs):
        ui = suite.ui(host="::")
        code = ui.api.request("POST", "/api/pair/code").json()["code"]
        ours, its = pairs[9]
        host = ("Host", f"[{ours}]:{ui.port}")
        body = json.dumps({"code": code, "name": "phone"}).encode()
        status, headers, _ = machine.run(raw, ui.port, "POST", "/api/pair", [host, ("Content-Length", len(body))], body, ours)
        assert status == 200
        cookie = headers["Set-Cookie"].split(";")[0]
        kept = machine.run(connect, (ours, ui.port), its)
        request = f"GET /api/status HTTP/1.1\r\nHost: [{ours}]:{ui.port}\r\nCookie: {cookie}\r\n\r\n".encode()
        with kept:
            kept.sendall(request)
            assert kept.recv(100000).startswith(b"HTTP/1.1 200")
            with closing(idle_from(machine, pairs[:9], ui.port, 64)) as sockets:
                wait_until(lambda: len(closed(sockets)) > 60, 20, "the crowd is too large")
                kept.sendall(request)
                assert kept.recv(100000).startswith(b"HTTP/1.1 200")
                status, _ = ask((ours, ui.port), "/api/status", its, [f"Cookie: {cookie}"], machine)
                assert status == 200


def test_a_proxy_nobody_named_has_no_reserved_place(suite):
    """Connections from loopback that show a proxy count as strangers: the owner's own connections come first."""
    ui = suite.ui("--max-connections", "16", "--max-connections-per-address", "16")
    say = b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 192.0.2.9\r\n\r\n"
    with closing([]) as sockets:
        for _ in range(40):
            sock = connect(ui.address, "127.0.0.2")
            sockets.append(sock)
            with contextlib.suppress(OSError):
                sock.sendall(say)
                sock.recv(1000)
        for _ in range(10):
            assert ask(ui.address)[0] == 200


# --- work ------------------------------------------------------------------------------------


class Flood(threading.Thread):
    """Sends the same request on many connections again and again; reads the answers unless told not to."""

    def __init__(self, address, source, count, path, reads=True):
        super().__init__(daemon=True)
        self.request = f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        self.sockets = [connect(address, source) for _ in range(count)]
        self.reads, self.over, self.bytes = reads, threading.Event(), 0
        for sock in self.sockets:
            sock.sendall(self.request)

    def run(self):
        poll = select.epoll()
        by_fd = {sock.fileno(): sock for sock in self.sockets}
        for fd in by_fd:
            poll.register(fd, select.EPOLLIN)
        while not self.over.is_set():
            for fd, _ in poll.poll(0.1) if self.reads else []:
                try:
                    piece = by_fd[fd].recv(1 << 20)
                    self.bytes += len(piece)
                    if piece.endswith(b"]}"):
                        by_fd[fd].sendall(self.request)
                except OSError:
                    piece = b""
                if not piece:
                    poll.unregister(fd)
            self.over.wait(0 if self.reads else 0.1)

    def stop(self):
        self.over.set()
        self.join()
        for sock in self.sockets:
            sock.close()


@pytest.fixture
def big_registry(suite):
    """A registry whose list of all peers has some megabytes, and the addresses of two strangers on another machine."""
    with other_machine() as machine:
        if machine is None:
            pytest.skip("network namespaces cannot be made here")
        second = machine.its_ip.rsplit(".", 1)[0]
        subprocess.run(["ip", "-n", machine.name, "addr", "add", f"{second}.201/32", "dev", "veth0"], check=True)
        subprocess.run(["ip", "route", "add", f"{second}.201/32", "via", machine.its_ip], check=True)
        registry = suite.discovery("--rate", "0", "--register-rate", "0", host="0.0.0.0")
        for i in range(20):
            names = [f"{'long name of a file ' * 4}{i} {j}.bin" for j in range(1500)]
            assert post_from(registry, None, StandIn(), names)[0] == 200
        yield registry, machine, (machine.our_ip, registry.port), machine.its_ip, f"{second}.201"


@pytest.mark.parametrize("path", ["/peers?limit=10000", "/search?q=a&limit=200"])
def test_a_flood_of_one_address_slows_nobody_else(big_registry, path):
    """300 connections request everything: another address waits for one of their answers, not for all of them."""
    registry, machine, address, attacker, victim = big_registry
    flood = machine.run(Flood, address, attacker, 300, path)
    flood.start()
    try:
        wait_until(lambda: flood.bytes > 8 * MIB or len(flood.sockets) < 1, 30, "the flood is answered")
        took = []
        for _ in range(15):
            status, seconds = ask(address, "/search?q=name&limit=5", victim, machine=machine)
            assert status == 200
            took.append(seconds)
        took.sort()
        print("search during the flood: median", took[7], "worst", took[-1])
        assert took[7] < 1 and took[-1] < SERVED_WITHIN
    finally:
        flood.stop()


def test_answers_that_nobody_reads_stay_few(big_registry):
    """A stranger sends 300 requests and reads nothing: further answers are made only after the first ones were read."""
    registry, machine, address, attacker, victim = big_registry
    before = registry.memory_kib()
    flood = machine.run(Flood, address, attacker, 300, "/peers?limit=10000", reads=False)
    try:
        took = [ask(address, "/search?q=name&limit=5", victim, machine=machine) for _ in range(10)]
        assert {status for status, _ in took} == {200}
        assert max(seconds for _, seconds in took) < SERVED_WITHIN
        assert registry.memory_kib() - before < 160 * 1024
    finally:
        flood.reads = True
        flood.start()
        flood.stop()

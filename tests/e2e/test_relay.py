"""p2p-relay as a program: it joins clients that send a token, limits what it gives, and gives strangers nothing."""

import hashlib
import os
import signal
import socket
import subprocess
import threading

import pytest

import relaywire
from conftest import BIN, environment, wait_until
from p2pwire.web import Registry
from relaywire import CALLEE, CALLER, answer, connect, join, token


def health(relay):
    return Registry(f"http://127.0.0.1:{relay.admin_port}").request("GET", "/health").json()


def metric(relay, name):
    text = Registry(f"http://127.0.0.1:{relay.admin_port}").request("GET", "/metrics").text
    return int(next(line.split()[-1] for line in text.splitlines() if line.startswith(name + " ")))


def refused(relay, reason):
    return metric(relay, f'p2p_relay_refused_total{{reason="{reason}"}}')


def read_all(connection):
    digest, count = hashlib.sha256(), 0
    while data := connection.recv(1 << 16):
        digest.update(data)
        count += len(data)
    return digest.hexdigest(), count


def test_two_peers_are_joined(suite):
    relay = suite.relay("--limit-rate", "off")
    data = os.urandom(8 << 20)
    caller, callee = join(relay.address, relay.secret)

    def send():
        callee.sendall(data)
        callee.shutdown(socket.SHUT_WR)

    caller.sendall(b"request")
    assert callee.recv(7, socket.MSG_WAITALL) == b"request"
    sender = threading.Thread(target=send)
    sender.start()
    assert read_all(caller) == (hashlib.sha256(data).hexdigest(), len(data))
    sender.join()
    assert health(relay)["sessions"] == 1
    caller.close()
    callee.close()
    wait_until(lambda: health(relay)["sessions"] == 0, 60, "the end of the session")
    assert metric(relay, "p2p_relay_bytes_total") == len(data) + 7
    assert metric(relay, "p2p_relay_sessions_total") == 1


def test_a_reset_reaches_the_other_side(suite):
    relay = suite.relay()
    caller, callee = join(relay.address, relay.secret)
    caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    caller.close()
    try:
        assert callee.recv(1) == b""
    except ConnectionResetError:
        pass


@pytest.mark.parametrize(
    "kind, expected",
    [("other secret", b""), ("expired", b"-expired"), ("far future", b"-expired"), ("no token", b""), ("http", b"")],
)
def test_who_gets_nothing(suite, kind, expected):
    relay = suite.relay()
    session = os.urandom(16)
    texts = {
        "other secret": token("another secret of another relay", session, CALLER),
        "expired": token(relay.secret, session, CALLER, expires=1700000000),
        "far future": token(relay.secret, session, CALLER, expires=1 << 40),
        "no token": b"A" * 151,
        "http": b"HTTP/1.1",
    }
    assert answer(connect(relay.address, texts[kind])) == expected
    wait_until(lambda: refused(relay, "expired" if expected else "bad_token") == 1, 60, "the count")


def test_a_token_works_once(suite):
    relay = suite.relay()
    session = os.urandom(16)
    tokens = [token(relay.secret, session, side) for side in (CALLER, CALLEE)]
    ends = [connect(relay.address, text) for text in tokens]
    assert [answer(end) for end in ends] == [b"+", b"+"]
    assert [answer(connect(relay.address, text)) for text in tokens] == [b"-used", b"-used"]
    ends[0].sendall(b"still")
    assert ends[1].recv(5, socket.MSG_WAITALL) == b"still"


def test_one_side_alone_is_told(suite):
    relay = suite.relay()
    alone = connect(relay.address, token(relay.secret, os.urandom(16), CALLER))
    assert answer(alone) == b"-alone"


def test_strangers_get_no_place(suite):
    """One address may hold 16 connections without a token, and silent ones are closed within seconds."""
    relay = suite.relay()
    silent = []

    def crowded():
        silent.extend(socket.create_connection(relay.address, 60) for _ in range(20))
        return refused(relay, "busy")

    wait_until(crowded, 60, "a refusal")
    for connection in silent:
        assert connection.recv(1) == b""
    caller, callee = join(relay.address, relay.secret)
    caller.sendall(b"hello")
    assert callee.recv(5, socket.MSG_WAITALL) == b"hello"


def test_a_limit_changes_while_it_runs(suite, tmp_path):
    config = tmp_path / "p2p.conf"
    config.write_text("[p2p-relay]\nmax-sessions = 1\n")
    relay = suite.relay("--config", config)
    first = join(relay.address, relay.secret)
    session = os.urandom(16)
    ends = [connect(relay.address, token(relay.secret, session, side)) for side in (CALLER, CALLEE)]
    assert [answer(end) for end in ends] == [b"-busy", b"-busy"]
    config.write_text("[p2p-relay]\nmax-sessions = 2\n")
    relay.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "changed --max-sessions" in relay.stderr(), 60, "the new limit")

    def joined():
        number = os.urandom(16)
        pair = [connect(relay.address, token(relay.secret, number, side)) for side in (CALLER, CALLEE)]
        return [answer(end) for end in pair] == [b"+", b"+"]

    wait_until(joined, 60, "a second session")
    first[0].sendall(b"first")
    assert first[1].recv(5, socket.MSG_WAITALL) == b"first"


@pytest.mark.parametrize("secret, said", [("short", "needs at least 16 characters"), (None, "not found")])
def test_without_a_good_secret_it_does_not_start(suite, tmp_path, secret, said):
    path = tmp_path / "secret"
    if secret is not None:
        path.write_text(secret)
    run = subprocess.run(
        [BIN / "p2p-relay", "--host", "127.0.0.1", "--port", "0", "--admin-port", "0", "--relay-secret-file", path],
        capture_output=True, text=True, timeout=60, env=environment(tmp_path),
    )  # fmt: skip
    assert run.returncode in (1, 2) and said in run.stderr, run
    assert "ready" not in run.stdout


def test_memory_stays_small(suite):
    """Many sessions whose receivers do not read: the bytes wait in the kernel, and senders wait, too."""
    relay = suite.relay("--max-per-peer", "64", "--max-memory", "4M")
    before = relay.memory_kib()
    pairs = [join(relay.address, relay.secret) for _ in range(32)]
    for caller, _ in pairs:
        caller.setblocking(False)
        with pytest.raises(BlockingIOError):
            for _ in range(4096):
                caller.send(b"x" * 65536)
    assert relay.memory_kib() - before < 16 << 10
    caller, callee = join(relay.address, relay.secret)
    caller.sendall(b"served")
    assert callee.recv(6, socket.MSG_WAITALL) == b"served"


def test_the_client_of_these_tests_is_the_documented_one():
    """A known answer, as in tests/unit/test_relay_token.c."""
    made = relaywire.token(
        "correct horse battery staple", bytes(range(1, 17)), CALLEE, source=b"\xaa\xab".ljust(32, b"\0"),
        target=b"\xbb\xbc".ljust(32, b"\0"), expires=1800000000, size=1 << 30,
    )  # fmt: skip
    assert len(made) == 151 and made.startswith(b"AAAAAGtJ0gABAgMEBQYHCAkKCwwNDg8Q")

"""The control socket of p2p-peer: who may ask, and what a client may cost."""

import json
import os
import signal
import socket
import stat
import struct
import subprocess
import sys
import textwrap

import pytest

import controlling
from conftest import NO_REGISTRY, Program, wait_until

CLIENTS_MAX = 16
REQUEST_MAX = 64 * 1024


@pytest.fixture(scope="module")
def peer(module_suite):
    return module_suite.peer(files={"a.txt": b"text"})


def test_the_file_is_a_socket_of_the_owner(peer):
    there = os.lstat(peer.keys / "control.sock")
    assert stat.S_ISSOCK(there.st_mode) and stat.S_IMODE(there.st_mode) == 0o600
    assert there.st_uid == os.geteuid()


def test_status(peer):
    status = controlling.ask(peer.keys, "status")
    assert status["ok"] is True
    assert status["peer_id"] == peer.peer_id and status["port"] == peer.port
    assert [(f["name"], f["path"], f["files"], f["bytes"], f["state"]) for f in status["folders"]] == [
        (None, str(peer.shared), 1, 4, "ok")
    ]
    assert status["uploaded"]["running"] == 0


def test_one_connection_asks_often(peer):
    with controlling.connect(peer.keys) as sock:
        for _ in range(50):
            controlling.send(sock, {"verb": "status"})
        assert {controlling.receive(sock)["peer_id"] for _ in range(50)} == {peer.peer_id}


def test_an_unknown_verb_is_answered(peer):
    with controlling.connect(peer.keys) as sock:
        for request in ({"verb": "fly"}, {"verb": 7}, {}, {"verb": None}):
            controlling.send(sock, request)
            answer = controlling.receive(sock)
            assert answer["ok"] is False and answer["error"] == "UNSUPPORTED" and answer["message"]
        controlling.send(sock, {"verb": "status"})
        assert controlling.receive(sock)["ok"] is True


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"7", b'"status"', b"{} x", b'{"verb":"status"}\0', b"[" * 60000, b"\xff\xfe"]
)
def test_what_is_no_object_is_refused(peer, body):
    with controlling.connect(peer.keys) as sock:
        controlling.send(sock, body)
        answer = controlling.receive(sock)
        assert answer["ok"] is False and answer["error"] == "MALFORMED"


@pytest.mark.parametrize("length", [0, REQUEST_MAX + 1, 0xFFFFFFFF])
def test_a_wrong_length_ends_the_connection(peer, length):
    with controlling.connect(peer.keys) as sock:
        sock.sendall(struct.pack(">I", length) + b"{")
        assert controlling.is_closed(sock)
    assert controlling.ask(peer.keys, "status")["ok"]


def test_the_largest_request_arrives(peer):
    body = json.dumps({"verb": "status", "more": ""})
    body = body.replace('""', '"' + "x" * (REQUEST_MAX - len(body)) + '"').encode()
    assert len(body) == REQUEST_MAX
    with controlling.connect(peer.keys) as sock:
        controlling.send(sock, body)
        assert controlling.receive(sock)["ok"] is True


def test_many_clients_that_say_nothing(peer):
    """The client that has been idle longest makes room; no new client waits."""
    silent = [controlling.connect(peer.keys) for _ in range(3 * CLIENTS_MAX)]
    try:
        for sock in silent[:5]:
            sock.settimeout(30)
        assert controlling.ask(peer.keys, "status")["ok"]
        assert controlling.is_closed(silent[0])
    finally:
        for sock in silent:
            sock.close()


def test_half_a_request_and_unread_answers_hold_up_nobody(peer):
    with controlling.connect(peer.keys) as half, controlling.connect(peer.keys) as deaf:
        half.sendall(struct.pack(">I", 100) + b'{"verb":')
        deaf.setblocking(False)
        request = json.dumps({"verb": "uploads"}).encode()
        request = struct.pack(">I", len(request)) + request
        for _ in range(20000):  # until the socket takes no more bytes
            try:
                deaf.send(request)
            except BlockingIOError:
                break
        else:
            pytest.fail("the peer reads requests whose answers nobody takes")
        for _ in range(5):
            assert controlling.ask(peer.keys, "status")["ok"]


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_another_user_gets_no_answer(suite):
    peer = suite.peer()
    os.chmod(peer.keys / "control.sock", 0o666)  # as if the mode had been lost
    folder = os.open(peer.keys, os.O_PATH | os.O_DIRECTORY)
    code = textwrap.dedent(f"""
        import os, socket
        os.setgroups([]); os.setgid(65534); os.setuid(65534)
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(30)
        try:
            sock.connect("/proc/self/fd/{folder}/control.sock")
            body = b'{{"verb":"status"}}'
            sock.sendall(len(body).to_bytes(4, "big") + body)
            data = sock.recv(1)
        except (ConnectionError, PermissionError):
            data = b""
        print(repr(data))
    """)
    run = subprocess.run(
        [sys.executable, "-c", code], pass_fds=[folder], capture_output=True, text=True, check=False
    )
    os.close(folder)
    assert run.stdout == "b''\n", run
    assert controlling.ask(peer.keys, "status")["ok"]


def test_a_clean_stop_removes_the_file(suite):
    peer = suite.peer()
    peer.stop()
    assert not (peer.keys / "control.sock").exists()


def test_the_file_of_a_killed_peer_is_replaced(suite):
    peer = suite.peer()
    peer.kill()
    assert (peer.keys / "control.sock").exists()
    with pytest.raises(ConnectionRefusedError):
        controlling.connect(peer.keys)
    suite.programs.remove(peer)
    peer = suite.peer()
    assert controlling.ask(peer.keys, "status")["ok"]


def test_a_second_peer_with_these_keys_takes_nothing_away(suite, tmp_path):
    peer = suite.peer()
    with pytest.raises(pytest.fail.Exception, match="another p2p-peer uses"):
        Program(
            "p2p-peer",
            ["--port", 0, "--shared-dir", peer.shared, "--keys-dir", peer.keys, "--discovery", NO_REGISTRY],
            tmp_path / "second",
        )
    assert controlling.ask(peer.keys, "status")["port"] == peer.port


def test_a_new_serving_process_answers_again(suite, tmp_path):
    conf = tmp_path / "p2p.conf"
    conf.write_text("idle-timeout = 60s\n")
    peer = suite.peer("--config", conf)
    first = controlling.ask(peer.keys, "status")["pid"]
    conf.write_text("idle-timeout = 61s\n")
    peer.process.send_signal(signal.SIGHUP)

    def changed():
        try:
            return controlling.ask(peer.keys, "status")["pid"] != first
        except OSError:  # between two processes
            return False

    wait_until(changed, 60, "a new process at the control socket")


def test_a_file_system_without_sockets_is_no_reason_to_stop(suite):
    """An entry with the name of the socket that cannot be removed takes its place."""
    keys = suite.folder / "peer" / "keys"
    (keys / "control.sock" / "x").mkdir(parents=True)
    keys.chmod(0o700)
    peer = suite.peer(files={"a.txt": b"text"})
    assert "cannot create" in peer.stderr() and "control.sock" in peer.stderr()
    assert socket.create_connection(peer.address)

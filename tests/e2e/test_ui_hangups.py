"""Clients that hang up: every other request still gets the answer to what it asked, and gets one."""

import http.client
import json
import signal
import socket
import struct
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import wait_until
from ui_world import World

RESET = struct.pack("ii", 1, 0)


@pytest.fixture(scope="module")
def world(module_suite):
    world = World(module_suite)
    # Who holds a connection that is closed already cannot be found out: these clients show a token.
    TOKEN["owner"] = (world.ui.folder / "keys" / "owner.token").read_text().strip()
    return world


TOKEN = {}


def hang_up(port, how, method="GET", path="/api/search?q=song", body=None, stays=0.1):
    """A request whose client leaves: by RST or FIN at once, late, or half (it still reads)."""
    data = json.dumps(body).encode() if body is not None else b""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN['owner']}\r\n"
    if body is not None:
        head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n"
    client = socket.create_connection(("127.0.0.1", port), timeout=10)
    client.sendall(head.encode() + b"\r\n" + data)
    if how.startswith("late"):
        time.sleep(stays)
    if how.endswith("reset"):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    if how == "half":
        client.shutdown(socket.SHUT_WR)
        return client
    client.close()
    return None


def ask(port, path, method="GET", body=None, timeout=30):
    """On a connection of its own, as the address in memory that is inherited is a connection's.

    One address has a limited number of connections: those who left give theirs back at once."""
    for patience in (True,) * 100 + (False,):
        try:
            return ask_once(port, path, method, body, timeout)
        except (http.client.RemoteDisconnected, ConnectionResetError):
            if not patience or method != "GET":
                raise
            time.sleep(0.05)


def ask_once(port, path, method, body, timeout):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


ASKED = {"/api/peers": "peers", "/api/status": "uptime_s", "/api/search?q=big": "results", "/api/peers/search?filename=big.bin": "found"}


def check(port, path, allowed=(200,)):
    status, answer = ask(port, path)
    assert status in allowed, (path, status, answer)
    if status == 200:
        names = {name for name in ASKED.values() if name in answer}
        assert ASKED[path] in names and (path == "/api/peers/search?filename=big.bin" or names == {ASKED[path]}), (path, answer)


@pytest.mark.parametrize("how", ["reset", "fin", "late-reset", "late-fin", "half"])
def test_each_request_gets_its_own_answer(world, how):
    port = world.ui.port
    for _ in range(20):
        left = [hang_up(port, how, stays=0.02) for _ in range(10)]
        for path in ASKED:
            check(port, path)
        for client in left:
            if client is not None:
                client.close()


def test_a_half_closed_client_still_gets_its_answer(world):
    with hang_up(world.ui.port, "half") as client:
        answer = http.client.HTTPResponse(client)
        answer.begin()
        assert answer.status == 200 and json.loads(answer.read())["query"] == "song"


@pytest.mark.parametrize("how", ["reset", "fin", "late-reset"])
def test_no_post_is_swallowed(world, how):
    """A client that hears "200" or "201" has its download, and so has one that did not listen."""
    port = world.ui.port
    peer = {"peer_id": world.far.peer_id, "ip": "127.0.0.1", "port": world.far.port}
    wish = {"filename": "small.txt", "peers": [peer], "auto": False}
    for _ in range(8):
        for _ in range(10):
            hang_up(port, how, stays=0.01)
        status, answer = ask(port, "/api/transfers", "POST", wish)
        assert status in (200, 201) and answer["filename"] == "small.txt", (status, answer)
        world.wait_state(answer["id"], "completed")
        world.forget(answer)
    # By FIN: a RST may throw away what the server has not read yet.
    hang_up(port, "fin", "POST", "/api/transfers", wish)
    found = wait_until(lambda: world.json("GET", "/api/transfers")["transfers"], what="the download of a client that left")
    world.wait_state(found[0]["id"], "completed")
    world.forget(found[0])


@pytest.mark.parametrize("how", ["reset", "late-fin"])
def test_a_hung_registry_and_clients_that_leave(world, how):
    """More of them than there are places for jobs, and none of them keeps one."""
    port, registry = world.ui.port, world.discovery.process
    registry.send_signal(signal.SIGSTOP)
    try:
        for _ in range(2):
            for _ in range(100):
                hang_up(port, how, stays=0.001)
            with ThreadPoolExecutor(8) as pool:
                for done in [pool.submit(check, port, path, (200, 503)) for path in ASKED]:
                    done.result()
        # The places are free again although the registry still says nothing.
        wait_until(lambda: ask(port, "/api/status")[0] == 200, 20, "a place for a job")
        check(port, "/api/peers")
    finally:
        registry.send_signal(signal.SIGCONT)
    wait_until(lambda: ask(port, "/api/peers/search?filename=big.bin")[0] == 200, 40, "the registry's word again")
    for path in ASKED:
        check(port, path)


def test_posts_with_a_hung_registry(world):
    port, registry = world.ui.port, world.discovery.process
    peer = {"peer_id": world.far.peer_id, "ip": "127.0.0.1", "port": world.far.port}
    registry.send_signal(signal.SIGSTOP)
    try:
        for _ in range(50):
            hang_up(port, "reset")
        status, answer = ask(port, "/api/transfers", "POST", {"filename": "small.txt", "peers": [peer], "auto": False})
        if status == 503:  # told so, and not swallowed
            assert answer["code"] in ("busy", "timeout"), answer
            answer = wait_until(
                lambda: (r := ask(port, "/api/transfers", "POST", {"filename": "small.txt", "peers": [peer], "auto": False}))[0] in (200, 201) and r[1],
                30,
                "a place",
            )
        world.wait_state(answer["id"], "completed")
    finally:
        registry.send_signal(signal.SIGCONT)
    world.forget(answer)

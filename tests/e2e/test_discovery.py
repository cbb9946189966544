"""p2p-discovery as the documentation describes it: registration, heartbeats, lists (docs/HTTP.md)."""

import json
import socket
import time

import pytest

from conftest import wait_until
from p2pwire import keys
from p2pwire.web import raw

A, B = keys.Identity(), keys.Identity()
NAMES = ["plain.txt", "with space.txt", "bar|bar", "q\"uo'te", "emoji 😀 häß.txt", "plus+and%25&a=b.txt"]


@pytest.fixture
def discovery(suite):
    return suite.discovery()


@pytest.fixture(scope="module")
def shared(module_suite):
    """One registry for requests that change nothing."""
    return module_suite.discovery()


def assert_problem(answer, status):
    """The error shape of docs/HTTP.md."""
    assert answer.status_code == status, (answer.status_code, answer.text)
    assert answer.headers["Content-Type"].split(";")[0] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert set(body) >= {"type", "title", "status", "detail", "code", "error"}
    assert body["error"] == body["detail"]


# --- registration ----------------------------------------------------------------------------


def test_register_and_list(discovery):
    registry = discovery.registry
    answer = registry.register(A, 9000, NAMES)
    assert answer.status_code == 200
    assert answer.json()["message"] == "registered" and answer.json()["ip"] == "127.0.0.1"
    (peer,) = registry.peers()
    assert (peer["peer_id"], peer["ip"], peer["port"]) == (A.peer_id, "127.0.0.1", 9000)
    assert sorted(peer["files"]) == sorted(NAMES)


def test_an_empty_registry(shared):
    answer = shared.registry.get("/peers")
    assert answer.status_code == 200 and answer.json()["peers"] == []
    assert answer.headers["Content-Type"].startswith("application/json")


def test_a_stated_ip_is_listed(discovery):
    assert discovery.registry.register(A, 9000, [], ip="192.0.2.77").json()["ip"] == "192.0.2.77"
    assert discovery.registry.peers()[0]["ip"] == "192.0.2.77"


def test_registering_again_replaces(discovery):
    registry = discovery.registry
    registry.register(A, 9000, ["old.txt"])
    registry.register(A, 9001, ["new.txt"])
    (peer,) = registry.peers()
    assert (peer["port"], peer["files"]) == (9001, ["new.txt"])
    assert registry.peers(file="old.txt") == []


@pytest.mark.parametrize("name", NAMES)
def test_peers_by_file(discovery, name):
    registry = discovery.registry
    registry.register(A, 9000, NAMES)
    registry.register(B, 9001, ["other.txt"])
    assert [p["peer_id"] for p in registry.peers(file=name)] == [A.peer_id]
    assert registry.peers(file=name.upper() + "x") == []
    assert registry.peers(file=name[:-1]) == [], "exactly that name, no prefix"


def test_two_peers_with_one_file(discovery):
    registry = discovery.registry
    registry.register(A, 9000, ["f", "a"])
    registry.register(B, 9001, ["f", "b"])
    assert {p["peer_id"] for p in registry.peers(file="f")} == {A.peer_id, B.peer_id}
    assert {p["peer_id"] for p in registry.peers()} == {A.peer_id, B.peer_id}


def test_pages(discovery):
    registry = discovery.registry
    identities = [keys.Identity() for _ in range(5)]
    for i, identity in enumerate(identities):
        registry.register(identity, 9000 + i, [])
    seen, cursor, pages = [], None, 0
    while pages == 0 or cursor:
        body = registry.get("/peers", limit=2, **({"cursor": cursor} if cursor else {})).json()
        assert len(body["peers"]) <= 2
        seen, cursor, pages = seen + [p["peer_id"] for p in body["peers"]], body.get("next"), pages + 1
        assert pages < 10
    assert sorted(seen) == sorted(i.peer_id for i in identities)


# --- heartbeats and expiry -------------------------------------------------------------------


def test_heartbeat(discovery):
    registry = discovery.registry
    answer = registry.heartbeat(A.peer_id)
    assert answer.status_code == 404 and answer.json()["error"] == "peer not found"
    registry.register(A, 9000, [])
    answer = registry.heartbeat(A.peer_id)
    assert answer.status_code == 200 and answer.json()["message"] == "heartbeat received"


def test_a_silent_peer_expires_and_a_beating_one_stays(suite):
    registry = suite.discovery("--ttl", "2").registry
    registry.register(A, 9000, ["a"])
    registry.register(B, 9001, ["b"])

    def only_a():
        assert registry.heartbeat(A.peer_id).status_code == 200
        return [p["peer_id"] for p in registry.peers()] == [A.peer_id]

    wait_until(only_a, 10, "the silent peer gone")
    assert registry.peers(file="b") == []
    assert registry.heartbeat(B.peer_id).status_code == 404


# --- requests that are refused ---------------------------------------------------------------


def good():
    return {"peer_id": A.peer_id, "public_key": A.pem.decode(), "port": 9000, "files": ["f"]}


WRONG_VALUES = {
    "id of another key": dict(peer_id=B.peer_id),
    "id too short": dict(peer_id=A.peer_id[:63]),
    "id no hex": dict(peer_id="z" * 64),
    "id a number": dict(peer_id=5),
    "key empty": dict(public_key=""),
    "key no PEM": dict(public_key="hello"),
    "key null": dict(public_key=None),
    "key twice": dict(public_key=A.pem.decode() * 2),
    "key with CRLF": dict(public_key=A.pem.decode().replace("\n", "\r\n")),
    "port 0": dict(port=0),
    "port negative": dict(port=-1),
    "port too large": dict(port=65536),
    "port huge": dict(port=1e30),
    "port fraction": dict(port=9000.5),
    "port a string": dict(port="9000"),
    "port null": dict(port=None),
    "files no list": dict(files="f"),
    "files an object": dict(files={"f": 1}),
    "files of numbers": dict(files=[1]),
    "files null inside": dict(files=["a", None]),
    "name empty": dict(files=[""]),
    "name with parent": dict(files=["../x"]),
    "name absolute": dict(files=["/etc/passwd"]),
    "name dot": dict(files=["."]),
    "name hidden": dict(files=[".ssh"]),
    "name with control": dict(files=["a\nb"]),
    "name with escape": dict(files=["a\x1b[31m"]),
    "name with NUL": dict(files=["a\x00b"]),
    "name with a part too long": dict(files=["x" * 256]),
    "ip no address": dict(ip="not an address"),
    "ip with a port": dict(ip="1.2.3.4:5"),
    "ip a number": dict(ip=5),
    "ip with markup": dict(ip="<script>"),
}


@pytest.mark.parametrize("case", WRONG_VALUES)
def test_wrong_values(shared, case):
    answer = shared.registry.request("POST", "/register", json={**good(), **WRONG_VALUES[case]})
    assert_problem(answer, answer.status_code if answer.status_code in (400, 422) else 422)
    assert shared.registry.peers() == []


@pytest.mark.parametrize("field", ["peer_id", "public_key", "port", "files"])
def test_missing_fields(shared, field):
    body = good()
    del body[field]
    answer = shared.registry.request("POST", "/register", json=body)
    assert_problem(answer, answer.status_code if answer.status_code in (400, 422) else 422)


BAD_BODIES = [
    b"", b"{", b"[]", b"null", b"5", b'"x"', b"{" * 5000, b"[" * 100000, b'{"a":' * 20000 + b"1", b'{"peer_id": "\xff\xfe"}', b"\x00" * 10,
    b'{"port": 1' + b"0" * 400 + b"}", b'{"peer_id":"\\ud800"}', b"{}x", b'{"peer_id":"a","peer_id":"b"}', b"{'a':1}", b'{"port":NaN}',
]  # fmt: skip


@pytest.mark.parametrize("body", BAD_BODIES, ids=lambda b: repr(b[:20]))
def test_bodies_that_are_no_registration(shared, body):
    answer = shared.registry.request(
        "POST", "/register", data=body, headers={"Content-Type": "application/json"}
    )
    assert_problem(answer, answer.status_code if answer.status_code in (400, 411, 413, 422) else 400)


def test_trailing_bytes_after_a_good_body(shared):
    body = json.dumps(good()).encode() + b"{}"
    answer = shared.registry.request(
        "POST", "/register", data=body, headers={"Content-Type": "application/json"}
    )
    assert_problem(answer, 400)


def test_duplicate_keys_do_not_smuggle(shared):
    """Whichever of the two is checked first, id and key must match."""
    text = json.dumps(good())[:-1] + f', "peer_id": "{B.peer_id}"}}'
    answer = shared.registry.request(
        "POST", "/register", data=text, headers={"Content-Type": "application/json"}
    )
    assert B.peer_id not in [p["peer_id"] for p in shared.registry.peers()]
    assert answer.status_code in (200, 400, 422)
    if answer.status_code == 200:
        pytest.fail("two ids in one request were taken")


def test_heartbeat_without_or_with_a_strange_id(shared):
    for params in ({}, {"peer_id": ""}, {"peer_id": "x"}, {"peer_id": "../" * 30}, {"peer_id": "a" * 5000}):
        assert shared.registry.get("/heartbeat", **params).status_code in (400, 404, 414, 422)


@pytest.mark.parametrize(
    "params",
    [
        dict(limit="0"),
        dict(limit="-1"),
        dict(limit="x"),
        dict(limit="9" * 30),
        dict(cursor="\x00"),
        dict(cursor="x" * 3000),
    ],
)
def test_strange_list_parameters(shared, params):
    assert shared.registry.get("/peers", **params).status_code in (200, 400, 414, 422)


@pytest.mark.parametrize(
    "path",
    ["/", "/nothing", "/peersx", "/register/x", "/..", "/../etc/passwd", "/peers/../../x", "/%00", "/api"],
)
def test_unknown_paths(shared, path):
    status, headers, body = raw(shared.port, "GET", path, [("Host", "localhost")])
    assert status in (400, 404, 405)
    assert "html" not in headers.get("Content-Type", "")


@pytest.mark.parametrize(
    "method,path,allowed",
    [
        ("GET", "/register", "POST"),
        ("POST", "/peers", "GET"),
        ("PUT", "/register", "POST"),
        ("DELETE", "/peers", "GET"),
        ("POST", "/heartbeat", "GET"),
    ],
)
def test_wrong_methods(shared, method, path, allowed):
    answer = shared.registry.request(method, path)
    assert_problem(answer, 405)
    assert allowed in answer.headers["Allow"]


def test_health(shared):
    assert shared.registry.get("/health").status_code == 200


# --- bodies that are too large, slow or cut --------------------------------------------------


def test_a_body_over_the_cap_is_refused_before_it_is_read(shared):
    with socket.create_connection(shared.address, 10) as sock:
        sock.sendall(
            b"POST /register HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 10000000000\r\n\r\n{"
        )
        assert b" 413 " in sock.recv(4096).split(b"\r\n")[0]


def test_too_many_names(shared):
    before = shared.memory_kib()
    names = [f"{i:07}" for i in range(1_100_000)]
    answer = shared.registry.request("POST", "/register", json={**good(), "files": names})
    assert answer.status_code in (400, 413, 422)
    assert shared.registry.peers() == []
    assert shared.memory_kib() - before < 64 << 10


def test_one_name_over_the_limit(shared):
    names = [f"{i:07}" for i in range(100_001)]
    answer = shared.registry.request("POST", "/register", json={**good(), "files": names})
    assert (answer.status_code, answer.json()["code"]) == (422, "too_many_files")
    assert shared.registry.peers() == []


def test_a_body_that_ends_early(shared):
    with socket.create_connection(shared.address, 10) as sock:
        sock.sendall(
            b"POST /register HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
        )
        sock.shutdown(socket.SHUT_WR)
        sock.recv(4096)
    assert shared.registry.get("/health").status_code == 200


@pytest.mark.parametrize(
    "head",
    [
        b"POST /register HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", b"POST /register HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"POST /register HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n", b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n\r\n",
        b"GET /peers HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 20000 + b"\r\n", b"\x00" * 1000, b"GET /peers HTTP/9.9\r\n\r\n", b"GARBAGE\r\n\r\n",
    ],
    ids=range(8),
)  # fmt: skip
def test_hostile_http(shared, head):
    with socket.create_connection(shared.address, 10) as sock:
        sock.settimeout(3)
        try:
            sock.sendall(head)
            answer = sock.recv(4096)
            assert answer == b"" or answer.split(b" ")[1][:1] == b"4" or answer.split(b" ")[1] == b"505", answer[:60]
        except (TimeoutError, ConnectionError):
            pass
    assert shared.registry.get("/health").status_code == 200


def test_slow_senders_do_not_stop_others(shared):
    idle = [socket.create_connection(shared.address, 10) for _ in range(50)]
    for sock in idle:
        sock.sendall(b"POST /register HTTP/1.1\r\nHost: x\r\nContent-")
    start = time.monotonic()
    assert shared.registry.get("/peers").status_code == 200
    assert time.monotonic() - start < 2
    for sock in idle:
        sock.close()


# --- options ---------------------------------------------------------------------------------


def test_port_in_use_is_named(suite, discovery):
    import subprocess

    from conftest import BIN

    run = subprocess.run(
        [BIN / "p2p-discovery", "--port", str(discovery.port)], capture_output=True, text=True, timeout=20
    )
    assert run.returncode == 1
    assert str(discovery.port) in run.stderr and "--port" in run.stderr


@pytest.mark.parametrize("program", ["p2p-discovery", "p2p-peer", "p2p-ui", "p2p"])
def test_help_version_and_usage(suite, program):
    import subprocess

    from conftest import BIN

    def run(*arguments):
        return subprocess.run(
            [BIN / program, *arguments], capture_output=True, text=True, timeout=20, cwd=suite.folder
        )

    assert run("--help").returncode == 0 and "--" in run("--help").stdout
    assert run("--version").returncode == 0 and any(c.isdigit() for c in run("--version").stdout)
    assert run("--no-such-option").returncode == 2
    if program != "p2p":
        for value in ("x", "-1", "65536", "99999999999999999999", ""):
            assert run("--port", value).returncode == 2, value


def test_environment_and_config_file_and_their_order(suite):
    folder = suite.folder / "discovery"
    folder.mkdir(parents=True)
    (folder / "c.ini").write_text("port = 1\nttl = 33\n")
    from conftest import Program

    program = Program("p2p-discovery", ["--config", "c.ini", "--port", "0"], folder, env={"P2P_PORT": "2"})
    suite.programs.append(program)
    assert program.port > 2

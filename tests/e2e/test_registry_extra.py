"""Limits by address behind a proxy, long polls, and lists by SHA-256."""

import http.client
import json
import resource
import socket
import subprocess
import threading

import pytest

from conftest import BIN, wait_until
from p2pwire import keys, tree
from p2pwire.web import raw

A, B = keys.Identity(), keys.Identity()


def statuses(registry, count, **headers):
    return [registry.request("GET", "/peers", headers=headers).status_code for _ in range(count)]


def test_rate_by_the_address_a_trusted_proxy_names(suite):
    registry = suite.discovery("--trusted-proxy", "127.0.0.1", "--rate", "3").registry
    seen = statuses(registry, 20, **{"X-Forwarded-For": "198.51.100.1, 192.0.2.9"})
    assert seen[0] == 200 and seen[-1] == 429
    answer = registry.request("GET", "/health", headers={"Forwarded": 'for="192.0.2.9:4711"'})
    assert answer.status_code == 429 and int(answer.headers["Retry-After"]) >= 1
    assert answer.json()["status"] == 429 and answer.json()["code"]
    # An entry before the proxy's own may be invented by the client: another address there does not help it.
    assert 429 in statuses(registry, 3, **{"X-Forwarded-For": "198.51.100.77, 192.0.2.9"})
    assert statuses(registry, 1, **{"X-Forwarded-For": "192.0.2.10"}) == [200]
    assert 429 in statuses(registry, 20), "who comes through the proxy without a header is not this machine"
    assert statuses(registry, 1, **{"X-Forwarded-For": "192.0.2.11"}) == [200]


def test_a_client_cannot_slip_a_second_header_past_the_proxy(suite):
    """A proxy that writes X-Forwarded-For passes on the client's Forwarded header unchanged."""
    registry = suite.discovery("--trusted-proxy", "127.0.0.1", "--rate", "3").registry
    made_up = [{"Forwarded": f"for=198.51.100.{i}", "X-Forwarded-For": "192.0.2.9"} for i in range(20)]
    assert 429 in [statuses(registry, 1, **headers)[0] for headers in made_up]
    local = [{"Forwarded": "for=127.0.0.1"}, {"X-Forwarded-For": "127.0.0.1"}]
    for headers in local:
        assert 429 in statuses(registry, 20, **headers), "nobody is on this machine because a header says so"


def body_of(who, **more):
    return {"peer_id": who.peer_id, "public_key": who.pem.decode(), "port": 1, "files": [], **more}


def post(program, headers, body):
    text = json.dumps(body).encode()
    return raw(program.port, "POST", "/register", [("Host", "x"), ("Content-Length", len(text)), *headers], text)


def test_lines_of_a_header_are_joined(suite):
    """HAProxy appends its own line: the client's line comes first and does not count."""
    program = suite.discovery("--trusted-proxy", "10.0.0.9, 127.0.0.0/8")
    for lines, expected in [
        (["198.51.100.7", "192.0.2.9"], "192.0.2.9"),
        (["198.51.100.7, 198.51.100.8", "192.0.2.9, 10.0.0.9"], "192.0.2.9"),
        (["198.51.100.7", "192.0.2.9", "127.0.0.5"], "192.0.2.9"),
    ]:
        headers = [("X-Forwarded-For", line) for line in lines]
        status, _, answer = post(program, headers, body_of(A))
        assert status == 200 and json.loads(answer)["ip"] == expected, answer
    for lines in (["192.0.2.9", "unknown"], ["192.0.2.9", ""]):
        headers = [("X-Forwarded-For", line) for line in lines]
        status, _, answer = post(program, headers, body_of(B))
        assert status == 400 and json.loads(answer)["code"] == "behind_proxy"
        assert b"--trusted-proxy" in answer


SIGNS = [
    {"X-Forwarded-For": "192.0.2.9"}, {"Forwarded": "for=192.0.2.9"}, {"X-Real-IP": "192.0.2.9"},
    {"Via": "1.1 proxy"}, {"X-Forwarded-Proto": "https"}, {"CF-Connecting-IP": "192.0.2.9"},
]  # fmt: skip


@pytest.mark.parametrize("sign", SIGNS, ids=lambda s: next(iter(s)))
def test_a_proxy_nobody_named_is_not_this_machine(suite, sign):
    """Its clients share a rate, and are not listed under its address."""
    program = suite.discovery("--rate", "3")
    registry = program.registry
    answer = registry.request("POST", "/register", headers=sign, json=body_of(A))
    assert answer.status_code == 400 and "--trusted-proxy" in answer.json()["detail"]
    answer = registry.request("POST", "/register", headers=sign, json=body_of(A, ip="192.0.2.77"))
    assert answer.status_code == 200 and answer.json()["ip"] == "192.0.2.77"
    assert 429 in statuses(registry, 20, **sign)
    assert set(statuses(registry, 20)) == {200}, "loopback itself is exempt"
    assert program.stderr().count("--trusted-proxy 127.0.0.1") == (0 if set(sign) & {"Via", "X-Forwarded-Proto"} else 1)


@pytest.mark.parametrize("value", ["localhost", "foo", "[::1]", "a, b", "10.0.0.1:80", "0.0.0.0/0", "10.0.0.1/33", "0.0.0.0"])
@pytest.mark.parametrize("program", ["p2p-discovery", "p2p-ui"])
def test_a_proxy_that_can_never_match_is_refused(program, value):
    run = subprocess.run([BIN / program, "--trusted-proxy", "10.0.0.9", "--trusted-proxy", value, "--port", "0"], capture_output=True, text=True, timeout=20)
    assert run.returncode == 2 and "--trusted-proxy" in run.stderr and value.split(",")[0] in run.stderr


def test_registrations_of_one_peer_and_peers_of_one_address_are_limited(suite):
    registry = suite.discovery(
        "--trusted-proxy", "127.0.0.1", "--register-rate", "4", "--max-peers-per-ip", "1"
    ).registry

    def register(who, ip):
        body = {"peer_id": who.peer_id, "public_key": who.pem.decode(), "port": 1, "files": []}
        return registry.request("POST", "/register", json=body, headers={"X-Forwarded-For": ip}).status_code

    assert [register(A, "192.0.2.1") for _ in range(3)] == [200, 200, 429]
    assert register(B, "192.0.2.1") == 429, "the address is taken"
    assert register(B, "192.0.2.2") == 200


def test_a_page_of_another_site_changes_nothing(suite):
    registry = suite.discovery().registry
    body = {"peer_id": A.peer_id, "public_key": A.pem.decode(), "port": 1, "files": []}
    answer = registry.request("POST", "/register", json=body, headers={"Origin": "http://evil.example"})
    assert answer.status_code == 403 and registry.peers() == []


def test_long_poll(suite):
    registry = suite.discovery().registry
    start = registry.get("/changes").json()
    answers = []
    threads = [
        threading.Thread(
            target=lambda: answers.append(
                type(registry)(registry.url, 40).get("/changes", since=start["version"], wait=30).json()
            )
        )
        for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    wait_until(lambda: "p2p_discovery_watchers 20" in registry.get("/metrics").text, 10, "all wait")
    registry.register(A, 9000, ["f"])
    for thread in threads:
        thread.join(10)
    assert len(answers) == 20
    assert all(a["peers"] == [{"peer_id": A.peer_id, "gone": False}] and not a["full"] for a in answers)
    assert registry.get("/changes", since=0, epoch="0" * 16).json()["full"] is True
    assert registry.get("/changes", since=10**6).json()["full"] is True
    assert registry.get("/changes", since=answers[0]["version"], wait=1).json()["peers"] == []


def test_peers_by_sha256(suite):
    registry = suite.discovery().registry
    sha256 = keys.sha256(b"data").hex()
    entry = {"name": "f", "size": 4, "root": tree.root_of(b"data").hex(), "sha256": sha256}
    assert registry.register_signed(A, 9000, [entry], 1).status_code == 200
    assert [p["peer_id"] for p in registry.peers(sha256=sha256)] == [A.peer_id]
    assert registry.peers(sha256="0" * 64) == []
    assert registry.get("/peers", sha256="x").status_code == 400


def test_as_many_proxies_as_may_be_named(suite):
    """A full list ends where it ends."""
    names = [word for i in range(32) for word in ("--trusted-proxy", f"192.0.2.{i + 1}")]
    assert suite.discovery(*names).registry.get("/health").status_code == 200


def test_one_address_cannot_hold_every_connection(suite):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    port = suite.discovery("--max-connections", "1200").port
    held = []
    try:
        for _ in range(1300):
            held.append(socket.create_connection(("127.0.0.1", port), timeout=5))
        other = http.client.HTTPConnection("127.0.0.1", port, timeout=5, source_address=("127.0.0.2", 0))
        other.request("GET", "/health")
        assert other.getresponse().status == 200
        other.close()
    finally:
        for one in held:
            one.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

"""Calls through boxes of a registry: who gets an answer, and who gets served through the relay. The caller here is
an independent implementation (p2pwire/calls.py)."""

import base64
import os
import re
import socket
import subprocess
import threading
import time

import pytest

from conftest import BIN, environment, wait_until
from p2pwire import calls
from p2pwire.client import Client
from p2pwire.keys import Identity, peer_id_of_pem, pss_verify
from p2pwire.protocol1 import hello
from p2pwire.stream import Closed
from redis_world import redis  # noqa: F401
from relaywire import answer as relay_answer
from relaywire import connect

CALLER, STRANGER = Identity(), Identity()
DATA = os.urandom(100_000)


class World:
    def __init__(self, suite, *peer_options, relay=True):
        self.relay = suite.relay() if relay else None
        words = ["--relay", self.relay.where, "--relay-secret-file", self.relay.secret_file] if relay else []
        self.registry = suite.discovery(*words)
        self.http = self.registry.registry
        self.peer = suite.peer("--heartbeat", "2s", *peer_options, files={"f.bin": DATA}, discovery=self.registry)
        self.suite, self.id = suite, self.peer.peer_id

    def trust(self, identity, word="trust"):
        self.suite.p2p("peers", word, identity.peer_id, "--keys-dir", self.peer.keys, check=True)

    def box(self, number, **query):
        return self.http.get(f"/box/{number}", **query)

    def leave(self, message):
        """In the peer's box, as soon as it has one: it reads it once it is registered. The registry counts each try
        as a call of this address, so they are a second apart."""
        end = time.monotonic() + 60
        while True:
            done = self.http.request("POST", f"/box/{self.id}", json=message)
            if done.status_code != 404 or time.monotonic() > end:
                return done
            time.sleep(1)

    def ask(self, identity, wait=90, **change):
        """The answer to a call of this identity; None: there is none."""
        message = calls.call(identity, self.id, **change)
        assert self.box(message["reply"]).status_code == 200
        done = self.leave(message)
        assert done.status_code == 202, done.text
        after, end = 0, time.monotonic() + wait
        while time.monotonic() < end:
            got = self.box(message["reply"], after=after, wait=1).json()
            after = got["next"]
            if got["messages"]:
                return got["messages"][0]["m"]
        return None

    def way(self, identity):
        """A connection to the peer through the relay."""
        answer = self.ask(identity)
        connection = connect((answer["relay"]["host"], answer["relay"]["port"]), answer["relay"]["token"].encode())
        assert relay_answer(connection) == b"+"
        return connection


def over(connection, identity, **kwargs):
    """Protocol 2 over a connection that there is."""
    return Client(connection, identity=identity, **kwargs)


@pytest.fixture
def here(suite):
    return World(suite)


def is_closed_without_a_byte(connection):
    connection.settimeout(60)
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_a_trusted_caller_is_served(here):
    here.trust(CALLER)
    with over(here.way(CALLER), CALLER) as client:
        assert client.server_id == here.id
        assert client.fetch("f.bin") == DATA


def test_an_answer_is_signed_for_this_call(here):
    here.trust(CALLER)
    message = calls.call(CALLER, here.id)
    answer = here.ask(CALLER, session=message["session"])
    assert (answer["session"], answer["from"], answer["to"]) == (message["session"], here.id, CALLER.peer_id)
    pem = answer["key"].encode()
    spki = base64.b64decode("".join(pem.decode().splitlines()[1:-1]))
    assert peer_id_of_pem(pem) == here.id
    pss_verify(spki, calls.canonical(answer), base64.b64decode(answer["sig"]))


def test_who_is_not_trusted_hears_nothing(here):
    """Unknown, known, and blocked callers look alike: none gets an answer, and nothing is written about them."""
    here.trust(CALLER)
    assert here.ask(CALLER) is not None  # the doorman listens
    known = (here.peer.keys / "known_peers").read_text()
    assert here.ask(STRANGER, wait=3) is None
    here.trust(CALLER, "block")
    assert here.ask(CALLER, wait=3) is None
    assert STRANGER.peer_id not in (here.peer.keys / "known_peers").read_text()
    assert CALLER.peer_id in known
    here.trust(CALLER)
    assert here.ask(CALLER) is not None


def test_only_the_caller_is_served(here):
    """Whoever else gets hold of the way: not even a peer that is trusted, too, and that is served directly."""
    here.trust(CALLER)
    here.trust(STRANGER)
    with here.peer.client(identity=STRANGER) as direct:
        assert direct.fetch("f.bin") == DATA
    with pytest.raises(Closed):
        over(here.way(CALLER), STRANGER).fetch("f.bin")


def test_protocol_1_is_refused_through_a_relay(here):
    here.trust(CALLER)
    with here.peer.client1(identity=CALLER) as direct:
        direct.meta("f.bin")
    connection = here.way(CALLER)
    connection.sendall(hello(CALLER))
    assert is_closed_without_a_byte(connection)


def test_one_who_is_trusted_no_longer_is_cut_off(here):
    """Directly it may still download, as everybody."""
    here.trust(CALLER)
    client = over(here.way(CALLER), CALLER)
    assert client.fetch("f.bin") == DATA
    with here.peer.client(identity=CALLER) as direct:
        here.trust(CALLER, "forget")
        assert is_closed_without_a_byte(client.stream.sock)
        assert direct.fetch("f.bin") == DATA


def test_without_reach_nobody_is_at_the_door(suite):
    here = World(suite, "--no-reach")
    here.trust(CALLER)
    wait_until(lambda: here.http.get(f"/peers/{here.id}").status_code == 200, 60, "the registration")
    assert here.http.request("POST", f"/box/{here.id}", json=calls.call(CALLER, here.id)).status_code == 404
    # It is away for who wants this path; nothing is said about its file.
    run = suite.p2p("get", "f.bin", "--peer", here.id, "--discovery", here.registry.url, "--path", "relay", "--timeout", "2s", "--no-mdns")
    assert run.returncode == 4 and "does not have" not in run.stderr, (run.returncode, run.stderr)


def test_a_call_is_answered_once(here):
    here.trust(CALLER)
    message = calls.call(CALLER, here.id)
    assert here.box(message["reply"]).status_code == 200
    for _ in range(3):
        assert here.leave(message).status_code == 202
    got = wait_until(lambda: here.box(message["reply"]).json()["messages"], 60, "the answer")
    assert len(got) == 1
    assert here.ask(CALLER) is not None  # the copies before it were looked at
    assert len(here.box(message["reply"]).json()["messages"]) == 1


# ---- The registry


@pytest.fixture
def registry(suite):
    relay = suite.relay()
    return suite.discovery("--relay", relay.where, "--relay-secret-file", relay.secret_file).registry


def keep(registry, identity, seq=1):
    """A signed registration, and its box."""
    assert registry.register_signed(identity, 9000, [], int(time.time() * 1000) + seq).status_code == 200
    assert registry.request("GET", f"/box/{identity.peer_id}", headers=calls.login(identity)).status_code == 200


def test_a_box_is_read_by_its_owner(registry):
    path = f"/box/{CALLER.peer_id}"
    assert registry.request("GET", path, headers=calls.login(CALLER)).status_code == 404  # not registered
    keep(registry, CALLER)
    now = int(time.time())
    wrong = [{}, calls.login(STRANGER), calls.login(CALLER, now - 5), calls.login(CALLER, now + 7200)]
    wrong += [{"Authorization": text} for text in ("P2P", "P2P 1", f"P2P {now + 60}.AAAA", "Bearer x")]
    for headers in wrong:
        assert registry.request("GET", path, headers=headers).status_code == 401, headers
    assert registry.request("GET", path, headers=calls.login(CALLER)).json() == {"messages": [], "next": 0}


def test_a_box_takes_genuine_calls_only(registry):
    keep(registry, CALLER)
    good = calls.call(STRANGER, CALLER.peer_id)
    path = f"/box/{CALLER.peer_id}"

    def status(message, where=path):
        return registry.request("POST", where, json=message).status_code

    now = int(time.time())
    assert status({**good, "session": "0" * 32}) == 401
    assert status({**good, "from": CALLER.peer_id}) == 401
    assert status(calls.call(STRANGER, STRANGER.peer_id)) == 422
    assert status(calls.call(STRANGER, CALLER.peer_id, expires=now - 60)) == 422
    assert status(calls.call(STRANGER, CALLER.peer_id, expires=now + 600)) == 422
    assert status({**good, "sig": "x"}) == 422
    assert status({}) == 422
    assert status([]) == 400
    assert status({**good, "more": "x" * 9000}) == 413
    assert status(good, f"/box/{STRANGER.peer_id}") == 422
    assert status(calls.call(CALLER, STRANGER.peer_id), f"/box/{STRANGER.peer_id}") == 404
    assert status(good, "/box/abc") == 404
    assert status({"any": "thing"}, "/box/" + "ab" * 16) == 404  # nobody asked for it
    assert status(good) == 202
    got = registry.request("GET", path, headers=calls.login(CALLER)).json()
    assert [m["m"] for m in got["messages"]] == [good] and got["next"] == got["messages"][0]["n"]


def test_a_long_poll_wakes(registry):
    number = os.urandom(16).hex()
    assert registry.get(f"/box/{number}").json() == {"messages": [], "next": 0}
    got = []
    other = type(registry)(registry.url, timeout=70)
    poll = threading.Thread(target=lambda: got.append(other.get(f"/box/{number}", wait=55).json()))
    poll.start()
    assert registry.request("POST", f"/box/{number}", json={"hello": 1}).status_code == 202
    poll.join(50)  # before its own end
    ((message,),) = (one["messages"] for one in got)
    assert message["m"] == {"hello": 1} and got[0]["next"] == message["n"]


def test_a_box_that_was_dropped_stays_away(registry):
    """Its reader has hung up, and the registry notices that later: this makes no new box."""
    number, other = "a7" * 16, "a7" + "0" * 30  # the same first byte: one list of readers
    post = lambda name: registry.request("POST", f"/box/{name}", json={}).status_code  # noqa: E731
    boxes = lambda: float(re.search(r"^p2p_discovery_boxes (\S+)", registry.get("/metrics").text, re.M)[1])  # noqa: E731
    before = boxes()
    reader = socket.create_connection(("127.0.0.1", int(registry.url.rsplit(":", 1)[1])))
    reader.sendall(f"GET /box/{number}?link=1&wait=55 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    wait_until(lambda: boxes() > before, 60, "the box")
    reader.close()
    assert registry.request("DELETE", f"/box/{number}").status_code == 204
    for _ in range(3):  # a message wakes all readers of the list
        assert registry.get(f"/box/{other}").status_code == 200
        poll = threading.Thread(target=lambda: type(registry)(registry.url, timeout=70).get(f"/box/{other}", wait=55))
        poll.start()
        assert post(other) == 202
        poll.join(50)
        assert post(number) == 404


def test_registries_with_one_redis_have_their_boxes_in_common(suite, redis):
    """The peer reads at one registry, and the caller knows the other one only."""
    here, there = (suite.discovery("--store", redis.url, folder=name).registry for name in ("here", "there"))
    keep(here, CALLER)
    wait_until(lambda: there.get(f"/peers/{CALLER.peer_id}").status_code == 200, 60, "the record at the other registry")
    path = f"/box/{CALLER.peer_id}"
    message = calls.call(STRANGER, CALLER.peer_id)
    left = lambda at, where, what: at.request("POST", where, json=what).status_code  # noqa: E731
    boxes = lambda at: float(re.search(r"^p2p_discovery_boxes (\S+)", at.get("/metrics").text, re.M)[1])  # noqa: E731
    wait_until(lambda: boxes(there) == 1, 60, "the box at the other registry")
    got = []
    other = type(here)(here.url, timeout=70)
    read = lambda: got.append(other.request("GET", path, params={"wait": 55}, headers=calls.login(CALLER)).json())  # noqa: E731
    poll = threading.Thread(target=read)
    poll.start()
    assert left(there, path, message) == 202
    poll.join(50)  # before its own end
    assert [m["m"] for m in got[0]["messages"]] == [message]
    # The answer takes the way back.
    answers = f"/box/{message['reply']}"
    assert there.get(answers).status_code == 200
    wait_until(lambda: boxes(here) == 2, 60, "the box for the answer")
    assert left(here, answers, {"yes": 1}) == 202
    assert there.get(answers, wait=55).json()["messages"][0]["m"] == {"yes": 1}
    # The reader ends the box, at both.
    assert there.request("DELETE", answers).status_code == 204
    assert there.request("DELETE", answers).status_code == 404
    assert there.request("DELETE", path).status_code == 404  # that of the peer stays
    wait_until(lambda: boxes(here) == 1, 60, "the end of the box for the answer")


def test_tokens_need_both_signatures(registry):
    callee = CALLER
    keep(registry, callee)
    its_call = calls.call(STRANGER, callee.peer_id)

    def ask(body):
        return registry.request("POST", "/reach/relay", json=body)

    good = calls.relay_request(callee, its_call)
    assert ask({**good, "call": {**its_call, "session": "0" * 32}}).status_code == 401
    assert ask(calls.relay_request(STRANGER, its_call)).status_code == 401
    assert ask({**good, "expires": good["expires"] + 1}).status_code == 401
    assert ask(calls.relay_request(callee, its_call, int(time.time()) + 600)).status_code == 422
    assert ask({}).status_code == 422
    forged = calls.call(STRANGER, callee.peer_id)
    forged["from"] = CALLER.peer_id
    assert ask(calls.relay_request(callee, forged)).status_code == 401
    absent = Identity()
    assert ask(calls.relay_request(absent, calls.call(STRANGER, absent.peer_id))).status_code == 404
    done = ask(good)
    assert done.status_code == 200
    relay = done.json()["relays"][0]
    assert set(relay) == {"host", "port", "caller", "callee"} and relay["caller"] != relay["callee"]
    assert ask(good).status_code == 409  # once a session
    ends = [connect((relay["host"], relay["port"]), relay[side].encode()) for side in ("callee", "caller")]
    assert [relay_answer(end) for end in ends] == [b"+", b"+"]


def test_a_registry_without_a_relay_says_so(suite):
    registry = suite.discovery().registry
    found = registry.get("/reach").json()
    assert found["boxes"] is True and found["relays"] == []
    # Where the machine lets it: the port of HTTP and the next one may be in use by UDP.
    assert set(found["stun"]) <= {f"127.0.0.1:{int(registry.url.rsplit(':', 1)[1]) + i}" for i in (0, 1)}
    keep(registry, CALLER)
    body = calls.relay_request(CALLER, calls.call(STRANGER, CALLER.peer_id))
    assert registry.request("POST", "/reach/relay", json=body).status_code == 404


def test_calls_have_a_budget(registry):
    """Of one sender, whatever addresses it comes from."""
    keep(registry, CALLER)
    path = f"/box/{CALLER.peer_id}"
    statuses = [registry.request("POST", path, json=calls.call(STRANGER, CALLER.peer_id)).status_code for _ in range(120)]
    assert 429 in statuses and set(statuses) <= {202, 429, 507}
    assert registry.request("POST", path, json=calls.call(Identity(), CALLER.peer_id)).status_code in (202, 507)


def test_the_registry_refuses_half_a_relay(suite, tmp_path):
    for words, said in [
        (["--relay", "x:1"], "needs --relay-secret-file"),
        (["--relay", "x:y", "--relay-secret-file", "f"], "must be an address"),
        (["--turn", "x:1"], "needs --turn-secret-file"),
        (["--turn", "turns:x:y", "--turn-secret-file", "f"], "must be an address"),
        (["--turn", "x:1?transport=udp", "--turn-secret-file", "f"], "must be an address"),
    ]:
        run = subprocess.run(
            [BIN / "p2p-discovery", "--port", "0", *words], capture_output=True, text=True, env=environment(tmp_path)
        )
        assert run.returncode == 2 and said in run.stderr

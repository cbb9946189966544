"""How much strangers may use of p2p-peer: places, handshakes and decisions, while other clients are served."""

import contextlib
import os
import select
import socket
import time

import pytest
from conftest import Suite, wait_until
from netns import give_addresses, other_machine
from p2pwire import msg
from p2pwire.client import Client, Refused
from p2pwire.keys import Identity
from p2pwire.protocol1 import Client as Client1
from p2pwire.protocol1 import hello
from p2pwire.stream import Closed

TOTAL = 4096  # --max-connections
DATA = os.urandom(100 << 10)
GONE = (Closed, OSError, TimeoutError, AssertionError)


@pytest.fixture(scope="module")
def crowd():
    """(the machine they are on, 30 addresses)."""
    with other_machine(20) as machine:
        if machine is None:
            pytest.skip("no network namespaces here")
        yield machine, give_addresses(machine, 30)


def open_peer(suite, machine, *more, **kwargs):
    peer = suite.peer(*more, files={"f": DATA}, host="0.0.0.0", **kwargs)
    return peer, (machine.our_ip, peer.port)


def raw(address, source, first=b""):
    """A connection that has sent `first` and sends nothing more; None if it was refused at once."""
    with contextlib.suppress(OSError):
        sock = socket.create_connection(address, 5, source_address=(source, 0))
        try:
            sock.sendall(first)
            sock.setblocking(False)
            return sock
        except OSError:
            sock.close()


def still_open(socks):
    """The connections that the peer has not closed; reads and drops what it sent."""
    poll = select.poll()
    by_fd = {sock.fileno(): sock for sock in socks}
    for fd in by_fd:
        poll.register(fd, select.POLLIN)
    for fd, _ in poll.poll(0):
        try:
            if by_fd[fd].recv(4096) == b"":
                del by_fd[fd]
        except OSError:
            del by_fd[fd]
    return list(by_fd.values())


def fetched_by(address, identity, source=None):
    with Client(address, identity, timeout=10, source=source and (source, 0)) as client:
        return client.fetch("f") == DATA


def know(peer, peer_id, trust="trusted", address="-"):
    """Writes the file as `p2p peers` in another process does."""
    now = int(time.time())
    aside = peer.keys / "known_peers.new"
    aside.write_text(f"{peer_id} {trust} 2 {now} {now} {address}\n")
    aside.rename(peer.keys / "known_peers")


def test_hellos_of_protocol_1_without_a_key(suite, crowd):
    """4 addresses take 1024 places each: they lose their connections, and all others are served."""
    machine, addresses = crowd
    peer, address = open_peer(suite, machine)
    friend, nobody = Identity(), Identity()
    know(peer, friend.peer_id)
    said = hello(nobody)

    def flood():
        socks = []
        for _ in range(1024):
            for source in addresses[:4]:
                sock = raw(address, source, said)
                if sock:
                    socks.append(sock)
        return socks

    socks = machine.run(flood)
    try:
        assert fetched_by(peer.address, Identity())  # loopback
        assert machine.run(fetched_by, address, friend, addresses[10])
        assert machine.run(fetched_by, address, Identity(), addresses[11])
        # Unfinished handshakes end when their time is over, whatever was sent.
        wait_until(lambda: not still_open(socks), 30, "the end of all of them")
    finally:
        for sock in socks:
            sock.close()


def test_a_client_of_protocol_1_that_proves_itself_stays(suite):
    peer = suite.peer("--handshake-timeout", "1s", files={"f": DATA})
    with peer.client1() as good, peer.client1() as silent:
        good.meta("f")
        silent.stream.expect_close()
        assert good.fetch("f") == DATA


def test_half_open_handshakes_from_many_addresses(suite, crowd):
    """26 addresses with 8 each are twice as many unfinished handshakes as allowed in total."""
    machine, addresses = crowd
    peer, address = open_peer(suite, machine, "--handshake-timeout", "60s")

    def flood():
        return [raw(address, source, b"HELLO2") for _ in range(8) for source in addresses[:26]]

    socks = [sock for sock in machine.run(flood) if sock]
    try:
        for source in addresses[26:]:
            assert machine.run(fetched_by, address, Identity(), source)
        assert fetched_by(peer.address, Identity())
        assert len(still_open(socks)) <= 100
    finally:
        for sock in socks:
            sock.close()


def test_idle_strangers_make_room(suite, crowd):
    """Proven strangers get the places that are not reserved; idle ones are closed first; known peers and loopback
    have their own places.
    """
    machine, addresses = crowd
    peer, address = open_peer(
        suite, machine, "--threads", "1", "--max-connections", "20", "--reserved-connections", "8"
    )
    friend = Identity()
    know(peer, friend.peer_id)
    with contextlib.ExitStack() as stack:

        def enter(identity, source):
            return stack.enter_context(Client(address, identity, source=(source, 0)))

        strangers = [machine.run(enter, Suite.identity, source) for source in addresses[:16]]
        for client in strangers[:4]:
            client.stream.expect_close()
        friends = [machine.run(enter, friend, addresses[20]) for _ in range(4)]
        own = [stack.enter_context(peer.client()) for _ in range(4)]
        for client in [*friends, *own, *strangers[4:]]:
            assert client.meta("f").size == len(DATA)
        # One with a running request does not count as idle.
        newcomer = machine.run(enter, Identity(), addresses[21])
        strangers[4].stream.expect_close()
        for client in [newcomer, *friends, *own, *strangers[5:]]:
            assert client.meta("f").size == len(DATA)


def count_handshakes(address, identity, source, seconds):
    done, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            Client(address, identity, timeout=5, source=(source, 0)).close()
            done += 1
        except GONE:
            time.sleep(0.01)
    return done


def test_finished_handshakes_have_a_rate(suite, crowd):
    machine, addresses = crowd
    peer, address = open_peer(suite, machine, "--handshake-work-rate", "2")
    begun = time.monotonic()
    done = machine.run(count_handshakes, address, Identity(), addresses[0], 4)
    took = time.monotonic() - begun
    assert done <= 10 + 2 * took + 1  # the burst, then the rate
    assert machine.run(fetched_by, address, Identity(), addresses[1])
    assert fetched_by(peer.address, Identity())


def test_strangers_together_have_a_rate(suite, crowd):
    """The strangers use up their share; the known address and loopback do not have to wait."""
    machine, addresses = crowd
    peer, address = open_peer(
        suite, machine, "--handshake-total-rate", "2", "--handshake-work-rate", "50"
    )
    know(peer, Identity().peer_id, address=f"{addresses[9]}:9000")
    attacker = Identity()

    def flood():
        return sum(count_handshakes(address, attacker, source, 1) for source in addresses[:5])

    begun = time.monotonic()
    done = machine.run(flood)
    took = time.monotonic() - begun
    assert done <= 4 + 5 + 2 * took + 1  # the burst, one borrowed by each, then the rate
    for _ in range(5):
        assert machine.run(fetched_by, address, Identity(), addresses[9])
        assert fetched_by(peer.address, Identity())


# ---- Decisions take effect now ----


def closed_within(client, seconds=3.0):
    client.stream.sock.settimeout(seconds)
    try:
        while client.stream.sock.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return True


def test_a_blocked_peer_is_cut_off_at_once(suite):
    peer = suite.peer(files={"f": DATA})
    bad, good = Identity(), Identity()
    with Client(peer.address, bad) as first, Client1(peer.address, bad) as second:
        with Client(peer.address, good) as other:
            first.fetch("f")
            second.meta("f")
            suite.p2p("peers", "block", bad.peer_id, "--keys-dir", peer.keys, check=True)
            assert closed_within(first) and closed_within(second)
            assert other.fetch("f") == DATA
    for kind in (Client, Client1):
        with pytest.raises(GONE):
            kind(peer.address, bad).meta("f")
    suite.p2p("peers", "forget", bad.peer_id, "--keys-dir", peer.keys, check=True)
    assert Client(peer.address, bad).fetch("f") == DATA


def test_a_blocked_peer_in_the_middle_of_a_download(suite):
    peer = suite.peer("--limit-rate", "256K", files={"f": os.urandom(4 << 20)})
    bad = Identity()
    with Client(peer.address, bad) as client:
        root = client.meta("f").root
        client.send(msg.Get(client.new_req(), root, 0, 1 << 20))
        client.receive()
        suite.p2p("peers", "block", bad.peer_id, "--keys-dir", peer.keys, check=True)
        assert closed_within(client)


@pytest.mark.parametrize("how", ["written", "replaced", "linked"])
def test_the_list_of_allowed_peers_changes(suite, tmp_path, how):
    one, two = Identity(), Identity()
    allow = tmp_path / "allowed"
    real = tmp_path / "elsewhere" / "list"
    real.parent.mkdir()
    real.write_text(f"{one.peer_id}\n{two.peer_id} # the second\n")
    allow.symlink_to(real) if how == "linked" else real.rename(allow)
    peer = suite.peer("--allow-peers", allow, files={"f": DATA}, wait=False)
    with Client(peer.address, one) as first, Client(peer.address, two) as second:
        wait_until(lambda: is_there(second), 20, "f")
        text = f"{two.peer_id}\n"
        if how == "replaced":
            (tmp_path / "new").write_text(text)
            (tmp_path / "new").rename(allow)
        else:
            allow.write_text(text)
        assert closed_within(first)
        assert second.fetch("f") == DATA
    with pytest.raises(GONE):
        Client(peer.address, one).meta("f")


def is_there(client):
    try:
        return client.meta("f")
    except Refused:
        return None


def test_an_allow_list_turns_protocol_1_off_and_says_so(suite, tmp_path):
    allow = tmp_path / "allowed"
    allow.write_text(f"{Suite.identity.peer_id}\n")
    peer = suite.peer("--allow-peers", allow, files={"f": DATA}, wait=False)
    assert peer.stderr().count("protocol 1 is off") == 1
    with pytest.raises(GONE):
        Client1(peer.address, Suite.identity)
    with peer.client() as client:
        wait_until(lambda: is_there(client), 20, "f")


def test_only_trusted_peers(suite):
    peer = suite.peer("--trusted-only", files={"f": DATA}, wait=False)
    assert peer.stderr().count("protocol 1 is off") == 1
    friend, stranger = Identity(), Identity()
    for who in (friend, stranger):
        with pytest.raises(GONE):
            Client(peer.address, who).meta("f")
    suite.p2p("peers", "trust", friend.peer_id, "--keys-dir", peer.keys, check=True)
    with Client(peer.address, friend) as client:
        wait_until(lambda: is_there(client), 20, "f")
        with pytest.raises(GONE):
            Client(peer.address, stranger).meta("f")
        suite.p2p("peers", "forget", friend.peer_id, "--keys-dir", peer.keys, check=True)
        assert closed_within(client)


# ---- --limit-rate ----


def flood_and_count(client, make, seconds):
    """Reads bytes that never stop while requests continue."""
    sock, got, end = client.stream.sock, 0, time.monotonic() + seconds
    waiting = b""
    sock.setblocking(False)
    while time.monotonic() < end:
        if not waiting:
            waiting = client.shake.c2s.seal(msg.encode(make()))
        readable, writable, _ = select.select([sock], [sock], [], 0.1)
        if writable:
            waiting = waiting[sock.send(waiting) :]
        if readable:
            piece = sock.recv(1 << 20)
            assert piece
            got += len(piece)
    return got


def test_the_limit_covers_every_answer(suite):
    """Lists, layers, METAs and errors, not only data: three seconds, the burst and one answer in flight."""
    limit, seconds = 50 << 10, 3
    names = {"%03d-%s" % (i, "n" * 180): b"x" for i in range(200)}
    peer = suite.peer(
        "--limit-rate", "50K", "--chunk-size", "16K", files={"big": os.urandom(4 << 20), **names}, wait=False
    )
    with peer.client(timeout=30) as client:
        wait_until(lambda: is_there_named(client, "big"), 20, "big")
        root = client.meta("big").root
    makers = {
        "LIST": lambda c: msg.ListRequest(c.new_req(), b""),
        "LAYER": lambda c: msg.LayerRequest(c.new_req(), root, 0, 256),
        "META": lambda c: msg.MetaRequest(c.new_req(), 0, b"big"),
        "error": lambda c: msg.MetaRequest(c.new_req(), 0, b"nothing"),
    }
    for what, make in makers.items():
        with peer.client(timeout=30) as client:
            got = flood_and_count(client, lambda: make(client), seconds)
        assert got < 2 * (limit * seconds + (64 << 10) + (64 << 10)), what
        assert got > 1000, what


def is_there_named(client, name):
    try:
        return client.meta(name)
    except Refused:
        return None


def test_the_limit_covers_handshakes(suite):
    peer = suite.peer("--limit-rate", "8K", files={"f": b"served"}, wait=False)
    identity, count, begun = Identity(), 0, time.monotonic()
    while time.monotonic() < begun + 8:
        try:
            Client(peer.address, identity, timeout=20).close()
            count += 1
        except GONE:
            pass
    took = time.monotonic() - begun
    assert 0 < count * 1000 < 2 * (64 << 10) + 2 * took * (8 << 10)

"""p2p-peer with clients that request much and read nothing: memory is bounded, and a client that reads again is
served.
"""

import os
import select
import socket
import time

from p2pwire import msg
from p2pwire.protocol1 import Client, Refused, hello
from p2pwire.stream import Closed, Stream

CHUNK = 4 << 20
SMALL = os.urandom(100 << 10)
STALLED_S = 2  # src/peer/server/loop.h


def sluggish_client(peer, identity):
    """Its kernel buffers next to nothing, so that unread answers stay in the peer."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(peer.address)
    client = Client.__new__(Client)
    client.identity, client.stream, client.piece = identity, Stream(sock), None
    client.stream.send(hello(identity))
    client.key = client._read_session()
    return client


def test_a_stalled_client_that_reads_again_when_memory_is_short(suite):
    """The client that has not read for longest is closed, or the one that needs the memory."""
    peer = suite.peer(
        "--threads", "1", "--chunk-size", "4M", files={"small": SMALL, "big": os.urandom(CHUNK)}
    )
    first = sluggish_client(peer, suite.identity)
    for _ in range(12):
        first.send(b"GET|small|0")
    others = [sluggish_client(peer, suite.identity) for _ in range(11)]  # HELD_BYTES_MAX is 40 MiB
    for other in others:
        other.send(b"GET|big|0")
    time.sleep(STALLED_S + 0.5)  # what the peer calls stalled
    for _ in range(12):
        assert Client.read_chunk(first.receive(), 0) == SMALL
    for client in [first, *others]:
        client.close()
    with peer.client1() as client:
        assert client.chunk("big", 0)


def test_long_questions_that_wait_for_an_answer(suite):
    """Answers are not read, so requests wait: their texts must not fill the memory."""
    peer = suite.peer("--chunk-size", "4M", files={"big": os.urandom(CHUNK)})
    clients = [peer.client(timeout=30) for _ in range(20)]
    root = clients[0].meta("big").root
    before = peer.memory_kib()
    for client in clients:
        for _ in range(10):  # more than the kernel takes off the peer's hands
            client.send(msg.Get(client.new_req(), root, 0, CHUNK))
        for _ in range(50):
            client.send(msg.ListRequest(client.new_req(), b"x" * 60000))
    # All clients are served in turn: when one has its answers, the requests of all have been read.
    answers = 0
    while answers < 50:
        answers += isinstance(clients[0].receive(), (msg.List, msg.Error))
    assert peer.memory_kib("VmHWM") - before < 32 << 10
    for client in clients:
        client.close()


def long_question(client):
    """A frame of almost the maximum length."""
    return client.shake.c2s.seal(msg.encode(msg.ListRequest(client.new_req(), b"x" * 60000)))


def closed_ones(clients):
    poll = select.poll()
    for client in clients:
        poll.register(client.stream.sock, select.POLLIN)
    closed = {fd for fd, _ in poll.poll(0)}
    return [client for client in clients if client.stream.sock.fileno() in closed]


def test_frames_that_are_begun_and_never_ended(suite):
    """Together they get half of --client-memory; small requests are served beside them."""
    peer = suite.peer("--client-memory", "1M", files={"small": SMALL})
    clients = [peer.client(timeout=30) for _ in range(50)]
    frames = [long_question(client) for client in clients]
    for client, frame in zip(clients, frames):
        try:
            client.stream.send(frame[:-1])
        except Closed:
            pass
    deadline = time.monotonic() + 20
    # Each may keep 4 KiB beside the limit, and one more has just begun when it is reached.
    kept = (512 << 10) // (60000 - (4 << 10)) + 2
    while len(gone := closed_ones(clients)) < 50 - kept:
        assert time.monotonic() < deadline, f"{len(gone)} of 50 were refused"
        time.sleep(0.02)
    with peer.client() as good:
        assert good.fetch("small") == SMALL
    first = clients.index(next(client for client in clients if client not in gone))
    clients[first].stream.send(frames[first][-1:])
    assert isinstance(clients[first].receive(), msg.Error)  # no name is that long
    for client in clients:
        client.close()


def test_nonces_of_protocol_1_when_memory_is_short(suite):
    """A client that has sent many messages is told to connect again; the others are served, and so is this one
    afterwards.
    """
    peer = suite.peer("--client-memory", "64K", files={"small": SMALL})
    clients = [peer.client1() for _ in range(4)]
    for rounds in range(4000):
        worn = clients[rounds % 4]
        try:
            worn.meta("small")
        except Refused as refused:
            assert str(refused).startswith("too many messages")
            break
    assert 400 < rounds < 3999
    worn.stream.expect_close()
    for client in clients:
        client.close()
    with peer.client1() as client:
        assert client.chunk("small", 0) == SMALL

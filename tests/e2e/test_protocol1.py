"""A client of the documentation against p2p-peer (docs/PROTOCOL.md, Protocol 1)."""

import hashlib
import os
import struct
import subprocess

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from conftest import wait_until
from p2pwire import keys, protocol1
from p2pwire.protocol1 import Client, Refused
from p2pwire.record import open_frame, seal
from p2pwire.stream import Closed, Stream

CHUNK = 1 << 20
FILES = {
    "hello.txt": b"hello, world\n",
    "empty": b"",
    "one chunk": os.urandom(CHUNK),
    "one more byte": os.urandom(CHUNK + 1),
    "big.bin": os.urandom(5 * CHUNK + 12345),
    "with space and | bar | x": b"bars",
    "quotes \"double\" 'single'.txt": b"quotes",
    "emoji 😀 häß 文件.txt": b"emoji",
    "META": b"a word of the protocol",
    "x|0": b"looks like a GET",
    "100% sure; $(id) `id` & <b>.txt": b"shell",
}
SECRET = b"must never leave the machine"


@pytest.fixture(scope="module")
def peer(module_suite):
    return module_suite.peer("--chunk-size", "1M", files=FILES)


@pytest.fixture(scope="module")
def identity():
    return keys.Identity()


@pytest.fixture
def client(peer, identity):
    with Client(peer.address, identity) as client:
        yield client


def assert_serves(peer):
    """The peer still serves."""
    with peer.client1() as other:
        assert other.fetch("hello.txt") == FILES["hello.txt"]


# --- what has to work -----------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_meta_and_bytes(client, name):
    size, chunk_size, chunks, digest = client.meta(name)
    data = FILES[name]
    assert (size, chunk_size, chunks) == (len(data), CHUNK, -(-len(data) // CHUNK))
    assert digest == hashlib.sha256(data).hexdigest()
    assert client.fetch(name) == data


def test_pieces_of_one_byte(peer, identity):
    with Client(peer.address, identity, piece=1) as client:
        assert client.fetch("hello.txt") == FILES["hello.txt"]
        assert client.chunk("big.bin", 5) == FILES["big.bin"][5 * CHUNK :]


def test_everything_after_the_hello_in_one_segment(peer, identity):
    """HELLO and frames may be split over segments in any way; here many frames share one."""
    with Client(peer.address, identity) as client:
        frames = [
            seal(client.key, b"META|hello.txt"),
            seal(client.key, b"GET|hello.txt|0"),
            seal(client.key, b"DONE"),
        ]
        client.stream.send(b"".join(frames))
        assert client.receive().startswith(b"META|hello.txt|13|")
        assert client.receive() == b"CHUNK|0|" + FILES["hello.txt"]
        client.stream.expect_close()


def test_pipelined_gets_are_answered_in_order_or_not_but_all(client):
    for index in range(6):
        client.send(b"GET|big.bin|%d" % index)
    chunks = {}
    for _ in range(6):
        _, index, data = client.receive().split(b"|", 2)
        chunks[int(index)] = data
    assert b"".join(chunks[i] for i in range(6)) == FILES["big.bin"]


def test_get_without_meta_and_the_same_chunk_twice(client):
    assert client.chunk("big.bin", 3) == client.chunk("big.bin", 3) == FILES["big.bin"][3 * CHUNK : 4 * CHUNK]


def test_done_closes(client):
    client.send(b"DONE")
    client.stream.expect_close()


def test_many_clients_of_one_identity(peer, identity):
    clients = [Client(peer.address, identity) for _ in range(8)]
    for i, client in enumerate(clients):
        client.send(b"GET|big.bin|%d" % (i % 6))
    for i, client in enumerate(clients):
        assert client.read_chunk(client.receive(), i % 6) == FILES["big.bin"][(i % 6) * CHUNK :][:CHUNK]
        client.close()


# --- requests that are refused, on a connection that goes on --------------------------------

UNKNOWN_NAMES = [
    "nothing", "hello.tx", "hello.txt ", "HELLO.TXT", "", ".", "..", "../secret", "/etc/passwd", "hello.txt/",
    "./hello.txt", "sub/../hello.txt", "..\\secret", ".p2p/index.db", ".hidden", "link", "dirlink/secret",
    "hello.txt\n", "hello.txt\x1b[0m", "a" * 255, "a" * 3000, "%2e%2e%2fsecret", "．．/secret", "hello\u202etxt",
]  # fmt: skip


@pytest.fixture(scope="module")
def traps(peer):
    """Files around the shared folder that must not be served."""
    (peer.shared.parent / "secret").write_bytes(SECRET)
    (peer.shared / ".hidden").write_bytes(SECRET)
    (peer.shared / "link").symlink_to(peer.shared.parent / "secret")
    (peer.shared / "dirlink").symlink_to(peer.shared.parent)


@pytest.mark.parametrize("name", UNKNOWN_NAMES)
def test_names_that_are_not_shared(peer, traps, client, name):
    with pytest.raises(Refused):
        client.meta(name)
    with pytest.raises(Refused):
        client.chunk(name, 0)
    assert client.fetch("hello.txt") == FILES["hello.txt"], "an ERROR ends the request, not the connection"


@pytest.mark.parametrize(
    "request_text",
    [
        b"GET|hello.txt|1", b"GET|empty|0", b"GET|big.bin|6", b"GET|big.bin|4294967295", b"GET|big.bin|4294967296",
        b"GET|big.bin|18446744073709551615", b"GET|big.bin|18446744073709551616", b"GET|big.bin|99999999999999999999999",
        b"GET|big.bin|-1", b"GET|big.bin|+1", b"GET|big.bin| 1", b"GET|big.bin|1 ", b"GET|big.bin|0x1", b"GET|big.bin|",
        b"GET|big.bin|1e0", b"GET|big.bin|one", b"GET|big.bin", b"GET|0", b"GET|", b"GET||0",
        b"META|hello.txt\x00", b"META|hello\x00.txt", b"META|\xff\xfe", b"META|\xc0\xae\xc0\xae/secret", b"GET|hello.txt\x00|0",
    ],
)  # fmt: skip
def test_requests_that_are_refused(client, request_text):
    with pytest.raises(Refused):
        client.ask(request_text)
    assert client.fetch("hello.txt") == FILES["hello.txt"]


@pytest.mark.parametrize(
    "text",
    [b"", b"META", b"meta|hello.txt", b"HELLO|x", b"CHUNK|0|x", b"ERROR|x", b"\x00", b"DONEX", b"X" * 60000],
)
def test_messages_nobody_knows(peer, client, text):
    """An ERROR or a close, but never an answer or a crash."""
    client.send(text)
    try:
        assert client.receive().startswith(b"ERROR|")
    except Closed:
        pass
    assert_serves(peer)


# --- framing and records ---------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 1, 11, 12, 27, 1 << 24, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_frame_lengths_that_lose_the_framing(peer, client, length):
    before = peer.memory_kib()
    client.stream.send(struct.pack(">I", length) + bytes(64))
    client.stream.expect_close()
    assert peer.memory_kib() - before < 4096, "memory by the word of a stranger"
    assert_serves(peer)


def test_frame_of_nonce_and_tag_alone_is_an_empty_message(peer, client):
    client.stream.send(seal(client.key, b""))
    try:
        assert client.receive().startswith(b"ERROR|")
    except Closed:
        pass
    assert_serves(peer)


def test_a_frame_that_does_not_open(peer, client):
    frame = bytearray(seal(client.key, b"META|hello.txt"))
    frame[-1] ^= 1
    client.stream.send(bytes(frame))
    client.stream.expect_close()
    assert_serves(peer)


def test_a_frame_under_another_key(peer, client):
    client.stream.send(seal(bytes(32), b"META|hello.txt"))
    client.stream.expect_close()
    assert_serves(peer)


def test_a_frame_sent_twice(client):
    frame = seal(client.key, b"META|hello.txt")
    client.stream.send(frame)
    assert client.receive().startswith(b"META|")
    client.stream.send(frame)
    client.stream.expect_close()


def test_a_nonce_used_twice_for_another_message(client):
    nonce = os.urandom(12)
    client.send(b"META|hello.txt", nonce)
    assert client.receive().startswith(b"META|")
    client.send(b"META|empty", nonce)
    client.stream.expect_close()


def test_the_servers_own_frame_reflected(client):
    client.send(b"META|META")
    body = client.stream.read_frame()
    assert open_frame(client.key, body).startswith(b"META|META|")
    client.stream.send(struct.pack(">I", len(body)) + body)
    client.stream.expect_close()


def test_a_frame_that_ends_early(peer, client):
    client.stream.send(seal(client.key, b"META|hello.txt")[:-1])
    client.stream.half_close()
    client.stream.expect_close()
    assert_serves(peer)


def test_keys_differ_from_connection_to_connection(peer, identity):
    with Client(peer.address, identity) as one, Client(peer.address, identity) as two:
        assert one.key != two.key
        two.stream.send(seal(one.key, b"META|hello.txt"))
        two.stream.expect_close()


# --- HELLO -----------------------------------------------------------------------------------


def greet(peer, data, half_close=False):
    """Sends a HELLO and returns what comes back: b"" is a close."""
    with Stream.connect(peer.address) as stream:
        try:
            stream.send(data)
            if half_close:
                stream.half_close()
            return stream.sock.recv(300)
        except (Closed, ConnectionResetError):
            return b""


def public_pem(key):
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def hello_of(pem):
    return b"HELLO|" + keys.peer_id_of_pem(pem).encode() + b"|" + pem


def test_hello_is_answered(peer, identity):
    assert greet(peer, protocol1.hello(identity)).startswith(b"SESSION|")


def test_hello_in_two_pieces(peer, identity):
    text = protocol1.hello(identity)
    for cut in (1, 5, 6, 7, 70, 71, len(text) - 2, len(text) - 1):
        with Stream.connect(peer.address) as stream:
            stream.send(text[:cut])
            stream.send(text[cut:])
            assert stream.read(8) == b"SESSION|"


@pytest.mark.parametrize("cut", [0, 1, 6, 7, 70, 71, 100, 400])
def test_hello_that_ends_early(peer, identity, cut):
    assert greet(peer, protocol1.hello(identity)[:cut], half_close=True) == b""
    assert_serves(peer)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01" + bytes(200), bytes(1024), b"HELLO" + b"|" * 2000,
        b"HELLO|" + b"a" * 4000, b"hello|", b"HELLO2", b"SSH-2.0-x\r\n",
    ],
)  # fmt: skip
def test_other_first_bytes(peer, data):
    assert greet(peer, data, half_close=True) == b""
    assert_serves(peer)


def test_peer_id_must_belong_to_the_key(peer, identity):
    other = keys.Identity()
    assert greet(peer, protocol1.hello(identity, peer_id=other.peer_id)) == b""
    assert greet(peer, protocol1.hello(identity, peer_id="0" * 64)) == b""
    assert greet(peer, protocol1.hello(identity, peer_id=identity.peer_id[:-1] + "g")) == b""
    assert_serves(peer)


def odd_pems():
    good = keys.Identity().pem
    lines = good.decode().splitlines()
    small_e = rsa.generate_private_key(public_exponent=3, key_size=2048)
    yield "1024 bits", public_pem(rsa.generate_private_key(65537, 1024))
    yield "3072 bits", public_pem(rsa.generate_private_key(65537, 3072))
    yield "4096 bits", public_pem(rsa.generate_private_key(65537, 4096))
    yield "e = 3", public_pem(small_e)
    yield "elliptic curve", public_pem(ec.generate_private_key(ec.SECP256R1()))
    yield "Ed25519", public_pem(ed25519.Ed25519PrivateKey.generate())
    yield "CRLF", good.replace(b"\n", b"\r\n")
    yield "lines of another width", "\n".join([lines[0], "".join(lines[1:-1]), lines[-1], ""]).encode()
    yield "text before", b"hi\n" + good
    yield "garbage", b"-----BEGIN PUBLIC KEY-----\n" + b"A" * 64 + b"\n-----END PUBLIC KEY-----\n"
    yield "no content", b"-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n"
    even = keys.modulus_of_spki(keys.Identity().spki) - 1
    yield "even modulus", keys.pem_of_spki(keys.spki_of_modulus(even))


ODD_PEMS = dict(odd_pems())


@pytest.mark.parametrize("case", ODD_PEMS)
def test_odd_keys_are_refused(peer, case):
    assert greet(peer, hello_of(ODD_PEMS[case]), half_close=True) == b""
    assert_serves(peer)


def test_no_protocol_1(suite, identity):
    peer = suite.peer("--no-protocol-1", files={"f": b"x"}, wait=False)
    assert greet(peer, protocol1.hello(identity), half_close=True) == b""
    with peer.client() as client:
        client.ping(1)


def test_key_and_id_are_the_documented_form(peer):
    """peer id = SHA-256 of the PEM that openssl prints for the key in keys/."""
    private = next(p for p in peer.keys.glob("*.pem") if b"PRIVATE KEY" in p.read_bytes())
    pem = subprocess.run(
        ["openssl", "pkey", "-in", private, "-pubout"], capture_output=True, check=True
    ).stdout
    assert hashlib.sha256(pem).hexdigest() == peer.peer_id
    assert private.stat().st_mode & 0o777 == 0o600
    assert peer.keys.stat().st_mode & 0o777 == 0o700


# --- `p2p get --protocol 1` against a server that misbehaves --------------------------------


def test_memory_stays_small_while_chunks_are_served(peer, identity):
    with Client(peer.address, identity) as client:
        for _ in range(20):
            client.fetch("big.bin")
    wait_until(lambda: peer.memory_kib() < 64 * 1024, what="the peer below 64 MiB")


def test_unread_answers_do_not_pile_up(peer, identity):
    """A client that sends requests and never reads uses no memory of the server and delays no other client."""
    before = peer.memory_kib()
    with Client(peer.address, identity) as client:
        client.stream.sock.settimeout(2)
        try:
            for _ in range(400):
                client.send(b"GET|big.bin|0")
        except (TimeoutError, Closed, OSError):
            pass
        assert_serves(peer)
        assert peer.memory_kib() - before < 24 * 1024


def test_invalid_tag_is_what_a_wrong_key_gives():
    """Guards the tests above: opening under another key does fail."""
    with pytest.raises(InvalidTag):
        open_frame(bytes(32), seal(b"k" * 32, b"x")[4:])

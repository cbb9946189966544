"""`p2p get` and the server's identity: handshakes that lie, keys that change.

Whatever the server does: the right file or none, a failing exit status, nothing left in the
folder, and the text names what was wrong.
"""

import os
import struct

import pytest

from getting import CHUNK, DATA, assert_failed, assert_fetched
from p2pwire import keys
from p2pwire.handshake import M1_LEN, M3_BODY, M5_BODY, ServerHandshake, x25519_public
from p2pwire.server import Server
from p2pwire.stream import Closed

# --- identity --------------------------------------------------------------------------------


def test_an_id_that_was_asked_for_must_be_proven(suite):
    other = keys.Identity()
    with Server({"f.bin": DATA}, chunk_size=CHUNK) as server:
        run = suite.get("f.bin", server, more=["--peer", other.peer_id, "--timeout", "3"])
        assert_failed(suite, run)
        assert not server.requests, "nothing is said to the wrong peer"
        assert_fetched(suite, suite.get("f.bin", server, more=["--peer", server.identity.peer_id]))


def test_a_changed_key_is_refused_until_accepted(suite):
    with Server({"f.bin": DATA}, chunk_size=CHUNK) as server:
        assert_fetched(suite, suite.get("f.bin", server))
        port, old_id = server.address[1], server.identity.peer_id
    (suite.folder / "out" / "f.bin").unlink()
    with Server({"f.bin": DATA}, chunk_size=CHUNK, port=port) as impostor:
        run = suite.get("f.bin", impostor, more=["--timeout", "3"])
        assert_failed(suite, run, "key", "p2p peers")
        assert not impostor.requests
        forget = suite.p2p("peers", "forget", old_id, "--keys-dir", suite.folder / "cli" / "keys")
        assert forget.returncode == 0, forget.stderr
        assert_fetched(suite, suite.get("f.bin", impostor))


def test_a_registry_cannot_put_a_stranger_where_somebody_is_remembered(suite):
    """Its statement is enough for a first contact, and for a peer that was met before, but not for a new key at a
    known address.
    """

    def get_as_listed(server, folder):
        discovery = suite.discovery(folder=folder)
        discovery.registry.register(server.identity, server.address[1], ["f.bin"])
        return suite.p2p("get", "f.bin", "--discovery", discovery.url, "--output-dir", suite.folder / "out", "--timeout", "3")

    with Server({"f.bin": DATA}, chunk_size=CHUNK) as server:
        assert_fetched(suite, get_as_listed(server, "honest"))
        port = server.address[1]
    (suite.folder / "out" / "f.bin").unlink()
    with Server({"f.bin": DATA}, chunk_size=CHUNK, port=port) as stranger:
        assert_failed(suite, get_as_listed(stranger, "liar"), "has changed", "p2p peers trust")
        assert not stranger.requests
        suite.p2p("peers", "trust", stranger.identity.peer_id[:16], check=True)
        assert_fetched(suite, get_as_listed(stranger, "liar again"))


def test_a_man_in_the_middle_with_his_own_key(suite):
    """Relays everything, with its own identity on both sides; the id from the registry or the user stops it."""
    with Server({"f.bin": DATA}, chunk_size=CHUNK) as real, Server(
        {"f.bin": b"evil"}, chunk_size=CHUNK
    ) as middle:
        run = suite.get("f.bin", middle, more=["--peer", real.identity.peer_id, "--timeout", "3"])
        assert_failed(suite, run)


# --- servers whose handshake is wrong -------------------------------------------------------


class HandshakeLiar(Server):
    def shake_hands(self, stream):
        shake = self.shake = ServerHandshake(self.identity)
        shake.read_m1(stream.read(M1_LEN))
        stream.send(self.change_m2(shake.make_m2(), shake))
        shake.read_m3(stream.read_frame(limit=M3_BODY))
        stream.send(self.change_m4(shake.make_m4()))
        shake.read_m5(stream.read_frame(limit=M5_BODY))
        return shake

    def change_m2(self, m2, shake):
        return m2


def m2_with(position, value):
    class Liar(HandshakeLiar):
        def change_m2(self, m2, shake):
            return m2[:position] + value + m2[position + len(value) :]

    return Liar


class RepeatsTheShare(HandshakeLiar):
    def change_m2(self, m2, shake):
        return m2[:43] + shake.m1[43:]


class ReflectsM1(HandshakeLiar):
    def change_m2(self, m2, shake):
        return shake.m1


class SignsNothing(HandshakeLiar):
    """A complete and consistent handshake in which only the signature is random."""

    def shake_hands(self, stream):
        self.identity = BadSigner(self.identity)
        return super().shake_hands(stream)


class BadSigner(keys.Identity):
    def __init__(self, other):
        super().__init__(getattr(other, "key"))

    def sign(self, message, salt=None):
        return super().sign(message + b"x", salt)


class SignsForTheOtherRole(HandshakeLiar):
    def shake_hands(self, stream):
        self.identity = RoleSwapper(self.identity.key)
        return super().shake_hands(stream)


class RoleSwapper(keys.Identity):
    def sign(self, message, salt=None):
        return super().sign(message.replace(b"server", b"client"), salt)


class BorrowedKey(HandshakeLiar):
    """The public key of another peer, with the liar's own signature."""

    def shake_hands(self, stream):
        self.identity = Impostor(keys.Identity().spki)
        return super().shake_hands(stream)


class Impostor(keys.Identity):
    def __init__(self, spki):
        super().__init__()
        self.spki = spki


def m4_changed(change):
    class Liar(HandshakeLiar):
        def change_m4(self, frame):
            return change(frame)

    return Liar


HANDSHAKE_LIARS = {
    "other magic": m2_with(0, b"HELLO1|"),
    "version 1": m2_with(7, b"\x01"),
    "version 3": m2_with(7, b"\x03"),
    "suite 2": m2_with(8, b"\x02"),
    "suite 0": m2_with(8, b"\x00"),
    "other suites_s": m2_with(9, b"\x03"),
    "flags": m2_with(10, b"\x01"),
    "other random_s": m2_with(11, bytes(32)),
    "other share": m2_with(43, x25519_public(b"q" * 32)),
    "share of order 1": m2_with(43, bytes(32)),
    "share of order 2": m2_with(43, b"\x01" + bytes(31)),
    "share of order 8": m2_with(
        43, bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")
    ),
    "share p": m2_with(43, bytes.fromhex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")),
    "the client's share": RepeatsTheShare,
    "M1 reflected": ReflectsM1,
    "random signature": SignsNothing,
    "client's role in the signature": SignsForTheOtherRole,
    "borrowed key": BorrowedKey,
    "M4 cut": m4_changed(lambda f: f[:-1]),
    "M4 with a byte more": m4_changed(lambda f: struct.pack(">I", 836) + f[4:] + b"x"),
    "M4 of random bytes": m4_changed(lambda f: f[:4] + os.urandom(835)),
    "M4 claims 4 GiB": m4_changed(lambda f: b"\xff\xff\xff\xff" + f[4:]),
    "M4 empty": m4_changed(lambda f: bytes(4) + f[4:]),
}


@pytest.mark.parametrize("case", HANDSHAKE_LIARS)
def test_handshake_lies(suite, case):
    with HANDSHAKE_LIARS[case]({"f.bin": DATA}, chunk_size=CHUNK) as server:
        run = suite.get("f.bin", server, more=["--timeout", "1", "--connections", "1"])
        assert_failed(suite, run)
        assert not server.requests, "the client spoke to a server that had proven nothing"


def test_m4_of_another_connection(suite):
    """A genuine M4 that was made for another client."""

    class Replaying(HandshakeLiar):
        first = None

        def change_m4(self, frame):
            Replaying.first = Replaying.first or frame
            return Replaying.first

    with Replaying({"f.bin": DATA}, chunk_size=CHUNK) as server:
        assert_fetched(suite, suite.get("f.bin", server, more=["--connections", "1"]))
        (suite.folder / "out" / "f.bin").unlink()
        server.requests.clear()
        assert_failed(suite, suite.get("f.bin", server, more=["--timeout", "2", "--connections", "1"]))
        assert not server.requests


def test_no_fall_back_to_protocol_1(suite):
    """The client never offers HELLO to a server that closes on HELLO2."""
    first_bytes = []

    class OnlyProtocol1(Server):
        def shake_hands(self, stream):
            first_bytes.append(stream.read(7))
            raise Closed

    with OnlyProtocol1({"f.bin": DATA}) as server:
        assert_failed(suite, suite.get("f.bin", server, more=["--timeout", "2"]))
    assert first_bytes and set(first_bytes) == {b"HELLO2|"}

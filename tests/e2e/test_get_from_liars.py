"""`p2p get` against servers that lie, stall, change their key or speak nonsense.

Whatever the server does: the right file or none, a failing exit status, nothing left in the
folder, and the text names what was wrong.
"""

import hashlib
import os
import struct
import time
from pathlib import Path

import pytest

from p2pwire import keys, msg, protocol1, tree
from p2pwire.handshake import x25519_public
from p2pwire.server import Server
from p2pwire.stream import Closed

CHUNK = 1 << 16
DATA = os.urandom(9 * CHUNK + 777)


def visible(folder):
    """What a user sees in the folder."""
    return sorted(p.name for p in Path(folder).iterdir() if not p.name.startswith(".")) if Path(folder).exists() else []


def assert_fetched(suite, run, data=DATA, name="f.bin"):
    assert run.returncode == 0, run.stderr
    assert (suite.folder / "out" / name).read_bytes() == data
    assert visible(suite.folder / "out") == [name]


def assert_failed(suite, run, *words):
    assert run.returncode != 0, run.stdout + run.stderr
    assert visible(suite.folder / "out") == []
    for word in words:
        assert word.lower() in (run.stderr + run.stdout).lower(), run.stderr


# --- honest servers --------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 16384, 16385, CHUNK, CHUNK + 1, 9 * CHUNK + 777])
@pytest.mark.parametrize("connections", [1, 4])
def test_good(suite, size, connections):
    with Server({"f.bin": DATA[:size]}, chunk_size=CHUNK) as server:
        run = suite.get("f.bin", server, more=["--connections", connections])
        assert_fetched(suite, run, DATA[:size])
        assert not server.failures


@pytest.mark.parametrize("name", ["with space", "bar | bar", "quotes \" '", "emoji 😀.txt", "dollar $(id) `id`", "-dash", "--json", "100%s%n"])
def test_names(suite, name):
    with Server({name: b"content"}) as server:
        run = suite.p2p(
            "get", "--output-dir", suite.folder / "out", "--from", server.where, "--discovery", "http://127.0.0.1:9", "--", name
        )
        assert_fetched(suite, run, b"content", name)


def test_answers_in_any_order(suite):
    class Reversed(Server):
        """Holds back requests while more are on the way, and answers the last one first."""

        def run(self, connection):
            connection.held = []
            super().run(connection)

        def on_get(self, connection, request):
            connection.held.append(request)
            if len(connection.held) == 2 or request.offset + request.length >= len(DATA):
                for held in reversed(connection.held):
                    super().on_get(connection, held)
                connection.held = []

    with Reversed({"f.bin": DATA[: 4 * CHUNK]}, chunk_size=CHUNK) as server:
        run = suite.get("f.bin", server, more=["--connections", "1", "--timeout", "5"])
        assert_fetched(suite, run, DATA[: 4 * CHUNK])


def test_a_server_may_rekey_at_any_time(suite):
    class Rekeying(Server):
        def on_get(self, connection, request):
            connection.send(msg.Rekey())
            super().on_get(connection, request)
            connection.send(msg.Rekey())

    with Rekeying({"f.bin": DATA}, chunk_size=CHUNK) as server:
        assert_fetched(suite, suite.get("f.bin", server))


# --- servers that lie about content ---------------------------------------------------------


class WrongBytes(Server):
    """One bit of one chunk."""

    def bytes_for(self, file, request):
        data = bytearray(super().bytes_for(file, request))
        if request.offset <= 3 * CHUNK < request.offset + request.length:
            data[3 * CHUNK - request.offset] ^= 1
        return bytes(data)


class WrongLayer(Server):
    def layer_for(self, file):
        return [file.layer[0], os.urandom(32), *file.layer[2:]]


class SwappedLayer(Server):
    def layer_for(self, file):
        return [file.layer[1], file.layer[0], *file.layer[2:]]


class ShortLayer(Server):
    """A layer that folds to the root of a smaller file, in a record for this one."""

    def on_layer(self, connection, request):
        connection.send(msg.Layer(request.req, 0, self.by_root[request.root].layer[:-1]))


class LongLayer(Server):
    def layer_for(self, file):
        return [*file.layer, bytes(32)]

    def on_layer(self, connection, request):
        connection.send(msg.Layer(request.req, 0, self.layer_for(self.by_root[request.root])))


class SizeTooLarge(Server):
    """The right root and layer, with a size that is not theirs."""

    def meta_of(self, req, file):
        meta = super().meta_of(req, file)
        meta.size += 1
        return meta

    def bytes_for(self, file, request):
        return (file.data + b"\0")[request.offset : request.offset + request.length]


class SizeTooSmall(Server):
    def meta_of(self, req, file):
        meta = super().meta_of(req, file)
        meta.size -= 700
        return meta


class WrongSha256(Server):
    """The tree is right and the whole-file hash is not: documented to be verified as well."""

    def meta_of(self, req, file):
        meta = super().meta_of(req, file)
        meta.sha256 = os.urandom(32)
        return meta

    def on_hash(self, connection, request):
        connection.send(msg.Hash(request.req, os.urandom(32)))


class ShortData(Server):
    """Says LAST too early."""

    def bytes_for(self, file, request):
        return super().bytes_for(file, request)[:-1] or b"x"


class LongData(Server):
    def bytes_for(self, file, request):
        return super().bytes_for(file, request) + b"x"


class GapInData(Server):
    def on_get(self, connection, request):
        data = self.bytes_for(self.by_root[request.root], request)
        connection.send(msg.Data(request.req, 0, 0, data[:100]))
        connection.send(msg.Data(request.req, msg.LAST, 200, data[100:]))


class OffsetFarAway(Server):
    def on_get(self, connection, request):
        connection.send(msg.Data(request.req, msg.LAST, 2**32 - 1, b"x" * 100))


class AnswersNotAskedFor(Server):
    def on_get(self, connection, request):
        connection.send(msg.Data(request.req + 1000, msg.LAST, 0, b"x" * CHUNK))
        super().on_get(connection, request)


class AnotherFilesBytes(Server):
    def bytes_for(self, file, request):
        return os.urandom(len(super().bytes_for(file, request)))


class ZstdBomb(Server):
    """Bytes that claim to be zstd and are none, though the client may not even have asked."""

    def on_get(self, connection, request):
        connection.send(msg.Data(request.req, msg.LAST | msg.ZSTD, 0, b"\x28\xb5\x2f\xfd" + os.urandom(60)))


class HugeSize(Server):
    """No space is taken by the word of a stranger."""

    def meta_of(self, req, file):
        meta = super().meta_of(req, file)
        meta.size = 2**63
        return meta


class MaximalSize(Server):
    def meta_of(self, req, file):
        meta = super().meta_of(req, file)
        meta.size = 2**64 - 1
        return meta


class ChunkSizeZero(Server):
    def meta_of(self, req, file):
        meta = super().meta_of(req, file)
        meta.chunk_size = 0
        return meta


class ChunkSizeOdd(ChunkSizeZero):
    def meta_of(self, req, file):
        meta = super().meta_of(req, file)
        meta.chunk_size = 65537
        return meta


class ChunkSizeHuge(ChunkSizeZero):
    def meta_of(self, req, file):
        meta = super().meta_of(req, file)
        meta.chunk_size = 2**31
        return meta


class MetaForAnotherRequest(Server):
    def meta_of(self, req, file):
        return super().meta_of(req + 1, file)


class MetaUnderAnotherName(Server):
    """The name asked for is the name written; the server does not choose."""

    def meta_of(self, req, file):
        meta = super().meta_of(req, file)
        meta.name = b"../../evil"
        return meta


class ErrorForEverything(Server):
    def on_get(self, connection, request):
        connection.send(msg.Error(request.req, msg.INTERNAL, b"\x1b[31mred\x1b[0m \xff"))


class NonsenseAfterHandshake(Server):
    def run(self, connection):
        connection.receive()
        connection.send(b"\x7f" + os.urandom(50))
        connection.receive()


class CutRecord(Server):
    def on_get(self, connection, request):
        connection.stream.send(struct.pack(">I", 60000) + bytes(100))
        connection.stream.close()


class RecordTooLong(Server):
    def on_get(self, connection, request):
        connection.stream.send(struct.pack(">I", 0xFFFFFFFF) + bytes(1000))
        time.sleep(1)


class RecordTwice(Server):
    def on_get(self, connection, request):
        data = self.bytes_for(self.by_root[request.root], request)
        frame = connection.shake.s2c.seal(msg.encode(msg.Data(request.req, 0, 0, data[:100])))
        connection.stream.send(frame + frame)
        connection.receive()


LIARS = [
    WrongBytes, WrongLayer, SwappedLayer, ShortLayer, LongLayer, SizeTooLarge, SizeTooSmall, WrongSha256, ShortData, LongData,
    GapInData, OffsetFarAway, AnotherFilesBytes, ZstdBomb, HugeSize, MaximalSize, ChunkSizeZero, ChunkSizeOdd,
    ChunkSizeHuge, MetaForAnotherRequest, ErrorForEverything, NonsenseAfterHandshake, CutRecord, RecordTooLong, RecordTwice,
]  # fmt: skip


@pytest.mark.parametrize("liar", LIARS)
def test_a_liar_alone_gives_nothing(suite, liar):
    with liar({"f.bin": DATA}, chunk_size=CHUNK) as server:
        run = suite.get("f.bin", server, more=["--timeout", "3"])
        assert_failed(suite, run)
        assert "\x1b" not in run.stderr, "escape sequences of a peer reach the terminal"


@pytest.mark.parametrize("liar", [WrongBytes, WrongLayer, SizeTooLarge, AnotherFilesBytes, ErrorForEverything, CutRecord])
def test_a_liar_beside_an_honest_server_costs_nothing_but_time(suite, liar):
    with liar({"f.bin": DATA}, chunk_size=CHUNK) as bad, Server({"f.bin": DATA}, chunk_size=CHUNK) as good:
        assert_fetched(suite, suite.get("f.bin", bad, good, more=["--timeout", "3"]))


def test_wrong_bytes_name_the_peer_and_the_hash(suite):
    with WrongBytes({"f.bin": DATA}, chunk_size=CHUNK) as server:
        run = suite.get("f.bin", server, more=["--timeout", "3"])
        assert_failed(suite, run)
        assert server.where in run.stderr or server.identity.peer_id[:8] in run.stderr


def test_answers_nobody_asked_for_do_no_harm(suite):
    with AnswersNotAskedFor({"f.bin": DATA}, chunk_size=CHUNK) as server:
        run = suite.get("f.bin", server, more=["--timeout", "3"])
        if run.returncode == 0:
            assert_fetched(suite, run)
        else:
            assert_failed(suite, run)


def test_the_server_does_not_choose_the_name(suite):
    with MetaUnderAnotherName({"f.bin": DATA}, chunk_size=CHUNK) as server:
        run = suite.get("f.bin", server, more=["--timeout", "3"])
        if run.returncode == 0:
            assert_fetched(suite, run)
        else:
            assert_failed(suite, run)
        assert not (suite.folder.parent / "evil").exists() and not (suite.folder / "evil").exists()


def test_a_huge_size_takes_no_space(suite):
    with HugeSize({"f.bin": DATA}, chunk_size=CHUNK) as server:
        suite.get("f.bin", server, more=["--timeout", "3"])
        used = sum(p.stat().st_blocks * 512 for p in (suite.folder / "out").rglob("*") if p.is_file())
        assert used < 4 << 20


# --- servers that stall or die ---------------------------------------------------------------


class Stalling(Server):
    """Sends half of the first chunk, and nothing more."""

    def on_get(self, connection, request):
        data = self.bytes_for(self.by_root[request.root], request)
        connection.send(msg.Data(request.req, 0, 0, data[: len(data) // 2]))
        while True:
            connection.receive()


class SilentAfterHandshake(Server):
    def run(self, connection):
        connection.receive()
        time.sleep(20)


class Trickling(Server):
    """A byte now and then, for ever."""

    def on_get(self, connection, request):
        for at in range(200):
            connection.send(msg.Data(request.req, 0, at, b"x"))
            time.sleep(0.3)


class DiesUnderWay(Server):
    """Closes after the third GET, and answers no further connection."""

    gets = 0

    def on_get(self, connection, request):
        self.gets += 1
        if self.gets > 3:
            self.close()
            raise Closed
        super().on_get(connection, request)


@pytest.mark.parametrize("server_class", [Stalling, SilentAfterHandshake, DiesUnderWay])
def test_a_server_that_stops(suite, server_class):
    with server_class({"f.bin": DATA}, chunk_size=CHUNK) as server:
        start = time.monotonic()
        run = suite.get("f.bin", server, more=["--timeout", "2"])
        assert_failed(suite, run)
        assert time.monotonic() - start < 45


@pytest.mark.parametrize("server_class", [Stalling, DiesUnderWay])
def test_the_other_one_goes_on(suite, server_class):
    with server_class({"f.bin": DATA}, chunk_size=CHUNK) as bad, Server({"f.bin": DATA}, chunk_size=CHUNK) as good:
        assert_fetched(suite, suite.get("f.bin", bad, good, more=["--timeout", "2"]))


def test_nobody_there(suite):
    assert_failed(suite, suite.get("f.bin", "127.0.0.1:9", more=["--timeout", "2"]))


def test_a_port_that_accepts_and_says_nothing(suite):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        run = suite.get("f.bin", f"127.0.0.1:{listener.getsockname()[1]}", more=["--timeout", "2"])
        assert_failed(suite, run)


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


def test_a_man_in_the_middle_with_his_own_key(suite):
    """Relays everything, with his own identity on both sides; the registry's or user's id is what stops him."""
    with Server({"f.bin": DATA}, chunk_size=CHUNK) as real, Server({"f.bin": b"evil"}, chunk_size=CHUNK) as middle:
        run = suite.get("f.bin", middle, more=["--peer", real.identity.peer_id, "--timeout", "3"])
        assert_failed(suite, run)


# --- servers whose handshake is wrong -------------------------------------------------------


class HandshakeLiar(Server):
    def shake_hands(self, stream):
        from p2pwire.handshake import M1_LEN, M3_BODY, M5_BODY, ServerHandshake

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
    """A whole and consistent handshake in which only the signature is random."""

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
    """Someone else's public key, an own signature."""

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
    "share of order 8": m2_with(43, bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")),
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
    "M4 empty": m4_changed(lambda f: bytes(4)),
}


@pytest.mark.parametrize("case", HANDSHAKE_LIARS)
def test_handshake_lies(suite, case):
    with HANDSHAKE_LIARS[case]({"f.bin": DATA}, chunk_size=CHUNK) as server:
        run = suite.get("f.bin", server, more=["--timeout", "2", "--connections", "1"])
        assert_failed(suite, run)
        assert not server.requests, "the client spoke to a server that had proven nothing"


def test_m4_of_another_connection(suite):
    """A genuine M4 that was made for somebody else."""

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
    """A server that closes on HELLO2 is never offered HELLO."""
    first_bytes = []

    class OnlyProtocol1(Server):
        def shake_hands(self, stream):
            first_bytes.append(stream.read(7))
            raise Closed

    with OnlyProtocol1({"f.bin": DATA}) as server:
        assert_failed(suite, suite.get("f.bin", server, more=["--timeout", "2"]))
    assert first_bytes and set(first_bytes) == {b"HELLO2|"}


# --- protocol 1, when told to ----------------------------------------------------------------


class Server1(Server):
    """Speaks protocol 1 only."""

    def _serve(self, sock):
        try:
            connection = protocol1.ServerConnection(sock)
            pem = connection.greet_any()
            self.requests.append(pem)
            while True:
                self.answer(connection, connection.receive())
        except (Closed, OSError):
            pass
        except Exception as error:
            self.failures.append(error)
        finally:
            sock.close()

    def answer(self, connection, request):
        verb, _, rest = request.partition(b"|")
        if verb == b"META":
            file = self.files[rest.decode()]
            connection.send(self.meta_text(file))
        elif verb == b"GET":
            name, index = rest.rsplit(b"|", 1)
            connection.send(b"CHUNK|%s|%s" % (index, self.chunk_of(self.files[name.decode()], int(index))))
        else:
            raise Closed

    def meta_text(self, file):
        chunks = -(-len(file.data) // file.chunk_size)
        digest = hashlib.sha256(file.data).hexdigest().encode()
        return b"META|%s|%d|%d|%d|%s" % (file.name.encode(), len(file.data), file.chunk_size, chunks, digest)

    def chunk_of(self, file, index):
        return file.data[index * file.chunk_size : (index + 1) * file.chunk_size]


class WrongBytes1(Server1):
    def chunk_of(self, file, index):
        data = super().chunk_of(file, index)
        return data if index != 2 else b"x" * len(data)


class WrongIndex1(Server1):
    def answer(self, connection, request):
        if request.startswith(b"GET|"):
            connection.send(b"CHUNK|%d|x" % (int(request.rsplit(b"|", 1)[1]) + 1))
        else:
            super().answer(connection, request)


class InconsistentMeta1(Server1):
    def meta_text(self, file):
        return super().meta_text(file).replace(b"|10|", b"|9|")


class SessionKeyOf31Bytes(Server1):
    def _serve(self, sock):
        connection = protocol1.ServerConnection(sock, key=os.urandom(31))
        connection.greet_any()
        time.sleep(1)
        sock.close()


@pytest.mark.parametrize("name", ["f.bin", "with | bar", "emoji 😀"])
@pytest.mark.parametrize("size", [0, 1, CHUNK, 9 * CHUNK + 777])
def test_protocol_1_good(suite, name, size):
    with Server1({name: DATA[:size]}, chunk_size=CHUNK) as server:
        run = suite.get(name, server, more=["--protocol", "1"])
        assert_fetched(suite, run, DATA[:size], name)
        assert not server.failures
        assert "warn" in run.stderr.lower() or "not " in run.stderr.lower(), "protocol 1 proves nothing: a warning is due"


@pytest.mark.parametrize("liar", [WrongBytes1, WrongIndex1, InconsistentMeta1, SessionKeyOf31Bytes])
def test_protocol_1_liars(suite, liar):
    with liar({"f.bin": DATA}, chunk_size=CHUNK) as server:
        assert_failed(suite, suite.get("f.bin", server, more=["--protocol", "1", "--timeout", "2"]))


def test_root_of_the_test_data_is_not_trivial():
    assert tree.root_of(DATA) != tree.root_of(DATA[:-1])

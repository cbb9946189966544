"""`p2p get` against servers that lie about content, stall or speak nonsense.

Whatever the server does: the right file or none, a failing exit status, nothing left in the
folder, and the text names what was wrong.
"""

import os
import socket
import struct
import time

import pytest

from getting import CHUNK, DATA, assert_failed, assert_fetched
from p2pwire import msg
from p2pwire.server import Server
from p2pwire.stream import Closed

# --- honest servers --------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 16384, 16385, CHUNK, CHUNK + 1, 9 * CHUNK + 777])
@pytest.mark.parametrize("connections", [1, 4])
def test_good(suite, size, connections):
    with Server({"f.bin": DATA[:size]}, chunk_size=CHUNK) as server:
        run = suite.get("f.bin", server, more=["--connections", connections])
        assert_fetched(suite, run, DATA[:size])
        assert not server.failures


@pytest.mark.parametrize(
    "name",
    [
        "with space",
        "bar | bar",
        "quotes \" '",
        "emoji 😀.txt",
        "dollar $(id) `id`",
        "-dash",
        "--json",
        "100%s%n",
    ],
)
def test_names(suite, name):
    with Server({name: b"content"}) as server:
        run = suite.p2p(
            "get",
            "--output-dir",
            suite.folder / "out",
            "--from",
            server.where,
            "--discovery",
            "http://127.0.0.1:9",
            "--",
            name,
        )
        assert_fetched(suite, run, b"content", name)


def test_answers_in_any_order(suite):
    class Reversed(Server):
        """Holds requests back while more are coming, and answers the last one first."""

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
    """One bit of one chunk is wrong."""

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
    """A layer that folds to the root of a smaller file, in a record of this file."""

    def on_layer(self, connection, request):
        connection.send(msg.Layer(request.req, 0, self.by_root[request.root].layer[:-1]))


class LongLayer(Server):
    def layer_for(self, file):
        return [*file.layer, bytes(32)]

    def on_layer(self, connection, request):
        connection.send(msg.Layer(request.req, 0, self.layer_for(self.by_root[request.root])))


class SizeTooLarge(Server):
    """The right root and layer, with a wrong size."""

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
    """The tree is right and the whole-file hash is wrong; the documentation says that it is verified, too."""

    def meta_of(self, req, file):
        meta = super().meta_of(req, file)
        meta.sha256 = os.urandom(32)
        return meta

    def on_hash(self, connection, request):
        connection.send(msg.Hash(request.req, os.urandom(32)))


class ShortData(Server):
    """Sets LAST too early."""

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
    """Bytes that are marked as zstd and are not, although the client may not even have offered it."""

    def on_get(self, connection, request):
        connection.send(msg.Data(request.req, msg.LAST | msg.ZSTD, 0, b"\x28\xb5\x2f\xfd" + os.urandom(60)))


class HugeSize(Server):
    """The claim of an unknown peer reserves no space."""

    def meta_of(self, req, file):
        meta = super().meta_of(req, file)
        meta.size = 2**63
        return meta


class MaximalSize(Server):
    def meta_of(self, req, file):
        meta = super().meta_of(req, file)
        meta.size = 2**64 - 1
        return meta


class VastSize(Server):
    """An allowed size, whose layer alone would be two tebibytes."""

    def meta_of(self, req, file):
        meta = super().meta_of(req, file)
        meta.size, meta.chunk_size = 2**50, 1 << 14
        return meta

    def on_layer(self, connection, request):
        connection.send(msg.Layer(request.req, 1, [bytes(32)]))


class PingFlood(Server):
    """Answers a request with endless PINGs."""

    def on_meta(self, connection, request):
        while True:
            connection.send(msg.Ping(7))

    on_list = on_meta


class LayerTrickle(Server):
    """Sends a hash of the layer from time to time: each one is in time, but the layer is not."""

    def on_layer(self, connection, request):
        for at, digest in enumerate(self.layer_for(self.by_root[request.root])):
            connection.send(msg.Layer(request.req, request.first + at, [digest]))
            time.sleep(0.4)


class EndlessList(Server):
    """Pages without an entry, each with another cursor."""

    pages = 0

    def on_list(self, connection, request):
        self.pages += 1
        connection.send(msg.List(request.req, [], b"page %d" % self.pages))


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
    """The file gets the requested name; the server does not choose it."""

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
    WrongBytes, WrongLayer, SwappedLayer, LongLayer, SizeTooLarge, SizeTooSmall, WrongSha256, ShortData, LongData,
    GapInData, OffsetFarAway, AnotherFilesBytes, ZstdBomb, HugeSize, MaximalSize, VastSize, ChunkSizeZero, ChunkSizeOdd,
    ChunkSizeHuge, MetaForAnotherRequest, ErrorForEverything, NonsenseAfterHandshake, CutRecord, RecordTooLong, RecordTwice,
]  # fmt: skip


@pytest.mark.parametrize("liar", LIARS)
def test_a_liar_alone_gives_nothing(suite, liar):
    with liar({"f.bin": DATA}, chunk_size=CHUNK) as server:
        run = suite.get("f.bin", server, more=["--timeout", "3"])
        assert_failed(suite, run)
        assert "\x1b" not in run.stderr, "escape sequences of a peer reach the terminal"


@pytest.mark.parametrize(
    "liar",
    [WrongBytes, WrongLayer, SizeTooLarge, VastSize, PingFlood, AnotherFilesBytes, ErrorForEverything, CutRecord],
)
def test_a_liar_beside_an_honest_server_costs_nothing_but_time(suite, liar):
    with liar({"f.bin": DATA}, chunk_size=CHUNK) as bad, Server({"f.bin": DATA}, chunk_size=CHUNK) as good:
        assert_fetched(suite, suite.get("f.bin", bad, good, more=["--timeout", "3"]))


@pytest.mark.parametrize("liar", [ShortLayer, LayerTrickle])
def test_a_layer_that_is_never_whole_is_given_up(suite, liar):
    with liar({"f.bin": DATA}, chunk_size=CHUNK) as server:
        assert_failed(suite, suite.get("f.bin", server, more=["--timeout", "1"]))


@pytest.mark.parametrize("liar", [PingFlood, EndlessList])
def test_a_list_that_does_not_end(suite, liar):
    with liar({"f.bin": DATA}, chunk_size=CHUNK) as server:
        assert suite.p2p("ls", server.where, "--timeout", "2", timeout=20).returncode != 0


class MetaOfAnotherRoot(Server):
    """Has the name, and sends other bytes under the requested root."""

    def find(self, request):
        return self.files["f.bin"]


def test_the_root_asked_for_is_the_root_fetched(suite):
    with MetaOfAnotherRoot({"f.bin": DATA}, chunk_size=CHUNK) as server:
        run = suite.get("f.bin", server, more=["--root", "ab" * 32, "--timeout", "3"])
        assert_failed(suite, run)


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
    """Sends a byte from time to time, forever."""

    def on_get(self, connection, request):
        for at in range(200):
            connection.send(msg.Data(request.req, 0, at, b"x"))
            time.sleep(0.3)


class DiesUnderWay(Server):
    """Closes after the third GET, and answers no other connection."""

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
        run = suite.get("f.bin", server, more=["--timeout", "1"])
        assert_failed(suite, run)
        assert time.monotonic() - start < 45


@pytest.mark.parametrize("server_class", [Stalling, DiesUnderWay])
def test_the_other_one_goes_on(suite, server_class):
    with server_class({"f.bin": DATA}, chunk_size=CHUNK) as bad, Server(
        {"f.bin": DATA}, chunk_size=CHUNK
    ) as good:
        assert_fetched(suite, suite.get("f.bin", bad, good, more=["--timeout", "2"]))


def test_nobody_there(suite):
    assert_failed(suite, suite.get("f.bin", "127.0.0.1:9", more=["--timeout", "1"]))


def test_a_port_that_accepts_and_says_nothing(suite):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        run = suite.get("f.bin", f"127.0.0.1:{listener.getsockname()[1]}", more=["--timeout", "1"])
        assert_failed(suite, run)

"""`p2p get --protocol 1` with servers of the documentation, honest and dishonest ones."""

import hashlib
import os
import time

import pytest

from getting import CHUNK, DATA, Getter, assert_failed, assert_fetched
from p2pwire import protocol1
from p2pwire.server import Server
from p2pwire.stream import Closed


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


class ShortKey1(Server1):
    """Makes keys for AES-128, as other programs of this protocol do."""

    def _serve(self, sock):
        try:
            protocol1.ServerConnection(sock, key=os.urandom(16)).greet_any()
            sock.recv(1)
        except (Closed, OSError):
            pass
        finally:
            sock.close()


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
        assert (
            "warn" in run.stderr.lower() or "not " in run.stderr.lower()
        ), "protocol 1 proves nothing: a warning is due"


@pytest.mark.parametrize("liar", [WrongBytes1, WrongIndex1, InconsistentMeta1, SessionKeyOf31Bytes])
def test_protocol_1_liars(suite, liar):
    with liar({"f.bin": DATA}, chunk_size=CHUNK) as server:
        assert_failed(suite, suite.get("f.bin", server, more=["--protocol", "1", "--timeout", "2"]))


class Slow1(Server1):
    def answer(self, connection, request):
        time.sleep(0.1)
        super().answer(connection, request)


def test_protocol_1_interrupted_begins_again(suite):
    """Without a tree, parts cannot be checked: it says so, and in the end the file is right and alone."""
    with Slow1({"f.bin": DATA}, chunk_size=CHUNK) as server:
        getter = Getter(suite, "--protocol", "1", "--from", server.where)
        getter.wait_for(3 * CHUNK)
        getter.process.kill()
        assert "starts from the beginning" in getter.process.communicate()[1]
        part = next((suite.folder / "out" / ".p2p").glob("*.part"))
        part.write_bytes(bytes(len(DATA)))  # as if the received bytes were wrong
        assert_fetched(suite, suite.get("f.bin", server, more=["--protocol", "1"]))
    assert list((suite.folder / "out" / ".p2p").iterdir()) == []


def test_no_protocol_1_with_a_peer_that_has_spoken_protocol_2(suite):
    """Any program could answer at its address: the client does not even send HELLO."""
    with Server({"f.bin": DATA}, chunk_size=CHUNK) as real:
        assert_fetched(suite, suite.get("f.bin", real))
        port = real.address[1]
    (suite.folder / "out" / "f.bin").unlink()
    with Server1({"f.bin": b"another"}, chunk_size=CHUNK, port=port) as impostor:
        for where in (impostor.where, f"localhost:{port}"):  # under another name, too
            run = suite.get("f.bin", where, more=["--protocol", "1", "--timeout", "2"])
            assert_failed(suite, run, "protocol 1 is refused")
        assert not impostor.requests


def test_a_key_for_aes_128_is_refused_with_that_reason(suite):
    with ShortKey1({"f.bin": DATA}, chunk_size=CHUNK) as server:
        run = suite.get("f.bin", server, more=["--protocol", "1"])
    assert run.returncode == 7 and "session key for AES-128; only AES-256" in run.stderr, run

"""Protocol 1, both roles: a client of the documentation, and a server for `p2p get --protocol 1`."""

import base64
import os

from .keys import Identity, oaep_encrypt, peer_id_of_pem
from .record import open_frame, seal
from .stream import Stream


HELLO_LEN = 6 + 64 + 1 + 451


class Refused(Exception):
    """ERROR|<text>."""


def hello(identity, peer_id=None, pem=None):
    return b"HELLO|" + (peer_id or identity.peer_id).encode() + b"|" + (pem or identity.pem)


def session(spki, key, seed=None):
    return b"SESSION|" + oaep_encrypt(spki, key, b"", seed)


class Client:
    def __init__(self, address, identity=None, timeout=10.0, piece=None):
        self.identity = identity or Identity()
        self.stream = Stream.connect(address, timeout)
        self.piece = piece
        self.stream.send(hello(self.identity), piece)
        self.key = self._read_session()

    def _read_session(self):
        answer = self.stream.read(8 + 256)
        assert answer[:8] == b"SESSION|", answer[:8]
        key = self.identity.oaep_decrypt(answer[8:])
        assert len(key) == 32
        return key

    def send(self, plaintext, nonce=None):
        self.stream.send(seal(self.key, plaintext, None, nonce), self.piece)

    def receive(self):
        return open_frame(self.key, self.stream.read_frame())

    def ask(self, plaintext):
        self.send(plaintext)
        answer = self.receive()
        if answer.startswith(b"ERROR|"):
            raise Refused(answer[6:].decode())
        return answer

    def meta(self, name):
        """(size, chunk size, chunks, sha256 hex)."""
        answer = self.ask(b"META|" + name.encode())
        head, size, chunk_size, chunks, sha256 = answer.rsplit(b"|", 4)
        assert head == b"META|" + name.encode(), head
        return int(size), int(chunk_size), int(chunks), sha256.decode()

    def chunk(self, name, index):
        return self.read_chunk(self.ask(b"GET|%s|%d" % (name.encode(), index)), index)

    @staticmethod
    def read_chunk(answer, index):
        head, got, data = answer.split(b"|", 2)
        assert (head, int(got)) == (b"CHUNK", index), answer[:30]
        return data

    def fetch(self, name):
        chunks = self.meta(name)[2]
        return b"".join(self.chunk(name, i) for i in range(chunks))

    def close(self):
        self.stream.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class ServerConnection:
    """The server's side of one accepted socket."""

    def __init__(self, sock, key=None):
        self.stream = Stream(sock)
        self.key = key or os.urandom(32)

    def greet_any(self):
        """Reads a HELLO, answers with a SESSION for its key, and returns the PEM."""
        text = self.stream.read(HELLO_LEN)
        pem = text[6 + 64 + 1 :]
        assert text == b"HELLO|" + peer_id_of_pem(pem).encode() + b"|" + pem
        body = b"".join(pem.splitlines()[1:-1])
        self.stream.send(session(base64.b64decode(body), self.key))
        return pem

    def send(self, plaintext):
        self.stream.send(seal(self.key, plaintext))

    def receive(self):
        return open_frame(self.key, self.stream.read_frame())

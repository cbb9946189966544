"""A client's handshake step by step, each message open to change before it goes out."""

from .handshake import ClientHandshake
from .record import aad, seal
from .stream import Stream


class Attempt:
    def __init__(self, peer, identity, rand=None):
        self.stream = Stream.connect(peer.address)
        self.shake = ClientHandshake(identity, rand=rand)

    def hello(self, **m1):
        """M1 and M2."""
        self.stream.send(self.shake.make_m1(**m1))
        self.shake.read_m2(self.stream.read(75))
        return self

    def proof(self):
        """M3 and M4."""
        self.stream.send(self.shake.make_m3())
        self.shake.read_m4(self.stream.read_frame(limit=835))
        return self

    def ready(self):
        self.stream.send(self.shake.make_m5())
        return self

    def send(self, data):
        self.stream.send(data)
        return self

    def refused(self):
        """Closed, without a byte."""
        self.stream.expect_close()
        self.stream.close()

    def m3_of(self, plaintext, sender=b"C", epoch=0, seq=0, key=None, nonce=None):
        return seal(key or self.shake.hs.c2s, plaintext, aad(sender, epoch, seq), nonce)

    def m3_plaintext(self):
        self.shake.make_m3()
        return b"\x03" + self.shake.spki_c + self.shake.sig_c

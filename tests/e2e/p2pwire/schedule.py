"""Transcript hashes and the key schedule of protocol 2."""

import hmac

from .keys import sha256

PROTO = b"p2p/2 suite 01\x00"


def hkdf_extract(salt, ikm):
    return hmac.digest(salt, ikm, "sha256")


def hkdf_expand(secret, info, length=32):
    """RFC 5869; one block is all this protocol asks for."""
    assert length <= 32
    return hmac.digest(secret, info + b"\x01", "sha256")[:length]


def client_signature_text(m1, m2, spki_c):
    return b" " * 64 + b"p2p/2 client signature\x00" + sha256(PROTO, m1, m2, spki_c)


def server_signature_text(m1, m2, spki_c, sig_c, spki_s, oaep):
    transcript = sha256(PROTO, m1, m2, spki_c, sig_c, spki_s, oaep)
    return b" " * 64 + b"p2p/2 server signature\x00" + transcript


def oaep_label(m1, m2, spki_c, sig_c, spki_s):
    return b"p2p/2 session key\x00" + sha256(PROTO, m1, m2, spki_c, sig_c, spki_s)


class HandshakeKeys:
    def __init__(self, m1, m2, dh):
        self.th2 = sha256(PROTO, m1, m2)
        self.hs = hkdf_extract(self.th2, dh)
        self.c2s = hkdf_expand(self.hs, b"p2p/2 hs c2s\x00" + self.th2)
        self.s2c = hkdf_expand(self.hs, b"p2p/2 hs s2c\x00" + self.th2)


class ApplicationSecrets:
    """The first epoch's secret of each direction."""

    def __init__(self, m1, m2, spki_c, sig_c, spki_s, oaep, sig_s, dh, k):
        self.thf = sha256(PROTO, m1, m2, spki_c, sig_c, spki_s, oaep, sig_s)
        self.ms = hkdf_extract(self.thf, dh + k)
        self.c2s = hkdf_expand(self.ms, b"p2p/2 app c2s\x00" + self.thf)
        self.s2c = hkdf_expand(self.ms, b"p2p/2 app s2c\x00" + self.thf)


def epoch_key(secret):
    return hkdf_expand(secret, b"p2p/2 key\x00")


def next_epoch(secret):
    return hkdf_expand(secret, b"p2p/2 rekey\x00")

"""M1 to M5 of protocol 2, without sockets. All randomness can be given, for known answers."""

import os
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from . import schedule
from .keys import Identity, modulus_of_spki, oaep_encrypt, peer_id_of_spki, pss_verify
from .record import READY, Direction, aad, open_frame, seal

MAGIC = b"HELLO2|"
M1_LEN = M2_LEN = 75
M3_BODY, M4_BODY, M5_BODY = 579, 835, 29


class HandshakeError(Exception):
    pass


def check(condition, text):
    if not condition:
        raise HandshakeError(text)


@dataclass
class Randomness:
    """Everything a role draws: the fields in the order in which they are used."""

    ephemeral: bytes = field(default_factory=lambda: os.urandom(32))
    random: bytes = field(default_factory=lambda: os.urandom(32))
    k: bytes = field(default_factory=lambda: os.urandom(32))  # server only
    oaep_seed: bytes = field(default_factory=lambda: os.urandom(32))  # server only
    pss_salt: bytes = field(default_factory=lambda: os.urandom(32))
    hs_nonce: bytes = field(default_factory=lambda: os.urandom(12))
    ready_nonce: bytes = field(default_factory=lambda: os.urandom(12))  # client only


def x25519_public(private):
    key = X25519PrivateKey.from_private_bytes(private).public_key()
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def x25519(private, public):
    try:
        key = X25519PrivateKey.from_private_bytes(private)
        shared = key.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError as error:
        raise HandshakeError("X25519 result is zero") from error
    check(any(shared), "X25519 result is zero")
    return shared


def open_handshake_frame(key, body, sender, expected_type, expected_len):
    check(len(body) == expected_len, f"frame of {len(body)} bytes, not {expected_len}")
    try:
        plaintext = open_frame(key, body, aad(sender, 0, 0))
    except Exception as error:
        raise HandshakeError("frame does not open") from error
    check(plaintext[0] == expected_type, f"type {plaintext[0]}, not {expected_type}")
    return plaintext[1:]


def check_spki(spki, own):
    try:
        modulus_of_spki(spki)
    except ValueError as error:
        raise HandshakeError(str(error)) from error
    check(spki != own, "the other side has our own key")


class _Role:
    """What both roles know; filled during the handshake and read by tests."""

    def __init__(self, identity: Identity, rand: Randomness | None = None):
        self.identity, self.rand = identity, rand or Randomness()
        self.m1 = self.m2 = b""
        self.dh = self.k = b""
        self.spki_c = self.spki_s = self.sig_c = self.sig_s = self.oaep = b""

    def derive_handshake_keys(self, their_public):
        self.dh = x25519(self.rand.ephemeral, their_public)
        self.hs = schedule.HandshakeKeys(self.m1, self.m2, self.dh)

    def derive_application_secrets(self):
        self.app = schedule.ApplicationSecrets(
            self.m1, self.m2, self.spki_c, self.sig_c, self.spki_s, self.oaep, self.sig_s,
            self.dh, self.k,
        )  # fmt: skip
        self.c2s = Direction(b"C", self.app.c2s)
        self.s2c = Direction(b"S", self.app.s2c)

    def text_for_sig_c(self):
        return schedule.client_signature_text(self.m1, self.m2, self.spki_c)

    def text_for_sig_s(self):
        return schedule.server_signature_text(
            self.m1, self.m2, self.spki_c, self.sig_c, self.spki_s, self.oaep
        )

    def label(self):
        return schedule.oaep_label(self.m1, self.m2, self.spki_c, self.sig_c, self.spki_s)


class ClientHandshake(_Role):
    def __init__(self, identity, expected_id=None, rand=None):
        super().__init__(identity, rand)
        self.expected_id = expected_id

    def make_m1(self, ver_max=2, ver_min=2, suites=1, flags=0):
        share = x25519_public(self.rand.ephemeral)
        self.m1 = MAGIC + bytes([ver_max, ver_min, suites, flags]) + self.rand.random + share
        return self.m1

    def read_m2(self, m2):
        check(len(m2) == M2_LEN and m2[:7] == MAGIC, "M2 has no magic")
        version, suite, suites_s, flags = m2[7:11]
        check(version == 2 and suite == 1 and suites_s & 1 and flags == 0, "M2 was not offered")
        check(m2[43:] != self.m1[43:], "M2 repeats our own share")
        self.m2 = m2
        self.derive_handshake_keys(m2[43:])

    def make_m3(self):
        self.spki_c = self.identity.spki
        self.sig_c = self.identity.sign(self.text_for_sig_c(), self.rand.pss_salt)
        plaintext = b"\x03" + self.spki_c + self.sig_c
        return seal(self.hs.c2s, plaintext, aad(b"C", 0, 0), self.rand.hs_nonce)

    def read_m4(self, body):
        plain = open_handshake_frame(self.hs.s2c, body, b"S", 4, M4_BODY)
        self.spki_s, self.oaep, self.sig_s = plain[:294], plain[294:550], plain[550:]
        check_spki(self.spki_s, self.identity.spki)
        self.server_id = peer_id_of_spki(self.spki_s)
        check(self.expected_id in (None, self.server_id), "not the expected peer")
        check(pss_verify(self.spki_s, self.text_for_sig_s(), self.sig_s), "SIG_S is wrong")
        try:
            self.k = self.identity.oaep_decrypt(self.oaep, self.label())
        except ValueError as error:
            raise HandshakeError(str(error)) from error
        check(len(self.k) == 32, "k is not 32 bytes")
        self.derive_application_secrets()

    def make_m5(self):
        return self.c2s.seal(bytes([READY]), self.rand.ready_nonce)


class ServerHandshake(_Role):
    def read_m1(self, m1):
        check(len(m1) == M1_LEN and m1[:7] == MAGIC, "M1 has no magic")
        ver_max, ver_min, suites, flags = m1[7:11]
        check(ver_min <= 2 <= ver_max and suites & 1 and flags == 0, "nothing in common")
        self.m1 = m1

    def make_m2(self, version=2, suite=1, suites=1, flags=0):
        share = x25519_public(self.rand.ephemeral)
        self.m2 = MAGIC + bytes([version, suite, suites, flags]) + self.rand.random + share
        self.derive_handshake_keys(self.m1[43:])
        return self.m2

    def read_m3(self, body):
        plain = open_handshake_frame(self.hs.c2s, body, b"C", 3, M3_BODY)
        self.spki_c, self.sig_c = plain[:294], plain[294:]
        check_spki(self.spki_c, self.identity.spki)
        check(pss_verify(self.spki_c, self.text_for_sig_c(), self.sig_c), "SIG_C is wrong")
        self.client_id = peer_id_of_spki(self.spki_c)

    def make_m4(self):
        self.spki_s, self.k = self.identity.spki, self.rand.k
        self.oaep = oaep_encrypt(self.spki_c, self.k, self.label(), self.rand.oaep_seed)
        self.sig_s = self.identity.sign(self.text_for_sig_s(), self.rand.pss_salt)
        plaintext = b"\x04" + self.spki_s + self.oaep + self.sig_s
        self.derive_application_secrets()
        return seal(self.hs.s2c, plaintext, aad(b"S", 0, 0), self.rand.hs_nonce)

    def read_m5(self, body):
        check(len(body) == M5_BODY, "M5 has the wrong length")
        try:
            plaintext = self.c2s.open(body)
        except Exception as error:
            raise HandshakeError("M5 does not open") from error
        check(plaintext == bytes([READY]), "not READY")

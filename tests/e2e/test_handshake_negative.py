"""Handshakes and records that must fail at p2p-peer (docs/PROTOCOL.md, Handshake and Records).

Before READY every failure looks the same: the connection is closed, no bytes, nothing served.
"""

import os
import struct

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives import hashes, serialization

from p2pwire import keys, msg, record, schedule
from p2pwire.handshake import ClientHandshake, Randomness
from p2pwire.record import aad, seal
from p2pwire.stream import Closed
from unshaken_peer import attempt, identity, peer, still_serving  # noqa: F401 (fixtures)

LOW_ORDER = [
    "00" * 32,
    "01" + "00" * 31,
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ec" + "ff" * 30 + "7f",
    "ed" + "ff" * 30 + "7f",
    "ee" + "ff" * 30 + "7f",
]


def test_the_steps_do_work(attempt):
    """Guards the tests below: without a change, the same steps end in an answer."""
    one = attempt().hello().proof().ready()
    one.send(one.shake.c2s.seal(msg.encode(msg.Ping(3))))
    assert msg.decode(one.shake.s2c.open(one.stream.read_frame())).token == 3


# --- M1 --------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", [dict(ver_max=1), dict(ver_max=0, ver_min=0), dict(ver_min=3, ver_max=3), dict(ver_min=3), dict(ver_min=255, ver_max=255),
                                    dict(suites=0), dict(suites=2), dict(suites=0xFE), dict(flags=1), dict(flags=0x80)], ids=str)  # fmt: skip
def test_m1_offers_with_nothing_in_common(attempt, change):
    one = attempt()
    one.send(one.shake.make_m1(**change)).refused()


@pytest.mark.parametrize(
    "change", [dict(ver_max=3), dict(ver_max=255, ver_min=0), dict(ver_min=1), dict(suites=0xFF)], ids=str
)
def test_m1_offers_that_include_ours(attempt, change):
    """A later client that also offers this version gets version 2 and suite 1, and it works."""
    one = attempt().hello(**change).proof().ready()
    assert one.shake.m2[7:9] == b"\x02\x01"
    one.send(one.shake.c2s.seal(msg.encode(msg.Ping(3))))
    assert msg.decode(one.shake.s2c.open(one.stream.read_frame())).token == 3


@pytest.mark.parametrize("point", LOW_ORDER)
def test_m1_low_order_points(attempt, point):
    """M2 would do no harm, but M3 under the all-zero secret must be refused."""
    one = attempt()
    m1 = one.shake.make_m1()[:43] + bytes.fromhex(point)
    one.shake.m1 = m1
    one.send(m1)
    try:
        m2 = one.stream.read(75)
    except Closed:
        return
    one.shake.m2 = m2
    one.shake.dh = bytes(32)
    one.shake.hs = schedule.HandshakeKeys(m1, m2, bytes(32))
    one.send(one.shake.make_m3()).refused()


@pytest.mark.parametrize("cut", [7, 8, 11, 43, 74])
def test_m1_cut(attempt, cut):
    one = attempt()
    one.send(one.shake.make_m1()[:cut])
    one.stream.half_close()
    one.refused()


def test_m1_again_in_the_place_of_m3(attempt):
    one = attempt().hello()
    one.send(one.shake.m1 * 8).refused()  # more bytes than M3 has, so the server does not wait


# --- M3 --------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 1, 28, 578, 580, 835, 65628, 0x7FFFFFFF, 0xFFFFFFFF])
def test_m3_length(peer, attempt, length):
    one = attempt().hello()
    before = peer.memory_kib()
    one.send(struct.pack(">I", length) + one.shake.make_m3()[4:]).refused()
    assert peer.memory_kib() - before < 4096


def test_m3_cut(attempt):
    one = attempt().hello()
    one.send(one.shake.make_m3()[:-1])
    one.stream.half_close()
    one.refused()


@pytest.mark.parametrize("kind", [0, 1, 2, 4, 5, 6, 7, 0x10, 255])
def test_m3_type(attempt, kind):
    one = attempt().hello()
    one.send(one.m3_of(bytes([kind]) + one.m3_plaintext()[1:])).refused()


@pytest.mark.parametrize(
    "case", [dict(sender=b"S"), dict(sender=b"c"), dict(epoch=1), dict(seq=1), dict(key=bytes(32))], ids=str
)
def test_m3_sealed_for_another_place(attempt, case):
    one = attempt().hello()
    one.send(one.m3_of(one.m3_plaintext(), **case)).refused()


def test_m3_under_the_other_directions_key(attempt):
    one = attempt().hello()
    one.send(one.m3_of(one.m3_plaintext(), key=one.shake.hs.s2c)).refused()


def test_m3_signature_wrong(attempt):
    one = attempt().hello()
    plaintext = bytearray(one.m3_plaintext())
    plaintext[-1] ^= 1
    one.send(one.m3_of(bytes(plaintext))).refused()


@pytest.mark.parametrize(
    "signature", [bytes(256), b"\xff" * 256, bytes(255) + b"\x01"], ids=["zero", "above n", "one"]
)
def test_m3_signature_degenerate(attempt, signature):
    one = attempt().hello()
    one.send(one.m3_of(one.m3_plaintext()[:295] + signature)).refused()


def test_m3_key_swapped(attempt):
    """The signature is right, under another key than the one shown."""
    one = attempt().hello()
    one.send(one.m3_of(b"\x03" + keys.Identity().spki + one.m3_plaintext()[295:])).refused()


def signed_texts(shake):
    """Data that a careless server might accept as the client's signature."""
    text = shake.text_for_sig_c()
    bare = keys.sha256(schedule.PROTO, shake.m1, shake.m2, shake.spki_c)
    other_m1 = shake.m1[:7] + b"\x03" + shake.m1[8:]
    other_m2 = shake.m2[:9] + b"\x03" + shake.m2[10:]
    return {
        "server's role": text.replace(b"client", b"server"),
        "no prefix": text[64:],
        "the hash alone": bare,
        "other key in the transcript": schedule.client_signature_text(
            shake.m1, shake.m2, keys.Identity().spki
        ),
        "no key in the transcript": schedule.client_signature_text(shake.m1, shake.m2, b""),
        "other version offered": schedule.client_signature_text(other_m1, shake.m2, shake.spki_c),
        "other suites of the server": schedule.client_signature_text(shake.m1, other_m2, shake.spki_c),
        "other product": text.replace(b"p2p/2", b"p2p/3"),
    }


@pytest.mark.parametrize("case", signed_texts(ClientHandshake(keys.Identity())))
def test_m3_signature_over_something_else(attempt, identity, case):
    one = attempt().hello()
    one.shake.spki_c = identity.spki
    signature = identity.sign(signed_texts(one.shake)[case])
    one.send(one.m3_of(b"\x03" + identity.spki + signature)).refused()


@pytest.mark.parametrize("salt", [b"", bytes(20), bytes(31), bytes(33), bytes(64)], ids=len)
def test_m3_pss_salt_of_another_length(attempt, identity, salt):
    one = attempt().hello()
    one.shake.spki_c = identity.spki
    block = keys.pss_encode(one.shake.text_for_sig_c(), salt)
    one.send(one.m3_of(b"\x03" + identity.spki + identity.raw(block))).refused()


def test_m3_pkcs1_signature(attempt, identity):
    one = attempt().hello()
    one.shake.spki_c = identity.spki
    signature = identity.key.sign(one.shake.text_for_sig_c(), padding.PKCS1v15(), hashes.SHA256())
    one.send(one.m3_of(b"\x03" + identity.spki + signature)).refused()


def test_m3_of_another_connection(peer, attempt, identity):
    """Our side uses the same ephemeral key and randoms again: only the server's fresh values stop the replay."""
    rand = Randomness()
    first = attempt(rand).hello()
    m3 = first.shake.make_m3()
    first.send(m3)
    first.shake.read_m4(first.stream.read_frame())
    attempt(rand).hello().send(m3).refused()


def test_m3_signature_of_another_connection(attempt, identity):
    old = attempt().hello().m3_plaintext()
    one = attempt().hello()
    one.send(one.m3_of(old)).refused()


def test_m3_twice(attempt):
    one = attempt().hello()
    m3 = one.shake.make_m3()
    one.send(m3)
    one.shake.read_m4(one.stream.read_frame())
    one.send(m3).refused()


def test_the_servers_own_key(peer, attempt):
    """A client cannot use the server's own key, even with the private key from its folder."""
    files = [p for p in peer.keys.glob("*.pem") if b"PRIVATE KEY" in p.read_bytes()]
    own = keys.Identity.load(files[0])
    one = attempt(who=own).hello()
    one.send(one.shake.make_m3()).refused()


# --- keys of other kinds ---------------------------------------------------------------------


class OddKey:
    """Another key in the place of SPKI_C, with the best possible signature."""

    def __init__(self, private, spki=None):
        self.private = private
        der = private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.spki = (spki or der)[:294].ljust(294, b"\0")

    def sign(self, message, salt=None):
        if isinstance(self.private, rsa.RSAPrivateKey):
            pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
            return self.private.sign(message, pss, hashes.SHA256())[:256].rjust(256, b"\0")
        return bytes(256)


def odd_spki(n=None, suffix=keys.SPKI_SUFFIX):
    good = keys.Identity()
    modulus = n(good.numbers.public_numbers.n) if n else good.numbers.public_numbers.n
    return OddKey(good.key, keys.SPKI_PREFIX + modulus.to_bytes(256, "big") + suffix)


ODD_KEYS = {
    "1024 bits": lambda: OddKey(rsa.generate_private_key(65537, 1024)),
    "3072 bits": lambda: OddKey(rsa.generate_private_key(65537, 3072)),
    "4096 bits": lambda: OddKey(rsa.generate_private_key(65537, 4096)),
    "e = 3": lambda: OddKey(rsa.generate_private_key(3, 2048)),
    "elliptic curve": lambda: OddKey(ec.generate_private_key(ec.SECP256R1())),
    "e = 65539": lambda: odd_spki(suffix=bytes.fromhex("0203010003")),
    "even modulus": lambda: odd_spki(n=lambda n: n - 1),
    "2047 bits": lambda: odd_spki(n=lambda n: n >> 1 | 1),
    "divisible by 65521": lambda: odd_spki(n=lambda n: (n // (2 * 65521)) * 2 * 65521 + 65521),
    "modulus zero": lambda: odd_spki(n=lambda n: 0),
    "all ones": lambda: odd_spki(n=lambda n: 2**2048 - 1),
    "empty": lambda: OddKey(keys.Identity().key, bytes(294)),
}


@pytest.mark.parametrize("case", ODD_KEYS)
def test_odd_client_keys(attempt, case):
    one = attempt(who=ODD_KEYS[case]()).hello()
    one.send(one.shake.make_m3()).refused()


def test_a_real_key_with_a_small_factor(attempt):
    """Valid signatures do not help a modulus that has a factor below 2^16."""
    one = attempt(who=weak_identity()).hello()
    one.send(one.shake.make_m3()).refused()


def weak_identity():
    """n = 65521 q: the private operation works, so every check except that of the factor passes."""
    return WeakIdentity(65521, rsa.generate_private_key(65537, 4064).private_numbers().p)


class WeakIdentity:
    def __init__(self, p, q):
        self.n, self.d = p * q, pow(65537, -1, (p - 1) * (q - 1))
        self.spki = keys.spki_of_modulus(self.n)

    def sign(self, message, salt=None):
        block = int.from_bytes(keys.pss_encode(message, os.urandom(32)), "big")
        return pow(block, self.d, self.n).to_bytes(256, "big")


def test_weak_identity_does_sign():
    weak = weak_identity()
    signature = int.from_bytes(weak.sign(b"text"), "big")
    assert pow(signature, 65537, weak.n).to_bytes(256, "big").endswith(b"\xbc")


# --- M5 and what follows ---------------------------------------------------------------------


def test_nothing_is_served_before_m5(attempt):
    """A request instead of READY."""
    one = attempt().hello().proof()
    one.send(one.shake.c2s.seal(msg.encode(msg.MetaRequest(1, 0, b"f")))).refused()


def test_m5_missing_and_the_request_numbered_as_if_it_had_been_sent(attempt):
    one = attempt().hello().proof()
    one.shake.make_m5()
    one.send(one.shake.c2s.seal(msg.encode(msg.MetaRequest(1, 0, b"f")))).refused()


def test_m5_twice(attempt):
    one = attempt().hello().proof()
    m5 = one.shake.make_m5()
    one.send(m5 + m5).refused()


def test_a_second_ready_with_its_own_number(attempt):
    one = attempt().hello().proof().ready()
    one.send(one.shake.c2s.seal(bytes([record.READY])))
    try:
        answer = msg.decode(one.shake.s2c.open(one.stream.read_frame()))
        assert isinstance(answer, msg.Error)
    except Closed:
        pass


@pytest.mark.parametrize(
    "plaintext", [b"\x05\x00", b"\x06", b"\x07", b"\x1b" + bytes(8), b"\x03"], ids=bytes.hex
)
def test_m5_of_another_content(attempt, plaintext):
    one = attempt().hello().proof()
    one.send(one.shake.c2s.seal(plaintext)).refused()


def test_m5_under_the_handshake_key(attempt):
    one = attempt().hello().proof()
    one.send(seal(one.shake.hs.c2s, b"\x05", aad(b"C", 1, 1))).refused()


@pytest.mark.parametrize(
    "place", [(b"S", 1, 1), (b"C", 0, 0), (b"C", 1, 0), (b"C", 1, 2), (b"C", 2, 1)], ids=str
)
def test_m5_sealed_for_another_place(attempt, place):
    one = attempt().hello().proof()
    key = schedule.epoch_key(one.shake.c2s.secret)
    one.send(seal(key, b"\x05", aad(*place))).refused()


def test_m5_from_one_who_does_not_know_k(attempt):
    """Only dh, with OAEP undecipherable: the most that an impostor without a signature of its own could make."""
    one = attempt().hello().proof()
    shake = one.shake
    shake.k = bytes(32)
    shake.derive_application_secrets()
    one.send(shake.make_m5()).refused()

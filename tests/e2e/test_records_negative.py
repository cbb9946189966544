"""Records that must fail after READY, and every bit of a handshake flipped (docs/PROTOCOL.md, Records)."""

import random
import struct

import pytest

from conftest import LONG
from p2pwire import handshake, msg, protocol1, record, schedule
from p2pwire.handshake import ClientHandshake
from p2pwire.record import aad, seal
from p2pwire.stream import Closed, Stream
from unshaken_peer import attempt, identity, peer, still_serving  # noqa: F401 (fixtures)


@pytest.fixture
def session(attempt):
    return attempt().hello().proof().ready()


PING = msg.encode(msg.Ping(1))


def sealed(session, text=PING):
    return session.shake.c2s.seal(text)


def read(session):
    return msg.decode(session.shake.s2c.open(session.stream.read_frame()))


def test_a_record_dropped(session):
    sealed(session)
    session.send(sealed(session)).refused()


def test_a_record_repeated(session):
    frame = sealed(session)
    session.send(frame)
    assert read(session).token == 1
    session.send(frame).refused()


def test_records_in_another_order(session):
    first, second = sealed(session), sealed(session)
    session.send(second + first).refused()


def test_a_record_cut(session):
    session.send(sealed(session)[:-1])
    session.stream.half_close()
    session.refused()


def test_a_record_reflected(session):
    session.send(sealed(session))
    body = session.stream.read_frame()
    session.send(struct.pack(">I", len(body)) + body).refused()


def test_a_record_of_another_connection(attempt):
    one, two = (attempt().hello().proof().ready() for _ in range(2))
    two.send(sealed(one)).refused()


@pytest.mark.parametrize("bit", [0, 7, 95, 96, 100, -1, -128])
def test_a_record_with_a_bit_flipped(session, bit):
    frame = bytearray(sealed(session))
    at = 32 + bit if bit >= 0 else len(frame) * 8 + bit
    frame[at // 8] ^= 0x80 >> at % 8
    session.send(bytes(frame)).refused()


@pytest.mark.parametrize("length", [0, 12, 27, 28, 65629, 0x00FFFFFF, 0x80000000, 0xFFFFFFFF])
def test_record_lengths(peer, session, length):
    before = peer.memory_kib()
    session.send(struct.pack(">I", length) + bytes(64)).refused()
    assert peer.memory_kib() - before < 4096


def test_an_empty_record(session):
    """28 bytes: nonce and tag, no type."""
    session.send(sealed(session, b"\x1b")[:0] + empty_record(session)).refused()


def empty_record(session):
    direction = session.shake.c2s
    direction.seq -= 1
    return seal(schedule.epoch_key(direction.secret), b"", direction.next_aad())


def test_the_longest_record_is_read(session):
    """65,600 bytes of plaintext: too long for any message, so ERROR 2, and the framing holds."""
    session.send(sealed(session, b"\x10" + bytes(65599)))
    assert read(session).code == msg.MALFORMED


def test_the_old_epoch_after_a_rekey(session):
    direction = session.shake.c2s
    old = schedule.epoch_key(direction.secret)
    session.send(sealed(session, bytes([record.REKEY])))
    session.send(seal(old, PING, aad(b"C", 1, direction.seq))).refused()


def test_an_epoch_nobody_announced(session):
    session.shake.c2s.rekey()
    session.send(sealed(session)).refused()


def test_rekey_with_a_body(session):
    session.send(
        record.seal(schedule.epoch_key(session.shake.c2s.secret), b"\x06x", session.shake.c2s.next_aad())
    )
    try:
        assert isinstance(read(session), msg.Error)
    except Closed:
        pass


def test_protocol_1_frames_in_a_protocol_2_session(session):
    session.send(seal(schedule.epoch_key(session.shake.c2s.secret), b"META|f")).refused()


def test_protocol_2_after_hello_of_protocol_1(peer, identity):
    with Stream.connect(peer.address) as stream:
        stream.send(protocol1.hello(identity))
        assert stream.read(8) == b"SESSION|"
        stream.read(256)
        stream.send(ClientHandshake(identity).make_m1())
        stream.expect_close()


# --- every bit of M1 to M5 -------------------------------------------------------------------

MESSAGE_BITS = {"m1": 75 * 8, "m2": 75 * 8, "m3": 583 * 8, "m4": 839 * 8, "m5": 33 * 8}
ALL_BITS = [(m, bit) for m, bits in MESSAGE_BITS.items() for bit in range(bits)]
NORMAL_SAMPLE = 120


def flip(data, bit):
    data = bytearray(data)
    data[bit // 8] ^= 0x80 >> bit % 8
    return bytes(data)


def survives_flip(peer, identity, message, bit):
    """True if, with this bit flipped, anything came back that should not have."""
    with Stream.connect(peer.address, timeout=3) as stream:
        shake = ClientHandshake(identity)
        changed = lambda name, data: flip(data, bit) if name == message else data  # noqa: E731
        try:
            stream.send(changed("m1", shake.make_m1()))
            shake.read_m2(changed("m2", stream.read(75)))
            stream.send(changed("m3", shake.make_m3()))
            if message in ("m1", "m3"):
                stream.half_close()  # a longer length must not leave the server waiting for more
                return bool(stream.read(1))
            m4 = changed("m4", stream.read(839))
            handshake.check(m4[:4] == struct.pack(">I", 835), "length")
            shake.read_m4(m4[4:])
            stream.send(changed("m5", shake.make_m5()))
            stream.send(shake.c2s.seal(PING))
            stream.half_close()
            return bool(stream.read(1))
        except (Closed, TimeoutError, handshake.HandshakeError):
            return False


def test_bits_add_up():
    assert len(ALL_BITS) == 12840


def test_single_bit_flips(peer, identity):
    """A sample each run, all 12,840 with P2P_LONG_TESTS=1: no connection ends up serving data."""
    assert survives_flip(peer, identity, "none", 0), "unflipped, it works"
    seed = random.randrange(1 << 32)
    bits = ALL_BITS if LONG else random.Random(seed).sample(ALL_BITS, NORMAL_SAMPLE)
    served = [(m, bit) for m, bit in bits if survives_flip(peer, identity, m, bit)]
    assert not served, f"seed {seed}"

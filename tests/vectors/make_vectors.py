#!/usr/bin/env python3
"""Writes the known answers beside this file.   make_vectors.py [--check]

Everything is computed by tests/e2e/p2pwire, which shares no code with the C programs. The
output is the same every time: keys come from keys/, randomness from stream(). With --check
nothing is written; the exit status says whether the files on disk are what would be written.
"""

import hashlib
import json
import sys

from material import HERE, KEYS, pattern, plain, stream  # first: finds p2pwire
from registrations import registrations

from p2pwire import handshake, msg, protocol1, record, schedule, tree
from p2pwire.keys import (
    SPKI_PREFIX, SPKI_SUFFIX, oaep_encrypt, pss_encode, pss_verify, spki_of_modulus,
)  # fmt: skip

# --- identities -----------------------------------------------------------------------------


def identities():
    keys = [
        {
            "name": name,
            "private_key_file": f"keys/{name}.pem",
            "modulus": key.numbers.public_numbers.n.to_bytes(256, "big"),
            "spki": key.spki,
            "pem": key.pem.decode(),
            "peer_id": key.peer_id,
        }
        for name, key in KEYS.items()
    ]
    return {"keys": keys, "refused_spki": refused_spki(), "refused_pem": refused_pem()}


def refused_spki():
    good = KEYS["client"].spki
    n = KEYS["client"].numbers.public_numbers.n
    with_factor = (n // 65521) * 65521
    with_factor += 65521 * (with_factor % 2 == 0)  # the largest prime below 2^16, made odd
    cases = {
        "empty": b"",
        "one byte short": good[:-1],
        "one byte long": good + b"\x00",
        "prefix differs": b"\x31" + good[1:],
        "e = 3": SPKI_PREFIX + good[33:289] + bytes.fromhex("0203000003"),
        "e = 65539": SPKI_PREFIX + good[33:289] + bytes.fromhex("0203010003"),
        "modulus even": spki_of_modulus(n - 1),
        "modulus of 2047 bits": spki_of_modulus(n & ((1 << 2047) - 1) | 1),
        "modulus zero": SPKI_PREFIX + bytes(256) + SPKI_SUFFIX,
        "divisible by 3": spki_of_modulus(n - n % 3 + 3 * (1 - (n - n % 3) % 2)),
        "divisible by 65521": spki_of_modulus(with_factor),
    }
    return [{"case": case, "spki": spki} for case, spki in cases.items()]


def refused_pem():
    good = KEYS["client"].pem
    lines = good.decode().splitlines()
    cases = {
        "no newline at the end": good[:-1],
        "CRLF": good.replace(b"\n", b"\r\n"),
        "one long line": "\n".join([lines[0], "".join(lines[1:-1]), lines[-1], ""]).encode(),
        "two keys": good + good,
        "text before": b"x\n" + good,
        "trailing space": good.replace(b"-----\nMII", b"----- \nMII"),
        "private key label": good.replace(b"PUBLIC", b"PRIVATE"),
        "base64 broken": good.replace(lines[3][:8].encode(), b"!!!!!!!!"),
        "empty": b"",
    }
    return [{"case": case, "pem": pem} for case, pem in cases.items()]


# --- primitives -----------------------------------------------------------------------------


def primitives():
    return {
        "sha256": [{"data": stream("sha", n), "hash": hashlib.sha256(stream("sha", n)).digest()} for n in (0, 1, 55, 56, 64, 1000)],
        "hkdf": [hkdf(i) for i in range(4)],
        "x25519": [agreement(i) for i in range(4)],
        "low_order_points": LOW_ORDER,
        "aes_256_gcm": [gcm(n, aad) for n in (0, 1, 15, 16, 17, 1000) for aad in (0, 13)],
        "rsa_pss": [pss(name, n) for name in ("client", "server") for n in (0, 32, 119, 1000)],
        "rsa_oaep": [oaep(name, n) for name in ("client", "server") for n in (0, 50)],
    }  # fmt: skip


# The points of small order and their non-canonical forms; X25519 with any of them is zero.
LOW_ORDER = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]


def hkdf(i):
    salt, ikm, info = (
        stream(f"salt {i}", 32),
        stream(f"ikm {i}", 32 + 32 * (i % 2)),
        stream(f"info {i}", 13 + i),
    )
    prk = schedule.hkdf_extract(salt, ikm)
    return {"salt": salt, "ikm": ikm, "prk": prk, "info": info, "okm": schedule.hkdf_expand(prk, info)}


def agreement(i):
    a, b = stream(f"x25519 a {i}", 32), stream(f"x25519 b {i}", 32)
    pub_a, pub_b = handshake.x25519_public(a), handshake.x25519_public(b)
    return {
        "private_a": a,
        "public_a": pub_a,
        "private_b": b,
        "public_b": pub_b,
        "shared": handshake.x25519(a, pub_b),
    }


def gcm(length, aad_len):
    label = f"gcm {length} {aad_len}"
    key, nonce, aad = stream(label, 32), stream(label + "n", 12), stream(label + "a", aad_len)
    text = stream(label + "p", length)
    sealed = record.seal(key, text, aad, nonce)[16:]
    return {
        "key": key,
        "nonce": nonce,
        "aad": aad,
        "plaintext": text,
        "ciphertext": sealed[:-16],
        "tag": sealed[-16:],
    }


def pss(name, length):
    key, text, salt = KEYS[name], stream(f"pss {length}", length), stream(f"pss salt {length}", 32)
    signature = key.sign(text, salt)
    assert pss_verify(key.spki, text, signature)
    return {
        "key": name,
        "message": text,
        "salt": salt,
        "encoded": pss_encode(text, salt),
        "signature": signature,
    }


def oaep(name, label_len):
    key, text = KEYS[name], stream("oaep", 32)
    label, seed = stream("oaep label", label_len), stream(f"oaep seed {label_len}", 32)
    sealed = oaep_encrypt(key.spki, text, label, seed)
    assert key.oaep_decrypt(sealed, label) == text
    return {"key": name, "message": text, "label": label, "seed": seed, "ciphertext": sealed}


# --- whole handshakes -----------------------------------------------------------------------


def randomness(label, names):
    lengths = {"hs_nonce": 12, "ready_nonce": 12}
    return handshake.Randomness(**{name: stream(f"{label} {name}", lengths.get(name, 32)) for name in names})


def run_handshake(number, client_key, server_key):
    label = f"handshake {number}"
    rand_c = randomness(label + " client", ("ephemeral", "random", "pss_salt", "hs_nonce", "ready_nonce"))
    rand_s = randomness(label + " server", ("ephemeral", "random", "k", "oaep_seed", "pss_salt", "hs_nonce"))
    client = handshake.ClientHandshake(KEYS[client_key], KEYS[server_key].peer_id, rand_c)
    server = handshake.ServerHandshake(KEYS[server_key], rand_s)
    server.read_m1(client.make_m1())
    client.read_m2(server.make_m2())
    m3 = client.make_m3()
    server.read_m3(m3[4:])
    m4 = server.make_m4()
    client.read_m4(m4[4:])
    first = dict(c2s_1=client.c2s.secret, s2c_1=client.s2c.secret)
    m5 = client.make_m5()
    server.read_m5(m5[4:])
    return client, server, m3, m4, m5, first


def whole_handshake(number, client_key, server_key):
    client, server, m3, m4, m5, first = run_handshake(number, client_key, server_key)
    return {
        "client_key": client_key,
        "server_key": server_key,
        "client_id": server.client_id,
        "server_id": client.server_id,
        "client_randomness": {
            "x25519_private": client.rand.ephemeral,
            "random_c": client.rand.random,
            "sig_c_pss_salt": client.rand.pss_salt,
            "m3_nonce": client.rand.hs_nonce,
            "m5_nonce": client.rand.ready_nonce,
        },
        "server_randomness": {
            "x25519_private": server.rand.ephemeral,
            "random_s": server.rand.random,
            "k": server.rand.k,
            "oaep_seed": server.rand.oaep_seed,
            "sig_s_pss_salt": server.rand.pss_salt,
            "m4_nonce": server.rand.hs_nonce,
        },
        "m1": client.m1,
        "m2": client.m2,
        "m3": m3,
        "m4": m4,
        "m5": m5,
        "m3_plaintext": b"\x03" + client.spki_c + client.sig_c,
        "m4_plaintext": b"\x04" + client.spki_s + client.oaep + client.sig_s,
        "schedule": key_schedule(client, first),
        "records": records(number, client, server),
    }


def key_schedule(role, first):
    second = {name[:3] + "_2": schedule.next_epoch(secret) for name, secret in first.items()}
    return {
        "dh": role.dh,
        "th2": role.hs.th2,
        "hs": role.hs.hs,
        "key_hs_c2s": role.hs.c2s,
        "key_hs_s2c": role.hs.s2c,
        "sig_c_text": role.text_for_sig_c(),
        "sig_c": role.sig_c,
        "oaep_label": role.label(),
        "oaep": role.oaep,
        "sig_s_text": role.text_for_sig_s(),
        "sig_s": role.sig_s,
        "thf": role.app.thf,
        "ms": role.app.ms,
        **{f"s_{name}": secret for name, secret in {**first, **second}.items()},
        **{f"key_{name}": schedule.epoch_key(secret) for name, secret in {**first, **second}.items()},
    }


def records(number, client, server):
    """Some records each way after M5, in the order sent, with a rekey of each direction."""
    c2s = [
        msg.MetaRequest(1, msg.BY_NAME, "a file.bin".encode()),
        msg.Get(2, stream("root", 32), 0, 1 << 20, msg.ACCEPT_ZSTD),
        msg.Rekey(),
        msg.Ping(7),
        msg.Close(),
    ]
    s2c = [
        msg.Error(1, msg.NOT_FOUND, b"no such file"),
        msg.Data(2, msg.LAST, 0, stream("data", 300)),
        msg.Rekey(),
        msg.Pong(7),
        msg.Close(),
    ]
    result = []
    for sender, receiver, messages in ((client.c2s, server.c2s, c2s), (server.s2c, client.s2c, s2c)):
        for i, message in enumerate(messages):
            result.append(one_record(f"record {number} {sender.sender} {i}", sender, receiver, message))
    return result


def one_record(label, sender, receiver, message):
    epoch, seq, key = sender.epoch, sender.seq, schedule.epoch_key(sender.secret)
    nonce, text = stream(label, 12), msg.encode(message)
    frame = sender.seal(text, nonce)
    assert receiver.open(frame[4:]) == text
    return {
        "from": sender.sender.decode(),
        "epoch": epoch,
        "seq": seq,
        "key": key,
        "nonce": nonce,
        "aad": record.aad(sender.sender, epoch, seq),
        "plaintext": text,
        "frame": frame,
    }


# --- messages -------------------------------------------------------------------------------


def example_messages():
    root, other = stream("root", 32), stream("other root", 32)
    hashes = [stream(f"hash {i}", 32) for i in range(3)]
    largest = 2**64 - 1
    return [
        msg.Ready(), msg.Rekey(), msg.Close(),
        msg.MetaRequest(1, msg.BY_NAME, "häuser & co|x 😀.txt".encode()),
        msg.MetaRequest(2**32 - 1, msg.BY_ROOT, root),
        msg.Meta(1, root, 3 * 2**20 + 5, 2**20, 1_700_000_000, 7, msg.SHA256_KNOWN, other, b"movie.mkv"),
        msg.Meta(2, bytes(32), 0, 2**14, 0, 0, 0, bytes(32), b"e"),
        msg.Meta(3, root, 2**50, 2**24, 2**53, 2**32 - 1, 0, bytes(32), b"n" * 255),
        msg.LayerRequest(4, root, 0, 1024), msg.LayerRequest(5, root, largest, 2**32 - 1),
        msg.Layer(4, 0, hashes), msg.Layer(5, 1024, []),
        msg.Get(6, root, 2**40, 2**20), msg.Get(7, root, 0, 1, msg.ACCEPT_ZSTD),
        msg.Data(6, 0, 0, stream("d", 100)), msg.Data(6, msg.LAST, 65536, stream("d", 1)),
        msg.Data(7, msg.LAST | msg.ZSTD, 0, stream("z", 40)), msg.Data(8, msg.LAST, 0, b""),
        msg.Cancel(6), msg.ListRequest(9), msg.ListRequest(10, b"movie.mkv"),
        msg.List(9, [msg.Entry(root, 5, 6, b"a"), msg.Entry(other, 2**50, 0, "ü".encode())], b"next"),
        msg.List(10), msg.HashRequest(11, root), msg.Hash(11, other),
        msg.Ping(largest), msg.Pong(0),
        msg.Error(12, msg.BUSY, b"busy, retry in 3"), msg.Error(0, msg.MALFORMED, b""),
        msg.InfoRequest(13, 1, 31, "Küche 🍳".encode(), b"0.2.0"), msg.InfoRequest(14),
        msg.Info(13, 4, 0, b"n" * 63, b""), msg.Info(14, 255, 2**32 - 1, b"", b"1"),
        msg.LeavesRequest(15, root, 0, 1), msg.LeavesRequest(16, other, largest, 2**16 - 1),
        msg.Leaves(15, 2**40, [msg.Leaf(root, 0), msg.Leaf(other, 2**32 - 1)]), msg.Leaves(16, 0, []),
        msg.ChangesRequest(15), msg.ChangesRequest(16, 0, 2**53, 2**52, 60, "Bücher/neu".encode()),
        msg.Changes(15, 1, 2**53, 2**52),
        msg.Changes(16, 4, 2**53, 9, [msg.Change(0, root, 5, 2**53, 3, 8, b"a"), msg.Change(1, bytes(32), 0, 0, 0, 9, b"b")]),
        msg.HistoryRequest(17, "Bücher/ä.txt".encode()), msg.HistoryRequest(18, b"a", 2**32 - 1),
        msg.History(17, [msg.Version(7, msg.CURRENT, 5, 2**53, 9, 0, root), msg.Version(6, msg.KEPT, 2**50, 0, 1, 9, other)], 6),
        msg.History(18),
        msg.Offer(15, root[:16], 1, 2**40, [(root, 5, b"trip/a.jpg"), (other, 2**50, "ü".encode())], "häuser".encode()),
        msg.Offer(16, other[:16], 0, 0, [], b"t" * 4096), msg.Offered(15, root[:16], 0), msg.Offered(16, other[:16], 3),
    ]  # fmt: skip


def messages():
    good = [
        {"type": m.TYPE, "name": type(m).__name__, "fields": vars(m), "plaintext": msg.encode(m)}
        for m in example_messages()
    ]
    assert all(msg.decode(case["plaintext"]) for case in good)
    return {"good": good, "malformed": malformed()}


def malformed():
    """Plaintexts that no decoder takes (bounds of the table, not of a file)."""
    fixed = [m for m in example_messages() if not isinstance(m, msg.Data)]
    cases = [(f"{type(m).__name__} with a byte left over", msg.encode(m) + b"\x00") for m in fixed]
    cases += [(f"{type(m).__name__} cut short", msg.encode(m)[:-1]) for m in fixed if m.body()]
    cases += [("empty", b""), ("unknown type", b"\x7f"), ("type 0", b"\x00")]
    cases += [
        ("Layer counts more than it carries", msg.encode(msg.Layer(1, 0, []))[:-4] + b"\xff" * 4),
        ("Leaves count more than they carry", msg.encode(msg.Leaves(1, 0, []))[:-2] + b"\x00\x01"),
        ("Leaves of too many", b"\x21" + bytes(4 + 8) + b"\x04\x01" + bytes(1025 * 36)),
        ("List counts more than it carries", b"\x18" + bytes(4) + b"\xff\xff" + bytes(2)),
        ("History counts more than it carries", b"\x25" + bytes(4) + b"\x00\x80" + bytes(4)),
        ("History of too many", b"\x25" + bytes(4) + b"\x00\x81" + bytes(129 * 69 + 4)),
        ("Changes count more than they carry", b"\x23" + bytes(4 + 1 + 16 + 1) + b"\x00\x01"),
        ("name longer than the message", b"\x10" + bytes(4) + b"\x00\xff\xffname"),
    ]
    cases += [
        ("Offer counts more than it carries", msg.encode(msg.Offer(1, bytes(16)))[:-4] + b"\xff\xff\x00\x00"),
        ("Offer with a long text", msg.encode(msg.Offer(1, bytes(16), text=b"t" * 4097))),
        ("Offered with an unknown state", msg.encode(msg.Offered(1, bytes(16), 4))),
    ]
    unshown = [b"n" * 64, b"\xff", b"a\nb", b"a\x00", b" a", b"a ", "a\u202eb".encode(), "a\u200bb".encode()]
    cases += [(f"Info of the name {name!r}", msg.encode(msg.Info(1, 0, 0, name))) for name in unshown]
    cases += [(f"Info of the version {name!r}", msg.encode(msg.InfoRequest(1, 0, 0, b"", name))) for name in unshown]
    for case, text in cases:
        try:
            msg.decode(text)
            raise AssertionError(case)
        except msg.Malformed:
            pass
    return [{"case": case, "plaintext": text} for case, text in cases]


# --- trees ----------------------------------------------------------------------------------

LENGTHS = [
    0, 1, 2, 16383, 16384, 16385, 32767, 32768, 32769, 49152, 49153, 65535, 65536, 65537, 100000,
    131072, 131073, 200000, 262144, 300001, 2**20 - 1, 2**20, 2**20 + 1, 2**20 + 16384, 2 * 2**20,
    3 * 2**20 + 5, 5 * 2**20,
]  # fmt: skip


def trees():
    content = pattern(max(LENGTHS))
    return {"content": pattern.__doc__, "files": [file_tree(content[:n]) for n in LENGTHS]}


def file_tree(data):
    layers = []
    for chunk_size in (2**14, 2**15, 2**16, 2**20):
        layer = tree.layer_of(data, chunk_size)
        assert tree.root_of_layer(layer, len(data), chunk_size) == tree.root_of(data)
        shown = {"layer": layer} if len(layer) <= 24 else {}
        digest = hashlib.sha256(b"".join(layer)).digest()
        layers.append({"chunk_size": chunk_size, "count": len(layer), "sha256_of_layer": digest, **shown})
    return {
        "size": len(data),
        "sha256": hashlib.sha256(data).digest(),
        "root": tree.root_of(data),
        "layers": layers,
    }


# --- protocol 1 -----------------------------------------------------------------------------


def protocol_1():
    key, seed = stream("protocol 1 key", 32), stream("protocol 1 seed", 32)
    texts = [
        b"META|a|b c.txt", b"META|a|b c.txt|5|1048576|1|" + hashlib.sha256(b"hello").hexdigest().encode(),
        b"GET|a|b c.txt|0", b"CHUNK|0|hello", b"ERROR|not found", b"DONE",
    ]  # fmt: skip
    return {
        "client_key": "client",
        "hello": protocol1.hello(KEYS["client"]),
        "session_key": key,
        "oaep_seed": seed,
        "session": protocol1.session(KEYS["client"].spki, key, seed),
        "frames": [
            {
                "nonce": stream(f"p1 {i}", 12),
                "plaintext": t,
                "frame": record.seal(key, t, None, stream(f"p1 {i}", 12)),
            }
            for i, t in enumerate(texts)
        ],
    }


def write_all(check_only):
    files = {
        "identity.json": identities(),
        "primitives.json": primitives(),
        "handshake.json": [
            whole_handshake(1, "client", "server"),
            whole_handshake(2, "stranger", "server"),
            whole_handshake(3, "server", "client"),
        ],
        "messages.json": messages(),
        "tree.json": trees(),
        "registration.json": registrations(),
        "protocol1.json": protocol_1(),
    }
    stale = []
    for name, content in files.items():
        text = json.dumps(plain(content), indent=1, ensure_ascii=False) + "\n"
        path = HERE / name
        if check_only and (not path.exists() or path.read_text() != text):
            stale.append(name)
        elif not check_only:
            path.write_text(text)
    return stale


if __name__ == "__main__":
    out_of_date = write_all(check_only="--check" in sys.argv[1:])
    sys.exit(f"out of date: {' '.join(out_of_date)}" if out_of_date else 0)

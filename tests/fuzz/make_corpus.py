#!/usr/bin/env python3
"""Writes the first seeds of every corpus beside this file from tests/vectors. Each seed is named by its content,
so running this again changes nothing. Inputs with which libFuzzer reached more code (-merge=1), and inputs that
broke something once, are added to the same folders by hand and stay.
"""

import base64
import hashlib
import hmac
import json
import struct
from pathlib import Path

HERE = Path(__file__).resolve().parent
VECTORS = HERE.parent / "vectors"


def vectors(name):
    return json.loads((VECTORS / f"{name}.json").read_text())


def seed(target, data):
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / hashlib.sha256(data).hexdigest()[:12]).write_bytes(data)


def step(how, damage, data):
    """One step of fuzz_record's script."""
    return bytes([how, damage, len(data)]) + data


def chunk(kind, flags, value):
    data = bytes([kind, flags]) + (4 + len(value)).to_bytes(2, "big") + value
    return data + bytes(-len(data) % 4)


def sctp_seeds():
    """Scripts of fuzz_sctp: before the setup, in it, behind it; each kind of chunk."""
    tsn = (2**32 - 3).to_bytes(4, "big")
    kinds = [
        chunk(0, 3, tsn + bytes(4) + (53).to_bytes(4, "big") + b"bytes"),
        chunk(0, 3, (0).to_bytes(4, "big") + bytes(4) + (53).to_bytes(4, "big") + b"early"),
        chunk(0, 3, tsn + bytes(4) + (50).to_bytes(4, "big") + b"\x03" + bytes(11)),
        chunk(1, 0, b"\0\0\0\7" + b"\0\1\0\0" + b"\0\x10\0\x10" + tsn),
        chunk(2, 0, b"\0\0\0\7" + b"\0\1\0\0" + b"\0\x10\0\x10" + tsn + b"\0\7\0\x08cook"),
        chunk(3, 0, tsn + b"\0\1\0\0" + b"\0\1\0\0" + b"\0\2\0\2"),
        chunk(4, 0, b"\0\1\0\x08info"),
        chunk(5, 0, b"\0\1\0\x08info"),
        chunk(6, 0, b""),
        chunk(7, 0, tsn),
        chunk(8, 0, b""),
        chunk(14, 0, b""),
        chunk(10, 0, bytes(16)),
        chunk(11, 0, b""),
        chunk(130, 0, b"\0\x0d\0\x10" + bytes(12)),
    ]
    for data in kinds:
        packet = b"\x10" + bytes([len(data)]) + data
        seed("sctp", packet + b"\5" + packet)
        seed("sctp", b"\2" + packet + b"\1" + packet)


def ice_seeds():
    """Scripts of fuzz_ice: time passes, the peer answers, asks, nominates, has the same role."""
    for bits in (2, 3, 0x84, 0x8C, 0x94, 0xA4, 0x04):
        step = bytes([2, 9, bits]) + bytes(8)
        seed("ice", b"\1\1" + step + b"\1\5" + bytes([6]) + step[1:] + b"\1\xff" + step)


def exchange_seeds():
    """Codes, and what the two sides of one could be told. The share is a point of the curve (RFC 9382)."""
    share = base64.b64encode(bytes.fromhex(
        "0406557e482bd03097ad0cbaa5df82115460d951e3451962f1eaf4367a420676d0"
        "9857ccbc522686c83d1852abfa8ed6e4a1155cf8f1543ceca528afb591a1e0b7"
    )).decode()  # fmt: skip
    proof, sealed = base64.b64encode(bytes(32)).decode(), base64.b64encode(bytes(40)).decode()
    hello = json.dumps({"v": 1, "type": "hello", "reply": "05" * 16, "share": share})
    said = [json.dumps({"v": 1, "type": kind, "proof": proof, "sealed": sealed}) for kind in ("proof", "offer", "done")]
    for code in ("7-guitar-tiger", "12 GUI tig@192.168.1.5:8000", "7-acorn-zebra@https://a.example:8443", "0-a-b"):
        seed("exchange", b"c" + code.encode())
    for first in ('{"v":1,"type":"claimed"}', hello, hello.replace("BAZV", "BAZW")):
        seed("exchange", "\n".join(["s" + first, hello, *said]).encode())
    seed("exchange", "\n".join(["r" + hello.replace("hello", "share"), *said, '{"type":"wrong"}']).encode())


def call_seeds(pem, peer_id):
    """A call, its answer, and one with a channel; the signatures are of the right form only."""
    both = {
        "v": 1, "session": "07" * 16, "from": peer_id, "to": "22" * 32, "key": pem, "expires": 1800000000,
        "sig": base64.b64encode(bytes(256)).decode(),
    }  # fmt: skip
    channel = {
        "ufrag": "abcd", "pwd": "p" * 24, "fingerprint": "11" * 32, "setup": "passive", "candidates": ["192.0.2.1 5000 host 1"],
    }  # fmt: skip
    call = {"type": "offer", "reply": "05" * 16, **both}
    seed("call", json.dumps(call).encode())
    seed("call", json.dumps({"type": "answer", **both, "relay": {"host": "relay.example", "port": 7100, "token": token()}}).encode())
    seed("call", json.dumps({**call, **channel}).encode())


def intake_seeds():
    """Conversations of a guest that brings files: the requests of the other side are numbered from 1 on."""

    def frame(kind, body):
        return (1 + len(body)).to_bytes(4, "big") + bytes([kind]) + body

    def have(number, size, name):
        return frame(0x41, struct.pack(">IQQH", number, size, 9, len(name)) + name)

    def proof(number, data):
        return frame(0x43, number.to_bytes(4, "big") + hashlib.sha256(data).digest())

    def data(req, at, some):
        return frame(0x15, struct.pack(">IBI", req, 0, at) + some)

    empty = have(1, 0, b"empty") + proof(1, b"")
    whole = have(2, 6, b"a/b.txt") + data(2, 0, b"abc") + data(2, 3, b"def") + proof(2, b"abcdef")
    refused = have(3, 2000, b"large") + have(4, 3, b"../x") + data(1, 0, b"abc") + proof(4, b"abd")
    seed("intake", b"\0" + empty + whole + frame(0x07, b""))
    seed("intake", b"\0" + refused + frame(0x16, (4).to_bytes(4, "big")) + frame(0x14, bytes(50)))
    seed("intake", b"\1" + frame(0x26, bytes(20)) + empty + frame(0x1B, bytes(12)))
    seed("intake", b"\0" + have(1, 9, b"part") + data(1, 0, b"abc"))


def guest_seeds():
    """A call and an answer with right MACs, and a WELCOME."""
    channel = {"ufrag": "abcd", "pwd": "p" * 24, "fingerprint": "11" * 32, "candidates": ["192.0.2.1 5000 host 1"]}
    shared = [channel["ufrag"], channel["pwd"], channel["fingerprint"], *channel["candidates"]]
    session, box, key = "05" + "00" * 15, "01" + "00" * 15, b"\2" + bytes(31)

    def mac(*lines):
        return hmac.digest(key, "".join(f"{line}\n" for line in lines).encode(), "sha256").hex()

    call = {"v": 1, "type": "guest", "session": session, "guest": "06" * 16, "to": box, "reply": "07" * 16}
    call["mac"] = mac("p2p link call", *list(call.values())[2:], 1800000000, *shared)
    seed("guest", b"\0" + json.dumps({**call, "expires": 1800000000, "setup": "passive", **channel}).encode())
    answer = {"v": 1, "type": "host", "session": session, "from": "22" * 32, "setup": "active", **channel}
    answer["mac"] = mac("p2p link answer", session, "00" * 32, "22" * 32, *shared)
    seed("guest", b"\1" + json.dumps(answer).encode())
    seed("guest", b"\2\x40\1\1\0" + bytes(7) + b"\x09" + b"\xff" * 8 + b"\0\2hi\0\1n")


def token():
    body = (1800000000).to_bytes(8, "big") + b"\7" * 16 + b"\1" * 32 + b"\2" * 32 + b"\0" + bytes(8)
    key = b"\1\2\3" + bytes(29)
    return base64.urlsafe_b64encode(body + hmac.digest(key, body, "sha256")[:16]).decode().rstrip("=")


def portmap_seeds():
    """Scripts of fuzz_portmap: PCP, NAT-PMP behind a refusal, the news of a router that restarted."""
    outside = b"\xcb\0\x71\x0b"
    pcp = b"\2\x81\0\0" + (7200).to_bytes(4, "big") + b"\0\0\x10\0" + bytes(12) + b"\1" + bytes(11)
    pcp += b"\6\0\0\0\x23\x28\x23\x28" + bytes(10) + b"\xff\xff" + outside
    news = b"\2\x80\0\0" + bytes(20)
    refusal = b"\0\x81\0\1" + bytes(4)
    address = b"\0\x80\0\0\0\0\0\1" + outside
    mapped = b"\0\x82\0\0\0\0\0\1\x23\x28\x23\x28\0\0\x1c\x20"
    for datagrams in ([pcp, news, pcp], [refusal, address, mapped, address, mapped], [pcp[:40], b"", news]):
        seed("portmap", b"".join(bytes([len(d)]) + d for d in datagrams))


def channel_seeds():
    """Scripts of fuzz_channel: the setup with a damaged, cut or doubled datagram at each place; then records, alerts
    and STUN from outside while bytes pass."""
    opened = b"\x09\x09"
    record = lambda kind, epoch, body: bytes([kind, 254, 253]) + struct.pack(">HHIH", epoch, 0, 7, len(body)) + body  # noqa: E731
    foreign = [
        record(21, 0, b"\2\x28"), record(21, 0, b"\1\0"), record(21, 1, b"\1\0" + bytes(24)), record(22, 0, b"\1" + bytes(40)),
        record(22, 1, bytes(60)), record(23, 1, bytes(80)), record(20, 0, b"\1"), record(23, 1, b""), b"\x16", b"",
        struct.pack(">HHI12s", 1, 0, 0x2112A442, bytes(12)), struct.pack(">HHI12s", 0x101, 0, 0x2112A442, bytes(12)), b"\0" * 20,
    ]  # fmt: skip
    for datagram in foreign:
        for op in (10, 20):
            step = bytes([op, len(datagram)]) + datagram
            seed("channel", step + opened + step + b"\5" + step * 3 + b"\5")
    for turn in range(8):
        for damage in (b"\x1e\x0d\x01", b"\x1e\x00\x80", b"\x1e\x20\xff", b"\x28", b"\x32", b"\x80"):
            seed("channel", b"\1" * turn + damage + opened + damage + b"\3" + damage + b"\5")


def main():
    sctp_seeds()
    exchange_seeds()
    ice_seeds()
    channel_seeds()
    portmap_seeds()
    seed("relay_token", token().encode())
    seed("relay_token", token()[:-1].encode())
    messages = vectors("messages")
    plaintexts = [bytes.fromhex(case["plaintext"]) for case in messages["good"]]
    for text in plaintexts + [bytes.fromhex(case["plaintext"]) for case in messages["malformed"]]:
        seed("msg", text)

    for case in vectors("stun")["rfc5769"]:
        seed("stun", bytes.fromhex(case))
    seed("stun", bytes.fromhex("000100002112a442b7e7a701bc34d686fa87dfae"))

    old = vectors("protocol1")
    seed("hello1", bytes.fromhex(old["hello"]))
    for key in vectors("identity")["keys"]:
        seed("hello1", key["pem"].encode())
        call_seeds(key["pem"], key["peer_id"])
    guest_seeds()
    intake_seeds()
    for case in vectors("identity")["refused_pem"]:
        seed("hello1", bytes.fromhex(case["pem"]))
    for frame in old["frames"]:
        seed("msg1", bytes.fromhex(frame["plaintext"]))
        seed("frame", bytes.fromhex(frame["frame"]))

    small = [text for text in plaintexts if len(text) <= 100]
    script = b"".join(step(0, 0, text) for text in small if text[0] not in (5, 7))
    seed("record", script)
    seed("record", step(0, 0, b"\x06") + step(0, 0, small[3]) + step(0, 0, b"\x07") + step(0, 0, small[3]))
    seed("record", step(1, 0, b"DONE") + step(1, 9, b"META|x") + step(3, 0, b"\x00\x00\x00\x20" + bytes(32)))
    seed("record", step(0, 4, small[3]) + step(0, 0, small[3]) + step(2, 0, bytes(40)))

    for run in vectors("handshake"):
        m1, m2 = bytes.fromhex(run["m1"]), bytes.fromhex(run["m2"])
        seed("handshake", b"\x01" + m1 + bytes.fromhex(run["m3_plaintext"]))
        seed("handshake", b"\x00" + m2 + bytes.fromhex(run["m4_plaintext"]))
        seed("handshake", b"\x03" + m1 + bytes.fromhex(run["m3"]))
        seed("handshake", b"\x02" + m2 + bytes.fromhex(run["m4"]))
        for record in run["records"]:
            seed("frame", bytes.fromhex(record["frame"]))

    # Limits; then steps: put, signed put, delta, leave, expire, search, list (fuzz_registry.c).
    everything = b"\xff\x0f"
    puts = b"".join(bytes([3, peer, peer, 0, 200]) + everything + bytes([0x11 * peer]) for peer in range(12))
    for limits in range(16):
        seed("registry", bytes([limits]) + puts + b"\x0e\x01\x02\x0f\x01\x02\x03" + puts.replace(b"\x03", b"\x00", 3))
    seed("registry", b"\x00" + puts[:8] + b"\x07\x00\x00\x01\x0f\x00\x33\x01\x00" + b"\x09\x00\x00" + b"\x0b\x05\x02\x0a")

    pems = {key["name"]: key["pem"] for key in vectors("identity")["keys"]}
    for case in vectors("registration"):
        body = dict(case["fields"], signature=base64.b64encode(bytes.fromhex(case["signature"])).decode())
        for ours, theirs in (("removed", "remove"), ("added", "add")):
            if ours in body:
                body[theirs] = body.pop(ours)
        if "entries" in body:
            body["public_key"] = pems.get(case["key"], "")
        kind = {"registration": 0, "registration 2": 0, "delta": 3, "leave": 2}[case["kind"]]
        for address in range(4):
            seed("registration", bytes([kind + 4 * address]) + json.dumps(body).encode())
    unsigned = {"peer_id": "0" * 64, "public_key": "", "port": 1, "files": ["a", "b"], "protocols": [1, 2]}
    seed("registration", b"\x00" + json.dumps(unsigned).encode())

    def answer(how, *bodies, status=0, date=180):
        parts = [body if isinstance(body, bytes) else json.dumps(body).encode() for body in bodies]
        return bytes([how]) + b"".join(bytes([status, date]) + len(p).to_bytes(2, "big") + p for p in parts)

    peers = [
        {"peer_id": f"{n:02x}" * 32, "ip": ip, "port": 9000 + n, "verified": n % 2 == 0, "last_seen": n,
         "files": ["a.txt", "b", "../x"], "files_count": 3}
        for n, ip in enumerate(["192.0.2.1", "2001:db8::1", "::ffff:1.2.3.4", "0.0.0.0", "x", "10.1.2.3"])
    ]
    for how in (0, 1, 4, 5, 8, 9):
        seed("answers", answer(how, {"peers": peers, "next": "c"}, {"peers": peers[::-1]}, {"peers": peers, "next": ""}))
    found = {"results": [{"name": "a.txt", "size": 3, "root": "ab" * 32, "sha256": "cd" * 32, "peers": peers},
                         {"name": "a", "size": -1, "peers": peers}], "next": "x"}
    for how in (2, 6, 10, 14, 18, 250):
        seed("answers", answer(how, found, found, {"results": []}))
    problem = {"detail": "no \x1b[31m", "base": 7, "code": "stale_seq", "registry_time": 1800000000}
    for status in range(14):
        seed("answers", answer(3 + 4 * status, problem, {"verified": True}, problem, problem, status=status))
    seed("answers", answer(7, *[{"verified": True, "seq": 2**53}] * 8))

    for text in (b"localhost:8080", b"[::1]:1", b"NAS.example.", b"evil.example", b"127.0.0.1"):
        seed("small", b"\x00" + text)
        seed("small", b"\x01http://" + text + b"\0" + text + b"\0same-origin")
    for text in (b"bytes=0-1", b"bytes=-5", b"bytes=7-", b"bytes=9-2", b"bytes=18446744073709551615-"):
        seed("small", b"\x02\x02" + text)
    seed("small", b"\x03\x05\xc3\xa4 \"x\\\r\n%.txt")
    seed("small", b"\x04a%2fb%C3%A4%zz")
    seed("small", b"\x05\x40a=b; p2p_0123456789abcdef=token; c=d")
    for text in (b"10.0.0.1, 192.0.2.1", b"[fd00::1]:80", b"\"", b"unknown"):
        seed("small", b"\x06\x00" + text + b"\0" + text)
        seed("small", b"\x06\x01for=" + text + b';proto=https, for="[2001:db8::1]:80"')
    for text in (b"192.0.2.1:80", b"[fe80::1%lo]:1", b"127.1:80", b"0x7f.1", b"::ffff:1.2.3.4", b"Host.:1"):
        seed("small", b"\x07" + text)
        seed("small", b"\x08" + text + b",10.0.0.0/8\0" + text)
        seed("small", b"\x09" + text + b",b.example:80")
        seed("small", b"\x0a\x20" + text + b"\x1b[31m\xe2\x80\xae\xff")
    for verb in range(1, 12):
        seed("small", bytes([11, 0, verb]) + b"/tmp\0" + bytes([1, verb]) + b"/dev/null\0" + bytes([2, 3]) + b"/tmp\0")
    seed("small", bytes([11, 1, 11]) + b"02" + b"00" * 27 + b"0a" + b"00" * 27 + b"\0\x05\x08/dev/null\0\x80")

    for how in range(16):
        seed("download", bytes([how]))
        seed("download", bytes([how, how, how, 0, how, 4, how, 8]))
    for how in range(4):
        seed("download", bytes([how]) + hashlib.sha256(bytes([how])).digest() + hashlib.sha512(bytes([how])).digest())

    line = "40f2fb103afeb7527807a1cfe74b2fea4feb132389e07234d99c03e11ec22bb9 trusted 2 1 2 "
    seed("files", b"\x00" + f"# x\n{line}192.0.2.1:9000,[2001:DB8::1]:1 a name\n{line.replace('40f2', '41f2')}-\nnonsense\n".encode())
    record = bytes([2, 2]) + (5).to_bytes(8, "big") + bytes(32) + b"\x09192.0.2.1" + (9).to_bytes(2, "big") + b"\x01"
    record += (1).to_bytes(4, "big") + b"\x00\x01a" + (3).to_bytes(8, "big") + bytes(68)
    peer = b"\x01" + (2**40).to_bytes(8, "big") + (2**40).to_bytes(8, "big") + len(record).to_bytes(4, "big") + record
    remembered = b"\x02" + b"r" * 32 + (5).to_bytes(8, "big") + (2**40).to_bytes(8, "big")
    seed("files", b"\x01" + peer + remembered + b"\x00")
    head = b"r" * 32 + (40000).to_bytes(8, "big") + (16384).to_bytes(4, "big") + b"\x01\x00\x04name" + b"h" * 96
    seed("files", b"\x02\x00" + head + bytes(700))

    for name in ("a", "a b.txt", "folder/file", "ä😀.bin", "../x", "a//b", ".hidden", "con", "a\\b", "x" * 255):
        seed("name", name.encode())


main()

#!/usr/bin/env python3
"""Writes the first seeds of every corpus beside this file from tests/vectors.

Each seed is named by its content, so that running this again changes nothing. What libFuzzer
found to reach more code (-merge=1), and inputs that
once broke something, are added to the same folders by hand, and stay.
"""

import hashlib
import json
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


def main():
    messages = vectors("messages")
    plaintexts = [bytes.fromhex(case["plaintext"]) for case in messages["good"]]
    for text in plaintexts + [bytes.fromhex(case["plaintext"]) for case in messages["malformed"]]:
        seed("msg", text)

    old = vectors("protocol1")
    seed("hello1", bytes.fromhex(old["hello"]))
    for key in vectors("identity")["keys"]:
        seed("hello1", key["pem"].encode())
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

    for name in ("a", "a b.txt", "folder/file", "ä😀.bin", "../x", "a//b", ".hidden", "con", "a\\b", "x" * 255):
        seed("name", name.encode())


main()

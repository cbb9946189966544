"""Signed statements to the registry: registrations, a delta, leaving."""

from material import KEYS, stream

from p2pwire import registration
from p2pwire.keys import pss_verify


def registrations():
    entries = [
        {"name": "zebra.txt", "size": 3, "root": stream("r1", 32).hex(), "sha256": stream("s1", 32).hex(), "version": 2},
        {"name": "Ärger.txt", "size": 2**50, "root": stream("r2", 32).hex(), "sha256": None, "version": 1},
        {"name": "apple", "size": 0, "root": "00" * 32, "sha256": stream("s3", 32).hex(), "version": 0},
    ]  # fmt: skip
    cases = []
    for name in ("client", "server"):
        peer = KEYS[name].peer_id
        full = {
            "peer_id": peer,
            "seq": 5,
            "expires_at": 1_900_000_000,
            "ip": "192.0.2.7",
            "port": 9000,
            "entries": entries,
        }
        bare = {
            "peer_id": peer,
            "seq": 1,
            "expires_at": 1_900_000_000,
            "ip": "",
            "port": 65535,
            "entries": [],
        }
        six = {
            "peer_id": peer,
            "seq": 2**53,
            "expires_at": 1,
            "ip": "2001:db8::1",
            "port": 1,
            "entries": entries[:1],
        }
        delta = {
            "peer_id": peer,
            "seq": 6,
            "base": 5,
            "removed": ["zebra.txt", "apple"],
            "added": entries[1:2],
        }
        leave = {"peer_id": peer, "seq": 7}
        cases += [signed(name, "registration", r, registration.registration_bytes) for r in (full, bare, six)]
        named = {**full, "kind": 1, "name": "Küche", "addresses": ["203.0.113.9:9000", "[2001:db8::2]:9001"]}
        nameless = {**bare, "kind": 0, "name": "", "addresses": []}
        cases += [
            signed(name, "registration 2", r, registration.registration2_bytes) for r in (named, nameless)
        ]
        cases += [signed(name, "delta", delta, registration.delta_bytes)]
        cases += [signed(name, "leave", leave, registration.leave_bytes)]
    return cases


def signed(key, kind, fields, canonical):
    text, salt = canonical(**fields), stream(f"{kind} {fields}", 32)
    signature = KEYS[key].sign(text, salt)
    assert pss_verify(KEYS[key].spki, text, signature)
    return {
        "kind": kind,
        "key": key,
        "fields": fields,
        "canonical": text,
        "pss_salt": salt,
        "signature": signature,
    }

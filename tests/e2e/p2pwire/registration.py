"""The bytes a peer signs when it registers, changes its list, or leaves."""

import struct


def _text(form, data):
    return struct.pack(form, len(data)) + data


def entry_bytes(entry):
    """entry: dict with name, size, root and sha256 in hex (or missing), version."""
    sha256 = bytes.fromhex(entry.get("sha256") or "00" * 32)
    name = _text(">H", entry["name"].encode())
    numbers = struct.pack(">Q", entry["size"])
    version = struct.pack(">I", entry.get("version", 0))
    return name + numbers + bytes.fromhex(entry["root"]) + sha256 + version


def _entries(entries):
    ordered = sorted(entries, key=lambda e: e["name"].encode())
    return struct.pack(">I", len(ordered)) + b"".join(map(entry_bytes, ordered))


def registration_bytes(peer_id, seq, expires_at, ip, port, entries):
    head = b"p2p/2 registration\x00" + bytes.fromhex(peer_id)
    numbers = struct.pack(">QQ", seq, expires_at)
    return head + numbers + _text(">B", ip.encode()) + struct.pack(">H", port) + _entries(entries)


def registration2_bytes(peer_id, seq, expires_at, ip, port, entries, kind=0, name="", addresses=()):
    """What the second signature covers: the first, the kind, the name and further addresses."""
    first = registration_bytes(peer_id, seq, expires_at, ip, port, entries)
    rest = first.removeprefix(b"p2p/2 registration\x00")
    more = struct.pack(">B", kind) + _text(">H", name.encode()) + _text(">H", " ".join(addresses).encode())
    return b"p2p/2 registration 2\x00" + rest + more


def delta_bytes(peer_id, seq, base, removed, added):
    head = b"p2p/2 delta\x00" + bytes.fromhex(peer_id) + struct.pack(">QQ", seq, base)
    names = sorted(name.encode() for name in removed)
    return (
        head + struct.pack(">I", len(names)) + b"".join(_text(">H", name) for name in names) + _entries(added)
    )


def leave_bytes(peer_id, seq):
    return b"p2p/2 leave\x00" + bytes.fromhex(peer_id) + struct.pack(">Q", seq)

"""What the vectors are made of: keys from keys/, bytes that look random, and their form in JSON."""

import hashlib
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))

from p2pwire.keys import Identity  # noqa: E402

KEYS = {name: Identity.load(HERE / "keys" / f"{name}.pem") for name in ("client", "server", "stranger")}


def stream(label, length):
    """Bytes that look random and are always the same."""
    return hashlib.shake_256(f"p2p test vectors: {label}".encode()).digest(length)


def pattern(length):
    """File content for the trees: byte i is the top byte of i * 2654435761 modulo 2^32."""
    return bytes(((i * 2654435761) & 0xFFFFFFFF) >> 24 for i in range(length))


def plain(value):
    """Bytes as hex, dataclasses as objects, for JSON."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value if isinstance(value, (int, str, bool, type(None))) else plain(vars(value))

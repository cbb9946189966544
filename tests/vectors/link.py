#!/usr/bin/env python3
"""What is derived from the secret of a link (docs/PROTOCOL.md, "Links"), for tests/unit/test_guest_links.c."""

import hashlib
import hmac


def sha(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


secret = bytes(range(16))
prk = sha(bytes(32), secret)
mac = sha(prk, b"p2p link mac\x01")
print("box  ", sha(prk, b"p2p link box\x01")[:16].hex())
print("mac  ", mac.hex())
print("guest", sha(prk, b"p2p link guest\x01").hex())
print("pin  ", sha(mac, b"p2p link pin2468\x01")[:16].hex())

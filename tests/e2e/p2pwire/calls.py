"""Calls, answers and boxes, as docs/PROTOCOL.md and docs/HTTP.md describe them."""

import base64
import os
import struct
import time


def short(text):
    return bytes([len(text)]) + text.encode()


def canonical(message):
    """What is signed of a call or an answer."""
    is_call = message["type"] == "offer"
    signed = b"p2p/2 reach\0" + bytes([1 if is_call else 2]) + bytes.fromhex(message["session"])
    signed += bytes.fromhex(message["from"]) + short(message["to"]) + short(message["reply"] if is_call else "")
    signed += struct.pack(">Q", message["expires"]) + b"\0\0" + bytes(32) + b"\0\0"
    if not is_call:
        relay = message["relay"]
        signed += short(f"{relay['host']}:{relay['port']}") + short(relay["token"])
    return signed


def sign(identity, message):
    return {**message, "sig": base64.b64encode(identity.sign(canonical(message))).decode()}


def call(identity, to, **change):
    """A signed call; `change` is signed, too."""
    message = {
        "v": 1, "type": "offer", "session": os.urandom(16).hex(), "from": identity.peer_id, "to": to,
        "key": identity.pem.decode(), "expires": int(time.time()) + 30, "reply": os.urandom(16).hex(),
    }  # fmt: skip
    return sign(identity, {**message, **change})


def login(identity, expires=None):
    """The header with which a peer reads its own box."""
    expires = int(time.time()) + 600 if expires is None else expires
    signed = b"p2p/2 poll\0" + bytes.fromhex(identity.peer_id) + struct.pack(">Q", expires)
    return {"Authorization": f"P2P {expires}.{base64.b64encode(identity.sign(signed)).decode()}"}


def relay_request(identity, its_call, expires=None):
    """Asks for tokens, as the one who was called."""
    expires = int(time.time()) + 30 if expires is None else expires
    signed = b"p2p/2 relay\0" + bytes.fromhex(its_call["session"] + its_call["from"] + its_call["to"])
    signed += struct.pack(">Q", expires)
    return {"call": its_call, "expires": expires, "signature": base64.b64encode(identity.sign(signed)).decode()}

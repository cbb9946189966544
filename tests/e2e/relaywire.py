"""A client of p2p-relay, written from docs/PROTOCOL.md, and its tokens."""

import base64
import hashlib
import hmac
import os
import socket
import struct
import time

CALLER, CALLEE = 0, 1


def token(secret, session, side, *, source=b"\1" * 32, target=b"\2" * 32, expires=None, size=0):
    """secret: the text of the file."""
    expires = int(time.time()) + 60 if expires is None else expires
    body = struct.pack(">Q", expires) + session + source + target + bytes([side]) + struct.pack(">Q", size)
    mac = hmac.new(hashlib.sha256(secret.rstrip().encode()).digest(), body, hashlib.sha256).digest()[:16]
    return base64.urlsafe_b64encode(body + mac).rstrip(b"=")


def connect(address, text):
    """A connection that has shown its token."""
    connection = socket.create_connection(address, 60)
    connection.sendall(b"P2PRELAY1 " + text + b"\n")
    return connection


def answer(connection):
    """The line without its end; b"" if the relay has closed the connection."""
    line = b""
    while not line.endswith(b"\n"):
        byte = connection.recv(1)
        if not byte:
            return line
        line += byte
    return line[:-1]


def join(address, secret, **kwargs):
    """Two joined connections."""
    session = os.urandom(16)
    callee = connect(address, token(secret, session, CALLEE, **kwargs))
    caller = connect(address, token(secret, session, CALLER, **kwargs))
    assert answer(caller) == answer(callee) == b"+"
    return caller, callee

"""A client of p2p-peer's control socket: frames of a length and JSON."""

import json
import os
import socket
import struct


def connect(keys, timeout=30.0):
    """The path of a socket may be too long for an address; the path through a descriptor is not."""
    folder = os.open(keys, os.O_PATH | os.O_DIRECTORY)
    try:
        sock = socket.socket(socket.AF_UNIX)
        try:  # blocking: with a timeout, a full backlog is an error instead of a wait
            sock.connect(f"/proc/self/fd/{folder}/control.sock")
            sock.settimeout(timeout)
        except BaseException:
            sock.close()
            raise
        return sock
    finally:
        os.close(folder)


def read(sock, length):
    data = b""
    while len(data) < length:
        part = sock.recv(length - len(data))
        if not part:
            raise ConnectionResetError
        data += part
    return data


def send(sock, message):
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    sock.sendall(struct.pack(">I", len(body)) + body)


def receive(sock):
    return json.loads(read(sock, struct.unpack(">I", read(sock, 4))[0]))


def ask(keys, verb, **members):
    with connect(keys) as sock:
        send(sock, {"verb": verb, **members})
        return receive(sock)


def is_closed(sock):
    """True when the peer has ended the connection without a further byte."""
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True

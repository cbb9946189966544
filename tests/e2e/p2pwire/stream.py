"""A TCP connection with exact reads and one deadline for each operation."""

import errno
import socket
import struct


class Closed(Exception):
    """The other side closed or reset the connection."""


class Stream:
    def __init__(self, sock, timeout=10.0):
        self.sock = sock
        self.sock.settimeout(timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @classmethod
    def connect(cls, address, timeout=10.0, source=None):
        """`address` may be a connection that there is already, for example through a relay."""
        if isinstance(address, socket.socket):
            return cls(address, timeout)
        return cls(socket.create_connection(address, timeout, source_address=source), timeout)

    def send(self, data, piece=None):
        """Sends everything; with piece, in segments of that many bytes."""
        step = piece or len(data) or 1
        try:
            for at in range(0, len(data), step):
                self.sock.sendall(data[at : at + step])
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Closed(str(error)) from error

    def read(self, count):
        data = bytearray()
        while len(data) < count:
            try:
                piece = self.sock.recv(count - len(data))
            except ConnectionResetError as error:
                raise Closed("reset") from error
            if not piece:
                raise Closed(f"closed after {len(data)} of {count} bytes")
            data += piece
        return bytes(data)

    def read_frame(self, limit=1 << 26):
        """The body of a frame: nonce, ciphertext, tag."""
        (length,) = struct.unpack(">I", self.read(4))
        if length > limit:
            raise ValueError(f"frame of {length} bytes")
        return self.read(length)

    def expect_close(self, timeout=15.0):
        """Waits for the end of the stream; AssertionError if bytes come first, TimeoutError if it does not come."""
        self.sock.settimeout(timeout)
        try:
            data = self.sock.recv(4096)
        except ConnectionResetError:
            return
        assert data == b"", f"expected a close, got {len(data)} bytes: {data[:40]!r}"

    def half_close(self):
        """Ends our direction; does nothing if the other side has already reset the connection."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            if error.errno != errno.ENOTCONN:
                raise

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

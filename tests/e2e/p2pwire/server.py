"""A server of protocol 2 for `p2p get`. It is honest; tests override a method to make it lie."""

import contextlib
import hashlib
import socket
import threading

from . import msg
from .handshake import M1_LEN, M3_BODY, M5_BODY, HandshakeError, ServerHandshake
from .keys import Identity
from .stream import Closed, Stream
from .tree import layer_of, root_of


class File:
    def __init__(self, name, data, chunk_size):
        self.name, self.data, self.chunk_size = name, data, chunk_size
        self.root = root_of(data)
        self.layer = layer_of(data, chunk_size)
        self.sha256 = hashlib.sha256(data).digest()


class Connection:
    """One accepted connection after the handshake."""

    def __init__(self, stream, shake):
        self.stream, self.shake = stream, shake
        self.lock = threading.Lock()

    def send(self, message):
        plaintext = message if isinstance(message, bytes) else msg.encode(message)
        with self.lock:
            self.stream.send(self.shake.s2c.seal(plaintext))

    def receive(self):
        return msg.decode(self.shake.c2s.open(self.stream.read_frame()))


class Server:
    """Serves `files` ({name: bytes}) on a free port of 127.0.0.1 until closed."""

    def __init__(self, files, identity=None, chunk_size=1 << 20, port=0, name=b""):
        self.name = name
        self.identity = identity or Identity()
        self.files = {name: File(name, data, chunk_size) for name, data in files.items()}
        self.by_root = {file.root: file for file in self.files.values()}
        self.requests = []  # every message received, over all connections
        self.failures = []  # wrong handshakes and records: a fault of the client
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", port))
        self.address = self.listener.getsockname()
        self.sockets = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def where(self):
        return f"{self.address[0]}:{self.address[1]}"

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.sockets.append(sock)
            self.connections += 1
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        try:
            stream = Stream(sock, timeout=60)
            self.run(Connection(stream, self.shake_hands(stream)))
        except (Closed, OSError):
            pass
        except (HandshakeError, msg.Malformed, AssertionError) as error:
            self.failures.append(error)
        except Exception as error:  # a record that does not open
            self.failures.append(error)
        finally:
            sock.close()

    def shake_hands(self, stream):
        shake = ServerHandshake(self.identity)
        shake.read_m1(stream.read(M1_LEN))
        stream.send(shake.make_m2())
        shake.read_m3(stream.read_frame(limit=M3_BODY))
        stream.send(self.change_m4(shake.make_m4()))
        shake.read_m5(stream.read_frame(limit=M5_BODY))
        return shake

    def run(self, connection):
        handlers = {
            msg.MetaRequest: self.on_meta,
            msg.LayerRequest: self.on_layer,
            msg.Get: self.on_get,
            msg.ListRequest: self.on_list,
            msg.HashRequest: self.on_hash,
            msg.InfoRequest: self.on_info,
            msg.Ping: lambda c, m: c.send(msg.Pong(m.token)),
            msg.Cancel: lambda c, m: None,
            **self.more_handlers(),
        }
        while True:
            message = connection.receive()
            self.requests.append(message)
            if isinstance(message, msg.Close):
                return
            if not isinstance(message, msg.Rekey):
                handlers[type(message)](connection, message)

    def close(self):
        """Ends everything; a second call does nothing."""
        for sock in (self.listener, *self.sockets):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # --- what a test may override ---

    def more_handlers(self):
        """For requests that this server does not know."""
        return {}

    def change_m4(self, frame):
        return frame

    def meta_of(self, req, file):
        return msg.Meta(
            req, file.root, len(file.data), file.chunk_size, 1_700_000_000, 1, msg.SHA256_KNOWN,
            file.sha256, file.name.encode(),
        )  # fmt: skip

    def find(self, request):
        if request.by == msg.BY_NAME:
            return self.files.get(request.key.decode())
        return self.by_root.get(request.key)

    def on_meta(self, connection, request):
        file = self.find(request)
        if file:
            connection.send(self.meta_of(request.req, file))
        else:
            connection.send(msg.Error(request.req, msg.NOT_FOUND, b"not found"))

    def on_layer(self, connection, request):
        layer = self.layer_for(self.by_root[request.root])
        wanted = layer[request.first : request.first + request.count]
        for at in range(0, len(wanted), 1024):
            connection.send(msg.Layer(request.req, request.first + at, wanted[at : at + 1024]))

    def layer_for(self, file):
        return file.layer

    def on_get(self, connection, request):
        data = self.bytes_for(self.by_root[request.root], request)
        for at in range(0, len(data), 65536):
            last = msg.LAST if at + 65536 >= len(data) else 0
            connection.send(msg.Data(request.req, last, at, data[at : at + 65536]))

    def bytes_for(self, file, request):
        return file.data[request.offset : request.offset + request.length]

    def on_list(self, connection, request):
        entries = [msg.Entry(f.root, len(f.data), 0, n.encode()) for n, f in sorted(self.files.items())]
        connection.send(msg.List(request.req, entries))

    def on_hash(self, connection, request):
        connection.send(msg.Hash(request.req, self.by_root[request.root].sha256))

    def on_info(self, connection, request):
        connection.send(msg.Info(request.req, 0, 0, self.name, b"p2pwire"))

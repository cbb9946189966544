"""A client of protocol 2 over a socket."""

from . import msg
from .handshake import M1_LEN, M2_LEN, M4_BODY, ClientHandshake
from .keys import Identity
from .stream import Closed, Stream
from .tree import root_of_layer


class Refused(Exception):
    def __init__(self, error):
        super().__init__(f"{error.code}: {error.text.decode()}")
        self.code, self.text = error.code, error.text.decode()


class Client:
    """Connects and shakes hands; `piece` sends everything in segments of that many bytes."""

    def __init__(
        self, address, identity=None, expected_id=None, timeout=10.0, piece=None, rand=None, source=None
    ):
        self.identity = identity or Identity()
        self.stream = Stream.connect(address, timeout, source)
        self.piece = piece
        self.next_req = 1
        self.shake = ClientHandshake(self.identity, expected_id, rand)
        try:
            self._shake_hands()
        except BaseException:
            self.stream.close()
            raise

    def _shake_hands(self):
        shake, stream = self.shake, self.stream
        assert len(shake.make_m1()) == M1_LEN
        stream.send(shake.m1, self.piece)
        shake.read_m2(stream.read(M2_LEN))
        stream.send(shake.make_m3(), self.piece)
        body = stream.read_frame(limit=M4_BODY)
        shake.read_m4(body)
        self.server_id = shake.server_id
        stream.send(shake.make_m5(), self.piece)

    # --- records ---

    def send(self, message):
        plaintext = message if isinstance(message, bytes) else msg.encode(message)
        self.stream.send(self.shake.c2s.seal(plaintext), self.piece)

    def receive_plaintext(self):
        return self.shake.s2c.open(self.stream.read_frame())

    def receive(self):
        """The next message; REKEY is handled here and not returned."""
        while True:
            message = msg.decode(self.receive_plaintext())
            if not isinstance(message, msg.Rekey):
                return message

    def new_req(self):
        self.next_req += 1
        return self.next_req - 1

    def expect(self, kind, req=None):
        message = self.receive()
        if isinstance(message, msg.Error) and kind is not msg.Error:
            raise Refused(message)
        if isinstance(message, msg.Close) and kind is not msg.Close:
            raise Closed
        assert isinstance(message, kind), message
        assert req is None or message.req == req, message
        return message

    def ask(self, kind, request):
        self.send(request)
        return self.expect(kind, request.req)

    def close(self):
        self.stream.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # --- requests ---

    def meta(self, name=None, root=None):
        by, key = (msg.BY_ROOT, root) if root is not None else (msg.BY_NAME, name.encode())
        return self.ask(msg.Meta, msg.MetaRequest(self.new_req(), by, key))

    def layer(self, root, first, count):
        """The requested hashes, from as many LAYER records as necessary."""
        request = msg.LayerRequest(self.new_req(), root, first, count)
        self.send(request)
        hashes = []
        while len(hashes) < count:
            answer = self.expect(msg.Layer, request.req)
            assert answer.first == first + len(hashes), "LAYER records out of order"
            assert 0 < len(answer.hashes) <= 1024
            hashes += answer.hashes
        assert len(hashes) == count
        return hashes

    def leaves(self, root, first, count):
        return self.ask(msg.Leaves, msg.LeavesRequest(self.new_req(), root, first, count))

    def get(self, root, offset, length):
        request = msg.Get(self.new_req(), root, offset, length)
        self.send(request)
        return self.read_data(request.req, length)

    def read_data(self, req, length):
        """The bytes of one GET, when no other request is in flight."""
        data, last = b"", False
        while not last:
            piece = self.expect(msg.Data, req)
            assert piece.flags in (0, msg.LAST), "flags nobody offered"
            assert piece.offset == len(data) and len(piece.data) <= 65536
            data, last = data + piece.data, bool(piece.flags & msg.LAST)
        assert len(data) == length
        return data

    def fetch(self, name):
        """A whole file; the layer is checked against the root."""
        meta = self.meta(name)
        count = -(-meta.size // meta.chunk_size)
        layer = self.layer(meta.root, 0, count) if count else []
        if count:
            assert root_of_layer(layer, meta.size, meta.chunk_size) == meta.root
        starts = range(0, meta.size, meta.chunk_size)
        return b"".join(self.get(meta.root, at, min(meta.chunk_size, meta.size - at)) for at in starts)

    def list_page(self, cursor=b""):
        return self.ask(msg.List, msg.ListRequest(self.new_req(), cursor))

    def list_all(self, folders=False):
        """folders: includes the empty ones."""
        entries, cursor, pages = [], b"", 0
        while pages == 0 or cursor:
            page = self.list_page(cursor)
            entries, cursor, pages = entries + page.entries, page.next_cursor, pages + 1
            assert pages < 10000
        return [e for e in entries if folders or not e.name.endswith(b"/")]

    def hash(self, root):
        return self.ask(msg.Hash, msg.HashRequest(self.new_req(), root)).sha256

    def info(self, name=b"", kind=0):
        """Sends INFO? with this device's data and returns the answer."""
        return self.ask(msg.Info, msg.InfoRequest(self.new_req(), kind, 0, name, b"p2pwire"))

    def ping(self, token):
        self.send(msg.Ping(token))
        assert self.expect(msg.Pong).token == token

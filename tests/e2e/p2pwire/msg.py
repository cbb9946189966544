"""Every message of protocol 2's table: a dataclass each, encode beside decode."""

import struct
import unicodedata
from dataclasses import dataclass, field


class Malformed(Exception):
    pass


class Cursor:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        piece = self.data[self.at : self.at + count]
        if len(piece) != count:
            raise Malformed("message ends early")
        self.at += count
        return piece

    def number(self, form):
        return struct.unpack(">" + form, self.take(struct.calcsize(form)))[0]

    def text(self):
        return self.take(self.number("H"))

    def rest(self):
        return self.take(len(self.data) - self.at)

    def finish(self):
        if self.at != len(self.data):
            raise Malformed("bytes left over")


def text16(data):
    return struct.pack(">H", len(data)) + data


BY_NAME, BY_ROOT = 0, 1
SHA256_KNOWN = 1
ACCEPT_ZSTD = 1
LAST, ZSTD = 1, 2
NOT_FOUND, MALFORMED, OUT_OF_RANGE, NOT_ALLOWED, BUSY, FILE_CHANGED, INTERNAL, TOO_MANY = range(1, 9)


@dataclass
class MetaRequest:
    TYPE = 0x10
    req: int
    by: int
    key: bytes  # a name in UTF-8, or a root

    def body(self):
        return struct.pack(">IB", self.req, self.by) + text16(self.key)

    @classmethod
    def parse(cls, c):
        return cls(c.number("I"), c.number("B"), c.text())


@dataclass
class Meta:
    TYPE = 0x11
    req: int
    root: bytes
    size: int
    chunk_size: int
    mtime: int
    version: int
    flags: int
    sha256: bytes
    name: bytes

    def body(self):
        numbers = struct.pack(">QIQIB", self.size, self.chunk_size, self.mtime, self.version, self.flags)
        return struct.pack(">I", self.req) + self.root + numbers + self.sha256 + text16(self.name)

    @classmethod
    def parse(cls, c):
        return cls(
            c.number("I"), c.take(32), c.number("Q"), c.number("I"), c.number("Q"),
            c.number("I"), c.number("B"), c.take(32), c.text(),
        )  # fmt: skip


@dataclass
class LayerRequest:
    TYPE = 0x12
    req: int
    root: bytes
    first: int
    count: int

    def body(self):
        return struct.pack(">I", self.req) + self.root + struct.pack(">QI", self.first, self.count)

    @classmethod
    def parse(cls, c):
        return cls(c.number("I"), c.take(32), c.number("Q"), c.number("I"))


@dataclass
class Layer:
    TYPE = 0x13
    req: int
    first: int
    hashes: list

    def body(self):
        return struct.pack(">IQI", self.req, self.first, len(self.hashes)) + b"".join(self.hashes)

    @classmethod
    def parse(cls, c):
        req, first, count = c.number("I"), c.number("Q"), c.number("I")
        return cls(req, first, [c.take(32) for _ in range(count)])


@dataclass
class Get:
    TYPE = 0x14
    req: int
    root: bytes
    offset: int
    length: int
    flags: int = 0

    def body(self):
        numbers = struct.pack(">QIB", self.offset, self.length, self.flags)
        return struct.pack(">I", self.req) + self.root + numbers

    @classmethod
    def parse(cls, c):
        return cls(c.number("I"), c.take(32), c.number("Q"), c.number("I"), c.number("B"))


@dataclass
class Data:
    TYPE = 0x15
    req: int
    flags: int
    offset: int
    data: bytes

    def body(self):
        return struct.pack(">IBI", self.req, self.flags, self.offset) + self.data

    @classmethod
    def parse(cls, c):
        return cls(c.number("I"), c.number("B"), c.number("I"), c.rest())


@dataclass
class Cancel:
    TYPE = 0x16
    req: int

    def body(self):
        return struct.pack(">I", self.req)

    @classmethod
    def parse(cls, c):
        return cls(c.number("I"))


@dataclass
class ListRequest:
    TYPE = 0x17
    req: int
    cursor: bytes = b""

    def body(self):
        return struct.pack(">I", self.req) + text16(self.cursor)

    @classmethod
    def parse(cls, c):
        return cls(c.number("I"), c.text())


@dataclass
class Entry:
    root: bytes
    size: int
    mtime: int
    name: bytes


@dataclass
class List:
    TYPE = 0x18
    req: int
    entries: list = field(default_factory=list)
    next_cursor: bytes = b""

    def body(self):
        packed = [e.root + struct.pack(">QQ", e.size, e.mtime) + text16(e.name) for e in self.entries]
        head = struct.pack(">IH", self.req, len(packed))
        return head + b"".join(packed) + text16(self.next_cursor)

    @classmethod
    def parse(cls, c):
        req, count = c.number("I"), c.number("H")
        entries = [Entry(c.take(32), c.number("Q"), c.number("Q"), c.text()) for _ in range(count)]
        return cls(req, entries, c.text())


@dataclass
class HashRequest:
    TYPE = 0x19
    req: int
    root: bytes

    def body(self):
        return struct.pack(">I", self.req) + self.root

    @classmethod
    def parse(cls, c):
        return cls(c.number("I"), c.take(32))


@dataclass
class Hash:
    TYPE = 0x1A
    req: int
    sha256: bytes

    def body(self):
        return struct.pack(">I", self.req) + self.sha256

    @classmethod
    def parse(cls, c):
        return cls(c.number("I"), c.take(32))


@dataclass
class Ping:
    TYPE = 0x1B
    token: int

    def body(self):
        return struct.pack(">Q", self.token)

    @classmethod
    def parse(cls, c):
        return cls(c.number("Q"))


class Pong(Ping):
    TYPE = 0x1C


@dataclass
class Error:
    TYPE = 0x1E
    req: int
    code: int
    text: bytes

    def body(self):
        return struct.pack(">IH", self.req, self.code) + text16(self.text)

    @classmethod
    def parse(cls, c):
        return cls(c.number("I"), c.number("H"), c.text())


@dataclass
class LeavesRequest:
    TYPE = 0x20
    req: int
    root: bytes
    first: int
    count: int

    def body(self):
        return struct.pack(">I", self.req) + self.root + struct.pack(">QH", self.first, self.count)

    @classmethod
    def parse(cls, c):
        return cls(c.number("I"), c.take(32), c.number("Q"), c.number("H"))


@dataclass
class Leaf:
    hash: bytes
    sum: int


@dataclass
class Leaves:
    TYPE = 0x21
    req: int
    first: int
    leaves: list

    def body(self):
        packed = [leaf.hash + struct.pack(">I", leaf.sum) for leaf in self.leaves]
        return struct.pack(">IQH", self.req, self.first, len(packed)) + b"".join(packed)

    @classmethod
    def parse(cls, c):
        req, first, count = c.number("I"), c.number("Q"), c.number("H")
        if count > 1024:
            raise Malformed("too many leaves")
        return cls(req, first, [Leaf(c.take(32), c.number("I")) for _ in range(count)])


@dataclass
class ChangesRequest:
    TYPE = 0x22
    req: int
    kind: int = 0
    log: int = 0
    after: int = 0
    wait: int = 0
    folder: bytes = b""

    def body(self):
        return struct.pack(">IBQQH", self.req, self.kind, self.log, self.after, self.wait) + text16(self.folder)

    @classmethod
    def parse(cls, c):
        message = cls(c.number("I"), c.number("B"), c.number("Q"), c.number("Q"), c.number("H"), c.text())
        if message.kind != 0:
            c.rest()
        return message


@dataclass
class Change:
    flags: int
    root: bytes
    size: int
    mtime_ns: int
    version: int
    change: int
    name: bytes


@dataclass
class Changes:
    TYPE = 0x23
    req: int
    flags: int
    log: int
    upto: int
    entries: list = field(default_factory=list)

    def body(self):
        packed = [
            bytes([e.flags]) + e.root + struct.pack(">QQIQ", e.size, e.mtime_ns, e.version, e.change) + text16(e.name)
            for e in self.entries
        ]
        return struct.pack(">IBQQBH", self.req, self.flags, self.log, self.upto, 0, len(packed)) + b"".join(packed)

    @classmethod
    def parse(cls, c):
        head = c.number("I"), c.number("B"), c.number("Q"), c.number("Q")
        _copies, count = c.number("B"), c.number("H")
        if count > 256:
            raise Malformed("too many changes")
        entries = [
            Change(c.number("B"), c.take(32), c.number("Q"), c.number("Q"), c.number("I"), c.number("Q"), c.text())
            for _ in range(count)
        ]
        return cls(*head, entries)


@dataclass
class HistoryRequest:
    TYPE = 0x24
    req: int
    name: bytes
    before: int = 0

    def body(self):
        return struct.pack(">I", self.req) + text16(self.name) + struct.pack(">I", self.before)

    @classmethod
    def parse(cls, c):
        return cls(c.number("I"), c.text(), c.number("I"))


CURRENT, KEPT = 1, 2


@dataclass
class Version:
    version: int
    flags: int
    size: int
    mtime_ns: int
    since: int
    until: int
    root: bytes


@dataclass
class History:
    TYPE = 0x25
    req: int
    versions: list = field(default_factory=list)
    next_before: int = 0

    def body(self):
        packed = [
            struct.pack(">IBQQQQ", v.version, v.flags, v.size, v.mtime_ns, v.since, v.until) + v.root
            for v in self.versions
        ]
        head = struct.pack(">IH", self.req, len(packed))
        return head + b"".join(packed) + struct.pack(">I", self.next_before)

    @classmethod
    def parse(cls, c):
        req, count = c.number("I"), c.number("H")
        if count > 128:
            raise Malformed("too many versions")
        rows = [
            Version(*(c.number(form) for form in "IBQQQQ"), c.take(32))
            for _ in range(count)
        ]
        return cls(req, rows, c.number("I"))


def is_shown(text):
    """Text that may be shown to people unchanged: at most 63 bytes, no hidden characters, no space at the ends."""
    try:
        shown = text.decode()
    except UnicodeDecodeError:
        return False
    hidden = any(unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") for c in shown)
    return len(text) <= 63 and not hidden and shown == shown.strip(" ")


@dataclass
class InfoRequest:
    """The sender's description of itself; INFO, the answer, has the same body."""

    TYPE = 0x28
    req: int
    kind: int = 0
    features: int = 0
    name: bytes = b""
    version: bytes = b""

    def body(self):
        return struct.pack(">IBI", self.req, self.kind, self.features) + text16(self.name) + text16(self.version)

    @classmethod
    def parse(cls, c):
        message = cls(c.number("I"), c.number("B"), c.number("I"), c.text(), c.text())
        if not is_shown(message.name) or not is_shown(message.version):
            raise Malformed("a name that cannot be shown")
        return message


class Info(InfoRequest):
    TYPE = 0x29


@dataclass
class Offer:
    """Files and a text for the other side's user; `items` are (root, size, name)."""

    TYPE = 0x2A
    req: int
    id: bytes
    flags: int = 0
    expires: int = 0
    items: list = field(default_factory=list)
    text: bytes = b""

    def body(self):
        items = b"".join(root + struct.pack(">Q", size) + text16(name) for root, size, name in self.items)
        head = struct.pack(">I", self.req) + self.id
        return head + struct.pack(">BQH", self.flags, self.expires, len(self.items)) + items + text16(self.text)

    @classmethod
    def parse(cls, c):
        message = cls(c.number("I"), c.take(16), c.number("B"), c.number("Q"))
        message.items = [(c.take(32), c.number("Q"), c.text()) for _ in range(c.number("H"))]
        message.text = c.text()
        if len(message.text) > 4096:
            raise Malformed("a long text")
        return message


@dataclass
class Offered:
    TYPE = 0x2B
    req: int
    id: bytes
    state: int = 0

    def body(self):
        return struct.pack(">I", self.req) + self.id + bytes([self.state])

    @classmethod
    def parse(cls, c):
        message = cls(c.number("I"), c.take(16), c.number("B"))
        if message.state > 3:
            raise Malformed("an unknown state")
        return message


@dataclass
class Empty:
    def body(self):
        return b""

    @classmethod
    def parse(cls, _):
        return cls()


class Ready(Empty):
    TYPE = 5


class Rekey(Empty):
    TYPE = 6


class Close(Empty):
    TYPE = 7


MESSAGES = [
    Ready, Rekey, Close, MetaRequest, Meta, LayerRequest, Layer, Get, Data, Cancel,
    ListRequest, List, HashRequest, Hash, Ping, Pong, Error, InfoRequest, Info,
    LeavesRequest, Leaves, ChangesRequest, Changes, HistoryRequest, History, Offer, Offered,
]  # fmt: skip
BY_TYPE = {message.TYPE: message for message in MESSAGES}


def encode(message):
    return bytes([message.TYPE]) + message.body()


def decode(plaintext):
    if not plaintext or plaintext[0] not in BY_TYPE:
        raise Malformed("unknown type")
    cursor = Cursor(plaintext[1:])
    message = BY_TYPE[plaintext[0]].parse(cursor)
    cursor.finish()
    return message

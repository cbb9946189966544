"""A client of protocol 2 against p2p-peer: every message of docs/PROTOCOL.md's table."""

import hashlib
import os
import time

import pytest

from conftest import wait_until
from p2pwire import keys, msg, tree
from p2pwire.client import Client, Refused
from p2pwire.stream import Closed

CHUNK = 1 << 18
FILES = {
    "a.txt": b"alpha",
    "empty": b"",
    "block": os.urandom(16384),
    "chunk": os.urandom(CHUNK),
    "chunk and a byte": os.urandom(CHUNK + 1),
    "big.bin": os.urandom(9 * CHUNK + 54321),
    'emoji 😀 | "q".txt': b"names",
    "folder/inside.txt": b"inside a folder",
    "zeros.bin": bytes(3 * CHUNK),
}
NO_ROOT = b"\x01" * 32


@pytest.fixture(scope="module")
def peer(module_suite):
    return module_suite.peer("--chunk-size", "256K", files=FILES)


@pytest.fixture(scope="module")
def identity():
    return keys.Identity()


@pytest.fixture
def client(peer, identity):
    with Client(peer.address, identity) as client:
        yield client


def assert_serves(peer, identity):
    with Client(peer.address, identity) as other:
        assert other.fetch("a.txt") == FILES["a.txt"]


# --- META ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_meta_by_name_and_by_root(client, name):
    data = FILES[name]
    meta = client.meta(name)
    assert meta.root == tree.root_of(data)
    assert (meta.size, meta.chunk_size, meta.name.decode()) == (len(data), CHUNK, name)
    assert abs(meta.mtime - time.time()) < 3600
    if meta.flags & msg.SHA256_KNOWN:
        assert meta.sha256 == hashlib.sha256(data).digest()
    else:
        assert meta.sha256 == bytes(32)
    if data:
        by_root = client.meta(root=meta.root)
        assert (by_root.root, by_root.size) == (meta.root, meta.size)


@pytest.mark.parametrize(
    "name",
    [
        "nothing",
        "A.TXT",
        "../peer",
        "/etc/passwd",
        ".p2p/index.db",
        ".",
        "..",
        "",
        "folder",
        "folder/",
        "folder/../a.txt",
        "a" * 4000,
        "a.txt\x00",
    ],
)
def test_meta_of_names_that_are_not_shared(client, name):
    with pytest.raises(Refused) as refused:
        client.meta(name)
    assert refused.value.code in (msg.NOT_FOUND, msg.MALFORMED, msg.NOT_ALLOWED)
    client.ping(1)


def test_meta_of_bytes_that_are_no_text(client):
    with pytest.raises(Refused):
        client.ask(msg.Meta, msg.MetaRequest(1, msg.BY_NAME, b"\xff\xfe"))
    client.ping(1)


def test_meta_of_an_unknown_root(client):
    with pytest.raises(Refused) as refused:
        client.meta(root=NO_ROOT)
    assert refused.value.code == msg.NOT_FOUND


# --- LAYER -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [n for n in FILES if FILES[n]])
def test_layer(client, name):
    data = FILES[name]
    expected = tree.layer_of(data, CHUNK)
    assert client.layer(tree.root_of(data), 0, len(expected)) == expected
    for at in range(len(expected)):
        assert client.layer(tree.root_of(data), at, 1) == [expected[at]]


@pytest.mark.parametrize(
    "first,count", [(10, 1), (0, 11), (9, 2), (2**64 - 1, 1), (2**64 - 1, 2**32 - 1), (0, 2**32 - 1)]
)
def test_layer_out_of_range(client, first, count):
    client.send(msg.LayerRequest(3, tree.root_of(FILES["big.bin"]), first, count))
    assert client.expect(msg.Error, 3).code == msg.OUT_OF_RANGE
    client.ping(1)


def test_layer_of_more_than_a_record_holds(suite, identity):
    """1,100 chunks of 16 KiB: two LAYER records."""
    data = os.urandom(1100 * 16384 - 5)
    peer = suite.peer("--chunk-size", "16K", files={"many": data})
    with Client(peer.address, identity) as client:
        expected = tree.layer_of(data, 16384)
        assert client.layer(tree.root_of(data), 0, 1100) == expected
        assert client.layer(tree.root_of(data), 1000, 100) == expected[1000:]


# --- LEAVES ----------------------------------------------------------------------------------


def leaves_of(data, first, count):
    blocks = [data[at : at + tree.BLOCK] for at in range(0, len(data), tree.BLOCK)][first : first + count]
    return [msg.Leaf(keys.sha256(block), tree.sum_of(block)) for block in blocks]


@pytest.mark.parametrize("name", [n for n in FILES if FILES[n]])
def test_leaves(client, name):
    data = FILES[name]
    count = -(-len(data) // tree.BLOCK)
    for first, n in {(0, min(count, 20)), (count - 1, 1), (count // 2, 1)}:
        answer = client.leaves(tree.root_of(data), first, n)
        assert (answer.first, answer.leaves) == (first, leaves_of(data, first, n))


def test_as_many_leaves_as_allowed(suite, identity):
    """1,024 leaves in one answer, several requests in flight, and no more than that of one file."""
    data = os.urandom(1030 * tree.BLOCK - 5)
    peer = suite.peer(files={"many": data})
    root, hashes = tree.root_of(data), tree.leaves_of(data)
    with Client(peer.address, identity) as client:
        for req, first in ((5, 0), (6, 6)):
            client.send(msg.LeavesRequest(req, root, first, 1024))
        for req, first in ((5, 0), (6, 6)):
            got = client.expect(msg.Leaves, req)
            assert [leaf.hash for leaf in got.leaves] == hashes[first : first + 1024]
        for first, count in ((0, 1025), (7, 1024), (1030, 1), (0, 0), (2**64 - 1, 1), (2**64 - 1, 1024)):
            client.send(msg.LeavesRequest(9, root, first, count))
            assert client.expect(msg.Error, 9).code == msg.OUT_OF_RANGE, (first, count)
        client.ping(1)
        # Taken back while they are made; the connection goes on.
        client.send(msg.LeavesRequest(10, root, 0, 1024))
        client.send(msg.Cancel(10))
        client.send(msg.LeavesRequest(11, root, 0, 1))
        while (got := client.receive()).req != 11:
            assert got.req == 10 and isinstance(got, msg.Leaves), got
        assert got.leaves[0].hash == hashes[0]


def test_leaves_of_no_file(client):
    for root, code in ((NO_ROOT, msg.NOT_FOUND), (tree.root_of(b""), msg.OUT_OF_RANGE)):
        client.send(msg.LeavesRequest(3, root, 0, 1))
        assert client.expect(msg.Error, 3).code == code
    client.ping(1)


def test_leaves_of_a_file_that_changes(suite, identity):
    """What is sent is of the content that was asked for, or nothing is."""
    data = os.urandom(40 * tree.BLOCK)
    peer = suite.peer(files={"f": data})
    with Client(peer.address, identity) as client:
        root = tree.root_of(data)
        assert client.leaves(root, 0, 1).leaves == leaves_of(data, 0, 1)
        (peer.folder / "shared" / "f").write_bytes(data[:-1])
        client.send(msg.LeavesRequest(4, root, 0, 40))
        assert client.expect(msg.Error, 4).code in (msg.NOT_FOUND, msg.FILE_CHANGED, msg.BUSY)
        client.ping(1)


# --- GET and DATA ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_whole_files(client, name):
    assert client.fetch(name) == FILES[name]


def test_pieces_of_one_byte(peer, identity):
    with Client(peer.address, identity, piece=1) as client:
        assert client.fetch("a.txt") == FILES["a.txt"]


@pytest.mark.parametrize(
    "offset,length",
    [(0, 1), (1, 1), (16383, 2), (65535, 65537), (12345, CHUNK), (9 * CHUNK, 54321), (9 * CHUNK + 54320, 1)],
)
def test_ranges(client, offset, length):
    data = FILES["big.bin"]
    assert client.get(tree.root_of(data), offset, length) == data[offset : offset + length]


@pytest.mark.parametrize(
    "offset,length",
    [
        (9 * CHUNK + 54321, 1),
        (9 * CHUNK, CHUNK),
        (2**63, 1),
        (2**64 - 1, 1),
        (2**64 - 1, CHUNK),
        (0, CHUNK + 1),
        (0, 2**32 - 1),
        (0, 0),
    ],
)
def test_ranges_out_of_the_file(client, offset, length):
    client.send(msg.Get(5, tree.root_of(FILES["big.bin"]), offset, length))
    assert client.expect(msg.Error, 5).code in (msg.OUT_OF_RANGE, msg.MALFORMED)
    client.ping(1)


def test_get_of_an_unknown_root(client):
    client.send(msg.Get(6, NO_ROOT, 0, 1))
    assert client.expect(msg.Error, 6).code == msg.NOT_FOUND


def collect(client, wanted):
    """Reads DATA of several requests at once until each is complete: {req: bytes} and the order of reqs."""
    parts, order, open_reqs = {req: b"" for req in wanted}, [], set(wanted)
    while open_reqs:
        piece = client.expect(msg.Data)
        assert piece.req in open_reqs and piece.offset == len(parts[piece.req])
        parts[piece.req] += piece.data
        order.append(piece.req)
        if piece.flags & msg.LAST:
            open_reqs.remove(piece.req)
    return parts, order


def test_several_requests_in_flight(client):
    data = FILES["big.bin"]
    for i in range(9):
        client.send(msg.Get(100 + i, tree.root_of(data), i * CHUNK, CHUNK))
    parts, _ = collect(client, [100 + i for i in range(9)])
    for i in range(9):
        assert parts[100 + i] == data[i * CHUNK : (i + 1) * CHUNK]


def test_a_small_request_is_not_stuck_behind_large_ones(client):
    """DATA of different requests is interleaved: a ping and a META overtake 40 chunks."""
    root = tree.root_of(FILES["big.bin"])
    for i in range(40):
        client.send(msg.Get(i + 1, root, (i % 9) * CHUNK, CHUNK))
    client.send(msg.Ping(99))
    client.send(msg.MetaRequest(1000, msg.BY_NAME, b"a.txt"))
    finished, early = 0, set()
    while finished < 40 or len(early) < 2:
        message = client.receive()
        if isinstance(message, msg.Data):
            finished += bool(message.flags & msg.LAST)
        else:
            assert finished < 40, "answered only after everything else"
            early.add(type(message))
    assert early == {msg.Pong, msg.Meta}


def test_zstd_is_offered_only_when_asked_for_and_is_bounded(client):
    """With flag 1 the server may compress: what comes decodes to the right bytes either way."""
    root = tree.root_of(FILES["zeros.bin"])
    client.send(msg.Get(7, root, 0, CHUNK, msg.ACCEPT_ZSTD))
    data, last = b"", False
    while not last:
        piece = client.expect(msg.Data, 7)
        plain = unzstd(piece.data) if piece.flags & msg.ZSTD else piece.data
        assert piece.offset == len(data) and len(plain) <= 65536
        data, last = data + plain, bool(piece.flags & msg.LAST)
    assert data == bytes(CHUNK)


def unzstd(data):
    import ctypes

    library = ctypes.CDLL("libzstd.so.1")
    library.ZSTD_getFrameContentSize.restype = ctypes.c_ulonglong
    size = library.ZSTD_getFrameContentSize(data, ctypes.c_size_t(len(data)))
    assert size <= 65536, "a frame must state its size"
    out = ctypes.create_string_buffer(size or 1)
    library.ZSTD_decompress.restype = ctypes.c_size_t
    assert library.ZSTD_decompress(out, ctypes.c_size_t(size), data, ctypes.c_size_t(len(data))) == size
    return out.raw[:size]


# --- CANCEL, flow and limits -----------------------------------------------------------------


def test_cancel_frees_the_connection(client):
    root = tree.root_of(FILES["big.bin"])
    for i in range(30):
        client.send(msg.Get(i + 1, root, (i % 9) * CHUNK, CHUNK))
    for i in range(30):
        client.send(msg.Cancel(i + 1))
    client.send(msg.Ping(5))
    while not isinstance(client.receive(), msg.Pong):
        pass
    client.send(msg.Get(31, root, 0, 10))
    while True:  # data in flight at the cancel may still arrive, but nothing after it
        message = client.receive()
        if message.req == 31:
            break
    assert message.data == FILES["big.bin"][:10]


def test_cancel_of_nothing_is_nothing(client):
    client.send(msg.Cancel(77))
    client.ping(1)


def test_the_65th_request(client, peer):
    root = tree.root_of(FILES["big.bin"])
    frames = [msg.Get(i + 1, root, 0, CHUNK) for i in range(200)]
    client.stream.send(b"".join(client.shake.c2s.seal(msg.encode(m)) for m in frames))
    done, refused = set(), set()
    while len(done) + len(refused) < 200:
        message = client.receive()
        if isinstance(message, msg.Error):
            assert message.code == msg.TOO_MANY
            refused.add(message.req)
        elif message.flags & msg.LAST:
            done.add(message.req)
    assert len(done) >= 64 and refused, (len(done), len(refused))
    assert not done & refused
    client.ping(1)


def test_64_requests_are_allowed(client):
    root = tree.root_of(FILES["big.bin"])
    frames = [msg.Get(i + 1, root, i, 1) for i in range(64)]
    client.stream.send(b"".join(client.shake.c2s.seal(msg.encode(m)) for m in frames))
    parts, _ = collect(client, range(1, 65))
    assert b"".join(parts[i + 1] for i in range(64)) == FILES["big.bin"][:64]


def test_unread_answers_do_not_pile_up(peer, identity):
    before = peer.memory_kib()
    root = tree.root_of(FILES["big.bin"])
    with Client(peer.address, identity) as client:
        client.stream.sock.settimeout(2)
        try:
            for i in range(2000):
                client.send(msg.Get(i + 1, root, 0, CHUNK))
        except (TimeoutError, Closed, OSError):
            pass
        assert_serves(peer, identity)
        assert peer.memory_kib() - before < 24 * 1024


# --- LIST ------------------------------------------------------------------------------------


def test_list(client):
    entries = {e.name.decode(): e for e in client.list_all()}
    assert set(entries) == set(FILES)
    for name, data in FILES.items():
        assert (entries[name].root, entries[name].size) == (tree.root_of(data), len(data))


def test_list_in_pages(suite, identity):
    files = {f"{'n' * 200}{i:05}": b"%d" % i for i in range(1500)}
    peer = suite.peer(files=files, wait=False)
    with Client(peer.address, identity) as client:
        wait_until(lambda: len(client.list_all()) == 1500, 60, "1500 names listed")
        first = client.list_page()
        assert first.next_cursor and len(first.entries) < 1500, "300 KB of names do not fit one record"
        names = [e.name.decode() for e in client.list_all()]
        assert sorted(names) == sorted(files) and len(set(names)) == 1500


@pytest.mark.parametrize("cursor", [b"\xff\xff", b"zzzz" * 1000, b"../..", b"\x00"])
def test_list_with_a_cursor_nobody_gave(client, cursor):
    client.send(msg.ListRequest(3, cursor))
    assert isinstance(client.receive(), (msg.List, msg.Error))
    client.ping(1)


# --- HASH, PING ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.txt", "big.bin", "zeros.bin"])
def test_hash(client, name):
    assert client.hash(tree.root_of(FILES[name])) == hashlib.sha256(FILES[name]).digest()


def test_hash_of_an_unknown_root(client):
    with pytest.raises(Refused) as refused:
        client.hash(NO_ROOT)
    assert refused.value.code == msg.NOT_FOUND


def test_ping(client):
    for token in (0, 1, 2**64 - 1):
        client.ping(token)


# --- messages that are wrong -----------------------------------------------------------------


@pytest.mark.parametrize("kind", [0x00, 0x01, 0x0F, 0x1D, 0x1F, 0x2C, 0x7F, 0xFF])
def test_unknown_types(client, kind):
    client.send(bytes([kind]) + bytes(20))
    assert client.expect(msg.Error).code == msg.MALFORMED
    client.ping(1)


@pytest.mark.parametrize(
    "message",
    [
        msg.MetaRequest(1, 0, b"a.txt"),
        msg.LayerRequest(1, NO_ROOT, 0, 1),
        msg.Get(1, NO_ROOT, 0, 1),
        msg.Cancel(1),
        msg.ListRequest(1),
        msg.HashRequest(1, NO_ROOT),
        msg.Ping(1),
    ],
    ids=lambda m: type(m).__name__,
)
def test_bytes_left_over_are_an_error_and_the_end(client, message):
    client.send(msg.encode(message) + b"\x00")
    assert client.expect(msg.Error).code == msg.MALFORMED
    with pytest.raises(Closed):
        while not isinstance(client.receive(), msg.Data):
            pass


@pytest.mark.parametrize(
    "message",
    [
        msg.MetaRequest(1, 0, b"a.txt"),
        msg.LayerRequest(1, NO_ROOT, 0, 1),
        msg.Get(1, NO_ROOT, 0, 1),
        msg.Cancel(1),
        msg.ListRequest(1, b"x"),
        msg.HashRequest(1, NO_ROOT),
        msg.Ping(1),
    ],
    ids=lambda m: type(m).__name__,
)
def test_messages_cut_short(peer, identity, message):
    """Every prefix: an ERROR or a close, and no effect on other connections."""
    whole = msg.encode(message)
    for cut in {1, 2, len(whole) // 2, len(whole) - 1}:
        with Client(peer.address, identity) as client:
            client.send(whole[:cut])
            try:
                assert client.expect(msg.Error).code == msg.MALFORMED
            except Closed:
                pass
    assert_serves(peer, identity)


@pytest.mark.parametrize(
    "message",
    [
        msg.Meta(1, NO_ROOT, 1, CHUNK, 0, 0, 0, NO_ROOT, b"x"),
        msg.Layer(1, 0, [NO_ROOT]),
        msg.Data(1, 1, 0, b"x"),
        msg.List(1),
        msg.Hash(1, NO_ROOT),
        msg.Pong(1),
    ],
    ids=lambda m: type(m).__name__,
)
def test_a_servers_messages_sent_by_a_client(peer, identity, client, message):
    """These messages have no effect: an ERROR, a close, or nothing for PONG."""
    client.send(message)
    try:
        client.send(msg.Ping(4))
        answer = client.receive()
        if isinstance(answer, msg.Error):
            assert answer.code in (msg.MALFORMED, msg.NOT_ALLOWED)
        else:
            assert isinstance(message, msg.Pong) and answer.token == 4
    except Closed:
        pass
    assert_serves(peer, identity)


def test_close_is_the_end(client):
    client.send(msg.Close())
    try:
        assert isinstance(client.receive(), msg.Close)
        client.stream.expect_close()
    except Closed:
        pass


def test_a_client_may_rekey(client):
    client.send(msg.Rekey())
    client.ping(1)
    client.send(msg.Rekey())
    client.send(msg.Rekey())
    assert client.fetch("a.txt") == FILES["a.txt"]
    assert client.shake.c2s.epoch == 4

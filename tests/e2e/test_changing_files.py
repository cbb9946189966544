"""Files that change while p2p-peer serves them: a client gets bytes of the requested root, or an error."""

import hashlib
import os

import pytest

from conftest import wait_until
from p2pwire import keys, msg, tree
from p2pwire.client import Client, Refused


@pytest.fixture(scope="module")
def identity():
    return keys.Identity()


def test_a_changed_file_gets_a_new_root_and_the_old_one_error_6(suite, identity):
    peer = suite.peer("--chunk-size", "64K", files={"f": b"old" * 50000})
    with Client(peer.address, identity) as client:
        old = client.meta("f")
        (peer.shared / "f").write_bytes(b"new" * 50000)
        wait_until(lambda: settled(client, b"new" * 50000), what="a new root")
        assert client.fetch("f") == b"new" * 50000
        client.send(msg.Get(500, old.root, 0, 100))
        assert client.expect(msg.Error, 500).code in (msg.FILE_CHANGED, msg.NOT_FOUND)


def test_a_file_changed_in_place_is_never_served_mixed(suite, identity):
    """Each GET returns bytes of the root that it names, or an error. Checked chunk by chunk while the file is
    rewritten.
    """
    size, chunk = 4 << 20, 1 << 16
    contents = [bytes([65 + i]) * size for i in range(4)]
    peer = suite.peer("--chunk-size", "64K", files={"f": contents[0]})
    seen = set()
    with Client(peer.address, identity) as client:
        for content in contents[1:]:
            meta, layer = wait_until(lambda: described(client, size // chunk), what="a file that rests")
            with open(peer.shared / "f", "r+b") as file:
                file.write(content[: size // 2])
                file.flush()
                for index in range(0, size // chunk, 7):
                    try:
                        data = client.get(meta.root, index * chunk, chunk)
                    except Refused as refused:
                        assert refused.code in (msg.FILE_CHANGED, msg.NOT_FOUND)
                        continue
                    if tree.root_of(data) != layer[index]:
                        seen.add("mixed")
                file.write(content[size // 2 :])
            wait_until(lambda: settled(client, content), what="the new content served")
    assert not seen, "bytes that do not belong to the root were sent"


def described(client, chunks):
    """META and layer of the same moment; None while the file is being hashed."""
    try:
        meta = client.meta("f")
        return meta, client.layer(meta.root, 0, chunks)
    except Refused:
        return None


def settled(client, content):
    try:
        return client.meta("f").root == tree.root_of(content)
    except Refused:
        return False


def test_a_file_that_vanishes(suite, identity):
    peer = suite.peer(files={"f": os.urandom(3 << 20)})
    with Client(peer.address, identity) as client:
        meta = client.meta("f")
        (peer.shared / "f").unlink()

        def gone():
            try:
                client.meta("f")
            except Refused:
                return True

        wait_until(gone, what="the file forgotten")
        client.send(msg.Get(9, meta.root, 0, 10))
        assert client.expect(msg.Error, 9).code in (msg.FILE_CHANGED, msg.NOT_FOUND)
        client.ping(1)


def test_a_hash_is_answered_when_it_is_known(suite, identity):
    """A large file is shared once its tree is known; HASH? waits for the slower whole-file hash, other answers do not."""
    peer = suite.peer(files={"small": b"small"})
    content = bytes(range(256)) * (1 << 20)  # 256 MiB
    (peer.shared / "large").write_bytes(content)
    with Client(peer.address, identity, timeout=60) as client:
        meta = wait_until(lambda: shared(client, "large"), 60, "the tree of the large file")
        client.send(msg.HashRequest(700, meta.root))
        assert client.fetch("small") == b"small"
        answer = client.expect(msg.Hash, 700)
        assert answer.sha256 == hashlib.sha256(content).digest()


def shared(client, name):
    try:
        return client.meta(name)
    except Refused:
        return None

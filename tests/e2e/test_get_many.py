"""One file from many peers: found through the registry during the download, good and bad peers at once."""

import os

from conftest import wait_until
from getting import Getter
from p2pwire.server import Server

MIB = 1 << 20
CHUNK = 1 << 16


def received_by(said):
    return {source["address"]: source["received"] for source in said["sources"]}


def test_a_peer_that_comes_later_joins(suite):
    """One slow peer at the start; a second one registers with the same content under another name."""
    data = os.urandom(16 * MIB)
    registry = suite.discovery()
    slow = suite.peer(
        "--limit-rate", "512K", "--chunk-size", "64K", files={"f.bin": data}, discovery=registry, name="slow"
    )
    wait_until(lambda: [p for p in registry.registry.peers() if p["files"] == ["f.bin"]], what="the slow peer listed")
    getter = Getter(suite, registry=registry.url)
    said = getter.wait_for(512 << 10)
    assert len(said["sources"]) == 1
    late = suite.peer("--chunk-size", "64K", files={"copy.bin": data}, discovery=registry, name="late")
    last, status = getter.finish()
    assert status == 0, last
    assert (suite.folder / "out" / "f.bin").read_bytes() == data
    received = received_by(last)
    assert set(received) == {slow.where, late.where}
    assert received[late.where] > len(data) / 2, received


class WrongBytes(Server):
    """One bit of every answer is wrong."""

    def bytes_for(self, file, request):
        data = bytearray(super().bytes_for(file, request))
        data[len(data) // 2] ^= 1
        return bytes(data)


class Stopping(Server):
    """Stops for good after the first chunks."""

    left = 8

    def on_get(self, connection, request):
        self.left -= 1
        if self.left < 0:
            self.close()
        super().on_get(connection, request)


def test_four_peers_one_lying_one_stopping_one_slow_one_good(suite):
    data = os.urandom(12 * MIB + 99)
    slow = suite.peer("--limit-rate", "256K", "--chunk-size", "64K", files={"f.bin": data}, name="slow")
    good = suite.peer("--limit-rate", "4M", "--chunk-size", "64K", files={"f.bin": data}, name="good")
    with WrongBytes({"f.bin": data}, chunk_size=CHUNK) as liar, Stopping(
        {"f.bin": data}, chunk_size=CHUNK
    ) as stopping:
        peers = [liar, stopping, slow, good]
        getter = Getter(suite, *(word for peer in peers for word in ("--from", peer.where)))
        last, status = getter.finish()
        assert status == 0, last
        assert (suite.folder / "out" / "f.bin").read_bytes() == data
        states = {source["address"]: source for source in last["sources"]}
        assert states[liar.where]["error"] == "HASH_MISMATCH" and states[liar.where]["state"] == "dropped"
        received = received_by(last)
        assert received[liar.where] == 0, "bytes of a lie were counted"
        assert received[stopping.where] <= 8 * CHUNK
        assert received[slow.where] < received[good.where], received
        assert sum(received.values()) == len(data), "each chunk counts once"

"""A file that changes at its source during the download: the new version or a clear error, never a mixture, and no
byte is downloaded twice that both versions have.
"""

import os
import time

import pytest

from conftest import long_test
from getting import Getter, visible

MIB = 1 << 20
SIZE = 24 * MIB
IN_FLIGHT = 4 * MIB  # bytes that a change may cost in addition to the new bytes


def change_file(path, how):
    if how == "grow":
        with open(path, "ab") as file:
            file.write(b"more")
    elif how == "shrink":
        os.truncate(path, 20 * MIB)
    elif how == "replace":
        new = path.parent / ".new"
        if not new.exists():
            new.write_bytes(os.urandom(SIZE))
        new.rename(path)
    elif how == "first byte":
        with open(path, "r+b") as file:
            first = file.read(1)[0]
            file.seek(0)
            file.write(bytes([first ^ 1]))
    else:
        os.utime(path)


@pytest.mark.parametrize("how", ["grow", "shrink", "replace", "first byte", "touch"])
def test_a_file_that_changes_is_fetched_as_it_is_now(suite, how):
    peer = suite.peer("--limit-rate", "6M", "--chunk-size", "64K", files={"f.bin": os.urandom(SIZE)})
    path = peer.shared / "f.bin"
    (peer.shared / ".new").write_bytes(os.urandom(SIZE))  # now: later the download would not wait for it
    getter = Getter(suite, "--from", peer.where)
    getter.wait_for(10 * MIB)
    change_file(path, how)
    last, status = getter.finish()
    assert status == 0, last
    assert (suite.folder / "out" / "f.bin").read_bytes() == path.read_bytes()
    assert os.listdir(suite.folder / "out" / ".p2p") == [], "something of the old version is left"
    if how == "replace":
        assert last["received"] >= SIZE + 10 * MIB, "bytes of the old version were taken for new ones"
    else:
        assert last["received"] <= SIZE + IN_FLIGHT, "what did not change was fetched again"


def test_a_file_that_vanishes_and_comes_back(suite):
    """The error is clear, and the downloaded part is kept and used when the file is there again."""
    data = os.urandom(SIZE)
    peer = suite.peer("--limit-rate", "6M", "--chunk-size", "64K", files={"f.bin": data})
    getter = Getter(suite, "--from", peer.where)
    getter.wait_for(10 * MIB)
    (peer.shared / "f.bin").rename(peer.shared / ".away")
    last, status = getter.finish()
    assert status != 0 and "no longer has the file" in last["message"], last
    assert visible(suite.folder / "out") == []
    (peer.shared / ".away").rename(peer.shared / "f.bin")
    peer.wait_for("f.bin")
    last, status = Getter(suite, "--from", peer.where).finish()
    assert status == 0, last
    assert (suite.folder / "out" / "f.bin").read_bytes() == data
    assert last["received"] <= SIZE - 6 * MIB, "it began again"


@long_test
def test_a_file_that_changes_again_and_again(suite):
    """It gives up with a sentence; no mixture of the many versions becomes a file."""
    peer = suite.peer("--limit-rate", "8M", "--chunk-size", "64K", files={"f.bin": os.urandom(SIZE)})
    getter = Getter(suite, "--from", peer.where)
    getter.wait_for(MIB)
    while getter.process.poll() is None:
        change_file(peer.shared / "f.bin", "replace")
        time.sleep(0.3)
    last, status = getter.finish()
    assert status != 0 and "changed" in last["message"], last
    assert visible(suite.folder / "out") == []


def test_the_version_that_was_asked_for_by_its_root(suite):
    """Another version is not what was requested; the downloaded part stays, because another peer may have the rest."""
    peer = suite.peer("--limit-rate", "6M", "--chunk-size", "64K", files={"f.bin": os.urandom(SIZE)})
    with peer.client() as client:
        root = client.meta("f.bin").root.hex()
    getter = Getter(suite, "--from", peer.where, "--root", root)
    getter.wait_for(10 * MIB)
    change_file(peer.shared / "f.bin", "replace")
    last, status = getter.finish()
    assert status != 0 and "changed" in last["message"], last
    assert visible(suite.folder / "out") == []
    assert (suite.folder / "out" / ".p2p" / f"{root}.part").stat().st_size == SIZE

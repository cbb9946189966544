"""Two peers whose routers let nothing in, and no relay: each opens its router by asking the other one, and they
transfer over UDP. Real programs, real routers (nftables), in the world of tests/net."""

import os
import sys
from pathlib import Path

import pytest

from test_relayed import MIB, Relayed, last

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "net"))

from networld import Unavailable, world  # noqa: E402


class WithoutRelay(Relayed):
    def start(self, files=None, peer_options=()):
        self.registry = self.suite.discovery(host="0.0.0.0", prefix=self.public.prefix)
        self.url = f"http://{self.public.address}:{self.registry.port}"
        self.start_peer(files or {}, *peer_options)
        return self


@pytest.fixture(scope="module")
def here():
    try:
        with world(("port", "port")) as made:
            yield made
    except Unavailable as error:
        pytest.skip(str(error))


@pytest.fixture
def homes(suite, here):
    return WithoutRelay(suite, here)


def path_of(done):
    (source,) = last(done)["sources"]
    return source["path"]["kind"]


def test_two_routers_are_opened_from_inside(homes):
    data = os.urandom(3 * MIB + 5)
    homes.start(files={"far.bin": data, "other.bin": data[:1000]})
    homes.trust()
    done = homes.get("far.bin")
    assert done.returncode == 0, done.stdout + done.stderr
    assert homes.got("far.bin") == data
    assert path_of(done) == "channel"
    # A person reads how the peer is reached.
    done = homes.run("near", *homes.get_words("other.bin", "--path", "channel"))
    assert done.returncode == 0 and "directly, through NAT (" in done.stderr, done.stderr

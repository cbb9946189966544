"""Names of devices: said after the handshake and to registries, claims until the user trusts them."""

import json
import subprocess

import pytest

from conftest import BIN, environment
from getting import CHUNK, DATA, assert_fetched
from p2pwire import msg
from p2pwire.client import Refused
from p2pwire.keys import Identity
from p2pwire.server import Server


class Old(Server):
    """As peers before INFO?."""

    def on_info(self, connection, request):
        connection.send(msg.Error(request.req, msg.MALFORMED, b"unknown message type"))


# --- INFO? and INFO -------------------------------------------------------------------------


def test_a_peer_says_its_name_and_kind(suite):
    peer = suite.peer("--name", "Küche 🍳", "--device-kind", "tablet", files={"f.txt": b"x"})
    with peer.client() as client:
        answer = client.info(b"Hall", 1)
        assert (answer.name.decode(), answer.kind) == ("Küche 🍳", 5)
        assert answer.version and answer.features == 0
        assert client.info().name == answer.name, "the same again"
        assert client.fetch("f.txt") == b"x"


def test_names_that_cannot_be_shown_are_refused(suite):
    peer = suite.peer(files={"f.txt": b"x"})
    for name in (b"n" * 64, b"\xff", b"a\nb", b"\x1b[31m", b" a", "a\u202eb".encode()):
        with peer.client() as client:
            with pytest.raises(Refused) as refused:
                client.info(name)
            assert refused.value.code == msg.MALFORMED
    with peer.client() as client:
        assert client.info(b"n" * 63, 200).kind <= 5
        assert client.fetch("f.txt") == b"x"


def test_info_is_answered_when_no_more_requests_may_be_in_flight(suite):
    peer = suite.peer(files={"f.bin": DATA})
    with peer.client() as client:
        root = client.meta("f.bin").root
        gets = [msg.Get(1000 + i, root, 0, CHUNK) for i in range(200)]
        frames = [client.shake.c2s.seal(msg.encode(m)) for m in [*gets, msg.InfoRequest(7)]]
        client.stream.send(b"".join(frames))
        answer, refused = None, 0
        while answer is None:
            message = client.receive()
            refused += isinstance(message, msg.Error)
            answer = message if message.req == 7 else None
        assert isinstance(answer, msg.Info) and refused > 0


@pytest.mark.parametrize("program", ["p2p-peer", "p2p-ui"])
@pytest.mark.parametrize("option", [["--name", "a\nb"], ["--name", "n" * 64], ["--device-kind", "toaster"]])
def test_a_wrong_name_or_kind_is_refused_at_start(tmp_path, program, option):
    run = subprocess.run([BIN / program, *option], env=environment(tmp_path), capture_output=True, text=True)
    assert run.returncode == 2 and run.stderr.startswith(f"{program}: invalid {option[0]}")


@pytest.mark.parametrize("kind", [Server, Old])
def test_a_download_says_who_asks_and_keeps_the_claim(suite, kind):
    with kind({"f.bin": DATA}, chunk_size=CHUNK, name="Küche".encode()) as server:
        run = suite.get("f.bin", server, more=["--name", "Hall", "--device-kind", "phone"])
        assert_fetched(suite, run, DATA)
        first = server.requests[0]
        assert isinstance(first, msg.InfoRequest) and (first.name, first.kind) == (b"Hall", 3)
        said = sum(isinstance(m, msg.InfoRequest) for m in server.requests)
        assert 1 <= said <= server.connections, "once a connection"
        known = (suite.folder / "cli" / "keys" / "known_peers").read_text()
    assert ("Küche" in known) == (kind is Server)


def test_the_name_of_this_device_is_not_given_to_a_peer_that_is_trusted(suite):
    """`name` in p2p.conf is for the device; `p2p peers trust --name` names another one."""
    other = Identity().peer_id
    (suite.folder / "cli").mkdir()
    (suite.folder / "cli" / "p2p.conf").write_text("name = Mine\n")
    suite.p2p("peers", "trust", other, check=True, env={"P2P_NAME": "Mine, too"})
    known = json.loads(suite.p2p("peers", "--known", "--json", check=True).stdout)["peers"]
    assert [peer["name"] or "" for peer in known] == [""]

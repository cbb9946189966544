"""Names of devices: sent after the handshake and to registries, and only claims until the user trusts them."""

import json
import subprocess

import pytest

from conftest import BIN, environment, wait_until
from getting import CHUNK, DATA, assert_fetched
from p2pwire import msg
from p2pwire.client import Refused
from p2pwire.keys import Identity
from p2pwire.server import Server


class Old(Server):
    """A peer from before INFO?."""

    def on_info(self, connection, request):
        connection.send(msg.Error(request.req, msg.MALFORMED, b"unknown message type"))


# --- INFO? and INFO -------------------------------------------------------------------------


def test_a_peer_says_its_name_and_kind(suite):
    peer = suite.peer("--name", "Küche 🍳", "--device-kind", "tablet", files={"f.txt": b"x"})
    with peer.client() as client:
        answer = client.info(b"Hall", 1)
        assert (answer.name.decode(), answer.kind) == ("Küche 🍳", 5)
        assert answer.version and answer.features == 1 | 2 | 4 | 8  # offers, changes, leaves, history
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


# --- signature2 -----------------------------------------------------------------------------

A, B = Identity(), Identity()


def listed(registry, who):
    """The name and kind that the registry shows for a peer."""
    peer = registry.get(f"/peers/{who}").json()
    return peer.get("name"), peer.get("kind")


@pytest.fixture
def registry(suite):
    return suite.discovery().registry


def register(registry, seq=1, who=A, **more):
    return registry.register_signed(who, 9000, [], seq, **more)


def test_a_registry_shows_signed_names(registry):
    about = {"name": "Küche", "kind": 2, "addresses": ["203.0.113.9:9000", "[2001:db8::2]:9001"]}
    assert register(registry, about=about).status_code == 200
    assert listed(registry, A.peer_id) == ("Küche", "desktop")
    assert [(p["name"], p["kind"], p["verified"]) for p in registry.peers()] == [("Küche", "desktop", True)]
    assert register(registry, 2, who=B, about={"name": "Küche"}).status_code == 200
    assert listed(registry, B.peer_id) == ("Küche", "unknown"), "names need not be unique"
    assert registry.delta(A, 3, 1).status_code == 200
    assert listed(registry, A.peer_id) == ("Küche", "desktop"), "a delta leaves it"
    assert register(registry, 4).status_code == 200
    assert listed(registry, A.peer_id) == (None, None), "it says no name any longer"


@pytest.mark.parametrize(
    "change, status",
    [
        (dict(name="Hall"), 401), (dict(kind="phone"), 401), (dict(addresses=["203.0.113.9:9001"]), 401),
        (dict(addresses=[]), 401), (dict(port=9001), 401), (dict(signature2=""), 401), (dict(signature2=5), 401),
        (dict(signature2=None), 401), (dict(name="n" * 64), 422), (dict(name="a\nb"), 422), (dict(name="a\u202eb"), 422),
        (dict(name=5), 422), (dict(kind="toaster"), 422), (dict(kind=2), 422), (dict(addresses="x"), 422),
        (dict(addresses=["a b:1"]), 422), (dict(addresses=["203.0.113.9"]), 422), (dict(addresses=[5]), 422),
        (dict(addresses=["203.0.113.9:9000"] * 9), 422),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_what_the_second_signature_does_not_cover_is_refused(registry, change, status):
    about = {"name": "Küche", "kind": 2, "addresses": ["203.0.113.9:9000"]}
    assert register(registry, about=about, **change).status_code == status
    assert registry.peers() == []


def test_a_name_without_the_second_signature_is_not_taken(registry):
    assert register(registry, name="Küche", kind="laptop").status_code == 200
    assert registry.register(B, 9001, ["b"], name="Hall", kind="laptop").status_code == 200
    assert listed(registry, A.peer_id) == listed(registry, B.peer_id) == (None, None)


def test_the_first_signature_stays_valid_for_old_registries(registry):
    """The same body without the fields that 0.1.0 does not know."""
    sent = register(registry, about={"name": "Küche", "kind": 2}).request.body
    body = json.loads(sent)
    for field in ("name", "kind", "addresses", "signature2"):
        del body[field]
    assert registry.request("POST", "/register", json={**body, "seq": 2}).status_code == 401
    assert registry.request("POST", "/register", json=body).status_code == 200, "the same seq again"
    assert listed(registry, A.peer_id) == ("Küche", "desktop"), "what nobody signed takes no name away"


def test_a_peer_registers_its_name(suite):
    discovery = suite.discovery()
    peer = suite.peer("--name", "Küche", "--device-kind", "server", discovery=discovery, files={"f.txt": b"x"})
    wait_until(lambda: listed(discovery.registry, peer.peer_id) == ("Küche", "server"), what="the name")


# --- shown and accepted by the command line -------------------------------------------------


def cli(suite, discovery, *words, **kwargs):
    return suite.p2p(*words, "--discovery", discovery.url, "--no-mdns", **kwargs)


@pytest.fixture
def world(suite):
    """Two peers, Küche and Hall, at one registry."""

    class World:
        discovery = suite.discovery()
        kitchen = suite.peer("--name", "Küche", "--device-kind", "laptop", name="a", discovery=discovery,
                             files={"k.txt": b"k"})  # fmt: skip
        hall = suite.peer("--name", "Hall", name="b", discovery=discovery, files={"h.txt": b"h"})

        def p2p(self, *words, **kwargs):
            return cli(suite, self.discovery, *words, **kwargs)

        def trust(self, *words):
            return suite.p2p("peers", *words, "--discovery", self.discovery.url, "--no-mdns", check=True)

        def twin(self):
            """A stranger that also calls itself Küche."""
            return suite.peer("--name", "Küche", name="c", discovery=self.discovery, files={"c.txt": b"c"})

    world = World()
    online = lambda: len(world.discovery.registry.peers()) == 2  # noqa: E731
    wait_until(online, what="both peers at the registry")
    return world


def files_of(run):
    return [file["name"] for file in json.loads(run.stdout)["files"]]


def test_peers_are_listed_by_name_with_digits_until_trusted(world):
    listing = world.p2p("peers", check=True).stdout
    digits = world.kitchen.peer_id[:8]
    assert f"Küche ({digits})" in listing and f"Hall ({world.hall.peer_id[:8]})" in listing
    rows = {row["peer_id"]: row for row in json.loads(world.p2p("peers", "--json", check=True).stdout)["peers"]}
    row = rows[world.kitchen.peer_id]
    assert (row["claimed_name"], row["kind"], row["name"]) == ("Küche", "laptop", "")
    world.trust("trust", world.kitchen.peer_id)
    assert f"Küche ({digits})" in world.p2p("peers", check=True).stdout, "the registry's word is not proof"
    world.p2p("ls", world.kitchen.peer_id, check=True)
    listing = world.p2p("peers", check=True).stdout
    assert "Küche" in listing and f"({digits})" not in listing
    world.trust("trust", world.kitchen.peer_id, "--name", "Mine")
    assert "Mine" in world.p2p("peers", check=True).stdout
    assert "Mine" in world.p2p("peers", "--known", check=True).stdout


def test_a_unique_name_is_accepted_where_an_id_is(suite, world):
    assert files_of(world.p2p("ls", "Küche", "--json", check=True)) == ["k.txt"]
    run = suite.get("h.txt", more=["--peer", "Hall", "--discovery", world.discovery.url, "--no-mdns"])
    assert_fetched(suite, run, b"h", "h.txt")
    run = world.trust("trust", "Hall", "--name", "Flur")
    assert world.hall.peer_id in run.stderr, "says which one"
    assert files_of(world.p2p("ls", "Flur", "--json", check=True)) == ["h.txt"]
    world.trust("block", "Flur")
    assert world.p2p("ls", "Flur").returncode != 0
    world.trust("forget", "Flur")
    run = world.p2p("ls", "Flur")
    assert run.returncode == 3 and "Flur" in run.stderr


def test_a_name_of_several_is_refused_with_the_list(world):
    twin = world.twin()
    wait_until(lambda: len(world.discovery.registry.peers()) == 3, what="the twin at the registry")
    run = world.p2p("ls", "Küche")
    assert run.returncode == 2
    assert twin.peer_id in run.stderr and world.kitchen.peer_id in run.stderr
    assert world.p2p("peers", "trust", "Küche").returncode == 2
    assert world.p2p("ls", twin.peer_id[:12], check=True).returncode == 0


def test_a_claim_takes_no_name_from_a_trusted_peer(world):
    world.trust("trust", world.kitchen.peer_id)
    world.p2p("ls", world.kitchen.peer_id, check=True)  # it proves that it has this name
    world.trust("trust", world.hall.peer_id, "--name", "Flur")
    world.twin()
    wait_until(lambda: len(world.discovery.registry.peers()) == 3, what="the twin at the registry")
    assert files_of(world.p2p("ls", "Küche", "--json", check=True)) == ["k.txt"]
    world.trust("trust", world.hall.peer_id, "--name", "Küche")
    assert files_of(world.p2p("ls", "Küche", "--json", check=True)) == ["h.txt"], "the user's own name wins"


def test_what_looks_like_an_id_is_never_a_name(suite):
    discovery = suite.discovery()
    suite.peer("--name", "deadbeef", name="a", discovery=discovery)
    wait_until(lambda: len(discovery.registry.peers()) == 1, what="the peer at the registry")
    run = cli(suite, discovery, "ls", "deadbeef")
    assert run.returncode == 3 and "begins with" in run.stderr


def test_status_says_the_name_of_this_device(suite):
    (suite.folder / "cli").mkdir()
    (suite.folder / "cli" / "p2p.conf").write_text("name = Werkstatt\ndevice-kind = desktop\n")
    run = suite.p2p("status", "--discovery", "none", "--no-mdns")
    assert "Werkstatt (desktop)" in run.stdout


def test_the_dashboard_shows_names(suite, world):
    ui = suite.ui("--name", "Mine", "--device-kind", "tablet", name="d", discovery=world.discovery)

    def shown(peer_id):
        rows = {row["peer_id_full"]: row for row in ui.api.request("GET", "/api/peers").json()["peers"]}
        row = rows.get(peer_id, {})
        return row.get("name"), row.get("name_is_claim"), row.get("kind")

    wait_until(lambda: shown(world.kitchen.peer_id) == ("Küche", True, "laptop"), what="the claim")
    search = lambda: ui.api.request("GET", "/api/search", params={"q": "k.txt"}).json()["results"]
    found = wait_until(search, what="k.txt found")[0]["sources"][0]
    assert (found["name"], found["name_is_claim"]) == ("Küche", True)
    assert ui.api.request("POST", f"/api/peers/{world.kitchen.peer_id}/trust").status_code == 200
    assert shown(world.kitchen.peer_id)[1] is True, "the registry's word is not proof"
    assert ui.api.request("GET", f"/api/peers/{world.kitchen.peer_id}/files").status_code == 200
    # The owner's own name wins, and can be taken away again.
    path = f"/api/peers/{world.kitchen.peer_id}/name"
    said = ui.api.request("GET", f"/api/peers/{world.kitchen.peer_id}").json()["name"]
    named = ui.api.request("POST", path, json={"name": "Oma's"}).json()
    assert (named["name"], named["name_is_claim"]) == ("Oma's", False) and said != "Oma's"
    for wrong in ("x" * 64, "a\nb", 5):
        assert ui.api.request("POST", path, json={"name": wrong}).status_code in (400, 422)
    assert ui.api.request("POST", f"/api/peers/{'ab' * 32}/name", json={"name": "x"}).status_code == 404
    assert ui.api.request("POST", path, json={"name": None}).json()["name"] == said
    assert shown(world.kitchen.peer_id) == ("Küche", False, "laptop")
    keys = suite.folder / "d" / "keys"
    suite.p2p("peers", "trust", world.hall.peer_id, "--name", "Flur", "--keys-dir", keys, check=True)
    assert shown(world.hall.peer_id)[:2] == ("Flur", False)

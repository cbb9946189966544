"""Two peers whose routers let nothing in, and no relay: each opens its router by asking the other one, and they
transfer over UDP. Real programs, real routers (nftables), in the world of tests/net."""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from conftest import BIN, bounded, environment, long_test, wait_until
from reloading import Settings
from test_relayed import MIB, Relayed, last

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "net"))

from networld import Unavailable, world  # noqa: E402


SIZES = {"far.bin": 3 * MIB + 5, "other.bin": 1000}


class WithoutRelay(Relayed):
    def start(self, files=None, peer_options=()):
        self.registry = self.suite.discovery(host="0.0.0.0", prefix=self.public.prefix)
        self.url = f"http://{self.public.address}:{self.registry.port}"
        self.start_peer(files or {}, *peer_options)
        return self


class OneHome(WithoutRelay):
    """Both on one network."""

    def __init__(self, suite, here):
        self.suite, self.here, self.public = suite, here, here.public[0]
        self.far, self.near = here.homes[0].machines


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


@pytest.fixture
def far(homes):
    homes.start(files={name: os.urandom(size) for name, size in SIZES.items()})
    homes.trust()
    return homes


def shared(far, name):
    return (far.suite.folder / "far" / "shared" / name).read_bytes()


def test_two_routers_are_opened_from_inside(far):
    done = far.get("far.bin")
    assert done.returncode == 0, done.stdout + done.stderr
    assert far.got("far.bin") == shared(far, "far.bin")
    assert path_of(done) == "channel"
    # A person reads how the peer is reached.
    done = far.run("near", *far.get_words("other.bin", "--path", "channel"))
    assert done.returncode == 0 and "directly, through NAT (" in done.stderr, done.stderr
    # Its list comes on the same path, if it may.
    ls = ("ls", far.peer.id, "--discovery", far.url, "--keys-dir", "keys", "--no-mdns", "--json")
    listed = far.p2p("near", *ls, "--timeout", "20s")
    assert sorted(f["name"] for f in listed["files"]) == sorted(SIZES)
    assert listed["path"]["kind"] == "channel" and listed["path"]["rtt_ms"] >= 0
    assert far.run("near", *ls, "--no-reach", "--timeout", "2s").returncode == 4
    counted = far.metrics_of_far()
    assert counted["p2p_peer_channels_total"] == counted["p2p_peer_calls_answered_total"] >= 3
    assert counted["p2p_peer_relayed_total"] == 0
    # The boxes for the answers are gone before their minute is over: only the peer's own is left.
    wait_until(lambda: far.metrics_of_registry()["p2p_discovery_boxes"] == 1, 30, "the end of the boxes for answers")


def test_the_answer_leads_to_tcp_in_the_same_network(suite):
    """The registry lists an address that nobody has. The answer to a call names the right one: no channel is needed."""
    try:
        with world(("port",), machines=2) as here:
            homes = OneHome(suite, here)
            words = ("--host", homes.far.address, "--advertise", "203.0.113.99:9")
            homes.start(files={"far.bin": os.urandom(MIB)}, peer_options=words)
            homes.trust()
            assert homes.far.address not in json.dumps(homes.listed())
            done = homes.get("far.bin")
            assert done.returncode == 0, done.stdout + done.stderr
            assert path_of(done) == "direct" and homes.got("far.bin") == shared(homes, "far.bin")
            # Who wishes a channel gets that.
            done = homes.get("far.bin", "--path", "channel", "--save-as", "again.bin")
            assert path_of(done) == "channel"
            # A download that needs no call any longer ends its box at once: the registry would keep it for a minute.
            wait_until(lambda: homes.metrics_of_registry()["p2p_discovery_boxes"] == 1, 30, "the end of the boxes for answers")
            suite.stop()
    except Unavailable as error:
        pytest.skip(str(error))


def test_the_dashboard_goes_through_two_routers(far):
    far.start_ui()
    listed = far.api("GET", f"/api/peers/{far.peer.id}/files")
    assert sorted(f["name"] for f in listed["files"]) == sorted(SIZES)
    (peer,) = [p for p in far.api("GET", "/api/peers")["peers"] if p["peer_id_full"] == far.peer.id]
    assert peer["path"]["kind"] == "channel", peer
    made = far.api("POST", "/api/transfers", {"filename": "far.bin", "auto": True})
    state = wait_until(
        lambda: (t := far.api("GET", f"/api/transfers/{made['id']}"))["state"] in ("completed", "failed") and t, 120, "the end"
    )
    assert state["state"] == "completed", state
    assert [s["path"]["kind"] for s in state["sources"]] == ["channel"]
    assert (far.suite.folder / "near" / "downloads" / "far.bin").read_bytes() == shared(far, "far.bin")
    assert 'p2p_ui_sources{path="channel"}' in far.api("GET", "/metrics", text=True)


def test_a_code_leads_through_two_routers(homes):
    """Nobody trusts anybody here: the code alone gives the right to call the sender's peer, and to get this file."""
    folder = homes.suite.folder / "far"
    folder.mkdir()
    (folder / "sent.bin").write_bytes(os.urandom(MIB))
    registry = homes.suite.discovery(host="0.0.0.0", prefix=homes.public.prefix)
    url = f"http://{homes.public.address}:{registry.port}"
    sender = bounded(subprocess.Popen(
        [*homes.far.prefix, BIN / "p2p", "send", "--json", "--discovery", url, folder / "sent.bin"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env=environment(folder),
    ))  # fmt: skip
    try:
        code = json.loads(sender.stdout.readline())["code_with_registry"]
        done = homes.run("near", "receive", "--json", "--output-dir", "got", "--timeout", "20s", code)
        assert done.returncode == 0, done.stdout + done.stderr
        assert path_of(done) == "channel"
        assert (homes.suite.folder / "near/got/sent.bin").read_bytes() == (folder / "sent.bin").read_bytes()
        assert sender.wait(60) == 0
    finally:
        sender.kill()
        sender.communicate()


def test_a_channel_that_dies_is_replaced(suite, here):
    """UDP stops in the middle of a download, without a word: it continues through the relay. What has arrived is not
    asked for again. Then the relay is gone, too, and comes back."""
    data = os.urandom(24 * MIB)
    settings = Settings(suite.folder / "far.conf", limit_rate="2M")
    homes = Relayed(suite, here).start(files={"far.bin": data}, peer_options=settings.words)
    settings.start(homes.peer)
    homes.trust()
    process, events = homes.begin("far.bin"), []

    def wait_for(kind, more):
        """More bytes, which came by this path."""
        enough = (events[-1]["received"] if events else 0) + more
        for line in process.stdout:
            events.append(json.loads(line))
            paths = [s.get("path", {}).get("kind") for s in events[-1]["sources"]]
            if paths == [kind] and events[-1]["received"] >= enough:
                return
        raise AssertionError(process.stderr.read())

    try:
        wait_for("channel", 2 * MIB)
        began = time.monotonic()
        here.homes[0].set_nat("noudp")
        wait_for("relay", MIB)
        assert time.monotonic() - began < 60  # 10 s until both sides notice it
        port = homes.relay.port
        homes.relay.kill()
        suite.programs.remove(homes.relay)
        homes.start_relay(port=port)
        settings.reload(limit_rate="off")
        rest, errors = process.communicate(timeout=240)
    finally:
        here.homes[0].set_nat("port")
        process.kill()
    assert process.returncode == 0, errors + rest[-3000:]
    assert homes.got("far.bin") == data
    end = json.loads(rest.splitlines()[-1])
    # A chunk that was under way when a path died comes again, nothing else.
    assert end["received"] < len(data) + 8 * MIB, end


def test_ipv6_opens_what_ipv4_does_not(suite):
    """Two symmetric routers defeat a channel over IPv4. Both let IPv6 out, and in only what was asked for."""
    try:
        with world(("symmetric", "symmetric"), ipv6=True) as here:
            homes = WithoutRelay(suite, here).start(files={"far.bin": os.urandom(3 * MIB)})
            homes.trust()
            done = homes.get("far.bin", "--path", "channel")
            assert done.returncode == 0, done.stdout + done.stderr
            assert path_of(done) == "channel" and homes.got("far.bin") == shared(homes, "far.bin")
            suite.stop()
    except Unavailable as error:
        pytest.skip(str(error))


@long_test
def test_24_channels_at_once(homes):
    data = os.urandom(2 * MIB)
    homes.start(files={"far.bin": data})
    homes.trust()
    names = [f"out{i}" for i in range(24)]
    with ThreadPoolExecutor(len(names)) as all_of_them:
        done = list(all_of_them.map(lambda name: homes.get("far.bin", "--path", "channel", "--output-dir", name, timeout="60s"), names))
    assert [d.returncode for d in done] == [0] * len(names), [d.stdout[-300:] for d in done if d.returncode]
    assert all((homes.suite.folder / "near" / name / "far.bin").read_bytes() == data for name in names)
    assert homes.metrics_of_far()["p2p_peer_channels_total"] == len(names)  # nobody had to call again


# Who gets through to whom, and how: the far router, the near one. Two symmetric ones do not, nor do a symmetric one
# and one that looks at ports.
MATRIX = {
    ("open", "port"): "direct", ("open", "symmetric"): "direct", ("noudp", "open"): "relay",
    ("cone", "cone"): "channel", ("cone", "port"): "channel", ("cone", "symmetric"): "channel",
    ("symmetric", "cone"): "channel", ("address", "address"): "channel", ("address", "symmetric"): "channel",
    ("symmetric", "address"): "channel", ("port", "address"): "channel", ("port", "port"): "channel",
    ("port", "symmetric"): "relay", ("symmetric", "port"): "relay", ("symmetric", "symmetric"): "relay",
    ("port", "noudp"): "relay", ("rst", "rst"): "channel", ("short", "short"): "channel",
    ("random", "random"): "channel", ("random", "port"): "channel", ("random", "symmetric"): "relay",
}  # fmt: skip
# The kinds that differ most, for each run: the others take half a minute.
MAIN = [("open", "symmetric"), ("symmetric", "cone"), ("rst", "rst"), ("random", "short"), ("symmetric", "port")]


def take_paths(homes, pairs):
    """The path of one small download for each pair of routers."""
    found = {}
    for pair in pairs:
        for home, nat in zip(homes.here.homes, pair):
            home.set_nat(nat)
        done = homes.get("f.bin", "--save-as", "-".join(pair))
        found[pair] = path_of(done) if done.returncode == 0 else done.stderr
    return found


def test_the_main_kinds_of_routers(suite, here):
    homes = Relayed(suite, here).start(files={"f.bin": os.urandom(100_000)})
    homes.trust()
    try:
        found = take_paths(homes, MAIN)
    finally:
        for home in here.homes:
            home.set_nat("port")
    assert found == {pair: MATRIX.get(pair, "channel") for pair in MAIN}


@long_test
def test_who_gets_through_to_whom(suite, here):
    homes = Relayed(suite, here).start(files={"f.bin": os.urandom(100_000)})
    homes.trust()
    try:
        found = take_paths(homes, MATRIX)
        for nat, words in {"cone": "from other ports", "port": "only answers", "noudp": "blocked", "symmetric": "symmetric)"}.items():
            here.homes[1].set_nat(nat)
            done = homes.run("near", "doctor", "--discovery", homes.url, "--keys-dir", "keys", "--no-mdns", "--json")
            said = {check["check"]: check["text"] for check in last(done)["checks"]}
            assert words in said["nat"] and "IPv4 is used" in said["ipv6"], said
    finally:
        for home in here.homes:
            home.set_nat("port")
    assert found == MATRIX

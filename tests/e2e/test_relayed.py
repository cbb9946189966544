"""Two peers whose routers let nothing in: they find each other through a registry, and transfer through its
relay. Real programs, real routers (nftables), in the world of tests/net."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import controlling
from conftest import BIN, Program, bounded, environment, wait_until
from reloading import Settings

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "net"))

from networld import Unavailable, world  # noqa: E402

MIB = 1 << 20
OPEN = """
table ip nat {{
    chain before {{
        type nat hook prerouting priority -100
        iifname "wan" tcp dport {port} dnat to {machine}
    }}
}}
insert rule inet filter through iifname "wan" ct status dnat accept
"""


class Relayed:
    """A registry and a relay on the public machine, a peer in the first home, and who downloads in the second."""

    def __init__(self, suite, here):
        self.suite, self.here = suite, here
        self.public = here.public[0]
        self.far, self.near = (home.machine for home in here.homes)
        self.home_of_far = here.homes[0]

    def start(self, *relay_options, files=None, peer_options=()):
        self.start_relay(*relay_options)
        self.registry = self.suite.discovery(
            "--relay", f"{self.public.address}:{self.relay.port}", "--relay-secret-file", self.relay.secret_file,
            host="0.0.0.0", prefix=self.public.prefix,
        )  # fmt: skip
        self.url = f"http://{self.public.address}:{self.registry.port}"
        self.start_peer(files or {}, *peer_options)
        return self

    def start_relay(self, *options, port=0):
        self.relay = self.suite.relay(*options, port=port, host="0.0.0.0", prefix=self.public.prefix)

    def start_peer(self, files, *options):
        folder = self.suite.folder / "far"
        (folder / "shared").mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (folder / "shared" / name).write_bytes(data)
        words = [
            "--host", "0.0.0.0", "--port", 0, "--shared-dir", folder / "shared", "--keys-dir", folder / "keys",
            "--discovery", self.url, "--heartbeat", "2s", "--no-mdns", *options,
        ]  # fmt: skip
        self.peer = self.suite._keep(Program("p2p-peer", words, folder, prefix=self.far.prefix))
        self.peer.id = self.p2p("far", "id", "--keys-dir", folder / "keys", "--json")["peer_id"]
        wait_until(lambda: self.registered(), 60, "the registration of the peer")

    def registered(self):
        listed = self.p2p("near", "peers", "--discovery", self.url, "--json", "--no-mdns", check=False)
        return any(p["peer_id"] == self.peer.id and p.get("files", 0) for p in listed.get("peers", []))

    def listed(self):
        """The peer's record."""
        done = self.public.run("curl", "-s", "-m", "20", f"{self.url}/peers/{self.peer.id}")
        return json.loads(done.stdout)

    def run(self, where, *words, **kwargs):
        """The command line at one of the homes, with keys of its own."""
        machine = self.near if where == "near" else self.far
        folder = self.suite.folder / where
        folder.mkdir(exist_ok=True)
        return subprocess.run(
            [*machine.prefix, BIN / "p2p", *map(str, words)], cwd=folder, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=240, env=environment(folder), **kwargs,
        )  # fmt: skip

    def p2p(self, where, *words, check=True):
        done = self.run(where, *words)
        assert not check or done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip() else {}

    def trust(self):
        """The far peer trusts the keys in the folder `near`."""
        own = self.p2p("near", "id", "--keys-dir", "keys", "--json")["peer_id"]
        self.p2p("far", "peers", "trust", own, "--keys-dir", "keys", "--json")
        return own

    def get_words(self, name, *more, timeout="20s"):
        return [
            "get", name, "--discovery", self.url, "--keys-dir", "keys", "--output-dir", "out", "--no-mdns", "--timeout",
            timeout, *more,
        ]  # fmt: skip

    def get(self, name, *more, **kwargs):
        return self.run("near", *self.get_words(name, "--json", *more, **kwargs))

    def begin(self, name):
        """A download that runs while the test continues."""
        folder = self.suite.folder / "near"
        folder.mkdir(exist_ok=True)
        return bounded(subprocess.Popen(
            [*self.near.prefix, BIN / "p2p", *self.get_words(name, "--json")], cwd=folder, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(folder),
        ))  # fmt: skip

    def start_ui(self):
        """The dashboard of whoever downloads."""
        folder = self.suite.folder / "near"
        for name in ("shared", "downloads"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        words = [
            "--host", "127.0.0.1", "--port", 0, "--shared-dir", folder / "shared", "--downloads-dir",
            folder / "downloads", "--keys-dir", folder / "keys", "--discovery", self.url,
            "--web-dir", Path(__file__).resolve().parents[2] / "web",
        ]  # fmt: skip
        self.ui = self.suite._keep(Program("p2p-ui", words, folder, prefix=self.near.prefix))
        self.token = (folder / "keys" / "owner.token").read_text().strip()
        wait_until(lambda: any(p["peer_id_full"] == self.peer.id for p in self.api("GET", "/api/peers")["peers"]), 60, "the peer")

    def api(self, method, path, body=None, text=False):
        sent = ["-d", json.dumps(body), "-H", "Content-Type: application/json"] if body is not None else []
        done = self.near.run(
            "curl", "-s", "-m", "60", "-X", method, "-H", f"Authorization: Bearer {self.token}", *sent, self.ui.url + path
        )
        return done.stdout if text else json.loads(done.stdout)

    def metrics_of_far(self):
        text = controlling.ask(self.suite.folder / "far" / "keys", "metrics")["text"]
        return {name: int(value) for name, value in (line.split() for line in text.splitlines() if line[0] != "#")}

    def metrics_of_registry(self):
        text = self.public.run("curl", "-s", "-m", "20", f"{self.url}/metrics").stdout
        return {name: float(value) for name, value in (line.split()[:2] for line in text.splitlines() if line[0] != "#" and "{" not in line)}

    def get_in_vain(self, name, *more):
        """A peer that does not answer is asked several times, so each time is short."""
        done = self.get(name, *more, timeout="3s")
        assert done.returncode == 4, done.stdout + done.stderr
        assert "a path to a caller is open" not in self.peer.stderr()

    def got(self, name):
        return (self.suite.folder / "near" / "out" / name).read_bytes()


@pytest.fixture(scope="module")
def here():
    try:
        with world(("symmetric", "symmetric")) as made:
            yield made
    except Unavailable as error:
        pytest.skip(str(error))


@pytest.fixture
def relayed(suite, here):
    return Relayed(suite, here)


def last(done):
    return json.loads(done.stdout.splitlines()[-1])


def test_a_trusted_peer_downloads_through_the_relay(relayed):
    data = os.urandom(3 * MIB + 5)
    relayed.start(files={"far.bin": data})
    relayed.trust()
    done = relayed.get("far.bin")
    assert done.returncode == 0, done.stdout + done.stderr
    assert relayed.got("far.bin") == data
    assert [s["path"] for s in last(done)["sources"]] == [{"kind": "relay"}]
    # The registry has found out that nothing comes through the router, and lists it.
    wait_until(lambda: relayed.listed().get("direct") == "no", 60, "the attempt to reach the peer")
    # And who asks why learns it.
    done = relayed.run("near", "doctor", relayed.peer.id, "--discovery", relayed.url, "--keys-dir", "keys", "--no-mdns", "--json")
    said = {check["check"]: check for check in last(done)["checks"]}
    assert "symmetric" in said["nat"]["text"] and said["nat"]["result"] == "note"
    assert "accepts connections" in said["relay"]["text"]
    assert ": through a relay, round trip" in said["path"]["text"], said["path"]


def test_who_is_not_trusted_gets_nothing(relayed):
    """And learns nothing: there is no answer, and the other side writes nothing down."""
    relayed.start(files={"far.bin": b"secret" * 1000})
    process = relayed.begin("far.bin")
    for line in process.stdout:
        if any(source["state"] == "retrying" for source in json.loads(line)["sources"]):
            break  # the first call was in vain; there would be some more
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert "a path to a caller is open" not in relayed.peer.stderr()
    assert not (relayed.suite.folder / "near" / "out" / "far.bin").exists()
    own = relayed.p2p("near", "id", "--keys-dir", "keys", "--json")["peer_id"]
    known = relayed.suite.folder / "far" / "keys" / "known_peers"
    assert not known.exists() or own not in known.read_text()


def test_who_wants_no_relay_uses_none(relayed):
    relayed.start(files={"far.bin": b"x" * 1000})
    relayed.trust()
    with ThreadPoolExecutor() as both:
        list(both.map(lambda more: relayed.get_in_vain("far.bin", *more), (["--no-reach"], ["--path", "direct"])))
    done = relayed.get("far.bin", "--path", "relay")
    assert done.returncode == 0, done.stdout + done.stderr


def test_better_paths_replace_the_relay(relayed):
    """The routers let UDP through during a download, and then the far one opens the peer's port: what is missing
    comes by the better path each time, and no byte twice."""
    data = os.urandom(40 * MIB)
    settings = Settings(relayed.suite.folder / "far.conf", limit_rate="1M")
    relayed.start(files={"far.bin": data}, peer_options=settings.words)
    settings.start(relayed.peer)
    relayed.trust()
    process = relayed.begin("far.bin")
    events = []

    def wait_for(kind):
        for line in process.stdout:
            events.append(json.loads(line))
            if any(s.get("path", {}).get("kind") == kind and events[-1]["received"] for s in events[-1]["sources"]):
                return
        raise AssertionError(process.stderr.read())

    router, port = relayed.home_of_far.router, relayed.peer.port
    try:
        wait_for("relay")
        for home in relayed.here.homes:
            home.set_nat("port")
        wait_for("channel")
        router.run("nft", "-f", "-", input=OPEN.format(port=port, machine=relayed.far.address))
        wait_for("direct")
        settings.reload(limit_rate="off")
        rest, errors = process.communicate(timeout=240)
    finally:
        for home in relayed.here.homes:
            home.set_nat("symmetric")
    assert process.returncode == 0, errors + rest[-3000:]
    assert relayed.got("far.bin") == data
    end = json.loads(rest.splitlines()[-1])
    assert [s["path"]["kind"] for s in end["sources"]] == ["direct"]
    assert end["received"] == len(data)


def test_a_restarted_registry_is_found_again(relayed):
    """Its boxes are gone: the peer opens its own again."""
    relayed.start(files={"far.bin": b"again" * 1000})
    relayed.trust()
    port = relayed.registry.port
    relayed.registry.kill()
    relayed.suite.programs.remove(relayed.registry)
    relayed.registry = relayed.suite.discovery(
        "--relay", f"{relayed.public.address}:{relayed.relay.port}", "--relay-secret-file", relayed.relay.secret_file,
        host="0.0.0.0", prefix=relayed.public.prefix, port=port,
    )  # fmt: skip
    wait_until(relayed.registered, 120, "the registration of the peer")

    def works():
        return relayed.get("far.bin").returncode == 0

    wait_until(works, 120, "a download")

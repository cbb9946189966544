"""docs/OPERATIONS.md, "Three machines with a replicated Redis": its files and commands, run as they are printed there."""

import contextlib
import re
import shlex
import shutil
import socket
import subprocess
import time

import pytest

from conftest import ROOT, Program, long_test, wait_until
from crowd import Crowd, StandIn, listed
from netns import switched_machines
from p2pwire.web import Registry
from redis_world import Server, free_port, need_redis
from test_registry_failover import state_of, wait_for_equal


def block(name):
    """A fenced block of the page."""
    text = (ROOT / "docs" / "OPERATIONS.md").read_text()
    (found,) = re.findall(rf"^```{re.escape(name)}\n(.*?)^```$", text, re.M | re.S)
    return found


def registry_command():
    """(environment, arguments) of the page's only command."""
    (line,) = [x for x in block("sh").replace("\\\n", " ").splitlines() if "p2p-discovery" in x]
    words = shlex.split(line)
    at = words.index("p2p-discovery")
    return dict(word.split("=", 1) for word in words[:at]), words[at + 1 :]


class Machine:
    """One of the page's three: a Redis, a Sentinel and a registry in a namespace of their own."""

    def __init__(self, place, folder, number, net, suite, proxy):
        self.place, self.folder, self.suite, self.proxy = place, folder, suite, proxy
        self.net, self.number = net, number
        folder.mkdir(parents=True)
        redis = self.local(block("redis.conf"))
        if number == 0:
            redis = "\n".join(line for line in redis.splitlines() if not line.startswith("replicaof")) + "\n"
        (folder / "redis.conf").write_text(redis)
        self.redis = Server(folder / "redis", port=6379, host=place.ip, prefix=place.prefix)
        (folder / "sentinel.conf").write_text(self.local(block("sentinel.conf")))
        self.sentinel = Server(folder / "sentinel", port=26379, host=place.ip, prefix=place.prefix)

    def local(self, text):
        return text.replace("10.0.0.", self.net + ".")

    def start_redis(self):
        self.redis.launch(self.folder / "redis.conf", "--dir", self.redis.folder)

    def start_sentinel(self):
        self.sentinel.launch(self.folder / "sentinel.conf", "--sentinel")

    def start_registry(self):
        env, words = registry_command()
        words = [self.local(w).replace("/var/lib/p2p", str(self.folder)) for w in words]
        words += ["--trusted-proxy", self.proxy, "--rate", "0", "--register-rate", "0", "--ttl", "10m"]
        self.program = self.suite._keep(
            Program("p2p-discovery", words, self.folder / "registry", env=env, prefix=self.place.prefix)
        )
        self.registry = Registry(self.url, timeout=8)

    def kill_registry(self):
        self.program.kill()
        self.suite.programs.remove(self.program)

    @property
    def url(self):
        return f"http://{self.place.ip}:8000"

    def master(self):
        """The address of the master, according to this machine's Sentinel."""
        try:
            return self.sentinel.command(b"SENTINEL", b"get-master-addr-by-name", b"p2p", password="SECRET")[0].decode()
        except (OSError, TypeError):
            return None

    def facts(self):
        (facts,) = self.sentinel.command(b"SENTINEL", b"MASTERS", password="SECRET")
        facts = dict(zip(facts[::2], facts[1::2]))
        return int(facts[b"num-slaves"]), int(facts[b"num-other-sentinels"])

    def role(self):
        try:
            return self.redis.command(b"ROLE", password="SECRET")[0]
        except (OSError, TypeError, IndexError):
            return None


@pytest.fixture
def three(suite, tmp_path):
    need_redis()
    with switched_machines(3) as (ours, places), contextlib.ExitStack() as stack:
        if ours is None:
            pytest.skip("network namespaces cannot be made here")
        net = ours.rsplit(".", 1)[0]
        machines = [Machine(p, tmp_path / f"machine{i}", i, net, suite, ours) for i, p in enumerate(places)]
        for start in (Machine.start_redis, Machine.start_sentinel):
            for m in machines:
                start(m)
                stack.callback((m.redis if start is Machine.start_redis else m.sentinel).kill)
        wait_until(lambda: all(m.facts() == (2, 2) for m in machines), 30, "the Sentinels know each other")
        for m in machines:
            m.start_registry()
        try:
            yield machines
        finally:
            suite.stop()
            suite.programs.clear()


def healthy(machines, start, timeout, what):
    """Seconds from `start` until all registries are synchronized with Redis."""
    wait_until(lambda: all(state_of(m.registry) == "ok" for m in machines), timeout, what)
    return time.monotonic() - start


@long_test
def test_what_the_page_promises(three, tmp_path):
    crowd = Crowd([m.url for m in three], signed=6, unsigned=60).start()
    took = {}
    try:
        healthy(three, 0, 10, "all in step")
        time.sleep(2)
        # The master dies under load: another one, within the time the page gives.
        start = time.monotonic()
        three[0].redis.kill()
        wait_until(lambda: all(m.master() not in (None, three[0].place.ip) for m in three), 20, "the failover")
        took["master killed"] = healthy(three, start, 20, "the registries followed")
        three[0].start_redis()
        wait_until(lambda: three[0].role() == b"slave", 40, "the old master is a replica")
        # Registries, one after the other.
        for m in three:
            time.sleep(1)
            m.kill_registry()
            time.sleep(1)
            m.start_registry()
        # The machine with the master is cut off: the other two Sentinels are enough.
        (at,) = [m for m in three if m.place.ip == three[0].master()]
        others = [m for m in three if m is not at]
        start = time.monotonic()
        at.place.cut_off()
        wait_until(lambda: all(m.master() not in (None, at.place.ip) for m in others), 30, "the second failover")
        took["machine cut off"] = healthy(others, start, 20, "the two others followed")
        time.sleep(3)
        start = time.monotonic()
        at.place.connect()
        took["machine back"] = healthy(three, start, 60, "all three in step again")
        wait_until(lambda: at.role() == b"slave", 40, "the old master is a replica")
        time.sleep(2)
    finally:
        crowd.stop()
    print({what: round(s, 1) for what, s in took.items()}, crowd.done, "answered,", crowd.failed, "not")
    assert crowd.done > 500
    wait_for_equal([m.registry for m in three], crowd.expected)
    # A new registry learns everything, too.
    three[1].program.stop()
    (three[1].folder / "registry.snapshot").unlink()
    three[1].start_registry()
    wait_for_equal([three[1].registry], crowd.expected)


@long_test
def test_who_registers_at_a_machine_that_is_cut_off(three):
    """It is served there, and everywhere after the cable is connected again."""
    at = three[0]
    peer, other = StandIn(), StandIn()
    at.place.cut_off()
    script = (
        "import sys, urllib.request; r = urllib.request.Request('http://127.0.0.1:8000/register', sys.argv[1].encode(), "
        "{'Content-Type': 'application/json'}); print(urllib.request.urlopen(r, timeout=30).status)"
    )
    wait_until(lambda: all(m.master() not in (None, at.place.ip) for m in three[1:]), 30, "the failover")
    time.sleep(11)  # min-replicas-max-lag: now the old master refuses
    body = '{"peer_id": "%s", "public_key": "%s", "port": 1, "files": ["alone"]}'
    body %= (peer.peer_id, peer.pem.decode().replace("\n", "\\n"))
    run = subprocess.run(
        [*at.place.prefix, "/usr/bin/python3", "-c", script, body], capture_output=True, text=True, timeout=60
    )
    assert run.stdout == "200\n", run.stderr
    assert three[1].registry.register(other, 2, ["with two"]).status_code == 200
    at.place.connect()
    expected = {peer.peer_id: ["alone"], other.peer_id: ["with two"]}
    wait_for_equal([m.registry for m in three], expected, timeout=60)


# --- HAProxy ---------------------------------------------------------------------------------


@pytest.fixture
def proxy(suite, tmp_path):
    if not shutil.which("haproxy"):
        pytest.skip("needs the package haproxy")
    programs = [suite.discovery("--trusted-proxy", "127.0.0.1", folder=name) for name in ("a", "b")]
    lines, port = block("haproxy.cfg").splitlines(), free_port()
    for old, program in zip(("10.0.0.5:8000", "10.0.0.6:8000"), programs):
        lines = [line.replace(old, program.where) for line in lines]
    lines = [x.replace("bind :8000", f"bind 127.0.0.1:{port}") for x in lines if "10.0.0.7" not in x]
    config = tmp_path / "haproxy.cfg"
    config.write_text("\n".join(lines) + "\n")
    with open(tmp_path / "haproxy.log", "wb") as log:
        process = subprocess.Popen(["haproxy", "-db", "-f", config], stdout=log, stderr=log)

    def listens():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_until(listens, 10, "HAProxy listens")
    yield Registry(f"http://127.0.0.1:{port}", timeout=20), programs
    process.kill()
    process.wait()
    log_text = (tmp_path / "haproxy.log").read_text()
    assert "ALERT" not in log_text or "is DOWN" in log_text or "has no server" in log_text, log_text


def test_behind_haproxy(proxy, suite):
    front, programs = proxy
    wait_until(lambda: front.get("/health").status_code == 200, 10, "both checked")
    who = StandIn()
    assert [front.register(who, 9000, ["f"]).status_code for _ in range(2)] == [200, 200], "one at each"
    assert all(who.peer_id in listed(p.registry) for p in programs), "round robin"
    body = {"peer_id": who.peer_id, "public_key": who.pem.decode(), "port": 1, "files": []}
    lie = front.request("POST", "/register", json=body, headers={"X-Forwarded-For": "192.0.2.9", "Forwarded": "for=192.0.2.8"})
    assert lie.json()["ip"] == "127.0.0.1", "what a client says of itself is not believed"
    start = time.monotonic()
    assert front.get("/changes", since=10**6, wait=2).status_code == 200
    assert front.get("/changes", since=front.get("/changes").json()["version"], wait=2).status_code == 200
    assert time.monotonic() - start < 15
    programs[0].kill()
    suite.programs.remove(programs[0])
    # Refused connections go to another registry at once; after two checks it is no longer used.
    statuses = [front.get("/health").status_code for _ in range(40)]
    assert set(statuses) == {200}, statuses

"""Two machines on one network without a registry: peers find each other by mDNS (Avahi)."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from conftest import wait_until
from netns import two_machines
from p2pwire import tree

BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path={socket}</listen>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_type="method_call"/>
<allow send_destination="*"/><allow receive_sender="*"/></policy></busconfig>
"""
AVAHI = """[server]
host-name={host}
use-ipv4={ipv4}
use-ipv6={ipv6}
allow-interfaces=veth0
[wide-area]
enable-wide-area=no
"""


class Machine:
    """A namespace with its own message bus and Avahi."""

    def __init__(self, name, folder, host, ipv6=False):
        """ipv6: only IPv6, with the link-local addresses that every interface has."""
        folder.mkdir(parents=True)
        self.prefix = ("ip", "netns", "exec", name)
        socket = folder / "bus"
        self.env = {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={socket}"}
        (folder / "bus.conf").write_text(BUS.format(socket=socket))
        (folder / "avahi.conf").write_text(AVAHI.format(host=host, ipv4="no" if ipv6 else "yes", ipv6="yes" if ipv6 else "no"))
        self.folder = folder
        self.bus = self._run("dbus-daemon", f"--config-file={folder}/bus.conf", "--nofork", "--nopidfile")
        wait_until(socket.exists, 10, "the message bus")
        self.start_avahi()

    def start_avahi(self):
        script = f"mkdir -p /run/avahi-daemon && mount -t tmpfs tmpfs /run/avahi-daemon && exec avahi-daemon --no-drop-root --no-chroot -f {self.folder}/avahi.conf"
        self.avahi = self._run("unshare", "-m", "sh", "-c", script)
        log = self.folder / "unshare.log"
        wait_until(lambda: "Server startup complete" in log.read_text(errors="replace"), 15, "Avahi")

    def stop_avahi(self):
        self.avahi.terminate()
        self.avahi.wait(10)

    def _run(self, program, *arguments):
        log = open(self.folder / f"{program}.log", "wb")
        return subprocess.Popen(
            [*self.prefix, program, *arguments], stdout=log, stderr=log, env={**os.environ, **self.env}
        )

    def stop(self):
        self.stop_avahi()
        self.bus.terminate()
        self.bus.wait(10)


@pytest.fixture
def machines(tmp_path, request):
    if not shutil.which("avahi-daemon") or not shutil.which("dbus-daemon"):
        pytest.skip("needs the packages avahi-daemon and dbus")
    with two_machines() as names, contextlib.ExitStack() as stack:
        if names is None:
            pytest.skip("network namespaces cannot be made here")
        both = []
        for name, host in zip(names, ("alpha", "beta")):
            both.append(Machine(name, tmp_path / host, host, ipv6=getattr(request, "param", False)))
            stack.callback(both[-1].stop)
        yield both


def test_found_and_fetched_without_a_registry(machines, suite):
    alpha, beta = machines
    peer = suite.peer(
        host="0.0.0.0", files={"by air.txt": b"found by mDNS"}, wait=False, prefix=alpha.prefix, env=alpha.env
    )
    ask = dict(prefix=beta.prefix, env=beta.env)

    def seen():
        result = suite.p2p("peers", "--discovery", "http://127.0.0.1:9", **ask)
        return (
            result.stdout
            if f"10.214.0.1:{peer.port}" in result.stdout or str(peer.port) in result.stdout
            else None
        )

    assert "10.214.0.1" in wait_until(seen, 25, "the other machine's peer listed")

    def fetched():
        result = suite.p2p(
            "get",
            "by air.txt",
            "--discovery",
            "http://127.0.0.1:9",
            "--output-dir",
            suite.folder / "out",
            **ask,
        )
        return result.returncode == 0

    wait_until(fetched, 25, "the file fetched")
    assert (suite.folder / "out" / "by air.txt").read_bytes() == b"found by mDNS"


def listed(suite, machine):
    run = suite.p2p(
        "peers", "--discovery", "none", "--json", prefix=machine.prefix, env=machine.env
    )
    return {(p["peer_id"], p["found_by"]) for p in json.loads(run.stdout)["peers"]} if run.returncode == 0 else set()


def test_announced_again_when_avahi_restarts_and_gone_when_the_peer_stops(machines, suite):
    alpha, beta = machines
    peer = suite.peer(host="0.0.0.0", files={"f": b"x"}, wait=False, prefix=alpha.prefix, env=alpha.env)
    entry = (re.search(r"peer_id=([0-9a-f]{64})", peer.lines[0]).group(1), "mdns")
    wait_until(lambda: entry in listed(suite, beta), 25, "the peer listed")
    alpha.stop_avahi()
    wait_until(lambda: entry not in listed(suite, beta), 25, "the goodbye of its Avahi")
    alpha.start_avahi()
    wait_until(lambda: entry in listed(suite, beta), 25, "the peer listed again")
    peer.stop()
    wait_until(lambda: entry not in listed(suite, beta), 25, "the peer's goodbye")


def test_two_peers_on_one_machine_and_search(machines, suite):
    alpha, beta = machines
    for name in ("one", "two"):
        suite.peer(
            host="0.0.0.0", name=name, files={f"holiday {name}.txt": b"x"}, wait=False,
            prefix=alpha.prefix, env=alpha.env,
        )  # fmt: skip

    def found():
        run = suite.p2p("search", "holiday", "--discovery", "none", prefix=beta.prefix, env=beta.env)
        return "holiday one.txt" in run.stdout and "holiday two.txt" in run.stdout

    wait_until(found, 40, "files of both peers found by their lists")


def asking(suite, machine):
    """Runs `p2p` on a machine, without a registry: (exit status, its JSON)."""

    def ask(*words):
        run = suite.p2p(*words, "--discovery", "none", "--json", prefix=machine.prefix, env=machine.env)
        lines = run.stdout.splitlines()
        return run.returncode, json.loads(lines[-1]) if lines else None

    return ask


def test_by_root_with_sizes_and_grouped_by_content(machines, suite):
    alpha, beta = machines
    data, root = b"the same content" * 99, tree.root_of(b"the same content" * 99).hex()
    for name, files in (("one", {"a.txt": data}), ("two", {"a.txt": data, "b.txt": b"other"})):
        suite.peer(host="0.0.0.0", name=name, files=files, wait=False, prefix=alpha.prefix, env=alpha.env)
    ask = asking(suite, beta)

    def found(*words):
        status, answer = ask("search", *words)
        return [(r["name"], r["size"], r["root"], len(r["peers"])) for r in answer["results"]] if status == 0 else []

    wait_until(lambda: found(".txt") and found(".txt")[0][3] == 2 and len(found(".txt")) == 2, 40, "both listed")
    assert sorted(found(".txt")) == [
        ("a.txt", len(data), root, 2), ("b.txt", 5, tree.root_of(b"other").hex(), 1)
    ]  # fmt: skip
    assert found("--root", root) == [("a.txt", len(data), root, 2)]
    assert found("--root", "0" * 64) == []
    assert ask("get", "mine.txt", "--root", root, "--output-dir", suite.folder / "out")[0] == 0
    assert (suite.folder / "out" / "mine.txt").read_bytes() == data


def test_neighbours_beside_a_registry(machines, suite):
    """lan: results of the registry and of a neighbor that it does not know form one list, grouped by content."""
    alpha, beta = machines
    data = b"in both places"
    registry = suite.discovery(host="0.0.0.0", prefix=beta.prefix)
    url = f"http://10.214.0.2:{registry.port}"
    places = ((beta, "known", registry, "10.214.0.2"), (alpha, "near", None, "10.214.0.1"))
    for machine, name, where, ip in places:
        suite.peer(
            "--advertise", ip, host="0.0.0.0", name=name, discovery=where, files={"f.txt": data}, wait=False,
            prefix=machine.prefix, env=machine.env,
        )  # fmt: skip

    def found(*more):
        run = suite.p2p("search", "f.txt", "--discovery", url, "--json", *more, prefix=beta.prefix, env=beta.env)
        results = json.loads(run.stdout)["results"] if run.returncode == 0 else []
        return [sorted(p["ip"] for p in r["peers"]) for r in results if r["size"] == len(data)]

    wait_until(lambda: found() == [["10.214.0.2"]], 40, "the registry's alone")
    wait_until(lambda: found("--lan") == [["10.214.0.1", "10.214.0.2"]], 40, "one content, two sources")


@pytest.mark.parametrize("machines", [True], indirect=True, ids=["ipv6"])
def test_over_link_local_ipv6(machines, suite):
    """No IPv4 and no router: addresses contain their interface, fe80::...%veth0."""
    alpha, beta = machines
    peer = suite.peer(host="::", files={"f.txt": b"over IPv6"}, wait=False, prefix=alpha.prefix, env=alpha.env)
    ask = asking(suite, beta)

    def addresses():
        status, answer = ask("peers")
        return [(p["ip"], p["port"]) for p in answer["peers"]] if status == 0 else []

    ((ip, port),) = wait_until(addresses, 40, "the peer listed")
    assert ip.startswith("fe80:") and ip.endswith("%veth0") and port == peer.port
    assert ask("get", "f.txt", "--output-dir", suite.folder / "out")[0] == 0
    assert (suite.folder / "out" / "f.txt").read_bytes() == b"over IPv6"
    assert ask("get", "f.txt", "--from", f"[{ip}]:{port}", "--output-dir", suite.folder / "out2")[0] == 0
    ui = suite.ui(name="near", prefix=beta.prefix, env=beta.env)
    ask_ui = asking_ui(beta, ui)
    near = wait_until(lambda: [p for p in ask_ui("GET", "/api/peers")["peers"] if p["files"] == 1], 40, "in the dashboard")
    assert near[0]["ip"] == ip
    transfer = ask_ui("POST", "/api/transfers", json.dumps({"filename": "f.txt"}))
    wait_until(lambda: ask_ui("GET", f"/api/transfers/{transfer['id']}")["state"] == "completed", 30, "completed")
    assert (ui.downloads / "f.txt").read_bytes() == b"over IPv6"


def copy_keys(peer, folder):
    """Only the keys: the running peer makes and removes other files beside them."""
    (folder / "keys").mkdir(parents=True, mode=0o700)
    for path in peer.keys.glob("*.pem"):
        shutil.copy2(path, folder / "keys" / path.name)


def test_a_name_that_is_taken(machines, suite):
    """One identity on two machines has the same instance name twice: both are announced, and one can leave."""
    alpha, beta = machines
    first = suite.peer(host="0.0.0.0", name="first", wait=False, prefix=alpha.prefix, env=alpha.env)
    peer_id = re.search(r"peer_id=([0-9a-f]{64})", first.lines[0]).group(1)
    copy_keys(first, suite.folder / "second")

    def ports(machine):
        status, answer = asking(suite, machine)("peers")
        return {p["port"] for p in answer["peers"] if p["peer_id"] == peer_id} if status == 0 else set()

    wait_until(lambda: ports(beta) == {first.port}, 25, "the first listed")
    second = suite.peer(host="0.0.0.0", name="second", wait=False, prefix=beta.prefix, env=beta.env)
    said = "another device of the local network announces the identity"
    wait_until(lambda: said in first.stderr() + second.stderr(), 60, "the copy is noticed")
    first.stop()
    wait_until(lambda: ports(alpha) == {second.port}, 40, "the second is still announced")


def test_an_announcement_moves_no_peer_that_was_added_by_hand(machines, suite):
    """Any device can announce any id at any address; the decision of the user stays."""
    alpha, beta = machines
    real = suite.peer("--no-mdns", host="0.0.0.0", name="real", files={"f.txt": b"x"}, wait=False, prefix=alpha.prefix, env=alpha.env)
    peer_id = re.search(r"peer_id=([0-9a-f]{64})", real.lines[0]).group(1)
    ui = suite.ui(name="near", prefix=beta.prefix, env=beta.env)
    ask = asking_ui(beta, ui)
    assert ask("POST", "/api/peers", json.dumps({"address": f"10.214.0.1:{real.port}"}))["peer_id_full"] == peer_id

    copy_keys(real, suite.folder / "spoof")
    spoof = suite.peer(host="0.0.0.0", name="spoof", wait=False, prefix=alpha.prefix, env=alpha.env)
    wait_until(lambda: peer_id in json.dumps(asking(suite, alpha)("peers")[1]), 25, "the false announcement")
    other = suite.peer(host="0.0.0.0", name="other", wait=False, prefix=alpha.prefix, env=alpha.env)

    def listed():
        return {p["peer_id_full"]: p for p in ask("GET", "/api/peers")["peers"]}

    other_id = re.search(r"peer_id=([0-9a-f]{64})", other.lines[0]).group(1)
    wait_until(lambda: other_id in listed(), 40, "an announcement after the false one")
    peer = listed()[peer_id]
    assert (peer["port"], peer["found_by"]) == (real.port, "manual") and spoof.port != real.port


ASK = """
import sys, urllib.request
method, url, body = sys.argv[1:]
request = urllib.request.Request(url, body.encode() or None, {"Content-Type": "application/json"}, method=method)
print(urllib.request.urlopen(request, timeout=30).read().decode())
"""


def asking_ui(machine, ui):
    """Requests to a dashboard, made on its machine."""

    def ask(method, path, body=""):
        run = subprocess.run(
            [*machine.prefix, sys.executable, "-c", ASK, method, ui.url + path, body],
            capture_output=True, text=True, timeout=60, env={"PATH": os.environ["PATH"]},
        )  # fmt: skip
        assert run.returncode == 0, run.stderr
        return json.loads(run.stdout)

    return ask


def test_the_dashboard_lists_browses_and_fetches_without_a_registry(machines, suite):
    alpha, beta = machines
    suite.peer(
        host="0.0.0.0", files={"by air.txt": b"found by mDNS"}, wait=False, prefix=alpha.prefix, env=alpha.env
    )
    ui = suite.ui(name="near", prefix=beta.prefix, env=beta.env)

    ask = asking_ui(beta, ui)

    def listed_with_files():
        answer = ask("GET", "/api/peers")
        assert answer["discovery_reachable"] is False
        # Its link-local address may be known first.
        return [p for p in answer["peers"] if p["ip"] == "10.214.0.1" and p["file_list"] == ["by air.txt"]]

    peer = wait_until(listed_with_files, 40, "the peer listed, with its file")[0]
    # It was never met: an announcement does not count.
    assert (peer["found_by"], peer["files"], peer["trust"]) == ("mdns", 1, "new")
    files = ask("GET", f"/api/peers/{peer['peer_id_full']}/files")["files"]
    assert [(f["name"], f["size"]) for f in files] == [("by air.txt", 13)]
    assert ask("GET", "/api/peers/search?filename=by%20air.txt")["found"] == 1
    found = ask("GET", "/api/search?q=AIR")["results"]
    root = tree.root_of(b"found by mDNS").hex()
    assert [(r["name"], r["size"], r["root"], len(r["sources"])) for r in found] == [("by air.txt", 13, root, 1)]
    by_root = ask("GET", f"/api/search?q={root}")["results"]
    assert [(r["name"], len(r["sources"])) for r in by_root] == [("by air.txt", 1)]
    transfer = ask("POST", "/api/transfers", json.dumps({"filename": "by air.txt"}))
    wait_until(lambda: ask("GET", f"/api/transfers/{transfer['id']}")["state"] == "completed", 30, "completed")
    assert (ui.downloads / "by air.txt").read_bytes() == b"found by mDNS"
    transfer = ask("POST", "/api/transfers", json.dumps({"filename": "by root.txt", "root": root}))
    wait_until(lambda: ask("GET", f"/api/transfers/{transfer['id']}")["state"] == "completed", 30, "completed")
    assert (ui.downloads / "by root.txt").read_bytes() == b"found by mDNS"


def test_without_avahi_all_else_works(suite, tmp_path):
    """No message bus: one line in the log, and the peer serves."""
    peer = suite.peer(files={"f": b"x"}, env={"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={tmp_path}/none"})
    with peer.client() as client:
        assert client.fetch("f") == b"x"
    assert not [line for line in peer.stderr().splitlines() if "error" in line.split()[:3]]

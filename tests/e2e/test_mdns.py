"""Two machines on one cable and no registry: peers find each other by mDNS (Avahi)."""

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

BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path={socket}</listen>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_type="method_call"/>
<allow send_destination="*"/><allow receive_sender="*"/></policy></busconfig>
"""
AVAHI = """[server]
host-name={host}
use-ipv4=yes
use-ipv6=no
allow-interfaces=veth0
[wide-area]
enable-wide-area=no
"""


class Machine:
    """A namespace with its own message bus and Avahi."""

    def __init__(self, name, folder, host):
        folder.mkdir(parents=True)
        self.prefix = ("ip", "netns", "exec", name)
        socket = folder / "bus"
        self.env = {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={socket}"}
        (folder / "bus.conf").write_text(BUS.format(socket=socket))
        (folder / "avahi.conf").write_text(AVAHI.format(host=host))
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
def machines(tmp_path):
    if not shutil.which("avahi-daemon") or not shutil.which("dbus-daemon"):
        pytest.skip("needs the packages avahi-daemon and dbus")
    with two_machines() as names, contextlib.ExitStack() as stack:
        if names is None:
            pytest.skip("network namespaces cannot be made here")
        both = []
        for name, host in zip(names, ("alpha", "beta")):
            both.append(Machine(name, tmp_path / host, host))
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


ASK = """
import sys, urllib.request
method, url, body = sys.argv[1:]
request = urllib.request.Request(url, body.encode() or None, {"Content-Type": "application/json"}, method=method)
print(urllib.request.urlopen(request, timeout=30).read().decode())
"""


def test_the_dashboard_lists_browses_and_fetches_without_a_registry(machines, suite):
    alpha, beta = machines
    suite.peer(
        host="0.0.0.0", files={"by air.txt": b"found by mDNS"}, wait=False, prefix=alpha.prefix, env=alpha.env
    )
    ui = suite.ui(name="near", prefix=beta.prefix, env=beta.env)

    def ask(method, path, body=""):
        run = subprocess.run(
            [*beta.prefix, sys.executable, "-c", ASK, method, ui.url + path, body],
            capture_output=True, text=True, timeout=60, env={"PATH": os.environ["PATH"]},
        )  # fmt: skip
        assert run.returncode == 0, run.stderr
        return json.loads(run.stdout)

    def listed_with_files():
        answer = ask("GET", "/api/peers")
        assert answer["discovery_reachable"] is False
        return [p for p in answer["peers"] if p["found_by"] == "mdns" and p["file_list"] == ["by air.txt"]]

    peer = wait_until(listed_with_files, 40, "the peer listed, with its file")[0]
    assert (peer["ip"], peer["files"], peer["trust"]) == ("10.214.0.1", 1, "verified")
    files = ask("GET", f"/api/peers/{peer['peer_id_full']}/files")["files"]
    assert [(f["name"], f["size"]) for f in files] == [("by air.txt", 13)]
    assert ask("GET", "/api/peers/search?filename=by%20air.txt")["found"] == 1
    found = ask("GET", "/api/search?q=AIR")["results"]
    assert [(r["name"], len(r["sources"])) for r in found] == [("by air.txt", 1)]
    transfer = ask("POST", "/api/transfers", json.dumps({"filename": "by air.txt"}))
    wait_until(lambda: ask("GET", f"/api/transfers/{transfer['id']}")["state"] == "completed", 30, "completed")
    assert (ui.downloads / "by air.txt").read_bytes() == b"found by mDNS"


def test_without_avahi_all_else_works(suite, tmp_path):
    """No bus at all: one line in the log, and the peer serves."""
    peer = suite.peer(files={"f": b"x"}, env={"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={tmp_path}/none"})
    with peer.client() as client:
        assert client.fetch("f") == b"x"
    assert not [line for line in peer.stderr().splitlines() if "error" in line.split()[:3]]

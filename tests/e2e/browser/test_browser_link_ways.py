"""Links where it is difficult: UDP between guest and sender is blocked but for a TURN server; a registry that lies."""

import http.client
import http.server
import json
import os
import re
import shutil
import socket
import subprocess
import threading
from urllib.parse import urlsplit

import pytest

from conftest import Registry, bounded, wait_until
from netns import other_machine
from page import ROOT
from test_browser_link import LIMIT, Guest, Sender

SECRET = "a secret of this test alone"


@pytest.fixture(scope="module")
def machine():
    with other_machine(8) as found:
        if found is None:
            pytest.skip("network namespaces cannot be made here")
        yield found


def free_port(address):
    """Of TCP and UDP."""
    while True:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind((address, 0))
            try:
                udp.bind(tcp.getsockname())
                return tcp.getsockname()[1]
            except OSError:
                continue


def answers(address, port):
    try:
        socket.create_connection((address, port), 1).close()
        return True
    except OSError:
        return False


@pytest.fixture
def turn(machine, tmp_path):
    """(port, file with the secret) of a coturn as OPERATIONS.md sets it up."""
    if shutil.which("turnserver") is None:
        pytest.skip("coturn is not installed (scripts/deps.sh test)")
    port, secret_file = free_port(machine.our_ip), tmp_path / "turn.secret"
    secret_file.write_text(SECRET + "\n")
    lines = re.search(r"`/etc/turnserver.conf`:\n\n((?:    .*\n)+)", (ROOT / "docs/OPERATIONS.md").read_text())[1]
    config = tmp_path / "turnserver.conf"
    config.write_text(
        "\n".join(line.strip() for line in lines.splitlines())
        .replace("<the content of turn.secret>", SECRET)
        .replace("203.0.113.5", machine.our_ip)
        .replace("listening-port=3478", f"listening-port={port}")
        + f"\nallowed-peer-ip={machine.our_ip}\nno-tls\nno-dtls\nlog-file=stdout\nsimple-log\n"
        f"userdb={tmp_path}/turndb\npidfile={tmp_path}/turn.pid\n"
    )
    log = (tmp_path / "turn.log").open("w")
    process = bounded(subprocess.Popen(["turnserver", "-c", config], stdout=log, stderr=log, cwd=tmp_path))
    try:
        wait_until(lambda: answers(machine.our_ip, port) or process.poll() is not None, LIMIT, "coturn")
        if process.poll() is not None:
            pytest.skip(f"coturn cannot run here: {(tmp_path / 'turn.log').read_text()[-500:]}")
        yield port, secret_file
    finally:
        process.terminate()
        process.wait(LIMIT)
        log.close()


def login_for(http, box):
    found = http.get("/reach", box=box).json()
    return found["turn"][0] if "turn" in found else None


def test_a_link_through_turn(machine, turn, module_suite, tmp_path):
    """The guest's network lets UDP pass to the TURN server only. Logins are for those who have a link, and not many."""
    port, secret_file = turn
    words = ["--turn", f"{machine.our_ip}:{port}", "--turn-secret-file", secret_file]
    registry = module_suite.discovery(*words, folder="turned", host="0.0.0.0")
    url = f"http://{machine.our_ip}:{registry.port}"
    data = os.urandom(700_000)
    (tmp_path / "a.bin").write_bytes(data)
    rules = f"""table inet p2p {{
        chain in {{ type filter hook input priority 0; udp sport != {port} drop; }}
        chain out {{ type filter hook output priority 0; udp dport != {port} drop; }}
    }}"""
    blocked = subprocess.run(["ip", "netns", "exec", machine.name, "nft", "-f", "-"], input=rules, text=True, capture_output=True)
    if blocked.returncode != 0:
        pytest.skip(f"nftables does not work here: {blocked.stderr}")
    sender = Sender(tmp_path / "sender", url, "--keep", tmp_path / "a.bin")
    try:
        link = sender.event("link")["link"]

        def visit():
            guest = Guest(tmp_path)
            try:
                guest.open(link).download().shows("Everything was downloaded and verified.")
                guest.shows("connection through a relay")
                guest.has_saved("a.bin", data)
                box = guest.driver.execute_script("return performance.getEntriesByType('resource').map((e) => e.name).find((n) => n.includes('reach?box='))")
                return box.split("=")[1]
            except BaseException:
                print(guest.driver.page_source, guest.driver.get_log("browser"))
                print((tmp_path / "turn.log").read_text())
                raise
            finally:
                guest.driver.quit()

        box = machine.run(visit)
        refused = (None, "0" * 32, "x")
        assert [login_for(registry.registry, each) for each in refused] == [None] * 3
        assert registry.registry.get(f"/box/{'1' * 32}").status_code == 200  # not of a link
        assert login_for(registry.registry, "1" * 32) is None
        login = login_for(registry.registry, box)
        assert login["urls"] == [f"turn:{machine.our_ip}:{port}?transport={way}" for way in ("udp", "tcp")]
        here, inside = machine.our_ip, "10.1.2.3"  # a private address of the server's network
        for password, peer, said in (
            (login["credential"], here, ""), (login["credential"], inside, "403"), ("A" * 27 + "=", here, "Cannot complete Allocation"),
        ):  # fmt: skip
            words = ["-n", "1", "-m", "1", "-c", "-s", "-e", peer, "-r", "9", "-u", login["username"], "-w", password, "-p", str(port), here]
            done = machine.run(
                subprocess.run, ["turnutils_uclient", *words], capture_output=True, text=True, timeout=LIMIT
            )
            print(peer, done.returncode, done.stdout, done.stderr)
            assert said in done.stdout + done.stderr, done.stdout + done.stderr
        # An address has a budget; a guest without a login tries the direct way.
        far = [machine.run(lambda: login_for(Registry(url), box)) is not None for _ in range(20)]
        assert far[-1] is False and sum(far) < 12
    finally:
        sender.stop()
        subprocess.run(["ip", "netns", "exec", machine.name, "nft", "delete", "table", "inet", "p2p"], capture_output=True)


class Liar(http.server.BaseHTTPRequestHandler):
    """Stands between the guest and its registry, and changes the answer of the sender."""

    protocol_version = "HTTP/1.1"
    change = upstream = None

    def log_message(self, *_):
        pass

    def pass_on(self):
        where = urlsplit(self.upstream)
        there = http.client.HTTPConnection(where.hostname, where.port, timeout=LIMIT)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        kind = {"Content-Type": self.headers["Content-Type"]} if body else {}
        there.request(self.command, self.path, body or None, kind)
        answer = there.getresponse()
        data = answer.read()
        if self.path.startswith("/box/") and self.command == "GET" and data:
            found = json.loads(data)
            for message in found.get("messages", []):
                type(self).change(message["m"])
            data = json.dumps(found).encode()
        self.send_response(answer.status)
        for name in ("Content-Type", "Date", "Content-Security-Policy"):
            if answer.headers[name]:
                self.send_header(name, answer.headers[name])
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        there.close()

    do_GET = do_POST = do_DELETE = pass_on


def strip(message):
    del message["key"], message["sig"]


def forge(message):
    message["sig"] = ("B" if message["sig"][0] == "A" else "A") + message["sig"][1:]


def test_a_registry_that_lies(machine, module_suite, tmp_path):
    """A page with https (here: of its own machine) checks the sender's signature; a wrong one, and none, are refused."""
    registry = module_suite.discovery(folder="lying", host="0.0.0.0")
    url = f"http://{machine.our_ip}:{registry.port}"
    (tmp_path / "a.bin").write_bytes(b"some bytes")
    sender = Sender(tmp_path / "sender", url, "--keep", "--name", "Kitchen", tmp_path / "a.bin")

    def visit():
        Liar.upstream = url
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Liar)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        guest = Guest(tmp_path)
        try:
            link = f"http://127.0.0.1:{server.server_port}/l#{secret}"
            for change, shown in ((forge, "the signature is wrong"), (strip, "the signature is wrong")):
                Liar.change = staticmethod(change)
                guest.open(link).shows(shown)
                assert not guest.one("files").is_displayed()
            Liar.change = staticmethod(lambda message: None)
            guest.open(link).shows("signed with this device’s key").shows("a.bin")
            peer = guest.one("proof").get_attribute("data-peer")
            assert guest.one("from").text.startswith(f"From Kitchen ({peer[:4]}-{peer[4:8]})")
            guest.open(f"{url}/l#{secret}").shows("not proven: without https").shows("a.bin")
        except BaseException:
            print(guest.driver.page_source, guest.driver.get_log("browser"))
            raise
        finally:
            guest.driver.quit()
            server.shutdown()
            server.server_close()

    try:
        secret = sender.event("link")["link"].split("#")[1]
        machine.run(visit)
    finally:
        sender.stop()

"""A stranger behind a proxy, a relay or a tunnel on the machine of a dashboard is never its owner. The dashboard
listens on loopback only; the stranger is another machine that reaches this program and can send any Host.
"""

import getpass
import shutil
import sys

import pytest

import carriers
from netns import other_machine
from p2pwire.web import raw

ATTACKS = [
    ("GET", "/api/status"), ("GET", "/api/shared/f.txt"), ("POST", "/api/pair/code"), ("POST", "/api/owner/link"),
    ("DELETE", "/api/shared/f.txt"), ("GET", "/api/devices"), ("GET", "/metrics"),
]  # fmt: skip


@pytest.fixture(scope="module")
def stage(module_suite):
    with other_machine(4) as machine:
        if machine is None:
            pytest.skip("network namespaces cannot be made here")
        ui = module_suite.ui(peer=module_suite.peer(files={"f.txt": b"private"}))
        ui.machine = machine
        yield ui


def attack(ui, port):
    machine = ui.machine

    def ask(method, path):
        return machine.run(raw, port, method, path, [("Host", "localhost"), ("Content-Length", "0")], b"",
                           machine.our_ip)  # fmt: skip

    for method, path in ATTACKS:
        status, _, body = ask(method, path)
        assert status == 401, (method, path, status, body)
        assert b"private" not in body and b"f.txt" not in body
    status, headers, body = ask("GET", "/")
    assert status == 200 and headers["Content-Type"].startswith("text/html"), "the page with the field for the code"
    assert (ui.shared / "f.txt").read_bytes() == b"private"


@pytest.mark.parametrize("how", ["", 'proxy_http_version 1.1; proxy_set_header Connection "";',
                                 'proxy_http_version 1.1; proxy_set_header Host localhost;'])  # fmt: skip
def test_nginx(stage, tmp_path, how):
    port = carriers.free_port()
    block = f"server {{ listen 0.0.0.0:{port}; location / {{ proxy_pass {stage.url}; {how} }} }}"
    with carriers.nginx(tmp_path, port, block):
        attack(stage, port)


@pytest.mark.parametrize("mode", ["http", "tcp"])
def test_haproxy(stage, tmp_path, mode):
    port = carriers.free_port()
    text = (
        f"defaults\n mode {mode}\n timeout connect 5s\n timeout client 30s\n timeout server 30s\n"
        f"listen p2p\n bind 0.0.0.0:{port}\n server ui 127.0.0.1:{stage.port}\n"
    )
    with carriers.haproxy(tmp_path, port, text):
        attack(stage, port)


def test_caddy_that_hides_itself(stage, tmp_path):
    port = carriers.free_port()
    hide = "".join(f"\n  header_up -{h}" for h in ("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Via"))
    text = f"{{\n admin off\n}}\nhttp://:{port} {{\n reverse_proxy 127.0.0.1:{stage.port} {{{hide}\n }}\n}}\n"
    with carriers.caddy(tmp_path, port, text):
        attack(stage, port)


def relay(folder, ui):
    """A relay for one connection, with an unknown name."""
    script = folder / "relay.py"
    script.write_text(
        "import os, socket, sys, threading\n"
        f"s = socket.create_connection(('127.0.0.1', {ui.port}))\n"
        "def back():\n"
        "    while data := s.recv(65536): os.write(1, data)\n"
        "    os._exit(0)\n"
        "threading.Thread(target=back, daemon=True).start()\n"
        "while data := os.read(0, 65536): s.sendall(data)\n"
        "s.shutdown(socket.SHUT_WR); threading.Event().wait(20)\n"
    )
    return f"{sys.executable} {script}"


@pytest.mark.parametrize("how", ["TCP", "EXEC", "EXEC a relay", "EXEC a relay,setsid"])
def test_socat_with_fork(stage, tmp_path, how):
    port = carriers.free_port()
    to = {
        "TCP": f"TCP:127.0.0.1:{stage.port}",
        "EXEC": f"EXEC:socat - TCP\\:127.0.0.1\\:{stage.port}",
        "EXEC a relay": f"EXEC:{relay(tmp_path, stage)}",
        "EXEC a relay,setsid": f"EXEC:{relay(tmp_path, stage)},setsid",
    }[how]
    listen = f"TCP-LISTEN:{port},fork,reuseaddr"
    with carriers.running(carriers.need("socat"), listen, to, port=port, folder=tmp_path):
        attack(stage, port)


def test_socat_under_another_name(stage, tmp_path):
    """It listens, or its parent does."""
    port = carriers.free_port()
    shutil.copy(carriers.need("socat"), tmp_path / "pigeon")
    listen = f"TCP-LISTEN:{port},fork,reuseaddr"
    with carriers.running(tmp_path / "pigeon", listen, f"TCP:127.0.0.1:{stage.port}", port=port, folder=tmp_path):
        attack(stage, port)


def test_socat_with_a_unix_socket_in_between(stage, tmp_path):
    """The process that connects does not listen for TCP: only its name shows that it is a relay."""
    port = carriers.free_port()
    socat, unix = carriers.need("socat"), tmp_path / "s"
    outer = [socat, f"TCP-LISTEN:{port},fork,reuseaddr", f"UNIX-CONNECT:{unix}"]
    inner = [socat, f"UNIX-LISTEN:{unix},fork", f"TCP:127.0.0.1:{stage.port}"]
    with carriers.running(*inner, path=unix, folder=tmp_path), carriers.running(*outer, port=port, folder=tmp_path):
        attack(stage, port)


def test_ncat(stage, tmp_path):
    port = carriers.free_port()
    ncat = carriers.need("ncat")
    command = [ncat, "-l", "-k", "-p", port, "--sh-exec", f"{ncat} 127.0.0.1 {stage.port}"]
    with carriers.running(*command, port=port, folder=tmp_path):
        attack(stage, port)


@pytest.mark.parametrize("way", ["-L", "-R"])
def test_ssh(stage, tmp_path, way):
    """-L: the server's side connects to the dashboard. -R: the client's side does."""
    port = carriers.free_port()
    with carriers.ssh_server(tmp_path) as client:
        command = [*client, way, f"0.0.0.0:{port}:127.0.0.1:{stage.port}", f"{getpass.getuser()}@127.0.0.1"]
        with carriers.running(*command, port=port, folder=tmp_path):
            attack(stage, port)

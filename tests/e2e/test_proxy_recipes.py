"""docs/OPERATIONS.md, "Behind a reverse proxy": each block, run as it is printed there."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

import carriers
from conftest import ROOT, wait_until
from tls_world import make_authority, make_certificate
from p2pwire.keys import Identity

HAPROXY = "defaults\n mode http\n timeout connect 5s\n timeout client 1h\n timeout server 30s\n"
APACHE = """ServerRoot "{folder}"
PidFile "{folder}/pid"
DefaultRuntimeDir "{folder}"
Listen {port}
ErrorLog "{folder}/error.log"
{modules}
"""
MODULES = "mpm_event authz_core ssl socache_shmcb proxy proxy_http headers".split()


def block(name):
    text = (ROOT / "docs" / "OPERATIONS.md").read_text()
    (found,) = re.findall(rf"^```{re.escape(name)}\n(.*?)^```$", text, re.M | re.S)
    return found


def local(text, folder, port, inner):
    """Our port, folder and server in place of the printed ones."""
    text = text.replace("/etc/ssl/", f"{folder}/")
    text = re.sub(r"127\.0\.0\.1:80[08]0", f"127.0.0.1:{inner}", text)
    text = text.replace("listen 443", f"listen {port}").replace("bind :443", f"bind :{port}").replace("*:443", f"*:{port}")
    return re.sub(r"^((files|registry)\.example\.org) \{", rf"\1:{port} {{", text, flags=re.M)


def apache(folder, port, text):
    server = carriers.need("apache2")
    modules = Path("/usr/lib/apache2/modules")
    built_in = subprocess.run([server, "-l"], capture_output=True, text=True).stdout
    loads = "".join(f'LoadModule {m}_module {modules}/mod_{m}.so\n' for m in MODULES if f"mod_{m}.c" not in built_in)
    user = "User www-data\nGroup www-data\n" if os.geteuid() == 0 else ""
    head = APACHE.format(folder=folder, port=port, modules=loads + user)
    unixd = f'LoadModule unixd_module {modules}/mod_unixd.so\n' if (modules / "mod_unixd.so").exists() else ""
    (folder / "apache.conf").write_text(unixd + head + text)
    return carriers.running(server, "-D", "FOREGROUND", "-f", folder / "apache.conf", port=port, folder=folder)


RUN = {
    "nginx": carriers.nginx,
    "caddy": lambda folder, port, text: carriers.caddy(folder, port, "{\n admin off\n auto_https off\n}\n" + text),
    "haproxy": lambda folder, port, text: carriers.haproxy(folder, port, HAPROXY + text),
    "apache": apache,
}


class Outside:
    """curl, as a client that knows only the name and the authority."""

    def __init__(self, name, port, authority, folder):
        self.name, self.port, self.base = name, port, f"https://{name}:{port}"
        self.command = ["curl", "-sS", "--noproxy", "*", "--cacert", str(authority), "-c", str(folder / "jar"),
                        "-b", str(folder / "jar"), "--resolve", f"{name}:{port}:127.0.0.1", "-m", "30"]  # fmt: skip

    def __call__(self, path, *more, check=True):
        """(status, headers and body as text)"""
        command = [*self.command, "-i", *more, self.base + path]
        run = subprocess.run(command, capture_output=True, text=True, start_new_session=True)
        assert run.returncode == 0 or not check, run.stderr
        return int(re.findall(r"^HTTP/\S+ (\d+)", run.stdout or "HTTP/0 0", re.M)[-1]), run.stdout


@pytest.mark.parametrize("proxy", ["nginx", "caddy", "haproxy", "apache"])
def test_the_dashboard(suite, tmp_path, proxy):
    name, port = "files.example.org", carriers.free_port()
    authority = make_authority(tmp_path)
    make_certificate(tmp_path, name, authority)
    ui = suite.ui("--trusted-proxy", "127.0.0.1", "--allow-host", name, peer=suite.peer(files={"f.txt": b"x"}))
    text = local(block(f"{proxy}-ui"), tmp_path, port, ui.port)
    with RUN[proxy](tmp_path, port, text):
        outside = Outside(name, port, authority.cert, tmp_path)
        wait_until(lambda: outside("/health", check=False)[0] == 200, 20, "the proxy finds the dashboard")
        assert "pair" in outside("/")[1] or outside("/")[0] == 200
        forged = ["-H", "Forwarded: for=127.0.0.1", "-H", "X-Forwarded-For: 127.0.0.1", "-H", "X-Real-IP: ::1"]
        for more in ([], forged, ["-H", "Host: localhost"]):
            status, answer = outside("/api/status", *more)
            assert "f.txt" not in answer and "peer_id" not in answer, (more, answer)
            assert status in (401, 404, 421) or "localhost" in "".join(more), (more, answer)
        link = ui.api.request("POST", "/api/owner/link").json()["url"]
        status, answer = outside("/open/" + link.rpartition("/")[2])
        assert status == 303
        cookie = re.search(r"(?i)^set-cookie: (.*)$", answer, re.M).group(1)
        assert cookie.startswith("__Host-p2p_") and "; Secure" in cookie
        assert json.loads(outside("/api/status")[1].rpartition("\n")[2])["caller"] == "owner"
        page = ["-H", f"Origin: {outside.base}", "-H", "Sec-Fetch-Site: same-origin"]
        made = json.loads(outside("/api/owner/link", "-X", "POST", *page)[1].rpartition("\n")[2])["url"]
        assert made.startswith(f"{outside.base}/open/")
        (tmp_path / "up.bin").write_bytes(os.urandom(3 << 20))
        status, answer = outside("/api/upload", "-F", f"file=@{tmp_path}/up.bin", *page)
        assert status == 200, answer
        assert (ui.shared / "up.bin").read_bytes() == (tmp_path / "up.bin").read_bytes()
        events = subprocess.Popen([*outside.command, "-N", outside.base + "/api/events"], stdout=subprocess.PIPE,
                                  start_new_session=True)  # fmt: skip
        try:
            assert events.stdout.readline(), "events are not held back"
        finally:
            events.kill()
            events.wait()


@pytest.mark.parametrize("proxy", ["nginx", "caddy", "apache"])
def test_the_registry(suite, tmp_path, proxy):
    name, port = "registry.example.org", carriers.free_port()
    authority = make_authority(tmp_path)
    make_certificate(tmp_path, name, authority)
    registry = suite.discovery("--trusted-proxy", "127.0.0.1")
    text = local(block(f"{proxy}-registry"), tmp_path, port, registry.port)
    with RUN[proxy](tmp_path, port, text):
        outside = Outside(name, port, authority.cert, tmp_path)
        wait_until(lambda: outside("/health", check=False)[0] == 200, 20, "the proxy finds the registry")
        identity = Identity()
        names = [f"{i:05} {'x' * 60}" for i in range(30_000)]  # beyond nginx's own limit of 1 MB
        body = {"peer_id": identity.peer_id, "public_key": identity.pem.decode(), "port": 9000, "files": names}
        (tmp_path / "body.json").write_text(json.dumps(body))
        json_type = ["-H", "Content-Type: application/json"]
        more = [*json_type, "--data-binary", f"@{tmp_path}/body.json", "-H", "X-Forwarded-For: 192.0.2.66"]
        status, answer = outside("/register", *more)
        assert status == 200, answer
        (listed,) = registry.registry.peers()
        assert listed["ip"] == "127.0.0.1", "where the client connected from, and not what it claimed"

"""--tls-cert and --tls-key of p2p-ui and p2p-discovery, with an authority of our own."""

import json
import re
import shutil
import socket
import ssl
import subprocess

import pytest
import requests

from conftest import BIN, bounded, environment, wait_until
from test_owner import own
from tls_world import make_authority, make_certificate


@pytest.fixture
def authority(tmp_path):
    return make_authority(tmp_path)


def files(cert, key):
    return ["--tls-cert", cert, "--tls-key", key]


def serial_at(port, authority):
    context = ssl.create_default_context(cafile=authority.cert)
    with socket.create_connection(("127.0.0.1", port), 10) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as secure:
            return int(secure.getpeercert()["serialNumber"], 16)


@pytest.fixture
def ui(suite, tmp_path, authority):
    cert, key, serial = make_certificate(tmp_path, "localhost", authority)
    ui = suite.ui(*files(cert, key), peer=suite.peer(files={"f.txt": b"x"}))
    ui.base, ui.serial = f"https://localhost:{ui.port}", serial
    ui.http = requests.Session()
    ui.http.trust_env, ui.http.verify = False, str(authority.cert)
    return ui


def test_the_dashboard_speaks_https(ui):
    assert ui.http.get(f"{ui.base}/", timeout=20).status_code == 200
    bearer = {"Authorization": f"Bearer {ui.owner_token}"}
    assert ui.http.get(f"{ui.base}/api/status", headers=bearer, timeout=20).json()["caller"] == "owner"
    data = b"over TLS" * 100_000
    sent = ui.http.post(f"{ui.base}/api/upload", files={"file": ("up.bin", data)}, headers=bearer, timeout=60)
    assert sent.status_code == 200, sent.text
    assert ui.http.get(f"{ui.base}/api/shared/up.bin", headers=bearer, timeout=60).content == data


def test_the_cookie_is_for_tls_only(ui):
    bearer = {"Authorization": f"Bearer {ui.owner_token}"}
    url = ui.http.post(f"{ui.base}/api/owner/link", headers=bearer, timeout=20).json()["url"]
    assert url.startswith(f"{ui.base}/open/")
    opened = ui.http.get(url, allow_redirects=False, timeout=20)
    assert opened.status_code == 303
    cookie = opened.headers["Set-Cookie"]
    assert cookie.startswith("__Host-p2p_") and cookie.endswith("; Secure") and "Path=/;" in cookie
    assert ui.http.get(f"{ui.base}/api/status", headers={"Via": "1.1 x"}, timeout=20).json()["caller"] == "owner"


def test_a_program_of_the_same_user_needs_nothing(ui, authority):
    run = own("curl", "-s", "--noproxy", "*", "--cacert", authority.cert, f"{ui.base}/api/status")
    assert '"caller":"local"' in run.stdout, run


def test_p2p_ui_and_the_start_give_links_with_https(ui, authority):
    assert re.search(rf"https://localhost:{ui.port}/open/[0-9a-f]{{64}}", ui.stderr())
    command = ["ui", "--url", ui.base, "--ca-file", authority.cert, "--keys-dir", ui.folder / "keys"]
    run = own(BIN / "p2p", *command, env=environment(ui.folder))
    assert run.returncode == 0 and run.stdout.startswith(f"{ui.base}/open/"), run
    assert own(BIN / "p2p", *command[:3], *command[5:], env=environment(ui.folder)).returncode != 0, "not trusted"


def test_old_versions_of_tls_and_plain_http_are_refused(ui):
    with pytest.raises(requests.exceptions.RequestException):
        requests.get(f"http://localhost:{ui.port}/", timeout=5)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("127.0.0.1", ui.port), 10) as plain, pytest.raises((ssl.SSLError, OSError)):
        context.wrap_socket(plain)
    assert ui.http.get(f"{ui.base}/health", timeout=20).status_code == 200


def test_a_renewed_certificate_is_in_use_without_a_restart(ui, authority, tmp_path):
    assert serial_at(ui.port, authority) == ui.serial
    _, key, renewed = make_certificate(tmp_path, "localhost", authority)
    wait_until(lambda: serial_at(ui.port, authority) == renewed, 30, "the new certificate")
    key.write_text("broken")
    wait_until(lambda: serial_at(ui.port, authority) == renewed and "stays in use" in ui.stderr(), 30, "the complaint")
    _, _, third = make_certificate(tmp_path, "localhost", authority)
    wait_until(lambda: serial_at(ui.port, authority) == third, 30, "the third certificate")
    assert ui.running


@pytest.mark.parametrize("program", ["p2p-ui", "p2p-discovery"])
def test_wrong_files_are_refused_at_start(tmp_path, authority, program):
    cert, key, _ = make_certificate(tmp_path, "localhost", authority)
    _, other, _ = make_certificate(tmp_path, "other", authority)
    for more, why in [
        (["--tls-cert", cert], "give both"), (["--tls-key", key], "give both"),
        (files(cert, tmp_path / "none"), "cannot read"), (files(key, key), "certificate"),
        (files(cert, other), "does not belong"), (files(cert, cert), "key"),
    ]:  # fmt: skip
        run = subprocess.run([BIN / program, "--port", "0", *map(str, more)], capture_output=True, text=True, timeout=20,
                             cwd=tmp_path)  # fmt: skip
        assert run.returncode == 2 and why in run.stderr, (more, run)


def test_peers_and_the_command_line_use_a_registry_with_https(suite, tmp_path, authority):
    cert, key, _ = make_certificate(tmp_path, "localhost", authority)
    registry = suite.discovery(*files(cert, key))

    class Secure:
        url = f"https://localhost:{registry.port}"

    trust = {"SSL_CERT_FILE": str(authority.cert)}
    suite.peer(name="far", files={"theirs.txt": b"x"}, discovery=Secure, env=trust)

    def found(env):
        return suite.p2p("search", "theirs", "--no-mdns", "--discovery", Secure.url, env=env)

    wait_until(lambda: "theirs.txt" in found(trust).stdout, 30, "the file found")
    refused = found({})
    assert refused.returncode != 0 and "theirs.txt" not in refused.stdout, "an authority that nobody trusts"


def test_a_link_needs_a_good_certificate(suite, tmp_path, authority):
    """It is for the name that the certificate is good for; a registry whose certificate is wrong is not used at all."""
    name = socket.gethostname()
    if not shutil.which("getent") or subprocess.run(["getent", "hosts", name], capture_output=True).returncode:
        pytest.skip("this machine does not know its own name")
    cert, key, _ = make_certificate(tmp_path, "localhost", authority, [name])
    port = suite.discovery(*files(cert, key), host="0.0.0.0").port
    trust = {"SSL_CERT_FILE": str(authority.cert)}
    for host, said in ((name, ""), ("localhost", "its certificate is not for this machine's address")):
        sender = bounded(subprocess.Popen(
            [BIN / "p2p", "send", "--json", "--discovery", f"https://{host}:{port}", cert], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=(tmp_path / "send.err").open("w"), env={**environment(tmp_path / "home"), **trust},
            text=True,
        ))  # fmt: skip
        events = (json.loads(line) for line in sender.stdout)
        assert next(event for event in events if "link" in event)["link"].startswith(f"https://{host}:{port}/l#")
        sender.terminate()
        sender.wait(60)
        sender.stdout.close()
        assert said in (tmp_path / "send.err").read_text()


def test_an_upload_is_refused_while_its_body_arrives(ui, authority):
    """The answer comes within the TLS connection, although 20 GB are still to come."""
    context = ssl.create_default_context(cafile=authority.cert)
    request = (
        f"POST /api/upload HTTP/1.1\r\nHost: localhost:{ui.port}\r\nAuthorization: Bearer {ui.owner_token}\r\n"
        f"Content-Type: multipart/form-data; boundary=b0\r\nContent-Length: {20 << 30}\r\n\r\n"
        '--b0\r\nContent-Disposition: form-data; name="file"; filename="a:b"\r\n\r\nbeginning'
    )
    with socket.create_connection(("127.0.0.1", ui.port), 60) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as secure:
            secure.sendall(request.encode())
            answer = b""
            while b'would work"' not in answer:
                more = secure.recv(65536)
                assert more, answer
                answer += more
    assert answer.startswith(b"HTTP/1.1 400 ")

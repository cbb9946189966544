"""The owner of a dashboard: the link, the cookie, the token, and the rule for this machine."""

import http.client
import json
import os
import re
import subprocess
import sys

import pytest
import requests

from conftest import BIN, NO_REGISTRY, environment, wait_until
from netns import other_machine
from p2pwire.web import raw

SECRET = re.compile(r"/open/([0-9a-f]{64})")


def own(*command, **kwargs):
    """Runs a program in a new session, so that the sockets of the test itself do not count."""
    kwargs = {"capture_output": True, "text": True, "timeout": 60, **kwargs}
    return subprocess.run(list(map(str, command)), start_new_session=True, **kwargs)


def status_of(url, *more, **kwargs):
    run = own("curl", "-s", "--noproxy", "*", "-o", os.devnull, "-w", "%{http_code}", *more, url, **kwargs)
    assert run.returncode == 0, run.stderr
    return int(run.stdout)


@pytest.fixture(scope="module")
def ui(module_suite):
    return module_suite.ui(peer=module_suite.peer(files={"f.txt": b"private"}), host="0.0.0.0")


def new_link(ui, **kwargs):
    answer = ui.api.request("POST", "/api/owner/link", **kwargs)
    assert answer.status_code == 200, answer.text
    return answer.json()["url"]


def open_link(url, **kwargs):
    return requests.get(url, allow_redirects=False, timeout=20, **kwargs)


def asked(ui, session):
    return session.get(f"{ui.url}/api/status", timeout=20)


# --- the rule for this machine ---------------------------------------------------------------


def test_a_program_of_the_same_user_needs_nothing(ui):
    for host in ("localhost", "127.0.0.1", "[::ffff:127.0.0.1]"):
        run = own("curl", "-s", "--noproxy", "*", f"http://{host}:{ui.port}/api/status", "-H", "Host: localhost")
        assert json.loads(run.stdout)["caller"] == "local", run


LISTENING = """
import http.client, socket, sys
listener = socket.create_server(("127.0.0.1", 0))
client = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
client.request("GET", "/api/status")
print(client.getresponse().status)
"""
BELOW = """
import socket, subprocess, sys
listener = socket.create_server(("127.0.0.1", 0))
subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}\\n", f"http://127.0.0.1:{sys.argv[1]}/api/status"])
"""


@pytest.mark.parametrize("script", [LISTENING, BELOW], ids=["listens", "below one that listens"])
def test_a_program_that_listens_is_not_local(ui, script):
    run = own(sys.executable, "-c", script, ui.port)
    assert run.stdout.strip() == "401", run


# The first process of a container without a session: it listens, and starts p2p-ui and a program.
FIRST_PROCESS = """
import http.client, os, socket, subprocess, sys
assert os.getpid() == 1 and os.getsid(0) == 0
listener = socket.create_server(("127.0.0.1", 0))
ui = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, text=True)
port = next(line for line in ui.stdout if line.startswith("ready ")).split("port=")[1].split()[0]
sys.argv[1:] = [port]
CALL
ui.terminate()
"""
ITSELF = LISTENING.replace("import http.client, socket, sys", "")
PROGRAM = BELOW.replace('listener = socket.create_server(("127.0.0.1", 0))', "")
UNDER_ANOTHER = f"subprocess.run([sys.executable, '-c', {BELOW!r}, port])"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a process namespace")
@pytest.mark.parametrize(
    "call, status", [(PROGRAM, "200"), (ITSELF, "401"), (UNDER_ANOTHER, "401")], ids=["its child", "itself", "below"]
)
def test_the_first_process_of_session_0_counts_for_itself_only(tmp_path, call, status):
    options = [x for name in ("shared", "downloads", "keys") for x in (f"--{name}-dir", tmp_path / name)]
    (tmp_path / "shared").mkdir()
    run = own(
        "unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", FIRST_PROCESS.replace("CALL", call),
        BIN / "p2p-ui", "--port", "0", "--discovery", NO_REGISTRY, *options, env=environment(tmp_path),
    )  # fmt: skip
    assert run.stdout.strip() == status, run


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to become another user")
def test_another_user_is_not_local(ui):
    assert status_of(f"{ui.url}/api/status", user=65534) == 401
    assert status_of(f"{ui.url}/", user=65534) == 200, "the page asks for the code"
    assert status_of(f"{ui.url}/api/pair/code", "-X", "POST", user=65534) == 401


@pytest.mark.parametrize("header", ["Forwarded: for=::1", "X-Forwarded-For: 127.0.0.1", "X-Forwarded-Host: localhost",
                                    "X-Forwarded-Proto: http", "X-Real-IP: ::1", "Via: 1.1 x"])  # fmt: skip
def test_a_request_that_shows_a_proxy_is_not_local(ui, header):
    assert status_of(f"{ui.url}/api/status", "-H", header) == 401


def test_http_1_0_is_not_local(ui):
    assert status_of(f"{ui.url}/api/status", "--http1.0") == 401


def test_a_connection_is_judged_by_each_request(ui):
    """That one request on a connection was accepted does not help a proxy that uses the connection later."""
    code = """
import http.client, sys
client = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
for headers in ({}, {"Via": "1.1 x"}, {"X-Forwarded-For": "192.0.2.1"}, {}):
    client.request("GET", "/api/status", headers=headers)
    answer = client.getresponse()
    answer.read()
    print(answer.status, end=" ")
"""
    assert own(sys.executable, "-c", code, ui.port).stdout.split() == ["200", "401", "401", "200"]


def test_require_pairing_turns_the_rule_off(suite):
    ui = suite.ui("--require-pairing")
    assert status_of(f"{ui.url}/api/status") == 401
    assert status_of(f"{ui.url}/api/status", "-H", f"Authorization: Bearer {ui.owner_token}") == 200
    assert open_link(new_link(ui)).status_code == 303


# --- the token -------------------------------------------------------------------------------


def test_the_token_is_private_and_stays(suite):
    ui = suite.ui()
    path = ui.folder / "keys" / "owner.token"
    assert path.stat().st_mode & 0o777 == 0o600
    before = path.read_text()
    ui.stop()
    again = suite.ui()
    assert path.read_text() == before
    assert again.anyone.request("GET", "/api/status", headers={"Authorization": f"Bearer {before.strip()}"}).ok


def test_a_wrong_token_opens_nothing(ui):
    for token in ("", "x", ui.owner_token[:-1], ui.owner_token + "0", ui.owner_token[:-1] + "g", "0" * 64, "f" * 5000):
        headers = ["-H", f"Authorization: Bearer {token}", "-H", "Via: 1.1 x"]
        assert status_of(f"{ui.url}/api/status", *headers) == 401, token


def test_the_token_works_from_elsewhere(ui):
    with other_machine(3) as machine:
        if machine is None:
            pytest.skip("network namespaces cannot be made here")
        host = ("Host", f"{machine.our_ip}:{ui.port}")
        path = "/api/pair/code"
        assert machine.run(raw, ui.port, "POST", path, [host], b"", machine.our_ip)[0] == 401
        assert machine.run(raw, ui.port, "POST", path, [host, *ui.owner], b"", machine.our_ip)[0] == 201


# --- the link and the cookie -----------------------------------------------------------------


def test_a_link_makes_a_browser_the_owners(ui):
    url = new_link(ui)
    assert re.fullmatch(rf"http://127\.0\.0\.1:{ui.port}/open/[0-9a-f]{{64}}", url)
    browser = requests.Session()
    opened = browser.get(url, allow_redirects=False, timeout=20)
    assert (opened.status_code, opened.headers["Location"]) == (303, "/")
    cookie = opened.headers["Set-Cookie"]
    peer_id = ui.api.json("/api/status")["peer_id_full"]
    assert re.match(rf"p2p_{peer_id[:16]}=[0-9a-f]{{64}}; ", cookie)
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Path=/;" in cookie and "Secure" not in cookie
    browser.headers["Via"] = "1.1 x"  # not by the rule for this machine
    assert asked(ui, browser).json()["caller"] == "owner"
    assert browser.post(f"{ui.url}/api/pair/code", timeout=20).status_code == 201


def test_a_link_works_once(ui):
    url = new_link(ui)
    assert requests.head(url, allow_redirects=False, timeout=20).status_code < 300, "looking does not use it up"
    assert open_link(url).status_code == 303
    again = open_link(url)
    assert again.status_code == 403 and again.json()["code"] == "link_expired"
    assert "Set-Cookie" not in again.headers


@pytest.mark.parametrize("secret", ["x", "0" * 64, "0" * 63, "0" * 65, "%00", "a/b", "%2e%2e"])
def test_other_links_open_nothing(ui, secret):
    answer = requests.get(f"{ui.url}/open/{secret}", allow_redirects=False, timeout=20)
    assert answer.status_code in (400, 403, 404)
    assert "Set-Cookie" not in answer.headers


def test_the_cookie_outlives_a_restart_and_is_stored_hashed(suite):
    ui = suite.ui()
    browser = requests.Session()
    browser.headers["Via"] = "1.1 x"
    browser.get(new_link(ui), allow_redirects=False, timeout=20)
    value = next(iter(browser.cookies)).value
    port = ui.port
    ui.stop()
    stored = b"".join(p.read_bytes() for p in ui.folder.rglob("*") if p.is_file())
    assert value.encode() not in stored and bytes.fromhex(value) not in stored
    ui = suite.ui(port=port)
    assert asked(ui, browser).json()["caller"] == "owner"
    devices = ui.api.json("/api/devices")["devices"]
    assert [d["kind"] for d in devices] == ["owner"]
    assert ui.api.request("DELETE", f"/api/devices/{devices[0]['id']}").status_code == 200
    assert asked(ui, browser).status_code == 401, "revoked"


def test_two_dashboards_on_one_host_do_not_log_each_other_out(suite):
    browser = requests.Session()
    browser.headers["Via"] = "1.1 x"
    dashboards = [suite.ui(name=name) for name in ("one", "two")]
    for ui in dashboards:
        assert browser.get(new_link(ui), allow_redirects=False, timeout=20).status_code == 303
    assert len(browser.cookies) == 2
    for ui in dashboards:
        assert asked(ui, browser).json()["caller"] == "owner"


def test_a_stranger_gets_no_link(ui):
    assert status_of(f"{ui.url}/api/owner/link", "-X", "POST", "-H", "Via: 1.1 x") == 401
    assert status_of(f"{ui.url}/api/owner/link", "-X", "POST", "-H", "Origin: http://evil.example") == 403


# --- at start --------------------------------------------------------------------------------


def test_the_start_shows_a_link(suite):
    ui = suite.ui()
    wait_until(lambda: "/open/" in ui.stderr(), what="the link")
    shown = re.search(r"http://localhost:\d+/open/[0-9a-f]{64}", ui.stderr()).group(0)
    assert open_link(shown).status_code == 303
    assert open_link(shown).status_code == 403


def test_the_journal_gets_no_secret(suite):
    log = suite.folder / "peer" / "p2p-ui.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.touch()
    ui = suite.ui(env={"JOURNAL_STREAM": f"{log.stat().st_dev}:{log.stat().st_ino}"})
    wait_until(lambda: "p2p ui" in ui.stderr(), what="the advice")
    assert not SECRET.search(ui.stderr()) and not re.search(r"\b\d{6}\b", ui.stderr())
    assert ui.owner_token not in ui.stderr()


# --- p2p ui ----------------------------------------------------------------------------------


def p2p_ui(ui, *more, url=None, **kwargs):
    keys = ui.folder / "keys"
    url = url or f"http://localhost:{ui.port}"
    return own(BIN / "p2p", "ui", "--url", url, "--keys-dir", keys, *more, env=environment(ui.folder), **kwargs)


def test_p2p_ui_prints_a_link_when_stdout_is_no_terminal(ui):
    run = p2p_ui(ui)
    assert run.returncode == 0, run.stderr
    assert re.fullmatch(rf"http://localhost:{ui.port}/open/[0-9a-f]{{64}}\n", run.stdout)
    assert open_link(run.stdout.strip()).status_code == 303
    as_json = json.loads(p2p_ui(ui, "--json").stdout)
    assert open_link(as_json["url"]).status_code == 303


@pytest.mark.parametrize("has_browser", [True, False])
def test_p2p_ui_on_a_terminal_opens_the_browser(ui, tmp_path, has_browser):
    opened = tmp_path / "opened"
    if has_browser:
        opener = tmp_path / "xdg-open"
        opener.write_text(f'#!/bin/sh\necho "$1" >{opened}\n')
        opener.chmod(0o755)
    command = f"PATH={tmp_path} {BIN}/p2p ui --url http://localhost:{ui.port} --keys-dir {ui.folder}/keys"
    run = own("script", "-qec", command, os.devnull, stdin=subprocess.DEVNULL)
    assert run.returncode == 0, run
    if has_browser:
        assert open_link(opened.read_text().strip()).status_code == 303
        assert not SECRET.search(run.stdout)
    else:
        assert open_link("http:" + run.stdout.split("http:")[1].strip()).status_code == 303


def test_p2p_ui_says_what_is_wrong(ui, tmp_path):
    run = own(BIN / "p2p", "ui", "--keys-dir", tmp_path)
    assert run.returncode != 0 and "owner.token" in run.stderr
    run = p2p_ui(ui, url="http://127.0.0.1:9")
    assert run.returncode != 0 and "cannot reach p2p-ui" in run.stderr
    run = p2p_ui(ui, url="http://192.0.2.1:8080")
    assert run.returncode == 2 and "--url" in run.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to become another user")
def test_p2p_ui_sends_the_token_to_no_other_user(ui, tmp_path):
    """Another user's program listens on p2p-ui's port, and writes down what it gets."""
    heard = tmp_path / "heard"
    heard.touch()
    heard.chmod(0o666)
    tmp_path.chmod(0o755)
    code = """
import socket, sys
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
while True:
    with server.accept()[0] as client, open(sys.argv[1], "ab") as file:
        file.write(client.recv(65536))
"""
    fd = os.open(heard, os.O_RDWR)
    thief = subprocess.Popen([sys.executable, "-c", code, f"/proc/self/fd/{fd}"], stdout=subprocess.PIPE, text=True,
                             user=65534, pass_fds=[fd], cwd="/")  # fmt: skip
    try:
        run = p2p_ui(ui, url=f"http://127.0.0.1:{thief.stdout.readline().strip()}")
        assert run.returncode != 0 and "a different user" in run.stderr
    finally:
        thief.kill()
        thief.wait()
        os.close(fd)
    assert ui.owner_token.encode() not in heard.read_bytes()

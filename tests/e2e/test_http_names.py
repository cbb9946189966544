"""The names, pages and proxies through which the HTTP daemons may be called (docs/HTTP.md)."""

import json
import socket
import subprocess

import pytest

from conftest import BIN
from crowd import StandIn
from p2pwire.web import raw


def body_of(who):
    return json.dumps({"peer_id": who.peer_id, "public_key": who.pem.decode(), "port": 1, "files": []}).encode()


def send(program, method, target, headers=(), body=b""):
    """(status, code of the problem or None)"""
    headers = [h for h in headers if h[1] is not None]
    if method in ("POST", "DELETE", "PUT", "PATCH"):
        headers.append(("Content-Length", str(len(body))))
    status, _, text = raw(program.port, method, target, headers, body)
    try:
        return status, json.loads(text).get("code")
    except ValueError:
        return status, None


@pytest.fixture(scope="module")
def registry(module_suite):
    return module_suite.discovery("--allow-host", "files.example:8000, p2p.lan")


EVIL = "evil.example:8000"
SIGNS = [("Origin", "http://evil.example:8000"), ("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Mode", "cors"), ("Accept-Language", "de"), ("Referer", "http://evil.example:8000/")]


@pytest.mark.parametrize("sign", SIGNS, ids=lambda s: s[0])
@pytest.mark.parametrize("method,target", [("GET", "/peers"), ("GET", "/search?q=a"), ("POST", "/register"), ("DELETE", "/register"), ("GET", "/health")])
def test_a_page_under_its_own_name_neither_reads_nor_writes(registry, method, target, sign):
    """DNS rebinding: the page's own name points to the registry."""
    body = body_of(StandIn()) if method == "POST" else b""
    assert send(registry, method, target, [("Host", EVIL), sign], body) == (421, "wrong_host")
    assert registry.registry.peers() == []


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1", "[::1]", "files.example", "FILES.example:9", "p2p.lan:80", socket.gethostname(), socket.gethostname().split(".")[0] + ".local:8000"])
def test_browsers_come_by_names_of_the_registry(registry, host):
    assert send(registry, "GET", "/peers", [("Host", host), ("Accept-Language", "de"), ("Sec-Fetch-Site", "none")])[0] == 200


def test_peers_come_by_any_name(registry):
    who = StandIn()
    assert send(registry, "POST", "/register", [("Host", "any.name.example:8000")], body_of(who))[0] == 200
    assert send(registry, "GET", f"/heartbeat?peer_id={who.peer_id}", [("Host", "another")])[0] == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://files.example:8443", "http://127.0.0.1:1"])
def test_a_page_elsewhere_does_not_register(registry, origin):
    host = f"127.0.0.1:{registry.port}"
    assert send(registry, "POST", "/register", [("Host", host), ("Origin", origin)], body_of(StandIn())) == (403, "cross_site")


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_page_elsewhere_may_lead_here_and_load_nothing(registry, site):
    host, fetch = ("Host", "localhost"), ("Sec-Fetch-Site", site)
    assert send(registry, "GET", "/peers", [host, fetch, ("Sec-Fetch-Mode", "no-cors")]) == (403, "cross_site")
    assert send(registry, "GET", "/peers", [host, fetch, ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "iframe")]) == (403, "cross_site")
    assert send(registry, "GET", "/peers", [host, fetch, ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")])[0] == 200


# --- targets and methods ---------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["http", "HTTP", "https"])
def test_a_whole_url_as_target(registry, scheme):
    host = f"localhost:{registry.port}"
    assert send(registry, "GET", f"{scheme}://{host}/health", [("Host", host)])[0] == 200
    assert send(registry, "GET", f"{scheme}://{host}", [("Host", host)]) == (404, "not_found")
    assert send(registry, "GET", f"{scheme}://evil.example/health", [("Host", host)]) == (400, "malformed")


PATHS = {
    "discovery": ["/peers", "/register", "/register/delta", "/heartbeat", "/search", "/health", "/peers/" + "0" * 64],
    "ui": ["/", "/index.html", "/api/status", "/api/upload", "/api/upload/", "/api/nothing", "/api/shared/a/b", "/health"],
}


@pytest.mark.parametrize("what", PATHS)
def test_every_405_names_what_is_allowed(module_suite, what):
    program = getattr(module_suite, what)(**({"folder": "m"} if what == "discovery" else {"name": "m"}))
    for path in PATHS[what]:
        for method in ("OPTIONS", "BREW", "PUT", "PATCH"):
            status, headers, body = raw(program.port, method, path, [("Host", "localhost"), ("Content-Length", "0")])
            assert status in (401, 404, 405), (method, path, status)
            assert status != 405 or headers["Allow"], (method, path)
            assert json.loads(body)["status"] == status


# --- names and proxies of the dashboard ------------------------------------------------------


@pytest.fixture(scope="module")
def behind(module_suite):
    """A dashboard behind a proxy on this machine that the owner has configured."""
    return module_suite.ui("--trusted-proxy", "10.9.9.9,127.0.0.0/8", "--allow-host", "files.example:8443", name="behind")


CASES = [
    # Host, X-Forwarded-Host, X-Forwarded-Proto, Origin, Sec-Fetch-Site, passes
    ("127.0.0.1:8080", "files.example", "https", "https://files.example", None, True),
    ("127.0.0.1:8080", "files.example:443", "https", "https://files.example", None, True),
    ("files.example:443", None, None, "https://files.example", None, True),
    ("files.example", None, "https", "https://files.example:443", None, True),
    ("files.example", None, None, "https://files.example:8443", "same-origin", True),
    ("files.example", None, None, "https://files.example:8443", None, False),
    ("backend:8080", "evil.example, files.example", "http", "http://files.example", None, True),
    ("127.0.0.1:8080", "files.example, evil.example", "http", "http://files.example", None, False),
    ("127.0.0.1:8080", "evil.example", "https", "https://evil.example", None, False),
    ("127.0.0.1:8080", "files.example", "https", "http://files.example", None, False),
    ("127.0.0.1:8080", "files.example", "https", "https://evil.example", None, False),
    ("127.0.0.1:8080", "files.example", "https", "https://files.example", "cross-site", False),
    ("evil.example", None, None, None, None, False),
]


@pytest.mark.parametrize("host,forwarded_host,proto,origin,site,passes", CASES)
def test_what_a_trusted_proxy_says_of_the_name(behind, host, forwarded_host, proto, origin, site, passes):
    headers = [("Host", host), ("X-Forwarded-For", "192.0.2.9"), ("X-Forwarded-Host", forwarded_host), ("X-Forwarded-Proto", proto), ("Origin", origin), ("Sec-Fetch-Site", site)]
    status, code = send(behind, "POST", "/api/register", headers, b"{}")
    assert (status == 401) if passes else (status, code) in ((403, "cross_site"), (421, "wrong_host")), (status, code)


def test_what_others_say_of_the_name_counts_for_nothing(module_suite):
    ui = module_suite.ui(name="plain")
    assert send(ui, "GET", "/", [("Host", "evil.example"), ("X-Forwarded-Host", "localhost")]) == (421, "wrong_host")
    assert send(ui, "GET", "/", [("Host", "localhost"), ("X-Forwarded-Host", "evil.example")])[0] == 200


@pytest.mark.parametrize("value", ["http://files.example", "files.example/", "*.example", "a b", "", "files.example:x"])
@pytest.mark.parametrize("program", ["p2p-discovery", "p2p-ui"])
def test_a_name_that_can_never_match_is_refused(program, value):
    run = subprocess.run([BIN / program, "--allow-host", value, "--port", "0"], capture_output=True, text=True, timeout=20)
    assert run.returncode == 2 and "--allow-host" in run.stderr


def test_wrong_codes_count_for_who_sent_them(suite):
    """Five wrong codes of one client behind the proxy do not count for the owner."""
    ui = suite.ui("--trusted-proxy", "127.0.0.1")

    def pair(code, client):
        return send(ui, "POST", "/api/pair", [("Host", "localhost"), ("X-Forwarded-For", f"198.51.100.7, {client}")], json.dumps({"code": code}).encode())[0]

    assert [pair("x", "192.0.2.66") for _ in range(6)] == [403] * 5 + [429]
    assert pair("x", "192.0.2.7") == 403

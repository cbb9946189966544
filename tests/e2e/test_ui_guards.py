"""Who may call p2p-ui: hosts, origins, other machines (docs/HTTP.md, "Who may call")."""

import json
import socket

import pytest

from documented_ui import snapshot, world  # noqa: F401 (a fixture)
from netns import other_machine
from p2pwire.web import raw


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8080", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:8080", "LOCALHOST"]
)
def test_hosts_that_are_ours(world, host):
    assert raw(world.ui.port, "GET", "/api/status", [("Host", host)])[0] == 200


BAD_HOSTS = [
    "evil.example",
    "localhost.evil.com",
    "127.0.0.1.nip.io",
    "localhost:8080.evil.com",
    "evil.example:8080",
    "127.0.0.1@evil.example",
    "0",
    "",
    "localhost evil",
    "[::1",
    "2130706433",
    "[::ffff:127.0.0.1].evil",
]


@pytest.mark.parametrize("host", BAD_HOSTS)
@pytest.mark.parametrize("path", ["/", "/api/status", "/health"])
def test_hosts_of_strangers(world, host, path):
    """DNS rebinding: 421 on every route."""
    status = raw(world.ui.port, "GET", path, [("Host", host)])[0]
    assert status in ((421,) if host not in ("", "localhost evil") else (400, 421))


def test_two_hosts_or_none(world):
    assert raw(world.ui.port, "GET", "/api/status", [("Host", "localhost"), ("Host", "evil.example")])[0] in (
        400,
        421,
    )
    assert raw(world.ui.port, "GET", "/api/status", [])[0] in (400, 421)


CROSS_SITE = {
    "foreign origin": [("Origin", "http://evil.example")], "null origin": [("Origin", "null")], "other port": [("Origin", "http://localhost:1")], "other scheme": [("Origin", "ftp://localhost")],
    "empty origin": [("Origin", "")], "cross-site": [("Sec-Fetch-Site", "cross-site")], "same-site": [("Sec-Fetch-Site", "same-site")], "origin with our host inside": [("Origin", "http://localhost.evil.com")],
}  # fmt: skip


@pytest.mark.parametrize("case", CROSS_SITE)
@pytest.mark.parametrize(
    "method,path",
    [
        ("POST", "/api/register"),
        ("POST", "/api/upload"),
        ("POST", "/api/download"),
        ("DELETE", "/api/shared/mine.txt"),
        ("DELETE", "/api/download/x"),
    ],
)
def test_cross_site_requests_change_nothing(world, case, method, path):
    before = snapshot(world)
    headers = [("Host", f"localhost:{world.ui.port}"), ("Content-Length", "0"), *CROSS_SITE[case]]
    assert raw(world.ui.port, method, path, headers)[0] == 403
    assert snapshot(world) == before


SITES = ("cross-site", "same-site", "what-is-this")
LINK = [("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")]
EVERYWHERE = ["/", "/js/main.js", "/health", "/metrics", "/api/status", "/api/events", "/api/shared/mine.txt", "/api/openapi.yaml",
              "/api/peers/search?filename=x", "/api/qr?target=dashboard", "/api/nothing", "/nothing"]  # fmt: skip


def fetch(world, path, *headers, method="GET"):
    return raw(world.ui.port, method, path, [("Host", "localhost"), *headers])


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("path", EVERYWHERE)
def test_other_sites_get_nothing(world, site, path):
    """Scripts, pictures, frames, forms in a frame: whatever another site asks for is refused."""
    for mode, dest in (("no-cors", "image"), ("cors", "empty"), ("no-cors", "script"), ("navigate", "iframe"), ("navigate", "embed"), ("websocket", "document")):
        status, _, body = fetch(world, path, ("Sec-Fetch-Site", site), ("Sec-Fetch-Mode", mode), ("Sec-Fetch-Dest", dest))
        assert status == 403 and b"cross_site" in body, (mode, dest, status)
    assert fetch(world, path, ("Sec-Fetch-Site", site))[0] == 403
    assert fetch(world, path, ("Origin", "http://evil.example"))[0] == 403
    assert fetch(world, path, ("Sec-Fetch-Site", site), *LINK, method="HEAD")[0] in (403, 404)


@pytest.mark.parametrize("site", SITES)
def test_a_link_of_another_site_leads_to_pages_only(world, site):
    for path in ("/", "/js/main.js"):
        assert fetch(world, path, ("Sec-Fetch-Site", site), *LINK)[0] == 200, path
    assert fetch(world, "/nothing", ("Sec-Fetch-Site", site), *LINK)[0] == 404
    for path in ("/health", "/metrics", "/api/status", "/api/events", "/api/shared/mine.txt", "/api/openapi.yaml"):
        assert fetch(world, path, ("Sec-Fetch-Site", site), *LINK)[0] == 403, path


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_our_own_pages_and_typed_addresses_get_everything(world, site):
    for path in ("/", "/health", "/api/status", "/api/shared", "/api/openapi.yaml"):
        assert fetch(world, path, ("Sec-Fetch-Site", site), ("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Dest", "empty"))[0] == 200
    assert fetch(world, "/api/status", ("Origin", "http://localhost"))[0] == 200
    assert fetch(world, "/api/status")[0] == 200, "a script sends none of these headers"


def test_no_other_page_keeps_hold_of_our_window(world):
    for path in ("/", "/api/status", "/nothing"):
        assert fetch(world, path)[1]["Cross-Origin-Opener-Policy"] == "same-origin"


@pytest.mark.parametrize("path", ["/api/register", "/api/peers", "/api/download", "/api/transfers", "/api/pair"])
@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", "text/plain; charset=utf-8", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded; charset=utf-8"])
def test_json_is_not_taken_from_forms(world, path, kind):
    body = b'{"port": 1, "x": "="}'
    status = raw(world.ui.port, "POST", path, [("Host", "localhost"), ("Content-Type", kind), ("Content-Length", str(len(body)))], body)[0]
    assert status == 415


def test_json_is_taken(world):
    for kind in ("application/json", "application/json; charset=utf-8", "APPLICATION/JSON"):
        headers = [("Host", "localhost"), ("Content-Type", kind), ("Content-Length", "2")]
        assert raw(world.ui.port, "POST", "/api/register", headers, b"{}")[0] == 422


def test_own_origin_is_taken(world):
    origin = [
        ("Host", f"localhost:{world.ui.port}"),
        ("Origin", f"http://localhost:{world.ui.port}"),
        ("Sec-Fetch-Site", "same-origin"),
    ]
    assert raw(world.ui.port, "DELETE", "/api/shared/nothing-there", origin)[0] == 404


@pytest.mark.parametrize(
    "header",
    [("Forwarded", "for=192.0.2.9"), ("X-Forwarded-For", "192.0.2.9"), ("X-Real-IP", "192.0.2.9"), ("Via", "1.1 proxy")],
)
def test_what_a_proxy_on_this_machine_passes_on_is_not_local(world, header):
    """Nobody named it with --trusted-proxy: it would make the whole network the owner."""
    assert raw(world.ui.port, "GET", "/api/status", [("Host", "localhost"), header])[0] == 401


@pytest.fixture(scope="module")
def elsewhere(module_suite):
    """A dashboard on all addresses, and another machine that reaches it."""
    with other_machine() as machine:
        if machine is None:
            pytest.skip("network namespaces cannot be made here")
        peer = module_suite.peer(name="open", files={"f.txt": b"private"})
        ui = module_suite.ui(name="open", peer=peer, host="0.0.0.0")

        def ask(method, path, headers=(), body=b""):
            host = [] if any(n == "Host" for n, _ in headers) else [("Host", f"{machine.our_ip}:{ui.port}")]
            return machine.run(raw, ui.port, method, path, [*host, *headers], body, machine.our_ip)

        ask.ui, ask.machine = ui, machine
        yield ask


@pytest.mark.parametrize("path", ["/", "/health"])
def test_from_elsewhere_the_pages_are_open(elsewhere, path):
    assert elsewhere("GET", path)[0] == 200


@pytest.mark.parametrize(
    "method,path",
    [
        ("GET", "/api/status"), ("GET", "/api/peers"), ("GET", "/api/peers/search?filename=x"), ("GET", "/api/downloads"), ("GET", "/api/download-progress/x"), ("POST", "/api/upload"), ("POST", "/api/download"),
        ("POST", "/api/register"), ("DELETE", "/api/shared/f.txt"), ("DELETE", "/api/download/f.txt"), ("GET", "/api/transfers"), ("POST", "/api/transfers"), ("GET", "/api/events"), ("GET", "/api/shared"),
        ("GET", "/api/shared/f.txt"), ("GET", "/api/config"), ("PATCH", "/api/config"), ("GET", "/api/devices"), ("GET", "/metrics"), ("GET", "/api/search?q=f"), ("GET", "/api/qr?target=dashboard"), ("GET", "/api/nothing"),
    ],
)  # fmt: skip
def test_from_elsewhere_nothing_else(elsewhere, method, path):
    status, headers, body = elsewhere(method, path, [("Content-Length", "0")])
    assert status in (401, 403), (status, body)
    assert b"private" not in body and b"f.txt" not in body
    assert (elsewhere.ui.shared / "f.txt").read_bytes() == b"private"


@pytest.mark.parametrize(
    "headers",
    [
        [("Host", "localhost")],
        [("Host", "127.0.0.1")],
        [("X-Forwarded-For", "127.0.0.1")],
        [("Forwarded", "for=127.0.0.1")],
        [("X-Real-IP", "127.0.0.1")],
        [("Authorization", "Bearer x")],
        [("Cookie", "p2p=1; token=x; session=x")],
    ],
    ids=str,
)
def test_from_elsewhere_no_header_opens_it(elsewhere, headers):
    assert elsewhere("GET", "/api/status", headers)[0] in (401, 403, 421)


def test_from_elsewhere_with_no_pairing(suite):
    with other_machine(1) as machine:
        if machine is None:
            pytest.skip("network namespaces cannot be made here")
        ui = suite.ui("--no-pairing", peer=suite.peer(files={"f": b"x"}), host="0.0.0.0")
        assert (
            machine.run(
                raw,
                ui.port,
                "GET",
                "/api/status",
                [("Host", f"{machine.our_ip}:{ui.port}")],
                b"",
                machine.our_ip,
            )[0]
            == 200
        )
        assert (
            machine.run(raw, ui.port, "GET", "/api/status", [("Host", "evil.example")], b"", machine.our_ip)[
                0
            ]
            == 421
        )
        assert "pairing" in ui.stderr().lower()


# --- names, and pages for people ---------------------------------------------------------------


def test_the_own_name_is_a_host(world):
    name = socket.gethostname()
    for host in (name, name.upper(), f"{name.split('.')[0]}.local", f"{name.split('.')[0]}:{world.ui.port}"):
        assert raw(world.ui.port, "GET", "/health", [("Host", host)])[0] == 200, host
    for host in (f"{name}.evil.example", f"x{name}", f"{name}.local.evil.example", "local", ".local", "x.local"):
        assert raw(world.ui.port, "GET", "/health", [("Host", host)])[0] == 421, host


@pytest.mark.parametrize("path,host,status", [("/", "evil.example", 421), ("/open/x", "localhost", 403),
                                              ("/x<script>alert(1)</script>", "localhost", 404)])  # fmt: skip
def test_a_browser_gets_a_page_that_can_be_read(world, path, host, status):
    accept = ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
    got, headers, body = raw(world.ui.port, "GET", path, [("Host", host), accept])
    assert got == status and headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert body.startswith(b"<!doctype html>") and b"<script" not in body
    got, headers, _ = raw(world.ui.port, "GET", path, [("Host", host)])
    assert got == status and headers["Content-Type"] == "application/problem+json"


def test_under_api_errors_stay_json_for_browsers(world):
    got, headers, _ = raw(world.ui.port, "GET", "/api/nothing", [("Host", "localhost"), ("Accept", "text/html")])
    assert got in (401, 404) and headers["Content-Type"] == "application/problem+json"


def test_links_have_the_address_of_the_page(suite):
    ui = suite.ui("--allow-host", "files.example.org", peer=suite.peer(files={"f.txt": b"x"}), host="0.0.0.0")

    def urls(host, *more):
        answer = raw(ui.port, "GET", "/api/status", [("Host", host), *ui.owner, *more])[2]
        return json.loads(answer)["urls"]

    assert urls(f"files.example.org:{ui.port}")[0] == f"http://files.example.org:{ui.port}/"
    assert all("localhost" not in url and "127.0.0.1" not in url for url in urls(f"localhost:{ui.port}"))
    base = f"http://files.example.org:{ui.port}/"
    query = f"/api/qr?target=share&name=f.txt&base={base}"
    host = ("Host", f"files.example.org:{ui.port}")
    assert raw(ui.port, "GET", query, [host, *ui.owner])[0] == 200
    assert raw(ui.port, "GET", query, [("Host", "localhost"), *ui.owner])[0] == 400

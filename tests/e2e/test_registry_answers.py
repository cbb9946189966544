"""Only a registry's answer counts as one, and the message names a proxy in front of a registry."""

import http.server
import json
import ssl
import threading
import time

import pytest

import carriers
from conftest import wait_until
from tls_world import make_authority, make_certificate


class Server:
    """An HTTP server whose answers come from `answer(handler, body)`: (status, type, body, headers)."""

    def __init__(self, answer, context=None):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_expect_100(self):
                length = int(self.headers.get("Content-Length", 0))
                if limit and length > limit:
                    self.reply(413, "text/html", b"<html>too large</html>")
                    self.close_connection = True
                    return False
                return super().handle_expect_100()

            def reply(self, status, kind, body, headers=()):
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def any(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if limit and len(body) > limit:
                    self.reply(413, "text/html", b"<html>too large</html>")
                    return
                seen.append((self.command, self.path, body))
                self.reply(*answer(self, body))

            do_GET = do_POST = do_DELETE = any

            def log_message(self, *_):
                pass

        self.seen = seen = []
        limit = getattr(answer, "limit", 0)
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        if context:
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.port = self.http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()


def page(status=200, kind="text/html", body=b"<html>hello</html>", headers=()):
    return lambda _handler, _body: (status, kind, body, headers)


def moved(handler, _body):
    return 301, "text/html", b"<html>moved</html>", [("Location", f"http://new.example:8000{handler.path}")]


ANSWERS = {
    "web page": (page(), ["not a registry", "status 200 (text/html)"]),
    "empty": (page(body=b"", kind="text/plain"), ["not a registry", "status 200 (text/plain)"]),
    "other JSON": (page(kind="application/json", body=b'{"ok":true}'), ["not a registry"]),
    "a JSON list": (page(kind="application/json", body=b"[]"), ["not a registry"]),
    "moved": (moved, ["the registry has moved", "to http://new.example:8000/"]),
    "bad gateway": (page(502), ["status 502 (text/html)"]),
    "gateway timeout": (page(504), ["status 504 (text/html)"]),
    "no such page": (page(404), ["not a registry", "status 404 (text/html)"]),
    "login": (page(401), ["not allowed", "status 401 (text/html)"]),
    "teapot": (page(418), ["status 418 (text/html)"]),
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_what_is_no_registry_takes_no_registration(suite, kind):
    answer, words = ANSWERS[kind]
    with Server(answer) as server:
        peer = suite.peer("--no-mdns", "--heartbeat", "1s", discovery=server, files={"a": b"a"})
        wait_until(lambda: "cannot register" in peer.stderr(), what="a line about the registry")
        line = next(x for x in peer.stderr().splitlines() if "cannot register" in x)
        assert f"registry {server.url}: cannot register" in line
        for word in words:
            assert word in line
        assert not any(x.endswith(": registered") for x in peer.stderr().splitlines())

        listed = suite.p2p("peers", "--no-mdns", "--discovery", server.url)
        assert listed.returncode != 0 and server.url in listed.stderr and "ok" not in listed.stderr.split("\n")[0]
        doctor = suite.p2p("doctor", "--no-mdns", "--discovery", server.url)
        assert doctor.returncode != 0 and f"PROBLEM  registry       {server.url}" in doctor.stdout
        for word in words:
            if kind not in ("other JSON", "a JSON list"):
                assert word in listed.stderr and word in doctor.stdout


@pytest.mark.parametrize("kind", ["web page", "moved", "bad gateway"])
def test_the_dashboard_says_why_it_is_not_registered(suite, kind):
    answer, words = ANSWERS[kind]
    with Server(answer) as server:
        ui = suite.ui(discovery=server)
        answered = ui.api.request("POST", "/api/register", json={"port": 9000})
        for word in [server.url, *words]:
            assert answered.status_code == 503 and word in json.dumps(answered.json())


def test_a_registry_of_another_make(suite):
    """The documented answers, and nothing more."""

    def documented(handler, _body):
        if handler.path.startswith("/peers"):
            return 200, "application/json", b'{"peers":[]}', ()
        if handler.command == "POST" and handler.path == "/register":
            return 200, "application/json", b' {"message": "registered"}', ()
        if handler.path.startswith("/heartbeat"):
            return 200, "application/json", b'{"message":"heartbeat received"}', ()
        return 404, "application/json", b'{"detail":"Not Found"}', ()

    with Server(documented) as server:
        peer = suite.peer("--no-mdns", "--heartbeat", "1s", discovery=server, files={"a": b"a"})
        wait_until(lambda: f"registry {server.url}: registered" in peer.stderr(), what="registered")
        wait_until(lambda: sum("heartbeat" in path for _, path, _ in server.seen) > 2, what="heartbeats")
        assert "cannot register" not in peer.stderr()
        assert suite.p2p("peers", "--no-mdns", "--discovery", server.url).returncode == 0


def test_https_where_there_is_none(suite):
    with Server(page()) as server:
        url = server.url.replace("http:", "https:")
        run = suite.p2p("peers", "--no-mdns", "--discovery", url)
        assert run.returncode == 4 and "does not use HTTPS; begin its URL with http://" in run.stderr


def test_http_where_https_is_spoken(suite, tmp_path):
    authority = make_authority(tmp_path)
    certificate, key, _ = make_certificate(tmp_path, "server", authority)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with Server(page(), context) as server:
        run = suite.p2p("peers", "--no-mdns", "--discovery", server.url)
        assert run.returncode == 4 and server.url in run.stderr
        unknown = suite.p2p("peers", "--no-mdns", "--discovery", server.url.replace("http:", "https:"))
        assert unknown.returncode != 0 and "certificate" in unknown.stderr


def test_a_name_that_does_not_resolve(suite):
    run = suite.p2p("peers", "--no-mdns", "--discovery", "http://nohost.invalid:8000")
    assert run.returncode == 4 and "no such host" in run.stderr


# ---- What takes less than a registry ----


def fill(peer_folder, count):
    shared = peer_folder / "shared"
    shared.mkdir(parents=True)
    for i in range(count):
        (shared / f"file-number-{i}.txt").write_text(str(i))


def test_a_long_list_goes_in_parts_through_nginx(suite, tmp_path):
    registry = suite.discovery("--trusted-proxy", "127.0.0.1")
    port = carriers.free_port()
    block = f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass {registry.url}; proxy_set_header X-Forwarded-For $remote_addr; }} }}"

    class Front:
        url = f"http://127.0.0.1:{port}"

    # The files are hashed before, so that the first registration contains all of them.
    fill(suite.folder / "peer", 6000)
    first = suite.peer("--no-mdns")
    with first.client() as client:
        wait_until(lambda: len(client.list_all()) == 6000, 120, "6,000 files hashed")
    first.stop()
    suite.programs.remove(first)
    with carriers.nginx(tmp_path, port, block):
        peer = suite.peer("--no-mdns", "--heartbeat", "1s", discovery=Front)

        def total():
            peers = registry.registry.peers(limit=10, names=0)
            return sum(p["files_count"] for p in peers) == 6000

        wait_until(total, 180, "6,000 files listed")
        wait_until(lambda: "the proxy in front of it accepts" in peer.stderr(), what="the log")
        doctor = suite.p2p("doctor", "--no-mdns", "--discovery", Front.url)
        assert "the server in front of the registry" in doctor.stdout and "accepts at most 1.0 MB" in doctor.stdout
        straight = suite.p2p("doctor", "--no-mdns", "--discovery", registry.url)
        assert "accepts at most" not in straight.stdout


def forward_to(url, limit, client=None):
    """A small proxy: no body above the limit. client: the address that it names as the client's."""
    import urllib.error
    import urllib.request

    def answer(handler, body):
        request = urllib.request.Request(url + handler.path, body or None, method=handler.command)
        request.add_header("Content-Type", "application/json")
        if client:
            request.add_header("X-Forwarded-For", client)
        try:
            with urllib.request.urlopen(request) as reply:
                return reply.status, "application/json", reply.read(), ()
        except urllib.error.HTTPError as reply:
            return reply.code, "application/json", reply.read(), ()

    answer.limit = limit
    return answer


def test_a_list_goes_in_small_parts(suite):
    """As through 16 KiB: whatever the size, it arrives, and changes do, too."""
    registry = suite.discovery("--register-rate", "0")
    fill(suite.folder / "peer", 300)

    def names():
        peers = registry.registry.peers(limit=10, names=1000)
        return {name for p in peers for name in p["files"]}

    with Server(forward_to(registry.url, 16 * 1024)) as front:
        peer = suite.peer("--no-mdns", "--heartbeat", "1s", discovery=front)
        wait_until(lambda: len(names()) == 300, 60, "300 files listed")
        (peer.shared / "one-more").write_text("x")
        (peer.shared / "file-number-7.txt").unlink()
        wait_until(lambda: len(names()) == 300 and "one-more" in names(), 60, "the change")
        assert "file-number-7.txt" not in names()
        # The record was never removed: one whole registration, then deltas.
        accepted = [path for method, path, _ in front.seen if method == "POST"]
        assert accepted.count("/register") == 1 and accepted.count("/register/delta") > 5


def test_a_server_that_is_away_for_a_while_loses_no_record(suite):
    """A 502 to a delta is no reason to send the whole list again."""
    registry = suite.discovery("--register-rate", "0")
    away = threading.Event()
    forward = forward_to(registry.url, 0)

    def answer(handler, body):
        return page(502)(handler, body) if away.is_set() else forward(handler, body)

    with Server(answer) as front:
        peer = suite.peer("--no-mdns", "--heartbeat", "1s", discovery=front, files={"a": b"a"})
        wait_until(lambda: f"registry {front.url}: registered" in peer.stderr(), what="registered")
        away.set()
        (peer.shared / "b").write_text("b")
        wait_until(lambda: "status 502 (text/html)" in peer.stderr(), what="the status in the log")
        away.clear()
        wait_until(lambda: peer.stderr().count(f"registry {front.url}: registered") == 2, 30, "registered again")
        (listed,) = registry.registry.peers()
        assert sorted(listed["files"]) == ["a", "b"]


def test_a_registry_that_asks_to_wait_is_left_alone(suite):
    """429 with Retry-After: the next registration comes then, with all that changed meanwhile, and not before."""
    registry = suite.discovery("--register-rate", "0")
    forward = forward_to(registry.url, 0)
    wait_s, refused = 3, []

    def answer(handler, body):
        if handler.command == "POST" and len(refused) < 2:
            refused.append(time.monotonic())
            return 429, "text/plain", b"slow down", [("Retry-After", str(wait_s))]
        if handler.command == "POST":
            accepted.append(time.monotonic())
        return forward(handler, body)

    accepted = []
    with Server(answer) as front:
        peer = suite.peer("--no-mdns", "--heartbeat", "1s", discovery=front, files={"f0": b"0"})
        wait_until(lambda: refused, what="a refused registration")
        for i in range(1, 6):
            (peer.shared / f"f{i}").write_text(str(i))
            with peer.client() as client:
                wait_until(lambda: len(client.list_all()) == i + 1, 60, "a shared file")
        wait_until(lambda: registry.registry.peers() and len(registry.registry.peers()[0]["files"]) == 6, 60, "6 files")
        assert refused[1] - refused[0] >= wait_s and accepted[0] - refused[1] >= wait_s
        assert "cannot register, will retry" in peer.stderr()


def test_a_registry_without_room_for_all_files_lists_some(suite):
    registry = suite.discovery(
        "--register-rate", "0", "--trusted-proxy", "127.0.0.1", "--max-memory-per-ip", "300K"
    )  # fmt: skip
    fill(suite.folder / "peer", 3000)
    forward, refused = forward_to(registry.url, 0, client="192.0.2.7"), []

    def answer(handler, body):
        status, *rest = forward(handler, body)
        refused.extend([status] * (status == 429))
        return status, *rest

    with Server(answer) as front:
        peer = suite.peer("--no-mdns", "--heartbeat", "1s", discovery=front, wait=False)
        wait_until(lambda: "cannot register all files" in peer.stderr(), 90, "a line about the files")
        assert "--max-memory-per-ip" in peer.stderr()
        (listed,) = registry.registry.peers(limit=10, names=0)
        assert 0 < listed["files_count"] < 3000
        assert len(refused) < 30, "the parts get smaller until one fits"

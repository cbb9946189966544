"""The result of programs that cannot start or cannot finish: exit status, one object with --json, the reason."""

import json
import resource
import socket
import subprocess

import pytest

from conftest import BIN, NO_REGISTRY, environment, wait_until

COMMANDS = [
    ["get", "no-such-file"],
    ["get", "../x"],
    ["get"],
    ["get", "x", "--no-such-option"],
    ["get", "x", "--timeout", "soon"],
    ["nonsense"],
    ["help", "nonsense"],
    [],
    ["get", "x", "--from", "127.0.0.1:9", "--timeout", "1s"],
    ["search", "x"],
    ["search"],
    ["peers"],
    ["peers", "trust"],
    ["peers", "forget", "ab" * 32],
    ["ls", "127.0.0.1:9"],
    ["ls"],
    ["key", "nonsense"],
    ["token", "revoke", "0000"],
    ["share", "nonsense"],
    ["unfinished", "remove", "nothing"],
    ["ui", "--url", "http://127.0.0.1:9"],
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_failure_is_an_object_too(suite, words):
    online = words[:1] in (["get"], ["search"], ["peers"], ["ls"])
    more = ["--discovery", NO_REGISTRY, "--no-mdns"] if online else []
    run = suite.p2p(*words, "--json", *more)
    assert run.returncode != 0
    last = json.loads(run.stdout.splitlines()[-1])
    assert last["event"] == "failed" and last["error"].isupper() and last["message"]


def test_a_success_is_one_object(suite):
    assert "peer_id" in json.loads(suite.p2p("id", "--json", check=True).stdout)
    assert json.loads(suite.p2p("token", "list", "--json", check=True).stdout)
    token = suite.p2p("token", "new", "--json", check=True)
    revoked = suite.p2p("token", "revoke", json.loads(token.stdout)["id"], "--json", check=True)
    assert json.loads(revoked.stdout)["event"] == "completed"


@pytest.mark.parametrize(
    "words",
    [["id"], ["id", "--json"], ["help"], ["get", "--help"], ["--version"], ["token", "new"], ["token", "list", "--json"]],
    ids=" ".join,
)
def test_output_that_does_not_arrive_is_told(suite, words):
    suite.p2p("id", check=True)
    with open("/dev/full", "w") as full:
        run = subprocess.run(
            [BIN / "p2p", *words], cwd=suite.folder / "cli", stdout=full, stderr=subprocess.PIPE, text=True,
            env=environment(suite.folder), timeout=60, check=False,
        )  # fmt: skip
    assert run.returncode == 6 and "cannot write to standard output" in run.stderr


def test_a_ready_line_that_does_not_arrive_is_told(tmp_path):
    with open("/dev/full", "w") as full, open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen(
            [BIN / "p2p-discovery", "--host", "127.0.0.1", "--port", "0"], stdin=subprocess.DEVNULL, stdout=full,
            stderr=log, env=environment(tmp_path),
        )  # fmt: skip
    try:
        said = lambda: "cannot write to standard output" in (tmp_path / "log").read_text()  # noqa: E731
        wait_until(said, 60, "the log tells")
    finally:
        process.terminate()
        process.wait(60)


def start(tmp_path, *words, **more):
    return subprocess.run(
        [BIN / words[0], *map(str, words[1:])], cwd=tmp_path, capture_output=True, text=True, timeout=60,
        env=environment(tmp_path), check=False, **more,
    )  # fmt: skip


DAEMONS = ["p2p-peer", "p2p-ui", "p2p-discovery"]


@pytest.mark.parametrize("program", DAEMONS)
@pytest.mark.parametrize(
    "host, said",
    [
        ("203.0.113.9", "this machine does not have this address (--host)"),
        ("nohost.invalid", "(--host)"),
    ],
)
def test_an_address_of_another_machine(tmp_path, program, host, said):
    run = start(tmp_path, program, "--host", host, "--port", 0)
    assert run.returncode == 1 and f"cannot listen on {host} port 0" in run.stderr and said in run.stderr


@pytest.mark.parametrize("program", DAEMONS)
def test_a_port_that_is_taken(tmp_path, program):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = start(tmp_path, program, "--host", "127.0.0.1", "--port", port)
    said = f"cannot listen on 127.0.0.1 port {port}: the port is already in use; choose another one with --port"
    assert run.returncode == 1 and said in run.stderr


@pytest.mark.parametrize("program", DAEMONS)
def test_too_few_open_files(tmp_path, program):
    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (12, 12))

    run = start(tmp_path, program, "--port", 0, preexec_fn=limit)
    assert run.returncode == 1 and "the limit of 12 open files is too low" in run.stderr and "ulimit -n" in run.stderr


@pytest.mark.parametrize("host", ["[::]", "localhost", "[::1]", "::1"])
def test_hosts_that_all_daemons_take(suite, host):
    registry = suite.discovery(host=host)
    suite.peer("--no-mdns", host=host, name="one")
    suite.ui(host=host, name="one")
    family = socket.AF_INET6 if "::" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.connect(("::1" if "::" in host else "127.0.0.1", registry.port))


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "not-one"])
def test_an_address_that_nobody_can_call(tmp_path, address):
    run = start(tmp_path, "p2p-peer", "--advertise", address)
    assert run.returncode == 2 and f"invalid --advertise {address}: use an IP address" in run.stderr


def test_a_snapshot_that_cannot_be_written(suite, tmp_path):
    (tmp_path / "file").write_text("x")
    for path in tmp_path / "nowhere" / "x", tmp_path / "file" / "x", tmp_path:
        run = start(tmp_path, "p2p-discovery", "--port", 0, "--snapshot", path)
        assert run.returncode in (1, 2) and "ready" not in run.stdout
        assert str(path) in run.stderr or str(path.parent) in run.stderr
    assert suite.discovery("--snapshot", tmp_path / "kept")
    assert (tmp_path / "kept").exists()


def test_a_name_that_does_not_resolve_is_final(suite):
    """Where the machine's resolver follows RFC 6761, a name in .invalid is unknown without a server; elsewhere
    there may be another reason, which is not checked.
    """
    try:
        socket.getaddrinfo("nohost.invalid", 9000)
    except socket.gaierror as error:
        if error.errno != socket.EAI_NONAME:
            pytest.skip("no name server to say that there is no such name")
    run = suite.get("f", "nohost.invalid:9000", more=["--timeout", "30s"], timeout=25)
    assert run.returncode == 4 and "no such host" in run.stderr and "firewall" not in run.stderr


def test_a_dashboard_at_an_address_in_brackets(suite):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    ui = suite.ui(host="[::1]")
    assert f"http://localhost:{ui.port}/open/" in ui.stderr()
    with socket.create_connection(("::1", ui.port)) as connection:
        connection.sendall(f"GET /health HTTP/1.1\r\nHost: [::1]:{ui.port}\r\n\r\n".encode())
        assert connection.recv(15) == b"HTTP/1.1 200 OK"

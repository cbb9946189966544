"""The first day of a new user: another machine in the network, a typing error in an option, a file where a folder
should be.
"""

import os
import socket
import subprocess

import pytest
from conftest import BIN, environment, wait_until


def own_address():
    """The address of this machine towards others; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        return probe.getsockname()[0]


def listed_ip(discovery, peer):
    found = wait_until(lambda: [p for p in discovery.registry.peers() if p["port"] == peer.port], what="the peer listed")
    return found[0]["ip"]


def test_peer_beside_its_registry_is_listed_where_others_reach_it(suite):
    if own_address() is None:
        pytest.skip("this machine has no route to others")
    discovery = suite.discovery()
    open_peer = suite.peer(discovery=discovery, host="0.0.0.0")
    assert listed_ip(discovery, open_peer) == own_address()


def test_peer_that_listens_for_this_machine_only_is_listed_there(suite):
    discovery = suite.discovery()
    assert listed_ip(discovery, suite.peer(discovery=discovery)) == "127.0.0.1"


def test_protocol_1_by_the_registry(suite):
    discovery = suite.discovery()
    peer = suite.peer(discovery=discovery, files={"a.txt": b"hello"})
    wait_until(lambda: discovery.registry.peers(file="a.txt"), what="a.txt listed")
    run = suite.p2p("get", "a.txt", "--protocol", "1", "--discovery", discovery.url)
    assert run.returncode == 0, run.stderr
    assert (suite.folder / "cli" / "downloads" / "a.txt").read_bytes() == (peer.shared / "a.txt").read_bytes()


@pytest.mark.parametrize("arguments", [("--root", "ab" * 32, "a.txt"), ("photos/",)])
def test_protocol_1_knows_neither_roots_nor_folders(suite, arguments):
    run = suite.p2p("get", "--protocol", "1", *arguments)
    assert run.returncode == 2 and "protocol 2" in run.stderr


def test_protocol_1_is_refused_under_another_name_of_the_same_address(suite):
    peer = suite.peer(files={"a.txt": b"hello"})
    assert suite.get("a.txt", f"127.0.0.1:{peer.port}").returncode == 0
    run = suite.get("a.txt", f"localhost:{peer.port}", more=["--protocol", "1"])
    assert run.returncode != 0 and "protocol 1 is refused" in run.stderr


@pytest.mark.parametrize(
    "program, arguments, said",
    [
        ("p2p-peer", ("--advertise", "my-host"), "invalid --advertise my-host: use an IP address"),
        ("p2p-peer", ("--discovery", "ftp://x"), "a URL such as"),
        ("p2p-peer", ("--host", "300.1.1.1"), "no such host (--host)"),
        ("p2p-peer", ("--shared-dir", "a-file"), "not a folder"),
        ("p2p-ui", ("--keys-dir", "a-file"), "not a folder"),
        ("p2p-ui", ("--web-dir", "nowhere"), "--web-dir nowhere"),
    ],
)
def test_a_slip_is_named_and_nothing_runs(tmp_path, program, arguments, said):
    (tmp_path / "a-file").write_text("x")
    run = subprocess.run(
        [BIN / program, "--port", "0", *arguments], capture_output=True, text=True, timeout=20, cwd=tmp_path,
        env=environment(tmp_path),
    )  # fmt: skip
    assert run.returncode in (1, 2) and said in run.stderr and "ready" not in run.stdout


def test_an_empty_peer_is_said_to_be_empty(suite):
    peer = suite.peer()
    run = suite.p2p("ls", peer.where)
    assert (run.returncode, run.stdout) == (0, "") and "shares nothing" in run.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user to be nobody")
def test_a_folder_that_cannot_be_written_is_named(suite):
    peer = suite.peer(files={"a.txt": b"hello"})
    (suite.folder / "readonly").mkdir(mode=0o555)
    keys = suite.folder / "nobody"
    keys.mkdir(mode=0o700)
    os.chown(keys, 65534, 65534)
    for folder in [suite.folder, *suite.folder.parents]:
        if not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o111)
    run = suite.p2p("get", "a.txt", "--from", peer.where, "--keys-dir", keys, "--output-dir", suite.folder / "readonly",
                    prefix=("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"))  # fmt: skip
    assert run.returncode == 6 and "readonly: permission denied" in run.stderr, run.stderr


def test_the_machine_itself_is_no_stranger_under_its_own_address(suite):
    """A probe of the own peer fails, because a device does not connect to itself; this must not shut out other
    programs of the machine.
    """
    if own_address() is None:
        pytest.skip("this machine has no route to others")
    peer = suite.peer("--handshake-rate", "1", host="0.0.0.0", files={"a.txt": b"hello"})
    for _ in range(30):
        with socket.create_connection((own_address(), peer.port)) as stranger:
            stranger.sendall(b"HELLO2|" + bytes(68))
            stranger.recv(1)
    assert suite.get("a.txt", f"{own_address()}:{peer.port}").returncode == 0


def test_doctor_measures_how_far_a_peer_is(suite):
    discovery = suite.discovery()
    peer = suite.peer(discovery=discovery)
    wait_until(lambda: discovery.registry.peers(), what="the peer listed")
    said = suite.p2p("doctor", "--discovery", discovery.url, "--peer-port", peer.port).stdout
    assert "proven" in said and " 0.00 ms" not in said


def test_forgotten_peers_are_told(suite):
    """The known peers are lost, so these peers are unknown again: the program must say so."""
    keys = suite.folder / "cli" / "keys"
    suite.p2p("id", "--keys-dir", keys, check=True)
    (keys / "known_peers").write_bytes(b"\xff not a peer\n" * 3)
    (keys / "known_peers").chmod(0o600)
    assert "known_peers is damaged" in suite.p2p("peers", "--known", "--keys-dir", keys).stderr

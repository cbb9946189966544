"""p2p, the command line, against real daemons."""

import hashlib
import json
import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from conftest import BIN, NO_REGISTRY, environment, wait_until
from p2pwire import keys
from p2pwire.server import Server


@pytest.fixture(scope="module")
def world(module_suite):
    """A registry and two peers; `both.bin` is on both."""

    class World:
        pass

    w = World()
    w.suite = module_suite
    w.both = os.urandom(3_000_000)
    w.discovery = module_suite.discovery()
    w.a = module_suite.peer(
        name="a",
        discovery=w.discovery,
        files={"both.bin": w.both, "only a.txt": b"from a", "quote\"'|.txt": b"q"},
    )
    w.b = module_suite.peer(
        name="b",
        discovery=w.discovery,
        files={"both.bin": w.both, "emoji 😀.txt": b"smile", "folder/x.txt": b"in a folder"},
    )
    wait_until(lambda: len(w.discovery.registry.peers(file="both.bin")) == 2, what="both peers registered")
    wait_until(lambda: w.discovery.registry.peers(file="emoji 😀.txt"), what="names registered")
    return w


def run(world, out, *arguments, **kwargs):
    command, *rest = arguments
    if command == "get":
        rest += ["--output-dir", out]
    return world.suite.p2p(command, *rest, "--discovery", world.discovery.url, **kwargs)


def visible(folder):
    return sorted(p.name for p in folder.iterdir() if not p.name.startswith(".")) if folder.exists() else []


# --- get -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name,data", [("only a.txt", b"from a"), ("emoji 😀.txt", b"smile"), ("quote\"'|.txt", b"q")]
)
def test_get(world, tmp_path, name, data):
    run(world, tmp_path, "get", name, check=True)
    assert (tmp_path / name).read_bytes() == data
    assert visible(tmp_path) == [name]


def test_get_from_all_sources(world, tmp_path):
    run(world, tmp_path, "get", "both.bin", check=True)
    assert (tmp_path / "both.bin").read_bytes() == world.both


@pytest.mark.parametrize("connections", [1, 16])
@pytest.mark.parametrize("verify", ["full", "tree"])
def test_get_with_options(world, tmp_path, connections, verify):
    run(world, tmp_path, "get", "both.bin", "--connections", connections, "--verify", verify, check=True)
    assert (tmp_path / "both.bin").read_bytes() == world.both


@pytest.mark.parametrize(
    "option",
    [
        ("--connections", "0"),
        ("--connections", "17"),
        ("--connections", "x"),
        ("--verify", "some"),
        ("--protocol", "3"),
        ("--timeout", "-1"),
        ("--from", "nowhere"),
        ("--from", "host:99999"),
    ],
)
def test_get_with_wrong_options(world, tmp_path, option):
    assert run(world, tmp_path, "get", "both.bin", *option).returncode == 2
    assert visible(tmp_path) == []


def test_get_by_protocol_1_warns(world, tmp_path):
    result = run(
        world,
        tmp_path,
        "get",
        "only a.txt",
        "--protocol",
        "1",
        "--from",
        world.a.where,
        "--keys-dir",
        tmp_path / "fresh",
    )
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "only a.txt").read_bytes() == b"from a"
    assert result.stderr.strip(), "a warning is due"


def test_get_json(world, tmp_path):
    result = run(world, tmp_path, "get", "only a.txt", "--json", check=True)
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert lines, "machines get JSON on stdout"
    assert "only a.txt" in result.stdout


def test_get_writes_data_to_the_folder_and_talk_to_stderr(world, tmp_path):
    result = run(world, tmp_path, "get", "both.bin", check=True)
    assert "\r" not in result.stderr and "\x1b" not in result.stderr, "progress belongs on a terminal only"


def test_get_of_a_missing_file(world, tmp_path):
    result = run(world, tmp_path, "get", "nobody has this")
    assert result.returncode not in (0, 2)
    assert "nobody has this" in result.stderr
    assert visible(tmp_path) == []


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "", ".", "..", ".hidden", "a\nb", "a/../../b", "\x1b[31m", "x" * 300]
)
def test_get_of_names_that_cannot_be(world, tmp_path, name):
    result = run(world, tmp_path / "out", "get", name)
    assert result.returncode != 0
    assert "\x1b" not in result.stderr
    assert visible(tmp_path) in ([], ["out"]) and visible(tmp_path / "out") == []


def test_get_never_overwrites(world, tmp_path):
    (tmp_path / "only a.txt").write_bytes(b"mine")
    run(world, tmp_path, "get", "only a.txt", check=True)
    run(world, tmp_path, "get", "only a.txt", check=True)  # it is already there, so no third file
    assert visible(tmp_path) == ["only a (1).txt", "only a.txt"]
    assert (tmp_path / "only a.txt").read_bytes() == b"mine"
    assert (tmp_path / "only a (1).txt").read_bytes() == b"from a"


def test_get_does_not_follow_a_link_in_the_way(world, tmp_path):
    out, outside = tmp_path / "out", tmp_path / "outside"
    out.mkdir()
    outside.write_bytes(b"untouched")
    (out / "only a.txt").symlink_to(outside)
    run(world, out, "get", "only a.txt", check=True)
    assert outside.read_bytes() == b"untouched"
    assert (out / "only a (1).txt").read_bytes() == b"from a"


def test_get_tries_the_next_peer(world, tmp_path):
    """No program answers at the first address."""
    result = run(
        world,
        tmp_path,
        "get",
        "only a.txt",
        "--from",
        "127.0.0.1:9",
        "--from",
        world.a.where,
        "--timeout",
        "3",
    )
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "only a.txt").read_bytes() == b"from a"


def test_get_with_a_registry_that_lies_about_a_key(suite, tmp_path):
    """Another peer's id is expected at this address: the handshake has to prove it, so nothing is downloaded."""
    discovery = suite.discovery()
    peer = suite.peer(files={"f": b"content"})
    victim = keys.Identity()
    discovery.registry.register(victim, peer.port, ["f"])
    result = suite.p2p(
        "get", "f", "--output-dir", tmp_path / "out", "--discovery", discovery.url, "--timeout", "3"
    )
    assert result.returncode != 0
    assert visible(tmp_path / "out") == []


def test_get_a_folder(world, tmp_path):
    run(world, tmp_path, "get", "folder/x.txt", check=True)
    found = [p for p in tmp_path.rglob("x.txt")]
    assert len(found) == 1 and found[0].read_bytes() == b"in a folder"


def peak_memory_kib(pid):
    """The memory of the program itself, after exec; 0 if it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    name = re.search(r"Name:\s+(\S+)", status)
    return int(found[1]) if found and name and name[1] == "p2p" else 0


def test_get_keeps_the_time_of_a_large_file_out_of_memory(world, tmp_path):
    """The downloader's memory does not grow with the file."""
    size = 200 << 20
    with open(world.a.shared / "large.bin", "wb") as file:
        for _ in range(size >> 20):
            file.write(os.urandom(1 << 20))
    world.a.wait_for("large.bin", 60)
    command = [
        BIN / "p2p",
        "get",
        "large.bin",
        "--from",
        world.a.where,
        "--discovery",
        NO_REGISTRY,
        "--output-dir",
        str(tmp_path),
    ]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment(tmp_path), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    # Not ru_maxrss, which would include the memory of this test process at the fork.
    peak = 0
    while process.poll() is None:
        peak = max(peak, peak_memory_kib(process.pid))
        time.sleep(0.01)
    assert process.returncode == 0 and peak > 0
    assert digest(tmp_path / "large.bin") == digest(world.a.shared / "large.bin")
    assert sanitized() or peak < 96 << 10
    (world.a.shared / "large.bin").unlink()


def sanitized():
    return b"__asan_init" in (BIN / "p2p").read_bytes()


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- the other commands ----------------------------------------------------------------------


def test_search(world, tmp_path):
    result = run(world, tmp_path, "search", "only a.txt", check=True)
    assert "only a.txt" in result.stdout
    found = json.loads(run(world, tmp_path, "search", "only a.txt", "--json", check=True).stdout)
    assert "only a.txt" in json.dumps(found)
    missing = run(world, tmp_path, "search", "zzz-nothing-like-this")
    assert "zzz-nothing" not in missing.stdout


def test_peers(world, tmp_path):
    text = run(world, tmp_path, "peers", check=True).stdout
    for peer in (world.a, world.b):
        assert peer.peer_id[:8] in text and str(peer.port) in text
    data = run(world, tmp_path, "peers", "--json", check=True).stdout
    assert world.a.peer_id in data and json.loads(data)


def test_ls(world, tmp_path):
    text = run(world, tmp_path, "ls", world.a.where, check=True).stdout
    assert "only a.txt" in text and "both.bin" in text and "emoji" not in text
    assert json.loads(run(world, tmp_path, "ls", world.b.where, "--json", check=True).stdout)
    assert run(world, tmp_path, "ls", "127.0.0.1:9").returncode != 0


def test_status(world, tmp_path):
    assert run(world, tmp_path, "status", check=True).stdout
    assert json.loads(run(world, tmp_path, "status", "--json", check=True).stdout)


def test_id(world, tmp_path):
    result = world.suite.p2p("id", "--keys-dir", world.a.keys, check=True)
    assert world.a.peer_id in result.stdout
    as_json = json.loads(world.suite.p2p("id", "--keys-dir", world.a.keys, "--json", check=True).stdout)
    assert as_json["peer_id"] == world.a.peer_id


@pytest.mark.parametrize("command", ["search", "peers", "get"])
def test_without_a_registry_the_text_says_so(suite, tmp_path, command):
    arguments = [command, *(["x"] if command != "peers" else []), "--discovery", NO_REGISTRY]
    result = suite.p2p(*arguments, cwd=tmp_path)
    assert result.returncode not in (0, 2)
    assert "127.0.0.1:9" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [[], ["nothing"], ["get"], ["get", "a", "b", "--from"], ["search"], ["ls"], ["get", "--bad", "x"]],
)
def test_usage(suite, arguments):
    assert suite.p2p(*arguments).returncode == 2


def test_names_of_a_peer_cannot_write_on_the_terminal(suite, tmp_path):
    """A peer may list any bytes as names: the output is harmless."""
    evil = "e\x1b]0;title\x07\u202evil\x9b31m"
    with Server({"fine": b"1"}) as server:
        server.on_list = lambda c, r: c.send(hostile_list(r, evil))
        result = suite.p2p("ls", server.where, "--discovery", NO_REGISTRY)
        assert not set(result.stdout + result.stderr) & set("\x1b\x07\u202e\x9b"), repr(result.stdout)


def hostile_list(request, name):
    from p2pwire import msg

    return msg.List(request.req, [msg.Entry(bytes(32), 1, 0, name.encode())])


# --- keys ------------------------------------------------------------------------------------


def test_key_with_a_passphrase(suite, tmp_path):
    """Never from the command line: from a file that the environment names."""
    keys_dir = tmp_path / "keys"
    peer_id = json.loads(suite.p2p("id", "--keys-dir", keys_dir, "--json", check=True).stdout)["peer_id"]
    (tmp_path / "passphrase").write_text("correct horse\n")
    (tmp_path / "wrong").write_text("wrong\n")
    right = {"P2P_PASSPHRASE_FILE": str(tmp_path / "passphrase")}
    result = suite.p2p("key", "protect", "--keys-dir", keys_dir, env=right)
    assert result.returncode == 0, result.stderr
    private = [p for p in keys_dir.iterdir() if b"PRIVATE KEY" in p.read_bytes()]
    assert all(b"ENCRYPTED" in p.read_bytes() for p in private) and private
    assert private[0].stat().st_mode & 0o777 == 0o600
    text = subprocess.run(
        ["openssl", "asn1parse", "-in", private[0]], capture_output=True, text=True, check=True
    ).stdout
    assert "scrypt" in text.lower() or "1.3.6.1.4.1.11591.4.11" in text
    assert (
        json.loads(suite.p2p("id", "--keys-dir", keys_dir, "--json", env=right, check=True).stdout)["peer_id"]
        == peer_id
    )
    with Server({"f": b"x"}) as server:
        wrong = suite.p2p("get", "f", "--from", server.where, "--keys-dir", keys_dir, "--output-dir", tmp_path / "o", "--discovery", NO_REGISTRY,
                          env={"P2P_PASSPHRASE_FILE": str(tmp_path / "wrong")})  # fmt: skip
        assert wrong.returncode != 0 and visible(tmp_path / "o") == []
    assert suite.p2p("key", "unprotect", "--keys-dir", keys_dir, env=right).returncode == 0
    assert (
        json.loads(suite.p2p("id", "--keys-dir", keys_dir, "--json", check=True).stdout)["peer_id"] == peer_id
    )


def test_key_rotate_makes_another_id(suite, tmp_path):
    keys_dir = tmp_path / "keys"
    first = json.loads(suite.p2p("id", "--keys-dir", keys_dir, "--json", check=True).stdout)["peer_id"]
    result = suite.p2p("key", "rotate", "--keys-dir", keys_dir)
    assert result.returncode == 0, result.stderr
    assert (
        json.loads(suite.p2p("id", "--keys-dir", keys_dir, "--json", check=True).stdout)["peer_id"] != first
    )


def test_peers_block(suite, tmp_path):
    keys_dir = suite.folder / "cli" / "keys"
    with Server({"f": b"x"}) as server:
        assert suite.p2p("peers", "block", server.identity.peer_id, "--keys-dir", keys_dir).returncode == 0
        result = suite.get("f", server, more=["--timeout", "3"])
        assert result.returncode != 0 and not server.requests
        assert suite.p2p("peers", "trust", server.identity.peer_id, "--keys-dir", keys_dir).returncode == 0
        assert suite.get("f", server).returncode == 0

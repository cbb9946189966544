"""p2p-peer as a daemon: registration, heartbeats, what it serves of a folder, many clients at once."""

import concurrent.futures
import hashlib
import os
import signal
import socket
import subprocess
import threading
import time

import pytest

from conftest import BIN, REPORT, environment, wait_until
from p2pwire import keys, msg, tree
from p2pwire.client import Client, Refused
from p2pwire.stream import Stream


def listed(discovery, peer):
    """The peer's record in the registry, or None."""
    found = [p for p in discovery.registry.peers() if p["peer_id"] == peer.peer_id]
    return found[0] if found else None


def wait_files(discovery, peer, expected, timeout=15.0):
    def fits():
        record = listed(discovery, peer)
        return record and sorted(record["files"]) == sorted(expected)

    wait_until(fits, timeout, f"registry lists {expected}")


# --- registration ----------------------------------------------------------------------------


def test_registers_by_itself(suite):
    discovery = suite.discovery()
    peer = suite.peer(discovery=discovery, files={"a.txt": b"1", "b 😀.txt": b"2"})
    wait_files(discovery, peer, ["a.txt", "b 😀.txt"])
    record = listed(discovery, peer)
    assert (record["ip"], record["port"]) == ("127.0.0.1", peer.port)


def test_registers_again_at_once_when_files_change(suite):
    """Long before the 30 s of a heartbeat."""
    discovery = suite.discovery()
    peer = suite.peer(discovery=discovery, files={"a.txt": b"1"})
    wait_files(discovery, peer, ["a.txt"])
    (peer.shared / "new.txt").write_bytes(b"new")
    wait_files(discovery, peer, ["a.txt", "new.txt"], 10)
    (peer.shared / "a.txt").rename(peer.shared / "renamed.txt")
    wait_files(discovery, peer, ["new.txt", "renamed.txt"], 10)
    (peer.shared / "new.txt").unlink()
    wait_files(discovery, peer, ["renamed.txt"], 10)


def test_registers_again_after_the_registry_restarted(suite):
    discovery = suite.discovery()
    peer = suite.peer("--heartbeat", "1", discovery=discovery, files={"a.txt": b"1"})
    wait_files(discovery, peer, ["a.txt"])
    port = discovery.port
    discovery.kill()
    suite.programs.remove(discovery)
    again = suite.discovery(port=port, folder="discovery2")
    wait_files(again, peer, ["a.txt"], 25)


def test_waits_for_a_registry_that_comes_later(suite):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    peer = suite.peer("--heartbeat", "1", "--discovery", f"http://127.0.0.1:{port}", files={"a.txt": b"1"})
    assert peer.running
    wait_files(suite.discovery(port=port), peer, ["a.txt"], 25)


def test_heartbeats_keep_it_listed(suite):
    discovery = suite.discovery("--ttl", "3")
    peer = suite.peer("--heartbeat", "1", discovery=discovery, files={"a.txt": b"1"})
    wait_files(discovery, peer, ["a.txt"])
    end = time.monotonic() + 5
    while time.monotonic() < end:
        assert listed(discovery, peer), "forgotten although it beats"
        time.sleep(0.2)


def test_leaves_on_a_clean_stop(suite):
    discovery = suite.discovery()
    peer = suite.peer(discovery=discovery, files={"a.txt": b"1"})
    wait_files(discovery, peer, ["a.txt"])
    peer.stop()
    wait_until(lambda: discovery.registry.peers() == [], 5, "the peer gone from the registry")


def test_identity_is_kept(suite):
    first = suite.peer(files={"a": b"1"})
    peer_id = first.peer_id
    first.stop()
    assert suite.peer().peer_id == peer_id


def test_advertise(suite):
    discovery = suite.discovery()
    peer = suite.peer("--advertise", "192.0.2.55", discovery=discovery, files={"a.txt": b"1"})
    wait_files(discovery, peer, ["a.txt"])
    assert listed(discovery, peer)["ip"] == "192.0.2.55"


def test_refuses_a_private_key_others_can_read(suite):
    peer = suite.peer()
    peer.stop()
    key = next(p for p in peer.keys.glob("*.pem") if b"PRIVATE KEY" in p.read_bytes())
    key.chmod(0o644)
    run = subprocess.run(
        [BIN / "p2p-peer", "--port", "0", "--keys-dir", peer.keys, "--shared-dir", peer.shared],
        capture_output=True, text=True, timeout=20, cwd=peer.folder, env=environment(peer.folder),
    )  # fmt: skip
    assert run.returncode == 1 and str(key.name) in run.stderr and "ready" not in run.stdout


def test_port_in_use_is_named(suite):
    peer = suite.peer()
    run = subprocess.run(
        [BIN / "p2p-peer", "--host", "127.0.0.1", "--port", str(peer.port), "--keys-dir", peer.keys, "--shared-dir", peer.shared],
        capture_output=True, text=True, timeout=20, cwd=peer.folder, env=environment(peer.folder),
    )  # fmt: skip
    assert run.returncode == 1 and str(peer.port) in run.stderr and "--port" in run.stderr


# --- what is shared --------------------------------------------------------------------------


def names_served(peer):
    with peer.client() as client:
        return sorted(e.name.decode() for e in client.list_all())


def test_hidden_names_links_and_devices_are_not_shared(suite):
    peer = suite.peer(files={"good": b"1"})
    outside = suite.folder / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    (peer.shared / ".hidden").write_bytes(b"x")
    (peer.shared / ".folder").mkdir()
    (peer.shared / ".folder" / "x").write_bytes(b"x")
    (peer.shared / "link").symlink_to(outside / "secret")
    (peer.shared / "dangling").symlink_to(outside / "nothing")
    (peer.shared / "loop").symlink_to(peer.shared)
    (peer.shared / "dir").symlink_to(outside)
    os.mkfifo(peer.shared / "fifo")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(peer.shared / "socket"))
        (peer.shared / "last").write_bytes(b"2")
        peer.wait_for("last")
        assert names_served(peer) == ["good", "last"]
        with peer.client() as client:
            for name in (
                "link",
                "dangling",
                "dir/secret",
                "loop/good",
                "fifo",
                "socket",
                ".hidden",
                ".folder/x",
            ):
                with pytest.raises(Refused):
                    client.meta(name)


def test_a_file_swapped_for_a_link_is_not_followed(suite):
    peer = suite.peer(files={"f": b"public", "other": b"x"})
    secret = suite.folder / "secret"
    secret.write_bytes(b"secret")
    with peer.client() as client:
        root = client.meta("f").root
        (peer.shared / "f").unlink()
        (peer.shared / "f").symlink_to(secret)
        for _ in range(20):
            try:
                assert client.get(root, 0, 6) == b"public"
            except Refused:
                pass
        with peer.client1() as old:
            try:
                assert old.chunk("f", 0) != b"secret"
            except Exception as refused:
                assert "secret" not in str(refused)


def test_names_that_no_client_may_see(suite):
    """Files whose names other systems do not allow are left out, and the others are served."""
    peer = suite.peer(files={"good": b"1"})
    for name in (b"with\nnewline", b"with\x1bescape", b"not utf-8 \xff", b"tab\tname"):
        (os.fsencode(peer.shared) + b"/" + name).decode("utf-8", "surrogateescape")
        with open(os.fsencode(peer.shared) + b"/" + name, "wb") as file:
            file.write(b"x")
    (peer.shared / "last").write_bytes(b"2")
    peer.wait_for("last")
    assert names_served(peer) == ["good", "last"]
    assert "\x1b" not in peer.stderr()


def test_folders(suite):
    peer = suite.peer(files={"top": b"1", "a/b/c/deep.txt": b"2"})
    assert names_served(peer) == ["a/b/c/deep.txt", "top"]
    (peer.shared / "a" / "new").mkdir()
    (peer.shared / "a" / "new" / "later.txt").write_bytes(b"3")
    peer.wait_for("a/new/later.txt")
    (peer.shared / "a").rename(peer.shared / "z")
    peer.wait_for("z/b/c/deep.txt")
    wait_until(
        lambda: names_served(peer) == ["top", "z/b/c/deep.txt", "z/new/later.txt"], what="the folder renamed"
    )


def test_hashes_survive_a_restart(suite):
    """META of a large file comes at once the second time, because the index is stored beside the files."""
    data = os.urandom(64 << 20)
    peer = suite.peer(files={"large": data})
    assert (peer.shared / ".p2p" / "index.db").exists()
    peer.stop()
    start = time.monotonic()
    again = suite.peer()
    again.wait_for("large")
    with again.client() as client:
        assert client.hash(tree.root_of(data)) == hashlib.sha256(data).digest()
    assert time.monotonic() - start < 30


def test_a_file_changed_while_the_peer_was_away_is_hashed_again(suite):
    peer = suite.peer(files={"f": b"old content"})
    peer.stop()
    stat = (peer.shared / "f").stat()
    (peer.shared / "f").write_bytes(b"new content")
    os.utime(peer.shared / "f", ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000_000))
    again = suite.peer()

    def new_content():
        try:
            with again.client() as client:
                return client.fetch("f") == b"new content"
        except Refused:
            return False

    wait_until(new_content, what="the new content")


def test_a_broken_index_is_made_anew(suite):
    peer = suite.peer(files={"f": b"content"})
    peer.stop()
    for file in (peer.shared / ".p2p").iterdir():
        if file.is_file():
            file.write_bytes(b"this is no database" * 100)
    again = suite.peer(files={"f": b"content"})
    with again.client() as client:
        assert client.fetch("f") == b"content"


# --- many at once ----------------------------------------------------------------------------


def test_fifty_clients_with_different_files(suite):
    files = {f"file {i}": os.urandom(200_000 + 7919 * i) for i in range(50)}
    peer = suite.peer("--chunk-size", "64K", files=files, wait=False)
    for name in files:
        peer.wait_for(name, 60)

    def fetch(name, number):
        opener = peer.client if number % 2 else peer.client1
        with opener(timeout=60) as client:
            return client.fetch(name)

    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        results = {name: pool.submit(fetch, name, i) for i, name in enumerate(files)}
        for name, result in results.items():
            assert result.result() == files[name], name
    assert peer.memory_kib("VmHWM") < 96 << 10


def test_idle_connections_cost_little_and_stop_nobody(suite):
    """200 authenticated connections that send nothing."""
    peer = suite.peer("--max-connections", "1000", files={"f": b"served"})
    before = peer.memory_kib()
    idle = [peer.client() for _ in range(200)]
    assert peer.memory_kib() - before < 200 * 64
    with peer.client() as client:
        assert client.fetch("f") == b"served"
    for client in idle[::20]:
        client.ping(1)
    for client in idle:
        client.close()


def test_strangers_who_say_nothing_are_closed(suite):
    """3 s to the first message; sending single bytes does not extend it."""
    peer = suite.peer(files={"f": b"served"})
    silent = Stream.connect(peer.address)
    trickle = Stream.connect(peer.address)
    start = time.monotonic()

    def drip():
        try:
            for byte in b"HELLO2|" + bytes(40):
                trickle.send(bytes([byte]))
                time.sleep(0.3)
        except Exception:
            pass

    thread = threading.Thread(target=drip)
    thread.start()
    silent.expect_close(timeout=10)
    trickle.expect_close(timeout=10)
    assert 1 < time.monotonic() - start < 9
    thread.join()


def test_a_handshake_left_in_the_middle_is_closed_by_the_deadline(suite):
    peer = suite.peer(files={"f": b"served"})
    from p2pwire.handshake import ClientHandshake

    with Stream.connect(peer.address) as stream:
        stream.send(ClientHandshake(keys.Identity()).make_m1())
        stream.read(75)
        stream.expect_close(timeout=20)


def test_a_flood_of_strangers_does_not_stop_service(suite):
    """150 connections that stop after connecting; honest clients from the same address still get in."""
    peer = suite.peer(files={"f": b"served"})
    strangers = []
    for _ in range(150):
        try:
            strangers.append(Stream.connect(peer.address, timeout=2))
        except OSError:
            break

    def served():
        try:
            with peer.client(timeout=3) as client:
                return client.fetch("f") == b"served"
        except Exception:
            return False

    wait_until(served, 20, "an honest client served")
    for stranger in strangers:
        stranger.close()


def test_max_connections(suite):
    peer = suite.peer("--max-connections", "4", files={"f": b"served"})
    open_ones = []
    for _ in range(4):
        open_ones.append(peer.client())
        # An answer shows that the peer has read the end of the handshake and released the place.
        assert open_ones[-1].fetch("f") == b"served"
    with pytest.raises(Exception):
        peer.client(timeout=3)
    for client in open_ones:
        client.close()
    wait_until(lambda: can_fetch(peer), 10, "room again")


def can_fetch(peer):
    try:
        with peer.client(timeout=3) as client:
            return client.fetch("f") == b"served"
    except Exception:
        return False


# --- who may fetch ---------------------------------------------------------------------------


def test_allow_list(suite):
    friend, stranger = keys.Identity(), keys.Identity()
    suite.folder.joinpath("allowed").write_text(friend.peer_id + "\n")
    peer = suite.peer("--allow-peers", suite.folder / "allowed", files={"f": b"served"}, wait=False)
    wait_until(lambda: fetched(peer, friend), what="the friend served")
    assert not fetched(peer, stranger)
    assert stranger.peer_id[:8] in peer.stderr(), "the operator is told who was turned away"


def fetched(peer, identity):
    try:
        with Client(peer.address, identity) as client:
            return client.fetch("f") == b"served"
    except Exception:
        return False


# --- limits and ends -------------------------------------------------------------------------


def test_rate_limit(suite):
    """2 MB at 1 MB/s: about two seconds, less what a full bucket gives at once."""
    data = os.urandom(3 << 20)
    peer = suite.peer("--limit-rate", "1M", files={"f": data})
    start = time.monotonic()
    with peer.client(timeout=30) as client:
        assert client.fetch("f") == data
    assert time.monotonic() - start > 1.0


def test_clients_share_the_rate_limit(suite):
    """Not one after the other: when the first one has its file, the others have most of theirs."""
    peer = suite.peer("--limit-rate", "2M", "--threads", "1", files={"f": os.urandom(1 << 20)})
    came, at_the_end = [0, 0, 0], []

    def read(i):
        with peer.client(timeout=30) as client:
            meta = client.meta("f")
            started.wait()
            client.send(msg.Get(9, meta.root, 0, meta.size))
            while came[i] < meta.size:
                came[i] += len(client.expect(msg.Data, 9).data)
        at_the_end.append(list(came))

    started = threading.Barrier(len(came))
    with concurrent.futures.ThreadPoolExecutor(len(came)) as pool:
        list(pool.map(read, range(len(came))))
    assert min(at_the_end[0]) > (1 << 20) / 2, at_the_end


def test_a_client_held_back_by_the_limit_is_not_stalled(suite):
    """The third record has to wait for longer than a client may stall."""
    data = os.urandom(192 << 10)
    peer = suite.peer("--limit-rate", "40K", "--stall-timeout", "1s", files={"f": data})
    with peer.client(timeout=30) as client:
        meta = client.meta("f")
        assert client.get(meta.root, 0, meta.size) == data


def test_sigterm_while_serving(suite):
    peer = suite.peer(files={"f": os.urandom(20 << 20)})
    with peer.client() as client:
        root = client.meta("f").root
        for i in range(20):
            client.send(msg.Get(i + 10, root, i << 20, 1 << 20))
        peer.stop()


def test_two_signals_end_it_at_once(suite):
    peer = suite.peer(files={"f": b"x"})
    peer.process.send_signal(signal.SIGTERM)
    peer.process.send_signal(signal.SIGTERM)
    peer.process.wait(10)
    suite.programs.remove(peer)
    peer.log.close()
    assert not REPORT.search(peer.stderr())


def test_signals_that_mean_nothing(suite):
    peer = suite.peer(files={"f": b"served"})
    for _ in range(20):
        for number in (signal.SIGPIPE, signal.SIGWINCH, signal.SIGCHLD, signal.SIGURG):
            peer.process.send_signal(number)
    assert can_fetch(peer)


def test_no_secret_in_log_or_arguments(suite):
    peer = suite.peer(files={"f": b"served"})
    key = next(p for p in peer.keys.glob("*.pem") if b"PRIVATE KEY" in p.read_bytes()).read_text()
    assert can_fetch(peer)
    for line in key.splitlines()[1:-1]:
        assert line not in peer.stderr()


def test_no_session_secret_in_memory(suite):
    """dh, k and MS are wiped when the handshake is over (docs/PROTOCOL.md): the test searches the whole process."""
    peer = suite.peer(files={"f": b"served"})
    with peer.client() as client:
        client.ping(1)
        shake = client.shake
        secrets = {"dh": shake.dh, "k": shake.k, "hs": shake.hs.hs, "ms": shake.app.ms, "S_c(1)": None}
        memory = process_memory(peer.pid)
        assert peer.peer_id.encode() in memory, "guards the search: something known is found"
        for name, secret in secrets.items():
            assert secret is None or secret not in memory, f"{name} is still in memory"


def process_memory(pid):
    """All writable memory of a process (ours, or allowed by running as root)."""
    found = bytearray()
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            span, mode = line.split()[:2]
            start, end = (int(x, 16) for x in span.split("-"))
            if mode.startswith("rw") and end - start < 1 << 30:
                try:
                    mem.seek(start)
                    found += mem.read(end - start)
                except OSError:
                    pass
    return bytes(found)

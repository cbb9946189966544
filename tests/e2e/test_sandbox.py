"""What an attacker who controls a daemon can reach; and that the sandbox allows everything that the daemon needs.
The programs of the first part are copies with attacks linked in (tests/hooks/attack.c, make hooked).
"""

import os
import re
import shutil
import signal
import socket
import struct
import subprocess
from pathlib import Path

import pytest

import conftest
from conftest import BIN, ROOT, environment, is_alive, wait_until
from reloading import a_new_process

pytestmark = pytest.mark.skipif(
    b"__asan_init" in (BIN / "p2p-peer").read_bytes() or b"__tsan_init" in (BIN / "p2p-peer").read_bytes(),
    reason="no sandbox in builds with sanitizers",
)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
NOBODY = 65534


@pytest.fixture(scope="session")
def hooked():
    """The folder of the daemons with attacks."""
    run = subprocess.run(["make", "-s", "-C", ROOT, "hooked"], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-3000:]
    return Path(run.stdout.strip().splitlines()[-1]).resolve()


@pytest.fixture
def victim():
    """Another process of the same user."""
    process = subprocess.Popen(["sleep", "600"])
    yield process.pid
    process.kill()
    process.wait()


@pytest.fixture
def other_service(tmp_path):
    """A Unix socket of the same user, like those of the session bus and the key agent."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "agent"))
        sock.listen(8)
        yield tmp_path / "agent"


def start(suite, program, env, *more):
    if program == "p2p-peer":
        return suite.peer(*more, wait=False, env=env)
    if program == "p2p-ui":
        return suite.ui(*more, env=env)
    if program == "p2p-relay":  # it has no folders: as root it would serve as nobody
        return suite.relay(*(["--user", "root"] if os.geteuid() == 0 else []), *more, env=env)
    return suite.discovery("--snapshot", "registry.snapshot", *more, env=env)


def results(program):
    return dict(re.findall(r"^attack (\S+): (.*)$", program.stderr(), re.M))


def secrets(suite):
    home = suite.folder / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh" / "id").write_text("secret")
    (home / ".ssh" / "id").chmod(0o600)
    return home


@pytest.mark.parametrize("sandbox", [True, False], ids=["sandbox", "no-sandbox"])
@pytest.mark.parametrize("program", ["p2p-peer", "p2p-ui", "p2p-discovery"])
def test_a_daemon_that_was_taken_over(suite, hooked, victim, monkeypatch, program, sandbox):
    """The attacker reaches nothing of the user. Without the sandbox the attacks succeed, so they are real."""
    monkeypatch.setattr(conftest, "BIN", hooked)
    home = secrets(suite)
    always = [
        f"read={home}/.ssh/id", f"list={home}", f"write={home}/.bashrc", f"chmod={home}/.ssh/id",
        f"symlink={home}/link", "exec=/bin/true", "fork", f"ptrace={victim}", f"peek={victim}", f"kill={victim}",
        f"read=/proc/{victim}/environ", "listen", "code", f"parent={home}/.ssh/id", "parent=/etc/hostname",
    ]  # fmt: skip
    for_root = ["raw", "packet", "namespace", f"mount={home}"]
    words = always + for_root
    running = start(suite, program, {"P2P_ATTACK": " ".join(words)}, *([] if sandbox else ["--no-sandbox"]))
    found = results(running)
    assert set(found) == set(words), running.stderr()
    done = {word for word in words if found[word] == "done"}
    if sandbox:
        assert not done
        assert "sandbox=on" in running.stderr()
    else:
        asked = {f"parent={home}/.ssh/id", "parent=/etc/hostname"}
        assert set(always) - asked <= done, found
        assert not asked & done, "the parent checks what it is asked for, sandbox or not"
        assert "sandbox=off" in running.stderr()
    assert (home / ".ssh" / "id").stat().st_mode & 0o777 == 0o600
    if sandbox:
        assert sorted(p.name for p in home.iterdir()) == [".ssh"]


@pytest.mark.parametrize("sandbox", [True, False], ids=["sandbox", "no-sandbox"])
@pytest.mark.parametrize("program", ["p2p-peer", "p2p-ui", "p2p-discovery"])
def test_no_unix_socket_is_reached(suite, hooked, other_service, monkeypatch, program, sandbox):
    """The session bus and key agents would act for the attacker. Avahi is reached through the parent."""
    monkeypatch.setattr(conftest, "BIN", hooked)
    word = f"unix={other_service}"
    running = start(suite, program, {"P2P_ATTACK": word}, *([] if sandbox else ["--no-sandbox"]))
    assert (results(running)[word] == "done") == (not sandbox)


@pytest.mark.parametrize("sandbox", [True, False], ids=["sandbox", "no-sandbox"])
@pytest.mark.parametrize("program", ["p2p-peer", "p2p-ui", "p2p-discovery"])
def test_no_datagram_leaves_by_a_pair(suite, hooked, other_service, monkeypatch, tmp_path, program, sandbox):
    """A datagram socket can be connected to another socket: the journal, the service manager, a key agent."""
    monkeypatch.setattr(conftest, "BIN", hooked)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "log"))
        sock.setblocking(False)
        words = [f"pair={tmp_path}/log", f"stream-pair={other_service}"]
        running = start(suite, program, {"P2P_ATTACK": " ".join(words)}, *([] if sandbox else ["--no-sandbox"]))
        found = results(running)
        assert (found[words[0]] == "done") == (not sandbox)
        assert found[words[1]] != "done", "the kernel gives these no other end, sandbox or not"
        if sandbox:
            with pytest.raises(BlockingIOError):
                sock.recv(16)
        else:
            assert sock.recv(16) == b"x"


BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path={socket}</listen>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_type="method_call"/>
<allow send_destination="*"/><allow receive_sender="*"/></policy></busconfig>
"""


@pytest.fixture
def system_bus(tmp_path):
    """A bus that answers every call, even if only with an error."""
    if shutil.which("dbus-daemon") is None:
        pytest.skip("no dbus-daemon")
    where = tmp_path / "bus"
    (tmp_path / "bus.conf").write_text(BUS.format(socket=where))
    bus = subprocess.Popen(["dbus-daemon", f"--config-file={tmp_path}/bus.conf", "--nofork", "--nopidfile"])
    wait_until(where.exists, 20, "the bus")
    yield where
    bus.terminate()
    bus.wait(20)


@pytest.mark.parametrize("sandbox", [True, False], ids=["sandbox", "no-sandbox"])
@pytest.mark.parametrize("program", ["p2p-peer", "p2p-ui", "p2p-discovery"])
def test_the_system_bus_leads_to_avahi_alone(suite, hooked, system_bus, monkeypatch, program, sandbox):
    """For a user, services on the bus can do what the sandbox forbids; for root, they can do everything."""
    monkeypatch.setattr(conftest, "BIN", hooked)
    words = [f"{word}={system_bus}" for word in ("bus", "bus-driver", "bus-avahi")]
    env = {"P2P_ATTACK": " ".join(words), "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={system_bus}"}
    running = start(suite, program, env, *([] if sandbox else ["--no-sandbox"]))
    found = results(running)
    reached = {word.split("=")[0] for word in words if found[word] == "done"}
    if not sandbox:
        assert reached == {"bus", "bus-driver", "bus-avahi"}
    elif program == "p2p-discovery":
        assert not reached
    else:
        assert reached == {"bus-avahi"}
        assert running.stderr().count("system bus: a call to something other than Avahi was refused") == 2


@pytest.mark.parametrize("program", ["p2p-peer", "p2p-ui"])
def test_what_is_needed_is_reached(suite, hooked, monkeypatch, program):
    monkeypatch.setattr(conftest, "BIN", hooked)
    folder = suite.folder / "peer"
    (folder / "shared").mkdir(parents=True)
    (folder / "shared" / "f").write_text("x")
    (folder / "keys").mkdir(mode=0o700)
    wanted = [f"read={folder}/shared/f", f"write={folder}/keys/state", "read=/dev/urandom", "read=/proc/self/status",
              "read=/etc/hosts"]  # fmt: skip
    writes = f"write={folder}/shared/from-outside"
    running = start(suite, program, {"P2P_ATTACK": " ".join([*wanted, writes, f"write={folder}/elsewhere"])})
    found = results(running)
    assert {word: found[word] for word in wanted} == {word: "done" for word in wanted}
    assert (found[writes] == "done") == (program == "p2p-ui"), "only the dashboard writes into the shared folder"
    assert found[f"write={folder}/elsewhere"] != "done"


def status_of(pid):
    return dict(re.findall(r"^(\w+):\s*(.*)$", Path(f"/proc/{pid}/status").read_text(), re.M))


@pytest.mark.parametrize("program", ["p2p-peer", "p2p-ui", "p2p-discovery", "p2p-relay"])
def test_the_process_that_serves_has_no_rights(suite, program):
    running = start(suite, program, {})
    status = status_of(running.pid)
    assert running.pid != running.process.pid
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == int(status["CapInh"], 16) == 0
    sockets = [os.readlink(f) for f in Path(f"/proc/{running.process.pid}/fd").iterdir()]
    assert int(status_of(running.process.pid)["VmRSS"].split()[0]) < 24 << 10, "the parent is small"
    assert sockets


# ---- Parent and child


@pytest.mark.parametrize("program", ["p2p-peer", "p2p-ui", "p2p-discovery", "p2p-relay"])
def test_the_end_of_one_is_the_end_of_the_other(suite, program):
    running = start(suite, program, {})
    os.kill(running.pid, signal.SIGKILL)
    assert running.process.wait(20) == 128 + signal.SIGKILL
    assert re.search(r"the serving process \(pid \d+\) was killed by signal 9", running.stderr())
    suite.programs.remove(running)
    running.log.close()

    again = start(suite, program, {})
    serving = again.pid
    again.process.kill()
    again.process.wait()
    wait_until(lambda: not is_alive(serving), what="the end of the process that serves")
    suite.programs.remove(again)
    again.log.close()


def test_a_signal_for_all_stops_it_in_order(suite):
    """Like systemd when it stops a service: every process gets the signal."""
    peer = suite.peer(files={"f": b"x"})
    os.kill(peer.pid, signal.SIGTERM)
    peer.process.send_signal(signal.SIGTERM)
    assert peer.process.wait(20) == 0, peer.stderr()
    suite.programs.remove(peer)
    peer.log.close()


def test_systemd_hears_from_the_parent(suite):
    """With Type=notify, systemd accepts messages of the main process only: READY, WATCHDOG for the child, STOPPING."""
    where = suite.folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        sock.settimeout(20)
        sock.bind(str(where))
        peer = suite.peer(wait=False, env={"NOTIFY_SOCKET": str(where), "WATCHDOG_USEC": "1000000"})
        heard = []

        def hear(word):
            while word not in heard:
                text, control, *_ = sock.recvmsg(4096, 1024)
                sender = struct.unpack("3i", control[0][2])[0]
                assert sender == peer.process.pid, f"{text} from {sender}"
                heard.extend(text.decode().split("\n"))
            heard.clear()

        hear("READY=1")
        hear("WATCHDOG=1")
        hear("WATCHDOG=1")
        peer.process.send_signal(signal.SIGTERM)
        hear("STOPPING=1")
        assert peer.process.wait(20) == 0


# ---- Folders that are others now


def wait_served(peer, name):
    """Like Peer.wait_for, while one process takes over from the other, which closes connections."""

    def served():
        try:
            with peer.client() as client:
                return client.meta(name)
        except Exception:  # whatever a closed connection means at that moment
            return None

    return wait_until(served, 60, f"{name} served")


def test_a_folder_that_is_made_again(suite):
    peer = suite.peer(files={"old": b"old"})
    with a_new_process(peer):  # and no client that connects is refused
        shutil.rmtree(peer.shared)
        peer.shared.mkdir()
        (peer.shared / "new").write_bytes(b"new")
    wait_served(peer, "new")
    assert [line for line in peer.lines if line.startswith("ready ")] == peer.lines, "one ready line"
    assert "restarting the serving process" in peer.stderr()
    result = suite.get("old", peer)
    assert result.returncode != 0


def test_a_folder_that_comes_back_later(suite):
    """While the folder is away, nothing is created in its place."""
    peer = suite.peer(files={"f": b"f"})
    aside = peer.shared.with_name("aside")
    peer.shared.rename(aside)
    with pytest.raises(AssertionError):
        wait_until(peer.shared.exists, timeout=3)
    shutil.copytree(aside, peer.shared)
    (peer.shared / "g").write_bytes(b"g")
    wait_served(peer, "g")


@as_root
def test_a_folder_that_is_mounted_later(suite):
    peer = suite.peer(files={"below": b"below"})
    if not can_mount(suite.folder):
        pytest.skip("no mounts here")
    mounted = False
    try:
        with a_new_process(peer):
            subprocess.run(["mount", "-t", "tmpfs", "none", peer.shared], check=True)
            mounted = True
            (peer.shared / "above").write_bytes(b"above")
        wait_served(peer, "above")
    finally:
        if mounted:
            subprocess.run(["umount", "-l", peer.shared], check=True)
    wait_served(peer, "below")


def can_mount(folder):
    where = folder / "try-mount"
    where.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "none", where], capture_output=True).returncode != 0:
        return False
    subprocess.run(["umount", where], check=True)
    return True


@as_root
def test_folders_that_are_added_in_the_shared_folder(suite):
    """Changes below a shared folder need no new process, not even a mount."""
    peer = suite.peer(files={"f": b"f"})
    first = peer.pid
    (peer.shared / "sub").mkdir()
    (peer.shared / "sub" / "g").write_bytes(b"g")
    wait_served(peer, "sub/g")
    disk = peer.shared / "top" / "disk"
    disk.mkdir(parents=True)
    mount = subprocess.run(["mount", "-t", "tmpfs", "none", disk], capture_output=True, text=True)
    if mount.returncode != 0:
        pytest.skip(mount.stderr)
    try:
        (disk / "h").write_bytes(b"h")
        # A mount causes no event in the folder; a scan looks through a folder with a new name.
        (peer.shared / "top").rename(peer.shared / "moved")
        wait_served(peer, "moved/disk/h")
    finally:
        subprocess.run(["umount", "-l", peer.shared / "moved" / "disk"], check=False)
    assert peer.pid == first


def test_a_download_goes_on_over_a_new_process(suite):
    data = os.urandom(12 << 20)
    peer = suite.peer("--limit-rate", "2M", "--chunk-size", "64K", files={"f.bin": data})
    command = [
        BIN / "p2p", "get", "f.bin", "--from", peer.where, "--discovery", conftest.NO_REGISTRY,
        "--output-dir", suite.folder / "out", "--keys-dir", suite.folder / "cli" / "keys", "--timeout", "10",
    ]  # fmt: skip
    getter = subprocess.Popen(
        list(map(str, command)), env=environment(suite.folder), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    wait_until(lambda: list((suite.folder / "out").rglob("*.part")) or getter.poll() is not None, what="it runs")
    first = peer.pid
    copy = peer.shared.with_name("copy")
    shutil.copytree(peer.shared, copy, copy_function=shutil.copy2)
    peer.shared.rename(peer.shared.with_name("aside"))
    copy.rename(peer.shared)
    _, text = getter.communicate(timeout=90)
    assert getter.returncode == 0, text
    assert (suite.folder / "out" / "f.bin").read_bytes() == data
    assert peer.pid != first


def test_the_dashboard_follows_its_folders(suite):
    ui = suite.ui()
    first = ui.pid
    for folder in (ui.shared, ui.downloads):
        shutil.rmtree(folder)
        folder.mkdir()
    (ui.shared / "new.txt").write_bytes(b"new")

    def shared():
        try:
            return [f["name"] for f in ui.api.json("/api/status")["shared_files"]] == ["new.txt"]
        except (AssertionError, OSError, KeyError, ValueError):
            return False

    wait_until(shared, 30, "the new file")
    assert ui.pid != first


def test_a_passphrase_is_asked_for_once(suite):
    """A new process gets the passphrase from the parent, because a descriptor can be read only once."""
    keys = suite.folder / "peer" / "keys"
    made = suite.p2p("id", "--keys-dir", keys)
    assert made.returncode == 0, made.stderr
    (suite.folder / "words").write_text("correct horse\n")
    protect = suite.p2p("key", "protect", "--keys-dir", keys, env={"P2P_PASSPHRASE_FILE": str(suite.folder / "words")})
    assert protect.returncode == 0, protect.stderr
    words = suite.folder / "words"
    peer = suite.peer(files={"f": b"f"}, env={"P2P_PASSPHRASE_FILE": str(words)})
    words.unlink()
    first = peer.pid
    shutil.rmtree(peer.shared)
    peer.shared.mkdir()
    (peer.shared / "g").write_bytes(b"g")
    wait_served(peer, "g")
    assert peer.pid != first


# ---- Who serves


def run_peer(folder, *more, env=None):
    command = [BIN / "p2p-peer", "--port", "0", "--discovery", "none", "--shared-dir", folder / "shared",
               "--keys-dir", folder / "keys", *more]  # fmt: skip
    return subprocess.run(
        list(map(str, command)), env={**environment(folder), **(env or {})}, capture_output=True, text=True, timeout=30
    )


@as_root
def test_root_is_refused(suite):
    run = run_peer(suite.folder, env={"P2P_RUN_AS_ROOT": "no"})
    assert run.returncode == 2
    assert "--user NAME" in run.stderr and "--run-as-root" in run.stderr
    assert not (suite.folder / "keys").exists(), "nothing was made"
    assert run_peer(suite.folder, "--user", "root", env={"P2P_RUN_AS_ROOT": "no"}).returncode == 2
    unknown = run_peer(suite.folder, "--user", "nobody-has-this-name")
    assert unknown.returncode == 2 and "unknown user" in unknown.stderr


@as_root
@pytest.mark.parametrize("how", ["the owner of the folders", "--user"])
def test_root_becomes_another_user(suite, how):
    folder = suite.folder
    while folder != Path("/tmp") and folder != folder.parent:
        folder.chmod(folder.stat().st_mode | 0o055)
        folder = folder.parent
    for part in ("shared", "keys"):
        path = suite.folder / "peer" / part
        path.mkdir(parents=True)
        os.chown(path, NOBODY, NOBODY)
    (suite.folder / "peer" / "keys").chmod(0o700)
    more = ["--user", "nobody"] if how == "--user" else []
    peer = suite.peer(*more, files={"f": b"f"}, env={"P2P_RUN_AS_ROOT": "no"})
    assert status_of(peer.pid)["Uid"].split() == [str(NOBODY)] * 4
    assert status_of(peer.pid)["Gid"].split() == [str(NOBODY)] * 4
    assert (peer.keys / "private_key.pem").stat().st_uid == NOBODY


@as_root
def test_different_owners_need_a_choice(suite):
    (suite.folder / "shared").mkdir()
    (suite.folder / "keys").mkdir(mode=0o700)
    os.chown(suite.folder / "shared", NOBODY, NOBODY)
    run = run_peer(suite.folder)
    assert run.returncode == 2 and "different owners" in run.stderr


# ---- Network


@as_root
def test_a_registry_over_https_by_name(suite):
    """Certificates, OpenSSL's files and name resolution can be used: `localhost` is looked up."""
    (discovery, url, certificate), stop = tls_front(suite)
    store = "/etc/ssl/certs/ca-certificates.crt"
    prefix = ("unshare", "--mount", "sh", "-c", f'mount --bind {certificate} {store} && exec "$@"', "sh")
    if subprocess.run([*prefix, "true"], capture_output=True).returncode != 0:
        pytest.skip("no mount namespaces here")
    try:
        peer = suite.peer("--discovery", url, files={"f": b"f"}, prefix=prefix)
        wait_until(lambda: any(p["peer_id"] == peer.peer_id for p in discovery.registry.peers()), 30, "registered")
    finally:
        stop()


def tls_front(suite):
    """A registry behind TLS, with a certificate that replaces those of the system."""
    import datetime
    import ssl
    import threading

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.utcnow()
    cert = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    folder = suite.folder / "tls"
    folder.mkdir()
    (folder / "cert.pem").write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    discovery = suite.discovery()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    listener = socket.create_server(("127.0.0.1", 0))

    def pump(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        finally:
            for sock in (source, sink):
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def serve():
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                inside = context.wrap_socket(client, server_side=True)
                outside = socket.create_connection(discovery.address)
            except OSError:
                continue
            for pair in ((inside, outside), (outside, inside)):
                threading.Thread(target=pump, args=pair, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    url = f"https://localhost:{listener.getsockname()[1]}"
    return (discovery, url, folder / "cert.pem"), listener.close

"""SIGHUP reads the settings again: some take effect in the running process, some in a new process behind the same
listening socket, and some need a restart, which the log says. A wrong setting changes nothing.
"""

import os
import random
import shutil
import signal
import subprocess

import pytest

import conftest
from conftest import BIN, Refused2, environment, wait_until
from reloading import Settings, a_new_process, start_with_file_only, the_same_process
from test_tls import serial_at
from tls_world import make_authority, make_certificate

DAEMONS = ["p2p-peer", "p2p-ui", "p2p-discovery"]


def start(suite, program, settings, *more, **kwargs):
    words = [*settings.words, *more]
    if program == "p2p-peer":
        running = suite.peer(*words, wait=False, **kwargs)
    elif program == "p2p-ui":
        running = suite.ui(*words, **kwargs)
    else:
        running = suite.discovery(*words, **kwargs)
    return settings.start(running)


@pytest.fixture
def settings(tmp_path):
    return Settings(tmp_path / "p2p.conf")


def answers(running):
    """A program that listens but no longer serves would not notice its client."""
    if running.name == "p2p-peer":
        with running.client() as client:
            return bool(client.server_id)
    api = running.anyone if running.name == "p2p-ui" else running.registry
    return api.request("GET", "/health").status_code == 200


# ---- Each daemon


@pytest.mark.parametrize("program", DAEMONS)
def test_the_log_level(suite, settings, program):
    settings.write(log_level="warn")
    running = start(suite, program, settings)
    assert " info " not in running.stderr()
    with the_same_process(running):
        settings.reload(log_level="info")
        settings.reload(log_level="debug")
    assert settings.said()[-1] == "settings: changed --log-level"
    with the_same_process(running):
        settings.reload(log_level="debug")
    assert settings.said()[-1] == "settings: read again, nothing to change"
    assert answers(running)


@pytest.mark.parametrize("program", DAEMONS)
@pytest.mark.parametrize(
    "text, named",
    [
        ("log-level = debug\nmax-connectoins = 100\n", ":2: unknown setting max-connectoins; did you mean max-connections?"),
        ("log-level = debug\nmax-connections = many\n", ":2: max-connections many: use a number"),
        ("log-level = debug\nhost\n", ":2: invalid line"),
        ("#\nlog-level = loud\n", ":2: log-level loud: use"),
        ("[p2p-pear]\n", ":1: unknown section [p2p-pear]"),
        ("log-level = debug\nmax-connections = 100\n\0", "not a UTF-8 text file"),
    ],
)
def test_a_broken_file_changes_nothing(suite, settings, program, text, named):
    running = start(suite, program, settings)
    with the_same_process(running):
        said = settings.reload(text)
    assert said[-1] == "settings: nothing was changed"
    errors = [line for line in running.stderr().splitlines() if f" error {program}: " in line]
    assert any(named in line for line in errors), errors
    assert not any(f"{program}: {program}" in line for line in errors)
    with the_same_process(running):
        assert settings.reload()[-1] == "settings: read again, nothing to change", "debug was not taken either"
    assert answers(running)


@pytest.mark.parametrize(
    "program, line",
    [
        ("p2p-peer", "limit-rate = fast"), ("p2p-peer", "advertise = 0.0.0.0"),
        ("p2p-ui", "limit-rate = fast"), ("p2p-ui", "verify = half"), ("p2p-ui", "allow-host = http://x"),
        ("p2p-ui", "trusted-proxy = localhost"), ("p2p-ui", "tls-cert = /none"), ("p2p-ui", "tls-key = /none"),
        ("p2p-discovery", "store = mongo://x"), ("p2p-discovery", "allow-host = http://x"),
        ("p2p-discovery", "trusted-proxy = localhost"), ("p2p-discovery", "tls-cert = /none"),
    ],
)  # fmt: skip
def test_what_only_the_program_can_judge_is_named_with_its_line(suite, settings, program, line):
    name = line.split()[0]
    good = {"allow-host": "allow-host = x.example", "trusted-proxy": "trusted-proxy = 127.0.0.2"}.get(name, "")
    running = start(suite, program, settings)
    with the_same_process(running):
        assert settings.reload(f"{good}\n\n{line}\n{good}\n")[-1] == "settings: nothing was changed"
    assert f" error {program}: " in running.stderr() and f"{settings.path}:3: {name}" in running.stderr()
    assert answers(running)


@pytest.mark.parametrize("program", DAEMONS)
def test_a_file_that_is_gone_changes_nothing(suite, settings, program):
    running = start(suite, program, settings)
    settings.path.unlink()
    with the_same_process(running):
        running.process.send_signal(signal.SIGHUP)
        wait_until(lambda: settings.said()[-1:] == ["settings: nothing was changed"], what="the complaint")
    assert f"cannot read {settings.path}" in running.stderr()
    assert answers(running)


@pytest.mark.parametrize("gone", [False, True], ids=["changed", "gone"])
def test_the_file_of_the_home(suite, tmp_path, gone):
    """The file is read without --config. If it is missing later, the settings stay."""
    home = tmp_path / "home"
    home.mkdir()
    settings = Settings(home / "p2p.conf", log_level="warn")
    settings.words = []
    running = start(suite, "p2p-peer", settings, env={"P2P_HOME": str(home)})
    if gone:
        settings.path.unlink()
        running.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "settings: nothing was changed" in running.stderr(), what="the complaint")
        assert f"cannot read {settings.path}" in running.stderr()
    else:
        with the_same_process(running):
            settings.reload(log_level="info")
    assert answers(running)


@pytest.mark.parametrize("program", DAEMONS)
def test_what_needs_a_restart_is_named(suite, settings, program):
    running = start(suite, program, settings)
    port = running.port
    with the_same_process(running):
        said = settings.reload(port=1, sandbox="no", user="daemon")
    # Both are also given as options, which win.
    assert not any("--port" in line for line in said)
    for name in ("sandbox", "user"):
        assert f"settings: --{name} cannot change while {program} runs; restart it to use the new value" in said
    assert said[-1] == "settings: read again, nothing to change"
    assert running.port == port and answers(running)


@pytest.mark.parametrize("program", DAEMONS)
def test_the_port_needs_a_restart(suite, tmp_path, program):
    """Here the file alone names it."""
    settings = Settings(tmp_path / "p2p.conf", port=0, host="127.0.0.1")
    log = tmp_path / "log"
    words = ["--no-mdns", "--discovery", "none"] if program == "p2p-peer" else []
    with open(log, "w") as err, open(tmp_path / "out", "w") as out:
        process = subprocess.Popen([BIN / program, *settings.words, *words], cwd=tmp_path, stdout=out, stderr=err,
                                   env=environment(tmp_path))  # fmt: skip
    try:
        wait_until(lambda: "ready" in (tmp_path / "out").read_text(), 30, "ready")
        settings.write(port=1, host="0.0.0.0")
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: "read again, nothing to change" in log.read_text(), 20, "read again")
        for name in ("host", "port"):
            assert f"settings: --{name} cannot change while {program} runs; restart it" in log.read_text()
        assert process.poll() is None
    finally:
        process.terminate()
        assert process.wait(20) == 0


CHANGES = {
    "p2p-peer": {"max_connections": 3000, "max_handshakes": 9},
    "p2p-ui": {"max_connections": 77, "max_upload": "5M"},
    "p2p-discovery": {"max_connections": 77, "max_peers": 5},
}


@pytest.mark.parametrize("program", DAEMONS)
def test_limits_take_effect_in_a_new_process(suite, settings, program):
    running = start(suite, program, settings)
    with a_new_process(running):
        said = settings.reload(**CHANGES[program])
    names = sorted("--" + name.replace("_", "-") for name in CHANGES[program])
    assert sorted(said[-1].removeprefix("settings: changed ").removesuffix("; starting a new process").split(", ")) == names
    assert answers(running)
    with the_same_process(running):
        assert settings.reload(**CHANGES[program])[-1] == "settings: read again, nothing to change"
    with a_new_process(running):
        settings.reload()  # back to the defaults
    assert answers(running)


WRONG = [
    ("p2p-peer", "shared_dir"), ("p2p-peer", "keys_dir"),
    ("p2p-ui", "shared_dir"), ("p2p-ui", "downloads_dir"),
    ("p2p-discovery", "snapshot"),
]  # fmt: skip


@pytest.mark.parametrize("program, name", WRONG)
def test_settings_that_nothing_can_serve_with(suite, tmp_path, program, name):
    """A new process cannot start, because a file is in the place of a folder; the next one has the old settings."""
    (tmp_path / "file").write_text("no folder")
    running, settings = start_with_file_only(suite, program, tmp_path / "p2p.conf")
    with a_new_process(running):
        wrong = tmp_path / "file" / "list" if name == "snapshot" else tmp_path / "file"
        settings.reload(**{**settings.values, name: wrong})
        wait_until(lambda: "uses the old ones again" in running.stderr(), 30, "the way back")
    assert str(wrong) in running.stderr(), "the reason"
    assert answers(running)
    with the_same_process(running):
        assert settings.reload(**settings.values)[-1] == "settings: read again, nothing to change"
    with a_new_process(running):  # and nothing of the wrong settings is left
        settings.reload(**settings.values, max_connections=99)


# ---- p2p-peer


def begin_download(suite, peer, name, *more):
    command = [
        BIN / "p2p", "get", name, "--from", peer.where, "--discovery", conftest.NO_REGISTRY, "--output-dir",
        suite.folder / "out", "--keys-dir", suite.folder / "cli" / "keys", "--timeout", "10", *more,
    ]  # fmt: skip
    getter = subprocess.Popen(
        list(map(str, command)), env=environment(suite.folder), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    wait_until(lambda: list((suite.folder / "out").rglob("*.part")) or getter.poll() is not None, 30, "it runs")
    return getter


def finish(getter, suite, name, data):
    _, text = getter.communicate(timeout=120)
    assert getter.returncode == 0, text
    assert (suite.folder / "out" / name).read_bytes() == data


@pytest.mark.parametrize("which", ["limit_rate", "limit_rate_per_peer"])
def test_a_rate_takes_effect_in_a_running_download(suite, settings, which):
    data = random.Random(1).randbytes(6 << 20)
    settings.write(**{which: "64K"})
    peer = start(suite, "p2p-peer", settings, files={"f.bin": data})
    peer.wait_for("f.bin")
    getter = begin_download(suite, peer, "f.bin")
    with the_same_process(peer):
        assert settings.reload(**{which: "off"}) == [f"settings: changed --{which.replace('_', '-')}"]
        finish(getter, suite, "f.bin", data)  # it would take 96 s
    with the_same_process(peer):
        said = settings.reload(**{which: "fast"})
    assert said[-1] == "settings: nothing was changed"
    assert f":1: {which.replace('_', '-')}" in peer.stderr()


def wait_served(peer, name):
    """Works while one process takes over from the other, which closes connections."""

    def served():
        try:
            with peer.client() as client:
                return client.meta(name)
        except Exception:  # whatever a closed connection means at that moment
            return None

    return wait_until(served, 60, f"{name} served")


def test_another_shared_folder_at_run_time(suite, tmp_path):
    """With the sandbox on: the former process could not read it."""
    peer, settings = start_with_file_only(suite, "p2p-peer", tmp_path / "p2p.conf")
    (peer.shared / "old").write_bytes(b"old")
    peer.wait_for("old")
    other = tmp_path / "other"
    other.mkdir()
    (other / "new").write_bytes(b"new")
    with a_new_process(peer):
        assert settings.reload(**{**settings.values, "shared_dir": other})[-1].startswith("settings: changed --shared-dir;")
    wait_served(peer, "new")
    with peer.client() as client, pytest.raises(Refused2):
        client.meta("old")
    if os.environ.get("P2P_BIN") is None:
        assert peer.stderr().count("sandbox=on") == 2
    # The current folder is the one that is watched.
    with a_new_process(peer):
        shutil.rmtree(other)
        other.mkdir()
        (other / "newer").write_bytes(b"newer")
    wait_served(peer, "newer")


def test_a_download_goes_on_when_the_folder_changes(suite, tmp_path):
    data = random.Random(2).randbytes(8 << 20)
    peer, settings = start_with_file_only(suite, "p2p-peer", tmp_path / "p2p.conf")
    (peer.shared / "f.bin").write_bytes(data)
    peer.wait_for("f.bin")
    settings.reload(**settings.values, limit_rate="1M")
    other = tmp_path / "other"
    shutil.copytree(peer.shared, other, copy_function=shutil.copy2)
    getter = begin_download(suite, peer, "f.bin")
    with a_new_process(peer):
        settings.reload(**{**settings.values, "shared_dir": other}, limit_rate="1M")
    assert getter.poll() is None, "it was too quick for this test"
    finish(getter, suite, "f.bin", data)


def test_another_list_of_peers(suite, settings, tmp_path):
    nobody, us = tmp_path / "nobody", tmp_path / "us"
    nobody.write_text("0" * 64 + "\n")
    us.write_text(suite.identity.peer_id + "\n")
    settings.write(allow_peers=us)
    peer = start(suite, "p2p-peer", settings, files={"f": b"f"})
    wait_served(peer, "f")
    with a_new_process(peer):
        settings.reload(allow_peers=nobody)
    with pytest.raises(Exception):
        with peer.client() as client:
            client.meta("f")
    nobody.write_text(us.read_text())
    with the_same_process(peer):
        settings.reload(allow_peers=nobody)
        wait_served(peer, "f")


# ---- p2p-ui


def test_the_dashboards_settings(suite, settings):
    settings.write(name="First", limit_rate="1M", max_running=2)
    ui = start(suite, "p2p-ui", settings)
    assert ui.api.json("/api/config")["name"] == "First"
    with the_same_process(ui):
        settings.reload(name="Second", limit_rate="2M", max_running=5, verify="tree", connections=3)

        def changed():
            config = ui.api.json("/api/config")
            wanted = {"name": "Second", "limit_rate": "2M", "max_running": 5, "verify": "tree", "connections": 3}
            return {key: config[key] for key in wanted} == wanted

        wait_until(changed, 20, "the new settings")
    assert ui.api.request("PATCH", "/api/config", json={"name": "Mine"}).status_code == 200
    with the_same_process(ui):
        settings.reload(name="Third", limit_rate="3M")
        wait_until(lambda: ui.api.json("/api/config")["limit_rate"] == "3M", 20, "the rate")
    assert ui.api.json("/api/config")["name"] == "Mine", "what was set in the dashboard wins"


def test_another_limit_of_uploads(suite, settings):
    settings.write(max_upload="1K")
    ui = start(suite, "p2p-ui", settings)
    assert ui.api.upload("a", b"x" * 100_000).status_code == 413
    with a_new_process(ui):
        settings.reload(max_upload="1M")
    assert ui.api.upload("a", b"x" * 100_000).status_code == 200


def test_other_folders_of_the_dashboard(suite, tmp_path):
    ui, settings = start_with_file_only(suite, "p2p-ui", tmp_path / "p2p.conf")
    other = tmp_path / "other"
    other.mkdir()
    (other / "new.txt").write_bytes(b"new")
    with a_new_process(ui):
        settings.reload(**{**settings.values, "shared_dir": other, "downloads_dir": tmp_path / "down"})

    def shown():
        return [f["name"] for f in ui.api.json("/api/status")["shared_files"]] == ["new.txt"]

    wait_until(shown, 30, "the new folder")
    assert ui.api.upload("up.bin", b"data").status_code == 200
    assert (other / "up.bin").read_bytes() == b"data"
    assert (tmp_path / "down").is_dir()


def test_a_download_of_the_dashboard_goes_on(suite, settings):
    data = random.Random(3).randbytes(8 << 20)
    registry = suite.discovery()
    peer = suite.peer("--limit-rate", "1M", name="far", files={"f.bin": data}, discovery=registry)
    wait_until(lambda: registry.registry.peers(file="f.bin"), 30, "registered")
    ui = start(suite, "p2p-ui", settings, discovery=registry)
    body = {"filename": "f.bin", "peer": peer.peer_id}
    made = ui.api.request("POST", "/api/transfers", json=body)
    assert made.status_code in (200, 201, 202), made.text
    wait_until(lambda: list(ui.downloads.rglob("*.part")), 30, "it runs")
    with a_new_process(ui):
        settings.reload(max_upload="9M")
    wait_until(lambda: (ui.downloads / "f.bin").exists(), 120, "the file")
    assert (ui.downloads / "f.bin").read_bytes() == data


# ---- HTTP daemons: certificates


@pytest.mark.parametrize("program", ["p2p-ui", "p2p-discovery"])
def test_certificates(suite, settings, tmp_path, program):
    authority = make_authority(tmp_path)
    cert, key, _ = make_certificate(tmp_path, "localhost", authority)
    settings.write(tls_cert=cert, tls_key=key)
    running = start(suite, program, settings)
    _, _, renewed = make_certificate(tmp_path, "localhost", authority)
    with the_same_process(running):
        settings.reload(tls_cert=cert, tls_key=key)
        # without any client that connects
        wait_until(lambda: "tls: loaded the new certificate" in running.stderr(), 20, "the new certificate")
    assert serial_at(running.port, authority) == renewed
    (tmp_path / "second").mkdir()
    cert, key, second = make_certificate(tmp_path / "second", "localhost", authority)
    with a_new_process(running):
        settings.reload(tls_cert=cert, tls_key=key)
    assert serial_at(running.port, authority) == second
    with the_same_process(running):
        assert settings.reload(tls_cert=key, tls_key=key)[-1] == "settings: nothing was changed"
        assert settings.reload(tls_cert=cert)[-1] == "settings: nothing was changed"
    assert "give both --tls-cert and --tls-key" in running.stderr()
    assert serial_at(running.port, authority) == second


# ---- p2p-discovery


@pytest.mark.parametrize("snapshot", [False, True])
def test_the_registry_keeps_its_peers(suite, settings, tmp_path, snapshot):
    more = ["--snapshot", tmp_path / "list"] if snapshot else []
    registry = start(suite, "p2p-discovery", settings, *more)
    peer = suite.peer("--heartbeat", "60m", files={"f.txt": b"f"}, discovery=registry)
    wait_until(lambda: any(p["peer_id"] == peer.peer_id for p in registry.registry.peers()), 30, "registered")
    for most in (5, 6):
        with a_new_process(registry):
            settings.reload(max_peers=most)
        assert [p["peer_id"] for p in registry.registry.peers()] == [peer.peer_id]
        assert registry.registry.heartbeat(peer.peer_id).status_code == 200
    assert registry.stderr().count("took over from the previous process peers=1") == 2


def test_the_registry_uses_another_snapshot(suite, settings, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    settings.write(snapshot=tmp_path / "a" / "list")
    registry = start(suite, "p2p-discovery", settings)
    with a_new_process(registry):
        settings.reload(snapshot=tmp_path / "b" / "list")
    assert (tmp_path / "b" / "list").exists()

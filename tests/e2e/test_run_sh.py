"""scripts/run.sh as a new user runs it."""

import os
import re
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest
import requests

from conftest import ROOT, environment, wait_until

RUN = ROOT / "scripts" / "run.sh"


class Run:
    """A run of the script in its own process group, with everything it prints."""

    def __init__(self, folder, *options):
        self.folder = folder
        arguments = [
            "--shared-dir",
            folder / "shared",
            "--downloads-dir",
            folder / "downloads",
            "--keys-dir",
            folder / "keys",
        ]
        self.process = subprocess.Popen(
            [RUN, *map(str, arguments), *map(str, options)], cwd=folder, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True, env=environment(folder),
        )  # fmt: skip
        self.lines = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    @property
    def text(self):
        return "\n".join(self.lines)

    def wait_ui(self, timeout=300):
        """The dashboard's URL, once it answers."""

        def url():
            assert self.process.poll() is None, self.text
            for port in {int(p) for p in re.findall(r"http://(?:localhost|127\.0\.0\.1):(\d+)", self.text)}:
                try:
                    answer = requests.get(f"http://127.0.0.1:{port}/api/status", timeout=2)
                    if answer.ok and "peer_id" in answer.json():
                        return f"http://127.0.0.1:{port}"
                except (requests.RequestException, ValueError):
                    pass
            return None

        return wait_until(url, timeout, "the dashboard's URL")

    def daemons(self):
        """{program: pid} of the programs in this session; p2p-ui has a process for small pictures."""
        found = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                pid, name, rest = re.match(r"(\d+) \((.*)\) (.*)", stat.read_text()).groups()
            except (OSError, AttributeError):
                continue
            state, session = rest.split()[0], int(rest.split()[3])
            if session == self.process.pid and name.startswith("p2p-") and state != "Z":
                found[name] = int(pid)
        return found

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(60)
        for pid in self.daemons().values():  # programs of a script whose test failed
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def start(tmp_path):
    runs = []

    def make(*options):
        runs.append(Run(tmp_path, *options))
        return runs[-1]

    yield make
    for run in runs:
        run.end()


FREE = ("--discovery-port", 0, "--peer-port", 0, "--ui-port", 0)


def interrupted(run, signals_group):
    """Ctrl-C goes to the whole foreground group; a supervisor signals the script alone."""
    if signals_group:
        os.killpg(run.process.pid, signal.SIGINT)
    else:
        run.process.send_signal(signal.SIGTERM)
    run.process.wait(30)
    run.reader.join(5)


@pytest.mark.parametrize("signals_group", [True, False])
def test_starts_serves_and_stops(start, signals_group):
    run = start(*FREE)
    url = run.wait_ui()
    assert set(run.daemons()) == {"p2p-discovery", "p2p-peer", "p2p-ui", "p2p-pictures"}
    status = wait_until(
        lambda: (s := requests.get(url + "/api/status", timeout=5).json())["registered"] and s,
        20,
        "registered",
    )
    assert status["shared_files_count"] == 2, "two sample files in an empty folder"
    for file in status["shared_files"]:
        assert (run.folder / "shared" / file["name"]).stat().st_size == file["size"] > 0
    interrupted(run, signals_group)
    assert run.daemons() == {}
    assert run.process.returncode in (0, 130), run.text


def test_a_folder_with_files_gets_no_samples(start, tmp_path):
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "mine.txt").write_bytes(b"mine")
    run = start(*FREE)
    url = run.wait_ui()
    wait_until(
        lambda: requests.get(url + "/api/status", timeout=5).json()["shared_files_count"] == 1,
        what="one file",
    )
    assert [p.name for p in (tmp_path / "shared").iterdir() if not p.name.startswith(".")] == ["mine.txt"]


@pytest.mark.parametrize("flag", ["--discovery-port", "--peer-port", "--ui-port"])
def test_a_port_in_use_is_named_and_nothing_stays(start, flag):
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        options = dict(zip(FREE[::2], FREE[1::2])) | {flag: port}
        run = start(*[word for pair in options.items() for word in pair])
        assert run.process.wait(120) not in (0, None)
        run.reader.join(5)
        assert str(port) in run.text and flag in run.text, run.text
        assert run.daemons() == {}


@pytest.mark.parametrize("victim", ["p2p-discovery", "p2p-peer", "p2p-ui"])
def test_when_one_dies_the_others_stop_and_it_is_named(start, victim):
    run = start(*FREE)
    run.wait_ui()
    before = len(run.lines)
    os.kill(run.daemons()[victim], signal.SIGKILL)
    assert run.process.wait(30) != 0
    run.reader.join(5)
    assert victim in "\n".join(run.lines[before:])
    assert run.daemons() == {}


def test_what_is_not_the_port_is_not_blamed_on_it(start, tmp_path):
    (tmp_path / "keys").write_text("a file in the place of the folder")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    run = start("--discovery-port", 0, "--peer-port", port, "--ui-port", 0)
    assert run.process.wait(120) == 1
    run.reader.join(5)
    assert "p2p-peer did not start; its message above says why" in run.text, run.text
    assert "port" not in run.text.split("did not start")[1], run.text


def test_joins_another_registry(start, suite):
    discovery = suite.discovery()
    run = start("--peer-port", 0, "--ui-port", 0, "--discovery", discovery.url)
    run.wait_ui()
    assert set(run.daemons()) == {"p2p-peer", "p2p-ui", "p2p-pictures"}
    wait_until(lambda: len(discovery.registry.peers()) == 1, 20, "registered there")
    interrupted(run, signals_group=True)
    assert run.daemons() == {}


@pytest.mark.parametrize("options", [["--nonsense"], ["--ui-port"], ["--ui-port", "x"]])
def test_usage(start, options):
    run = start(*options)
    assert run.process.wait(120) == 2, run.text
    assert run.daemons() == {}


def test_a_second_peer_on_the_machine(start, suite):
    """As the documentation shows: another folder, another port, the same registry."""
    run = start(*FREE)
    url = run.wait_ui()

    def its_registry():  # the script prints it after the dashboard has begun to answer
        ports = {int(p) for p in re.findall(r"http://(?:localhost|127\.0\.0\.1):(\d+)", run.text)}
        return next((p for p in ports if answers_as_registry(p)), None)

    registry = wait_until(its_registry, 20, "the registry named")
    suite.peer("--discovery", f"http://127.0.0.1:{registry}", name="second", files={"from second.txt": b"2"})
    wait_until(
        lambda: requests.get(
            url + "/api/peers/search", params={"filename": "from second.txt"}, timeout=5
        ).json()["found"]
        == 1,
        20,
        "found",
    )


def answers_as_registry(port):
    try:
        return "peers" in requests.get(f"http://127.0.0.1:{port}/peers", timeout=2).json()
    except (requests.RequestException, ValueError):
        return False


def test_public_brings_up_registry_and_relay_with_tls(start, tmp_path):
    run = start(*FREE, "--relay-port", 0, "--public", "127.0.0.1")
    run.wait_ui()
    wait_until(lambda: "Press Ctrl-C" in run.text, 60, "the end of the start")
    assert set(run.daemons()) == {"p2p-relay", "p2p-discovery", "p2p-peer", "p2p-ui", "p2p-pictures"}
    url = re.search(r"Registry +(https://127\.0\.0\.1:\d+)", run.text)[1]
    relay = re.search(r"Relay +(127\.0\.0\.1:\d+)", run.text)[1]
    port = int(url.rsplit(":", 1)[1])
    # With the self-made certificate, whose file the script names, as other machines do it.
    certificate = tmp_path / "keys" / "registry.crt"
    assert str(certificate) in run.text and "self-made" in run.text
    assert requests.get(url + "/reach", timeout=30, verify=certificate).json()["relays"] == [relay]
    wait_until(lambda: requests.get(url + "/peers", timeout=30, verify=certificate).json()["peers"], 60, "the peer")
    for rule in (f"udp dport {port}-{port + 1} accept", f"ufw allow proto udp to any port {port}:{port + 1}", "firewall-cmd --reload"):
        assert rule in run.text
    for secret in ("relay.secret", "registry.key"):
        assert (tmp_path / "keys" / secret).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "options, says",
    [
        (("--public", "host.example", "--discovery", "http://other:8000"), "give one of them"),
        (("--public", "host.example", "--tls-cert", "file"), "need each other"),
        (("--tls-cert", "file", "--tls-key", "file"), "need --public"),
        (("--public", "https://host.example"), "host name or an IPv4 address"),
    ],
)
def test_public_options_that_make_no_sense(options, says):
    done = subprocess.run([RUN, *options], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and says in done.stderr

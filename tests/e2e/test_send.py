"""p2p send and p2p receive: files by a code, over one registry. One set of programs for all tests."""

import hashlib
import json
import os
import re
import signal
import subprocess
import urllib.request

import pytest
import requests

from conftest import BIN, bounded, environment, wait_until

LIMIT = 60  # generous: for a busy machine


class Sender:
    """A `p2p send` that runs, and what it prints."""

    def __init__(self, world, *arguments, home="sender", stdin=None, registry=None):
        self.home = world.path / home
        self.home.mkdir(exist_ok=True)
        self.log = (world.path / f"send-{len(world.senders)}.err").open("w+")
        self.process = bounded(subprocess.Popen(
            [BIN / "p2p", "send", "--json", "--discovery", registry or world.url, *arguments],
            stdin=stdin or subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self.log,
            env=environment(self.home),
            text=True,
        ))
        world.senders.append(self)

    def event(self, name):
        """Waits for this event."""
        for line in self.process.stdout:
            found = json.loads(line)
            if found.get("event") == name:
                return found
        self.log.seek(0)
        raise AssertionError(f"no {name}: {self.log.read()}")

    def code(self, whole=False):
        return self.event("code")["code_with_registry" if whole else "code"]

    def end(self):
        assert self.process.wait(LIMIT) == 0
        return self

    def stop(self):
        self.process.terminate()
        self.process.wait(LIMIT)
        self.process.stdout.close()
        self.log.close()


class World:
    def __init__(self, suite, path):
        self.path, self.senders, self.suite = path, [], suite
        self.registry = suite.discovery()
        self.url = self.registry.url

    def registered(self):
        with urllib.request.urlopen(f"{self.url}/peers") as answer:
            return [peer["peer_id"] for peer in json.load(answer)["peers"]]

    def receive(self, code, *arguments, home="receiver", status=0):
        (self.path / home).mkdir(exist_ok=True)
        done = subprocess.run(
            [BIN / "p2p", "receive", "--discovery", self.url, *arguments, code],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environment(self.path / home),
            timeout=2 * LIMIT,
        )
        assert done.returncode == status, done.stderr.decode()
        return done

    def file(self, name, data):
        path = self.path / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path


@pytest.fixture(scope="module")
def world(module_suite, tmp_path_factory):
    result = World(module_suite, tmp_path_factory.mktemp("send"))
    yield result
    for sender in result.senders:
        sender.stop()


def test_files_and_folders_arrive(world):
    """As they are, from where they are; an existing file stays. And a name alone gives away nothing."""
    big = world.file("big.bin", os.urandom(3_000_000))
    world.file("photos/a.txt", b"one")
    world.file("photos/deep/b.txt", b"two")
    (world.path / "files/photos/empty").mkdir()
    out = world.path / "out"
    out.mkdir()
    (out / "big.bin").write_bytes(b"other")
    sender = Sender(world, big, world.path / "files/photos")
    code = sender.code()
    assert re.fullmatch(r"[1-9]\d*-[a-z]+-[a-z]+", code)
    world.receive(code, "--output-dir", out)
    sender.end()
    assert (out / "big (1).bin").read_bytes() == big.read_bytes()
    assert (out / "big.bin").read_bytes() == b"other"
    assert (out / "photos/deep/b.txt").read_bytes() == b"two"
    assert (out / "photos/empty").is_dir()
    assert not list((world.path / "files").rglob(".p2p"))
    # The registry lists no file of it, and the code is over.
    with urllib.request.urlopen(f"{world.url}/peers?file=big.bin") as answer:
        assert json.load(answer)["peers"] == []
    assert b"used already" in world.receive(code, status=7).stderr


def test_a_wrong_guess_uses_the_code_up(world):
    sender = Sender(world, "--text", "the text")
    code = sender.code()
    number, first, second = code.split("-")
    wrong = "acorn" if first != "acorn" else "zebra"
    assert b"words" in world.receive(f"{number}-{wrong}-{second}", home="guesser", status=7).stderr
    sender.event("wrong_code")
    world.receive(code, status=7)
    # The sender has a new one.
    assert world.receive(sender.code().upper().replace("-", " ")).stdout == b"the text\n"
    sender.end()


def test_a_registry_that_forgets_the_code(world):
    """It was restarted: the sender notices, and has a new code."""
    registry = world.suite.discovery(folder="forgetful")
    sender = Sender(world, "--text", "still here", registry=registry.url)
    first = sender.code(whole=True)
    port = registry.port
    registry.stop()
    world.suite.discovery(folder="forgetful", port=port)
    second = sender.code(whole=True)
    assert world.receive(second).stdout == b"still here\n"
    sender.end()


def test_without_a_registry_from_standard_input_to_standard_output(world):
    """The sender starts a registry for itself, and its code names it."""
    data = os.urandom(100_000)
    path = world.file("stream", data)
    with path.open("rb") as stdin:
        sender = Sender(world, "-", stdin=stdin, registry="none")
        assert world.receive(sender.code(whole=True), "--output", "-").stdout == data
        sender.end()
    sender.log.seek(0)
    assert "on this network only, because there is no registry" in sender.log.readline()


def test_the_running_peer_serves_and_a_transfer_resumes(world):
    """The peer that the registry knows serves; strangers see nothing of it. The receiver is killed, and resumes by the
    same command, although the code is used up for everybody else.
    """
    peer = world.suite.peer(
        "--limit-rate", "4M", name="serving", discovery=world.registry, files={"own.txt": b"its own"}
    )  # slow enough to be interrupted
    wait_until(lambda: peer.peer_id in world.registered(), LIMIT, "the registration")
    path = world.file("large.bin", os.urandom(16_000_000))
    sender = Sender(world, path, "--keys-dir", world.suite.folder / "serving/keys", "--keep")
    code, home = sender.code(), world.path / "killed"
    home.mkdir()
    receiver = bounded(subprocess.Popen(
        [BIN / "p2p", "receive", "--json", "--discovery", world.url, code],
        stdout=subprocess.PIPE,
        env=environment(home),
    ))
    for line in receiver.stdout:
        if json.loads(line).get("verified", 0) > 0:
            break
    receiver.send_signal(signal.SIGKILL)
    receiver.wait()
    receiver.stdout.close()
    assert sender.event("receiver")["name"]

    root = hashlib.sha256(b"its own").digest()
    with peer.client() as stranger:
        assert [entry.root for entry in stranger.list_all()] == [root]
    world.receive(code, home="other", status=7)
    if code in (home / "keys/.p2p/receiving.json").read_text():  # otherwise it was quicker than the signal
        world.receive(code, home="killed")
    sender.event("done")
    assert (home / "downloads/large.bin").read_bytes() == path.read_bytes()


def test_a_link_without_a_browser(world):
    """`p2p receive LINK` gets what a browser would, asks for the PIN, resumes in the sense of the link (the device uses it
    once), and the sender ends. Broken and wrong links are refused with a sentence.
    """
    registry = world.suite.discovery(folder="links").url  # the other one may have many boxes of this address
    photos = world.path / "files/by-link"
    big = world.file("by-link/big.bin", os.urandom(2_500_000))
    world.file("by-link/deep/b.txt", b"two")
    (photos / "empty").mkdir()
    sender = Sender(world, photos, big, "--pin", "2468", "--insecure-link", "--keep", registry=registry)
    sender.event("code")
    link = sender.event("link")["link"]
    out = world.path / "by-link-out"
    assert b"PIN" in world.receive(link, "--output-dir", out, status=7).stderr
    assert b"wrong" in world.receive(link, "--pin", "1357", "--output-dir", out, status=7).stderr
    assert b"not a complete link" in world.receive(link[:-1], status=2).stderr
    other = link[:-1] + ("A" if link[-1] != "A" else "Q")
    assert b"nobody answers" in world.receive(other, status=3).stderr
    done = world.receive(link, "--pin", "2468", "--output-dir", out)
    assert b"by-link/" in done.stderr and b"big.bin" in done.stderr
    assert (out / "by-link/big.bin").read_bytes() == (out / "big.bin").read_bytes() == big.read_bytes()
    assert (out / "by-link/deep/b.txt").read_bytes() == b"two"
    assert (out / "by-link/empty").is_dir()
    sender.event("guest")
    sender.event("guest_done")
    sender.stop()
    # --uses: the same device comes again without another use; after the second one, the sender ends.
    sender = Sender(world, big, "--insecure-link", "--uses", "2", registry=registry)
    link = sender.event("link")["link"]
    for home, name in (("one", "big.bin"), ("one", "again.bin"), ("two", "big.bin")):
        world.receive(link, "--output", out / home / name, home=home)
        assert (out / home / name).read_bytes() == big.read_bytes()
    sender.end()


def test_links_meet_at_p2p_ui_without_a_registry(world):
    """The link has the address of p2p-ui, which shows the page and has the boxes; nobody else can wait for its guests."""
    ui = world.suite.ui(name="meeting", host="0.0.0.0")
    path = world.file("near.bin", os.urandom(300_000))
    sender = Sender(world, path, "--insecure-link", "--url", f"http://127.0.0.1:{ui.port}", registry="none")
    link = sender.event("link")["link"]
    page, secret = link.split("#")
    assert page.endswith(f":{ui.port}/s/l") and "127.0.0.1" not in page
    with urllib.request.urlopen(page) as answer:
        assert b"link.js" in answer.read() and "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert len(answer.headers.get_all("Content-Security-Policy")) == 1
    box = page[:-1] + "box/" + "ab" * 16
    for tail, status in (("?link=1", 404), ("", 200), ("", 200)):
        assert requests.get(box + tail, timeout=LIMIT).status_code == status
    assert requests.get(page[:-1] + "box/" + "ab" * 32, timeout=LIMIT).status_code == 404
    assert requests.get(page, headers={"Host": "evil.example"}, timeout=LIMIT).status_code == 421
    out = world.path / "near-out"
    world.receive(link, "--output-dir", out)
    assert (out / "near.bin").read_bytes() == path.read_bytes()
    sender.end()


def test_how_long_a_sender_waits(world):
    """--expires: it ends when nobody comes; --uses: a code for each receiver, then the end; --keep: one more code."""
    registry = world.suite.discovery(folder="waits").url
    sender = Sender(world, "--text", "x", "--expires", "1s", registry=registry)
    assert sender.process.wait(LIMIT) == 4
    sender = Sender(world, "--text", "x", "--uses", "2", registry=registry)
    codes = []
    for _ in range(2):
        codes.append(sender.code(whole=True))
        assert world.receive(codes[-1]).stdout == b"x\n"
    sender.end()
    assert codes[0] != codes[1]
    sender = Sender(world, "--text", "x", "--keep", registry=registry)
    assert world.receive(sender.code(whole=True)).stdout == b"x\n"
    assert sender.code(whole=True)
    assert sender.process.poll() is None

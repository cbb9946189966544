"""README word for word, on three machines: network namespaces with a host name, a user and a source tree of their
own. Then what households do: one machine gets another address while others download from it, and a copy of a keys
folder runs elsewhere.
"""

import contextlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import tarfile
import tempfile
from pathlib import Path

import pytest

from conftest import BIN, ROOT, long_test, wait_until

README = (ROOT / "README.md").read_text()
MINUTE = 60

pytestmark = [
    long_test,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can make network namespaces"),
    pytest.mark.skipif(BIN != ROOT / "bin", reason="scripts/run.sh builds the ordinary programs"),
]


def ip(*words):
    subprocess.run(["ip", *map(str, words)], check=True, capture_output=True)


def source():
    """A tarball of the tree as it is, and of what was built in it, so that `make` has nothing to do."""
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tarball:
        for name in filter(None, files):
            tarball.add(ROOT / name, name, recursive=False)
        tarball.add(ROOT / "bin", "bin")
        tarball.add(ROOT / "build" / "gcc", "build/gcc", filter=lambda m: None if m.name == "build/gcc/tests" else m)
    return out.getvalue()


class Machine:
    """A namespace on the bridge `net`; its user has a home with the source tree."""

    def __init__(self, number, host_name, folder, net, stack):
        self.name, self.user, self.net = f"{net}{number}", 51000 + number, net
        self.host_name, self.home = host_name, folder / host_name
        self.tree = self.home / "p2p"
        self.processes = []
        ip("netns", "add", self.name)
        stack.callback(subprocess.run, ["ip", "netns", "del", self.name], check=False)
        stack.callback(self.stop)
        ip("link", "add", f"{self.name}v", "type", "veth", "peer", "name", "eth0", "netns", self.name)
        ip("link", "set", f"{self.name}v", "netns", net)
        ip("-n", net, "link", "set", f"{self.name}v", "master", "bridge", "up")
        ip("-n", self.name, "link", "set", "lo", "up")
        ip("-n", self.name, "link", "set", "eth0", "up")
        self.address = f"10.26.0.{number}"
        ip("-n", self.name, "addr", "add", f"{self.address}/24", "dev", "eth0")

    def unpack(self, tarball):
        self.tree.mkdir(parents=True)
        with tarfile.open(fileobj=io.BytesIO(tarball)) as tar:
            tar.extractall(self.tree)
        subprocess.run(["chown", "-R", f"{self.user}:{self.user}", self.home], check=True)

    def command(self, line):
        inside = f"hostname {self.host_name}; exec setpriv --reuid={self.user} --regid={self.user} --clear-groups bash -c \"$1\""
        return ["ip", "netns", "exec", self.name, "unshare", "-u", "sh", "-c", inside, "sh", line]

    def env(self):
        return {"PATH": os.environ["PATH"], "HOME": str(self.home), "LC_ALL": "C.UTF-8"}

    def run(self, line, status=0):
        """One line of the documentation, in the source tree."""
        done = subprocess.run(
            self.command(line), cwd=self.tree, env=self.env(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=5 * MINUTE, start_new_session=True,
        )  # fmt: skip
        assert done.returncode == status, f"{self.host_name}: {line}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def start(self, line, until):
        log = self.home / f"log{len(self.processes)}"
        with open(log, "w") as out:
            process = subprocess.Popen(
                self.command(line), cwd=self.tree, env=self.env(), stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )  # fmt: skip
        self.processes.append(process)

        def said():
            assert process.poll() is None, f"{line}\n{log.read_text()}"
            return until in log.read_text()

        wait_until(said, 10 * MINUTE, f"{line} says {until}")
        process.log = log
        return process

    def stop(self):
        """`unshare` and `ip` execute their commands, so these are the scripts and daemons themselves."""
        for process in reversed(self.processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(MINUTE)
        left = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True, check=False).stdout
        for pid in left.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        self.processes = []

    def file(self, name, data):
        path = self.tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        subprocess.run(["chown", "-R", f"{self.user}:{self.user}", path.parent], check=True)
        return data


@pytest.fixture(scope="module")
def machines():
    folder = Path(tempfile.mkdtemp(prefix="p2p-three-", dir="/tmp"))
    folder.chmod(0o755)
    net = f"p2w{os.getpid() % 10000}"
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        try:
            ip("netns", "add", net)
            stack.callback(subprocess.run, ["ip", "netns", "del", net], check=False)
            ip("-n", net, "link", "add", "bridge", "type", "bridge")
            ip("-n", net, "link", "set", "bridge", "up")
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("network namespaces cannot be made here")
        made = [Machine(i + 1, name, folder, net, stack) for i, name in enumerate(("Kitchen", "Study", "Attic"))]
        tarball = source()
        for machine in made:
            machine.unpack(tarball)
        yield made


def documented(pattern):
    """The one line of README's code blocks that matches, without its comment."""
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", README, re.S))
    lines = [line for line in blocks.splitlines() if re.search(pattern, line)]
    assert len(lines) == 1, (pattern, lines)
    return re.sub(r"\s+#.*", "", lines[0])


def peers(machine):
    return {p["name"] or p["claimed_name"]: p for p in json.loads(machine.run("bin/p2p peers --json"))["peers"]}


def test_readme_on_three_machines(machines):
    kitchen, study, attic = machines
    photo = kitchen.file("shared/photos/a.jpg", os.urandom(100_000))
    film = kitchen.file("shared/holiday.mp4", os.urandom(3_000_000))
    report = kitchen.file("shared/report.txt", b"the report of the kitchen")

    # The quick start on the first machine, and a second peer there.
    kitchen.start(documented(r"^scripts/run\.sh  "), "Dashboard")
    assert "<title>" in kitchen.run("curl -fs http://localhost:8080")
    assert json.loads(kitchen.run("curl -fs http://localhost:8080/api/status"))["name"] == "Kitchen"
    kitchen.file("shared_b/second.txt", b"of the second peer")
    kitchen.start(documented(r"^bin/p2p-peer --port 9001"), "ready p2p-peer")
    assert (kitchen.tree / "shared_b.keys" / "private_key.pem").exists()

    # The second and the third machine.
    for machine in (study, attic):
        line = documented(r"FIRST-MACHINE").replace("FIRST-MACHINE", kitchen.address)
        machine.file("shared/report.txt", f"the report of {machine.host_name}".encode())
        machine.start(line, "Dashboard")

    # Everything that README says of the command line, on the second machine, "bin/p2p instead of p2p".
    def p2p(pattern, status=0, **words):
        line = documented(pattern)
        for old, new in words.items():
            line = line.replace(old.replace("_", "."), new)
        return study.run(re.sub(r"^p2p ", "bin/p2p ", line), status)

    wait_until(lambda: "holiday.mp4" in study.run("bin/p2p search holiday || true"), 2 * MINUTE, "found")
    assert "holiday.mp4" in p2p(r"^p2p search holiday")
    p2p(r"^p2p get holiday\.mp4  ")
    assert (study.tree / "downloads" / "holiday.mp4").read_bytes() == film
    found = wait_until(lambda: (lambda p: p if {"Kitchen", "Attic", "Study"} <= p.keys() else None)(peers(study)), 2 * MINUTE)
    (study.tree / "downloads" / "holiday.mp4").unlink()
    line = documented(r"^p2p get holiday\.mp4 --from")
    line = line.replace("10.0.0.7:9000", f"{kitchen.address}:9000").replace("3f2a...", found["Kitchen"]["peer_id"])
    study.run(re.sub(r"^p2p ", "bin/p2p ", line))
    assert (study.tree / "downloads" / "holiday.mp4").read_bytes() == film
    p2p(r"^p2p get photos/")
    assert (study.tree / "downloads" / "photos" / "a.jpg").read_bytes() == photo
    listed = json.loads(study.run(f"bin/p2p ls Kitchen --json"))["files"]
    (root,) = [f["root"] for f in listed if f["name"] == "report.txt"]
    study.run(re.sub(r"^p2p ", "bin/p2p ", documented(r"^p2p get report\.txt --root").replace("3f2a91c0", root)))
    assert (study.tree / "downloads" / "report.txt").read_bytes() == report
    assert "holiday.mp4" in p2p(r"^p2p ls Kitchen")
    assert "Kitchen" in p2p(r"^p2p peers") and "Attic" in study.run("bin/p2p peers")
    study.run("bin/p2p peers trust Kitchen")
    (study.home / "Pictures").mkdir()
    (study.home / "Pictures" / "b.jpg").write_bytes(b"a picture")
    subprocess.run(["chown", "-R", f"{study.user}:{study.user}", study.home / "Pictures"], check=True)
    p2p(r"^p2p share add Photos")
    wait_until(lambda: "Photos/b.jpg" in attic.run("bin/p2p ls Study || true"), 2 * MINUTE, "the folder is shared at once")
    assert json.loads(p2p(r"^p2p status --json"))["name"] == "Study"
    assert study.run("bin/p2p id") == study.run("cd /tmp && " + str(study.tree / "bin" / "p2p") + " id")


def test_an_address_that_changes_during_a_download(machines):
    """The download goes on at the new address, and the registry lists it."""
    kitchen, study, attic = machines
    big = attic.file("shared/big.iso", os.urandom(24 << 20))
    wait_until(lambda: "big.iso" in study.run("bin/p2p ls Attic || true"), 2 * MINUTE, "shared")
    get = subprocess.Popen(
        study.command("bin/p2p get big.iso --limit-rate 1M"), cwd=study.tree, env=study.env(), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_until(lambda: any(p.stat().st_blocks > 4096 for p in (study.tree / "downloads/.p2p").glob("*.part")), MINUTE, "a part of it")
    ip("-n", attic.name, "addr", "del", f"{attic.address}/24", "dev", "eth0")
    attic.address = "10.26.0.33"
    ip("-n", attic.name, "addr", "add", f"{attic.address}/24", "dev", "eth0")
    wait_until(lambda: peers(study)["Attic"]["ip"] == attic.address, MINUTE, "registered under the new address")
    out, err = get.communicate(timeout=5 * MINUTE)
    assert get.returncode == 0, out + err
    assert (study.tree / "downloads" / "big.iso").read_bytes() == big


def test_a_copy_of_a_keys_folder_is_noticed(machines):
    kitchen, study, attic = machines
    copy = study.tree / "copied"
    shutil.copytree(attic.tree / "keys", copy, ignore=shutil.ignore_patterns("*.sock", "*.lock"))
    subprocess.run(["chown", "-R", f"{study.user}:{study.user}", copy], check=True)
    study.file("shared_c/x.txt", b"x")
    study.start(f"bin/p2p-peer --port 9002 --keys-dir copied --shared-dir shared_c --discovery http://{kitchen.address}:8000", "ready p2p-peer")
    wait_until(lambda: study.address in attic.run("bin/p2p status; bin/p2p doctor || true"), 3 * MINUTE, "the first one says where")

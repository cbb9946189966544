"""Random changes of a shared folder beside downloads from it: files are made, written, renamed, linked, deleted and
made unreadable, the disk is filled and mounted anew, programs are killed. Afterwards the disk, the list of the peer,
the registry and the dashboard agree, and every download is right or says why not."""

import contextlib
import hashlib
import os
import random
import signal
import stat
import subprocess
import time

import pytest

from conftest import BIN, environment, long_test, wait_until
from file_systems import mounted, unmount
from p2pwire import tree
from p2pwire.client import Refused
from p2pwire.stream import Closed

SHORT_ROUNDS, LONG_ROUNDS = 25, 500
CHECK_EVERY = 10
SIZES = [0, 1, 1000, 16384, 70_000, 300_000, (1 << 20) + 1, 2_500_000]
FOLDERS = ["", "", "a/", "b/", "a/c/"]
NAMES = [f"{folder}{leaf}" for folder in FOLDERS for leaf in ("x", "y.txt", "z.bin", "ä ö.jpg", "w")]
BAD_NAMES = ["Re: mail", "ends.", "b/aux.c", "a/what:"]
BAD_LEAVES = {os.path.basename(name) for name in BAD_NAMES}  # also after their folder was renamed
EMPTY = hashlib.sha256(b"").hexdigest()


class Machine:
    """A peer with its dashboard, its shared folder (a separate disk), and all contents that were on the disk."""

    def __init__(self, suite, disk, rng):
        self.suite, self.disk, self.rng = suite, disk, rng
        self.shared = suite.folder / "peer" / "shared"
        self.registry = suite.discovery()
        self.seen, self.known, self.ballast, self.log = {}, {}, disk / ".ballast", []
        self.write("keep", b"always here")
        self.bind()
        self.peer = suite.peer(discovery=self.registry)
        self.ui = suite.ui(discovery=self.registry, peer=self.peer)
        self.look()

    # ---- the disk ----

    def bind(self, *options):
        subprocess.run(["mount", "--bind", self.disk, self.shared], check=True)
        if options:
            subprocess.run(["mount", "-o", f"remount,bind,{','.join(options)}", self.shared], check=True)
        self.is_mounted = True

    def unbind(self):
        if self.is_mounted:
            subprocess.run(["umount", "-l", self.shared], check=True)
        self.is_mounted = False

    def write(self, name, data, mode="wb", at=0):
        path = self.disk / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, mode) as file:
            file.seek(at)
            file.write(data)

    def entries(self):
        """The entries of the disk, without folders: name, lstat."""
        for folder, folders, leaves in os.walk(self.disk):
            folders[:] = [f for f in folders if not f.startswith(".") and f != "lost+found"]
            for path in [os.path.join(folder, leaf) for leaf in leaves if not leaf.startswith(".")]:
                yield os.path.relpath(path, self.disk), os.lstat(path)

    def files(self):
        return [(name, st) for name, st in self.entries() if stat.S_ISREG(st.st_mode)]

    def look(self):
        """Notes the content of each file."""
        for name, st in self.files():
            key = (st.st_ino, st.st_size, st.st_mtime_ns, st.st_ctime_ns)
            if key not in self.known:
                data = (self.disk / name).read_bytes()
                self.known[key] = (hashlib.sha256(data).hexdigest(), tree.root_of(data), len(data))
            self.seen.setdefault(name, {EMPTY}).add(self.known[key][0])

    def expected(self):
        """The files that should be shared: name, (root, size)."""
        out = {}
        for name, st in self.files():
            if os.path.basename(name) not in BAD_LEAVES and st.st_mode & 0o400:
                out[name] = self.known[(st.st_ino, st.st_size, st.st_mtime_ns, st.st_ctime_ns)][1:]
        return out

    # ---- operations ----

    def some(self):
        there = sorted(name for name, _ in self.files() if name != "keep" and os.path.basename(name) not in BAD_LEAVES)
        return self.rng.choice(there) if there else None

    def data(self):
        return self.rng.randbytes(self.rng.choice(SIZES))

    def create(self):
        self.write(self.rng.choice(NAMES), self.data())

    def write_in_place(self):
        if name := self.some():
            path = self.disk / name
            size, before = path.stat().st_size, path.stat()
            self.write(name, self.rng.randbytes(min(size, 5000)), "r+b", self.rng.randrange(size + 1))
            if self.rng.random() < 0.3 and path.stat().st_size == size:  # the times do not show the change
                os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    def append(self):
        if name := self.some():
            self.write(name, self.rng.randbytes(1000), "ab")

    def truncate(self):
        if name := self.some():
            path = self.disk / name
            os.truncate(path, self.rng.randrange(path.stat().st_size + 1))

    def replace(self):
        if name := self.some():
            self.write(".tmp", self.data())
            os.rename(self.disk / ".tmp", self.disk / name)

    def rename(self):
        if name := self.some():
            os.renames(self.disk / name, self.disk / self.rng.choice(NAMES))

    def rename_folder(self):
        one, other = self.rng.sample(["a", "b", "d", "e/f"], 2)
        if (self.disk / one).is_dir() and not (self.disk / other).exists():
            os.renames(self.disk / one, self.disk / other)

    def chmod(self):
        if name := self.some():
            os.chmod(self.disk / name, self.rng.choice([0o644, 0o600, 0o000]))

    def link(self):
        if (name := self.some()) and not (other := self.disk / self.rng.choice(NAMES)).exists():
            other.parent.mkdir(parents=True, exist_ok=True)
            os.link(self.disk / name, other)

    def symlink(self):
        path = self.disk / self.rng.choice(["link", "a/link"])
        if path.parent.is_dir() and not path.is_symlink():
            path.symlink_to("keep")

    def bad_name(self):
        self.write(self.rng.choice(BAD_NAMES), b"bad")

    def delete(self):
        if name := self.some():
            os.unlink(self.disk / name)

    def delete_folder(self):
        subprocess.run(["rm", "-rf", self.disk / self.rng.choice(["a", "b", "d"])], check=True)

    def fill(self):
        with contextlib.suppress(OSError), open(self.ballast, "ab", buffering=0) as file:
            while True:
                file.write(bytes(1 << 18))

    def free(self):
        self.ballast.unlink(missing_ok=True)

    def remount(self):
        self.unbind()
        self.pause(0.5)
        self.bind(*self.rng.choice([(), (), ("ro",)]))

    def unmount(self):
        self.unbind()

    def kill(self, program):
        """The process that serves now, or its successor; and its parent."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(program.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            program.process.wait(3)
        program.kill()
        self.suite.programs.remove(program)

    def kill_peer(self):
        self.kill(self.peer)
        self.act(most=3, kinds=FILE_KINDS)
        self.peer = self.suite.peer(discovery=self.registry, port=self.peer.port)

    def kill_ui(self):
        self.kill(self.ui)
        self.ui = self.suite.ui(discovery=self.registry, peer=self.peer, port=self.ui.port)

    def pause(self, most):
        time.sleep(self.rng.uniform(0, most))  # a moment between two operations

    def act(self, most=4, kinds=None):
        kinds = kinds or FILE_KINDS + RARE_KINDS
        for _ in range(self.rng.randint(1, most)):
            kind = self.rng.choice(kinds)
            self.log.append(kind)
            with contextlib.suppress(OSError):
                getattr(self, kind)()
            self.look()

    # ---- do all agree? ----

    def settle(self):
        """Waits until everything is as it should be; then shows what differs."""
        self.free()
        self.unbind()
        self.bind()
        self.look()
        return self.expected()

    def differences(self, expected):
        """The differences that the peer, the registry and the dashboard show."""
        out = []
        try:
            with self.peer.client() as client:
                listed = {e.name.decode(): (e.root, e.size) for e in client.list_all()}
        except (AssertionError, Closed, Refused, OSError) as error:
            return [f"the peer: {error!r}"]
        out += difference("the peer", listed, expected)
        names = {f for p in self.registry.registry.peers() for f in p["files"]}
        out += difference("the registry", dict.fromkeys(names), dict.fromkeys(expected))
        try:
            page = self.ui.api.json("/api/shared?limit=1000")
            state = self.ui.api.json("/api/status")["shared_state"]
        except Exception as error:  # noqa: BLE001 the program may be between two processes
            return [f"the dashboard: {error!r}"]
        seen = {f["name"]: (bytes.fromhex(f["root"]), f["size"]) for f in page["files"] if f["state"] == "ready"}
        others = {f["name"]: f for f in page["files"] if f["state"] not in ("ready", "unreadable", "not_shared")}
        out += difference("the dashboard", {**seen, **others}, expected)
        problems = {p["name"] for p in page["problems"]}
        left_out = {n for n, _ in self.entries()} - set(expected)
        out += difference("the problems", dict.fromkeys(problems), dict.fromkeys(left_out))
        return out + ([] if state == "ok" else [f"the dashboard says that the folder is {state}"])


def difference(who, seen, expected):
    return [f"{who}: {n}: {seen.get(n, '-')} for {expected.get(n, '-')}" for n in sorted({*seen, *expected})
            if (n in seen) != (n in expected) or seen.get(n) != expected.get(n)]  # fmt: skip


FILE_KINDS = """create create create write_in_place write_in_place append truncate replace rename rename rename_folder
    chmod link delete delete symlink bad_name delete_folder""".split()
RARE_KINDS = ["fill", "free", "free", "remount", "unmount", "kill_peer", "kill_ui"]


def ended(process):
    """What the command line says, which ends in a while."""
    try:
        return process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        process.kill()
        pytest.fail(f"p2p get does not end: {process.communicate()[1][-2000:]}")


class Downloads:
    """From the machine itself, with the command line and with another dashboard."""

    def __init__(self, suite, machine):
        self.suite, self.machine, self.running, self.count = suite, machine, [], 0
        self.ui = suite.ui(name="other", discovery=machine.registry)
        self.transfers, self.right, self.said = {}, 0, 0

    def start(self, name=None):
        name = name or self.machine.rng.choice([self.machine.some() or "keep", self.machine.rng.choice(NAMES)])
        if self.machine.rng.random() < 0.5:
            return self.start_transfer(name)
        self.count += 1
        out = self.suite.folder / "out" / str(self.count)
        command = [
            BIN / "p2p", "get", name, "--from", self.machine.peer.where, "--discovery", "none", "--timeout", "5",
            "--output-dir", out, "--keys-dir", self.suite.folder / "cli" / "keys",
        ]  # fmt: skip
        process = subprocess.Popen(
            list(map(str, command)), env=environment(self.suite.folder), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.running.append((name, out, process))

    def start_transfer(self, name):
        answer = self.ui.api.request("POST", "/api/transfers", json={"filename": name})
        assert answer.status_code in (200, 201, 404, 409, 502, 503), answer.text
        if answer.status_code in (200, 201):
            self.transfers[answer.json()["id"]] = name

    def check(self, name, path):
        data = path.read_bytes()
        assert hashlib.sha256(data).hexdigest() in self.machine.seen.get(name, ()), f"{name}: not its content"
        self.right += 1

    def finish(self):
        for name, out, process in self.running:
            _, text = ended(process)
            if process.returncode == 0:
                self.check(name, out / name)
            else:
                assert process.returncode in (3, 4, 5, 6) and text.strip(), (name, process.returncode, text)
                self.said += 1
        self.running.clear()
        for one, name in self.transfers.items():
            now = wait_until(lambda one=one: self.over(one), 120, f"transfer of {name} is over")
            if now["state"] == "completed":
                self.check(name, self.ui.downloads / now["path"])
            else:
                assert now["error"] and now["error_code"], now
                self.said += 1
            self.ui.api.request("DELETE", f"/api/transfers/{one}")
        self.transfers.clear()

    def over(self, one):
        """Completed, or waiting for a file that may never come."""
        now = self.ui.api.json(f"/api/transfers/{one}")
        return now if now["state"] in ("completed", "failed", "paused") or now["retry_at"] else None


def run(suite, seed, rounds):
    rng = random.Random(seed)
    with mounted("ext4", suite.folder / "disk") as disk:
        (suite.folder / "peer" / "shared").mkdir(parents=True)
        try:
            machine = Machine(suite, disk, rng)
            downloads = Downloads(suite, machine)
            for number in range(1, rounds + 1):
                if rng.random() < 0.7:
                    downloads.start()
                machine.act()
                machine.pause(0.2)
                if number % CHECK_EVERY == 0 or number == rounds:
                    where = f"seed {seed} round {number} after {machine.log[-40:]}"
                    expected = machine.settle()
                    agree(machine, expected, where)
                    downloads.finish()
                    machine.log.clear()
            before = downloads.right
            downloads.start("keep")
            downloads.finish()
            assert downloads.right == before + 1, "nothing stands in its way now"
            print(f"seed {seed}: {downloads.right} right, {downloads.said} said why not")
        finally:
            suite.stop()
            suite.programs.clear()
            if (suite.folder / "peer" / "shared").is_mount():
                unmount(suite.folder / "peer" / "shared")


def agree(machine, expected, where):
    end = time.monotonic() + 60
    while different := machine.differences(expected):
        assert time.monotonic() < end, f"{where}: {different}"
        time.sleep(0.2)


def test_a_few_random_operations(suite):
    run(suite, random.randrange(1 << 32), SHORT_ROUNDS)


@long_test
@pytest.mark.parametrize("seed", [int(s) for s in os.environ.get("P2P_SEEDS", "1 2 3").split()])
def test_many_random_operations(suite, seed):
    run(suite, seed, LONG_ROUNDS)

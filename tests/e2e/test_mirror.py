"""p2p mirror: a folder here follows one of a peer; an empty source, kill -9. More in unit tests (test_mirror.c)."""

import contextlib
import json
import os
import random
import time
from pathlib import Path

from conftest import NO_REGISTRY, Program, wait_until

FILES = {f"photos/{n % 3}/{n:02}.jpg": f"photo {n}".encode() for n in range(60)}


class Keeper(Program):
    """It listens nowhere, so its line has no port."""

    def _wait_ready(self, timeout):
        assert self.ready.wait(timeout) and self.lines, self.stderr()
        assert self.lines[0].startswith("ready p2p-keeper "), self.lines
        return 0


class Mirror:
    """A job of the command line, and the keeper that runs it."""

    def __init__(self, suite, peer, folder, *options, every="1s"):
        self.suite, self.target, self.keeper, self.every = suite, suite.folder / "copy", None, every
        added = self.p2p("add", f"{peer.where}/{folder}", "--to", self.target, *options)
        self.id = added["id"]
        self.start()

    def p2p(self, *words):
        run = self.suite.p2p("mirror", *words, "--json", "--discovery", NO_REGISTRY, "--no-mdns", check=True)
        return json.loads(run.stdout) if run.stdout else None

    def start(self):
        keys = self.suite.folder / "cli" / "keys"
        words = ["keeper", "--every", self.every, "--keys-dir", keys, "--discovery", NO_REGISTRY]
        self.keeper = self.suite._keep(Keeper("p2p", words, self.suite.folder / "keeper"))

    def status(self):
        return self.p2p("status", self.id)

    def wait(self, *states, what=lambda job: True):
        def reached():
            job = self.status()
            return job if job["state"] in states and what(job) else None

        return wait_until(reached, 60, f"{states}, not {self.status()}")

    def files(self):
        found = {}
        for folder, folders, names in os.walk(self.target):  # what goes meanwhile is no error
            folders[:] = [name for name in folders if name != ".p2p"]
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    path = Path(folder, name)
                    found[str(path.relative_to(self.target))] = path.read_bytes()
        return found


def source(peer):
    shared = peer.folder / "shared" / "photos"
    return {str(path.relative_to(shared)): path.read_bytes() for path in shared.rglob("*") if path.is_file()}


def test_a_mirror_follows_its_source(suite):
    peer = suite.peer(files=FILES, wait=False)
    peer.wait_for("photos/2/59.jpg")
    photos = peer.folder / "shared" / "photos"
    mirror = Mirror(suite, peer, "photos", "--delete")
    wait_until(lambda: mirror.files() == source(peer), 60, "everything is here")
    mirror.wait("in_step", what=lambda job: job["files"] == 60)

    # New, changed, deleted and moved files; what was here becomes a version.
    (photos / "new.jpg").write_bytes(b"new")
    (photos / "0/00.jpg").write_bytes(b"another photo")
    (photos / "1/01.jpg").unlink()
    (photos / "2/02.jpg").rename(photos / "moved.jpg")
    wait_until(lambda: mirror.files() == source(peer), 60, "the changes are here")
    shown = suite.p2p("history", "0/00.jpg", "--shared-dir", mirror.target, "--json", check=True)
    assert [v["kept"] for v in json.loads(shown.stdout)["versions"]] == [True]
    suite.p2p("restore", "1/01.jpg", "--shared-dir", mirror.target, "--to", "saved.jpg", check=True)
    assert (mirror.target / "saved.jpg").read_bytes() == FILES["photos/1/01.jpg"]
    # What was deleted or changed here comes back; what is only here stays.
    (mirror.target / "2/05.jpg").unlink()
    (mirror.target / "2/08.jpg").write_bytes(b"changed here")
    mirror.p2p("check", mirror.id)  # while the source tells its changes, rounds are rare
    wait_until(
        lambda: mirror.files() == {**source(peer), "saved.jpg": FILES["photos/1/01.jpg"]}, 60, "it heals"
    )

    # Killed, changed meanwhile, started again.
    mirror.keeper.kill()
    (photos / "while away.jpg").write_bytes(b"x" * 5_000_000)
    mirror.start()
    wait_until(lambda: (mirror.target / "while away.jpg").exists(), 60, "it goes on")
    mirror.wait("in_step")

    before = mirror.files()
    # The source is not mounted, or everything was deleted there.
    photos.rename(peer.folder / "photos elsewhere")
    job = mirror.wait("waiting", what=lambda job: job["held_removals"] > 50)
    assert "mirror accept" in job["message"] and "does not say" in job["message"], job
    assert mirror.files() == before
    (peer.folder / "photos elsewhere").rename(photos)
    mirror.wait("in_step")

    # Paused, and forgotten: the files stay.
    mirror.p2p("pause", mirror.id)
    assert mirror.status()["state"] == "paused"
    mirror.p2p("remove", mirror.id)
    assert mirror.p2p("list")["mirrors"] == [] and (mirror.target / "new.jpg").exists()


def content_of(n):
    return f"content {n}".encode() * 50


def test_news_arrive_at_once_and_kill_9_loses_nothing(suite):
    """The source tells its changes, so a mirror that looks once an hour follows; then its keeper is killed at random."""
    peer = suite.peer(files={f"f/{n:02}": content_of(n) for n in range(40)})
    folder = peer.folder / "shared" / "f"
    mirror = Mirror(suite, peer, "f", "--delete", every="1h")
    mirror.wait("in_step", what=lambda job: job["files"] == 40)
    (folder / "new").write_bytes(b"news")
    wait_until(lambda: (mirror.target / "new").exists(), 60, "it is here without looking")
    (folder / "new").write_bytes(b"other news")
    wait_until(lambda: (mirror.target / "new").read_bytes() == b"other news", 60, "it is replaced")

    rounds = 500 if os.environ.get("P2P_LONG_TESTS") else 8
    rng = random.Random(15)
    were = {}
    for n in range(rounds):
        name = f"{n % 5:02}"  # few files, so the brake stays out of it
        were.setdefault(name, set()).add((folder / name).read_bytes())
        (folder / name).write_bytes(content_of(1000 + n))
        if n % 4 == 0:
            (folder / f"more {n}").write_bytes(content_of(n))
        time.sleep(rng.random() * 0.6)  # anywhere in a round, or between two
        mirror.keeper.kill()
        mirror.start()
        if n % 20 == 19:
            mirror.p2p("accept", mirror.id)

    def is_same():
        mirror.p2p("accept", mirror.id)  # in case the machine was so quick that the brake holds
        return mirror.files() == source_of(folder)

    wait_until(is_same, 120, "everything is here")
    for name in were:
        rows = suite.p2p("history", name, "--shared-dir", mirror.target, "--json", check=True)
        versions = json.loads(rows.stdout)["versions"]
        assert versions and all(v["kept"] for v in versions), versions
        numbers = [v["version"] for v in versions]
        assert numbers == sorted(set(numbers), reverse=True)


def source_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_p2p_ui_mirrors_into_a_folder_that_is_new_to_it(suite):
    """Its sandbox does not know the folder, so it gets a new one, without a restart."""
    peer = suite.peer(name="far", files={"f/a": b"one"})
    ui = suite.ui(name="near")
    target = suite.folder / "elsewhere"
    add = ("mirror", "add", f"{peer.where}/f", "--to", target, "--keys-dir", ui.folder / "keys")
    suite.p2p(*add, "--discovery", NO_REGISTRY, "--no-mdns", "--shared-dir", ui.shared, check=True)
    wait_until(lambda: (target / "a").exists(), 60, f"the file is here: {ui.stderr()[-2000:]}")

    def is_in_step():
        (job,) = ui.api.json("/api/mirrors")["mirrors"]
        return job["state"] == "in_step"

    wait_until(is_in_step, 60, "both folders are in step")
    ui.stop()


def test_a_source_that_was_killed_knows_what_it_deleted(suite):
    """kill -9 between a deletion and its entry in the list of changes; then the source loses its index."""
    names = [f"{n:02}" for n in range(20)]
    files = {f"f/{name}": name.encode() for name in names}
    peer = suite.peer(files=files, wait=False)
    peer.wait_for("f/19")
    folder = peer.folder / "shared" / "f"
    mirror = Mirror(suite, peer, "f", "--delete", every="1h")
    mirror.wait("in_step", what=lambda job: job["files"] == 20)
    (folder / "00").unlink()
    peer.kill()
    (folder / "01").unlink()
    peer = suite.peer(port=peer.port)
    wait_until(lambda: mirror.files() == source_of(folder), 60, "both deletions are here")
    mirror.wait("in_step", what=lambda job: job["files"] == 18)

    peer.kill()
    (folder / "02").unlink()
    for index in (peer.folder / "shared" / ".p2p").glob("index.db*"):
        index.unlink()
    suite.peer(port=peer.port)
    job = mirror.wait("waiting")
    assert job["held_removals"] == 1 and "does not say" in job["message"], job
    assert (mirror.target / "02").exists()
    mirror.p2p("accept", mirror.id)
    wait_until(lambda: mirror.files() == source_of(folder), 60, "it was accepted")

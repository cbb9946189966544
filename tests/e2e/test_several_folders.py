"""Several shared folders: one list of names, each folder under its own name, nothing copied."""

import json
import os

import pytest
import requests

import controlling
from conftest import NO_REGISTRY, Program, wait_until
from p2pwire.web import Dashboard


def make(folder, files):
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture
def photos(tmp_path):
    return make(tmp_path / "mnt" / "photos", {"2026/a.jpg": b"picture a", "b.jpg": b"picture b"})


def names(peer):
    with peer.client() as client:
        return [e.name.decode() for e in client.list_all()]


def test_every_folder_is_listed_and_served(suite, photos, tmp_path):
    registry = suite.discovery()
    music = make(tmp_path / "mnt" / "Music", {"song.flac": b"la la"})
    peer = suite.peer(
        "--shared-dir", f"Photos={photos}", "--shared-dir", music, files={"z.txt": b"own", "A.txt": b"own too"},
        discovery=registry,
    )  # fmt: skip
    wanted = ["A.txt", "Music/song.flac", "Photos/2026/a.jpg", "Photos/b.jpg", "z.txt"]
    for name in wanted:
        peer.wait_for(name)
    assert names(peer) == wanted
    wait_until(lambda: sorted(registry.registry.peers()[0]["files"]) == wanted, 60, "all registered")
    for name, data in {"Photos/2026/a.jpg": b"picture a", "Music/song.flac": b"la la", "z.txt": b"own"}.items():
        suite.get(name, peer, check=True)
        assert (suite.folder / "out" / name).read_bytes() == data
    assert (photos / ".p2p" / "index.db").exists() and (music / ".p2p" / "index.db").exists()
    assert sorted(p.name for p in peer.shared.iterdir()) == [".p2p", "A.txt", "z.txt"]  # nothing was copied
    rows = controlling.ask(peer.keys, "status")["folders"]
    assert [(r["name"], r["path"], r["files"], r["state"]) for r in rows] == [
        (None, str(peer.shared), 2, "ok"), ("Photos", str(photos), 2, "ok"), ("Music", str(music), 1, "ok"),
    ]  # fmt: skip
    uploaded = wait_until(
        lambda: [u for u in controlling.ask(peer.keys, "uploads")["uploads"] if u["name"] == "Photos/2026/a.jpg"], 30
    )
    assert uploaded


def test_a_new_file_in_any_folder_is_announced(suite, photos):
    registry = suite.discovery()
    peer = suite.peer("--shared-dir", f"Photos={photos}", files={"z.txt": b"own"}, discovery=registry)
    peer.wait_for("Photos/b.jpg")
    (photos / "new.jpg").write_bytes(b"new")
    wait_until(lambda: "Photos/new.jpg" in registry.registry.peers()[0]["files"], 60, "the new file registered")
    (photos / "b.jpg").unlink()
    wait_until(lambda: "Photos/b.jpg" not in registry.registry.peers()[0]["files"], 60, "the deletion registered")


def test_a_folder_download_spans_one_folder(suite, photos):
    peer = suite.peer("--shared-dir", f"Photos={photos}", files={"Pho.txt": b"own", "Photosx.txt": b"own"})
    peer.wait_for("Photos/b.jpg")
    peer.wait_for("Photos/2026/a.jpg")
    suite.get("Photos/", peer, check=True)
    found = sorted(str(p.relative_to(suite.folder / "out")) for p in (suite.folder / "out").rglob("*.*") if p.is_file())
    assert [f for f in found if not f.startswith(".p2p")] == ["Photos/2026/a.jpg", "Photos/b.jpg"]


@pytest.mark.parametrize(
    "folders, reason",
    [
        (["s", "Name=other"], "has an entry Name"),
        (["s", "A=other", "a=third"], "another shared folder has this name"),
        (["s", "A=other", "B=other"], "twice"),
        (["s", "A:B=other"], "it contains ':'"),
        (["s", "A="], "missing path"),
    ],
)
def test_refused_at_start(suite, tmp_path, folders, reason):
    make(tmp_path / "s", {"Name/x": b"x"})
    make(tmp_path / "other", {"y": b"y"})
    make(tmp_path / "third", {"y": b"y"})
    words = [w for f in folders for w in ("--shared-dir", f)]
    with pytest.raises(pytest.fail.Exception, match="(?s)" + reason):
        Program(
            "p2p-peer", ["--port", 0, "--keys-dir", "keys", "--discovery", NO_REGISTRY, *words], tmp_path
        )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder(suite, photos):
    photos.chmod(0o555)
    try:
        peer = suite.peer("--shared-dir", f"Photos={photos}")
        peer.wait_for("Photos/b.jpg")
    finally:
        photos.chmod(0o755)


def test_one_folder_that_cannot_be_opened_does_not_stop_the_others(suite):
    peer = suite.peer("--shared-dir", "Gone=/proc/self/none/there", files={"z.txt": b"own"})
    assert "shared folder '/proc/self/none/there'" in peer.stderr()
    assert [(r["name"], r["state"]) for r in controlling.ask(peer.keys, "status")["folders"]] == [
        (None, "ok"), ("Gone", "away"),
    ]  # fmt: skip


# ---- p2p share ----


class Home:
    """A peer whose folders are those of p2p.conf."""

    def __init__(self, suite):
        self.suite, self.folder = suite, suite.folder / "home"
        self.folder.mkdir()
        self.conf = self.folder / "p2p.conf"
        self.conf.write_text(f"discovery = {NO_REGISTRY}\nmdns = off\n")

    def start(self):
        peer = self.suite._keep(Program("p2p-peer", ["--host", "127.0.0.1", "--port", 0], self.folder))
        peer.keys = self.folder / "keys"
        return peer

    def p2p(self, *words, status=0):
        env = {"P2P_HOME": str(self.folder)}
        run = self.suite.p2p(*words, env=env)
        assert run.returncode == status, run
        return run

    def served(self):
        return {r["name"]: r["files"] for r in controlling.ask(self.folder / "keys", "status")["folders"]}


def test_add_and_remove_while_the_peer_runs(suite, photos):
    home = Home(suite)
    peer = home.start()
    make(home.folder / "shared", {"own.txt": b"own"})
    assert "added; p2p-peer shares it now" in home.p2p("share", "add", photos).stderr
    assert f"shared-dir = {home.folder}/shared\nshared-dir = photos={photos}\n" in home.conf.read_text()
    wait_until(lambda: home.served() == {None: 1, "photos": 2}, 60, "both folders hashed")
    rows = json.loads(home.p2p("share", "ls", "--json").stdout)["folders"]
    assert [(r["name"], r["path"], r["files"], r["state"]) for r in rows] == [
        (None, f"{home.folder}/shared", 1, "ok"), ("photos", str(photos), 2, "ok"),
    ]  # fmt: skip
    assert f"photos/  {photos}  2 files" in home.p2p("share", "ls").stdout
    assert "removed" in home.p2p("share", "rm", "photos").stderr
    wait_until(lambda: home.served() == {None: 1}, 60, "one folder")
    assert (photos / "b.jpg").read_bytes() == b"picture b"
    assert peer.running


def test_add_with_a_name_and_remove_by_path(suite, photos):
    home = Home(suite)
    home.start()
    done = json.loads(home.p2p("share", "add", f"Pictures={photos}", "--json").stdout)
    assert done["applied"] is True and done["folders"][1] == {"name": "Pictures", "path": str(photos)}
    assert set(home.served()) == {None, "Pictures"}
    home.p2p("share", "rm", photos)
    assert set(home.served()) == {None}


def test_without_a_running_peer_it_is_for_the_next_start(suite, photos):
    home = Home(suite)
    (home.folder / "shared").mkdir()
    assert "when it starts" in home.p2p("share", "add", photos).stderr
    assert "not in use" in home.p2p("share", "ls").stdout
    home.start()
    wait_until(lambda: home.served() == {None: 0, "photos": 2}, 60, "the folders of p2p.conf")


def test_what_share_refuses(suite, photos, tmp_path):
    home = Home(suite)
    make(home.folder / "shared", {"photos/own.jpg": b"own", "f.txt": b"f"})
    before = home.conf.read_text()
    assert "has an entry photos" in home.p2p("share", "add", photos, status=1).stderr
    assert "cannot share" in home.p2p("share", "add", tmp_path / "none", status=3).stderr
    assert "not a folder" in home.p2p("share", "add", photos / "b.jpg", status=2).stderr
    assert "it contains ':'" in home.p2p("share", "add", f"a:b={photos}", status=2).stderr
    assert "twice" in home.p2p("share", "add", f"X={home.folder}/shared", status=2).stderr
    assert "no shared folder" in home.p2p("share", "rm", "nothing", status=3).stderr
    assert "only shared folder" in home.p2p("share", "rm", f"{home.folder}/shared", status=2).stderr
    assert home.conf.read_text() == before
    for words in (["add"], ["rm"], ["add", "a", "b"], []):
        home.p2p("share", *words, status=2)


def test_problems_of_all_folders(suite, photos):
    home = Home(suite)
    make(home.folder / "shared", {"own.txt": b"own"})
    (photos / "link").symlink_to("b.jpg")
    home.p2p("share", "add", f"Pictures={photos}")
    home.start()
    wait_until(lambda: home.served() == {None: 1, "Pictures": 2}, 60, "both folders hashed")

    def shown():
        problems = json.loads(home.p2p("share", "ls", "--problems", "--json").stdout)["problems"]
        return [p["name"] for p in problems] == ["Pictures/link"]

    wait_until(shown, 60, "the link in the list of problems")
    rows = json.loads(home.p2p("share", "ls", "--json").stdout)["folders"]
    assert [r["not_shared"] for r in rows] == [0, 1]


def test_a_peer_with_flags_says_that_it_does_not_follow(suite, photos):
    peer = suite.peer()
    run = suite.p2p("share", "add", photos, "--keys-dir", peer.keys, env={"P2P_HOME": str(peer.folder)}, timeout=120)
    assert run.returncode != 0 and "started with --shared-dir" in run.stderr


# ---- the dashboard


class HomeWithDashboard(Home):
    def start_ui(self):
        self.ui = self.suite._keep(Program("p2p-ui", ["--host", "127.0.0.1", "--port", 0], self.folder))
        token = (self.folder / "keys" / "owner.token").read_text().strip()
        self.api = Dashboard(self.ui.url, token=token)
        return self.api

    def folders(self):
        """None while a new process takes the socket over."""
        try:
            answer = self.api.get("/api/status")
        except requests.RequestException:
            return None
        if answer.status_code != 200:
            return None
        return {r["name"]: (r["files"], r["state"]) for r in answer.json()["shared_folders"]}

    def listed(self):
        return {f["name"]: f["state"] for f in self.api.json("/api/shared")["files"]}

    def upload(self, name, data, **query):
        return self.api.request("POST", "/api/upload", params=query, files={"file": (name, data)})


def test_the_dashboard_shows_and_changes_every_folder(suite, photos):
    home = HomeWithDashboard(suite)
    own = make(home.folder / "shared", {"own.txt": b"own"})
    (photos / "link").symlink_to("b.jpg")
    home.p2p("share", "add", photos)
    api = home.start_ui()
    wait_until(lambda: home.listed() == dict.fromkeys(["own.txt", "photos/2026/a.jpg", "photos/b.jpg"], "ready"), 60)
    assert home.folders() == {None: (1, "ok"), "photos": (2, "ok")}
    assert [(p["name"], p["reason"]) for p in api.json("/api/shares/problems")["problems"]] == [
        ("photos/link", "it is a symbolic link")
    ]
    assert api.request("GET", "/api/shared/photos/b.jpg").content == b"picture b"
    # Uploads go where their path leads.
    assert home.upload("in.txt", b"1").json()["filename"] == "in.txt"
    assert home.upload("in.txt", b"2", path="photos/new").json()["filename"] == "photos/new/in.txt"
    assert (own / "in.txt").read_bytes() == b"1" and (photos / "new" / "in.txt").read_bytes() == b"2"
    assert home.upload("in.txt", b"3", path="photos/new").status_code == 409
    again = home.upload("in.txt", b"3", path="photos/new", on_conflict="rename")
    assert again.json()["filename"] == "photos/new/in (1).txt"
    assert home.upload("photos", b"4").status_code == 409  # the name of a folder
    # A file is renamed, deleted and restored in its folder.
    rename = lambda name, to: api.request("POST", f"/api/shared/{name}/rename", json={"to": to})  # noqa: E731
    assert rename("photos%2Fb.jpg", "photos/c.jpg").status_code == 200 and (photos / "c.jpg").exists()
    assert rename("photos%2Fc.jpg", "c.jpg").json()["code"] == "other_folder"
    assert rename("own.txt", "photos").status_code == 409
    assert api.request("DELETE", "/api/shared/photos/c.jpg").status_code == 200 and not (photos / "c.jpg").exists()
    assert api.request("POST", "/api/shared/photos%2Fc.jpg/restore", json={}).status_code == 200
    assert (photos / "c.jpg").read_bytes() == b"picture b"
    for name in ("photos/../own.txt", "photos//own.txt", "photos/.p2p/index.db"):
        assert api.request("GET", "/api/shared/" + name.replace("/", "%2F")).status_code in (400, 404)


def test_the_dashboard_follows_share_add_and_rm(suite, photos, tmp_path):
    home = HomeWithDashboard(suite)
    make(home.folder / "shared", {"own.txt": b"own"})
    api = home.start_ui()
    port = home.ui.port
    home.p2p("share", "add", photos)
    wait_until(lambda: home.folders() == {None: (1, "ok"), "photos": (2, "ok")}, 60, "the new folder")
    assert home.upload("up.txt", b"up", path="photos").status_code == 200  # the sandbox allows it
    assert home.ui.port == port and home.ui.running
    # One folder is away, the other one is used.
    photos.rename(tmp_path / "elsewhere")
    wait_until(lambda: home.folders()["photos"][1] == "away", 60, "the folder is away")
    assert home.upload("x.txt", b"x", path="photos").json()["code"] == "folder_away"
    assert home.upload("x.txt", b"x").status_code == 200
    assert set(home.listed()) == {"own.txt", "x.txt"} and api.json("/api/status")["shared_state"] == "away"
    (tmp_path / "elsewhere").rename(photos)
    wait_until(lambda: home.folders() == {None: (2, "ok"), "photos": (3, "ok")}, 60, "it is back")
    home.p2p("share", "rm", "photos")
    wait_until(lambda: home.folders() == {None: (2, "ok")}, 60, "one folder")
    assert api.request("GET", "/api/shared/photos/b.jpg").status_code == 404
    assert (photos / "up.txt").exists()


def test_uploads_without_a_folder_that_has_bare_names(suite, photos):
    home = HomeWithDashboard(suite)
    music = make(home.folder / "m", {"song": b"la"})
    home.conf.write_text(home.conf.read_text() + f"shared-dir = Music={music}\nshared-dir = Photos={photos}\n")
    home.start_ui()
    assert home.upload("a.txt", b"a").json()["filename"] == "Music/a.txt"
    assert home.upload("a.txt", b"a", path="Photos/x").json()["filename"] == "Photos/x/a.txt"
    assert home.upload("a.txt", b"a", path="new").json()["filename"] == "Music/new/a.txt"
    assert home.api.request("GET", "/api/shared/a.txt").status_code == 404
    wait_until(lambda: home.folders()["Photos"] == (3, "ok"), 60, "files that the peer knows")
    (photos / "x" / "a.txt").unlink()
    for f in ("2026/a.jpg", "b.jpg"):
        (photos / f).unlink()
    wait_until(lambda: home.folders()["Photos"][1] == "away", 60, "an emptied folder")
    assert home.api.request("POST", "/api/shares/confirm?folder=Music", json={}).status_code == 409
    assert home.api.request("POST", "/api/shares/confirm?folder=Photos", json={}).status_code == 202
    wait_until(lambda: home.folders()["Photos"] == (0, "ok"), 60, "confirmed")

"""Empty folders arrive: they are listed, found and created, and they do no harm if they cannot be created."""

import os

import pytest

from conftest import NO_REGISTRY, wait_until
from p2pwire import msg
from p2pwire.server import Server


def listed(peer):
    with peer.client() as client:
        return [e.name.decode() for e in client.list_all(folders=True)]


def share_tree(suite, **more):
    peer = suite.peer(files={"trip/a.txt": b"a"}, **more)
    (peer.shared / "trip" / "empty" / "inner").mkdir(parents=True)
    (peer.shared / "trip" / "second folder").mkdir()
    (peer.shared / "hollow" / "only").mkdir(parents=True)
    wait_until(lambda: len(listed(peer)) == 4, 60, "empty folders in the list")
    return peer


def folders_of(path):
    return sorted(str(p.relative_to(path)) for p in path.rglob("*") if p.is_dir() and ".p2p" not in p.parts)


def test_the_wire_shows_them_as_entries_that_end_in_a_slash(suite):
    peer = share_tree(suite)
    with peer.client() as client:
        entries = {e.name.decode(): e for e in client.list_all(folders=True)}
    assert sorted(entries) == ["hollow/only/", "trip/a.txt", "trip/empty/inner/", "trip/second folder/"]
    for name, entry in entries.items():
        if name.endswith("/"):
            assert (entry.size, entry.root, entry.mtime) == (0, bytes(32), 0)


@pytest.mark.parametrize("save_as", [None, "other/place"])
def test_a_folder_arrives_with_its_empty_folders(suite, save_as):
    peer = share_tree(suite)
    out = suite.folder / "out"
    where = ["-o", out / save_as] if save_as else ["--output-dir", out]
    for _ in range(1 if save_as else 2):  # the second time they are already there; -o would name a folder that exists
        done = suite.p2p("get", "trip/", "--from", peer.where, *where)
        assert done.returncode == 0, done.stderr
    base = out / (save_as or "trip")
    assert (base / "a.txt").read_bytes() == b"a"
    assert folders_of(base) == ["empty", "empty/inner", "second folder"]


def test_a_folder_of_empty_folders_is_found_through_the_registry(suite):
    registry = suite.discovery()
    peer = share_tree(suite, discovery=registry)
    wait_until(lambda: registry.registry.peers(), what="a registered peer")
    out = suite.folder / "out"
    done = suite.p2p("get", "hollow/", "--discovery", registry.url, "--output-dir", out)
    assert done.returncode == 0, done.stderr
    assert folders_of(out) == ["hollow", "hollow/only"]
    missing = suite.p2p("get", "hallow/", "--discovery", registry.url, "--output-dir", out)
    assert missing.returncode == 3
    assert "no peer shares" in missing.stderr
    assert peer.running


def test_ls_and_the_dashboard_show_them(suite):
    peer = share_tree(suite)
    text = suite.p2p("ls", peer.where, "--discovery", NO_REGISTRY)
    assert text.returncode == 0 and "trip/empty/inner/" in text.stdout
    ui = suite.ui(name="ui")
    added = ui.api.request("POST", "/api/peers", json={"address": peer.where})
    assert added.status_code in (200, 201), added.text
    peer_id = added.json()["peer_id_full"]
    listing = ui.api.request("GET", f"/api/peers/{peer_id}/files").json()
    assert listing["empty_folders"] == ["hollow/only/", "trip/empty/inner/", "trip/second folder/"]
    assert [f["name"] for f in listing["files"]] == ["trip/a.txt"]


def test_a_file_in_the_way_is_named_and_the_rest_arrives(suite):
    peer = share_tree(suite)
    out = suite.folder / "out"
    (out / "trip").mkdir(parents=True)
    (out / "trip" / "empty").write_bytes(b"mine")
    elsewhere = suite.folder / "elsewhere"
    elsewhere.mkdir()
    done = suite.p2p("get", "trip/", "--from", peer.where, "--output-dir", out)
    assert done.returncode != 0
    assert "1 of 2 empty folders" in done.stderr, done.stderr
    assert (out / "trip" / "empty").read_bytes() == b"mine"
    assert (out / "trip" / "a.txt").exists() and (out / "trip" / "second folder").is_dir()
    os.unlink(out / "trip" / "empty")
    os.symlink(elsewhere, out / "trip" / "empty")
    assert suite.p2p("get", "trip/", "--from", peer.where, "--output-dir", out).returncode != 0
    assert not list(elsewhere.iterdir())


class OddFolders(Server):
    """Lists empty folders with names that must not be created."""

    names = ["d/../../escaped/", "/abs/", "d/./x/", "d//x/", "d/.hidden/", "d/a\\b/", "d/con/", "d/x//", "/", ""]

    def on_list(self, connection, request):
        none = bytes(32)
        odd = [msg.Entry(none, 0, 0, name.encode()) for name in self.names]
        odd.append(msg.Entry(b"\1" * 32, 0, 0, b"d/with-root/"))
        odd.append(msg.Entry(none, 5, 0, b"d/with-size/"))
        odd.append(msg.Entry(none, 0, 0, b"d/good/"))
        connection.send(msg.List(request.req, odd, b""))


def test_names_of_folders_are_checked_like_those_of_files(suite):
    out = suite.folder / "deep" / "out"
    with OddFolders({}) as server:
        done = suite.p2p("get", "d/", "--from", server.where, "--output-dir", out)
    assert done.returncode == 0, done.stderr
    assert folders_of(suite.folder / "deep") == ["out", "out/d", "out/d/good"]
    assert not (suite.folder / "escaped").exists()


class ManyFolders(Server):
    """Lists empty folders without end."""

    pages = 0

    def on_list(self, connection, request):
        self.pages += 1
        names = [b"d/%d-%d/" % (self.pages, i) for i in range(256)]
        connection.send(msg.List(request.req, [msg.Entry(bytes(32), 0, 0, n) for n in names], names[-1]))


def test_a_list_of_folders_without_end_is_refused(suite):
    out = suite.folder / "out"
    with ManyFolders({}) as server:
        done = suite.p2p("get", "d/", "--from", server.where, "--output-dir", out)
    assert done.returncode not in (0, 2), done.stdout
    assert server.pages < 100
    assert folders_of(out) == []


@pytest.mark.parametrize("name", ["renamed", "renamed/"])
def test_a_folder_takes_another_name_with_or_without_its_slash(suite, name):
    peer = share_tree(suite)
    out = suite.folder / "out"
    done = suite.p2p("get", "trip/", "--from", peer.where, "--output-dir", out, "--save-as", name)
    assert done.returncode == 0, done.stderr
    assert folders_of(out) == ["renamed", "renamed/empty", "renamed/empty/inner", "renamed/second folder"]
    file = suite.p2p("get", "trip/a.txt", "--from", peer.where, "--output-dir", out, "--save-as", "a/")
    assert file.returncode == 2 and "remove the / at its end" in file.stderr


def test_the_dashboard_downloads_a_folder_of_empty_folders(suite):
    peer = share_tree(suite)
    ui = suite.ui(name="ui")
    added = ui.api.request("POST", "/api/peers", json={"address": peer.where}).json()
    source = {"peer_id": added["peer_id_full"], "ip": "127.0.0.1", "port": peer.port}
    for name, more in {"hollow/": {"peers": [source]}, "trip/": {}}.items():  # without naming peers: the ones that were met are asked
        started = ui.api.request("POST", "/api/transfers", json={"filename": name, **more})
        assert started.status_code == 201, started.text
        one = f"/api/transfers/{started.json()['id']}"
        wait_until(lambda: ui.api.request("GET", one).json()["state"] == "completed", 60, f"{name} downloaded")
    found = folders_of(ui.downloads)
    assert found == ["hollow", "hollow/only", "trip", "trip/empty", "trip/empty/inner", "trip/second folder"]

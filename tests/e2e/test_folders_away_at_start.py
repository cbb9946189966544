"""A folder that is missing when a program starts, or reads its settings again, is not created: its disk may not be
mounted. The program serves everything else, and uses the folder as soon as it is there."""

import os
import signal

import pytest

from conftest import Peer, Program, wait_until
from p2pwire.stream import Closed
from p2pwire.web import Dashboard


def listed(peer):
    with peer.client() as client:
        return sorted(e.name.decode() for e in client.list_all())


def shared_by(ui):
    answer = ui.api.request("GET", "/api/shared")
    return answer.status_code == 200 and sorted(f["name"] for f in answer.json()["files"])


def status(ui):
    return ui.api.request("GET", "/api/status").json()


@pytest.mark.parametrize("how", ["start", "SIGHUP"])
def test_the_shared_folder_of_a_peer_stays_away(suite, how):
    conf = suite.folder / "p2p.conf"
    conf.write_text("")
    peer = suite.peer("--config", conf, files={"a.txt": b"a"})
    away = suite.folder / "disk"
    if how == "start":
        peer.stop()
        os.rename(peer.shared, away)
        # Not through suite.peer(), which makes the folder.
        more = ["--host", "127.0.0.1", "--port", "0", "--keys-dir", peer.keys, "--shared-dir", peer.shared]
        peer = again(suite, peer, more)
    else:
        os.rename(peer.shared, away)
        wait_until(lambda: "is missing" in peer.stderr(), 60, "the missing folder in the log")
        before = peer.pid
        conf.write_text("[p2p-peer]\nmax-connections = 3000\n")
        peer.process.send_signal(signal.SIGHUP)
        wait_until(lambda: peer.pid != before and listed_or_nothing(peer) is not None, 60, "a new process")
    assert listed(peer) == []
    assert not peer.shared.exists()
    assert "is missing" in peer.stderr()
    os.rename(away, peer.shared)
    wait_until(lambda: peer.running and listed_or_nothing(peer) == ["a.txt"], 60, "the files")


def listed_or_nothing(peer):
    try:
        return listed(peer)
    except (OSError, Closed, AssertionError):  # a new process takes over
        return None


def again(suite, peer, arguments):
    return suite._keep(Peer(peer.folder, arguments))


def test_both_folders_of_a_dashboard_stay_away(suite):
    ui = suite.ui()
    (ui.shared / "mine.txt").write_bytes(b"mine")
    (ui.downloads / "got.txt").write_bytes(b"got")
    wait_until(lambda: shared_by(ui) == ["mine.txt"], 60, "a shared file")
    wait_until(lambda: (suite.folder / "peer" / "keys" / "p2p-ui.shared").exists(), 60, "the record of the folder")
    ui.stop()
    for name in ("shared", "downloads"):
        os.rename(suite.folder / "peer" / name, suite.folder / f"{name}-disk")
    arguments = [
        "--host", "127.0.0.1", "--port", "0", "--shared-dir", ui.shared, "--downloads-dir", ui.downloads,
        "--keys-dir", suite.folder / "peer" / "keys", "--discovery", "http://127.0.0.1:9",
    ]  # fmt: skip
    program = restart_ui(suite, ui, arguments)
    now = status(program)
    assert (now["shared_state"], now["downloads_state"]) == ("away", "away")
    assert not ui.shared.exists() and not ui.downloads.exists()
    refused = program.api.request("POST", "/api/upload", files={"file": ("x", b"x")})
    assert refused.status_code == 503 and "missing" in refused.json()["detail"]
    for name in ("shared", "downloads"):
        os.rename(suite.folder / f"{name}-disk", suite.folder / "peer" / name)

    def is_back():
        try:
            now = status(program)
            return (now.get("shared_state"), now.get("downloads_state")) == ("ok", "ok") and shared_by(program) == ["mine.txt"]
        except OSError:
            return False

    wait_until(is_back, 60, "both folders in use")
    assert program.api.request("GET", "/api/downloads").json()["downloads"][0]["name"] == "got.txt"


def restart_ui(suite, ui, arguments):
    program = suite._keep(Program("p2p-ui", arguments, suite.folder / "peer"))
    program.api = Dashboard(program.url, token=ui.owner_token)
    return program


def test_a_first_start_creates_the_folders(suite):
    home = suite.folder / "new"
    home.mkdir()
    peer = suite._keep(Peer(home, ["--host", "127.0.0.1", "--port", "0", "--keys-dir", home / "keys",
                                   "--shared-dir", home / "deep" / "shared", "--no-mdns"]))  # fmt: skip
    assert (home / "deep" / "shared").is_dir()
    assert peer.running

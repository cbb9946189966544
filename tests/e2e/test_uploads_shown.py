"""p2p-peer knows who downloads what: at its control socket, in p2p status, in its log, and after a restart."""

import json
import random
import re

import pytest

import controlling
from conftest import wait_until
from p2pwire.keys import Identity

SIZE = 3_000_000
FILM = random.Random(7).randbytes(SIZE)  # zeros would not be sent


def uploads(peer):
    return controlling.ask(peer.keys, "uploads")


def ended(peer, count=1):
    """Waits until this many uploads have ended, and returns the answer."""

    def look():
        answer = uploads(peer)
        over = [u for u in answer["uploads"] if u["ended"] is not None]
        return answer if len(over) >= count else None

    return wait_until(look, 60, f"{count} ended uploads")


def cli_id(suite):
    return suite.p2p("id", "--keys-dir", suite.folder / "cli" / "keys", check=True).stdout.split()[0]


@pytest.mark.parametrize("protocol", [1, 2])
def test_a_download_is_an_upload_of_the_other_side(suite, protocol):
    peer = suite.peer(files={"film.bin": FILM})
    suite.get("film.bin", peer, more=["--protocol", protocol], check=True)
    answer = ended(peer)
    (upload,) = answer["uploads"]
    assert upload["name"] == "film.bin" and upload["size"] == SIZE and upload["sent"] >= SIZE
    assert upload["peer_id"] == cli_id(suite) and upload["proven"] == (protocol == 2)
    assert upload["started"] <= upload["ended"]
    assert answer["uploaded"]["uploads"] == 1 and answer["uploaded"]["running"] == 0
    assert answer["uploaded"]["bytes"] == upload["sent"]
    (row,) = answer["peers"]
    assert row["peer_id"] == upload["peer_id"] and row["bytes"] == upload["sent"] and row["uploads"] == 1
    line = wait_until(lambda: re.search(r"upload ended .*", peer.stderr()), 30, "a log line")[0]
    assert f"peer={upload['peer_id']}" in line and 'name="film.bin"' in line and f"size={SIZE}" in line
    assert len(re.findall("upload ended", peer.stderr())) == 1


def test_a_running_upload_is_seen_while_it_runs(suite):
    """The client requests one piece again and again: on a slow machine, the upload may end in between."""
    peer = suite.peer(files={"film.bin": FILM})
    words = ["status", "--keys-dir", peer.keys, "--discovery", "none", "--no-mdns"]
    with peer.client() as client:
        root = client.meta("film.bin").root

        def running():
            client.get(root, 0, 65536)
            return [u for u in uploads(peer)["uploads"] if u["ended"] is None]

        def shown():
            client.get(root, 0, 65536)
            text = suite.p2p(*words, check=True).stdout
            return re.search(r"^uploads +1 running, .*\n  to [0-9a-f]{16}\.\.\.  film\.bin  \S+ kB of 3\.\d MB", text, re.M)

        (upload,) = wait_until(running, 60, "a running upload")
        assert upload["name"] == "film.bin" and upload["sent"] % 65536 == 0 and upload["sent"] > 0
        wait_until(shown, 60, "the upload in p2p status")


def test_status_shows_the_sum_and_json_shows_all(suite):
    peer = suite.peer(files={"film.bin": FILM})
    suite.get("film.bin", peer, more=["--name", "Laptop"], check=True)
    ended(peer)
    words = ["status", "--keys-dir", peer.keys, "--discovery", "none", "--no-mdns"]
    text = suite.p2p(*words, check=True).stdout
    assert re.search(r"^uploads +0 running", text, re.M), text
    assert re.search(r"^uploaded +\S+ MB in 1 upload since ", text, re.M), text
    shown = json.loads(suite.p2p(*words, "--json", check=True).stdout)
    assert shown["peer"]["port"] == peer.port and "ok" not in shown["peer"]
    assert shown["uploads"][0]["name"] == "film.bin" and shown["uploads"][0]["peer"] == f"Laptop ({cli_id(suite)[:8]})"
    assert shown["uploaded"]["bytes"] >= SIZE


def test_status_without_a_running_peer(suite):
    peer = suite.peer()
    peer.stop()
    words = ["status", "--keys-dir", peer.keys, "--discovery", "none", "--no-mdns"]
    shown = json.loads(suite.p2p(*words, "--json", check=True).stdout)
    assert shown["peer"] is None and shown["uploads"] is None
    assert "uploads" not in suite.p2p(*words, check=True).stdout
    run = suite.p2p("status", "--metrics", "--keys-dir", peer.keys)
    assert run.returncode != 0 and "no p2p-peer with the keys in" in run.stderr and run.stdout == ""


def test_metrics(suite):
    peer = suite.peer(files={"film.bin": FILM})
    suite.get("film.bin", peer, check=True)
    ended(peer)
    text = suite.p2p("status", "--metrics", "--keys-dir", peer.keys, check=True).stdout
    values = dict(line.split(" ") for line in text.splitlines() if not line.startswith("#"))
    assert int(values["p2p_peer_uploaded_bytes_total"]) >= SIZE
    assert values["p2p_peer_uploads_total"] == "1" and values["p2p_peer_uploads_running"] == "0"
    assert values["p2p_peer_shared_files"] == "1"
    for name in values:
        assert f"# HELP {name} " in text and f"# TYPE {name} " in text


def test_totals_survive_a_restart(suite):
    peer = suite.peer(files={"film.bin": FILM})
    suite.get("film.bin", peer, check=True)
    before = ended(peer)
    peer.stop()
    assert ((peer.keys / "uploads").stat().st_mode & 0o777) == 0o600
    peer = suite.peer(files={"film.bin": FILM})
    after = uploads(peer)
    # What a peer calls itself is not stored: it says it again.
    assert [row | {"claimed_name": ""} for row in before["peers"]] == after["peers"] and after["uploads"] == []
    for name in ("uploads", "bytes", "since", "peers"):
        assert after["uploaded"][name] == before["uploaded"][name]
    suite.get("film.bin", peer, out="again", check=True)
    assert ended(peer)["peers"][0]["uploads"] == 2


def test_a_stop_in_the_middle_is_counted(suite):
    peer = suite.peer(files={"film.bin": FILM})
    with peer.client() as client:
        client.get(client.meta("film.bin").root, 0, 65536)
        peer.stop()
    assert 'name="film.bin" sent=65536' in peer.stderr()
    peer = suite.peer(files={"film.bin": FILM})
    assert uploads(peer)["uploaded"]["bytes"] == 65536


@pytest.mark.parametrize("damage", [b"", b"garbage\n", b"uploads 1 5 6\n", b"\0" * 100, b"x" * 500_000],
                         ids=["empty", "garbage", "short", "zeros", "large"])
def test_damaged_totals_begin_at_zero_and_say_so(suite, damage):
    peer = suite.peer()
    peer.stop()
    (peer.keys / "uploads").write_bytes(damage)
    peer = suite.peer()
    assert "cannot read the totals of uploads" in peer.stderr()
    assert uploads(peer)["uploaded"]["bytes"] == 0


def test_one_damaged_line_costs_one_peer(suite):
    peer = suite.peer()
    peer.stop()
    good = "a" * 64 + " 1 2 3 4\n"
    (peer.keys / "uploads").write_text("uploads 1 1000 2 3\n" + good + "b" * 64 + " 9 2 3 4\nshort\n")
    peer = suite.peer()
    answer = uploads(peer)
    assert [row["peer_id"] for row in answer["peers"]] == ["a" * 64]
    assert answer["uploaded"]["uploads"] == 2 and answer["uploaded"]["bytes"] == 3


def test_many_small_files_do_not_flood_the_log(suite):
    files = {f"many/{i:03}.txt": f"file {i}".encode() for i in range(80)}
    peer = suite.peer(files=files)
    suite.get("many/", peer, check=True)
    answer = wait_until(lambda: (a := uploads(peer))["uploaded"]["running"] == 0 and a, 60, "all ended")
    assert answer["uploaded"]["uploads"] == 80
    assert len(answer["uploads"]) == 32  # the latest ones


def test_two_peers_are_two_rows_and_the_greater_one_is_first(suite):
    peer = suite.peer(files={"film.bin": FILM})
    less, more = Identity(), Identity()
    for identity, pieces in ((less, 1), (more, 3)):
        with peer.client(identity=identity) as client:
            root = client.meta("film.bin").root
            for piece in range(pieces):
                client.get(root, piece * 65536, 65536)
    peer.stop()
    peer = suite.peer(files={"film.bin": FILM})
    assert [row["bytes"] for row in uploads(peer)["peers"]] == [3 * 65536, 65536]

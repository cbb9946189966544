"""p2p get: several names, --output and --quiet."""

import json
import os
import subprocess

import pytest

from conftest import BIN, environment, wait_until

FILES = {"a.txt": b"first\n", "b.bin": os.urandom(3_000_000), "photos/1.jpg": b"one", "photos/2.jpg": b"two"}


@pytest.fixture(scope="module")
def registry(module_suite):
    return module_suite.discovery()


@pytest.fixture(scope="module")
def peer(module_suite, registry):
    return module_suite.peer(files=FILES, discovery=registry)


@pytest.fixture
def get(peer, tmp_path):
    def run(*words, text=True, **kwargs):
        return subprocess.run(
            [BIN / "p2p", "get", "--from", f"127.0.0.1:{peer.port}", "--no-mdns", *words], cwd=tmp_path, text=text,
            env=environment(tmp_path), **{"capture_output": True, "timeout": 60, **kwargs},
        )  # fmt: skip

    return run


def leftovers(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and "keys" not in p.parts)


def test_several_names(get, tmp_path):
    run = get("a.txt", "photos/", "b.bin")
    assert run.returncode == 0, run
    assert [line.rpartition("/downloads/")[2] for line in run.stdout.splitlines()] == ["a.txt", "photos/", "b.bin"]
    for name, data in FILES.items():
        assert (tmp_path / "downloads" / name).read_bytes() == data


def test_one_that_fails_does_not_stop_the_rest_and_decides(get, tmp_path):
    run = get("none.txt", "a.txt")
    assert run.returncode == 3
    assert (tmp_path / "downloads" / "a.txt").read_bytes() == FILES["a.txt"]


def test_json_has_an_end_for_each_name(get):
    run = get("none.txt", "a.txt", "--json")
    ends = [(o["event"], o.get("name")) for o in map(json.loads, run.stdout.splitlines()) if o["event"] != "progress"]
    assert [event for event, _ in ends] == ["failed", "completed"] and ends[1][1] == "a.txt"


def test_json_has_an_end_for_each_name_that_nobody_shares(peer, registry, tmp_path):
    """Each one fails before its download begins."""
    wait_until(lambda: [p for p in registry.registry.peers() if "a.txt" in p["files"]], 60, "the peer listed")
    run = subprocess.run(
        [BIN / "p2p", "get", "none.txt", "a.txt", "neither.txt", "--json", "--no-mdns", "--discovery", registry.url],
        cwd=tmp_path, text=True, env=environment(tmp_path), capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    ends = [o for o in map(json.loads, run.stdout.splitlines()) if o["event"] != "progress"]
    assert [(o["event"], o["name"], o.get("error")) for o in ends] == [
        ("failed", "none.txt", "NOT_FOUND"), ("completed", "a.txt", None), ("failed", "neither.txt", "NOT_FOUND"),
    ]  # fmt: skip
    assert "none.txt" in ends[0]["message"] and "neither.txt" in ends[2]["message"]
    assert run.returncode == 3


def test_stdout_gets_the_files_in_order(get, tmp_path):
    run = get("b.bin", "a.txt", "-o", "-", text=False)
    assert run.returncode == 0 and run.stdout == FILES["b.bin"] + FILES["a.txt"], run.stderr
    assert leftovers(tmp_path) == []


def test_stdout_stops_at_the_first_that_fails(get, tmp_path):
    run = get("a.txt", "none.txt", "b.bin", "-o", "-", text=False)
    assert run.returncode == 3 and run.stdout == FILES["a.txt"]
    assert leftovers(tmp_path) == []


def test_a_stdout_that_is_full_fails(get, tmp_path):
    with open("/dev/full", "wb") as full:
        run = get("a.txt", "-o", "-", stdout=full, stderr=subprocess.PIPE, capture_output=False)
    assert run.returncode == 6 and run.stderr == "p2p: cannot write to standard output: the disk is full\n"
    assert leftovers(tmp_path) == []


def test_a_stdout_that_is_closed_fails_here_and_not_at_the_peer(get, tmp_path):
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        run = get("a.txt", "-o", "-", stdout=write_end, stderr=subprocess.PIPE, capture_output=False)
    finally:
        os.close(write_end)
    assert run.returncode == 6 and "the program that reads it has closed it" in run.stderr, run
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("path, stored", [("new.txt", "new.txt"), ("x/y/new.txt", "x/y/new.txt"), ("made/", "made/a.txt"),
                                          ("there", "there/a.txt"), ("./n", "n")])  # fmt: skip
def test_output_is_a_file_or_a_folder(get, tmp_path, path, stored):
    (tmp_path / "there").mkdir()
    run = get("a.txt", "--output", path)
    assert run.returncode == 0, run
    assert (tmp_path / stored).read_bytes() == FILES["a.txt"]


@pytest.mark.parametrize(
    "words", [["a.txt", "b.bin", "-o", "one"], ["photos/", "-o", "-"], ["a.txt", "-o", ""], ["a.txt", "-o"],
              ["a.txt", "-o", "-", "--json"], ["a.txt", "-o", "x", "--save-as", "y"], ["a.txt", "-x"], ["a.txt", "-qo"],
              ["a.txt", "b.bin", "--save-as", "y"], ["a.txt", "b.bin", "--root", "0" * 64], []],
    ids=" ".join,
)  # fmt: skip
def test_what_makes_no_sense_is_refused(get, tmp_path, words):
    run = get(*words)
    assert run.returncode == 2 and run.stderr.startswith("p2p"), run
    assert leftovers(tmp_path) == []


def test_an_output_name_that_starts_with_a_dot_is_refused(get):
    assert get("a.txt", "-o", ".hidden").returncode != 0


def test_quiet(get, tmp_path):
    run = get("a.txt", "-q")
    assert run.returncode == 0 and run.stdout == "" and run.stderr == ""
    assert (tmp_path / "downloads" / "a.txt").exists()
    run = get("none.txt", "--quiet")
    assert run.returncode == 3 and run.stderr != ""

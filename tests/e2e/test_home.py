"""One identity and one configuration, whatever the current folder is."""

import json
import os
import re
import shutil
import signal
import subprocess
import threading

import pytest

from conftest import BIN, NO_REGISTRY, ROOT, Program, environment, wait_until


class User:
    """A user with a home folder and no settings yet."""

    def __init__(self, folder):
        self.folder = folder
        self.env = {k: v for k, v in environment(folder).items() if k not in ("P2P_HOME", "XDG_CONFIG_HOME")}
        self.conf = folder / ".config" / "p2p" / "p2p.conf"

    def p2p(self, *words, cwd=None, status=0, program=BIN / "p2p", **kwargs):
        where = self.folder / (cwd or ".")
        where.mkdir(parents=True, exist_ok=True)
        run = subprocess.run(
            [program, *map(str, words)], cwd=where, env=self.env, capture_output=True, text=True, timeout=60,
            **{"stdin": subprocess.DEVNULL, **kwargs},
        )  # fmt: skip
        assert run.returncode == status, run
        return run


@pytest.fixture
def user(tmp_path):
    (tmp_path / "user").mkdir()
    return User(tmp_path / "user")


def test_one_identity_in_ten_folders(user):
    ids = {user.p2p("id", cwd=f"place {i}").stdout for i in range(10)}
    assert len(ids) == 1
    assert (user.folder / ".config/p2p/keys/private_key.pem").stat().st_mode & 0o777 == 0o600
    assert list(user.folder.glob("place */*")) == []


def test_p2p_home_is_another_identity(user):
    mine = user.p2p("id").stdout
    user.env["P2P_HOME"] = str(user.folder / "other")
    assert user.p2p("id").stdout != mine
    assert (user.folder / "other" / "keys" / "private_key.pem").exists()


def test_downloads_go_to_the_download_folder(suite, user):
    peer = suite.peer(files={"f.txt": b"text"})
    user.p2p("get", "f.txt", "--from", f"127.0.0.1:{peer.port}", "--discovery", "none", "--no-mdns", cwd="somewhere")
    assert (user.folder / "Downloads" / "f.txt").read_bytes() == b"text"


def test_init_and_every_command_knows_the_registry(suite, user):
    discovery = suite.discovery()
    suite.peer(discovery=discovery, files={"f.txt": b"text"})
    assert user.p2p("search", "f.txt", "--no-mdns", status=4).stdout == ""
    run = user.p2p("init", "--name", "Kitchen", "--shared-dir", "mine", "--discovery", discovery.url, "--json")
    answer = json.loads(run.stdout)
    assert answer["path"] == str(user.conf) and answer["peer_id"] == user.p2p("id").stdout.strip()
    assert user.conf.read_text() == (
        f"name = Kitchen\nshared-dir = {user.folder}/mine\ndiscovery = {discovery.url}\n"
    )
    assert (user.folder / "mine").is_dir()
    assert "f.txt" in user.p2p("search", "f.txt", "--no-mdns", cwd="elsewhere").stdout


def test_init_again_changes_only_what_is_said(user):
    user.p2p("init", "--name", "Kitchen", "--shared-dir", "mine", "--discovery", "none")
    user.conf.write_text("# by hand\n" + user.conf.read_text() + "\n[p2p-ui]\nport = 8081\n")
    before = user.p2p("id").stdout
    user.p2p("init", "--name", "Hall", cwd="elsewhere")
    assert user.conf.read_text() == (
        f"# by hand\nname = Hall\nshared-dir = {user.folder}/mine\ndiscovery = none\n\n[p2p-ui]\nport = 8081\n"
    )
    assert user.p2p("id").stdout == before


@pytest.mark.parametrize(
    "options", [["--discovery", "ftp://x"], ["--name", "x" * 64], ["--name", "a\nb"], ["--shared-dir", "/proc/no"],
                ["--discovery", ""], ["word"]],
    ids=["no URL", "long name", "two lines", "no folder", "empty", "argument"],
)  # fmt: skip
def test_init_refuses_and_writes_nothing(user, options):
    run = subprocess.run([BIN / "p2p", "init", *options], env=user.env, cwd=user.folder, capture_output=True, text=True)
    assert run.returncode != 0 and run.stderr.startswith("p2p")
    assert not user.conf.exists()


def test_init_asks_in_a_terminal(user):
    answers = "Living room\n\nnone\n"
    run = user.p2p("-qec", f"{BIN}/p2p init", os.devnull, program="script", input=answers, stdin=None)
    assert "Name of this device" in run.stdout and "Folder that you share" in run.stdout
    assert user.conf.read_text() == f"name = Living room\nshared-dir = {user.folder}/Shared\ndiscovery = none\n"


def test_the_identity_of_a_folder_is_used_and_offered(user):
    """Version 0.1.0 made keys/ in the current folder."""
    old = user.folder / "old"
    user.p2p("id", "--keys-dir", "keys", cwd="old")
    mine = user.p2p("id", "--keys-dir", old / "keys").stdout
    run = user.p2p("id", cwd="old")
    assert run.stdout == mine and "p2p init --keys-dir keys" in run.stderr
    assert "keys-dir keys" in user.p2p("init", cwd="old", status=2).stderr
    assert "p2p init" in user.p2p("config", "set", "name", "x", cwd="old", status=2).stderr
    user.p2p("init", "--keys-dir", "keys", cwd="old")
    for place in ("old", "elsewhere"):
        run = user.p2p("id", cwd=place)
        assert run.stdout == mine and run.stderr == ""
    assert user.conf.read_text() == f"keys-dir = {old}/keys\n"


def test_config(user):
    user.p2p("config", "set", "discovery", "http://a:1", "http://b:2")
    user.p2p("config", "set", "p2p-ui.port", "8081")
    assert user.p2p("config", "get", "discovery").stdout == "http://a:1\nhttp://b:2\n"
    assert user.p2p("config", "list").stdout.splitlines()[-1] == "p2p-ui.port = 8081"
    assert json.loads(user.p2p("config", "list", "--json").stdout)["settings"][2] == {
        "section": "p2p-ui", "name": "port", "value": "8081",
    }  # fmt: skip
    assert user.p2p("config", "path").stdout.strip() == str(user.conf)
    user.p2p("config", "unset", "p2p-ui.port")
    assert user.p2p("config", "get", "p2p-ui.port", status=3).stdout == ""


@pytest.mark.parametrize(
    "words", [["set", "prot", "1"], ["set", "p2p-iu.port", "1"], ["set", "name"], ["set", "name", " x"], ["get"],
              ["set", "config", "f"], ["set", "a" * 100 + ".port", "1"], []],
    ids=["name", "section", "no value", "space", "no name", "config", "long", "nothing"],
)  # fmt: skip
def test_config_refuses_what_no_program_reads(user, words):
    assert user.p2p("config", *words, status=2).stderr.startswith("p2p")
    assert not user.conf.exists()


def test_a_wrong_line_is_named(user):
    user.conf.parent.mkdir(parents=True)
    user.conf.write_text("name = x\nprot = 1\n")
    assert f"{user.conf}:2: " in user.p2p("id", status=2).stderr


def test_an_explicit_file_takes_the_place_of_the_one_at_home(suite, user):
    discovery = suite.discovery()
    user.p2p("config", "set", "discovery", NO_REGISTRY)
    (user.folder / "my.conf").write_text(f"discovery = {discovery.url}\n")
    user.p2p("peers", "--no-mdns", status=4)
    user.p2p("peers", "--no-mdns", "--config", "my.conf")


# --- the source tree ---------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path):
    """The files of a built source tree that scripts/run.sh needs."""
    tree = tmp_path / "tree"
    (tree / "scripts").mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "run.sh", tree / "scripts")
    (tree / "scripts" / "deps.sh").write_text("#!/bin/sh\n")
    (tree / "scripts" / "deps.sh").chmod(0o755)
    (tree / "Makefile").write_text("all:\n")
    shutil.copytree(BIN, tree / "bin")
    (tree / "web").symlink_to(ROOT / "web")
    return tree


class Run:
    """Runs scripts/run.sh with the folders of its tree, until it serves."""

    def __init__(self, tree, user, *options):
        ports = [x for name in ("discovery", "peer", "ui") for x in (f"--{name}-port", "0")]
        self.process = subprocess.Popen(
            [tree / "scripts" / "run.sh", *ports, *options], env=user.env, stdin=subprocess.DEVNULL, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        self.lines = []
        threading.Thread(target=lambda: self.lines.extend(self.process.stdout), daemon=True).start()

    def __enter__(self):
        wait_until(lambda: any("Press Ctrl-C" in line for line in self.lines), 60, "run.sh ready")
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


def test_the_commands_of_a_tree_use_what_run_sh_uses(suite, user, tree):
    """README on the second machine: run.sh --discovery, then bin/p2p without an option."""
    discovery = suite.discovery()
    suite.peer(discovery=discovery, files={"from afar.txt": b"text"})
    p2p = tree / "bin" / "p2p"
    with Run(tree, user, "--discovery", discovery.url):
        assert "from afar.txt" in user.p2p("search", "afar", "--no-mdns", cwd="anywhere", program=p2p).stdout
        status = json.loads(user.p2p("status", "--no-mdns", "--json", cwd="anywhere", program=p2p).stdout)
        assert status["peer_id"] in json.dumps(discovery.registry.peers())
        user.p2p("get", "from afar.txt", "--no-mdns", cwd="anywhere", program=p2p)
        assert (tree / "downloads" / "from afar.txt").read_bytes() == b"text"
    assert not user.conf.exists()


def test_run_sh_forgets_a_registry_that_is_not_used_any_more(suite, user, tree):
    discovery = suite.discovery()
    p2p = tree / "bin" / "p2p"
    with Run(tree, user, "--discovery", discovery.url):
        assert user.p2p("config", "get", "discovery", program=p2p).stdout.strip() == discovery.url
    with Run(tree, user):
        assert user.p2p("config", "get", "discovery", program=p2p).stdout.strip() != discovery.url
        user.p2p("peers", "--no-mdns", cwd="anywhere", program=p2p)


def test_a_folder_is_added_while_run_sh_runs_and_stays(user, tree, tmp_path):
    """Nothing is copied or restarted, and the next start shares it as well."""
    p2p = tree / "bin" / "p2p"
    photos = tmp_path / "my photos"
    photos.mkdir()
    (photos / "sea.jpg").write_bytes(b"sea")

    def found(name):
        command = [p2p, "search", name.rsplit("/")[-1], "--no-mdns"]
        return name in subprocess.run(command, env=user.env, capture_output=True, text=True, timeout=60).stdout

    with Run(tree, user):
        wait_until(lambda: found("hello.txt"), 30, "the first folder")
        user.p2p("share", "add", f"Photos={photos}", program=p2p)
        wait_until(lambda: found("Photos/sea.jpg"), 60, "the new folder")
        assert found("hello.txt")
    with Run(tree, user):
        wait_until(lambda: found("Photos/sea.jpg") and found("hello.txt"), 60, "both folders")


def test_a_second_peer_gets_keys_of_its_own_beside_its_folder(suite, tmp_path):
    """As in README: only another port and folder. A third one with the same keys is refused."""
    home = tmp_path / "home"
    home.mkdir()
    env = {**environment(home), "P2P_HOME": str(home)}

    def start(*words):
        words = ["--host", "127.0.0.1", "--port", 0, "--discovery", NO_REGISTRY, "--no-mdns", *words]
        return suite._keep(Program("p2p-peer", words, tmp_path, env=env))

    def peer_id(program):
        return re.search(r"peer_id=(\w+)", "\n".join(program.lines))[1]

    first = start()
    second = start("--shared-dir", "shared_b/")
    assert peer_id(second) != peer_id(first)
    assert (tmp_path / "shared_b.keys" / "private_key.pem").exists()
    assert "so this one has its own in shared_b.keys" in second.stderr()
    p2p = {"cwd": tmp_path, "env": env, "capture_output": True, "text": True, "timeout": 60, "check": True}
    subprocess.run([BIN / "p2p", "ls", f"127.0.0.1:{second.port}", "--discovery", "none", "--no-mdns"], **p2p)
    known = json.loads(subprocess.run([BIN / "p2p", "peers", "--known", "--json"], **p2p).stdout)["peers"]
    assert [p["claimed_name"] for p in known] == [f"{os.uname().nodename} (shared_b)"]
    os.kill(second.process.pid, signal.SIGHUP)
    wait_until(lambda: "nothing to change" in second.stderr(), 30, "settings read again")
    run = subprocess.run(
        [BIN / "p2p-peer", "--host", "127.0.0.1", "--port", "0", "--shared-dir", "shared_b", "--no-mdns"],
        cwd=tmp_path, env=env, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert run.returncode == 1 and "another p2p-peer uses shared_b.keys" in run.stderr
    # It keeps its identity, whichever of the two runs.
    before = peer_id(second)
    first.stop()
    second.stop()
    assert peer_id(start("--shared-dir", "shared_b")) == before
    # Alone, a peer with a folder has the identity of the home.
    assert peer_id(start("--shared-dir", "shared_c")) == peer_id(first)

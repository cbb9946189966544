"""The completions of bash, zsh and fish as they are installed: each shell loads them itself for each program, and
a test types into it.
"""

import contextlib
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import time

import pytest

from conftest import BIN, ROOT, environment, wait_until

PROGRAMS = ["p2p", "p2p-peer", "p2p-ui", "p2p-discovery", "p2p-relay"]
MIRROR = []  # its id
FILES = {"holiday in Rome.mp4": b"1", "photos/a.jpg": b"2", "photos/b.jpg": b"3"}
PATIENCE_S = 60

pytestmark = pytest.mark.skipif(BIN != ROOT / "bin", reason="a sanitizer's programs are not installed")


def needs(tool):
    return pytest.mark.skipif(shutil.which(tool) is None, reason=f"{tool} is not installed")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    where = tmp_path_factory.mktemp("completions")
    done = subprocess.run(
        ["make", "-s", "-C", ROOT, "install", f"DESTDIR={where}", "PREFIX=/usr"], capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return where / "usr"


@pytest.fixture(scope="module")
def world(module_suite, installed, tmp_path_factory):
    """Environment of a shell on a machine with the programs installed, a registry, and one peer."""
    registry = module_suite.discovery()
    module_suite.peer("--no-mdns", "--name", "Kitchen", files=FILES, discovery=registry)
    ask = ["search", "photos", "--discovery", registry.url, "--no-mdns"]
    wait_until(lambda: module_suite.p2p(*ask).stdout.count("photos/") == 2, PATIENCE_S, "the files listed")
    home = tmp_path_factory.mktemp("home of a shell")
    (home / "a folder").mkdir()
    (home / "p2p.conf").write_text(f"discovery = {registry.url}\nshared-dir = {home}/shared\nshared-dir = Pictures={home}/pictures\n")
    for name in ("shared/my letters/to Ann.txt", "pictures/sea.png"):
        (home / name).parent.mkdir(parents=True)
        (home / name).write_bytes(b"x")
    env = environment(home)
    added = subprocess.run([BIN / "p2p", "mirror", "add", "Kitchen/photos", "--to", "copy", "--no-mdns", "--json"], env=env, cwd=home, capture_output=True, text=True, check=False)
    MIRROR.append(json.loads(added.stdout)["id"])
    subprocess.run([BIN / "p2p", "link", "new", "Pictures/sea.png", "--insecure-link"], env=env, cwd=home, capture_output=True, check=True)
    env |= {
        "PATH": f"{installed / 'bin'}:/usr/bin:/bin", "XDG_DATA_DIRS": f"{installed / 'share'}:/usr/share",
        "TERM": "dumb", "LC_ALL": "C.UTF-8", "BIN": str(installed / "bin"),
    }  # fmt: skip
    return env


class Shell:
    """An interactive shell on a terminal."""

    def __init__(self, env, words, setup):
        self.output = ""
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            with contextlib.suppress(BaseException):
                os.chdir(env["HOME"])
                os.execvpe(words[0], words, env)
            os._exit(127)
        self.type(setup + "; echo re''ady\n")
        self.wait_for(r"^ready")

    def type(self, text):
        os.write(self.terminal, text.encode())

    def wait_for(self, pattern):
        end = time.monotonic() + PATIENCE_S
        while True:
            found = re.search(pattern, self.output.replace("\r", ""), re.M)
            if found:
                return found
            assert time.monotonic() < end, f"no {pattern} in {self.output!r}"
            if select.select([self.terminal], [], [], 0.2)[0]:
                self.output += os.read(self.terminal, 65536).decode(errors="replace")

    def complete(self, line):
        """The words of the line after one Tab, as the shell would pass them to a program."""
        self.output = ""
        # Ctrl-A: the next text goes to the beginning of the line
        self.type(line + "\t\x01printf '<%s>' \x05 ; echo; echo do''ne\n")
        self.wait_for(r"^done")
        return re.findall(r"<([^>\n]*)>", self.output.replace("\r", "").rsplit("do''ne", 1)[1])

    def close(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.terminal)


SHELLS = {
    "bash": (
        ["bash", "--noprofile", "--norc", "-i"],
        "source /usr/share/bash-completion/bash_completion; bind 'set bell-style none'; bind 'set enable-bracketed-paste off'",
    ),
    "zsh": (
        ["zsh", "-f", "-i"],
        "unsetopt zle_bracketed_paste 2>/dev/null; unset zle_bracketed_paste; bindkey -e; PS1='% '; unsetopt prompt_sp prompt_cr;"
        ' fpath=("${BIN%/bin}/share/zsh/site-functions" $fpath); autoload -U compinit; compinit -u -D',
    ),
}


@pytest.fixture(scope="module", params=[pytest.param("bash", marks=needs("bash")), pytest.param("zsh", marks=needs("zsh"))])
def shell(request, world):
    if request.param == "bash" and not os.path.exists("/usr/share/bash-completion/bash_completion"):
        pytest.skip("bash-completion is not installed")
    result = Shell(world, *SHELLS[request.param])
    yield result
    result.close()


# The text before Tab, and the words after it.
LINES = [
    ("p2p sear", ["p2p", "search"]),
    ("p2p get --on-con", ["p2p", "get", "--on-conflict"]),
    ("p2p get --on-conflict over", ["p2p", "get", "--on-conflict", "overwrite"]),
    ("p2p get --on-conflict=over", ["p2p", "get", "--on-conflict=overwrite"]),
    ("p2p peers tru", ["p2p", "peers", "trust"]),
    ("p2p key unpro", ["p2p", "key", "unprotect"]),
    ("p2p help doc", ["p2p", "help", "doctor"]),
    ("p2p get holi", ["p2p", "get", "holiday in Rome.mp4"]),
    ("p2p get pho", ["p2p", "get", "photos/"]),
    ("p2p get photos/b", ["p2p", "get", "photos/b.jpg"]),
    ("p2p get holiday\\ in", ["p2p", "get", "holiday in Rome.mp4"]),
    ("p2p get nothing-like-i", ["p2p", "get", "nothing-like-i"]),
    ("p2p ls Kit", ["p2p", "ls", "Kitchen"]),
    ("p2p peers trust Kit", ["p2p", "peers", "trust", "Kitchen"]),
    ("p2p get x --peer Kit", ["p2p", "get", "x", "--peer", "Kitchen"]),
    ("p2p versi", ["p2p", "versions"]),
    ("p2p mirr", ["p2p", "mirror"]),
    ("p2p share ad", ["p2p", "share", "add"]),
    ("p2p share add a\\ fo", ["p2p", "share", "add", "a folder"]),
    ("p2p share rm Pic", ["p2p", "share", "rm", "Pictures"]),
    ("p2p folder li", ["p2p", "folder", "list"]),
    ("p2p folder private my", ["p2p", "folder", "private", "my letters/"]),
    ("p2p folder private x --allow Kit", ["p2p", "folder", "private", "x", "--allow", "Kitchen"]),
    ("p2p history Pictures/s", ["p2p", "history", "Pictures/sea.png"]),
    ("p2p restore my\\ letters/", ["p2p", "restore", "my letters/to Ann.txt"]),
    ("p2p versions pu", ["p2p", "versions", "purge"]),
    ("p2p mirror add Kit", ["p2p", "mirror", "add", "Kitchen"]),
    ("p2p mirror pause ", ["p2p", "mirror", "pause", "MIRROR"]),
    ("p2p keeper --eve", ["p2p", "keeper", "--every"]),
    ("p2p send a\\ fo", ["p2p", "send", "a folder"]),
    ("p2p send x --to Kit", ["p2p", "send", "x", "--to", "Kitchen"]),
    ("p2p mirror add x --to a\\ fo", ["p2p", "mirror", "add", "x", "--to", "a folder"]),
    ("p2p inbox always Kit", ["p2p", "inbox", "always", "Kitchen"]),
    ("p2p link rev", ["p2p", "link", "revoke"]),
    ("p2p link revoke ", ["p2p", "link", "revoke", "1"]),
    ("p2p-peer --offers kn", ["p2p-peer", "--offers", "known"]),
    ("p2p link new Pictures/s", ["p2p", "link", "new", "Pictures/sea.png"]),
    ("p2p send --save", ["p2p", "send", "--save-as"]),
    ("p2p receive 7-guit", ["p2p", "receive", "7-guitar-"]),
    ("p2p receive x -o a\\ fo", ["p2p", "receive", "x", "-o", "a folder"]),
    ("p2p config set limit-rate-t", ["p2p", "config", "set", "limit-rate-total"]),
    ("p2p get x --path rel", ["p2p", "get", "x", "--path", "relay"]),
    ("p2p-peer --adver", ["p2p-peer", "--advertise"]),
    ("p2p-peer --shared-dir a\\ fo", ["p2p-peer", "--shared-dir", "a folder"]),
    ("p2p-ui --peer-po", ["p2p-ui", "--peer-port"]),
    ("p2p-discovery --snap", ["p2p-discovery", "--snapshot"]),
    ("p2p-relay --quota-t", ["p2p-relay", "--quota-total"]),
    ("p2p-discovery --log-level de", ["p2p-discovery", "--log-level", "debug"]),
]


@pytest.mark.parametrize("line, words", LINES, ids=[line for line, _ in LINES])
def test_a_shell_completes(shell, line, words):
    # zsh removes the slash of a folder when other text follows
    expected = [word.replace("MIRROR", MIRROR[0]) for word in words]
    assert [word.replace("a folder/", "a folder") for word in shell.complete(line)] == expected


@needs("fish")
@pytest.mark.parametrize("line, words", LINES, ids=[line for line, _ in LINES])
def test_fish_completes(world, installed, line, words):
    """fish finds the file of each program below XDG_DATA_DIRS, as it does for packages."""
    done = subprocess.run(
        ["fish", "--private", "-c", "complete -C \"$argv[1]\"", line], env={**world, "XDG_CONFIG_HOME": world["HOME"]},
        cwd=world["HOME"], capture_output=True, text=True, check=False, timeout=PATIENCE_S,
    )  # fmt: skip
    assert done.returncode == 0 and not done.stderr, done.stderr
    offered = [row.split("\t")[0].replace("\\ ", " ").replace("a folder/", "a folder") for row in done.stdout.splitlines()]
    assert offered == ([words[-1].replace("MIRROR", MIRROR[0])] if words[-1] != "nothing-like-i" else [])


def test_every_command_is_offered(shell, world):
    """That `p2p help` lists."""
    commands = re.findall(r"^  ([a-z]+) ", subprocess.run([BIN / "p2p", "help"], env=world, capture_output=True, text=True, check=True).stdout, re.M)
    assert {"send", "receive", "mirror", "keeper", "folder", "versions", "history", "restore"} <= set(commands)
    for command in commands:
        assert shell.complete(f"p2p {command}") == ["p2p", command]


@needs("fish")
def test_fish_offers_every_command(world):
    commands = re.findall(r"^  ([a-z]+) ", subprocess.run([BIN / "p2p", "help"], env=world, capture_output=True, text=True, check=True).stdout, re.M)
    done = subprocess.run(["fish", "--private", "-c", "complete -C 'p2p '"], env=world, cwd=world["HOME"], capture_output=True, text=True, check=True, timeout=PATIENCE_S)
    assert {row.split("\t")[0] for row in done.stdout.splitlines()} == {*commands, "help"}


@needs("fish")
def test_fish_shows_whole_descriptions(world):
    done = subprocess.run(
        ["fish", "--private", "-c", "complete -C 'p2p-peer --adver'"], env=world, cwd=world["HOME"], capture_output=True,
        text=True, check=True, timeout=PATIENCE_S,
    )  # fmt: skip
    assert done.stdout.rstrip().endswith("registry sees)")


def names(suite, env, *words):
    run = subprocess.run(
        [BIN / "p2p", "complete", *words], env=env, cwd=env["HOME"], capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )  # fmt: skip
    assert run.returncode == 0 and not run.stderr, run.stderr
    return run.stdout.splitlines()


def test_ids_complete_where_they_begin_so(module_suite, world):
    (peer_id,) = set(re.findall(r'"peer_id":"(\w{64})"', module_suite.p2p("peers", "--json", "--no-mdns", env={"P2P_CONFIG": world["HOME"] + "/p2p.conf"}).stdout))
    assert names(module_suite, world, "peers", peer_id[:5]) == [peer_id[:16]]
    assert names(module_suite, world, "peers") == ["Kitchen"]
    assert names(module_suite, world, "peers", "kitch") == []
    # Once only, also when it is known and online.
    module_suite.p2p("peers", "trust", peer_id, "--no-mdns", env={"P2P_CONFIG": world["HOME"] + "/p2p.conf"}, check=True)
    assert names(module_suite, world, "peers", "Kit") == ["Kitchen"]


def test_tab_makes_nothing_and_says_nothing(module_suite, tmp_path):
    """No identity, no question, no error, even if no registry answers."""
    env = {**environment(tmp_path), "P2P_DISCOVERY": "http://127.0.0.1:9"}
    for words in (["peers"], ["peers", "x"], ["files"], ["files", "x"], ["files", "\\"], ["peers", "\x1b"], ["links"], ["offers"]):
        assert names(module_suite, env, *words) == []
    assert list(tmp_path.iterdir()) == []


def test_a_protected_key_is_not_asked_for(suite, tmp_path):
    home = tmp_path / "protected"
    home.mkdir()
    env = environment(home)
    subprocess.run([BIN / "p2p", "id"], env=env, cwd=home, check=True, capture_output=True)
    subprocess.run(
        [BIN / "p2p", "key", "protect"], env={**env, "P2P_PASSPHRASE_FD": "0"}, input="one two three four five\n",
        cwd=home, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert names(suite, {**env, "P2P_DISCOVERY": "none"}, "peers") == []


@pytest.mark.parametrize("words", [(), ("nonsense",), ("peers", "a", "b"), ("files", "--nonsense")], ids=repr)
def test_wrong_words_are_refused(suite, words):
    assert suite.p2p("complete", *words).returncode == 2


def test_each_program_has_a_file_of_its_own_name(installed):
    """bash and fish look for the file by the name of the program."""
    for folder, ending in (("bash-completion/completions", ""), ("fish/vendor_completions.d", ".fish")):
        for program in PROGRAMS:
            assert (installed / "share" / folder / (program + ending)).read_text().startswith(f"# {ending[1:] or 'bash'} completion")

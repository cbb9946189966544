"""scripts/deps.sh and `p2p doctor` list libraries that could be newer and install nothing; only `deps.sh
--upgrade` installs. A fake package manager in PATH writes down every call.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from conftest import BIN, ROOT, environment

# The manager: name, installed (or "-"), candidate. What the scripts ask for is in the first word.
DPKG_QUERY = r"""#!/bin/sh
echo "dpkg-query $*" >>"$FAKE/calls"
case $1 in
-S) # one owner for each path that the database knows
    for path in "$@"; do
        case $path in
        /usr/lib/*libcrypto.so.3 | /usr/lib/*libssl.so.3) echo "libssl3:amd64: $path" ;;
        /lib/*libc.so.6) echo "libc6:amd64: $path" ;;
        /usr/lib/*libcurl.so.4) echo "libcurl4:amd64, other:amd64: $path"; echo "diversion by x from: $path" ;;
        esac
    done
    exit 1 ;;
esac
format=$2
shift 2
for package in "$@"; do
    [ "$package" != "$(cat "$FAKE/missing" 2>/dev/null)" ] || continue
    case $format in
    *Depends*) echo "libssl3 (>= 3.0), libc6 | libc6-alt, make, " ;;
    *Status*Package*) echo "installed $package" ;;
    *Package*Status*) echo "$package installed" ;;
    esac
done
"""
APT_CACHE = r"""#!/bin/sh
echo "apt-cache $*" >>"$FAKE/calls"
[ "$LC_ALL" = C ] || exit 1
shift
for package in "$@"; do
    package=${package%:*}
    installed=1.0-1 candidate=1.0-1
    case $package in
    libssl3) installed=3.0.1-1 candidate=3.0.9-1 ;;
    libssl-dev) candidate=2:1.0-1 ;;
    libcurl4) candidate='(none)' ;;
    esac
    [ ! -e "$FAKE/current" ] || candidate=$installed
    printf '%s:\n  Installed: %s\n  Candidate: %s\n  Version table:\n     9.9 500\n *** 1.0-1 100\n' \
        "$package" "$installed" "$candidate"
done
"""
LOGGED = '#!/bin/sh\necho "$(basename "$0") $*" >>"$FAKE/calls"\n'


@pytest.fixture
def fake(tmp_path):
    """{environment, folder}: the fakes come first in PATH; the caller is an ordinary user."""
    tools = {
        "dpkg-query": DPKG_QUERY,
        "apt-cache": APT_CACHE,
        "apt-get": LOGGED,
        "sudo": LOGGED + 'exec "$@"\n',
        "id": "#!/bin/sh\necho 1000\n",
    }
    (tmp_path / "fake").mkdir()
    for name, text in tools.items():
        (tmp_path / "fake" / name).write_text(text)
        (tmp_path / "fake" / name).chmod(0o755)
    (tmp_path / "calls").touch()
    env = environment(tmp_path)
    return {**env, "PATH": f"{tmp_path / 'fake'}:{os.environ['PATH']}", "FAKE": str(tmp_path)}


def deps(fake, *words):
    return subprocess.run(
        [ROOT / "scripts" / "deps.sh", *words], env=fake, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip


def calls(fake, *names):
    with open(fake["FAKE"] + "/calls") as lines:
        return [line.rstrip("\n") for line in lines if line.split()[0] in names]


def write(fake, name, text):
    with open(f"{fake['FAKE']}/{name}", "w") as out:
        out.write(text)


CHANGES = ["apt-get", "sudo"]


def test_alone_it_says_what_could_be_newer(fake):
    done = deps(fake)
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^  (\S+) (\S+) -> (\S+)$", done.stdout, re.M)
    assert rows == [("libssl-dev", "1.0-1", "2:1.0-1"), ("libssl3", "3.0.1-1", "3.0.9-1")]
    assert "--upgrade" in done.stdout
    assert not calls(fake, *CHANGES)


def test_alone_it_says_that_all_is_current(fake):
    write(fake, "current", "")
    done = deps(fake)
    assert done.returncode == 0 and "->" not in done.stdout and "no newer version" in done.stdout
    assert not calls(fake, *CHANGES)


@pytest.mark.parametrize("words", [(), ("--report",), ("build", "--report"), ("--report", "--yes", "test")], ids=repr)
def test_it_says_what_is_missing_and_installs_nothing(fake, words):
    write(fake, "missing", "libzstd-dev")
    done = deps(fake, *words)
    assert done.returncode == 1 and "Missing packages" in done.stdout and "libzstd-dev" in done.stdout
    assert not calls(fake, *CHANGES)


def test_with_a_set_it_installs_what_is_missing_and_nothing_else(fake):
    write(fake, "missing", "libzstd-dev")
    done = deps(fake, "build")
    assert done.returncode == 0, done.stderr
    installs = [call.split() for call in calls(fake, "apt-get") if " install " in call]
    assert len(installs) == 1 and installs[0][-1] == "libzstd-dev"
    assert not [word for word in installs[0][1:-1] if not word.startswith("-") and word != "install"]
    assert "--only-upgrade" not in installs[0]


@pytest.fixture
def bare(fake):
    """Only the fakes, and the ordinary tools that the script uses, are in PATH."""
    tools = Path(fake["FAKE"]) / "tools"
    tools.mkdir()
    for tool in ("awk", "basename", "bash", "cat", "env", "grep", "sed", "sort", "tr", "xargs"):
        (tools / tool).symlink_to(shutil.which(tool))
    return {**fake, "PATH": f"{fake['FAKE']}/fake:{tools}"}


def add_commands(fake, *names):
    for name in names:
        write(fake, f"fake/{name}", "#!/bin/sh\n")
        Path(fake["FAKE"], "fake", name).chmod(0o755)


@pytest.mark.parametrize("package, commands", [("npm", ["npm"]), ("nodejs", ["node"]), ("prometheus", ["prometheus", "promtool"])])
def test_a_command_from_elsewhere_is_enough(bare, package, commands):
    """The nodejs of other people brings npm, and conflicts with Debian's npm."""
    write(bare, "missing", package)
    for command in commands:
        asked = deps(bare, "platforms", "--report")
        assert asked.returncode == 1 and asked.stdout.split()[-1] == package
        add_commands(bare, command)
    write(bare, "current", "")
    for words in (("platforms", "--report"), ("platforms", "--yes"), ("platforms", "--upgrade")):
        done = deps(bare, *words)
        assert done.returncode == 0 and "Missing" not in done.stdout + done.stderr, done.stderr
    assert not [call for call in calls(bare, "apt-get") if package in call.split()]


def test_a_command_does_not_replace_a_package_with_more_than_it(bare):
    """gcc is nothing without the headers and libraries that its package depends on."""
    write(bare, "missing", "gcc")
    add_commands(bare, "gcc")
    done = deps(bare, "build", "--report")
    assert done.returncode == 1 and done.stdout.split()[-1] == "gcc"


def test_with_a_set_it_does_not_look_for_newer_ones(fake):
    """scripts/run.sh calls it at every start."""
    assert "deps.sh\" build\n" in (ROOT / "scripts" / "run.sh").read_text()
    done = deps(fake, "build")
    assert done.returncode == 0 and not done.stdout and not done.stderr
    assert not calls(fake, "apt-cache", *CHANGES)
    assert len(calls(fake, "dpkg-query")) == 1


def test_upgrade_upgrades(fake):
    done = deps(fake, "--upgrade")
    assert done.returncode == 0, done.stderr
    (install,) = [call.split() for call in calls(fake, "apt-get") if " install " in call]
    assert "--only-upgrade" in install and {"libssl-dev", "libssl3", "libc6", "gcc"} <= set(install)
    assert calls(fake, "apt-get")[0].split()[1] == "update"


@pytest.mark.parametrize("words", [("--upgrade", "nonsense"), ("Build",), ("--yes=1",)], ids=repr)
def test_unknown_words_are_refused(fake, words):
    done = deps(fake, *words)
    assert done.returncode == 2 and "usage:" in done.stderr
    assert not calls(fake, "apt-cache", "dpkg-query", *CHANGES)


def doctor(fake):
    done = subprocess.run(
        [BIN / "p2p", "doctor", "--discovery", "none", "--no-mdns", "--json", "--keys-dir", fake["FAKE"] + "/keys"],
        env=fake, cwd=fake["FAKE"], capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [(c["result"], c["text"]) for c in json.loads(done.stdout)["checks"] if c["check"] == "libraries"]


def test_doctor_says_what_could_be_newer(fake):
    ((result, text),) = doctor(fake)
    assert result == "note" and "libssl3 3.0.1-1 can be upgraded to 3.0.9-1" in text
    assert not calls(fake, *CHANGES)
    (asked,) = calls(fake, "apt-cache")
    assert asked.split()[1:] == ["policy", *asked.split()[2:]]
    assert {"libssl3:amd64", "libcurl4:amd64", "libc6:amd64"} == set(asked.split()[2:])


def test_doctor_says_that_all_is_current(fake):
    write(fake, "current", "")
    ((result, text),) = doctor(fake)
    assert result == "ok" and "no newer version" in text


@pytest.mark.parametrize("tool", ["dpkg-query", "apt-cache"])
def test_doctor_without_apt(fake, tool):
    write(fake, f"fake/{tool}", "#!/bin/sh\nexit 127\n")
    ((result, text),) = doctor(fake)
    assert result == "note" and "does not use apt" in text

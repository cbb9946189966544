"""--version names the libraries in use."""

import re
import subprocess

import pytest

from conftest import BIN

PROGRAMS = {
    "p2p": {"OpenSSL", "libcurl"},
    "p2p-peer": {"OpenSSL", "libcurl"},
    "p2p-ui": {"OpenSSL", "SQLite", "libmicrohttpd", "cJSON"},
    "p2p-discovery": {"libmicrohttpd"},
    "p2p-relay": {"OpenSSL", "libmicrohttpd"},
}


@pytest.mark.parametrize("program, needed", PROGRAMS.items(), ids=PROGRAMS)
def test_the_libraries_in_use(program, needed):
    done = subprocess.run([BIN / program, "--version"], capture_output=True, text=True, check=True)
    first, *rest = done.stdout.splitlines()
    assert re.fullmatch(rf"{program} \S+", first)
    found = dict(line.split() for line in rest)
    assert needed <= set(found), done.stdout
    assert all(re.match(r"\d+(\.\d+)*", version) for version in found.values()), found
    linked = subprocess.run(["ldd", BIN / program], capture_output=True, text=True, check=True).stdout
    assert ("OpenSSL" in found) == ("libcrypto.so" in linked)


def test_openssl_says_the_same():
    done = subprocess.run([BIN / "p2p", "--version"], capture_output=True, text=True, check=True)
    command = subprocess.run(["openssl", "version"], capture_output=True, text=True, check=False).stdout
    if "Library:" in command:  # the command and the library may differ
        command = command.split("Library:")[1]
    assert dict(line.split() for line in done.stdout.splitlines()[1:])["OpenSSL"] in command

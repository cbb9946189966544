"""The manual and the completions contain everything that --help shows."""

import re
import subprocess

import pytest

from conftest import BIN, ROOT

COMMANDS = ["get", "search", "peers", "ls", "status", "id", "key", "ui", "token", "share", "unfinished", "send", "inbox", "init", "config", "doctor",
            "receive", "folder", "link", "history", "restore", "versions", "mirror", "keeper"]  # fmt: skip
PROGRAMS = [["p2p-peer"], ["p2p-ui"], ["p2p-discovery"], ["p2p-relay"], *(["p2p", command] for command in COMMANDS)]


def options(program, *words):
    text = subprocess.run([BIN / program, *words, "--help"], capture_output=True, text=True, check=True).stdout
    return re.findall(r"^  (--[a-z0-9-]+)", text, re.M)


def manual(program):
    return (ROOT / "docs" / "man" / f"{program}.1").read_text().replace("\\-", "-")


@pytest.mark.parametrize("words", PROGRAMS, ids=" ".join)
def test_the_manual_has_every_option(words):
    text = manual(words[0])
    if len(words) > 1:  # the command's own section, and the section for all commands
        sections = text.split(".SS ")
        text = "".join(s for s in sections if s.startswith((f"p2p {words[1]} ", "All commands")))
    listed = options(*words)
    assert len(listed) > 3
    assert [o for o in listed if not re.search(rf"^\.BR {o}( |$)", text, re.M)] == []


def test_the_help_fits_a_terminal_and_lists_every_command():
    text = subprocess.run([BIN / "p2p", "help"], capture_output=True, text=True, check=True).stdout
    assert sorted(re.findall(r"^  ([a-z]+)", text, re.M)) == sorted(COMMANDS)
    for words in PROGRAMS:
        text += subprocess.run([BIN / words[0], *words[1:], "--help"], capture_output=True, text=True, check=True).stdout
    assert [line for line in text.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("words", PROGRAMS[:4], ids=" ".join)
def test_the_manual_has_no_option_that_is_gone(words):
    known = options(*words)
    named = re.findall(r"^\.BR (--[a-z0-9-]+)", manual(words[0]).split(".SH CONFIGURATION")[0], re.M)
    assert named and set(named) <= set(known)


def complete(*words):
    """The words that bash would offer for the last word."""
    script = (
        f"source {ROOT}/completions/p2p.bash; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1));"
        ' _p2p "$1"; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    line = [str(BIN / words[0]), *words[1:]]
    run = subprocess.run(["bash", "-c", script, "bash", *line], capture_output=True, text=True, check=True)
    return run.stdout.split()


def test_bash_completion():
    assert complete("p2p", "ge") == ["get"]
    assert set(complete("p2p", "")) >= set(COMMANDS)
    assert complete("p2p", "get", "--output-") == ["--output-dir"]
    assert complete("p2p-peer", "--adv") == ["--advertise"]
    assert complete("p2p", "get", "--verify", "t") == ["tree"]
    assert complete("p2p", "peers", "b") == ["block"]

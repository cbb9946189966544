"""The lines of the daemons' logs: text, JSON, and lines for the systemd journal."""

import json
import os
import re
import signal
import socket
import subprocess

import pytest

from conftest import BIN, environment, wait_until

DAEMONS = ["p2p-discovery", "p2p-peer", "p2p-ui"]
TEXT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (error|warn|info|debug) (\S+): .*")
NOTICE = re.compile(r"p2p-ui: (to open the dashboard|to use another device).*")


def start(suite, program, *words, **launch):
    """The program; its log is NAME.log in the folder that this returns, too."""
    kinds = {"p2p-discovery": suite.discovery, "p2p-peer": suite.peer, "p2p-ui": suite.ui}
    return kinds[program](*words, **launch)


def journal(suite, program):
    """An environment in which the program's log file passes for the journal, as systemd describes it."""
    folder = suite.folder / ("discovery" if program == "p2p-discovery" else "peer")
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{program}.log"
    log.touch()
    return {"JOURNAL_STREAM": f"{log.stat().st_dev}:{log.stat().st_ino}"}


def finished(running):
    running.stop()
    lines = running.stderr().splitlines()
    assert lines
    return lines


@pytest.mark.parametrize("program", DAEMONS)
def test_text_lines_have_time_level_and_program(suite, program):
    for line in finished(start(suite, program)):
        match = TEXT.fullmatch(line)
        assert NOTICE.fullmatch(line) if match is None else match.group(2) == program, line


@pytest.mark.parametrize("program", DAEMONS)
def test_every_line_is_a_json_object(suite, program):
    objects = [json.loads(line) for line in finished(start(suite, program, "--log-format", "json"))]
    for found in objects:
        assert set(found) - {"fields"} == {"time", "level", "program", "message"}
        assert found["program"] == program and found["level"] in ("error", "warn", "info", "debug")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", found["time"])
        assert all(isinstance(value, str) for value in found.get("fields", {}).values())
    assert any("sandbox" in found.get("fields", {}) for found in objects), objects


@pytest.mark.parametrize("program", DAEMONS)
def test_lines_for_the_journal_have_a_priority_and_no_time(suite, program):
    lines = finished(start(suite, program, env=journal(suite, program)))
    for line in lines:
        assert re.match(r"<[3467]>", line), line
        assert not TEXT.fullmatch(line[3:]) and not line[3:].startswith(program), line
    assert any("sandbox=" in line for line in lines)


def test_json_in_the_journal_has_a_priority_too(suite):
    for line in finished(suite.discovery("--log-format", "json", env=journal(suite, "p2p-discovery"))):
        assert line.startswith(("<4>{", "<6>{")) and json.loads(line[3:])["program"] == "p2p-discovery"


def test_a_variable_that_means_another_stderr_changes_nothing(suite):
    for line in finished(suite.discovery(env={"JOURNAL_STREAM": "8:12345"})):
        assert TEXT.fullmatch(line), line


def refusals(peer, style):
    """Sends a message that is none, and counts the refusals that were logged in this style."""
    with socket.create_connection(peer.address) as s:
        s.sendall(b"\0" * 200)
        s.settimeout(10)
        try:
            s.recv(1)
        except OSError:
            pass
    return sum("handshake refused" in line and bool(style(line)) for line in peer.stderr().splitlines())


def test_hangup_changes_the_format(suite):
    """In both processes: the one that reads the settings, and the one that serves."""
    settings = suite.folder / "settings.conf"
    settings.write_text("[p2p-peer]\nlog-format = text\n")
    peer = suite.peer("--config", settings)
    wait_until(lambda: refusals(peer, TEXT.fullmatch), 30, "a refusal as text")
    settings.write_text("[p2p-peer]\nlog-format = json\n")
    peer.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "settings: changed --log-format" in peer.stderr(), 30, "the change")
    wait_until(lambda: refusals(peer, lambda line: line.startswith('{"time":')), 30, "a refusal as JSON")
    peer.stop()
    last = json.loads([line for line in peer.stderr().splitlines() if "handshake refused" in line][-1])
    assert last["message"] == "handshake refused" and last["fields"]["from"] == "127.0.0.1"


@pytest.mark.parametrize("program", DAEMONS)
@pytest.mark.parametrize("value", ["xml", "JSON", ""])
def test_an_unknown_format_is_refused(suite, program, value):
    run = subprocess.run(
        [BIN / program, f"--log-format={value}"], env=environment(suite.folder), cwd=suite.folder,
        capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert run.returncode == 2 and "--log-format" in run.stderr
    assert "text or json" in run.stderr or value == ""


def test_a_wrong_option_reaches_the_journal_as_an_error(suite):
    read, write = os.pipe()
    try:
        there = os.fstat(write)
        env = {**environment(suite.folder), "JOURNAL_STREAM": f"{there.st_dev}:{there.st_ino}"}
        run = subprocess.run([BIN / "p2p-peer", "--prot", "1"], env=env, cwd=suite.folder, stderr=write, timeout=60)
        said = os.read(read, 4096).decode()
    finally:
        os.close(read)
        os.close(write)
    assert run.returncode == 2
    assert said.startswith("<3>unknown option --prot")

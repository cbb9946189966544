"""The channel over UDP with other people's programs at the other end: browsers, and libraries of npm. Both ways:
each side makes the offer once. Bytes go both ways, and are compared."""

import json
import os
import subprocess
import threading
from pathlib import Path

import pytest

from browser.firefox import Firefox
from conftest import LONG, long_test, wait_until

ROOT = Path(__file__).resolve().parents[2]
NET = ROOT / "tests" / "net"
OBJECTS = os.environ.get("P2P_OBJECTS", "build/gcc")
NATIVE = ROOT / OBJECTS / "bench" / "channel_end"
BYTES = (40 if LONG else 4) * 1000 * 1000
ROLES = ("calls", "answers")
OTHER = {"calls": "answers", "answers": "calls"}


@pytest.fixture(scope="module")
def native():
    made = subprocess.run(["make", "-s", str(NATIVE.relative_to(ROOT))], cwd=ROOT, capture_output=True, text=True)
    if made.returncode != 0:
        pytest.skip(f"channel_end cannot be built: {made.stdout}{made.stderr}")
    return NATIVE


class Native:
    def __init__(self, program, role, size):
        words = [program, role, str(size)]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.end = {"candidates": []}
        for line in self.process.stdout:
            key, _, value = line.strip().partition(" ")
            if key == "end":
                break
            if key == "candidate":
                self.end["candidates"].append(value)
            else:
                self.end[key] = value

    def tell(self, end):
        lines = [f"{key} {end[key]}" for key in ("ufrag", "pwd", "fingerprint")]
        lines += [f"candidate {text}" for text in end["candidates"]]
        self.process.stdin.write("\n".join([*lines, "end\n"]))
        self.process.stdin.flush()

    def result(self):
        out, _ = self.process.communicate(timeout=120)
        return dict(pair.split("=") for pair in out.split())

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


def check(native, size, theirs, name):
    ours = native.result()
    assert ours.get("received") == str(size), ours
    assert theirs["received"] == theirs["sent"] == size, theirs
    speeds = [size / 1000 / max(theirs[key], 1) for key in ("receivedMs", "sentMs")]
    print(f"{name}: opened in {ours['opened_ms']} ms, {speeds[0]:.1f} MB/s there, {speeds[1]:.1f} MB/s back")


# ---- browsers ----


def chromium(folder):
    page = pytest.importorskip("browser.page", reason="selenium is missing")
    if not Path("/usr/bin/chromedriver").exists():
        pytest.skip("chromedriver is missing")
    return page.start_browser(folder)


def firefox(folder):
    if not Path("/usr/bin/firefox-esr").exists():
        pytest.skip("firefox-esr is missing")
    # Off in a page that has no camera or microphone: then only a name by mDNS is told, which nobody resolves here.
    return Firefox({"media.peerconnection.ice.obfuscate_host_addresses": False})


@pytest.mark.parametrize("start", [chromium, firefox])
def test_a_browser(start, native, tmp_path):
    driver = start(tmp_path / "profile")
    try:
        driver.set_script_timeout(120)
        for role in ROLES:
            driver.get("about:blank")
            driver.execute_script((NET / "other_end.js").read_text())
            end = Native(native, OTHER[role], BYTES)
            try:
                if all(text.startswith("127.") for text in end.end["candidates"]):
                    pytest.skip("browsers do not use the loopback address, and this machine has no other one")
                # Firefox collects a connection that nobody holds.
                told = driver.execute_async_script(
                    "const [native, calls, bytes, done] = arguments;"
                    "meet(RTCPeerConnection, native, calls, bytes)"
                    ".then((m) => { [window.result, window.pc] = [m.result, m.pc]; done({end: m.end}); }, (e) => done({error: String(e)}));",
                    end.end, role == "calls", BYTES,
                )  # fmt: skip
                assert "error" not in told, told
                end.tell(told["end"])
                theirs = driver.execute_async_script(
                    "const done = arguments[0]; window.result.then(done, (e) => done({error: String(e)}));"
                )
                assert "error" not in theirs, (theirs, end.process.poll())
                check(end, BYTES, theirs, f"{start.__name__} {role}")
                # Its channel closes with ours, which has said so before its program ended.
                wait_until(lambda: driver.execute_script("return window.isClosed === true"), 30, "the end of the channel")
            finally:
                end.close()
    finally:
        driver.quit()


# ---- libraries ----


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """node-datachannel (libdatachannel) and werift, in a folder of their own; P2P_NPM_DIR names one that has them."""
    folder = Path(os.environ.get("P2P_NPM_DIR") or tmp_path_factory.mktemp("npm"))
    if not (folder / "node_modules").exists():
        words = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "node-datachannel@0.33", "werift@0.25"]
        try:
            done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=300)
        except (OSError, subprocess.TimeoutExpired) as error:
            pytest.skip(f"npm cannot install the libraries: {error}")
        if done.returncode != 0:
            pytest.skip(f"npm cannot install the libraries: {done.stderr[-300:]}")
    return folder


@long_test
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("library", ["node-datachannel", "werift"])
def test_a_library(library, role, native, packages):
    size = BYTES if library != "werift" else 400_000  # it is written in JavaScript, and slow
    env = {**os.environ, "NODE_PATH": str(packages / "node_modules")}
    words = ["node", NET / "node_end.js", library, role, str(size)]
    other = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
    end = Native(native, OTHER[role], size)
    bound = threading.Timer(100, other.kill)
    bound.start()
    try:
        other.stdin.write(json.dumps(end.end) + "\n")
        other.stdin.flush()
        told = json.loads(other.stdout.readline())
        assert "error" not in told, told
        end.tell(told)
        theirs = json.loads(other.stdout.readline())
        assert "error" not in theirs, theirs
        check(end, size, theirs, f"{library} {role}")
    finally:
        bound.cancel()
        end.close()
        other.kill()
        other.communicate()

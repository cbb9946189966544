"""A browser on the machine itself: the dashboard opens without a code, unless the browser listens for connections."""

import contextlib
import os
import re
import shutil
import signal
import subprocess

import pytest

from conftest import wait_until
from page import FLAGS, Page, driver, width  # noqa: F401
from piped import piped_browser
from test_run_sh import Run
from world import sign_in

CHROMIUM = ["chromium", *FLAGS]
FIREFOX = ["firefox-esr", "--headless", "--new-instance"]


def follows(ui):
    """True if the page receives events; only a page that was let in does."""
    text = ui.api.get("/metrics").text
    return int(re.search(r"^p2p_ui_event_streams (\d+)", text, re.M).group(1)) > 0


@contextlib.contextmanager
def open_in(command, profile, url):
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not installed (scripts/deps.sh test)")
    profile.mkdir()
    home = {**os.environ, "HOME": str(profile), "MOZ_DISABLE_AUTO_SAFE_MODE": "1"}
    where = [f"--user-data-dir={profile}"] if command[0] == "chromium" else ["--profile", str(profile)]
    process = subprocess.Popen([*command, *where, url], env=home, stdin=subprocess.DEVNULL, start_new_session=True,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize("command", [CHROMIUM, FIREFOX], ids=["chromium", "firefox"])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_browser_of_the_same_user_is_let_in(suite, tmp_path, command, host):
    ui = suite.ui(peer=suite.peer(files={"f.txt": b"x"}))
    with open_in(command, tmp_path / "profile", f"http://{host}:{ui.port}/"):
        wait_until(lambda: follows(ui), 90, "a page that was let in")


@pytest.mark.parametrize("command", [[*CHROMIUM, "--remote-debugging-port=0"], [*FIREFOX, "--remote-debugging-port=0"]],
                         ids=["chromium", "firefox"])  # fmt: skip
def test_a_browser_with_a_debugging_port_is_asked_for_the_code(suite, tmp_path, command):
    """Any program that reaches this port controls the browser."""
    ui = suite.ui(peer=suite.peer(files={"f.txt": b"x"}))
    with open_in(command, tmp_path / "profile", f"http://localhost:{ui.port}/"):
        wait_until(lambda: "listens for TCP" in ui.stderr(), 90, "a request that was refused")
        assert not follows(ui)


def test_the_page_for_a_browser_that_is_not_known(suite, driver, width):
    ui = suite.ui(peer=suite.peer(files={"secret.txt": b"x"}))
    page = Page(driver, f"http://localhost:{ui.port}").size(width)
    driver.get("about:blank")
    page.console()  # of the page before
    driver.get(page.url)
    page.see("Pair this device")
    page.see("p2p ui")
    assert [e.get_attribute("id") for e in page.all("main input")] == ["pair-code"]
    assert "secret.txt" not in page.text() and page.overflow() <= 0
    assert all("401" in entry["message"] for entry in page.console())
    code = ui.api.request("POST", "/api/pair/code").json()["code"]
    page.one("#pair-code").send_keys(code)
    page.row("secret.txt")


def test_after_guesses_a_long_code_is_asked_for(suite, driver):
    ui = suite.ui(peer=suite.peer(files={"secret.txt": b"x"}))
    code = ui.api.request("POST", "/api/pair/code").json()["code"]
    page = Page(driver, f"http://localhost:{ui.port}").size("phone")
    driver.get("about:blank")
    driver.get(page.url)
    page.see("Pair this device")
    wrong = f"{(int(code) + 1) % 1_000_000:06}"
    for _ in range(5):
        assert ui.anyone.request("POST", "/api/pair", json={"code": wrong}).status_code == 403
    long = ui.api.json("/api/pair/code")["code"]
    assert len(long) == 12
    page.one("#pair-code").send_keys(code)
    page.see("12 digits")
    page.one("#pair-code").clear()
    page.one("#pair-code").send_keys(" ".join(long[i : i + 3] for i in range(0, 12, 3)))
    page.row("secret.txt")


def test_the_link_opens_the_dashboard(suite, driver):
    ui = suite.ui(peer=suite.peer(files={"mine.txt": b"x"}))
    sign_in(driver, ui)
    page = Page(driver, f"http://localhost:{ui.port}")
    page.row("mine.txt")
    assert page.js("return location.pathname") == "/"


def test_the_quick_start(suite, tmp_path):
    """scripts/run.sh, then http://localhost:PORT in a new profile: shows, uploads and downloads, without a code."""
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "mine.txt").write_bytes(b"mine")
    run = Run(tmp_path, "--discovery-port", 0, "--peer-port", 0, "--ui-port", 0)
    try:
        wait_until(lambda: "Press Ctrl-C" in run.text or run.process.poll() is not None, 300, "started")
        assert run.process.poll() is None, run.text
        url = re.search(r"Dashboard +(http://localhost:\d+)", run.text).group(1)
        registry = re.search(r"Registry +(http://localhost:\d+)", run.text).group(1)

        class There:
            pass

        There.url = registry
        suite.peer(name="far", discovery=There, files={"theirs.txt": b"from far away"})
        with piped_browser(tmp_path / "profile") as browser:
            browser.open(f"{url}/")
            names = "[...document.querySelectorAll('.name')].map((e) => e.dataset.raw)"
            browser.wait(lambda: "mine.txt" in (browser.js(names) or []), 60, "the file")
            sent = tmp_path / "sent.txt"
            sent.write_bytes(b"uploaded")
            browser.choose_files(sent)
            wait_until(lambda: (tmp_path / "shared" / "sent.txt").exists(), 60, "the upload")
            assert (tmp_path / "shared" / "sent.txt").read_bytes() == b"uploaded"
            browser.wait(lambda: browser.js("fetch('api/search?q=theirs').then((r) => r.text())").count("theirs.txt"))
            browser.open(f"{url}/#/search")
            body = "{method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify({filename: 'theirs.txt'})}"
            assert browser.js(f"fetch('api/transfers', {body}).then((r) => r.status)") == 201
            got = tmp_path / "downloads" / "theirs.txt"
            wait_until(got.exists, 60, "the download")
            assert got.read_bytes() == b"from far away"
    finally:
        run.end()

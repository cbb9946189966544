"""Links: a plain Chromium on another machine gets files from `p2p send`, over a registry without https."""

import hashlib
import json
import os
import subprocess
import zipfile

import pytest
from selenium.webdriver.common.by import By

from conftest import BIN, bounded, environment, wait_until
from netns import other_machine
from page import AXE, start_browser

LIMIT = 90  # generous: for a busy machine


class Sender:
    def __init__(self, folder, registry, *arguments, command=("send",)):
        folder.mkdir(exist_ok=True)
        self.log = (folder / "send.err").open("w+")
        self.process = bounded(subprocess.Popen(
            [BIN / "p2p", *command, "--json", "--discovery", registry, *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log, env=environment(folder), text=True,
        ))  # fmt: skip

    def event(self, name):
        for line in self.process.stdout:
            found = json.loads(line)
            if found.get("event") == name:
                return found
        self.log.seek(0)
        raise AssertionError(f"no {name}: {self.log.read()}")

    def stop(self):
        self.process.terminate()
        self.process.wait(LIMIT)
        self.process.stdout.close()
        self.log.close()


class Taker(Sender):
    """p2p receive --link"""

    def __init__(self, folder, registry, *arguments):
        super().__init__(folder, registry, *arguments, command=["receive", "--link", "--output-dir", folder / "in"])
        self.folder = folder / "in"


class Guest:
    """A browser on another machine, with the page of a link."""

    def __init__(self, folder):
        self.saved = folder / "saved"
        self.saved.mkdir()
        self.driver = start_browser(folder / "profile")
        # Chromium asks people whether they want to keep what a page without https saves; nobody answers here.
        allowed = {"behavior": "allow", "downloadPath": str(self.saved)}
        self.driver.execute_cdp_cmd("Page.setDownloadBehavior", allowed)

    def one(self, name):
        return self.driver.find_element(By.ID, name)

    def open(self, link):
        self.driver.get("about:blank")
        self.driver.get(link)
        return self

    def status(self):
        return self.one("status").text

    def fits_a_phone(self):
        """Nothing is wider than 360 px, each button is large enough for a finger, and axe finds nothing (where it is)."""
        size = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        wide = "return [...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > 360.5).map((e) => e.outerHTML)"
        assert self.driver.execute_script(wide) == []
        low = "return [...document.querySelectorAll('button')].filter((e) => e.checkVisibility() && e.getBoundingClientRect().height < 44).map((e) => e.id)"
        assert self.driver.execute_script(low) == []
        if AXE.exists():
            self.driver.execute_script(AXE.read_text())
            code = "const done = arguments[0]; axe.run(document, {resultTypes: ['violations']}).then((r) => done(r.violations.map((v) => [v.id, v.nodes[0].html])))"
            assert self.driver.execute_async_script(code) == []
        self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        return self

    def shows(self, what):
        wait_until(lambda: what in self.driver.find_element(By.TAG_NAME, "main").text, LIMIT, f"{what!r} in the page")
        return self

    def choose(self, *paths):
        wait_until(lambda: self.driver.find_elements(By.ID, "input"), LIMIT, "where files are chosen")
        self.one("input").send_keys("\n".join(str(path) for path in paths))
        return self

    def download(self):
        wait_until(lambda: self.one("all").is_displayed(), LIMIT, "the files of the link")
        self.one("all").click()
        return self

    def has_saved(self, name, data):
        path = self.saved / name
        wait_until(lambda: path.exists() and path.stat().st_size == len(data), LIMIT, f"{name} saved")
        assert hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(data).digest()


    def has_archive(self, name, files):
        path = self.saved / name
        wait_until(lambda: path.exists() and zipfile.is_zipfile(path), LIMIT, f"{name} saved")
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            assert {entry: archive.read(entry) for entry in archive.namelist()} == files


@pytest.fixture(scope="module")
def machine():
    with other_machine(7) as found:
        if found is None:
            pytest.skip("network namespaces cannot be made here")
        yield found


@pytest.fixture(scope="module")
def discovery(module_suite):
    return module_suite.discovery(host="0.0.0.0")


@pytest.fixture(scope="module")
def registry(discovery, machine):
    return f"http://{machine.our_ip}:{discovery.port}"


def test_a_link(machine, registry, tmp_path):
    one, two = os.urandom(3_300_000), b"a short one"
    (tmp_path / "photos/deep").mkdir(parents=True)
    (tmp_path / "photos/one.bin").write_bytes(one)
    (tmp_path / "photos/deep/two.txt").write_bytes(two)
    sender = Sender(tmp_path / "sender", registry, "--pin", "2468", tmp_path / "photos")
    try:
        link = sender.event("link")["link"]
        assert link.startswith(f"{registry}/l#")

        def visit():
            guest = Guest(tmp_path)
            try:
                guest.open(link)
                wait_until(lambda: guest.one("pin").is_displayed(), LIMIT, "the question for the PIN")
                for pin in ("1357", "2468"):
                    guest.one("pin-text").clear()
                    guest.one("pin-text").send_keys(pin)
                    guest.one("pin-go").click()
                    guest.shows("The PIN is wrong." if pin == "1357" else "photos/deep/two.txt")
                guest.download()
                guest.shows("Everything was downloaded and verified.")
                guest.has_archive("photos.zip", {"photos/one.bin": one, "photos/deep/two.txt": two})
            except BaseException:
                print(guest.driver.page_source, guest.driver.get_log("browser"))
                raise
            finally:
                guest.driver.quit()

        machine.run(visit)
        sender.event("guest_done")
        assert sender.process.wait(LIMIT) == 0
    finally:
        sender.stop()


def test_links_to_shared_files(machine, registry, discovery, module_suite, tmp_path):
    """A guest sees the files of the link alone; a link is used up, and revoked while its page is open."""
    files = {"photos/a.jpg": b"a" * 300_000, "b.txt": b"b", "private.txt": b"p", "b.txt.old": b"o"}
    host = module_suite.peer(name="host", discovery=discovery, files=files)
    folder = module_suite.folder / "host"
    common = ["--keys-dir", folder / "keys", "--json"]

    def p2p(*arguments):
        return json.loads(module_suite.p2p("link", *arguments, *common, check=True).stdout)

    def new(*arguments):
        return p2p("new", *arguments, "--shared-dir", folder / "shared", "--discovery", registry)

    once, other = new("photos", "b.txt", "--uses", 1), new("b.txt")
    listed = p2p("ls")["links"]
    assert [(row["files"], row["uses_left"]) for row in listed] == [(["photos/", "b.txt"], 1), (["b.txt"], None)]
    assert once["link"].split("#")[1] not in json.dumps(listed)

    def visit():
        guest = Guest(tmp_path)
        try:
            names = guest.open(once["link"]).shows("photos/a.jpg").driver.find_elements(By.CSS_SELECTOR, "#list li")
            assert [name.text.split("\n")[0] for name in names] == ["b.txt", "photos/a.jpg"]
            guest.fits_a_phone()
            guest.driver.find_element(By.CSS_SELECTOR, '[aria-label$="photos/a.jpg"]').click()
            guest.has_saved("a.jpg", files["photos/a.jpg"])
            guest.driver.switch_to.new_window("tab")  # it is another guest
            guest.open(once["link"]).download().shows("This link is used up.")
            guest.open(other["link"]).shows("b.txt")
            module_suite.p2p("link", "revoke", other["id"], *common, check=True)
            wait_until(lambda: [row["id"] for row in p2p("ls")["links"]] == [once["id"]], LIMIT, "the link gone")
            # The page notices when it downloads: the connection was closed.
            guest.download().shows("does not answer")
            guest.open(other["link"][:-22] + "A" * 22).shows("does not answer")
            guest.open(other["link"][:-1]).shows("not a complete link")
        except BaseException:
            print(guest.driver.find_element(By.TAG_NAME, "main").text, guest.driver.get_log("browser"), host.stderr())
            raise
        finally:
            guest.driver.quit()

    machine.run(visit)


def test_a_link_that_takes_files(machine, registry, tmp_path):
    """A guest puts files into a folder; the page shows what was refused, and ends when the guest says so."""
    files = {"large.bin": os.urandom(5_300_000), "short.txt": b"short", "empty": b""}
    for name, data in {**files, "too large": bytes(4_000_000)}.items():
        (tmp_path / name).write_bytes(data)
    taker = Taker(tmp_path / "taker", registry, "--max-size", "6M", "--title", "Photos of the party")
    try:
        link = taker.event("link")["link"]

        def visit():
            guest = Guest(tmp_path)
            try:
                guest.open(link).shows("Photos of the party").fits_a_phone()
                guest.choose(*(tmp_path / name for name in files))
                guest.shows("Everything was received and proven. You can send more.").fits_a_phone()
                guest.choose(tmp_path / "too large").shows("no room for it")
                guest.one("all").click()
                guest.shows("You can close this page.")
            except BaseException:
                print(guest.driver.page_source, guest.driver.get_log("browser"))
                raise
            finally:
                guest.driver.quit()

        machine.run(visit)
        assert {taker.event("stored")["name"] for _ in files} == set(files)
        taker.event("guest_done")
        assert taker.process.wait(LIMIT) == 0
        assert {path.name: path.read_bytes() for path in taker.folder.iterdir() if path.is_file()} == files
    finally:
        taker.stop()


def test_a_guest_continues_until_the_link_is_revoked(machine, registry, discovery, module_suite, tmp_path):
    """The page is loaded again in the middle of a file; p2p-peer is killed; the link is revoked in the middle."""
    large = tmp_path / "large.bin"
    large.write_bytes(os.urandom(30_000_000))
    endless = tmp_path / "endless.bin"
    with endless.open("wb") as file:
        file.truncate(1_000_000_000)
    peer = module_suite.peer(name="beside", discovery=discovery)
    keys = module_suite.folder / "beside" / "keys"
    taker = Taker(tmp_path / "taker", registry, "--keep", "--keys-dir", keys)

    def p2p(*arguments):
        return module_suite.p2p("link", *arguments, "--keys-dir", keys, check=True).stdout

    try:
        link = taker.event("link")

        def visit():
            guest = Guest(tmp_path)
            try:
                guest.open(link["link"]).choose(large)
                taker.event("guest")
                peer.kill()
                guest.driver.refresh()
                guest.choose(large).shows("Everything was received and proven.")
                guest.choose(endless).shows(" %")
                assert f"into {taker.folder}" in p2p("ls")
                p2p("revoke", link["id"])
                guest.shows("does not answer")
            except BaseException:
                print(guest.driver.page_source, guest.driver.get_log("browser"))
                raise
            finally:
                guest.driver.quit()

        machine.run(visit)
        assert taker.process.wait(LIMIT) != 0
        stored = json.loads(taker.process.stdout.read().splitlines()[0])  # the same guest: no other event
        assert (stored["event"], stored["name"]) == ("stored", "large.bin")
        assert sorted(path.name for path in taker.folder.iterdir()) == [".p2p", "large.bin"]
        assert (taker.folder / "large.bin").read_bytes() == large.read_bytes()
        assert list((taker.folder / ".p2p").iterdir()) == []
        assert "into" not in p2p("ls")
    finally:
        taker.stop()

"""A phone-sized browser that comes over the network: asked for the code, paired, listed, removed. And what a person
does first with a phone, from another machine, by visible labels alone."""

import base64
import json
import re
import socket

import pytest

from conftest import wait_until
from netns import other_machine
from page import ROOT, Page, driver, start_browser  # noqa: F401
from test_browser_things import png
from world import World, sign_in


def own_address():
    """This machine's address on the network, as another device would use it."""
    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        probe.connect(("192.0.2.1", 9))  # sends nothing
        return probe.getsockname()[0]
    except OSError:
        return None
    finally:
        probe.close()


ADDRESS = own_address()
pytestmark = pytest.mark.skipif(not ADDRESS, reason="this machine has no network address")
# Six frames, red and blue.
FILM = base64.b64decode(
    "GkXfo59ChoEBQveBAULygQRC84EIQoKEd2VibUKHgQRChYECGFOAZwEAAAAAAAKcEU2bdLlNu4tTq4QVSalmU6yBbk27i1OrhBZUrmtTrIGTTb"
    "uLU6uEH0O2dVOsgdRNu4xTq4QcU7trU6yCAorsrgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAVSalmoCrX"
    "sYMPQkBEiYREPBLBTYCGQ2hyb21lV0GGQ2hyb21lFlSua7yuuteBAXPFhxcaBhX9Hk+DgQFV7oEBhoVWX1ZQOOCdsIEguoEYU8CBAVWwkFWxgQ"
    "FVuYECVbqBDVW7gQEfQ7Z1AQAAAAAAAarngQCg5qG7gQAAADACAJ0BKiAAGAACRwiFhYiZhIgMggAKkyoH0P78G93//z2j//ntH//PaP/PaP+q"
    "qevxVSHc9+B1oaampO6BAaWfMAIAnQEqIAAYAAcHCIWFiJmEiCYCAAeQ88nA/vBdAKDQobCBAJgAEQIACRCAABgHYBBZcuaZgYTIAP70vu//je"
    "bzWtb///Anf/Anf/Anf+A8lwB1oZimlu6BAaWRsQEAHBE8ABgAGFgv9AAIcAD7gQCgzKGsgQF4APEBAAkQWAAYCdPLINuUcBe5wP78do//0cb/"
    "6ON/9HG/9HG9d4tJSAB1oZimlu6BAaWRsQEAHBEsABgAGFgv9AAIcAD7gZigzqGtgQInABECAAkQSAAYB0gIIJnzDQBGwQD++b4X/xZyMR2eb/"
    "9XbfV231dt/1ZQdaGYppbugQGlkbEBABwRHAAYABhYL/QACHAA+4IBeKDNoayBAvAA0QEACRA8ABgAHlf0DABBDgD+/eGd/+48v3Hl+48v/ceX"
    "13jbMNtwoHWhmKaW7oEBpZGxAQAcEOwAGAAYWC/0AAhwAPuCAiccU7trjbuLs4EAt4b3gQHxgdQ="
)


class OpenWorld(World):
    """`near` listens on all addresses, as it does by default."""

    def __init__(self, suite):
        super().__init__(suite, near={"mine.txt": b"mine", "Holiday/beach.txt": b"sand"}, far={"wedding film.webm": FILM})
        self.near.stop()
        self.near = suite.ui(name="near", discovery=self.discovery, peer=self.near_peer, host="0.0.0.0")
        self.url = f"http://localhost:{self.near.port}"
        self.outside = f"http://{ADDRESS}:{self.near.port}"

    def let_everything(self):
        """Makes the paired devices administrators, from any network namespace."""
        keys = ["--keys-dir", self.near.folder / "keys"]
        for device in json.loads(self.suite.p2p("token", "list", "--json", *keys, check=True).stdout)["devices"]:
            if device["kind"] == "browser":
                self.suite.p2p("token", "admin", device["id"], *keys, check=True)

    def code(self):
        return self.near.api.request("POST", "/api/pair/code").json()["code"]

    def devices(self):
        return self.near.api.json("/api/devices")["devices"]


@pytest.fixture(scope="module")
def world(module_suite):
    return OpenWorld(module_suite)


@pytest.fixture
def phone(world, tmp_path):
    browser = start_browser(tmp_path / "profile")
    yield Page(browser, world.outside).size("phone")
    browser.quit()


def type_code(page, code):
    page.one("#pair-code").send_keys(code)


def test_a_wrong_code_is_refused_and_the_right_one_lets_in(world, phone):
    code = world.code()
    phone.driver.get(world.outside)
    phone.see("Pair this device")
    assert "mine.txt" not in phone.text()
    assert phone.axe() == []
    assert phone.overflow() <= 0
    type_code(phone, f"{(int(code) + 1) % 1000000:06}")
    phone.see("That code isn’t valid.")
    phone.one("#pair-code").clear()
    type_code(phone, code)
    phone.row("mine.txt")
    assert [d["kind"] for d in world.devices()] == ["browser"]
    # The page is not secure: functions that need this are missing, without an error.
    assert phone.js("return isSecureContext") is False
    phone.console()
    phone.go("settings")
    phone.see("Only available over HTTPS")
    assert phone.console() == []
    for device in world.devices():
        world.near.api.request("DELETE", f"/api/devices/{device['id']}")


PICTURES = ROOT / "build" / "pictures"
OURS = {"peer", "peers", "registry", "hash", "chunk", "chunks"}
TAPS = 4


class Taps:
    """A person with a phone, who knows only what the page says."""

    def __init__(self, phone):
        self.phone, self.count = phone, 0

    def task(self):
        self.count = 0

    def tap(self, label, css="body"):
        self.phone.press(label, css)
        self.count += 1

    def tap_row(self, name, css):
        """The row may be drawn anew while it is looked at."""

        def touch():
            self.phone.row(name).find_element("css selector", css).click()
            return True

        self.phone.wait(touch, what=f"{css} of {name}")
        self.count += 1

    def look(self, name):
        """Keeps a picture, and reads what the page says."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.phone.driver.save_screenshot(str(PICTURES / f"{name}.png"))
        assert not OURS & set(re.findall(r"\w+", self.phone.text().lower())), "a word that only we use"
        assert self.phone.overflow() <= 0
        assert self.count <= TAPS


def first_tasks(world, address, code, folder):
    browser = start_browser(folder / "profile")
    try:
        browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
        browser.execute_cdp_cmd("Page.setInterceptFileChooserDialog", {"enabled": True})
        phone = Page(browser, address).size("phone")
        person = Taps(phone)
        browser.get(f"{address}/#pair={code}")  # what the QR code says; nothing is typed after it
        phone.row("mine.txt")
        assert "pair" not in phone.js("return location.href") and phone.js("return isSecureContext") is False
        person.look("1 paired")

        # "Get this photo from the phone to the laptop."
        photo = folder / "IMG_0001.png"
        photo.write_bytes(png(64, 48, (20, 120, 90)))
        person.task()
        person.tap("Add photos or files")
        phone.choose_files(photo)
        person.count += 1  # in the phone's own list of photos
        phone.row("IMG_0001.png")
        wait_until(lambda: (world.near.shared / photo.name).exists(), 60, "the photo on the laptop")
        assert (world.near.shared / photo.name).read_bytes() == photo.read_bytes()
        person.look("2 photo on the laptop")

        # "Find the wedding video and watch it."
        person.task()
        person.tap("Search", ".nav")
        phone.one("#search-box").send_keys("wedding")
        person.tap("Download: wedding film.webm")
        phone.see("Completed", 60)
        person.tap("Downloads", ".nav")
        person.tap_row("wedding film.webm", ".open")
        phone.wait(lambda: phone.js("return document.querySelector('.stage video')?.videoWidth"), 60, "the film")
        person.look("3 film")

        # "Give this folder to a guest for a day": an ordinary device reads how it may; then the owner lets it.
        browser.get(f"{address}/#/share")
        for allowed in (False, True):
            phone.row("Holiday")
            person.task()
            person.tap_row("Holiday", ".more")
            person.tap("Send", "dialog[open]")
            if not allowed:
                phone.see("Only an administrator can do this.")
                world.let_everything()
                browser.refresh()
                continue
            phone.wait(lambda: phone.all("#slink-pin"), what="the part for links")
            person.tap("Make a link", "dialog[open]")
            phone.wait(lambda: [c.text for c in phone.all("dialog code") if "/l#" in c.text], 60, "the link")
            person.look("4 link for a guest")
    finally:
        browser.quit()


def test_a_phone_from_another_network_does_the_first_tasks(world, tmp_path):
    with other_machine(5) as machine:
        if machine is None:
            pytest.skip("network namespaces cannot be made here")
        machine.run(first_tasks, world, f"http://{machine.our_ip}:{world.near.port}", world.code(), tmp_path)
    for device in world.devices():
        world.near.api.request("DELETE", f"/api/devices/{device['id']}")


def test_a_link_to_a_file_outlives_the_pairing(world, phone):
    phone.driver.get(f"{world.outside}/#file=mine.txt")
    phone.see("Pair this device")
    type_code(phone, world.code())
    phone.see("4 bytes")
    phone.see("Save")
    assert "file=" not in phone.js("return location.href")


def test_the_machine_itself_shows_the_code_and_removes_a_device(world, driver, phone):
    for device in world.devices():
        world.near.api.request("DELETE", f"/api/devices/{device['id']}")
    sign_in(driver, world.near)
    page = Page(driver, world.url).size("desk").prefer().open("settings")
    page.press("Pair a device", "main")
    shown = page.wait(lambda: page.text("dialog[open] .code"), what="the code")
    assert page.js("const i = document.querySelector('dialog[open] .qr'); return i.complete && i.naturalWidth > 0") or page.one("dialog[open] .qr")
    phone.driver.get(world.outside)
    phone.see("Pair this device")
    type_code(phone, shown.replace(" ", ""))
    phone.row("mine.txt")
    page.press("Close", "dialog[open]")
    row = """return [...document.querySelectorAll('main .source')].find((e) =>
             e.querySelector('.meta').textContent.split(' · ')[0] === 'Browser')"""
    device = page.wait(lambda: page.js(row), what="the device listed")  # beside the browser of the owner
    phone.go("settings").see("What this device may do")
    phone.see("p2p token admin ID")
    page.js("arguments[0].querySelector('.open').click()", device)
    page.dialog()
    page.one("#device-admin").click()
    wait_until(lambda: [d["administrator"] for d in world.devices() if d["kind"] == "browser"] == [True], what="an administrator")
    assert page.axe() == []
    phone.wait(lambda: "What this device may do" not in phone.text("main"), what="the phone may do everything")
    phone.see("Paired devices")
    page.press("Close", "dialog[open]")
    page.no_dialog()
    device = page.wait(lambda: page.js(row.replace("'Browser'", "'Administrator'")), what="the administrator listed")
    page.js("arguments[0].querySelector('.open').click()", device)
    page.press(page.js("return document.querySelector('dialog[open] .btn.danger').textContent"), "dialog[open]")
    page.press("Remove", "dialog[open] .dialog-foot")
    wait_until(lambda: [d["kind"] for d in world.devices()] == ["owner"], what="only the browser of the owner")
    phone.driver.refresh()
    phone.see("Pair this device")

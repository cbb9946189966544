"""A phone-sized browser that comes over the network: asked for the code, paired, listed, removed."""

import socket

import pytest

from conftest import wait_until
from page import Page, driver, start_browser  # noqa: F401
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


class OpenWorld(World):
    """`near` listens on all addresses, as it does by default."""

    def __init__(self, suite):
        super().__init__(suite, near={"mine.txt": b"mine"})
        self.near.stop()
        self.near = suite.ui(name="near", discovery=self.discovery, peer=self.near_peer, host="0.0.0.0")
        self.url = f"http://localhost:{self.near.port}"
        self.outside = f"http://{ADDRESS}:{self.near.port}"

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


def test_an_unpaired_device_sees_the_gate_and_nothing_else(world, phone):
    phone.driver.get(world.outside)
    phone.see("Pair this device")
    assert "mine.txt" not in phone.text()
    assert phone.axe() == []
    assert phone.overflow() <= 0


def test_a_wrong_code_is_refused_and_the_right_one_lets_in(world, phone):
    code = world.code()
    phone.driver.get(world.outside)
    phone.see("Pair this device")
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


def test_the_link_of_the_qr_code_pairs_at_once(world, phone):
    phone.driver.get(f"{world.outside}/#pair={world.code()}")
    phone.row("mine.txt")
    assert "pair" not in phone.js("return location.href")


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

"""Rare states: dialogs, refusals, p2p-ui away, installed, in the background."""

import time

import pytest
from selenium.webdriver.common.keys import Keys

from conftest import wait_until
from page import Page, driver, width  # noqa: F401
from world import SHARED, World, sign_in

CARD = 'section[aria-label="Devices"] .row'


@pytest.fixture(scope="module")
def world(module_suite):
    files = {"mine.txt": b"mine"}
    return World(module_suite, near=files, far={"song.flac": b"la" * 500_000}, more=["--max-upload", "1M"])


def refused_upload(page, tmp_path):
    page.open("share")
    big = tmp_path / "too big.bin"
    big.write_bytes(bytes(40 << 20))
    page.choose_files(big)
    page.see("The file is too large")


def open_dialog(view, label):
    def state(page, tmp_path):
        page.open(view)
        page.live().press(label)
        page.dialog()

    return state


def actions_of_a_file(page, tmp_path):
    page.open("share")
    row = page.row("mine.txt", SHARED)
    more = row.find_element("css selector", ".btn.more")
    if more.is_displayed():
        more.click()
        page.dialog()


def files_of_a_peer(page, tmp_path):
    page.open("peers")
    other = page.wait(lambda: next((r for r in page.all(CARD) if "This computer" not in r.text), None), what="the other")
    page.act(other.find_element("css selector", ".name").text, "browse")
    page.wait(lambda: "song.flac" in page.names("dialog[open] .row"), what="its files")


def results(page, tmp_path):
    page.open("search")
    page.one("#search-box").send_keys("song")
    page.row("song.flac")


def nothing_found(page, tmp_path):
    page.open("search")
    page.one("#search-box").send_keys("no such thing")
    page.see("Nothing found for")


def wrong_setting(page, tmp_path):
    page.open("settings")
    field = page.wait(lambda: page.one("#set-connections").get_attribute("value") and page.one("#set-connections"))
    field.send_keys(Keys.CONTROL, "a")
    field.send_keys("99", Keys.TAB)
    page.see("Enter a whole number")


def table_of_keys(page, tmp_path):
    page.open("share").live().keys("?")
    page.dialog()


STATES = [
    refused_upload,
    open_dialog("share", "Pair a device"),
    open_dialog("peers", "Add by address"),
    table_of_keys,
    actions_of_a_file,
    files_of_a_peer,
    results,
    nothing_found,
    wrong_setting,
]
NAMES = ["refused", "pair", "add peer", "keys", "actions", "files of a peer", "results", "nothing found", "wrong setting"]


@pytest.mark.parametrize("state", STATES, ids=NAMES)
def test_axe_finds_nothing_and_nothing_is_cut_off(world, driver, width, state, tmp_path):
    page = world.page(driver, width, theme="dark" if width == "phone" else "light")
    state(page, tmp_path)
    time.sleep(0.3)  # elements that fade in do not have their contrast yet
    assert page.axe() == []
    assert page.overflow() <= 0


def test_it_can_be_installed(world, driver):
    world.page(driver).open("share").live()
    manifest = driver.execute_cdp_cmd("Page.getAppManifest", {})
    assert manifest["errors"] == [] and manifest["url"].endswith("/manifest.webmanifest")
    assert driver.execute_cdp_cmd("Page.getInstallabilityErrors", {})["installabilityErrors"] == []


KEPT = """const done = arguments[0]; caches.open('p2p-shell-2').then((c) => c.keys())
          .then((k) => done(k.some((r) => r.url.endsWith('/js/chart.js'))))"""


def test_the_page_opens_while_p2p_ui_is_away_and_fills_when_it_is_back(suite, driver):
    discovery = suite.discovery()
    peer = suite.peer(name="home", discovery=discovery)
    ui = suite.ui(name="home", discovery=discovery, peer=peer)
    sign_in(driver, ui)
    page = Page(driver, f"http://localhost:{ui.port}").size("desk").open("share").live()
    page.wait(lambda: driver.execute_async_script(KEPT), what="the shell kept")
    ui.kill()
    suite.programs.remove(ui)
    page.open("peers").see("Connection lost")
    assert "Loading" not in page.text() and "Online" not in page.text(".self")
    assert len(page.all(".toast")) <= 1, "one message, once"
    assert page.axe() == []
    suite.ui(name="home", discovery=discovery, peer=peer, port=ui.port)
    page.live(40)
    page.wait(lambda: any(f":{peer.port}" in row.text for row in page.all(CARD)), what="the list that never came")


WATCH_NOTES = """const Real = Notification; window.notes = [];
    window.Notification = class extends Real { constructor(...a) { super(...a); notes.push(a[0] + ': ' + a[1].body); } };
    Object.defineProperty(document, 'hidden', { get: () => true });"""


def test_a_download_that_ends_in_the_background_is_announced(world, driver):
    page = world.page(driver).open("settings")
    grant = {"permissions": ["notifications"], "origin": world.url}
    driver.execute_cdp_cmd("Browser.grantPermissions", grant)
    box = page.one("#set-notify")
    box.click()
    page.wait(box.is_selected, what="notifications on")
    page.live().js(WATCH_NOTES)
    world.near.api.request("POST", "/api/transfers", json={"filename": "song.flac"})
    wait_until(lambda: page.js("return notes") == ["Downloaded: song.flac"], 30, "the note")

"""The page itself: strict CSP, no errors in the console, keyboard only, two tabs, accessibility, languages."""

import time

import pytest
from selenium.webdriver.common.keys import Keys

from conftest import wait_until
from page import ROOT, Page, driver, width  # noqa: F401
from world import FAR, SHARED, sign_in, world  # noqa: F401

WEB = ROOT / "web"
VIEWS = {"share": "Share Files", "search": "Search & Download", "transfers": "Transfers", "downloads": "Downloaded Files", "peers": "Devices", "settings": "Settings"}  # fmt: skip
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self'; connect-src 'self'; "
    "manifest-src 'self'; worker-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def test_the_policy_is_strict_on_every_file_of_the_page(world):
    for path in ("/", "/js/main.js", "/css/base.css", "/i18n/en.json", "/manifest.webmanifest", "/sw.js", "/icons/icon.svg"):
        answer = world.near.api.get(path)
        assert answer.status_code == 200, path
        assert answer.headers["Content-Security-Policy"] == CSP, path


def wire_bytes(answer):
    """Headers and body, as they were sent."""
    headers = sum(len(f"{name}: {value}\r\n") for name, value in answer.headers.items())
    return headers + len(answer.raw.read(decode_content=False))


def test_the_first_visit_is_light_on_the_wire(world, driver):
    """Everything that the browser loads before the first event, except for the answers of the API."""
    page = world.page(driver).open("share").live()
    urls = page.js("return performance.getEntriesByType('resource').map((e) => e.name)")
    paths = {url.removeprefix(page.url) for url in urls if "/api/" not in url} | {""}
    version = world.near.api.json("/api/status")["pages"]
    assert {f"v/{version}/{path}" for path in ("js/main.js", "js/theme.js", "i18n/en.json", "css/parts.css")} <= paths
    assert not {path for path in paths if path.startswith(("js/", "css/", "i18n/"))}, "one address for each file"
    size = 0
    for path in paths:
        answer = world.near.api.request("GET", f"/{path}", stream=True, headers={"Accept-Encoding": "gzip"})
        assert answer.status_code == 200, path
        if not path.endswith(".png"):
            assert answer.headers.get("Content-Encoding") == "gzip", f"{path}: make packs it"
            assert answer.headers["Vary"] == "Accept-Encoding"
        lasts = "immutable" in answer.headers["Cache-Control"]
        assert lasts == path.startswith("v/"), path
        size += wire_bytes(answer)
    assert size < 100 * 1024, size


def test_a_client_without_gzip_gets_the_text_itself(world):
    for path in ("", "js/main.js", "i18n/ar.json"):
        plain = world.near.api.request("GET", f"/{path}", headers={"Accept-Encoding": "identity"})
        packed = world.near.api.request("GET", f"/{path}", headers={"Accept-Encoding": "gzip"})
        assert "Content-Encoding" not in plain.headers and packed.headers["Content-Encoding"] == "gzip"
        assert plain.content == packed.content
        assert path == "" or plain.content == (WEB / path).read_bytes()
        assert plain.headers["ETag"] != packed.headers["ETag"]
        for answer, accepts in ((plain, "identity"), (packed, "gzip")):
            again = {"Accept-Encoding": accepts, "If-None-Match": answer.headers["ETag"]}
            assert world.near.api.request("GET", f"/{path}", headers=again).status_code == 304


def test_all_views_with_an_empty_console(world, driver, width):
    page = world.page(driver, width).open("share")
    for view, title in VIEWS.items():
        page.go(view)
        page.wait(lambda: page.heading() == title, what=title)
        assert page.overflow() <= 0, view
        time.sleep(0.3)  # files that load late may cause errors, too
    assert page.console() == []
    assert "serviceWorker" in page.js("return Object.getOwnPropertyNames(Navigator.prototype).join()")


def test_one_listener_that_throws_stops_no_other(world, driver):
    page = world.page(driver).open("share")
    page.live()
    heard = driver.execute_async_script(
        """
        const done = arguments[arguments.length - 1];
        import('/js/store.js').then(({ on, changed }) => {
            const heard = [];
            on('testing', () => heard.push('before'));
            on('testing', () => { throw new Error('one view fails'); });
            on('testing', () => heard.push('after'));
            changed('testing');
            requestAnimationFrame(() => {
                changed('testing');
                requestAnimationFrame(() => done(heard));
            });
        });
        """
    )
    assert heard == ["before", "after"] * 2, "the first frame, and the next one, too"
    assert any("one view fails" in str(line) for line in page.console()), "it is told"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing(world, driver, width, theme, view):
    page = world.page(driver, width, theme=theme).open(view)
    page.live()
    time.sleep(0.5)  # lists are read after the heading is there
    assert page.axe() == []


@pytest.mark.parametrize("label", ["Link and QR code", "Rename", "Delete"])
def test_axe_finds_nothing_in_dialogs(world, driver, label):
    page = world.page(driver).open("share")
    page.row("mine.txt", SHARED)
    page.press(label)
    page.dialog()
    time.sleep(0.3)
    assert page.axe() == []


def test_the_second_peer_that_is_offered_joins_the_same_registry(suite, driver, width):
    ui = suite.ui(discovery=suite.discovery())
    sign_in(driver, ui)
    page = Page(driver, f"http://localhost:{ui.port}").size(width).open("peers")
    page.see("No one else is here yet")
    page.see("bin/p2p-peer --port 9001 --shared-dir shared_b --keys-dir keys_b --discovery http://127.0.0.1:")
    assert page.overflow() <= 0


def test_peers_lists_the_other_machine_and_its_files(world, driver, width):
    page = world.page(driver, width).open("peers")
    page.see(f"127.0.0.1:{world.far_peer.port}")
    card = 'section[aria-label="Devices"] .row'
    assert "This computer" in page.text("main")
    page.act("the far peer", "browse", find=lambda: next((r for r in page.all(card) if f":{world.far_peer.port}" in r.text), None))
    page.wait(lambda: all(name in page.names("dialog[open] .row") for name in FAR), what="its files")


def test_block_and_unblock_a_peer(world, driver):
    page = world.page(driver).open("peers")
    card = 'section[aria-label="Devices"] .row'
    far = lambda: next(row for row in page.all(card) if f":{world.far_peer.port}" in row.text)  # noqa: E731
    page.wait(lambda: far(), what="the peer")
    far().find_element("css selector", "[data-act=block]").click()
    page.press("Block", "dialog[open] .dialog-foot")
    page.wait(lambda: "Blocked" in far().text, what="blocked")
    far().find_element("css selector", "[data-act=trust]").click()
    page.wait(lambda: "Blocked" not in far().text, what="unblocked")


def test_an_address_where_nobody_answers_says_what_to_check(world, driver, width):
    page = world.page(driver, width).open("peers")
    page.press("Add by address")
    page.one("#peer-address").send_keys("127.0.0.1:9", Keys.ENTER)
    page.see("No answer. Check the address")


def test_with_the_keyboard_alone(world, driver):
    """Find a file of another machine, download it, delete it again: no mouse."""
    page = world.page(driver).open("share")
    name = "song two.flac"
    page.keys("/")
    page.wait(lambda: page.focused() == "Search files on all devices", what="the search field focused")
    page.keys("two")
    page.row(name)
    page.tab_to(f"Download: {name}")
    page.keys(Keys.ENTER)
    wait_until(lambda: (world.near.downloads / name).exists(), what="downloaded")
    page.keys("4")
    page.wait(lambda: page.heading() == "Downloaded Files")
    page.row(name)
    page.tab_to("Delete")
    page.keys(Keys.ENTER)
    page.dialog()
    page.keys(Keys.ENTER)  # the dialog's own button has the focus
    wait_until(lambda: not (world.near.downloads / name).exists(), what="deleted")


def test_escape_closes_a_dialog_and_gives_the_focus_back(world, driver):
    page = world.page(driver).open("share")
    page.row("mine.txt", SHARED)
    page.tab_to("Link and QR code")
    page.keys(Keys.ENTER)
    page.dialog()
    page.keys(Keys.ESCAPE)
    page.no_dialog()
    assert page.focused() == "Link and QR code"


def test_the_table_of_keys_and_turning_them_off(world, driver):
    page = world.page(driver).open("share")
    page.keys("?")
    assert "Keyboard shortcuts" in page.dialog().text
    page.one("#keys-on").click()
    page.keys(Keys.ESCAPE)
    page.no_dialog()
    page.one("h1").click()
    page.keys("2")
    time.sleep(0.3)
    assert page.heading() == "Share Files"


COUNT_STREAMS = """const Real = window.EventSource; window.streams = 0;
    window.EventSource = class extends Real { constructor(...a) { super(...a); window.streams += 1; } };"""


def test_two_tabs_share_one_stream_and_the_second_takes_over(world, driver):
    page = world.page(driver).open("share")
    first = driver.current_window_handle
    page.live()
    driver.switch_to.new_window("tab")
    second = driver.current_window_handle
    driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": COUNT_STREAMS})
    page.size("desk").open("share").live()
    assert page.js("return window.streams") == 0  # the new tab has no stream of its own, but it receives the events
    (world.near.shared / "seen by both.txt").write_bytes(b"x")
    page.row("seen by both.txt", SHARED)
    driver.switch_to.window(first)
    page.row("seen by both.txt", SHARED)
    driver.close()
    driver.switch_to.window(second)
    page.wait(lambda: page.js("return window.streams") == 1, 30, "the second tab leading")
    world.near.api.delete("shared", "seen by both.txt")
    page.wait(lambda: "seen by both.txt" not in page.names(SHARED), 30, "news after the leader left")


LANGUAGES = {"de": "Dateien teilen", "es": "Compartir archivos", "fr": "Partager des fichiers", "zh": "共享文件", "ar": "مشاركة الملفات"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_languages_right_to_left_too(world, driver, width, language):
    page = world.page(driver, width, lang=language).open("share")
    assert page.heading() == LANGUAGES[language]
    assert page.js("return document.documentElement.dir") == ("rtl" if language == "ar" else "ltr")
    for view in VIEWS:
        page.go(view)
        assert page.overflow() <= 0, view
    assert page.console() == []


def test_language_and_theme_change_at_once_and_stay(world, driver):
    page = world.page(driver).open("settings")
    background = "return getComputedStyle(document.body).backgroundColor"
    light = page.js(background)
    page.js("const s = document.querySelector('#set-theme'); s.value = 'dark'; s.dispatchEvent(new Event('change'))")
    assert page.js(background) != light
    page.js("const s = document.querySelector('#set-lang'); s.value = 'de'; s.dispatchEvent(new Event('change'))")
    page.wait(lambda: page.heading() == "Einstellungen")
    page.open("settings")
    assert page.heading() == "Einstellungen" and page.js(background) != light


def test_settings_are_kept(world, driver):
    page = world.page(driver).open("settings")
    field = page.wait(lambda: page.one("#set-connections").get_attribute("value") and page.one("#set-connections"))
    field.send_keys(Keys.CONTROL, "a")
    field.send_keys("7", Keys.TAB)
    page.see("Saved")
    assert world.near.api.json("/api/config")["connections"] == 7
    field.send_keys(Keys.CONTROL, "a")
    field.send_keys("99", Keys.TAB)
    page.see("Enter a whole number from 1 to 16.")
    assert field.get_attribute("value") == "99", "what was typed stays"
    assert world.near.api.json("/api/config")["connections"] == 7


def test_reduced_motion_is_respected(world, driver):
    page = world.page(driver)
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-reduced-motion", "value": "reduce"}]})
    page.open("share")
    duration = page.js("return getComputedStyle(document.querySelector('.nav a')).transitionDuration")
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert float(duration.split(",")[0].rstrip("s")) < 0.001



"""How the page looks, measured: edges that meet, ends of names that show, widths that stay."""

import pytest

from page import driver  # noqa: F401
from world import SHARED, World

ARABIC = "ملف عربي طويل.txt"
LONG = "Holiday/a rather long name of a picture that is cut in a narrow window (1).jpg"
NEAR = {ARABIC: b"a", LONG: b"j", "only mine song.flac": b"s", **{f"f{i}.txt": b"f" for i in range(20)}}


@pytest.fixture(scope="module")
def world(module_suite):
    return World(module_suite, near=NEAR, far={"their song.flac": b"la" * 5000})


def found(page, name):
    """The row of this name, which the filter brings up."""
    page.wait(lambda: page.one(".tools input").is_displayed(), what="the filter")
    page.one(".tools input").send_keys(name.split("/")[-1][:12])
    return page.row(name, ".card .row")


def box(page, css, within=None):
    code = """const root = arguments[1] ?? document, r = root.querySelector(arguments[0]).getBoundingClientRect();
              return {left: r.left, right: r.right, top: r.top, bottom: r.bottom, width: r.width}"""
    return page.js(code, css, within)


@pytest.mark.parametrize("language, edge", [("en", "left"), ("ar", "right")])
def test_a_name_in_another_script_begins_where_its_second_line_does(world, driver, language, edge):
    page = world.page(driver, lang=language).open("share")
    row = found(page, ARABIC)
    assert abs(box(page, ".name", row)[edge] - box(page, ".meta", row)[edge]) < 1.5


@pytest.mark.parametrize("language, edge", [("en", "left"), ("ar", "right")])
def test_the_name_of_this_computer_begins_where_its_state_does(world, driver, language, edge):
    page = world.page(driver, lang=language).open("share")
    page.wait(lambda: page.text(".self-name"), what="the name")
    assert abs(box(page, ".self-name")[edge] - box(page, ".self .mono")[edge]) < 1.5


def test_latin_words_leave_room_for_the_icon_of_an_arabic_search(world, driver):
    page = world.page(driver, lang="ar").open("search")
    page.one("#search-box").send_keys("song")
    padding = page.js("const s = getComputedStyle(document.querySelector('#search-box')); return [s.paddingLeft, s.paddingRight].map(parseFloat)")
    icon, field = box(page, ".search-field .icon"), box(page, "#search-box")
    assert field["right"] - icon["left"] <= padding[1], "the clear cross and the icon"


def test_the_end_of_a_name_shows_and_its_folder_is_below(world, driver):
    page = world.page(driver, "phone").open("share")
    row = found(page, LONG)
    end = page.js("return arguments[0].querySelector('.name').lastChild.textContent", row)
    assert end == " (1).jpg"
    assert "Holiday" in row.find_element("css selector", ".meta").text
    assert page.js("const n = arguments[0].querySelector('.name'); return n.scrollWidth <= n.clientWidth + 1", row)


def test_the_width_of_the_content_is_the_same_in_all_views(world, driver):
    page = world.page(driver).open("share")
    widths = set()
    for view in ("share", "search", "transfers", "downloads", "peers", "settings"):
        page.go(view)
        page.wait(lambda: page.one("main .view"))
        widths.add(round(box(page, "main .view")["width"]))
    assert len(widths) == 1, widths
    assert page.js("return getComputedStyle(document.documentElement).scrollbarGutter") == "stable"


def test_the_title_of_a_dialog_stands_above_its_text(world, driver):
    page = world.page(driver, "phone").open("peers")
    page.press("Add by address")
    page.dialog()
    assert abs(box(page, "dialog[open] h2")["left"] - box(page, "dialog[open] label")["left"]) < 1.5


def test_no_box_of_text_scrolls_by_itself(world, driver):
    page = world.page(driver, "phone").open("share")
    page.act("f1.txt", "link")
    page.dialog()
    wider = "return [...document.querySelectorAll('dialog[open] .command code')].filter((e) => e.scrollWidth > e.clientWidth + 1).length"
    assert page.js(wider) == 0


def test_a_notice_stays_inside_its_card(suite, driver):
    from page import Page
    from world import sign_in

    ui = suite.ui(discovery=suite.discovery())
    sign_in(driver, ui)
    page = Page(driver, f"http://localhost:{ui.port}").size("phone").prefer().open("peers")
    page.see("p2p-peer does not run")
    command = page.text(".notice code")
    assert f"--shared-dir {ui.shared}" in command and "--keys-dir " in command and "--discovery http://127.0.0.1:" in command
    outer = box(page, ".notice")
    for css in (".notice .command", ".notice p"):
        assert box(page, css)["right"] <= outer["right"] - 8, css
    assert not page.all(".notice .btn:not(.bare)"), "a peer that does not run cannot be registered"


def test_a_tablet_shows_the_actions_of_a_row(world, driver):
    page = world.page(driver)
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": 820, "height": 1100, "deviceScaleFactor": 1, "mobile": False})
    page.open("share")
    row = page.row("f1.txt", SHARED)
    for action in ("link", "save", "rename", "delete"):
        assert row.find_element("css selector", f"[data-act={action}]").is_displayed(), action
    assert page.overflow() <= 0


def test_a_phone_has_one_button_instead_of_a_place_to_drop(world, driver):
    page = world.page(driver, "phone")
    driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    try:
        page.open("share")
        page.wait(lambda: page.one("#choose-files").text == "Add photos or files", what="the button")
        assert not page.one(".drop-title").is_displayed()
        assert box(page, SHARED)["top"] < 740 * 0.6
    finally:
        driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})


def test_a_phone_shows_the_first_transfer_without_scrolling(world, driver):
    body = {"filename": "none.bin", "peers": [{"ip": "127.0.0.1", "port": 9}]}
    transfer = world.near.api.request("POST", "/api/transfers", json=body).json()
    page = world.page(driver, "phone").open("transfers")
    page.wait(lambda: page.names('section[aria-label="Transfers"] .row') == ["none.bin"], what="the row")
    assert box(page, 'section[aria-label="Transfers"] .row')["top"] < 740 * 0.6
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": 740, "height": 360, "deviceScaleFactor": 1, "mobile": True})
    page.wait(lambda: box(page, 'section[aria-label="Transfers"] .row')["top"] < 300, what="the row in a low window")
    world.near.api.request("DELETE", f"/api/transfers/{transfer['id']}")


def test_what_only_this_computer_has_comes_last(world, driver):
    page = world.page(driver).open("search")
    page.one("#search-box").send_keys("song")
    names = lambda: page.names('section[aria-label="Results"] .row')  # noqa: E731
    page.wait(lambda: names() == ["their song.flac", "only mine song.flac"], what="the others' first")
    assert "Signed" not in page.text("main") and "Only on this computer" in page.text("main")


SIZES = {0: "0 bytes", 999: "999 bytes", 1000: "1 kB", 31_460_000: "31.5 MB", 314_600_000: "315 MB", 999_600: "1 MB", 5_000_000_000: "5 GB"}


def test_sizes_count_in_thousands(world, driver):
    page = world.page(driver).open("share")
    code = "const [sizes, done] = arguments; import('/js/format.js').then((m) => done(sizes.map((n) => m.bytes(n))))"
    assert driver.execute_async_script(code, list(SIZES)) == list(SIZES.values())


def test_the_chart_has_a_scale_and_outlives_a_reload(world, driver):
    page = world.page(driver).open("transfers")
    page.js("sessionStorage.setItem('p2p.speeds', JSON.stringify({at: Date.now(), speeds: [0, 1.5e6, 3.2e6]}))")
    page.driver.refresh()
    page.wait(lambda: page.js("return 'ready' in document.documentElement.dataset"), what="the page ready")
    page.wait(lambda: page.js("return document.querySelector('.chart-top')?.textContent") == "5 MB/s", what="the scale")
    assert "3.2 MB/s" in page.one(".chart").get_attribute("aria-label")

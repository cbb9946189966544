"""The command palette, the language of the search field, and addresses for everything."""

import json
import re

import pytest
from selenium.webdriver.common.keys import Keys

from conftest import wait_until
from page import driver  # noqa: F401
from world import World

NEAR = {"mine.txt": b"mine", "Trip/Day 1/beach.png": b"no picture", "Trip/plan.txt": b"plan", **{f"note {n}.txt": b"n" for n in range(6)}}
FAR = {"wedding film.webm": b"w" * 3_000_000, "wedding song.flac": b"s" * 50_000, "film of the wedding.mp4": b"f" * 20_000, "draft wedding film.mkv": b"d" * 20_000}
ROWS = 'section[aria-label="Results"] .row'
ARGUMENTS = {("unfinished", "all")}  # not a verb: what is removed


@pytest.fixture(scope="module")
def world(module_suite):
    return World(module_suite, near=NEAR, far=FAR)


def open_palette(page):
    page.keys(Keys.CONTROL, "k")
    return page.wait(lambda: page.one("dialog.palette [role=combobox]"), what="the palette")


def options(page):
    return [e.text for e in page.all("dialog.palette .pal-label")]


def active(page):
    return page.js("const i = document.querySelector('#pal-box').getAttribute('aria-activedescendant'); return document.getElementById(i)?.querySelector('.pal-label').textContent")


def cli(suite):
    """(command, verb) of everything that p2p --help lists."""
    found = set()
    for line in suite.p2p("--help", check=True).stdout.splitlines():
        row = re.match(r"^  ([a-z]+)(?: ([^ ].*?))?(?:  +\S.*)?$", line)
        if not row:
            continue
        verbs = [re.match(r"(--)?[a-z]+", part.strip("[] ")) for part in re.split(r"[|,]", row[2] or "")]
        verbs = [verb[0] for verb in verbs if verb]
        found |= {(row[1], verb) for verb in verbs} or {(row[1], "")}
    return found - ARGUMENTS


def test_every_command_has_an_action_or_a_reason(world, driver):
    page = world.page(driver).open("share")
    open_palette(page)
    code = "const [url, done] = arguments; import(url).then((m) => done(m.commands()))"
    rows = driver.execute_async_script(code, page.module("actions.js"))
    wanted = cli(world.suite)
    assert len(wanted) > 40 and ("peers", "trust") in wanted and ("history", "--deleted") in wanted
    assert wanted - {(row["command"], row["verb"]) for row in rows} == set()
    assert {row["command"] for row in rows} <= {command for command, _ in wanted}
    for row in rows:
        assert row["line"].split()[:2] == ["p2p", row["command"]] and (row["verb"] in row["line"])
        assert row.get("why", "x") and not re.search(r"pal\.|err\.", row["label"] + row.get("why", "")), row
    assert len({row["label"] for row in rows}) > len(rows) * 0.8
    assert len([row for row in rows if "why" in row]) < len(rows) / 3


def test_by_keyboard_alone_words_in_any_order_recent_first(world, driver):
    page = world.page(driver).open("share").live()
    box = open_palette(page)
    assert driver.switch_to.active_element == box and box.get_attribute("aria-expanded") == "true"
    assert page.one("#pal-list").get_attribute("role") == "listbox"
    page.wait(lambda: active(page), what="a marked option")
    box.send_keys("key short")
    page.wait(lambda: active(page) == "Keyboard shortcuts", what="words in any order")
    box.send_keys(Keys.CONTROL, "a")
    box.send_keys("deleted hist")
    page.wait(lambda: page.text("dialog.palette .pal-foot code") == "p2p history --deleted", what="the line of the command")
    assert page.axe() == []
    box.send_keys(Keys.ENTER)
    page.wait(lambda: "Deleted files" in page.text("dialog[open] h2"), what="the action")
    page.keys(Keys.ESCAPE)
    page.no_dialog()
    box = open_palette(page)
    page.wait(lambda: "history" in page.text("dialog.palette .pal-foot code") and "--deleted" in page.text("dialog.palette .pal-foot code"), what="recent first")
    first = active(page)
    box.send_keys(Keys.ARROW_DOWN)
    assert active(page) != first
    box.send_keys(Keys.ARROW_UP, Keys.ARROW_UP)
    assert active(page) == options(page)[-1], "around the end"
    box.send_keys("mine.txt")
    page.wait(lambda: active(page) == "mine.txt", what="a file")
    box.send_keys(Keys.ENTER)
    page.wait(lambda: page.text("dialog.viewer .view-text") == "mine", what="the file")
    assert "open=mine.txt" in page.js("return location.hash")
    page.keys(Keys.ESCAPE)
    page.no_dialog()
    box = open_palette(page)
    box.send_keys("nothing is called like that xyzq")
    page.wait(lambda: options(page) and options(page)[-1].startswith("Search all devices"), what="the search")
    page.keys(Keys.ESCAPE)
    page.no_dialog()
    assert page.console() == []


def test_a_device_a_download_and_a_reason(world, driver):
    page = world.page(driver).open("share").live()
    box = open_palette(page)
    box.send_keys("wedding song")
    page.wait(lambda: "Download: wedding song.flac" in options(page), 30, "what others have")
    at = options(page).index("Download: wedding song.flac")
    page.all("dialog.palette .pal-row")[at].click()
    wait_until(lambda: (world.near.downloads / "wedding song.flac").exists(), 60, "the file")
    page.no_dialog()
    box = open_palette(page)
    box.send_keys("rotate")
    page.wait(lambda: "Key of this computer" in (active(page) or ""), what="the command")
    assert "only in a terminal" in page.text("dialog.palette [aria-selected=true]")
    box.send_keys(Keys.ENTER)
    page.see("Copied")
    assert page.all("dialog.palette"), "it stays"


@pytest.mark.parametrize("size, language", [("phone", "ar"), ("tablet", "en"), ("desk", "en")])
def test_it_fits(world, driver, size, language):
    page = world.page(driver, size, lang=language, theme="dark" if language == "ar" else "light").open("share")
    page.one("[aria-keyshortcuts='Control+K Meta+K']").click()
    box = page.wait(lambda: page.one("#pal-box"), what="the palette")
    box.send_keys("p2p")
    page.wait(lambda: len(options(page)) > 20, what="the commands")
    assert page.js("const d = document.querySelector('dialog.palette'); return d.scrollWidth <= d.clientWidth && d.getBoundingClientRect().right <= innerWidth")
    assert page.overflow() <= 0 and page.axe() == []


def find(page, text):
    page.js("location.hash = `#/search?${new URLSearchParams({ q: arguments[0] })}`", text)


SEARCHES = {
    "film wedding": {"wedding film.webm", "film of the wedding.mp4", "draft wedding film.mkv"},
    "type:audio": {"wedding song.flac"},
    "wedding -draft type:video": {"wedding film.webm", "film of the wedding.mp4"},
    "wedding size:>1MB": {"wedding film.webm"},
    "wedding size:<=20kB": {"film of the wedding.mp4", "draft wedding film.mkv"},
    '"wedding film"': {"wedding film.webm", "draft wedding film.mkv"},
}


def test_words_in_any_order_and_filters(world, driver):
    page = world.page(driver).open("search")
    for text, names in SEARCHES.items():
        find(page, text)
        page.wait(lambda names=names: set(page.names(ROWS)) == names, 30, f"{text}: {names}")


def test_filters_that_cannot_help_say_so(world, driver):
    page = world.page(driver).open("search")
    find(page, "size:>1GB")
    page.see("alone is not enough")
    page.see("Nothing found")
    find(page, "wedding size:big")
    page.see("Not understood: size:big")
    find(page, "wedding from:nobody")
    page.see("Nothing found")
    find(page, "")
    page.one("#search-box").clear()
    page.one(".search-help summary").click()
    page.press("type:video", ".search-help")
    page.wait(lambda: page.js("return location.hash").endswith("type%3Avideo"), what="the address")
    page.wait(lambda: len(page.names(ROWS)) == 3, 30, "the videos")
    assert page.axe() == [] and page.console() == []


def test_results_that_are_cut_say_so(world, driver):
    page = world.page(driver).open("search")
    page.js("""const real = fetch; window.fetch = async (url, o) => { const a = await real(url, o);
               if (!String(url).startsWith('api/search')) return a;
               return new Response(JSON.stringify({ ...await a.json(), truncated: true }), { headers: { 'Content-Type': 'application/json' } }); }""")
    page.one("#search-box").send_keys("wedding -draft")
    page.see("There may be more")


def test_an_address_for_everything(world, driver):
    """Each is opened as a link, reloaded, left with Back and entered again with Forward."""
    body = {"filename": "none.bin", "peers": [{"ip": "127.0.0.1", "port": 9}]}
    transfer = world.near.api.request("POST", "/api/transfers", json=body).json()
    far = world.far_peer.peer_id
    page = world.page(driver)
    shown = lambda text: page.wait(lambda: text in page.text("dialog[open]"), 30, text)  # noqa: E731
    dialogs = {
        "/share?open=mine.txt": "mine.txt",
        "/share?at=Trip&open=Trip%2Fplan.txt": "plan.txt",
        f"/peers?id={far}": "film of the wedding",
        f"/transfers?id={transfer['id']}": "none.bin",
    }
    for fragment, text in dialogs.items():
        page.open(fragment=fragment)
        shown(text)
        driver.refresh()
        shown(text)
        page.keys(Keys.ESCAPE)
        page.no_dialog()
        assert page.js("return location.hash") == "#" + re.sub(r"[?&](open|id)=.*", "", fragment), "the view without it"
        driver.forward()
        shown(text)
        driver.back()
        page.no_dialog()
        assert page.js("return location.href").startswith(page.url), "Back does not leave the page"
    page.open(fragment="/share?at=Trip").row("Trip/plan.txt")
    page.open(fragment="/search?q=wedding").wait(lambda: len(page.names(ROWS)) == 4, 30, "the search")
    for section in ("this", "look", "devices", "about"):
        page.open(fragment=f"/settings?at={section}")
        page.wait(lambda: page.js("return document.activeElement.id") == f"set-{section}", 30, section)
    page.open(fragment="/share?open=none")
    page.see("is no longer shared here")
    page.open(fragment=f"/peers?id={'0' * 64}")
    page.see("This device is not here now.")
    page.open(fragment="/transfers?id=none")
    page.see("no longer in the list")
    world.near.api.request("DELETE", f"/api/transfers/{transfer['id']}")


def test_a_row_gives_its_address(world, driver):
    page = world.page(driver).open("share")
    page.row("mine.txt").find_element("css selector", ".open").click()
    page.wait(lambda: "mine" in page.text("dialog.viewer"), what="the file")
    assert page.js("return location.hash") == "#/share?open=mine.txt"
    page.keys(Keys.ARROW_RIGHT)
    page.wait(lambda: page.js("return location.hash") == "#/share?open=note+0.txt", what="the next file")
    driver.back()
    page.no_dialog()
    assert page.js("return location.hash") == "#/share"
    page.go("peers")
    far = lambda: next((row for row in page.all("main .card .row") if f":{world.far_peer.port}" in row.text), None)  # noqa: E731
    page.act("far", "browse", far)
    page.wait(lambda: page.js("return location.hash") == f"#/peers?id={world.far_peer.peer_id}", what="the device")


def test_no_view_shows_hexadecimal_or_other_units(world, driver):
    """Ids are for details; sizes are in kB, MB, GB."""
    page = world.page(driver).open("share").live()
    for view, shown in {"share": "mine", "search?q=wedding": "film", "transfers": "Transfers", "downloads": "Downloaded", "peers": "Known", "settings": "Free space"}.items():
        page.js("location.hash = `#/${arguments[0]}`", view)
        page.wait(lambda shown=shown: shown in page.text("main") and "Loading" not in page.text("main"), 30, view)
        text = page.text("#app")
        assert not re.search(r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{8,}", text), (view, text)
        assert not re.search(r"\d\s?[KMGT]i?B\b(?<![kMGT]B)|\bKB\b|iB\b", text), (view, text)

"""Files as things: they are opened in the page, lie in folders, and are selected and used together."""

import io
import os
import struct
import wave
import zipfile
import zlib

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from conftest import wait_until
from page import driver  # noqa: F401
from world import DOWNLOADED, SHARED, World


def png(width, height, color):
    """A picture of one color."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + bytes(color) * width) * height
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def wav():
    out = io.BytesIO()
    with wave.open(out, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(1)
        sound.setframerate(8000)
        sound.writeframes(b"\x80" * 8000)
    return out.getvalue()


HOSTILE = b"<!DOCTYPE html><script>document.title='taken'</script><b>bold</b>"
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]>>endobj\ntrailer<</Root 1 0 R>>\n"
FILES = {
    "1 red.png": png(40, 30, (255, 0, 0)),
    "2 sound.wav": wav(),
    "3 page.html": HOSTILE,
    "4 drawing.svg": b"<svg xmlns='http://www.w3.org/2000/svg' onload='document.title=1'/>",
    "5 lies.png": HOSTILE,
    "6 program.bin": b"\x7fELF\0\1",
    "7 paper.pdf": PDF,
}
TEXT = "text/plain; charset=utf-8"
TYPES = ["image/png", "audio/wav", TEXT, TEXT, TEXT, "application/octet-stream", "application/pdf"]


TREE = {"Trip/Day 1/a.png": png(8, 8, (1, 2, 3)), "Trip/Day 1/b.txt": b"bb", "Trip/Day 2/c.txt": b"ccc", "Trip/list.txt": b"list"}
THEIRS = {"Album/one.ogg": b"1" * 900, "Album/Live/two.ogg": b"2" * 800, "alone.ogg": b"3" * 700}


@pytest.fixture(scope="module")
def world(module_suite):
    world = World(module_suite, near={**FILES, **TREE}, far=THEIRS)
    path = world.near.downloads / "Got" / "map.txt"
    path.parent.mkdir()
    path.write_bytes(b"map")
    return world


@pytest.fixture
def page(world, driver):
    return world.page(driver).open("share")


def opened(page, name):
    page.row(name, SHARED).find_element("css selector", ".open").click()
    return page.dialog()


def test_the_server_decides_what_is_shown_and_never_a_page(world):
    for (name, data), kind in zip(FILES.items(), TYPES, strict=True):
        answer = world.near.api.request("GET", f"/api/shared/{name}?view=1")
        assert answer.content == data
        assert answer.headers["Content-Type"] == kind, name
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        sandbox = "" if kind == "application/pdf" else "sandbox; "  # in which browsers open no PDF
        assert answer.headers["Content-Security-Policy"] == sandbox + "default-src 'none'", name
        shown = kind.startswith(("image/", "audio/", "application/pdf"))
        assert answer.headers["Content-Disposition"].startswith("inline" if shown else "attachment"), name
    for query in ("", "?view=0", "?view=1x"):  # only when it is asked for
        headers = world.near.api.request("GET", f"/api/shared/1 red.png{query}").headers
        assert headers["Content-Type"] == "application/octet-stream" and headers["Content-Disposition"].startswith("attachment")
    part = world.near.api.request("GET", "/api/shared/2 sound.wav?view=1", headers={"Range": "bytes=40-49"})
    assert part.status_code == 206 and part.content == FILES["2 sound.wav"][40:50]


def test_files_open_in_the_page(world, page, driver):
    opened(page, "1 red.png")
    assert page.wait(lambda: page.js("return document.querySelector('.stage img')?.naturalWidth"), what="the picture") == 40
    page.see("1 of 7")
    page.keys(Keys.ARROW_LEFT)  # there is none before
    page.keys(Keys.ARROW_RIGHT)
    page.wait(lambda: page.js("return document.querySelector('.stage audio')?.duration") == 1, what="the sound")
    page.press("Next file", "dialog[open]")
    for name in ("3 page.html", "4 drawing.svg", "5 lies.png"):
        page.wait(lambda: page.js("return document.querySelector('.stage pre')?.textContent") == FILES[name].decode(), what=f"the text of {name}")
        page.press("Next file", "dialog[open]")
    page.see("This file cannot be shown here.")
    for width in ("phone", "desk"):
        page.size(width)
        assert page.overflow() <= 0
        assert page.axe() == []
    page.press("Save to this device", "dialog[open]")
    wait_until(lambda: (driver.saved / "6 program.bin").exists(), what="saved")
    for _ in range(12):  # the focus stays inside
        page.keys(Keys.TAB)
        assert page.js("return document.activeElement === document.body || !!document.activeElement.closest('dialog')")
    page.keys(Keys.ESCAPE)
    page.no_dialog()
    assert page.focused().startswith("1 red") and "taken" not in driver.title
    page.keys(Keys.ENTER)  # by keyboard, and closed by Back
    page.dialog()
    driver.back()
    page.no_dialog()
    assert page.heading() == "Share Files"
    assert [e for e in page.console() if "/api/thumb" not in e["message"]] == []  # there is no picture of "5 lies.png"


def test_a_pdf_opens_in_a_tab(page, driver):
    here = driver.current_window_handle
    page.row("7 paper.pdf", SHARED).find_element("css selector", ".open").click()
    page.wait(lambda: len(driver.window_handles) == 2, what="a new tab")
    driver.switch_to.window(next(w for w in driver.window_handles if w != here))
    try:
        page.wait(lambda: page.js("return document.contentType") == "application/pdf", what="the paper")
    finally:
        driver.close()
        driver.switch_to.window(here)


def enter(page, name, css=SHARED):
    page.row(name, css).find_element("css selector", ".open").click()


def test_folders_are_entered_and_left(world, page, driver):
    assert page.wait(lambda: page.names(SHARED), what="rows")[0] == "Trip"
    page.see("4 files · ")
    enter(page, "Trip")
    page.wait(lambda: page.names(SHARED) == ["Trip/Day 1", "Trip/Day 2", "Trip/list.txt"], what="the folder's entries")
    enter(page, "Trip/Day 1")
    page.row("Trip/Day 1/a.png", SHARED)
    assert page.js("return location.hash") == "#/share?at=Trip%2FDay+1"
    for width in ("phone", "desk"):
        page.size(width)
        assert page.overflow() <= 0
        assert page.axe() == []
    driver.back()
    page.row("Trip/list.txt", SHARED)
    page.press("Share Files", ".crumbs")
    page.row("7 paper.pdf", SHARED)
    page.open("share", "/share?at=Trip%2FDay+2").row("Trip/Day 2/c.txt", SHARED)  # such an address can be kept
    page.one(".tools input").send_keys("c")
    page.wait(lambda: page.names(SHARED) == ["Trip/Day 2/c.txt"], what="only what is in the folder")
    page.open("downloads")
    enter(page, "Got", DOWNLOADED)
    page.row("Got/map.txt", DOWNLOADED)


def test_other_peoples_folders_are_downloaded(world, page):
    page.open("peers")
    name = page.wait(lambda: next((r for r in page.all("main .row") if r.find_elements("css selector", "[data-act=browse]")), None), what="the other device")
    name.find_element("css selector", "[data-act=browse]").click()
    box = "dialog[open] .row"
    assert page.wait(lambda: page.names(box) == ["Album", "alone.ogg"], what="its folders")
    enter(page, "Album", box)
    page.wait(lambda: page.names(box) == ["Album/Live", "Album/one.ogg"], what="the folder")
    page.press(page.js("return document.querySelector('dialog .crumbs button').textContent"), "dialog .crumbs")
    page.row("Album", box).find_element("css selector", "[data-act=get]").click()
    for file in ("Album/one.ogg", "Album/Live/two.ogg"):
        wait_until(lambda: (world.near.downloads / file).is_file() and (world.near.downloads / file).read_bytes() == THEIRS[file], 40, what=file)


def chosen(page):
    picked = "[...document.querySelectorAll('main [aria-checked=true]')].map((e) => e.closest('.row').querySelector('.name').dataset.raw)"
    return page.js(f"return {picked}")


def test_rows_are_selected_and_used_together(world, page, driver):
    names = ["Trip", *sorted(FILES)]
    page.wait(lambda: page.names(SHARED) == names, what="rows")

    def click(name, key=None, part=".open"):
        target = page.row(name, SHARED).find_element("css selector", part)
        actions = ActionChains(driver)
        if key:
            actions.key_down(key).click(target).key_up(key).perform()
        else:
            actions.click(target).perform()

    click(names[1], part=".kind")
    page.wait(lambda: chosen(page) == names[1:2], what="one")
    click(names[3], Keys.SHIFT)
    page.wait(lambda: chosen(page) == names[1:4], what="a range")
    click(names[2], Keys.CONTROL)
    click(names[0])  # a click adds while something is selected
    page.wait(lambda: chosen(page) == [names[0], names[1], names[3]], what="some")
    page.see("3 selected")
    menu = lambda: page.text(".context-menu").split("\n")  # noqa: E731
    ActionChains(driver).context_click(page.row(names[1], SHARED).find_element("css selector", ".open")).perform()
    page.wait(lambda: menu() == ["Send", "Save as ZIP", "Delete"], what="what is done with all of them")
    page.keys(Keys.ESCAPE)
    assert not page.all(".context-menu") and len(chosen(page)) == 3
    for width in ("phone", "desk"):
        page.size(width)
        page.js("scrollTo(0, document.body.scrollHeight)")  # the bar lies below the rows, not on them
        assert page.overflow() <= 0
        assert page.axe() == []
    page.press("Save as ZIP", ".select-bar")
    saved = driver.saved / "files.zip"
    wait_until(lambda: saved.exists() and zipfile.is_zipfile(saved), what="saved")
    with zipfile.ZipFile(saved) as archive:
        expected = {**{n: FILES[n] for n in (names[1], names[3])}, **TREE}
        assert {n: archive.read(n) for n in archive.namelist()} == expected
    page.keys(Keys.ESCAPE)
    page.wait(lambda: chosen(page) == [], what="none")
    ActionChains(driver).key_down(Keys.CONTROL).send_keys("a").key_up(Keys.CONTROL).perform()
    page.see("8 selected")
    page.keys(Keys.ESCAPE)
    page.row("1 red.png", SHARED).find_element("css selector", ".open").send_keys(Keys.SHIFT, Keys.ARROW_DOWN)
    page.wait(lambda: chosen(page) == names[1:3], what="by keyboard")
    page.keys(Keys.ESCAPE)
    first = page.row("1 red.png", SHARED)
    first.find_element("css selector", ".open").send_keys(Keys.SHIFT, Keys.F10)
    page.wait(lambda: menu() == ["Open", "Send", "Link and QR code", "Save to this device", "Rename", "History", "Delete", "Select"], what="its menu")
    assert page.axe() == []
    page.keys(Keys.ARROW_UP)
    assert page.focused() == "Select"
    page.keys(Keys.ENTER)
    page.wait(lambda: chosen(page) == ["1 red.png"] and not page.all(".context-menu"), what="selected by the menu")
    page.keys(Keys.ESCAPE)
    first.find_element("css selector", ".acts button").send_keys(Keys.F2)
    page.wait(lambda: page.one("#new-name").get_attribute("value") == "1 red.png", what="its name")
    page.press("Cancel", "dialog[open] .dialog-foot")
    page.no_dialog()
    touch = {"type": "touchStart", "touchPoints": [dict(zip("xy", page.js("const r = arguments[0].getBoundingClientRect(); return [r.x + r.width / 2, r.y + 5]", page.row("Trip", SHARED))))]}
    driver.execute_cdp_cmd("Input.dispatchTouchEvent", touch)
    page.wait(lambda: chosen(page) == ["Trip"], what="a long press")
    driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    page.wait(lambda: chosen(page) == ["Trip"], what="still selected")
    page.keys(Keys.DELETE)
    page.see("4 files")
    page.press("Delete", "dialog[open] .dialog-foot")
    wait_until(lambda: not (world.near.shared / "Trip").exists(), what="the folder gone")
    page.wait(lambda: "Trip" not in page.names(SHARED), 60, "gone from the list, too")

    def undone():
        """Repeats until there is something to undo; the message that offers it may have gone meanwhile."""
        ActionChains(driver).key_down(Keys.CONTROL).send_keys("z").key_up(Keys.CONTROL).perform()
        return "Trip" in page.names(SHARED)

    page.wait(undone, 60, "the folder in the list")
    wait_until(lambda: all((world.near.shared / n).is_file() and (world.near.shared / n).read_bytes() == data for n, data in TREE.items()), 60, what="the folder back")


def test_uploads_go_into_the_open_folder(world, page, tmp_path):
    page.open("share", "/share?at=Trip").row("Trip/list.txt", SHARED)
    new = tmp_path / "new.txt"
    new.write_bytes(b"new")
    page.choose_files(new)
    page.row("Trip/new.txt", SHARED)
    assert (world.near.shared / "Trip" / "new.txt").read_bytes() == b"new"


def test_small_pictures(world, page):
    api = world.near.api
    root = next(f["root"] for f in api.json("/api/shared")["files"] if f["name"] == "1 red.png")
    if api.request("GET", f"/api/thumb/{root}").status_code == 404:
        pytest.skip("built without libraries for pictures")
    for address in (f"/api/thumb/{root}?size=20", "/api/thumb?of=shared&path=1 red.png&size=20"):
        answer = api.request("GET", address)
        assert answer.status_code == 200 and answer.headers["Content-Type"] == "image/jpeg" and answer.content[:3] == b"\xff\xd8\xff"
        assert api.request("GET", address, headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
    for address, status in {
        "/api/thumb?of=shared&path=3 page.html": 404,
        "/api/thumb?of=shared&path=5 lies.png": 404,
        "/api/thumb?of=shared&path=none.png": 404,
        "/api/thumb?of=shared&path=../keys/owner.token": 400,
        "/api/thumb?of=keys&path=1 red.png": 400,
        "/api/thumb?of=shared&path=1 red.png&size=9000": 400,
        f"/api/thumb/{'0' * 64}": 404,
        "/api/thumb/xyz": 400,
    }.items():
        answer = api.request("GET", address)
        assert answer.status_code == status, address
        assert "immutable" not in answer.headers.get("Cache-Control", ""), address
    picture = "return document.querySelector(`main .row img[src*='${arguments[0]}']`)?.naturalWidth"
    page.wait(lambda: page.js(picture, root) == 40, what="the small picture in its row")
    page.press("Show as tiles")
    rects = "return [...document.querySelectorAll('main .row')].map((e) => e.getBoundingClientRect().top)"
    page.wait(lambda: len(set(page.js(rects))) < len(page.js(rects)), what="several in a row")
    for width in ("phone", "desk"):
        page.size(width)
        assert page.overflow() <= 0
        assert page.axe() == []


def test_a_folder_becomes_private_and_public_again(world, page):
    def listed():
        run = world.suite.p2p("share", "ls", "--keys-dir", world.near_peer.keys, "--shared-dir", world.near.shared)
        assert run.returncode == 0, run.stderr
        return run.stdout

    page.act("Trip", "access")
    page.wait(lambda: "Only these devices" in page.dialog().text, what="the choices")
    assert page.axe() == []
    page.one("input[value=some]").click()
    page.one(".who input").click()
    page.press("Save", "dialog[open]")
    page.see("Private: 1 device")
    far = world.far_peer.peer_id
    assert [(g["folder"], g["peers"], g["everyone"]) for g in world.near.api.json("/api/grants")["grants"]] == [("Trip/", [far], False)]
    page.act("Trip", "access")
    page.wait(lambda: page.one("input[value=some]").is_selected() and page.one(".who input").is_selected(), what="the rule")
    page.one("input[value=none]").click()
    page.press("Save", "dialog[open]")
    page.wait(lambda: "Private: 1 device" not in page.text("main"), what="public")
    assert world.near.api.json("/api/grants")["grants"] == []
    assert "[private" not in listed()
    assert world.near.api.request("POST", "/api/grants", json={"folder": "/", "peers": []}).status_code == 200
    assert "[private: no other device]" in listed()
    grant = world.near.api.json("/api/grants")["grants"][0]
    assert world.near.api.delete("grants", str(grant["id"])).status_code == 200


def test_a_large_upload_goes_on_by_itself_after_a_break(world, page, tmp_path, driver):
    data = os.urandom(12_000_000)
    (tmp_path / "large.bin").write_bytes(data)
    driver.execute_cdp_cmd("Network.enable", {})
    speed = {"offline": False, "latency": 0, "downloadThroughput": -1}
    driver.execute_cdp_cmd("Network.emulateNetworkConditions", {**speed, "uploadThroughput": 1_500_000})
    try:
        page.choose_files(tmp_path / "large.bin")
        parts = lambda: list((world.near.shared / ".p2p").glob("*.tus"))  # noqa: E731
        wait_until(lambda: parts() and parts()[0].stat().st_size > 1_000_000, 40, what="a part of it")
        port = world.near.port
        world.near.kill()
        world.suite.programs.remove(world.near)
        kept = parts()[0].stat().st_size
        assert 0 < kept < len(data)
    finally:
        driver.execute_cdp_cmd("Network.emulateNetworkConditions", {**speed, "uploadThroughput": -1})
    world.near = world.suite.ui(name="near", discovery=world.discovery, peer=world.near_peer, port=port)
    wait_until(lambda: (world.near.shared / "large.bin").is_file(), 60, what="the file")
    assert (world.near.shared / "large.bin").read_bytes() == data
    page.row("large.bin", SHARED, timeout=40)
    assert not parts()


def test_a_text_is_shared_from_a_phone(world, driver):
    page = world.page(driver, "phone")
    driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    try:
        share_text(world, page.open("share"))
    finally:
        driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})


def share_text(world, page):
    page.press("Share text")
    page.dialog()
    page.keys("https://example.org/ Ünïcode")
    page.press("Share", "dialog[open] .dialog-foot")
    page.no_dialog()
    made = lambda: list(world.near.shared.glob("Pasted *.txt"))  # noqa: E731
    wait_until(made, what="the file")
    wait_until(lambda: made()[0].read_text() == "https://example.org/ Ünïcode", what="its text")

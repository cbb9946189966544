"""Files as things: they are opened in the page, lie in folders, and are selected and used together."""

import io
import struct
import wave
import zlib

import pytest
from selenium.webdriver.common.keys import Keys

from conftest import wait_until
from page import driver  # noqa: F401
from world import SHARED, World


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


@pytest.fixture(scope="module")
def world(module_suite):
    return World(module_suite, near=FILES)


@pytest.fixture
def page(world, driver):
    return world.page(driver).open("share")


def opened(page, name):
    page.row(name, SHARED).find_element("css selector", ".open").click()
    return page.dialog()


def test_the_server_decides_what_is_shown_and_never_a_page(world):
    for (name, data), kind in zip(FILES.items(), TYPES):
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
    assert page.console() == []


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

"""10,000 shared files and 500 transfers: the page does no more work than with ten. The test counts work, not time."""

import pytest

from conftest import wait_until
from page import driver  # noqa: F401
from world import SHARED, World

FILES = 10_000
TRANSFERS = 500


@pytest.fixture(scope="module")
def world(module_suite):
    near = {f"scan {i:05}.txt": b"%d" % i for i in range(FILES)}
    return World(module_suite, near=near)


def nodes(page):
    return page.js("return document.querySelectorAll('*').length")


def test_ten_thousand_files_scroll_filter_and_sort(world, driver):
    page = world.page(driver).open("share")
    page.see("10,000 files", 60)
    page.row("scan 00000.txt", SHARED)
    assert nodes(page) < 2000

    def at_the_end():
        """Repeats until it is there: rows that arrive meanwhile make the page longer."""
        page.js("scrollTo(0, document.body.scrollHeight)")
        return "scan 09999.txt" in page.names(SHARED)

    page.wait(at_the_end, 60, "the last row")
    page.row("scan 09999.txt", SHARED)
    assert nodes(page) < 2000
    page.js("document.querySelectorAll('main .row').forEach((row) => (row.old = true))")
    page.js("scrollTo(0, 64 * 5000)")
    page.row("scan 05000.txt", SHARED)
    new = page.js("return [...document.querySelectorAll('main .row')].filter((row) => !row.old).length")
    assert new <= 12, "rows that went away are used again"  # there were fewer, since none came after the end
    page.one(".tools input").send_keys("0777")
    page.wait(lambda: page.names(SHARED)[:2] == ["scan 00777.txt", "scan 07770.txt"], what="filtered")


def test_the_keyboard_walks_through_rows_that_are_not_in_the_page_yet(world, driver):
    page = world.page(driver).open("share")
    page.row("scan 00000.txt", SHARED)
    page.tab_to("Link and QR code")
    for _ in range(60):
        page.keys("\ue015")  # arrow down
    focused = "return document.activeElement.closest('[role=listitem]').querySelector('.name').dataset.raw"
    assert page.js(focused) == "scan 00060.txt"
    assert nodes(page) < 2000


def test_five_hundred_transfers(world, driver):
    paused = world.near.api.request("PATCH", "/api/config", json={"max_running": 1})
    assert paused.status_code == 200
    for i in range(TRANSFERS):
        body = {"filename": f"none {i}.bin", "peers": [{"ip": "127.0.0.1", "port": 9}]}
        answer = world.near.api.request("POST", "/api/transfers", json=body)
        assert answer.status_code == 201, answer.text
    page = world.page(driver).open("transfers")
    page.see(f"{TRANSFERS} transfers", 30)
    assert nodes(page) < 2000
    rows = 'section[aria-label="Transfers"] .row'

    def at_the_end():
        page.js("scrollTo(0, document.body.scrollHeight)")
        last = page.js("return [...document.querySelectorAll(arguments[0])].map((e) => e.ariaPosInSet)", rows)
        return str(TRANSFERS) in last and "1" not in last

    page.wait(at_the_end, 60, "the last row, and only those near it")
    assert nodes(page) < 2000
    wait_until(lambda: page.js("return document.readyState") == "complete")
    assert page.axe() == []

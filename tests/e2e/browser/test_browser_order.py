"""Lists under the hand: rows stay where they are pointed at, the focus survives what goes away."""

import threading

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from p2pwire.server import Server
from page import driver  # noqa: F401
from world import SHARED, World

TRANSFERS = 'section[aria-label="Transfers"] .row'


class Slow(Server):
    """A source that takes its time, until the test is done with it."""

    done = threading.Event()

    def on_get(self, connection, request):
        self.done.wait(4)
        super().on_get(connection, request)


@pytest.fixture(scope="module")
def world(module_suite):
    return World(module_suite, near={f"{name}.txt": b"x" for name in ("a", "b", "c")})


@pytest.fixture
def page(world, driver):
    page = world.page(driver)
    yield page
    for transfer in world.near.api.json("/api/transfers")["transfers"]:
        world.near.api.request("DELETE", f"/api/transfers/{transfer['id']}")


def begin(world, server, name):
    host, port = server.address
    body = {"filename": name, "peers": [{"peer_id": server.identity.peer_id, "ip": host, "port": port}]}
    answer = world.near.api.request("POST", "/api/transfers", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def test_a_paused_row_stays_under_the_pointer_until_it_leaves(world, page, driver):
    files = {f"{name}.bin": name.encode() * (4 << 20) for name in "xyz"}
    with Slow(files, chunk_size=1 << 16) as server:
        page.open("transfers").live()
        ids = [begin(world, server, name) for name in files]
        page.wait(lambda: len(page.all(TRANSFERS)) == 3, what="three rows")
        page.wait(lambda: page.text("main").count("Downloading") == 3, what="all running")
        before = page.names(TRANSFERS)
        ActionChains(driver).move_to_element(page.row(before[0], TRANSFERS)).perform()
        page.row(before[0], TRANSFERS).find_element("css selector", "[data-act=pause]").click()
        page.wait(lambda: "Paused" in page.row(before[0], TRANSFERS).text, what="paused")
        assert page.names(TRANSFERS) == before, "a second click would hit another row"
        ActionChains(driver).move_to_element(page.one("h1")).perform()
        page.wait(lambda: page.names(TRANSFERS)[-1] == before[0], what="the paused one below those that run")
        for id in ids:
            world.near.api.request("DELETE", f"/api/transfers/{id}")
        Slow.done.set()


def test_the_focus_goes_to_the_next_row_and_ctrl_z_undoes(world, page):
    page.open("share").live().row("a.txt", SHARED)
    page.tab_to("Delete")
    page.keys(Keys.ENTER)
    page.dialog()
    page.keys(Keys.ENTER)
    page.wait(lambda: page.names(SHARED) == ["b.txt", "c.txt"], what="the row gone")
    page.no_dialog()
    page.wait(lambda: page.focused() == "Delete", what="the focus on the next row's own button")
    name = "return document.activeElement.closest('[role=listitem]').querySelector('.name').dataset.raw"
    assert page.js(name) == "b.txt"
    page.see("“a.txt” deleted")  # from now on it can be undone
    page.keys(Keys.CONTROL, "z")
    page.row("a.txt", SHARED)
    assert (world.near.shared / "a.txt").exists()


def test_a_row_with_the_focus_stays_when_it_is_scrolled_away(world, page):
    for i in range(80):
        (world.near.shared / f"n{i:03}.txt").write_bytes(b"n")
    page.open("share").row("a.txt", SHARED)
    page.see("83 files", 40)
    page.tab_to("Link and QR code")
    page.js("scrollTo(0, document.body.scrollHeight)")
    page.row("n079.txt", SHARED)
    assert page.focused() == "Link and QR code"
    for i in range(80):
        (world.near.shared / f"n{i:03}.txt").unlink()
    page.see("3 files", 40)


def test_failed_transfers_are_removed_together(world, page):
    for i in range(3):
        body = {"filename": f"none {i}.bin", "peers": [{"ip": "127.0.0.1", "port": 9}]}
        assert world.near.api.request("POST", "/api/transfers", json=body).status_code == 201
    page.open("transfers").wait(lambda: page.text("main").count("Failed") >= 4, 90, "three failures")
    page.one("[data-group=failed]").click()
    page.press("Remove failed")
    page.see("No transfers")
    assert world.near.api.json("/api/transfers")["transfers"] == []

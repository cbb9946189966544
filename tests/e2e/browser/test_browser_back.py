"""The address of the page: searches are links, Back closes dialogs and finds its place again."""

import pytest

from page import driver  # noqa: F401
from world import SHARED, World

FILES = {f"file {i:03}.txt": b"x" for i in range(60)}


@pytest.fixture(scope="module")
def world(module_suite):
    return World(module_suite, near=FILES, far={"song one.flac": b"la" * 50_000, "anna wedding 2025.mp4": b"w" * 1000})


@pytest.fixture
def page(world, driver):
    return world.page(driver)


def results(page):
    return page.names('section[aria-label="Results"] .row')


def test_a_search_is_a_link(page):
    page.open("search").one("#search-box").send_keys("song")
    page.wait(lambda: page.js("return location.hash") == "#/search?q=song", what="the address with the words")
    page.open("search?q=song")
    page.wait(lambda: results(page) == ["song one.flac"], what="the results of the link")
    assert page.one("#search-box").get_attribute("value") == "song"
    page.go("share")
    page.driver.back()
    page.wait(lambda: page.heading() == "Search & Download" and results(page) == ["song one.flac"], what="the search again")


@pytest.mark.parametrize("view", ["share", "search", "transfers", "downloads", "peers", "settings"])
def test_a_view_typed_as_a_path(world, page, view):
    page.driver.get(f"{world.url}/{view}")
    page.wait(lambda: page.js("return location.pathname + location.hash") == f"/#/{view}", what="the view's address")
    page.wait(lambda: page.one(f'.nav-{view} a').get_attribute("aria-current") == "page", what="the view")


@pytest.mark.parametrize("words", ["wedding anna", "2025 wedding"])
def test_words_in_another_order_are_found(page, words):
    page.open("search").one("#search-box").send_keys(words)
    page.wait(lambda: results(page) == ["anna wedding 2025.mp4"], what="the file")


def test_a_misspelt_word_finds_names_like_it(page):
    page.open("search").one("#search-box").send_keys("weding")
    page.see("No exact match for “weding”. Similar names:")
    assert results(page) == ["anna wedding 2025.mp4"]


def test_back_closes_the_dialog_and_nothing_else(page):
    page.open("share").go("peers")
    page.press("Add by address")
    page.dialog()
    page.driver.back()
    page.no_dialog()
    assert page.heading() == "Devices"
    page.driver.back()
    page.wait(lambda: page.heading() == "Share Files", what="the view before")


def test_a_closed_dialog_leaves_no_step_behind(page):
    page.open("share").go("peers")
    for _ in range(3):
        page.press("Add by address")
        page.dialog()
        page.press("Cancel", "dialog[open]")
        page.no_dialog()
    page.wait(lambda: not page.js("return history.state?.dialog"), what="the step of the dialog removed")
    page.driver.back()
    page.wait(lambda: page.heading() == "Share Files", what="the view before")


def test_another_view_closes_the_dialog(page):
    page.open("peers").press("Add by address")
    page.dialog()
    page.js("location.hash = '#/downloads'")
    page.no_dialog()
    page.wait(lambda: page.heading() == "Downloaded Files", what="the other view")


def test_back_finds_its_place_a_link_begins_at_the_top(page):
    page.open("share").row("file 000.txt", SHARED)
    page.js("scrollTo(0, 900)")
    page.row("file 020.txt", SHARED)
    page.js("document.querySelector('a[href=\"#/peers\"]').click()")
    page.wait(lambda: page.heading() == "Devices")
    page.driver.back()
    page.wait(lambda: page.heading() == "Share Files" and page.js("return scrollY") == 900, what="the place")
    page.js("document.querySelector('a[href=\"#/peers\"]').click()")
    page.wait(lambda: page.heading() == "Devices")
    page.js("document.querySelector('a[href=\"#/share\"]').click()")
    page.wait(lambda: page.heading() == "Share Files")
    assert page.js("return scrollY") == 0

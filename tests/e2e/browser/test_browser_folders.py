"""What the page says of files that are not shared, of folders that are away, and of names that cannot be used."""

import os

import pytest

from conftest import wait_until
from page import driver  # noqa: F401 (fixture)
from world import World


@pytest.fixture(scope="module")
def world(module_suite):
    return World(module_suite, near={"mine.txt": b"mine"}, far={"song.flac": b"la" * 50_000})


@pytest.fixture
def page(driver, world):  # noqa: F811
    return world.page(driver)



def test_what_is_not_shared_is_counted_and_listed(page, world):
    (world.near.shared / "Re: mail.eml").write_bytes(b"x")
    page.open("share").see("1 entry of the folder is not shared")
    page.press("Show", ".notice")
    page.see("it contains ':'")
    page.see("Re: mail.eml")
    (world.near.shared / "Re: mail.eml").unlink()


def test_a_rescan_is_asked_for(page):
    page.open("share").press("Rescan")
    page.see("Looking through the folder")


def test_a_refused_name_says_why_and_offers_one_that_works(page, world, tmp_path):
    for name, size in (("Re: some email.eml", 4), ("a: big one.bin", 3 << 20)):
        path = tmp_path / name
        path.write_bytes(os.urandom(size))
        good = name.replace(":", "")
        page.open("share")
        page.choose_files(path)
        page.see("This name cannot be used: it contains ':'")
        page.press(f"Use “{good}”")
        wait_until(lambda: (world.near.shared / good).is_file(), what=f"{good} is shared")
        assert (world.near.shared / good).read_bytes() == path.read_bytes()


def test_a_name_that_exists_is_asked_about_before_it_is_sent(page, world, tmp_path):
    path = tmp_path / "mine.txt"
    path.write_bytes(b"new" * 1000)
    page.open("share").row("mine.txt")
    page.js(
        "window.sent = 0; const send = XMLHttpRequest.prototype.send;"
        "XMLHttpRequest.prototype.send = function (b) { window.sent += 1; return send.call(this, b); };"
    )
    page.choose_files(path)
    page.see("A file of this name is shared already.")
    assert page.js("return window.sent") == 0
    page.press("Keep both")
    wait_until(lambda: (world.near.shared / "mine (1).txt").is_file(), what="both")
    assert page.js("return window.sent") == 1
    assert (world.near.shared / "mine.txt").read_bytes() == b"mine"


def test_a_shared_folder_that_is_away(page, world):
    page.open("share").row("mine.txt")
    aside = world.near.shared.with_name("aside")
    world.near.shared.rename(aside)
    try:
        page.see("A folder is away", 30)
        page.see("was moved, deleted, emptied or unmounted")
    finally:
        aside.rename(world.near.shared)
    page.wait(lambda: "A folder is away" not in page.text(), 30, "the folder is back")
    page.row("mine.txt")


def test_an_emptied_shared_folder_is_confirmed(page, world):
    page.open("share").row("mine.txt")
    for path in world.near.shared.glob("[!.]*"):
        path.unlink()
    page.see("A folder is away", 30)
    page.press("I deleted the files", ".notice")
    page.wait(lambda: "A folder is away" not in page.text(), 30, "the folder is used again")
    (world.near.shared / "mine.txt").write_bytes(b"mine")
    page.row("mine.txt")


def test_a_downloads_folder_that_is_away(page, world):
    page.open("downloads")
    aside = world.near.downloads.with_name("aside downloads")
    world.near.downloads.rename(aside)
    try:
        page.see("A folder is away", 30)
        world.near.api.request("POST", "/api/transfers", json={"filename": "song.flac"})
        page.open("transfers").see("The downloads folder was moved, deleted or unmounted.", 30)
        page.see("Tried again at")
    finally:
        aside.rename(world.near.downloads)
    wait_until(lambda: (world.near.downloads / "song.flac").is_file(), 40, "the download")

"""How the page shows files that are not shared, folders that are away, and names that cannot be used."""

import os

import pytest

from conftest import wait_until
from file_systems import mounted
from p2pwire.server import Server
from page import WIDTHS, driver  # noqa: F401 (fixture)
from world import World


@pytest.fixture(scope="module")
def world(module_suite):
    return World(module_suite, near={"mine.txt": b"mine"}, far={"song.flac": b"la" * 50_000})


@pytest.fixture
def page(driver, world):  # noqa: F811
    return world.page(driver)



def test_what_is_not_shared_is_counted_and_listed(page, world):
    (world.near.shared / "Re: mail.eml").write_bytes(b"x")
    page.open("share").see("1 entry is not shared")
    page.press("Show", ".notice")
    page.see("it contains ':'")
    page.see("Re: mail.eml")
    (world.near.shared / "Re: mail.eml").unlink()


def test_a_rescan_is_asked_for(page):
    page.open("share").press("Rescan")
    page.see("Scanning the folder")


@pytest.mark.parametrize("width", WIDTHS)
def test_a_refused_name_says_why_and_offers_one_that_works(page, world, tmp_path, width):
    page.size(width)
    for name, size in ((f"Re: {width} mail.eml", 4), (f"a: big {width}.bin", 3 << 20)):
        path = tmp_path / name
        path.write_bytes(os.urandom(size))
        good = name.replace(":", "")
        page.open("share")
        page.choose_files(path)
        page.see("This name cannot be used: it contains ':'")
        widths = page.js("const m = document.querySelector('.row.up .meta'); return [m.scrollWidth, m.clientWidth]")
        assert widths[0] <= widths[1], "the reason is whole"
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
    page.see("There’s already a shared file with this name.")
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
        page.open("transfers").see("The folder was moved, deleted or unmounted.", 30)
        page.see("Retry at")
    finally:
        aside.rename(world.near.downloads)
    wait_until(lambda: (world.near.downloads / "song.flac").is_file(), 40, "the download")


@pytest.mark.parametrize("width", WIDTHS)
def test_a_name_that_the_disk_refuses_is_replaced_by_the_offered_one(suite, driver, width):  # noqa: F811
    name, data = "Who?.mp4", os.urandom(50_000)
    downloads = suite.folder / "near" / "downloads"
    with Server({name: data}) as server, mounted("exfat", downloads) as disk:
        try:
            world = World(suite)
            page = world.page(driver, width)
            where = {"peer_id": server.identity.peer_id, "ip": "127.0.0.1", "port": server.address[1]}
            body = {"filename": name, "peers": [where], "auto": False}
            assert world.near.api.request("POST", "/api/transfers", json=body).status_code == 201
            page.open("transfers").see("Use “Who_.mp4”", 30)
            page.press("Use “Who_.mp4”")
            wait_until(lambda: (disk / "Who_.mp4").is_file(), 30, "the download under the other name")
            assert (disk / "Who_.mp4").read_bytes() == data
            page.wait(lambda: "Use “" not in page.text(), 30, "nothing more to offer")
        finally:
            suite.stop()
            suite.programs.clear()

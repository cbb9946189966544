"""Sharing files and the list of downloaded files, by mouse and by finger: each action on a phone and on a desktop."""

import hashlib
import os
import zipfile

import pytest
from selenium.webdriver.common.keys import Keys

from conftest import wait_until
from page import driver, width  # noqa: F401
from world import DOWNLOADED, SHARED, world  # noqa: F401

HOSTILE = ["<img src=x onerror=alert(1)>.html", '"><script>alert(2)<script>.txt', "{{7*7}} $(touch x) `id`.txt", "<svg onload=alert(3)>", "l" * 200 + ".bin"]


def write(folder, name, data=b"content"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.fixture
def page(world, driver, width):
    page = world.page(driver, width).open("share")
    yield page
    for file in world.near.api.json("/api/shared")["files"]:
        if file["name"] != "mine.txt":
            world.near.api.delete("shared", file["name"])


def test_upload_by_button_is_shared_and_reaches_the_other_machine(world, page, tmp_path, width):
    name, data = f"chosen {width}.bin", os.urandom(300_000)
    page.choose_files(write(tmp_path, name, data))
    page.row(name, SHARED)
    assert (world.near.shared / name).read_bytes() == data
    # and on the other machine's dashboard it can be found
    wait_until(lambda: world.discovery.registry.peers(file=name), what="registered")
    there = world.far.api.json("/api/search", q=name)
    assert [r["name"] for r in there["results"]] == [name]


def test_several_files_and_a_folder_dropped(world, page, tmp_path):
    folder = tmp_path / "trip"
    write(folder, "day 1/a.jpg", b"a")
    write(folder, "day 1/.DS_Store", b"never")
    page.drop(write(tmp_path, "one.txt", b"1"), write(tmp_path, "two.txt", b"2"), folder)
    for name in ("one.txt", "two.txt", "trip"):
        page.row(name, SHARED)
    page.see("1 hidden file left out.")
    assert (world.near.shared / "trip/day 1/a.jpg").read_bytes() == b"a"
    assert not (world.near.shared / "trip/day 1/.DS_Store").exists()


def test_drop_works_in_every_view(page, tmp_path, width):
    page.go("downloads")
    page.drop(write(tmp_path, f"anywhere {width}.txt"))
    page.row(f"anywhere {width}.txt", SHARED)
    assert page.heading() == "Share Files"


def test_a_pasted_file_is_shared(page, world, width):
    page.paste_file(f"pasted {width}.txt", "from the clipboard")
    page.row(f"pasted {width}.txt", SHARED)
    assert (world.near.shared / f"pasted {width}.txt").read_text() == "from the clipboard"


def test_an_existing_name_asks_and_keeps_both_or_replaces(page, world, tmp_path):
    page.choose_files(write(tmp_path, "twice.txt", b"first"))
    page.row("twice.txt", SHARED)
    page.press("Clear list")
    page.choose_files(write(tmp_path, "twice.txt", b"second"))
    page.see("There’s already a shared file with this name.")
    assert (world.near.shared / "twice.txt").read_bytes() == b"first"
    if page.all('[aria-label="Uploads"] .btn.more') and page.one('[aria-label="Uploads"] .btn.more').is_displayed():
        page.one('[aria-label="Uploads"] .btn.more').click()
        page.press("Keep both", "dialog[open]")
    else:
        page.press("Keep both")
    page.row("twice (1).txt", SHARED)
    assert (world.near.shared / "twice.txt").read_bytes() == b"first"
    assert (world.near.shared / "twice (1).txt").read_bytes() == b"second"


def test_rename_and_undo(page, world, tmp_path):
    page.choose_files(write(tmp_path, "old name.txt", b"same"))
    page.act("old name.txt", "rename")
    page.dialog()
    field = page.one("#new-name")
    field.send_keys(Keys.CONTROL, "a")
    field.send_keys("new name.txt", Keys.ENTER)
    page.row("new name.txt", SHARED)
    assert (world.near.shared / "new name.txt").read_bytes() == b"same"
    page.press("Undo")
    page.row("old name.txt", SHARED)
    assert not (world.near.shared / "new name.txt").exists()


def test_a_bad_new_name_is_refused_with_a_reason(page, world, tmp_path):
    page.choose_files(write(tmp_path, "stays.txt", b"same"))
    page.act("stays.txt", "rename")
    field = page.one("#new-name")
    field.send_keys(Keys.CONTROL, "a")
    field.send_keys("../escape.txt", Keys.ENTER)
    page.see("This name cannot be used: it begins with a dot")
    page.row("stays.txt", SHARED)
    assert not (world.near.shared.parent / "escape.txt").exists()


def test_delete_asks_and_can_be_undone(page, world, tmp_path):
    page.choose_files(write(tmp_path, "short lived.txt", b"here"))
    page.act("short lived.txt", "delete")
    page.press("Cancel", "dialog[open]")
    page.no_dialog()
    assert (world.near.shared / "short lived.txt").exists()
    page.act("short lived.txt", "delete")
    page.press("Delete", "dialog[open] .dialog-foot")
    page.wait(lambda: not (world.near.shared / "short lived.txt").exists(), what="the file gone")
    page.wait(lambda: "short lived.txt" not in page.names(SHARED), what="the row gone")
    page.press("Undo")
    page.row("short lived.txt", SHARED)
    assert (world.near.shared / "short lived.txt").read_bytes() == b"here"


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_text(page, world, name):
    (world.near.shared / name).write_bytes(b"x")
    page.row(name, SHARED, timeout=30)
    page.wait(lambda: not page.row(name, SHARED).find_elements("css selector", "img, script"), what="only text")
    page.act(name, "link")
    assert name in page.dialog().text
    assert not page.console()


def test_save_to_this_device(page, world, driver, width):
    name, data = f"to save {width}.bin", os.urandom(200_000)
    (world.near.shared / name).write_bytes(data)
    page.act(name, "save")
    saved = driver.saved / name
    wait_until(lambda: saved.exists() and saved.stat().st_size == len(data), what="saved")
    assert hashlib.sha256(saved.read_bytes()).digest() == hashlib.sha256(data).digest()


def test_the_folder_of_a_file_is_saved_as_one_archive(page, world, driver, width):
    write(world.near.shared, "in no folder.txt")
    files = {f"album/song {width} {n}.ogg": os.urandom(50_000) for n in range(2)}
    for name, data in files.items():
        write(world.near.shared, name, data)
    page.act("album", "zip")
    saved = driver.saved / "album.zip"
    wait_until(lambda: saved.exists() and zipfile.is_zipfile(saved), what="saved")
    with zipfile.ZipFile(saved) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == files
    saved.unlink()
    assert not page.row("in no folder.txt", SHARED).find_elements("css selector", "[data-act=zip]")


def test_downloads_are_listed_and_deleted_with_undo(page, world, width):
    name = f"arrived {width}.txt"
    (world.near.downloads / name).write_bytes(b"arrived")
    page.go("downloads")
    page.row(name, DOWNLOADED)
    page.act(name, "delete")
    page.press("Delete", "dialog[open] .dialog-foot")
    page.wait(lambda: not (world.near.downloads / name).exists(), what="the file gone")
    page.press("Undo")
    page.row(name, DOWNLOADED)
    assert (world.near.downloads / name).read_bytes() == b"arrived"
    world.near.api.delete("download", name)


def test_the_empty_lists_say_what_to_do(page):
    page.go("downloads")
    page.see("Nothing downloaded yet")
    page.press("Search & Download")
    page.wait(lambda: page.heading() == "Search & Download")


@pytest.fixture
def slow_line(driver):
    driver.execute_cdp_cmd("Network.enable", {})
    throttle = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 400_000}
    driver.execute_cdp_cmd("Network.emulateNetworkConditions", throttle)
    yield lambda: driver.execute_cdp_cmd("Network.emulateNetworkConditions", {**throttle, "uploadThroughput": -1})
    driver.execute_cdp_cmd("Network.emulateNetworkConditions", {**throttle, "uploadThroughput": -1})


def test_upload_progress_speed_and_cancel_leave_nothing_behind(page, world, tmp_path, slow_line, width):
    name = f"slow upload {width}.bin"
    page.choose_files(write(tmp_path, name, os.urandom(6 << 20)))
    row = page.row(name, '[aria-label="Uploads"] .row')
    page.wait(lambda: "/s" in row.text, what="a speed")
    bar = row.find_element("css selector", "[role=progressbar]")
    page.wait(lambda: 0 < int(bar.get_attribute("aria-valuenow")) < 100, what="progress")
    page.press("Cancel", '[aria-label="Uploads"]')
    page.wait(lambda: not page.names('[aria-label="Uploads"] .row'), what="the row gone")
    assert name not in os.listdir(world.near.shared)
    large = (p for p in world.near.shared.rglob("*") if p.is_file() and p.stat().st_size > 1 << 20)
    left = [p for p in large if not p.name.startswith(("index.db", "versions.db"))]
    wait_until(lambda: not [p for p in left if p.exists()], what=f"nothing left on disk of {left}")


def test_a_page_with_a_running_upload_asks_before_it_is_left(page, tmp_path, slow_line, driver):
    page.choose_files(write(tmp_path, "leaving.bin", os.urandom(6 << 20)))
    page.row("leaving.bin", '[aria-label="Uploads"] .row')
    page.one("h1").click()  # browsers ask only after the person has used the page
    leave = "return !dispatchEvent(new Event('beforeunload', {cancelable: true}))"
    assert page.js(leave) is True
    page.press("Cancel", '[aria-label="Uploads"]')
    page.wait(lambda: not page.names('[aria-label="Uploads"] .row'), what="the row gone")
    assert page.js(leave) is False


def test_p2p_ui_killed_during_an_upload_which_is_tried_again(page, world, tmp_path, slow_line):
    data = os.urandom(3 << 20)
    page.choose_files(write(tmp_path, "survivor.bin", data))
    row = page.row("survivor.bin", '[aria-label="Uploads"] .row')
    page.wait(lambda: "/s" in row.text, what="a speed")
    port = world.near.port
    world.near.kill()
    world.suite.programs.remove(world.near)
    page.wait(lambda: "No connection" in row.text, what="the failure told")
    assert not (world.near.shared / "survivor.bin").exists()
    world.near = world.suite.ui(name="near", discovery=world.discovery, peer=world.near_peer, port=port)
    slow_line()
    row.find_element("css selector", "[data-act=retry]").click()
    page.row("survivor.bin", SHARED, timeout=40)
    assert (world.near.shared / "survivor.bin").read_bytes() == data

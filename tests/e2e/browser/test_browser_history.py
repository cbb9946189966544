"""The history of a shared file, and deleted files: on a phone and on a desktop."""

import os

from page import AXE, driver, width  # noqa: F401
from world import SHARED, world  # noqa: F401

DIALOG = "dialog[open]"


def replace(world, name, data):  # noqa: F811
    answer = world.near.api.request("POST", "/api/upload?on_conflict=overwrite", files={"file": (name, data)})
    assert answer.status_code == 200, answer.text


def picture(page, name):
    if folder := os.environ.get("P2P_PICTURES"):
        page.driver.save_screenshot(f"{folder}/{name}.png")


def open_history(page, name):
    """By the row's button, or by the sheet of a narrow page."""

    def press():
        row = page.row(name, SHARED)
        page.js("arguments[0].scrollIntoView({block: 'center'})", row)
        own = row.find_elements("css selector", "[data-act=history]")
        if own and own[0].is_displayed():
            own[0].click()
        else:
            row.find_element("css selector", ".btn.more").click()
            page.press("History", DIALOG)
        return True

    page.wait(press, what=f"the history of {name}")


def test_history_and_deleted_files(world, driver, width):  # noqa: F811
    name = f"report {width}.txt"
    for text in (b"first", b"the second one", b"third"):
        replace(world, name, text)
    page = world.page(driver, width).open("share")
    page.row(name, SHARED)

    # Restore the first of two earlier versions.
    open_history(page, name)
    page.wait(lambda: len(page.all(f"{DIALOG} .source")) == 2, what="two versions")
    assert page.overflow() <= 0
    picture(page, f"history-{width}")
    assert not AXE.exists() or not page.axe()
    page.all(f"{DIALOG} .source")[1].find_element("css selector", "button").click()
    page.wait(lambda: (world.near.shared / name).read_bytes() == b"first", what="the first content")
    page.no_dialog()

    # Delete it; bring it back from the list.
    page.act(name, "delete")
    page.see("It can be brought back until")
    picture(page, f"delete-{width}")
    page.press("Delete", f"{DIALOG} .dialog-foot")
    page.wait(lambda: not (world.near.shared / name).exists(), what="the file gone")
    page.press("Deleted files")
    page.wait(lambda: name in page.text(DIALOG), what="the file in the list")
    picture(page, f"deleted-{width}")
    assert page.overflow() <= 0 and (not AXE.exists() or not page.axe())
    page.press("Bring back", DIALOG)
    page.wait(lambda: (world.near.shared / name).exists(), what="the file back")
    page.no_dialog()
    page.row(name, SHARED)

    # Delete it for ever, with its versions.
    page.act(name, "delete")
    page.press("Delete now", f"{DIALOG} .dialog-foot")
    page.wait(lambda: not (world.near.shared / name).exists(), what="the file gone")
    page.wait(
        lambda: world.near.api.request("GET", f"/api/versions/{name}").status_code == 404, what="no versions left"
    )


def test_a_mirror_and_a_folder_that_goes_back(world, driver, width):  # noqa: F811
    folder = f"album {width}"
    there = world.far_peer.folder / "shared" / folder
    there.mkdir()
    for n in range(12):
        (there / f"{n:02}.txt").write_bytes(b"track %d" % n)
    world.far_peer.wait_for(f"{folder}/11.txt")
    page = world.page(driver, width).open("peers")

    # Add it from the folder of another device.
    far = world.far_peer.peer_id
    page.wait(lambda: page.js("return document.querySelectorAll('main .card .row').length") >= 2, what="both devices")
    page.js(
        "return import(arguments[2]).then(async (m) => { const { later } = await import(arguments[3]);"
        " await later(null); m.addMirror({ peer_id_full: arguments[0], name: 'far' }, arguments[1]); })",
        far,
        folder,
        page.module("mirrors.js"),
        page.module("i18n.js"),
    )
    page.press("Mirror", f"{DIALOG} .dialog-foot")
    here = world.near.shared / folder
    page.wait(lambda: len([p for p in here.glob("*.txt")]) == 12 if here.exists() else False, 60, "the files here")
    page.wait(lambda: "in step" in page.text(DIALOG), 60, "the state")
    assert page.overflow() <= 0 and (not AXE.exists() or not page.axe())
    picture(page, f"mirrors-{width}")

    # Too much has changed there: it waits, until the owner accepts.
    for path in there.iterdir():
        path.write_bytes(b"other bytes of " + path.name.encode())
    page.wait(lambda: "Accept" in page.text(DIALOG), 60, "the brake")
    picture(page, f"brake-{width}")
    # A round may begin while the files are written, so some may have come.
    assert any(path.read_bytes().startswith(b"track") for path in here.glob("*.txt"))
    page.press("Accept", DIALOG)
    changed = lambda: all(path.read_bytes().startswith(b"other") for path in here.glob("*.txt"))  # noqa: E731
    page.wait(changed, 60, "the other bytes")
    page.press("Pause", DIALOG)
    page.wait(lambda: "paused" in page.text(DIALOG), what="it is paused")
    page.press("Remove", DIALOG)
    page.press("Remove", f"{DIALOG}:last-of-type .dialog-foot")
    page.wait(lambda: world.near.api.request("GET", "/api/mirrors").json()["mirrors"] == [], what="no mirror")
    assert (here / "00.txt").exists()

    # The folder did not exist a day ago, so there is nothing to go back to.
    page.wait(lambda: not page.all(DIALOG) or page.keys("\ue00c"), what="no dialog")
    page.open("share")
    page.act(folder, "rewind")
    page.press("Show", f"{DIALOG} .dialog-foot")
    page.see("Nothing was different then")

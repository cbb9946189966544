"""Sending to a device in the dashboard, and the card with what others would like to send here."""

import os
import subprocess

import pytest

from conftest import BIN, environment
from page import driver  # noqa: F401
from world import World

PHOTO = os.urandom(50_000)


@pytest.fixture(scope="module")
def world(module_suite):
    return World(module_suite, near={"photo.jpg": PHOTO})


def offers(ui):
    return ui.api.request("GET", "/api/offers").json()["offers"]


def test_files_are_sent_and_received(world, driver, tmp_path):
    """A file from this browser to a device, a text from it, accepted by labels alone, at the size of a phone."""
    near, far = world.near, world.far
    page = world.page(driver, "phone")
    page.open("peers")
    page.wait(lambda: len(page.all("main .row")) >= 2, 40, "the other device")
    own = tmp_path / "from the phone.txt"
    own.write_bytes(b"hello")
    other = lambda: next((r for r in page.all("main .row") if "This computer" not in r.text), None)  # noqa: E731
    page.act("the other device", "send", find=other)
    page.dialog()
    page.wait(lambda: page.all("dialog input[type=file]"), what="the field")
    page.one("dialog input[type=file]").send_keys(str(own))
    page.wait(lambda: [o for o in offers(far) if o["direction"] == "in" and o["state"] == "waiting"], 60, "the offer arrives")
    page.see("Waiting for")
    one = next(o for o in offers(far) if o["direction"] == "in")
    assert [i["name"] for i in one["items"]] == ["from the phone.txt"]
    assert far.api.request("POST", f"/api/offers/{one['id']}/accept", json={}).status_code == 200
    page.wait(lambda: (far.downloads / "from the phone.txt").exists(), 60, "the file is there")
    assert (far.downloads / "from the phone.txt").read_bytes() == b"hello"
    page.see("has accepted", 60)

    # Dropped on its face: a folder, which nobody else sees, and which the other side declines.
    (tmp_path / "Album").mkdir()
    (tmp_path / "Album" / "cover.png").write_bytes(PHOTO)
    page.drop(tmp_path / "Album", on=other())
    arrived = lambda: next((o for o in offers(far) if o["state"] == "waiting"), None)  # noqa: E731
    page.wait(arrived, 60, "the folder is offered")
    assert [i["name"] for i in arrived()["items"]] == ["Album/cover.png"]
    assert far.api.request("POST", f"/api/offers/{arrived()['id']}/decline", json={}).status_code == 200
    page.see("has declined", 60)

    # The other way: the card, above every view.
    (far.shared / "song.mp3").write_bytes(PHOTO)
    page.wait(lambda: "song.mp3" in far.api.request("GET", "/api/shared").text, 60, "the song is listed")
    body = {"to": world.near_peer.peer_id, "files": ["song.mp3"], "text": "For you"}
    assert far.api.request("POST", "/api/offers", json=body).status_code == 201
    page.open("search").see("wants to send you", 60)
    page.see("For you")
    assert page.overflow() <= 0
    page.press("Accept", ".inbox")
    page.wait(lambda: (near.downloads / "song.mp3").exists(), 60, "the song is here")
    page.wait(lambda: not page.all(".inbox .row"), 60, "the card goes away")
    words = page.text().lower()
    assert not [word for word in ("peer", "registry", "hash", "chunk") if word in words.split()]
    assert [line for line in page.console() if line["level"] == "SEVERE"] == []


def test_a_link_is_made_and_ended(world, driver, tmp_path):
    """The same sheet makes a link, at the size of a phone: another program gets the file by it, and it ends at once."""
    page = world.page(driver, "phone")
    page.open("share")
    page.act("photo.jpg", "send", find=lambda: next((r for r in page.all("main .row") if "photo" in r.text), None))
    page.wait(lambda: page.all("#slink-pin"), what="the part for links")
    page.one("#slink-pin").send_keys("2468")
    page.press("Make a link", "dialog")
    link = page.wait(lambda: next((c.text for c in page.all("dialog code") if "/l#" in c.text and "p2p" not in c.text), None), 60, "the link")
    page.wait(lambda: page.js("const qr = document.querySelector('dialog .qr'); return qr && qr.complete && qr.naturalWidth > 0"), what="the QR code")
    page.wait(lambda: "with a PIN" in page.text("dialog .links ul"), what="the list")
    assert page.overflow() <= 0
    got = subprocess.run(
        [BIN / "p2p", "receive", "--pin", "2468", "--yes", "--output", tmp_path / "got.jpg", link],
        stdin=subprocess.DEVNULL, capture_output=True, env=environment(tmp_path), timeout=120,
    )  # fmt: skip
    assert got.returncode == 0, got.stderr
    assert (tmp_path / "got.jpg").read_bytes() == PHOTO
    page.press("End the link “photo.jpg”", "dialog")
    page.wait(lambda: world.near.api.request("GET", "/api/links").json()["links"] == [], what="the link has ended")
    page.wait(lambda: not page.all("dialog .links li"), what="the list is empty")
    page.press("Close", "dialog")
    page.no_dialog()
    # The photo is none, so there is no small picture of it.
    assert [line for line in page.console() if line["level"] == "SEVERE" and "/api/thumb/" not in line["message"]] == []

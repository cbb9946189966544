"""A peer that comes back with another key is refused until a person decides."""

import re
import shutil

import pytest

from conftest import wait_until
from page import driver  # noqa: F401
from world import World

FILES = {"plan.txt": b"plan"}


@pytest.fixture(scope="module")
def world(module_suite):
    return World(module_suite, far=FILES)


def test_a_changed_key_is_shown_explained_and_trusted_only_on_request(world, driver):
    page = world.page(driver).open("peers")
    port = world.far_peer.port
    card = 'section[aria-label="Devices"] .row'

    def far():
        return next((row for row in page.all(card) if f":{port}" in row.text), None)

    def compared(sentence):
        """What is on the screen: a sentence, eight words, and no hexadecimal."""
        own = next(p for p in world.near.api.json("/api/peers")["peers"] if p["port"] == port)
        far().find_element("css selector", "[data-act=id]").click()
        page.wait(lambda: page.all("dialog[open] .words li"), what="the words")
        text = page.dialog().text
        assert sentence in text and not re.search("[0-9a-f]{9}", text + far().text), text
        words = [li.text for li in page.all("dialog[open] .words li")]
        assert words == own["words"].split() == world.suite.p2p("id", "--words", "--keys-dir", world.far_peer.keys, check=True).stdout.split()
        page.press("Close", "dialog[open]")
        page.no_dialog()

    page.wait(far, what="the peer")
    page.wait(lambda: "New" in far().text, what="new")
    compared("New: you have not met")
    far().find_element("css selector", "[data-act=browse]").click()
    page.wait(lambda: "plan.txt" in page.names("dialog[open] .row"), what="its files")
    page.press("Close", "dialog[open]")
    page.wait(lambda: "Known" in far().text, what="known")
    compared("Known: you have met")

    world.far.stop()
    world.far_peer.stop()
    shutil.rmtree(world.far_peer.keys)
    world.suite.peer(name="far", discovery=world.discovery, port=port)
    wait_until(lambda: len([p for p in world.discovery.registry.peers() if p["port"] == port]) == 1, 80, "one peer there")

    page.press("Refresh")
    page.wait(lambda: far() and "Identity changed" in far().text, 30, "the change shown")
    assert "Downloads are blocked until you decide." in far().text
    compared("has another key than before")
    far().find_element("css selector", "[data-act=trust]").click()
    assert "Trust the new identity?" in page.dialog().text
    page.press("Cancel", "dialog[open] .dialog-foot")
    assert "Identity changed" in far().text
    far().find_element("css selector", "[data-act=trust]").click()
    page.press("Trust", "dialog[open] .dialog-foot")
    page.wait(lambda: "Trusted" in far().text, what="trusted")
    compared("Trusted: you have confirmed")
    far().find_element("css selector", "[data-act=browse]").click()
    page.wait(lambda: "plan.txt" in page.names("dialog[open] .row"), what="its files again")
    assert page.axe() == []

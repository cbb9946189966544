"""Peers are shown by name; the id's first digits stand beside a name until its peer is trusted."""

import pytest

from conftest import wait_until
from page import driver  # noqa: F401
from world import World

NAME = "<b>Küche</b> & Co"


@pytest.fixture(scope="module")
def world(module_suite):
    return World(module_suite, far={"plan.txt": b"plan"})


def test_a_name_is_a_claim_until_its_peer_is_trusted(world, driver):
    peer = world.suite.peer("--name", NAME, name="kitchen", discovery=world.discovery, files={"k.txt": b"k"})
    at_registry = lambda: any(p["peer_id"] == peer.peer_id for p in world.discovery.registry.peers())  # noqa: E731
    wait_until(at_registry, what="the peer at the registry")
    page = world.page(driver).open("peers")

    def row():
        rows = page.all('section[aria-label="Devices"] .row')
        return next((row for row in rows if f":{peer.port}" in row.text), None)

    def press(action):
        row().find_element("css selector", f"[data-act={action}]").click()

    page.press("Refresh")
    page.wait(row, 30, what="the peer")
    listed = next(p for p in world.near.api.json("/api/peers")["peers"] if p["peer_id_full"] == peer.peer_id)
    claim = f"{NAME} ({' '.join(listed['words'].split()[:3])})"
    page.wait(lambda: claim in row().text, 30, what="the name with words")
    assert row().find_elements("css selector", "b") == [], "a name is text"
    press("browse")  # it says its name itself
    page.wait(lambda: "k.txt" in page.names("dialog[open] .row"), what="its files")
    assert claim in page.dialog().text
    page.press("Close", "dialog[open]")
    answer = world.near.api.request("POST", f"/api/peers/{peer.peer_id}/trust")
    assert answer.status_code == 200
    page.press("Refresh")
    page.wait(lambda: NAME in row().text and claim not in row().text, 30, what="the name alone")

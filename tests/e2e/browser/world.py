"""Two machines for the browser tests: "near" has the dashboard that the browser shows, "far" has another one."""

import pytest

from conftest import wait_until
from page import Page

SHARED = 'section[aria-label="Share Files"] .row'
DOWNLOADED = 'section[aria-label="Downloaded Files"] .row'


def sign_in(driver, ui):
    """With the owner's link, because a browser that a test controls listens for TCP and so does not count as
    local. Once for each browser and dashboard.
    """
    signed_in = driver.__dict__.setdefault("signed_in", set())
    if ui.owner_token not in signed_in:
        url = ui.api.request("POST", "/api/owner/link").json()["url"].replace("127.0.0.1", "localhost")
        driver.get(url)
        signed_in.add(ui.owner_token)


class World:
    def __init__(self, suite, *, near=None, far=None, more=()):
        self.suite = suite
        self.discovery = suite.discovery()
        self.far_peer = suite.peer(name="far", discovery=self.discovery, files=far or {})
        self.far = suite.ui(name="far", discovery=self.discovery, peer=self.far_peer)
        self.near_peer = suite.peer(name="near", discovery=self.discovery, files=near or {}, wait=len(near or {}) < 100)
        self.near = suite.ui(*more, name="near", discovery=self.discovery, peer=self.near_peer)
        self.url = f"http://localhost:{self.near.port}"
        wait_until(lambda: len(self.discovery.registry.peers()) == 2, what="both peers registered")
        for name in far or {}:
            wait_until(lambda: self.discovery.registry.peers(file=name), what=f"{name} registered")

    def page(self, driver, width="desk", **settings):
        sign_in(driver, self.near)
        page = Page(driver, self.url).size(width).prefer(**settings)
        page.console()
        return page


@pytest.fixture(scope="module")
def world(module_suite):
    return World(module_suite, near=dict(NEAR), far=dict(FAR))


NEAR = {"mine.txt": b"mine"}
FAR = {"song one.flac": b"la" * 50_000, "song two.flac": b"lo" * 60_000, "report 2026.pdf": b"%PDF" * 1000}

"""The files of the page have a version in their addresses: they are kept for ever, never mixed, and a load that was
cut is tried again."""

import shutil

import pytest

from page import ROOT, Page, driver  # noqa: F401
from world import sign_in, world  # noqa: F401

READY = "return 'ready' in document.documentElement.dataset"


def test_a_file_of_another_version_is_refused(world):
    status = world.near.api.json("/api/status")
    assert world.near.api.get(f"/v/{status['pages']}/js/main.js").headers["Cache-Control"] == "public, max-age=31536000, immutable"
    for path in ("v/000000000000/js/main.js", "v/js/main.js", "v/"):
        answer = world.near.api.request("GET", f"/{path}")
        assert answer.status_code == 404 and answer.json()["code"] == "old_version", path
        assert answer.headers["Cache-Control"] == "no-store"
    assert world.near.api.request("GET", f"/v/{status['pages']}/js/none.js").status_code == 404
    assert world.near.api.request("GET", f"/v/{status['pages']}/../v/{status['pages']}/js/main.js").status_code in (200, 404)


@pytest.mark.parametrize("part", ["js/views/peers.js", "css/parts.css"])
def test_a_load_that_was_cut_is_tried_again(world, driver, part):
    page = world.page(driver)
    driver.execute_cdp_cmd("Network.enable", {})
    driver.execute_cdp_cmd("Network.setCacheDisabled", {"cacheDisabled": True})
    driver.execute_cdp_cmd("Network.setBypassServiceWorker", {"bypass": True})
    driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": [f"*{part}"]})
    try:
        driver.get("about:blank")
        driver.get(page.url)
        page.wait(lambda: page.js("return Number(sessionStorage.getItem('p2p.again'))") >= 2, what="two tries")
        driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
        page.wait(lambda: page.js(READY), 60, "the page")
        page.row("mine.txt")
        assert page.js("return sessionStorage.getItem('p2p.again')") is None
    finally:
        driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
        driver.execute_cdp_cmd("Network.setCacheDisabled", {"cacheDisabled": False})
        driver.execute_cdp_cmd("Network.setBypassServiceWorker", {"bypass": False})
        page.console()


def test_a_part_that_is_loaded_later_is_tried_again(world, driver):
    page = world.page(driver).open("share")
    driver.execute_cdp_cmd("Network.enable", {})
    driver.execute_cdp_cmd("Network.setBypassServiceWorker", {"bypass": True})
    driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*js/views/settings.js"]})
    try:
        page.go("settings")
        page.see("The page reconnects automatically.")
        driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
        page.go("share").go("settings")
        page.see("Appearance")
    finally:
        driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
        driver.execute_cdp_cmd("Network.setBypassServiceWorker", {"bypass": False})
        page.console()


VERSIONS = """const done = arguments[0]; caches.open('p2p-shell-2').then((c) => c.keys()).then((k) => done(
    [...new Set(k.map((r) => /\\/v\\/([0-9a-f]+)\\//.exec(r.url)?.[1]).filter(Boolean))]))"""


def test_an_upgrade_never_mixes_old_and_new_files(suite, driver, tmp_path):
    """Also while the files on disk are new already and the program is not, and with a service worker."""
    web = tmp_path / "web"
    shutil.copytree(ROOT / "web", web)
    ui = suite.ui("--web-dir", web)
    sign_in(driver, ui)
    page = Page(driver, f"http://localhost:{ui.port}").size("desk").open("share").live()
    old = ui.api.json("/api/status")["pages"]
    page.wait(lambda: driver.execute_async_script(VERSIONS) == [old], what="the shell kept")

    for path in (web / "js").rglob("*.js"):
        path.write_text(path.read_text() + "\nglobalThis.newer = (globalThis.newer ?? 0) + 1;\n")
    page.go("settings")
    page.see("Appearance")  # loaded only now
    assert page.js("return globalThis.newer") is None
    page.open("share")
    assert page.js("return globalThis.newer") is None, "the program still has its own files"

    ui.stop()
    suite.programs.remove(ui)
    ui = suite.ui("--web-dir", web, port=ui.port)
    new = ui.api.json("/api/status")["pages"]
    assert new != old
    page.live(40)
    page.see("p2p was updated", 40)
    page.press("Close", ".toast")
    page.wait(lambda: not page.all(".toast"), what="the message closed")
    page.press("Commands and files")  # the old page has never loaded it
    page.see("p2p was updated")
    page.press("Reload", ".toast")
    page.wait(lambda: page.js(READY + " && globalThis.newer > 10"), 40, "the new page")
    loaded = page.js("return performance.getEntriesByType('resource').map((e) => e.name)")
    assert not [url for url in loaded if f"/v/{old}/" in url]
    page.wait(lambda: driver.execute_async_script(VERSIONS) == [new], what="the old files gone")
    page.console()

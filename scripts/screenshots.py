#!/usr/bin/python3
"""Makes docs/images/*.png from the running programs: three machines of a made-up household in a temporary folder.

    scripts/screenshots.py        (after make; needs python3-selenium and chromium-driver; fonts-inter looks best)
"""

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs" / "images"
sys.dont_write_bytecode = True
sys.path[:0] = [str(ROOT / "tests" / "e2e"), str(ROOT / "tests" / "e2e" / "browser")]

from conftest import Suite, wait_until  # noqa: E402
from page import Page, start_browser  # noqa: E402
from world import sign_in  # noqa: E402

MB = 1 << 20
STUDY = {"Family tree.pdf": 3 * MB, "Garden in spring.jpg": 2 * MB, "backup-laptop.tar.zst": 40 * MB, "notes.md": 8192, "Band rehearsal.flac": 25 * MB}
KITCHEN = {"Summer school – lecture 01.mkv": 90 * MB, "Summer school – lecture 02.mkv": 80 * MB, "summer-photos.zip": 60 * MB}
ATTIC = {"Summer school – lecture 01.mkv": 90 * MB, "Midsummer concert.flac": 30 * MB}


def content(name, size):
    """A name has the same bytes on every machine, so that the file has several sources."""
    block = (name.encode() * 4096)[:65536]
    return (block * (size // len(block) + 1))[:size]


def make(suite):
    discovery = suite.discovery()
    machines = []
    for name, files in (("kitchen", KITCHEN), ("attic", ATTIC), ("study", STUDY)):
        peer = suite.peer(name=name, discovery=discovery, files={n: content(n, s) for n, s in files.items()})
        machines.append((peer, suite.ui(name=name, discovery=discovery, peer=peer)))
        machines[-1][1].api.request("PATCH", "/api/config", json={"name": name.capitalize()})
    wait_until(lambda: len(discovery.registry.peers()) == 3, what="three peers")
    return machines[-1][1]


def fetch(ui, *names):
    for name in names:
        transfer = ui.api.request("POST", "/api/transfers", json={"filename": name}).json()
    return transfer["id"]


def shoot(page, name):
    time.sleep(0.8)
    page.js("document.activeElement?.blur()")
    page.driver.save_screenshot(str(OUT / f"{name}.png"))


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="p2p-screenshots-"))
    suite, driver = Suite(folder), start_browser(folder / "profile")
    try:
        ui = make(suite)
        sign_in(driver, ui)
        page = Page(driver, f"http://localhost:{ui.port}")
        page.size("desk").prefer(theme="light").open("share").row("notes.md")
        shoot(page, "share")
        page.open("search")
        page.one("#search-box").send_keys("summer")
        page.row("Summer school – lecture 01.mkv")
        shoot(page, "search")
        ui.api.request("PATCH", "/api/config", json={"limit_rate": "2500k", "max_running": 2})
        page.prefer(theme="dark").open("transfers")
        fetch(ui, "Summer school – lecture 01.mkv", "summer-photos.zip", "Summer school – lecture 02.mkv")
        paused = fetch(ui, "Midsummer concert.flac")
        ui.api.request("POST", f"/api/transfers/{paused}/pause")
        time.sleep(25)
        shoot(page, "dashboard")
        page.size("phone")
        shoot(page, "phone")
        page.size("desk").prefer(theme="light").open("peers").see("other peers online")
        shoot(page, "peers")
    finally:
        driver.quit()
        suite.stop()
        shutil.rmtree(folder, ignore_errors=True)
    for image in sorted(OUT.glob("*.png")):
        print(os.path.relpath(image, ROOT), image.stat().st_size)


if __name__ == "__main__":
    main()

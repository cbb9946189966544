"""Search, downloads and the list of transfers, on a phone and on a desktop."""

import hashlib
import io
import os
import time
import wave

import pytest
from selenium.webdriver.common.keys import Keys

from conftest import wait_until
from page import driver, width  # noqa: F401
from p2pwire.keys import Identity
from p2pwire.server import Server
from world import DOWNLOADED, FAR, world  # noqa: F401

BIG = os.urandom(8 << 20)
SOURCE = Identity()  # one for all servers here: a port may come again, and a new key there is suspect
TRANSFERS = 'section[aria-label="Transfers"] .row'
RESULTS = 'section[aria-label="Results"] .row'


class SlowFile(Server):
    """A slow source, so that a transfer can be watched."""

    delay = 0.5

    def on_get(self, connection, request):
        time.sleep(self.delay)
        super().on_get(connection, request)


@pytest.fixture
def page(world, driver, width):
    page = world.page(driver, width)
    yield page
    for transfer in world.near.api.json("/api/transfers")["transfers"]:
        world.near.api.request("DELETE", f"/api/transfers/{transfer['id']}")
    for file in world.near.api.json("/api/downloads")["downloads"]:
        world.near.api.delete("download", file["name"])


def search(page, text):
    page.open("search")
    page.one("#search-box").send_keys(text)


def begin(world, server, name="slow.bin"):
    """A transfer from a server of the test, begun through the interface."""
    host, port = server.address
    body = {"filename": name, "peers": [{"peer_id": server.identity.peer_id, "ip": host, "port": port}]}
    answer = world.near.api.request("POST", "/api/transfers", json=body)
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


@pytest.fixture
def slow():
    with SlowFile({"slow.bin": BIG}, chunk_size=1 << 17, identity=SOURCE) as server:
        yield server


def test_search_as_you_type_then_download_and_check_the_bytes(world, page):
    search(page, "song")
    songs = ["song one.flac", "song two.flac"]  # results of the first letters are shown before
    page.wait(lambda: sorted(page.names(RESULTS)) == songs, what="the results of the whole word")
    page.press("Download: song one.flac")
    wait_until(lambda: (world.near.downloads / "song one.flac").exists(), what="downloaded")
    got = (world.near.downloads / "song one.flac").read_bytes()
    assert hashlib.sha256(got).digest() == hashlib.sha256(FAR["song one.flac"]).digest()
    page.go("downloads")
    page.row("song one.flac", DOWNLOADED)
    page.go("transfers")
    page.wait(lambda: "Completed" in page.row("song one.flac", TRANSFERS).text, what="completed")


def test_enter_searches_too_and_nothing_found_says_so(page):
    search(page, "no such thing at all")
    page.keys(Keys.ENTER)
    page.see("Nothing found for “no such thing at all”")


def test_the_sources_of_a_result_and_download_from_one(world, page):
    search(page, "report")
    row = page.row("report 2026.pdf", RESULTS)
    row.find_element("css selector", ".toggle").click()
    page.see(f"127.0.0.1:{world.far_peer.port}")
    page.row("report 2026.pdf", RESULTS).find_element("css selector", ".source button").click()
    wait_until(lambda: (world.near.downloads / "report 2026.pdf").exists(), what="downloaded")


def test_progress_pause_resume_and_the_finished_file(world, page, slow):
    page.open("transfers")
    page.see("No transfers")
    begin(world, slow)
    row = page.row("slow.bin", TRANSFERS)
    page.wait(lambda: "Downloading" in page.row("slow.bin", TRANSFERS).text, what="downloading")
    page.wait(lambda: "MB/s" in row.text or "kB/s" in row.text, what="a speed")
    page.wait(lambda: int(row.find_element("css selector", "[role=progressbar]").get_attribute("aria-valuenow")) > 5, what="progress")
    page.act("slow.bin", "pause")
    page.wait(lambda: "Paused" in page.row("slow.bin", TRANSFERS).text, what="paused")
    sources = world.near.api.json("/api/transfers")["transfers"][0]["sources"]
    assert sources and all(s["state"] == "idle" and s["speed"] == 0 for s in sources), sources
    page.act("slow.bin", "details")
    assert "127.0.0.1" in page.dialog().text
    page.keys(Keys.ESCAPE)
    slow.delay = 0
    page.act("slow.bin", "resume")
    page.wait(lambda: "Completed" in page.row("slow.bin", TRANSFERS).text, 60, "completed")
    assert (world.near.downloads / "slow.bin").read_bytes() == BIG


def sound(seconds):
    """Noise, as a WAV file."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(44100)
        file.writeframes(os.urandom(44100 * 4 * seconds))
    return out.getvalue()


def test_a_sound_is_heard_while_it_downloads_and_its_pieces_are_shown(world, driver):  # noqa: F811
    song, page = sound(60), world.page(driver, "phone")
    with SlowFile({"slow.wav": song}, chunk_size=1 << 17, identity=SOURCE) as slow:
        slow.delay = 1
        page.open("transfers")
        begin(world, slow, "slow.wav")
        page.row("slow.wav", TRANSFERS)
        page.act("slow.wav", "watch")
        player = "document.querySelector('dialog[open] audio')"
        page.wait(lambda: page.js(f"return {player}?.duration") == 60, 60, "the length")
        page.js(f"{player}.currentTime = 45")  # long before the download is there
        page.wait(lambda: page.js(f"return !{player}.seeking && {player}.readyState >= 2"), 60, "the seek")
        state = world.near.api.json("/api/transfers")["transfers"][0]
        assert state["state"] == "downloading" and state["verified"] < len(song), state
        page.keys(Keys.ESCAPE)
        page.no_dialog()
        page.act("slow.wav", "details")
        page.wait(lambda: page.all("dialog[open] .cells .here"), what="pieces that are here")
        slow.delay = 0
        page.wait(lambda: page.js("return !document.querySelector('dialog[open] .cells i:not(.here)')"), 60, "all pieces")
        page.wait(lambda: page.all("dialog[open] .proof summary"), what="the seal")
        page.one("dialog[open] .proof summary").click()
        page.wait(lambda: hashlib.sha256(song).hexdigest() in page.dialog().text, what="the proof")
        assert page.overflow() <= 0
    done = world.near.api.json("/api/transfers")["transfers"][0]
    assert (world.near.downloads / done["path"]).read_bytes() == song
    world.near.api.request("DELETE", f"/api/transfers/{done['id']}")
    world.near.api.delete("download", done["path"])
    assert page.axe() == []


def test_cancel_asks_then_clears(world, page, slow):
    slow.delay = 3  # it does not end before the question was answered
    page.open("transfers")
    begin(world, slow)
    page.act("slow.bin", "cancel")
    page.press("Stop and delete", "dialog[open]")
    page.wait(lambda: "Cancelled" in page.row("slow.bin", TRANSFERS).text, what="cancelled")
    page.press("Clear finished")
    page.see("No transfers")
    assert not (world.near.downloads / "slow.bin").exists()


def test_a_failure_says_why_and_retry_works_when_the_peer_is_back(world, page):
    files = {"gone.bin": BIG[:500_000]}
    with Server(files, identity=SOURCE) as gone:
        pass
    page.open("transfers")
    begin(world, gone, "gone.bin")
    page.wait(lambda: "Failed" in page.row("gone.bin", TRANSFERS).text, 90, "failed")
    assert "is offline" in page.row("gone.bin", TRANSFERS).text
    assert not (world.near.downloads / "gone.bin").exists()
    page.one("[data-group=failed]").click()
    with Server(files, identity=gone.identity, port=gone.address[1]):
        page.press("Retry failed")
        wait_until(lambda: (world.near.downloads / "gone.bin").exists(), 60, "downloaded")
    assert (world.near.downloads / "gone.bin").read_bytes() == files["gone.bin"]


def test_p2p_ui_killed_during_a_transfer_the_page_comes_back_by_itself(world, page, slow, tmp_path):
    page.open("transfers")
    begin(world, slow)
    page.wait(lambda: "Downloading" in page.row("slow.bin", TRANSFERS).text, what="downloading")
    port = world.near.port
    world.near.kill()
    world.suite.programs.remove(world.near)
    page.see("Connection lost", 30)
    slow.delay = 0
    world.near = world.suite.ui(name="near", discovery=world.discovery, peer=world.near_peer, port=port)
    page.live(40)
    page.wait(lambda: "Completed" in page.row("slow.bin", TRANSFERS).text, 60, "completed without being asked")
    assert (world.near.downloads / "slow.bin").read_bytes() == BIG


def test_what_other_devices_download_is_shown(world, page):
    world.suite.get("mine.txt", world.near_peer, out="elsewhere", check=True)
    page.open("transfers")
    wait_until(lambda: "mine.txt" in page.js("return document.querySelector('#uploads')?.textContent ?? ''"), 60, "the upload")
    assert page.one("#uploads").is_displayed()
    assert "4 bytes of 4 bytes" in page.one("#uploads").text
    page.size("phone").press("Activity")  # by day, with what was downloaded here
    page.wait(lambda: "downloaded mine.txt" in page.dialog().text, what="who took what")
    assert "TODAY" in page.dialog().text.upper()
    assert page.overflow() <= 0
    assert page.axe() == []

"""Messages, uploads seen from other views, and input that is refused: nothing is hidden, nothing typed is lost."""

import os

import pytest
from selenium.webdriver.common.keys import Keys

from conftest import wait_until
from page import driver, width  # noqa: F401
from world import SHARED, World

FAR = {f"song {i}.flac": b"la" * 1000 + bytes([i]) for i in range(4)}


@pytest.fixture(scope="module")
def world(module_suite):
    return World(module_suite, near={"mine.txt": b"mine", "other.txt": b"other"}, far=FAR)


@pytest.fixture
def page(world, driver, width):
    page = world.page(driver, width)
    yield page
    for transfer in world.near.api.json("/api/transfers")["transfers"]:
        world.near.api.request("DELETE", f"/api/transfers/{transfer['id']}")
    for file in world.near.api.json("/api/downloads")["downloads"]:
        world.near.api.delete("download", file["name"])


def patient(page):
    """Messages stay for as long as a slow machine needs to press them."""
    page.live().js("const real = setTimeout; window.setTimeout = (f, ms, ...a) => real(f, ms > 5000 ? ms * 30 : ms, ...a)")
    return page


def toasts(page):
    return page.js("return [...document.querySelectorAll('.toast-text')].map((e) => e.textContent)")


def test_several_downloads_make_one_message_that_covers_no_button(world, page):
    patient(page.open("search")).one("#search-box").send_keys("song")
    page.wait(lambda: len(page.names('section[aria-label="Results"] .row')) == 4, what="the results")
    for name in FAR:
        page.press(f"Download: {name}")
    page.see("4 downloads started")
    assert sum("started" in text or "Downloading" in text for text in toasts(page)) == 1
    page.press("Show", ".toasts")
    page.wait(lambda: page.heading() == "Transfers")


def test_a_message_over_a_dialog_can_be_pressed(world, page):
    patient(page.open("peers"))
    rows = 'section[aria-label="Devices"] .row'
    other = page.wait(lambda: next((r for r in page.all(rows) if f":{world.far_peer.port}" in r.text), None), what="the other")
    page.act(other.find_element("css selector", ".name").text, "browse")
    page.wait(lambda: "song 1.flac" in page.names("dialog[open] .row"), what="its files")
    page.press("Download: song 1.flac", "dialog[open]")
    page.press("Show", ".toasts")
    page.no_dialog()
    page.wait(lambda: page.heading() == "Transfers")


# The answer to the order comes late: events about the download were quicker.
LATE = """
const real = window.fetch;
window.fetch = async (url, options) => {
	const answer = await real(url, options);
	if (options?.method !== 'POST' || !String(url).endsWith('/transfers')) return answer;
	window.fetch = real;
	await new Promise((resolve) => { window.goOn = resolve; });
	setTimeout(() => { window.isOver = true; }, 200);
	return answer;
};"""


def test_what_is_here_already_is_downloaded_again_only_after_a_question(world, page):
    page.open("search").live().one("#search-box").send_keys("song 2")
    page.js(LATE)
    page.press("Download: song 2.flac")
    wait_until(lambda: (world.near.downloads / "song 2.flac").exists(), what="downloaded")
    wait_until(lambda: page.all("[aria-label=\"Download again: song 2.flac\"]"), what="it is here")
    page.js("window.goOn()")
    wait_until(lambda: page.js("return window.isOver"), what="the late answer is used")
    page.press("Download again: song 2.flac")
    page.press("Cancel", "dialog[open]")
    page.no_dialog()
    assert [n for n in os.listdir(world.near.downloads) if not n.startswith(".")] == ["song 2.flac"]


def test_save_of_a_file_that_is_gone_says_so_and_stays(world, page):
    patient(page.open("share")).row("other.txt", SHARED)
    page.js("""const real = fetch; window.fetch = (url, options) => real(String(url).replace('other.txt', 'gone.txt'), options)""")
    page.act("other.txt", "save")
    page.see("It is no longer there.")
    assert page.heading() == "Share Files"


def test_a_refused_name_stays_in_the_dialog(world, page):
    page.open("share").act("mine.txt", "rename")
    field = page.one("#new-name")
    field.send_keys(Keys.CONTROL, "a")
    field.send_keys("other.txt", Keys.ENTER)
    page.wait(lambda: "already a file with this name" in page.text("dialog[open]"), what="the reason")
    assert field.get_attribute("value") == "other.txt"
    page.press("Cancel", "dialog[open]")
    page.no_dialog()


def test_a_refused_address_stays_in_the_dialog(page):
    page.open("peers").press("Add by address")
    field = page.one("#peer-address")
    field.send_keys("127.0.0.1:9", Keys.ENTER)
    page.wait(lambda: "Check the address" in page.text("dialog[open]"), what="the reason")
    assert field.get_attribute("value") == "127.0.0.1:9"


def test_a_limit_is_a_number_with_a_unit(world, page):
    page.open("settings")
    page.wait(lambda: page.one("#set-limit_rate").get_attribute("value") == "off", what="the settings")
    choose = "const s = document.querySelector('#set-limit_rate'); s.value = arguments[0]; s.dispatchEvent(new Event('change'))"
    page.js(choose, "rate")
    page.one("#set-limit-number").send_keys("0", Keys.TAB)
    page.see("Enter a number of at least 0.01.")
    assert world.near.api.json("/api/config")["limit_rate"] == "off"
    page.one("#set-limit-number").send_keys(Keys.CONTROL, "a")
    page.one("#set-limit-number").send_keys("2.5", Keys.TAB)
    wait_until(lambda: world.near.api.json("/api/config")["limit_rate"] == "2500000", what="the limit set")
    page.js(choose, "table")
    assert world.near.api.json("/api/config")["limit_rate"] == "2500000", "an example is no setting"
    set_value = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('change'))"
    field = lambda kind, n: page.all(f".table-rows [type={kind}]")[n]  # noqa: E731
    page.js(set_value, field("number", 0), "0.001")
    page.see("Each time may occur once")
    page.js(set_value, field("number", 0), "1.5")
    wait_until(lambda: world.near.api.json("/api/config")["limit_rate"] == "08:00,1500000 23:00,off", what="the timetable set")
    page.press("Add a time")
    wait_until(lambda: world.near.api.json("/api/config")["limit_rate"] == "00:00,off 08:00,1500000 23:00,off", what="a third time")
    page.js(set_value, field("time", 2), "08:00")
    page.see("Each time may occur once")
    page.js(set_value, field("time", 2), "06:30")
    wait_until(lambda: world.near.api.json("/api/config")["limit_rate"] == "06:30,off 08:00,1500000 23:00,off", what="in order")
    assert page.overflow() <= 0
    page.open("settings")
    page.wait(lambda: [e.get_attribute("value") for e in page.all(".table-rows [type=time]")] == ["06:30", "08:00", "23:00"], what="kept")
    page.press("Remove 11:00 PM")
    wait_until(lambda: world.near.api.json("/api/config")["limit_rate"] == "06:30,off 08:00,1500000", what="one less")
    page.js(choose, "off")
    wait_until(lambda: world.near.api.json("/api/config")["limit_rate"] == "off", what="no limit")
    page.js(choose, "table")
    assert page.axe() == []


def test_two_pasted_pictures_are_two_files_and_text_can_be_shared(world, page, width):
    patient(page.open("share"))
    page.js("""window.RealDate = Date; let tick = 0;
               Date.now = () => RealDate.UTC(2026, 0, 1) + (tick += 1000)""")
    before = set(os.listdir(world.near.shared))
    for text in ("one", "two"):
        page.paste_file("image.png", text)
    new = lambda: {n for n in os.listdir(world.near.shared) if n.startswith("Pasted") and n.endswith(".png")} - before  # noqa: E731
    wait_until(lambda: len(new()) == 2, 30, what="both pictures")
    page.js("""const data = new DataTransfer(); data.setData('text/plain', 'a line');
               document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true}))""")
    page.press("Share as a file")
    text = lambda: [p for p in world.near.shared.glob("Pasted*.txt") if p.read_text() == "a line" and p.name not in before]  # noqa: E731
    wait_until(text, 30, what="the text as a file")
    for path in [*text(), *(world.near.shared / n for n in new())]:
        path.unlink()


@pytest.fixture
def slow_line(driver):
    driver.execute_cdp_cmd("Network.enable", {})
    throttle = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 200_000}
    driver.execute_cdp_cmd("Network.emulateNetworkConditions", throttle)
    yield
    driver.execute_cdp_cmd("Network.emulateNetworkConditions", {**throttle, "uploadThroughput": -1})


def test_an_upload_is_seen_from_every_view(world, page, tmp_path, slow_line):
    data = tmp_path / "slow upload.bin"
    data.write_bytes(os.urandom(16 << 20))
    page.open("share").live().choose_files(data)
    page.row("slow upload.bin", '[aria-label="Uploads"] .row')
    page.go("transfers")
    page.wait(lambda: "1 upload" in page.text(".up-link"), what="the upload named")
    page.wait(lambda: "↑" in page.driver.title, what="the upload in the title")
    page.one(".up-link").click()
    page.wait(lambda: "slow upload" in page.dialog().text, what="the upload in the sheet")
    try:
        assert page.axe() == []
    finally:  # nothing of it is left for the next test
        page.press("Cancel", "dialog[open]")
        page.see("Nothing is moving right now.")
        page.press("Close", "dialog[open]")
        page.wait(lambda: page.text(".up-link") in ("Activity", ""), what="nothing left to name")


def test_the_count_of_devices_is_there_at_once(page):
    page.open("share")
    page.wait(lambda: page.one(".nav-peers .count").text == "1", what="the count")


def test_the_other_device_is_told_when_it_is_paired(world, page):
    page.open("share").live()
    page.js("document.querySelector('.side-acts .btn').click()")
    code = page.wait(lambda: page.text("dialog[open] .code"), what="the code").replace(" ", "")
    answer = world.near.anyone.request("POST", "/api/pair", json={"code": code})
    assert answer.status_code == 200, answer.text
    page.see("is paired")
    page.wait(lambda: page.text("dialog[open] .code").replace(" ", "") != code, what="a new code")
    assert page.axe() == [] and page.overflow() <= 0

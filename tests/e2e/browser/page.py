"""The dashboard in a real browser (Selenium, Debian's Chromium), used as a person uses it: by text, label and key."""

import json
import time
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

ROOT = Path(__file__).resolve().parents[3]
AXE = ROOT / "build" / "npm" / "node_modules" / "axe-core" / "axe.min.js"
WIDTHS = {"phone": (360, 740), "desk": (1280, 800)}
TABLET = {"tablet": (820, 1100)}
FLAGS = """--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
           --disable-component-update --disable-sync --no-proxy-server --hide-scrollbars""".split()
STALE = (NoSuchElementException, StaleElementReferenceException)


def start_browser(profile, downloads=None):
    options = webdriver.ChromeOptions()
    for flag in FLAGS:
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={profile}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    if downloads:
        options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
    driver.set_script_timeout(60)
    return driver


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    """One browser for a file; every test that wants a clean slate opens its page anew."""
    saved = tmp_path_factory.mktemp("saved")
    driver = start_browser(tmp_path_factory.mktemp("profile"), saved)
    driver.saved = saved
    yield driver
    driver.quit()


class Page:
    def __init__(self, driver, url):
        self.driver, self.url = driver, url.rstrip("/") + "/"

    # Opening

    def size(self, width):
        w, h = (WIDTHS | TABLET)[width]
        device = {"width": w, "height": h, "deviceScaleFactor": 1, "mobile": width == "phone"}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", device)
        return self

    def prefer(self, **settings):
        """theme, lang: what the page keeps in the browser."""
        self.driver.get(self.url + "icons/icon.svg")
        self.driver.execute_script("localStorage.clear()")
        for name, value in settings.items():
            self.driver.execute_script("localStorage.setItem('p2p.' + arguments[0], arguments[1])", name, value)
        return self

    def open(self, view="share", fragment=None):
        self.driver.get("about:blank")
        self.driver.get(self.url + "#" + (fragment or f"/{view}"))
        try:
            self.wait(lambda: self.one("h1"), 40, "a heading")
        except AssertionError as failure:  # an empty page says nothing: report which requests were made, and when their answers came
            entries = "performance.getEntriesByType('resource').map((e) => [e.name, e.responseStatus, e.responseEnd])"
            raise AssertionError(self.js(f"return JSON.stringify([document.readyState, {entries}])")) from failure
        if fragment is None:
            self.wait(lambda: self.js("return 'ready' in document.documentElement.dataset"), what="the page ready")
        return self

    def go(self, view):
        """By the navigation, or on a narrow page by the gear icon of the settings."""
        links = self.all(f'a[href="#/{view}"]')
        next(link for link in links if link.is_displayed()).click()
        self.wait(lambda: self.js("return location.hash") == f"#/{view}")
        return self

    # Looking

    def js(self, code, *arguments):
        return self.driver.execute_script(code, *arguments)

    def module(self, name):
        """The address of a module of this page (store.js): a module has one state for each address."""
        return self.js("return document.querySelector('script[type=module]').src.replace('main.js', arguments[0])", name)

    def wait(self, condition, timeout=20.0, what="the condition"):
        end = time.monotonic() + timeout
        while True:
            try:
                value = condition()
            except STALE:
                value = None
            if value:
                return value
            assert time.monotonic() < end, f"{what} not met within {timeout} s; the page says:\n{self.text()[:1500]}"
            time.sleep(0.05)

    def one(self, css):
        return self.driver.find_element(By.CSS_SELECTOR, css)

    def all(self, css):
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def text(self, css="body"):
        return self.one(css).text

    def heading(self):
        return self.text("h1")

    def names(self, css="main .card .row"):
        """The whole names of the visible rows, even if they are shortened on the screen."""
        found = "[...document.querySelectorAll(arguments[0] + ' .name')]"
        return self.js(f"return {found}.filter((e) => e.offsetParent).map((e) => e.dataset.raw ?? e.textContent)", css)

    def row(self, name, css="main .card .row", timeout=20.0):
        code = """return [...document.querySelectorAll(arguments[0])].find((row) => row.offsetParent &&
                  [...row.querySelectorAll('.name')].some((e) => (e.dataset.raw ?? e.textContent) === arguments[1]))"""
        return self.wait(lambda: self.js(code, css, name), timeout, f"a row {name!r}")

    def live(self, timeout=30.0):
        """Until events flow."""
        state = "return document.querySelector('.connection').dataset.state"
        self.wait(lambda: self.js(state) == "live", timeout, "live")
        return self

    def see(self, text, timeout=20.0):
        """Waits until the text is on the page."""
        return self.wait(lambda: text in self.text(), timeout, f"the text {text!r}")

    # Acting

    def act(self, name, action, find=None):
        """An action of a row: its own button, or on a narrow page the one in the sheet behind "more". `find` returns
        the row or None, if its name does not tell it."""
        labels = {"link": "Link and QR code", "save": "Save to this device", "zip": "Save folder album as ZIP", "rename": "Rename", "delete": "Delete",
                  "details": "Details", "access": "Who may see this", "cancel": "Cancel", "drop": "Remove from list", "retry": "Try again",
                  "pause": "Pause", "resume": "Resume", "sha": "Checksum", "browse": "Browse files", "trust": "Trust",
                  "block": "Block", "forget": "Forget", "rewind": "Go back to…", "send": "Send", "watch": "Listen"}  # fmt: skip

        def press():
            row = find() if find else self.row(name)
            if row is None:
                return False
            self.js("arguments[0].scrollIntoView({block: 'center'})", row)  # not below the bar of a phone
            own = row.find_elements(By.CSS_SELECTOR, f"[data-act={action}]")
            if own and own[0].is_displayed():
                own[0].click()
                return True
            row.find_element(By.CSS_SELECTOR, ".btn.more").click()
            self.press(labels[action], "dialog[open]")
            return True

        self.wait(press, what=f"{action} of {name}")

    def press(self, label, css="body"):
        """The visible button (or link) with this name. Looked up again if the page replaces it before the click,
        as a growing list of results does.
        """

        def click():
            for button in self.all(f"{css} button, {css} a[href]"):
                if button.is_displayed() and label in (button.text, button.text.split("\n")[0], button.get_attribute("aria-label")):
                    self.js("arguments[0].scrollIntoView({block: 'nearest'})", button)
                    button.click()
                    return True
            return False

        self.wait(click, what=f"a button {label!r}")

    def dialog(self):
        return self.wait(lambda: self.one("dialog[open]"), what="a dialog")

    def no_dialog(self):
        self.wait(lambda: not self.all("dialog[open]"), what="no dialog")

    def choose_files(self, *paths):
        self.one("input[data-input=files]").send_keys("\n".join(map(str, paths)))

    def drop(self, *paths, on=None):
        """Drops files and folders of the disk on an element, or in the middle of the window, with the browser's own
        functions.
        """
        x, y = 180, 300
        if on is not None:
            self.js("arguments[0].scrollIntoView({block: 'center'})", on)
            x, y = self.js("const r = arguments[0].getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]", on)
        data = {"items": [], "files": [str(p) for p in paths], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            where = {"type": kind, "x": x, "y": y, "data": data}
            self.driver.execute_cdp_cmd("Input.dispatchDragEvent", where)

    def paste_file(self, name, text):
        self.js("""const data = new DataTransfer(); data.items.add(new File([arguments[1]], arguments[0]));
                   document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true}))""", name, text)

    def keys(self, *keys):
        """To the element that has the focus."""
        self.driver.switch_to.active_element.send_keys(*keys)

    def focused(self):
        """Name and text of the element that has the focus."""
        element = self.driver.switch_to.active_element
        return element.get_attribute("aria-label") or element.text or element.get_attribute("id") or element.tag_name

    def tab_to(self, label, limit=60):
        """Presses Tab until this has the focus, like a person without a mouse."""
        for _ in range(limit):
            self.keys(Keys.TAB)
            if self.focused() == label:
                return
        raise AssertionError(f"Tab never reached {label!r}")

    # Judging

    def console(self):
        """What the browser complained about since the last call: errors, CSP violations, failed loads. It asks for
        favicon.ico on its own when a page without an icon is shown for a moment, as an answer of the API."""
        shown = [entry for entry in self.driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
        return [entry for entry in shown if "/favicon.ico" not in entry["message"]]

    def axe(self):
        """Violations of WCAG 2.2 AA and of good practice, one readable line each."""
        if not AXE.exists():
            pytest.skip("axe-core is not installed: npm install --no-save --prefix build/npm axe-core")
        self.js(AXE.read_text())
        rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
        code = "const done = arguments[1]; axe.run(document, {resultTypes: ['violations'], runOnly: arguments[0]}).then((r) => done(JSON.stringify(r.violations)))"
        found = json.loads(self.driver.execute_async_script(code, rules))
        return [f"{v['id']}: {v['help']}: {n['html'][:200]}" for v in found for n in v["nodes"]]

    def overflow(self):
        """Pixels by which the page, or something that a card cuts off, is wider than the window."""
        return self.js("""const root = document.documentElement, shown = [...document.querySelectorAll('main *')];
                          const right = shown.filter((e) => e.checkVisibility()).map((e) => e.getBoundingClientRect().right);
                          return Math.max(root.scrollWidth - root.clientWidth, ...right.map((x) => Math.round(x - root.clientWidth)))""")


@pytest.fixture(params=list(WIDTHS))
def width(request):
    return request.param

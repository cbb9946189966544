"""Several different files have one name: the dashboard asks which one before it downloads anything."""

import time

import pytest

from conftest import wait_until
from p2pwire import tree
from p2pwire.server import Server
from piped import piped_browser

PLAN, OTHER = b"the plan" * 500, b"another plan" * 700
DIALOG = "document.querySelector('dialog[open]')"
CHOICES = f"[...{DIALOG}.querySelectorAll('button.menu')].map((b) => b.innerText)"


@pytest.fixture
def world(suite):
    registry = suite.discovery()
    with Server({"plan.txt": PLAN}) as one, Server({"plan.txt": OTHER}) as other:
        for server, data in ((one, PLAN), (other, OTHER)):
            entry = {"name": "plan.txt", "size": len(data), "root": tree.root_of(data).hex(), "version": 1}
            now = int(time.time() * 1000)
            answer = registry.registry.register_signed(server.identity, server.address[1], [entry], now)
            assert answer.status_code == 200, answer.text
        yield suite.ui(name="dashboard", discovery=registry), one, other


def transfers(ui):
    return ui.api.request("GET", "/api/transfers").json()["transfers"]


def begin(browser, ui, what):
    browser.open(f"{ui.url}/#/share")
    browser.wait(lambda: browser.js("document.documentElement?.dataset.ready !== undefined"), what="the page ready")
    browser.js(f"void import(document.querySelector('script[type=module]').src.replace('main.js', 'transfers.js')).then((module) => module.fetchFile({what}))")
    browser.wait(lambda: browser.js(DIALOG + " !== null"), what="the question")


def test_the_question_names_the_contents_and_the_answer_counts(world, tmp_path):
    ui, one, other = world
    with piped_browser(tmp_path / "profile") as browser:
        begin(browser, ui, "{ name: 'plan.txt' }")
        assert "plan.txt" in browser.js(DIALOG + ".innerText")
        choices = browser.js(CHOICES)
        roots = [tree.root_of(data).hex()[:16] for data in (PLAN, OTHER)]
        assert len(choices) == 2 and all("New: 1" in choice for choice in choices), choices
        assert sorted(root in " ".join(choices) for root in roots) == [True, True]
        assert not transfers(ui) and not one.requests and not other.requests, "nothing has begun"

        browser.js(DIALOG + ".close()")
        browser.wait(lambda: browser.js(DIALOG + " === null"), what="the end of the question")
        assert not transfers(ui), "no answer is no"

        begin(browser, ui, "{ name: 'plan.txt' }")
        number = next(i for i, choice in enumerate(browser.js(CHOICES)) if roots[1] in choice)
        browser.js(f"{DIALOG}.querySelectorAll('button.menu')[{number}].click()")
        wait_until(lambda: [t["state"] for t in transfers(ui)] == ["completed"], 60, "the download")
    assert (ui.downloads / "plan.txt").read_bytes() == OTHER
    assert not one.requests


def test_of_a_folder_the_peer_is_chosen(suite, tmp_path):
    registry = suite.discovery()
    peers = {
        name: suite.peer(name=name, files={"docs/a.txt": name.encode() * 9}, discovery=registry) for name in ("one", "two")
    }
    wait_until(lambda: len(registry.registry.peers(file="docs/a.txt")) == 2, what="both listed")
    ui = suite.ui(name="dashboard", discovery=registry)
    with piped_browser(tmp_path / "profile") as browser:
        begin(browser, ui, "{ name: 'docs/' }")
        choices = browser.js(CHOICES)
        number = next(i for i, choice in enumerate(choices) if peers["two"].peer_id[:8] in choice)
        assert len(choices) == 2
        browser.js(f"{DIALOG}.querySelectorAll('button.menu')[{number}].click()")
        wait_until(lambda: [t["state"] for t in transfers(ui)] == ["completed"], 60, "the download")
    assert (ui.downloads / "docs" / "a.txt").read_bytes() == b"two" * 9

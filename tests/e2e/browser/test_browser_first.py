"""The first visit, and states in which there is nothing to show: a sentence, and what to do next."""

from types import SimpleNamespace

from conftest import wait_until
from page import Page, driver  # noqa: F401
from world import World, sign_in


def test_three_steps_that_nobody_has_to_take(suite, driver):
    world = World(suite)
    page = world.page(driver, "phone").open("share").live()
    for text in ("Three steps to begin", "Name this computer", "Share something", "Nothing shared yet"):
        page.see(text)
    assert page.axe() == [] and page.overflow() <= 0
    field = page.one("#steps-name")
    field.clear()
    field.send_keys("Study laptop")
    page.press("Save", ".step-form")
    wait_until(lambda: world.near.api.json("/api/config")["name"] == "Study laptop", what="the name")
    (world.near.shared / "first.txt").write_bytes(b"x")  # the other device is there already: all is done
    page.wait(lambda: "Three steps" not in page.text(), 30, "the steps gone")
    page.open("share").live().row("first.txt")
    assert "Three steps" not in page.text()
    assert page.console() == []


def test_the_steps_can_be_hidden_and_stay_hidden(suite, driver):
    ui = suite.ui()
    sign_in(driver, ui)
    page = Page(driver, f"http://localhost:{ui.port}").size("desk").prefer().open("share").live()
    page.see("Three steps to begin")
    page.press("Hide these steps")
    assert "Three steps" not in page.text()
    page.open("share").live()
    page.see("Nothing shared yet")
    assert "Three steps" not in page.text()


def test_without_a_registry_and_without_anybody(suite, driver):
    ui = suite.ui(discovery=SimpleNamespace(url="none"))
    sign_in(driver, ui)
    page = Page(driver, f"http://localhost:{ui.port}").size("desk").prefer().open("peers").live()
    page.see("No one else is here yet")
    page.see("No registry is set")
    assert page.text(".notice code") == "p2p config set discovery URL"
    page.press("Add by address")
    page.dialog()


def test_a_registry_that_is_away(suite, driver):
    discovery = suite.discovery()
    ui = suite.ui(discovery=discovery)
    sign_in(driver, ui)
    page = Page(driver, f"http://localhost:{ui.port}").size("desk").prefer()
    discovery.kill()
    suite.programs.remove(discovery)
    page.open("search", "/search?q=anything")
    page.see("The registry does not answer.", 40)
    page.press("Try again", ".empty")
    page.press("See who’s online", ".empty")
    page.see("The registry does not answer", 40)
    assert "p2p-discovery" in page.text(".notice code")

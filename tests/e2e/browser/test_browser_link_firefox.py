"""Links in Firefox, over a registry without https, from another machine."""

import os
import shutil
from pathlib import Path

import pytest

from conftest import wait_until
from firefox import Firefox
from netns import other_machine
from test_browser_link import LIMIT, Sender


@pytest.mark.skipif(shutil.which("firefox-esr") is None, reason="firefox-esr is missing")
def test_a_link_in_firefox(module_suite, tmp_path):
    with other_machine(8) as machine:
        if machine is None:
            pytest.skip("network namespaces cannot be made here")
        registry = f"http://{machine.our_ip}:{module_suite.discovery(host='0.0.0.0').port}"
        data, saved = os.urandom(3_300_000), tmp_path / "saved"
        (tmp_path / "one.bin").write_bytes(data)
        saved.mkdir()
        sender = Sender(tmp_path / "sender", registry, tmp_path / "one.bin")

        def visit(link):
            browser = Firefox({
                "browser.download.folderList": 2, "browser.download.dir": str(saved),
                "dom.block_download_insecure": False,  # what a page without https saves is not asked about
            })  # fmt: skip
            try:
                browser.get(link)
                text = "return document.querySelector('main').innerText"
                shown = "return document.querySelector('#all').checkVisibility()"
                wait_until(lambda: browser.execute_script(shown), LIMIT, "the files of the link")
                assert "one.bin" in browser.execute_script(text)
                browser.execute_script("document.querySelector('#all').click()")
                done = "Everything was downloaded and verified."
                wait_until(lambda: done in browser.execute_script(text), LIMIT, done)
                wait_until(lambda: (saved / "one.bin").exists() and not list(saved.glob("*.part")), LIMIT, "the file saved")
                assert (saved / "one.bin").read_bytes() == data
            except BaseException:
                print(browser.execute_script(text), list(Path(saved).iterdir()))
                raise
            finally:
                browser.quit()

        try:
            link = sender.event("link")["link"]
            machine.run(lambda: visit(link))
            sender.event("guest_done")
            assert sender.process.wait(LIMIT) == 0
        finally:
            sender.stop()

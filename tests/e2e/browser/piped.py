"""Chromium controlled through a pipe: unlike with a debugging port, it does not listen for anything, like a
person's browser.
"""

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import time

import pytest

from page import FLAGS


class PipedBrowser:
    def __init__(self, profile, url="about:blank"):
        chromium = shutil.which("chromium") or pytest.skip("chromium is not installed")
        theirs_in, self.send_fd = os.pipe()
        self.receive_fd, theirs_out = os.pipe()

        def arrange():  # the browser reads descriptor 3 and writes descriptor 4
            a, b = os.dup(theirs_in), os.dup(theirs_out)
            os.dup2(a, 3)
            os.dup2(b, 4)

        flags = [flag for flag in FLAGS if flag != "--no-sandbox" or os.geteuid() == 0]
        self.process = subprocess.Popen(
            [chromium, *flags, "--remote-debugging-pipe", f"--user-data-dir={profile}", url], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, close_fds=False, start_new_session=True,
            preexec_fn=arrange,
        )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        self.buffer, self.number = b"", 0
        targets = self.wait(lambda: [t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page"])
        attach = {"targetId": targets[0]["targetId"], "flatten": True}
        self.session = self.call("Target.attachToTarget", attach)["sessionId"]

    session = None

    def call(self, method, params=None, timeout=60):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params or {}}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.send_fd, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + timeout
        while True:
            while b"\0" not in self.buffer:
                assert select.select([self.receive_fd], [], [], max(0, end - time.monotonic()))[0], method
                data = os.read(self.receive_fd, 65536)
                assert data, "the browser has ended"
                self.buffer += data
            text, _, self.buffer = self.buffer.partition(b"\0")
            answer = json.loads(text)
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]

    def js(self, code):
        """The value of an expression; waits for a promise."""
        answer = self.call("Runtime.evaluate", {"expression": code, "awaitPromise": True, "returnByValue": True})
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def open(self, url):
        self.call("Page.navigate", {"url": url})

    @staticmethod
    def wait(condition, timeout=60, what="the condition"):
        end = time.monotonic() + timeout
        while not (value := condition()):
            assert time.monotonic() < end, f"{what} not met within {timeout} s"
            time.sleep(0.05)
        return value

    def see(self, text, timeout=60):
        self.wait(lambda: text in (self.js("document.body ? document.body.innerText : ''") or ""), timeout, text)

    def choose_files(self, *paths):
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", {"nodeId": root, "selector": "input[data-input=files]"})["nodeId"]
        self.call("DOM.setFileInputFiles", {"nodeId": node, "files": [str(p) for p in paths]})

    def close(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self.send_fd)
        os.close(self.receive_fd)


@contextlib.contextmanager
def piped_browser(profile, url="about:blank"):
    browser = PipedBrowser(profile, url)
    try:
        yield browser
    finally:
        browser.close()

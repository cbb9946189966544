"""Firefox by its own protocol, Marionette: what Selenium does through geckodriver, which Debian does not have."""

import json
import shutil
import socket
import subprocess
import tempfile
import time


class Firefox:
    """One Firefox with a profile of its own; scripts run in the page that get() has opened."""

    def __init__(self, prefs=None, prefix=()):
        self.folder = tempfile.mkdtemp(prefix="firefox")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        settings = {"marionette.port": port, "app.update.enabled": False, **(prefs or {})}
        with open(f"{self.folder}/user.js", "w") as out:
            for name, value in settings.items():
                out.write(f"user_pref({json.dumps(name)}, {json.dumps(value)});\n")
        self.process = subprocess.Popen(
            [*prefix, "firefox-esr", "--headless", "--marionette", "--no-remote", "--profile", self.folder],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.count = 0
        self.socket = self.connect(port)
        self.file = self.socket.makefile("rb")
        self.receive()
        self.send("WebDriver:NewSession", {"capabilities": {"alwaysMatch": {"acceptInsecureCerts": True}}})

    def connect(self, port):
        until = time.monotonic() + 120
        while True:
            try:
                return socket.create_connection(("127.0.0.1", port), timeout=120)
            except OSError:
                if time.monotonic() > until or self.process.poll() is not None:
                    raise
                time.sleep(0.1)

    def receive(self):
        length = b""
        while not length.endswith(b":"):
            byte = self.file.read(1)
            if not byte:
                raise EOFError("Firefox has closed its control connection")
            length += byte
        return json.loads(self.file.read(int(length[:-1])))

    def send(self, command, words):
        self.count += 1
        message = json.dumps([0, self.count, command, words])
        self.socket.sendall(f"{len(message)}:{message}".encode())
        _, _, error, result = self.receive()
        if error:
            raise RuntimeError(f"{command}: {error['error']}: {error['message']}")
        return result

    def get(self, address):
        self.send("WebDriver:Navigate", {"url": address})

    def execute_script(self, script, *args):
        return self.send("WebDriver:ExecuteScript", {"script": script, "args": list(args), "sandbox": None})["value"]

    def execute_async_script(self, script, *args):
        return self.send("WebDriver:ExecuteAsyncScript", {"script": script, "args": list(args), "sandbox": None})["value"]

    def set_script_timeout(self, seconds):
        self.send("WebDriver:SetTimeouts", {"script": int(seconds * 1000)})

    def quit(self):
        try:
            self.send("Marionette:Quit", {})
        except (OSError, EOFError, RuntimeError):
            pass
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.file.close()
        self.socket.close()
        shutil.rmtree(self.folder, ignore_errors=True)  # a process of its own may still write into it

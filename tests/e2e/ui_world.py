"""A registry, two far peers and a near one with its dashboard; answers are checked against docs/openapi.yaml."""

import os
import time

from conftest import ROOT, wait_until
from p2pwire.openapi import Api
from p2pwire.server import Server

BIG = os.urandom(6 << 20)
API = Api(ROOT / "docs" / "openapi.yaml")  # remembers over all files which operations tests have called


class World:
    def __init__(self, suite):
        self.suite, self.api = suite, API
        self.files = {
            "big.bin": BIG,
            "small.txt": b"small",
            "holiday 2024.jpg": b"jpg",
            "folder/in.txt": b"in",
        }
        self.discovery = suite.discovery()
        self.far = suite.peer(name="far", discovery=self.discovery, files=self.files)
        self.twin = suite.peer(name="twin", discovery=self.discovery, files={"big.bin": BIG})
        self.near = suite.peer(name="near", discovery=self.discovery, files={"mine.txt": b"0123456789"})
        self.ui = suite.ui(name="near", discovery=self.discovery, peer=self.near)
        self.http = self.ui.api
        wait_until(lambda: len(self.discovery.registry.peers()) == 3, what="all peers registered")
        wait_until(lambda: len(self.discovery.registry.peers(file="big.bin")) == 2, what="files registered")

    def call(self, method, path, status=None, **kwargs):
        """One request, checked against the document."""
        answer = self.api.check(method, path, self.http.request(method, path, **kwargs))
        assert status is None or answer.status_code == status, (answer.status_code, answer.text)
        return answer

    def json(self, method, path, status=200, **kwargs):
        return self.call(method, path, status, **kwargs).json()

    def wait_state(self, transfer_id, *states, timeout=40):
        def reached():
            transfer = self.json("GET", f"/api/transfers/{transfer_id}")
            assert transfer["state"] in states or transfer["state"] != "failed", transfer
            return transfer["state"] in states and transfer

        return wait_until(reached, timeout, f"state {states}")

    def forget(self, transfer, delete=True):
        self.call("DELETE", f"/api/transfers/{transfer['id']}", 200)
        if delete and transfer.get("path"):
            self.call("DELETE", "/api/download/" + transfer["path"], 200)


class SlowFile(Server):
    """A slow source, so that a test can use a transfer while it runs."""

    delay = 0.05

    def on_get(self, connection, request):
        time.sleep(self.delay)
        super().on_get(connection, request)


def start_slow(world, server, **more):
    peer = {"peer_id": server.identity.peer_id, "ip": "127.0.0.1", "port": server.address[1]}
    body = {"filename": "slow.bin", "peers": [peer], "auto": False, **more}
    return world.json("POST", "/api/transfers", 201, json=body)

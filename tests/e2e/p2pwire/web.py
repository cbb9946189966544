"""Every HTTP call of docs/HTTP.md, as a client that is written from this page makes them."""

import base64
import http.client
import time
from urllib.parse import quote

import requests

from . import registration


KINDS = ["unknown", "laptop", "desktop", "phone", "server", "tablet"]


class Registry:
    """A client of p2p-discovery."""

    def __init__(self, url, timeout=10):
        self.url, self.timeout = url.rstrip("/"), timeout
        self.http = requests.Session()
        self.http.trust_env = False

    def request(self, method, path, **kwargs):
        return self.http.request(method, self.url + path, timeout=self.timeout, **kwargs)

    def get(self, path, **params):
        return self.request("GET", path, params=params)

    def register(self, identity, port, names, **more):
        body = {
            "peer_id": identity.peer_id,
            "public_key": identity.pem.decode(),
            "port": port,
            "files": names,
        }
        return self.request("POST", "/register", json={**body, **more})

    def register_signed(self, identity, port, entries, seq, /, signed_ip="", expires_in=600, about=None, **change):
        """`change` replaces fields of the body after signing; `about` (name, kind, addresses) adds the second
        signature.
        """
        expires_at = int(time.time()) + expires_in
        text = registration.registration_bytes(identity.peer_id, seq, expires_at, signed_ip, port, entries)
        body = {
            "peer_id": identity.peer_id,
            "public_key": identity.pem.decode(),
            "port": port,
            "files": [e["name"] for e in entries],
            "entries": entries,
            "protocols": [1, 2],
            "seq": seq,
            "expires_at": expires_at,
            "signature": base64.b64encode(identity.sign(text)).decode(),
        }
        if signed_ip:
            body["ip"] = signed_ip
        if about:
            body.update({"name": about.get("name", ""), "kind": KINDS[about.get("kind", 0)]})
            body["addresses"] = list(about.get("addresses", ()))
            text = registration.registration2_bytes(
                identity.peer_id, seq, expires_at, signed_ip, port, entries, **about
            )
            body["signature2"] = base64.b64encode(identity.sign(text)).decode()
        return self.request("POST", "/register", json={**body, **change})

    def delta(self, identity, seq, base, add=(), remove=(), **change):
        text = registration.delta_bytes(identity.peer_id, seq, base, remove, add)
        signature = base64.b64encode(identity.sign(text)).decode()
        body = {
            "peer_id": identity.peer_id,
            "seq": seq,
            "base": base,
            "add": list(add),
            "remove": list(remove),
        }
        return self.request("POST", "/register/delta", json={**body, "signature": signature, **change})

    def leave(self, identity, seq, **change):
        signature = base64.b64encode(identity.sign(registration.leave_bytes(identity.peer_id, seq))).decode()
        body = {"peer_id": identity.peer_id, "seq": seq, "signature": signature}
        return self.request("DELETE", "/register", json={**body, **change})

    def heartbeat(self, peer_id):
        return self.get("/heartbeat", peer_id=peer_id)

    def peers(self, **params):
        answer = self.get("/peers", **params)
        answer.raise_for_status()
        return answer.json()["peers"]


class Dashboard:
    """A client of p2p-ui."""

    def __init__(self, url, timeout=30, token=None):
        """With the owner's token, because a test that listens for TCP does not count as a local caller."""
        self.url, self.timeout = url.rstrip("/"), timeout
        self.http = requests.Session()
        self.http.trust_env = False
        if token:
            self.http.headers["Authorization"] = f"Bearer {token}"

    def request(self, method, path, **kwargs):
        kwargs.setdefault("timeout", self.timeout)
        return self.http.request(method, self.url + path, **kwargs)

    def get(self, path, **params):
        return self.request("GET", path, params=params)

    def json(self, path, **params):
        answer = self.get(path, **params)
        assert answer.status_code == 200, (path, answer.status_code, answer.text)
        return answer.json()

    def upload(self, name, data, query=""):
        return self.request("POST", "/api/upload" + query, files={"file": (name, data)})

    def upload_many(self, files, query=""):
        parts = [("file", (name, data)) for name, data in files.items()]
        return self.request("POST", "/api/upload" + query, files=parts)

    def download(self, filename, peer):
        body = {"filename": filename, "peer_id": peer["peer_id_full"], "ip": peer["ip"], "port": peer["port"]}
        return self.request("POST", "/api/download", json=body)

    def progress(self, filename):
        return self.get("/api/download-progress/" + quote(filename, safe=""))

    def delete(self, kind, filename):
        """kind: "shared" or "download"."""
        return self.request("DELETE", f"/api/{kind}/" + quote(filename, safe=""))


def raw(port, method, target, headers=(), body=b"", host="127.0.0.1", timeout=10):
    """Sends a request with exactly this target and these headers: (status, headers, body)."""
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders(body or None)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()

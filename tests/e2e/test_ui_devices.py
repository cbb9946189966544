"""Pairing, devices and tokens: who may use a dashboard from another machine."""

import json
import re

import pytest

from conftest import wait_until
from netns import other_machine
from p2pwire.web import Dashboard


@pytest.fixture
def device(suite):
    """A dashboard on all addresses and a browser on another machine."""
    with other_machine(2) as machine:
        if machine is None:
            pytest.skip("network namespaces cannot be made here")
        ui = suite.ui(peer=suite.peer(files={"f.txt": b"private"}), host="0.0.0.0")
        far = Dashboard(f"http://{machine.our_ip}:{ui.port}")

        def call(method, path, **kwargs):
            return machine.run(far.request, method, path, **kwargs)

        ui.peer_id = ui.api.json("/api/status")["peer_id_full"]
        call.ui, call.far = ui, far
        ui.p2p_token = lambda *words: suite.p2p("token", *words, "--keys-dir", ui.folder / "keys").returncode
        yield call


OWNER_ONLY = [
    ("GET", "/api/pair/code"), ("POST", "/api/pair/code"), ("GET", "/api/devices"),
    ("DELETE", "/api/devices/0123456789abcdef"), ("PATCH", "/api/devices/0123456789abcdef"), ("PATCH", "/api/config"), ("POST", "/api/owner/link"),
]  # fmt: skip


def code_of(ui):
    answer = ui.api.request("POST", "/api/pair/code")
    assert answer.status_code == 201, answer.text
    return answer.json()["code"]


def test_pairing(device):
    ui = device.ui
    assert device("GET", "/api/status").status_code == 401
    code = code_of(ui)
    assert re.fullmatch(r"\d{6}", code)
    paired = device("POST", "/api/pair", json={"code": code, "name": "Phone"})
    assert paired.status_code == 200, paired.text
    cookie = paired.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and cookie.startswith(f"p2p_{ui.peer_id[:16]}=")
    status = device("GET", "/api/status")
    assert status.status_code == 200 and status.json()["caller"] == "device"
    for method, path in OWNER_ONLY:
        refused = device(method, path, **({"json": {"name": "mine"}} if method == "PATCH" else {}))
        assert (refused.status_code, refused.json()["code"]) == (403, "owner_only"), (method, path)
    assert device("GET", "/api/config").status_code == 200
    devices = ui.api.json("/api/devices")["devices"]
    assert [d["name"] for d in devices] == ["Phone"]
    assert cookie.split("=")[1].split(";")[0] not in json.dumps(devices)
    # The owner makes it an administrator, and takes that back, in the dashboard and in the terminal.
    own = f"/api/devices/{devices[0]['id']}"
    assert device("PATCH", own, json={"administrator": True}).status_code == 403, "not by itself"
    for wrong in ({}, {"administrator": "yes"}):
        assert ui.api.request("PATCH", own, json=wrong).status_code == 422
    assert ui.api.request("PATCH", "/api/devices/0123456789abcdef", json={"administrator": True}).status_code == 404
    changed = ui.api.request("PATCH", own, json={"administrator": True})
    assert changed.status_code == 200 and changed.json()["device"]["administrator"] is True, changed.text
    assert device("GET", "/api/status").json()["caller"] == "owner"
    assert device("PATCH", "/api/config", json={"name": "mine"}).status_code == 200
    assert device("GET", "/api/offers").json()["paired"] is True, "it still gets what is sent to it"
    assert [d["name"] for d in ui.api.json("/api/offers")["devices"]] == ["Phone"]
    assert ui.p2p_token("admin", devices[0]["id"], "off") == 0
    assert device("GET", "/api/status").json()["caller"] == "device"
    assert device("PATCH", "/api/config", json={"name": "mine"}).status_code == 403
    assert ui.p2p_token("admin", devices[0]["id"]) == 0
    assert device("GET", "/api/status").json()["caller"] == "owner"
    assert ui.p2p_token("admin", "0123456789abcdef") != 0 and ui.p2p_token("admin", devices[0]["id"], "maybe") != 0
    assert ui.api.request("DELETE", f"/api/devices/{devices[0]['id']}").status_code == 200
    assert device("GET", "/api/status").status_code == 401, "at once"


def test_each_visit_renews_the_cookie(device):
    """Browsers forget a cookie after 400 days; one that is in use must not be forgotten."""
    ui = device.ui
    paired = device("POST", "/api/pair", json={"code": code_of(ui)}).headers["Set-Cookie"]
    for _ in range(2):
        visit = device("GET", "/api/status?shared_files=0")
        assert visit.headers["Set-Cookie"] == paired, "the same one, with its full life"
    name, value = paired.split(";")[0].split("=")
    (made,) = ui.api.json("/api/devices")["devices"]
    assert ui.api.request("DELETE", f"/api/devices/{made['id']}").status_code == 200
    gone = device("GET", "/api/status?shared_files=0", headers={"Cookie": f"{name}={value}"})
    assert gone.status_code == 401 and "Set-Cookie" not in gone.headers


def test_only_a_cookie_is_renewed(device):
    ui = device.ui
    assert "Set-Cookie" not in ui.api.request("GET", "/api/status").headers, "a token in a header"
    for value in ("", "0" * 64, ui.owner_token):
        cookie = {"Cookie": f"p2p_{ui.peer_id[:16]}={value}"}
        assert "Set-Cookie" not in device("GET", "/api/status", headers=cookie).headers


def test_a_cookie_under_its_former_name_gets_the_new_one(device):
    ui = device.ui
    cookie = device("POST", "/api/pair", json={"code": code_of(ui)}).headers["Set-Cookie"]
    device.far.http.cookies.clear()
    value = cookie.split(";")[0].split("=")[1]
    assert device("GET", "/api/status", headers={"Cookie": f"p2p_device={value}"}).headers["Set-Cookie"] == cookie


def test_a_code_works_once(device):
    code = code_of(device.ui)
    assert device("POST", "/api/pair", json={"code": code}).status_code == 200
    device.far.http.cookies.clear()
    assert device("POST", "/api/pair", json={"code": code}).status_code == 403
    assert device("GET", "/api/status").status_code == 401


def test_a_new_code_replaces_the_old(device):
    old = code_of(device.ui)
    new = code_of(device.ui)
    assert old == new or device("POST", "/api/pair", json={"code": old}).status_code == 403
    assert device("POST", "/api/pair", json={"code": new}).status_code == 200


def test_five_wrong_codes(device):
    code = code_of(device.ui)
    wrong = f"{(int(code) + 1) % 1_000_000:06}"
    answers = [device("POST", "/api/pair", json={"code": wrong}) for _ in range(5)]
    assert [a.json()["code"] for a in answers] == ["wrong_code"] * 4 + ["long_code"]
    assert device("POST", "/api/pair", json={"code": code}).status_code == 403, "another has replaced it"
    refused = device("POST", "/api/pair", json={"code": "0" * 12})
    assert refused.status_code == 429 and int(refused.headers["Retry-After"]) > 60
    assert device("GET", "/api/status").status_code == 401


def test_strangers_neither_burn_a_code_nor_keep_the_owners_device_out(device):
    """Guessing makes the codes longer for a day. The owner is told, and the new code works from every address,
    even from one that guessed.
    """
    ui = device.ui
    first = code_of(ui)
    wrong = f"{(int(first) + 1) % 1_000_000:06}"
    answers = [device("POST", "/api/pair", json={"code": wrong}) for _ in range(50)]
    assert {a.json()["code"] for a in answers[4:]} == {"long_code"} and "12 digits" in answers[4].json()["detail"]
    now = ui.api.json("/api/pair/code")["code"]
    assert re.fullmatch(r"\d{12}", now)
    assert f"type {now} " in ui.stderr() and "guessing" in ui.stderr(), "the owner is told"
    assert device("POST", "/api/pair", json={"code": first}).status_code == 403
    almost = f"{(int(now) + 1) % 10**12:012}"
    assert device("POST", "/api/pair", json={"code": almost}).status_code == 429
    assert device("POST", "/api/pair", json={"code": now}).status_code == 200
    assert device("GET", "/api/status").status_code == 200
    device.far.http.cookies.clear()
    assert device("POST", "/api/pair", json={"code": now}).status_code != 200, "it works once"
    assert re.fullmatch(r"\d{12}", code_of(ui)), "for one day"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"code": ""},
        {"code": 123456},
        {"code": "12345"},
        {"code": "1234567"},
        {"code": "abcdef"},
        {"code": None},
        [],
    ],
    ids=str,
)
def test_codes_that_are_none(device, body):
    assert device("POST", "/api/pair", json=body).status_code in (400, 403, 422)


def test_tokens(device, suite):
    ui = device.ui
    out = suite.p2p("token", "new", "script", "--keys-dir", ui.folder / "keys", "--json")
    assert out.returncode == 0, out.stderr
    token = json.loads(out.stdout)["token"]
    good = wait_until(
        lambda: (a := device("GET", "/api/status", headers={"Authorization": f"Bearer {token}"})).status_code
        == 200
        and a,
        5,
        "the token taken",
    )
    assert good.json()["caller"] == "token"
    for wrong in (token[:-1], token + "x", "", "x" * 5000):
        assert device("GET", "/api/status", headers={"Authorization": f"Bearer {wrong}"}).status_code == 401
    stored = b"".join(p.read_bytes() for p in ui.folder.rglob("*") if p.is_file())
    assert token.encode() not in stored, "only a hash is kept"


def test_require_pairing(suite):
    ui = suite.ui("--require-pairing", peer=suite.peer(files={"f": b"x"}))
    assert ui.anyone.get("/api/status").status_code == 401
    assert ui.anyone.get("/health").status_code == 200
    assert ui.api.json("/api/status")["caller"] == "owner"

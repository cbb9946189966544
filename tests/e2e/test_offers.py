"""Files and texts for a device, with its user's consent: p2p send --to, p2p inbox, and the dashboards of both."""

import json
import os
import subprocess

import pytest

from conftest import BIN, environment, wait_until
from p2pwire.web import Dashboard
from ui_world import API

LIMIT = 60  # generous: for a busy machine
PHOTO, NOTE = os.urandom(700_000), b"not for everyone"


class World:
    """Study and Kitchen, two devices with p2p-peer."""

    def __init__(self, suite):
        self.suite, self.folder = suite, suite.folder
        self.discovery = suite.discovery()
        self.study, self.kitchen = (
            suite.peer("--name", name.title(), name=name, discovery=self.discovery) for name in ("study", "kitchen")
        )
        wait_until(lambda: len(self.discovery.registry.peers()) == 2, what="both are registered")

    def p2p(self, device, *arguments, status=0):
        done = subprocess.run(
            [BIN / "p2p", *arguments, *self.where(device)], stdin=subprocess.DEVNULL, capture_output=True,
            text=True, env=environment(self.folder / device), timeout=2 * LIMIT, cwd=self.folder / device,
        )  # fmt: skip
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout

    def where(self, device):
        return ["--keys-dir", self.folder / device / "keys", "--discovery", self.discovery.url]

    def send(self, *arguments):
        return subprocess.Popen(
            [BIN / "p2p", "send", "--json", "--name", "Study", "--to", "Kitchen", *self.where("study"), *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env=environment(self.folder / "study"),
        )  # fmt: skip

    def inbox(self):
        return json.loads(self.p2p("kitchen", "inbox", "--json"))["offers"]

    def waiting(self):
        return wait_until(lambda: [o for o in self.inbox() if o["state"] == "waiting"], LIMIT, "an offer")[0]


@pytest.fixture(scope="module")
def world(module_suite):
    return World(module_suite)


def ends(sender, status, event):
    output, _ = sender.communicate(timeout=2 * LIMIT)
    assert sender.returncode == status, output
    assert event in [json.loads(line)["event"] for line in output.splitlines()]


def test_a_folder_and_a_text_by_the_command_line(world):
    trip = world.folder / "Trip"
    (trip / "day 1").mkdir(parents=True)
    (trip / "day 1" / "photo.jpg").write_bytes(PHOTO)
    (trip / "note.txt").write_bytes(NOTE)
    sender = world.send(trip, "--text", "Look at this")
    offer = world.waiting()
    assert (offer["count"], offer["size"], offer["name"]) == (2, len(PHOTO) + len(NOTE), "Study")
    assert "2 files" in world.p2p("kitchen", "inbox")
    whole, short = offer["id"], offer["id"][:8]  # what the Tab key offers
    for word, found in (("", short), (short[:3], short), (whole[:9], whole), ("x", None)):
        assert world.p2p("kitchen", "complete", "offers", word).split() == ([found] if found else [])
    assert not (world.folder / "kitchen" / "out").exists()  # it costs nothing until it is accepted
    out = world.p2p("kitchen", "inbox", "accept", offer["id"][:8], "--output-dir", "out")
    assert "Look at this" in out
    ends(sender, 0, "done")
    got = world.folder / "kitchen" / "out" / "Trip"
    assert (got / "day 1" / "photo.jpg").read_bytes() == PHOTO and (got / "note.txt").read_bytes() == NOTE
    assert world.inbox()[0]["state"] == "accepted" and world.inbox()[0]["taken"]
    assert world.p2p("kitchen", "complete", "offers") == ""  # none waits


def test_declined_and_always(world):
    sender = world.send("--text", "no")
    world.p2p("kitchen", "inbox", "decline", world.waiting()["id"])
    ends(sender, 7, "declined")
    world.p2p("kitchen", "inbox", "always", "Study")
    ends(world.send("--text", "yes"), 0, "done")
    world.p2p("kitchen", "inbox", "ask", "Study")
    sender = world.send("--text", "perhaps")
    world.p2p("kitchen", "inbox", "decline", world.waiting()["id"])
    ends(sender, 7, "declined")


def listed(ui, **wanted):
    answer = API.check("GET", "/api/offers", ui.api.request("GET", "/api/offers")).json()
    return [o for o in answer["offers"] if all(o[key] == value for key, value in wanted.items())]


def test_between_the_dashboards(world):
    """Study sends a private folder; Kitchen accepts and gets it, and nobody else sees it."""
    suite, registry = world.suite, world.discovery
    study = suite.ui(name="study", discovery=registry, peer=world.study)
    kitchen = suite.ui("--require-pairing", name="kitchen", discovery=registry, peer=world.kitchen)

    def post(ui, path, status, **body):
        answer = API.check("POST", path, ui.api.request("POST", path, json=body))
        assert answer.status_code == status, answer.text
        return answer.json()

    folder = post(study, "/api/offers/folder", 201)["path"]
    (study.shared / folder / "trip").mkdir(parents=True)
    (study.shared / folder / "trip" / "photo.jpg").write_bytes(PHOTO)
    to = world.kitchen.peer_id
    for ui, other in ((kitchen, world.study.peer_id), (study, to)):
        wait_until(lambda: other in ui.api.request("GET", "/api/peers").text, LIMIT, "each sees the other")
    wait_until(lambda: "photo.jpg" in study.api.request("GET", "/api/shared").text, LIMIT, "the file is listed")
    sent = post(study, "/api/offers", 201, to=to, files=[f"{folder}/trip/"], text="Look")
    one = wait_until(lambda: listed(kitchen, state="waiting", text="Look"), LIMIT, "the offer")[0]
    assert one["items"] == [{"name": "trip/photo.jpg", "size": len(PHOTO)}] and one["peer"]["name"] == "Study"
    assert "photo.jpg" not in world.p2p("kitchen", "ls", world.study.peer_id)  # nobody else sees it
    assert not (kitchen.downloads / "trip").exists()
    post(kitchen, f"/api/offers/{one['id']}/accept", 200)
    got = kitchen.downloads / "trip" / "photo.jpg"
    wait_until(lambda: got.exists() and got.read_bytes() == PHOTO, LIMIT, "the photo is at Kitchen")
    wait_until(lambda: listed(study, id=sent["id"], state="accepted", direction="out"), LIMIT, "Study knows")
    assert post(kitchen, f"/api/offers/{one['id']}/decline", 409)["code"] == "wrong_state"
    bare = post(study, "/api/offers", 201, to=to, files=[f"{folder}/trip/photo.jpg"], text="")  # without a text
    assert listed(study, id=bare["id"])[0]["text"] is None
    wait_until(lambda: listed(kitchen, id=bare["id"], text=None), LIMIT, "the same at Kitchen")
    post(study, "/api/offers", 404, to=to, files=["nothing"])
    post(study, "/api/offers", 422, to="device:none", text="x")
    post(study, "/api/offers", 422, to=to)
    assert post(kitchen, f"/api/offers/{bare['id']}/decline", 200)["state"] == "declined"
    wait_until(lambda: listed(study, id=bare["id"], state="declined"), LIMIT, "Study knows that, too")
    last = post(study, "/api/offers", 201, to=to, text="for always")
    wait_until(lambda: listed(kitchen, id=last["id"]), LIMIT, "the last one at Kitchen")
    assert post(kitchen, f"/api/offers/{last['id']}/always", 200)["state"] == "accepted"
    assert listed(kitchen, id=last["id"])[0]["always"]
    answer = API.check("DELETE", f"/api/offers/{sent['id']}", study.api.request("DELETE", f"/api/offers/{sent['id']}"))
    assert answer.status_code == 200 and not listed(study, id=sent["id"])

    # A paired browser is a face, too.
    phone, other = Dashboard(kitchen.url), Dashboard(kitchen.url)
    for browser in (phone, other):
        code = post(kitchen, "/api/pair/code", 201)["code"]
        assert browser.request("POST", "/api/pair", json={"code": code}).status_code == 200
    seen = API.check("GET", "/api/offers", phone.request("GET", "/api/offers")).json()
    assert seen["paired"] and len(seen["devices"]) == 1  # the other one
    devices = API.check("GET", "/api/offers", kitchen.api.request("GET", "/api/offers")).json()["devices"]
    mine = next(d["id"] for d in devices if d["id"] != seen["devices"][0]["id"])
    gift = post(kitchen, "/api/offers", 201, to=f"device:{mine}", text="https://example.org")["id"]

    def of(browser):
        return [o for o in browser.request("GET", "/api/offers").json()["offers"] if o["id"] == gift]

    assert [o["direction"] for o in of(phone)] == ["in"] and of(other) == []
    assert other.request("POST", f"/api/offers/{gift}/accept", json={}).status_code in (404, 503)
    assert phone.request("POST", f"/api/offers/{gift}/accept", json={}).json()["state"] == "accepted"
    assert listed(kitchen, id=gift)[0]["state"] == "accepted"
    assert phone.request("POST", "/api/offers", json={"to": "here", "text": "back"}).status_code == 201
    assert listed(kitchen, text="back")[0]["direction"] == "in"
    assert phone.request("POST", f"/api/offers/{gift}/always", json={}).status_code == 403

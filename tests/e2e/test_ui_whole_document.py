"""Everything that docs/openapi.yaml describes was requested and answered with success. The name of this file makes
it the last one that uses p2p-ui, because it counts the requests of the others.
"""

import time

import pytest

from conftest import wait_until
from p2pwire.web import Dashboard
from ui_world import API, World

pytestmark = pytest.mark.xdist_group("openapi")  # the operations that tests called are counted in one process


@pytest.fixture(scope="module")
def world(module_suite):
    return World(module_suite)


def test_every_operation_of_the_document_was_called(world):
    if ("POST", "/api/transfers", "201") not in API.seen:
        pytest.skip("the other tests of p2p-ui were not run")
    for method, path in [
        ("GET", "/"),
        ("GET", "/api/peers"),
        ("GET", "/api/peers/search?filename=x"),
        ("GET", "/api/downloads"),
        ("GET", "/api/devices"),
        ("POST", "/api/pair/code"),
        ("GET", "/api/pair/code"),
        ("GET", "/metrics"),
        ("GET", "/api/activity"),
    ]:
        world.call(method, path)
    world.call("POST", "/api/register", 200, json={"port": world.near.port})
    world.api.check("POST", "/api/upload", world.http.upload("last.txt", b"x"))
    far = world.json("GET", "/api/peers/search?filename=small.txt")["peers"][0]
    world.api.check("POST", "/api/download", world.http.download("small.txt", far))
    wait_until(
        lambda: world.call("GET", "/api/download-progress/small.txt").json()["status"] == "completed",
        what="completed",
    )
    world.call("GET", "/api/downloads/small.txt", 200)
    world.call("DELETE", "/api/download/small.txt", 200)
    world.call("POST", "/api/downloads/small.txt/restore", 200)
    for data in (b"y", b"z"):
        world.http.upload("last.txt", data, "?on_conflict=overwrite")
    wait_until(lambda: len(world.json("GET", "/api/versions/last.txt")["versions"]) == 2, what="two old versions")
    assert world.call("GET", "/api/versions/last.txt/2", 200).content == b"y"
    world.call("DELETE", "/api/versions/last.txt/2", 200)
    world.call("POST", "/api/versions/last.txt/restore", 200, json={"version": 1})
    world.call("DELETE", "/api/shared/last.txt", 200)
    assert [f["name"] for f in world.json("GET", "/api/deleted")["files"]] == ["last.txt"]
    world.call("DELETE", "/api/versions/last.txt", 200)
    world.call("POST", "/api/rewind", 200, json={"folder": "", "at": int(time.time())})
    code = world.json("POST", "/api/pair/code", 201)["code"]
    world.api.check("POST", "/api/pair", Dashboard(world.http.url).request("POST", "/api/pair", json={"code": code}))
    device = "/api/devices/" + world.json("GET", "/api/devices")["devices"][0]["id"]
    world.call("PATCH", device, 200, json={"administrator": True})
    world.call("DELETE", device, 200)
    success = {(m, t) for m, t, status in world.api.seen if status[0] == "2"}
    elsewhere = {
        ("GET", "/api/events"),
        ("GET", "/api/qr"),
        ("POST", "/api/owner/link"),
        ("POST", "/api/shares/confirm"),
        ("GET", "/open/{secret}"),
        ("GET", "/api/thumb"),
        ("GET", "/api/thumb/{root}"),
        ("GET", "/api/offers"),
        ("POST", "/api/offers"),
        ("POST", "/api/offers/folder"),
        ("POST", "/api/offers/{id}/accept"),
        ("POST", "/api/offers/{id}/decline"),
        ("POST", "/api/offers/{id}/always"),
        ("DELETE", "/api/offers/{id}"),
    }  # the tests above check these without the document, or in another process (test_offers.py)
    missing = set(world.api.operations()) - success - elsewhere
    assert not missing, sorted(missing)

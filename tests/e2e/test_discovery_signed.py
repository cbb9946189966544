"""Signed registrations: no client can lie about another peer (docs/HTTP.md, extensions)."""

import base64
import concurrent.futures
import time

import pytest

from conftest import wait_until
from p2pwire import keys, registration, tree

A, B = keys.Identity(), keys.Identity()


def entry(name, data=b"content", **more):
    return {
        "name": name,
        "size": len(data),
        "root": tree.root_of(data).hex(),
        "sha256": keys.sha256(data).hex(),
        "mtime": 1_700_000_000,
        "version": 1,
        **more,
    }


ENTRIES = [entry("zebra.txt", b"z"), entry("apple 😀.txt", b"a"), entry("Movie.mkv", b"movie" * 9999)]


@pytest.fixture
def registry(suite):
    return suite.discovery().registry


def register(registry, seq=1, who=A, entries=ENTRIES, **more):
    answer = registry.register_signed(who, 9000, entries, seq, **more)
    assert answer.status_code == 200, answer.text
    return answer


def record(registry, who=A):
    found = [p for p in registry.peers() if p["peer_id"] == who.peer_id]
    return found[0] if found else None


def names(registry, who=A):
    peer = record(registry, who)
    return sorted(peer["files"]) if peer else None


def test_verified_is_shown(registry):
    register(registry)
    registry.register(B, 9001, ["b"])
    assert record(registry)["verified"] is True
    assert record(registry, B)["verified"] is False
    assert names(registry) == sorted(e["name"] for e in ENTRIES)


def test_a_stated_ip_is_part_of_what_is_signed(registry):
    register(registry, signed_ip="192.0.2.1")
    assert record(registry)["ip"] == "192.0.2.1"
    assert registry.register_signed(A, 9000, ENTRIES, 2, signed_ip="192.0.2.1").status_code == 200
    forged = registry.register_signed(A, 9000, ENTRIES, 3, signed_ip="192.0.2.1", ip="192.0.2.2")
    assert forged.status_code in (401, 403, 422) and record(registry)["ip"] == "192.0.2.1"


FORGERIES = {
    "other port": dict(port=9999),
    "other seq": dict(seq=7),
    "later end": dict(expires_at=int(time.time()) + 5000),
    "other ip": dict(**{"ip": "192.0.2.9"}),
    "an entry less": dict(entries=ENTRIES[1:], files=[e["name"] for e in ENTRIES[1:]]),
    "an entry more": dict(entries=[*ENTRIES, entry("more")]),
    "other name": dict(entries=[entry("other.txt", b"z"), *ENTRIES[1:]]),
    "other root": dict(entries=[{**ENTRIES[0], "root": "ab" * 32}, *ENTRIES[1:]]),
    "other size": dict(entries=[{**ENTRIES[0], "size": 2}, *ENTRIES[1:]]),
    "other sha256": dict(entries=[{**ENTRIES[0], "sha256": "ab" * 32}, *ENTRIES[1:]]),
    "other version": dict(entries=[{**ENTRIES[0], "version": 9}, *ENTRIES[1:]]),
    "signature empty": dict(signature=""),
    "signature no base64": dict(signature="!!!"),
    "signature zero": dict(signature=base64.b64encode(bytes(256)).decode()),
    "signature short": dict(signature=base64.b64encode(bytes(255)).decode()),
    "signature null": dict(signature=None),
    "signature a number": dict(signature=5),
}


@pytest.mark.parametrize("case", FORGERIES)
def test_forgeries(registry, case):
    answer = registry.register_signed(A, 9000, ENTRIES, 5, **FORGERIES[case])
    assert answer.status_code in (400, 401, 403, 422), answer.text
    assert record(registry) is None


@pytest.mark.parametrize(
    "change",
    [
        dict(root="x"),
        dict(root="00"),
        dict(root=None),
        dict(size=-1),
        dict(size=1.5),
        dict(size="1"),
        dict(size=2**53 + 2),
        dict(name="../x"),
        dict(name=""),
        dict(name="a\nb"),
        dict(sha256="zz"),
        dict(version=-1),
        dict(version=2**32),
    ],
    ids=str,
)
def test_entries_with_wrong_values(registry, change):
    """The signature covers what can be encoded; the value itself is refused."""
    bad = {**ENTRIES[0], **change}
    answer = registry.register_signed(A, 9000, ENTRIES, 5, entries=[bad])
    assert answer.status_code in (400, 401, 403, 422), answer.text
    assert record(registry) is None


def test_two_entries_of_one_name(registry):
    answer = registry.register_signed(A, 9000, [entry("same", b"1"), entry("same", b"2")], 1)
    assert answer.status_code in (200, 400, 422)
    if answer.status_code == 200:
        assert names(registry) == ["same"]


def test_a_key_of_another(registry):
    answer = registry.register_signed(A, 9000, ENTRIES, 1, peer_id=B.peer_id)
    assert answer.status_code in (400, 401, 403, 422)
    answer = registry.register_signed(A, 9000, ENTRIES, 1, public_key=B.pem.decode())
    assert answer.status_code in (400, 401, 403, 422)
    assert registry.peers() == []


def test_replay_and_older_seq(registry):
    register(registry, seq=5)
    for seq in (5, 4, 1):
        assert registry.register_signed(A, 9009, [entry("new")], seq).status_code == 409
    assert record(registry)["port"] == 9000
    assert registry.register_signed(A, 9009, [entry("new")], 6).status_code == 200
    assert names(registry) == ["new"]


@pytest.mark.parametrize("expires_in", [-3600, 8 * 24 * 3600])
def test_expired_and_far_away_clocks(registry, expires_in):
    answer = registry.register_signed(A, 9000, ENTRIES, 1, expires_in=expires_in)
    assert answer.status_code in (400, 401, 403, 409, 422)
    assert "clock" in answer.text or "expire" in answer.text
    assert registry.peers() == []


def test_unsigned_never_touches_signed(registry):
    register(registry)
    answer = registry.register(A, 1234, ["evil"])
    assert answer.status_code == 409
    assert record(registry)["port"] == 9000 and "evil" not in names(registry)


def test_signed_replaces_unsigned(registry):
    registry.register(A, 1234, ["mine"])
    register(registry)
    assert record(registry)["verified"] is True and "mine" not in names(registry)


def test_heartbeat_keeps_a_signed_record(suite):
    registry = suite.discovery("--ttl", "2").registry
    register(registry)
    end = time.monotonic() + 4
    while time.monotonic() < end:
        assert registry.heartbeat(A.peer_id).status_code == 200
        time.sleep(0.3)
    assert record(registry)
    wait_until(lambda: record(registry) is None, 10, "the record expired")


def test_require_signed(suite):
    registry = suite.discovery("--require-signed").registry
    assert registry.register(A, 9000, ["f"]).status_code == 401
    assert registry.peers() == []
    register(registry)


# --- deltas ----------------------------------------------------------------------------------


def test_delta(registry):
    register(registry, seq=1)
    answer = registry.delta(A, 2, 1, add=[entry("new.txt", b"new")], remove=["zebra.txt"])
    assert answer.status_code == 200, answer.text
    assert names(registry) == sorted(["new.txt", "apple 😀.txt", "Movie.mkv"])
    assert registry.peers(file="zebra.txt") == []
    assert [p["peer_id"] for p in registry.peers(file="new.txt")] == [A.peer_id]


def test_delta_replaces_an_entry(registry):
    register(registry, seq=1)
    assert registry.delta(A, 2, 1, add=[entry("zebra.txt", b"changed", version=2)]).status_code == 200
    root = tree.root_of(b"changed").hex()
    assert [p["peer_id"] for p in registry.peers(root=root)] == [A.peer_id]
    assert registry.peers(root=ENTRIES[0]["root"]) == []


@pytest.mark.parametrize("seq,base", [(2, 0), (2, 2), (7, 5), (1, 1)])
def test_delta_that_does_not_fit(registry, seq, base):
    register(registry, seq=1)
    answer = registry.delta(A, seq, base, add=[entry("new.txt")])
    assert answer.status_code == 409
    assert "new.txt" not in names(registry)


def test_the_409_of_a_delta_tells_the_base(registry):
    register(registry, seq=41)
    assert registry.delta(A, 50, 40).json()["base"] == 41


def test_delta_of_an_unknown_peer(registry):
    assert registry.delta(A, 2, 1, add=[entry("x")]).status_code in (404, 409)
    assert registry.peers() == []


def test_delta_forged(registry):
    register(registry, seq=1)
    text = registration.delta_bytes(A.peer_id, 2, 1, [], [entry("evil")])
    by_b = base64.b64encode(B.sign(text)).decode()
    assert registry.delta(A, 2, 1, add=[entry("evil")], signature=by_b).status_code in (401, 403, 422)
    assert registry.delta(A, 2, 1, signature="").status_code in (400, 401, 403, 422)
    assert "evil" not in names(registry)


def test_delta_cannot_be_replayed(registry):
    register(registry, seq=1)
    assert registry.delta(A, 2, 1, remove=["zebra.txt"]).status_code == 200
    assert registry.delta(A, 2, 1, remove=["zebra.txt"]).status_code == 409


# --- leaving ---------------------------------------------------------------------------------


def test_leave(registry):
    register(registry, seq=1)
    assert registry.leave(A, 2).status_code == 200
    assert registry.peers() == []
    assert registry.heartbeat(A.peer_id).status_code == 404


def test_leave_forged_or_old(registry):
    register(registry, seq=5)
    by_b = base64.b64encode(B.sign(registration.leave_bytes(A.peer_id, 6))).decode()
    assert registry.leave(A, 6, signature=by_b).status_code in (401, 403, 422)
    assert registry.leave(A, 5).status_code == 409
    assert registry.leave(A, 4).status_code == 409
    assert record(registry)


def test_an_old_registration_cannot_come_back_after_leaving(registry):
    """The signed bytes contain seq, and the registry remembers it longer than the record."""
    register(registry, seq=1)
    assert registry.leave(A, 2).status_code == 200
    assert registry.register_signed(A, 9000, ENTRIES, 1).status_code == 409
    assert registry.register_signed(A, 9000, ENTRIES, 3).status_code == 200


# --- search ----------------------------------------------------------------------------------


def search(registry, q, **more):
    answer = registry.get("/search", q=q, **more)
    assert answer.status_code == 200, answer.text
    return [r["name"] for r in answer.json()["results"]]


def test_search_modes(registry):
    register(
        registry,
        entries=[
            entry("Crème brûlée.txt", b"1"),
            entry("holiday 2024.jpg", b"2"),
            entry("holidays.zip", b"3"),
        ],
    )
    assert search(registry, "holiday 2024.jpg", mode="exact") == ["holiday 2024.jpg"]
    assert search(registry, "holiday", mode="exact") == []
    assert sorted(search(registry, "HOLI", mode="prefix")) == ["holiday 2024.jpg", "holidays.zip"]
    assert search(registry, "2024", mode="prefix") == []
    assert search(registry, "2024", mode="substring") == ["holiday 2024.jpg"]
    assert search(registry, "creme brulee", mode="substring") == ["Crème brûlée.txt"]
    assert "holidays.zip" in search(registry, "holdiays.zip", mode="fuzzy")


def test_search_groups_by_content(registry):
    register(registry, entries=[entry("one.bin", b"same")])
    register(registry, who=B, entries=[entry("one.bin", b"same")])
    (result,) = registry.get("/search", q="one.bin", mode="exact").json()["results"]
    assert set(result) >= {"name", "size", "root", "sha256", "peers"}
    assert (result["size"], result["root"]) == (4, tree.root_of(b"same").hex())
    ids = {p["peer_id"] if isinstance(p, dict) else p for p in result["peers"]}
    assert ids == {A.peer_id, B.peer_id}
    assert {p["peer_id"] for p in registry.peers(root=tree.root_of(b"same").hex())} == {A.peer_id, B.peer_id}


def test_same_name_other_content_is_another_result(registry):
    register(registry, entries=[entry("f", b"1")])
    register(registry, who=B, entries=[entry("f", b"2")])
    assert search(registry, "f", mode="exact") == ["f", "f"]


def test_search_pages(registry):
    register(registry, entries=[entry(f"part {i:02}", b"%d" % i) for i in range(25)])
    seen, cursor = [], None
    for _ in range(10):
        body = registry.get(
            "/search", q="part", mode="prefix", limit=10, **({"cursor": cursor} if cursor else {})
        ).json()
        assert len(body["results"]) <= 10
        seen, cursor = seen + [r["name"] for r in body["results"]], body.get("next")
        if not cursor:
            break
    assert sorted(seen) == [f"part {i:02}" for i in range(25)]


@pytest.mark.parametrize(
    "params", [{}, dict(q="x", mode="regex"), dict(q="x", limit="-1"), dict(q="x", limit="x")]
)
def test_search_refuses(registry, params):
    assert registry.get("/search", **params).status_code in (400, 422)


@pytest.mark.parametrize(
    "q", ["%", "_", "*", "'", '"', "\\", "a' OR 1=1 --", "\u202e", "x" * 1000, "é", "😀", "["]
)
def test_search_takes_any_text(registry, q):
    register(registry)
    for mode in ("exact", "prefix", "substring", "fuzzy"):
        assert registry.get("/search", q=q, mode=mode).status_code in (200, 400, 414, 422)
    assert record(registry)


# --- lists that others follow ----------------------------------------------------------------


def test_etag(registry):
    register(registry)
    first = registry.get("/peers")
    etag = first.headers["ETag"]
    again = registry.request("GET", "/peers", headers={"If-None-Match": etag})
    assert again.status_code == 304 and again.content == b""
    register(registry, seq=2, entries=[entry("new")])
    assert registry.request("GET", "/peers", headers={"If-None-Match": etag}).status_code == 200


def test_one_peer(registry):
    register(registry)
    answer = registry.get(f"/peers/{A.peer_id}")
    assert answer.status_code == 200
    assert registry.get(f"/peers/{B.peer_id}").status_code == 404


def test_changes_wakes_a_watcher(registry):
    version = registry.get("/changes", since=0, wait=0).json()
    since = next(v for k, v in version.items() if k in ("version", "v", "now"))
    with concurrent.futures.ThreadPoolExecutor() as pool:
        watcher = pool.submit(registry.get, "/changes", since=since, wait=8)
        register(registry)
        start = time.monotonic()
        answer = watcher.result(timeout=15)
    assert answer.status_code == 200 and time.monotonic() - start < 5, "woken, not timed out"

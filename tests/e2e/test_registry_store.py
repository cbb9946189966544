"""What the registry keeps: its snapshot, and several registries that share a Redis."""

import subprocess
import time

import pytest

from conftest import BIN, wait_until
from p2pwire import keys, tree
from redis_world import calls, redis  # noqa: F401

A, B, C = keys.Identity(), keys.Identity(), keys.Identity()


def entry(name, data=b"content"):
    return {
        "name": name,
        "size": len(data),
        "root": tree.root_of(data).hex(),
        "sha256": None,
        "mtime": 1,
        "version": 1,
    }


def ids(registry, **params):
    return sorted(p["peer_id"] for p in registry.peers(**params))


# --- snapshot --------------------------------------------------------------------------------


def test_a_restart_keeps_the_list(suite):
    snapshot = suite.folder / "snapshot"
    first = suite.discovery("--snapshot", snapshot)
    first.registry.register(A, 9000, ["f 😀", "g"], ip="192.0.2.1")
    first.registry.register_signed(B, 9001, [entry("h")], 5)
    first.stop()
    assert snapshot.exists() and snapshot.stat().st_mode & 0o077 == 0
    registry = suite.discovery("--snapshot", snapshot, folder="second").registry
    assert ids(registry) == sorted([A.peer_id, B.peer_id])
    assert ids(registry, file="f 😀") == [A.peer_id]
    records = {p["peer_id"]: p for p in registry.peers()}
    assert records[A.peer_id]["ip"] == "192.0.2.1" and records[B.peer_id]["verified"] is True
    assert registry.register_signed(B, 9001, [entry("h")], 5).status_code == 409, "seq is remembered"


def snapshot_content(content, damage):
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]
    return {"cut": content[:middle], "garbage": b"\x00garbage" * 99, "empty": b"", "bits": flipped}[damage]


@pytest.mark.parametrize("damage", ["cut", "garbage", "empty", "bits"])
def test_a_damaged_snapshot_is_reported_and_ignored(suite, damage):
    snapshot = suite.folder / "snapshot"
    first = suite.discovery("--snapshot", snapshot)
    first.registry.register(A, 9000, ["f"] + [f"name {i}" for i in range(50)])
    first.stop()
    content = snapshot.read_bytes()
    snapshot.write_bytes(snapshot_content(content, damage))
    again = suite.discovery("--snapshot", snapshot, folder="second")
    assert ids(again.registry) == []
    aside = snapshot.with_name("snapshot.damaged")
    assert f"renamed={aside}" in again.stderr()
    assert again.registry.register(B, 9001, ["g"]).status_code == 200
    damaged = aside.read_bytes()
    assert damaged == snapshot_content(content, damage)
    again.stop()
    assert aside.read_bytes() == damaged, "the new snapshot is another file"
    third = suite.discovery("--snapshot", snapshot, folder="third")
    assert ids(third.registry) == [B.peer_id] and "renamed=" not in third.stderr()
    third.stop()
    snapshot.write_bytes(b"damaged again")
    suite.discovery("--snapshot", snapshot, folder="fourth")
    assert aside.read_bytes() == b"damaged again", "one of them is kept"
    assert sorted(p.name for p in suite.folder.glob("snapshot*")) == ["snapshot", "snapshot.damaged"]


def test_without_a_snapshot_nothing_is_kept(suite):
    first = suite.discovery()
    first.registry.register(A, 9000, ["f"])
    first.stop()
    assert ids(suite.discovery(folder="second").registry) == []


# --- Redis -----------------------------------------------------------------------------------


def registry_at(suite, redis, name, *more):
    program = suite.discovery("--store", redis.url, *more, folder=name)
    return program


def test_two_registries_answer_the_same(suite, redis):
    one, two = (registry_at(suite, redis, n).registry for n in ("one", "two"))
    one.register(A, 9000, ["a 😀"], ip="192.0.2.1")
    two.register_signed(B, 9001, [entry("b.txt", b"b")], 3)
    for registry in (one, two):
        wait_until(lambda: ids(registry) == sorted([A.peer_id, B.peer_id]), 2, "both peers at both")
        assert ids(registry, file="a 😀") == [A.peer_id]
        assert ids(registry, root=tree.root_of(b"b").hex()) == [B.peer_id]
        assert registry.get("/search", q="b.txt", mode="exact").json()["results"]
        assert registry.heartbeat(A.peer_id).status_code == 200
    assert one.register_signed(B, 9001, [entry("old")], 2).status_code == 409, "seq counts everywhere"
    assert one.register(B, 9001, ["unsigned"]).status_code == 409
    assert one.leave(B, 4).status_code == 200
    wait_until(lambda: ids(two) == [A.peer_id], 2, "the leave at the other")
    assert one.register(A, 9000, ["new"]).status_code == 200
    wait_until(
        lambda: ids(two, file="new") == [A.peer_id] and ids(two, file="a 😀") == [],
        2,
        "the change at the other",
    )


def test_what_a_peer_says_of_itself_is_at_every_registry(suite, redis):
    """Name, kind and addresses, also in a search; at a registry that starts later; and after a change."""
    one, two = registry_at(suite, redis, "one"), registry_at(suite, redis, "two")
    kitchen = ["--name", "Kitchen", "--device-kind", "desktop", "--advertise", "192.0.2.7:9000", "--advertise", "nas.example.org:9100"]
    peer = suite.peer(*kitchen, files={"letter.txt": b"x"}, discovery=one)
    wanted = wait_until(lambda: claims(one.registry), 30, "registered")
    assert wanted[:2] == ("Kitchen", "desktop") and "nas.example.org:9100" in wanted[2]
    wait_until(lambda: claims(two.registry) == wanted, 30, "the same at the other")
    source = wait_until(lambda: two.registry.get("/search", q="letter.txt").json()["results"], 30)[0]["peers"][0]
    assert (source["name"], source["kind"], source["addresses"]) == wanted
    three = registry_at(suite, redis, "three")
    wait_until(lambda: claims(three.registry) == wanted, 30, "at one that starts later")
    assert redis.command(b"HLEN", b"p2p:claims") == b"1"
    peer.stop()
    wait_until(lambda: redis.command(b"HLEN", b"p2p:claims") == b"0", 30, "forgotten with the peer")
    suite.peer("--name", "Attic", discovery=two)
    wait_until(lambda: claims(one.registry) and claims(one.registry)[0] == "Attic", 30, "the new name at the other")


def test_claims_of_another_record_are_passed_over(suite, redis):
    """Such as those beside a record that a registry of 0.1.0 has replaced."""
    one = registry_at(suite, redis, "one")
    suite.peer("--name", "Kitchen", discovery=one)
    wait_until(lambda: claims(one.registry), 30, "registered")
    (key,) = redis.command(b"HKEYS", b"p2p:claims")
    value = redis.command(b"HGET", b"p2p:claims", key)
    for spoiled in (value[:7] + bytes([value[7] ^ 1]) + value[8:], value[:-1], value + b"x", b"", b"\xff" * 600):
        redis.command(b"HSET", b"p2p:claims", key, spoiled)
        late = registry_at(suite, redis, "late")
        assert [p.get("name") for p in late.registry.peers()] == [None]
        late.stop()


def claims(registry):
    """What the one peer says of itself."""
    for peer in registry.peers():
        return peer.get("name"), peer.get("kind"), peer.get("addresses")
    return None


def test_kill_9_of_one_loses_nothing(suite, redis):
    one, two = registry_at(suite, redis, "one"), registry_at(suite, redis, "two")
    for i, identity in enumerate((A, B, C)):
        assert one.registry.register(identity, 9000 + i, [f"f{i}"]).status_code == 200
    one.kill()
    suite.programs.remove(one)
    wait_until(lambda: len(ids(two.registry)) == 3, 3, "all three at the other")
    again = registry_at(suite, redis, "three")
    wait_until(lambda: len(ids(again.registry)) == 3, 3, "all three at a new one")


def test_a_heartbeat_at_one_keeps_the_peer_at_the_other(suite, redis):
    one, two = (registry_at(suite, redis, n, "--ttl", "3").registry for n in ("one", "two"))
    one.register(A, 9000, ["f"])
    end = time.monotonic() + 7
    while time.monotonic() < end:
        assert one.heartbeat(A.peer_id).status_code == 200
        time.sleep(0.3)
    assert ids(two) == [A.peer_id]
    wait_until(lambda: ids(two) == [] and ids(one) == [], 10, "expired at both")


def test_redis_away_and_back(suite, redis):
    one, two = registry_at(suite, redis, "one"), registry_at(suite, redis, "two")
    one.registry.register(A, 9000, ["before"])
    wait_until(lambda: ids(two.registry) == [A.peer_id], 3, "at both")
    redis.kill()
    assert ids(one.registry, file="before") == [A.peer_id], "reads go on"
    wait_until(lambda: "degraded" in one.registry.get("/health").text, 15, "health says so")
    answer = one.registry.register(B, 9001, ["during"])
    assert answer.status_code in (200, 202, 503), answer.text
    redis.start()
    wait_until(lambda: "degraded" not in one.registry.get("/health").text, 30, "healed")
    if answer.status_code != 503:
        wait_until(lambda: B.peer_id in ids(two.registry), 15, "the write kept was sent")
    assert two.registry.register(C, 9002, ["after"]).status_code == 200
    wait_until(lambda: C.peer_id in ids(one.registry), 10, "news flow again")
    assert A.peer_id in ids(one.registry) and A.peer_id in ids(two.registry)


def test_heartbeats_do_not_cost_redis_a_write_each(suite, redis):
    one = registry_at(suite, redis, "one")
    one.registry.register(A, 9000, ["f"])
    before = written(redis)
    for _ in range(300):
        one.registry.heartbeat(A.peer_id)
    assert written(redis) - before < 100


def written(redis):
    return sum(calls(redis, command) for command in ("eval", "xadd", "zadd", "set", "del"))


def test_a_redis_that_never_was(suite):
    """It starts, serves what it can, and reports what is wrong."""
    program = suite.discovery("--store", "redis://127.0.0.1:9/0")
    assert "degraded" in program.registry.get("/health").text
    assert ids(program.registry) == []


@pytest.mark.parametrize(
    "store",
    ["redis://", "redis://host:port/0", "mysql://x", "redis://127.0.0.1:6379/x", "", "redis://a:1,b:2/0",
     "redis+sentinel://", "redis+sentinel://a:1,b:2", "redis+sentinel://a:1,b:2/", "redis+sentinel://a:1,,b/m",
     "redis+sentinel://a,b,c,d,e,f,g,h,i/m", "redis+sentinel://a/m/x", "redis+sentinel://a/" + 64 * "m"],
)
def test_stores_that_are_none(suite, store):
    run = subprocess.run(
        [BIN / "p2p-discovery", "--port", "0", "--store", store], capture_output=True, timeout=20
    )
    assert run.returncode == 2

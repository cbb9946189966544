"""Registries and their Redis are killed in turn while peers register, change and leave: no confirmed change is lost."""

import contextlib
import time

import pytest

from clocks import Clock
from conftest import LONG, wait_until
from crowd import Crowd, StandIn, listed
from p2pwire import keys
from redis_world import Redis, Sentinel, need_redis, redis  # noqa: F401

A, B = keys.Identity(), StandIn()
UNDER_LOAD_S = 4 if LONG else 0.7


def registry_at(suite, store, name, *more, **launch):
    return suite.discovery("--store", store, "--ttl", "10m", *more, folder=name, **launch)


def kill_registry(suite, program):
    program.kill()
    suite.programs.remove(program)


def wait_for_equal(registries, expected, timeout=20):
    def differences():
        for registry in registries:
            seen = listed(registry)
            if seen != expected:
                missing, more = expected.keys() - seen.keys(), seen.keys() - expected.keys()
                return f"{registry.url}: missing {len(missing)}, too many {len(more)}, other lists of " + str(
                    sum(seen[k] != expected[k] for k in expected.keys() & seen.keys())
                )
        return None

    end = time.monotonic() + timeout
    while differences():
        assert time.monotonic() < end, differences()
        time.sleep(0.05)


def state_of(registry):
    return registry.get("/health").json()["status"]


def test_each_is_killed_in_turn_under_load(suite, redis):
    """Two registries, then Redis with its data, then Redis without data: all are equal, and match the answers."""
    ports, programs = [], []
    for name in ("one", "two"):
        programs.append(registry_at(suite, redis.url, name))
        ports.append(programs[-1].port)
    crowd = Crowd([p.url for p in programs], signed=8, unsigned=60).start()
    try:
        for number in (0, 1):
            time.sleep(UNDER_LOAD_S)
            kill_registry(suite, programs[number])
            time.sleep(UNDER_LOAD_S)
            programs[number] = registry_at(suite, redis.url, f"again{number}", port=ports[number])
        for forget in (False, True):
            time.sleep(UNDER_LOAD_S)
            redis.kill()
            time.sleep(UNDER_LOAD_S)
            if forget:
                redis.forget()
            redis.start()
            wait_until(lambda: all(state_of(p.registry) == "ok" for p in programs), 20, "healed")
        time.sleep(UNDER_LOAD_S)
    finally:
        crowd.stop()
    assert crowd.done > 200 and crowd.failed > 0, (crowd.done, crowd.failed)
    wait_for_equal([p.registry for p in programs], crowd.expected)
    third = registry_at(suite, redis.url, "third")
    wait_for_equal([third.registry], crowd.expected)


# --- which of two unsigned records is newer --------------------------------------------------


def names_of(registry, who):
    return listed(registry).get(who.peer_id)


@pytest.mark.parametrize("ahead", [0, 3600, -3600])
def test_the_later_of_two_unsigned_registrations_stays(suite, redis, ahead):
    """Two registries accept a record each while Redis is away, the older one first; whatever their clocks show,
    both agree in the end.
    """
    clock = Clock(suite.folder / "clock", ahead)
    program = registry_at(suite, redis.url, "one", env=clock.env)
    clock.wait_read(program)
    one = program.registry
    two = registry_at(suite, redis.url, "two").registry
    one.register(B, 9000, ["first"])
    wait_until(lambda: names_of(two, B) == ["first"], 3, "at both")
    two.register(B, 9000, ["second"])  # newer, whatever its clock says
    wait_until(lambda: names_of(one, B) == ["second"], 3, "the change at the other")
    redis.kill()
    wait_until(lambda: state_of(one) == state_of(two) == "degraded", 15, "Redis is missed")
    two.register(B, 9000, ["third"])
    taken_ms = time.time_ns() // 10**6  # of two records of one millisecond none is the later one
    wait_until(lambda: time.time_ns() // 10**6 > taken_ms, what="the next millisecond")
    one.register(B, 9000, ["fourth"])
    redis.start()
    wait_until(lambda: state_of(one) == state_of(two) == "ok", 20, "healed")
    wait_until(lambda: names_of(one, B) == names_of(two, B), 10, "equal")
    if ahead >= 0:
        assert names_of(one, B) == ["fourth"]
    third = registry_at(suite, redis.url, "third").registry
    assert names_of(third, B) == names_of(one, B), "and Redis has that one too"


@pytest.mark.parametrize("ahead", [3 * 3600, -3 * 3600])
def test_registries_whose_clocks_differ_share_one_list(suite, redis, ahead):
    """Times in Redis follow its own clock: a registry whose clock is hours off does not remove living peers."""
    clock = Clock(suite.folder / "clock", ahead)
    program = registry_at(suite, redis.url, "one", env=clock.env)
    clock.wait_read(program)
    one = program.registry
    two = registry_at(suite, redis.url, "two").registry
    one.register(B, 9000, ["of one"])
    other = StandIn()
    two.register(other, 9000, ["of two"])
    for registry in (one, two):
        wait_until(lambda: len(listed(registry)) == 2, 3, "both at both")
    for name, env in (("three", clock.env), ("four", {})):
        assert len(listed(registry_at(suite, redis.url, name, env=env).registry)) == 2, "learned at the start"
    clock.set(-ahead, program)
    assert one.heartbeat(B.peer_id).status_code == 200 and len(listed(one)) == 2
    assert len(listed(registry_at(suite, redis.url, "five", env=clock.env).registry)) == 2


def test_an_old_unsigned_record_does_not_come_back(suite, redis):
    """Redis goes back to its state before the change (like a replica that was behind)."""
    one = registry_at(suite, redis.url, "one").registry
    one.register(B, 9000, ["old"])
    key = f"p2p:peer:{B.peer_id}".encode()
    old = redis.command(b"GET", key)
    one.register(B, 9000, ["new"])
    assert redis.command(b"SET", key, old) == b"OK"
    redis.kill()
    wait_until(lambda: state_of(one) == "degraded", 15, "Redis is missed")
    redis.start()
    wait_until(lambda: state_of(one) == "ok", 20, "healed")
    assert names_of(one, B) == ["new"]
    wait_until(lambda: redis.command(b"GET", key) != old, 10, "Redis told again")
    assert names_of(registry_at(suite, redis.url, "two").registry, B) == ["new"]


def test_who_left_while_redis_was_away_is_gone_everywhere(suite, redis):
    one, two = (registry_at(suite, redis.url, n).registry for n in ("one", "two"))
    assert one.register_signed(A, 9000, [], 5).status_code == 200
    wait_until(lambda: A.peer_id in listed(two), 3, "at both")
    redis.kill()
    wait_until(lambda: state_of(one) == state_of(two) == "degraded", 15, "Redis is missed")
    assert one.leave(A, 6).status_code == 200
    assert A.peer_id in listed(two)
    redis.start()
    wait_until(lambda: A.peer_id not in listed(two), 20, "gone at the other")
    assert A.peer_id not in listed(registry_at(suite, redis.url, "three").registry)
    assert two.register_signed(A, 9000, [], 6).status_code == 409, "and its seq is known"


# --- Sentinel --------------------------------------------------------------------------------


@contextlib.contextmanager
def replicated(folder, count=2, sentinels=1):
    """A master with replicas, watched by Sentinels that take half a second to notice."""
    need_redis()
    servers = [Redis(folder / "redis0")]
    for i in range(1, count):
        servers.append(Redis(folder / f"redis{i}", "--replicaof", "127.0.0.1", servers[0].port))
    quorum = sentinels // 2 + 1
    lines = [
        f"sentinel monitor p2p 127.0.0.1 {servers[0].port} {quorum}",
        "sentinel down-after-milliseconds p2p 500",
        "sentinel failover-timeout p2p 3000",
    ]
    watchers = [Sentinel(folder / f"sentinel{i}", lines) for i in range(sentinels)]
    try:
        wait_until(lambda: all(knows_all(w, count, sentinels) for w in watchers), 20, "the Sentinels know all")
        yield servers, watchers
    finally:
        for server in [*watchers, *servers]:
            server.kill()


def knows_all(sentinel, redises, sentinels):
    (facts,) = sentinel.command(b"SENTINEL", b"MASTERS")
    facts = dict(zip(facts[::2], facts[1::2]))
    others = (int(facts[b"num-slaves"]), int(facts[b"num-other-sentinels"]))
    return others == (redises - 1, sentinels - 1)


def store_url(watchers):
    return "redis+sentinel://" + ",".join(f"127.0.0.1:{w.port}" for w in watchers) + "/p2p"


def test_the_registries_follow_sentinel(suite, tmp_path):
    """The master is killed under load: the next one has everything, and gets again what it missed."""
    with replicated(tmp_path / "world") as (servers, watchers):
        dead_sentinel = "redis+sentinel://127.0.0.1:9," + store_url(watchers).split("//")[1]
        programs = [registry_at(suite, url, n) for n, url in (("one", store_url(watchers)), ("two", dead_sentinel))]
        assert [state_of(p.registry) for p in programs] == ["ok", "ok"]
        crowd = Crowd([p.url for p in programs], signed=4, unsigned=40).start()
        try:
            time.sleep(UNDER_LOAD_S)
            servers[0].kill()
            wait_until(lambda: watchers[0].master_port() == servers[1].port, 20, "the failover")
            wait_until(lambda: all(state_of(p.registry) == "ok" for p in programs), 20, "followed")
            time.sleep(UNDER_LOAD_S)
        finally:
            crowd.stop()
        wait_for_equal([p.registry for p in programs], crowd.expected)
        wait_for_equal([registry_at(suite, store_url(watchers), "third").registry], crowd.expected)


def test_a_sentinel_that_knows_nothing_and_one_that_lies(suite, tmp_path):
    """A wrong name, or a replica in place of the master: no store, and the registry serves without it."""
    with replicated(tmp_path / "world") as (servers, watchers):
        where = store_url(watchers).removesuffix("p2p")
        program = registry_at(suite, where + "other", "one")
        assert state_of(program.registry) == "degraded"
        lines = [f"sentinel monitor p2p 127.0.0.1 {servers[1].port} 9", "sentinel down-after-milliseconds p2p 60000"]
        liar = Sentinel(tmp_path / "liar", lines)
        try:
            program = registry_at(suite, store_url([liar]), "two")
            assert state_of(program.registry) == "degraded"
            assert program.registry.register(B, 9000, ["f"]).status_code == 200
            both = registry_at(suite, store_url([liar, *watchers]), "three")
            assert state_of(both.registry) == "ok", "the next Sentinel is asked"
        finally:
            liar.kill()

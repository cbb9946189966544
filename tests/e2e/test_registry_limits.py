"""How much strangers may use of a registry: memory, places, time; other clients are served meanwhile."""

import random
import time

import pytest

from clocks import Clock
from conftest import wait_until
from crowd import StandIn, entries, listed
from p2pwire import keys, prometheus

A, B = keys.Identity(), keys.Identity()
HOUR = 3600


def memory(registry):
    return int(prometheus.parse(registry.get("/metrics").text)["p2p_discovery_memory_bytes"].value)


def flood(registry, number, count):
    """Names that nobody else has: 100,000 of them are about 14 MB."""
    names = [f"{number:02d}{random.getrandbits(480):0120x}{k:06d}" for k in range(count)]
    return registry.register(StandIn(), 9000, names)


def test_a_flood_of_names_stays_within_the_memory(suite):
    """Lists that fill the memory, and lists of 14 MB: the bound is --max-memory plus the memory of one request."""
    program = suite.discovery("--max-memory", "48M", "--ttl", "1h")
    registry = program.registry
    registry.timeout = 60
    before, victim = StandIn(), StandIn()
    assert registry.register(before, 9001, ["here before"]).status_code == 200
    start = program.memory_kib()
    answers, most = [], 0
    for number, count in enumerate([10_000] * 12 + [100_000] * 4):
        answers.append(flood(registry, number, count))
        most = max(most, memory(registry))
    assert {answer.status_code for answer in answers} == {200, 503} and 36 << 20 < most <= 48 << 20
    for answer in answers:
        if answer.status_code == 503:
            assert "--max-memory" in answer.json()["detail"] and answer.headers["Retry-After"]
    assert registry.register(victim, 9002, ["the late one"]).status_code == 200
    assert registry.peers(file="the late one") and registry.peers(file="here before")
    assert registry.get("/search", q="late one").json()["results"]
    if start:
        wait_until(lambda: program.memory_kib() - start < 48 << 10, 30, "what the requests took is given back")


def test_a_small_list_finds_room_where_large_ones_filled_it(suite):
    registry = suite.discovery("--max-memory", "16M", "--ttl", "1h").registry
    registry.timeout = 60
    answers = [
        registry.register(StandIn(), 9000, [f"{n} {k:08d}" for k in range(4000)]).status_code for n in range(40)
    ]
    assert set(answers) == {200, 503} and answers[0] == 200
    for n in range(20):
        assert registry.register(StandIn(), 9001, [f"small {n}"]).status_code == 200
    assert all(registry.peers(file=f"small {n}") for n in range(20))


def test_what_has_left_takes_no_place(suite):
    """Registers and leaves many times over what --max-peers allows."""
    registry = suite.discovery("--max-peers", "20", "--ttl", "1h").registry
    assert registry.register_signed(A, 9000, entries(["a"]), 5).status_code == 200
    for seq in range(10, 210, 2):
        who = keys.Identity() if seq % 20 == 0 else B
        assert registry.register_signed(who, 9001, entries(["b"]), seq).status_code == 200
        assert registry.leave(who, seq + 1).status_code == 200
    assert registry.register_signed(B, 9001, [], 200).status_code == 409, "its seq is remembered"
    others = [StandIn() for _ in range(19)]
    assert [registry.register(who, 9002, []).status_code for who in others] == [200] * 19
    assert len(listed(registry)) == 20
    assert registry.register(StandIn(), 9002, []).status_code == 503


# --- clocks ----------------------------------------------------------------------------------


def test_a_signature_is_valid_for_two_hours_at_most(suite):
    registry = suite.discovery().registry
    answer = registry.register_signed(A, 9000, [], 1, expires_in=2 * HOUR + 60)
    assert (answer.status_code, answer.json()["code"]) == (422, "expires_too_late")
    assert registry.register_signed(A, 9000, [], 1, expires_in=2 * HOUR - 60).status_code == 200


def test_a_seq_far_ahead_of_the_clock_is_refused(suite):
    registry = suite.discovery().registry
    now = int(time.time() * 1000)
    for ahead, status in ((25 * HOUR, 422), (23 * HOUR, 200)):
        answer = registry.register_signed(A, 9000, [], now + ahead * 1000)
        assert answer.status_code == status, answer.text
    last = now + 23 * HOUR * 1000
    far = registry.delta(A, now + 25 * HOUR * 1000, last, add=entries(["x"]))
    assert (far.status_code, far.json()["code"]) == (422, "seq_ahead")
    assert registry.leave(A, now + 25 * HOUR * 1000).status_code == 422
    assert registry.delta(A, last + 1, last, add=entries(["x"])).status_code == 200


YEARS = 10 * 365 * 24 * HOUR


@pytest.mark.parametrize("wrong", [-int(time.time()) + 1000, YEARS], ids=["1970", "ten years ahead"])
@pytest.mark.parametrize("whose", ["peer", "registry"])
def test_a_wrong_clock_and_back(suite, whose, wrong):
    """Whichever clock is wrong, the peer is listed with its files: at once, and long before two hours are over."""
    clock = Clock(suite.folder / "clock", wrong)
    env = {"env": clock.env}
    program = suite.discovery("--ttl", "20s", **(env if whose == "registry" else {}))
    peer = suite.peer(
        "--heartbeat", "1s", discovery=program, files={"f": b"x"}, **(env if whose == "peer" else {})
    )
    registry = program.registry
    wait_until(lambda: [p["verified"] for p in registry.peers(file="f")] == [True], 20, "listed, signed")
    clock.wait_read(program if whose == "registry" else peer)
    clock.set(0, program if whose == "registry" else peer)
    (peer.shared / "later").write_bytes(b"y")
    wait_until(lambda: registry.peers(file="later"), 20, "and what came after the clock was set")
    peer.stop()
    again = suite.peer("--heartbeat", "1s", discovery=program, files={"again": b"z"})
    wait_until(lambda: [p["verified"] for p in registry.peers(file="again")] == [True], 20, "after a restart")
    again.stop()


def test_a_restart_with_a_clock_that_is_behind_goes_on_above(suite):
    program, clock = suite.discovery(), Clock(suite.folder / "clock")
    peer = suite.peer(discovery=program, files={"f": b"x"}, env=clock.env)
    wait_until(lambda: program.registry.peers(file="f"), what="listed")
    peer.kill()
    clock.set(-30 * 24 * HOUR)
    clock.wait_read(suite.peer(discovery=program, files={"g": b"x"}, env=clock.env))
    wait_until(lambda: [p["verified"] for p in program.registry.peers(file="g")] == [True], 20, "listed again")


def test_doctor_says_that_the_clock_is_off_and_by_which_registry(suite):
    clock = Clock(suite.folder / "clock", 600)
    program = suite.discovery()
    said = suite.p2p("doctor", "--discovery", program.url, env=clock.env).stdout
    line = next(text for text in said.splitlines() if " clock " in text)
    assert program.url in line and "ahead" in line and "PROBLEM" in line


# --- addresses -------------------------------------------------------------------------------


def test_only_whoever_is_near_is_listed_as_verified(suite):
    """A proxy names the addresses of its clients."""
    registry = suite.discovery("--trusted-proxy", "127.0.0.1").registry
    cases = {"203.0.113.66": False, "198.51.100.99": True, "192.168.1.5": True}
    registry.http.headers["X-Forwarded-For"] = "198.51.100.7"
    for seq, (ip, verified) in enumerate(cases.items(), 1):
        answer = registry.register_signed(A, 9000, entries(["f"]), seq, signed_ip=ip)
        assert answer.status_code == 200 and answer.json()["verified"] is verified
        assert [(p["ip"], p["verified"]) for p in registry.peers()] == [(ip, verified)]
        assert registry.get("/search", q="f").json()["results"][0]["peers"][0]["verified"] is verified


def test_a_heartbeat_from_elsewhere_says_so_and_changes_nothing(suite):
    registry = suite.discovery("--trusted-proxy", "127.0.0.1", "--no-probe").registry
    registry.http.headers["X-Forwarded-For"] = "198.51.100.7"
    assert registry.register_signed(A, 9000, [], 1).status_code == 200
    before = registry.get(f"/peers/{A.peer_id}").json()
    registry.http.headers["X-Forwarded-For"] = "198.51.100.8"
    first, second = registry.heartbeat(A.peer_id), registry.heartbeat(A.peer_id)
    assert (first.status_code, first.json()["error"]) == (404, "peer not found") and second.status_code == 200
    after = registry.get(f"/peers/{A.peer_id}").json()
    assert {**before, "last_seen": 0} == {**after, "last_seen": 0}
    assert registry.register_signed(A, 9000, [], 2).json()["ip"] == "198.51.100.8"


def test_nobody_hides_behind_ids_that_begin_alike(suite):
    """A registration without a signature costs nothing, so an attacker can choose an id that begins like a victim's."""
    registry = suite.discovery("--max-peers-per-ip", "0", "--ttl", "1h").registry
    victim, alike = StandIn(), []
    while len(alike) < 200:
        crowd = StandIn()
        if crowd.peer_id[:2] == victim.peer_id[:2]:
            alike.append(crowd)
    assert registry.register(victim, 9000, ["victim"]).status_code == 200
    for number, crowd in enumerate(alike):
        assert registry.register(crowd, 9001, [f"crowd {number}"]).status_code == 200
    wanted = {victim.peer_id, *(crowd.peer_id for crowd in alike)}
    for limit in (1000, 50, 7):
        found, cursor = [], None
        while cursor is not None or not found:
            page = registry.get("/peers", limit=limit, **({"cursor": cursor} if cursor else {})).json()
            assert len(page["peers"]) <= limit
            found += [peer["peer_id"] for peer in page["peers"]]
            cursor = page.get("next")
        assert len(found) == len(wanted) and set(found) == wanted
    assert [p["peer_id"] for p in registry.peers(file="victim")] == [victim.peer_id]

"""Peers that register, change and leave at several registries at once, and know what must be listed afterwards."""

import itertools
import math
import random
import threading

import requests

from p2pwire import keys, tree
from p2pwire.web import Registry

_PRIMES = math.prod(p for p in range(3, 1 << 16, 2) if all(p % q for q in range(3, math.isqrt(p) + 1, 2)))


def _pairs_of_halves():
    """Numbers of 1024 bits without a small factor. Each is combined with all earlier ones, so that few of them
    make many keys.
    """
    halves = []
    while True:
        half = random.getrandbits(1024) | 3 << 1022 | 1
        if math.gcd(half, _PRIMES) == 1:
            yield from ((half, other) for other in halves)
            halves.append(half)


class StandIn:
    """An identity whose private key does not exist: enough to register without a signature."""

    _pairs = _pairs_of_halves()
    _lock = threading.Lock()

    def __init__(self):
        with StandIn._lock:
            one, other = next(StandIn._pairs)
        self.pem = keys.pem_of_spki(keys.spki_of_modulus(one * other))
        self.peer_id = keys.peer_id_of_pem(self.pem)


def entries(names):
    return [{"name": n, "size": len(n), "root": tree.root_of(n.encode()).hex(), "mtime": 1, "version": 1} for n in names]


class _Member:
    def __init__(self, identity):
        self.identity, self.seq, self.names = identity, 0, None
        self.is_sure = True  # `names` (None: not listed) is the result of the last request that a registry answered

    @property
    def is_signed(self):
        return isinstance(self.identity, keys.Identity)


class Crowd:
    """Works from start() to stop(); a request that fails is repeated at the next registry."""

    def __init__(self, urls, signed, unsigned, threads=4, wants_to_leave=True):
        self.urls, self.wants_to_leave = urls, wants_to_leave
        self.members = [_Member(keys.Identity()) for _ in range(signed)]
        self.members += [_Member(StandIn()) for _ in range(unsigned)]
        self.done, self.failed, self.unexpected = 0, 0, []
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=(self.members[i::threads], i)) for i in range(threads)
        ]

    def start(self):
        for thread in self._threads:
            thread.start()
        return self

    def stop(self):
        self._over.set()
        for thread in self._threads:
            thread.join()
        assert not self.unexpected, self.unexpected[:5]

    def _work(self, members, number):
        random_ = random.Random(number)
        registries = [Registry(url, timeout=8) for url in self.urls]
        for turn in itertools.count():
            member = random_.choice(members)
            self._act(registries[turn % len(registries)], member, turn, random_)
            if self._over.is_set():
                break
        for member in members:  # no peer's state is unknown
            for registry in itertools.cycle(registries):
                if member.is_sure:
                    break
                self._register(registry, member, ["in the end"])

    def _act(self, registry, member, turn, random_):
        if member.is_signed and member.names is not None and self.wants_to_leave and random_.random() < 0.1:
            self._leave(registry, member)
        else:
            self._register(registry, member, sorted({f"file {turn}", f"file {random_.randrange(50)}"}))

    def _ask(self, member, request, names, refusals=()):
        """Makes the request; its effect counts if the answer is 200."""
        member.is_sure = False
        try:
            answer = request()
        except requests.RequestException:
            self.failed += 1
            self._over.wait(0.02)
            return
        if answer.status_code == 200:
            member.names, member.is_sure = names, True
            self.done += 1
        elif answer.status_code not in refusals:
            self.unexpected.append(answer.text)
            self._over.wait(0.02)

    def _register(self, registry, member, names):
        member.seq += 1
        if member.is_signed:
            self._ask(member, lambda: registry.register_signed(member.identity, 9000, entries(names), member.seq), names)
        else:
            self._ask(member, lambda: registry.register(member.identity, 9000, names), names)

    def _leave(self, registry, member):
        member.seq += 1
        self._ask(member, lambda: registry.leave(member.identity, member.seq), None, refusals=(404,))

    @property
    def expected(self):
        return {m.identity.peer_id: m.names for m in self.members if m.names is not None}


def listed(registry):
    """{peer_id: names}, through all pages."""
    found, cursor = {}, {}
    while True:
        answer = registry.get("/peers", limit=1000, **cursor).json()
        found.update((p["peer_id"], sorted(p["files"])) for p in answer["peers"])
        if not answer.get("next"):
            return found
        cursor = {"cursor": answer["next"]}

"""Addresses that change, several addresses of one peer, and addresses that lead nowhere."""

import os
from types import SimpleNamespace

import pytest

from conftest import wait_until
from getting import Getter
from netns import _ip, switched_machines
from test_heartbeats import listed_ip, move

MIB = 1 << 20


@pytest.fixture
def machine():
    """A machine with a way out, and our own address on its network."""
    with switched_machines(1) as (our_ip, machines):
        if our_ip is None:
            pytest.skip("no network namespaces here")
        _ip("-n", machines[0].name, "route", "add", "default", "via", our_ip)
        yield our_ip, machines[0]


def test_a_download_follows_its_source_to_another_address(suite, machine):
    our_ip, other = machine
    data = os.urandom(24 * MIB)
    program = suite.discovery("--ttl", "10m", host="0.0.0.0")
    there = SimpleNamespace(url=f"http://{our_ip}:{program.port}")
    suite.peer("--heartbeat", "5m", "--limit-rate", "2M", "--no-mdns", discovery=there, host="0.0.0.0",
               prefix=other.prefix, files={"f.bin": data}, wait=False)  # fmt: skip
    wait_until(lambda: program.registry.peers(file="f.bin"), 30, "listed")
    getter = Getter(suite, registry=program.url)
    getter.wait_for(1 * MIB)
    new_ip = other.ip.rsplit(".", 1)[0] + ".77"
    move(other, our_ip, new_ip)
    wait_until(lambda: listed_ip(program.registry) == new_ip, 30, "listed at its new address")
    said, status = getter.finish(240)
    assert status == 0, said
    assert (suite.folder / "out" / "f.bin").read_bytes() == data

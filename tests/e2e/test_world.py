"""The world of tests/net works as described, because other tests rely on it."""

import subprocess
import sys
from pathlib import Path

import pytest

from conftest import bounded

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "net"))

from networld import Unavailable, world  # noqa: E402

# Says which address each connection comes from, one line each, after a first one with its port.
SERVER = """
import socket
server = socket.create_server(("0.0.0.0", 0))
print(server.getsockname()[1], flush=True)
while True:
    connection, (address, port) = server.accept()
    print(address, port, flush=True)
    connection.close()
"""
CLIENT = """
import socket, sys
client = socket.socket()
client.settimeout(float(sys.argv[4]))
client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
client.bind(("", int(sys.argv[3])))
client.connect((sys.argv[1], int(sys.argv[2])))
"""


@pytest.fixture(scope="module")
def here():
    try:
        with world(("port", "symmetric", "random"), public=2) as made:
            yield made
    except Unavailable as error:
        pytest.skip(str(error))


@pytest.fixture
def servers(here):
    """(machine, port, lines) on each public machine."""
    started = [
        bounded(subprocess.Popen([*machine.prefix, sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True))
        for machine in here.public
    ]
    yield [(machine, int(s.stdout.readline()), s.stdout) for machine, s in zip(here.public, started)]
    for server in started:
        server.kill()
        server.wait()


def seen(machine, servers, source_port):
    """The addresses of a machine as the servers see them, from one port."""
    found = []
    for server, port, lines in servers:
        machine.run(sys.executable, "-c", CLIENT, server.address, port, source_port, 30)
        address, its_port = lines.readline().split()
        found.append((address, int(its_port)))
    return found


def test_a_router_that_keeps_ports(here, servers):
    home = here.homes[0]
    assert seen(home.machine, servers, 5001) == [(home.router.address, 5001)] * 2


def test_a_symmetric_router(here, servers):
    """Another port for each destination. Two of them may be equal by chance: three ports are not."""
    home = here.homes[1]
    rounds = [seen(home.machine, servers, port) for port in (5001, 5002, 5003)]
    assert {address for found in rounds for address, _ in found} == {home.router.address}
    assert any(found[0][1] != found[1][1] for found in rounds)
    assert any(found[0][1] != port for found, port in zip(rounds, (5001, 5002, 5003)))


def test_a_router_that_chooses_a_port_and_keeps_it(here, servers):
    home = here.homes[2]
    first, second = seen(home.machine, servers, 5001)
    assert first == second and first[0] == home.router.address and 20000 <= first[1] < 30000


def test_nothing_comes_in_unasked(here):
    """A connection reaches neither the router nor a machine behind it."""
    for home in here.homes:
        for target in (home.router.address, home.machine.address):
            ended = here.public[0].run(sys.executable, "-c", CLIENT, target, 9, 0, 1, check=False)
            assert ended.returncode != 0
            assert "timed out" in ended.stderr or "unreachable" in ended.stderr, ended.stderr


def test_homes_do_not_see_each_other(here):
    """Both have the same addresses inside."""
    a, b = (home.machine for home in here.homes[:2])
    assert a.address == b.address
    ended = a.run(sys.executable, "-c", CLIENT, here.homes[1].router.address, 9, 0, 1, check=False)
    assert ended.returncode != 0


def test_the_command():
    ended = subprocess.run(
        [ROOT / "tests" / "net" / "world", "--nat", "port", "--", "sh", "-c", "echo $PUBLIC; ip netns exec $HOME1 cat /proc/net/route"],
        capture_output=True, text=True,
    )  # fmt: skip
    if ended.returncode == 1 and "cannot make" in ended.stderr:
        pytest.skip(ended.stderr)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("203.0.113.1\n") and "eth0" in ended.stdout

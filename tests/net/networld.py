"""A small Internet of network namespaces: homes behind routers that translate addresses, and public machines.

                      203.0.113.0/24, a switch in the namespace of the first public machine
        public[0] .1 ----+---- public[1] .2 ...
                         |
           +-------------+--------------+
           | .11                        | .12
        router of homes[0]           router of homes[1]        nftables: masquerade, nothing comes in unasked
           | 192.168.1.1                | 192.168.1.1
           |                            |
        machine 192.168.1.5 ...      machine 192.168.1.5 ...   the same network in each home, as in reality

Nothing of it is in the network of the test, so worlds do not meet, and one world does not reach this machine.
"""

import contextlib
import itertools
import os
import subprocess
from pathlib import Path

PUBLIC_NET, HOME_NET = "203.0.113", "192.168.1"
IPV6 = "2001:db8"  # the public machines are in 2001:db8::/64, home N is 2001:db8:N::/64
# What the router does with the source port of a connection. "port": keeps it where it can, and lets answers in
# from where they were asked for (address and port). "symmetric": takes another one for each destination.
# "address": as "port", and lets in from each address that was asked. "cone": lets in from everybody. "open": TCP,
# too. "noudp": as "port", without UDP. "rst": as "port", and answers what comes in unasked instead of dropping it.
# "short": as "port", and forgets a UDP path after 8 s without a datagram. "random": as "port", but with a port of its
# own choice, the same for all destinations.
NATS = {kind: "masquerade" for kind in ("port", "address", "cone", "open", "noudp", "rst", "short")}
NATS["symmetric"] = "masquerade fully-random"
NATS["random"] = "meta l4proto { tcp, udp } masquerade to :20000-29999"
ASKED = """
table ip asked {{
    set addresses {{
        type ipv4_addr
        flags dynamic,timeout
        timeout 5m
    }}
    chain out {{
        type filter hook forward priority -1
        oifname "wan" meta l4proto udp update @addresses {{ ip daddr }}
    }}
    chain before {{
        type nat hook prerouting priority -100
        iifname "wan" meta l4proto udp ip saddr @addresses dnat to {machine}
    }}
}}
insert rule inet filter through iifname "wan" ct status dnat accept
"""
LET_IN = """
table ip let_in {{
    chain before {{
        type nat hook prerouting priority -100
        iifname "wan" meta l4proto {protocols} dnat to {machine}
    }}
}}
insert rule inet filter through iifname "wan" ct status dnat accept
"""
MORE = {
    "address": ASKED,
    "cone": LET_IN.replace("{protocols}", "udp"),
    "open": LET_IN.replace("{protocols}", "{{ tcp, udp }}"),
    "noudp": "insert rule inet filter through meta l4proto udp drop\n",
    "rst": """
insert rule inet filter in iifname "wan" ct state new reject with icmpx type port-unreachable
insert rule inet filter in iifname "wan" ct state new meta l4proto tcp reject with tcp reset
""",
}
UDP_TIMEOUTS = {"short": (8, 8)}  # seconds: of one side only, and once both have spoken. Others: as Linux has them
RULES = """
table ip nat {{
    chain after {{
        type nat hook postrouting priority 100
        oifname "wan" {nat}
    }}
}}
table inet filter {{
    chain in {{
        type filter hook input priority 0
        iifname "wan" ct state established,related accept
        iifname "wan" icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} accept
        iifname "wan" drop
    }}
    chain through {{
        type filter hook forward priority 0
        iifname "wan" ct state established,related accept
        iifname "wan" drop
    }}
}}
"""
_numbers = itertools.count()


# A cable with a delay, a rate and losses (make bench builds it): milliseconds one way, Mbit/s, per cent.
DELAYLINE = Path(__file__).resolve().parents[2] / os.environ.get("P2P_OBJECTS", "build/gcc") / "bench" / "delayline"


class Unavailable(Exception):
    """Namespaces, or a router's rules, cannot be made here."""


def run(*words, check=True, timeout=240, **kwargs):
    return subprocess.run([str(w) for w in words], check=check, timeout=timeout, capture_output=True, text=True, **kwargs)


class Machine:
    """One namespace. `prefix` goes before a command that shall run in it."""

    def __init__(self, name):
        self.name, self.address = name, None
        self.prefix = ("ip", "netns", "exec", name)
        run("ip", "netns", "add", name)
        self.ip("link", "set", "lo", "up")

    def ip(self, *words):
        return run("ip", "-n", self.name, *words)

    def run(self, *words, **kwargs):
        return run(*self.prefix, *words, **kwargs)

    def join(self, device, switch, switch_device, address):
        """A cable from here to a port of the other one's switch."""
        self.ip("link", "add", device, "type", "veth", "peer", "name", switch_device, "netns", switch.name)
        switch.ip("link", "set", switch_device, "master", "switch", "up")
        self.ip("addr", "add", f"{address}/24", "dev", device)
        self.ip("link", "set", device, "up")

    def join_far(self, device, switch, switch_device, address, line):
        """The same, by a long cable. Returns the process that is the cable."""
        words = [DELAYLINE, f"{self.name}:{device}", f"{switch.name}:{switch_device}", *line, 1500]
        cable = subprocess.Popen([str(w) for w in words], stdout=subprocess.PIPE, text=True)
        if cable.stdout.readline().strip() != "ready":
            raise OSError("cannot make a long cable")
        switch.ip("link", "set", switch_device, "master", "switch", "up")
        self.ip("addr", "add", f"{address}/24", "dev", device)
        return cable

    def make_switch(self, address):
        self.ip("link", "add", "switch", "type", "bridge")
        self.ip("addr", "add", f"{address}/24", "dev", "switch")
        self.ip("link", "set", "switch", "up")

    def add_ipv6(self, device, address):
        self.ip("-6", "addr", "add", f"{address}/64", "dev", device, "nodad")

    def remove(self):
        run("ip", "netns", "del", self.name, check=False)


class Home:
    """A router and the machines behind it."""

    def __init__(self, world, number, nat, machines, line=None):
        self.nat, self.cable = nat, None
        self.router = world.machine(f"r{number}")
        self.router.address = f"{PUBLIC_NET}.{10 + number}"
        self.router.make_switch(f"{HOME_NET}.1")
        outside = ("wan", world.public[0], f"r{number}", self.router.address)
        if line is None:
            self.router.join(*outside)
        else:
            self.cable = self.router.join_far(*outside, line)
        self.router.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        self.set_nat(nat)
        self.machines = [self._add_machine(world, number, i) for i in range(machines)]

    def add_ipv6(self, public, number):
        """No translation, but the same rule for what comes in."""
        self.router.run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
        self.router.add_ipv6("wan", f"{IPV6}::{10 + number}")
        self.router.add_ipv6("switch", f"{IPV6}:{number}::1")
        self.router.ip("-6", "route", "add", "default", "via", f"{IPV6}::1")
        public.ip("-6", "route", "add", f"{IPV6}:{number}::/64", "via", f"{IPV6}::{10 + number}")
        for i, machine in enumerate(self.machines):
            machine.add_ipv6("eth0", f"{IPV6}:{number}::{5 + i}")
            machine.ip("-6", "route", "add", "default", "via", f"{IPV6}:{number}::1")

    def _add_machine(self, world, number, i):
        machine = world.machine(f"h{number}" + ("" if i == 0 else chr(ord("a") + i)))
        machine.address = f"{HOME_NET}.{5 + i}"
        machine.join("eth0", self.router, f"h{i}", machine.address)
        machine.ip("route", "add", "default", "via", f"{HOME_NET}.1")
        return machine

    def set_nat(self, nat):
        """Another kind of router, from now on."""
        self.nat = nat
        rules = "flush ruleset\n" + RULES.format(nat=NATS[nat]) + MORE.get(nat, "").format(machine=f"{HOME_NET}.5")
        self.router.run("nft", "-f", "-", input=rules)
        once, stream = UDP_TIMEOUTS.get(nat, (30, 120))
        self.router.run(
            "sysctl", "-qw", f"net.netfilter.nf_conntrack_udp_timeout={once}",
            f"net.netfilter.nf_conntrack_udp_timeout_stream={stream}", check=False,
        )  # fmt: skip

    @property
    def machine(self):
        return self.machines[0]


class World:
    def __init__(self):
        self.tag = f"p2pw{os.getpid()}n{next(_numbers)}"
        self._all, self.public, self.homes = [], [], []

    def make(self, nats, machines, public, line=None):
        first = self.machine("pub")
        first.address = f"{PUBLIC_NET}.1"
        first.make_switch(first.address)
        self.public.append(first)
        for i in range(1, public):
            other = self.machine(f"pub{i + 1}")
            other.address = f"{PUBLIC_NET}.{1 + i}"
            other.join("eth0", first, f"p{i}", other.address)
            self.public.append(other)
        for number, nat in enumerate(nats, 1):
            # The first home has the long cable: the path between two homes has its delay once.
            self.homes.append(Home(self, number, nat, machines, line if number == 1 else None))

    def add_ipv6(self):
        first = self.public[0]
        first.run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
        for i, machine in enumerate(self.public):
            machine.add_ipv6("switch" if machine is first else "eth0", f"{IPV6}::{1 + i}")
        for number, home in enumerate(self.homes, 1):
            home.add_ipv6(first, number)

    def machine(self, name):
        made = Machine(f"{self.tag}-{name}")
        self._all.append(made)
        return made

    def remove(self):
        for home in self.homes:
            if home.cable is not None:
                home.cable.kill()
                home.cable.wait()
                home.cable.stdout.close()
        for machine in self._all:
            machine.remove()


@contextlib.contextmanager
def world(nats=("port", "port"), machines=1, public=1, line=None, ipv6=False):
    """nats: the router of each home; machines: in each home; public: machines without a router; line: the first
    home is at the end of a long cable (ms one way, Mbit/s, per cent of packets that get lost), whose queue holds
    twice what is on the way; ipv6: each home has a global IPv6 network, too. Raises Unavailable where it cannot be made."""
    made = World()
    try:
        try:
            made.make(nats, machines, public, line)
            if ipv6:
                made.add_ipv6()
        except (OSError, subprocess.CalledProcessError) as error:
            raise Unavailable(f"{error}: {getattr(error, 'stderr', '')}") from error
        yield made
    finally:
        made.remove()

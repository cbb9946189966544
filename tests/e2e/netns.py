"""Another machine, as the programs see it: a network namespace behind a veth pair."""

import contextlib
import ctypes
import itertools
import os
import subprocess
import threading

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def _ip(*words, check=True):
    return subprocess.run(["ip", *words], check=check, capture_output=True, text=True)


class OtherMachine:
    def __init__(self, name, our_ip, its_ip):
        self.name, self.our_ip, self.its_ip = name, our_ip, its_ip

    def run(self, function, *arguments, **kwargs):
        """Calls the function in a thread whose network is that of the other machine; returns or raises like it."""
        outcome = {}

        def inside():
            try:
                with open(f"/run/netns/{self.name}") as namespace:
                    if _libc.setns(namespace.fileno(), CLONE_NEWNET):
                        raise OSError(ctypes.get_errno(), "setns")
                outcome["value"] = function(*arguments, **kwargs)
            except BaseException as error:
                outcome["error"] = error

        thread = threading.Thread(target=inside)
        thread.start()
        thread.join()
        if "error" in outcome:
            raise outcome["error"]
        return outcome["value"]


@contextlib.contextmanager
def other_machine(number=0):
    """Yields an OtherMachine, or None where namespaces cannot be made."""
    tag = f"p2p{os.getpid() % 100000}n{number}"
    net = f"10.213.{os.getpid() % 250}"
    machine = OtherMachine(tag, f"{net}.{4 * number + 1}", f"{net}.{4 * number + 2}")
    try:
        _ip("netns", "add", tag)
    except (OSError, subprocess.CalledProcessError):
        yield None
        return
    try:
        _ip("link", "add", tag, "type", "veth", "peer", "name", "veth0", "netns", tag)
        _ip("addr", "add", f"{machine.our_ip}/30", "dev", tag)
        _ip("link", "set", tag, "up")
        _ip("-n", tag, "addr", "add", f"{machine.its_ip}/30", "dev", "veth0")
        _ip("-n", tag, "link", "set", "veth0", "up")
        _ip("-n", tag, "link", "set", "lo", "up")
        yield machine
    except subprocess.CalledProcessError:
        yield None
    finally:
        _ip("link", "del", tag, check=False)
        _ip("netns", "del", tag, check=False)


def give_addresses(machine, count):
    """More addresses for an OtherMachine, each reachable from here: to the programs they look like a crowd."""
    net = f"10.216.{os.getpid() % 250}"
    _ip("route", "add", f"{net}.0/24", "dev", machine.name)
    _ip("-n", machine.name, "route", "add", "default", "via", machine.our_ip)
    addresses = [f"{net}.{i + 1}" for i in range(count)]
    for address in addresses:
        _ip("-n", machine.name, "addr", "add", f"{address}/32", "dev", "veth0")
    return addresses


@contextlib.contextmanager
def two_machines():
    """Yields the names of two namespaces joined by a veth (10.214.0.1 and .2), or None."""
    tag = f"p2p{os.getpid() % 100000}"
    names = (tag + "a", tag + "b")
    try:
        for name in names:
            _ip("netns", "add", name)
        _ip(
            "link",
            "add",
            "veth0",
            "netns",
            names[0],
            "type",
            "veth",
            "peer",
            "name",
            "veth0",
            "netns",
            names[1],
        )
        for number, name in enumerate(names, 1):
            _ip("-n", name, "addr", "add", f"10.214.0.{number}/24", "dev", "veth0")
            for device in ("lo", "veth0"):
                _ip("-n", name, "link", "set", device, "up")
            _ip("-n", name, "route", "add", "224.0.0.0/4", "dev", "veth0")
    except (OSError, subprocess.CalledProcessError):
        names = None
    try:
        yield names
    finally:
        for name in (tag + "a", tag + "b"):
            _ip("netns", "del", name, check=False)


class BridgedMachine:
    """A namespace at one port of a switch that the test itself is connected to."""

    def __init__(self, name, ip, device):
        self.name, self.ip, self.device = name, ip, device
        self.prefix = ("ip", "netns", "exec", name)

    def cut_off(self):
        _ip("link", "set", self.device, "down")

    def connect(self):
        _ip("link", "set", self.device, "up")


_switches = itertools.count()  # the name is in use until the kernel has removed the old one


@contextlib.contextmanager
def switched_machines(count, first=5):
    """Yields (our address, [BridgedMachine]) with addresses NET.5, NET.6, ...; (None, []) where that cannot be made."""
    number = next(_switches)
    tag = f"p2p{os.getpid() % 100000}s{number}"
    net = f"10.215.{(os.getpid() + number) % 250}"
    machines = [BridgedMachine(f"{tag}m{i}", f"{net}.{first + i}", f"{tag}p{i}") for i in range(count)]
    ours = f"{net}.1"
    try:
        _ip("link", "add", tag, "type", "bridge")
        _ip("addr", "add", f"{ours}/24", "dev", tag)
        _ip("link", "set", tag, "up")
        for m in machines:
            _ip("netns", "add", m.name)
            _ip("link", "add", m.device, "type", "veth", "peer", "name", "veth0", "netns", m.name)
            _ip("link", "set", m.device, "master", tag, "up")
            _ip("-n", m.name, "addr", "add", f"{m.ip}/24", "dev", "veth0")
            for device in ("lo", "veth0"):
                _ip("-n", m.name, "link", "set", device, "up")
    except (OSError, subprocess.CalledProcessError):
        ours = None
    try:
        yield ours, machines if ours else []
    finally:
        for m in machines:
            _ip("netns", "del", m.name, check=False)
        _ip("link", "del", tag, check=False)

"""unit_filter.py UNIT COMMAND...: runs COMMAND under the system call filter that systemd would install
for the service UNIT: SystemCallFilter=, RestrictAddressFamilies=, MemoryDenyWriteExecute=."""

import ctypes
import errno
import functools
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM
EQUAL, MASKED_EQUAL = 4, 7
AF_MAX = 64
PROT_WRITE, PROT_EXEC = 2, 4


class Comparison(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


def settings(unit):
    """{name: [values]} of the section Service; an empty value is a value, too."""
    found = {}
    for name, value in re.findall(r"^([A-Za-z]+)=(.*)$", Path(unit).read_text().split("[Service]")[1], re.M):
        found.setdefault(name, []).append(value)
    return found


@functools.cache
def group(name):
    """The calls of a group of systemd, such as @system-service."""
    said = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True).stdout
    words = {line.strip() for line in said.splitlines() if line.startswith("    ") and "#" not in line}
    return frozenset().union(*(group(w) if w.startswith("@") else {w} for w in words))


def calls(values):
    names = set(group("@default"))
    for word in " ".join(values).split():
        assert not word.startswith("~"), "only lists of what is allowed are known here"
        names |= group(word) if word.startswith("@") else {word}
    return names


def load(unit):
    library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    library.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.POINTER(Comparison)
    ]  # fmt: skip
    library.seccomp_load.argtypes = [ctypes.c_void_p]
    unit = settings(unit)

    def add(context, action, name, *comparisons):
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:  # this machine has it
            array = (Comparison * len(comparisons))(*comparisons)
            assert library.seccomp_rule_add_array(context, action, number, len(comparisons), array) == 0, name

    def install(context):
        assert library.seccomp_load(context) == 0

    context = library.seccomp_init(REFUSE)
    for name in calls(unit["SystemCallFilter"]):
        add(context, ALLOW, name)
    families = [getattr(socket, word) for word in " ".join(unit["RestrictAddressFamilies"]).split()]
    second = library.seccomp_init(ALLOW)
    for family in set(range(AF_MAX)) - set(families):
        add(second, REFUSE, "socket", Comparison(0, EQUAL, family, 0))
    if unit.get("MemoryDenyWriteExecute") == ["yes"]:
        add(second, REFUSE, "mprotect", Comparison(2, MASKED_EQUAL, PROT_EXEC, PROT_EXEC))
        both = PROT_WRITE | PROT_EXEC
        add(second, REFUSE, "mmap", Comparison(2, MASKED_EQUAL, both, both))
    install(second)
    install(context)


if __name__ == "__main__":
    load(sys.argv[1])
    os.execvp(sys.argv[2], sys.argv[2:])

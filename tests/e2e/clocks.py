"""A program's time of day, set while it runs; its monotonic clock is not changed."""

import mmap
import struct
import subprocess
import time
from email.utils import parsedate_to_datetime
from pathlib import Path

from conftest import wait_until

NUMBER = struct.Struct("=q")
READER = struct.Struct("=qq")  # process, offset of the last time that it got
SIZE = NUMBER.size + 64 * READER.size  # as in clock_jump.c


class Clock:
    """Start programs with env=clock.env; each Clock belongs to one machine."""

    def __init__(self, folder, offset_s=0):
        folder.mkdir(parents=True, exist_ok=True)
        shim, path = folder / "clock_jump.so", folder / "offset"
        source = Path(__file__).with_name("clock_jump.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-D_GNU_SOURCE", "-o", shim, source], check=True)
        path.write_bytes(bytes(SIZE))
        with open(path, "r+b") as file:
            self.shared = mmap.mmap(file.fileno(), SIZE)
        self.env = {"LD_PRELOAD": str(shim), "CLOCK_JUMP": str(path)}
        self.env["ASAN_OPTIONS"] = "verify_asan_link_order=0"  # of a sanitized program
        self.set(offset_s)

    def set(self, offset_s, *programs):
        """Returns when each of the programs has read the new time."""
        self.offset_s = offset_s
        NUMBER.pack_into(self.shared, 0, offset_s)
        self.wait_read(*programs)

    def told(self):
        """For each process: the offset of the last time that it got."""
        return {pid: offset for pid, offset in READER.iter_unpack(self.shared[NUMBER.size :]) if pid}

    def wait_read(self, *programs):
        """If the clock did not reach its program, the test would pass and prove nothing."""
        for program in programs:
            if hasattr(program, "registry"):
                wait_until(lambda: abs(date_of(program.registry) - self.offset_s) < 60, 15, "the Date is off")
            wait_until(lambda: self.told().get(program.pid) == self.offset_s, 15, "the new time was read")


def date_of(registry):
    """How far the Date of the registry's answers is off, in seconds."""
    date = parsedate_to_datetime(registry.get("/health").headers["Date"])
    return date.timestamp() - time.time()

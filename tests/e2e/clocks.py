"""A program's time of day, set while it runs; its monotonic clock goes on as ever."""

import subprocess
from pathlib import Path


class Clock:
    """Start programs with env=clock.env; each Clock is one machine's."""

    def __init__(self, folder, offset_s=0):
        folder.mkdir(parents=True, exist_ok=True)
        shim, self.file = folder / "clock_jump.so", folder / "offset"
        source = Path(__file__).with_name("clock_jump.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-D_GNU_SOURCE", "-o", shim, source], check=True)
        self.env = {"LD_PRELOAD": str(shim), "CLOCK_JUMP": str(self.file)}
        self.env["ASAN_OPTIONS"] = "verify_asan_link_order=0"  # of a sanitized program
        self.set(offset_s)

    def set(self, offset_s):
        new = self.file.with_suffix(".new")
        new.write_text(str(offset_s))
        new.replace(self.file)

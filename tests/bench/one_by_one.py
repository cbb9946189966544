"""What a long link gives a client that waits for each chunk: one_by_one.py HOST PORT NAME SECONDS. Prints bytes per second.

Protocol 2 by the independent client of the tests; its CPU time does not matter at 100 ms a round trip.
"""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from p2pwire.client import Client  # noqa: E402

host, port, name, seconds = sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4])
with Client((host, port), timeout=30.0) as client:
    meta = client.meta(name=name)
    began = time.monotonic()
    done = 0
    while time.monotonic() - began < seconds and done + meta.chunk_size <= meta.size:
        client.get(meta.root, done, meta.chunk_size)
        done += meta.chunk_size
    print(int(done / (time.monotonic() - began)))

"""Turns the results of scripts/bench.sh into docs/BENCHMARKS.md.   bench-report.py RESULTS SIZE_MIB WORKDIR"""
import datetime
import os
import platform
import statistics
import subprocess
import sys
from collections import OrderedDict

results, size_mib, work = sys.argv[1], int(sys.argv[2]), sys.argv[3]
gb = size_mib * 1048576 / 1e9
BASE = "bare encrypted copy, 4 connections"
TREE = "p2p, tree, 4 connections"
FULL = "p2p, full (tree and SHA-256), 4 connections"

rows: "OrderedDict[tuple, list]" = OrderedDict()
for line in open(results):
    part, row, value, core, note = (line.rstrip("\n").split("\t") + [""] * 5)[:5]
    try:
        rows.setdefault((part, row), []).append((float(value), float(core) if core else None, note))
    except ValueError:
        print(f"row without a number: {line!r}", file=sys.stderr)


def values(part, row):
    return [v for v, _, _ in rows.get((part, row), [])]


def median(part, row):
    found = values(part, row)
    return statistics.median(found) if found else None


def run(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return "?"


def machine():
    cpu, flags = "?", set()
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
        elif line.startswith("flags"):
            flags = set(line.split(":", 1)[1].split())
    have = [f for f in ("aes", "vaes", "sha_ni", "avx2", "avx512f", "avx512bw") if f in flags]
    fs = run("stat", "-f", "-c", "%T", work)
    congestion = run("sysctl", "-n", "net.ipv4.tcp_congestion_control")
    return (f"{os.cpu_count()} x {cpu} ({', '.join(have)}), Linux {platform.release()}, files on {fs}, "
            f"congestion control {congestion}; {datetime.date.today()}; load before the report {os.getloadavg()[0]:.1f}")


def download_table():
    names = [row for part, row in rows if part == "download"]
    if not names:
        return
    print(f"\n## A file of {size_mib} MiB of random bytes over loopback, warm cache\n")
    print("Both ends on the same cores. GB/s by the median time until the last byte is verified (as far as the program "
          "verifies); spread is slowest and fastest.\n")
    print("| | GB/s | spread | core-s per GB, both ends | of the bare copy | note |")
    print("|---|---|---|---|---|---|")
    base = median("download", BASE)
    for name in names:
        seconds = values("download", name)
        mid = statistics.median(seconds)
        cores = [c for _, c, _ in rows[("download", name)] if c is not None]
        core = f"{statistics.median(cores) / gb:.2f}" if cores else ""
        note = rows[("download", name)][0][2]
        ratio = f"{base / mid:.2f}" if base else ""
        print(f"| {name} | {gb / mid:.2f} | {gb / max(seconds):.2f} - {gb / min(seconds):.2f} | {core} | {ratio} | {note} |")


def other_tables():
    titles = {"memory": "Memory", "first": "First byte", "small": "Small files", "resume": "Resume",
              "sources": "Several sources", "delay": "A long link", "relay": "Through a relay"}
    for part, title in titles.items():
        names = [row for p, row in rows if p == part]
        if not names:
            continue
        print(f"\n## {title}\n\n| | median | spread | runs |\n|---|---|---|---|")
        for name in names:
            found = values(part, name)
            print(f"| {name} | {statistics.median(found):.3g} | {min(found):.3g} - {max(found):.3g} | {len(found)} |")


def ratio_of(row, other):
    a, b = median("download", row), median("download", other)
    return b / a if a and b else None


def least(name, value, bound):
    return name, value, bound, value is not None and value >= bound, ">="


def most(name, value, bound):
    return name, value, bound, value is not None and value <= bound, "<="


def targets():
    sha = median("download", "one OpenSSL SHA-256 stream over the file")
    full, tree = median("download", FULL), median("download", TREE)
    slower = max(sha, tree) if sha and tree else None
    cores = [c for _, c, _ in rows.get(("download", TREE), []) if c is not None]
    server = [float(n.rsplit(" ", 1)[1]) for _, _, n in rows.get(("download", TREE), []) if n]
    checks = [
        least("tree, of the bare encrypted copy", ratio_of(TREE, BASE), 0.75),
        least("tree, of nginx TLS + curl, which verifies nothing", ratio_of(TREE, "nginx TLS 1.3 + curl"), 1.0),
        least("tree, of aria2c -x4 with checksum", ratio_of(TREE, "nginx TLS 1.3 + aria2c -x4 --checksum"), 4.0),
        least("full, of one SHA-256 stream or of the tree line, whichever is slower", slower / full if slower and full else None, 0.85),
        least("full, of curl then sha256sum", ratio_of(FULL, "nginx TLS 1.3 + curl, then sha256sum"), 3.0),
        most("core-seconds per GB, both ends, tree", statistics.median(cores) / gb if cores else None, 2.4),
        most("core-seconds per GB, server", statistics.median(server) / gb if server else None, 0.8),
    ]
    simple = [
        ("memory", f"downloader, {size_mib} MiB, full (MiB resident)", most, 96),
        ("first", "1 MiB, cold connection, first bytes (ms)", most, 8),
        ("small", "10,000 files of 4 KiB, p2p, verified and flushed (s)", most, 3),
        ("resume", "kill -9 at half: received twice (MiB)", most, 16),
        ("resume", "kill -9 at half: new bytes after (ms)", most, 200),
        ("sources", "4 sources of 20 MiB/s: share of the sum", least, 0.95),
        ("sources", "one of them killed after 1.5 s: time lost (s)", most, 1),
        ("delay", "100 ms round trip, 500 Mbit/s, 512 MiB: share of the link", least, 0.85),
        ("delay", "times one chunk each round trip", least, 8),
        ("relay", "through p2p-relay, 40 ms round trip, 400 Mbit/s, 300 MiB: MB/s", least, 30),
        ("relay", "core-seconds of p2p-relay per GB", most, 4),
    ]
    checks += [test(row, median(part, row), bound) for part, row, test, bound in simple]
    checks = [c for c in checks if c[1] is not None]
    if checks:
        print("\n## Targets\n\n| | measured | target | |\n|---|---|---|---|")
    for name, value, bound, reached, sign in checks:
        print(f"| {name} | {value:.3g} | {sign} {bound} | {'reached' if reached else '**not reached**'} |")


print("# Benchmarks\n")
print("Made by `scripts/bench.sh`; each program on the same file in the same run, the first round dropped, median of the rest.\n")
print(f"Machine: {machine()}.")
download_table()
other_tables()
targets()
for part in ("hash", "peer", "registry"):
    path = os.path.join(work, part + ".txt")
    if os.path.exists(path):
        print(f"\n## {part.capitalize()}\n\n```\n{open(path).read().strip()}\n```")
wrong = [row for part, row in rows if part == "wrong"]
if wrong:
    print("\n**Wrong results: " + ", ".join(wrong) + "**")

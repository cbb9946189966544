"""Folders are rooms: a file uses its own room and those before it, never one behind it. Read from
the symbols of the objects and from the includes, so that it holds for what is built."""

import os
import re
import subprocess
from collections import Counter, defaultdict
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OBJECTS = ROOT / os.environ.get("P2P_OBJECTS", "build/gcc")
CORE = [
    "base", "name", "crypto", "wire", "channel", "plan", "delta", "disk", "program", "control", "guard", "journal", "share",
    "shares", "keep", "trust", "net", "registry", "code", "intake", "reach", "remote", "swarm", "download", "mirror",
]  # fmt: skip
DISCOVERY = ["index", "registry", "store", "meet", "http", "."]  # ".": main.c and its neighbors
HTTP = ["text", "source", "meet", "."]
CLI = ["machine", "print", "ask", "get", "send", "commands", "complete", "."]
PEER = ["offers", "history", "inbox", "access", "uploads", "server", "registration", "."]
UI = ["reply", "state", "access", "pictures", "folders", "peers", "transfers", "offers", "."]

ROOM_MAX = 22  # sources: about 20

# Exceptions: (file, room that it uses). There are none, and there should be none.
CORE_EXCEPTIONS = set()
DISCOVERY_EXCEPTIONS = set()
UI_EXCEPTIONS = set()
# The files that know all of p2p-ui; the rooms get from them what they need. This list may only become shorter.
WHOLE_UI = {
    "app.c", "chores.c", "main.c", "metrics.c", "pages.c", "peers_api.c", "routes.c", "search.c", "status.c",
}  # fmt: skip
# Files that call each other in both directions, each circle with the reason why it is one thing. A circle that is
# broken leaves the list, and none is added: a helper that stands at the wrong end gets a file below both.
CIRCLES = {
    "one handshake: its table of steps, and the steps": "wire/handshake wire/handshake_hello wire/handshake_proof",
    "a look-up waits as a socket does, and connecting begins with a look-up": "net/net net/net_resolve",
    "the clock ends phases, which tell it when": "http/clock http/phase",
    "the dictionary and the thread that seals it": "index/dict index/dict_seal",
    "the store and its two threads": "store/store store/store_read store/store_write",
    "an event loop and its connections": "server/accept server/conn server/conn_handshake server/conn_read "
    "server/loop server/recheck server/serve server/serve1 server/serve2 server/serve_changes server/serve_guest "
    "server/serve_history server/serve_leaves server/server",
}

# Two functions of src/core/guard stand in for those of the C library, which every room may use.
STAND_INS = {"connect", "socket"}
# The parent's side in src/core/guard.
UNPREFIXED_EXCEPTIONS = {"guardian", *STAND_INS}

pytestmark = pytest.mark.skipif(
    not (OBJECTS / "libp2pcore.a").exists(), reason=f"{OBJECTS} has no objects: run make"
)


@lru_cache(None)
def symbols(folder):
    """{source: (defined, used)} of the objects beneath build/.../src/<folder> that have a source."""
    paths = [
        path
        for path in sorted((OBJECTS / "src" / folder).rglob("*.o"))
        if (ROOT / path.relative_to(OBJECTS).with_suffix(".c")).exists()
    ]
    found = {str(path.relative_to(OBJECTS).with_suffix(".c")): (set(), set()) for path in paths}
    rows = subprocess.run(["nm", "-A", "-P", *paths], capture_output=True, text=True, check=True).stdout
    for row in rows.splitlines():
        path, name, kind = re.match(r"(.*\.o): (\S+) (\S)", row).groups()
        defined, used = found[str(Path(path).relative_to(OBJECTS).with_suffix(".c"))]
        if kind in "Uw":
            used.add(name)
        elif kind.isupper() and kind != "W":
            defined.add(name)
    return found


def room_of(source, folder):
    parts = Path(source).relative_to(f"src/{folder}").parts
    return parts[0] if len(parts) > 1 else "."


def uses(folder):
    """{(source, room, reason)} for every room but the file's own."""
    objects = symbols(folder)
    home = {name: room_of(source, folder) for source, (defined, _) in objects.items() for name in defined}
    found = set()
    for source, (_, used) in objects.items():
        found |= {(source, home[name], name) for name in used - STAND_INS if name in home}
    for path in sorted((ROOT / "src" / folder).rglob("*.[ch]")):
        for name in re.findall(rf'^#include "{folder}/(.*)"', path.read_text(), re.M):
            room = name.split("/")[0] if "/" in name else "."
            found.add((str(path.relative_to(ROOT)), room, f'#include "{folder}/{name}"'))
    return {(s, room, why) for s, room, why in found if room != room_of(s, folder)}


def check_order(folder, rooms, exceptions):
    there = {p.name for p in (ROOT / "src" / folder).iterdir() if p.is_dir()}
    assert there <= set(rooms), f"rooms without a place in the order: {there - set(rooms)}"
    wrong = {
        (source, room): why
        for source, room, why in sorted(uses(folder))
        if rooms.index(room) > rooms.index(room_of(source, folder))
    }
    new = [f"{s} uses {room}: {why}" for (s, room), why in wrong.items() if (s, room) not in exceptions]
    assert not new, "\n".join(new)
    gone = exceptions - set(wrong)
    assert not gone, f"these hold now, take them off the list: {sorted(gone)}"


def test_rooms_of_the_core():
    check_order("core", CORE, CORE_EXCEPTIONS)


def test_rooms_of_the_registry():
    check_order("discovery", DISCOVERY, DISCOVERY_EXCEPTIONS)


def test_rooms_of_the_dashboard():
    check_order("ui", UI, UI_EXCEPTIONS)


def test_a_room_keeps_its_private_headers():
    """What a room shares with other rooms has a header of its own; *_internal.h is for its own files."""
    private = {str(p.relative_to(ROOT / "src")) for p in (ROOT / "src").rglob("*.h") if is_private(p)}
    assert private
    wrong = [
        f"{path.relative_to(ROOT)} includes {name}"
        for path in sorted((ROOT / "src").rglob("*.[ch]"))
        for name in re.findall(r'^#include "(.*)"', path.read_text(), re.M)
        if name in private and Path(name).parent != path.parent.relative_to(ROOT / "src")
    ]
    assert not wrong, "\n".join(wrong)


def is_private(header):
    return header.name.endswith("_internal.h") or "for this room only" in header.read_text()[:600].lower()


def test_few_files_know_the_whole_dashboard():
    folder = ROOT / "src" / "ui"
    knowing = {str(p.relative_to(folder)) for p in folder.rglob("*.[ch]") if '"ui/app.h"' in p.read_text()}
    assert knowing == WHOLE_UI, "a room gets its parts from app.c; a file that needs less leaves the list"


def test_rooms_of_http():
    check_order("http", HTTP, set())


def test_rooms_of_the_command_line():
    check_order("cli", CLI, set())


def test_rooms_of_the_peer():
    check_order("peer", PEER, set())


def circles(folder):
    """The sets of files that reach each other by calls."""
    objects = symbols(folder)
    home = {name: source for source, (defined, _) in objects.items() for name in defined}
    calls = {s: {home[n] for n in used - STAND_INS if n in home} for s, (_, used) in objects.items()}
    reached = {}
    for source in calls:
        seen, todo = set(), [source]
        while todo:
            new = calls[todo.pop()] - seen
            seen |= new
            todo += new
        reached[source] = seen
    found = {frozenset(t for t in reached[s] if s in reached[t]) for s in calls}
    return {circle for circle in found if len(circle) > 1}


def short(source):
    path = Path(source).with_suffix("")
    return f"{path.parent.name}/{path.name}"


def test_files_call_in_circles_only_where_they_are_one_thing():
    found = {
        " ".join(sorted(map(short, circle)))
        for folder in ("core", "http", "discovery", "peer", "ui", "relay", "cli")
        for circle in circles(folder)
    }
    allowed = {" ".join(sorted(files.split())) for files in CIRCLES.values()}
    assert not found - allowed, "give what both ends need a file of its own"
    assert not allowed - found, "these are broken: take them off the list"


def test_rooms_have_few_files():
    """A room that grows has a second subject, which gets a room of its own."""
    sizes = Counter(path.parent for path in (ROOT / "src").rglob("*.c"))
    wrong = [f"{folder.relative_to(ROOT)}: {n}" for folder, n in sizes.items() if n > ROOM_MAX]
    assert not wrong, wrong


def test_the_core_knows_no_program():
    for path in sorted((ROOT / "src").rglob("*.[ch]")):
        place = path.relative_to(ROOT / "src").parts[0]
        allowed = {"core": {"core"}, "http": {"core", "http"}}.get(place)
        for name in re.findall(r'^#include "(\w+)/', path.read_text(), re.M):
            if allowed and name in {"discovery", "peer", "ui", "relay", "cli", "http", "core"}:
                assert name in allowed, f"{path} includes {name}"


def test_exported_names_of_the_core_say_so():
    wrong = {
        f"{source}: {name}"
        for source, (defined, _) in symbols("core").items()
        for name in defined
        if not name.startswith("p2p_") and name.split("_")[0] not in UNPREFIXED_EXCEPTIONS
    }
    assert not wrong, sorted(wrong)


def test_a_name_stands_for_one_thing():
    """Over all libraries: a program is linked from several of them. main is each program's own."""
    places = defaultdict(set)
    for folder in ("core", "http", "discovery", "peer", "ui", "relay", "cli"):
        for source, (defined, _) in symbols(folder).items():
            for name in defined - {"main"}:
                places[name].add(source)
    assert not {name: sorted(at) for name, at in places.items() if len(at) > 1}

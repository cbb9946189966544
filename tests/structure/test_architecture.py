"""docs/ARCHITECTURE.md names every thread and every lock, and a function that releases the lock of its caller says
so in its name. The test reads the source, so both stay true.
"""

import fnmatch
import re
from pathlib import Path

import pytest
from test_rooms import CLI, CORE, DISCOVERY, PEER, UI

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "ARCHITECTURE.md").read_text()
SOURCES = sorted([*(ROOT / "src").rglob("*.[ch]"), *(ROOT / "include").rglob("*.h")])
LOCK_CALL = re.compile(r"\b((?:p2p|registry)_(?:read_|write_|try_|rw_)?(?:un)?lock)\(")
LOCK_KIND = re.compile(r"^P2P_(?:MUTEX|RWLOCK)_KIND\((\w+)\);", re.M)


def text_of(path):
    return re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.S)


def section(title):
    return re.search(rf"^#+ {title}\n(.*?)(?=^##|\Z)", PAGE, re.M | re.S)[1]


def names_in(text):
    """The names in `code` there; a folder before a file applies to the following ones."""
    return {Path(word).name for word in re.findall(r"`([^`]+)`", text)}


def test_every_file_that_makes_a_thread_is_named():
    made = {p.name for p in SOURCES if re.search(r"\bpthread_create\(", text_of(p))}
    assert len(made) > 15
    assert not made - names_in(section("Threads")), "add these to the table of threads"


def test_every_file_with_a_lock_is_named():
    declared = {p.name for p in SOURCES if LOCK_KIND.search(text_of(p))}
    assert len(declared) > 25
    assert not declared - names_in(section("Locks")), "add these to the table of locks"


ONLY_LINUX = re.compile(
    r"sys/(?:signalfd|epoll|inotify|eventfd|prctl|sendfile|syscall|timerfd|vfs)\.h|<linux/|\"/(?:proc|sys)\b|"
    r"\b(?:memfd_create|splice|statx|copy_file_range|renameat2|openat2|fallocate|preadv2|recvmmsg|sendmmsg|closefrom)\(|"
    r"\b(?:SO_PEERCRED|FICLONE|SCHED_IDLE|SOCK_SEQPACKET|SEEK_DATA|UDP_SEGMENT|TCP_CONGESTION|TCP_INFO|O_TMPFILE|O_PATH)\b"
)  # fmt: skip


def test_every_file_with_a_call_that_only_linux_has_is_named():
    named = names_in(section("What only Linux has"))
    made = {p.name for p in SOURCES if ONLY_LINUX.search(text_of(p))}
    assert len(made) > 40
    assert not {n for n in made if not any(fnmatch.fnmatch(n, pattern) for pattern in named)}, "add these to the table"
    files = {p.name for p in SOURCES}
    gone = {n for n in named if re.search(r"\.(?:c|h|\[ch\])$", n) and not fnmatch.filter(files, n)}
    assert not gone, "these are no longer there"


def test_every_lock_is_of_a_kind_that_clang_checks():
    plain = re.compile(r"\bpthread_(mutex|rwlock|cond_(timed)?wait)_?\w*")
    by_hand = {p.name for p in SOURCES if plain.search(text_of(p))}
    assert by_hand <= {"lock.h", "lock.c", "lock_order.c", "clock.h", "clock.c"}, "use p2p/lock.h"
    kinds = [kind for p in SOURCES for kind in LOCK_KIND.findall(text_of(p))]
    assert len(kinds) == len(set(kinds)), "two locks of one name"


def reopens(body):
    """True if the first use of a lock is to release it, to take it again later."""
    calls = [name.endswith("unlock") for name in LOCK_CALL.findall(body)]
    return bool(calls) and calls[0] and not all(calls)


def functions(text):
    return re.findall(r"^(\w+)\([^;{]*\)\n\{\n(.*?)^\}", text, re.M | re.S)


def test_every_function_that_opens_its_callers_lock_says_so():
    found = {name for p in SOURCES for name, body in functions(text_of(p)) if reopens(body)}
    assert len(found) > 2
    wrong = {name for name in found if not name.endswith(("_unlocks", "_and_unlock"))}
    assert not wrong, "let the caller release the lock, or end the name in _unlocks"


@pytest.mark.parametrize(
    "body, expected",
    [
        ("p2p_unlock(&a->lock);\nwork();\np2p_lock(&a->lock);\n", True),
        ("p2p_lock(&a->lock);\nwork();\np2p_unlock(&a->lock);\n", False),
        ("p2p_unlock(&a->lock);\n", False),
        ("work();\n", False),
    ],
)
def test_the_check_sees_it(body, expected):
    assert reopens(body) == expected


@pytest.mark.parametrize(
    "page", ["ARCHITECTURE.md", *(f"internals/{p.name}" for p in sorted((ROOT / "docs/internals").glob("*.md")))]
)
def test_files_that_are_named_exist(page):
    """A file that was moved or renamed leaves its old name behind in the text."""
    there = {p.name for p in SOURCES} | {p.name for p in (ROOT / "tests").rglob("*")}
    named = {n for n in names_in((ROOT / "docs" / page).read_text()) if re.fullmatch(r"\w+\.(c|h|py)", n)}
    assert not named - there


# ---- the drawing of the rooms ----


def drawn():
    """The rooms of the core in the drawing, from the top to the bottom."""
    block = re.search(r"libp2pcore\.a\n(.*?)^```", section("Floors and rooms"), re.M | re.S)[1]
    return re.findall(r"^ ([a-z]+) {2,}\S", block, re.M)


def test_the_drawing_has_the_rooms_in_their_order():
    assert drawn() == CORE[::-1]


@pytest.mark.parametrize(
    "program, rooms", [("discovery", DISCOVERY), ("ui", UI), ("cli", CLI), ("peer", PEER)], ids=str
)
def test_the_rooms_of_programs_are_named_in_their_order(program, rooms):
    text = re.search(rf"`src/{program}`:\s+(.*?)\.(?:\s+`src/|\s+A room uses)", section("Floors and rooms"), re.S)[1]
    named = re.findall(r"`([a-z]+)`", text)
    assert named == rooms[:-1]


# ---- width ----

PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "tests/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "internals").glob("*.md")),
]
# Tables, headings, code, images, and what no space divides cannot be wrapped.
UNWRAPPED = re.compile(r"\s*(\||#|!?\[[^\]]*\][(:]|<)|    |\s*\S+$")


def wide_lines(text):
    text = re.sub(r"^ *```.*?^ *```", lambda m: "\n" * m[0].count("\n"), text, flags=re.M | re.S)
    lines = enumerate(text.split("\n"), 1)
    return [number for number, line in lines if len(line) > 100 and not UNWRAPPED.match(line)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_lines_of_pages_are_wrapped(page):
    assert not wide_lines(page.read_text()), "wrap these lines at 100 columns"


@pytest.mark.parametrize(
    "text, found",
    [
        ("word " * 25, [1]),
        ("short\n" + "word " * 25, [2]),
        ("| " + "cell | " * 20, []),
        ("```\n" + "code " * 25 + "\n```\nshort", []),
        ("- " + "x" * 120, [1]),
        ("word " * 19, []),
    ],
)
def test_that_wide_lines_are_found(text, found):
    assert wide_lines(text) == found

"""No I/O under the locks that promise it: what runs with one of them held, directly or in a function that is called,
makes no system call that can wait for a disk, a network or a reader of the log. The test follows the calls in the text
of the source. It does not see calls through pointers.
"""

import re
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted([*(ROOT / "src").rglob("*.[ch]"), *(ROOT / "include").rglob("*.h")])

# Each lock, and the functions that may run under it although they wait: the reason is in docs/ARCHITECTURE.md, "Locks".
STORE = {"ui_store_put_transfer", "ui_store_remove_transfer"}  # rows in the order of the changes
NAMES = {"p2p_known_find", "p2p_known_check"}  # from the keys directory
QUIET = {
    "access_lock": set(),
    "admission_lock": set(),
    "boxes_lock": set(),
    "changes_lock": set(),
    "clients_lock": set(),
    "codes_lock": set(),
    "dict_lock": set(),
    "history_lock": set(),
    "http_sse_lock": set(),
    "loop_inbox_lock": set(),
    "offers_lock": set(),
    "p2p_catalogue_lock": set(),
    "p2p_dl_lock": set(),
    "p2p_rate_lock": set(),
    "registry_data_lock": set(),
    "ui_config_lock": set(),
    "ui_transfers_lock": {*STORE, *NAMES, "p2p_log"},
    "ui_watch_lock": set(),
}
WAITS = set(
    """open openat openat2 close fopen fdopen fclose opendir fdopendir readdir closedir read write pread pwrite preadv
    pwritev preadv2 readv writev fread fwrite fgets getline fputs fputc puts printf fprintf vfprintf dprintf fflush stat
    lstat fstat fstatat statx statvfs fstatvfs statfs fstatfs realpath readlink readlinkat rename renameat renameat2
    unlink unlinkat mkdir mkdirat rmdir link linkat symlink fallocate posix_fallocate ftruncate truncate fsync fdatasync
    syncfs flock lockf fchmod utimensat futimens copy_file_range sendfile splice connect accept accept4 send sendto
    sendmsg sendmmsg recv recvfrom recvmsg recvmmsg poll select epoll_wait sleep usleep nanosleep getaddrinfo
    curl_easy_perform curl_multi_perform curl_multi_poll sqlite3_step sqlite3_exec sqlite3_open_v2 sqlite3_prepare_v2
    sqlite3_prepare_v3 sqlite3_close pthread_join waitpid system p2p_log""".split()
)
LOGS = {f"p2p_log_{level}" for level in ("error", "warn", "info", "debug")}  # macros

CALL = re.compile(r"\b([a-z_]\w*)\(")
FUNCTION = re.compile(r"^(?:(static)\b[^\n;{}]*\n)?(\w+)\(([^;{]*)\)\s*((?:P2P_\w+(?:\([^)]*\))?\s*)*)\n\{\n(.*?)^\}", re.M | re.S)
REQUIRES = re.compile(r"\b(\w+)\([^;{}]*?\)\s*(?:P2P_\w+(?:\([^)]*\))?\s*)*?P2P_REQUIRES\w*\((\w+)\)")
TAKES = re.compile(r"\bp2p_(?:(?:read_|write_|try_)?lock|(rw_unlock|unlock))\(&?([^;]*?)\)(?=[;)\s])")
FIELD = re.compile(r"^\s*(?:static )?struct (\w+) (\w*lock\w*|writer|looking|asking)(?: P2P_\w+\(\w+\))?(?: = [^;]*)?;", re.M)
KIND = re.compile(r"^P2P_(?:MUTEX|RWLOCK)_KIND\((\w+)\);", re.M)


def text_of(text):
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    return re.sub(r'"(?:[^"\\\n]|\\.)*"', '""', text)


class Source:
    """The functions of some files (path: text), and what their calls reach."""

    def __init__(self, files):
        self.files = {path: text_of(text) for path, text in files.items()}
        self.included = {path: re.findall(r'^#include "([^"]+)"', text, re.M) for path, text in files.items()}
        self.holders = {}  # (struct, field): kind of the lock
        self.kinds = {kind for text in self.files.values() for kind in KIND.findall(text)}
        self.functions = {}  # (file, name): body
        self.shared = {}  # name: file, of functions that other files may call
        self.required = defaultdict(set)
        for text in self.files.values():
            for struct, body in re.findall(r"^struct (\w+) \{\n(.*?)^\}", text, re.M | re.S):
                for kind, field in FIELD.findall(body):
                    self.holders[struct, field] = kind
        for path, text in self.files.items():
            for is_static, name, _, marks, body in FUNCTION.findall(text):
                self.functions[path, name] = body
                if not is_static:
                    self.shared[name] = path
                self.required[path, name] |= set(re.findall(r"P2P_REQUIRES\w*\((\w+)\)", marks))
        for path, text in self.files.items():
            for name, kind in REQUIRES.findall(re.sub(r"\{\n.*?^\}", ";", text, flags=re.M | re.S)):
                place = path if (path, name) in self.functions else self.shared.get(name)
                self.required[place, name].add(kind)
        self.reached = cache(self.reached)
        self.kind_of = cache(self.kind_of)

    def place_of(self, path, name):
        return (path, name) if (path, name) in self.functions else (self.shared.get(name), name)

    def first_wait(self, path, code, allowed, seen):
        """The way to a call that waits, as a list of names; None: there is none."""
        for name in CALL.findall(code):
            if name in allowed or (name in LOGS and "p2p_log" in allowed):
                continue
            if name in WAITS or name in LOGS:
                return [name]
            way = self.reached(*self.place_of(path, name), allowed, seen) if name not in seen else None
            if way:
                return [name, *way]
        return None

    def reached(self, path, name, allowed, seen):
        if (path, name) not in self.functions or len(seen) > 12:
            return None
        return self.first_wait(path, self.functions[path, name], allowed, seen | {name})

    def around(self, path):
        """The file, then the headers that it includes, the nearest first."""
        files = [path]
        for file in files:
            for name in self.included[file]:
                files += [p for p in self.files if p.endswith("/" + name) and p not in files]
        return files

    def kind_of(self, path, expression):
        """The kind of the lock in `expression`: from the type of its owner, or else from the nearest declaration."""
        *_, owner, field = ["", *(part.strip() for part in re.split(r"->|\.", re.sub(r"\[.*?\]", "", expression)))]
        files = self.around(path)
        for file in files if owner else []:
            for struct in re.findall(rf"\bstruct (\w+) \**{owner}\b", self.files[file]):
                if (struct, field) in self.holders:
                    return self.holders[struct, field]
        for file in files:
            for kind, name in FIELD.findall(self.files[file]):
                if name == field and kind in self.kinds:
                    return kind
        return None

    def under(self):
        """(kind, file, function, code that runs with the lock held)"""
        for (path, name), body in self.functions.items():
            for kind in self.required[path, name]:
                yield kind, path, name, body
            events = list(TAKES.finditer(body))
            for i, event in enumerate(events):
                if event[1]:
                    continue
                end = len(body)
                for later in events[i + 1 :]:
                    leaves = re.match(r"[^;]*;(?:[^;{}]*;)?\s*return\b[^;]*;\s*\}", body[later.start() :])
                    if later[1] and later[2] == event[2] and (not leaves or later is events[-1]):
                        end = later.start()
                        break
                yield self.kind_of(path, event[2]), path, name, body[event.end() : end]

    def wrong(self, rules):
        found = set()
        for kind, path, name, code in self.under():
            if kind in rules:
                way = self.first_wait(path, code, frozenset(rules[kind]), frozenset({name}))
                if way:
                    found.add(f"{kind}: {path}: {' > '.join([name, *way])}")
        return sorted(found)


@cache
def project():
    return Source({str(path.relative_to(ROOT)): path.read_text() for path in SOURCES})


def test_nothing_waits_under_a_quiet_lock():
    source = project()
    assert not set(QUIET) - source.kinds, "these locks are gone"
    held = {kind for kind, *_ in source.under()}
    assert not set(QUIET) - held, "the test does not see where these locks are taken"
    assert source.wrong(QUIET) == [], "do it without the lock, or write down why not"


HEADER = """P2P_MUTEX_KIND(queue_lock);
struct queue {
    struct queue_lock lock;
};
static void
note(void)
{
    fsync(1);
}
"""


@pytest.mark.parametrize(
    "code, is_wrong",
    [
        ("void\npush(struct queue *q)\n{\n    p2p_lock(&q->lock);\n    note();\n    p2p_unlock(&q->lock);\n}\n", True),
        ("void\npush(struct queue *q)\n{\n    p2p_lock(&q->lock);\n    p2p_unlock(&q->lock);\n    note();\n}\n", False),
        ("static void\npush(struct queue *q) P2P_REQUIRES(queue_lock)\n{\n    p2p_log_warn(\"x\");\n}\n", True),
        ("static void\npush(struct queue *q)\n{\n    p2p_log_warn(\"x\");\n}\n", False),
        ("void push(void) P2P_REQUIRES(queue_lock);\nvoid\npush(void)\n{\n    note();\n}\n", True),
        (
            "void\npush(struct queue *q)\n{\n    p2p_lock(&q->lock);\n    if (q) {\n        p2p_unlock(&q->lock);\n"
            "        return;\n    }\n    note();\n    p2p_unlock(&q->lock);\n}\n",
            True,
        ),
    ],
)
def test_that_it_would_be_found(code, is_wrong):
    assert bool(Source({"src/a/queue.c": HEADER + code}).wrong({"queue_lock": set()})) is is_wrong


def test_that_a_function_can_be_allowed():
    code = HEADER + "static void\npush(struct queue *q) P2P_REQUIRES(queue_lock)\n{\n    note();\n}\n"
    assert Source({"src/a/queue.c": code}).wrong({"queue_lock": {"note"}}) == []

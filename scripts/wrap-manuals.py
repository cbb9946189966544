#!/usr/bin/env python3
"""Wraps the source lines of the manual pages at 80 bytes, as `mandoc -T lint` wants it. The pages look the same.

scripts/wrap-manuals.py [PAGE...]       default: all in docs/man
"""

import re
import sys
from pathlib import Path

WIDTH = 80
ROOT = Path(__file__).resolve().parents[1]


def wrapped(line):
    """Breaks between words, but never before one that roff would take for a request."""
    lines = [""]
    for word in line.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if lines[-1] and len(longer.encode()) > WIDTH and word[:1] not in (".", "'"):
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def wrap(page):
    out, is_literal = [], False
    for line in page.read_text().split("\n"):
        if request := re.match(r"\.(nf|EX|fi|EE)\b", line):
            is_literal = request[1] in ("nf", "EX")
        is_text = not is_literal and line[:1] not in (".", "'")
        out += wrapped(line) if is_text and len(line.encode()) > WIDTH else [line]
    page.write_text("\n".join(out))


for name in sys.argv[1:] or sorted((ROOT / "docs" / "man").glob("*.1")):
    wrap(Path(name))

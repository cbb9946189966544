#!/usr/bin/python3
"""Writes src/discovery/index/fold_table.h: what fold.c makes of letters beyond ASCII (Unicode NFKD, case folding)."""

import unicodedata

RANGES = [(0xA0, 0x24F), (0x300, 0x36F), (0x370, 0x3FF), (0x400, 0x52F), (0x531, 0x556),
          (0x1E00, 0x1FFF), (0x2C60, 0x2C7F), (0xFB00, 0xFB06), (0xFF01, 0xFF5E)]  # fmt: skip
# Letters that Unicode does not decompose, and that people type without their stroke.
BY_HAND = {"ß": "ss", "ẞ": "ss", "æ": "ae", "Æ": "ae", "œ": "oe", "Œ": "oe", "ø": "o", "Ø": "o", "đ": "d", "Đ": "d",
           "ł": "l", "Ł": "l", "ħ": "h", "Ħ": "h", "ı": "i", "ð": "d", "Ð": "d", "þ": "th", "Þ": "th", "ŧ": "t", "Ŧ": "t"}  # fmt: skip


def fold(char):
    if char in BY_HAND:
        return BY_HAND[char]
    text = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", char).casefold())
    return "".join(c for c in text if not unicodedata.combining(c))


rows = []
for first, last in RANGES:
    for point in range(first, last + 1):
        text = fold(chr(point)).encode()
        if unicodedata.category(chr(point)) == "Cn" or text == chr(point).encode() or len(text) > 4:
            continue
        if len(text) > 3 * len(chr(point).encode()) or b" " in text or b"/" in text:
            continue
        literal = "".join(chr(b) if 0x61 <= b <= 0x7A else f"\\{b:03o}" for b in text)
        rows.append(f'{{0x{point:04x}, "{literal}"}}')

print("/* Made by scripts/make-fold-table.py from Unicode", unicodedata.unidata_version, "*/")
print("#ifndef P2P_DISCOVERY_FOLD_TABLE_H\n#define P2P_DISCOVERY_FOLD_TABLE_H\n\n#include <stdint.h>\n")
print("struct fold_row {\n    uint16_t code_point;\n    char text[4]; /* UTF-8, without a NUL when all four are used */\n};\n")
print("/* clang-format off */\nstatic const struct fold_row fold_rows[] = {")
for i in range(0, len(rows), 5):
    print("    " + ", ".join(rows[i : i + 5]) + ",")
print("};\n/* clang-format on */\n\n#endif")

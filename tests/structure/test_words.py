"""Words that people and programs read: one system of units (kB, MB and GB, with 1000), and names of operations."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
BINARY = re.compile(r"\b[KMGTP]iB\b")
LITERAL = re.compile(r'"(?:[^"\\\n]|\\.)*"')
COMMENT = re.compile(r"/\*.*?\*/", re.S)


def shown():
    """(place, text) of all that the programs and the first pages show."""
    for path in sorted((ROOT / "src").rglob("*.[ch]")):
        for text in LITERAL.findall(COMMENT.sub("", path.read_text())):
            yield path, text
    pages = [*(ROOT / "web").rglob("*.js*"), *(ROOT / "docs" / "man").iterdir(), *(ROOT / "completions").iterdir()]
    for path in [*pages, ROOT / "README.md", ROOT / "CHANGELOG.md"]:
        if path.suffix != ".gz" and path.is_file():
            yield path, path.read_text(errors="replace")


def test_no_binary_units():
    texts = list(shown())
    assert len(texts) > 2000
    assert [(str(p.relative_to(ROOT)), BINARY.search(t)[0]) for p, t in texts if BINARY.search(t)] == []


@pytest.mark.parametrize("text, found", [("5 MiB", True), ("5 MB", False), ("16KiB", False), ("MiBs", False)])
def test_that_they_would_be_found(text, found):
    assert bool(BINARY.search(text)) is found


# What readers who did not grow up with English have to decode: "resume or continue" (not "go on"), "permanently" (not
# "for ever"), "no longer works" (not "works no longer"), "across restarts", "in both directions", and so on.
ODD = re.compile(
    r"\b(anew|whoever|any more|goes on|gone on|by (it|them)self|for ever\b|in vain|as a rule|sign of life|broken off|"
    r"put aside|looked after|over restarts|both ways|tells (no|nothing)|so (often|many|long)(?= \(|\"|[.;,]|$)|"
    r"(works?|runs?|downloads?|uses?|is|does) no longer(?=[.;,:\"]|$))",
    re.I,
)


def test_no_words_that_have_to_be_decoded():
    pages = {".js", ".json", ".yaml"}
    odd = [(str(p.relative_to(ROOT)), m[0]) for p, t in shown() if p.suffix not in pages for m in ODD.finditer(t)]
    assert odd == [], "say it in plainer words"


@pytest.mark.parametrize(
    "text, found",
    [
        ('"the code works no longer"', True),
        ("the code no longer works.", False),
        ("the mirror goes on.", True),
        ("look for changes so often (default 30s)", True),
        ("as many as possible, so many small files", False),
        ("bytes that passed, both ways", True),
        ("memory for everything", False),
    ],
)
def test_that_odd_words_would_be_found(text, found):
    assert bool(ODD.search(text)) is found


def test_every_operation_of_the_api_has_an_id():
    """Typed clients are generated with these names."""
    document = yaml.safe_load((ROOT / "docs" / "openapi.yaml").read_text())
    operations = [
        (f"{method} {path}", operation.get("operationId"))
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in ("get", "post", "put", "patch", "delete")
    ]
    assert len(operations) > 50
    assert [name for name, found in operations if not found] == []
    ids = [found for _, found in operations]
    assert len(set(ids)) == len(ids)

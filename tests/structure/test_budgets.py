"""docs/SECURITY.md states each budget with the test that proves it: no row without one, no test that is gone."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "SECURITY.md").read_text()
CODE = re.compile(r"`([^`]+)`")


def there():
    """Files of tests, and the names of tests in them."""
    names = set()
    for path in (ROOT / "tests").rglob("*"):
        if path.suffix == ".py":
            names |= {path.name, *re.findall(r"^(?: {4})?def (test_\w+)", path.read_text(), re.M)}
        elif path.suffix == ".c":
            names |= {path.name, *re.findall(r"\w*TEST\w*\(\s*(\w+)\s*\)", path.read_text())}
            names |= set(re.findall(r"^(\w+)\(void \*\*state\)", path.read_text(), re.M))
    return names


THERE = there()


def is_test(name):
    name = name.rsplit("/", 1)[-1]
    return bool(re.fullmatch(r"test_\w+(\.c|\.py)?", name))


def names_in(cell):
    return [word.rsplit("/", 1)[-1] for word in CODE.findall(cell)]


def tables():
    """(line, cells of the header, cells of the row) of each row of a table with a column of tests."""
    rows, header = [], None
    for number, line in enumerate(PAGE.splitlines(), 1):
        if not line.startswith("|"):
            header = None
        elif header is None:
            header = [cell.strip() for cell in line.strip("|").split("|")]
        elif set(line) - set("|- ") and header[-1] == "test":
            rows.append((number, [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]))
    return rows


ROWS = tables()


def test_there_are_tables():
    assert len(ROWS) > 30
    assert len(THERE) > 1000


@pytest.mark.parametrize("line, cells", ROWS, ids=[f"line {line}" for line, _ in ROWS])
def test_every_budget_has_a_test(line, cells):
    names = names_in(cells[-1])
    if cells[-1] == "none yet":
        pytest.skip("the page says so")
    assert names, "name the test that proves it, in `code`"
    assert not set(names) - THERE, "no test has this name"


def test_every_test_that_is_named_anywhere_exists():
    for page in ("SECURITY.md", "HTTP.md", "OPERATIONS.md", "PROTOCOL.md"):
        named = {n.rsplit("/", 1)[-1] for n in CODE.findall((ROOT / "docs" / page).read_text()) if is_test(n)}
        assert not named - THERE, page

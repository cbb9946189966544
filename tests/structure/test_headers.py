"""The headers of the core: each compiles alone, in C and in C++, and explains what it declares."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEADERS = sorted((ROOT / "include" / "p2p").glob("*.h"))
INTERNAL = sorted((ROOT / "src").rglob("*.h"))
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", "-I", str(ROOT / "include")]
COMPILERS = {
    "c": ["gcc", "-std=c11", "-x", "c"],  # without _GNU_SOURCE: what a header needs it includes
    "c++": ["g++", "-std=c++11", "-x", "c++"],
}


def compiles(tmp_path, language, text):
    source = tmp_path / "alone.c"
    source.write_text(text + "int something;\n")
    done = subprocess.run(
        [*COMPILERS[language], *STRICT, str(source)], capture_output=True, text=True, check=False
    )  # fmt: skip
    return done.returncode == 0, done.stderr


def prototypes(text, names=r"\b(p2p_\w+)\s*\(", is_shared=False):
    """[(name, whether it has a comment)]: before it, in it or behind it. One comment may stand before
    a type and the function that takes it, without an empty line between them; with is_shared, before
    several functions."""
    text = re.sub(r"\\\n", " ", text)
    text = re.sub(r"^#.*\n", "", text, flags=re.M)
    text = re.sub(r"/\*.*?\*/", "\x01", text, flags=re.S)
    if 'extern "C"' in text:
        text = re.sub(r'^(extern "C" \{|\})$', "", text, flags=re.M)
    while re.search(r"\{[^{}]*\}", text):  # bodies of structs and enums
        text = re.sub(r"\{[^{}]*\}", "", text)
    found = []
    for paragraph in re.split(r"\n\s*\n", text):
        has_comment = False
        for words, behind in re.findall(r"([^;]*);([ \t]*\x01)?", paragraph):
            has_comment = has_comment or "\x01" in words
            name = re.search(names, words)
            if name and "typedef" not in words:
                found.append((name[1], has_comment or bool(behind)))
                has_comment = has_comment and is_shared
    return found


@pytest.mark.parametrize("language", COMPILERS)
@pytest.mark.parametrize("header", HEADERS, ids=lambda p: p.name)
def test_compiles_alone(tmp_path, header, language):
    good, why = compiles(tmp_path, language, f'#include "p2p/{header.name}"\n')
    assert good, why


@pytest.mark.parametrize("language", COMPILERS)
def test_the_check_sees_a_header_that_lacks_an_include(tmp_path, language):
    assert not compiles(tmp_path, language, "mode_t mode(void);\n")[0]


def test_all_together_in_any_order(tmp_path):
    names = [f'#include "p2p/{h.name}"\n' for h in HEADERS]
    for text in ("".join(names), "".join(reversed(names))):
        good, why = compiles(tmp_path, "c++", text)
        assert good, why


@pytest.mark.parametrize("header", HEADERS, ids=lambda p: p.name)
def test_functions_can_be_linked_from_cpp(header):
    text = header.read_text()
    assert 'extern "C" {' in text or not prototypes(text)


@pytest.mark.parametrize("header", HEADERS, ids=lambda p: p.name)
def test_every_function_has_a_comment(header):
    bare = [name for name, has_comment in prototypes(header.read_text()) if not has_comment]
    assert not bare, f"say what the signature cannot: {bare}"


@pytest.mark.parametrize("header", INTERNAL, ids=lambda p: str(p.relative_to(ROOT / "src")))
def test_every_internal_function_has_a_comment(header):
    """Here one comment may stand before a group of functions."""
    text = re.sub(r"^(S?TAILQ_HEAD|P2P_\w+_KIND)\(.*\);$", "", header.read_text(), flags=re.M)
    found = prototypes(text, r"^(?!.*=)[^(]*?(\w+)\s*\(", is_shared=True)
    bare = [name for name, has_comment in found if not has_comment]
    assert not bare, f"say what the signature cannot: {bare}"


def test_every_function_is_seen():
    """The reader of prototypes above finds those of the core."""
    seen = {name for header in HEADERS for name, _ in prototypes(header.read_text())}
    assert len(seen) > 300 and {"p2p_err_name", "p2p_log", "p2p_rank_name", "p2p_vault_look"} <= seen


def test_the_reader_of_prototypes():
    text = """
int p2p_a(void);
/* b */
int
p2p_b(void); int p2p_c(void); /* c */
/* what d takes */
struct p2p_x {
    int (*call)(void); /* not one */
};
typedef void p2p_visit(void *arg);
int p2p_d(struct p2p_x *x);
int p2p_e(void);

/* far away */

int p2p_f(void);
"""
    expected = {"p2p_a": False, "p2p_b": True, "p2p_c": True, "p2p_d": True, "p2p_e": False, "p2p_f": False}
    assert dict(prototypes(text)) == expected == dict(prototypes(f'extern "C" {{\n{text}\n}}'))

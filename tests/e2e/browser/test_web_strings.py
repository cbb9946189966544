"""The dashboard's files, checked without a browser: strings, size, nothing from other hosts."""

import gzip
import json
import re

import pytest

from page import ROOT

WEB = ROOT / "web"
PLURAL = re.compile(r"_(zero|one|two|few|many|other)$")  # but err.too_many is a code
LANGUAGES = sorted(p.stem for p in (WEB / "i18n").glob("*.json"))
LATER = WEB / "i18n" / "later"
SCRIPTS = sorted((WEB / "js").rglob("*.js"))


def no_repeats(pairs):
    names = [name for name, _ in pairs]
    assert len(names) == len(set(names)), sorted(n for n in names if names.count(n) > 1)
    return dict(pairs)


def strings(language):
    """Those of the first visit, and those of the modules that are loaded later."""
    first, later = (
        json.loads(path.read_text(), object_pairs_hook=no_repeats)
        for path in (WEB / "i18n" / f"{language}.json", LATER / f"{language}.json")
    )
    assert not first.keys() & later.keys()
    return first | later


def base(key):
    return key if key.startswith("err.") else PLURAL.sub("", key)


def bases(language):
    return {base(key) for key in strings(language)}


def holes(text):
    return set(re.findall(r"\{\w+\}", text))


def test_the_six_languages():
    assert LANGUAGES == ["ar", "de", "en", "es", "fr", "zh"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_key_is_missing_or_left_over(language):
    assert bases(language) == bases("en")
    assert all(value.strip() for value in strings(language).values())


@pytest.mark.parametrize("language", LANGUAGES)
def test_placeholders_are_those_of_english(language):
    english = {base(key): holes(value) for key, value in strings("en").items()}
    for key, value in strings(language).items():
        # "one file" needs no number
        assert holes(value) | {"{n}"} == english[base(key)] | {"{n}"}, (key, value)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_plural_has_a_form_for_the_rest(language):
    keys = strings(language).keys()
    for plural in {base(k) for k in keys if base(k) != k}:
        assert f"{plural}_other" in keys


def test_every_string_the_scripts_ask_for_exists():
    known = bases("en")
    asked = set()
    for script in SCRIPTS:
        asked |= set(re.findall(r"\bt\('([^']+)'", script.read_text()))
    assert len(asked) > 100
    assert asked - known == set()


def test_every_code_of_the_interface_families_has_a_text():
    """States and reasons of docs/openapi.yaml for which the page builds the key of a text."""
    import yaml

    schemas = yaml.safe_load((ROOT / "docs" / "openapi.yaml").read_text())["components"]["schemas"]
    transfer = schemas["Transfer"]["properties"]
    peer = schemas["Peer"]["properties"]
    families = {
        "st.": transfer["state"]["enum"],
        "why.": [code for code in transfer["error_code"]["enum"] if code],
        "src.": transfer["sources"]["items"]["properties"]["state"]["enum"],
        "prio.": schemas["Priority"]["enum"],
        "trust.": peer["trust"]["enum"],
        "by.": peer["found_by"]["enum"],
        "device.": schemas["Device"]["properties"]["kind"]["enum"],
    }
    texts = bases("en")
    texts |= {"why." + key.removeprefix("err.") for key in texts if key.startswith("err.")}  # reason() in transfers.js
    wanted = {prefix + name for prefix, names in families.items() for name in names}
    assert wanted - texts == set()


def test_no_markup_is_made_from_text():
    forbidden = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|setAttribute\('style'")
    for script in SCRIPTS:
        assert not forbidden.search(script.read_text()), script.name


def test_nothing_comes_from_another_host_and_nothing_is_inline():
    for path in WEB.rglob("*"):
        if path.suffix in (".html", ".css", ".js", ".webmanifest"):
            hosts = set(re.findall(r"""https?://[^\s'"`)<]+""", path.read_text())) - {"http://www.w3.org/2000/svg", "http://localhost:8000"}
            assert not hosts, (path.name, hosts)
    page = (WEB / "index.html").read_text()
    assert not re.search(r"<style|\son\w+=|\sstyle=|<script(?![^>]*\bsrc=)", page)


GUESTS = WEB / "link"


HEADERS = 700  # of one answer, generously


def loaded_at_once(script, seen):
    """A script, and those that it imports; what import() loads comes later."""
    if script in seen:
        return seen
    seen.add(script)
    for name in re.findall(r"""^import\b[^;]*?['"](\.[^'"]+)['"];""", script.read_text(), re.MULTILINE):
        loaded_at_once((script.parent / name).resolve(), seen)
    return seen


def test_one_visit_stays_small():
    """Everything a browser loads for the English page, as p2p-ui sends it; installing it adds two pictures."""
    scripts = loaded_at_once(WEB / "js" / "main.js", set())
    later = set(SCRIPTS) - scripts
    assert {p.name for p in later} >= {"history.js", "viewer.js", "resume.js", "watch.js", "swarm.js"} and len(scripts) > 20
    left_out = {f"{language}.json" for language in LANGUAGES if language != "en"} | {"icon-192.png", "icon-512.png"}
    files = [p for p in WEB.rglob("*") if p.is_file() and p.suffix != ".gz" and p.name not in left_out and p not in later]
    files = [p for p in files if LATER not in p.parents and GUESTS not in p.parents]  # a page of its own
    size = sum(HEADERS + min(len(gzip.compress(p.read_bytes(), 9)), p.stat().st_size) for p in files)
    assert size < 100 * 1024, size


# ---- the page of links (web/link): one language is loaded ----

LINK = WEB / "link"
TEXT = re.compile(r'^  (\w+): ("(?:[^"\\]|\\.)*"),$', re.M)


def link_texts(language):
    return no_repeats([(key, json.loads(text)) for key, text in TEXT.findall((LINK / f"{language}.js").read_text())])


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_of_links_has_every_text(language):
    script = "".join((LINK / f"{part}.js").read_text() for part in ("link", "get", "put"))
    assert f'"{language}"' in re.search(r"LANGUAGES = \[(.*)\]", script)[1]
    english, texts = link_texts("en"), link_texts(language)
    assert list(texts) == list(english) and all(texts.values())
    for key, text in texts.items():
        assert sorted(re.findall(r"\{\d\}", text)) == sorted(re.findall(r"\{\d\}", english[key])), key
    assert [key for key in english if f'"{key}"' not in script] == []


@pytest.mark.parametrize("part", ["get", "put"])  # a browser loads one of them
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_of_links_is_small(language, part):
    loaded = [LINK / name for name in ("index.html", "link.css", "link.js", f"{part}.js", f"{language}.js")]
    assert sum(path.stat().st_size for path in loaded) <= 40 * 1024

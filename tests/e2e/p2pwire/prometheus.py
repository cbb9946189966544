"""Prometheus' text format 0.0.4, read as strictly as `promtool check metrics` reads it."""

import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? (\S+)")
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("", "_sum", "_count")}


class Family:
    def __init__(self, name, help):
        self.name, self.help, self.type, self.samples = name, help, None, {}

    @property
    def value(self):
        """Of a family with one sample."""
        (value,) = self.samples.values()
        return value


def _add_sample(family, line):
    match = SAMPLE.fullmatch(line)
    assert match, f"not a sample: {line!r}"
    name = match.group(1)
    labels = tuple(sorted((k, v) for k, v in re.findall(LABEL, match.group(2) or "")))
    assert name in [family.name + suffix for suffix in SUFFIXES.get(family.type, ("",))], f"{line!r} within {family.name}"
    assert len({k for k, _ in labels}) == len(labels), f"a label twice: {line!r}"
    assert (name, labels) not in family.samples, f"a sample twice: {line!r}"
    family.samples[name, labels] = float(match.group(match.lastindex))


def _check_histogram(family):
    series = {}
    for (name, labels), value in family.samples.items():
        if name.endswith("_bucket"):
            rest = tuple(pair for pair in labels if pair[0] != "le")
            series.setdefault(rest, []).append((float(dict(labels)["le"].replace("+Inf", "inf")), value))
    for rest, buckets in series.items():
        values = [value for _, value in buckets]
        assert buckets == sorted(buckets) and values == sorted(values), f"{family.name} {rest}: not cumulative"
        assert buckets[-1][0] == float("inf"), f"{family.name} {rest}: no +Inf"
        assert buckets[-1][1] == family.samples[family.name + "_count", rest], family.name


def parse(text):
    """{name: Family}; raises AssertionError for everything that promtool would report."""
    assert text.endswith("\n"), "the last line has no end"
    families, family = {}, None
    for line in text.splitlines():
        kind, name, rest = (line.split(" ", 3) + ["", "", ""])[1:4] if line.startswith("# ") else ("", "", "")
        if kind == "HELP":
            assert name not in families and rest, f"{line!r}: twice, or empty"
            family = families[name] = Family(name, rest)
        elif kind == "TYPE":
            assert family and family.name == name and family.type is None and not family.samples, line
            assert rest in ("gauge", "counter", "histogram"), line
            family.type = rest
            assert name.endswith("_total") == (rest == "counter"), f"{name} is a {rest}"
        else:
            assert family and family.type, f"{line!r} before its HELP and TYPE"
            _add_sample(family, line)
    for family in families.values():
        assert family.samples, f"{family.name} has no sample"
        if family.type == "histogram":
            _check_histogram(family)
    return families

"""For all tests in Python: the ids of failed tests in a file, so that a script can run just these, and
how long each file takes, so that several processes begin with the longest."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SECONDS = ROOT / "tests" / "seconds.json"
UNKNOWN_S = 60  # of a file that is not listed: early rather than last


def pytest_addoption(parser):
    parser.addoption("--failed-to", metavar="FILE", help="write the ids of failed tests to FILE, one per line")
    parser.addoption("--no-skips", action="store_true", help="a test that is skipped has failed")
    parser.addoption("--seconds-to", metavar="FILE", help="write how long each file took to FILE (tests/seconds.json)")


@pytest.hookimpl
def pytest_configure(config):
    if hasattr(config, "workerinput"):
        return  # the controller hears of every worker's tests
    if path := config.getoption("--failed-to"):
        config.pluginmanager.register(FailedTests(path))
    if path := config.getoption("--seconds-to"):
        config.pluginmanager.register(Seconds(path))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """For tests that are run again: what was not tried has not passed."""
    report = (yield).get_result()
    if report.skipped and item.config.getoption("--no-skips"):
        report.outcome = "failed"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """With `pytest -n N --dist loadgroup`, the groups that take longest go first: so no process is left
    alone with one of them at the end."""
    if not hasattr(config, "workerinput"):
        return
    known = json.loads(SECONDS.read_text())
    files = {(group_of(item), str(item.path.relative_to(ROOT))) for item in items}
    length = Counter()
    for group, file in files:
        length[group] += known.get(file, UNKNOWN_S)
    items.sort(key=lambda item: (-length[group_of(item)], group_of(item)))


def group_of(item):
    marker = item.get_closest_marker("xdist_group")
    return marker.args[0] if marker else item.path.stem


class Seconds:
    def __init__(self, path):
        self.path, self.files = path, Counter()

    def pytest_runtest_logreport(self, report):
        self.files["tests/" + report.nodeid.split("::")[0].removeprefix("tests/")] += report.duration

    def pytest_sessionfinish(self):
        rows = {file: max(1, round(seconds)) for file, seconds in self.files.most_common()}
        Path(self.path).write_text(json.dumps(rows, indent=1) + "\n")


class FailedTests:
    def __init__(self, path):
        self.path = path
        open(path, "w").close()

    def pytest_runtest_logreport(self, report):
        if report.failed:
            with open(self.path, "a") as out:
                # With `--dist loadgroup` an id ends in "@group", which pytest does not take back.
                out.write(re.sub(r"@[^@\]]*$", "", report.nodeid) + "\n")

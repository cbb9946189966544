"""For all tests in Python: the ids of failed tests in a file, so that a script can run just these."""

import re

import pytest


def pytest_addoption(parser):
    parser.addoption("--failed-to", metavar="FILE", help="write the ids of failed tests to FILE, one per line")


@pytest.hookimpl
def pytest_configure(config):
    path = config.getoption("--failed-to")
    if path and not hasattr(config, "workerinput"):  # the controller hears of every worker's tests
        config.pluginmanager.register(FailedTests(path))


class FailedTests:
    def __init__(self, path):
        self.path = path
        open(path, "w").close()

    def pytest_runtest_logreport(self, report):
        if report.failed:
            with open(self.path, "a") as out:
                # With `--dist loadgroup` an id ends in "@group", which pytest does not take back.
                out.write(re.sub(r"@[^@\]]*$", "", report.nodeid) + "\n")

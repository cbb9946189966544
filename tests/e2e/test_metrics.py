"""GET /metrics of the HTTP daemons and the counters of p2p-peer: Prometheus can read them, and docs/OPERATIONS.md
lists them.
"""

import re
import shutil
import subprocess

import pytest

from conftest import ROOT, wait_until
from p2pwire import keys, prometheus
from p2pwire.web import Registry

A = keys.Identity()
ROW = re.compile(r"^\| `(p2p_\w+)` \| (gauge|counter|histogram) \| (.+) \|$", re.M)


def documented():
    """{name: type} of the tables in docs/OPERATIONS.md."""
    rows = ROW.findall((ROOT / "docs" / "OPERATIONS.md").read_text())
    assert len(rows) == len({name for name, _, _ in rows}), "a name twice"
    return {name: kind for name, kind, _ in rows}


def metrics(daemon):
    answer = daemon.request("GET", "/metrics")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return judged(answer.text)


def judged(text):
    """Parsed; where Prometheus is installed, its own tool finds nothing to say about it."""
    if shutil.which("promtool"):
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return prometheus.parse(text)


def test_all_metrics_are_documented_and_none_is_missing(suite):
    registry = suite.discovery("--store", "redis://127.0.0.1:9/0")
    peer = suite.peer(discovery=registry)
    ui = suite.ui(discovery=registry, peer=peer)
    relay = suite.relay()
    printed = {**metrics(registry.registry), **metrics(ui.api), **metrics(Registry(f"http://127.0.0.1:{relay.admin_port}"))}
    assert {name: family.type for name, family in printed.items()} == documented()
    assert judged(suite.p2p("status", "--metrics", "--keys-dir", peer.folder / "keys", check=True).stdout)


def test_counters_count(suite):
    registry = suite.discovery().registry
    before = metrics(registry)
    registry.register(A, 9000, ["one", "two"])
    registry.get("/nothing")
    after = metrics(registry)
    assert after["p2p_discovery_peers"].value == 1 and after["p2p_discovery_postings"].value == 2
    assert after["p2p_discovery_changes_total"].value > before["p2p_discovery_changes_total"].value
    assert after["p2p_http_requests_total"].value == before["p2p_http_requests_total"].value + 3
    answers = {labels: value for (_, labels), value in after["p2p_http_answers_total"].samples.items()}
    assert answers[(("status", "4xx"),)] == 1 and answers[(("status", "2xx"),)] >= 2


GOOD = "# HELP a Text.\n# TYPE a gauge\na 1\n"


@pytest.mark.parametrize(
    "text",
    [
        GOOD[:-1],
        GOOD + GOOD,
        GOOD + "a 2\n",
        GOOD + 'a{x="1",x="2"} 2\n',
        GOOD + "b 2\n",
        GOOD.replace("gauge", "counter"),
        GOOD.replace("a 1", "a one"),
        GOOD.replace("a 1", "a{x=1} 1"),
        GOOD.replace("a 1", "a-b 1"),
        "a 1\n",
        '# HELP h H.\n# TYPE h histogram\nh_bucket{le="1"} 5\nh_bucket{le="+Inf"} 4\nh_sum 1\nh_count 4\n',
        '# HELP h H.\n# TYPE h histogram\nh_bucket{le="1"} 4\nh_sum 1\nh_count 4\n',
    ],
)
def test_the_parser_is_strict(text):
    prometheus.parse(GOOD)
    with pytest.raises((AssertionError, ValueError)):
        prometheus.parse(text)

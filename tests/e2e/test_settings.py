"""Settings: a setting that can have no effect is refused at start, with its name and place."""

import random
import re
import subprocess

import pytest

from conftest import BIN, ROOT, Program, Refused1, wait_until
from p2pwire.web import Dashboard

DAEMONS = ["p2p-peer", "p2p-ui", "p2p-discovery", "p2p-relay"]
COMMANDS = [
    name
    for name in re.findall(r'^    \{"([a-z]+)", cmd_', (ROOT / "src" / "cli" / "main.c").read_text(), re.M)
    if name != "complete"  # takes no settings
]


def run(tmp_path, words, env=None):
    """A start that must fail, because a serving program would not end."""
    return subprocess.run(
        [BIN / words[0], *words[1:]],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **(env or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def refused(result, *texts):
    assert result.returncode == 2, result
    assert "ready" not in result.stdout
    for text in texts:
        assert text in result.stderr, result.stderr
    # A wrong option is reported to the person who typed it, not to a log.
    assert not re.match(r"\d{4}-\d\d-\d\d", result.stderr)


def listed(words, flags=False):
    text = run("/", [*words, "--help"]).stdout
    return set(re.findall(r"^  --([a-z0-9-]+)(?=  |$)" if flags else r"^  --([a-z0-9-]+)", text, re.M)) - {"help", "version", "config"}


def test_all_programs_know_each_others_settings():
    daemons = set().union(*(listed([p]) for p in DAEMONS))
    commands = set().union(*(listed(["p2p", c]) for c in COMMANDS))
    source = (ROOT / "src" / "core" / "program" / "options_known.c").read_text()
    assert set(re.findall(r'"([a-z]+)"', source.split("commands[] = {")[1].split("}")[0])) == set(COMMANDS)
    rows = dict(re.findall(r'^    \{"([a-z0-9-]+)", ([A-Z| ]+)\},', source, re.M))
    assert {name for name, of in rows.items() if "DAEMONS" in of} == daemons
    assert {name for name, of in rows.items() if "COMMANDS" in of} == commands
    flags = set().union(*(listed(w, flags=True) for w in [[d] for d in DAEMONS] + [["p2p", c] for c in COMMANDS]))
    assert {name for name, of in rows.items() if "FLAG" in of} == flags


@pytest.mark.parametrize("program", DAEMONS)
@pytest.mark.parametrize(
    "text, named",
    [
        ("\nrequre-pairing = yes\n", "c:2: unknown setting requre-pairing; did you mean require-pairing?"),
        ("PORT = 1\n", "c:1: unknown setting PORT; did you mean port?"),
        ("--port = 1\n", "c:1: unknown setting --port; did you mean port?"),
        ("port\u00a0= 1\n", "c:1: unknown setting port"),
        ("colour = blue\n", "c:1: unknown setting colour; --help lists the settings"),
        ("[ui]\nport = 1\n", "c:1: unknown section [ui]"),
        ("[p2p_ui]\n", "did you mean [p2p-ui]?"),
        ("[P2P-UI]\n", "did you mean [p2p-ui]?"),
        ("config = other\n", "c:1: config has no effect in a file"),
        ("host =\u00a0::1\n", "c:1: host: the value begins or ends with a special space"),
        ("port: 1\n", "c:1: invalid line"),
    ],
)
def test_a_file_with_a_setting_of_nobody(tmp_path, program, text, named):
    (tmp_path / "c").write_text(text)
    refused(run(tmp_path, [program, "--config", "c"]), named)


def test_sections_of_a_command(tmp_path):
    (tmp_path / "c").write_text("[p2p]\nrequire-pairing = yes\n")
    refused(run(tmp_path, ["p2p", "id", "--config", "c"]), "c:2: unknown setting require-pairing")
    (tmp_path / "c").write_text("[p2p get]\nlimit = 1\n")
    refused(run(tmp_path, ["p2p", "get", "x", "--config", "c"]), "c:2: unknown setting limit")
    (tmp_path / "c").write_text("require-pairing = yes\n[p2p]\nlimit = 1\n[p2p get]\nlimit = 1\n[p2p-ui]\nport = 1\n")
    assert run(tmp_path, ["p2p", "id", "--config", "c"]).returncode == 0


def test_a_byte_order_mark_is_skipped(tmp_path):
    (tmp_path / "c").write_bytes(b"\xef\xbb\xbfport = x\n")
    refused(run(tmp_path, ["p2p-ui", "--config", "c"]), "c:1: port x: use a number")


@pytest.mark.parametrize(
    "variable, right",
    [("P2P_REQURE_PAIRING", "P2P_REQUIRE_PAIRING"), ("P2P_Port", "P2P_PORT"), ("P2P_NO_PORTS", None)],
)
def test_a_variable_that_is_nearly_one(tmp_path, variable, right):
    result = run(tmp_path, ["p2p-ui", "--port", "x"], {variable: "1"})
    if right:
        refused(run(tmp_path, ["p2p-ui"], {variable: "1"}), f"unknown variable {variable}; did you mean {right}?")
    else:
        refused(result, "--port x")


@pytest.mark.parametrize(
    "words, named",
    [
        (["p2p-ui", "--allow-host", "http://files.example"], '--allow-host "http://files.example": give the host'),
        (["p2p-ui", "--allow-host", "*.example"], '--allow-host "*.example": patterns are not supported'),
        (["p2p-ui", "--trusted-proxy", "localhost"], "--trusted-proxy"),
        (["p2p-discovery", "--trusted-proxy", "[::1]"], "--trusted-proxy"),
        (["p2p-ui", "--port", "many"], "invalid --port many: use a number from 0 to 65535"),
        (["p2p-ui", "--prot", "1"], "unknown option --prot; did you mean --port?"),
        (["p2p-peer", "--require-pairing"], "unknown option --require-pairing; --help lists"),
        (["p2p-peer", "--mdns=perhaps"], "invalid --mdns perhaps: use yes or no"),
        (["p2p-peer", "more"], "unexpected argument more"),
        (["p2p-ui", "more"], "unexpected argument more"),
        (["p2p-discovery", "more"], "unexpected argument more"),
    ],
)
def test_an_option_that_could_do_nothing(tmp_path, words, named):
    refused(run(tmp_path, words), named)


def test_a_flag_is_turned_off_in_each_place(tmp_path):
    """An option of p2p key rotate: --json=perhaps shows which value was used."""
    (tmp_path / "c").write_text("no-mdns = perhaps\n")
    refused(run(tmp_path, ["p2p-peer", "--config", "c"]), "c:1: no-mdns perhaps: use yes or no")
    refused(run(tmp_path, ["p2p-peer"], {"P2P_NO_MDNS": "perhaps"}), "P2P_NO_MDNS perhaps: use yes or no")
    refused(run(tmp_path, ["p2p-peer"], {"P2P_NO_MDNS": "1", "P2P_MDNS": "1"}), "P2P_MDNS and P2P_NO_MDNS are both set")


# ---- Chunk sizes ----

KIB, MIB = 1024, 1024 * 1024


@pytest.mark.parametrize(
    "size, protocol_1, protocol_2",
    [
        ("256K", 256 * KIB, 256 * KIB),
        ("1M", MIB, MIB),
        ("2M", 2 * MIB, 2 * MIB),
        ("5M", 5 * MIB, 4 * MIB),
        ("10M", 10 * MIB, 8 * MIB),
        ("16M", 16 * MIB, 16 * MIB),
        ("16385", 16385, 16384),
    ],
)
def test_every_documented_chunk_size(suite, size, protocol_1, protocol_2):
    data = random.Random(1).randbytes(max(2 * protocol_1 + 12345, 100_000))
    peer = suite.peer("--no-mdns", "--chunk-size", size, files={"f": data, "empty": b"", "exact": bytes(protocol_1)})
    with peer.client1() as client:
        chunks = -(-len(data) // protocol_1)
        assert client.meta("f")[:3] == (len(data), protocol_1, chunks)
        assert client.meta("empty")[2] == 0 and client.meta("exact")[2] == 1
        last = chunks - 1
        assert client.chunk("f", 1) == data[protocol_1 : 2 * protocol_1]
        assert client.chunk("f", last) == data[last * protocol_1 :]
        with pytest.raises(Refused1):
            client.chunk("f", chunks)
    with peer.client() as client:
        assert client.meta("f").chunk_size == protocol_2
    said = f"chunk size: protocol 1 {protocol_1} bytes, protocol 2 {protocol_2} bytes"
    wait_until(lambda: said in peer.stderr(), what=said)
    for protocol in "1", "2":
        run = suite.get("f", peer, out=f"out{protocol}", more=["--protocol", protocol])
        assert run.returncode == 0, run.stderr
        assert (suite.folder / f"out{protocol}" / "f").read_bytes() == data


@pytest.mark.parametrize("size", ["16383", "17M", "0", "5.5M"])
def test_chunk_sizes_that_are_none(tmp_path, size):
    refused(run(tmp_path, ["p2p-peer", "--chunk-size", size]), f"invalid --chunk-size {size}: use a size")


def test_a_dashboard_works_without_a_registry(suite):
    """`p2p init` offers none as a registry, so every program has to accept it."""
    folder = suite.folder / "alone"
    for part in ("shared", "downloads"):
        (folder / part).mkdir(parents=True)
    words = ["--host", "127.0.0.1", "--port", 0, "--discovery", "none", "--web-dir", ROOT / "web"]
    for option in ("shared", "downloads", "keys"):
        words += [f"--{option}-dir", folder / option]
    ui = suite._keep(Program("p2p-ui", words, folder))
    token = (folder / "keys" / "owner.token").read_text().strip()
    assert Dashboard(ui.url, token=token).request("GET", "/api/peers").json()["discovery_reachable"] is False

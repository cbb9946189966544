"""Trust decides, count never does: pins, names with several contents, who is asked first."""

import pytest

from getting import CHUNK, DATA, assert_failed, assert_fetched
from p2pwire.server import Server


# --- one address, many spellings ------------------------------------------------------------


def get_from(suite, where):
    return suite.p2p(
        "get", "f.bin", "--from", where, "--discovery", "none", "--timeout", "3",
        "--output-dir", suite.folder / "out",
    )  # fmt: skip


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "[::ffff:127.0.0.1]", "[::FFFF:7f00:1]", "localhost", "LOCALHOST", "localhost.", "0.0.0.0"],
)
@pytest.mark.parametrize("met_as", ["127.0.0.1", "localhost"])
def test_no_spelling_avoids_the_key_that_is_remembered(suite, met_as, host):
    with Server({"f.bin": DATA}, chunk_size=CHUNK) as server:
        port = server.address[1]
        assert_fetched(suite, get_from(suite, f"{met_as}:{port}"))
    (suite.folder / "out" / "f.bin").unlink()
    with Server({"f.bin": DATA}, chunk_size=CHUNK, port=port) as impostor:
        assert_failed(suite, get_from(suite, f"{host}:{port}"), "key", "p2p peers trust")
        assert not impostor.requests
        suite.p2p("peers", "trust", impostor.identity.peer_id[:16], check=True)
        assert_fetched(suite, get_from(suite, f"{host}:{port}"))


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.0.0.01", "[::1%1]"])
def test_shorthands_of_addresses_are_refused(suite, host):
    run = get_from(suite, f"{host}:9000")
    assert run.returncode == 2, run.stderr
    assert host in run.stderr

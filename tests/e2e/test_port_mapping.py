"""p2p-peer asks its router for a port from outside: a real router (miniupnpd with nftables) in the world of
tests/net. A stranger's machine outside reaches the peer there, and the registry lists it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import Program, long_test, wait_until

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "net"))

import networld  # noqa: E402

RULES = """
table inet filter {
    chain miniupnpd { }
    chain prerouting_miniupnpd { type nat hook prerouting priority -100; }
    chain postrouting_miniupnpd { type nat hook postrouting priority 90; }
}
insert rule inet filter through iifname "wan" jump miniupnpd
"""
CONFIG = """
ext_ifname=wan
ext_ip={outside}
listening_ip=switch
enable_natpmp={natpmp}
enable_upnp={upnp}
secure_mode=yes
lease_file={folder}/leases
upnp_table_name=filter
upnp_nat_table_name=filter
upnp_forward_chain=miniupnpd
upnp_nat_chain=prerouting_miniupnpd
upnp_nat_postrouting_chain=postrouting_miniupnpd
uuid=00000000-0000-0000-0000-000000000001
allow 1024-65535 192.168.1.0/24 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
"""


@pytest.fixture(scope="module")
def here():
    if shutil.which("miniupnpd") is None:
        pytest.skip("miniupnpd is not installed")
    with pytest.MonkeyPatch.context() as patch:
        # miniupnpd refuses an outside address that no router on the Internet has.
        patch.setattr(networld, "PUBLIC_NET", "45.83.7")
        try:
            with networld.world(("port",), public=2) as made:
                yield made
        except networld.Unavailable as error:
            pytest.skip(str(error))


@pytest.fixture(params=["natpmp", pytest.param("upnp", marks=long_test)])
def router(request, here, tmp_path):
    home = here.homes[0]
    home.set_nat(home.nat)
    home.router.run("nft", "-f", "-", input=RULES)
    config = tmp_path / "miniupnpd.conf"
    knows = {name: "yes" if name == request.param else "no" for name in ("natpmp", "upnp")}
    config.write_text(CONFIG.format(outside=home.router.address, folder=tmp_path, **knows))
    process = subprocess.Popen(
        [*home.router.prefix, "miniupnpd", "-d", "-f", config, "-P", tmp_path / "pid"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    yield home
    process.terminate()
    process.communicate(timeout=30)


def test_a_port_is_mapped_listed_and_ended(suite, here, router):
    registry = suite.discovery(host="0.0.0.0", prefix=here.public[0].prefix)
    url = f"http://{here.public[0].address}:{registry.port}"
    folder = suite.folder / "far"
    (folder / "shared").mkdir(parents=True)
    words = [
        "--host", "0.0.0.0", "--port", 0, "--shared-dir", folder / "shared", "--keys-dir", folder / "keys",
        "--discovery", url, "--heartbeat", "2s", "--no-mdns",
    ]  # fmt: skip
    peer = suite._keep(Program("p2p-peer", words, folder, prefix=router.machine.prefix))
    rules = lambda: router.router.run("nft", "list", "ruleset").stdout  # noqa: E731
    listed = lambda: here.public[0].run("curl", "-s", "-m", "20", f"{url}/peers").stdout  # noqa: E731

    wait_until(lambda: "the router forwards a port" in peer.stderr(), 60, "the router's answer")
    assert f"192.168.1.5:{peer.port}" in rules()
    # The registry tries it, from the machine outside.
    wait_until(lambda: '"direct":"yes"' in listed(), 60, "the attempt to reach the peer")
    assert f'"ip":"{router.router.address}"' in listed()
    reached = here.public[1].run("bash", "-c", f"exec 3<>/dev/tcp/{router.router.address}/{peer.port}", check=False)
    assert reached.returncode == 0, reached.stderr
    peer.stop()
    wait_until(lambda: f"192.168.1.5:{peer.port}" not in rules(), 60, "the end of the mapping")

"""packaging/oci: the image's entry points, first without a container, then in an image that buildah
makes where it can."""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest
import requests

from conftest import BIN, ROOT, environment, long_test, wait_until

ENTRYPOINT = ROOT / "packaging" / "oci" / "entrypoint.sh"
PATIENCE_S = 90


class Node:
    """The entry point in a folder of its own, as the first process of a container would run it. Ports of
    the programs are free ones, found before."""

    def __init__(self, folder, *words, **more):
        self.folder = folder
        self.env = environment(folder)
        del self.env["P2P_HOME"]  # the folders of the image decide
        state = folder / "state"
        state.mkdir()
        self.env |= {
            "PATH": f"{BIN}:/usr/bin:/bin", "STATE_DIRECTORY": str(state), "CONFIGURATION_DIRECTORY": str(folder / "etc"),
            "P2P_WEB_DIR": str(ROOT / "web"), "P2P_HOST": "127.0.0.1", "P2P_DISCOVERY": "http://127.0.0.1:9", **more,
        }  # fmt: skip
        self.log = open(folder / "log", "wb")
        # A shell cannot trap what was ignored before, as SIGHUP is when the tests run with nohup.
        command = ["env", "--default-signal=HUP", ENTRYPOINT, *words]
        self.process = subprocess.Popen(command, cwd=folder, env=self.env, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def text(self):
        return (self.folder / "log").read_text(errors="replace")

    def port(self, program):
        return int(wait_until(lambda: re.search(rf"^ready {program} port=(\d+)", self.text(), re.M), PATIENCE_S, "ready")[1])

    def pid(self, name):
        """The process of this node that was started as `name`."""
        found = subprocess.run(["pgrep", "-P", str(self.process.pid), "-x", name], capture_output=True, text=True, check=False)
        return int(found.stdout.split()[0])

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(PATIENCE_S)
        finally:
            self.process.kill()
            self.log.close()


@pytest.fixture
def node(tmp_path):
    made = []

    def start(*words, **more):
        made.append(Node(tmp_path, *words, **more))
        return made[-1]

    yield start
    for one in made:
        one.end()


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@pytest.fixture
def free():
    """Variables that name ports; p2p-ui wants to know that of p2p-peer, so that 0 is none."""
    return {"P2P_UI_PORT": str(free_port()), "P2P_PEER_PORT": str(free_port())}


def test_a_node_is_peer_and_dashboard_with_one_identity(node, free):
    one = node("node", **free, P2P_PUBLISHED="nas.example:9090")
    one.port("p2p-peer")
    ui = one.port("p2p-ui")
    assert (one.folder / "state" / "keys" / "private_key.pem").exists()
    link = wait_until(lambda: re.search(r"http://nas\.example:9090(/open/\S+)", one.text()), PATIENCE_S, "the link")[1]
    opened = requests.get(f"http://127.0.0.1:{ui}{link}", headers={"Host": "nas.example:9090"}, allow_redirects=False, timeout=30)
    assert opened.status_code == 303
    assert one.end() == 0, one.text()


def test_a_node_stops_in_order(node, free, suite):
    """The peer leaves the registry at once, also when p2p-ui ends before it."""
    registry = suite.discovery()
    one = node("node", **free, P2P_DISCOVERY=registry.url)
    one.port("p2p-peer"), one.port("p2p-ui")
    wait_until(lambda: registry.registry.peers(), PATIENCE_S, "the registration")
    assert one.end() == 0, one.text()
    assert registry.registry.peers() == []


@pytest.mark.parametrize("program", ["p2p-peer", "p2p-ui"])
def test_a_node_ends_when_one_of_its_programs_does(node, free, program):
    """So that the container is started again."""
    one = node("node", **free)
    one.port("p2p-peer"), one.port("p2p-ui")
    os.kill(one.pid(program), signal.SIGKILL)
    assert one.process.wait(PATIENCE_S) != 0


def test_a_node_goes_on_after_a_reload(node, free):
    one = node("node", **free)
    one.port("p2p-peer"), one.port("p2p-ui")
    one.process.send_signal(signal.SIGHUP)
    one.process.send_signal(signal.SIGHUP)
    wait_until(lambda: one.text().count("settings:") >= 2, PATIENCE_S, "the reload")
    assert one.process.poll() is None
    assert one.end() == 0, one.text()


@pytest.mark.parametrize("words", [("p2p-discovery", "--port", "0"), ("p2p", "--version")], ids=repr)
def test_other_entry_points_are_the_programs(node, words):
    one = node(*words)
    if words[0] == "p2p":
        assert one.process.wait(PATIENCE_S) == 0 and one.text().startswith("p2p ")
    else:
        port = one.port(words[0])
        assert requests.get(f"http://127.0.0.1:{port}/health", timeout=30).status_code == 200


def test_unknown_entry_points_are_refused(node):
    one = node("sh", "-c", "echo x")
    assert one.process.wait(PATIENCE_S) == 2 and "not an entry point" in one.text()


def test_health_follows_the_program(node, tmp_path_factory):
    """In a process namespace of its own, as in a container."""
    if subprocess.run(["unshare", "-pf", "--mount-proc", "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no process namespace here")
    script = f"""
        {ENTRYPOINT} p2p-discovery --port 0 >ready &
        pid=$!
        {ENTRYPOINT} health && echo healthy before it listens >&2
        i=0; while ! grep -q ^ready ready; do i=$((i + 1)); [ $i -lt 600 ] || exit 3; sleep 0.1; done
        export P2P_PORT=$(sed 's/.*port=//' ready)
        {ENTRYPOINT} health || exit 4
        P2P_PORT=9 {ENTRYPOINT} health && exit 5
        kill $pid; wait $pid
        {ENTRYPOINT} health && exit 6
        exit 0
    """
    folder = tmp_path_factory.mktemp("health")
    env = {**environment(folder), "PATH": f"{BIN}:/usr/bin:/bin", "P2P_HOST": "127.0.0.1"}
    done = subprocess.run(["unshare", "-pf", "--mount-proc", "bash", "-c", script], cwd=folder, env=env, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, f"{done.returncode}: {done.stderr}"


# ---- the image

# Runs the image in namespaces of its own: with its user, its variables and its entry point, and with a root
# that cannot be written to. Only the volume and /tmp can. The programs of this machine outside of it ask.
IN_THE_IMAGE = r"""
root=$1 user=$2 state=$3; shift 3
mount --make-rprivate / && mount --bind "$root" "$root" && mount -o remount,bind,ro "$root"
mount -t proc proc "$root/proc"; mount -t tmpfs -o mode=1777 none "$root/tmp"; mount --rbind /dev "$root/dev"
ip link set lo up
start() { # VOLUME, NAME=VALUE..., COMMAND: in place of the shell that calls this
    local volume=$state/$1; shift
    mkdir -p "$volume"; chown "$user" "$volume"
    exec unshare -m sh -euc 'mount --bind "$1" "$2/var/lib/p2p"; root=$2 user=$3; shift 3
        exec chroot --userspec="$user" --groups= "$root" "$@"' sh "$volume" "$root" "$user" env -i "${environment[@]}" "$@"
}
box() { (start "$@"); }
environment=("$@")
until_ready() {
    local i=0
    while ! grep -q "^ready $2" "$state/$1"; do i=$((i + 1)); [ $i -lt 600 ] || { cat "$state/$1" >&2; exit 1; }; sleep 0.2; done
}
check() { "$@" || { echo "failed: $*" >&2; cat "$state"/*.log >&2; exit 1; }; }
refuse() { if "$@" 2>/dev/null; then echo "not refused: $*" >&2; exit 1; fi; }

refuse box node HEALTH
refuse box node touch /usr/bin/x
refuse box node touch /x
check box node touch /var/lib/p2p/x
check [ "$(box node id -u)" = "${user%:*}" ]

(start registry ENTRY p2p-discovery) >"$state/registry.log" 2>&1 & registry=$!
until_ready registry.log p2p-discovery
(start node P2P_DISCOVERY=http://127.0.0.1:8000 P2P_PUBLISHED=nas.example:9090 ENTRY CMD) >"$state/node.log" 2>&1 & node=$!
until_ready node.log p2p-peer; until_ready node.log p2p-ui
check box node HEALTH
link=$(sed -n 's|.*http://nas.example:9090\(/open/[^ ]*\) .*|\1|p' "$state/node.log")
check [ "$(curl -s -o /dev/null -w '%{http_code}' -H 'Host: nas.example:9090' "http://127.0.0.1:8080$link")" = 303 ]
echo hello >"$state/node/shared/letter.txt"
check box other P2P_DISCOVERY=http://127.0.0.1:8000 ENTRY p2p status >/dev/null
i=0
until box other P2P_DISCOVERY=http://127.0.0.1:8000 ENTRY p2p get letter.txt --no-mdns 2>"$state/get.log"; do
    i=$((i + 1)); check [ $i -lt 120 ]; sleep 0.5
done
check [ "$(cat "$state/other/downloads/letter.txt")" = hello ]
kill -TERM $node; wait $node
kill -TERM $registry; wait $registry

(start alone P2P_DISCOVERY=http://127.0.0.1:9 ENTRY p2p-peer) >"$state/peer.log" 2>&1 & peer=$!
until_ready peer.log p2p-peer
check box alone HEALTH
(start dashboard P2P_DISCOVERY=http://127.0.0.1:9 ENTRY p2p-ui) >"$state/ui.log" 2>&1 & ui=$!
until_ready ui.log p2p-ui
check box dashboard HEALTH
kill -KILL $ui; wait $ui || true
kill -TERM $peer; wait $peer
refuse box alone HEALTH
grep -h "sandbox=" "$state"/*.log
"""


def run_the_image(root, config, state):
    """Its entry points, as `podman run --read-only` would run them."""
    words = {
        "HEALTH": config["Healthcheck"]["Test"][1:], "ENTRY": config["Entrypoint"], "CMD": config["Cmd"],
    }  # fmt: skip
    script = IN_THE_IMAGE
    for name, command in words.items():
        script = re.sub(rf"\b{name}\b", shlex.join(command), script)
    done = subprocess.run(
        ["unshare", "-mpfn", "bash", "-uec", script, "bash", root, config["User"], state, *config["Env"]],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def base_of(buildah, folder):
    """A base image made by mmdebstrap, where no registry can be reached. P2P_CHROOTS keeps it."""
    tar = folder / "image-base.tar"
    if shutil.which("mmdebstrap") is None:
        pytest.skip("no registry can be reached, and mmdebstrap is not installed")
    if not tar.exists():
        made = subprocess.run(["mmdebstrap", "--variant=minbase", "bookworm", tar], capture_output=True, text=True, check=False, timeout=3600)
        if made.returncode != 0:
            tar.unlink(missing_ok=True)
            pytest.skip(f"no base image: {made.stderr[-300:]}")
    container = buildah("from", "scratch").stdout.strip()
    if buildah("add", container, tar, "/", check=False).returncode != 0:
        pytest.skip("buildah cannot mount an image here")
    buildah("commit", container, "localhost/p2p-test-base")
    return "localhost/p2p-test-base"


@long_test
@pytest.mark.skipif(shutil.which("buildah") is None, reason="buildah is not installed")
@pytest.mark.skipif(os.geteuid() != 0, reason="buildah of a user needs namespaces and subuids")
def test_buildah_makes_the_image(tmp_path):
    """From the base of the Containerfile, or where no registry can be reached, from one of mmdebstrap."""
    store = ["buildah", f"--root={tmp_path}/store", f"--runroot={tmp_path}/run", "--storage-driver=vfs"]

    def buildah(*words, check=True):
        done = subprocess.run([*store, *map(str, words)], cwd=ROOT, capture_output=True, text=True, check=False, timeout=3600)
        assert not check or done.returncode == 0, done.stderr[-3000:]
        return done

    base = "docker.io/library/debian:12-slim"
    try:
        if buildah("pull", base, check=False).returncode != 0:
            base = base_of(buildah, Path(os.environ.get("P2P_CHROOTS") or tmp_path))
        if buildah("run", "--isolation=chroot", buildah("from", base).stdout.strip(), "true", check=False).returncode != 0:
            pytest.skip("buildah cannot run programs here")
        buildah("build", "--isolation=chroot", "--format=docker", f"--build-arg=BASE={base}", "-t", "p2p", "-f", ROOT / "packaging/oci/Containerfile", ".")
        config = json.loads(buildah("inspect", "--type=image", "p2p").stdout)["Docker"]["config"]
        assert config["User"] == "10001:10001" and "/var/lib/p2p" in config["Volumes"]
        container = buildah("from", "p2p").stdout.strip()
        said = buildah("run", "--isolation=chroot", container, "--", "/usr/bin/p2p-container", "p2p", "--version").stdout
        assert said.startswith("p2p ")
        (tmp_path / "state").mkdir()
        sandboxes = run_the_image(Path(buildah("mount", container).stdout.strip()), config, tmp_path / "state")
        assert sandboxes.count("sandbox=on") == 5 and sandboxes.count("uid=10001") == 5, sandboxes
    finally:
        buildah("rm", "--all", check=False)
        shutil.rmtree(tmp_path / "store", ignore_errors=True)

"""First contact with the dashboard is one command at most, however p2p-ui was started."""

import getpass
import os
import re
import shlex
import subprocess

import pytest
import requests

import carriers
from conftest import BIN, ROOT, bounded, environment, wait_until

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make the folders of a service")

# In a mount namespace of its own, so that /var/lib of this machine stays as it is.
SERVICE = """
mount --make-rprivate / && mount -t tmpfs none /var/lib || exit 77
mkdir -p /var/lib/p2p/keys && chown -R nobody /var/lib/p2p && chmod 700 /var/lib/p2p/keys
"$BIN/p2p-ui" --host 127.0.0.1 --port 0 --user nobody --keys-dir /var/lib/p2p/keys \
    --shared-dir /var/lib/p2p/shared --downloads-dir /var/lib/p2p/downloads --web-dir "$WEB" \
    --discovery http://127.0.0.1:9 >ready 2>log &
ui=$!
trap 'kill $ui; wait $ui' EXIT
i=0
while ! grep -q ^ready ready; do
    i=$((i + 1)); [ $i -lt 600 ] || { cat log >&2; exit 1; }
    sleep 0.1
done
"$BIN/p2p" ui --url "http://localhost:$(sed -n 's/.*port=//p' ready)"
echo
read -r _
"""


def assert_owner(link):
    """A browser without anything, of whatever user, is the owner's after it has opened the link."""
    browser = requests.Session()
    browser.trust_env = False
    base = re.match(r"https?://[^/]+", link)[0]
    assert browser.get(f"{base}/api/status", timeout=30).status_code in (401, 403, 200)
    assert browser.get(link, timeout=30).status_code == 200
    made = browser.post(f"{base}/api/owner/link", headers={"Sec-Fetch-Site": "same-origin", "Origin": base}, timeout=30)
    assert made.status_code == 200 and made.json()["url"].startswith("http"), made.text


@needs_root
def test_root_opens_the_dashboard_of_the_machines_service(tmp_path):
    """`sudo p2p ui` finds the service of the package, without any option for its keys."""
    env = {**environment(tmp_path), "BIN": str(BIN), "WEB": str(ROOT / "web")}
    process = bounded(subprocess.Popen(
        ["unshare", "-m", "sh", "-c", SERVICE], cwd=tmp_path, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    ))  # fmt: skip
    try:
        link = process.stdout.readline().strip()
        if not link:
            process.wait(60)
            if process.returncode in (1, 77) and "unshare" in (why := process.stderr.read()) or process.returncode == 77:
                pytest.skip("no mount namespace here")
            pytest.fail(why)
        assert_owner(link)
    finally:
        process.stdin.close()
        process.wait(60)


def test_without_a_service_root_is_told_what_to_do(suite):
    done = suite.p2p("ui")
    assert done.returncode != 0 and "owner.token" in done.stderr and "--keys-dir" in done.stderr


@needs_root
def test_a_daemon_that_root_started_and_a_browser_of_a_user(suite):
    """The link in the log is enough."""
    ui = suite.ui()
    link = wait_until(lambda: re.search(r"http://\S+", ui.stderr() + "\n".join(ui.lines)), 30, "a link")[0]
    made = suite.p2p("ui", "--url", ui.url, "--keys-dir", ui.folder / "keys", check=True).stdout.strip()
    assert link and made
    assert_owner(made)


def test_a_server_without_a_screen(suite, tmp_path):
    """As OPERATIONS.md says: `ssh -L 8080:localhost:8080 SERVER "p2p ui; cat"`. The near end of the tunnel is at another
    address of this machine."""
    command = re.search(r'`ssh -L 8080:localhost:8080 SERVER "(.*)"`', (ROOT / "docs" / "OPERATIONS.md").read_text())[1]
    ui = suite.ui()
    port = ui.url.rsplit(":", 1)[1]
    there = command.replace("p2p ui", shlex.join([str(BIN / "p2p"), "ui", "--url", ui.url, "--keys-dir", str(ui.folder / "keys")]))
    with carriers.ssh_server(tmp_path) as client:
        words = [str(w) for w in client if w != "-N"]
        ssh = bounded(subprocess.Popen(
            [*words, "-L", f"127.0.0.2:{port}:127.0.0.1:{port}", f"{getpass.getuser()}@127.0.0.1", there],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ))  # fmt: skip
        try:
            link = ssh.stdout.readline().strip()
            assert link.startswith("http://"), f"{link} {ssh.poll() and ssh.stderr.read()}"
            opened = requests.get(
                re.sub(r"//[^/]*", f"//127.0.0.2:{port}", link), headers={"Host": f"localhost:{port}"}, allow_redirects=False, timeout=30
            )  # fmt: skip
            assert opened.status_code == 303 and opened.headers["Set-Cookie"]
        finally:
            ssh.stdin.close()
            ssh.kill()
            ssh.wait()


def test_the_published_name_and_port_of_a_container(suite):
    """As with `-p 9090:8080`: the link in the log is the one that works outside."""
    ui = suite.ui("--published", "nas.example:9090", host="0.0.0.0")
    link = wait_until(lambda: re.search(r"http://nas\.example:9090(/open/\S+)", ui.stderr()), 60, "the link")[1]
    outside = {"Host": "nas.example:9090"}
    opened = requests.get(ui.url + link, headers=outside, allow_redirects=False, timeout=30)
    assert opened.status_code == 303 and opened.headers["Set-Cookie"]
    code = wait_until(lambda: re.search(r"to use another device, open (\S+) ", ui.stderr()), 60, "the code")[1]
    assert code.rstrip("/") == "http://nas.example:9090"
    assert requests.get(f"{ui.url}/health", headers={"Host": "other.example:9090"}, timeout=30).status_code == 421


@pytest.mark.parametrize("wrong", ["", ":80", "a b:80", "nas.example:0", "http://nas.example", "nas.example:99999"])
def test_a_wrong_published_name_is_refused(tmp_path, wrong):
    done = subprocess.run(
        [BIN / "p2p-ui", "--port", "0", "--published", wrong], cwd=tmp_path, env=environment(tmp_path),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2 and "--published" in done.stderr, done.stderr

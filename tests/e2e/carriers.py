"""Programs that forward connections: proxies, relays and tunnels on the machine of a dashboard."""

import contextlib
import shutil
import socket
import subprocess
import sys
import time

import pytest


def free_port():
    with socket.create_server(("0.0.0.0", 0)) as probe:
        return probe.getsockname()[1]


def need(program):
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
    return path or pytest.skip(f"{program} is not installed (scripts/deps.sh test)")


def listens(port, host="127.0.0.1"):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


@contextlib.contextmanager
def running(*command, folder, port=None, path=None, **kwargs):
    """Returns when it listens on the port, or its socket has the path. It runs in a new session."""
    log = folder / "carrier.log"
    with open(log, "ab") as out:
        process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                   start_new_session=True, **kwargs)  # fmt: skip
    try:
        end = time.monotonic() + 30
        while not (path.exists() if path else listens(port)):
            assert process.poll() is None and time.monotonic() < end, log.read_text(errors="replace")
            time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def nginx(folder, port, blocks, listen="0.0.0.0", tls=""):
    """nginx with these lines in its server block, as the user who runs the test."""
    prefix = folder / "nginx"
    prefix.mkdir()
    temp = "".join(f"{kind}_temp_path {prefix}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (prefix / "nginx.conf").write_text(
        f"user root; daemon off; pid {prefix}/pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {temp}\n{blocks} }}\n"
    )
    return running(need("nginx"), "-e", "stderr", "-p", prefix, "-c", prefix / "nginx.conf", port=port, folder=folder)


def haproxy(folder, port, text):
    (folder / "haproxy.cfg").write_text(text)
    return running(need("haproxy"), "-db", "-f", folder / "haproxy.cfg", port=port, folder=folder)


def caddy(folder, port, text):
    (folder / "Caddyfile").write_text(text)
    home = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "PATH": "/usr/bin:/bin"}
    command = [need("caddy"), "run", "--adapter", "caddyfile", "--config", folder / "Caddyfile"]
    return running(*command, port=port, folder=folder, env=home)


@contextlib.contextmanager
def ssh_server(folder):
    """A server on loopback that lets this user in; yields the words of a client's command."""
    sshd = need("sshd")
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    (folder / "authorized").write_text((folder / "user.pub").read_text())
    port = free_port()
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
        f"PidFile {folder}/sshd.pid\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nGatewayPorts yes\n"
        "AllowTcpForwarding yes\n"
    )
    if sys.platform == "linux":
        subprocess.run(["mkdir", "-p", "/run/sshd"], check=False)  # the folder in which its unprivileged part is confined
    client = ["ssh", "-F", "none", "-N", "-i", folder / "user", "-p", port, "-o", "BatchMode=yes",
              "-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={folder}/known",
              "-o", "ExitOnForwardFailure=yes"]  # fmt: skip
    with running(sshd, "-D", "-e", "-f", folder / "sshd_config", port=port, folder=folder):
        yield client

"""Small file systems of every kind for tests: an image in a file, mounted for as long as the test needs it."""

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

# kind: command that makes it, command that mounts it (IMAGE, DEVICE and PLACE are replaced), size in MiB
KINDS = {
    "exfat": ("mkfs.exfat IMAGE", "mount.exfat-fuse DEVICE PLACE", 48),
    "ntfs": ("mkfs.ntfs -F -Q IMAGE", "ntfs-3g -o windows_names IMAGE PLACE", 48),
    "vfat": ("mkfs.vfat -F 32 IMAGE", "mount -t vfat -o loop IMAGE PLACE", 48),
    "ext3": ("mkfs.ext3 -q -F -b 1024 IMAGE", "mount -t ext3 -o loop IMAGE PLACE", 64),
    "ext4": ("mkfs.ext4 -q -F IMAGE", "mount -t ext4 -o loop IMAGE PLACE", 64),
    "xfs": ("mkfs.xfs -q -f IMAGE", "mount -t xfs -o loop IMAGE PLACE", 320),
    "btrfs": ("mkfs.btrfs -q -f IMAGE", "mount -t btrfs -o loop IMAGE PLACE", 128),
}


def run(command, **words):
    parts = [str(words.get(word, word)) for word in command.split()]
    if shutil.which(parts[0]) is None:
        pytest.skip(f"{parts[0]} is not installed (scripts/deps.sh test)")
    return subprocess.run(parts, capture_output=True, text=True)


def unmount(place):
    """A file system in user space may still be busy for a moment after its last file was closed."""
    for _ in range(50):
        if subprocess.run(["umount", place], capture_output=True).returncode == 0:
            return
        time.sleep(0.1)
    subprocess.run(["umount", "-l", place], check=True)


@contextlib.contextmanager
def loop_device(image):
    result = run("losetup --find --show IMAGE", IMAGE=image)
    if result.returncode:
        pytest.skip(f"no loop device here: {result.stderr.strip()}")
    try:
        yield result.stdout.strip()
    finally:
        subprocess.run(["losetup", "--detach", result.stdout.strip()], check=True)


@contextlib.contextmanager
def mounted(kind, folder, mib=None):
    """The folder, with a new file system of this kind. Skips the test where the kernel lacks it."""
    make, mount, usual_mib = KINDS[kind]
    mib = mib or usual_mib
    image = folder.with_suffix(".img")
    folder.mkdir(parents=True)
    with open(image, "wb") as file:
        file.truncate(mib << 20)
    made = run(make, IMAGE=image)
    assert made.returncode == 0, made.stderr
    with contextlib.ExitStack() as stack:
        stack.callback(image.unlink)
        device = stack.enter_context(loop_device(image)) if "DEVICE" in mount else None
        result = run(mount, IMAGE=image, DEVICE=device, PLACE=folder)
        if result.returncode:
            pytest.skip(f"{kind} cannot be mounted here: {result.stderr.strip()}")
        stack.callback(unmount, folder)
        yield folder


@contextlib.contextmanager
def tmpfs(folder, options):
    folder.mkdir(parents=True)
    result = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True)
    if result.returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    try:
        yield folder
    finally:
        unmount(folder)


@contextlib.contextmanager
def overlay(folder):
    """A folder whose changes go into an upper layer. The lower one has `lower.txt` and the folder `d`."""
    layers = folder.with_name(folder.name + "-layers")
    for name in ("lower/d", "upper", "work"):
        (layers / name).mkdir(parents=True)
    (layers / "lower" / "lower.txt").write_bytes(b"lower")
    folder.mkdir(parents=True)
    with tmpfs(layers / "disk", "size=64m"):  # overlayfs does not accept an overlay as its upper layer
        for name in ("upper", "work"):
            (layers / "disk" / name).mkdir()
        options = f"lowerdir={layers}/lower,upperdir={layers}/disk/upper,workdir={layers}/disk/work"
        result = run("mount -t overlay overlay -o OPTIONS PLACE", OPTIONS=options, PLACE=folder)
        if result.returncode:
            pytest.skip(f"overlayfs cannot be mounted here: {result.stderr.strip()}")
        try:
            yield folder
        finally:
            unmount(folder)


@contextlib.contextmanager
def encrypted_view(plain, folder):
    """gocryptfs -reverse shows the files of `plain` encrypted. The kernel reports no changes there."""
    plain.mkdir()
    folder.mkdir(parents=True)
    if shutil.which("gocryptfs") is None:
        pytest.skip("gocryptfs is not installed (scripts/deps.sh test)")
    for words in (["-init", plain], [plain, folder]):
        command = ["gocryptfs", "-q", "-reverse", "-extpass", "echo test", *words]
        result = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
        if result.returncode:
            pytest.skip(f"gocryptfs cannot be mounted here: {(result.stderr or result.stdout).strip()[-200:]}")
    try:
        yield folder
    finally:
        unmount(folder)


@contextlib.contextmanager
def encrypted(kind, folder):
    """gocryptfs or encfs, file systems in user space that encrypt names: long ones do not fit."""
    store = folder.with_name(folder.name + "-store")
    store.mkdir()
    folder.mkdir(parents=True)
    commands = {
        "gocryptfs": [["-q", "-init", "-extpass", "echo test", store], ["-q", "-extpass", "echo test", store, folder]],
        "encfs": [["--standard", "--extpass=echo test", store, folder]],
    }[kind]
    if shutil.which(kind) is None:
        pytest.skip(f"{kind} is not installed (scripts/deps.sh test)")
    for command in commands:
        result = subprocess.run([kind, *command], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
        if result.returncode:
            pytest.skip(f"{kind} cannot be mounted here: {(result.stderr or result.stdout).strip()[-200:]}")
    try:
        yield folder
    finally:
        unmount(folder)


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def answers(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as sock:
        return sock.recv(4) == b"SSH-"
    return False


@contextlib.contextmanager
def ssh_server(folder):
    """An sshd of the test's own, with keys of its own: gives its port and the client's key."""
    sshd = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if sshd is None or shutil.which("ssh-keygen") is None:
        pytest.skip("openssh-server is not installed (scripts/deps.sh test)")
    folder.mkdir()
    folder.chmod(0o700)
    Path("/run/sshd").mkdir(exist_ok=True)  # sshd wants it, empty
    for name in ("host", "client"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    port = free_port()
    conf = folder / "sshd_config"
    conf.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\nUsePAM no\nStrictModes no\n"
        f"AuthorizedKeysFile {folder}/client.pub\nPermitRootLogin yes\nPasswordAuthentication no\n"
        "Subsystem sftp internal-sftp\n"
    )
    with open(folder / "sshd.log", "wb") as log:
        server = subprocess.Popen([sshd, "-D", "-e", "-f", conf], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        end = time.monotonic() + 60
        while not answers(port):
            if server.poll() is not None or time.monotonic() > end:
                pytest.skip(f"sshd does not run here: {(folder / 'sshd.log').read_text()[-300:]}")
            time.sleep(0.1)
        yield port, folder / "client"
    finally:
        server.terminate()
        server.wait(30)


@contextlib.contextmanager
def remote(kind, folder, cache="writes"):
    """A folder of another machine, as sshfs or `rclone mount` show it. Gives the mount and the folder over there."""
    there = folder.with_name(folder.name + "-there")
    there.mkdir()
    folder.mkdir(parents=True)
    if shutil.which(kind) is None:
        pytest.skip(f"{kind} is not installed (scripts/deps.sh test)")
    if not os.path.exists("/dev/fuse"):
        pytest.skip("no /dev/fuse here")
    with contextlib.ExitStack() as stack:
        if kind == "sshfs":
            port, key = stack.enter_context(ssh_server(folder.with_name(folder.name + "-ssh")))
            command = [
                "sshfs", "-p", str(port), "-o", f"IdentityFile={key},StrictHostKeyChecking=no",
                "-o", "UserKnownHostsFile=/dev/null,LogLevel=ERROR", f"{getpass.getuser()}@127.0.0.1:{there}", folder,
            ]  # fmt: skip
        else:
            command = [
                "rclone", "mount", f":local:{there}", folder, "--daemon", "--vfs-cache-mode", cache, "--dir-cache-time", "1s",
                "--config", "/dev/null", "--cache-dir", folder.with_name(folder.name + "-cache"),
            ]  # fmt: skip
        result = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120)
        if result.returncode:
            pytest.skip(f"{kind} cannot be mounted here: {(result.stderr or result.stdout).strip()[-200:]}")
        stack.callback(unmount, folder)
        yield folder, there

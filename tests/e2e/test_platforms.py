"""Other systems and machines, each in a chroot that mmdebstrap makes: Debian 12 and 13, 32 bits, arm64
and s390x under emulation; the packages from installation to purge; the headers of musl.

    P2P_LONG_TESTS=1           runs these
    P2P_CHROOTS=FOLDER         keeps the chroots there for the next run
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from conftest import ROOT, long_test

MIRROR = os.environ.get("P2P_DEBIAN_MIRROR", "http://deb.debian.org/debian")
MINUTES = 60

pytestmark = [
    long_test,
    pytest.mark.xdist_group("platforms"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can use chroots"),
    pytest.mark.skipif(shutil.which("mmdebstrap") is None, reason="mmdebstrap is not installed"),
]


def packages(name):
    """A list of scripts/deps.sh."""
    text = (ROOT / "scripts" / "deps.sh").read_text()
    return re.search(rf'^{name}="([^"]*)"', text, re.M)[1].split()


BUILD = [*packages("BUILD"), "libc6-dev", "libcmocka-dev", "ca-certificates"]


@pytest.fixture(scope="module")
def chroots(tmp_path_factory):
    return Path(os.environ.get("P2P_CHROOTS") or tmp_path_factory.mktemp("chroots"))


def chroot(chroots, name, suite, include, architectures="amd64"):
    root = chroots / name
    if root.exists():  # kept by P2P_CHROOTS, perhaps from before another package was needed
        inside(root, f"apt-get update -qq && apt-get install -qq -y --no-install-recommends {' '.join(include)}", network=True)
    else:
        made = subprocess.run(
            ["mmdebstrap", "--variant=minbase", "--skip=check/qemu", f"--architectures={architectures}",
             f"--include={','.join(include)}", suite, root, MIRROR],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if made.returncode != 0:
            shutil.rmtree(root, ignore_errors=True)
            pytest.skip(f"mmdebstrap: {made.stderr[-600:]}")
        (root / "etc" / "hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
    return root


def inside(root, script, network=False, check=True, minutes=MINUTES):
    """Runs a script there, with processes, mounts and (unless it has to install) a network of its own."""
    outer = (
        'mount --make-rprivate / && mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" &&'
        ' mount -t sysfs sys "$1/sys" 2>/dev/null; ip link set lo up 2>/dev/null; exec chroot "$1" sh -euc "$2"'
    )
    done = subprocess.run(
        ["unshare", "-mpf", *([] if network else ["-n"]), "sh", "-c", outer, "sh", root, script],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False, timeout=60 * minutes,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", "HOME": "/root"},
    )  # fmt: skip
    assert not check or done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done


def put_source(root):
    tarball = root / "p2p.tar.gz"
    subprocess.run([ROOT / "packaging" / "source-tarball.sh", tarball], check=True)
    inside(root, "rm -rf /p2p && mkdir /p2p && tar -xzf /p2p.tar.gz -C /p2p --strip-components=1")


CORES = os.cpu_count()
# A peer with one file over 4 GiB, and a download from it to the other folder.
TRANSFER = """
cd /p2p && rm -rf /t && mkdir -p /t/shared /t/c && export P2P_HOME=/t P2P_RUN_AS_ROOT=1
truncate -s {size} /t/shared/big && printf end >>/t/shared/big && head -c 3000000 /dev/urandom >/t/shared/small
{peer} --port 9100 --host 127.0.0.1 --shared-dir /t/shared --discovery http://127.0.0.1:9 --no-mdns >/t/ready 2>/t/log &
peer=$!
export P2P_HOME=/t/c
i=0; while ! {get} ls 127.0.0.1:9100 --discovery none --no-mdns 2>/dev/null | grep -q big; do
    i=$((i + 1)); [ $i -lt 600 ] || {{ cat /t/log; exit 1; }}; sleep 1
done
for name in small big; do
    {get} get $name --from 127.0.0.1:9100 --discovery none --no-mdns --output-dir /t/got --keep-free 0
    cmp /t/shared/$name /t/got/$name
done
kill $peer; wait $peer; rm -rf /t
"""


def transfer(size="4400M", peer="bin/p2p-peer", get="bin/p2p"):
    return TRANSFER.format(size=size, peer=peer, get=get)


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_debian(chroots, suite):
    """Without a warning, all unit tests, and README's first two commands."""
    root = chroot(chroots, f"{suite}-amd64", suite, [*BUILD, "curl"])
    put_source(root)
    built = inside(root, f"cd /p2p && make -s -j{CORES} all 2>&1").stdout
    assert "warning" not in built
    checked = inside(root, f"cd /p2p && make -k -s -j{CORES} -O check 2>&1", check=False)
    assert checked.returncode == 0, "\n".join(re.findall(r".*(?:FAILED|--- |Error).*", checked.stdout))
    inside(root, transfer("100M"))
    inside(
        root,
        """cd /p2p && export P2P_RUN_AS_ROOT=1
        scripts/run.sh >/tmp/run.log 2>&1 & run=$!
        i=0; while ! curl -fs http://localhost:8080/health >/dev/null; do
            i=$((i + 1)); [ $i -lt 300 ] || { cat /tmp/run.log; exit 1; }; sleep 1; done
        bin/p2p-peer --port 9001 --shared-dir shared_b --keys-dir keys_b >/tmp/second 2>/tmp/second.log & second=$!
        i=0; while ! grep -q ^ready /tmp/second; do
            i=$((i + 1)); [ $i -lt 300 ] || { cat /tmp/second.log; exit 1; }; sleep 1; done
        kill $second $run; wait""",
    )


def test_32_bits(chroots):
    """Programs without a warning; the unit tests' own code mixes size_t and uint64_t."""
    root = chroot(chroots, "bookworm-i386", "bookworm", BUILD, "i386")
    put_source(root)
    assert "warning" not in inside(root, f"cd /p2p && make -s -j{CORES} all 2>&1").stdout
    inside(root, transfer())
    checked = inside(root, f"cd /p2p && make -k -s -j{CORES} -O WERROR=0 check 2>&1", check=False)
    assert checked.returncode == 0, "\n".join(re.findall(r".*(?:FAILED|--- |Error).*", checked.stdout))


# QEMU passes the ancillary data of UDP_SEGMENT on as they are. Of a machine with the other byte order that is another
# size, so several datagrams arrive as one. Without UDP_SEGMENT the test passes there.
EMULATED = {"test_channel"}


@pytest.mark.parametrize("architecture, triplet, emulator", [("arm64", "aarch64-linux-gnu", "qemu-aarch64-static"), ("s390x", "s390x-linux-gnu", "qemu-s390x-static")])
def test_other_machines(chroots, architecture, triplet, emulator):
    """Cross build; unit tests and a download each way, with the other side built for this machine."""
    if shutil.which(emulator) is None:
        pytest.skip(f"{emulator} is not installed")
    libraries = [p for p in BUILD if p.endswith("-dev")]
    include = [*BUILD, f"crossbuild-essential-{architecture}", *(f"{p}:{architecture}" for p in dict.fromkeys(libraries))]
    root = chroot(chroots, f"bookworm-{architecture}", "bookworm", include, f"amd64,{architecture}")
    put_source(root)
    shutil.copy(shutil.which(emulator), root / "usr/bin")
    cross = f"make -s -j{CORES} CC={triplet}-gcc AR={triplet}-ar BIN=bin-{architecture}"
    env = f"export PKG_CONFIG_LIBDIR=/usr/lib/{triplet}/pkgconfig:/usr/share/pkgconfig"
    inside(root, f"cd /p2p && make -s -j{CORES} all 2>&1; {env}; {cross} all 2>&1")
    near, far = "bin/", f"{emulator} bin-{architecture}/"
    # Landlock and seccomp are not emulated.
    inside(root, transfer("20M", f"{far}p2p-peer --no-sandbox", f"{near}p2p"))
    inside(root, transfer("20M", f"{near}p2p-peer", f"{far}p2p"))
    names = " ".join(sorted(path.stem for path in (ROOT / "tests" / "unit").glob("test_*.c")))
    checked = inside(root, f"cd /p2p; {env}; {cross} -k -O check LIMIT_S=7200 RUNNER={emulator} T='{names}' 2>&1", check=False, minutes=4 * MINUTES).stdout
    broken = {Path(name).name for name in re.findall(r"^make: \*\*\* \[[^]]*: (\S+)\] Error", checked, re.M)}
    assert f"tests/test_{names.rsplit('test_')[-1]}" in checked
    assert broken <= EMULATED, "\n".join(re.findall(r".*(?:FAILED|--- |Error).*", checked))


# ---- packages

RUN = """
user() {{ setpriv --reuid=$1 --regid=$1 --clear-groups env -i PATH=/usr/bin:/bin STATE_DIRECTORY=/var/lib/$1 \\
    CONFIGURATION_DIRECTORY=/etc/$1 "${{@:2}}"; }}
wait_for() {{ i=0; while ! grep -q ^ready /tmp/$1; do i=$((i + 1)); [ $i -lt 600 ] || {{ cat /tmp/$1.log; exit 1; }}; sleep 0.2; done; }}
for unit in p2p-discovery p2p-peer p2p-ui; do
    file=/lib/systemd/system/$unit.service; [ -e $file ] || file=/usr$file
    name=$(sed -n 's/^User=//p' $file) command=$(sed -n 's/^ExecStart=//p' $file)
    install -d -o $name -g $name -m $(sed -n 's/^StateDirectoryMode=//p' $file) /var/lib/$name
    user $name $command >/tmp/$unit 2>/tmp/$unit.log &
    wait_for $unit
done
{then}
kill $(jobs -p); wait
"""


def bash(script):
    return f"cat >/tmp/script <<'END'\nset -eu\n{script}\nEND\nbash /tmp/script"


# A folder as version 0.1.0 left it: its identity is used there, and `p2p init` takes it over for every folder.
OLD_LAYOUT = """
mkdir -p /root/old/shared
cd /root/old
p2p id --keys-dir keys >/root/id
p2p id >/root/here 2>/root/said
cmp /root/id /root/here
grep -q "p2p init --keys-dir keys" /root/said
p2p init --keys-dir keys --shared-dir shared
cd /
p2p id >/root/there
cmp /root/id /root/there
rm -rf /root/old /root/.config/p2p
"""


BUILDER = [*BUILD, "build-essential", "debhelper", "dpkg-dev", "fakeroot", "lintian"]
BUILD_DEB = f"DEB_BUILD_OPTIONS='nocheck parallel={CORES}' packaging/build-deb.sh"


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_packages_are_the_same_wherever_they_are_built(chroots, suite):
    """In two folders, with another umask, time zone, language and order of files."""
    builder = chroot(chroots, f"{suite}-packages", suite, BUILDER)
    put_source(builder)
    inside(
        builder,
        f"""rm -rf /one /two; cd /p2p; {BUILD_DEB} /one 2>&1
        mkdir -p "/tmp/an other place"; umask 077
        export TMPDIR="/tmp/an other place" TZ=Pacific/Auckland LC_ALL=C; {BUILD_DEB} /two 2>&1""",
    )
    names = {p.name for p in (builder / "one").iterdir() if not p.name.endswith((".buildinfo", ".changes"))}
    assert len([name for name in names if name.endswith(".deb")]) >= 5 and [name for name in names if name.endswith(".dsc")]
    assert [name for name in sorted(names) if (builder / "one" / name).read_bytes() != (builder / "two" / name).read_bytes()] == []


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_packages(chroots, suite):
    """Built, lintian-clean, installed on a clean system and beside a folder of 0.1.0, run by their units'
    commands, upgraded, removed, purged."""
    builder = chroot(chroots, f"{suite}-packages", suite, BUILDER)
    put_source(builder)
    inside(builder, f"cd /p2p && rm -rf /deb && {BUILD_DEB} /deb 2>&1")
    said = inside(builder, "cd /deb && lintian --allow-root --fail-on warning,error *.changes 2>&1", check=False)
    assert said.returncode == 0 and not re.findall(r"^[EW]:", said.stdout, re.M), said.stdout
    clean = chroots / f"{suite}-clean"
    shutil.rmtree(clean, ignore_errors=True)
    chroot(chroots, clean.name, suite, ["ca-certificates", "util-linux"])
    debs = [p for p in (builder / "deb").glob("*.deb") if "dbgsym" not in p.name]
    assert len(debs) == 5
    for deb in debs:
        shutil.copy(deb, clean / "root")
    inside(clean, "apt-get update -qq && apt-get install -qq -y --no-install-recommends /root/*.deb", network=True)
    inside(clean, "getent passwd p2p && getent passwd p2p-discovery && p2p --version && [ ! -e /var/lib/p2p/keys ]")
    inside(clean, OLD_LAYOUT)
    wait = "i=0; until {}; do i=$((i + 1)); [ $i -lt 300 ] || exit 1; sleep 0.5; done"
    found = wait.format("p2p search letter --no-mdns 2>/dev/null | grep -q letter.txt")
    then = f"echo hello >/var/lib/p2p/shared/letter.txt; {found}; p2p get letter.txt --no-mdns --output-dir /root/got; [ \"$(cat /root/got/letter.txt)\" = hello ]; p2p ui | grep -q /open/"
    inside(clean, bash(RUN.format(then=then)))
    identity = "sha256sum /var/lib/p2p/keys/private_key.pem /var/lib/p2p/shared/letter.txt"
    before = inside(clean, identity).stdout
    # A settings file that a person has changed, and a newer package.
    inside(clean, "echo 'name = Mine' >>/etc/p2p/p2p.conf")
    inside(
        clean,
        bash("cd /root; for deb in *.deb; do dpkg-deb -R $deb x; sed -i 's/0\\.2\\.0-1/0.2.0-2/' x/DEBIAN/control;"
             " dpkg-deb --root-owner-group -b x new-$deb; rm -rf x; done; dpkg -i new-*.deb"),
    )  # fmt: skip
    assert inside(clean, identity).stdout == before
    assert "Mine" in (clean / "etc/p2p/p2p.conf").read_text()
    inside(clean, bash(RUN.format(then=found)))
    inside(clean, "apt-get remove -qq -y p2p p2p-node p2p-discovery libp2pcore0")
    assert inside(clean, identity).stdout == before and "Mine" in (clean / "etc/p2p/p2p.conf").read_text()
    assert not (clean / "usr/bin/p2p").exists()
    inside(clean, "dpkg --purge p2p-node p2p-discovery")
    assert not (clean / "var/lib/p2p/keys").exists() and not (clean / "etc/p2p").exists()
    assert (clean / "var/lib/p2p/shared/letter.txt").read_text() == "hello\n"
    assert not (clean / "var/lib/p2p-discovery").exists()


# ---- musl


def test_musl_has_what_the_sources_use(tmp_path):
    """Only compiled: Debian has no libraries that are built for musl."""
    if shutil.which("musl-gcc") is None:
        pytest.skip("musl-tools is not installed")
    multiarch = subprocess.run(["gcc", "-print-multiarch"], capture_output=True, text=True, check=True).stdout.strip()
    objects = [str(tmp_path / p.relative_to(ROOT).with_suffix(".o")) for p in (ROOT / "src").rglob("*.c")]
    done = subprocess.run(
        ["make", "-s", "-C", ROOT, "-k", f"-j{CORES}", f"B={tmp_path}",
         f"CC=musl-gcc -idirafter /usr/include/{multiarch} -idirafter /usr/include", *objects],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, "\n".join(re.findall(r".*(?:error|warning):.*", done.stderr))

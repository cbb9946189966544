#!/usr/bin/env bash
# Installs the Debian packages the project needs. scripts/deps.sh [build] [test] [bench] [proof] [--yes] [--upgrade]
# Without a set: build. Asks first when a person is at the terminal; without apt it names the packages.
# What is installed and could be newer is reported; --upgrade upgrades it.
set -euo pipefail

BUILD="gcc make pkg-config libmicrohttpd-dev libssl-dev libcjson-dev uuid-dev libcurl4-openssl-dev
       libsqlite3-dev libzstd-dev libqrencode-dev libavahi-client-dev libhiredis-dev libsystemd-dev libgnutls28-dev libseccomp-dev"
TEST="g++ clang libclang-rt-14-dev libcmocka-dev python3 python3-pytest python3-pytest-xdist python3-cryptography python3-requests
      python3-selenium python3-yaml python3-jsonschema python3-libtorrent chromium chromium-driver redis-server
      haproxy nginx-light caddy apache2 socat ncat openssh-server openssh-client firefox-esr curl
      bsdutils dbus avahi-daemon iproute2 procps spin spass
      exfatprogs exfat-fuse ntfs-3g xfsprogs btrfs-progs dosfstools e2fsprogs"
BENCH="nginx-light curl aria2 rsync wrk opentracker linux-perf iproute2 openssl"
PROOF="frama-c-base why3 z3"

sets=() yes=no upgrade=no
for word in "$@"; do
    case $word in
    build | test | bench | proof) sets+=("$word") ;;
    --yes) yes=yes ;;
    --upgrade) upgrade=yes ;;
    *) echo "usage: $0 [build] [test] [bench] [proof] [--yes] [--upgrade]" >&2; exit 2 ;;
    esac
done
[ ${#sets[@]} -gt 0 ] || sets=(build)

wanted=()
for set in "${sets[@]}"; do
    case $set in
    build) wanted+=($BUILD) ;;
    test) wanted+=($BUILD $TEST) ;;
    bench) wanted+=($BUILD $BENCH) ;;
    proof) wanted+=($PROOF) ;;
    esac
done

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    command -v pkg-config >/dev/null &&
        pkg-config --exists libmicrohttpd libcrypto libcjson uuid libcurl sqlite3 && exit 0
    echo "This system has no apt. Please install what these Debian packages hold:" >&2
    printf '  %s\n' "${wanted[@]}" | sort -u >&2
    exit 1
fi

missing=()
for package in "${wanted[@]}"; do
    dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done

# The packages and the libraries that they depend on, as far as apt's lists know newer ones.
present=() newer=()
for package in "${wanted[@]}"; do
    case " ${missing[*]-} " in *" $package "*) ;; *) present+=("$package") ;; esac
done
libraries=$(dpkg-query -W -f='${Depends}, ${Pre-Depends}\n' "${present[@]}" 2>/dev/null |
    tr ',|' '\n\n' | sed 's/^ *//; s/[ :(].*//' | grep '^lib' | sort -u |
    xargs -r dpkg-query -W -f='${Package} ${db:Status-Status}\n' 2>/dev/null | sed -n 's/ installed$//p' || true)
mapfile -t newer < <(apt-get -s -q --only-upgrade install "${present[@]}" $libraries 2>/dev/null |
    sed -n 's/^Inst \([^ ]*\) \[\([^]]*\)\] (\([^ ]*\).*/\1 \2 -> \3/p')
if [ ${#newer[@]} -gt 0 ] && [ $upgrade = no ]; then
    echo "Newer packages are there (scripts/deps.sh --upgrade installs them):" >&2
    printf '  %s\n' "${newer[@]}" >&2
fi
[ ${#missing[@]} -gt 0 ] || [ $upgrade = yes ] || exit 0

[ ${#missing[@]} -eq 0 ] || echo "Missing packages: ${missing[*]}" >&2
if [ "$yes" = no ] && [ -t 0 ] && [ ${#missing[@]} -gt 0 ]; then
    read -r -p "Install them with apt? [Y/n] " answer
    case $answer in "" | y | Y | yes) ;; *) echo "Nothing installed." >&2; exit 1 ;; esac
fi
root=()
[ "$(id -u)" = 0 ] || root=(sudo)
# Servers that tests or benchmarks use are started by them; the packages must not start their own.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ] && [ "$(id -u)" = 0 ]; then
    printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy
    trap 'rm -f $policy' EXIT
fi
"${root[@]}" apt-get update -q >&2
install() { "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >&2; }
[ ${#missing[@]} -eq 0 ] || install "${missing[@]}"
[ $upgrade = no ] || install --only-upgrade "${present[@]}" $libraries

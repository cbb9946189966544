#!/usr/bin/env bash
# Installs the Debian packages that the project needs, or says what there is to install.
#   scripts/deps.sh                 says what is missing for a build and what could be newer
#   scripts/deps.sh SET...          installs what is missing; asks first at a terminal
#   scripts/deps.sh --upgrade       also upgrades what is installed
# The sets are build, test, bench, proof and platforms; without one it is build. --report only says, for any set;
# --yes does not ask. Without apt it names the packages.
set -euo pipefail

BUILD="gcc make pkg-config libmicrohttpd-dev libssl-dev libcjson-dev uuid-dev libcurl4-openssl-dev
       libsqlite3-dev libzstd-dev libqrencode-dev libavahi-client-dev libhiredis-dev libsystemd-dev libgnutls28-dev libseccomp-dev zlib1g-dev
       libjpeg62-turbo-dev libpng-dev libwebp-dev libminiupnpc-dev"
TEST="g++ clang libclang-rt-dev libcmocka-dev python3 python3-pytest python3-pytest-xdist python3-pytest-timeout
      python3-cryptography python3-requests python3-selenium python3-yaml python3-jsonschema python3-libtorrent chromium chromium-driver redis-server
      coturn haproxy nginx-light caddy apache2 socat ncat openssh-server openssh-client firefox-esr curl
      bsdutils dbus avahi-daemon iproute2 miniupnpd-nftables nftables procps spin spass
      exfatprogs exfat-fuse ntfs-3g xfsprogs btrfs-progs dosfstools e2fsprogs
      gocryptfs encfs sshfs rclone bash-completion zsh fish mandoc groff shellcheck desktop-file-utils dpkg-dev gnupg apt-utils"
BENCH="nginx-light curl aria2 rsync wrk opentracker linux-perf iproute2 openssl"
PROOF="frama-c-base why3 z3"
# Chroots of other systems, packages, images: what the long tests build.
PLATFORMS="mmdebstrap debhelper lintian fakeroot buildah qemu-user-static musl-tools prometheus nodejs npm"
# Of all these, packages whose commands often come from elsewhere, with packages that conflict with Debian's. If the
# commands are there, Debian's package is not asked for.
ELSEWHERE="nodejs=node npm=npm caddy=caddy rclone=rclone prometheus=prometheus,promtool"

sets=() yes=no mode=
for word in "$@"; do
    case $word in
    build | test | bench | proof | platforms) sets+=("$word") ;;
    --yes) yes=yes ;;
    --report) mode=report ;;
    --upgrade) mode=upgrade ;;
    *) echo "usage: $0 [build] [test] [bench] [proof] [platforms] [--yes] [--report | --upgrade]" >&2; exit 2 ;;
    esac
done
if [ $# -eq 0 ]; then mode=report; fi
[ ${#sets[@]} -gt 0 ] || sets=(build)

wanted=()
# shellcheck disable=SC2206 # lists of words
for set in "${sets[@]}"; do
    case $set in
    build) wanted+=($BUILD) ;;
    test) wanted+=($BUILD $TEST) ;;
    bench) wanted+=($BUILD $BENCH) ;;
    proof) wanted+=($PROOF) ;;
    platforms) wanted+=($BUILD $PLATFORMS) ;;
    esac
done

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    command -v pkg-config >/dev/null &&
        pkg-config --exists libmicrohttpd libcrypto libcjson uuid libcurl sqlite3 zlib && exit 0
    echo "This system has no apt. Please install what these Debian packages hold:" >&2
    printf '  %s\n' "${wanted[@]}" | sort -u >&2
    exit 1
fi

# One name may stand for several architectures.
installed=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "${wanted[@]}" 2>/dev/null | sed -n 's/^installed //p' || true)
comes_from_elsewhere() {
    local row
    for row in $ELSEWHERE; do
        # shellcheck disable=SC2046 # several commands
        if [ "${row%%=*}" = "$1" ]; then has_all $(tr , ' ' <<<"${row#*=}"); return; fi
    done
    return 1
}
has_all() {
    local command
    for command in "$@"; do command -v "$command" >/dev/null || return 1; done
}
missing=() present=()
for package in "${wanted[@]}"; do
    if grep -qxF "$package" <<<"$installed"; then present+=("$package")
    elif ! comes_from_elsewhere "$package"; then missing+=("$package")
    fi
done

# The libraries that the installed packages need.
libraries=()
look_at_libraries() {
    [ ${#present[@]} -gt 0 ] || return 0
    # shellcheck disable=SC2016 # the fields are for dpkg-query
    mapfile -t libraries < <(dpkg-query -W -f='${Depends}, ${Pre-Depends}\n' "${present[@]}" 2>/dev/null |
        tr ',|' '\n' | sed 's/^ *//; s/[ :(].*//' | grep '^lib' | sort -u |
        xargs -r dpkg-query -W -f='${Package} ${db:Status-Status}\n' 2>/dev/null | sed -n 's/ installed$//p')
}
# PACKAGE INSTALLED -> NEWER, according to apt's lists.
newer_versions() {
    [ ${#present[@]} -gt 0 ] || return 0
    printf '%s\n' "${present[@]}" "${libraries[@]}" | sort -u |
        LC_ALL=C xargs -r apt-cache policy 2>/dev/null | awk '
            /^[^ ]/ { package = $1; sub(/:.*/, "", package) }
            $1 == "Installed:" { installed = $2 }
            $1 == "Candidate:" && installed !~ /^\(/ && $2 !~ /^\(/ && $2 != installed {
                print package, installed, "->", $2 }'
}

if [ "$mode" = report ]; then
    look_at_libraries
    newer=$(newer_versions)
    if [ -n "$newer" ]; then
        echo "Newer packages are available (scripts/deps.sh --upgrade installs them):"
        printf '  %s\n' "${newer//$'\n'/$'\n  '}"
    else
        echo "apt knows no newer version of an installed package."
    fi
    [ ${#missing[@]} -gt 0 ] || exit 0
    echo "Missing packages (scripts/deps.sh ${sets[*]} installs them): ${missing[*]}"
    exit 1
fi
[ ${#missing[@]} -gt 0 ] || [ "$mode" = upgrade ] || exit 0

[ ${#missing[@]} -eq 0 ] || echo "Missing packages: ${missing[*]}" >&2
if [ "$yes" = no ] && [ -t 0 ] && [ ${#missing[@]} -gt 0 ]; then
    read -r -p "Install them with apt? [Y/n] " answer
    case $answer in "" | y | Y | yes) ;; *) echo "Nothing installed." >&2; exit 1 ;; esac
fi
root=()
[ "$(id -u)" = 0 ] || root=(sudo)
# Tests and benchmarks start the servers that they use, so the packages must not start their own.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ] && [ "$(id -u)" = 0 ]; then
    printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy
    trap 'rm -f $policy' EXIT
fi
"${root[@]}" apt-get update -q >&2
install() { "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >&2; }
[ ${#missing[@]} -eq 0 ] || install "${missing[@]}"
if [ "$mode" = upgrade ]; then
    look_at_libraries
    install --only-upgrade "${present[@]}" "${libraries[@]}"
fi

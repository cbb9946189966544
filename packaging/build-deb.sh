#!/usr/bin/env bash
# Builds the Debian packages of what is committed, into a folder.
#   packaging/build-deb.sh [FOLDER]        default: build/deb
# DEB_BUILD_OPTIONS=nocheck leaves the unit tests out. Equal commits give equal packages, wherever they
# are built.
set -euo pipefail
umask 022

top=$(cd "$(dirname "$0")/.." && pwd)
out=${1:-$top/build/deb}
mkdir -p "$out"
out=$(cd "$out" && pwd)
version=$(cat "$top/VERSION")
# Debian's flags leave the folder of the build out of the debug information, but only if its name has
# no other characters than these.
export TMPDIR="${TMPDIR:-/tmp}"
case $TMPDIR in *[!-+:.0-9a-zA-Z~/_]*) TMPDIR=/tmp ;; esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The source tarball, then the folder debian/ where Debian's tools look for it.
"$top/packaging/source-tarball.sh" "$work/p2p_$version.orig.tar.gz"
tar -xzf "$work/p2p_$version.orig.tar.gz" -C "$work"
cp -r "$work/p2p-$version/packaging/debian" "$work/p2p-$version/debian"
chmod 755 "$work/p2p-$version/debian/rules"
cd "$work/p2p-$version"
dpkg-buildpackage -us -uc "${DPKG_BUILDPACKAGE_TYPE:--F}"
cd ..
rm -rf "p2p-$version"
mv ./* "$out/"

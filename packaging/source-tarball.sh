#!/usr/bin/env bash
# Writes the source tarball: what is committed, or, outside of git, the files of this tree without
# what was built. The same source gives the same bytes: names are sorted, times are those of the last
# commit or SOURCE_DATE_EPOCH, and owners and modes do not depend on who runs it.
#   packaging/source-tarball.sh FILE.tar.gz
set -euo pipefail
umask 022

top=$(cd "$(dirname "$0")/.." && pwd)
file=$(realpath -m "${1:?usage: $0 FILE.tar.gz}")
prefix=p2p-$(cat "$top/VERSION")
mkdir -p "$(dirname "$file")"

if git -C "$top" rev-parse --verify -q HEAD >/dev/null 2>&1 &&
    [ "$(git -C "$top" rev-parse --show-toplevel)" = "$top" ]; then
    : "${SOURCE_DATE_EPOCH:=$(git -C "$top" log -1 --format=%ct)}"
    list() { git -C "$top" ls-tree -r -z --name-only HEAD; }
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    git -C "$top" archive HEAD | tar -x -C "$work"
    from=$work
else
    : "${SOURCE_DATE_EPOCH:=$(stat -c %Y "$top/VERSION")}"
    from=$top
    list() {
        (cd "$top" && find . -type f -o -type l) | sed 's|^\./||' |
            grep -vE '^(build|bin|debian|\.git)/|^(keys|shared|downloads)/[^.]|(^|/)(__pycache__|\.p2p)/' | tr '\n' '\0'
    }
fi
list | LC_ALL=C sort -z |
    tar -c --format=ustar --transform="flags=r;s|^|$prefix/|" --mtime="@$SOURCE_DATE_EPOCH" --owner=0 \
        --group=0 --numeric-owner --mode=u=rwX,go=rX --no-recursion -C "$from" --null --files-from=- | gzip -n9 >"$file.new"
mv "$file.new" "$file"

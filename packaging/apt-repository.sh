#!/usr/bin/env bash
# Makes a signed folder for apt from packages, which any web server can serve.
#   packaging/apt-repository.sh FOLDER KEY PACKAGE.deb...
# KEY names a secret key of gpg (GNUPGHOME). The same packages and the same SOURCE_DATE_EPOCH give the
# same index; with a key whose signatures have no random part (ed25519), the same folder.
# A machine that uses it:
#   sudo cp FOLDER/p2p.gpg /usr/share/keyrings/
#   echo "deb [signed-by=/usr/share/keyrings/p2p.gpg] https://HOST/FOLDER stable main" |
#       sudo tee /etc/apt/sources.list.d/p2p.list
set -euo pipefail
umask 022

[ $# -ge 3 ] || { echo "usage: $0 FOLDER KEY PACKAGE.deb..." >&2; exit 2; }
folder=$1 key=$2
shift 2
: "${SOURCE_DATE_EPOCH:=$(git -C "$(dirname "$0")" log -1 --format=%ct)}"
[ ! -e "$folder" ] || { echo "$folder exists already" >&2; exit 1; }
mkdir -p "$folder/pool/main"
install -m 644 -- "$@" "$folder/pool/main/"
cd "$folder"

architectures=$(for deb in pool/main/*.deb; do dpkg-deb -f "$deb" Architecture; done | grep -vx all | LC_ALL=C sort -u)
for architecture in $architectures; do
    index=dists/stable/main/binary-$architecture
    mkdir -p "$index"
    dpkg-scanpackages --multiversion --arch "$architecture" pool 2>/dev/null >"$index/Packages"
    gzip -n9 -k "$index/Packages"
done
{
    echo "Origin: p2p"
    echo "Label: p2p"
    echo "Suite: stable"
    echo "Codename: stable"
    echo "Date: $(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")"
    echo "Architectures: ${architectures//$'\n'/ }"
    echo "Components: main"
    echo "SHA256:"
    (cd dists/stable && find main -type f | LC_ALL=C sort | while read -r file; do
        printf ' %s %d %s\n' "$(sha256sum <"$file" | cut -d' ' -f1)" "$(stat -c %s "$file")" "$file"
    done)
} >dists/stable/Release
sign() { gpg --batch --yes --quiet --faked-system-time "$SOURCE_DATE_EPOCH!" --local-user "$key" --digest-algo SHA512 "$@"; }
sign --clearsign --output dists/stable/InRelease dists/stable/Release
sign --armor --detach-sign --output dists/stable/Release.gpg dists/stable/Release
gpg --batch --export "$key" >p2p.gpg

#!/usr/bin/env bash
# Lighthouse on a running dashboard: fails when a category is below 95.
#
#   scripts/lighthouse.sh [URL]        default http://localhost:8080; start one with scripts/run.sh
#
# Needs npm (it fetches some 180 MB into build/npm once) and chromium. Not part of scripts/test.sh for that
# reason; the browser tests check accessibility with axe in every view and state.
set -euo pipefail
cd "$(dirname "$0")/.."

url=${1:-http://localhost:8080}
program=build/npm/node_modules/.bin/lighthouse
flags="--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
       --disable-component-update --disable-sync"
export CHROME_PATH=${CHROME_PATH:-$(command -v chromium)} || { echo "chromium is missing" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

[ -x $program ] || npm install --no-save --silent --prefix build/npm axe-core lighthouse
for form in mobile desktop; do
    preset=()
    [ $form = mobile ] || preset=(--preset=desktop)
    # shellcheck disable=SC2116,SC2086 # on one line
    $program "$url" "${preset[@]}" --quiet --output=json --output-path="$work/$form.json" \
        --only-categories=accessibility,best-practices --chrome-flags="$(echo $flags) --user-data-dir=$work/profile"
    /usr/bin/python3 - $form "$work/$form.json" <<'END'
import json, sys

form, path = sys.argv[1:]
report = json.load(open(path))
scores = {name: round(100 * category["score"]) for name, category in report["categories"].items()}
print(form, *(f"{name} {score}" for name, score in scores.items()))
for audit in report["audits"].values():
    if audit["score"] == 0 and audit["scoreDisplayMode"] == "binary":
        print("  failed:", audit["title"])
sys.exit(min(scores.values()) < 95)
END
done

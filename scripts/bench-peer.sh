#!/usr/bin/env bash
# How one p2p-peer holds up: handshakes, idle and active connections, stalled readers, rate limit.
#   scripts/bench-peer.sh [--quick]       prints one table row a measurement; called by scripts/bench.sh too
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
idle=10000 active=2000 stalled=5000 seconds=8 size_mib=1024
[ "${1:-}" = --quick ] && idle=1000 active=200 stalled=500 seconds=3 size_mib=256

make -s CC=gcc all bench
load=build/gcc/bench/peer_load
ulimit -n "$(ulimit -H -n)"
work=$(mktemp -d)
peer=
stop() {
    [ -z "$peer" ] || { kill "$peer" 2>/dev/null && wait "$peer" 2>/dev/null || true; }
    peer=
}
trap 'stop; rm -rf "$work"' EXIT

# start OPTIONS...: a peer on a free port that shares one random file, hashed.
start() {
    stop
    bin/p2p-peer --host 127.0.0.1 --port 0 --shared-dir "$work/shared" --keys-dir "$work/keys" --discovery none \
        --no-mdns --max-connections 20000 --log-level error "$@" >"$work/ready" &
    peer=$!
    until port=$(sed -n 's/^ready .*port=\([0-9]*\).*/\1/p' "$work/ready") && [ -n "$port" ]; do
        kill -0 "$peer" || exit 1
        sleep 0.05
    done
    until bin/p2p ls "127.0.0.1:$port" --keys-dir "$work/client" 2>/dev/null | grep -q file; do sleep 0.2; done
}
rss_kib() { awk '/^VmRSS/ {print $2}' "/proc/$peer/status"; }
ticks() { awk '{print $14 + $15}' "/proc/$peer/stat"; }
field() { sed -n "s/.*\b$1=\([^ ]*\).*/\1/p" <<<"$result"; }
run() { result=$("$load" "$@" | tail -n 1) || { echo "failed: $*: $result" >&2; exit 1; }; }
row() { printf '| %s | %s | %s |\n' "$1" "$2" "$3"; }
calc() { awk "BEGIN {printf \"$1\", $2}"; }

mkdir "$work/shared"
head -c $((size_mib * 1024 * 1024)) /dev/urandom >"$work/shared/file"
echo "| peer | measured | target |"
echo "|---|---|---|"

start
before=$(ticks)
run handshakes "127.0.0.1:$port" 8 "$seconds"
cpu_s=$(calc '%.3f' "($(ticks) - $before) / $(getconf CLK_TCK)")
row "new handshakes a second and core of the server" \
    "$(calc '%.0f' "$(field handshakes_per_s) * $seconds / $cpu_s")" ">= 900"

before=$(rss_kib)
"$load" idle "127.0.0.1:$port" "$idle" 3 >"$work/idle" &
client=$!
until grep -q '^opened=' "$work/idle"; do sleep 0.2; done
row "$(sed -n 's/opened=//p' "$work/idle" | head -n 1) idle connections, resident each" \
    "$(calc '%.2f KiB' "($(rss_kib) - $before) / $idle")" "<= 4 KiB"
wait "$client"

run active "127.0.0.1:$port" 16 "$seconds" file
few=$(field bytes_per_s)
run active "127.0.0.1:$port" "$active" "$seconds" file
row "$active clients downloading at once / 16 clients" "$(calc '%.2f' "$(field bytes_per_s) / $few")" ">= 0.85"
row "Jain fairness among $active clients" "$(field jain)" ">= 0.9"

start
before=$(rss_kib)
"$load" stalled "127.0.0.1:$port" "$stalled" 5 file >"$work/stalled" &
client=$!
until grep -q '^opened=' "$work/stalled"; do sleep 0.2; done
sleep 2
row "$stalled readers that stall, more memory" "$(calc '%.1f MiB' "($(rss_kib) - $before) / 1024")" "<= 64 MiB"
wait "$client"

for rate in 10 100; do
    start --limit-rate "${rate}M"
    run active "127.0.0.1:$port" 8 "$seconds" file
    row "--limit-rate ${rate}M, measured / set" \
        "$(calc '%.3f' "$(field bytes_per_s) / ($rate * 1048576)")" "0.97 to 1.03"
done

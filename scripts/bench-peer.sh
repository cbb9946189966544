#!/usr/bin/env bash
# How one p2p-peer holds up: handshakes, idle and active connections, stalled readers, rate limit.
#   scripts/bench-peer.sh [--quick]       prints one table row a measurement; called by scripts/bench.sh too
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
[ "$(id -u)" != 0 ] || export P2P_RUN_AS_ROOT=1 # in folders of root
idle=10000 active=2000 stalled=5000 seconds=8 size_mib=1024
[ "${1:-}" = --quick ] && idle=1000 active=200 stalled=500 seconds=3 size_mib=256

make -s CC=gcc all bench
load=build/gcc/bench/peer_load
ulimit -n "$(ulimit -H -n)"
work=$(mktemp -d)
peer=
stop() {
    if [ -n "$peer" ] && kill "$peer" 2>/dev/null; then wait "$peer" 2>/dev/null || true; fi
    peer=
}
background=
trap '[ -z "$background" ] || kill "$background"; stop; rm -rf "$work"' EXIT

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
# Reads the process that serves, which is the child.
rss_kib() { awk '/^VmRSS/ {print $2}' "/proc/$(pgrep -P "$peer")/status"; }
ticks() { awk '{print $14 + $15}' "/proc/$(pgrep -P "$peer")/stat"; }
field() { sed -n "s/.*\b$1=\([^ ]*\).*/\1/p" <<<"$result"; }
# Two threads of load: with 2,000 sessions, one thread would be busy before the peer is.
active() { run active "127.0.0.1:$port" "$1" "$seconds" file 2 "$peer"; }
# beside MODE N SECONDS [NAME]: starts clients that stay while other clients are measured.
beside() {
    local mode=$1 n=$2
    shift 2
    : >"$work/$mode"
    "$load" "$mode" "127.0.0.1:$port" "$n" "$@" >"$work/$mode" &
    background=$!
    until grep -q '^opened=' "$work/$mode"; do kill -0 "$background" && sleep 0.2; done
}
beside_ends() {
    kill "$background" 2>/dev/null || true
    wait "$background" 2>/dev/null || true
    background=
}
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
beside idle "$idle" 600
row "$(sed -n 's/opened=//p' "$work/idle" | head -n 1) idle connections, resident each" \
    "$(calc '%.2f KiB' "($(rss_kib) - $before) / $idle")" "<= 4 KiB"
active "$active"
both=$(field bytes_per_s)
beside_ends

active 16
few=$(field bytes_per_s)
row "16 clients downloading" "$(calc '%.2f GB/s' "$few / 1e9")" ""
row "the same, core-seconds per GB: peer; load" "$(field peer_core_s_per_gb); $(field load_core_s_per_gb)" ""
active "$active"
row "$active clients downloading at once / 16 clients" "$(calc '%.2f' "$(field bytes_per_s) / $few")" ">= 0.85"
row "the same, core-seconds per GB: peer; load" "$(field peer_core_s_per_gb); $(field load_core_s_per_gb)" ""
row "Jain fairness among $active clients" "$(field jain)" ">= 0.9"
row "$active clients and $idle idle connections / 16 clients" "$(calc '%.2f' "$both / $few")" ""

start
before=$(rss_kib)
beside stalled "$stalled" 600 file
sleep 2
row "$stalled readers that stall, more memory" "$(calc '%.1f MiB' "($(rss_kib) - $before) / 1024")" "<= 64 MiB"
active 16
row "16 clients beside $stalled stalled readers / 16 clients" "$(calc '%.2f' "$(field bytes_per_s) / $few")" ""
row "more memory then" "$(calc '%.1f MiB' "($(rss_kib) - $before) / 1024")" ""
beside_ends

for rate in 10 100; do
    start --limit-rate "${rate}M"
    run active "127.0.0.1:$port" 8 "$seconds" file
    row "--limit-rate ${rate}M, measured / set" \
        "$(calc '%.3f' "$(field bytes_per_s) / ($rate * 1048576)")" "0.97 to 1.03"
done

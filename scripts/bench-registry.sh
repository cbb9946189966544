#!/usr/bin/env bash
# p2p-discovery under load, against a bare libmicrohttpd answer, nginx and opentracker in the same run.
#   scripts/bench-registry.sh [--quick]      prints tables; called by scripts/bench.sh too. About eight minutes, --quick two.
# A rate is the median of the rounds, with the lowest and the highest. Latencies are those of requests that come at a steady
# rate far below what the registry can do. Programs and load share the machine; "inside" is what the registry itself measured.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" != 0 ] || export P2P_RUN_AS_ROOT=1 # in folders of root
peers=100000 files=100 names=1000000 seconds=3 rounds=5 searching=6 ttl=300
[ "${1:-}" = --quick ] && peers=20000 names=200000 seconds=1 rounds=3 searching=3 ttl=75

make -s CC=gcc all bench >/dev/null
load=build/gcc/bench/registry_load
ask=build/gcc/bench/registry_ask
work=$(mktemp -d)
pids=()
stop() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
}
trap 'stop; rm -rf "$work"' EXIT

free_port() { /usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
answers() { until curl -s -o /dev/null --max-time 1 "$1"; do sleep 0.1; done; }
# ready NAME COMMAND...: starts one of our programs; its port is in $port, its process in $pid
ready() {
    local name=$1
    shift
    : >"$work/$name"
    "$@" >"$work/$name" 2>"$work/$name.err" </dev/null &
    pid=$! && pids+=("$pid")
    until port=$(sed -n 's/^ready .*port=\([0-9]*\).*/\1/p' "$work/$name") && [ -n "$port" ]; do
        kill -0 "$pid" || { cat "$work/$name.err" >&2; exit 1; }
        sleep 0.05
    done
}
# rate URL [HEADER]: requests per second of one round
rate() {
    wrk -t2 -c32 -d"${seconds}s" ${2:+-H "$2"} "$1" >"$work/wrk"
    ! grep -q 'Non-2xx' "$work/wrk" || { echo "errors from $1" >&2; exit 1; }
    sed -n 's/^Requests.sec: *//p' "$work/wrk"
}
median() { sort -n | awk '{v[NR] = $1} END {printf "%.0f (%.0f-%.0f)", v[int((NR + 1) / 2)], v[1], v[NR]}'; }

ready bare build/gcc/bench/bare_mhd
bare=http://127.0.0.1:$port/heartbeat
ready small bin/p2p-discovery --host 127.0.0.1 --port 0 --ttl 1h
small_port=$port
"$load" fill "$port" 20 5 50 >/dev/null
heartbeat="http://127.0.0.1:$port/heartbeat?peer_id=$("$load" id 1)"
name=$(curl -s "http://127.0.0.1:$port/peers/$("$load" id 1)" | sed 's/.*"entries":\[{"name":"\([^"]*\)".*/\1/; s/ /%20/g')
lookup="http://127.0.0.1:$port/search?mode=exact&q=$name"
urls=("bare libmicrohttpd|$bare" "p2p-discovery heartbeat|$heartbeat" "p2p-discovery exact lookup|$lookup")
if command -v redis-server >/dev/null; then
    redis_port=$(free_port)
    redis-server --port "$redis_port" --bind 127.0.0.1 --save "" --dir "$work" >/dev/null &
    pids+=($!)
    ready shared bin/p2p-discovery --host 127.0.0.1 --port 0 --ttl 1h --store "redis://127.0.0.1:$redis_port/0"
    "$load" fill "$port" 20 5 50 >/dev/null
    urls+=("the same heartbeat with --store redis|${heartbeat/:$small_port/:$port}" "the same lookup with --store redis|${lookup/:$small_port/:$port}")
fi

if command -v nginx >/dev/null || [ -x /usr/sbin/nginx ]; then
    nginx_port=$(free_port)
    mkdir -p "$work/www" && printf '{"message":"heartbeat received"}' >"$work/www/heartbeat"
    cat >"$work/nginx.conf" <<CONF
daemon off; worker_processes 2; pid $work/nginx.pid; error_log $work/nginx.log;
events { worker_connections 1024; }
http { access_log off; keepalive_requests 1000000000;
       client_body_temp_path $work/t; proxy_temp_path $work/t; fastcgi_temp_path $work/t; uwsgi_temp_path $work/t; scgi_temp_path $work/t;
       server { listen 127.0.0.1:$nginx_port; root $work/www; } }
CONF
    chmod 755 "$work" "$work/www"
    PATH=$PATH:/usr/sbin nginx -c "$work/nginx.conf" 2>/dev/null &
    pids+=($!)
    answers "http://127.0.0.1:$nginx_port/heartbeat"
    urls+=("nginx, a static file|http://127.0.0.1:$nginx_port/heartbeat")
fi
if command -v opentracker >/dev/null; then
    tracker_port=$(free_port)
    (cd "$work" && exec opentracker -i 127.0.0.1 -p "$tracker_port" -P "$tracker_port" -d "$work") >/dev/null 2>&1 &
    pids+=($!)
    sleep 0.5
    announce="http://127.0.0.1:$tracker_port/announce?info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=bbbbbbbbbbbbbbbbbbbb&port=9000&left=0&compact=1"
    curl -s -o /dev/null --max-time 2 "$announce" && urls+=("opentracker announce (closes each connection)|$announce")
fi

# metric NAME: a number of the big registry
metric() { curl -s "http://127.0.0.1:$big/metrics" | sed -n "s/^$1 //p"; }
# inside MODE: searches so far, and those of them within the mode's target
inside() { echo "$(metric "p2p_discovery_search_seconds_count{mode=\"$1\"}") $(metric "p2p_discovery_search_seconds_bucket{mode=\"$1\",le=\"$(target_s "$1")\"}")"; }
target_s() { case $1 in exact | prefix) echo 0.002 ;; substring) echo 0.015 ;; fuzzy) echo 0.06 ;; esac; }
now() { date +%s; }

echo "| registry of $peers peers with $files files, $names names | measured | target |"
echo "|---|---|---|"
ready big bin/p2p-discovery --host 127.0.0.1 --port 0 --ttl "${ttl}s" --max-peers-per-ip 0
big=$port big_pid=$pid
# Reads the process that serves, which is the child.
resident() { awk '/^VmRSS/ {print $2}' "/proc/$(pgrep -P "$big_pid")/status"; }
empty=$(resident)
echo "| filling, 4 clients | $("$load" fill "$big" "$peers" "$files" "$names") | |"
until [ "$(metric p2p_discovery_index_waiting)" -lt 8192 ]; do sleep 0.5; done
sleep 2
full=$(resident) postings=$(metric p2p_discovery_postings)
awk "BEGIN {printf \"| resident memory for %d postings | %.0f MiB, %.1f bytes each | <= 64 bytes |\n\", $postings, $full / 1024, ($full - $empty) * 1024 / $postings}"
beat=$("$load" beat "$big" "$peers") # they will fall due together, a time to live from now
due=$(($(now) + ttl))

for state in quiet "while 20 peers a second change"; do
    if [ "$state" != quiet ]; then
        "$load" churn "$big" "$peers" "$files" "$names" $((searching * 4 + 2)) 20 &
        pids+=($!)
    fi
    for query in exact:500 prefix:300 substring:100 fuzzy:30; do
        mode=${query%:*} rate=${query#*:}
        before=$(inside "$mode")
        took=$("$ask" search "$big" "$mode" "$names" "$searching" "$rate")
        within=$(awk -v mode="$mode" '{printf "%.2f %%", 100 * ($4 - $2) / ($3 - $1)}' <<<"$before $(inside "$mode")")
        ms=$(awk "BEGIN {print $(target_s "$mode") * 1000}")
        echo "| search $mode, $rate a second, $state | $took; inside, $within within $ms ms | p99 <= $ms ms |"
    done
done
echo "| GET /peers, all pages | $("$ask" walk "$big") | usable |"
echo "| 1,000 watchers of /changes, a change has come to them | $("$ask" watch "$big" 1000) | all of them |"

echo
echo "| requests a second, keep-alive, 32 connections | median (range) of $rounds | of the bare answer |"
echo "|---|---|---|"
for round in $(seq 0 "$rounds"); do # the first one is dropped; the programs take turns
    for i in "${!urls[@]}"; do
        r=$(rate "${urls[$i]#*|}")
        [ "$round" = 0 ] || echo "$r" >>"$work/rates.$i"
    done
done
middle() { sort -n "$work/rates.$1" | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }
for i in "${!urls[@]}"; do
    echo "| ${urls[$i]%%|*} | $(median <"$work/rates.$i") | $(awk "BEGIN {printf \"%.2f\", $(middle "$i") / $(middle 0)}") |"
done

echo
echo "| $peers peers expire at once ($beat for their last heartbeats) | measured | target |"
echo "|---|---|---|"
left=$((due - $(now) - 3))
[ "$left" -lt 0 ] || sleep "$left"
probing=$((peers / 5000 + 10))
"$ask" search "$big" exact "$names" "$probing" 250 >"$work/probe.exact" &
probe=$!
echo "| heartbeats (of strangers), 500 a second, meanwhile | $("$ask" search "$big" stranger 1 "$probing" 500) | max <= 10 ms |"
wait "$probe"
echo "| exact lookups, 250 a second, meanwhile | $(cat "$work/probe.exact") | max <= 10 ms |"
for _ in $(seq 120); do [ "$(metric p2p_discovery_peers)" -gt 2000 ] || break; sleep 0.5; done
echo "| peers left after $(($(now) - due)) s | $(metric p2p_discovery_peers), resident $(($(resident) / 1024)) MiB | |"

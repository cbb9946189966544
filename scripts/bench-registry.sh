#!/usr/bin/env bash
# p2p-discovery under load, against a bare libmicrohttpd answer, nginx and opentracker in the same run.
#   scripts/bench-registry.sh [--quick]      prints table rows; called by scripts/bench.sh too
# Every rate is the median of the rounds, with the lowest and the highest; all programs and the load share the machine.
set -euo pipefail
cd "$(dirname "$0")/.."
peers=100000 files=100 names=1000000 seconds=5 rounds=5 searching=10
[ "${1:-}" = --quick ] && peers=3000 names=30000 seconds=1 rounds=3 searching=2

make -s CC=gcc all bench
load=build/gcc/bench/registry_load
work=$(mktemp -d)
pids=()
stop() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
}
trap 'stop; rm -rf "$work"' EXIT

free_port() { /usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
answers() { until curl -s -o /dev/null --max-time 1 "$1"; do sleep 0.1; done; }
# ready NAME COMMAND...: starts a program of ours; its port in $port, its process in $pid
ready() {
    local name=$1
    shift
    "$@" >"$work/$name" 2>"$work/$name.err" < <(sleep infinity) &
    pid=$! && pids+=("$pid")
    until port=$(sed -n 's/^ready .*port=\([0-9]*\).*/\1/p' "$work/$name") && [ -n "$port" ]; do
        kill -0 "$pid" || { cat "$work/$name.err" >&2; exit 1; }
        sleep 0.05
    done
}
# rate URL [HEADER]: requests a second of one round
rate() {
    wrk -t2 -c32 -d"${seconds}s" ${2:+-H "$2"} "$1" >"$work/wrk"
    ! grep -q 'Non-2xx' "$work/wrk" || { echo "errors from $1" >&2; exit 1; }
    sed -n 's/^Requests.sec: *//p' "$work/wrk"
}
median() { sort -n | awk '{v[NR] = $1} END {printf "%.0f (%.0f-%.0f)", v[int((NR + 1) / 2)], v[1], v[NR]}'; }

ready bare build/gcc/bench/bare_mhd
bare=http://127.0.0.1:$port/heartbeat
ready small bin/p2p-discovery --host 127.0.0.1 --port 0 --ttl 1h
"$load" fill "$port" 20 5 50 >/dev/null
heartbeat="http://127.0.0.1:$port/heartbeat?peer_id=$("$load" id 1)"
name=$(curl -s "http://127.0.0.1:$port/peers/$("$load" id 1)" | sed 's/.*"entries":\[{"name":"\([^"]*\)".*/\1/; s/ /%20/g')
lookup="http://127.0.0.1:$port/search?mode=exact&q=$name"
urls=("bare libmicrohttpd|$bare" "p2p-discovery heartbeat|$heartbeat" "p2p-discovery exact lookup|$lookup")

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

echo "| requests a second, keep-alive, 32 connections | median (range) of $rounds |"
echo "|---|---|"
for round in $(seq 0 "$rounds"); do # the first one is dropped; the programs take turns
    for i in "${!urls[@]}"; do
        r=$(rate "${urls[$i]#*|}")
        [ "$round" = 0 ] || echo "$r" >>"$work/rates.$i"
    done
done
for i in "${!urls[@]}"; do echo "| ${urls[$i]%%|*} | $(median <"$work/rates.$i") |"; done

echo
echo "| registry of $peers peers with $files files, $names names | measured | target |"
echo "|---|---|---|"
ready big bin/p2p-discovery --host 127.0.0.1 --port 0 --ttl 1h --max-peers-per-ip 0
empty=$(awk '/^VmRSS/ {print $2}' "/proc/$pid/status")
echo "| filling, 4 clients | $("$load" fill "$port" "$peers" "$files" "$names") | |"
until [ "$(curl -s "http://127.0.0.1:$port/metrics" | sed -n 's/^p2p_discovery_index_waiting //p')" -lt 8192 ]; do sleep 0.5; done
sleep 2
full=$(awk '/^VmRSS/ {print $2}' "/proc/$pid/status")
postings=$(curl -s "http://127.0.0.1:$port/metrics" | sed -n 's/^p2p_discovery_postings //p')
awk "BEGIN {printf \"| resident memory for %d postings | %.0f MiB, %.1f bytes each | <= 64 bytes |\n\", $postings, $full / 1024, ($full - $empty) * 1024 / $postings}"
for state in quiet "while 20 peers a second change"; do
    if [ "$state" != quiet ]; then
        "$load" churn "$port" "$peers" "$files" "$names" $((searching * 4 + 4)) 20 &
        pids+=($!)
    fi
    for mode in exact prefix substring fuzzy; do
        case $mode in exact | prefix) target="p99 <= 2 ms" ;; substring) target="p99 <= 15 ms" ;; fuzzy) target="p99 <= 60 ms" ;; esac
        echo "| search $mode, $state | $("$load" search "$port" "$mode" "$names" "$searching" | cut -d' ' -f2-) | $target |"
    done
done

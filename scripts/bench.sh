#!/usr/bin/env bash
# Measures this project beside the programs people would use instead, same file, same run, and writes docs/BENCHMARKS.md.
#   scripts/bench.sh [--size MIB] [--rounds N] [--no-install] [--no-doc] [PART ...]
# Parts: hash download memory first small resume sources delay relay versions mirror peer registry   (default: all)
# TMPDIR says where the files go (about four times --size). Delay and relay need root (network namespaces).
set -uo pipefail
cd "$(dirname "$0")/.." || exit
[ "$(id -u)" != 0 ] || export P2P_RUN_AS_ROOT=1 # in folders of root

SIZE_MIB=1024 ROUNDS=5 INSTALL=yes DOC=yes PARTS=()
while [ $# -gt 0 ]; do
    case $1 in
    --size) SIZE_MIB=$2; shift ;;
    --rounds) ROUNDS=$2; shift ;;
    --no-install) INSTALL=no ;;
    --no-doc) DOC=no ;;
    -h | --help) sed -n '2,6p' "$0"; exit 0 ;;
    hash | download | memory | first | small | resume | sources | delay | relay | versions | mirror | peer | registry) PARTS+=("$1") ;;
    *) echo "usage: $0 [--size MIB] [--rounds N] [--no-install] [--no-doc] [PART ...]" >&2; exit 2 ;;
    esac
    shift
done
[ ${#PARTS[@]} -gt 0 ] || PARTS=(hash download memory first small resume sources delay relay versions mirror peer registry)

[ $INSTALL = no ] || scripts/deps.sh bench --yes || exit 1
make -s -j2 bench || exit 1
BENCH=$PWD/$(dirname "$(find build -path '*bench/bench_get' -newer Makefile | head -1)")
BIN=$PWD/bin
WORK=$(mktemp -d "${TMPDIR:-/tmp}/p2p-bench-XXXXXX")
RESULTS=$WORK/results.tsv
PIDS=()

cleanup() {
    for pid in "${PIDS[@]}"; do kill "$pid" 2>/dev/null; done
    for pid in "${PIDS[@]}"; do wait "$pid" 2>/dev/null; done
    for ns in p2p-bench-a p2p-bench-b; do ip netns del $ns 2>/dev/null; done
    rm -rf "$WORK"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

say() { printf '\n== %s\n' "$*" >&2; }
free_port() { /usr/bin/python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])'; }
now() { date +%s.%N; }
field() { grep -o "$2=[^ ]*" <<<"$1" | head -1 | cut -d= -f2; }
# CPU time of processes so far, with their threads, in seconds.
cpu_of() { awk -v hz="$(getconf CLK_TCK)" '{printf "%.2f", ($14 + $15) / hz}' "/proc/$1/stat" 2>/dev/null; }

# record PART ROW VALUE [CORE-SECONDS] [NOTE]
record() { printf '%s\t%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "${4:-}" "${5:-}" >>"$RESULTS"; }

# start_peer NAME SHARED [options]: sets PEER_PID and PEER_PORT.
start_peer() {
    local name=$1 shared=$2; shift 2
    ${PREFIX_CMD:-} "$BIN/p2p-peer" --host 0.0.0.0 --port 0 --discovery none --no-mdns --keys-dir "$WORK/keys-$name" \
        --shared-dir "$shared" --log-level error "$@" >"$WORK/$name.out" 2>"$WORK/$name.err" &
    PEER_PID=$!
    PIDS+=("$PEER_PID")
    for _ in $(seq 600); do grep -q '^ready' "$WORK/$name.out" && break; sleep 0.1; done
    PEER_PORT=$(field "$(cat "$WORK/$name.out")" port)
    [ -n "$PEER_PORT" ] || { cat "$WORK/$name.err" >&2; exit 1; }
}
stop_peer() { kill "$1" 2>/dev/null; wait "$1" 2>/dev/null; }
# The peer answers a request for a file only after it was hashed, so a successful download shows that it is ready.
wait_shared() {
    for _ in $(seq 600); do
        "$BENCH/bench_get" "$WORK/keys-client" "$WORK/dl" "$1" 127.0.0.1:"$PEER_PORT" tree >/dev/null 2>&1 && return
        sleep 0.5
    done
    echo "the peer does not share $1" >&2; exit 1
}

make_file() {
    mkdir -p "$WORK/shared" "$WORK/dl"
    [ -f "$WORK/shared/file" ] && return
    say "making a file of $SIZE_MIB MiB"
    head -c $((SIZE_MIB * 1048576)) /dev/urandom >"$WORK/shared/file"
    sync
}
check_copy() { cmp -s "$WORK/shared/file" "$1" || { echo "WRONG COPY: $2" >&2; record wrong "$2" 1; }; rm -f "$1"; }

# timed ROW OUT CMD...: seconds and core-seconds of the client, and of SERVER_PIDS.
timed() {
    local row=$1 out=$2 before after began ended; shift 2
    rm -f "$out"; sync
    before=$(for p in ${SERVER_PIDS:-}; do cpu_of "$p"; done | awk '{s+=$1} END {print s+0}')
    began=$(now)
    TIMEFORMAT='%U %S'
    local used; used=$( { time "$@" >"$WORK/said" 2>&1; } 2>&1 )
    ended=$(now)
    after=$(for p in ${SERVER_PIDS:-}; do cpu_of "$p"; done | awk '{s+=$1} END {print s+0}')
    [ "$ROUND" = 0 ] || record download "$row" "$(awk "BEGIN{print $ended-$began}")" \
        "$(awk -v u="$used" -v b="$before" -v a="$after" 'BEGIN{split(u,t," "); print t[1]+t[2]+a-b}')" "${NOTE:-}"
    check_copy "$out" "$row"
}

get() { # ROW MODE CONNECTIONS: one download of ours; two rows, until verified and until flushed
    local before line; sync
    before=$(cpu_of "$(pgrep -P "$PEER_PID")") # of the process that serves, the child
    line=$("$BENCH/bench_get" "$WORK/keys-client" "$WORK/dl" file 127.0.0.1:"$PEER_PORT" "$2" "$3" 2>&1)
    local server; server=$(awk "BEGIN{print $(cpu_of "$(pgrep -P "$PEER_PID")")-$before}")
    if [ "$ROUND" != 0 ]; then
        record download "$1" "$(field "$line" verified_s)" "$(awk "BEGIN{print $(field "$line" core_s)+$server}")" "server core-s $server"
        record download "$1, flushed to disk and in place" "$(field "$line" seconds)" "" ""
        record memory "downloader, ${SIZE_MIB} MiB, $2 (MiB resident)" "$(field "$line" rss_mib)"
    fi
    check_copy "$WORK/dl/file" "$1"
}

start_nginx() {
    NGINX_PORT=$(free_port)
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout "$WORK/tls.key" -out "$WORK/tls.crt" 2>/dev/null
    cat >"$WORK/nginx.conf" <<CONF
daemon off; worker_processes 2; pid $WORK/nginx.pid; error_log stderr error; user $(id -un);
events { worker_connections 256; }
http { access_log off; sendfile on; root $WORK/shared; client_body_temp_path $WORK/nt1; proxy_temp_path $WORK/nt2;
  fastcgi_temp_path $WORK/nt3; uwsgi_temp_path $WORK/nt4; scgi_temp_path $WORK/nt5;
  server { listen 127.0.0.1:$NGINX_PORT ssl; ssl_certificate $WORK/tls.crt; ssl_certificate_key $WORK/tls.key;
    ssl_protocols TLSv1.3; ssl_conf_command Ciphersuites TLS_AES_256_GCM_SHA384; } }
CONF
    chmod 755 "$WORK"
    nginx -c "$WORK/nginx.conf" -p "$WORK" 2>"$WORK/nginx.err" &
    PIDS+=($!)
    NGINX_PIDS=$!
    for _ in $(seq 50); do curl -sk -o /dev/null "https://127.0.0.1:$NGINX_PORT/none" && break; sleep 0.1; done
    NGINX_PIDS="$NGINX_PIDS $(cat /proc/$NGINX_PIDS/task/*/children 2>/dev/null)"
}
start_rsync() {
    RSYNC_PORT=$(free_port)
    printf 'use chroot = no\nuid = %s\ngid = %s\n[shared]\npath = %s\nread only = yes\n' "$(id -u)" "$(id -g)" "$WORK/shared" >"$WORK/rsync.conf"
    rsync --daemon --no-detach --address 127.0.0.1 --port "$RSYNC_PORT" --config "$WORK/rsync.conf" --log-file /dev/null &
    PIDS+=($!)
    sleep 0.5
}
curl_and_sum() { curl -sk -o "$1" "https://127.0.0.1:$NGINX_PORT/file" && sha256sum "$1"; }

part_download() {
    make_file
    local sum; sum=$(sha256sum "$WORK/shared/file" | cut -d' ' -f1)
    start_peer main "$WORK/shared"; wait_shared file
    start_nginx; start_rsync
    local url=https://127.0.0.1:$NGINX_PORT/file o=$WORK/dl/other
    for ROUND in $(seq 0 "$ROUNDS"); do
        say "download, round $ROUND of $ROUNDS (0 is dropped)"
        local line; sync
        line=$("$BENCH/bench_copy" "$WORK/shared/file" "$o" 4)
        [ "$ROUND" = 0 ] || record download "bare encrypted copy, 4 connections" "$(field "$line" seconds)" \
            "$(awk "BEGIN{print $(field "$line" core_s)+$(field "$line" server_core_s)}")" "no verification"
        check_copy "$o" copy
        get "p2p, tree, 4 connections" tree 4
        get "p2p, full (tree and SHA-256), 4 connections" full 4
        SERVER_PIDS=$NGINX_PIDS
        NOTE="no verification" timed "nginx TLS 1.3 + curl" "$o" curl -sk -o "$o" "$url"
        NOTE="no verification" timed "nginx TLS 1.3 + aria2c -x4" "$o" aria2c -q --check-certificate=false -x4 -s4 -k1M --file-allocation=none -d "$WORK/dl" -o other "$url"
        NOTE="SHA-256" timed "nginx TLS 1.3 + aria2c -x4 --checksum" "$o" aria2c -q --check-certificate=false -x4 -s4 -k1M --file-allocation=none --checksum=sha-256="$sum" -d "$WORK/dl" -o other "$url"
        NOTE="SHA-256" timed "nginx TLS 1.3 + curl, then sha256sum" "$o" curl_and_sum "$o"
        SERVER_PIDS=
        NOTE="no encryption; server's CPU not counted" timed "rsync daemon, whole file" "$o" rsync -W "rsync://127.0.0.1:$RSYNC_PORT/shared/file" "$o"
        local began; began=$(now); openssl dgst -sha256 "$WORK/shared/file" >/dev/null
        [ "$ROUND" = 0 ] || record download "one OpenSSL SHA-256 stream over the file" "$(awk "BEGIN{print $(now)-$began}")" "" "hash only"
        began=$(now); dd if="$WORK/shared/file" of="$o" bs=1M conv=fdatasync 2>/dev/null
        [ "$ROUND" = 0 ] || record download "cp to the disk with fdatasync" "$(awk "BEGIN{print $(now)-$began}")" "" "the disk alone"
        rm -f "$o"
    done
    stop_peer "$PEER_PID"
}
part_memory() { :; } # measured with every download

part_first() {
    mkdir -p "$WORK/small1"; head -c 1048576 /dev/urandom >"$WORK/small1/one"
    start_peer first "$WORK/small1"; wait_shared one
    for ROUND in $(seq 0 $((ROUNDS * 3))); do
        rm -f "$WORK/dl/one"
        local line; line=$("$BENCH/bench_get" "$WORK/keys-client" "$WORK/dl" one 127.0.0.1:"$PEER_PORT" full)
        [ "$ROUND" = 0 ] || record first "1 MiB, cold connection, first bytes (ms)" "$(field "$line" first_ms)"
        [ "$ROUND" = 0 ] || record first "1 MiB, cold connection, verified and in place (ms)" "$(awk "BEGIN{print 1000*$(field "$line" seconds)}")"
    done
    stop_peer "$PEER_PID"
}

part_small() {
    mkdir -p "$WORK/many/dir"
    /usr/bin/python3 - "$WORK/many/dir" <<'PY'
import os, sys
for i in range(10000):
    with open(f"{sys.argv[1]}/{i:05d}", "wb") as f:
        f.write(os.urandom(4096))
PY
    start_peer many "$WORK/many"; wait_shared dir/09999; sleep 2
    # Nothing is deleted between rounds, because ext4 takes long to find inodes after many deletions.
    for ROUND in $(seq 0 "$ROUNDS"); do
        say "10,000 files of 4 KiB, round $ROUND"
        local line began dl=$WORK/dl-many-$ROUND; sync
        line=$("$BENCH/bench_get" "$WORK/keys-client" "$dl" dir/ 127.0.0.1:"$PEER_PORT" 2>&1)
        diff -r "$WORK/many/dir" "$dl/dir" >/dev/null || record wrong "small files" 1
        [ "$ROUND" = 0 ] || record small "10,000 files of 4 KiB, p2p, verified and flushed (s)" "$(field "$line" seconds)" "$(field "$line" core_s)"
        sync; began=$(now); cp -r "$WORK/many/dir" "$dl/copy" && sync -f "$dl"
        [ "$ROUND" = 0 ] || record small "the same with cp -r and sync, no network (s)" "$(awk "BEGIN{print $(now)-$began}")"
    done
    stop_peer "$PEER_PID"
}

part_resume() {
    make_file
    start_peer resume "$WORK/shared"; wait_shared file
    for ROUND in $(seq 1 "$ROUNDS"); do
        rm -rf "$WORK/dl"; mkdir "$WORK/dl"
        local one two
        one=$(BENCH_KILL_AT=$((SIZE_MIB * 524288)) "$BENCH/bench_get" "$WORK/keys-client" "$WORK/dl" file 127.0.0.1:"$PEER_PORT" tree 1 2>/dev/null)
        two=$("$BENCH/bench_get" "$WORK/keys-client" "$WORK/dl" file 127.0.0.1:"$PEER_PORT" tree)
        cmp -s "$WORK/shared/file" "$WORK/dl/file" || record wrong "resume" 1
        record resume "kill -9 at half: received twice (MiB)" "$(awk "BEGIN{d=$(field "$one" received)-$(field "$two" resumed); print (d>0?d:0)/1048576}")"
        record resume "kill -9 at half: new bytes after (ms)" "$(field "$two" first_ms)"
    done
    stop_peer "$PEER_PID"
}

part_sources() {
    mkdir -p "$WORK/four"; head -c $((256 * 1048576)) /dev/urandom >"$WORK/four/file4"
    local list="" pids=() line
    for i in 1 2 3 4; do
        start_peer four$i "$WORK/four" --limit-rate 20M
        list+=127.0.0.1:$PEER_PORT,; pids+=("$PEER_PID")
    done
    rm -rf "$WORK/dl"; sleep 3
    line=$("$BENCH/bench_get" "$WORK/keys-client" "$WORK/dl" file4 "$list" full)
    cmp -s "$WORK/four/file4" "$WORK/dl/file4" || record wrong "four sources" 1
    record sources "4 sources of 20 MiB/s: share of the sum" "$(awk "BEGIN{print 256/$(field "$line" verified_s)/80}")"
    rm -rf "$WORK/dl"
    (sleep 1.5; kill -9 "${pids[0]}") &
    line=$("$BENCH/bench_get" "$WORK/keys-client" "$WORK/dl" file4 "$list" full)
    cmp -s "$WORK/four/file4" "$WORK/dl/file4" || record wrong "four sources, one killed" 1
    # Four sources for 1.5 s, then three; the additional time is the cost of the killed one.
    record sources "one of them killed after 1.5 s: time lost (s)" "$(awk "BEGIN{print $(field "$line" verified_s)-(1.5+(256-120)/60)}")"
    for pid in "${pids[@]}"; do stop_peer "$pid"; done
}

part_delay() {
    [ "$(id -u)" = 0 ] || { echo "delay: needs root, left out" >&2; return; }
    mkdir -p "$WORK/far"; head -c $((512 * 1048576)) /dev/urandom >"$WORK/far/far"
    ip netns add p2p-bench-a && ip netns add p2p-bench-b || return
    "$BENCH/delayline" p2p-bench-a p2p-bench-b 50 500 >"$WORK/line.out" &
    PIDS+=($!)
    for _ in $(seq 50); do grep -q ready "$WORK/line.out" && break; sleep 0.1; done
    PREFIX_CMD="ip netns exec p2p-bench-b" start_peer far "$WORK/far"
    sleep 3
    local single
    single=$(ip netns exec p2p-bench-a /usr/bin/python3 tests/bench/one_by_one.py 10.77.0.2 "$PEER_PORT" far 6) || return
    record delay "for comparison: one chunk of 1 MiB per round trip (MB/s)" "$(awk "BEGIN{print $single/1e6}")"
    for ROUND in $(seq 0 2); do
        rm -rf "$WORK/dl"
        local line; line=$(ip netns exec p2p-bench-a "$BENCH/bench_get" "$WORK/keys-client" "$WORK/dl" far 10.77.0.2:"$PEER_PORT" full)
        cmp -s "$WORK/far/far" "$WORK/dl/far" || record wrong "delay" 1
        record delay "100 ms round trip, 500 Mbit/s, 512 MiB: share of the link" "$(awk "BEGIN{print 512*8.388608/$(field "$line" verified_s)/500}")" "" "$(sysctl -n net.ipv4.tcp_congestion_control)"
        record delay "times one chunk each round trip" "$(awk "BEGIN{print $((512 * 1048576))/$(field "$line" verified_s)/$single}")"
    done
    stop_peer "$PEER_PID"
}

# Two homes whose routers let nothing in, at a round trip of 40 ms: real programs, and the CPU time of the relay.
part_relay() {
    [ "$(id -u)" = 0 ] || { echo "relay: needs root, left out" >&2; return; }
    local line
    while read -r line; do
        echo "$line" >&2
        record relay "through p2p-relay, 40 ms round trip, 400 Mbit/s, 300 MiB: MB/s" "$(field "$line" MB/s)"
        record relay "core-seconds of p2p-relay per GB" "$(field "$line" relay_core_s_per_GB)"
    done < <(/usr/bin/python3 tests/bench/reach.py --delay 20 --size 300 --rounds 3)
}

part_versions() { tests/bench/keep.py versions | tee "$WORK/versions.txt" >&2; }
part_mirror() { tests/bench/keep.py mirror | tee "$WORK/mirror.txt" >&2; }
part_hash() { [ -x "$BENCH/bench_hash" ] && "$BENCH/bench_hash" | tee "$WORK/hash.txt" >&2; }
part_peer() { [ -x scripts/bench-peer.sh ] && scripts/bench-peer.sh 2>&1 | tee "$WORK/peer.txt" >&2; }
part_registry() { [ -x scripts/bench-registry.sh ] && scripts/bench-registry.sh 2>&1 | tee "$WORK/registry.txt" >&2; }

for part in "${PARTS[@]}"; do
    say "$part"
    "part_$part"
done
touch "$RESULTS"
/usr/bin/python3 scripts/bench-report.py "$RESULTS" "$SIZE_MIB" "$WORK" >"$WORK/report.md" || exit 1
cat "$WORK/report.md"
[ $DOC = no ] || cp "$WORK/report.md" docs/BENCHMARKS.md
! grep -q '^wrong' "$RESULTS"

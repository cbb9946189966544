#!/usr/bin/env bash
# First process of the container image.
#   p2p-container node                     p2p-peer and p2p-ui; ends when one of them ends
#   p2p-container PROGRAM [OPTION...]      p2p-peer, p2p-ui, p2p-discovery, p2p-relay or p2p
#   p2p-container health                   whether what runs here answers
# In a node, P2P_UI_PORT and P2P_PEER_PORT choose the ports (8080, 9000).
set -uo pipefail

ui_port=${P2P_UI_PORT:-8080} peer_port=${P2P_PEER_PORT:-9000} registry_port=${P2P_PORT:-8000}
state=${STATE_DIRECTORY:-/var/lib/p2p}

# Whether `GET /health` at this port is answered with 200.
is_healthy() {
    local answer
    exec 3<>"/dev/tcp/127.0.0.1/$1" || return 1
    printf 'GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3
    IFS= read -r -t 8 answer <&3 && [[ $answer == "HTTP/1.1 200 "* ]]
}

takes_connections() { exec 3<>"/dev/tcp/127.0.0.1/$1"; }

# Whether a first process or a child of one is this program.
runs() { grep -qsxF "$1" /proc/[0-9]*/comm; }

health() {
    local found=no
    if runs p2p-discovery; then found=yes; is_healthy "$registry_port" || return 1; fi
    if runs p2p-ui; then found=yes; is_healthy "$ui_port" || return 1; fi
    if runs p2p-peer; then found=yes; takes_connections "$peer_port" || return 1; fi
    [ $found = yes ]
}

# Of both programs, once: a second signal would end them without their orderly stop.
stop() {
    [ $stopping = yes ] || kill -TERM "$peer" "$ui" 2>/dev/null
    stopping=yes
}

node() {
    mkdir -p "$state/keys" "$state/shared" "$state/downloads" && chmod 700 "$state/keys" || exit 1
    unset P2P_PORT
    p2p-peer --port "$peer_port" &
    local peer=$!
    p2p-ui --port "$ui_port" --peer-port "$peer_port" &
    local ui=$! status asked=no stopping=no
    trap 'asked=yes; stop' TERM INT
    trap 'kill -HUP $peer $ui 2>/dev/null' HUP
    # A signal ends `wait` with more than 128 while both run on.
    while wait -n "$peer" "$ui"; status=$?; [ $status -gt 128 ] && kill -0 "$peer" 2>/dev/null && kill -0 "$ui" 2>/dev/null; do
        :
    done
    stop
    while kill -0 "$peer" 2>/dev/null || kill -0 "$ui" 2>/dev/null; do
        wait "$peer" "$ui" 2>/dev/null
    done
    [ $asked = no ] || status=0
    exit $status
}

case ${1:-node} in
node) node ;;
health) health 2>/dev/null ;;
p2p | p2p-peer | p2p-ui | p2p-discovery | p2p-relay) exec "$@" ;;
*) echo "p2p-container: $1 is not an entry point; use node, p2p-peer, p2p-ui, p2p-discovery or p2p" >&2; exit 2 ;;
esac

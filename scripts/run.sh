#!/usr/bin/env bash
# Builds and runs everything on this machine: registry, peer, dashboard; with --public also a relay. Ctrl-C stops all.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

usage() {
    cat <<END
Usage: scripts/run.sh [options]
  --discovery-port PORT   the registry's port (default 8000)
  --peer-port PORT        the peer's port (default 9000)
  --ui-port PORT          the dashboard's port (default 8080)
  --shared-dir DIR        files you share (default shared/)
  --downloads-dir DIR     files you fetched (default downloads/)
  --keys-dir DIR          your identity (default keys/)
  --discovery URL         join the registry of another machine instead of starting one
  --public HOST           also serve others on the Internet, who reach this machine as HOST: the
                          registry with HTTPS, and a relay. The peer serves only peers that you trust
  --tls-cert FILE         with --public: the registry's certificate (default: a self-made one)
  --tls-key FILE          with --public: its key
  --relay-port PORT       with --public: the relay's port (default 7100)
  --help                  this text
A key with a passphrase: you type it once, or name the file that holds it with P2P_PASSPHRASE_FILE.
END
}

discovery_port=8000 peer_port=9000 ui_port=8080 registry=
public='' tls_cert='' tls_key='' relay_port=7100
shared_dir=$root/shared downloads_dir=$root/downloads keys_dir=$root/keys
absolute() { case $1 in /*) echo "$1" ;; *) echo "$PWD/$1" ;; esac; }

while [ $# -gt 0 ]; do
    case $1 in
    --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;;
    esac
    case $1 in
    --help) usage; exit 0 ;;
    --discovery-port | --peer-port | --ui-port | --shared-dir | --downloads-dir | --keys-dir | --discovery | \
        --public | --tls-cert | --tls-key | --relay-port)
        [ $# -ge 2 ] || { echo "run.sh: $1 needs a value" >&2; exit 2; } ;;
    *) echo "run.sh: unknown option '$1' (see --help)" >&2; exit 2 ;;
    esac
    case $1 in
    --discovery-port) discovery_port=$2 ;;
    --peer-port) peer_port=$2 ;;
    --ui-port) ui_port=$2 ;;
    --shared-dir) shared_dir=$(absolute "$2") ;;
    --downloads-dir) downloads_dir=$(absolute "$2") ;;
    --keys-dir) keys_dir=$(absolute "$2") ;;
    --discovery) registry=$2 ;;
    --public) public=$2 ;;
    --tls-cert) tls_cert=$(absolute "$2") ;;
    --tls-key) tls_key=$(absolute "$2") ;;
    --relay-port) relay_port=$2 ;;
    esac
    shift 2
done
for port in "$discovery_port" "$peer_port" "$ui_port" "$relay_port"; do
    if [[ ! $port =~ ^[0-9]{1,5}$ ]] || [ "$port" -gt 65535 ]; then
        echo "run.sh: '$port' is not a port (0 to 65535)" >&2
        exit 2
    fi
done

if [ -n "$public" ]; then
    [[ $public =~ ^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$ ]] ||
        { echo "run.sh: --public '$public': give a host name or an IPv4 address" >&2; exit 2; }
    [ -z "$registry" ] ||
        { echo "run.sh: --public starts a registry, and --discovery uses another one: give one of them" >&2; exit 2; }
    [ "${tls_cert:+given}" = "${tls_key:+given}" ] ||
        { echo "run.sh: --tls-cert and --tls-key need each other" >&2; exit 2; }
elif [ -n "$tls_cert$tls_key" ]; then
    echo "run.sh: --tls-cert and --tls-key need --public" >&2
    exit 2
fi

"$root/scripts/deps.sh" build
echo "Building (the first time takes a minute) ..."
make -s -C "$root" -j"$(nproc)" all >/dev/null # what fails is on stderr

mkdir -p "$shared_dir" "$downloads_dir"
if [ -z "$(find "$shared_dir" -mindepth 1 -not -name '.*' -print -quit)" ]; then
    printf 'Hello!\n\nThis file is shared from your "shared" folder.\nDrop more files onto the dashboard to share them.\n' \
        >"$shared_dir/hello.txt"
    printf '# Notes\n\n- Files you share are in the shared folder.\n- Files you fetch arrive in the downloads folder.\n' \
        >"$shared_dir/notes.md"
fi

# If root starts the script in folders of root, there is no other user to serve them as.
if [ "$(id -u)" = 0 ] && [ "$(stat -c %u "$shared_dir")" = 0 ]; then
    export P2P_RUN_AS_ROOT=1
fi

# ---- The passphrase of the key ----
# Two daemons need it, so it is read once here. Each gets it through a pipe of its own: it never
# stands in an argument, in the environment or in a file.
passphrase='' has_passphrase=no key=$keys_dir/private_key.pem

is_protected() { grep -qs 'BEGIN ENCRYPTED PRIVATE KEY' "$key"; }
opens_key() {
    local fd status=0
    exec {fd}< <(printf '%s\n' "$passphrase")
    P2P_PASSPHRASE_FILE='' P2P_PASSPHRASE_FD=$fd "$root/bin/p2p" id --keys-dir "$keys_dir" >/dev/null || status=$?
    exec {fd}<&-
    return $status
}
ask_passphrase() {
    if ! { exec {tty}<>/dev/tty; } 2>/dev/null; then
        echo "run.sh: $key has a passphrase, and there is no terminal to type it on." >&2
        echo "Name a file that holds it: P2P_PASSPHRASE_FILE=FILE scripts/run.sh" >&2
        exit 1
    fi
    local tries=3
    while [ $tries -gt 0 ]; do
        IFS= read -rs -u "$tty" -p "Passphrase of $key: " passphrase || true
        echo >&"$tty"
        if [ -n "$passphrase" ] && opens_key; then
            has_passphrase=yes
            exec {tty}>&-
            return
        fi
        tries=$((tries - 1))
    done
    exit 1
}
if [ -n "${P2P_PASSPHRASE_FILE:-}" ]; then
    if [ ! -f "$P2P_PASSPHRASE_FILE" ] && [ -r "$P2P_PASSPHRASE_FILE" ]; then # a pipe gives it once
        IFS= read -r passphrase <"$P2P_PASSPHRASE_FILE" || true
        has_passphrase=yes
    fi
elif [ -n "${P2P_PASSPHRASE_FD:-}" ]; then
    IFS= read -r -u "$P2P_PASSPHRASE_FD" passphrase || true
    has_passphrase=yes
elif is_protected && [ ! -e "${CREDENTIALS_DIRECTORY:-/nowhere}/key-passphrase" ]; then
    ask_passphrase
fi
if [ $has_passphrase = yes ]; then
    unset P2P_PASSPHRASE_FILE P2P_PASSPHRASE_FD
fi

# Each daemon has its own process group, so that Ctrl-C reaches only this script, and the script stops them in order.
set -m
state=$(mktemp -d)
names=() pids=()

# shellcheck disable=SC2317 # called by the trap
stop_all() {
    trap '' INT TERM
    for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
        kill -TERM "${pids[i]}" 2>/dev/null || continue
        wait "${pids[i]}" 2>/dev/null || true
    done
    rm -rf "$state"
}
trap stop_all EXIT
trap 'echo; echo "Stopping ..."; exit 130' INT
trap 'echo "Stopping ..."; exit 0' TERM HUP

port_is_taken() { # PORT
    [ "$1" != 0 ] && (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# start PROGRAM PORT FLAG OPTIONS...: runs it, waits for its ready line, sets `port` to the actual one.
start() {
    local name=$1 wanted=$2 flag=$3
    shift 3
    if port_is_taken "$wanted"; then
        echo "Port $wanted is already in use; choose another one for $name with $flag." >&2
        exit 1
    fi
    : >"$state/$name" # there before it is looked into
    if [ $has_passphrase = yes ] && [ "$name" != p2p-discovery ] && [ "$name" != p2p-relay ]; then
        local fd
        exec {fd}< <(printf '%s\n' "$passphrase")
        P2P_PASSPHRASE_FD=$fd "$root/bin/$name" --port "$wanted" "$@" >"$state/$name" &
        exec {fd}<&-
    else
        "$root/bin/$name" --port "$wanted" "$@" >"$state/$name" &
    fi
    names+=("$name") pids+=($!)
    until grep -q '^ready ' "$state/$name"; do
        if ! kill -0 "${pids[-1]}" 2>/dev/null; then
            if port_is_taken "$wanted"; then
                echo "Port $wanted is already in use; choose another one for $name with $flag." >&2
            else
                echo "$name did not start; its message above says why." >&2
            fi
            exit 1
        fi
        sleep 0.05
    done
    port=$(sed -n 's/^ready .*port=\([0-9]*\).*/\1/p' "$state/$name")
}

export P2P_HOME=$root # one home for all programs, from the first start
# ---- For others on the Internet ----
is_ip() { [[ $1 =~ ^[0-9.]+$ ]]; }
make_secret() { # FILE
    [ -s "$1" ] || (umask 077 && od -An -tx1 -N32 /dev/urandom | tr -d ' \n' >"$1")
}
make_certificate() { # FILE KEY: valid for this host and this machine
    local kind=DNS
    is_ip "$public" && kind=IP
    if [ -s "$1" ] && [ -s "$2" ] && openssl x509 -in "$1" -noout -checkend 86400 >/dev/null &&
        openssl x509 -in "$1" -noout -subject | grep -qxF "subject=CN = $public"; then
        return
    fi
    (umask 077 && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 825 \
        -subj "/CN=$public" -addext "subjectAltName=$kind:$public" -keyout "$2" -out "$1" 2>/dev/null)
}
start_public() {
    local admin=() made
    mkdir -p "$keys_dir"
    make_secret "$keys_dir/relay.secret"
    if [ -z "$tls_cert" ]; then
        made=yes tls_cert=$keys_dir/registry.crt tls_key=$keys_dir/registry.key
        make_certificate "$tls_cert" "$tls_key"
        export SSL_CERT_FILE=$tls_cert # for the peer and the dashboard here
    fi
    [ "$relay_port" = 7100 ] || admin=(--admin-port 0)
    start p2p-relay "$relay_port" --relay-port --relay-secret-file "$keys_dir/relay.secret" "${admin[@]}"
    relay_port=$port
    start p2p-discovery "$discovery_port" --discovery-port --tls-cert "$tls_cert" --tls-key "$tls_key" \
        --allow-host "$public" --relay "$public:$relay_port" --relay-secret-file "$keys_dir/relay.secret"
    discovery_port=$port
    registry=https://$public:$discovery_port
    self_made=${made:-no}
}
explain_public() {
    local udp=$discovery_port-$((discovery_port + 1))
    cat <<END

  For others  scripts/run.sh --discovery $registry
  Relay       $public:$relay_port

Open these ports in the firewall, with one of:
  nft add rule inet filter input tcp dport "{ $discovery_port, $relay_port, $peer_port }" accept
  nft add rule inet filter input udp dport $udp accept

  ufw allow proto tcp to any port $discovery_port,$relay_port,$peer_port
  ufw allow proto udp to any port ${udp/-/:}

  firewall-cmd --permanent --add-port={$discovery_port,$relay_port,$peer_port}/tcp --add-port=$udp/udp
  firewall-cmd --reload
END
    [ "$self_made" = no ] || cat <<END

The registry's certificate is self-made: no other machine trusts it yet. Copy the file
$tls_cert there, and start the programs with SSL_CERT_FILE=FILE;
or get a certificate for $public, and give it with --tls-cert and --tls-key.
END
}

if [ -n "$public" ]; then
    start_public
elif [ -z "$registry" ]; then
    start p2p-discovery "$discovery_port" --discovery-port
    registry=http://localhost:$port
fi
# Not the default: on the command line it would hide the folders that `p2p share add` writes to p2p.conf.
shared=()
[ "$shared_dir" = "$root/shared" ] || shared=(--shared-dir "$shared_dir")
strict=()
[ -z "$public" ] || strict=(--trusted-only --no-protocol-1)
start p2p-peer "$peer_port" --peer-port "${shared[@]}" "${strict[@]}" --keys-dir "$keys_dir" --discovery "$registry"
peer_port=$port
start p2p-ui "$ui_port" --ui-port "${shared[@]}" --downloads-dir "$downloads_dir" \
    --keys-dir "$keys_dir" --discovery "$registry" --peer-port "$peer_port" --web-dir "$root/web"
passphrase=

# Settings that are not the default are written to p2p.conf, so that bin/p2p finds them in every folder.
remember() { # NAME VALUE DEFAULT
    if [ "$2" != "$3" ]; then
        "$root/bin/p2p" config set "$1" "$2"
    elif [ -e "$root/p2p.conf" ] && "$root/bin/p2p" config get "$1" >/dev/null 2>&1; then
        "$root/bin/p2p" config unset "$1"
    fi 2>/dev/null || true
}
if [ "$keys_dir" = "$root/keys" ]; then
    remember discovery "$registry" http://localhost:8000
    remember p2p.peer-port "$peer_port" 9000
    remember "p2p ui.url" "http://localhost:$port" http://localhost:8080
fi

cat <<END

  Dashboard   http://localhost:$port
  Registry    $registry
  Peer        port $peer_port, sharing $shared_dir
END
[ -z "$public" ] || explain_public
printf '\nPress Ctrl-C to stop.\n'

died=
wait -n -p died "${pids[@]}" || true
for i in "${!pids[@]}"; do
    if [ "${pids[i]}" = "$died" ]; then
        echo "${names[i]} has stopped unexpectedly; stopping the others." >&2
        unset 'pids[i]'
        pids=("${pids[@]}")
    fi
done
exit 1

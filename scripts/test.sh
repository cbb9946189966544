#!/usr/bin/env bash
# The whole test run: both compilers, unit tests plain and under three sanitizers, fuzz corpora
# replayed, then the end-to-end tests against real processes. Stops at the first step that fails; the
# last line printed is pytest's own summary.
#
#   scripts/test.sh [pytest options]      e.g.  scripts/test.sh -k protocol2
#   P2P_LONG_TESTS=1 scripts/test.sh      also what takes minutes (every bit flip, the long proofs,
#                                         the programs end to end under the thread sanitizer)
set -euo pipefail
cd "$(dirname "$0")/.."

PYTHON=/usr/bin/python3
CORES=$(nproc)
export MAKEFLAGS="-j$CORES -O"

HOSTILE="tests/e2e/test_protocol1.py tests/e2e/test_protocol2.py tests/e2e/test_handshake_negative.py
         tests/e2e/test_records_negative.py tests/e2e/test_discovery.py
         tests/e2e/test_get_from_liars.py tests/e2e/test_get_identity.py"
THREADED="$HOSTILE tests/e2e/test_faults.py tests/e2e/test_peer.py tests/e2e/test_resume.py
         tests/e2e/test_registry_store.py tests/e2e/test_ui_transfers.py tests/e2e/test_ui_events.py"

step() { printf '\n== %s\n' "$*"; }

# Runs a command beside the next steps. finish_beside waits for it, shows what it printed, and ends the
# run if it failed. What still runs when the script ends is waited for.
BESIDE=
beside() {
    "$@" >build/beside.log 2>&1 </dev/null &
    BESIDE=$!
}
finish_beside() {
    local status=0
    wait "$BESIDE" || status=$?
    step "$*"
    cat build/beside.log
    return $status
}
trap wait EXIT

# Most tests wait for a process or a deadline, so more of them run at once than there are cores. The
# files that take longest begin (tests/seconds.json; build/test-seconds.json is what to put there).
# A few tests that fail beside others are listed and run again, alone. A test that passes only
# alone depends on the speed of the machine: that is a bug in the test. More failures than a few are
# not repeated.
# A test that waits for ever fails after LIMIT_S with what each of its threads did, and the others go on.
RETRIED_MAX=10
LIMIT_S=300
[ "${P2P_LONG_TESTS:-}" != 1 ] || LIMIT_S=7200
end_to_end() {
    local common=(-p no:cacheprovider) several=() failed=build/failed-tests seconds=build/test-seconds.json status=0 names group
    if $PYTHON -c 'import pytest_timeout' 2>/dev/null; then common+=("--timeout=$LIMIT_S" --timeout-method=thread); fi
    if $PYTHON -c 'import xdist' 2>/dev/null; then several=(-n $((CORES + 2)) --dist loadgroup); fi
    $PYTHON -m pytest "${common[@]}" --failed-to="$failed" --seconds-to="$seconds" "${several[@]}" "$@" || status=$?
    [ $status -eq 1 ] || return $status
    mapfile -t names < <(sort -u "$failed")
    [ ${#names[@]} -le $RETRIED_MAX ] || return 1
    # One of them counts what others have asked for.
    mapfile -t group < <(grep -l 'xdist_group("openapi")' tests/e2e/test_*.py)
    if [[ " ${names[*]} " == *test_ui_whole_document* ]]; then
        mapfile -t names < <(printf '%s\n' "${names[@]}" | grep -vFf <(printf '%s::\n' "${group[@]}"); printf '%s\n' "${group[@]}")
    fi
    step "${#names[@]} tests failed beside others; fix those that pass alone:"
    printf '  %s\n' "${names[@]}"
    $PYTHON -m pytest "${common[@]}" --no-skips "${names[@]}"
}

step "packages"
scripts/deps.sh test --yes
# The accessibility checker for the browser tests; without it, they report that these checks were skipped.
if [ ! -e build/npm/node_modules/axe-core/axe.min.js ] && command -v npm >/dev/null; then
    npm install --no-save --silent --prefix build/npm axe-core || echo "axe-core could not be installed"
fi

step "gcc: build"
make -s CC=gcc
beside make -s CC=gcc check

step "clang, address and undefined: build"
make -s CC=clang SAN=address,undefined
finish_beside "gcc: unit tests"

# shellcheck disable=SC2086 # a list of words
hostile() { P2P_BIN=build/clang-address-undefined/bin end_to_end -q $HOSTILE; }
[ $# -gt 0 ] || beside hostile

step "clang, address and undefined: unit tests, fuzz corpora"
make -s CC=clang SAN=address,undefined check

step "clang, threads: unit tests"
make -s CC=clang SAN=thread check

if [ $# -eq 0 ]; then
    finish_beside "hostile input against the sanitized programs"
    if [ "${P2P_LONG_TESTS:-}" = 1 ]; then
        scripts/deps.sh proof platforms --yes
        step "contracts, with Frama-C"
        make -s prove
        step "end to end under the thread sanitizer"
        make -s CC=clang SAN=thread
        # shellcheck disable=SC2086 # a list of words
        P2P_BIN=build/clang-thread/bin end_to_end -q $THREADED
    fi
fi

step "end to end"
end_to_end tests "$@"

#!/usr/bin/env bash
# The whole test run: both compilers, unit tests plain and sanitized, fuzz corpora replayed, then the
# end-to-end tests against real processes. Stops at the first step that fails; the last line printed
# is pytest's own summary.
#
#   scripts/test.sh [pytest options]      e.g.  scripts/test.sh -k protocol2
#   P2P_LONG_TESTS=1 scripts/test.sh      also what takes minutes (every bit flip, the long proofs)
set -euo pipefail
cd "$(dirname "$0")/.."

PYTHON=/usr/bin/python3
SANITIZERS=address,undefined
SANITIZED=build/clang-address-undefined
export MAKEFLAGS="-j$(nproc)"

step() { printf '\n== %s\n' "$*"; }

step "packages"
scripts/deps.sh test --yes
# The accessibility checker for the browser tests; without it those checks say that they were skipped.
if [ ! -e build/npm/node_modules/axe-core/axe.min.js ] && command -v npm >/dev/null; then
    npm install --no-save --silent --prefix build/npm axe-core || echo "axe-core could not be installed"
fi

step "gcc: build and unit tests"
make -s WERROR=1 CC=gcc
make -s WERROR=1 CC=gcc check

step "clang with $SANITIZERS: build, unit tests, fuzz corpora"
make -s WERROR=1 CC=clang SAN=$SANITIZERS
make -s WERROR=1 CC=clang SAN=$SANITIZERS check

if [ $# -eq 0 ]; then
    step "hostile input against the sanitized programs"
    P2P_BIN=$SANITIZED/bin $PYTHON -m pytest -q -p no:cacheprovider \
        tests/e2e/test_protocol1.py tests/e2e/test_protocol2.py tests/e2e/test_handshake_negative.py \
        tests/e2e/test_records_negative.py tests/e2e/test_discovery.py \
        tests/e2e/test_get_from_liars.py tests/e2e/test_get_identity.py
fi

step "end to end"
$PYTHON -m pytest -q -p no:cacheprovider tests "$@"

#!/usr/bin/env bash
# Proves the contracts of tests/formal/contracts with Frama-C/WP and Z3: `make prove`. Each file names
# the functions whose code is proven, in its line "prove: ...". Fails when one goal stays open.
set -euo pipefail
cd "$(dirname "$0")/../.."

for tool in frama-c why3 z3; do
    command -v $tool >/dev/null ||
        { echo "prove: $tool is missing: run scripts/deps.sh proof" >&2; exit 1; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export WHY3CONFIG=$work/why3.conf
why3 config detect >/dev/null 2>&1

# Steps bound a proof alike on every machine; with a time alone, Why3 takes Z3's "timeout" for a failure
# on a busy one. What tables hold is of no matter to the bounds, and would only slow the prover.
options=(-wp -wp-rte -wp-model Typed+Cast -wp-prover z3 -wp-steps 30000000 -wp-timeout 120 -wp-no-init-const)
status=0 total=0
for contracts in tests/formal/contracts/*.c; do
    functions=$(sed -n 's/^ \* prove: //p' "$contracts" | tr -d '\n')
    frama-c "${options[@]}" -wp-fct "$functions" \
        -cpp-extra-args="-Iinclude -Isrc -D_GNU_SOURCE" "$contracts" >"$work/log" 2>&1 || status=1
    summary=$(grep -o 'Proved goals: *[0-9]* / [0-9]*' "$work/log" || echo "no result")
    echo "$contracts: $summary"
    proven='' all=''
    read -r proven all < <(tr -cs 0-9 ' ' <<<"$summary") || true
    if [ -z "${all:-}" ] || [ "$proven" != "$all" ]; then
        grep -E 'Failed|Unknown|Timeout|Stepout|Error|error' "$work/log" >&2 || tail -5 "$work/log" >&2
        status=1
    fi
    total=$((total + ${proven:-0}))
done
echo "proven: $total goals"
exit $status

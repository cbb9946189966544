# Programs of scripts/bench.sh: tests/bench/<name>.c

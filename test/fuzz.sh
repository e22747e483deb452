#!/bin/sh
# Runs every fuzz target for a while: test/fuzz.sh [HOW LONG EACH], and then a model that go test draws from sparingly.
# A number of executions (20000x) and not a time (30s) by default: at the end of
# a time go test may take its own deadline for a failure of the target.
set -eu
cd "$(dirname "$0")/.."
for file in $(grep -rl --include='*_test.go' '^func Fuzz' internal); do
  for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p' "$file"); do
    echo "fuzz $target"
    go test "./$(dirname "$file")" -run '^$' -fuzz "^$target\$" -fuzztime "${1:-20000x}" -fuzzminimizetime 1000x
  done
done
echo "model of dead letters that are mapped again"
go test -count=1 ./internal/retry -run TestModel -rapid.checks 100

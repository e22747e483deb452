#!/bin/sh
# Runs every fuzz target for a while: test/fuzz.sh [HOW LONG EACH], and then a model that go test draws from sparingly.
# A number of executions (20000x) and not a time (30s) by default: at the end of
# a time go test may take its own deadline for a failure of the target.
set -eu
cd "$(dirname "$0")/.."
# go test kills a target whose execution takes 10 s. A disk that other tests keep busy can take that long, so the
# files are in memory where the system has such a folder.
files=$(mktemp -d /dev/shm/chunkline-fuzz-XXXXXX 2>/dev/null || mktemp -d)
trap 'rm -rf "$files"' EXIT
trap 'exit 130' INT TERM
programs=${TMPDIR:-/tmp} # go test runs them, which a folder in memory may forbid
processors=$(getconf _NPROCESSORS_ONLN)
for file in $(grep -rl --include='*_test.go' '^func Fuzz' internal); do
  for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p' "$file"); do
    echo "fuzz $target"
    GOTMPDIR=$programs TMPDIR=$files go test "./$(dirname "$file")" -run '^$' -parallel "$processors" \
      -fuzz "^$target\$" -fuzztime "${1:-20000x}" -fuzzminimizetime 1000x
  done
done
echo "model of dead letters that are mapped again"
go test -count=1 ./internal/retry -run TestModel -rapid.checks 100

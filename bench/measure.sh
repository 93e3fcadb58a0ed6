#!/bin/bash
# Measures what Session Export is held to, beside the reference programs, and fails when a figure does not pass.
#   measure.sh [sessions] [repetitions] [figure...]      bench/table -list names the figures
# Files go to $TMPDIR/session-export-bench; BENCH_PORT (of the first of six brokers, two ports each) and
# BENCH_RECEIVER_PORT (of the first of three receivers) choose other ports. The table is kept in BENCH_OUT, by default
# .cache/bench.md of the project.
set -euo pipefail
N=${1:-200000} REPEAT=${2:-5}
shift $(($# > 2 ? 2 : $#))
D=$(cd "$(dirname "$0")" && pwd) T=${TMPDIR:-/tmp}/session-export-bench
"$D/build.sh" "$T" core
cd "$D"
exec "$T/bin/table" -bin "$T/bin" -work "$T/work" -port "${BENCH_PORT:-19092}" -recv-port "${BENCH_RECEIVER_PORT:-18443}" \
  -n "$N" -repeat "$REPEAT" -o "${BENCH_OUT:-$D/../.cache/bench.md}" "$@"

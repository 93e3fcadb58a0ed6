#!/bin/bash
# Measures this service beside the reference programs, interleaved, and prints medians and ratios.
#   measure.sh [sessions] [repetitions]
# Files go to $TMPDIR/session-export-bench; BENCH_PORT and BENCH_RECEIVER_PORT choose other ports.
set -euo pipefail
N=${1:-200000} REPEAT=${2:-5}
D=$(cd "$(dirname "$0")" && pwd) T=${TMPDIR:-/tmp}/session-export-bench
"$D/build.sh" "$T" core
(cd "$D" && go build -o "$T/bin/" ./ratios)
rows=$(mktemp) && trap 'rm -f "$rows"' EXIT
cd "$D"
"$T/bin/run" -bin "$T/bin" -work "$T/work" -port "${BENCH_PORT:-19092}" -recv-port "${BENCH_RECEIVER_PORT:-18443}" \
  -n "$N" -repeat "$REPEAT" -o "$rows" \
  -peers 'limit-chain-h1-4,session-export-http,session-export-http1,session-export-ndjson,limit-bulk-h1-1,session-export-es'
"$T/bin/ratios" -rows "$rows" session-export-http=limit-chain-h1-4 session-export-http1=limit-chain-h1-4 \
  session-export-ndjson=limit-chain-h1-4 session-export-es=limit-bulk-h1-1

#!/bin/bash
# Measures Session Export beside the programs that do parts of its work, as far as they can be built here.
#   products.sh [sessions] [repetitions]
# build.sh says which Debian packages belong to it; what is missing is left out and named. Ports and files as in
# measure.sh; the table is kept in .cache/products.md of the project.
set -euo pipefail
N=${1:-50000} REPEAT=${2:-3}
D=$(cd "$(dirname "$0")" && pwd) T=${TMPDIR:-/tmp}/session-export-bench
"$D/build.sh" "$T" core
[ -n "${BENCH_NO_BUILD:-}" ] || "$D/build.sh" "$T" || echo "not every program was built; the table names those that are missing" >&2
cd "$D"
exec "$T/bin/table" -products -bin "$T/bin" -work "$T/work" -port "${BENCH_PORT:-19092}" \
  -recv-port "${BENCH_RECEIVER_PORT:-18443}" -n "$N" -repeat "$REPEAT" -o "${BENCH_OUT:-$D/../.cache/products.md}"

#!/usr/bin/env bash
# Fuzzes every target of the module for a short while, one after the other.
#   tools/fuzz.sh [PACKAGES]      default ./...
# FUZZ_SECONDS (5) is the time a target gets, FUZZ_TOTAL_SECONDS (240) the bound on all of them together.
set -euo pipefail
cd "$(dirname "$0")/.."

each=${FUZZ_SECONDS:-5} total=${FUZZ_TOTAL_SECONDS:-240}

# go test -list prints a package's targets and then its "ok" line.
listing=$(go test -list '^Fuzz' "${@:-./...}")
targets=$(awk '/^Fuzz/ { names[n++] = $1 } /^ok/ { for (i = 0; i < n; i++) print $2, names[i]; n = 0 }' <<<"$listing")
if [ -z "$targets" ]; then
  echo "no fuzz target found" >&2
  exit 1
fi

count=$(wc -l <<<"$targets")
if ((each * count > total)); then each=$((total / count)); fi
if ((each < 1)); then each=1; fi

output=$(mktemp)
trap 'rm -f "$output"' EXIT

fuzz() { # package name
  go test -run '^$' -fuzz "^$2\$" -fuzztime "${each}s" "$1" </dev/null 2>&1 | tee "$output"
}

# Before Go 1.27 the end of -fuzztime can race the workers and be reported as a failure without any failing input
# (go.dev/issue/75804). That, and nothing else, earns a second run.
ended_by_the_clock() {
  grep -qx ' *context deadline exceeded' "$output" && ! grep -q 'Failing input written' "$output"
}

echo "fuzzing $count targets for ${each}s each"
while read -r package name; do
  echo "fuzz $package $name"
  if fuzz "$package" "$name"; then continue; fi
  ended_by_the_clock || exit 1
  echo "no failing input, only the clock: once more"
  fuzz "$package" "$name"
done <<<"$targets"

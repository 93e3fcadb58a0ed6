#!/usr/bin/env bash
# Names the tests that sleep for real: a sleeping test is slow, or flaky, or both. In a bubble of testing/synctest the
# time is virtual and sleeping costs nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

sleepers=()
while IFS= read -r -d '' file; do
  if grep -q 'time\.Sleep(' "$file" && ! grep -q '"testing/synctest"' "$file"; then sleepers+=("$file"); fi
done < <(find . -name '*_test.go' -not -path './.cache/*' -print0)
if [ ${#sleepers[@]} -gt 0 ]; then
  echo "these tests sleep outside of testing/synctest:"
  printf '%s\n' "${sleepers[@]}"
  exit 1
fi

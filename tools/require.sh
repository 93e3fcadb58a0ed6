#!/usr/bin/env bash
# Installs Debian packages for the commands that are missing.
#   tools/require.sh COMMAND=PACKAGE...
set -euo pipefail

missing=()
for pair in "$@"; do
  command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
done
if [ ${#missing[@]} -eq 0 ]; then exit 0; fi

echo "installing ${missing[*]}"
if ! command -v apt-get >/dev/null; then
  echo "missing and no apt-get to install them with: ${missing[*]}" >&2
  exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then as_root=(sudo); fi
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"

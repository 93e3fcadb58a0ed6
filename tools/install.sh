#!/usr/bin/env bash
# Builds a Go program at a pinned version, apart from the project's own modules.
#   tools/install.sh TARGET PACKAGE VERSION
# TARGET is the file to make; the version belongs into its name, so that a new pin is a new file.
set -euo pipefail

target=$1 package=$2 version=$3
if [ -x "$target" ]; then
  touch "$target" # the pins changed, this one did not
  exit 0
fi
echo "building $package@$version"
mkdir -p "$(dirname "$target")"
built=$(mktemp -d "$(dirname "$target")/building.XXXXXX")
trap 'rm -rf "$built"' EXIT
GOBIN=$built GOFLAGS= go install "$package@$version"
mv "$built/$(basename "$package")" "$target"

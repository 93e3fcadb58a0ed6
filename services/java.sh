#!/usr/bin/env bash
# Prints the home of the oldest Java whose version lies within the bounds; with "install" the package of one is installed
# if there is none and apt-get has it:
#   services/java.sh OLDEST NEWEST [install]
# It looks at $SESSION_EXPORT_JAVA, $JAVA_HOME, the java of the PATH and all of /usr/lib/jvm.
set -euo pipefail
oldest=$1 newest=$2

homes() {
  local java
  for java in "${SESSION_EXPORT_JAVA:-}" "${JAVA_HOME:-}"; do
    if [ -n "$java" ]; then echo "$java"; fi
  done
  if java=$(command -v java); then dirname "$(dirname "$(readlink -f "$java")")"; fi
  find /usr/lib/jvm -mindepth 1 -maxdepth 1 -type d 2>/dev/null | sort
}

seen="" # for the message
choose() {
  local home version best=""
  seen=""
  while read -r home; do
    if ! [ -x "$home/bin/java" ] || ! [ -r "$home/release" ]; then continue; fi
    version=$(sed -n 's/^JAVA_VERSION="\([0-9]*\).*/\1/p' "$home/release")
    seen="$seen ${version:-?} ($home)"
    if [ -z "$version" ] || [ "$version" -lt "$oldest" ] || [ "$version" -gt "$newest" ]; then continue; fi
    if [ -z "$best" ] || [ "$version" -lt "$best" ]; then best=$version chosen=$home; fi
  done < <(homes)
  [ -n "$best" ]
}

if ! choose && [ "${3:-}" = install ] && command -v apt-get >/dev/null; then
  as_root=()
  if [ "$(id -u)" -ne 0 ]; then as_root=(sudo); fi
  "${as_root[@]}" apt-get update -qq >&2
  for version in $(seq "$oldest" "$newest"); do
    package=openjdk-$version-jre-headless
    if ! apt-cache show "$package" >/dev/null 2>&1; then continue; fi
    echo "installing $package" >&2
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >&2
    choose || true
    break
  done
fi
if [ -z "${chosen:-}" ]; then
  echo "missing: Java $oldest to $newest, found:${seen:- none}. If the packages of this system have none, unpack one," \
    "such as Eclipse Temurin, under /usr/lib/jvm or name its folder in SESSION_EXPORT_JAVA." >&2
  exit 1
fi
echo "$chosen"

#!/usr/bin/env bash
# Fetches the real services that `make services-test` starts, once, into a cache folder:
#   $SESSION_EXPORT_CACHE, or ~/.cache/session-export, or for root /var/cache/session-export
# (root's home is closed to the unprivileged user as whom the services run). Nothing is started here.
#   services/install.sh [SERVICE...]   only these services; all by default
# With SESSION_EXPORT_MATRIX=full every version of tools/versions.env is fetched, otherwise the pinned ones.
set -euo pipefail
cd "$(dirname "$0")"
source ../tools/versions.env

cache=${SESSION_EXPORT_CACHE:-}
if [ -z "$cache" ]; then
  if [ "$(id -u)" -eq 0 ]; then cache=/var/cache/session-export; else cache=$HOME/.cache/session-export; fi
fi
umask 022
mkdir -p "$cache"
work=
trap 'if [ -n "$work" ]; then rm -rf "$work"; fi' EXIT
dependency=org.apache.maven.plugins:maven-dependency-plugin:3.6.1

# versions SERVICE: SERVICE_VERSION, and with the full matrix those of SERVICE_MATRIX, which are separated by commas.
versions() {
  local pinned=${1^^}_VERSION matrix=${1^^}_MATRIX
  echo "${!pinned}"
  if [ "${SESSION_EXPORT_MATRIX:-}" = full ]; then echo "${!matrix:-}" | tr , '\n'; fi
}

# Each fetch_SERVICE VERSION puts that version into $work/home, with $work to work in.

fetch_kafka() {
  local logging
  case $1 in
  3.*) logging="-Dlogging.group=org.slf4j -Dlogging.artifact=slf4j-reload4j -Dlogging.version=$KAFKA_RELOAD4J_VERSION" ;;
  *) logging="-Dlogging.group=org.apache.logging.log4j -Dlogging.artifact=log4j-slf4j-impl -Dlogging.version=$KAFKA_LOG4J_VERSION" ;;
  esac
  # shellcheck disable=SC2086 # three options
  mvn -B -q -ntp -f kafka-pom.xml "-Dkafka.version=$1" $logging \
    "$dependency:copy-dependencies" -DincludeScope=runtime "-DoutputDirectory=$work/home/libs"
}

fetch_elasticsearch() {
  (cd "$work" && mvn -B -q -ntp "$dependency:unpack" "-DoutputDirectory=$work/unpacked" \
    "-Dartifact=org.elasticsearch.distribution.integ-test-zip:elasticsearch:$1:zip")
  mv "$(dirname "$(dirname "$(find "$work/unpacked" -path '*/bin/elasticsearch')")")" "$work/home"
}

# Keycloak augments itself once, so that every start spares that.
fetch_keycloak() {
  mvn -B -q -ntp "$dependency:copy" "-DoutputDirectory=$work" \
    "-Dartifact=org.keycloak:keycloak-quarkus-dist:$1:tar.gz"
  tar -xzf "$work/keycloak-quarkus-dist-$1.tar.gz" -C "$work"
  mv "$work/keycloak-$1" "$work/home"
  "$work/home/bin/kc.sh" build --db=dev-mem --health-enabled=true >"$work/log" 2>&1 || { cat "$work/log" >&2; return 1; }
}

fetch_toxiproxy() {
  ../tools/install.sh "$work/home/server" github.com/Shopify/toxiproxy/v2/cmd/server "$1"
}

# What comes as a Debian package, in the version that Debian has.
declare -A debian=([nginx]=nginx-light [tinyproxy]=tinyproxy-bin)

services=("$@")
if [ ${#services[@]} -eq 0 ]; then services=(kafka elasticsearch keycloak toxiproxy "${!debian[@]}"); fi

../tools/require.sh java=default-jre-headless
major=$(java -XshowSettings:properties -version 2>&1 | sed -n 's/^ *java.specification.version = //p')
if ! [ "${major%%.*}" -ge 17 ]; then
  echo "Kafka $KAFKA_VERSION wants Java 17 or later, found $major" >&2
  exit 1
fi

packages=()
for service in "${services[@]}"; do
  if [ -n "${debian[$service]:-}" ]; then
    packages+=("${debian[$service]}")
    continue
  fi
  for version in $(versions "$service"); do
    if [ -d "$cache/$service-$version" ]; then continue; fi
    ../tools/require.sh mvn=maven flock=util-linux
    exec 9>"$cache/lock" && flock 9 # until the end
    if [ -d "$cache/$service-$version" ]; then continue; fi
    echo "fetching $service $version"
    work=$(mktemp -d "$cache/fetching.XXXXXX")
    "fetch_$service" "$version"
    chmod -R a+rX "$work/home"
    mv "$work/home" "$cache/$service-$version"
    rm -rf "$work"
    work=
  done
done
if [ ${#packages[@]} -gt 0 ]; then ./install-debian.sh "${packages[@]}"; fi
echo "services are in $cache"

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

# versions SERVICE: SERVICE_VERSION, and with the full matrix those of SERVICE_MATRIX, which are separated by commas. Every
# run reads from all versions of Kafka, so that these are always fetched.
versions() {
  local pinned=${1^^}_VERSION matrix=${1^^}_MATRIX
  echo "${!pinned}"
  if [ "${SESSION_EXPORT_MATRIX:-}" = full ] || [ "$1" = kafka ]; then echo "${!matrix:-}" | tr , '\n'; fi
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

# engine PRODUCT VERSION FOLDER
engine() {
  unpack "org.$1.distribution.integ-test-zip:$1:$2:zip" "$3.zip"
  mv "$(dirname "$(dirname "$(find "$3.zip" -path "*/bin/$1")")")" "$3"
}

# unpack ARTIFACT FOLDER unpacks a zip of Maven Central.
unpack() {
  (cd "$work" && mvn -B -q -ntp "$dependency:unpack" "-Dartifact=$1" "-DoutputDirectory=$2")
}

fetch_elasticsearch() { engine elasticsearch "$1" "$work/home"; }

fetch_opensearch() { engine opensearch "$1" "$work/home"; }

# OpenSearch with its security plugin, whose version has to be the same. From 3 on the plugin wants a module that the
# archive of its server lacks; the archive of OPENSEARCH_VERSION has it, and it serves with the other version on its label.
fetch_opensearch_secure() {
  local plugin=$work/home/plugins/opensearch-security module=modules/rule-framework
  engine opensearch "$1" "$work/home"
  unpack "org.opensearch.plugin:opensearch-security:$1.0:zip" "$plugin"
  if ! grep -q rule-framework "$plugin/plugin-descriptor.properties" || [ -d "$work/home/$module" ]; then return; fi
  engine opensearch "$OPENSEARCH_VERSION" "$work/pinned"
  cp -r "$work/pinned/$module" "$work/home/$module"
  sed -i "s/$OPENSEARCH_VERSION/$1/" "$work/home/$module/plugin-descriptor.properties"
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
declare -A debian=([nginx]=nginx-light [tinyproxy]=tinyproxy-bin
  [prometheus]=prometheus [alertmanager]=prometheus-alertmanager)

services=("$@")
if [ ${#services[@]} -eq 0 ]; then services=(kafka elasticsearch elasticsearch_secure opensearch opensearch_secure keycloak toxiproxy "${!debian[@]}"); fi

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
  case $service in
  elasticsearch* | opensearch*) # the older versions and the newer ones
    ./java.sh 17 23 install >/dev/null
    ./java.sh 21 29 install >/dev/null
    ;;
  esac
  for version in $(versions "$service"); do
    name=${service/elasticsearch_secure/elasticsearch}-$version # security is part of it
    if [ -d "$cache/$name" ]; then continue; fi
    ../tools/require.sh mvn=maven flock=util-linux
    exec 9>"$cache/lock" && flock 9 # until the end
    if [ -d "$cache/$name" ]; then continue; fi
    echo "fetching $service $version"
    work=$(mktemp -d "$cache/fetching.XXXXXX")
    "fetch_$service" "$version"
    chmod -R a+rX "$work/home"
    mv "$work/home" "$cache/$name"
    rm -rf "$work"
    work=
  done
done
if [ ${#packages[@]} -gt 0 ]; then ./install-debian.sh "${packages[@]}"; fi
echo "services are in $cache"

#!/usr/bin/env bash
# Fetches the real services that `make services-test` starts, once, into a cache folder:
#   $SESSION_EXPORT_CACHE, or ~/.cache/session-export, or for root /var/cache/session-export
# (root's home is closed to the unprivileged user as whom the services run). Nothing is started here.
set -euo pipefail
cd "$(dirname "$0")"
source ../tools/versions.env

cache=${SESSION_EXPORT_CACHE:-}
if [ -z "$cache" ]; then
  if [ "$(id -u)" -eq 0 ]; then cache=/var/cache/session-export; else cache=$HOME/.cache/session-export; fi
fi
kafka=$cache/kafka-$KAFKA_VERSION
elasticsearch=$cache/elasticsearch-$ELASTICSEARCH_VERSION
umask 022
mkdir -p "$cache"

../tools/require.sh java=default-jre-headless
major=$(java -XshowSettings:properties -version 2>&1 | sed -n 's/^ *java.specification.version = //p')
if ! [ "${major%%.*}" -ge 17 ]; then
  echo "Kafka $KAFKA_VERSION wants Java 17 or later, found $major" >&2
  exit 1
fi
if [ -d "$kafka" ] && [ -d "$elasticsearch" ]; then
  echo "services are in $cache"
  exit 0
fi

../tools/require.sh mvn=maven flock=util-linux
exec 9>"$cache/lock" && flock 9
work=$(mktemp -d "$cache/fetching.XXXXXX")
trap 'rm -rf "$work"' EXIT
dependency=org.apache.maven.plugins:maven-dependency-plugin:3.6.1

if ! [ -d "$kafka" ]; then
  echo "fetching Kafka $KAFKA_VERSION"
  mkdir "$work/kafka"
  mvn -B -q -ntp -f kafka-pom.xml "-Dkafka.version=$KAFKA_VERSION" "-Dlog4j.version=$KAFKA_LOG4J_VERSION" \
    "$dependency:copy-dependencies" -DincludeScope=runtime "-DoutputDirectory=$work/kafka/libs"
  chmod -R a+rX "$work/kafka"
  mv "$work/kafka" "$kafka"
fi
if ! [ -d "$elasticsearch" ]; then
  echo "fetching Elasticsearch $ELASTICSEARCH_VERSION"
  (cd "$work" && mvn -B -q -ntp "$dependency:unpack" "-DoutputDirectory=$work/elasticsearch" \
    "-Dartifact=org.elasticsearch.distribution.integ-test-zip:elasticsearch:$ELASTICSEARCH_VERSION:zip")
  home=$(dirname "$(dirname "$(find "$work/elasticsearch" -path '*/bin/elasticsearch')")")
  chmod -R a+rX "$home"
  mv "$home" "$elasticsearch"
fi
echo "services are in $cache"

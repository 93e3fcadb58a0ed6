#!/bin/bash
# Builds everything that the bench runs, outside this folder.
#   build.sh [target folder] [core]      default $TMPDIR/session-export-bench; core = without the other peers
# Some peers are Debian packages, which this script does not install:
#   apt-get install -y --no-install-recommends rsyslog rsyslog-kafka rsyslog-elasticsearch kcat python3-confluent-kafka python3-requests
set -eu
T=${1:-${TMPDIR:-/tmp}/session-export-bench}; D=$(cd "$(dirname "$0")" && pwd); mkdir -p "$T/bin"
cd "$D" && go build -o "$T/bin/" ./broker ./receiver ./run ./limit ./sessiongen/cmd/sessiongen
cd "$D/.." && go build -trimpath -o "$T/bin/session-export" ./cmd/session-export
[ "${2:-}" = core ] && exit 0
cd "$D/peers/goscript" && go build -o "$T/goscript" .
cd "$D/peers/telegraf" && go build -mod=mod -trimpath -o "$T/telegraf" \
  -tags "custom,inputs.kafka_consumer,outputs.http,outputs.elasticsearch,parsers.value,serializers.template,serializers.json" \
  github.com/influxdata/telegraf/cmd/telegraf
cd "$D/peers/otelcol" && go build -mod=mod -o "$T/otelcol" .
mkdir -p "$T/node" && cp "$D/peers/nodescript/package.json" "$T/node/" && cd "$T/node" && npm install --no-audit --no-fund
ls -la "$T" "$T/bin"

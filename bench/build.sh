#!/bin/bash
# Builds everything that the bench runs, outside this folder.
#   build.sh [target folder] [core]      default $TMPDIR/session-export-bench; core = without the other peers
# Some peers are Debian packages, which this script does not install:
#   apt-get install -y --no-install-recommends rsyslog rsyslog-kafka rsyslog-elasticsearch kcat python3-confluent-kafka python3-requests
# A peer that cannot be built is named at the end, with status 1; the others are built all the same.
set -eu
T=${1:-${TMPDIR:-/tmp}/session-export-bench}; D=$(cd "$(dirname "$0")" && pwd); mkdir -p "$T/bin"
(cd "$D" && go build -o "$T/bin/" ./broker ./receiver ./run ./limit ./table ./sessiongen/cmd/sessiongen)
(cd "$D/.." && go build -trimpath -o "$T/bin/session-export" ./cmd/session-export)
[ "${2:-}" = core ] && exit 0
failed=()
build() { (cd "$D/peers/$1" && shift && "$@") || failed+=("$1"); }
npm_install() { mkdir -p "$T/node" && cp package.json "$T/node/" && cd "$T/node" && npm install --no-audit --no-fund; }
build goscript go build -o "$T/goscript" .
build telegraf go build -mod=mod -trimpath -o "$T/telegraf" \
  -tags "custom,inputs.kafka_consumer,outputs.http,outputs.elasticsearch,parsers.value,serializers.template,serializers.json" \
  github.com/influxdata/telegraf/cmd/telegraf
build otelcol go build -mod=mod -o "$T/otelcol" .
build nodescript npm_install
[ ${#failed[@]} = 0 ] || { echo "not built: ${failed[*]}" >&2; exit 1; }

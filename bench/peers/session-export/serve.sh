#!/bin/bash
# Runs Session Export on what the bench prepared (see ../../README.md for the variables).
#   serve.sh FORMAT[,FORMAT[,FORMAT]] [custom configuration line]...
# A format is lines, ndjson or bulk; the sinks send to the addresses of $URLS in turn. ZONE may be a YAML list of
# applications: the management zone of every sink.
set -eu
IFS=, read -ra formats <<< "$1"; shift
read -ra urls <<< "$URLS"
zones='' zone=''
if [ -n "${ZONE:-}" ]; then zones="managementZones: [{id: zone, applications: $ZONE}]" zone='managementZone: zone'; fi
mkdir -p "$WORK/secrets"
{
  cat <<YAML
version: 1
secretsDir: secrets
kafka:
  brokers: ["$BROKER"]
  groupPrefix: "$GROUP"
environments:
  - id: bench
    topic: "$TOPIC"
    $zones
    exports:
YAML
  for i in "${!formats[@]}"; do
    content=application/x-ndjson post=true direct='{active: false}'
    case ${formats[i]} in
      lines)  content=application/json ;;
      ndjson) post=false ;;
      bulk)   direct='{active: true, indexName: sessions}' ;;
      *) echo "unknown format ${formats[i]}" >&2; exit 2 ;;
    esac
    id=${formats[i]}; [ "$i" = 0 ] || id+=-$i
    cat <<YAML
      - id: $id
        endpointDefinition: {endpointUrl: "${urls[i]}", enableUserSessionExport: true, contentType: $content, usePost: $post}
        authentication: {active: false}
        sendDirect: $direct
        exportBehavior:
          disableNotification: true
          $zone
          customConfiguration: |
            startFrom=earliest
            idleTimeout=2s
            caFile=$CA
YAML
    for line in "$@"; do echo "            $line"; done
  done
  echo 'server: {address: "127.0.0.1:0"}'
  echo 'log: {level: warn, format: text}'
} > "$WORK/config.yaml"
exec "$BIN/session-export" serve --config "$WORK/config.yaml"

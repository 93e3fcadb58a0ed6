#!/bin/bash
# Runs Session Export with one sink on what the bench prepared (see ../../README.md for the variables).
#   serve.sh lines|ndjson|bulk [custom configuration line]...
set -eu
format=$1; shift
content=application/x-ndjson post=true direct='{active: false}'
case $format in
  lines)  content=application/json ;;
  ndjson) post=false ;;
  bulk)   direct='{active: true, indexName: sessions}' ;;
  *) echo "unknown format $format" >&2; exit 2 ;;
esac
mkdir -p "$WORK/secrets"
cat > "$WORK/config.yaml" <<YAML
version: 1
secretsDir: secrets
kafka:
  brokers: ["$BROKER"]
  groupPrefix: "$GROUP"
environments:
  - id: bench
    topic: "$TOPIC"
    exports:
      - id: $format
        endpointDefinition: {endpointUrl: "$URL", enableUserSessionExport: true, contentType: $content, usePost: $post}
        authentication: {active: false}
        sendDirect: $direct
        exportBehavior:
          disableNotification: true
          customConfiguration: |
            startFrom=earliest
            idleTimeout=2s
            caFile=$CA
$(for line in "$@"; do echo "            $line"; done)
server: {address: "127.0.0.1:0"}
log: {level: warn, format: text}
YAML
exec "$BIN/session-export" serve --config "$WORK/config.yaml"

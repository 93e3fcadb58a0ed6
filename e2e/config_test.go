package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// sink is one export of a configuration.
type sink struct {
	id      string
	url     string
	content string // media type; default application/json
	put     bool
	index   string            // set: sendDirect
	auth    string            // a flow mapping; default no authentication
	zone    string            // id of a management zone
	custom  map[string]string // beside those of quick
}

// quick is a custom configuration with short times, but for that of a request:
// nothing but a fault may make one time out.
var quick = map[string]string{
	"idleTimeout": "100ms", "maxBatchAge": "1s", "initialBackoff": "100ms", "maxBackoff": "200ms",
	"requestTimeout": "10s", "startFrom": "earliest", "caFile": "ca.pem",
}

// config writes a configuration. Head is what stands beside the one
// environment.
func (s *stage) config(head string, sinks ...sink) []byte {
	brokers := "127.0.0.1:1"
	if s.cluster != nil {
		brokers = strings.Join(s.cluster.ListenAddrs(), `", "`)
	}
	if !strings.Contains(head, "kafka:") {
		head += fmt.Sprintf("kafka: {brokers: [%q]}\n", brokers)
	}
	if !strings.Contains(head, "server:") {
		head += "server: {address: \"127.0.0.1:0\"}\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "version: 1\nsecretsDir: secrets\n%slog: {level: debug, format: json}\nenvironments:\n", head)
	fmt.Fprintf(&b, "  - id: default\n    topic: %s\n", topic)
	b.WriteString("    managementZones: [{id: \"7\", name: Shop, applications: [\"easy*\"]}]\n    exports:\n")
	for _, k := range sinks {
		b.WriteString(k.yaml())
	}
	return []byte(b.String())
}

func (k sink) yaml() string {
	content, auth, direct, zone := k.content, k.auth, "{active: false}", ""
	if k.index != "" {
		content, direct = "application/x-ndjson", fmt.Sprintf("{active: true, indexName: %s}", k.index)
	}
	if content == "" {
		content = "application/json"
	}
	if auth == "" {
		auth = "{active: false}"
	}
	if k.zone != "" {
		zone = fmt.Sprintf("managementZone: %q, ", k.zone)
	}
	custom := maps.Clone(quick)
	maps.Copy(custom, k.custom)
	var lines []string
	for _, key := range slices.Sorted(maps.Keys(custom)) {
		if custom[key] != "" {
			lines = append(lines, key+"="+custom[key])
		}
	}
	return fmt.Sprintf(`      - id: %s
        endpointDefinition: {endpointUrl: %q, enableUserSessionExport: true, contentType: %s, usePost: %t}
        authentication: %s
        sendDirect: %s
        exportBehavior: {%sdisableNotification: false, customConfiguration: %q}
`, k.id, k.url, content, !k.put, auth, direct, zone, strings.Join(lines, "\n"))
}

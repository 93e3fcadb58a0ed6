package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"sessionexport/demo"
)

// write writes the configuration and its files.
func (s *stand) write() error {
	var b bytes.Buffer
	if err := configTemplate.Execute(&b, s); err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	secrets := filepath.Join(s.dir, "secrets")
	errs := []error{
		os.MkdirAll(secrets, 0o700), os.WriteFile(filepath.Join(s.dir, "ca.pem"), s.receiver.CA(), 0o600),
		os.WriteFile(filepath.Join(s.dir, "config.yaml"), b.Bytes(), 0o600),
	}
	for _, one := range s.sinks {
		for _, c := range []*demo.Credentials{one.Endpoint.Basic, one.Endpoint.OAuth} {
			if c != nil {
				errs = append(errs, os.WriteFile(filepath.Join(secrets, one.ID), []byte(c.Password), 0o600))
			}
		}
	}
	return errors.Join(errs...)
}

// Brokers, Sinks, Door, Token and Custom are what the configuration's template
// asks for.
func (s *stand) Brokers() string { return `"` + strings.Join(s.broker.addrs, `", "`) + `"` }
func (s *stand) Sinks() []*sink  { return s.sinks }
func (s *stand) Door() string    { return "https://" + s.door.at }
func (s *stand) Token() string   { return "https://" + s.tokens.at + demo.TokenPath }
func (s *stand) Custom() []string {
	keys := map[string]string{
		"startFrom": "earliest", "idleTimeout": "200ms", "maxBatchAge": "1s", "initialBackoff": "100ms", "maxBackoff": "500ms",
		"requestTimeout": "5s", "caFile": "ca.pem", "maxSessions": "50", "onFailure": s.failing,
	}
	for k, v := range s.custom {
		keys[k] = v
	}
	var lines []string
	for k, v := range keys {
		if v != "" {
			lines = append(lines, k+"="+v)
		}
	}
	slices.Sort(lines)
	return lines
}

var configTemplate = template.Must(template.New("config").Parse(`version: 1
secretsDir: secrets
kafka: {brokers: [{{.Brokers}}]}
server: {address: "127.0.0.1:0"}
log: {level: info, format: json}
environments:
  - id: faults
    topic: ` + topic + `
    exports:
{{- range .Sinks}}
      - id: {{.ID}}
        endpointDefinition:
          endpointUrl: {{$.Door}}{{.Endpoint.Path}}
          enableUserSessionExport: true
          contentType: {{if eq .Endpoint.Format "json"}}application/json{{else}}application/x-ndjson{{end}}
          usePost: {{ne .Endpoint.Format "ndjson"}}
        authentication:
          active: true
{{- with .Endpoint.Basic}}
          authType: basic
          basicAuth: {username: {{.User}}, passwordFile: {{$.SecretOf .}}}
{{- end}}
{{- with .Endpoint.OAuth}}
          authType: oauth2
          oAuth2: {grantType: clientCredentials, accessTokenUrl: "{{$.Token}}", clientId: {{.User}}, clientSecretFile: {{$.SecretOf .}}}
{{- end}}
        sendDirect: {{if eq .Endpoint.Format "elasticsearch"}}{active: true, indexName: sessions}{{else}}{active: false}{{end}}
        exportBehavior:
          disableNotification: false
          customConfiguration: |
{{- range $.Custom}}
            {{.}}
{{- end}}
{{- end}}
`))

// SecretOf names the file of a sink's secret.
func (s *stand) SecretOf(c *demo.Credentials) string {
	for _, one := range s.sinks {
		if one.Endpoint.Basic == c || one.Endpoint.OAuth == c {
			return one.ID
		}
	}
	return ""
}

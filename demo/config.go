package demo

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"text/template"
)

// Sink is one of the demo's three sinks and the endpoint that it sends to.
type Sink struct {
	ID       string
	Endpoint Endpoint
}

// Sinks are the demo's sinks: one of each format, with fresh credentials.
func Sinks() []Sink {
	return []Sink{
		{"json-lines", Endpoint{Path: "/sessions", Format: FormatJSON, Basic: &Credentials{"exporter", rand.Text()}}},
		{"ndjson", Endpoint{Path: "/warehouse/sessions", Format: FormatNDJSON, OAuth: &Credentials{"session-export-demo", rand.Text()}}},
		{"elasticsearch", Endpoint{Path: "/_bulk", Format: FormatElasticsearch, Basic: &Credentials{"elastic", rand.Text()}}},
	}
}

// ConfigOptions says what the demo's configuration describes.
type ConfigOptions struct {
	Dir     string   // an existing folder: it gets the file, the authority's certificate and the secrets
	Brokers []string // of Kafka
	Topic   string
	Sinks   []Sink
	At      Receivers // of the sinks, in their order
	Address string    // of the operator's listener; default a free port of 127.0.0.1
	Hurried bool      // attempts and retries take less time than they do by default
}

// WriteConfig writes a configuration file for the demo, and the files that it
// names. It returns the file's name and its text, which has no secret in it.
func WriteConfig(o ConfigOptions) (name, text string, err error) {
	if o.Address == "" {
		o.Address = "127.0.0.1:0"
	}
	var b bytes.Buffer
	if err := configTemplate.Execute(&b, o); err != nil {
		return "", "", fmt.Errorf("writing the configuration: %w", err)
	}
	secrets := filepath.Join(o.Dir, "secrets")
	errs := []error{
		os.MkdirAll(secrets, 0o700),
		os.WriteFile(filepath.Join(o.Dir, "ca.pem"), o.At.CA(), 0o600),
	}
	for _, sink := range o.Sinks {
		for kind, c := range map[string]*Credentials{"password": sink.Endpoint.Basic, "client-secret": sink.Endpoint.OAuth} {
			if c != nil {
				errs = append(errs, os.WriteFile(filepath.Join(secrets, sink.ID+"."+kind), []byte(c.Password), 0o600))
			}
		}
	}
	name = filepath.Join(o.Dir, "config.yaml")
	errs = append(errs, os.WriteFile(name, b.Bytes(), 0o600))
	if err := errors.Join(errs...); err != nil {
		return "", "", fmt.Errorf("writing the configuration: %w", err)
	}
	return name, b.String(), nil
}

// configTemplate shortens the times so that the demo ends soon after its last
// session. A relative caFile starts at the configuration file's folder.
var configTemplate = template.Must(template.New("config").Funcs(template.FuncMap{"quote": strconv.Quote}).Parse(
	`# The configuration of the demo: three sinks, one of each format. It is the same
# as that of a real export but for its short times: a batch leaves after 2 s
# without a session, and after 5 s at the latest.{{if .Hurried}} An attempt may take 2 s, and
# the three that follow come soon.{{end}}
version: 1
secretsDir: secrets
kafka:
  brokers: [{{range $k, $b := .Brokers}}{{if $k}}, {{end}}{{quote $b}}{{end}}]
server: {address: {{quote .Address}}}
log: {level: warn, format: text}
environments:
  - id: demo
    topic: {{quote .Topic}}
    exports:
{{- range .Sinks}}
      - id: {{.ID}}
        endpointDefinition:
          endpointUrl: {{$.URL . | quote}}
          enableUserSessionExport: true
          contentType: {{if eq .Endpoint.Format "json"}}application/json{{else}}application/x-ndjson{{end}}
          usePost: {{ne .Endpoint.Format "ndjson"}}
        authentication:
{{- with .Endpoint.Basic}}
          active: true
          authType: basic
          basicAuth: {username: {{quote .User}}, passwordFile: {{$.SecretOf .}}}
{{- end}}
{{- with .Endpoint.OAuth}}
          active: true
          authType: oauth2
          oAuth2:
            grantType: clientCredentials
            accessTokenUrl: {{$.TokenURL . | quote}}
            clientId: {{quote .User}}
            clientSecretFile: {{$.SecretOf .}}
{{- end}}
        sendDirect: {{if eq .Endpoint.Format "elasticsearch"}}{active: true, indexName: sessions}{{else}}{active: false}{{end}}
        exportBehavior:
          disableNotification: false
          customConfiguration: |
            startFrom=earliest
            idleTimeout=2s
            maxBatchAge=5s
            caFile=ca.pem
{{- if $.Hurried}}
            requestTimeout=2s
            initialBackoff=500ms
            maxBackoff=2s
{{- end}}
{{- end}}
`))

// URL is where a sink sends to.
func (o ConfigOptions) URL(s Sink) string { return o.base(s.Endpoint.Path) + s.Endpoint.Path }

// TokenURL is where the sink that has these credentials gets its tokens.
func (o ConfigOptions) TokenURL(c *Credentials) string {
	for _, s := range o.Sinks {
		if s.Endpoint.OAuth == c {
			return o.base(s.Endpoint.Path) + TokenPath
		}
	}
	return ""
}

func (o ConfigOptions) base(path string) string {
	for k, s := range o.Sinks {
		if s.Endpoint.Path == path {
			return o.At[k].URL()
		}
	}
	return ""
}

// SecretOf names the file of a sink's secret.
func (o ConfigOptions) SecretOf(c *Credentials) string {
	for _, sink := range o.Sinks {
		switch c {
		case sink.Endpoint.Basic:
			return sink.ID + ".password"
		case sink.Endpoint.OAuth:
			return sink.ID + ".client-secret"
		}
	}
	return ""
}

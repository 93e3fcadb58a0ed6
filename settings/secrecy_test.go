package settings

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

// secretive is a configuration with a secret in every place that can hold one.
const secretive = `version: 1
kafka:
  brokers: ["k:9092"]
  sasl: {mechanism: PLAIN, username: exporter, password: hunter2-kafka}
environments:
  - id: default
    topic: sessions
    exports:
      - id: a
        endpointDefinition: {endpointUrl: "https://a.example/w?key=hunter2-query", enableUserSessionExport: true, usePost: true}
        authentication: {active: true, authType: basic, basicAuth: {username: exporter, password: hunter2-basic}}
        sendDirect: {active: false}
        exportBehavior: {disableNotification: false, customConfiguration: "header.X-Key=@token\nsigningSecretFile=signing\ncertFile=client.pem\nkeyFile=client-key.pem"}
      - id: b
        endpointDefinition: {endpointUrl: "https://b.example/_bulk", enableUserSessionExport: true, contentType: application/x-ndjson, usePost: true}
        authentication: {active: true, authType: oauth2, oAuth2: {accessTokenUrl: "https://t.example/?hunter2-token", clientId: id, clientSecret: hunter2-client}}
        sendDirect: {active: true, indexName: sessions}
        exportBehavior: {disableNotification: false}
alerts: {shoutrrr: ["slack://hunter2-service@c"], alertmanager: ["https://am.example/?t=hunter2-am"]}
`

func secretiveFile(t *testing.T) *File {
	t.Helper()
	dir := folder(t, map[string]string{"secrets/token": "hunter2-header", "secrets/signing": "whsec_aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMg=="})
	f, err := load(t, dir, secretive, nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestSecretsStayHidden renders a whole configuration in every way that
// anyone might.
func TestSecretsStayHidden(t *testing.T) {
	f := secretiveFile(t)
	type holder struct{ hidden Secret } // fmt cannot call methods of what is not exported
	var log bytes.Buffer
	for _, logger := range []*slog.Logger{slog.New(slog.NewJSONHandler(&log, nil)), slog.New(slog.NewTextHandler(&log, nil))} {
		e := f.Environments[0].Exports[0]
		logger.Info("configuration", "file", f, "export", e, "password", e.Authentication.BasicAuth.Password, "endpoint", e.EndpointDefinition.EndpointURL, "headers", e.Custom.Headers)
	}
	asJSON, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	asYAML, err := yaml.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	var summary bytes.Buffer
	f.Summary(&summary)
	hidden := holder{f.Kafka.SASL.Password}
	for how, shown := range map[string]string{
		"%v": fmt.Sprint(f, *f, hidden), "%+v": fmt.Sprintf("%+v %+v %+v", f, *f, hidden), "%#v": fmt.Sprintf("%#v %#v %#v", f, *f, hidden),
		"%s": fmt.Sprintf(verb("s"), f, hidden), "%q": fmt.Sprintf(verb("q"), f, hidden), "%x": fmt.Sprintf("%x", f.Kafka.SASL.Password),
		"%d": fmt.Sprintf("%d", f.Kafka.SASL.Password), "error": errors.New(f.Kafka.SASL.Password.String()).Error(), "slog": log.String(),
		"JSON": string(asJSON), "YAML": string(asYAML), "summary": summary.String(),
		"warnings": strings.Join(f.Warnings(time.Unix(0, 0)), " "), "hash": f.Hash() + f.Environments[0].Exports[0].Fingerprint(),
	} {
		if strings.Contains(shown, "hunter2") || strings.Contains(shown, "68756e74657232") || strings.Contains(shown, "aHVudGVy") {
			t.Errorf("%s shows a secret: %s", how, shown)
		}
		if strings.Contains(shown, "PRIVATE KEY") {
			t.Errorf("%s shows a private key", how)
		}
	}
	golden(t, "summary.txt", summary.String())
}

// verb makes a format for two values that vet does not hold against the test.
func verb(v string) string { return "%" + v + " %" + v }

func TestSecretsListed(t *testing.T) {
	f := secretiveFile(t)
	var got []string
	for i := range f.Environments[0].Exports {
		for _, s := range f.Environments[0].Exports[i].Secrets() {
			got = append(got, s.Reveal())
		}
	}
	want := "ZXhwb3J0ZXI6aHVudGVyMi1iYXNpYw==,hunter2-basic,whsec_aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMg==,aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMg==,hunter2-header,hunter2-query,hunter2-client"
	if strings.Join(got, ",") != want {
		t.Errorf("%q", got)
	}
}

// TestMistakesHideSecrets breaks every line of a configuration in several ways
// and looks for its secrets in what is said about it.
func TestMistakesHideSecrets(t *testing.T) {
	dir := folder(t, map[string]string{"secrets/token": "hunter2-header\nhunter2", "secrets/signing": "hunter2"})
	lines := strings.SplitAfter(secretive, "\n")
	breaks := []func(string) string{
		func(s string) string { return s + s },
		func(s string) string { return strings.Replace(s, ":", "", 1) },
		func(s string) string { return strings.Replace(s, "{", "[", 1) },
		func(s string) string { return strings.Replace(s, "}", "", 1) },
		func(s string) string { return strings.Replace(s, "\"", "", 1) },
		func(s string) string { return strings.ReplaceAll(s, "\"", "'") },
		func(s string) string { return strings.Replace(s, "\"", "*", 1) },
		func(s string) string { return strings.ReplaceAll(s, "hunter2", "*hunter2") },
		func(s string) string { return strings.ReplaceAll(s, "hunter2", "!hunter2 x") },
		func(s string) string { return strings.ReplaceAll(s, "hunter2", "{hunter2: 1}") },
		func(s string) string { return strings.ReplaceAll(s, "hunter2", "\thunter2") },
		func(s string) string { return strings.ReplaceAll(s, "hunter2", "\"hunter2") },
		func(s string) string { return strings.ReplaceAll(s, "https://", "http://hunter2@") },
		func(s string) string { return strings.ReplaceAll(s, "https://", "hunter2:hunter2@") },
		func(s string) string { return strings.ReplaceAll(s, "https://", "https://user:hunter2@") },
		func(s string) string { return strings.ReplaceAll(s, "header.X-Key=@token", "X-Key: hunter2") },
		func(s string) string { return strings.ReplaceAll(s, "header.X-Key=@token", "header.X-Key hunter2") },
		func(s string) string {
			return strings.ReplaceAll(s, "header.X-Key=@token", "headers.X-Key=hunter2\\nAuthorization=hunter2")
		},
		func(s string) string { return strings.ReplaceAll(s, "password: ", "passwordFile: ") },
		func(s string) string { return strings.ReplaceAll(s, "PLAIN", "hunter") },
	}
	said := 0
	for i, line := range lines {
		for j, broken := range breaks {
			changed := broken(line)
			if changed == line {
				continue
			}
			config := strings.Join(lines[:i], "") + changed + strings.Join(lines[i+1:], "")
			_, err := Parse([]byte(config), "config.yaml", dir, nil)
			if err == nil {
				continue
			}
			said++
			text := strings.ReplaceAll(err.Error(), "/secrets/hunter2", "") // the name of a file is none
			if strings.Contains(text, "hunter2") {
				t.Errorf("line %d, break %d: %s", i+1, j, text)
			}
		}
	}
	if said < 100 {
		t.Errorf("only %d broken configurations were refused", said)
	}
}

package settings

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestLayers is about values that are given in more than one place.
func TestLayers(t *testing.T) {
	dir := folder(t, nil)
	missing := strings.Replace(complete, "passwordFile: kafka.password", "passwordFile: nowhere", 1)
	for _, c := range []struct {
		what, config string
		variables    map[string]string
		want         string // the password, or a part of the mistake
	}{
		{"file", complete, nil, "kafka-secret"},
		{"the variable wins over the file's file", complete, map[string]string{"SESSION_EXPORT_KAFKA_SASL_PASSWORD": "v"}, "v"},
		{"even when that is missing", missing, map[string]string{"SESSION_EXPORT_KAFKA_SASL_PASSWORD": "v"}, "v"},
		{"the variable of the file, too", missing, map[string]string{"SESSION_EXPORT_KAFKA_SASL_PASSWORD_FILE": "sink.password"}, "sink-secret"},
		{"both variables", complete, map[string]string{"SESSION_EXPORT_KAFKA_SASL_PASSWORD": "v", "SESSION_EXPORT_KAFKA_SASL_PASSWORD_FILE": "sink.password"},
			"SESSION_EXPORT_KAFKA_SASL_PASSWORD: kafka.sasl.password: is given together with SESSION_EXPORT_KAFKA_SASL_PASSWORD_FILE"},
		{"a missing file in a variable", complete, map[string]string{"SESSION_EXPORT_KAFKA_SASL_PASSWORD_FILE": "nowhere"},
			"SESSION_EXPORT_KAFKA_SASL_PASSWORD_FILE: kafka.sasl.passwordFile: names " + dir + "/secrets/nowhere, which does not exist"},
		{"a folder in a variable", complete, map[string]string{"SESSION_EXPORT_SECRETS_DIR": dir, "SESSION_EXPORT_KAFKA_SASL_PASSWORD_FILE": "secrets/sink.password"},
			"names " + dir + "/sink.password"},
		{"a section without the file", strings.Replace(complete, "  sasl: {mechanism: SCRAM-SHA-512, username: exporter, passwordFile: kafka.password}\n", "", 1),
			map[string]string{"SESSION_EXPORT_KAFKA_SASL_MECHANISM": "PLAIN", "SESSION_EXPORT_KAFKA_SASL_USERNAME": "u", "SESSION_EXPORT_KAFKA_SASL_PASSWORD": "v"}, "v"},
		{"a mechanism alone", strings.Replace(complete, "username: exporter, passwordFile: kafka.password", "", 1), nil, "kafka.sasl.username: is missing"},
		{"a user alone", strings.Replace(complete, "mechanism: SCRAM-SHA-512, ", "", 1), nil, "kafka.sasl.username: is given without kafka.sasl.mechanism"},
		{"an unknown file", strings.Replace(complete, "ca.pem, certFile", "no.pem, certFile", 1), nil, "kafka.tls.caFile: names " + dir + "/no.pem, which does not exist"},
		{"TLS that is off", strings.Replace(complete, "enabled: true, caFile: ca.pem", "enabled: false, caFile: no.pem", 1), nil, "kafka-secret"},
		{"no brokers", strings.Replace(complete, `  brokers: ["127.0.0.1:9092"]`+"\n", "", 1), nil, "config.yaml:4:3: kafka.brokers: is missing"},
		{"brokers in a variable", strings.Replace(complete, `  brokers: ["127.0.0.1:9092"]`+"\n", "", 1), map[string]string{"SESSION_EXPORT_KAFKA_BROKERS": "a:1,b:2"}, "kafka-secret"},
		{"no environments", complete[:strings.Index(complete, "environments:")], nil, "environments: is missing; want 1 to 100"},
		{"Windows line ends", strings.ReplaceAll(strings.Replace(complete, `customConfiguration: "caFile=ca.pem"}`, "customConfiguration: \"maxSessions=7\"}", 1), "\n", "\r\n"), nil, "kafka-secret"},
		{"nothing", "", nil, "version: is missing"},
		{"text", "hello", nil, "is text; want a mapping"},
	} {
		f, err := load(t, dir, c.config, c.variables)
		switch {
		case err != nil && !strings.Contains(err.Error(), c.want):
			t.Errorf("%s: %v, want %s", c.what, err, c.want)
		case err == nil && f.Kafka.SASL.Password.Reveal() != c.want:
			t.Errorf("%s: %q, want %s", c.what, f.Kafka.SASL.Password.Reveal(), c.want)
		}
	}
}

func TestLoadMissing(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "config.yaml"), nil)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error is %v", err)
	}
}

func TestWarnings(t *testing.T) {
	dir := folder(t, nil)
	config := strings.NewReplacer(
		"customConfiguration: \"caFile=ca.pem\"", "customConfiguration: \"onFailure=discard\\ncertFile=client.pem\\nkeyFile=client-key.pem\"",
		"tls: {enabled: true, caFile", "tls: {enabled: false, caFile", "SCRAM-SHA-512", "PLAIN", "18443/w1?key=query-secret", "18443/_bulk",
		"alerts:", "  - {id: second, topic: other}\nalerts:",
	).Replace(complete)
	f, err := load(t, dir, config, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"kafka.sasl: PLAIN without kafka.tls sends the password in the clear",
		"export shop-lines: certFile: the client certificate is valid until 2100-01-01",
		"export shop-lines: onFailure=discard loses sessions whenever its endpoint fails",
		"export shop-lines: the URL ends in /_bulk, and sendDirect is not active: documents travel without action lines",
		"environment second has no exports",
	}
	if got := f.Warnings(time.Date(2099, 12, 15, 0, 0, 0, 0, time.UTC)); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%q", got)
	}
	g, err := load(t, dir, complete, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := g.Warnings(time.Unix(0, 0)); got != nil {
		t.Errorf("%q", got)
	}
}

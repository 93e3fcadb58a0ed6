package settings

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// complete is a configuration that has every section.
const complete = `version: 1
secretsDir: secrets
kafka:
  brokers: ["127.0.0.1:9092"]
  groupPrefix: session-export
  tls: {enabled: true, caFile: ca.pem, certFile: client.pem, keyFile: client-key.pem}
  sasl: {mechanism: SCRAM-SHA-512, username: exporter, passwordFile: kafka.password}
deadLetters: {topic: session-export.dead-letters}
environments:
  - id: default
    topic: sessions
    managementZones: [{id: "7", name: Shop, applications: ["easyTravel*"]}]
    exports:
      - id: shop-lines
        name: Shop, JSON lines
        endpointDefinition: {endpointUrl: "https://127.0.0.1:18443/w1?key=query-secret", enableUserSessionExport: true, contentType: application/json, usePost: true}
        authentication: {active: true, authType: basic, basicAuth: {username: exporter, passwordFile: sink.password}}
        sendDirect: {active: false}
        exportBehavior: {managementZone: "7", disableNotification: false, customConfiguration: "caFile=ca.pem"}
alerts: {shoutrrr: [], alertmanager: []}
server: {address: "127.0.0.1:8080"}
log: {level: info, format: json}
`

// folder makes a configuration's folder with certificates and secrets.
func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	cert, key := pair(t)
	all := map[string]string{
		"ca.pem": cert, "client.pem": cert, "client-key.pem": key,
		"secrets/kafka.password": "kafka-secret\n", "secrets/sink.password": "sink-secret\r\n",
	}
	for name, content := range files {
		all[name] = content
	}
	for name, content := range all {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// pair makes a certificate and its key, in PEM form.
func pair(t testing.TB) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "exporter"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}

// load reads a configuration as if it stood in the folder.
func load(t testing.TB, dir, config string, variables map[string]string) (*File, error) {
	t.Helper()
	return Parse([]byte(config), filepath.Join(dir, "config.yaml"), dir, func(name string) (string, bool) { v, ok := variables[name]; return v, ok })
}

// TestLoad reads a configuration from the disk, by a relative name.
func TestLoad(t *testing.T) {
	dir := folder(t, map[string]string{"config.yaml": complete})
	t.Chdir(dir)
	f, err := Load("config.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	if f.SecretsDir != filepath.Join(dir, "secrets") || f.Kafka.SASL.Password.Reveal() != "kafka-secret" {
		t.Errorf("secrets in %s", f.SecretsDir)
	}
}

func TestLoadComplete(t *testing.T) {
	dir := folder(t, nil)
	f, err := load(t, dir, complete, nil)
	if err != nil {
		t.Fatal(err)
	}
	e := f.Environments[0].Exports[0]
	for _, c := range []struct {
		what      string
		got, want any
	}{
		{"secrets", f.SecretsDir, filepath.Join(dir, "secrets")},
		{"brokers", strings.Join(f.Kafka.Brokers, ","), "127.0.0.1:9092"},
		{"group", f.Kafka.Group(e.ID), "session-export.shop-lines"},
		{"kafka password", f.Kafka.SASL.Password.Reveal(), "kafka-secret"},
		{"kafka certificates", len(f.Kafka.TLS.Material().Certificates()), 1},
		{"kafka roots", f.Kafka.TLS.Material().RootCAs() != nil, true},
		{"sink password", e.Authentication.BasicAuth.Password.Reveal(), "sink-secret"},
		{"endpoint", e.EndpointDefinition.EndpointURL.Parsed().String(), "https://127.0.0.1:18443/w1?key=query-secret"},
		{"endpoint shown", e.EndpointDefinition.EndpointURL.String(), "https://127.0.0.1:18443/w1?key=***"},
		{"format", e.Format(), "json"},
		{"method", e.Method(), "POST"},
		{"zone", e.Zone.Applications[0], "easyTravel*"},
		{"sessions", e.Custom.MaxSessions, 1000},
		{"bytes", e.Custom.MaxBytes, 896_000},
		{"idle", e.Custom.IdleTimeout, 30 * time.Second},
		{"age", e.Custom.MaxBatchAge, 5 * time.Minute},
		{"roots", e.Custom.Material().RootCAs() != nil, true},
		{"grace", f.Shutdown.Grace, 25 * time.Second},
		{"fetch bytes", f.Kafka.FetchBytes, int64(8 << 20)},
		{"address", f.Server.Address, "127.0.0.1:8080"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v, want %v", c.what, c.got, c.want)
		}
	}
}

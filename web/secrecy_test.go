package web

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sessionexport/consumer"
	"sessionexport/dispatcher"
	"sessionexport/settings"
)

const secretive = `version: 1
kafka:
  brokers: ["127.0.0.1:1"]
  tls: {enabled: true}
  sasl: {mechanism: PLAIN, username: kafka-user, password: kafka-hush}
environments:
  - id: default
    topic: sessions
    exports:
      - id: lines
        endpointDefinition: {endpointUrl: "https://receiver.invalid/w1?key=query-hush", enableUserSessionExport: true, usePost: true}
        authentication: {active: true, authType: basic, basicAuth: {username: basic-user, password: basic-hush}}
        sendDirect: {active: false}
        exportBehavior: {disableNotification: false, customConfiguration: "header.X-Key=header-hush"}
      - id: partner
        endpointDefinition: {endpointUrl: "https://partner.invalid/in", enableUserSessionExport: true, usePost: true}
        authentication:
          active: true
          authType: oauth2
          oAuth2: {accessTokenUrl: "https://login.invalid/token?key=token-hush", clientId: client-user, clientSecret: client-hush}
        sendDirect: {active: false}
        exportBehavior: {disableNotification: false}
`

// No page shows a secret, a user, or where the sessions go.
func TestPagesShowNoSecretAndNoURL(t *testing.T) {
	name := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(name, []byte(secretive), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := settings.Load(name, nil)
	if err != nil {
		t.Fatal(err)
	}
	kafka := consumer.Connect(consumer.KafkaOptions{Brokers: file.Kafka.Brokers, Logger: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() {
		if err := kafka.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	manager, err := dispatcher.NewManager(dispatcher.ManagerOptions{File: file, Kafka: kafka, Version: "1.2.3", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, Options{Source: manager, PprofAddress: "127.0.0.1:0"})
	for _, url := range []string{
		"http://" + s.Addr().String() + "/metrics", "http://" + s.Addr().String() + "/status", "http://" + s.Addr().String() + "/readyz",
		"http://" + s.Addr().String() + "/healthz", "http://" + s.PprofAddr().String() + "/debug/pprof/cmdline",
	} {
		_, body := get(t, url)
		for _, hidden := range []string{"hush", "-user", "https://", ".invalid"} {
			if strings.Contains(body, hidden) {
				t.Errorf("%s shows %q", url, hidden)
			}
		}
		if strings.HasSuffix(url, "/status") && (!strings.Contains(body, `"lines"`) || !strings.Contains(body, `"partner"`)) {
			t.Errorf("%s shows no sinks: %s", url, body)
		}
	}
}

//go:build services

package watch_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"sessionexport/demo"
	"sessionexport/services"
)

// endpoint takes sessions, or refuses them while it is broken.
type endpoint struct {
	services.Webhook
	broken atomic.Bool
}

// ServeHTTP implements http.Handler.
func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if e.broken.Load() {
		http.Error(w, "out of order", http.StatusInternalServerError)
		return
	}
	e.Webhook.ServeHTTP(w, r)
}

const partitions = 4

// stage is a topic that is filled, an endpoint for the two sinks alpha and beta, and what programs need to export the
// one to the other. Its broker is the embedded one: what watches the programs is real here.
type stage struct {
	endpoint  *endpoint
	authority *services.Authority
	produced  func() int // ends the production and counts it
	broker    string
	topic     string
	url       string
}

func newStage(t *testing.T) *stage {
	t.Helper()
	authority, err := services.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	broker, err := demo.StartBroker(demo.BrokerOptions{Partitions: partitions})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := broker.Close(); err != nil {
			t.Error(err)
		}
	})
	s := &stage{endpoint: &endpoint{}, authority: authority, broker: broker.Addr(), topic: broker.Topic()}
	s.url = services.Secure(t, authority, s.endpoint)
	ctx, end := context.WithCancel(context.WithoutCancel(t.Context()))
	n := 0
	var producing sync.WaitGroup
	producing.Go(func() {
		var err error
		if n, err = demo.Produce(ctx, demo.ProduceOptions{Brokers: []string{s.broker}, Topic: s.topic, Rate: 200}); err != nil {
			t.Error(err)
		}
	})
	s.produced = func() int {
		end()
		producing.Wait()
		return n
	}
	t.Cleanup(func() { s.produced() })
	return s
}

// program installs an instance. Alerts is the value of the key alerts.
func (s *stage) program(t *testing.T, alerts string, env ...string) *services.Program {
	t.Helper()
	ports, err := services.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	address := services.Loopback(ports[0])
	text := fmt.Sprintf("version: 1\nkafka: {brokers: [%q], groupPrefix: %q}\nserver: {address: %q}\nlog: {level: info, format: text}\nalerts: %s\n"+
		"environments:\n  - id: default\n    topic: %s\n    exports:\n", s.broker, s.topic, address, alerts, s.topic)
	for _, sink := range []string{"alpha", "beta"} {
		text += fmt.Sprintf("      - id: %s\n        endpointDefinition: {endpointUrl: \"%s/%s\", enableUserSessionExport: true, contentType: application/json, usePost: true}\n"+
			"        authentication: {active: false}\n        sendDirect: {active: false}\n"+
			"        exportBehavior: {disableNotification: false, customConfiguration: \"caFile=ca.pem\\nstartFrom=earliest\\nmaxSessions=50\\nidleTimeout=1s\\nmaxRetries=0\"}\n",
			sink, s.url, sink)
	}
	return services.InstallProgram(t, services.ProgramOptions{
		Configuration: text, Address: address, Files: map[string][]byte{"ca.pem": s.authority.PEM}, Env: env,
	})
}

// rules are the alert rules that operators copy, and their tests.
func rules(t *testing.T) map[string][]byte {
	t.Helper()
	root, err := services.Root()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, name := range []string{"alerts.rules.yml", "alerts.rules.test.yml"} {
		if files[name], err = os.ReadFile(filepath.Join(root, "deploy", name)); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

//go:build services

package search_test

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"sessionexport/services"
)

// TestServe runs the program itself between a real Kafka and a real Elasticsearch, kills it under load, and shuts it down
// under load. Each session arrives at both of its sinks, and what is no session among the dead letters.
func TestServe(t *testing.T) {
	const partitions = 4
	k := services.SharedKafka(t)
	e := services.StartElasticsearch(t)
	admin := kadm.NewClient(services.Franz(t, k))
	topic := services.NewTopic(t, k, partitions, nil)
	authority, err := services.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	hook := &services.Webhook{}
	ports, err := services.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	address := services.Loopback(ports[0])
	program := services.InstallProgram(t, services.ProgramOptions{
		Configuration: fmt.Sprintf(configuration, k.Brokers()[0], topic, services.Secure(t, authority, hook),
			services.Secure(t, authority, e.Proxy()), address),
		Address: address,
		Files:   map[string][]byte{"ca.pem": authority.PEM},
	})

	program.Start(t)
	bad := services.Franz(t, k, kgo.DefaultProduceTopic(topic))
	if err := bad.ProduceSync(services.Context(t), kgo.StringRecord("no session"), kgo.StringRecord(`["no object"]`)).FirstErr(); err != nil {
		t.Fatal(err)
	}
	l := services.StartLoad(t, k, topic, partitions, 400)
	more := func(what string) {
		t.Helper()
		target := hook.Count() + 800
		services.Eventually(t, "sessions arrive "+what, func() bool { return hook.Count() >= target })
	}
	more("after the start")
	program.Kill(t)
	program.Start(t)
	more("after the kill")
	program.ShutDown(t)
	program.Start(t)
	more("after the shutdown")
	l.Stop()
	for _, group := range []string{"session-export.lines", "session-export.search"} {
		services.Eventually(t, group+" has nothing left to do", func() bool { return services.Finished(t, admin, topic, group) })
	}
	program.ShutDown(t)

	produced := l.Written()
	t.Logf("%d sessions produced, %d received", len(produced), hook.Count())
	received := hook.Sessions()
	for at, value := range produced {
		id, err := services.SessionID(value)
		if err != nil {
			t.Fatal(err)
		}
		if received[id] == 0 {
			t.Errorf("session %s of %v did not arrive", id, at)
		}
	}
	if n := len(received); n != len(produced) {
		t.Errorf("%d different sessions at the webhook, want %d", n, len(produced))
	}
	if n := e.Count(t, "sessions"); n != len(produced) {
		t.Errorf("%d documents in Elasticsearch, want %d", n, len(produced))
	}
	letters := map[string]string{} // by key: one that was written twice around the kill counts once
	for _, r := range services.ReadTopic(t, k, "session-export.dead-letters") {
		letters[string(r.Key)] = string(r.Value)
	}
	if n := len(letters); n != 4 {
		t.Errorf("%d dead letters, want one of each sink for each of two records", n)
	}
	for key, value := range letters {
		if value != "no session" && value != `["no object"]` {
			t.Errorf("dead letter %s: %q", key, value)
		}
	}
}

const configuration = `version: 1
secretsDir: secrets
kafka:
  brokers: ["%s"]
environments:
  - id: default
    topic: %s
    exports:
      - id: lines
        name: Lines
        endpointDefinition: {endpointUrl: "%s/sessions", enableUserSessionExport: true, contentType: application/json, usePost: true}
        authentication: {active: false}
        sendDirect: {active: false}
        exportBehavior:
          disableNotification: false
          customConfiguration: |
            caFile=ca.pem
            startFrom=earliest
            maxSessions=100
            idleTimeout=1s
      - id: search
        name: Search
        endpointDefinition: {endpointUrl: "%s/_bulk", enableUserSessionExport: true, contentType: application/x-ndjson, usePost: true}
        authentication: {active: false}
        sendDirect: {active: true, indexName: sessions}
        exportBehavior:
          disableNotification: false
          customConfiguration: |
            caFile=ca.pem
            startFrom=earliest
            maxSessions=100
            idleTimeout=1s
            compression=gzip
server: {address: "%s"}
log: {level: info, format: text}
`

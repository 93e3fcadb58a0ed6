//go:build services

package search_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"sessionexport/services"
	"sessionexport/session"
)

// testProgram runs the program itself between a real Kafka and an engine. Under load the program is killed, the engine is
// killed, and the program is shut down. Each session arrives at both of its sinks, and what is no session among the dead
// letters.
func testProgram(t *testing.T, e *services.Engine) {
	const partitions = 4
	k := services.SharedKafka(t)
	admin := kadm.NewClient(services.Franz(t, k))
	topic := newTopic(t, k, partitions)
	authority, err := services.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	hook := &services.Webhook{}
	put(t, e, mappingOf(e, "program"))
	group := "program." + strings.ReplaceAll(e.String(), " ", ".")
	program := newProgram(t, k, group, authority, exports(topic,
		export{id: "lines", url: services.Secure(t, authority, hook) + "/sessions"},
		export{id: "search", url: services.Secure(t, authority, e.Proxy()) + "/_bulk", index: "program"},
	))

	program.Start(t)
	bad := services.Franz(t, k, kgo.DefaultProduceTopic(topic))
	if err := bad.ProduceSync(services.Context(t), kgo.StringRecord("no session"), kgo.StringRecord(`["no object"]`)).FirstErr(); err != nil {
		t.Fatal(err)
	}
	l := services.StartLoad(t, k, topic, partitions, 400)
	more := func(what string, count func() int) {
		t.Helper()
		target := count() + 800
		services.Eventually(t, "sessions arrive "+what, func() bool { return count() >= target })
	}
	indexed := func() int { return e.Hits(t, "program", `{"match_all":{}}`) } // of those that are visible already
	more("after the start", hook.Count)
	program.Kill(t)
	program.Start(t)
	more("after the program was killed", hook.Count)
	before, killed := indexed(), time.Now()
	if err := e.Kill(); err != nil {
		t.Fatal(err)
	}
	more("at the other sink while the engine is down", hook.Count)
	if err := e.Start(); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	inTheEnd(t, "sessions arrive after the engine was killed", func() bool { return indexed() >= before+800 })
	t.Logf("the engine was away for %s, and 800 more sessions were in it %s after it was back", back.Sub(killed), time.Since(back))
	program.ShutDown(t)
	program.Start(t)
	more("after the program was shut down", hook.Count)
	l.Stop()
	for _, id := range []string{"lines", "search"} {
		inTheEnd(t, id+" has nothing left to do", func() bool { return services.Finished(t, admin, topic, group+"."+id) })
	}
	program.ShutDown(t)

	produced := l.Written()
	t.Logf("%d sessions produced, %d received, %d documents when the engine was killed", len(produced), hook.Count(), before)
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
	checkDocuments(t, e, "program", produced)
	letters := map[string]string{} // by key: one that was written twice around the kill counts once
	for _, r := range services.ReadTopic(t, k, topic+".dead-letters") {
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

// inTheEnd waits for a sink that held: the longer the outage was, the longer it waits until it asks again, up to five
// minutes.
func inTheEnd(t *testing.T, what string, yes func() bool) {
	t.Helper()
	const most = 10 * time.Minute
	end := time.NewTimer(most)
	defer end.Stop()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for !yes() {
		select {
		case <-tick.C:
		case <-end.C:
			t.Fatalf("waited %s in vain until %s", most, what)
		}
	}
}

// checkDocuments looks every session that was produced up by its id.
func checkDocuments(t *testing.T, e *services.Engine, index string, produced map[services.Place]string) {
	t.Helper()
	if n := e.Count(t, index); n != len(produced) {
		t.Errorf("%d documents in %s, want %d", n, e, len(produced))
	}
	var scanner session.Scanner
	var s session.Session
	var ids []string
	found := 0
	flush := func() {
		if len(ids) > 0 {
			found += e.Hits(t, index, `{"ids":{"values":["`+strings.Join(ids, `","`)+`"]}}`)
		}
		ids = ids[:0]
	}
	for _, value := range produced {
		if err := scanner.Scan([]byte(value), nil, &s); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, fmt.Sprintf("%s-%s-%d", s.TenantID, s.UserSessionID, s.StartTime))
		if len(ids) == 1000 {
			flush()
		}
	}
	flush()
	if found != len(produced) {
		t.Errorf("%d of %d ids found", found, len(produced))
	}
}

// export is one of the program's.
type export struct {
	id, url, index, authentication string
}

// exports is the environment of a configuration.
func exports(topic string, all ...export) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  - id: default\n    topic: %s\n    exports:\n", topic)
	for _, x := range all {
		direct := "{active: false}"
		if x.index != "" {
			direct = fmt.Sprintf("{active: true, indexName: %s}", x.index)
		}
		if x.authentication == "" {
			x.authentication = "{active: false}"
		}
		fmt.Fprintf(&b, `      - id: %s
        name: %[1]s
        endpointDefinition: {endpointUrl: %q, enableUserSessionExport: true, contentType: application/x-ndjson, usePost: true}
        authentication: %s
        sendDirect: %s
        exportBehavior:
          disableNotification: false
          customConfiguration: |
            caFile=ca.pem
            startFrom=earliest
            maxSessions=100
            idleTimeout=1s
`, x.id, x.url, x.authentication, direct)
		if x.index != "" {
			b.WriteString("            compression=gzip\n")
		}
	}
	return b.String()
}

// newProgram installs the program for one topic, with dead letters and a prefix of groups of its own.
func newProgram(t *testing.T, k *services.Kafka, group string, authority *services.Authority, environment string) *services.Program {
	t.Helper()
	ports, err := services.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	address := services.Loopback(ports[0])
	_, topic, _ := strings.Cut(environment, "topic: ")
	topic, _, _ = strings.Cut(topic, "\n")
	return services.InstallProgram(t, services.ProgramOptions{
		Configuration: fmt.Sprintf(`version: 1
secretsDir: secrets
kafka:
  brokers: [%q]
  groupPrefix: %s
deadLetters: {topic: %s.dead-letters}
environments:
%sserver: {address: %q}
log: {level: info, format: text}
`, k.Brokers()[0], group, topic, environment, address),
		Address: address,
		Files: map[string][]byte{
			"ca.pem":                 authority.PEM,
			"secrets/right.password": []byte(services.EnginePassword),
			"secrets/wrong.password": []byte("wrong"),
		},
	})
}

// newTopic creates a topic whose name Kafka takes: those of engines have spaces.
func newTopic(t *testing.T, k *services.Kafka, partitions int32) string {
	t.Helper()
	topic := strings.NewReplacer("/", ".", " ", "_", "#", "-").Replace(t.Name())
	_, err := kadm.NewClient(services.Franz(t, k)).CreateTopic(services.Context(t), partitions, -1, nil, topic)
	if err != nil {
		t.Fatalf("creating topic %s: %v", topic, err)
	}
	return topic
}

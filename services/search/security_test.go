//go:build services

package search_test

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"sessionexport/auth"
	"sessionexport/consumer"
	"sessionexport/egress"
	"sessionexport/services"
	"sessionexport/settings"
	"sessionexport/sinks"
	"sessionexport/trial"
)

// testSecurity has native TLS and users: what the right one may, what others may not, and how that is told.
func testSecurity(t *testing.T, e *services.Engine, authority *services.Authority) {
	way := func(t *testing.T, pool *x509.CertPool) *http.Transport {
		transport := egress.NewTransport(egress.Options{RootCAs: pool, Logger: slog.New(slog.DiscardHandler)})
		t.Cleanup(transport.CloseIdleConnections)
		return transport
	}
	as := func(t *testing.T, user, password string) http.RoundTripper {
		return auth.Basic(user, password, way(t, authority.Pool))
	}

	t.Run("the right user", func(t *testing.T) {
		put(t, e, mappingOf(e, "sessions-mapped"))
		for _, index := range []string{"sessions-mapped", "sessions-new"} { // one is there, one is created
			s := newSender(t, e, "", as(t, services.EngineExporter, services.EnginePassword), sinks.FormatOptions{Index: index}, true)
			for range 2 {
				s.deliver(t, 500, services.Document)
			}
			if n := e.Count(t, index); n != 500 {
				t.Errorf("%d documents in %s, want 500", n, index)
			}
		}
	})

	t.Run("data stream", func(t *testing.T) {
		put(t, e, trial.MappingOptions{Target: target(e), Index: "sessions-stream", Template: true, DataStream: true})
		s := newSender(t, e, "", as(t, services.EngineExporter, services.EnginePassword), sinks.FormatOptions{Index: "sessions-stream", OpType: sinks.OpCreate}, true)
		s.deliver(t, 50, services.Document)
		if v := s.deliver(t, 50, services.Document); v.Conflicts != 50 {
			t.Errorf("%d conflicts, want 50", v.Conflicts)
		}
	})

	t.Run("too few rights", func(t *testing.T) {
		s := newSender(t, e, "", as(t, services.EngineExporter, services.EnginePassword), sinks.FormatOptions{Index: "given"}, false)
		expect(t, s.send(t, 3, services.Document), outcome{sinks.Refused, http.StatusForbidden, "security_exception", 3}) // to create it
		e.Create(t, "given", "")
		s.deliver(t, 3, services.Document)
		e.Create(t, "taken", "")
		s = newSender(t, e, "", as(t, services.EngineExporter, services.EnginePassword), sinks.FormatOptions{Index: "taken"}, false)
		expect(t, s.send(t, 3, services.Document), outcome{sinks.Refused, http.StatusForbidden, "security_exception", 3})
		if n := e.Count(t, "taken"); n != 0 {
			t.Errorf("%d documents, want none", n)
		}
	})

	stranger, err := services.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		way    http.RoundTripper
		reason string
		status int
	}{
		{"wrong password", as(t, services.EngineExporter, "wrong"), "status", http.StatusUnauthorized},
		{"unknown user", as(t, "nobody", services.EnginePassword), "status", http.StatusUnauthorized},
		{"no credentials", way(t, authority.Pool), "status", http.StatusUnauthorized},
		{"wrong authority", auth.Basic(services.EngineExporter, services.EnginePassword, way(t, stranger.Pool)), "certificate", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := newSender(t, e, "", c.way, sinks.FormatOptions{Index: "sessions-new"}, false).send(t, 2, services.Document)
			if v.Kind != sinks.Refused || v.Status != c.status || v.Reason != c.reason {
				t.Errorf("verdict %s, reason %s, want refused with %d, reason %s", told(v), v.Reason, c.status, c.reason)
			}
			if strings.Contains(told(v), services.EnginePassword) {
				t.Errorf("the password is told: %s", told(v))
			}
			t.Log(told(v))
		})
	}

	t.Run("trial", func(t *testing.T) { testSecureTrial(t, e, authority) })
	t.Run("program", func(t *testing.T) { testSecureProgram(t, e, authority) })
}

// testSecureTrial holds what a test of an export says of credentials and rights.
func testSecureTrial(t *testing.T, e *services.Engine, authority *services.Authority) {
	k := services.SharedKafka(t)
	ctx := services.Context(t)
	topic := newTopic(t, k, 1)
	client := services.Franz(t, k, kgo.DefaultProduceTopic(topic))
	for i := range 5 {
		document := fmt.Sprintf(`{"tenantId":"t","userSessionId":"s%d","startTime":%d}`, i, time.Now().UnixMilli()-int64(i))
		if err := client.ProduceSync(ctx, kgo.StringRecord(document)).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	log := services.Connect(t, consumer.KafkaOptions{Brokers: k.Brokers()}).Topic(topic)
	t.Cleanup(log.Close)
	folder := t.TempDir()
	stranger, err := services.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"ca.pem": authority.PEM, "stranger.pem": stranger.PEM, "right": []byte(services.EnginePassword), "wrong": []byte("wrong")} {
		if block, _ := pem.Decode(text); strings.HasSuffix(name, ".pem") && block == nil {
			t.Fatalf("%s is no certificate", name)
		}
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	e.Create(t, "shut", "")
	basic := func(file string) string {
		return fmt.Sprintf("{active: true, authType: basic, basicAuth: {username: %s, passwordFile: %s}}", services.EngineExporter, file)
	}
	for _, c := range []struct{ name, index, authentication, ca, verdict, advice string }{
		{"right", "sessions-mapped", basic("right"), "ca.pem", "delivered", ""},
		{"wrong password", "sessions-mapped", basic("wrong"), "ca.pem", "refused", "password"},
		{"no credentials", "sessions-mapped", "{active: false}", "ca.pem", "refused", "credentials_missing"},
		{"no right to write", "shut", basic("right"), "ca.pem", "partial", "index_rights"},
		{"no right to create", "absent", basic("right"), "ca.pem", "partial", "index_rights"},
		{"another authority", "sessions-mapped", basic("right"), "stranger.pem", "refused", "certificate_authority_file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			x, err := settings.ParseUnsaved(fmt.Appendf(nil, `
endpointDefinition: {endpointUrl: "%s/_bulk", enableUserSessionExport: true, usePost: true, contentType: application/x-ndjson}
authentication: %s
sendDirect: {active: true, indexName: %s}
exportBehavior: {disableNotification: false, customConfiguration: "caFile=%s"}
`, e.URL(), c.authentication, c.index, c.ca), "export.yaml", settings.Place{Folder: folder, SecretsDir: folder}, nil)
			if err != nil {
				t.Fatal(err)
			}
			report, err := trial.Test(ctx, trial.TestOptions{Log: log, Environment: "default", Topic: topic, Export: &x, Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			var advice []string
			for _, a := range report.Advice {
				advice = append(advice, a.ID)
			}
			if got := strings.Join(advice, ","); report.Verdict != c.verdict || got != c.advice {
				t.Errorf("verdict %s, advice %q, requests %+v", report.Verdict, got, report.Requests)
			}
		})
	}
}

// testSecureProgram runs the program with three exports to the same cluster. The one whose user may write delivers; those
// with a wrong password and without rights hold, tell why, and commit nothing.
func testSecureProgram(t *testing.T, e *services.Engine, authority *services.Authority) {
	const partitions = 2
	k := services.SharedKafka(t)
	admin := kadm.NewClient(services.Franz(t, k))
	topic := newTopic(t, k, partitions)
	group := "secure." + strings.ReplaceAll(e.String(), " ", ".")
	basic := func(file string) string {
		return fmt.Sprintf("{active: true, authType: basic, basicAuth: {username: %s, passwordFile: %s.password}}", services.EngineExporter, file)
	}
	url := e.URL().String() + "/_bulk"
	program := newProgram(t, k, group, authority, exports(topic,
		export{id: "right", url: url, index: "sessions-program", authentication: basic("right")},
		export{id: "wrong", url: url, index: "sessions-program", authentication: basic("wrong")},
		export{id: "rightless", url: url, index: "rightless", authentication: basic("right")},
	))
	put(t, e, mappingOf(e, "sessions-program"))
	e.Create(t, "rightless", "")
	l := services.StartLoad(t, k, topic, partitions, 200)
	program.Start(t)
	services.Eventually(t, "sessions arrive", func() bool { return e.Hits(t, "sessions-program", `{"match_all":{}}`) >= 1000 })
	l.Stop()
	services.Eventually(t, "the right one has nothing left to do", func() bool { return services.Finished(t, admin, topic, group+".right") })
	for id, why := range map[string]string{"wrong": "401", "rightless": "403 security_exception"} {
		services.Eventually(t, id+" holds", func() bool {
			_, status, err := program.Get(services.Context(t), "/status")
			if err != nil {
				t.Fatal(err)
			}
			return strings.Contains(held(t, status, id), why)
		})
		if services.Finished(t, admin, topic, group+"."+id) {
			t.Errorf("%s has committed what was not delivered", id)
		}
	}
	program.ShutDown(t)
	produced := l.Written()
	checkDocuments(t, e, "sessions-program", produced)
	if n := e.Count(t, "rightless"); n != 0 {
		t.Errorf("%d documents where the user may not write, want none", n)
	}
	for _, r := range services.ReadTopic(t, k, topic+".dead-letters") {
		t.Errorf("a dead letter: %s", r.Key)
	}
	if strings.Contains(program.Process().Output(), services.EnginePassword) {
		t.Error("the password is in the log")
	}
	t.Logf("%d sessions produced", len(produced))
}

// held returns why a sink is in hold; "" when it is not.
func held(t *testing.T, status, id string) string {
	t.Helper()
	var process struct {
		Sinks []struct {
			ID   string
			Hold *struct{ Error string }
		}
	}
	if err := json.Unmarshal([]byte(status), &process); err != nil {
		t.Fatalf("reading %s: %v", status, err)
	}
	for _, sink := range process.Sinks {
		if sink.ID == id && sink.Hold != nil {
			return sink.Hold.Error
		}
	}
	return ""
}

package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"sessionexport/demo"
)

// TestEverySessionOnceInEveryFormat sends generated sessions to one endpoint
// of each format, which hold every byte against what was generated, stops the
// service, and starts it again.
func TestEverySessionOnceInEveryFormat(t *testing.T) {
	t.Parallel()
	const (
		partitions = 3
		first      = 600 // sessions before the restart
		all        = 800
	)
	s := newStage(t, partitions)
	generator := demo.NewGenerator(7)
	basic := &demo.Credentials{User: "exporter", Password: "correct horse"}
	client := &demo.Credentials{User: "exporter", Password: "battery staple"}
	endpoints := map[string]demo.Endpoint{
		"array":  {Path: "/array?source=kafka", Format: demo.FormatJSON, Basic: basic},
		"lines":  {Path: "/ndjson", Format: demo.FormatNDJSON, OAuth: client},
		"search": {Path: "/prefix/_bulk", Format: demo.FormatElasticsearch, Basic: basic},
	}
	var served []demo.Endpoint
	for _, e := range endpoints {
		e.Path, _, _ = strings.Cut(e.Path, "?")
		served = append(served, e)
	}
	receiver, err := demo.StartReceiver(demo.ReceiverOptions{Endpoints: served, Generator: generator, Verify: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = receiver.Close(ctx)
	})
	s.file("ca.pem", string(receiver.CA()))
	s.file("secrets/password", basic.Password)
	s.file("secrets/client", client.Password)
	auth := "{active: true, authType: basic, basicAuth: {username: exporter, passwordFile: password}}"
	oauth := "{active: true, authType: oauth2, oAuth2: {grantType: clientCredentials, accessTokenUrl: \"" + receiver.URL() + demo.TokenPath +
		"\", clientId: exporter, clientSecretFile: client, sendCredentials: header}}"
	config := s.config("",
		sink{id: "array", url: receiver.URL() + endpoints["array"].Path, auth: auth, put: true,
			custom: map[string]string{"bodyFormat": "array", "compression": "gzip", "maxSessions": "50", "httpVersion": "auto"}},
		sink{id: "lines", url: receiver.URL() + endpoints["lines"].Path, content: "application/x-ndjson", auth: oauth,
			custom: map[string]string{"maxBytes": "100000"}},
		sink{id: "search", url: receiver.URL() + endpoints["search"].Path, index: "sessions", auth: auth,
			custom: map[string]string{"compression": "gzip", "maxSessions": "70"}},
	)

	produce := func(from, to int) {
		var records []*kgo.Record
		for i := from; i < to; i++ {
			records = append(records, &kgo.Record{Value: generator.Append(nil, i), Partition: int32(i % partitions)})
		}
		s.write(records...)
	}
	complete := func(n int) bool {
		for _, e := range served {
			if receiver.Distinct(e.Path) < n {
				return false
			}
		}
		return true
	}
	check := func(v *service, read, n int) {
		t.Helper()
		m := v.scrape()
		for id, e := range endpoints {
			path, _, _ := strings.Cut(e.Path, "?")
			tally := receiver.Tally(path)
			if tally.Distinct != n || tally.Sessions != n || tally.Foreign != 0 {
				t.Errorf("%s: %d sessions arrived, %d of them different, %d not as produced; want %d", id, tally.Sessions, tally.Distinct, tally.Foreign, n)
			}
			if got := m.conserve(id); int(got) != read {
				t.Errorf("%s: %v sessions read, want %d", id, got, read)
			}
			if got := m.sum("sessions_delivered_total", "sink", id); int(got) != read {
				t.Errorf("%s: %v sessions delivered by the metrics, want %d", id, got, read)
			}
		}
	}

	produce(0, first)
	v := s.serve(config)
	until(t, "every session has arrived", func() bool { return complete(first) })
	until(t, "nothing waits", func() bool { return v.scrape().sum("sessions_waiting") == 0 })
	check(v, first, first)
	if status, _ := v.get("/readyz"); status != 200 {
		t.Errorf("/readyz answers %d", status)
	}
	v.stop()
	for id := range endpoints {
		if lag := s.lag(id); lag != 0 {
			t.Errorf("%s: a graceful stop left %d records uncommitted", id, lag)
		}
	}

	produce(first, all)
	v = s.serve(config)
	until(t, "the later sessions have arrived", func() bool { return complete(all) })
	until(t, "nothing waits", func() bool { return v.scrape().sum("sessions_waiting") == 0 })
	check(v, all-first, all)

	array := receiver.Tally("/array")
	if array.Headers.Get("Content-Encoding") != "gzip" || array.MostSessions > 50 {
		t.Errorf("array: at most %d sessions in a body, headers %v", array.MostSessions, array.Headers)
	}
	if lines := receiver.Tally("/ndjson"); lines.LargestBody > 100_000 || lines.Protocol != "HTTP/1.1" {
		t.Errorf("lines: largest body %d bytes, %s", lines.LargestBody, lines.Protocol)
	}
}

package trial

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sessionexport/consumer"
	"sessionexport/sinks/sinktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A test sends the newest 50 sessions once, marked, in the format of the
// export.
func TestTestDelivers(t *testing.T) {
	for name, s := range map[string]setup{
		"json":          {url: "/in"},
		"array":         {url: "/in", custom: []string{"bodyFormat=array"}},
		"ndjson, put":   {url: "/in", contentType: "application/x-ndjson", put: true},
		"elasticsearch": {url: "/_bulk", direct: "indexName: sessions"},
		"gzip":          {url: "/in", custom: []string{"compression=gzip"}},
		"with a key":    {url: "/in?key=" + queryKey, custom: []string{"header.X-Key=" + headerKey}},
		"basic":         setup{url: "/in"}.basic(),
	} {
		t.Run(name, func(t *testing.T) {
			r := sinktest.New(t, sinktest.Options{})
			s.url = on(r, s.url)
			report := try(t, s.export(t, r.Authority), recent(80), nil)
			if !report.Delivered || report.Verdict != "delivered" || report.Sessions != 50 || len(report.Requests) != 1 || report.Advice != nil {
				t.Errorf("report %+v", report)
			}
			requests := slices.DeleteFunc(r.Requests(), func(q sinktest.Request) bool { return q.Method == http.MethodGet })
			if len(requests) != 1 || len(requests[0].Sessions) != 50 || requests[0].Header.Get("Session-Export-Test") != "true" {
				t.Fatalf("%d requests", len(requests))
			}
			if !strings.HasPrefix(requests[0].Sessions[0].Key, "t-s79-") {
				t.Errorf("the newest one is missing: first %s", requests[0].Sessions[0].Key)
			}
			if name != "gzip" && report.Bytes != len(requests[0].Body) {
				t.Errorf("%d bytes reported, %d sent", report.Bytes, len(requests[0].Body))
			}
			if (requests[0].Header.Get("Authorization") != "") != (name == "basic") {
				t.Errorf("authorization %q", requests[0].Header.Get("Authorization"))
			}
			if steps := stepNames(report.Requests[0]); steps != "connection,tls,request_written,first_byte,answer" {
				t.Errorf("steps %s", steps)
			}
			tls := report.Requests[0].Steps[1].TLS
			if tls == nil || tls.Version != "TLS 1.3" || tls.Subject != "CN=sinktest" || tls.Issuer != "CN=sinktest authority" || tls.Expires.IsZero() {
				t.Errorf("tls %+v", tls)
			}
		})
	}
}

func stepNames(r Request) string {
	var all []string
	for _, s := range r.Steps {
		name := s.Name
		if s.Token {
			name = "token:" + name
		}
		all = append(all, name)
	}
	return strings.Join(all, ",")
}

func TestTestOverHTTP2(t *testing.T) {
	r := sinktest.New(t, sinktest.Options{HTTP2: true})
	report := try(t, setup{url: withHost(on(r, "/in"), "localhost"), custom: []string{"httpVersion=auto"}}.export(t, r.Authority), recent(5), nil)
	if !report.Delivered || !strings.HasPrefix(stepNames(report.Requests[0]), "name_lookup,connection,") {
		t.Errorf("report %+v", report)
	}
	last := report.Requests[0].Steps[len(report.Requests[0].Steps)-1]
	if !strings.Contains(last.Detail, "HTTP/2.0") {
		t.Errorf("answer %+v", last)
	}
}

// The token comes first, and its steps are told apart.
func TestTestFetchesAToken(t *testing.T) {
	r := sinktest.New(t, sinktest.Options{})
	tokens := sinktest.New(t, sinktest.Options{Authority: r.Authority})
	tokens.Always(sinktest.Step{Body: `{"access_token":"eyhush","token_type":"Bearer"}`})
	report := try(t, setup{url: on(r, "/in")}.oauth(on(tokens, "/token")).export(t, r.Authority), recent(5), nil)
	want := "token:connection,token:tls,token:token_request,connection,tls,request_written,first_byte,answer"
	if !report.Delivered || stepNames(report.Requests[0]) != want {
		t.Errorf("steps %s of %+v", stepNames(report.Requests[0]), report)
	}
	if got := r.Requests()[0].Header.Get("Authorization"); got != "Bearer eyhush" {
		t.Errorf("sent %q", got)
	}
}

// Many bytes leave in several bodies, each with an id of its own.
func TestTestSendsSeveralBodies(t *testing.T) {
	r := sinktest.New(t, sinktest.Options{})
	report := try(t, setup{url: on(r, "/in"), custom: []string{"maxSessions=20"}}.export(t, r.Authority), recent(60), nil)
	if !report.Delivered || len(report.Requests) != 3 || report.Sessions != 50 {
		t.Fatalf("report %+v", report)
	}
	if !strings.HasPrefix(stepNames(report.Requests[1]), "connection,request_written") {
		t.Errorf("steps of the second %s", stepNames(report.Requests[1]))
	}
	seen := map[string]bool{}
	for i, q := range r.Requests() {
		id := q.Header.Get("Webhook-Id")
		if seen[id] || id != report.Requests[i].ID {
			t.Errorf("request %d has id %s", i, id)
		}
		seen[id] = true
	}
}

// After a failure that the rest would share, the rest is not sent.
func TestTestStopsWhenItIsNoUse(t *testing.T) {
	for name, c := range map[string]struct {
		first  sinktest.Step
		unsent int
		sent   int
	}{
		"refused": {sinktest.Status(403), 30, 1},
		"suspect": {sinktest.Status(422), 0, 3},
		"large":   {sinktest.Status(413), 0, 3},
	} {
		t.Run(name, func(t *testing.T) {
			r := sinktest.New(t, sinktest.Options{})
			r.Script(c.first)
			report := try(t, setup{url: on(r, "/in"), custom: []string{"maxSessions=20"}}.export(t, r.Authority), recent(60), nil)
			if report.Delivered || report.Verdict == "delivered" || report.Unsent != c.unsent || len(r.Requests()) != c.sent {
				t.Errorf("%d requests, report %+v", len(r.Requests()), report)
			}
		})
	}
}

// An attempt is one attempt: nothing is tried again.
func TestTestSendsOnce(t *testing.T) {
	for _, step := range []sinktest.Step{sinktest.Status(500), sinktest.Status(429), sinktest.Status(401), sinktest.Break(sinktest.ResetRead)} {
		r := sinktest.New(t, sinktest.Options{})
		r.Script(step)
		report := try(t, setup{url: on(r, "/in")}.export(t, r.Authority), recent(5), nil)
		if report.Delivered || len(r.Requests()) != 1 {
			t.Errorf("%d requests, report %+v", len(r.Requests()), report)
		}
	}
}

func TestTestWithoutSessions(t *testing.T) {
	for name, c := range map[string]struct {
		log  *memory
		zone string
		says string
	}{
		"empty topic":  {&memory{partitions: make([][]consumer.Record, 2)}, "", "No session in scope started between"},
		"too old":      {&memory{partitions: [][]consumer.Record{{record(0, now.Add(-300*24*time.Hour), time.Now(), "Shop")}}}, "", "--from"},
		"out of scope": {&memory{partitions: [][]consumer.Record{{record(0, time.Now(), time.Now(), "Other")}}}, "7", "Check the applications"},
	} {
		t.Run(name, func(t *testing.T) {
			r := sinktest.New(t, sinktest.Options{})
			report := try(t, setup{url: on(r, "/in"), zone: c.zone}.export(t, r.Authority), c.log, nil)
			text, _ := renderings(t, report)
			if report.Delivered || report.Verdict != NoSessions || ids(report.Advice) != NoSessions || len(r.Requests()) != 0 || !strings.Contains(text, c.says) {
				t.Errorf("%d requests\n%s", len(r.Requests()), text)
			}
		})
	}
}

// Sessions out of the export's scope stay at home.
func TestTestKeepsToTheScope(t *testing.T) {
	log := recent(30)
	for i := range log.partitions[0] {
		if i%3 != 0 {
			r := &log.partitions[0][i]
			r.Value = []byte(strings.ReplaceAll(string(r.Value), "Shop", "Other"))
		}
	}
	r := sinktest.New(t, sinktest.Options{})
	report := try(t, setup{url: on(r, "/in"), zone: "7"}.export(t, r.Authority), log, nil)
	if !report.Delivered || report.Sessions != 10 || report.Search.OutOfScope != 20 {
		t.Errorf("report %+v", report)
	}
}

// Sessions that the format cannot carry are not delivered, and that is said.
func TestTestTellsWhatTheFormatCannotCarry(t *testing.T) {
	log := recent(5)
	last := &log.partitions[0][4]
	last.Value = []byte(strings.Replace(string(last.Value), `"tenantId":"t",`, "", 1))
	r := sinktest.New(t, sinktest.Options{})
	report := try(t, setup{url: on(r, "/_bulk"), direct: "indexName: sessions"}.export(t, r.Authority), log, nil)
	text, _ := renderings(t, report)
	if report.Delivered || report.Sessions != 4 || !strings.Contains(text, "1 session that the format cannot carry: missing_tenant_id") ||
		!strings.Contains(text, "4 sessions arrived") {
		t.Errorf("report %+v\n%s", report, text)
	}
}

// Items are counted by type; documents stay out of the report.
func TestTestCountsItems(t *testing.T) {
	r := sinktest.New(t, sinktest.Options{})
	r.Script(sinktest.Step{Item: func(s sinktest.Session) (int, string) {
		switch {
		case strings.Contains(s.Key, "-s1-"):
			return 404, "index_not_found_exception"
		case strings.Contains(s.Key, "-s2-"), strings.Contains(s.Key, "-s3-"):
			return 400, "mapper_parsing_exception"
		default:
			return 201, ""
		}
	}})
	report := try(t, setup{url: on(r, "/_bulk"), direct: "indexName: sessions"}.export(t, r.Authority), recent(8), nil)
	items := report.Requests[0].Items
	if report.Delivered || report.Verdict != "partial" || len(items) != 2 || items[0].Times != 2 || items[0].Type != "mapper_parsing_exception" || items[1].Status != 404 {
		t.Errorf("items %+v", items)
	}
	if ids(report.Advice) != "mapping_conflict,index_missing" {
		t.Errorf("advice %s", ids(report.Advice))
	}
}

// The JSON is what scripts hold on to.
func TestReportKeys(t *testing.T) {
	r := sinktest.New(t, sinktest.Options{})
	_, document := renderings(t, try(t, setup{url: on(r, "/in")}.export(t, r.Authority), recent(5), nil))
	var keys map[string]any
	if err := json.Unmarshal([]byte(document), &keys); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"environment", "topic", "export", "endpoint", "method", "format", "delivered", "verdict", "sessions", "bytes", "requests", "search"} {
		if _, ok := keys[key]; !ok {
			t.Errorf("no %s in %s", key, document)
		}
	}
	request := fmt.Sprint(keys["requests"])
	for _, key := range []string{"steps:", "milliseconds:", "verdict:", "kind:delivered", "expires:", "issuer:", "subject:", "version:TLS 1.3"} {
		if !strings.Contains(request, key) {
			t.Errorf("no %s in %s", key, request)
		}
	}
}

package sinks

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sessionexport/sinks/sinktest"
)

// kindNames are the words of docs/verdicts.md.
var kindNames = map[Kind]string{
	Delivered: "delivered", Retryable: "retryable", Throttled: "throttled", Partial: "partial",
	TooLarge: "too large", Unauthorised: "unauthorised", Refused: "refused", Suspect: "suspect",
	Rejected: "rejected", Interrupted: "interrupted",
}

func newSink(t testing.TB, r *sinktest.Receiver, o Options) *Sink {
	t.Helper()
	if o.Format == nil {
		o.Format = mustFormat(t, FormatOptions{Kind: NDJSON})
	}
	if o.URL == nil {
		o.URL = r.URL("/in")
	}
	if o.Transport == nil {
		o.Transport = r.Transport(t)
	}
	o.Version = "1.2.3"
	s, err := New(o)
	if err != nil {
		t.Fatalf("making sink: %v", err)
	}
	t.Cleanup(s.Close)
	return s
}

// batchOf returns a body of n sessions.
func batchOf(t testing.TB, f *Format, n int) Body {
	t.Helper()
	b := Body{ID: "batch-1", Sessions: n}
	for i := range n {
		s := scan(t, fmt.Sprintf(`{"tenantId":"acme","userSessionId":"s%d","startTime":1,"secretOfUser":"very private %d"}`, i, i))
		var err error
		if b.Bytes, _, err = f.Append(b.Bytes, s); err != nil {
			t.Fatalf("appending: %v", err)
		}
	}
	return b
}

// statuses are all codes that have a name, and some that have none.
func statuses() []int {
	var codes []int
	for code := 200; code < 600; code++ {
		if http.StatusText(code) != "" {
			codes = append(codes, code)
		}
	}
	return append(codes, 299, 306, 499, 599, 600, 999)
}

// TestStatusTable holds every status code against the table that the
// documentation shows.
func TestStatusTable(t *testing.T) {
	kinds := func(code int) string {
		var cells []string
		for _, bulk := range []bool{false, true} {
			for _, oauth := range []bool{false, true} {
				v := judgeStatus(code, "", bulk, oauth, time.Now())
				if waiting := judgeStatus(code, "7", bulk, oauth, time.Now()); waiting.Kind != v.Kind {
					cells = append(cells, kindNames[v.Kind]+"; with Retry-After "+kindNames[waiting.Kind])
					continue
				}
				name := kindNames[v.Kind]
				if v.Poisonable {
					name += ", may be poison"
				}
				cells = append(cells, name)
			}
		}
		return strings.Join(cells, " | ")
	}
	var table strings.Builder
	table.WriteString("| status | webhook | webhook, OAuth 2.0 | `_bulk` as a whole | `_bulk`, OAuth 2.0 |\n|---|---|---|---|---|\n")
	for first := 200; first <= 999; {
		cells := kinds(first)
		last := first
		for last < 999 && kinds(last+1) == cells {
			last++
		}
		codes := strconv.Itoa(first)
		if last > first {
			codes += "–" + strconv.Itoa(last)
		}
		fmt.Fprintf(&table, "| %s | %s |\n", codes, cells)
		first = last + 1
	}
	checkGolden(t, "testdata/status.golden", []byte(table.String()))
	checkDocumented(t, table.String())
}

func TestItemTable(t *testing.T) {
	types := []string{
		"", typeIndexClosed, typeInvalidIndexName, typeValidation, "mapper_parsing_exception", "document_parsing_exception",
		"illegal_argument_exception", "strict_dynamic_mapping_exception",
	}
	kinds := func(status int) string {
		var names [2]string
		for i, create := range []bool{false, true} {
			kind, conflict := judgeItem(status, "", create)
			names[i] = kindNames[kind]
			if conflict {
				names[i] += ", counted as a conflict"
			}
		}
		return names[0] + " | " + names[1]
	}
	var table strings.Builder
	table.WriteString("| item's status | `index` | `create` |\n|---|---|---|\n")
	for first := 200; first <= 599; {
		cells := kinds(first)
		last := first
		for last < 599 && kinds(last+1) == cells {
			last++
		}
		codes := strconv.Itoa(first)
		if last > first {
			codes += "–" + strconv.Itoa(last)
		}
		fmt.Fprintf(&table, "| %s | %s |\n", codes, cells)
		first = last + 1
	}
	for _, name := range types {
		for status := 200; status < 600; status++ {
			with, _ := judgeItem(status, name, false)
			without, _ := judgeItem(status, "", false)
			if with != without {
				fmt.Fprintf(&table, "| %d with `%s` | %s | %s |\n", status, name, kindNames[with], kindNames[with])
			}
		}
	}
	checkGolden(t, "testdata/items.golden", []byte(table.String()))
	checkDocumented(t, table.String())
}

// checkDocumented: the documentation shows what the code does.
func checkDocumented(t *testing.T, table string) {
	t.Helper()
	page, err := os.ReadFile("../docs/verdicts.md")
	if err != nil {
		t.Fatalf("reading documentation: %v", err)
	}
	if !strings.Contains(string(page), table) {
		t.Errorf("docs/verdicts.md does not have this table:\n%s", table)
	}
}

// TestConformanceStatus sends every format to an endpoint that answers with every
// status.
func TestConformanceStatus(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		for _, tt := range allFormats {
			t.Run(fmt.Sprintf("%s/http2=%t", tt.name, http2), func(t *testing.T) {
				r := sinktest.New(t, sinktest.Options{HTTP2: http2})
				f := mustFormat(t, tt.options)
				bulk := tt.options.Kind == Bulk
				for _, oauth := range []bool{false, true} {
					s := newSink(t, r, Options{Format: f, OAuth: oauth})
					for _, code := range statuses() {
						r.Script(sinktest.Step{Status: code, Header: http.Header{"Retry-After": {"120"}, "Location": {r.URL("/other").String()}}})
						v := s.Attempt(context.Background(), batchOf(t, f, 3))
						want := judgeStatus(code, "120", bulk, oauth, time.Now())
						if bulk && (code == http.StatusNoContent) {
							want.Kind, want.Reason = Refused, "bulk_answer"
						}
						if v.Kind != want.Kind || v.Status != code || v.Reason != want.Reason || v.Poisonable != want.Poisonable {
							t.Errorf("status %d: %s %q (%v), want %s %q", code, kindNames[v.Kind], v.Reason, v.Err, kindNames[want.Kind], want.Reason)
						}
						if v.Kind == Throttled && v.RetryAfter != 2*time.Minute {
							t.Errorf("status %d: Retry-After %v", code, v.RetryAfter)
						}
						if (v.Err == nil) != (v.Kind == Delivered) {
							t.Errorf("status %d: error %v", code, v.Err)
						}
					}
				}
				if got, want := len(r.Requests()), 2*len(statuses()); got != want {
					t.Errorf("%d requests for %d attempts: a redirect was followed or an attempt repeated", got, want)
				}
			})
		}
	}
}

// TestConformanceFaults sends every format to an endpoint that fails in every way.
func TestConformanceFaults(t *testing.T) {
	type want struct {
		kind       Kind
		reason     string
		poisonable bool
	}
	accepted := want{kind: Delivered}
	reset := want{Retryable, "reset", true}
	timeout := want{Retryable, "timeout", true}
	cut := want{Retryable, "cut_short", true}
	tests := []struct {
		name          string
		step          sinktest.Step
		webhook, bulk want
	}{
		{"reset before the body is read", sinktest.Break(sinktest.ResetUnread), reset, reset},
		{"reset without an answer", sinktest.Break(sinktest.ResetRead), reset, reset},
		{"closed without an answer", sinktest.Break(sinktest.CloseRead), reset, reset},
		{"half a status line", sinktest.Break(sinktest.HalfStatus), reset, reset},
		{"no HTTP", sinktest.Break(sinktest.Garbage), reset, reset},
		{"headers without end", sinktest.Break(sinktest.EndlessHeader), reset, reset},
		{"no answer, body unread", sinktest.Break(sinktest.HangUnread), timeout, timeout},
		{"no answer", sinktest.Break(sinktest.HangRead), timeout, timeout},
		{"half an answer, closed", sinktest.Break(sinktest.HalfAnswer), accepted, cut},
		{"half a chunk, closed", sinktest.Break(sinktest.HalfChunk), accepted, cut},
		{"half an answer, reset", sinktest.Break(sinktest.ResetAnswer), accepted, want{Retryable, "reset", true}},
		{"half an answer, then nothing", sinktest.Break(sinktest.HangAnswer), accepted, timeout},
		{"answer without end", sinktest.Break(sinktest.EndlessBody), accepted, want{Refused, "bulk_answer", false}},
		{"drops for ever", sinktest.Break(sinktest.SlowBody), accepted, timeout},
		{"400 that drops for ever", sinktest.Step{Status: 400, Fault: sinktest.SlowBody}, want{Suspect, "status", false}, want{Refused, "status", false}},
		{"early 413", sinktest.Step{Status: 413, Fault: sinktest.EarlyKeep}, want{TooLarge, "status", false}, want{TooLarge, "status", false}},
		{"early 413, closed", sinktest.Step{Status: 413, Fault: sinktest.EarlyClose}, want{TooLarge, "status", false}, want{TooLarge, "status", false}},
		{"a page instead", sinktest.Step{Body: "<html>Sign in</html>"}, accepted, want{Refused, "bulk_answer", false}},
		{"another JSON", sinktest.Step{Body: `{"ok":true}`}, accepted, want{Refused, "bulk_answer", false}},
	}
	for _, format := range allFormats {
		t.Run(format.name, func(t *testing.T) {
			for _, tt := range tests {
				t.Run(tt.name, func(t *testing.T) {
					t.Parallel()
					r := sinktest.New(t, sinktest.Options{ForgetBodies: true})
					f := mustFormat(t, format.options)
					w, limit := tt.webhook, 10*time.Second
					if format.options.Kind == Bulk {
						w = tt.bulk
					}
					if w.reason == "timeout" {
						limit = 300 * time.Millisecond
					}
					s := newSink(t, r, Options{Format: f, Timeout: 10 * time.Second})
					s.reading = 100 * time.Millisecond
					if w.poisonable {
						// On a connection that exists: its handshake is no part of the limit.
						if v := s.Attempt(context.Background(), batchOf(t, f, 3)); v.Kind != Delivered {
							t.Fatalf("connecting: %v", v.Err)
						}
					}
					r.Always(tt.step)
					s.timeout = limit
					v := s.Attempt(context.Background(), batchOf(t, f, 3))
					if v.Kind != w.kind || v.Reason != w.reason || v.Poisonable != w.poisonable {
						t.Errorf("%s %q poisonable=%t (%v), want %s %q poisonable=%t", kindNames[v.Kind], v.Reason, v.Poisonable, v.Err,
							kindNames[w.kind], w.reason, w.poisonable)
					}
					if v.Reason == "timeout" && v.Err.Error() != "Request timeout" {
						t.Errorf("a timeout reads %q", v.Err)
					}
				})
			}
		})
	}
}

// TestConformanceWire looks at what every format sends.
func TestConformanceWire(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		for _, gzip := range []bool{false, true} {
			for _, tt := range allFormats {
				t.Run(fmt.Sprintf("%s/http2=%t/gzip=%t", tt.name, http2, gzip), func(t *testing.T) {
					r := sinktest.New(t, sinktest.Options{HTTP2: http2})
					f := mustFormat(t, tt.options)
					bulk := tt.options.Kind == Bulk
					endpoint := "/prefix%2Fa/in?pipeline=x%20y&b=1"
					if bulk {
						endpoint = "/prefix%2Fa?pipeline=x%20y&filter%5Fpath=took&b=1"
					}
					s := newSink(t, r, Options{
						Format: f, Method: http.MethodPut, Gzip: gzip, URL: r.URL(endpoint), Test: true,
						Headers: http.Header{"X-Extra": {"1", "2"}, "Content-Type": {"text/plain"}, "Idempotency-Key": {"own"}, "Accept-Encoding": {"gzip"}},
					})
					b := batchOf(t, f, 5)
					before := string(b.Bytes)
					if v := s.Attempt(context.Background(), b); v.Kind != Delivered || v.Err != nil {
						t.Fatalf("%s: %v", kindNames[v.Kind], v.Err)
					}
					if string(b.Bytes) != before {
						t.Error("the attempt changed the caller's bytes")
					}
					checkWire(t, r, bulk, f, gzip)
				})
			}
		}
	}
}

func checkWire(t *testing.T, r *sinktest.Receiver, bulk bool, f *Format, gzip bool) {
	t.Helper()
	got := r.Requests()[0]
	query, path := "pipeline=x%20y&b=1", "/prefix%2Fa/in"
	if bulk {
		path = "/prefix%2Fa/_bulk"
		query += "&filter_path=errors%2Citems.%2A.status%2Citems.%2A.error"
	}
	if got.Method != http.MethodPut || got.URL.EscapedPath() != path {
		t.Errorf("%s %s", got.Method, got.URL)
	}
	if got.URL.RawQuery != query {
		t.Errorf("query %q, want %q", got.URL.RawQuery, query)
	}
	if got.Length != int64(len(got.Body)) {
		t.Errorf("Content-Length %d, body of %d bytes", got.Length, len(got.Body))
	}
	want := map[string]string{
		"Content-Type": f.ContentType(), "User-Agent": "session-export/1.2.3", "Session-Export-Test": "true", "Accept-Encoding": "",
		"Expect": "", "Webhook-Id": "batch-1", "Idempotency-Key": "batch-1", "Content-Encoding": "", "X-Extra": "1 2", "Accept": "",
	}
	if gzip {
		want["Content-Encoding"] = "gzip"
	}
	if bulk {
		want["Webhook-Id"], want["Idempotency-Key"], want["Accept"] = "", "", "application/json"
	}
	for name, value := range want {
		if have := strings.Join(got.Header.Values(name), " "); have != value {
			t.Errorf("header %s: %q, want %q", name, have, value)
		}
	}
	if len(got.Sessions) != 5 || len(r.Accepted()) != 5 {
		t.Errorf("%d sessions arrived, %d were accepted, want 5", len(got.Sessions), len(r.Accepted()))
	}
}

func sorted(names []string) []string { return slices.Sorted(slices.Values(names)) }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

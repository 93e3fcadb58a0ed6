package demo

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

// taken are endpoints as Receive has them, and what was told about them.
func taken(t *testing.T, o ReceiverOptions) (*fixture, func() Receipt) {
	t.Helper()
	receipts := make(chan Receipt, 100)
	o.Received = func(r Receipt) { receipts <- r }
	o.Endpoints = []Endpoint{{Path: "/", Format: FormatAny, Basic: basic}}
	f := startReceiver(t, o)
	return f, func() Receipt {
		t.Helper()
		select {
		case r := <-receipts:
			if time.Since(r.Time) > time.Minute || r.Protocol != "HTTP/2.0" {
				t.Errorf("receipt of %v over %s", r.Time, r.Protocol)
			}
			if media, who := r.Headers.Get("Content-Type"), r.Headers.Get("Authorization"); media == "" || who != "Basic ***" {
				t.Errorf("receipt with the headers %v", r.Headers)
			}
			r.Time, r.Protocol, r.Headers = time.Time{}, "", nil
			return r
		case <-t.Context().Done():
			t.Fatal("no receipt")
			return Receipt{}
		}
	}
}

func TestReceiptOfEveryRequest(t *testing.T) {
	var next Misbehaviour
	f, receipt := taken(t, ReceiverOptions{MaxBody: 500, Misbehave: func(Arrival) Misbehaviour { return next }})
	const (
		one    = `{"tenantId":"t","userSessionId":"1","startTime":5}` + "\n"
		two    = `{"tenantId":"t","userSessionId":"2","startTime":6}` + "\n"
		action = `{"index":{"_index":"s","_id":"a"}}` + "\n"
		login  = "Basic ZXhwb3J0ZXI6cGFzcyB3b3Jk"
	)
	for _, c := range []struct {
		name, method, path, media, body string
		headers                         []string
		bad                             Misbehaviour
		status                          int
		want                            Receipt
	}{
		{"json", "POST", "/w1", "application/json", one, nil, Misbehaviour{}, 200, Receipt{Format: FormatJSON, Sessions: 1, First: "t-1-5"}},
		{"ndjson", "PUT", "/a/b", "application/x-ndjson", two + one, []string{"Session-Export-Test", "true"}, Misbehaviour{}, 200,
			Receipt{Format: FormatNDJSON, Sessions: 2, Duplicates: 1, First: "t-2-6", Test: true}},
		{"bulk", "POST", "/prefix/_bulk", "application/x-ndjson", action + two, nil, Misbehaviour{}, 200,
			Receipt{Format: FormatElasticsearch, Sessions: 1, Duplicates: 1, First: "t-2-6"}},
		{"empty array", "POST", "/w1", "application/json", "[]", nil, Misbehaviour{}, 200, Receipt{Format: FormatJSON}},
		{"method", "DELETE", "/w1", "application/json", one, nil, Misbehaviour{}, 405, Receipt{Format: FormatJSON, Reason: "only POST and PUT are allowed"}},
		{"type", "POST", "/w1", "text/plain", one, nil, Misbehaviour{}, 415, Receipt{Format: FormatJSON, Reason: "Content-Type is not application/json"}},
		{"password", "POST", "/w1", "application/json", one, []string{"Authorization", "Basic eDp5"}, Misbehaviour{}, 401,
			Receipt{Format: FormatJSON, Reason: "wrong user or password"}},
		{"large", "POST", "/w1", "application/json", strings.Repeat(" ", 501), nil, Misbehaviour{}, 413,
			Receipt{Format: FormatJSON, Reason: "the body exceeds 500 bytes"}},
		{"told", "POST", "/_bulk", "application/json", action + one, nil, Misbehaviour{Status: 503}, 503,
			Receipt{Format: FormatElasticsearch, Reason: "this receiver was told to answer so"}},
		{"reset", "POST", "/w1", "application/json", one, nil, Misbehaviour{Reset: true}, 0, Receipt{Format: FormatJSON}},
		{"lost", "POST", "/w1", "application/json", one, nil, Misbehaviour{Lost: true}, 0,
			Receipt{Format: FormatJSON, Sessions: 1, Duplicates: 1, First: "t-1-5"}},
	} {
		next = c.bad
		status, answer := f.send(c.method, c.path, c.body, append([]string{"Content-Type", c.media, "Authorization", login}, c.headers...)...)
		if status != c.status {
			t.Errorf("%s: %d %s, want %d", c.name, status, answer, c.status)
		}
		c.want.Method, c.want.Path, c.want.Status = c.method, c.path, c.status
		if c.status == 200 || c.bad != (Misbehaviour{}) {
			c.want.Bytes = len(c.body)
		}
		if got := receipt(); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: receipt\n%+v, want\n%+v", c.name, got, c.want)
		}
	}
	if got := f.Tally("/"); got.Requests != 11 || got.Bodies != 5 || got.Sessions != 5 || got.Distinct != 2 || got.Duplicates != 3 {
		t.Errorf("one account of all formats: %+v", got)
	}
}

func TestReceiverForgets(t *testing.T) {
	f, receipt := taken(t, ReceiverOptions{Remember: 3})
	for _, c := range []struct{ ids, duplicates string }{
		{"1 2 3", ""}, {"1", "1"}, {"4", ""}, {"2 3 4", "2 3 4"}, {"1", ""}, {"2", ""}, {"1 4", "1 4"}, {"5 6 7 5", "5"}, {"1 2 4", ""},
	} {
		body := ""
		for id := range strings.FieldsSeq(c.ids) {
			body += fmt.Sprintf(`{"tenantId":"t","userSessionId":%q,"startTime":5}`+"\n", id)
		}
		if status, answer := f.send("POST", "/", body, "Authorization", "Basic ZXhwb3J0ZXI6cGFzcyB3b3Jk"); status != 200 {
			t.Fatalf("%d %s", status, answer)
		}
		if got, want := receipt().Duplicates, len(strings.Fields(c.duplicates)); got != want {
			t.Errorf("%s: %d duplicates, want %d", c.ids, got, want)
		}
	}
	ledger := f.endpoints["/"].ledger
	if got := f.Tally("/"); got.Distinct != 12 || got.Foreign != 12 || len(ledger.foreign) != 3 || len(ledger.order) != 3 {
		t.Errorf("%d different sessions, %d of them remembered; want 12 and 3", got.Distinct, len(ledger.foreign))
	}
}

func TestFaultsAreSpread(t *testing.T) {
	for _, c := range []struct {
		faults Faults
		want   string // of ten bodies
	}{
		{Faults{Status: 500, StatusPercent: 100}, "ffffffffff"},
		{Faults{Status: 500, StatusPercent: 30}, "...f..f..f"},
		{Faults{ResetPercent: 50}, ".r.r.r.r.r"},
		{Faults{ResetPercent: 50, Status: 500, StatusPercent: 100}, "frfrfrfrfr"},
		{Faults{Delay: time.Second}, ".........."},
	} {
		next, got := c.faults.spread(), ""
		for range 10 {
			switch m := next(Arrival{}); {
			case m.Delay != c.faults.Delay:
				t.Errorf("%+v: delay %v", c.faults, m.Delay)
			case m.Reset:
				got += "r"
			case m.Status == c.faults.Status && m.Status != 0:
				got += "f"
			default:
				got += "."
			}
		}
		if got != c.want {
			t.Errorf("%+v: %s, want %s", c.faults, got, c.want)
		}
	}
	all := Faults{Status: 429, StatusPercent: 20, RetryAfter: 3 * time.Second, ResetPercent: 10, Delay: time.Second}
	if got, want := all.describe(), "answers after 1s, cuts the connection of 10 % of the bodies, answers 429 to 20 % of the bodies with Retry-After: 3"; got != want {
		t.Errorf("described as %q, want %q", got, want)
	}
	if m := all.spread()(Arrival{}); m.RetryAfter != 0 || (Faults{}).any() || !all.any() {
		t.Errorf("a body without a fault gets %+v", m)
	}
}

func TestReceiptLine(t *testing.T) {
	at := time.Date(2026, 1, 31, 8, 15, 1, 123e6, time.UTC)
	for _, c := range []struct {
		receipt Receipt
		want    string
	}{
		{Receipt{Method: "POST", Path: "/w1", Format: FormatJSON, Sessions: 1000, Bytes: 895_900, First: "t-1-5", Status: 200},
			"08:15:01.123 200 POST /w1 json  1,000 sessions  895,900 bytes  first t-1-5"},
		{Receipt{Method: "PUT", Path: "/_bulk", Format: FormatElasticsearch, Sessions: 5, Bytes: 9, First: "a\x1b[2J", Duplicates: 2, Test: true, Status: 200},
			"08:15:01.123 200 PUT /_bulk elasticsearch  5 sessions  9 bytes  first a [2J  duplicates 2  test"},
		{Receipt{Method: "POST", Path: "/" + strings.Repeat("p", 300), Format: FormatJSON, Status: 503, Bytes: 7, Reason: "told\nso"},
			"08:15:01.123 503 POST /" + strings.Repeat("p", 199) + "… json  7 bytes  told so"},
		{Receipt{Method: "POST", Path: "/w1", Format: FormatNDJSON, Bytes: 7}, "08:15:01.123 cut POST /w1 ndjson  0 sessions  7 bytes"},
	} {
		c.receipt.Time = at
		if got := c.receipt.line(); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
	r := Receipt{Headers: http.Header{"X-B": {"2", "1\x07"}, "Webhook-Id": {"b1"}}}
	if got, want := r.headers(), "\n    Webhook-Id: b1\n    X-B: 2\n    X-B: 1 "; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTotals(t *testing.T) {
	tally := Tally{Requests: 1012, Statuses: map[int]int{500: 2, 200: 1009}, Bodies: 1009, Sessions: 12_000, Distinct: 11_999, Duplicates: 1,
		Bytes: 5_000_000, LargestBody: 895_900, MostSessions: 1000}
	want := "1,012 requests, 1,009 answered 200, 2 answered 500, 1 cut, 3 tokens issued\n" +
		"1,009 bodies taken: 12,000 sessions, 11,999 different, 1 duplicates (of the last 1,000); 5000000 bytes, largest body 895,900, most sessions in one 1,000"
	if got := totals(tally, 3, 1000); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := totals(Tally{}, 0, 10); !strings.HasPrefix(got, "0 requests\n0 bodies taken: 0 sessions, 0 different, 0 duplicates; 0 bytes") {
		t.Errorf("nothing: %s", got)
	}
}

// output is what Receive prints, and lets a test wait for it.
type output struct {
	lines chan string
	fail  error
}

func (o *output) Write(p []byte) (int, error) {
	o.lines <- string(p)
	return len(p), o.fail
}

func TestReceive(t *testing.T) {
	ca := filepath.Join(t.TempDir(), "ca.pem")
	out := &output{lines: make(chan string, 100)}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- Receive(ctx, ReceiveOptions{
			Address: "127.0.0.1:0", Hosts: []string{"receiver.test"}, CAOut: ca, OAuth: oauth, Faults: Faults{Status: 429, StatusPercent: 50}, Headers: true, Output: out,
		})
	}()
	intro := <-out.lines
	address := regexp.MustCompile(`https://([0-9.:]+),`).FindStringSubmatch(intro)
	if address == nil || strings.Contains(intro, oauth.Password) || !strings.Contains(intro, "answers 429 to 50 %") {
		t.Fatalf("introduced as %s", intro)
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	dial := func(name string, roots *x509.CertPool) error {
		conn, err := tls.Dial("tcp", address[1], &tls.Config{ServerName: name, RootCAs: roots, MinVersion: tls.VersionTLS12})
		if err != nil {
			return err
		}
		return conn.Close()
	}
	if err := dial("receiver.test", roots); err != nil {
		t.Errorf("the certificate does not hold for a further name: %v", err)
	}
	if err := dial("receiver.test", x509.NewCertPool()); err == nil {
		t.Error("trusted without a reason")
	}
	for !strings.Contains(<-out.lines, "bad certificate (") { // the other one may say that it ended early
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "https://"+address[1]+"/events", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("u", "guessed")
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	transport.CloseIdleConnections()
	shown := <-out.lines
	for !strings.Contains(shown, "PUT /events") { // what else there is to say of the handshakes
		shown = <-out.lines
	}
	if resp.StatusCode != http.StatusUnauthorized || !strings.Contains(shown, " 401 PUT /events json") || !strings.Contains(shown, "\n    Authorization: Basic ***\n") {
		t.Errorf("%d, shown as %s", resp.StatusCode, shown)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	last := <-out.lines
	for len(out.lines) > 0 {
		last = <-out.lines
	}
	if !strings.Contains(last, "0 bodies taken") {
		t.Errorf("ends with %q", last)
	}
}

func TestReceivePrintsItsCertificate(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	if err := Receive(ctx, ReceiveOptions{Address: "127.0.0.1:0", Basic: basic, Output: &out}); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"user exporter", "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----", "0 requests"} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("printed %s, without %q", out.String(), part)
		}
	}
	if strings.Contains(out.String(), basic.Password) || strings.Contains(out.String(), "PRIVATE") {
		t.Errorf("printed a secret: %s", out.String())
	}
}

func TestReceiveSaysWhatIsWrong(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	full := errors.New("full")
	for name, o := range map[string]ReceiveOptions{
		"address": {Address: "256.0.0.1:0", Output: &bytes.Buffer{}},
		"file":    {Address: "127.0.0.1:0", CAOut: filepath.Join(t.TempDir(), "none", "ca.pem"), Output: &bytes.Buffer{}},
		"output":  {Address: "127.0.0.1:0", Output: &output{lines: make(chan string, 9), fail: full}},
	} {
		if err := Receive(ctx, o); err == nil || name == "output" && !errors.Is(err, full) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestExplained(t *testing.T) {
	for problem, want := range map[string]string{
		"http: TLS handshake error from 1.2.3.4:5: remote error: tls: unknown certificate authority":     "does not trust",
		"http: TLS handshake error from 1.2.3.4:5: tls: first record does not look like a TLS handshake": "plain HTTP",
		"http: TLS handshake error from 1.2.3.4:5: client sent an HTTP request to an HTTPS server":       "plain HTTP",
		"http: Accept error: too many open files\x1b; retrying":                                          "Accept error: too many open files ; retrying",
	} {
		if got := explained(problem); !strings.Contains(got, want) {
			t.Errorf("%q is explained as %q, without %q", problem, got, want)
		}
	}
}

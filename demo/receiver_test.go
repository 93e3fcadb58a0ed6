package demo

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

var (
	basic = &Credentials{"exporter", "pass word"}
	oauth = &Credentials{"client:1", "secret &1"}
)

// everything are endpoints of each format and each kind of authentication.
var everything = []Endpoint{
	{Path: "/open", Format: FormatJSON},
	{Path: "/json", Format: FormatJSON, Basic: basic},
	{Path: "/ndjson", Format: FormatNDJSON, OAuth: oauth},
	{Path: "/elastic/_bulk", Format: FormatElasticsearch},
}

type fixture struct {
	*Receiver
	t      *testing.T
	client *http.Client
	token  string

	transport *http.Transport
}

func startReceiver(t *testing.T, o ReceiverOptions) *fixture {
	t.Helper()
	if o.Endpoints == nil {
		o.Endpoints = everything
	}
	r, err := StartReceiver(o)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(r.CA()) {
		t.Fatal("the authority's certificate is no PEM")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := r.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return &fixture{Receiver: r, t: t, client: &http.Client{Transport: transport}, transport: transport}
}

// send makes one request and returns the status and the answer.
func (f *fixture) send(method, path, body string, headers ...string) (int, string) {
	f.t.Helper()
	r, err := http.NewRequestWithContext(f.t.Context(), method, f.URL()+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if strings.Contains(path, "ndjson") || strings.Contains(path, "_bulk") {
		r.Header.Set("Content-Type", "application/x-ndjson")
	}
	for k := 0; k+1 < len(headers); k += 2 {
		r.Header.Set(headers[k], headers[k+1])
	}
	if path == "/json" && r.Header.Get("Authorization") == "" {
		r.SetBasicAuth(basic.User, basic.Password)
	}
	if path == "/ndjson" && r.Header.Get("Authorization") == "" {
		r.Header.Set("Authorization", "Bearer "+f.token)
	}
	resp, err := f.client.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return resp.StatusCode, string(answer)
}

// fetchToken gets a token with the credentials in the form.
func (f *fixture) fetchToken() {
	f.t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {oauth.User}, "client_secret": {oauth.Password}, "scope": {"sessions"}}
	status, answer := f.send(http.MethodPost, TokenPath, form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
	var a struct {
		Token   string `json:"access_token"`
		Type    string `json:"token_type"`
		Expires int    `json:"expires_in"`
		Scope   string `json:"scope"`
	}
	if err := json.Unmarshal([]byte(answer), &a); err != nil || status != 200 || a.Token == "" || a.Type != "Bearer" || a.Scope != "sessions" {
		f.t.Fatalf("token: %d %s", status, answer)
	}
	if want := int(f.options.TokenLife.Seconds()); a.Expires != want {
		f.t.Fatalf("token lives %d s, want %d", a.Expires, want)
	}
	f.token = a.Token
}

func lines(g *Generator, indexes ...int) string {
	var b []byte
	for _, i := range indexes {
		b = append(g.Append(b, i), '\n')
	}
	return string(b)
}

func TestReceiverCountsEveryFormat(t *testing.T) {
	g := NewGenerator(2)
	f := startReceiver(t, ReceiverOptions{Generator: g})
	f.fetchToken()
	foreign := `{"tenantId":"t","userSessionId":"1394_1","startTime":5}`
	array := "[" + strings.ReplaceAll(strings.TrimSuffix(lines(g, 1, 2, 3), "\n"), "\n", ",") + "]"
	action := `{"index":{"_index":"s","_id":"a"}}` + "\n"
	for _, c := range []struct {
		name, path, method string
		bodies             []string
		want               Tally
	}{
		{"lines", "/json", "POST", []string{lines(g, 0, 1, 2), lines(g, 2, 3)}, Tally{Bodies: 2, Sessions: 5, Distinct: 4, Duplicates: 1, MostSessions: 3}},
		{"array", "/open", "PUT", []string{array, lines(g, 3), "[]"}, Tally{Bodies: 3, Sessions: 4, Distinct: 3, Duplicates: 1, MostSessions: 3}},
		{"foreign", "/ndjson", "PUT", []string{foreign + "\n" + lines(g, 9), foreign + "\n"}, Tally{Bodies: 2, Sessions: 3, Distinct: 2, Duplicates: 1, Foreign: 1, MostSessions: 2}},
		{"bulk", "/elastic/_bulk", "POST", []string{action + lines(g, 7) + action + lines(g, 7)}, Tally{Bodies: 1, Sessions: 2, Distinct: 1, Duplicates: 1, MostSessions: 2}},
	} {
		largest, total := 0, 0
		for _, body := range c.bodies {
			if status, answer := f.send(c.method, c.path, body); status != 200 {
				t.Fatalf("%s: %d %s", c.name, status, answer)
			}
			largest, total = max(largest, len(body)), total+len(body)
		}
		got := f.Tally(c.path)
		if got.Bodies != c.want.Bodies || got.Sessions != c.want.Sessions || got.Distinct != c.want.Distinct || got.Duplicates != c.want.Duplicates ||
			got.Foreign != c.want.Foreign || got.MostSessions != c.want.MostSessions || got.LargestBody != largest || got.Bytes != int64(total) ||
			got.Statuses[200] != len(c.bodies) || got.Indexes.Len() != c.want.Distinct-c.want.Foreign || f.Distinct(c.path) != c.want.Distinct {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
	}
	if p := f.Tally("/json").Protocol; p != "HTTP/2.0" {
		t.Errorf("protocol %s, want HTTP/2.0", p)
	}
	if h := f.Tally("/json").Headers.Get("Authorization"); h != "Basic ***" {
		t.Errorf("the tally keeps the credentials: %q", h)
	}
	if n := f.Tally("/nowhere").Requests + f.Distinct("/nowhere"); n != 0 {
		t.Errorf("an unknown path has %d requests and sessions", n)
	}
}

func TestReceiverSpeaksHTTP1(t *testing.T) {
	f := startReceiver(t, ReceiverOptions{})
	f.transport.ForceAttemptHTTP2 = false
	f.transport.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	if status, answer := f.send("POST", "/open", `{"userSessionId":"1"}`); status != 200 || f.Tally("/open").Protocol != "HTTP/1.1" {
		t.Errorf("%d %s over %s", status, answer, f.Tally("/open").Protocol)
	}
}

func TestReceiverRefuses(t *testing.T) {
	f := startReceiver(t, ReceiverOptions{MaxBody: 1_000})
	f.fetchToken()
	const doc = `{"userSessionId":"1"}` + "\n"
	for _, c := range []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		answer                   string
	}{
		{"method", "GET", "/open", "", nil, 405, "only POST and PUT"},
		{"path", "POST", "/elsewhere", doc, nil, 404, ""},
		{"no password", "POST", "/json", doc, []string{"Authorization", "Bearer x"}, 401, "wrong user or password"},
		{"wrong password", "POST", "/json", doc, []string{"Authorization", "Basic ZXhwb3J0ZXI6d3Jvbmc="}, 401, "wrong user or password"},
		{"no token", "PUT", "/ndjson", doc, []string{"Authorization", "Basic ZXhwb3J0ZXI6d3Jvbmc="}, 401, "no token"},
		{"wrong token", "PUT", "/ndjson", doc, []string{"Authorization", "Bearer wrong"}, 401, "no token"},
		{"type", "POST", "/open", doc, []string{"Content-Type", "text/plain"}, 415, "application/json"},
		{"type of lines", "PUT", "/ndjson", doc, []string{"Content-Type", "application/json"}, 415, "application/x-ndjson"},
		{"large", "POST", "/open", strings.Repeat(" ", 1_001), nil, 413, "exceeds 1000 bytes"},
		{"large after unpacking", "POST", "/open", zipped(strings.Repeat(" ", 1_001)), []string{"Content-Encoding", "gzip"}, 413, "exceeds 1000 bytes"},
		{"no gzip", "POST", "/open", doc, []string{"Content-Encoding", "gzip"}, 400, "reading the body"},
		{"cut gzip", "POST", "/open", zipped(doc)[:25], []string{"Content-Encoding", "gzip"}, 400, "reading the body"},
		{"encoding", "POST", "/open", doc, []string{"Content-Encoding", "br"}, 415, "neither gzip nor absent"},
		{"no JSON", "POST", "/open", doc + "{\n", nil, 400, "line 2: not a session"},
		{"empty line", "POST", "/open", doc + "\n" + doc, nil, 400, "line 2: not a session"},
		{"no array", "POST", "/open", "[" + doc, nil, 400, "not a JSON array"},
		{"element", "POST", "/open", "[" + doc + ",3]", nil, 400, "element 2: not a session"},
		{"no final newline", "PUT", "/ndjson", strings.TrimSpace(doc), nil, 400, "no newline"},
		{"bulk: empty", "POST", "/elastic/_bulk", "", nil, 400, `{"error":{"reason":"request body is required","root_cause":[{"reason":"request body is required","type":"parse_exception"}],"type":"parse_exception"},"status":400}`},
		{"bulk: no newline", "POST", "/elastic/_bulk", `{"index":{}}`, nil, 400, "terminated by a newline"},
		{"bulk: no document", "POST", "/elastic/_bulk", `{"index":{}}` + "\n", nil, 400, "no document"},
		{"bulk: no action", "POST", "/elastic/_bulk", doc + doc, nil, 400, "malformed action"},
		{"bulk: delete", "POST", "/elastic/_bulk", `{"delete":{"_id":"1"}}` + "\n" + doc, nil, 400, "expected index or create"},
	} {
		if status, answer := f.send(c.method, c.path, c.body, c.headers...); status != c.status || !strings.Contains(answer, c.answer) {
			t.Errorf("%s: %d %s; want %d %s", c.name, status, answer, c.status, c.answer)
		}
	}
	for _, e := range everything {
		if got := f.Tally(e.Path); got.Bodies != 0 || got.Sessions != 0 || got.Statuses[200] != 0 {
			t.Errorf("%s counts what it refused: %+v", e.Path, got)
		}
	}
}

func zipped(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(s)) // memory takes everything.
	_ = z.Close()
	return b.String()
}

func TestReceiverUnpacksGzip(t *testing.T) {
	g := NewGenerator(2)
	f := startReceiver(t, ReceiverOptions{Generator: g})
	for range 2 { // the second takes a used buffer
		if status, answer := f.send("POST", "/open", zipped(lines(g, 1, 2)), "Content-Encoding", "gzip"); status != 200 {
			t.Fatalf("%d %s", status, answer)
		}
	}
	if got := f.Tally("/open"); got.Distinct != 2 || got.Duplicates != 2 || got.LargestBody != len(lines(g, 1, 2)) {
		t.Errorf("%+v", got)
	}
}

func TestReceiverVerifies(t *testing.T) {
	g := NewGenerator(2)
	changed := strings.Replace(lines(g, 1), `"bounce":false`, `"bounce":true `, 1)
	if changed == lines(g, 1) {
		t.Fatal("session 1 has nothing to change")
	}
	for _, c := range []struct {
		verify  bool
		foreign int
	}{{true, 1}, {false, 0}} {
		f := startReceiver(t, ReceiverOptions{Generator: g, Verify: c.verify})
		if status, answer := f.send("POST", "/open", lines(g, 0)+changed); status != 200 {
			t.Fatalf("%d %s", status, answer)
		}
		if got := f.Tally("/open"); got.Distinct != 2 || got.Foreign != c.foreign || !got.Indexes.Has(0) || got.Indexes.Has(1) == c.verify {
			t.Errorf("verify %v: %+v", c.verify, got)
		}
	}
}

func TestTokensEnd(t *testing.T) {
	now := time.Now()
	f := startReceiver(t, ReceiverOptions{TokenLife: time.Minute, Now: func() time.Time { return now }})
	f.fetchToken()
	const doc = `{"userSessionId":"1"}` + "\n"
	now = now.Add(time.Minute - time.Nanosecond)
	if status, _ := f.send("PUT", "/ndjson", doc); status != 200 {
		t.Errorf("%d just before the token's end", status)
	}
	now = now.Add(time.Nanosecond)
	if status, _ := f.send("PUT", "/ndjson", doc); status != 401 {
		t.Errorf("%d at the token's end", status)
	}
	now = now.Add(time.Nanosecond)
	f.fetchToken()
	if n := f.TokensIssued(); n != 2 || len(f.tokens.tokens) != 1 {
		t.Errorf("%d tokens issued, %d kept; want 2 and 1", n, len(f.tokens.tokens))
	}
	if status, _ := f.send("PUT", "/ndjson", doc); status != 200 {
		t.Errorf("%d with a fresh token", status)
	}
}

func TestTokenServerRefuses(t *testing.T) {
	f := startReceiver(t, ReceiverOptions{})
	header := func(user, password string) string {
		r := &http.Request{Header: http.Header{}}
		r.SetBasicAuth(url.QueryEscape(user), url.QueryEscape(password))
		return r.Header.Get("Authorization")
	}
	const grant = "grant_type=client_credentials"
	for _, c := range []struct {
		name, method, body, authorization string
		status                            int
		answer                            string
	}{
		{"header", "POST", grant, header(oauth.User, oauth.Password), 200, "access_token"},
		{"wrong secret", "POST", grant, header(oauth.User, "x"), 401, "invalid_client"},
		{"nobody", "POST", grant, "", 401, "invalid_client"},
		{"grant", "POST", "grant_type=password", header(oauth.User, oauth.Password), 400, "unsupported_grant_type"},
		{"method", "PUT", grant, header(oauth.User, oauth.Password), 405, "invalid_request"},
		{"form", "POST", "%zz", "", 400, "invalid_request"},
	} {
		headers := []string{"Content-Type", "application/x-www-form-urlencoded"}
		if c.authorization != "" {
			headers = append(headers, "Authorization", c.authorization)
		}
		status, answer := f.send(c.method, TokenPath, c.body, headers...)
		if status != c.status || !strings.Contains(answer, c.answer) {
			t.Errorf("%s: %d %s; want %d %s", c.name, status, answer, c.status, c.answer)
		}
		if strings.Contains(answer, oauth.Password) {
			t.Errorf("%s: the answer has the secret in it", c.name)
		}
	}
}

func TestReceiverMisbehaves(t *testing.T) {
	g := NewGenerator(2)
	var next Misbehaviour
	var asked Arrival
	f := startReceiver(t, ReceiverOptions{Generator: g, Misbehave: func(a Arrival) Misbehaviour { asked = a; return next }})
	action := `{"index":{}}` + "\n"
	for _, path := range []string{"/open", "/elastic/_bulk"} {
		body := lines(g, 1)
		if path != "/open" {
			body = action + body
		}
		for _, c := range []struct {
			name     string
			m        Misbehaviour
			status   int
			sessions int
		}{
			{"status", Misbehaviour{Status: 503, RetryAfter: 3 * time.Second, Delay: time.Millisecond}, 503, 0},
			{"reset", Misbehaviour{Reset: true}, 0, 0},
			{"lost", Misbehaviour{Lost: true}, 0, 1},
			{"good", Misbehaviour{}, 200, 2},
		} {
			next = c.m
			if status, answer := f.send("POST", path, body); status != c.status {
				t.Errorf("%s %s: %d %s, want %d", path, c.name, status, answer, c.status)
			}
			if got := f.Tally(path).Sessions; got != c.sessions {
				t.Errorf("%s %s: %d sessions counted, want %d", path, c.name, got, c.sessions)
			}
			if asked.Path != path || asked.Bytes != len(body) {
				t.Errorf("%s %s: asked about %+v", path, c.name, asked)
			}
		}
	}
}

func TestStartReceiverSaysWhatIsWrong(t *testing.T) {
	for name, o := range map[string]ReceiverOptions{
		"format":  {Endpoints: []Endpoint{{Path: "/x", Format: "xml"}}},
		"both":    {Endpoints: []Endpoint{{Path: "/x", Format: FormatJSON, Basic: basic, OAuth: oauth}}},
		"address": {Address: "256.0.0.1:0"},
	} {
		if r, err := StartReceiver(o); err == nil {
			t.Errorf("%s: no error", name)
			_ = r.Close(t.Context())
		} else if strings.Contains(err.Error(), oauth.Password) || strings.Contains(err.Error(), basic.Password) {
			t.Errorf("%s: a secret in %v", name, err)
		}
	}
	if s := oauth.String(); strings.Contains(s, oauth.Password) {
		t.Errorf("credentials print their password: %s", s)
	}
}

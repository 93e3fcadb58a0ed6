package demo

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestDefects(t *testing.T) {
	f := startReceiver(t, ReceiverOptions{})
	const one = `{"tenantId":"t","userSessionId":"1","startTime":5}` + "\n"
	check := func(when, path string, want int) {
		t.Helper()
		if status, answer := f.send("POST", path, one); status != want {
			t.Errorf("%s: %s answers %d %s, want %d", when, path, status, answer, want)
		}
	}
	f.fetchToken()
	check("well", "/json", 200)
	check("well", "/ndjson", 200)
	f.Break(Defect{Password: true})
	check("another password", "/json", 401)
	check("another password", "/ndjson", 200)
	check("another password", "/open", 200)
	f.Break(Defect{Tokens: true})
	check("no tokens", "/ndjson", 401)
	if status, answer := f.send("POST", TokenPath, "grant_type=client_credentials"); status != 503 || !strings.Contains(answer, "temporarily_unavailable") {
		t.Errorf("the token server answers %d %s", status, answer)
	}
	check("no tokens", "/json", 200)
	f.Break(always(Misbehaviour{Status: http.StatusTooManyRequests, RetryAfter: time.Second}))
	check("throttling", "/json", 429)
	f.Mend()
	check("mended", "/json", 200)
	check("its old token", "/ndjson", 401)
	f.fetchToken()
	check("a new token", "/ndjson", 200)
}

// A certificate that has expired is shown to every new connection, to those
// that would resume an earlier session as well; the old ones end.
func TestDefectOfTheCertificate(t *testing.T) {
	f := startReceiver(t, ReceiverOptions{})
	send := func() error {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.URL()+"/open", strings.NewReader(`{"tenantId":"t"}`+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		answer, err := f.client.Do(r)
		if err == nil {
			_ = answer.Body.Close()
		}
		return err
	}
	if err := send(); err != nil {
		t.Fatal(err)
	}
	f.Break(Defect{Certificate: true})
	var invalid x509.CertificateInvalidError
	var err error
	for deadline := time.Now().Add(30 * time.Second); !errors.As(err, &invalid); err = send() { // the old connection has to end first
		if time.Now().After(deadline) {
			t.Fatal("the certificate is never looked at")
		}
	}
	if invalid.Reason != x509.Expired {
		t.Errorf("error %v, want an expired certificate", err)
	}
	f.Mend()
	if err := send(); err != nil {
		t.Errorf("mended: %v", err)
	}
}

func TestItemFaults(t *testing.T) {
	g := NewGenerator(1)
	faults := &ItemFaults{RejectEvery: 4, BusyEvery: 3}
	f := startReceiver(t, ReceiverOptions{Generator: g, Endpoints: []Endpoint{{Path: "/_bulk", Format: FormatElasticsearch}}})
	f.Break(always(Misbehaviour{Items: faults}))
	send := func(sessions ...int) string {
		t.Helper()
		var body []byte
		for _, i := range sessions {
			body = fmt.Appendf(body, `{"index":{"_index":"s","_id":"%d"}}`+"\n", i)
			body = append(g.Append(body, i), '\n')
		}
		body = append(body, `{"index":{"_index":"s","_id":"foreign"}}`+"\n"+`{"tenantId":"t","userSessionId":"1","startTime":5}`+"\n"...)
		status, answer := f.send("POST", "/_bulk?filter_path=errors,items.*.status", string(body))
		if status != 200 {
			t.Fatalf("%d %s", status, answer)
		}
		return answer
	}
	const rejected, busy, created, updated = `{"index":{"status":400}}`, `{"index":{"status":429}}`, `{"index":{"status":201}}`, `{"index":{"status":200}}`
	items := func(all ...string) string { return `{"errors":true,"items":[` + strings.Join(all, ",") + `]}` }
	if got, want := send(1, 2, 3, 4, 12), items(created, created, busy, rejected, rejected, created); got != want {
		t.Errorf("answered %s, want %s", got, want)
	}
	if got, want := send(3, 4), items(created, rejected, updated); got != want {
		t.Errorf("answered again %s, want %s", got, want)
	}
	f.Mend()
	send(4, 12)
	if got := f.Tally("/_bulk"); got.Distinct != 6 || got.Duplicates != 2 || got.Unacknowledged != 0 {
		t.Errorf("%+v", got)
	}
	f.Break(always(Misbehaviour{Lost: true}))
	if status, _ := f.send("POST", "/_bulk", `{"index":{}}`+"\n"+string(g.Append(nil, 9))+"\n"); status != 0 {
		t.Errorf("answered %d, want a connection that is cut", status)
	}
	if got := f.Tally("/_bulk"); got.Distinct != 7 || got.Unacknowledged != 1 {
		t.Errorf("%+v", got)
	}
}

package main

import (
	"bytes"
	"compress/gzip"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	one = `{"tenantId":"t","userSessionId":"1","startTime":5,"a":1}`
	two = `{"tenantId":"t","userSessionId":"2","startTime":5}`
)

var (
	testKey = bytes.Repeat([]byte("k"), 32)
	noon    = time.Unix(1_800_000_000, 0)
)

func newReceiver(t *testing.T) (*receiver, string) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "sessions.ndjson")
	st, err := openStore(name, 100)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.close() })
	return &receiver{store: st, user: "exporter", password: "pass", limit: 10_000, now: func() time.Time { return noon }}, name
}

// post sends a body; change alters the request.
func post(r *receiver, body string, change func(*http.Request)) *httptest.ResponseRecorder {
	req := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	req.SetBasicAuth("exporter", "pass")
	if change != nil {
		change(req)
	}
	w := httptest.NewRecorder()
	r.ServeHTTP(w, req)
	return w
}

func content(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func zipped(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(s)) // memory takes everything.
	_ = z.Close()
	return b.String()
}

func TestReceiverStoresEachSessionOnce(t *testing.T) {
	r, name := newReceiver(t)
	for _, body := range []string{one + "\n", one + "\n" + two + "\n" + one, two, "", "\n"} {
		if w := post(r, body, nil); w.Code != http.StatusOK {
			t.Fatalf("%q: %d %s", body, w.Code, w.Body)
		}
	}
	w := post(r, zipped(strings.ReplaceAll(two, "2", "3")), func(req *http.Request) { req.Header.Set("Content-Encoding", "gzip") })
	if got, want := content(t, name), one+"\n"+two+"\n"+strings.ReplaceAll(two, "2", "3")+"\n"; w.Code != http.StatusOK || got != want {
		t.Errorf("%d; stored\n%s\nwant\n%s", w.Code, got, want)
	}
}

func TestReceiverRefuses(t *testing.T) {
	for _, c := range []struct {
		name, body string
		change     func(*http.Request)
		status     int
	}{
		{"method", one, func(r *http.Request) { r.Method = http.MethodGet }, 405},
		{"nobody", one, func(r *http.Request) { r.Header.Del("Authorization") }, 401},
		{"user", one, func(r *http.Request) { r.SetBasicAuth("other", "pass") }, 401},
		{"password", one, func(r *http.Request) { r.SetBasicAuth("exporter", "x") }, 401},
		{"no JSON", one + "\n{", nil, 400},
		{"no object", one + "\n[]", nil, 400},
		{"no gzip", one, func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }, 400},
		{"cut gzip", zipped(one)[:20], func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }, 400},
		{"large", strings.Repeat("\n", 10_001), nil, 413},
		{"large when unpacked", zipped(strings.Repeat("\n", 10_001)), func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }, 413},
	} {
		r, name := newReceiver(t)
		if w := post(r, c.body, c.change); w.Code != c.status {
			t.Errorf("%s: %d %s, want %d", c.name, w.Code, w.Body, c.status)
		}
		if got := content(t, name); got != "" {
			t.Errorf("%s: stored %s", c.name, got)
		}
	}
	r, _ := newReceiver(t)
	r.password = ""
	if w := post(r, one, func(req *http.Request) { req.SetBasicAuth("exporter", "") }); w.Code != 401 {
		t.Errorf("a receiver without a password lets everybody in: %d", w.Code)
	}
	r.password = "pass"
	_ = r.store.file.Close()
	if w := post(r, one, nil); w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "sessions.ndjson") {
		t.Errorf("a store that fails: %d %s, want 503", w.Code, w.Body)
	}
}

func TestReceiverChecksSignatures(t *testing.T) {
	sign := func(key []byte, id string, at time.Time, body string) func(*http.Request) {
		timestamp := strconv.FormatInt(at.Unix(), 10)
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + timestamp + "." + body))
		return func(r *http.Request) {
			r.Header.Set("webhook-id", id)
			r.Header.Set("webhook-timestamp", timestamp)
			r.Header.Set("webhook-signature", "v1,AAAA v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
		}
	}
	for _, c := range []struct {
		name   string
		change func(*http.Request)
		status int
	}{
		{"good", sign(testKey, "b1", noon, one), 200},
		{"a little old", sign(testKey, "b1", noon.Add(-maxSkew), one), 200},
		{"none", nil, 401},
		{"old", sign(testKey, "b1", noon.Add(-maxSkew-time.Second), one), 401},
		{"of the future", sign(testKey, "b1", noon.Add(maxSkew+time.Second), one), 401},
		{"other body", sign(testKey, "b1", noon, two), 401},
		{"other key", sign(testKey[1:], "b1", noon, one), 401},
		{"other id", func(r *http.Request) { sign(testKey, "b1", noon, one)(r); r.Header.Set("webhook-id", "b2") }, 401},
		{"no timestamp", func(r *http.Request) { sign(testKey, "b1", noon, one)(r); r.Header.Set("webhook-timestamp", "now") }, 401},
	} {
		r, _ := newReceiver(t)
		r.signingKey = testKey
		if w := post(r, one, c.change); w.Code != c.status {
			t.Errorf("%s: %d %s, want %d", c.name, w.Code, w.Body, c.status)
		}
	}
}

func TestStoreOutlivesACrash(t *testing.T) {
	name := filepath.Join(t.TempDir(), "sessions.ndjson")
	if err := os.WriteFile(name, []byte(one+"\n"+two[:10]), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := openStore(name, 100)
	if err != nil {
		t.Fatal(err)
	}
	sessions, err := split([]byte(one + "\n" + two + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.add(sessions), s.close()); err != nil {
		t.Fatal(err)
	}
	if got := content(t, name); got != one+"\n"+two+"\n" {
		t.Errorf("stored\n%s", got)
	}
	if err := os.WriteFile(name, []byte("no session\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := openStore(name, 100); err == nil {
		t.Error("opened a file of something else", s.close())
	}
	if _, err := openStore(filepath.Join(name, "x"), 100); err == nil {
		t.Error("opened a file in a file")
	}
}

func TestStoreForgetsByGenerations(t *testing.T) {
	s := &store{seen: map[string]struct{}{}, generation: 2}
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		s.remember(id)
	}
	for id, want := range map[string]bool{"a": false, "b": false, "c": true, "d": true, "e": true} {
		if s.knows(id) != want {
			t.Errorf("knows %s: %v, want %v", id, !want, want)
		}
	}
}

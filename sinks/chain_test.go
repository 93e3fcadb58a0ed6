package sinks

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"sessionexport/auth"
	"sessionexport/sinks/sinktest"
)

// TestWithCredentials runs the whole chain: a sink over the credentials of the house
// over its transport.
func TestWithCredentials(t *testing.T) {
	var status atomic.Int32
	tokens := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if code := int(status.Load()); code != http.StatusOK {
			w.WriteHeader(code)
			_ = json.NewEncoder(w).Encode(map[string]string{"error": "invalid_client"})
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "token-of-today", "token_type": "Bearer", "expires_in": 300})
	}))
	t.Cleanup(tokens.Close)
	tests := []struct {
		name         string
		token        int
		endpoint     int
		kind         Kind
		reason       string
		wantRequests int
	}{
		{"accepted", 200, 200, Delivered, "", 1},
		{"token not accepted", 200, 401, Unauthorised, "status", 1},
		{"client refused", 401, 200, Refused, "token_refused", 0},
		{"token server ill", 500, 200, Retryable, "token", 0},
	}
	for _, tt := range tests {
		for _, o := range allFormats {
			t.Run(tt.name+"/"+o.name, func(t *testing.T) {
				status.Store(int32(tt.token))
				r := sinktest.New(t, sinktest.Options{})
				r.Always(sinktest.Status(tt.endpoint))
				f := mustFormat(t, o.options)
				s := newSink(t, r, Options{Format: f, OAuth: true, Secrets: []string{"client-secret-42"}, Transport: auth.NewClientCredentials(auth.Options{
					TokenURL: tokens.URL + "/token", ClientID: "exporter", ClientSecret: "client-secret-42",
					Next: r.Transport(t), TokenTransport: tokens.Client().Transport,
				})})
				v := s.Attempt(context.Background(), batchOf(t, f, 2))
				if v.Kind != tt.kind || v.Reason != tt.reason {
					t.Errorf("%s %q (%v)", kindNames[v.Kind], v.Reason, v.Err)
				}
				assertNoSecret(t, v)
				requests := r.Requests()
				if len(requests) != tt.wantRequests {
					t.Fatalf("%d requests", len(requests))
				}
				if len(requests) > 0 && requests[0].Header.Get("Authorization") != "Bearer token-of-today" {
					t.Errorf("Authorization: %q", requests[0].Header.Get("Authorization"))
				}
			})
		}
	}
	tokens.Client().CloseIdleConnections()
}

// TestBasicOnUsedConnection: what goes around a transport must not make it repeat
// a request either.
func TestBasicOnUsedConnection(t *testing.T) {
	r := sinktest.New(t, sinktest.Options{})
	r.Script(sinktest.Step{}, sinktest.Break(sinktest.CloseRead))
	s := newSink(t, r, Options{Transport: auth.Basic("exporter", "client-secret-42", r.Transport(t)), URL: r.URL("/in")})
	for i, want := range []Kind{Delivered, Retryable} {
		v := s.Attempt(context.Background(), batchOf(t, s.format, 1))
		if v.Kind != want || len(r.Requests()) != i+1 {
			t.Errorf("attempt %d: %s (%v), %d requests", i, kindNames[v.Kind], v.Err, len(r.Requests()))
		}
	}
	if user, password, ok := (&http.Request{Header: r.Requests()[0].Header}).BasicAuth(); !ok || user != "exporter" || password != "client-secret-42" {
		t.Errorf("credentials %q %q", user, password)
	}
}

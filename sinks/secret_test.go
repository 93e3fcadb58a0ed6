package sinks

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"sessionexport/sinks/sinktest"
)

// secrets of every spelling that an answer may play back.
var testSecrets = []string{"p@ss w0rd/+\"quoted\"", "client-secret-42", "signing-key-material"}

// assertNoSecret fails when a verdict shows a secret in any spelling, or what a user did.
func assertNoSecret(t *testing.T, v Verdict) {
	t.Helper()
	shown := fmt.Sprintf("%v %s %s %s", v.Err, v.Excerpt, v.Reason, fmt.Sprint(v.Items))
	for _, secret := range append([]string{"query-key-123456", "url-password", "bearer-token-xyz"}, testSecrets...) {
		for _, spelling := range []string{
			secret, url.QueryEscape(secret), url.PathEscape(secret), strings.ReplaceAll(secret, `"`, `\"`),
			base64.StdEncoding.EncodeToString([]byte(secret)),
		} {
			if strings.Contains(shown, spelling) {
				t.Errorf("the verdict shows %q: %s", spelling, shown)
			}
		}
	}
	if strings.Contains(v.Excerpt+fmt.Sprint(v.Err), "very private") {
		t.Errorf("the verdict quotes a session: %s", shown)
	}
	if len(v.Excerpt) > maxExcerpt || !utf8.ValidString(v.Excerpt) {
		t.Errorf("excerpt of %d bytes", len(v.Excerpt))
	}
	for _, r := range v.Excerpt {
		if !unicode.IsPrint(r) {
			t.Errorf("excerpt with %q", r)
		}
	}
}

func TestAssertNoSecret(t *testing.T) {
	var echo strings.Builder
	for _, secret := range testSecrets {
		fmt.Fprintf(&echo, "%s\n%s\t%s\x1b[31m%s\n", secret, url.QueryEscape(secret), base64.StdEncoding.EncodeToString([]byte(secret)),
			strings.ReplaceAll(secret, `"`, `\"`))
	}
	secrets := echo.String()
	answers := []string{
		secrets,
		strings.Repeat("ä", 250) + secrets + strings.Repeat("x", 10_000),
		strings.Repeat("x", 500) + secrets,
		strings.Repeat("x", maxRawExcerpt-5) + secrets,
		strings.Repeat(testSecrets[0], 500),
		"Authorization: Bearer bearer-token-xyz\nkey=query-key-123456 url-password",
		`{"error":{"type":"security_exception","reason":"unable to authenticate with client-secret-42"},"status":401}`,
		`{"errors":true,"items":[{"index":{"status":400,"error":{"type":"mapper_parsing_exception","reason":"client-secret-42"}}}]}`,
		`invalid: {"tenantId":"acme","userSessionId":"s0","startTime":1,"secretOfUser":"very private 0"}`,
		`{"message":"invalid: {\"tenantId\":\"acme\",\"userSessionId\":\"s0\",\"startTime\":1,\"secretOfUser\":\"very private 0\"}"}`,
		`{"error":{"type":"very private 0","reason":"very private 0"}}`,
		`{"error":{"type":"illegal_argument_exception","reason":"very private 0"}}`,
		"\xff\xfe\x00binary",
	}
	r := sinktest.New(t, sinktest.Options{})
	transport := r.Transport(t)
	for _, tt := range allFormats {
		f := mustFormat(t, tt.options)
		endpoint := r.URL("/in?api_key=query-key-123456")
		endpoint.User = url.UserPassword("user", "url-password")
		s := newSink(t, r, Options{Format: f, Secrets: testSecrets, Transport: transport, URL: endpoint})
		for _, answer := range answers {
			for _, status := range []int{200, 400, 401, 500} {
				r.Script(sinktest.Step{Status: status, Body: answer})
				assertNoSecret(t, s.Attempt(context.Background(), batchOf(t, f, 1)))
			}
		}
	}
	for _, request := range r.Requests() {
		if request.Header.Get("Authorization") != "" || request.URL.User != nil {
			t.Fatalf("a user inside the URL became a header: %v", request.Header)
		}
	}
}

func TestExcerptShowsTheRest(t *testing.T) {
	r := sinktest.New(t, sinktest.Options{})
	s := newSink(t, r, Options{Secrets: testSecrets})
	for answer, want := range map[string]string{
		"  not\ntoday,\x07 client-secret-42!":                                            "not today,. [redacted]!",
		"Bearer abcdefghijklmnop and more":                                               "Bearer [redacted] and more",
		`bad session {"tenantId":"acme","userSessionId":"s0","startTime":1,"secretOf...`: "bad session [quotes the sessions]",
		"": "",
	} {
		r.Script(sinktest.Step{Status: http.StatusForbidden, Body: answer})
		if v := s.Attempt(context.Background(), batchOf(t, s.format, 1)); v.Excerpt != want {
			t.Errorf("excerpt of %q: %q, want %q", answer, v.Excerpt, want)
		}
	}
}

// TestSentTokenIsScrubbed lets endpoints repeat the access token of the
// request, which no settings hold.
func TestSentTokenIsScrubbed(t *testing.T) {
	const token = "an-access/token+of-this-hour"
	r := sinktest.New(t, sinktest.Options{})
	transport := r.Transport(t)
	bearer := roundTripper(func(in *http.Request) (*http.Response, error) {
		own := in.Clone(in.Context())
		own.Header.Set("Authorization", "Bearer "+token)
		return transport.RoundTrip(own)
	})
	answers := []string{
		"token " + token + " has ended",
		"token=" + url.QueryEscape(token),
		strings.Repeat("x", maxRawExcerpt-5) + token,
		`{"error":{"type":"security_exception","reason":"token ` + token + ` has ended"},"status":401}`,
		`{"errors":true,"items":[{"index":{"status":400,"error":{"type":"t","reason":"` + token + `"}}}]}`,
	}
	for _, tt := range allFormats {
		f := mustFormat(t, tt.options)
		s := newSink(t, r, Options{Format: f, Transport: bearer, OAuth: true})
		for _, answer := range answers {
			for _, status := range []int{200, 400, 401, 500} {
				r.Script(sinktest.Step{Status: status, Body: answer})
				v := s.Attempt(context.Background(), batchOf(t, f, 1))
				if shown := fmt.Sprint(v.Err, v.Excerpt, v.Items); strings.Contains(shown, token) || strings.Contains(shown, url.QueryEscape(token)) {
					t.Errorf("the verdict shows the token: %s", shown)
				}
			}
		}
	}
}

package trial

import (
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"sessionexport/sinks/sinktest"
)

// The reports as a person and a program see them. What differs from run to run
// is replaced.
func TestGoldenReports(t *testing.T) {
	authority := sinktest.NewAuthority(t)
	tokens := sinktest.New(t, sinktest.Options{Authority: authority})
	tokens.Always(sinktest.Step{Body: `{"access_token":"eyhush","token_type":"Bearer"}`})
	for name, c := range map[string]struct {
		setup setup
		step  sinktest.Step
		leaf  sinktest.Leaf
		n     int
	}{
		"delivered":   {setup{url: "/in?key=" + queryKey}.basic(), sinktest.Step{}, sinktest.Leaf{}, 60},
		"token":       {setup{url: "/in"}.oauth(on(tokens, "/token")), sinktest.Step{Status: 401, Body: "who is eyhush?"}, sinktest.Leaf{}, 3},
		"expired":     {setup{url: "/in"}, sinktest.Step{}, sinktest.Leaf{Expired: true}, 3},
		"no_sessions": {setup{url: "/in"}, sinktest.Step{}, sinktest.Leaf{}, 0},
		"throttled":   {setup{url: "/in"}, sinktest.Step{Status: 429, Header: http.Header{"Retry-After": {"30"}}, Body: "slow down\x1b[2J\n"}, sinktest.Leaf{}, 3},
		"items": {setup{url: "/_bulk", direct: "indexName: sessions"}, sinktest.Step{Item: func(s sinktest.Session) (int, string) {
			if strings.Contains(s.Key, "-s1-") {
				return 400, "mapper_parsing_exception"
			}
			return 201, ""
		}}, sinktest.Leaf{}, 4},
		"several": {setup{url: "/in", custom: []string{"maxSessions=2"}}, sinktest.Status(403), sinktest.Leaf{}, 5},
	} {
		t.Run(name, func(t *testing.T) {
			r := sinktest.New(t, sinktest.Options{Authority: authority, Leaf: c.leaf})
			r.Always(c.step)
			c.setup.url = on(r, c.setup.url)
			report := try(t, c.setup.export(t, authority), recent(c.n), nil)
			steady(report)
			text, document := renderings(t, report)
			goldenReport(t, name+".txt", text)
			goldenReport(t, name+".json", document)
		})
	}
}

// steady replaces the times of a report.
func steady(r *Report) {
	at := time.Date(2026, 3, 8, 12, 0, 0, 0, time.UTC)
	r.Search.From, r.Search.To = at.Add(-DefaultWindow), at
	if !r.Search.Oldest.IsZero() {
		r.Search.Oldest = at.Add(-time.Minute)
	}
	for i := range r.Requests {
		r.Requests[i].ID = "0123456789abcdef0123456789abcdef"
		for k := range r.Requests[i].Steps {
			s := &r.Requests[i].Steps[k]
			s.Took, s.Millis = 1500*time.Microsecond, 1.5
			if s.TLS != nil {
				s.TLS.Expires = at.Add(24 * time.Hour)
			}
		}
	}
	for i := range r.Advice {
		r.Advice[i].Cause = times.ReplaceAllString(r.Advice[i].Cause, "2026-03-01T00:00:00Z")
	}
}

var (
	times = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`)
	ports = regexp.MustCompile(`127\.0\.0\.1:\d+`)
	clock = regexp.MustCompile(`current time \S+ is after \S+`)
)

// goldenReport compares a report without what differs between machines.
func goldenReport(t *testing.T, name, got string) {
	t.Helper()
	got = ports.ReplaceAllString(got, "127.0.0.1:8443")
	got = clock.ReplaceAllString(got, "current time NOW is after THEN")
	golden(t, filepath.Join("testdata", "reports", name), []byte(got))
}

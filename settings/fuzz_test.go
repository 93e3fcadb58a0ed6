package settings

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// FuzzConfiguration reads anything as a configuration: it is accepted or its
// mistakes are named, and what is accepted keeps the promises that the rest
// of the service relies on.
func FuzzConfiguration(f *testing.F) {
	mistakes, err := os.ReadFile("testdata/mistakes.yaml")
	if err != nil {
		f.Fatal(err)
	}
	dir := folder(f, nil)
	for _, seed := range []string{complete, secretive, string(mistakes), "", "a: &a [*a]", "<<: {version: 1}", "[", "- - -", "? a", "version: !!str 1", "a: |\n  b\n c"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse(data, "config.yaml", dir, nil)
		if err != nil {
			var problems Problems
			if !errors.As(err, &problems) || len(problems) == 0 || file != nil {
				t.Fatalf("refused without a problem: %v", err)
			}
			return
		}
		sinks := map[string]bool{}
		for i := range file.Environments {
			e := &file.Environments[i]
			if e.ID == "" || e.Topic == "" || len(e.Exports) > 3 {
				t.Errorf("accepted: %+v", e)
			}
			for j := range e.Exports {
				x := &e.Exports[j]
				u := x.EndpointDefinition.EndpointURL.Parsed()
				if u == nil || u.Scheme != "https" || u.User != nil || u.Host == "" {
					t.Errorf("accepted endpoint: %v", u)
				}
				if sinks[x.ID] || !only(x.ID, lower+digits+"-") {
					t.Errorf("accepted id: %q", x.ID)
				}
				sinks[x.ID] = true
				promises(t, &x.Custom)
			}
		}
	})
}

// FuzzCustom reads anything as a custom configuration.
func FuzzCustom(f *testing.F) {
	for _, seed := range []string{"", "maxSessions=1", "header.X=y\nheader.x=z", "#\n\r\n=\n==", "maxBytes=16777216\nmaxInFlight=16", "startFrom=2026-01-31T12:00:00+01:00", "header.X=@/dev/zero", "caFile=/", "bodyFormat=array", "opType=create"} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	dir := folder(f, nil)
	f.Fuzz(func(t *testing.T, config string, direct bool) {
		e := lines()
		if direct {
			e = bulk()
		}
		c, mistakes := parseCustom(config, e, Place{Origin: FromAPI, SecretsDir: dir})
		for _, m := range mistakes {
			if m.message == "" || m.line > strings.Count(config, "\n")+1 {
				t.Errorf("mistake %+v", m)
			}
		}
		if mistakes == nil {
			promises(t, &c)
		}
		if again, more := parseCustom(config, e, Place{Origin: FromAPI, SecretsDir: dir}); len(more) != len(mistakes) || again.MaxBytes != c.MaxBytes {
			t.Error("read differently the second time")
		}
	})
}

// promises are the limits that keep memory and receivers safe.
func promises(t *testing.T, c *Custom) {
	t.Helper()
	if c.MaxSessions < 1 || c.MaxBytes < 1024 || (c.MaxInFlight+1)*c.MaxBytes > maxBodies || c.MaxInFlight < 1 ||
		c.MaxRetries < 0 || c.MaxRetries > 10 || c.InitialBackoff <= 0 || c.MaxBackoff < c.InitialBackoff ||
		c.IdleTimeout <= 0 || c.MaxBatchAge <= 0 || c.RequestTimeout <= 0 || len(c.Headers) > maxHeaders {
		t.Errorf("accepted: %+v", c)
	}
	for _, h := range c.Headers {
		if h.Name == "" || reservedHeader(h.Name) != "" || h.Value.Empty() || strings.ContainsAny(h.Value.Reveal(), "\r\n\x00") {
			t.Errorf("accepted header %q", h.Name)
		}
	}
}

// FuzzExport reads anything as the value of an export.
func FuzzExport(f *testing.F) {
	for _, seed := range []string{value, "null", "[]", `{"authentication":{"active":true}}`, `{"a":{"a":{}}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		e, problems := ParseExport(data, Place{Origin: FromAPI})
		if len(problems) == 0 {
			promises(t, &e.Custom)
			if _, again := ParseExport(data, Place{Origin: FromAPI}); again != nil {
				t.Errorf("refused the second time: %v", again)
			}
		}
	})
}

package settings

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// bulk and lines are exports with and without action lines.
func bulk() *Export {
	e := &Export{}
	e.EndpointDefinition.ContentType = NDJSON
	e.SendDirect.Active = true
	return e
}

func lines() *Export {
	e := &Export{}
	e.EndpointDefinition.ContentType = JSON
	return e
}

// custom parses one configuration without files.
func custom(t *testing.T, config string, e *Export) (Custom, []string) {
	t.Helper()
	return customIn(t, config, e, Place{Folder: t.TempDir()})
}

func customIn(t *testing.T, config string, e *Export, p Place) (Custom, []string) {
	t.Helper()
	c, mistakes := parseCustom(config, e, p)
	var messages []string
	for _, m := range mistakes {
		messages = append(messages, fmt.Sprintf("%d %s: %s %s; %s", m.line, m.key, m.message, m.value, m.want))
	}
	return c, messages
}

func TestCustomDefaults(t *testing.T) {
	c, mistakes := custom(t, "", lines())
	if mistakes != nil {
		t.Fatal(mistakes)
	}
	want := Custom{
		MaxSessions: 1000, MaxBytes: 896_000, IdleTimeout: 30 * time.Second, MaxBatchAge: 5 * time.Minute,
		RequestTimeout: 30 * time.Second, MaxRetries: 3, InitialBackoff: 2 * time.Second, MaxBackoff: 30 * time.Second,
		MaxInFlight: 4, Compression: CompressionNone, BodyFormat: BodyLines, OpType: OpIndex, OnFailure: FailHold,
		HTTPVersion: HTTP11, material: &Material{},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("%+v", c)
	}
}

// TestCustomRanges sets every number and duration to the ends of its range and
// one step beyond, and every word to each of its values and to another. A new
// key fails here until it is tabulated.
func TestCustomRanges(t *testing.T) {
	ranges := map[string]struct{ below, least, most, above string }{
		"maxSessions":    {"0", "1", "10000", "10001"},
		"maxBytes":       {"1023", "1024", "16777216", "16777217"},
		"idleTimeout":    {"99.999999ms", "100ms", "10m", "10m0.000000001s"},
		"maxBatchAge":    {"99ms", "100ms", "1h", "1h1ns"},
		"requestTimeout": {"999ms", "1s", "5m", "5m1ns"},
		"maxRetries":     {"-1", "0", "10", "11"},
		"initialBackoff": {"99ms", "100ms", "1m", "61s"},
		"maxBackoff":     {"99ms", "100ms", "10m", "601s"},
		"maxInFlight":    {"0", "1", "16", "17"},
	}
	elsewhere := []string{"startFrom", "caFile", "certFile", "keyFile", "signingSecretFile"}
	// Neighbours that leave room for the extremes.
	company := map[string]string{"initialBackoff": "maxBackoff=1m\n", "maxBackoff": "initialBackoff=100ms\n"}
	for _, f := range fields(reflect.TypeFor[Custom]()) {
		key := f.Tag.Get("key")
		ru := customRules[key]
		e := lines()
		if key == "opType" {
			e = bulk()
		}
		try := func(value string) (reflect.Value, []string) {
			c, mistakes := custom(t, company[key]+key+"="+value, e)
			return reflect.ValueOf(c).FieldByIndex(f.Index), mistakes
		}
		switch r, ranged := ranges[key]; {
		case ranged:
			for _, good := range []string{r.least, r.most} {
				want := reflect.New(f.Type).Elem()
				_ = ru.set(want, good)
				if got, mistakes := try(good); mistakes != nil || got.Int() != want.Int() {
					t.Errorf("%s=%s: %v, %v", key, good, got, mistakes)
				}
			}
			for _, bad := range []string{r.below, r.above, "", "many", "1e3", "99999999999999999999", "-99999999999999999999h"} {
				_, mistakes := try(bad)
				if len(mistakes) == 0 || !strings.Contains(mistakes[0], " "+key+": ") || !strings.HasSuffix(mistakes[0], ru.wanted(f.Type)) {
					t.Errorf("%s=%s: %q", key, bad, mistakes)
				}
			}
		case len(ru.enum) > 0:
			for _, good := range ru.enum {
				if got, mistakes := try(good); mistakes != nil || got.String() != good {
					t.Errorf("%s=%s: %v, %v", key, good, got, mistakes)
				}
			}
			for _, bad := range []string{"", "other", strings.ToUpper(ru.enum[0]) + "X"} {
				if _, mistakes := try(bad); len(mistakes) != 1 {
					t.Errorf("%s=%s: %q", key, bad, mistakes)
				}
			}
		case !slices.Contains(elsewhere, key):
			t.Errorf("%s is in no table of this test", key)
		}
	}
}

func TestCustomStart(t *testing.T) {
	at := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]StartFrom{
		"latest": {}, "earliest": {Kind: StartEarliest},
		"2026-01-31T12:00:00Z": {StartAt, at}, "2026-01-31T13:00:00+01:00": {StartAt, at},
	} {
		c, mistakes := custom(t, "startFrom="+text, lines())
		if mistakes != nil || c.StartFrom != want {
			t.Errorf("%s: %v %v", text, c.StartFrom, mistakes)
		}
		if again, ok := parseStart(c.StartFrom.String()); !ok || again != want {
			t.Errorf("%s: written as %s", text, c.StartFrom)
		}
	}
	for _, bad := range []string{"", "Latest", "now", "2026-01-31", "2026-01-31T12:00:00", "1960-01-31T12:00:00Z"} {
		if _, mistakes := custom(t, "startFrom="+bad, lines()); len(mistakes) != 1 {
			t.Errorf("%s: %q", bad, mistakes)
		}
	}
}

func TestCustomTogether(t *testing.T) {
	for _, c := range []struct {
		config string
		export *Export
		want   string // of the only mistake; "" = none
	}{
		{"# only comments\n\n   \n#maxSessions=0", lines(), ""},
		{"  maxSessions = 10  \r\nmaxRetries=0\r\n", lines(), ""},
		{"maxInFlight=16\nmaxBytes=8000000", lines(), "2 maxBytes: lets the sink hold 136000000 bytes"},
		{"maxBytes=16777216\nmaxInFlight=7", lines(), ""},
		{"maxBytes=16777216\nmaxInFlight=8", lines(), "1 maxBytes: lets the sink hold"},
		{"initialBackoff=5s\nmaxBackoff=4s", lines(), "2 maxBackoff: sets the longest pause (4s) below the first (5s)"},
		{"bodyFormat=array", bulk(), "1 bodyFormat: is array"},
		{"bodyFormat=array", &Export{EndpointDefinition: EndpointDefinition{ContentType: NDJSON}}, "1 bodyFormat: is array"},
		{"opType=create", lines(), "1 opType: is create"},
		{"maxSessions=1\nmaxSessions=2", lines(), "2 maxSessions: is there twice, first on line 1"},
		{"maxsessions=1", lines(), "1 maxsessions: is not a known key ; maxSessions"},
		{"heder.X-Key=hunter2", lines(), "1 \"heder.X-Key\": is not a known key ; one of maxSessions"},
		{"hunter2", lines(), "1 : is no key=value"},
		{"=hunter2", lines(), "1 : is no key=value"},
		{"signingSecretFile=key", bulk(), "1 signingSecretFile: signs webhooks"},
		{"certFile=a.pem", lines(), "1 certFile: needs keyFile"},
		{"keyFile=a.pem", lines(), "1 keyFile: needs certFile"},
	} {
		_, mistakes := custom(t, c.config, c.export)
		switch {
		case c.want == "" && len(mistakes) > 0, c.want != "" && (len(mistakes) != 1 || !strings.HasPrefix(mistakes[0], c.want)):
			t.Errorf("%q: %q, want %q", c.config, mistakes, c.want)
		}
		if strings.Contains(strings.Join(mistakes, ""), "hunter2") {
			t.Errorf("%q: quoted in %q", c.config, mistakes)
		}
	}
}

func TestCustomHeaders(t *testing.T) {
	dir := folder(t, map[string]string{"secrets/token": "Splunk hunter2\n", "secrets/two-lines": "a\nb\n", "secrets/empty": "\n"})
	place := Place{Folder: dir, SecretsDir: dir + "/secrets"}
	c, mistakes := customIn(t, "header.x-api-key=one = two\nheader.Authorization=@token\nheader.X-Tenant=shop", lines(), place)
	if mistakes != nil {
		t.Fatal(mistakes)
	}
	var got []string
	for _, h := range c.Headers {
		got = append(got, fmt.Sprintf("%s: %s (%v)", h.Name, h.Value.Reveal(), h.FromFile))
	}
	want := []string{"X-Api-Key: one = two (false)", "Authorization: Splunk hunter2 (true)", "X-Tenant: shop (false)"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	active := lines()
	active.Authentication.Active = true
	for _, bad := range []struct {
		config string
		export *Export
	}{
		{"header.=x", nil}, {"header.X Y=x", nil}, {"header.X:Y=x", nil}, {"header." + strings.Repeat("x", 101) + "=x", nil},
		{"header.Host=x", nil}, {"header.HOST=x", nil}, {"header.Content-Type=x", nil}, {"header.content-anything=x", nil},
		{"header.Transfer-Encoding=x", nil}, {"header.Connection=x", nil}, {"header.Upgrade=x", nil}, {"header.TE=x", nil},
		{"header.Proxy-Authorization=x", nil}, {"header.Webhook-Id=x", nil}, {"header.webhook-signature=x", nil},
		{"header.Idempotency-Key=x", nil}, {"header.Accept-Encoding=x", nil}, {"header.Expect=x", nil},
		{"header.Authorization=Bearer hunter2", nil}, {"header.authorization=@token", active},
		{"header.X=", nil}, {"header.X=@", nil}, {"header.X=@missing", nil}, {"header.X=@two-lines", nil}, {"header.X=@empty", nil},
		{"header.X=a\x00b", nil}, {"header.X=a\rb", nil}, {"header.X=" + strings.Repeat("x", 4097), nil},
		{"header.X=1\nheader.x=2", nil},
	} {
		e := bad.export
		if e == nil {
			e = lines()
		}
		_, mistakes := customIn(t, bad.config, e, place)
		if len(mistakes) != 1 || strings.Contains(mistakes[0], "hunter2") {
			t.Errorf("%.60q: %q", bad.config, mistakes)
		}
	}
	var many strings.Builder
	for i := range 33 {
		fmt.Fprintf(&many, "header.X-%d=x\n", i)
	}
	if _, mistakes := custom(t, many.String(), lines()); len(mistakes) != 1 {
		t.Errorf("33 headers: %q", mistakes)
	}
}

func TestCustomSigning(t *testing.T) {
	key := bytes.Repeat([]byte{7}, 32)
	dir := folder(t, map[string]string{
		"secrets/prefixed": "whsec_" + base64.StdEncoding.EncodeToString(key) + "\n",
		"secrets/bare":     base64.StdEncoding.EncodeToString(key),
		"secrets/short":    "whsec_" + base64.StdEncoding.EncodeToString(key[:23]),
		"secrets/text":     "whsec_hunter2!",
	})
	place := Place{Folder: dir, SecretsDir: dir + "/secrets"}
	for _, name := range []string{"prefixed", "bare"} {
		c, mistakes := customIn(t, "signingSecretFile="+name, lines(), place)
		if mistakes != nil || !bytes.Equal(c.SigningKey(), key) {
			t.Errorf("%s: %x %q", name, c.SigningKey(), mistakes)
		}
	}
	for _, name := range []string{"short", "text", "missing"} {
		c, mistakes := customIn(t, "signingSecretFile="+name, lines(), place)
		if len(mistakes) != 1 || c.SigningKey() != nil || strings.Contains(mistakes[0], "hunter2") {
			t.Errorf("%s: %x %q", name, c.SigningKey(), mistakes)
		}
	}
}

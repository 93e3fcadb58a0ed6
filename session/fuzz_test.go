package session

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// tricky are values on which scanners differ.
var tricky = []string{
	``, ` `, "\n", `{}`, ` { } `, "{}\n", "\r\n{\r\n}\r\n", `[]`, `[{}]`, `"a"`, `1`, `-0`, `null`, `true`, `nul`, `{`, `}`, `{]`, `[}`,
	`{}{}`, `{},`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{"a":[1,]}`, `{"a":[,1]}`, `{"a":1 "b":2}`, `{"a" 1}`, `{a:1}`, `{'a':1}`,
	`{"a":-0}`, `{"a":01}`, `{"a":-}`, `{"a":+1}`, `{"a":1.}`, `{"a":.5}`, `{"a":1e}`, `{"a":1e+}`, `{"a":1e999}`, `{"a":-1.5E-7}`, `{"a":0x1}`,
	`{"a":00}`, `{"a":-01}`, `{"a":1e05}`, `{"a":NaN}`, `{"a":12345678901234567890123456789012345678901234567890123456789012345678901234567890}`,
	`{"a":tru}`, `{"a":truE}`, `{"a":truee}`, `{"a":nullx}`, `{"a":fals`, `{"a":falsy}`, `{"a":n`,
	`{"a":"\ud800"}`, `{"a":"\ud83d\ude00"}`, `{"a":"\ude00\ud83d"}`, `{"a":"\ud800\u0041"}`, `{"a":"\ud800\ud800\udc00"}`,
	`{"a":"\u12G4"}`, `{"a":"\u123"}`, `{"a":"\x41"}`, `{"a":"\`, `{"a":"\"`, `{"a":"\\"}`, `{"a":"\\\"}`, `{"a":"\u`, `{"a":"\/\b\f\n\r\t\"\\"}`,
	"{\"a\":\"\x00\"}", "{\"a\":\"\t\"}", "{\"a\":\"\n\"}", "{\"a\":\"\x1f\"}", "{\"a\":\"\x7f\"}", "{\"a\":\"\xff\"}", "{\"a\":\"\xc3\"}", "{\"a\":\"\xed\xa0\x80\"}",
	"{\"a\":\"\xc0\xaf\"}", "{\"a\":\"\xf4\x90\x80\x80\"}", "{\"a\":\"Łódź 東京 😀\"}", "\ufeff{}", "{}\x00", "\x00", "{\"a\":1\x00}", "{\x0b}", "{\u00a0}", "{\u2028}",
	"{\"\xff\":1}", `{"":1}`, `{"a":"` + strings.Repeat("x", 200) + `"}`, `{"a":"` + strings.Repeat("x", 70) + "\n" + `"}`,
	`{"a":"` + strings.Repeat("é", 64) + `"}`, `{"a":"` + strings.Repeat("é", 64) + "\xc3" + `"}`, `{"` + strings.Repeat("k", 80) + `":1}`,
	`{"tenantId":"t","userSessionId":"u","startTime":1622107543233}`,
	`{"tenantId":"t","tenantId":5}`, `{"tenantId":5,"tenantId":"t"}`, `{"tenantId":"","userSessionId":""}`, `{"tenantid":"t","TENANTID":"t"}`,
	`{"tenant\u0049d":"t","\u0040timestamp":null,"userSession\u0049d":"\u0075"}`, `{"tenantId":"a\"b","userSessionId":"\u20ac"}`,
	`{"tenantId":"é","userSessionId":"u"}`, `{"tenantId":{"tenantId":"x"},"x":{"userSessionId":"y"}}`, `{"tenantId":["t"]}`,
	`{"startTime":1.622107543233E12}`, `{"startTime":1622107543233.0}`, `{"startTime":1622107543233.5}`, `{"startTime":"1622107543233"}`,
	`{"startTime":9223372036854775807}`, `{"startTime":9223372036854775808}`, `{"startTime":-9223372036854775808}`, `{"startTime":-9223372036854775809}`,
	`{"startTime":1e18}`, `{"startTime":1e19}`, `{"startTime":-0}`, `{"startTime":0e999999999999}`, `{"startTime":100e-2}`, `{"startTime":101e-2}`, `{"startTime":0.001e3}`,
	`{"startTime":1000000000000000000000000000000e-20}`, `{"startTime":18446744073709551616}`, `{"startTime":92233720368547758070.0e-1}`, `{"startTime":}`,
	`{"userActions":[{"application":"shop"}]}`, `{"userActions":[{"application":"x","internalApplicationId":"APPLICATION-shop"}]}`,
	`{"userActions":[{"application":"shop","application":"x"}]}`, `{"userActions":[{"application":"x","application":"shop"}]}`,
	`{"userActions":[{"application":"shop"}],"userActions":[]}`, `{"userActions":[],"userActions":[{"application":"shop"}]}`,
	`{"userActions":[{"application":"shop"}],"userActions":null}`, `{"userActions":{"application":"shop"}}`, `{"userActions":[[{"application":"shop"}]]}`,
	`{"userActions":[{"a":{"application":"shop"}}]}`, `{"other":[{"application":"shop"}]}`, `{"userActions":[1,"shop",{"application":"sh\u006fp"}]}`,
	`{"userActions":[{"application":"x"},{"application":"x"},{"application":"shop"},{"application":"y"}]}`, `{"userActions":[{"\u0061pplication":"shop"}]}`,
	`{"userActions":[{"application":["shop"]},{"application":1}],"z":[{"application":"shop"}]}`, `{"application":"shop"}`,
	"{\n  \"tenantId\" : \"t\",\r\n\t\"a\" : [ 1 , 2 , { \"b\" : null } ]\n}\n", `{"a": 1, "b": [true, false, null], "c": "d"}`,
	"\"\xaa\"", "[\"\xaa\"]",
	`{"a":[[],{},[{}],[[]]],"b":{"c":{}}}`, `{"a":` + strings.Repeat("[", 9999) + strings.Repeat("]", 9999) + `}`,
	`{"a":` + strings.Repeat("[", 10000) + strings.Repeat("]", 10000) + `}`, strings.Repeat(`{"a":`, 10001) + `1` + strings.Repeat(`}`, 10001),
}

// check scans value in every way and compares with the oracle.
func check(t *testing.T, sc *Scanner, value []byte) {
	t.Helper()
	for _, apps := range []Applications{nil, zone("shop")} {
		var got Session
		err := sc.Scan(value, apps, &got)
		want, reason := expect(value, apps)
		var m *Malformed
		switch {
		case err == nil && reason != "":
			t.Fatalf("%.200q accepted, want %s", value, reason)
		case err != nil && !errors.As(err, &m):
			t.Fatalf("%.200q: the error is a %T", value, err)
		case err != nil && m.Reason != reason && (m.Reason != TooDeep || reason != NotJSON):
			t.Fatalf("%.200q: %s, want %q", value, m.Reason, reason)
		case err != nil && (m.At < 0 || m.At > len(value)):
			t.Fatalf("%.200q: at %d of %d", value, m.At, len(value))
		case err != nil && m.Reason == NotJSON && json.Valid(value[:m.At]) && m.At < len(value) && json.Valid(value):
			t.Fatalf("%.200q: wrong place %d", value, m.At)
		case !same(got, want):
			t.Fatalf("%.200q:\n got %+v\nwant %+v", value, got, want)
		}
	}
}

func same(a, b Session) bool {
	return bytes.Equal(a.Value, b.Value) && bytes.Equal(a.TenantID, b.TenantID) && bytes.Equal(a.UserSessionID, b.UserSessionID) &&
		a.StartTime == b.StartTime && a.Has == b.Has && a.InScope == b.InScope && a.LineBreaks == b.LineBreaks &&
		a.HasTimestamp == b.HasTimestamp && a.PlainIDs == b.PlainIDs
}

func FuzzScan(f *testing.F) {
	for _, s := range tricky {
		if len(s) < 1000 {
			f.Add([]byte(s))
		}
	}
	for _, s := range corpus(f)[:8] {
		f.Add(s)
	}
	var sc Scanner
	f.Fuzz(func(t *testing.T, value []byte) { check(t, &sc, value) })
}

func FuzzCompact(f *testing.F) {
	for _, s := range tricky {
		if len(s) < 1000 {
			f.Add([]byte(s))
		}
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		if !json.Valid(value) {
			return
		}
		got := AppendCompact([]byte("before"), value)
		got, ok := bytes.CutPrefix(got, []byte("before"))
		if !ok || bytes.ContainsAny(got, "\r\n") || !reflect.DeepEqual(tokens(got), tokens(value)) {
			t.Fatalf("%q became %q", value, got)
		}
		var want bytes.Buffer
		if err := json.Compact(&want, value); err != nil || !bytes.Equal(got, want.Bytes()) {
			t.Fatalf("%q became %q, want %q (%v)", value, got, want.Bytes(), err)
		}
	})
}

func FuzzJSONString(f *testing.F) {
	f.Add("")
	f.Add("a\"b\\c\n\r\t\x00\x1f\x7f é 東 😀 \u2028")
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) {
			return
		}
		quoted := AppendJSONString(nil, []byte(text))
		var back string
		if err := json.Unmarshal(quoted, &back); err != nil || back != text {
			t.Fatalf("%q became %q (%v)", text, quoted, err)
		}
	})
}

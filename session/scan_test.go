package session

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
)

// corpus are generated sessions and two that were recorded.
func corpus(tb testing.TB) [][]byte {
	tb.Helper()
	data, err := os.ReadFile("testdata/sessions.ndjson")
	if err != nil {
		tb.Fatal(err)
	}
	return bytes.Split(bytes.TrimSuffix(data, []byte("\n")), []byte("\n"))
}

func TestTricky(t *testing.T) {
	var sc Scanner
	for _, s := range tricky {
		check(t, &sc, []byte(s))
	}
	for _, s := range corpus(t) {
		check(t, &sc, s)
	}
}

// Every way to cut a session short, and every byte of it replaced.
func TestDamaged(t *testing.T) {
	var sc Scanner
	session := []byte(`{"tenantId":"umsaywsjuo","userSessionId":"787539413_0","startTime":1622108083177,"bounce":false,"userId":null,` +
		`"region":"Łódź","stringProperties":[],"doubleProperties":[{"key":"revenue","value":542.60}],"@timestamp":0,` +
		`"userActions":[{"name":"click on \"a\"","application":"web shop","internalApplicationId":"APPLICATION-1"},{"duration":-1}]}`)
	damaged := make([]byte, 0, len(session))
	for i := range session {
		check(t, &sc, session[:i])
		for _, c := range []byte{0, ' ', '"', '\\', ',', '}', '0', 0x80} {
			damaged = append(damaged[:0], session...)
			damaged[i] = c
			check(t, &sc, damaged)
		}
	}
}

func TestMalformed(t *testing.T) {
	for _, tt := range []struct {
		value  string
		reason Reason
		at     int
	}{
		{"", Empty, 0},
		{" \n", Empty, 2},
		{`{"a":1`, NotJSON, 6},
		{`{"a":tru}`, NotJSON, 8},
		{`{"a":"b` + "\n" + `"}`, NotJSON, 7},
		{`{"a":"\q"}`, NotJSON, 7},
		{`{"a":01}`, NotJSON, 6},
		{`{} x`, NotJSON, 3},
		{"\ufeff{}", NotJSON, 0},
		{` [1]`, NotObject, 1},
		{`12`, NotObject, 0},
		{"{\"a\":\"ab\xff\"}", InvalidUTF8, 8},
		{string(bytes.Repeat([]byte(`{"a":`), 10_001)), TooDeep, 50_000},
	} {
		var (
			sc  Scanner
			out Session
			m   *Malformed
		)
		if err := sc.Scan([]byte(tt.value), nil, &out); !errors.As(err, &m) || m.Reason != tt.reason || m.At != tt.at {
			t.Errorf("%.20q: %v, want %s at byte %d", tt.value, err, tt.reason, tt.at)
		}
	}
}

func TestCatalogue(t *testing.T) {
	fields := Catalogue()
	if len(fields) != 170 {
		t.Errorf("%d fields, want 170", len(fields))
	}
	seen := map[string]Field{}
	for _, f := range fields {
		if f.Path == "" || f.Type == "" || f.JSON == "" || seen[f.Path] != (Field{}) {
			t.Errorf("incomplete or twice: %+v", f)
		}
		seen[f.Path] = f
		if dot := strings.LastIndexByte(f.Path, '.'); dot >= 0 && !strings.HasPrefix(seen[f.Path[:dot]].JSON, "array") {
			t.Errorf("%s is in no array that stands before it", f.Path)
		}
	}
	for _, want := range []Field{
		{"tenantId", "keyword", "string"},
		{"startTime", "date", "integer (int64)"},
		{"userActions", "nested", "array<object:UserSessionUserAction>"},
	} {
		if seen[want.Path] != want {
			t.Errorf("%+v, want %+v", seen[want.Path], want)
		}
	}
}

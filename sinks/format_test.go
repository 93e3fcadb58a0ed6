package sinks

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"sessionexport/session"
)

// Every format as it is tested, by the name of its golden file.
var allFormats = []struct {
	name    string
	options FormatOptions
}{
	{"lines", FormatOptions{Kind: JSON}},
	{"array", FormatOptions{Kind: JSON, Array: true}},
	{"ndjson", FormatOptions{Kind: NDJSON}},
	{"bulk", FormatOptions{Kind: Bulk, Index: "sessions"}},
	{"bulk-type", FormatOptions{Kind: Bulk, Index: "sessions", DocType: "_doc", OpType: OpIndex}},
	{"bulk-create", FormatOptions{Kind: Bulk, Index: "sessions", OpType: OpCreate}},
}

func mustFormat(t testing.TB, o FormatOptions) *Format {
	t.Helper()
	f, err := NewFormat(o)
	if err != nil {
		t.Fatalf("making format: %v", err)
	}
	return f
}

// scan reads a value as the pipeline does.
func scan(t testing.TB, value string) *session.Session {
	t.Helper()
	var sc session.Scanner
	s := new(session.Session)
	if err := sc.Scan([]byte(value), nil, s); err != nil {
		t.Fatalf("scanning %q: %v", value, err)
	}
	// The scanner's memory is its own.
	s.TenantID, s.UserSessionID = bytes.Clone(s.TenantID), bytes.Clone(s.UserSessionID)
	return s
}

var goldenSessions = []string{
	`{"tenantId":"acme","userSessionId":"1394_1008","startTime":1511441593539,"bounce":false}`,
	" \t{\"tenantId\": \"acme\",\r\n  \"userSessionId\": \"2\",\n  \"startTime\": 7,\n  \"note\": \"line\\nbreak\"}\r\n",
	`{"tenantId":"a\"b\\c","userSessionId":"ä\u0001","startTime":-5}`,
	`{"@timestamp":"2020-01-01T00:00:00Z","tenantId":"acme","userSessionId":"4","startTime":4}`,
	`{"@timestamp":5,"tenantId":"acme","userSessionId":"5","startTime":5}`,
}

func TestAppendGolden(t *testing.T) {
	for _, tt := range allFormats {
		t.Run(tt.name, func(t *testing.T) {
			f := mustFormat(t, tt.options)
			body := []byte{}
			for _, value := range goldenSessions {
				s := scan(t, value)
				before := len(body)
				out, doc, err := f.Append(body, s)
				if err != nil {
					t.Fatalf("appending %q: %v", value, err)
				}
				frame := out[before:]
				if out[doc] != '{' {
					t.Errorf("the document begins with %q", out[doc])
				}
				own := f.Document(frame)
				want := strings.TrimSpace(value)
				if s.LineBreaks {
					want = string(session.AppendCompact(nil, []byte(value)))
				}
				if string(own) != want {
					t.Errorf("Document = %q, want %q", own, want)
				}
				body = out
			}
			s := Sink{format: f}
			parts := s.enclose(body)
			wire := bytes.Join(parts[:], nil)
			if len(wire) != len(body)+f.Enclosing() {
				t.Errorf("the body has %d bytes, want %d framed and %d enclosing", len(wire), len(body), f.Enclosing())
			}
			checkGolden(t, "testdata/format/"+tt.name+".golden", wire)
		})
	}
}

func checkGolden(t *testing.T, path string, got []byte) {
	t.Helper()
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatalf("writing golden file: %v", err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("reading golden file: %v", err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs:\n got %s\nwant %s", path, got, want)
	}
}

func TestAppendRejects(t *testing.T) {
	long := strings.Repeat("x", 600)
	tests := []struct {
		name, value, reason string
	}{
		{"no tenant", `{"userSessionId":"1","startTime":1}`, "missing_tenant_id"},
		{"tenant is a number", `{"tenantId":1,"userSessionId":"1","startTime":1}`, "missing_tenant_id"},
		{"no session id", `{"tenantId":"t","userSessionId":"","startTime":1}`, "missing_user_session_id"},
		{"no start", `{"tenantId":"t","userSessionId":"1"}`, "missing_start_time"},
		{"start is a text", `{"tenantId":"t","userSessionId":"1","startTime":"1"}`, "missing_start_time"},
		{"id of 600 bytes", `{"tenantId":"t","userSessionId":"` + long + `","startTime":1}`, "id_too_long"},
		{"id of 512 bytes", `{"tenantId":"t","userSessionId":"` + long[:508] + `","startTime":1}`, ""},
		{"id of 513 bytes", `{"tenantId":"t","userSessionId":"` + long[:509] + `","startTime":1}`, "id_too_long"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := scan(t, tt.value)
			for _, format := range allFormats {
				f := mustFormat(t, format.options)
				out, _, err := f.Append([]byte("before"), s)
				var rejected *RejectedError
				switch {
				case tt.reason == "" || format.options.Kind != Bulk:
					if err != nil {
						t.Errorf("%s: %v", format.name, err)
					}
				case !errors.As(err, &rejected) || rejected.Reason != tt.reason:
					t.Errorf("%s: error %v, want reason %s", format.name, err, tt.reason)
				case string(out) != "before":
					t.Errorf("%s: a rejected session changed the body to %q", format.name, out)
				}
			}
		})
	}
}

func TestNewFormatRefuses(t *testing.T) {
	for _, o := range []FormatOptions{
		{Kind: NDJSON, Array: true},
		{Kind: Bulk},
		{Kind: Bulk, Index: "i", OpType: "delete"},
		{Kind: 9},
	} {
		if _, err := NewFormat(o); err == nil {
			t.Errorf("NewFormat(%+v) accepts", o)
		}
	}
}

func TestAppendDoesNotAllocate(t *testing.T) {
	for _, tt := range allFormats {
		f := mustFormat(t, tt.options)
		var sessions []*session.Session
		for _, value := range goldenSessions {
			sessions = append(sessions, scan(t, value))
		}
		rejected := &session.Session{Value: []byte("{}")}
		buf := make([]byte, 0, 1<<16)
		allocs := testing.AllocsPerRun(100, func() {
			body := buf
			for _, s := range sessions {
				body, _, _ = f.Append(body, s)
			}
			_, _, _ = f.Append(body, rejected)
		})
		if allocs != 0 {
			t.Errorf("%s: %v allocations", tt.name, allocs)
		}
	}
}

func FuzzAppend(f *testing.F) {
	for _, value := range goldenSessions {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		var sc session.Scanner
		var s session.Session
		if sc.Scan([]byte(value), nil, &s) != nil {
			return
		}
		for _, tt := range allFormats {
			format := mustFormat(t, tt.options)
			out, doc, err := format.Append([]byte("x\n"), &s)
			if err != nil {
				var rejected *RejectedError
				if !errors.As(err, &rejected) || string(out) != "x\n" {
					t.Fatalf("%s: error %v with %q", tt.name, err, out)
				}
				continue
			}
			frame := out[2:]
			if !json.Valid(bytes.TrimSuffix(out[doc:], newline)) {
				t.Fatalf("%s: document %q", tt.name, out[doc:])
			}
			lines := bytes.Count(frame, newline)
			switch {
			case format.array && lines != 0, !format.array && tt.options.Kind != Bulk && lines != 1,
				tt.options.Kind == Bulk && lines != 2, bytes.IndexByte(frame, '\r') >= 0:
				t.Fatalf("%s: a frame of %d lines: %q", tt.name, lines, frame)
			}
			want := strings.Trim(value, " \t\r\n")
			if s.LineBreaks {
				want = string(session.AppendCompact(nil, []byte(want)))
			}
			if got := format.Document(frame); string(got) != want {
				t.Fatalf("%s: Document = %q, want %q", tt.name, got, want)
			}
			if tt.options.Kind == Bulk {
				checkAction(t, frame, &s)
			}
		}
	})
}

// checkAction decodes an action line as a receiver does.
func checkAction(t *testing.T, frame []byte, s *session.Session) {
	t.Helper()
	line, _, _ := bytes.Cut(frame, newline)
	var action map[string]struct {
		Index string `json:"_index"`
		ID    string `json:"_id"`
	}
	if err := json.Unmarshal(line, &action); err != nil {
		t.Fatalf("action line %q: %v", line, err)
	}
	for _, target := range action {
		prefix := string(s.TenantID) + "-" + string(s.UserSessionID) + "-"
		if target.Index != "sessions" || !strings.HasPrefix(target.ID, prefix) || len(target.ID) > maxIDLength {
			t.Fatalf("action line %q for %q", line, prefix)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	value := `{"tenantId":"umsaywsjuo","userSessionId":"1394_1008","startTime":1511441593539,"filler":"` +
		strings.Repeat("a realistic session has some four kilobytes ", 90) + `"}`
	s := scan(b, value)
	for _, tt := range allFormats {
		b.Run(tt.name, func(b *testing.B) {
			f := mustFormat(b, tt.options)
			buf := make([]byte, 0, 1<<20)
			b.SetBytes(int64(len(value)))
			b.ReportAllocs()
			for b.Loop() {
				if len(buf) > 896_000 {
					buf = buf[:0]
				}
				buf, _, _ = f.Append(buf, s)
			}
		})
	}
}

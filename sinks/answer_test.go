package sinks

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

func okAnswer(n int) string {
	return `{"errors":false,"items":[` + strings.TrimSuffix(strings.Repeat(`{"index":{"status":201}},`, n), ",") + `]}`
}

func readAnswer(t testing.TB, src io.Reader, create bool) (bulkAnswer, error) {
	t.Helper()
	return new(answerReader).read(src, create)
}

func TestReadAnswer(t *testing.T) {
	mapping := ItemVerdict{Index: 1, Kind: Suspect, Status: 400, Type: "mapper_parsing_exception", Reason: "a \"b\"\n\u00e9 (caused by: y)"}
	long := ItemVerdict{Kind: Suspect, Status: 400, Type: "document_parsing_exception",
		Reason: strings.Repeat("r", 256-13-112-1) + " (caused by: " + strings.Repeat("c", 110) + "é)"}
	tests := []struct {
		name   string
		answer string
		create bool
		want   bulkAnswer
		err    error
	}{
		{"all well", okAnswer(3), false, bulkAnswer{hasErrors: true, hasItems: true, items: 3}, nil},
		{"took first, with white space and all fields", "\n{\"took\": 3, \"errors\" :false,\"items\":[ {\"create\" : {\"_index\":\"i\",\"_shards\":{\"total\":2}," +
			"\"status\" : 201 ,\"x\":[1,-2.5e3,null,true,[]]} } ] , \"ingest_took\":1}\n ", false,
			bulkAnswer{hasErrors: true, hasItems: true, items: 1}, nil},
		{"one item failed", `{"errors":true,"items":[{"index":{"status":200}},{"index":{"error":{"root_cause":[{"type":"other_one"}],` +
			`"type":"mapper_parsing_exception","reason":"a \"b\"\n\u00e9","caused_by":{"type":"z","reason":"y"}},"status":400}},{"index":{"status":200}}]}`,
			false, bulkAnswer{hasErrors: true, errors: true, hasItems: true, items: 3, failed: []ItemVerdict{mapping}}, nil},
		{"reason and cause are too long", `{"errors":true,"items":[{"index":{"status":400,"error":{"caused_by":{"caused_by":{"reason":"b"},"reason":"` +
			strings.Repeat("c", 110) + `éé"},"reason":"` + strings.Repeat("r", 1000) + `","type":"document_parsing_exception"}}}]}`,
			false, bulkAnswer{hasErrors: true, errors: true, hasItems: true, items: 1, failed: []ItemVerdict{long}}, nil},
		{"a cause of another kind, and none", `{"errors":true,"items":[{"index":{"status":500,"error":{"caused_by":["x"],"reason":"r"}}},` +
			`{"index":{"status":500,"error":{"caused_by":null,"reason":"s"}}},{"index":{"status":500,"error":{"reason":"t","caused_by":{"reason":7}}}}]}`,
			false, bulkAnswer{hasErrors: true, errors: true, hasItems: true, items: 3, failed: []ItemVerdict{
				{Kind: Retryable, Status: 500, Reason: "r"}, {Index: 1, Kind: Retryable, Status: 500, Reason: "s"}, {Index: 2, Kind: Retryable, Status: 500, Reason: "t"},
			}}, nil},
		{"errors false, an item failed", `{"errors":false,"items":[{"index":{"status":503}}]}`, false,
			bulkAnswer{hasErrors: true, hasItems: true, items: 1, failed: []ItemVerdict{{Kind: Retryable, Status: 503}}}, nil},
		{"conflicts", `{"errors":true,"items":[{"create":{"status":409}},{"create":{"status":409}},{"create":{"status":201}}]}`, true,
			bulkAnswer{hasErrors: true, errors: true, hasItems: true, items: 3, conflicts: 2}, nil},
		{"error as a text", `{"errors":true,"items":[{"index":{"status":404,"error":"IndexMissing[[i] missing]"}}]}`, false,
			bulkAnswer{hasErrors: true, errors: true, hasItems: true, items: 1,
				failed: []ItemVerdict{{Kind: Refused, Status: 404, Reason: "IndexMissing[[i] missing]"}}}, nil},
		{"a type that is no type", `{"errors":true,"items":[{"index":{"status":404,"error":{"type":"Mr Smith","reason":null}}}]}`, false,
			bulkAnswer{hasErrors: true, errors: true, hasItems: true, items: 1, failed: []ItemVerdict{{Kind: Refused, Status: 404, Type: "other"}}}, nil},
		{"failed as a whole", `{"error":{"root_cause":[],"type":"security_exception","reason":"no"},"status":403}`, false,
			bulkAnswer{errorType: "security_exception", errorReason: "no"}, nil},
		{"nothing", "", false, bulkAnswer{}, errNotBulk},
		{"only a newline", "\n", false, bulkAnswer{}, errCutShort},
		{"a page", "<html>", false, bulkAnswer{}, errNotBulk},
		{"an array", "[]", false, bulkAnswer{}, errNotBulk},
		{"more behind it", okAnswer(1) + "{}", false, bulkAnswer{hasErrors: true, hasItems: true, items: 1}, errNotBulk},
		{"item without status", `{"errors":false,"items":[{"index":{}}]}`, false, bulkAnswer{hasErrors: true, hasItems: true}, errNotBulk},
		{"item without operation", `{"errors":false,"items":[{}]}`, false, bulkAnswer{hasErrors: true, hasItems: true}, errNotBulk},
		{"item with two operations", `{"errors":false,"items":[{"a":{"status":200},"b":{"status":200}}]}`, false,
			bulkAnswer{hasErrors: true, hasItems: true}, errNotBulk},
		{"items twice", `{"items":[],"items":[]}`, false, bulkAnswer{hasItems: true}, errNotBulk},
		{"errors is a text", `{"errors":"no"}`, false, bulkAnswer{hasErrors: true}, errNotBulk},
		{"status is a text", `{"items":[{"index":{"status":"201"}}]}`, false, bulkAnswer{hasItems: true}, errNotBulk},
		{"status of four digits", `{"items":[{"index":{"status":2010}}]}`, false, bulkAnswer{hasItems: true}, errNotBulk},
		{"deep", `{"x":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`, false, bulkAnswer{}, errNotBulk},
		{"too long", `{"x":"` + strings.Repeat("y", maxBulkAnswer) + `"}`, false, bulkAnswer{}, errTooLong},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := readAnswer(t, strings.NewReader(tt.answer), tt.create)
			if !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

// TestReadAnswerCutShort cuts an answer behind every byte: it must never be taken
// for a whole one, and never for another kind of answer.
func TestReadAnswerCutShort(t *testing.T) {
	answer := `{"took":3,"errors":true,"items":[{"index":{"status":200}},{"index":{"status":400,"error":{"type":"t","reason":"\u00e9\"x"}}}]}`
	for end := 1; end < len(answer); end++ {
		for _, src := range []io.Reader{
			strings.NewReader(answer[:end]),
			iotest.OneByteReader(strings.NewReader(answer[:end])),
			io.MultiReader(strings.NewReader(answer[:end]), iotest.ErrReader(io.ErrUnexpectedEOF)),
		} {
			if _, err := readAnswer(t, src, false); !errors.Is(err, errCutShort) {
				t.Fatalf("cut behind %q: error %v", answer[:end], err)
			}
		}
	}
	broken := errors.New("broken")
	if _, err := readAnswer(t, io.MultiReader(strings.NewReader(answer[:20]), iotest.ErrReader(broken)), false); !errors.Is(err, broken) {
		t.Errorf("a broken connection reads %v", err)
	}
}

func TestReadAnswerAllocations(t *testing.T) {
	for _, n := range []int{10, 1000} {
		a, answer := new(answerReader), okAnswer(n)
		src := strings.NewReader(answer)
		allocs := testing.AllocsPerRun(20, func() {
			src.Reset(answer)
			got, err := a.read(src, false)
			if err != nil || got.items != n || got.failed != nil {
				t.Fatalf("%d items, error %v", got.items, err)
			}
		})
		// A few closures, however many items.
		if allocs > 8 {
			t.Errorf("%d items: %v allocations", n, allocs)
		}
	}
}

// slimAnswer is what encoding/json makes of an answer.
type slimAnswer struct {
	Errors *bool
	Items  []map[string]struct {
		Status int
	}
}

// likenessTests are good items, others behind them, and whether those are like
// the good ones.
var likenessTests = []struct {
	good, next string
	alike      bool
}{
	{`{"index":{"status":201}}`, `{"index":{"status":201}}`, true},
	{`{"index":{"status":201}}`, `{"index":{"status":200}}`, false},
	{`{"index":{"status":201}}`, `{"create":{"status":201}}`, false},
	{`{"index":{"_id":"a","status":201}}`, `{"index":{"_id":"other","status":201}}`, true},
	{`{"index":{"_id":"a","status":201}}`, `{"index":{"_id":"","status":201}}`, true},
	{`{"index":{"_id":"a","status":201}}`, `{"index":{"_id":"o","status":429}}`, false},
	{`{"index":{"_id":"a","status":201}}`, `{"index":{"_id":"o\"","status":201}}`, false},
	{`{"index":{"_id":"a","status":201}}`, `{"index":{"_id":"o` + "\t" + `","status":201}}`, false},
	{`{"index":{"_id":"a","status":201}}`, `{"index":{"_id":null,"status":201}}`, false},
	{`{"index":{"_id":"a","status":201}}`, `{"index":{"_id":"a","status":201,"error":"x"}}`, false},
	{`{"index":{"_seq_no":1,"status":201}}`, `{"index":{"_seq_no":23,"status":201}}`, true},
	{`{"index":{"_seq_no":1,"status":201}}`, `{"index":{"_seq_no":03,"status":201}}`, false},
	{`{"index":{"_seq_no":1,"status":201}}`, `{"index":{"_seq_no":1.5,"status":201}}`, false},
	{`{"index":{"_seq_no":1,"status":201}}`, `{"index":{"_seq_no":,"status":201}}`, false},
	{`{"index":{"_seq_no":1,"status":201}}`, `{"index":{"_seq_no":"1","status":201}}`, false},
	{`{"index":{"_seq_no":-1,"status":201}}`, `{"index":{"_seq_no":-2,"status":201}}`, false},
	{`{"index":{"status":201,"x":{"y":[1,"a",true]}}}`, `{"index":{"status":201,"x":{"y":[2,"b",true]}}}`, true},
	{`{"index":{"status":201,"x":{"y":[1,"a",true]}}}`, `{"index":{"status":201,"x":{"y":[2,"b",false]}}}`, false},
	{`{"index":{"status":201,"x":[1,1,1,1,1,1,1,1,1,1,1,1]}}`, `{"index":{"status":201,"x":[2,1,1,1,1,1,1,1,1,1,1,1]}}`, true},
	{`{"index":{"status":201,"x":[1,1,1,1,1,1,1,1,1,1,1,1,1]}}`, `{"index":{"status":201,"x":[1,1,1,1,1,1,1,1,1,1,1,1,1]}}`, false}, // too many
	{`{"index":{"status":201,"x":"` + strings.Repeat("x", 512) + `"}}`, `{"index":{"status":201,"x":"x"}}`, false},                  // too long
	{`{"index":{"status":429,"_id":"a"}}`, `{"index":{"status":429,"_id":"a"}}`, false},                                             // not good
}

func TestLikeness(t *testing.T) {
	for _, tt := range likenessTests {
		a := new(answerReader)
		if _, err := a.read(strings.NewReader(`{"errors":false,"items":[`+tt.good+`]}`), false); err != nil {
			t.Fatal(err)
		}
		want := 0
		if tt.alike {
			want = len(tt.next)
		}
		if got := a.like.match([]byte(tt.next + ",")); got != want {
			t.Errorf("%s after %s: %d bytes are like it, want %d", tt.next, tt.good, got, want)
		}
		for n := range tt.next {
			if got := a.like.match([]byte(tt.next[:n])); got != 0 {
				t.Errorf("%d bytes of %s are taken for %d", n, tt.next, got)
			}
		}
	}
}

func FuzzReadAnswer(f *testing.F) {
	f.Add(okAnswer(2))
	f.Add(`{"took":1,"errors":true,"items":[{"create":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"x"}}}]}`)
	f.Add(`{"error":{"type":"a","reason":"b"},"status":400}`)
	f.Add("{\"errors\":false,\"items\":[{\"index\":{\"status\":200,\"x\":\"\\ud83d\\ude00\"}}]} \r\n")
	f.Add(unfilteredAnswer(3))
	for _, tt := range likenessTests {
		f.Add(`{"errors":false,"items":[` + tt.good + "," + tt.next + `]}`)
	}
	f.Fuzz(func(t *testing.T, answer string) {
		got, err := readAnswer(t, strings.NewReader(answer), true)
		slow, slowErr := readAnswer(t, iotest.OneByteReader(strings.NewReader(answer)), true)
		if !errors.Is(slowErr, err) || (err == nil && !reflect.DeepEqual(got, slow)) {
			t.Fatalf("at once %+v %v, byte by byte %+v %v", got, err, slow, slowErr)
		}
		if err != nil {
			return
		}
		// What is accepted is JSON, except that bytes in texts are not looked at, and says the same.
		valid := strings.ToValidUTF8(answer, "?")
		if !json.Valid([]byte(valid)) {
			t.Fatalf("accepted %q", answer)
		}
		for i, item := range got.failed {
			if item.Index >= got.items || (i > 0 && item.Index <= got.failed[i-1].Index) || item.Kind == Delivered {
				t.Fatalf("items %+v", got.failed)
			}
		}
		var want slimAnswer
		if got.hasItems && json.Unmarshal([]byte(answer), &want) == nil && len(want.Items) != got.items &&
			strings.Count(strings.ToLower(answer), "items") == 1 && !strings.Contains(answer, `\u`) {
			t.Fatalf("%d items, encoding/json reads %d: %q", got.items, len(want.Items), answer)
		}
	})
}

func BenchmarkReadAnswer(b *testing.B) {
	for _, tt := range []struct{ name, answer string }{
		{"1000 ok", okAnswer(1000)},
		{"1000 ok, unfiltered", unfilteredAnswer(1000)},
	} {
		b.Run(tt.name, func(b *testing.B) {
			a, src := new(answerReader), bytes.NewReader([]byte(tt.answer))
			b.SetBytes(int64(len(tt.answer)))
			b.ReportAllocs()
			for b.Loop() {
				src.Reset([]byte(tt.answer))
				if got, err := a.read(src, false); err != nil || got.items != 1000 {
					b.Fatal(got, err)
				}
			}
		})
	}
}

// unfilteredAnswer is one of a server, or proxy, that ignores filter_path.
func unfilteredAnswer(n int) string {
	var items []string
	for i := range n {
		items = append(items, fmt.Sprintf(`{"index":{"_index":"sessions","_id":"acme-%d-1511441593539","_version":1,"result":"created",`+
			`"_shards":{"total":2,"successful":1,"failed":0},"_seq_no":%d,"_primary_term":1,"status":201}}`, i, i))
	}
	return `{"took":30,"errors":false,"items":[` + strings.Join(items, ",") + `]}`
}

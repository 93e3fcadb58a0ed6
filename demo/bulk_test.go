package demo

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestBulkAnswers(t *testing.T) {
	g := NewGenerator(2)
	doc := func(i int) string { return lines(g, i) }
	action := func(op, id string) string { return `{"` + op + `":{"_index":"s","_id":"` + id + `"}}` + "\n" }
	mixed := action("index", "a") + doc(1) + action("create", "b") + doc(1) + action("index", `q\"`) + "{\n" + action("index", "a") + doc(1) + action("create", "c") + doc(2)
	for _, c := range []struct {
		name, filter, body, want string
	}{
		{"all good", "", action("index", "a") + doc(1) + action("create", "b") + doc(2),
			`{"took":3,"errors":false,"items":[{"index":{"_index":"s","_id":"a","result":"created","status":201}},{"create":{"_index":"s","_id":"b","result":"created","status":201}}]}`},
		{"mixed", "", mixed,
			`{"took":3,"errors":true,"items":[{"index":{"_index":"s","_id":"a","result":"created","status":201}},` +
				`{"create":{"_index":"s","_id":"b","error":{"type":"version_conflict_engine_exception","reason":"document already exists"},"status":409}},` +
				`{"index":{"_index":"s","_id":"q\"","error":{"type":"document_parsing_exception","reason":"failed to parse"},"status":400}},` +
				`{"index":{"_index":"s","_id":"a","result":"updated","status":200}},{"create":{"_index":"s","_id":"c","result":"created","status":201}}]}`},
		{"status and error", "errors,items.*.error,items.*.status", action("index", "a") + doc(1) + action("create", "b") + doc(1),
			`{"errors":true,"items":[{"index":{"status":201}},{"create":{"error":{"type":"version_conflict_engine_exception","reason":"document already exists"},"status":409}}]}`},
		{"errors only", "errors,items.*.error", action("index", "a") + doc(1) + action("create", "b") + doc(1),
			`{"errors":true,"items":[{"create":{"error":{"type":"version_conflict_engine_exception","reason":"document already exists"}}}]}`},
		{"errors of good ones", "errors,items.*.error", action("index", "a") + doc(1), `{"errors":false}`},
		{"nothing left", "items.*.error", action("index", "a") + doc(1), `{}`},
		{"one member", "took", action("index", "a") + doc(1), `{"took":3}`},
		{"all items", "items", action("index", "a") + doc(1), `{"items":[{"index":{"_index":"s","_id":"a","result":"created","status":201}}]}`},
		{"one action", "items.create.status", action("index", "a") + doc(1) + action("create", "b") + doc(2), `{"items":[{"create":{"status":201}}]}`},
		{"within an error", "items.*.error.type", action("index", "a") + doc(1) + action("create", "b") + doc(1),
			`{"items":[{"create":{"error":{"type":"version_conflict_engine_exception","reason":"document already exists"}}}]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := startReceiver(t, ReceiverOptions{Generator: g})
			path := "/elastic/_bulk"
			if c.filter != "" {
				path += "?filter_path=" + c.filter
			}
			status, answer := f.send("POST", path, c.body)
			if status != 200 || answer != c.want {
				t.Errorf("%d\n got %s\nwant %s", status, answer, c.want)
			}
			if !json.Valid([]byte(answer)) {
				t.Error("the answer is not JSON")
			}
			got := f.Tally("/elastic/_bulk")
			if sent := strings.Count(c.body, `"_id"`) - strings.Count(c.body, "\n{\n"); got.Sessions != sent {
				t.Errorf("%d sessions counted, %d documents were sent that are sessions", got.Sessions, sent)
			}
		})
	}
}

func BenchmarkReceive(b *testing.B) {
	g := NewGenerator(1)
	for _, format := range []string{FormatNDJSON, FormatElasticsearch} {
		b.Run(format, func(b *testing.B) {
			r := &Receiver{options: ReceiverOptions{Generator: g}}
			e := newEndpoint(Endpoint{Format: format}, r)
			var body []byte
			for i := range 180 {
				if format == FormatElasticsearch {
					body = append(body, `{"index":{"_index":"sessions","_id":"fqk48291-214873686_0-1767225604324"}}`+"\n"...)
				}
				body = append(g.Append(body, i), '\n')
			}
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if format == FormatElasticsearch {
					items, ids, err := e.items(nil, nil, body, nil)
					if err != nil || len(items) != 180 || len(ids) != 180 {
						b.Fatal(err)
					}
					continue
				}
				if ids, err := e.documents(nil, body); err != nil || len(ids) != 180 {
					b.Fatal(err)
				}
			}
		})
	}
}

package demo

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
)

func FuzzIndex(f *testing.F) {
	g := NewGenerator(1)
	for _, id := range []string{string(g.AppendID(nil, 0)), string(g.AppendID(nil, 1<<39)), "1394_1008", "_", "9_99999999999999999999"} {
		f.Add([]byte(id))
	}
	f.Fuzz(func(t *testing.T, id []byte) {
		if i, ok := g.Index(id); ok && string(g.AppendID(nil, i)) != string(id) {
			t.Errorf("%q passes for session %d", id, i)
		}
	})
}

func FuzzDocuments(f *testing.F) {
	g := NewGenerator(1)
	f.Add([]byte(lines(g, 1, 2)), false)
	f.Add([]byte(lines(g, 1)), true)
	f.Add([]byte(`[{"userSessionId":"1"},{"startTime":1e400}]`), true)
	f.Add([]byte(`{"tenantId":"","userSessionId":"`), true)
	f.Fuzz(func(t *testing.T, body []byte, array bool) {
		format := FormatNDJSON
		if array {
			format = FormatJSON
		}
		e := newEndpoint(Endpoint{Format: format}, &Receiver{options: ReceiverOptions{Generator: g}})
		ids, err := e.documents(nil, body)
		var refused *refusedError
		if err != nil {
			if !errors.As(err, &refused) || refused.status != 400 {
				t.Errorf("refused with %v", err)
			}
			return
		}
		if format == FormatNDJSON && len(ids) != bytes.Count(body, []byte{'\n'}) {
			t.Errorf("%d sessions in %d lines", len(ids), bytes.Count(body, []byte{'\n'}))
		}
	})
}

func FuzzBulk(f *testing.F) {
	g := NewGenerator(1)
	f.Add([]byte(`{"index":{"_index":"s","_id":"a"}}`+"\n"+lines(g, 1)), "")
	f.Add([]byte(`{"create":{"_id":"\u2028\""}}`+"\n"+lines(g, 1)+`{"create":{}}`+"\n"+lines(g, 1)), "errors,items.*.error")
	f.Add([]byte(`{"index":null}`+"\n\n"), "took,,items.index._id, ")
	f.Fuzz(func(t *testing.T, body []byte, filter string) {
		e := newEndpoint(Endpoint{Format: FormatElasticsearch}, &Receiver{options: ReceiverOptions{Generator: g}})
		items, ids, err := e.items(nil, nil, body, nil)
		var refused *refusedError
		if err != nil {
			if !errors.As(err, &refused) || refused.status != 400 || !json.Valid(bulkError(refused)) {
				t.Errorf("refused with %v", err)
			}
			return
		}
		seen := make([]bool, len(ids))
		e.accept(&buffer{ids: ids}, len(body), len(items), seen)
		settle(items, seen)
		answer := appendBulkAnswer(nil, items, filter)
		if !json.Valid(answer) {
			t.Fatalf("the answer is no JSON: %s", answer)
		}
		var all struct {
			Errors bool
			Items  []map[string]struct{ Status int }
		}
		if err := json.Unmarshal(appendBulkAnswer(nil, items, ""), &all); err != nil || len(all.Items) != len(items) {
			t.Fatalf("%d answers to %d items, error %v", len(all.Items), len(items), err)
		}
		failed := false
		for k, item := range all.Items {
			status := item[items[k].op].Status
			failed = failed || status >= 400
			if status == 0 {
				t.Errorf("item %d has no status", k)
			}
		}
		if failed != all.Errors {
			t.Errorf("errors is %v, failures are %v", all.Errors, failed)
		}
	})
}

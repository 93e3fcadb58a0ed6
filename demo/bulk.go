package demo

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
)

// bulk takes action lines and documents, and answers for each document as
// Elasticsearch does. A request that cannot be read as a whole counts nothing.
func (e *endpoint) bulk(w http.ResponseWriter, r *http.Request, body []byte, scratch *buffer, bad Misbehaviour) error {
	if len(body) == 0 {
		return &refusedError{http.StatusBadRequest, "parse_exception", "request body is required"}
	}
	if body[len(body)-1] != '\n' {
		return &refusedError{http.StatusBadRequest, "illegal_argument_exception", `the bulk request must be terminated by a newline [\n]`}
	}
	items, ids, err := e.items(scratch.items[:0], scratch.ids[:0], body, bad.Items)
	scratch.items, scratch.ids = items, ids
	if err != nil {
		return err
	}
	if cap(scratch.seen) < len(scratch.ids) {
		scratch.seen = make([]bool, len(scratch.ids))
	}
	seen := scratch.seen[:len(scratch.ids)]
	e.accept(scratch, len(body), len(items), seen)
	if bad.Lost {
		e.unacknowledged(len(scratch.ids))
		panic(http.ErrAbortHandler)
	}
	settle(items, seen)
	scratch.answer = appendBulkAnswer(scratch.answer[:0], items, r.URL.Query().Get("filter_path"))
	e.answered(http.StatusOK)
	scratch.receipt.Status = http.StatusOK
	w.Header().Set("X-Elastic-Product", "Elasticsearch")
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(scratch.answer)))
	_, _ = w.Write(scratch.answer) // the client is gone: nothing to tell anybody.
	return nil
}

// items reads the actions and the documents of a body.
func (e *endpoint) items(items []bulkItem, ids []identity, body []byte, faults *ItemFaults) ([]bulkItem, []identity, error) {
	for len(body) > 0 {
		var action, doc []byte
		action, body, _ = bytes.Cut(body, []byte{'\n'})
		item, err := parseAction(action)
		if err != nil {
			return items, ids, err
		}
		if len(body) == 0 {
			return items, ids, &refusedError{http.StatusBadRequest, "illegal_argument_exception", "the last action has no document"}
		}
		doc, body, _ = bytes.Cut(body, []byte{'\n'})
		if id, err := e.identify(doc); err == nil && !faults.refuse(id.index, &item) {
			item.counted = true
			ids = append(ids, id)
		}
		items = append(items, item)
	}
	return items, ids, nil
}

// bulkItem is one action and what became of it.
type bulkItem struct {
	op        string // index or create
	index, id string
	counted   bool // the document is a session
	status    int
	failure   string // type of the error, "" for none
	reason    string
}

func parseAction(line []byte) (bulkItem, error) {
	var action map[string]struct {
		Index string `json:"_index"`
		ID    string `json:"_id"`
	}
	if err := json.Unmarshal(line, &action); err != nil || len(action) != 1 {
		return bulkItem{}, &refusedError{http.StatusBadRequest, "illegal_argument_exception", "malformed action/metadata line, expected one action"}
	}
	for op, meta := range action {
		if op == "index" || op == "create" {
			return bulkItem{op: op, index: meta.Index, id: meta.ID}, nil
		}
	}
	return bulkItem{}, &refusedError{http.StatusBadRequest, "illegal_argument_exception", "malformed action/metadata line, expected index or create"}
}

// settle gives each item its status: written anew, written over, refused
// because it is there, or not a session at all.
func settle(items []bulkItem, seen []bool) {
	counted := 0
	for k := range items {
		item := &items[k]
		if item.failure != "" { // it was told to fail
			continue
		}
		if !item.counted {
			item.status, item.failure, item.reason = http.StatusBadRequest, "document_parsing_exception", "failed to parse"
			continue
		}
		known := seen[counted]
		counted++
		switch {
		case !known:
			item.status = http.StatusCreated
		case item.op == "create":
			item.status, item.failure, item.reason = http.StatusConflict, "version_conflict_engine_exception", "document already exists"
		default:
			item.status = http.StatusOK
		}
	}
}

// appendBulkAnswer writes the answer, or the part of it that filter_path asks
// for. An item of which nothing is asked for is left out, so an answer that is
// filtered down to errors does not tell which items failed: as it really is.
func appendBulkAnswer(dst []byte, items []bulkItem, filter string) []byte {
	want := parseFilter(filter)
	d := document{append(dst, '{')}
	if want.has("took") {
		d.number("took", 3)
	}
	if want.has("errors") {
		failed := false
		for k := range items {
			failed = failed || items[k].failure != ""
		}
		d.flag("errors", failed)
	}
	listed := false
	for k := range items {
		d.bytes, listed = items[k].append(d.bytes, want, listed)
	}
	if listed {
		d.close(']')
	}
	d.close('}')
	return d.bytes
}

// append adds the item's members that are wanted, and the list's name before
// the first item.
func (i *bulkItem) append(dst []byte, want filterPath, listed bool) ([]byte, bool) {
	start := len(dst)
	d := document{dst}
	if !listed {
		d.open("items", '[')
	}
	d.openElement()
	d.open(i.op, '{')
	empty := len(d.bytes)
	text := func(name, value string) {
		if want.has("items", i.op, name) {
			d.name(name)
			quoted, _ := json.Marshal(value) // a string always can be.
			d.bytes = append(d.bytes, quoted...)
		}
	}
	text("_index", i.index)
	text("_id", i.id)
	if i.failure == "" {
		result := "created"
		if i.status == http.StatusOK {
			result = "updated"
		}
		text("result", result)
	} else if want.has("items", i.op, "error") {
		d.open("error", '{')
		d.text("type", i.failure)
		d.text("reason", i.reason)
		d.close('}')
	}
	if want.has("items", i.op, "status") {
		d.number("status", i.status)
	}
	if len(d.bytes) == empty {
		return d.bytes[:start], listed
	}
	d.bytes = append(d.bytes, "}}"...)
	return d.bytes, true
}

// filterPath is the parsed query parameter of that name: paths of the answer,
// in which * stands for one member. Nothing asked for means everything.
type filterPath [][]string

func parseFilter(s string) filterPath {
	var f filterPath
	for path := range strings.SplitSeq(s, ",") {
		if path = strings.TrimSpace(path); path != "" {
			f = append(f, strings.Split(path, "."))
		}
	}
	return f
}

func (f filterPath) has(path ...string) bool {
	if f == nil {
		return true
	}
	for _, wanted := range f {
		if covers(wanted, path) {
			return true
		}
	}
	return false
}

// covers tells whether the wanted path names this one, a part above it, or a
// part within it.
func covers(wanted, path []string) bool {
	for k := range min(len(wanted), len(path)) {
		if wanted[k] != "*" && wanted[k] != path[k] {
			return false
		}
	}
	return true
}

// bulkError is what Elasticsearch answers when a whole request fails; it is
// never filtered.
func bulkError(p *refusedError) []byte {
	cause := map[string]any{"type": p.kind, "reason": p.reason}
	answer, _ := json.Marshal(map[string]any{ // strings and numbers always can be.
		"error":  map[string]any{"root_cause": []any{cause}, "type": p.kind, "reason": p.reason},
		"status": p.status,
	})
	return answer
}

package sinks

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sessionexport/sinks/sinktest"
)

// recording is an answer to _bulk that a real server gave.
type recording struct {
	status int
	body   string
	sent   int // sessions
	create bool
}

type recordedFile struct {
	Request struct {
		Path, Body string
	}
	Response struct {
		Status int
		JSON   json.RawMessage
		Text   string
	}
}

func readRecording(t *testing.T, path string) recording {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("reading recording: %v", err)
	}
	var rec recording
	if filepath.Ext(path) == ".http" {
		// Bodies were recorded without their chunks, so that the headers do not describe them.
		head, body, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
		if _, err := fmt.Sscanf(strings.TrimPrefix(strings.TrimPrefix(string(head), "HTTP/1.1 "), "HTTP/2 "), "%d", &rec.status); err != nil {
			t.Fatalf("%s: reading status: %v", path, err)
		}
		rec.body = string(body)
		for _, mark := range []string{"<EOF>", "<TimeoutError>"} { // how the recording ended
			rec.body = strings.TrimSuffix(rec.body, mark)
		}
	} else {
		var file recordedFile
		if err := json.Unmarshal(raw, &file); err != nil {
			t.Fatalf("%s: parsing: %v", path, err)
		}
		rec = recording{status: file.Response.Status, body: string(file.Response.JSON) + file.Response.Text}
		if strings.Contains(file.Request.Path, "filter_path") {
			rec.sent = len(strings.Fields(strings.ReplaceAll(file.Request.Body, "}\n{", "} {"))) / 2
		}
	}
	var items struct{ Items []map[string]any }
	_ = json.Unmarshal([]byte(rec.body), &items) // not every answer is JSON
	if rec.sent == 0 {
		rec.sent = max(1, len(items.Items))
	}
	for _, item := range items.Items {
		_, rec.create = item["create"]
	}
	return rec
}

// TestRecordedAnswers replays what Elasticsearch 7, 8, 9 and OpenSearch 2, 3 have
// answered, against a table of what each means.
func TestRecordedAnswers(t *testing.T) {
	paths, err := filepath.Glob("testdata/answers/*/*")
	if err != nil || len(paths) < 300 {
		t.Fatalf("%d recordings: %v", len(paths), err)
	}
	r := sinktest.New(t, sinktest.Options{ForgetBodies: true})
	transport := r.Transport(t)
	verdicts := make(map[string]map[string][]string) // file, verdict, products
	var order []string
	for _, path := range paths {
		rec := readRecording(t, path)
		o := FormatOptions{Kind: Bulk, Index: "sessions"}
		if rec.create {
			o.OpType = OpCreate
		}
		f := mustFormat(t, o)
		s := newSink(t, r, Options{Format: f, Transport: transport, Secrets: []string{"s3cretpw"}})
		r.Script(sinktest.Step{Status: rec.status, Body: rec.body})
		v := s.Attempt(context.Background(), batchOf(t, f, rec.sent))

		product, name := filepath.Base(filepath.Dir(path)), filepath.Base(path)
		if verdicts[name] == nil {
			verdicts[name] = make(map[string][]string)
			order = append(order, name)
		}
		text := describe(v)
		verdicts[name][text] = append(verdicts[name][text], product)
		checkVerdict(t, path, v, rec)
	}
	var table strings.Builder
	for _, name := range sorted(order) {
		for _, text := range sortedKeys(verdicts[name]) {
			fmt.Fprintf(&table, "%s\t%s\t%s\n", name, text, strings.Join(verdicts[name][text], " "))
		}
	}
	checkGolden(t, "testdata/answers.golden", []byte(table.String()))
}

func checkVerdict(t *testing.T, path string, v Verdict, rec recording) {
	t.Helper()
	if v.Status != rec.status {
		t.Errorf("%s: status %d, want %d", path, v.Status, rec.status)
	}
	for _, item := range v.Items {
		if item.Type == "" || item.Reason == "" || len(item.Reason) > 256 {
			t.Errorf("%s: item %+v", path, item)
		}
		if filepath.Base(path) == "bulk_immense_term.json" && !strings.Contains(item.Reason, "immense term in field=\"s\"") {
			t.Errorf("%s: the reason does not tell the cause: %s", path, item.Reason)
		}
		if len(item.Reason) > 20 && strings.Contains(v.Err.Error(), item.Reason) {
			t.Errorf("%s: the error quotes an item's reason: %v", path, v.Err)
		}
	}
	if v.Kind == Partial && v.Excerpt != "" {
		t.Errorf("%s: excerpt %q of an answer with items", path, v.Excerpt)
	}
}

// describe writes a verdict on one line.
func describe(v Verdict) string {
	text := fmt.Sprintf("%s %d", kindNames[v.Kind], v.Status)
	if v.Reason != "" && v.Reason != "status" {
		text += " " + v.Reason
	}
	if v.Conflicts > 0 {
		text += fmt.Sprintf(" conflicts=%d", v.Conflicts)
	}
	if v.Excerpt != "" {
		text += fmt.Sprintf(" %q", v.Excerpt)
	}
	counts := make(map[string]int)
	for _, item := range v.Items {
		counts[fmt.Sprintf("%s (%d %s)", kindNames[item.Kind], item.Status, item.Type)]++
	}
	for _, name := range sortedKeys(counts) {
		text += fmt.Sprintf("; %d× %s", counts[name], name)
	}
	return text
}

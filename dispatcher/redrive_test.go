package dispatcher

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"sessionexport/session"
	"sessionexport/settings"
	"sessionexport/sinks"
)

// Whatever the document looks like, only the action changes.
func TestCreateActions(t *testing.T) {
	format, err := sinks.NewFormat(sinks.FormatOptions{Kind: sinks.Bulk, Index: "sessions", DocType: "_doc"})
	if err != nil {
		t.Fatal(err)
	}
	var framed, want []byte
	var scanner session.Scanner
	const n = 50
	for i := range n {
		document := fmt.Sprintf(`{"index":{"_id":"x"},"tenantId":"acme","userSessionId":"{\"index\":%d","startTime":%d}`, i, i)
		if i%2 == 0 {
			document = fmt.Sprintf("{\n\"@timestamp\":1,\"tenantId\":\"acme\",\"userSessionId\":\"s%d\",\"startTime\":7}\n", i)
		}
		var s session.Session
		if err := scanner.Scan([]byte(document), nil, &s); err != nil {
			t.Fatal(err)
		}
		before := len(framed)
		if framed, _, err = format.Append(framed, &s); err != nil {
			t.Fatal(err)
		}
		action, rest, _ := bytes.Cut(framed[before:], []byte{'\n'})
		want = append(want, bytes.Replace(action, []byte(`"index"`), []byte(`"create"`), 1)...)
		want = append(want, '\n')
		want = append(want, rest...)
	}
	before := bytes.Clone(framed)
	got := createActions(framed, n)
	if !bytes.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if !bytes.Equal(framed, before) {
		t.Error("the batch was changed: it is sent again")
	}
	if cap(got) != len(got) {
		t.Errorf("%d bytes in room for %d", len(got), cap(got))
	}
	if again := createActions(got, n); !bytes.Equal(again, want) {
		t.Error("create actions were changed")
	}
	if got := createActions(nil, 0); len(got) != 0 {
		t.Errorf("nothing became %q", got)
	}
}

// endpointOf answers with one verdict after the other.
type endpointOf []sinks.Verdict

func (e *endpointOf) Attempt(context.Context, sinks.Body) sinks.Verdict {
	v := (*e)[0]
	*e = (*e)[1:]
	return v
}

func TestRedriveTrouble(t *testing.T) {
	r := &Redrive{trouble: make(chan struct{})}
	troubled := func() bool {
		select {
		case <-r.Trouble():
			return true
		default:
			return false
		}
	}
	verdicts := endpointOf{
		{Kind: sinks.Delivered}, {Kind: sinks.Partial, Items: make([]sinks.ItemVerdict, 2)},
		{Kind: sinks.Partial, Items: make([]sinks.ItemVerdict, 3)}, {Kind: sinks.Retryable},
	}
	l := listening{next: &verdicts, heard: r.accepted}
	for range 2 { // what accepts something ends the row
		for range troubleAfter - 1 {
			r.alert(Cause{Reason: "status"})
		}
		l.Attempt(t.Context(), sinks.Body{Sessions: 3})
		if r.failed != 0 || troubled() {
			t.Fatalf("%d failed, trouble %v", r.failed, troubled())
		}
	}
	r.alert(Cause{Reason: "timeout"})
	for range 2 { // what accepts nothing does not
		l.Attempt(t.Context(), sinks.Body{Sessions: 3})
	}
	for range 2 * troubleAfter {
		r.alert(Cause{Reason: "reset"})
	}
	if !troubled() || r.Cause().Reason != "reset" {
		t.Errorf("trouble %v, cause %+v", troubled(), r.Cause())
	}
}

func TestScope(t *testing.T) {
	shop := Scope(&settings.Export{Zone: &settings.Zone{Applications: []string{"shop*"}}})
	all := Scope(&settings.Export{})
	for document, want := range map[string]bool{
		`{"userActions":[{"application":"shop-1"}]}`: true,
		`{"userActions":[{"application":"bank"}]}`:   false,
		`{}`:               false,
		`no session`:       true, // the pipeline says why
		``:                 true,
		"{\"a\":\"\xff\"}": true,
	} {
		if got := shop([]byte(document)); got != want {
			t.Errorf("%q in scope: %v", document, got)
		}
		if !all([]byte(document)) {
			t.Errorf("%q is not in the scope of all", document)
		}
	}
}

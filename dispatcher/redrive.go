package dispatcher

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"sessionexport/egress"
	"sessionexport/session"
	"sessionexport/settings"
	"sessionexport/sinks"
)

const (
	// redriveIdle is how long a batch waits for further letters: whoever reads
	// them is ahead, so a pause is the end.
	redriveIdle = 500 * time.Millisecond

	// troubleAfter is how many deliveries in a row must have failed, nothing
	// accepted between, for a redrive to be in trouble.
	troubleAfter = 3
)

// RedriveOptions make a Redrive. All but Egress and Observe must be set.
type RedriveOptions struct {
	Environment *settings.Environment
	Export      *settings.Export
	Topic       string // of the letters, which names the batches
	Source      Source
	Letters     Letters
	Egress      settings.Egress
	Version     string
	Logger      *slog.Logger
	Observe     func(Event) // after it was logged; must not block
}

// Redrive is the pipeline of one sink for letters that are sent again: the same
// batches, retries and verdicts. It differs in three ways. What fails again
// goes back to the letters, where it came from, whatever the sink's policy. In
// _bulk it creates documents, so that an old letter never overwrites a newer
// document. Its scope is checked by whoever reads the letters, see Scope.
type Redrive struct {
	*Pipeline
	outgoing *Outgoing

	mu      sync.Mutex
	failed  int // deliveries in a row
	trouble chan struct{}
	cause   Cause
}

// NewRedrive builds everything and makes no request.
func NewRedrive(o RedriveOptions) (*Redrive, error) {
	e := *o.Export
	e.Custom.OpType = settings.OpCreate
	built, err := NewOutgoing(OutgoingOptions{
		Export: &e, Rules: egress.Rules{Allow: o.Egress.Allow, Deny: o.Egress.Deny}, Version: o.Version, Logger: o.Logger,
	})
	if err != nil {
		return nil, err
	}
	r := &Redrive{outgoing: built, trouble: make(chan struct{})}
	po := pipelineOptions(o.Environment, &e, built)
	po.Topic, po.Source, po.Letters, po.Logger = o.Topic, o.Source, o.Letters, o.Logger
	po.Zone, po.Policy = nil, DeadLetter
	po.Limits.Idle = min(po.Limits.Idle, redriveIdle)
	var next Endpoint = built.sink
	if built.format.Kind() == sinks.Bulk && o.Export.Custom.OpType != settings.OpCreate {
		// Documents of an index must not get the @timestamp that create adds for
		// data streams: they are framed as ever, and the action is changed on the way.
		po.Format, err = sinks.NewFormat(sinks.FormatOptions{Kind: sinks.Bulk, Index: e.SendDirect.IndexName, DocType: e.SendDirect.DocType})
		if err != nil {
			built.Close()
			return nil, fmt.Errorf("building the format of sink %s: %w", e.ID, err)
		}
		next = creating{next: next}
		po.Limits.Bytes = max(1, po.Limits.Bytes-po.Limits.Sessions*(len(createAction)-len(indexAction)))
	}
	po.Endpoint = listening{next: next, heard: r.accepted}
	teller := &teller{log: o.Logger}
	po.Observe = func(ev Event) {
		teller.tell(ev)
		if ev.Kind == Alert {
			r.alert(ev.Cause)
		}
		if o.Observe != nil {
			o.Observe(ev)
		}
	}
	r.Pipeline = NewPipeline(po)
	return r, nil
}

// Trouble is closed when several deliveries in a row have failed: going on would
// only try the rest in vain.
func (r *Redrive) Trouble() <-chan struct{} { return r.trouble }

// Cause is why the latest delivery failed.
func (r *Redrive) Cause() Cause {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cause
}

// Close gives the connections back; Run must have returned.
func (r *Redrive) Close() { r.outgoing.Close() }

func (r *Redrive) accepted() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = 0
}

func (r *Redrive) alert(c Cause) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cause = c
	if r.failed++; r.failed == troubleAfter {
		select {
		case <-r.trouble: // once is enough
		default:
			close(r.trouble)
		}
	}
}

// listening hears when the destination accepts something.
type listening struct {
	next  Endpoint
	heard func()
}

func (l listening) Attempt(ctx context.Context, b sinks.Body) sinks.Verdict {
	v := l.next.Attempt(ctx, b)
	if v.Kind == sinks.Delivered || v.Kind == sinks.Partial && len(v.Items) < b.Sessions {
		l.heard()
	}
	return v
}

var (
	indexAction  = []byte(`{"` + sinks.OpIndex + `":`)
	createAction = []byte(`{"` + sinks.OpCreate + `":`)
)

// creating turns the index actions of a _bulk body into create actions.
type creating struct{ next Endpoint }

func (c creating) Attempt(ctx context.Context, b sinks.Body) sinks.Verdict {
	b.Bytes = createActions(b.Bytes, b.Sessions)
	return c.next.Attempt(ctx, b)
}

// createActions rewrites framed sessions: an action line and a document each.
func createActions(framed []byte, sessions int) []byte {
	out := make([]byte, 0, len(framed)+sessions*(len(createAction)-len(indexAction)))
	for len(framed) > 0 {
		line, rest, _ := bytes.Cut(framed, []byte{'\n'})
		document, after, _ := bytes.Cut(rest, []byte{'\n'})
		if own, ok := bytes.CutPrefix(line, indexAction); ok {
			out = append(out, createAction...)
			line = own
		}
		out = append(out, line...)
		out = append(out, '\n')
		out = append(out, document...)
		out = append(out, '\n')
		framed = after
	}
	return out
}

// Scope tells of documents whether they are in the scope of an export. What is
// no session is left to the pipeline, which rejects it. The function is for one
// goroutine.
func Scope(e *settings.Export) func(document []byte) bool {
	applications := ScopeOf(e)
	var scanner session.Scanner
	var found session.Session
	return func(document []byte) bool {
		return scanner.Scan(document, applications, &found) != nil || found.InScope
	}
}

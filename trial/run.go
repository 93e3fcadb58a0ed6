package trial

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"sessionexport/auth"
	"sessionexport/dispatcher"
	"sessionexport/egress"
	"sessionexport/settings"
	"sessionexport/sinks"
)

// future is how far ahead of this machine's clock a session may have started.
const future = time.Hour

// TestOptions say which export is tested. All but the bounds must be set.
type TestOptions struct {
	Log         Log
	Environment string
	Topic       string
	Export      *settings.Export
	Rules       egress.Rules
	Version     string
	Logger      *slog.Logger
	Records     int   // to read at most; default DefaultRecords
	Bytes       int64 // to fetch at most; default DefaultBytes
}

// Test sends up to 50 of the newest sessions of the last seven days to an
// export's endpoint, once, and reports what came of it. Failures of the
// endpoint are in the report; the error is that of reading the topic, or of an
// export that cannot be used.
func Test(ctx context.Context, o TestOptions) (*Report, error) {
	e := o.Export
	var w watcher
	out, err := dispatcher.NewOutgoing(dispatcher.OutgoingOptions{
		Export: e, Rules: o.Rules, Version: o.Version, Logger: o.Logger, Test: true, Watch: w.watch,
	})
	if err != nil {
		return nil, fmt.Errorf("preparing the test: %w", err)
	}
	defer out.Close()
	now := time.Now()
	samples, looked, err := Search(ctx, SearchOptions{
		Log: o.Log, Scope: dispatcher.ScopeOf(e), From: now.Add(-DefaultWindow), To: now.Add(future), Now: now,
		Records: o.Records, Bytes: o.Bytes,
	})
	if err != nil {
		return nil, err
	}
	r := &Report{
		Environment: o.Environment, Topic: o.Topic, Export: e.ID, Endpoint: e.EndpointDefinition.EndpointURL.String(),
		Method: e.Method(), Format: e.Format(), Verdict: NoSessions, Requests: []Request{}, Search: looked,
	}
	batches, uncarried := bodies(samples, out.Format(), dispatcher.LimitsOf(e))
	r.Uncarried = uncarried
	for i, b := range batches {
		w.reset()
		body := sinks.Body{ID: bodyID(e.ID, o.Topic, now, b), Bytes: b.Body, Sessions: len(b.Items)}
		v := out.Attempt(ctx, body)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("sending the sessions: %w", ctx.Err())
		}
		r.add(body, len(b.Body)+out.Format().Enclosing(), v, &w, out.TokenError(), e)
		if !goesOn(v.Kind) {
			for _, rest := range batches[i+1:] {
				r.Unsent += len(rest.Items)
			}
			break
		}
	}
	if r.Verdict == NoSessions {
		r.advise([]Advice{nothingFound(&r.Search, len(uncarried) > 0)})
	}
	r.Delivered = r.Verdict == sinks.Delivered.String() && len(uncarried) == 0
	if e.SendDirect.Active && r.accepted() {
		r.advise(lookAtDates(ctx, out, e))
	}
	return r, nil
}

// nothingFound is the advice when there was nothing to send.
func nothingFound(l *Looked, uncarried bool) Advice {
	if uncarried {
		return Advice{ID: "nothing_carried", Cause: "None of the sessions has what the format needs.",
			Remedy: "Look at them with `session-export sample` without an export: sending to Elasticsearch needs tenantId, userSessionId and startTime."}
	}
	cause := l.nothing() + "."
	remedy := "Check that sessions are being written to the topic. `session-export sample --from` shows older ones."
	switch {
	case l.Cut:
		remedy = "Sessions in scope are rare: check the applications of the management zone, or test without it."
	case l.OutOfScope > 0 && l.OutOfWindow == 0:
		remedy = "Check the applications of the management zone: other sessions are there."
	}
	return Advice{ID: NoSessions, Cause: strings.ToUpper(cause[:1]) + cause[1:], Remedy: remedy}
}

// goesOn tells whether the next body may fare better than one with this
// verdict.
func goesOn(k sinks.Kind) bool {
	switch k {
	case sinks.Delivered, sinks.Partial, sinks.Suspect, sinks.TooLarge:
		return true
	default:
		return false
	}
}

// add notes one request.
func (r *Report) add(body sinks.Body, size int, v sinks.Verdict, w *watcher, tokenErr error, e *settings.Export) {
	endpoint, token, steps := w.seen()
	for i := range steps {
		steps[i].Millis = float64(steps[i].Took.Microseconds()) / 1000
	}
	r.Sessions += body.Sessions
	r.Bytes += size
	r.Requests = append(r.Requests, Request{
		ID: body.ID, Sessions: body.Sessions, Bytes: size, Steps: steps, Verdict: verdictOf(v), Items: itemsOf(v.Items),
	})
	if r.Verdict == NoSessions || r.Verdict == sinks.Delivered.String() {
		r.Verdict = v.Kind.String()
	}
	s := situation{export: e, verdict: v, now: time.Now(), body: size, sessions: body.Sessions}
	failed := endpoint
	if endpoint == nil && token != nil { // nothing is sent without a token
		failed = token
		if !errors.As(tokenErr, &s.token) {
			s.token = &auth.TokenError{Reason: auth.ReasonTimeout} // the attempt ended before the fetch did
		}
	}
	if failed != nil {
		s.err, s.phase, s.header = failed.err, failed.phase, failed.header
	}
	r.advise(adviceOn(s))
}

// advise adds what was not said already.
func (r *Report) advise(more []Advice) {
	for _, a := range more {
		known := false
		for _, old := range r.Advice {
			known = known || old.ID == a.ID
		}
		if !known {
			r.Advice = append(r.Advice, a)
		}
	}
}

// accepted tells whether a session was accepted.
func (r *Report) accepted() bool {
	for _, q := range r.Requests {
		failed := 0
		for _, it := range q.Items {
			failed += it.Times
		}
		if (q.Verdict.Kind == sinks.Delivered.String() || q.Verdict.Kind == sinks.Partial.String()) && failed < q.Sessions {
			return true
		}
	}
	return false
}

package trial

import (
	"context"
	"fmt"
	"io"
	"time"

	"sessionexport/batcher"
	"sessionexport/dispatcher"
	"sessionexport/session"
	"sessionexport/settings"
	"sessionexport/sinks"
)

// Bounds of what `sample` may be asked for.
const (
	MaxCount = 10_000 // sessions

	// sampleRecords and sampleBytes are what each further session adds to the
	// bounds of the search.
	sampleRecords = DefaultRecords / DefaultCount
	sampleBytes   = DefaultBytes / DefaultCount
)

// SampleOptions say which sessions are wanted. Log must be set.
type SampleOptions struct {
	Log    Log
	Export *settings.Export // its scope and format; nil: every session, a document a line
	From   time.Time        // start times not before; zero: seven days before To
	To     time.Time        // and before; zero: now
	Count  int              // most sessions; 0: DefaultCount
}

// SampleResult is what was written.
type SampleResult struct {
	Sessions  int
	Bytes     int
	Uncarried []Count // that the format cannot carry
	Search    Looked
}

// WriteSample writes the newest sessions as the export would send them: a
// document a line, with action lines in front when it sends to Elasticsearch.
// Nothing is sent. The error is that of reading the topic or of writing.
func WriteSample(ctx context.Context, w io.Writer, o SampleOptions) (SampleResult, error) {
	now := time.Now()
	to, from := o.To, o.From
	if to.IsZero() {
		to = now.Add(future)
	}
	if from.IsZero() {
		from = earlier(to, now).Add(-DefaultWindow)
	}
	count := o.Count
	if count <= 0 {
		count = DefaultCount
	}
	format, err := sampleFormat(o.Export)
	if err != nil {
		return SampleResult{}, fmt.Errorf("building the format: %w", err)
	}
	var scope session.Applications
	if o.Export != nil {
		scope = dispatcher.ScopeOf(o.Export)
	}
	samples, looked, err := Search(ctx, SearchOptions{
		Log: o.Log, Scope: scope, From: from, To: to, Now: now, Count: count,
		Records: max(DefaultRecords, count*sampleRecords), Bytes: max(DefaultBytes, int64(count)*sampleBytes),
	})
	result := SampleResult{Search: looked}
	if err != nil {
		return result, err
	}
	batches, uncarried := bodies(samples, format, batcher.Limits{})
	result.Uncarried = uncarried
	for _, b := range batches {
		n, err := w.Write(b.Body)
		result.Bytes += n
		if err != nil {
			return result, fmt.Errorf("writing the sample: %w", err)
		}
		result.Sessions += len(b.Items)
	}
	return result, nil
}

// Nothing says why nothing was written.
func (r SampleResult) Nothing() string { return r.Search.nothing() }

// sampleFormat is the format of lines: what is sent as an array is shown as
// lines too.
func sampleFormat(e *settings.Export) (*sinks.Format, error) {
	if e == nil || !e.SendDirect.Active {
		return sinks.NewFormat(sinks.FormatOptions{Kind: sinks.NDJSON}) //nolint:wrapcheck // the caller says what it was doing
	}
	return sinks.NewFormat(sinks.FormatOptions{ //nolint:wrapcheck // likewise
		Kind: sinks.Bulk, Index: e.SendDirect.IndexName, DocType: e.SendDirect.DocType, OpType: e.Custom.OpType,
	})
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

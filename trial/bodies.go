package trial

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"time"

	"sessionexport/batcher"
	"sessionexport/session"
	"sessionexport/sinks"
)

// bodies frames sessions by the pipeline's rules, in as many bodies as the
// limits need. What the format cannot carry is counted by its reason.
func bodies(samples []Sample, format *sinks.Format, limits batcher.Limits) (all []*batcher.Batch, uncarried []Count) {
	now := time.Unix(0, 0) // nothing waits here
	b := batcher.New(format, limits, 0)
	var scanner session.Scanner
	for _, s := range samples {
		var found session.Session
		if scanner.Scan(s.Value, nil, &found) != nil {
			continue // it was one when it was found
		}
		if _, err := b.Add(now, &found, s.Pos, s.Timestamp); err != nil {
			uncarried = counted(uncarried, reasonOf(err))
		}
		for t := b.Take(); t != nil; t = b.Take() {
			all = append(all, t)
		}
	}
	if sessions, _, _ := b.Filling(); sessions > 0 {
		b.Due(b.Deadline())
		all = append(all, b.Take())
	}
	return all, uncarried
}

// counted adds one to what, and keeps the order stable.
func counted(counts []Count, what string) []Count {
	at := slices.IndexFunc(counts, func(c Count) bool { return c.What == what })
	if at < 0 {
		counts = append(counts, Count{What: what})
		slices.SortFunc(counts, func(a, b Count) int { return cmp.Compare(a.What, b.What) })
		at = slices.IndexFunc(counts, func(c Count) bool { return c.What == what })
	}
	counts[at].Times++
	return counts
}

func reasonOf(err error) string {
	var rejected *sinks.RejectedError
	if errors.As(err, &rejected) {
		return rejected.Reason
	}
	return err.Error()
}

// bodyID names one body of one test. It never equals the id of a batch of the
// pipeline: a receiver that knows it already would take the real one for done.
func bodyID(export, topic string, started time.Time, b *batcher.Batch) string {
	return batcher.ID(export+"/test/"+strconv.FormatInt(started.UnixNano(), 36), topic, len(b.Items),
		func(i int) session.Position { return b.Items[i].Pos })
}

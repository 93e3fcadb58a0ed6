package dispatcher

import (
	"context"
	"log/slog"
	"time"
)

// teller logs what an operator must know. What repeats is sampled: the same
// line at most once a minute, with the number that was left out.
type teller struct {
	log  *slog.Logger
	seen map[string]*sample
}

type sample struct {
	at   time.Time
	left int
}

// sampleEvery is how often the same kind of line is repeated.
const sampleEvery = time.Minute

// due tells whether a line of this kind may be logged now, and how many were
// left out before.
func (t *teller) due(kind string, now time.Time) (left int, ok bool) {
	if t.seen == nil {
		t.seen = map[string]*sample{}
	}
	s := t.seen[kind]
	if s == nil {
		t.seen[kind] = &sample{at: now}
		return 0, true
	}
	if now.Sub(s.at) < sampleEvery {
		s.left++
		return 0, false
	}
	left = s.left
	s.at, s.left = now, 0
	return left, true
}

// forget makes the next line of this kind due at once.
func (t *teller) forget(kinds ...string) {
	for _, k := range kinds {
		delete(t.seen, k)
	}
}

// tell logs an event. It runs in the pipeline's goroutine.
func (t *teller) tell(e Event) {
	now := time.Now()
	args := []any{"reason", e.Cause.Reason, "error", e.Cause.Text}
	if e.Cause.Status != 0 {
		args = append(args, "status", e.Cause.Status)
	}
	if e.Cause.Type != "" {
		args = append(args, "error_type", e.Cause.Type)
	}
	if e.Batch != "" {
		args = append(args, "batch", e.Batch)
	}
	if e.Sessions > 0 {
		args = append(args, "sessions", e.Sessions)
	}
	if e.Attempt > 0 {
		args = append(args, "attempt", e.Attempt)
	}
	if e.Wait > 0 {
		args = append(args, "wait", e.Wait.Round(time.Millisecond).String())
	}
	level, text := slog.LevelWarn, ""
	switch e.Kind {
	case Retry:
		text = "attempt failed, will be repeated"
	case Alert:
		// The alert that the reference asks for after the last retry.
		level, text = slog.LevelError, "ALERT: delivery failed"
	case HoldBegan:
		level, text = slog.LevelError, "holding: only probes are sent, Kafka keeps the rest"
	case ProbeFailed:
		text = "probe failed, still holding"
	case Recovered:
		t.forget(string(Alert), string(HoldBegan), string(ProbeFailed), string(Retry))
		level, text = slog.LevelInfo, "recovered, the hold is over"
		args = append(args, "held_for", now.Sub(e.Since).Round(time.Second).String())
	case HoldLeft:
		level, text = slog.LevelInfo, "nothing is held any more, the next session will show whether the destination accepts again"
		args = append(args, "held_for", now.Sub(e.Since).Round(time.Second).String())
	case Throttling:
		text = "throttled by the destination, pausing"
	case LettersStored:
		text = "sessions became dead letters"
	case LettersFailed:
		level, text = slog.LevelError, "dead letters could not be written, holding"
	case Discarded:
		text = "sessions discarded"
	case LimitLearned:
		text = "the destination takes smaller bodies only"
		args = append(args, "bytes", e.Bytes)
	}
	left, ok := t.due(string(e.Kind), now)
	if !ok {
		return
	}
	if left > 0 {
		args = append(args, "left_out", left)
	}
	t.log.Log(context.Background(), level, text, args...) //nolint:sloglint // one call for all levels
}

package dispatcher

import (
	"net/http"
	"slices"
	"time"

	"sessionexport/sinks"
)

// judge decides what follows from a verdict, by the table of docs/verdicts.md.
func (m *machine) judge(now time.Time, a *attempt, v sinks.Verdict) {
	d, p := a.d, a.piece
	if v.Kind != sinks.Delivered && v.Kind != sinks.Interrupted {
		m.counts.lastError, m.counts.lastErrorAt = causeOf(v), now
	}
	switch v.Kind {
	case sinks.Delivered:
		m.counts.Conflicts += int64(v.Conflicts)
		m.deliver(now, d, p, nil)
		m.passed(now, a)
	case sinks.Partial:
		m.counts.Conflicts += int64(v.Conflicts)
		m.partial(now, a, v)
	case sinks.Retryable:
		m.retry(now, a, p, causeOf(v), v.Poisonable)
	case sinks.Throttled:
		m.throttle(now, a, p, causeOf(v), v.RetryAfter)
	case sinks.TooLarge:
		m.tooLarge(now, a, v)
	case sinks.Unauthorised:
		if !p.fresh {
			p.fresh = true
			d.push(p)
			m.eff.dropToken()
			if a.probe {
				m.hold.at = now
			}
			return
		}
		m.fail(now, d, p, causeOf(v), 0)
	case sinks.Suspect:
		m.isolate(now, a, v)
	case sinks.Interrupted:
		d.push(p)
	default: // Refused; Rejected is never the verdict of an attempt
		m.fail(now, d, p, causeOf(v), v.RetryAfter)
	}
}

// deliver notes that the destination accepted the sessions of p, but for those
// of except (indexes within p, ascending).
func (m *machine) deliver(now time.Time, d *delivery, p piece, except []sinks.ItemVerdict) {
	n := 0
	for i := range p.len() {
		if len(except) > 0 && except[0].Index == i {
			except = except[1:]
			continue
		}
		it := &d.batch.Items[p.at(i)]
		m.counts.partition(it.Pos.Partition).Delivered++
		m.counts.Latency.observe(now.UnixMilli() - it.Timestamp)
		m.counts.BytesDelivered += int64(it.End - it.Start)
		n++
	}
	if n == 0 {
		return
	}
	m.reach = max(m.reach, d.batch.Seq)
	d.accepted += n
	d.heard += n
	d.alone = 0
	d.waits.reset()
	m.ledger.accept(n)
	m.counts.lastSuccess = now
	m.pause.since = time.Time{}
	m.pause.waits.reset()
	if m.hold.active && !m.late {
		// The destination lives: the next probe need not wait. What was on its way
		// when the hold began says nothing of what is wrong since.
		m.hold.at = now
	}
	if len(d.pieces) == 0 {
		m.hold.delivered()
	}
}

// passed goes on after a probe that was accepted: a larger one, or the end of
// the hold.
func (m *machine) passed(now time.Time, a *attempt) {
	if !m.hold.active || !a.probe {
		return
	}
	rest := m.hold.size == 0
	m.hold.passed(now)
	if rest || len(a.d.pieces) == 0 && len(a.d.suspects) == 0 {
		since, cause := m.hold.since, m.hold.cause
		m.hold.end()
		m.eff.tell(Event{Kind: Recovered, Since: since, Cause: cause, Batch: a.body.ID})
	}
}

// partial sorts the items of a _bulk answer.
func (m *machine) partial(now time.Time, a *attempt, v sinks.Verdict) {
	d, p := a.d, a.piece
	var retry, refused, suspects []int32
	retryable, poisonable := false, true
	var retryCause, refusedCause Cause
	causes := map[int32]Cause{}
	for _, it := range v.Items {
		item := int32(p.at(it.Index)) //nolint:gosec // below maxSessions
		switch it.Kind {
		case sinks.Throttled, sinks.Retryable:
			retry = append(retry, item)
			retryable = retryable || it.Kind == sinks.Retryable
			poisonable = poisonable && it.Status >= 500 && it.Status != http.StatusServiceUnavailable
			retryCause = causeOfItem(it)
		case sinks.Suspect:
			suspects = append(suspects, item)
			causes[item] = causeOfItem(it)
		default:
			refused = append(refused, item)
			refusedCause = causeOfItem(it)
		}
	}
	m.deliver(now, d, p, v.Items)
	if len(suspects) == p.len() && p.len() >= loneMost {
		d.heard = 0 // all at once: what was accepted before proves nothing about now
	}
	believed := m.rejectSessions(d, suspects, len(v.Items) < p.len(), func(i int32) Cause { return causes[i] })
	if len(refused) == 0 && len(retry) == 0 && believed {
		if len(suspects) < p.len() {
			m.passed(now, a) // what it could accept it accepted
		} else if a.probe {
			m.probeRefused(now, a, suspects, causes[suspects[0]])
		}
		return
	}
	if len(retry) > 0 {
		again := pieceOf(retry)
		again.failed, again.mark, again.isolating = p.failed, p.mark, p.isolating
		switch {
		case m.policy == Hold && (len(refused) > 0 || !believed):
			d.push(again) // the hold that follows repeats them
		case retryable:
			m.retry(now, a, again, retryCause, poisonable)
		default:
			m.throttle(now, a, again, retryCause, v.RetryAfter)
		}
	}
	if len(refused) > 0 {
		m.fail(now, d, pieceOf(refused), refusedCause, 0)
	} else if !believed {
		m.tooMany(now, d, causes[suspects[0]])
	}
}

// tooMany holds because more sessions would have been given up than may be.
func (m *machine) tooMany(now time.Time, d *delivery, c Cause) {
	c.Text = "more than a fifth of the last 1,000 sessions would have been given up: " + c.Text
	m.blame(now, d, c, len(d.suspects), 0)
	if m.policy == DeadLetter {
		items := d.suspects
		d.suspects = nil
		m.give(d, items, "rejected", func(i int32) Cause { return d.past[i].cause })
	}
}

// retry repeats a piece after a wait, up to maxRetries times.
func (m *machine) retry(now time.Time, a *attempt, p piece, c Cause, poisonable bool) {
	d := a.d
	if m.hold.active {
		if poisonable && p.len() == 1 {
			m.failedAlone(d, p.at(0), c)
		} else {
			d.push(p)
		}
		m.putOff(now, a, c, 0)
		return
	}
	if p.isolating && poisonable && d.accepted+int(m.ledger.accepted-p.mark) > 0 && p.len() > 1 && d.isolation < isolateMost { //nolint:gosec // small
		m.halve(d, p)
		return
	}
	if p.isolating && poisonable && p.len() == 1 {
		m.failedAlone(d, p.at(0), c)
		return
	}
	if p.failed++; p.failed == 1 {
		p.mark = m.ledger.accepted
		d.waits.reset()
	}
	if p.failed <= m.maxRetries {
		wait := d.waits.next()
		p.after = now.Add(wait)
		d.push(p)
		m.counts.Retries++
		m.eff.tell(Event{Kind: Retry, Cause: c, Batch: a.body.ID, Sessions: p.len(), Attempt: p.failed, Wait: wait})
		return
	}
	if poisonable && m.ledger.since(p.mark) {
		// Others got through meanwhile: something in this piece is poison.
		p.isolating = true
		if p.len() == 1 {
			m.failedAlone(d, p.at(0), c)
			return
		}
		m.halve(d, p)
		return
	}
	m.fail(now, d, p, c, 0)
}

// throttle pauses the sink; the piece was not an attempt.
func (m *machine) throttle(now time.Time, a *attempt, p piece, c Cause, retryAfter time.Duration) {
	retryAfter = min(retryAfter, pauseMost)
	if m.hold.active {
		a.d.push(p)
		m.putOff(now, a, c, retryAfter)
		return
	}
	if m.pause.since.IsZero() {
		m.pause.since = now
	}
	m.pause.cause = c
	if !now.Before(m.pause.overdue()) {
		m.pause.since = time.Time{}
		m.fail(now, a.d, p, c, retryAfter)
		return
	}
	wait := max(m.pause.waits.next(), retryAfter)
	if until := now.Add(wait); until.After(m.pause.until) {
		m.pause.until = until
	}
	a.d.push(p)
	m.eff.tell(Event{Kind: Throttling, Cause: c, Batch: a.body.ID, Sessions: p.len(), Wait: wait})
}

// tooLarge halves a piece that the destination found too large, and remembers
// what it takes.
func (m *machine) tooLarge(now time.Time, a *attempt, v sinks.Verdict) {
	d, p := a.d, a.piece
	if p.len() > 1 {
		if limit := len(a.body.Bytes) / 2; limit < m.batcher.Limit() {
			m.batcher.SetLimit(limit)
			m.eff.tell(Event{Kind: LimitLearned, Bytes: limit, Cause: causeOf(v)})
		}
		m.raiseAt = now.Add(limitRaisedAfter)
		p.isolating = false // the size is at fault, not a session: it costs nothing of the budget
		m.halve(d, p)
		if a.probe {
			m.hold.at = now
		}
		return
	}
	m.refuseAlone(now, a, v)
}

// limitRaisedAfter is how long a learned byte limit stays before it is raised.
const limitRaisedAfter = time.Hour

func (m *machine) raiseLimit(now time.Time) {
	full := m.limits.Bytes
	m.batcher.SetLimit(min(2*m.batcher.Limit(), full))
	m.raiseAt = time.Time{}
	if m.batcher.Limit() < full {
		m.raiseAt = now.Add(limitRaisedAfter)
	}
}

// isolate halves what the destination calls a bad request until the offending
// sessions stand alone.
func (m *machine) isolate(now time.Time, a *attempt, v sinks.Verdict) {
	d, p := a.d, a.piece
	if !p.isolating {
		d.heard = 0 // what was accepted before proves nothing about now
	}
	if p.len() == 1 {
		m.refuseAlone(now, a, v)
		return
	}
	if d.isolation >= isolateMost {
		m.fail(now, d, p, causeOf(v), 0)
		return
	}
	p.isolating = true
	m.halve(d, p)
	if a.probe {
		if d.accepted == 0 {
			m.putOff(now, a, causeOf(v), 0)
		} else {
			m.hold.at = now
		}
	}
}

// refuseAlone decides on a single session that the destination refused.
func (m *machine) refuseAlone(now time.Time, a *attempt, v sinks.Verdict) {
	d, c := a.d, causeOf(v)
	item := int32(a.piece.at(0)) //nolint:gosec // below maxSessions
	d.alone++
	if !m.rejectSessions(d, []int32{item}, false, func(int32) Cause { return c }) {
		m.tooMany(now, d, c)
		return
	}
	switch {
	case a.probe:
		m.probeRefused(now, a, []int32{item}, c)
	case d.alone >= loneMost && len(d.pieces) > 0:
		// Nobody is accepted, one after the other: it is not the sessions.
		p := d.pieces[0]
		d.pieces = d.pieces[1:]
		m.fail(now, d, p, c, 0)
	}
}

// probeRefused goes on with a hold after a probe whose sessions were all
// refused: put off, unless they were given up, for which there was a witness.
func (m *machine) probeRefused(now time.Time, a *attempt, items []int32, c Cause) {
	d := a.d
	for _, i := range items {
		if _, kept := slices.BinarySearch(d.suspects, i); kept {
			m.putOff(now, a, c, 0)
			return
		}
	}
	m.hold.at = now
	if len(d.pieces) == 0 && len(d.suspects) == 0 {
		m.passed(now, a)
	}
}

// halve puts both halves of a piece in front.
func (m *machine) halve(d *delivery, p piece) {
	x, y := p.split(p.len() / 2)
	x.mark, y.mark = p.mark, p.mark
	d.push(x, y)
}

// fail applies the failure policy to a piece whose retries are used up or are
// no use.
func (m *machine) fail(now time.Time, d *delivery, p piece, c Cause, atLeast time.Duration) {
	switch m.policy {
	case Hold:
		p.failed, p.fresh, p.after = 0, false, time.Time{}
		d.push(p)
	default:
		var items []int32
		p.all(func(i int) { items = append(items, int32(i)) }) //nolint:gosec // below maxSessions
		m.give(d, items, "undelivered", func(int32) Cause { return c })
	}
	m.blame(now, d, c, p.len(), atLeast)
}

package consumer

import (
	"context"
	"errors"
	"time"
)

// reset moves partitions whose position is not in the log to the log's start,
// which real brokers do not name in their refusal.
func (r *reader) reset(ctx context.Context, strange []wanted) {
	m := r.m
	ids := make([]int32, 0, len(strange))
	for _, w := range strange {
		ids = append(ids, w.part.claim.Partition)
	}
	starts, err := m.listOffsets(ctx, ids, timeEarliest, false)
	var ends map[int32]int64
	if err == nil {
		ends, err = m.listOffsets(ctx, ids, timeLatest, false)
	}
	for _, w := range strange {
		id := w.part.claim.Partition
		if err != nil {
			m.mu.Lock()
			w.part.trouble, w.part.resumeAt = err, time.Now().Add(min(500*time.Millisecond, m.o.RetryInterval))
			m.mu.Unlock()
			continue
		}
		r.resetTo(ctx, w, starts[id], ends[id])
	}
}

func (r *reader) resetTo(ctx context.Context, w wanted, start, end int64) {
	m := r.m
	var empty *handing
	var lost []Claim
	m.mu.Lock()
	p := w.part
	if m.owned[p.claim.Partition] != p || p.revoked || p.position != w.offset || p.reading != w.reading {
		m.mu.Unlock()
		return
	}
	if w.offset >= start && w.offset <= end {
		// Whoever refused did not know the whole log.
		p.resumeAt = time.Now().Add(min(200*time.Millisecond, m.o.RetryInterval))
		m.mu.Unlock()
		return
	}
	m.count.outOfRange.Add(1)
	n := Notice{
		Kind: NoticeOutOfRange, Partition: p.claim.Partition, Offset: w.offset, Skipped: start - w.offset,
		Err: errors.New("the position is before the log's start: records were deleted before they were read"),
	}
	if w.offset > end {
		// The log is another one. Its offsets begin anew, so what is on its way
		// must not be marked: a new ownership.
		n.Err = errors.New("the position is past the log's end: the topic was created anew, or its newest records were lost")
		lost = []Claim{p.claim}
		m.dropLocked(lost)
		p = m.claimLocked(p.claim.Partition)
		p.leader, p.marked = w.part.leader, start // the group's offset is worthless: the new one is committed soon
	} else {
		m.count.skipped.Add(n.Skipped)
		// An empty fetch moves the reader's own position on.
		empty = &handing{part: p, fetch: &Fetch{claim: p.claim, reading: p.reading, next: start, end: start, high: end}}
		p.handing++
	}
	p.position, p.logStart, p.high, p.watermarkAt = start, start, end, time.Now()
	m.mu.Unlock()
	m.log.Error("position is out of range; reading goes on at the log's start",
		"partition", n.Partition, "offset", n.Offset, "start", start, "end", end)
	if len(lost) > 0 {
		m.o.Lost(lost)
	}
	m.notice(n)
	if empty != nil {
		r.handOff(ctx, *empty)
	}
}

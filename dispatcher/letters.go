package dispatcher

import (
	"time"

	"sessionexport/deadletter"
	"sessionexport/session"
)

// Bounds of the dead letters that wait to be written.
const (
	lettersAtOnce   = 500     // letters of one write
	lettersWaiting  = 2000    // beyond that no record is read
	letterBytesMost = 4 << 20 // bytes of one write, unless one letter alone is larger; half of what may wait
)

// letterJob is one dead letter on its way to be durable.
type letterJob struct {
	letter deadletter.Letter
	d      *delivery // of which it was a session; nil: a record that never was in a batch
	owner  uint64    // its own stretch of the prefix, without a delivery
	pos    session.Position
}

// letterBox writes dead letters, one write at a time. A write that fails is
// tried again, growing waits between, and until it succeeds the sink holds:
// nothing behind the letter can be committed.
type letterBox struct {
	waiting []letterJob
	writing []letterJob
	bytes   int // of waiting and writing
	trouble bool
	since   time.Time
	retry   time.Time
	err     error
	waits   waits
	owners  uint64
}

// recordOwner marks the owners of letters that never were in a batch; batches
// count from 1.
const recordOwner = 1 << 63

func (b *letterBox) add(j letterJob) {
	b.waiting = append(b.waiting, j)
	b.bytes += len(j.letter.Body)
}

func (b *letterBox) full() bool {
	return b.trouble || len(b.waiting)+len(b.writing) >= lettersWaiting || b.bytes >= 2*letterBytesMost
}

// flush starts a write when one is wanted and none is on its way.
func (b *letterBox) flush(now time.Time, eff effects) {
	if len(b.writing) > 0 || len(b.waiting) == 0 || b.trouble && now.Before(b.retry) {
		return
	}
	n, size := 0, 0
	for n < len(b.waiting) && n < lettersAtOnce && (n == 0 || size+len(b.waiting[n].letter.Body) <= letterBytesMost) {
		size += len(b.waiting[n].letter.Body)
		n++
	}
	b.writing = append(b.writing, b.waiting[:n]...)
	left := copy(b.waiting, b.waiting[n:])
	clear(b.waiting[left:])
	b.waiting = b.waiting[:left]
	ls := make([]deadletter.Letter, n)
	for i, j := range b.writing {
		ls[i] = j.letter
	}
	eff.write(ls)
}

// at is when flush has something to do without an event.
func (b *letterBox) at() time.Time {
	if b.trouble && len(b.writing) == 0 && len(b.waiting) > 0 {
		return b.retry
	}
	return time.Time{}
}

// cut drops letters of sessions that drop names, but for those being written.
func (b *letterBox) cut(drop func(session.Position) bool, dropped func(letterJob)) {
	left := b.waiting[:0]
	for _, j := range b.waiting {
		if !drop(j.pos) {
			left = append(left, j)
			continue
		}
		b.bytes -= len(j.letter.Body)
		if j.d != nil {
			j.d.letters--
		}
		dropped(j)
	}
	clear(b.waiting[len(left):])
	b.waiting = left
	if len(b.waiting) == 0 && len(b.writing) == 0 {
		b.trouble = false
	}
}

// writes tells whether a letter that of names is being written.
func (b *letterBox) writes(of func(session.Position) bool) bool {
	for _, j := range b.writing {
		if of(j.pos) {
			return true
		}
	}
	return false
}

// written takes what became of a write of dead letters: on nil every letter of
// it is durable.
func (m *machine) written(now time.Time, err error) {
	b := &m.letters
	jobs := b.writing
	b.writing = nil
	if err != nil {
		b.waiting = append(jobs, b.waiting...)
		if !b.trouble {
			b.trouble, b.since = true, now
			b.waits.reset()
		}
		b.err = err
		wait := b.waits.next()
		b.retry = now.Add(wait)
		m.counts.LetterFailures++
		m.eff.tell(Event{Kind: LettersFailed, Sessions: len(b.waiting), Wait: wait, Since: b.since,
			Cause: Cause{Reason: "dead_letters", Text: err.Error()}})
	} else {
		b.trouble, b.err = false, nil
		for _, j := range jobs {
			b.bytes -= len(j.letter.Body)
			m.counts.partition(j.pos.Partition).DeadLetters++
			if j.d != nil {
				j.d.letters--
			} else {
				m.prefix.finish(j.owner, m.eff.mark)
			}
		}
	}
	m.cut()
	m.finish()
	if err == nil { // durable, marked, told: in this order
		m.eff.tell(Event{Kind: LettersStored, Sessions: len(jobs), Cause: Cause{Reason: jobs[0].letter.Reason, Text: jobs[0].letter.Error}})
	}
	m.tick(now)
}

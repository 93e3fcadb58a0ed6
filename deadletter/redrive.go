package deadletter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"sessionexport/consumer"
)

const (
	// redriveAtOnce and redriveBytes bound the letters that are read ahead.
	redriveAtOnce = 256
	redriveBytes  = 4 << 20

	// tombstonesAtOnce is how many letters one write ends.
	tombstonesAtOnce = 500
	// tombstonesFor is how long one such write may take.
	tombstonesFor = time.Minute
)

// RedriveOptions make a Redrive.
type RedriveOptions struct {
	Topic   *Topic
	Letters *Snapshot              // of one sink
	InScope func(body []byte) bool // letters that it denies stay as they are; nil: all are in scope
}

// RedriveCounts tell what became of the chosen letters.
type RedriveCounts struct {
	Chosen      int64
	Delivered   int64 // and their letters are gone
	Again       int64 // failed again: the letter is written anew, with its history
	OutOfScope  int64 // stays
	WithoutBody int64 // stays: there is nothing to send
	Unreadable  int64 // stays
}

// Left is how many letters nothing was decided on.
func (c RedriveCounts) Left() int64 {
	return c.Chosen - c.Delivered - c.Again - c.OutOfScope - c.WithoutBody - c.Unreadable
}

// Redrive feeds a pipeline with letters, as its source and as its store of dead
// letters:
//
//	topic ──▶ Run ──▶ Fetches ──▶ pipeline ──▶ endpoint
//	  ▲                              │
//	  ├── merged with its history ◀──┤ Write: failed again
//	  └── tombstone ◀── Run ◀────────┘ Mark: finished; delivered unless written
//
// The pipeline sees a letter at the position that it has in the topic of the
// letters. A letter ends only after the endpoint accepted it, so a process that
// dies between the two sends it once more when it is redriven again.
type Redrive struct {
	o       RedriveOptions
	fetches chan *consumer.Fetch
	wake    chan struct{}

	mu     sync.Mutex
	out    map[int32][]*handed // by partition, in the order of their offsets
	ended  []string            // keys of delivered letters that are no tombstones yet
	read   bool                // all letters were handed out
	counts RedriveCounts
	bare   []Source // where the first sessions are whose letters have no body
}

// handed is a letter, without its body, that the pipeline has.
type handed struct {
	offset int64
	letter Letter
	again  bool // written anew
}

// bareMost is how many letters without a body are named one by one.
const bareMost = 20

// NewRedrive returns a redrive that reads nothing before Run.
func NewRedrive(o RedriveOptions) *Redrive {
	return &Redrive{
		o: o, fetches: make(chan *consumer.Fetch), wake: make(chan struct{}, 1), out: map[int32][]*handed{},
		counts: RedriveCounts{Chosen: o.Letters.Letters()},
	}
}

// Fetches is where the pipeline gets its records from.
func (r *Redrive) Fetches() <-chan *consumer.Fetch { return r.fetches }

// Counts is what has become of the letters until now.
func (r *Redrive) Counts() RedriveCounts {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts
}

// Bare names the sessions, the first 20, whose letters have no body.
func (r *Redrive) Bare() []Source {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.bare)
}

// Run hands out the letters and returns when all of them are decided on, or
// with the error of reading or ending letters, or of ctx. Afterwards Flush ends
// what the pipeline finished since.
func (r *Redrive) Run(ctx context.Context) error {
	reading, stop := context.WithCancel(ctx)
	var failed error
	read := make(chan struct{})
	go func() {
		defer close(read)
		failed = r.hand(reading)
	}()
	defer func() {
		stop()
		<-read
	}()
	for news := read; ; {
		if err := r.end(ctx); err != nil {
			return err
		}
		if r.finished() {
			return nil
		}
		select {
		case <-r.wake:
		case <-news:
			if failed != nil {
				return failed
			}
			r.mu.Lock()
			r.read = true
			r.mu.Unlock()
			news = nil // it is closed: told once is enough
		case <-ctx.Done():
			return fmt.Errorf("redriving dead letters: %w", ctx.Err())
		}
	}
}

func (r *Redrive) finished() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.read || len(r.ended) > 0 {
		return false
	}
	for _, all := range r.out {
		if len(all) > 0 {
			return false
		}
	}
	return true
}

// Flush ends the letters that were delivered and are not ended yet. It is called
// once the pipeline has stopped.
func (r *Redrive) Flush(ctx context.Context) error { return r.end(ctx) }

// end writes the tombstones that are due. A write that began is not cut short
// by ctx: what it ends was delivered.
func (r *Redrive) end(ctx context.Context) error {
	for {
		r.mu.Lock()
		keys := slices.Clone(r.ended[:min(len(r.ended), tombstonesAtOnce)])
		r.mu.Unlock()
		if len(keys) == 0 {
			return nil
		}
		write, cancel := context.WithTimeout(context.WithoutCancel(ctx), tombstonesFor)
		err := r.o.Topic.Tombstone(write, keys...)
		cancel()
		if err != nil {
			return fmt.Errorf("ending %d letters that were delivered: %w", len(keys), err)
		}
		r.mu.Lock()
		r.ended = slices.Delete(r.ended, 0, len(keys))
		r.counts.Delivered += int64(len(keys))
		r.mu.Unlock()
	}
}

// hand reads the letters and gives those that can be sent to the pipeline.
func (r *Redrive) hand(ctx context.Context) error {
	var next load
	give := func() error {
		if len(next.records) == 0 {
			return nil
		}
		r.mu.Lock()
		r.out[next.partition] = append(r.out[next.partition], next.letters...)
		r.mu.Unlock()
		last := next.records[len(next.records)-1].Offset
		f := consumer.FetchOf(consumer.Claim{Partition: next.partition, Epoch: 1}, next.records, last+1)
		next = load{}
		select {
		case r.fetches <- f:
			return nil
		case <-ctx.Done():
			f.Release()
			return fmt.Errorf("handing out dead letters: %w", ctx.Err())
		}
	}
	err := r.o.Letters.Each(ctx, nil, func(at At, l *Letter, err error) error {
		if !r.sendable(l, err) {
			return nil
		}
		if at.Partition != next.partition || len(next.records) >= redriveAtOnce || next.bytes >= redriveBytes {
			if err := give(); err != nil {
				return err
			}
		}
		next.add(at, l)
		return nil
	})
	if err != nil {
		return err
	}
	return give()
}

// load is letters of one partition on their way to the pipeline.
type load struct {
	partition int32
	records   []consumer.Record
	letters   []*handed
	bytes     int
}

func (n *load) add(at At, l *Letter) {
	n.partition = at.Partition
	n.bytes += len(l.Body)
	n.records = append(n.records, consumer.Record{Value: l.Body, Offset: at.Offset, Timestamp: l.Source.Timestamp.UnixMilli()})
	h := &handed{offset: at.Offset, letter: *l}
	h.letter.Body = nil
	n.letters = append(n.letters, h)
}

// sendable counts the letters that stay as they are.
func (r *Redrive) sendable(l *Letter, err error) bool {
	out := err == nil && !l.BodyOmitted && r.o.InScope != nil && !r.o.InScope(l.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err != nil:
		r.counts.Unreadable++
	case l.BodyOmitted:
		r.counts.WithoutBody++
		if len(r.bare) < bareMost {
			r.bare = append(r.bare, l.Source)
		}
	case out:
		r.counts.OutOfScope++
	default:
		return true
	}
	return false
}

// Mark is told by the pipeline that everything below next is finished.
func (r *Redrive) Mark(c consumer.Claim, next int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.out[c.Partition]
	n := 0
	for n < len(all) && all[n].offset < next {
		if !all[n].again {
			r.ended = append(r.ended, all[n].letter.ID().String())
		}
		n++
	}
	r.out[c.Partition] = slices.Delete(all, 0, n)
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// errNotHanded cannot be: a pipeline gives up only what it was given.
var errNotHanded = errors.New("a letter was given up that was not handed out")

// Write takes the letters that failed again and writes them with their
// history. The error is of type *Error, or the context's.
func (r *Redrive) Write(ctx context.Context, failed []Letter) error {
	merged := make([]Letter, len(failed))
	letters := make([]*handed, len(failed))
	r.mu.Lock()
	for i := range failed {
		l := &failed[i]
		all := r.out[l.Source.Partition]
		at, found := slices.BinarySearchFunc(all, l.Source.Offset, func(h *handed, offset int64) int {
			return int(min(max(h.offset-offset, -1), 1))
		})
		if !found {
			r.mu.Unlock()
			return &Error{Kind: Refused, Topic: r.o.Topic.Name(), Doing: "writing dead letters again", Err: errNotHanded}
		}
		letters[i] = all[at]
		merged[i] = again(&letters[i].letter, l)
	}
	r.mu.Unlock()
	if err := r.o.Topic.Write(ctx, merged); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, h := range letters {
		if !h.again {
			h.again = true
			r.counts.Again++
		}
	}
	return nil
}

const (
	undelivered = "undelivered" // the kind of a letter for which the destination is to blame
	sentAgain   = "; sent again: "
)

// again merges a letter with what became of it when it was sent again: the
// attempts add up and the first one stays. When the destination is to blame
// this time, what was found wrong with the session before still holds.
func again(old, now *Letter) Letter {
	l := *now
	l.Source, l.Session = old.Source, old.Session
	l.Attempts += old.Attempts
	if !old.First.IsZero() {
		l.First = old.First
	}
	if now.Last.IsZero() {
		l.Last = old.Last
	}
	if now.Kind == undelivered && old.Kind != undelivered {
		l.Kind, l.Reason, l.Status = old.Kind, old.Reason, old.Status
		before, _, _ := strings.Cut(old.Error, sentAgain)
		l.Error = cut(before, maxError/2) + sentAgain + now.Error
	}
	return l
}

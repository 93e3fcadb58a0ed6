package trial

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"sessionexport/consumer"
	"sessionexport/session"
)

const (
	// DefaultCount is how many sessions are sent or shown; reference: up to 50
	// user sessions.
	DefaultCount = 50
	// DefaultWindow is how old they may be; reference: the last seven days.
	DefaultWindow = 7 * 24 * time.Hour

	// DefaultRecords bounds what a search reads: it takes seconds, however long
	// the topic is and however rare the sessions in scope.
	DefaultRecords = 100_000
	// DefaultBytes bounds what it fetches.
	DefaultBytes = 64 << 20
)

const (
	firstChunk = 16      // records of a partition that are read first
	growth     = 4       // by which each further chunk is larger
	chunkBytes = 8 << 20 // that a chunk should not exceed, by the sizes seen so far
	readers    = 4       // partitions that are read at once
	keptBytes  = 64 << 20

	// slack is by how much the clocks of those who made a session and those who
	// wrote its record may differ, and how long a session may have lasted
	// before it was written.
	slack = 24 * time.Hour
)

// Log is a topic that can be looked into; a consumer.Topic is one.
type Log interface {
	Extents(ctx context.Context) ([]consumer.Extent, error)
	OffsetsAt(ctx context.Context, when time.Time) (map[int32]int64, error)
	Read(ctx context.Context, partition int32, from, to int64, each func(*consumer.Record) bool) (consumer.Stretch, error)
}

// SearchOptions say which sessions are wanted. Log must be set.
type SearchOptions struct {
	Log     Log
	Scope   session.Applications // nil: every session
	From    time.Time            // start times not before
	To      time.Time            // and before
	Count   int                  // most sessions; default DefaultCount
	Records int                  // to read at most; default DefaultRecords
	Bytes   int64                // to fetch at most; default DefaultBytes
	Now     time.Time            // a To well before it is looked for by the records' time
}

// Sample is one session that was found.
type Sample struct {
	Value     []byte
	StartTime int64 // milliseconds since 1970
	Pos       session.Position
	Timestamp int64 // of its record, milliseconds since 1970
}

// Looked is how far a search looked.
type Looked struct {
	From        time.Time `json:"from"` // start times not before
	To          time.Time `json:"to"`   // and before
	Partitions  int       `json:"partitions"`
	Records     int       `json:"records"`
	Bytes       int64     `json:"bytes"`            // fetched, before they were unpacked
	OutOfScope  int       `json:"outOfScope"`       // sessions of other applications
	OutOfWindow int       `json:"outOfWindow"`      // sessions that started earlier, later or at no time
	Latest      time.Time `json:"latest,omitzero"`  // start time of the latest of those
	Malformed   int       `json:"malformed"`        // records that are no sessions
	TooLarge    int       `json:"tooLarge"`         // records larger than the largest session
	Oldest      time.Time `json:"oldest,omitzero"`  // timestamp of the oldest record that was looked at
	Cut         bool      `json:"cut"`              // the bounds below ended the search
	MostRecords int       `json:"mostRecords"`      // that are read
	MostBytes   int64     `json:"mostBytes"`        // that are fetched
	Unread      []string  `json:"unread,omitempty"` // what could not be read, and why
}

// Search finds the newest sessions in scope, judged by their own start times:
// newest first. It walks from the end of each partition backwards, in growing
// chunks, until no record that is older can hold a newer session, or until its
// bounds are reached. The error is that of a topic that cannot be read at all.
func Search(ctx context.Context, o SearchOptions) ([]Sample, Looked, error) {
	if o.Count <= 0 {
		o.Count = DefaultCount
	}
	if o.Records <= 0 {
		o.Records = DefaultRecords
	}
	if o.Bytes <= 0 {
		o.Bytes = DefaultBytes
	}
	s := &search{o: o, newest: newest{most: o.Count, bytes: keptBytes}}
	s.looked = Looked{From: o.From.UTC(), To: o.To.UTC(), MostRecords: o.Records, MostBytes: o.Bytes}
	walks, err := s.begin(ctx)
	if err != nil {
		return nil, s.looked, fmt.Errorf("looking for sessions: %w", err)
	}
	s.looked.Partitions = len(walks)
	err = s.run(ctx, walks)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, s.looked, fmt.Errorf("looking for sessions: %w", err)
	}
	slices.Sort(s.looked.Unread)
	return s.newest.sorted(), s.looked, nil
}

// search is one walk through the topic.
type search struct {
	o SearchOptions

	mu       sync.Mutex
	newest   newest
	looked   Looked
	reserved int   // records that chunks under way may read
	failed   error // the latest of a partition
}

// walk is how far one partition was looked at: everything from at on.
//
//	start ─────────── low ──────────── at ═══════════ high
//	                   │ not wanted     │ looked at
type walk struct {
	partition int32
	low, at   int64
	size      int64 // of the next chunk, records
	earliest  int64 // timestamp in the latest chunk, milliseconds; 0: unknown
	average   int64 // bytes of a record seen so far
	done      bool
}

// begin finds the part of each partition that may hold what is wanted.
func (s *search) begin(ctx context.Context) ([]*walk, error) {
	extents, err := s.o.Log.Extents(ctx)
	if err != nil {
		return nil, err
	}
	// A session is written after it began.
	lows, err := s.o.Log.OffsetsAt(ctx, s.o.From.Add(-slack))
	if err != nil {
		return nil, err
	}
	var highs map[int32]int64
	if limit := s.o.To.Add(slack); limit.Before(s.o.Now) {
		if highs, err = s.o.Log.OffsetsAt(ctx, limit); err != nil {
			return nil, err
		}
	}
	walks := make([]*walk, 0, len(extents))
	for _, e := range extents {
		w := &walk{partition: e.Partition, low: e.Start, at: e.End, size: firstChunk}
		if high, ok := highs[e.Partition]; ok && high >= 0 {
			w.at = min(w.at, high)
		}
		// Without an offset no record is so young by its timestamp, and perhaps
		// the timestamps are wrong: then only the bounds limit the search.
		if low := lows[e.Partition]; low >= 0 {
			w.low = min(max(w.low, low), w.at)
		}
		w.done = w.at <= w.low
		walks = append(walks, w)
	}
	return walks, nil
}

// run reads chunk after chunk, a round over the partitions at a time.
func (s *search) run(ctx context.Context, walks []*walk) error {
	for {
		s.settle(walks)
		var open []*walk
		for _, w := range walks {
			if !w.done {
				open = append(open, w)
			}
		}
		if len(open) == 0 || ctx.Err() != nil {
			break
		}
		if s.spent() {
			s.looked.Cut = true
			break
		}
		share := max(int64((s.o.Records-s.looked.Records)/len(open)), 1)
		var g errgroup.Group
		g.SetLimit(readers)
		for _, w := range open {
			g.Go(func() error { s.chunk(ctx, w, share); return nil })
		}
		_ = g.Wait() // chunk keeps its errors
	}
	if s.failed != nil && s.looked.Records == 0 {
		return s.failed
	}
	return nil
}

// settle ends the walks that cannot find anything newer: with all places taken,
// a record that was written before the oldest of the found sessions began
// cannot hold one that began later.
func (s *search) settle(walks []*walk) {
	bar, full := s.newest.bar()
	for _, w := range walks {
		if full && w.earliest != 0 && w.earliest < bar {
			w.done = true
		}
	}
}

func (s *search) spent() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.looked.Records >= s.o.Records || s.looked.Bytes >= s.o.Bytes
}

// reserve returns how many records a chunk may read; 0 when the bounds are
// reached.
func (s *search) reserve(size int64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	size = min(size, int64(s.o.Records-s.looked.Records-s.reserved))
	if size <= 0 || s.looked.Bytes >= s.o.Bytes {
		return 0
	}
	s.reserved += int(size)
	return size
}

// chunk reads the next piece of a partition, at most so many records.
func (s *search) chunk(ctx context.Context, w *walk, most int64) {
	size := min(w.size, w.at-w.low, most)
	if w.average > 0 {
		size = max(min(size, chunkBytes/w.average), 1)
	}
	if size = s.reserve(size); size == 0 {
		return
	}
	from := w.at - size
	var c chunkCount
	scanner := new(session.Scanner)
	stretch, err := s.o.Log.Read(ctx, w.partition, from, w.at, func(r *consumer.Record) bool {
		s.look(scanner, w.partition, r, &c)
		return true
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reserved -= int(size)
	s.looked.Bytes += stretch.Bytes
	c.addTo(&s.looked)
	if err != nil && ctx.Err() == nil {
		s.failed = err
		s.looked.Unread = append(s.looked.Unread, err.Error())
		w.done = true
		return
	}
	w.at = min(stretch.From, from)
	w.size *= growth
	w.earliest = c.earliest
	if c.records > 0 {
		w.average = max(c.bytes/int64(c.records), 1)
	}
	w.done = w.at <= w.low
}

// chunkCount is what one chunk held.
type chunkCount struct {
	records, outOfScope, outOfWindow, malformed, tooLarge int

	bytes    int64
	earliest int64 // timestamp, milliseconds; 0: unknown
	latest   int64 // start time of a session out of the window, milliseconds; 0: none
}

func (c *chunkCount) addTo(l *Looked) {
	l.Records += c.records
	l.OutOfScope += c.outOfScope
	l.OutOfWindow += c.outOfWindow
	l.Malformed += c.malformed
	l.TooLarge += c.tooLarge
	if at := time.UnixMilli(c.earliest).UTC(); c.earliest > 0 && (l.Oldest.IsZero() || at.Before(l.Oldest)) {
		l.Oldest = at
	}
	if at := time.UnixMilli(c.latest).UTC(); c.latest > 0 && at.After(l.Latest) {
		l.Latest = at
	}
}

// look judges one record.
func (s *search) look(scanner *session.Scanner, partition int32, r *consumer.Record, c *chunkCount) {
	c.records++
	c.bytes += int64(len(r.Value))
	if r.Timestamp > 0 && (c.earliest == 0 || r.Timestamp < c.earliest) {
		c.earliest = r.Timestamp
	}
	if r.TooLarge > 0 {
		c.tooLarge++
		return
	}
	if r.Value == nil { // a tombstone
		return
	}
	var found session.Session
	if scanner.Scan(r.Value, s.o.Scope, &found) != nil {
		c.malformed++
		return
	}
	if !found.InScope {
		c.outOfScope++
		return
	}
	if found.Has&session.HasStartTime == 0 || found.StartTime < s.o.From.UnixMilli() || found.StartTime >= s.o.To.UnixMilli() {
		c.outOfWindow++
		c.latest = max(c.latest, found.StartTime)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.newest.add(found.Value, found.StartTime, session.Position{Partition: partition, Offset: r.Offset}, r.Timestamp)
}

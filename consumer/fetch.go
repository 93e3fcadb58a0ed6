package consumer

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
)

// Claim is one unbroken ownership of a partition. A partition that was lost
// and came back has another epoch, and what was fetched under the old claim
// can no longer be marked.
type Claim struct {
	Partition int32
	Epoch     uint32
}

// Record is one record of a topic. Its slices hold until the next call of
// Next or Release of the fetch that it came from.
type Record struct {
	Key   []byte
	Value []byte // nil is a tombstone, unless TooLarge is set
	// TooLarge is the size in bytes of a record, or of the batch it came in,
	// that is too large to be held. Value and, for a whole batch, Key are nil.
	TooLarge  int
	Offset    int64
	Timestamp int64 // milliseconds since 1970
}

// counters add up what reading met; they belong to a member.
type counters struct {
	records    atomic.Int64
	bytes      atomic.Int64 // fetched from the wire
	control    atomic.Int64 // batches
	aborted    atomic.Int64 // records
	tooLarge   atomic.Int64 // records
	outOfRange atomic.Int64
	skipped    atomic.Int64 // offsets that were deleted before they were read
	corrupt    atomic.Int64
}

// reading is one stretch of reading a partition from an offset on. It ends
// when the partition is taken away, or at a batch that cannot be read. From
// then on none of its fetches returns a record beyond its end, and none of
// them counts as read beyond it: what was handed out is contiguous whatever
// was fetched ahead.
type reading struct {
	fail    func(offset int64, err error) // reading ended here; err is nil when a fetch was given up half-read; may be nil
	count   *counters
	begin   int64       // offset
	revoked atomic.Bool // it ends wherever the reader is
	end     atomic.Int64
}

func newReading(count *counters, fail func(int64, error)) *reading {
	r := &reading{count: count, fail: fail}
	r.end.Store(math.MaxInt64)
	return r
}

func (r *reading) stop() { r.revoked.Store(true) }

// stopAt ends the reading at an offset, unless it ended before.
func (r *reading) stopAt(offset int64) {
	for {
		end := r.end.Load()
		if offset >= end || r.end.CompareAndSwap(end, offset) {
			return
		}
	}
}

// over tells whether the record at offset is beyond the end. The fetches are
// read in order, so the first one to find the reading revoked sets its end.
func (r *reading) over(offset int64) bool {
	if r.revoked.Load() {
		r.stopAt(offset)
	}
	return offset >= r.end.Load()
}

// Fetch is what one partition contributed to one answer of a broker: an
// iterator over records, which unpacks batch by batch. The fetches of a
// partition must be read in the order in which they came. A Fetch is for one
// goroutine. It must be read to its end, unless its partition is no longer
// owned.
type Fetch struct {
	reading  *reading
	answer   *buffer // shared by the fetches of an answer; nil in memory
	memory   []Record
	data     []byte  // batches that are not read yet
	open     *buffer // the unpacked records of the current batch
	aborted  []abortedTransaction
	active   []int64 // producers within an aborted transaction
	batch    batch
	cursor   cursor
	left     int   // records of the current batch
	returned int64 // records of the current batch that are not counted yet
	claim    Claim
	next     int64 // offset
	wanted   int64 // offset; records below it were read before
	end      int64 // of a fetch from memory
	unpack   int   // how far a batch may unpack, bytes
	high     int64
	kept     bool // the answer was too large to be held whole
	giant    bool // the current batch is reported without bodies
	done     bool
}

// newFetch makes a fetch of sound batches. It takes over the answer's
// reference.
func newFetch(c Claim, r *reading, answer *buffer, data []byte, wanted, high int64, aborted []abortedTransaction, kept bool) *Fetch {
	slices.SortFunc(aborted, func(a, b abortedTransaction) int { return cmp.Compare(a.first, b.first) })
	return &Fetch{
		claim: c, reading: r, answer: answer, data: data, wanted: wanted, next: wanted,
		high: high, aborted: aborted, kept: kept, unpack: maxUnpacked,
	}
}

// FetchOf returns a fetch of records that are in memory already, for tests of
// whoever reads fetches. next is where reading goes on after the last of
// them, and the high watermark.
func FetchOf(c Claim, records []Record, next int64) *Fetch {
	f := &Fetch{
		claim: c, memory: records, next: next, end: next, high: next,
		reading: newReading(new(counters), nil),
	}
	if len(records) > 0 {
		f.next = records[0].Offset
	}
	return f
}

// Claim tells whose records these are.
func (f *Fetch) Claim() Claim { return f.claim }

// HighWatermark is the offset after the newest record that all replicas have,
// as of this fetch.
func (f *Fetch) HighWatermark() int64 { return f.high }

// Position is the offset after all that was returned or passed over so far:
// records of aborted transactions, control records and holes need no
// delivery.
func (f *Fetch) Position() int64 {
	return min(f.next, f.reading.end.Load())
}

// Next reads the next record into r and tells whether there was one. The
// slices of the record before hold no longer.
func (f *Fetch) Next(r *Record) bool {
	if f.done {
		return false
	}
	if f.reading.over(f.next) {
		f.stop()
		return false
	}
	if f.answer == nil {
		return f.nextInMemory(r)
	}
	for {
		if f.left == 0 && !f.nextBatch() {
			return false
		}
		for f.left > 0 {
			f.left--
			if f.giant {
				*r = Record{Offset: f.batch.last - int64(f.left), Timestamp: f.batch.baseTime, TooLarge: f.batch.size}
			} else if !f.cursor.record(&f.batch, r) {
				f.refuse(errMalformed)
				return false
			}
			if r.Offset < f.next {
				continue // the batch began before the position
			}
			f.next = r.Offset + 1
			f.returned++
			if r.TooLarge > 0 {
				f.reading.count.tooLarge.Add(1)
			}
			return true
		}
	}
}

func (f *Fetch) nextInMemory(r *Record) bool {
	if len(f.memory) == 0 {
		f.next, f.done = f.end, true
		return false
	}
	*r = f.memory[0]
	f.memory = f.memory[1:]
	f.next = r.Offset + 1
	return true
}

// nextBatch finishes the current batch and opens the next one that has
// records to return.
func (f *Fetch) nextBatch() bool {
	for {
		f.closeBatch()
		if len(f.data) == 0 {
			f.done = true
			return false
		}
		b, rest, err := nextBatch(f.data, f.kept, true)
		if err != nil { // cannot be: the survey passed it
			f.refuse(err)
			return false
		}
		f.batch, f.data = b, rest
		if b.last < f.next || f.skip() {
			f.next = max(f.next, b.last+1)
			continue
		}
		if err := f.openBatch(); err != nil {
			f.refuse(err)
			return false
		}
		if f.left > 0 {
			return true
		}
	}
}

// skip tells whether the batch is none of the reader's business: a control
// batch or part of an aborted transaction.
func (f *Fetch) skip() bool {
	b := &f.batch
	for len(f.aborted) > 0 && f.aborted[0].first <= b.last {
		f.active = append(f.active, f.aborted[0].producer)
		f.aborted = f.aborted[1:]
	}
	if b.control() {
		f.reading.count.control.Add(1)
		if abortMarker(b) {
			f.active = slices.DeleteFunc(f.active, func(p int64) bool { return p == b.producer })
		}
		return true
	}
	if b.transactional() && slices.Contains(f.active, b.producer) {
		f.reading.count.aborted.Add(int64(b.count))
		return true
	}
	return false
}

// openBatch unpacks the batch. The records of one that is too large to be held
// are reported at its last offsets: of a compacted one the offsets are not
// known, and what matters is that none goes unreported.
func (f *Fetch) openBatch() error {
	b := &f.batch
	f.left = b.count
	if b.count == 0 {
		return nil
	}
	if b.cut {
		return f.reportWhole()
	}
	if b.codec() == codecNone {
		f.cursor.b = b.records
		return nil
	}
	open, err := decompress(b.codec(), b.records, f.unpack)
	if errors.Is(err, errTooLarge) {
		return f.reportWhole()
	}
	if err != nil {
		f.left = 0
		return err
	}
	f.open, f.cursor.b = open, open.b
	return nil
}

// reportWhole reports the records of the batch without their bodies. Its number
// of records is only a claim, so one that no producer makes is not believed.
func (f *Fetch) reportWhole() error {
	if f.batch.count > mostReported {
		f.left = 0
		return errMalformed
	}
	f.giant = true
	return nil
}

func (f *Fetch) closeBatch() {
	if f.batch.size > 0 {
		f.next = max(f.next, f.batch.last+1)
	}
	f.batch, f.left, f.giant, f.cursor.b = batch{}, 0, false, nil
	if f.returned > 0 {
		f.reading.count.records.Add(f.returned)
		f.returned = 0
	}
	if f.open != nil {
		f.open.release()
		f.open = nil
	}
}

// refuse ends the reading at the current batch: it cannot be read, and what
// was fetched after it must not be returned before it.
func (f *Fetch) refuse(err error) {
	at := f.next
	f.reading.stopAt(at)
	f.stop()
	if f.reading.fail != nil {
		f.reading.fail(at, fmt.Errorf("offset %d: %w", at, err))
	}
}

// stop closes the fetch; what is left of the batch does not count as read.
func (f *Fetch) stop() {
	f.batch.size = 0
	f.closeBatch()
	f.done = true
}

// Release gives the memory back and lets the next fetch use it. Neither the
// fetch nor its last record may be used afterwards, but Position, Claim and
// HighWatermark may.
func (f *Fetch) Release() {
	f.batch.size = 0
	f.closeBatch()
	if !f.done && f.answer != nil && !f.reading.over(f.next) {
		// What follows in later fetches is not contiguous with a half-read one:
		// the partition is read again from here.
		f.reading.stopAt(f.next)
		if f.reading.fail != nil {
			f.reading.fail(f.next, nil)
		}
	}
	f.done = true
	f.memory, f.data = nil, nil
	if f.answer != nil {
		f.answer.release()
		f.answer = nil
	}
}

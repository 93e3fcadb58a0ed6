package trial

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sessionexport/batcher"
	"sessionexport/consumer"
)

// now is the time of the searches in tests.
var now = time.UnixMilli(1_780_000_000_000).UTC()

// memory is a Log in memory: the records of each partition, by offset. Batches
// have a size, as in a topic.
type memory struct {
	partitions [][]consumer.Record
	starts     []int64
	batch      int64
	broken     map[int32]error

	mu    sync.Mutex
	reads []consumer.Stretch
}

func (m *memory) Extents(context.Context) ([]consumer.Extent, error) {
	extents := make([]consumer.Extent, len(m.partitions))
	for i, p := range m.partitions {
		extents[i] = consumer.Extent{Partition: int32(i), End: int64(len(p))}
		if i < len(m.starts) {
			extents[i].Start = m.starts[i]
		}
	}
	return extents, nil
}

func (m *memory) OffsetsAt(_ context.Context, when time.Time) (map[int32]int64, error) {
	at := map[int32]int64{}
	for i, p := range m.partitions {
		at[int32(i)] = int64(slices.IndexFunc(p, func(r consumer.Record) bool { return r.Timestamp >= when.UnixMilli() }))
	}
	return at, nil
}

func (m *memory) Read(_ context.Context, partition int32, from, to int64, each func(*consumer.Record) bool) (consumer.Stretch, error) {
	if err := m.broken[partition]; err != nil {
		return consumer.Stretch{From: from, Next: from}, err
	}
	if m.batch > 0 {
		from = from / m.batch * m.batch
	}
	s := consumer.Stretch{From: from, Next: from}
	for _, r := range m.partitions[partition][from:to] {
		s.Bytes += int64(len(r.Value))
		s.Next++
		if !each(&r) {
			break
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reads = append(m.reads, s)
	return s, nil
}

func record(offset int, start, written time.Time, application string) consumer.Record {
	return consumer.Record{
		Offset: int64(offset), Timestamp: written.UnixMilli(),
		Value: fmt.Appendf(nil, `{"tenantId":"t","userSessionId":"s%d","startTime":%d,"userActions":[{"application":%q}]}`, offset, start.UnixMilli(), application),
	}
}

// written makes n records, one a second, the last one now. Sessions last up to
// an hour.
func written(n int, seed uint64, application func(i int) string) []consumer.Record {
	r := rand.New(rand.NewPCG(seed, 1))
	all := make([]consumer.Record, n)
	for i := range all {
		at := now.Add(-time.Duration(n-1-i) * time.Second)
		all[i] = record(i, at.Add(-time.Duration(r.Int64N(int64(time.Hour)))), at, application(i))
	}
	return all
}

func shop(int) string { return "Shop" }

// newestOf is what a search has to find, found by looking at everything.
func newestOf(m *memory, count int) []int64 {
	var starts []int64
	for _, p := range m.partitions {
		for _, r := range p {
			var start int64
			if _, rest, ok := strings.Cut(string(r.Value), `"startTime":`); ok {
				_, _ = fmt.Sscan(rest[:13], &start)
			}
			if at := time.UnixMilli(start); !at.Before(now.Add(-DefaultWindow)) && at.Before(now) {
				starts = append(starts, start)
			}
		}
	}
	slices.Sort(starts)
	slices.Reverse(starts)
	return starts[:min(count, len(starts))]
}

func find(t *testing.T, m *memory, change func(*SearchOptions)) ([]Sample, Looked) {
	t.Helper()
	o := SearchOptions{Log: m, From: now.Add(-DefaultWindow), To: now, Now: now}
	if change != nil {
		change(&o)
	}
	samples, looked, err := Search(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return samples, looked
}

func starts(samples []Sample) []int64 {
	var all []int64
	for _, s := range samples {
		all = append(all, s.StartTime)
	}
	return all
}

// The newest sessions by their own start are found, whatever the order in
// which they were written.
func TestSearchFindsTheNewest(t *testing.T) {
	for name, m := range map[string]*memory{
		"one partition": {partitions: [][]consumer.Record{written(20_000, 1, shop)}},
		"several":       {partitions: [][]consumer.Record{written(9000, 2, shop), written(9000, 3, shop), written(7, 4, shop), nil}},
		"few":           {partitions: [][]consumer.Record{written(3, 5, shop), nil, written(4, 6, shop)}},
		"batches":       {partitions: [][]consumer.Record{written(9000, 7, shop), written(9000, 8, shop)}, batch: 100},
	} {
		t.Run(name, func(t *testing.T) {
			samples, looked := find(t, m, nil)
			if got, want := starts(samples), newestOf(m, DefaultCount); !slices.Equal(got, want) {
				t.Errorf("found %d: %v\nwant %d: %v", len(got), got, len(want), want)
			}
			if looked.Cut || looked.Partitions != len(m.partitions) {
				t.Errorf("looked %+v", looked)
			}
			if total := 18_000; looked.Records > total/2 && name != "few" {
				t.Errorf("%d records were read", looked.Records)
			}
		})
	}
}

// Old sessions that were written now, as by a replay, do not hide newer ones.
func TestSearchGoesByTheSessionsOwnTime(t *testing.T) {
	var all []consumer.Record
	for i := range 2000 {
		all = append(all, record(i, now.Add(-time.Duration(i)*time.Minute), now.Add(-time.Minute), "Shop"))
	}
	m := &memory{partitions: [][]consumer.Record{all}}
	samples, _ := find(t, m, nil)
	if got, want := starts(samples), newestOf(m, DefaultCount); !slices.Equal(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
}

func TestSearchKeepsToTheWindow(t *testing.T) {
	day := 24 * time.Hour
	var all []consumer.Record
	for i, age := range []time.Duration{9 * day, 8 * day, 7*day + time.Second, 7 * day, 6 * day, time.Hour, -time.Hour} {
		all = append(all, record(i, now.Add(-age), now, "Shop"))
	}
	all = append(all, consumer.Record{Offset: 7, Timestamp: now.UnixMilli(), Value: []byte(`{"startTime":"soon"}`)})
	samples, looked := find(t, &memory{partitions: [][]consumer.Record{all}}, nil)
	want := []int64{now.Add(-time.Hour).UnixMilli(), now.Add(-6 * day).UnixMilli(), now.Add(-7 * day).UnixMilli()}
	if got := starts(samples); !slices.Equal(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
	if looked.OutOfWindow != 5 || looked.Records != 8 || !looked.Latest.Equal(now.Add(time.Hour)) {
		t.Errorf("looked %+v", looked)
	}
}

// A window in the past is looked for where it was written, not from the end on.
func TestSearchOfThePast(t *testing.T) {
	var all []consumer.Record
	for i := range 10_000 { // one every ten minutes: two months
		at := now.Add(-time.Duration(10_000-i) * 10 * time.Minute)
		all = append(all, record(i, at.Add(-time.Minute), at, "Shop"))
	}
	m := &memory{partitions: [][]consumer.Record{all}}
	from, to := now.Add(-40*24*time.Hour), now.Add(-39*24*time.Hour)
	samples, looked := find(t, m, func(o *SearchOptions) { o.From, o.To, o.Count = from, to, 1000 })
	if len(samples) != 144 || looked.Records > 600 {
		t.Errorf("%d sessions, %d records were read", len(samples), looked.Records)
	}
}

// A search in a long topic ends at its bounds and says so.
func TestSearchIsBounded(t *testing.T) {
	long := written(6000, 1, func(i int) string {
		if i == 10 {
			return "Rare"
		}
		return "Shop"
	})
	m := &memory{partitions: [][]consumer.Record{long, long}}
	rare := batcher.NewZone([]string{"Rare"})
	samples, looked := find(t, m, func(o *SearchOptions) { o.Scope, o.Records = rare, 10_000 })
	if len(samples) != 0 || !looked.Cut || looked.Records != 10_000 || looked.OutOfScope != 10_000 {
		t.Errorf("%d sessions, looked %+v", len(samples), looked)
	}
	samples, looked = find(t, m, func(o *SearchOptions) { o.Scope, o.Bytes = rare, 100_000 })
	if len(samples) != 0 || !looked.Cut || looked.Bytes < 100_000 || looked.Bytes > 1_000_000 {
		t.Errorf("%d sessions, looked %+v", len(samples), looked)
	}
	if looked.Oldest.IsZero() || looked.Oldest.After(now) {
		t.Errorf("oldest %v", looked.Oldest)
	}
	samples, looked = find(t, m, func(o *SearchOptions) { o.Scope = rare })
	if len(samples) != 2 || looked.Cut || looked.MostRecords != DefaultRecords || looked.MostBytes != DefaultBytes {
		t.Errorf("%d sessions, looked %+v", len(samples), looked)
	}
}

// What is older than the window is not looked at.
func TestSearchStopsWhereTheWindowBegins(t *testing.T) {
	var all []consumer.Record
	for i := range 50_000 { // one a minute: a month
		at := now.Add(-time.Duration(50_000-i) * time.Minute)
		all = append(all, record(i, at, at, "Shop"))
	}
	samples, looked := find(t, &memory{partitions: [][]consumer.Record{all}}, func(o *SearchOptions) { o.Scope = batcher.NewZone([]string{"Rare"}) })
	if days := 8 * 24 * 60; len(samples) != 0 || looked.Cut || looked.Records != days {
		t.Errorf("%d sessions, looked %+v", len(samples), looked)
	}
}

func TestSearchCountsWhatIsNoSession(t *testing.T) {
	all := []consumer.Record{
		{Offset: 0, Timestamp: now.UnixMilli(), Value: []byte("{")},
		{Offset: 1, Timestamp: now.UnixMilli()}, // a tombstone
		{Offset: 2, Timestamp: now.UnixMilli(), TooLarge: 20 << 20},
		record(3, now.Add(-time.Minute), now, "Shop"),
	}
	samples, looked := find(t, &memory{partitions: [][]consumer.Record{all}}, nil)
	if len(samples) != 1 || looked.Malformed != 1 || looked.TooLarge != 1 || looked.Records != 4 {
		t.Errorf("%d sessions, looked %+v", len(samples), looked)
	}
}

func TestSearchWithAPartitionThatCannotBeRead(t *testing.T) {
	trouble := errors.New("checksum")
	m := &memory{partitions: [][]consumer.Record{written(10, 1, shop), written(10, 2, shop)}, broken: map[int32]error{1: trouble}}
	samples, looked := find(t, m, nil)
	if len(samples) != 10 || !slices.Equal(looked.Unread, []string{"checksum"}) {
		t.Errorf("%d sessions, looked %+v", len(samples), looked)
	}
	m.broken[0] = trouble
	if _, _, err := Search(t.Context(), SearchOptions{Log: m, From: now.Add(-DefaultWindow), To: now, Now: now}); !errors.Is(err, trouble) {
		t.Errorf("error %v", err)
	}
}

func TestSearchEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m := &memory{partitions: [][]consumer.Record{written(10, 1, shop)}}
	if _, _, err := Search(ctx, SearchOptions{Log: m, From: now.Add(-DefaultWindow), To: now, Now: now}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// Memory is bounded by bytes as well: of huge sessions fewer are kept.
func TestNewestIsBoundedInBytes(t *testing.T) {
	n := newest{most: 50, bytes: 100}
	for i := range 20 {
		n.add(make([]byte, 30), int64(i), positionOf(i), 0)
	}
	all := n.sorted()
	if len(all) != 3 || all[0].StartTime != 19 || all[2].StartTime != 17 || n.held != 90 {
		t.Errorf("%d kept, %d bytes", len(all), n.held)
	}
	n.add(make([]byte, 500), 30, positionOf(30), 0)
	if all = n.sorted(); len(all) != 1 || all[0].StartTime != 30 {
		t.Errorf("%d kept", len(all))
	}
}

package batcher

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"sessionexport/session"
)

func TestFramesAreSlices(t *testing.T) {
	f := feed(lines{head: "h:"}, Limits{Sessions: 3})
	for i := range 3 {
		f.add(numbered(i, 0))
	}
	b := f.Take()
	if got := string(b.Frames(0, 3)); got != "h:0\nh:1\nh:2\n" {
		t.Errorf("all frames %q", got)
	}
	if got := string(b.Frames(1, 3)); got != "h:1\nh:2\n" {
		t.Errorf("the last two %q", got)
	}
	if b.Frames(2, 2) != nil || b.Frames(3, 1) != nil {
		t.Error("no sessions have a frame")
	}
	it := b.Items[1]
	if got := string(b.Frame(1)); got != "h:1\n" || string(b.Body[it.Doc:it.End]) != "1\n" {
		t.Errorf("the second %q", got)
	}
}

func TestID(t *testing.T) {
	at := func(ps ...session.Position) string {
		return ID("sink", "topic", len(ps), func(i int) session.Position { return ps[i] })
	}
	p := func(partition int32, offset int64) session.Position {
		return session.Position{Partition: partition, Offset: offset}
	}
	run := at(p(0, 7), p(0, 8), p(0, 9))
	if again := at(p(0, 7), p(0, 8), p(0, 9)); run != again {
		t.Error("another attempt has another id")
	}
	if epoch := at(session.Position{Offset: 7, Epoch: 9}, p(0, 8), p(0, 9)); run != epoch {
		t.Error("the id depends on the ownership")
	}
	seen := map[string]string{run: "three"}
	for name, id := range map[string]string{
		"a half":           at(p(0, 7), p(0, 8)),
		"the other half":   at(p(0, 8), p(0, 9)),
		"a hole":           at(p(0, 7), p(0, 9)),
		"another order":    at(p(0, 9), p(0, 8), p(0, 7)),
		"another end":      at(p(0, 7), p(0, 8), p(0, 10)),
		"one longer":       at(p(0, 7), p(0, 8), p(0, 9), p(0, 10)),
		"other partition":  at(p(1, 7), p(1, 8), p(1, 9)),
		"two partitions":   at(p(0, 7), p(0, 8), p(1, 9)),
		"another sink":     ID("sink2", "topic", 3, func(i int) session.Position { return p(0, int64(7+i)) }),
		"another topic":    ID("sink", "topic2", 3, func(i int) session.Position { return p(0, int64(7+i)) }),
		"a shifted border": ID("sinkt", "opic", 3, func(i int) session.Position { return p(0, int64(7+i)) }),
		"nothing":          at(),
	} {
		if other, ok := seen[id]; ok {
			t.Errorf("%s and %s share an id", name, other)
		}
		seen[id] = name
		if len(id) != 32 || strings.Trim(id, "0123456789abcdef") != "" {
			t.Errorf("%s: %q is not 32 hex digits", name, id)
		}
	}
}

func TestCut(t *testing.T) {
	f := feed(lines{head: "h:"}, Limits{Sessions: 4})
	add := func(partition int32, i int) {
		if _, err := f.Add(f.now, numbered(i, 0), session.Position{Partition: partition, Offset: int64(i)}, int64(1000-i)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 4 {
		add(1, i) // the first batch: all of partition 1
	}
	for i := 4; i < 10; i++ {
		add(int32(i%2), i) // the second, and two sessions that wait
	}
	type gone struct {
		seq    uint64
		offset int64
	}
	var dropped []gone
	n := f.Cut(func(p session.Position) bool { return p.Partition == 1 },
		func(seq uint64, it Item) { dropped = append(dropped, gone{seq, it.Pos.Offset}) })
	want := []gone{{1, 0}, {1, 1}, {1, 2}, {1, 3}, {2, 5}, {2, 7}, {3, 9}}
	if n != len(want) || len(dropped) != len(want) {
		t.Fatalf("dropped %d: %v", n, dropped)
	}
	for i := range want {
		if dropped[i] != want[i] {
			t.Errorf("dropped %v, want %v", dropped, want)
			break
		}
	}
	if f.Ready() != 1 {
		t.Fatalf("%d batches wait, want 1: an empty one is none", f.Ready())
	}
	b := f.Take()
	if b.Seq != 2 || string(b.Body) != "h:4\nh:6\n" || string(b.Frame(1)) != "h:6\n" || string(b.Body[b.Items[1].Doc:b.Items[1].End]) != "6\n" {
		t.Errorf("batch %d is %q", b.Seq, b.Body)
	}
	if b.Oldest != 1000-6 {
		t.Errorf("its oldest timestamp is %d", b.Oldest)
	}
	if n, size, oldest := f.Filling(); n != 1 || size != 4 || oldest != 1000-8 {
		t.Errorf("%d sessions in %d bytes wait, the oldest of %d", n, size, oldest)
	}
	if n := f.Cut(func(session.Position) bool { return true }, nil); n != 1 || !f.Deadline().IsZero() {
		t.Errorf("dropped %d, due at %v", n, f.Deadline())
	}
	add(0, 11)
	if _, _, oldest := f.Filling(); oldest != 1000-11 {
		t.Errorf("the oldest is %d after everything was cut", oldest)
	}
}

func TestRecycling(t *testing.T) {
	b := New(lines{}, Limits{Sessions: 1, Bytes: 5000}, 1)
	send := func(n int) *Batch {
		if _, err := b.Add(began, sized(n), session.Position{}, 0); err != nil {
			t.Fatal(err)
		}
		return b.Take()
	}
	huge := send(100_000)
	b.Recycle(huge)
	if len(b.free) != 0 {
		t.Error("the memory of a huge body is kept")
	}
	one, two := send(10), send(10)
	b.Recycle(one)
	b.Recycle(two)
	if len(b.free) != 1 {
		t.Errorf("%d batches are kept, want 1", len(b.free))
	}
	seq := two.Seq
	send(10) // the batch that fills was made before
	if again := send(10); again != one || again.Seq <= seq || len(again.Items) != 1 || len(again.Body) != 10 {
		t.Errorf("used again: %+v", again)
	}
}

// Whatever comes and whenever: no body is over the limits unless it is one
// session, and all sessions leave in order, exactly once, unharmed.
func TestRandomSessions(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		lim := Limits{Sessions: 1 + rnd.IntN(50), Bytes: 100 + rnd.IntN(3000), Idle: time.Second, Age: 3 * time.Second}
		enc := lines{head: strings.Repeat("h", rnd.IntN(20)), encl: rnd.IntN(3)}
		f := feed(enc, lim)
		limit, next := lim.Bytes, 0
		check := func() {
			for b := f.Take(); b != nil; b = f.Take() {
				if len(b.Items) > 1 && (len(b.Items) > lim.Sessions || len(b.Body)+enc.encl > limit) {
					t.Fatalf("seed %d: %d sessions in %d bytes, limits %d and %d", seed, len(b.Items), len(b.Body), lim.Sessions, limit)
				}
				for i, it := range b.Items {
					value := strings.TrimSpace(string(b.Body[it.Doc:it.End]))
					if value != strconv.Itoa(next) || it.Pos.Offset != int64(next) || string(b.Frame(i)) != string(b.Body[it.Start:it.End]) {
						t.Fatalf("seed %d: session %d left as %q from offset %d", seed, next, value, it.Pos.Offset)
					}
					next++
				}
				if b.Oldest != b.Items[0].Timestamp || f.now.Sub(b.Opened) > lim.Age {
					t.Fatalf("seed %d: opened %v, oldest %d", seed, b.Opened, b.Oldest)
				}
				f.Recycle(b)
			}
		}
		const sessions = 400
		for i := range sessions {
			size := 1 + rnd.IntN(60)
			if rnd.IntN(20) == 0 {
				size = rnd.IntN(4000)
			}
			f.add(numbered(i, size))
			check()
			if rnd.IntN(50) == 0 {
				f.now = began.Add(f.now.Sub(began) + time.Duration(rnd.Int64N(int64(time.Second))))
				if d := f.Deadline(); !d.IsZero() && d.Before(f.now) {
					f.now = d
				}
				f.Due(f.now)
				check()
			}
		}
		f.after(lim.Idle).Due(f.now)
		check()
		if next != sessions {
			t.Fatalf("seed %d: %d of %d sessions left", seed, next, sessions)
		}
	}
}

// The way of a session through a batch allocates nothing once it has run in.
func TestAddDoesNotAllocate(t *testing.T) {
	f := feed(lines{head: "head "}, Limits{})
	s := sized(4000)
	turn := func() {
		for range 300 {
			f.add(s)
		}
		for b := f.Take(); b != nil; b = f.Take() {
			f.Recycle(b)
		}
	}
	turn()
	turn()
	if n := testing.AllocsPerRun(20, turn); n > 0 {
		t.Errorf("%v allocations for 300 sessions", n)
	}
}

func BenchmarkAdd(b *testing.B) {
	bt := New(lines{head: `{"index":{"_index":"sessions","_id":"tenant-session-1767225600000"}}` + "\n"}, Limits{}, 2)
	s := sized(4000)
	b.SetBytes(4000)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := bt.Add(began, s, session.Position{Offset: int64(i)}, 0); err != nil {
			b.Fatal(err)
		}
		if t := bt.Take(); t != nil {
			bt.Recycle(t)
		}
	}
}

func BenchmarkID(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		ID("shop-lines", "sessions", 200, func(i int) session.Position {
			return session.Position{Partition: int32(i / 50), Offset: int64(i)}
		})
	}
}

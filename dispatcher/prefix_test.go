package dispatcher

import (
	"math/rand/v2"
	"testing"
	"time"

	"sessionexport/consumer"
)

// marks notes what may be committed.
type marks struct {
	next  map[int32]int64
	epoch map[int32]uint32
	calls int
}

func newMarks() *marks { return &marks{next: map[int32]int64{}, epoch: map[int32]uint32{}} }

func (m *marks) mark(partition int32, epoch uint32, next int64) {
	m.next[partition], m.epoch[partition] = next, epoch
	m.calls++
}

// Positions move over a gapless run of what is finished, and over nothing else.
func TestPrefixMovesOverFinishedSessions(t *testing.T) {
	p, m := newPrefix(), newMarks()
	r := p.own(3, 1)
	for offset := int64(10); offset < 40; offset++ {
		r.add(uint64(offset/10), offset+1)
	}
	p.finish(2, m.mark)
	p.finish(3, m.mark)
	if m.calls != 0 {
		t.Fatalf("moved to %d before the first batch was finished", m.next[3])
	}
	p.finish(1, m.mark)
	if m.next[3] != 40 || m.epoch[3] != 1 || m.calls != 1 {
		t.Errorf("moved to %d in %d steps, want 40 in one", m.next[3], m.calls)
	}
	p.finish(1, m.mark)
	p.finish(99, m.mark)
	if m.calls != 1 {
		t.Error("moved without anything new")
	}
}

// A batch of several partitions moves each on its own.
func TestPrefixKeepsPartitionsApart(t *testing.T) {
	p, m := newPrefix(), newMarks()
	p.own(0, 1).add(1, 6)
	p.own(0, 1).add(2, 7)
	p.own(1, 4).add(2, 101)
	p.finish(2, m.mark)
	if m.next[1] != 101 || m.epoch[1] != 4 || m.next[0] != 0 {
		t.Fatalf("moved to %v", m.next)
	}
	p.finish(1, m.mark)
	if m.next[0] != 7 {
		t.Errorf("moved to %v", m.next)
	}
}

// Skipped records go with what is in front of them; with nothing in front they
// are finished at once.
func TestPrefixSkips(t *testing.T) {
	p, m := newPrefix(), newMarks()
	r := p.own(0, 1)
	r.skip(50)
	if r.next != 50 {
		t.Fatalf("skipped to %d", r.next)
	}
	r.add(1, 53) // 50 and 51 are nobody's
	if r.next != 52 {
		t.Errorf("what lies in front of the first session ends at %d", r.next)
	}
	r.skip(60)
	if r.next != 52 {
		t.Errorf("skipped over a session that is not finished, to %d", r.next)
	}
	r.skip(55) // behind: no step back
	r.add(2, 62)
	r.skip(70)
	p.finish(1, m.mark)
	if m.next[0] != 60 {
		t.Errorf("moved to %d, want 60: the skipped with the session in front of them", m.next[0])
	}
	p.finish(2, m.mark)
	if m.next[0] != 70 {
		t.Errorf("moved to %d, want 70", m.next[0])
	}
	r.skip(40)
	if r.next != 70 {
		t.Errorf("stepped back to %d", r.next)
	}
}

// What was read under one ownership moves nothing under another.
func TestPrefixOfAnotherOwnership(t *testing.T) {
	p, m := newPrefix(), newMarks()
	p.own(0, 1).add(1, 11)
	p.drop(0, 2) // an ownership that is not known
	p.drop(1, 1)
	if p.own(0, 1).next != 10 {
		t.Fatal("another ownership was dropped")
	}
	p.drop(0, 1)
	p.finish(1, m.mark)
	if m.calls != 0 {
		t.Fatal("a revoked partition was committed")
	}
	p.own(0, 1).add(1, 11) // the control case: still owned
	p.finish(1, m.mark)
	if m.next[0] != 11 {
		t.Fatal("an owned partition was not committed")
	}
	p.own(0, 2).add(2, 6)
	if r := p.own(0, 2); r.next != 5 || len(r.open) != 1 {
		t.Errorf("the new ownership begins with %+v", *r)
	}
}

// What is abandoned, and all behind it, is left for the next owner.
func TestPrefixAbandons(t *testing.T) {
	p, m := newPrefix(), newMarks()
	for owner := uint64(1); owner <= 4; owner++ {
		p.own(0, 1).add(owner, int64(owner)*10)
	}
	p.finish(3, m.mark)
	p.abandon(0, 9, 2) // another ownership
	p.abandon(5, 1, 2) // another partition
	p.abandon(0, 1, 2)
	p.finish(1, m.mark)
	if m.next[0] != 10 {
		t.Errorf("moved to %d, want 10: batch 3 was finished behind batch 2, which was not", m.next[0])
	}
	p.finish(2, m.mark)
	p.finish(4, m.mark)
	if m.calls != 1 {
		t.Error("moved over what was abandoned")
	}
}

// In whatever order batches finish, the position is the first one that is not
// finished, never beyond, and at the end everything.
func TestPrefixInRandomOrder(t *testing.T) {
	const records = 300
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		p, m := newPrefix(), newMarks()
		owner := make([]uint64, records) // 0: skipped
		batch := uint64(1)
		for o := range int64(records) {
			switch rnd.IntN(5) {
			case 0:
				p.own(0, 1).skip(o + 1)
				continue
			case 1:
				batch++
			}
			owner[o] = batch
			p.own(0, 1).add(batch, o+1)
		}
		finished := map[uint64]bool{}
		for _, b := range rnd.Perm(int(batch)) {
			b := uint64(b) + 1
			finished[b] = true
			p.finish(b, m.mark)
			want := int64(0)
			for want < records && (owner[want] == 0 || finished[owner[want]]) {
				want++
			}
			if got := max(m.next[0], p.own(0, 1).next); got > want || m.next[0] != 0 && got != want {
				t.Fatalf("seed %d: may be committed up to %d, want %d", seed, got, want)
			}
		}
		if got := p.own(0, 1).next; got != records {
			t.Fatalf("seed %d: ended at %d", seed, got)
		}
	}
}

func TestAnEarlierOwnershipNeverTakesTheLatersPlace(t *testing.T) {
	w := newWorld(t, testRules(), 1)
	w.produce(0, 0)
	w.own(0)
	w.run(time.Second) // session 0 waits in the batch that fills
	if w.m.open(consumer.Claim{Partition: 0, Epoch: w.epochs[0] - 1}) {
		t.Error("a fetch of an ownership that ended was taken")
	}
}

package batcher

import (
	"testing"

	"sessionexport/session"
)

// What was framed before a change leaves as it is and keeps its encoder; what
// comes after follows the new one and the new limits.
func TestChange(t *testing.T) {
	b := New(lines{}, Limits{Sessions: 10}, 4)
	add := func(n int) {
		t.Helper()
		for i := range n {
			if _, err := b.Add(began, numbered(i, 20), session.Position{Offset: int64(i)}, 1); err != nil {
				t.Fatal(err)
			}
		}
	}
	b.Change(lines{head: "early"}, Limits{Sessions: 10}, 4) // nothing fills yet
	b.Change(lines{}, Limits{Sessions: 10}, 4)
	if b.Ready() != 0 {
		t.Fatal("an empty batch left")
	}
	add(13)
	b.SetLimit(100)
	b.Change(lines{head: "later "}, Limits{Sessions: 5, Bytes: 1000}, 2)
	if b.Limit() != 1000 {
		t.Errorf("the limit is %d: what was learned counts no longer", b.Limit())
	}
	add(5)
	for n, want := range []struct {
		sessions int
		trigger  Trigger
		encoder  lines
		seq      uint64
	}{{10, BySessions, lines{}, 1}, {3, ByReload, lines{}, 2}, {5, BySessions, lines{head: "later "}, 3}} {
		got := b.Take()
		if got == nil || len(got.Items) != want.sessions || got.Trigger != want.trigger || got.Encoder != want.encoder || got.Seq != want.seq {
			t.Fatalf("batch %d is %+v", n, got)
		}
	}
	if b.Take() != nil {
		t.Error("one batch more")
	}
}

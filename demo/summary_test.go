package demo

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

func set(indexes ...int) *Indexes {
	s := new(Indexes)
	for _, i := range indexes {
		s.Add(i)
	}
	return s
}

func span(from, to int, but ...int) *Indexes {
	s := new(Indexes)
	out := set(but...)
	for i := from; i < to; i++ {
		if !out.Has(i) {
			s.Add(i)
		}
	}
	return s
}

func TestSummary(t *testing.T) {
	even := func(i int) bool { return i%2 == 0 }
	s := Summarise(20_000, 12.4, []SinkOutcome{
		{ID: "shop-lines", Format: FormatJSON, Received: Tally{Sessions: 20_003, Distinct: 20_000, Duplicates: 3, Bodies: 23, LargestBody: 895_900, MostSessions: 1_000, Indexes: span(0, 20_000)}},
		{ID: "shop-ndjson", Format: FormatNDJSON, Received: Tally{Sessions: 9_998, Distinct: 9_998, Bodies: 12, LargestBody: 9, MostSessions: 8, Indexes: span(0, 20_000, 3, 4, 6)}, DeadLetters: set(4), InScope: even},
		{ID: "search", Format: FormatElasticsearch},
	})
	if s.OK() {
		t.Error("OK though sessions are missing")
	}
	var b bytes.Buffer
	if err := s.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	for _, width := range []int{0, tableWidth - 1} {
		if err := s.WriteTable(&b, width); err != nil {
			t.Fatal(err)
		}
	}
	s.Sinks = s.Sinks[:1]
	if !s.OK() {
		t.Error("not OK though nothing is missing")
	}
	if err := s.WriteTable(&b, 0); err != nil {
		t.Fatal(err)
	}
	golden(t, "summary.txt", b.Bytes())
}

func TestMissingIsCountedOneByOne(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 300 {
		first, count := r.IntN(200), r.IntN(400)
		a, b := new(Indexes), new(Indexes)
		full := round%3 == 0 // words that are full take a short cut
		for i := range 600 {
			if full && i != 250 || r.IntN(3) > 0 {
				a.Add(i)
			}
			if r.IntN(5) == 0 {
				b.Add(i)
			}
		}
		inScope := func(i int) bool { return i%7 != 0 }
		want := 0
		for i := first; i < first+count; i++ {
			if inScope(i) && !a.Has(i) && !b.Has(i) {
				want++
			}
		}
		if got := missing(first, count, inScope, a, b); got != want {
			t.Fatalf("sessions %d to %d: %d are missing, counted %d", first, first+count, want, got)
		}
	}
	if got := missing(0, 100, nil, nil, nil); got != 100 {
		t.Errorf("with nothing received %d of 100 are missing", got)
	}
}

func TestIndexes(t *testing.T) {
	s := set(0, 63, 64, 1_000_000)
	if s.Add(63) || s.Add(-1) || s.Len() != 4 || !s.Has(1_000_000) || s.Has(1) || s.Has(-1) || s.Has(2_000_000) {
		t.Errorf("%d indexes", s.Len())
	}
	c := s.Clone()
	if !c.Add(5) || s.Has(5) || c.Len() != 5 || s.Len() != 4 {
		t.Error("a clone and its original are not apart")
	}
}

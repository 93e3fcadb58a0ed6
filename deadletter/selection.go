package deadletter

import (
	"cmp"
	"context"
	"slices"
)

// Selection is the letters that a filter chose, by sink.
type Selection struct {
	Groups     []Group // by environment and sink
	Unreadable int64   // records that are no letters of this version; never chosen
}

// Group is the chosen letters of one sink.
type Group struct {
	Environment string
	Sink        string
	Letters     *Snapshot // those with a body, and those without
	WithoutBody int64
}

// Size is how many letters were chosen.
func (s *Selection) Size() int64 {
	n := int64(0)
	for _, g := range s.Groups {
		n += g.Letters.Letters()
	}
	return n
}

// Choose reads all letters of the snapshot and notes which of them the filter
// chooses: one bit a letter.
func (s *Snapshot) Choose(ctx context.Context, f *Filter, progress Progress) (*Selection, error) {
	type name struct{ environment, sink string }
	groups := map[name]*Group{}
	chosen := &Selection{}
	var namer Namer
	err := s.Each(ctx, progress, func(at At, l *Letter, err error) error {
		if err != nil {
			chosen.Unreadable++
			return nil //nolint:nilerr // counted
		}
		if !f.Match(l, &namer) {
			return nil
		}
		id := name{l.Environment, l.Sink}
		g := groups[id]
		if g == nil {
			g = &Group{Environment: l.Environment, Sink: l.Sink, Letters: &Snapshot{topic: s.topic}}
			groups[id] = g
		}
		g.Letters.add(at)
		if l.BodyOmitted {
			g.WithoutBody++
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		chosen.Groups = append(chosen.Groups, *g)
	}
	slices.SortFunc(chosen.Groups, func(a, b Group) int {
		return cmp.Or(cmp.Compare(a.Environment, b.Environment), cmp.Compare(a.Sink, b.Sink))
	})
	return chosen, nil
}

// add is called with one partition after the other.
func (s *Snapshot) add(at At) {
	if n := len(s.parts); n == 0 || s.parts[n-1].partition != at.Partition {
		s.parts = append(s.parts, part{partition: at.Partition})
	}
	s.parts[len(s.parts)-1].letters.add(at.Offset)
}

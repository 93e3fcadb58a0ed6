package deadletter

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"
)

// Tally counts letters by what is to be done about them.
type Tally struct {
	groups map[tallyKey]*Tallied
}

type tallyKey struct {
	environment, sink, kind, reason string
	status                          int
}

// Tallied is the letters that have all of this in common.
type Tallied struct {
	Environment string     `json:"environment"`
	Sink        string     `json:"sink"`
	Kind        string     `json:"kind"`
	Reason      string     `json:"reason,omitempty"`
	Status      int        `json:"status,omitempty"`
	Letters     int64      `json:"letters"`
	Bytes       int64      `json:"bytes"` // of their sessions
	WithoutBody int64      `json:"withoutBody,omitempty"`
	Oldest      *time.Time `json:"oldest,omitempty"`
	Newest      *time.Time `json:"newest,omitempty"`
}

// Add counts a letter.
func (t *Tally) Add(l *Letter) {
	key := tallyKey{l.Environment, l.Sink, l.Kind, l.Reason, l.Status}
	g := t.groups[key]
	if g == nil {
		if t.groups == nil {
			t.groups = map[tallyKey]*Tallied{}
		}
		g = &Tallied{Environment: l.Environment, Sink: l.Sink, Kind: l.Kind, Reason: l.Reason, Status: l.Status}
		t.groups[key] = g
	}
	g.Letters++
	g.Bytes += int64(l.BodySize)
	if l.BodyOmitted {
		g.WithoutBody++
	}
	when := present(l.When())
	if when == nil {
		return
	}
	if g.Oldest == nil || when.Before(*g.Oldest) {
		g.Oldest = when
	}
	if g.Newest == nil || when.After(*g.Newest) {
		g.Newest = when
	}
}

// Groups are what was counted, by environment and sink, the most first.
func (t *Tally) Groups() []Tallied {
	all := make([]Tallied, 0, len(t.groups))
	for _, g := range t.groups {
		all = append(all, *g)
	}
	slices.SortFunc(all, func(a, b Tallied) int {
		return cmp.Or(cmp.Compare(a.Environment, b.Environment), cmp.Compare(a.Sink, b.Sink), cmp.Compare(b.Letters, a.Letters),
			cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Status, b.Status))
	})
	return all
}

// Print writes the groups, and for people and as JSON their sum.
func (t *Tally) Print(w io.Writer, o Output) error {
	all := t.Groups()
	sum := struct {
		Letters int64     `json:"letters"`
		Bytes   int64     `json:"bytes"`
		Groups  []Tallied `json:"groups"`
	}{Groups: all}
	for _, g := range all {
		sum.Letters += g.Letters
		sum.Bytes += g.Bytes
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	switch o {
	case JSON:
		return e.Encode(sum)
	case NDJSON:
		for _, g := range all {
			if err := e.Encode(g); err != nil {
				return err
			}
		}
		return nil
	case Table:
	default:
		return fmt.Errorf("unknown output %q", o)
	}
	tabs := newTabs(w)
	if len(all) > 0 {
		row(tabs, "LETTERS", "BYTES", "ENVIRONMENT", "SINK", "KIND", "REASON", "STATUS", "OLDEST", "NEWEST")
	}
	for _, g := range all {
		row(tabs, strconv.FormatInt(g.Letters, 10), strconv.FormatInt(g.Bytes, 10), g.Environment, g.Sink, g.Kind, g.Reason,
			numberOr(g.Status), momentOf(g.Oldest), momentOf(g.Newest))
	}
	fmt.Fprintf(tabs, "%d\t%d\tin all\n", sum.Letters, sum.Bytes)
	return tabs.Flush()
}

func momentOf(t *time.Time) string {
	if t == nil {
		return ""
	}
	return moment(*t)
}

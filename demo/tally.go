package demo

import (
	"hash/maphash"
	"maps"
	"net/http"
)

// Tally is what one endpoint has received so far.
type Tally struct {
	Requests       int         // of any outcome
	Statuses       map[int]int // answers, by status
	Bodies         int         // accepted bodies
	Sessions       int         // in them
	Distinct       int         // different sessions
	Duplicates     int         // sessions that were there already
	Unacknowledged int         // sessions in bodies that were taken and not answered, as Misbehaviour.Lost asks for
	Foreign        int         // different sessions that the generator did not make
	Bytes          int64       // of accepted bodies, before compression
	LargestBody    int         // bytes, before compression
	MostSessions   int         // in one body
	Headers        http.Header // of the last request, without its credentials
	Protocol       string      // of the last request, such as HTTP/2.0
	Indexes        *Indexes    // of the generator's sessions that have arrived
}

// ledger remembers which sessions have come. The generator's are one bit
// each; foreign ones cost 16 bytes of a map, and may be forgotten.
type ledger struct {
	generator *Generator
	indexes   Indexes
	foreign   map[[2]uint64]struct{}
	strangers int // foreign sessions that were new, those that were forgotten included
	seeds     [2]maphash.Seed

	remember int         // foreign sessions to remember; 0: all
	order    [][2]uint64 // the remembered ones, a ring
	oldest   int         // of the full ring
}

func newLedger(g *Generator, remember int) *ledger {
	return &ledger{
		generator: g, remember: remember, foreign: map[[2]uint64]struct{}{},
		seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
	}
}

// identity of a session as a receiver sees it.
type identity struct {
	index int    // of the generator's session, -1: foreign
	name  string // of a foreign one: <tenantId>-<userSessionId>-<startTime>
}

// enter tells whether the session is new.
func (l *ledger) enter(id identity) bool {
	if id.index >= 0 {
		return l.indexes.Add(id.index)
	}
	key := [2]uint64{maphash.String(l.seeds[0], id.name), maphash.String(l.seeds[1], id.name)}
	if _, ok := l.foreign[key]; ok {
		return false
	}
	l.foreign[key] = struct{}{}
	l.strangers++
	l.forget(key)
	return true
}

// forget makes room for a new session in place of the oldest.
func (l *ledger) forget(fresh [2]uint64) {
	switch {
	case l.remember <= 0:
	case len(l.order) < l.remember:
		l.order = append(l.order, fresh)
	default:
		delete(l.foreign, l.order[l.oldest])
		l.order[l.oldest] = fresh
		l.oldest = (l.oldest + 1) % l.remember
	}
}

func (l *ledger) distinct() int { return l.indexes.Len() + l.strangers }

// clone returns a copy that does not change any more.
func (t *Tally) clone(l *ledger) Tally {
	c := *t
	c.Statuses = maps.Clone(t.Statuses)
	c.Headers = t.Headers.Clone()
	c.Distinct = l.distinct()
	c.Foreign = l.strangers
	c.Indexes = l.indexes.Clone()
	return c
}

package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"sessionexport/demo"
)

// Mistakes that a count can find.
var (
	errNothing    = errors.New("nothing was produced, or nothing arrived: nothing was tried")
	errMissing    = errors.New("sessions are missing")
	errDuplicates = errors.New("more duplicates than had been delivered and not committed")
	errForeign    = errors.New("sessions arrived that nobody had produced")
	errCommit     = errors.New("positions are not committed to the end")
)

// sinkCount is the count of one sink at the end of a run.
type sinkCount struct {
	id         string
	delivered  int // different sessions
	letters    int // different sessions
	missing    int
	duplicates int
	bound      int // of the duplicates: what had been delivered and not committed at the faults
	foreign    int
	committed  int64
}

// count is how a run ends: produced = delivered ∪ dead letters.
type count struct {
	produced int
	sinks    []sinkCount
}

// check says what is wrong with the count, nil for nothing.
func (c count) check() error {
	var errs []error
	for _, s := range c.sinks {
		if c.produced == 0 || s.delivered == 0 {
			errs = append(errs, fmt.Errorf("%s: %w", s.id, errNothing))
		}
		if s.missing > 0 {
			errs = append(errs, fmt.Errorf("%s: %w: %d of %d", s.id, errMissing, s.missing, c.produced))
		}
		if s.duplicates > s.bound {
			errs = append(errs, fmt.Errorf("%s: %w: %d, bound %d", s.id, errDuplicates, s.duplicates, s.bound))
		}
		if s.foreign > 0 {
			errs = append(errs, fmt.Errorf("%s: %w: %d", s.id, errForeign, s.foreign))
		}
		if s.committed != int64(c.produced) {
			errs = append(errs, fmt.Errorf("%s: %w: %d of %d", s.id, errCommit, s.committed, c.produced))
		}
	}
	return errors.Join(errs...)
}

func (c count) sum(of func(sinkCount) int) int {
	n := 0
	for _, s := range c.sinks {
		n += of(s)
	}
	return n
}

// String is the count in one line.
func (c count) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d produced", c.produced)
	for _, s := range c.sinks {
		fmt.Fprintf(&b, "; %s: %d delivered, %d dead letters, %d missing, %d duplicates (bound %d)",
			s.id, s.delivered, s.letters, s.missing, s.duplicates, s.bound)
	}
	return b.String()
}

// union counts the sessions that arrived or became a dead letter, and those of
// 0…produced-1 that did neither.
func union(produced int, delivered, letters *demo.Indexes) (have, missing int) {
	for i := range produced {
		if delivered.Has(i) || letters.Has(i) {
			have++
		} else {
			missing++
		}
	}
	return have, missing
}

// result is what a scenario has to tell.
type result struct {
	times    int    // how often the fault happened
	what     string // the unit of times, such as "kills"
	count    count
	recovery []time.Duration // from each fault's end to the next session that arrived
	notes    []string        // what else was seen
}

// row is the result as a row of the table.
func (r result) row(fault string, seed uint64) string {
	c := r.count
	return fmt.Sprintf("| %s | %d %s | %d | %d × %d | %d | %d | %d | %d | %s |", fault, r.times, r.what, seed, c.produced, len(c.sinks),
		c.sum(func(s sinkCount) int { return s.missing }), c.sum(func(s sinkCount) int { return s.letters }),
		c.sum(func(s sinkCount) int { return s.duplicates }), c.sum(func(s sinkCount) int { return s.bound }), spread(r.recovery))
}

// tableHead is the head of the table that the rows belong to.
const tableHead = `| fault | how often | seed | produced × sinks | lost | dead letters | duplicates | their bound | recovery: median, longest |
|---|---|---|---|---|---|---|---|---|`

// spread is the median and the longest of some durations.
func spread(ds []time.Duration) string {
	if len(ds) == 0 {
		return "–"
	}
	s := sorted(ds)
	text := func(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
	if len(s) == 1 {
		return text(s[0])
	}
	return text(s[len(s)/2]) + ", " + text(s[len(s)-1])
}

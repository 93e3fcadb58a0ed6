package demo

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"sessionexport/dispatcher"
)

// Story is a demo of faults: chapters, one after the other. In each something
// breaks, the sink shows what it makes of that, the receiver is mended, and the
// sink recovers. It is pure: the caller passes the time and what is to be seen,
// so that a slow machine tells the same story, only slower.
//
//	         the sign was seen, for long enough, or Most is over
//	broken ─────────────────────────────────────────────────────▶ mended
//	  ▲                                                             │
//	  └──── the next chapter, when the sink is well, or too late ◀──┘
type Story struct {
	chapters []Chapter
	at       int
	mended   bool
	since    time.Duration // of the phase
	seen     time.Duration // when the sign was; negative: not yet
	before   SinkSnapshot  // the sink when the chapter began
	begun    bool
}

// Sign is what a chapter waits for before its receiver is mended.
type Sign uint8

// The signs.
const (
	Nothing   Sign = iota // time alone
	Retries               // an attempt failed and is repeated
	Holds                 // the sink sends only probes
	Pauses                // the sink waits as it was asked to
	Shrinks               // the sink makes smaller bodies
	GivesUp               // sessions became dead letters
	Recovered             // the sink delivers, and has caught up
)

// Scene is what a Story shows at one moment.
type Scene struct {
	Number  int // of the chapter, from 1
	Of      int
	Chapter *Chapter
	Broken  bool          // the chapter's defect is there
	Left    time.Duration // of the story, about
}

// Title says what is wrong.
func (s Scene) Title() string {
	if s.Chapter.Sink == "" {
		return s.Chapter.Title
	}
	return s.Chapter.Sink + ": " + s.Chapter.Title
}

// Caption explains what is to be seen.
func (s Scene) Caption() string {
	if s.Broken || s.Chapter.Mended == "" {
		return s.Chapter.Caption
	}
	return s.Chapter.Mended
}

const (
	linger   = 2500 * time.Millisecond // a sign stays to be looked at
	reading  = 3 * time.Second         // the least time for what follows
	patience = 30 * time.Second        // for a sink that does not recover
	caughtUp = 2_000                   // records that may wait in a sink that is well
)

// NewStory returns the story of the faults with these names, in the order of
// FaultNames; none means all of them.
func NewStory(names []string) (*Story, error) {
	for _, name := range names {
		if !slices.Contains(FaultNames(), name) {
			return nil, fmt.Errorf("fault %q is none of %s", name, strings.Join(FaultNames(), ", "))
		}
	}
	s := &Story{seen: -1}
	later := false
	for _, c := range chapters() {
		switch {
		case c.Fault == "" && c.Until == Recovered && !later: // nobody is to be waited for
		case c.Fault == "" || len(names) == 0 || slices.Contains(names, c.Fault):
			s.chapters = append(s.chapters, c)
			later = later || c.Later
		}
	}
	return s, nil
}

// Advance takes what is to be seen now and returns the scene, and whether it
// is another one than before. Ok is false when the story is over.
func (s *Story) Advance(now Snapshot) (scene Scene, changed, ok bool) {
	if s.at >= len(s.chapters) {
		return Scene{}, false, false
	}
	c := &s.chapters[s.at]
	sink := now.sink(c.Sink)
	if !s.begun {
		s.begun, s.mended, s.seen, s.since, s.before = true, false, -1, now.Elapsed, sink
		return s.scene(now.Elapsed), true, true
	}
	lasted := now.Elapsed - s.since
	if !s.mended {
		if s.seen < 0 && c.Until.seen(s.before, sink) {
			s.seen = lasted
		}
		due := s.seen >= 0 && lasted >= s.seen+linger && lasted >= c.Least
		if !due && lasted < c.Most {
			return s.scene(now.Elapsed), false, true
		}
		s.mended, s.since = true, now.Elapsed
		if c.Mended != "" {
			return s.scene(now.Elapsed), true, true
		}
		lasted = reading
	}
	well := c.Later || c.Sink == "" || Recovered.seen(s.before, sink)
	if lasted < reading || !well && lasted < patience {
		return s.scene(now.Elapsed), false, true
	}
	s.at, s.begun = s.at+1, false
	return s.Advance(now)
}

// scene of the present chapter. What is left is guessed from how long the
// chapters take when all goes as it usually does.
func (s *Story) scene(now time.Duration) Scene {
	c := &s.chapters[s.at]
	about := c.About + reading
	if s.mended {
		about = reading
	}
	left := max(about-(now-s.since), 0)
	for _, later := range s.chapters[s.at+1:] {
		left += later.About + reading
	}
	return Scene{Number: s.at + 1, Of: len(s.chapters), Chapter: c, Broken: !s.mended && c.Defect != nil, Left: left}
}

// seen tells whether the sign is there, in a sink that was as before when the
// chapter began.
func (s Sign) seen(before, now SinkSnapshot) bool {
	switch s {
	case Retries:
		return now.Retries > before.Retries
	case Holds:
		return now.State == string(dispatcher.Held)
	case Pauses:
		return now.State == string(dispatcher.Throttled)
	case Shrinks:
		return now.ByteLimit > 0 && now.ByteLimit*3 < before.ByteLimit
	case GivesUp:
		return now.DeadLetters > before.DeadLetters
	case Recovered:
		return now.State != string(dispatcher.Held) && now.State != string(dispatcher.Throttled) && now.Error == "" && now.Lag >= 0 && now.Lag <= caughtUp
	default:
		return true
	}
}

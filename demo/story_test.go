package demo

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"sessionexport/dispatcher"
)

// stage plays a story: its sinks show what the present chapter waits for so
// long after their receiver broke, and recover so long after it was mended.
type stage struct {
	story        *Story
	shows, heals time.Duration
	brokeAt      map[string]time.Duration // by sink
	sign         map[string]Sign
	mendedAt     map[string]time.Duration
	now          Snapshot
}

func newStage(t *testing.T, shows, heals time.Duration, names ...string) *stage {
	t.Helper()
	story, err := NewStory(names)
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{story: story, shows: shows, heals: heals, brokeAt: map[string]time.Duration{}, mendedAt: map[string]time.Duration{}, sign: map[string]Sign{}}
	for _, sink := range Sinks() {
		s.now.Sinks = append(s.now.Sinks, SinkSnapshot{ID: sink.ID, State: string(dispatcher.Flowing), ByteLimit: 896_000})
	}
	return s
}

const step = 100 * time.Millisecond

// next goes on by a step and lets the sinks act.
func (s *stage) next() (Scene, bool, bool) {
	scene, changed, ok := s.story.Advance(s.now)
	if changed && scene.Chapter.Sink != "" {
		if id := scene.Chapter.Sink; scene.Broken {
			s.brokeAt[id], s.sign[id] = s.now.Elapsed, scene.Chapter.Until
			delete(s.mendedAt, id)
		} else if scene.Chapter.Defect != nil {
			s.mendedAt[id] = s.now.Elapsed
			if scene.Chapter.Later {
				s.mendedAt[id] += time.Minute
			}
		}
	}
	s.now.Elapsed += step
	s.now.Produced += 100
	s.now.Sinks = slices.Clone(s.now.Sinks)
	for i := range s.now.Sinks {
		s.act(&s.now.Sinks[i])
	}
	return scene, changed, ok
}

func (s *stage) act(sink *SinkSnapshot) {
	broke, broken := s.brokeAt[sink.ID]
	if !broken || s.now.Elapsed < broke+s.shows {
		sink.Delivered += 100
		return
	}
	if at, mended := s.mendedAt[sink.ID]; mended && s.now.Elapsed >= at+s.heals {
		sink.State, sink.Error = string(dispatcher.Flowing), ""
		delete(s.brokeAt, sink.ID)
		return
	}
	switch s.sign[sink.ID] {
	case Retries:
		sink.Retries, sink.State, sink.Error = sink.Retries+1, Retrying, "Request timeout"
	case Holds:
		sink.State, sink.Error, sink.NextProbe = string(dispatcher.Held), "endpoint answered 500", 4*time.Second
	case Pauses:
		sink.State, sink.Error = string(dispatcher.Throttled), "endpoint answered 429"
	case Shrinks:
		sink.ByteLimit = 224_000
	case GivesUp:
		sink.DeadLetters++
	case Nothing, Recovered:
	}
}

// The schedule of the whole story with sinks that are as quick as they usually
// are: when what breaks, when it is mended, and how long all of it takes.
func TestStory(t *testing.T) {
	s := newStage(t, time.Second, 2*time.Second)
	var b bytes.Buffer
	var faults []string
	for {
		scene, changed, ok := s.next()
		if !ok {
			break
		}
		if !changed {
			continue
		}
		state := "well"
		if scene.Broken {
			state = "broken"
			faults = append(faults, scene.Chapter.Fault)
		}
		fmt.Fprintf(&b, "%5.1f s  %2d of %d  %-6s  left %s  %s\n", (s.now.Elapsed - step).Seconds(), scene.Number, scene.Of, state, clock(scene.Left), scene.Title())
		for line := range strings.SplitSeq(ansi.Wordwrap(scene.Caption(), pictureWidth-4, ""), "\n") {
			b.WriteString("    " + line + "\n")
		}
		if lines := strings.Count(ansi.Wordwrap(scene.Caption(), pictureWidth-4, ""), "\n") + 1; lines > captionLines {
			t.Errorf("the caption of %q takes %d lines", scene.Title(), lines)
		}
	}
	if !slices.Equal(faults, FaultNames()) {
		t.Errorf("told of %v, want %v", faults, FaultNames())
	}
	if took := s.now.Elapsed; took < time.Minute || took > 90*time.Second {
		t.Errorf("the story took %v", took)
	}
	golden(t, "story.txt", b.Bytes())
}

// What never shows and never heals ends the story all the same.
func TestStoryOfSinksThatShowNothing(t *testing.T) {
	for name, s := range map[string]*stage{"nothing shows": newStage(t, time.Hour, 0), "nothing heals": newStage(t, 0, time.Hour)} {
		for ok := true; ok; {
			if _, _, ok = s.next(); s.now.Elapsed > 10*time.Minute {
				t.Fatalf("%s: the story does not end", name)
			}
		}
	}
}

func TestStoryOfSomeFaults(t *testing.T) {
	for _, c := range []struct {
		names []string
		want  string
	}{
		{[]string{"413", "500"}, " 500 413"},
		{[]string{"wrong-password"}, " wrong-password "},
		{nil, " " + strings.Join(FaultNames(), " ") + " "},
	} {
		story, err := NewStory(c.names)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, chapter := range story.chapters {
			got = append(got, chapter.Fault)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%v: chapters %q, want %q", c.names, got, c.want)
		}
	}
	if _, err := NewStory([]string{"500", "501"}); err == nil || !strings.Contains(err.Error(), `"501" is none of bulk-items, wrong-password, 500,`) {
		t.Errorf("error %v", err)
	}
}

// faulty are scenes of the story, as the views show them.
func faulty(t *testing.T, show func(Snapshot)) {
	t.Helper()
	s := newStage(t, time.Second, 2*time.Second, "500", "413")
	for {
		scene, _, ok := s.next()
		now := s.now
		if now.Scene = &scene; !ok {
			now.Scene = nil
		}
		if now.Elapsed >= 7*time.Second {
			now.Told = append(now.Told, Told{At: 6 * time.Second, Text: "json-lines: delivery fails: endpoint answered 500\x1b[2J"})
		}
		if now.Elapsed >= 10*time.Second {
			now.Told = append(now.Told, Told{At: 9 * time.Second, Over: true, Text: "json-lines: delivery fails, after 3 s"})
		}
		show(now)
		if !ok {
			return
		}
	}
}

func TestPictureOfAStory(t *testing.T) {
	var at Snapshot
	p := newPicture(func() Snapshot { return at })
	var b bytes.Buffer
	n := 0
	faulty(t, func(s Snapshot) {
		at = s
		p.Update(tick{})
		if n++; n%50 != 1 {
			return
		}
		frame := ansi.Strip(p.View().Content)
		if lines := strings.Count(frame, "\n") + 1; lines > 24 {
			t.Errorf("a frame has %d lines", lines)
		}
		fmt.Fprintf(&b, "== %v\n%s\n", s.Elapsed, frame)
	})
	p.Update(finished{})
	b.WriteString("== the last\n" + ansi.Strip(p.View().Content) + "\n")
	golden(t, "picture-story.txt", b.Bytes())
}

func TestLinesOfAStory(t *testing.T) {
	var b bytes.Buffer
	lines := storyLines{output: &b}
	faulty(t, func(s Snapshot) {
		if err := lines.print(s); err != nil {
			t.Fatal(err)
		}
	})
	if bytes.ContainsRune(b.Bytes(), '\x1b') {
		t.Error("the lines have escape codes in them")
	}
	golden(t, "lines-story.txt", b.Bytes())
	lines = storyLines{output: broken{}}
	if err := lines.print(Snapshot{Elapsed: time.Hour}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("error %v, want that of the output", err)
	}
}

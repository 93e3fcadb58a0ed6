package demo

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/charmbracelet/x/ansi"

	"sessionexport/dispatcher"
)

// plainLines is the view where nothing can be drawn.
type plainLines struct {
	output  io.Writer
	history history
	errors  map[string]string // last printed, by sink
}

// print writes the line of one moment, and one more for each sink that has
// something new to complain of.
func (l *plainLines) print(s Snapshot) error {
	l.history.add(s)
	var b strings.Builder
	fmt.Fprintf(&b, "%s  in %s (%s)", clock(s.Elapsed), grouped(s.Produced), perSecond(l.history.produced()))
	for k, sink := range s.Sinks {
		fmt.Fprintf(&b, " | %s %s: %s (%s), lag %s", sink.ID, printable(sink.State), grouped(int(sink.Delivered)), perSecond(l.history.delivered(k)), lag(sink.Lag))
		if sink.DeadLetters > 0 {
			fmt.Fprintf(&b, ", dead letters %s", grouped(int(sink.DeadLetters)))
		}
		if sink.Last.Trigger != "" {
			fmt.Fprintf(&b, ", %s", sink.Last)
		}
	}
	b.WriteByte('\n')
	if l.errors == nil {
		l.errors = map[string]string{}
	}
	for _, sink := range s.Sinks {
		if sink.Error != "" && sink.Error != l.errors[sink.ID] {
			fmt.Fprintf(&b, "%s  %s: %s\n", clock(s.Elapsed), sink.ID, printable(sink.Error))
		}
		l.errors[sink.ID] = sink.Error
	}
	if _, err := io.WriteString(l.output, b.String()); err != nil {
		return fmt.Errorf("writing the view: %w", err)
	}
	return nil
}

// storyLines is the view of a demo of faults where nothing can be drawn: a
// paragraph for each turn of the story, a line for each alert and each sink
// whose state changed, and now and then how far the sinks are.
type storyLines struct {
	output   io.Writer
	scene    *Scene
	told     int
	sinks    map[string]*sinkLine
	reported time.Duration
}

// sinkLine is what was last printed of a sink.
type sinkLine struct {
	state string
	limit int // of a body
	other int // looks that showed another state
}

const (
	// reportEvery is how often the sinks are told of while nothing happens.
	reportEvery = 5 * time.Second

	// lineWidth is where captions are broken.
	lineWidth = 110

	// stateLooks is in how many looks a state is there before it is told: some
	// last for milliseconds. A hold is told at once.
	stateLooks = 3
)

func (l *storyLines) print(s Snapshot) error {
	var b strings.Builder
	if turned(l.scene, s.Scene) {
		l.scene = s.Scene
		b.WriteString(turn(s))
	}
	for _, t := range s.Told[l.told:] {
		fmt.Fprintf(&b, "%s  %s\n", clock(t.At), t.line())
	}
	l.told = len(s.Told)
	for i := range s.Sinks {
		for _, text := range l.changes(&s.Sinks[i]) {
			fmt.Fprintf(&b, "%s  %s: %s\n", clock(s.Elapsed), s.Sinks[i].ID, text)
		}
	}
	if s.Elapsed-l.reported >= reportEvery {
		l.reported = s.Elapsed
		fmt.Fprintf(&b, "%s  in %s", clock(s.Elapsed), grouped(s.Produced))
		for _, sink := range s.Sinks {
			fmt.Fprintf(&b, " | %s %s, lag %s", sink.ID, grouped(int(sink.Delivered)), lag(sink.Lag))
			if sink.DeadLetters > 0 {
				fmt.Fprintf(&b, ", dead letters %s", grouped(int(sink.DeadLetters)))
			}
		}
		b.WriteByte('\n')
	}
	if _, err := io.WriteString(l.output, b.String()); err != nil {
		return fmt.Errorf("writing the view: %w", err)
	}
	return nil
}

// changes tells what is new of a sink.
func (l *storyLines) changes(s *SinkSnapshot) []string {
	was := l.sinks[s.ID]
	if was == nil {
		if l.sinks == nil {
			l.sinks = map[string]*sinkLine{}
		}
		l.sinks[s.ID] = &sinkLine{state: s.State, limit: s.ByteLimit}
		return nil
	}
	var texts []string
	if s.ByteLimit != was.limit {
		was.limit = s.ByteLimit
		texts = append(texts, "bodies of up to "+grouped(s.ByteLimit)+" bytes from now on")
	}
	if s.State == was.state {
		was.other = 0
		return texts
	}
	if was.other++; was.other < stateLooks && s.State != string(dispatcher.Held) {
		return texts
	}
	was.state, was.other = s.State, 0
	text := printable(s.State)
	if complaint := s.complaint(); complaint != "" {
		text += ", " + complaint
	}
	return append(texts, text)
}

// turned tells whether the story goes on from one scene to another.
func turned(was, is *Scene) bool {
	if was == nil || is == nil {
		return was != is
	}
	return was.Number != is.Number || was.Broken != is.Broken
}

// turn is the paragraph of a turn.
func turn(s Snapshot) string {
	if s.Scene == nil {
		return fmt.Sprintf("\n%s  The story is over; what is on its way arrives.\n", clock(s.Elapsed))
	}
	caption := "       " + strings.ReplaceAll(ansi.Wordwrap(s.Scene.Caption(), lineWidth-7, ""), "\n", "\n       ")
	if !s.Scene.Broken && s.Scene.Chapter.Defect != nil {
		return fmt.Sprintf("%s  %s: mended\n%s\n", clock(s.Elapsed), s.Scene.Chapter.Sink, caption)
	}
	return fmt.Sprintf("\n%s  %d of %d. %s\n%s\n", clock(s.Elapsed), s.Scene.Number, s.Scene.Of, s.Scene.Title(), caption)
}

func clock(d time.Duration) string {
	s := int(d.Round(time.Second) / time.Second)
	return fmt.Sprintf("%02d:%02d", s/60, s%60)
}

func perSecond(rate float64) string { return grouped(int(rate+0.5)) + "/s" }

func lag(n int64) string {
	if n < 0 {
		return "?"
	}
	return grouped(int(n))
}

func size(bytes int) string {
	if bytes < 10_000 {
		return grouped(bytes) + " B"
	}
	return grouped(bytes/1_000) + " kB"
}

// maxText is how much of a failure's text the view shows.
const maxText = 200

// printable keeps a text that comes from outside from moving the cursor or
// breaking the line.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
	if r := []rune(s); len(r) > maxText {
		return string(r[:maxText]) + "…"
	}
	return s
}

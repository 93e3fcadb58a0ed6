package demo

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
)

// scene is an export after so many seconds: one sink keeps up, one is in hold,
// one has not begun.
func scene(seconds int) Snapshot {
	s := Snapshot{
		Elapsed: time.Duration(seconds) * time.Second, Produced: 2_000 * seconds, Target: 20_000,
		Sinks: []SinkSnapshot{
			{ID: "shop-lines", State: "running", Delivered: int64(1_950 * seconds), Lag: int64(50 * seconds), Last: Batch{"bytes", 185, 895_912}},
			{ID: "shop-ndjson", State: "hold", Delivered: 500, DeadLetters: 12, Lag: 1_500, Last: Batch{"idle", 3, 9_120}, Error: "Request timeout"},
			{ID: "search", State: "starting", Lag: -1},
		},
	}
	if seconds >= 3 {
		s.Sinks[1].Error = "status 503\x1b[2J\r\n" + strings.Repeat("ä", 300)
	}
	return s
}

// scenes plays one scene after the other.
func scenes() func() Snapshot {
	var n atomic.Int64
	return func() Snapshot { return scene(int(n.Add(1)) - 1) }
}

func TestPicture(t *testing.T) {
	p := newPicture(scenes())
	var b bytes.Buffer
	frame := func(title string) {
		b.WriteString("== " + title + "\n" + ansi.Strip(p.View().Content) + "\n")
	}
	frame("before anything is known")
	p.Init()
	frame("at once")
	p.Update(tick{})
	p.Update(tick{})
	frame("after two seconds")
	for range 4 {
		p.Update(tick{})
	}
	if _, cmd := p.Update(finished{}); cmd == nil || p.left {
		t.Error("the end does not end it")
	}
	frame("the last")
	golden(t, "picture.txt", b.Bytes())
}

func TestPictureIsLeft(t *testing.T) {
	for key, leaves := range map[tea.Key]bool{
		{Code: 'c', Mod: tea.ModCtrl}: true, {Code: tea.KeyEscape}: true, {Code: 'q', Text: "q"}: true, {Code: tea.KeyEnter}: false,
	} {
		p := newPicture(scenes())
		if _, cmd := p.Update(tea.KeyPressMsg(key)); (cmd != nil) != leaves || p.left != leaves {
			t.Errorf("key %v: left %v, want %v", key, p.left, leaves)
		}
	}
}

func TestViewWritesLinesWhereNothingCanBeDrawn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
		defer cancel()
		var b bytes.Buffer
		v := View{Snapshot: scenes(), Output: &b, Terminal: IsTerminal(&b)}
		if err := v.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if bytes.ContainsRune(b.Bytes(), '\x1b') {
			t.Error("the lines have escape codes in them")
		}
		golden(t, "lines.txt", b.Bytes())
	})
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestViewReportsABrokenOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := View{Snapshot: scenes(), Output: broken{}}
		if err := v.Run(t.Context()); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("error %v, want that of the output", err)
		}
	})
}

func TestViewDrawsUntilItsContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var b bytes.Buffer
	next := scenes()
	v := View{Output: &b, Terminal: true, Snapshot: func() Snapshot {
		s := next()
		if s.Elapsed >= time.Second {
			cancel()
		}
		return s
	}}
	if err := v.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "of 20,000") {
		t.Errorf("the last frame is not drawn: %q", b.String())
	}
}

func TestViewIsLeftByAKey(t *testing.T) {
	var b bytes.Buffer
	v := View{Output: &b, Input: strings.NewReader("q"), Terminal: true, Snapshot: scenes()}
	if err := v.Run(t.Context()); !errors.Is(err, ErrQuit) {
		t.Errorf("error %v, want ErrQuit", err)
	}
}

package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	tea "charm.land/bubbletea/v2"
	"golang.org/x/term"
)

// ErrQuit is returned by View.Run when the person at the terminal has had
// enough.
var ErrQuit = errors.New("the view was left")

const (
	frameInterval = 250 * time.Millisecond
	lineInterval  = time.Second
)

// View shows how an export runs: a picture that is drawn over and over on a
// terminal, and elsewhere one line a second without any escape code.
type View struct {
	Snapshot func() Snapshot // asked for every frame and every line
	Output   io.Writer
	Input    io.Reader // keys, on a terminal: q and ctrl+c leave; nil reads none
	Terminal bool      // whether Output is a terminal that can be drawn on
}

// IsTerminal tells whether w is a terminal that can be drawn on.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}

// Run shows the export until the context ends, and then once more, so that the
// last picture is that of the end. It returns ErrQuit when the person left, and
// any error of writing.
func (v *View) Run(ctx context.Context) error {
	if v.Terminal {
		return v.draw(ctx)
	}
	return v.write(ctx)
}

// write prints a line a second.
func (v *View) write(ctx context.Context) error {
	ticker := time.NewTicker(lineInterval)
	defer ticker.Stop()
	lines := plainLines{output: v.Output}
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return lines.print(v.Snapshot())
		}
		if err := lines.print(v.Snapshot()); err != nil {
			return err
		}
	}
}

// draw runs the picture.
func (v *View) draw(ctx context.Context) error {
	// The size holds when the output does not tell its own.
	p := tea.NewProgram(newPicture(v.Snapshot),
		tea.WithOutput(v.Output), tea.WithInput(v.Input), tea.WithoutSignalHandler(), tea.WithWindowSize(80, 24))

	// The program runs beyond its context: it has a last frame to draw.
	stop := context.AfterFunc(ctx, func() { p.Send(finished{}) })
	defer stop()
	last, err := p.Run()
	if err != nil {
		return fmt.Errorf("drawing the view: %w", err)
	}
	if end, ok := last.(*picture); ok && end.left {
		return ErrQuit
	}
	return nil
}

type (
	tick     struct{} // time for a frame
	finished struct{} // time for the last one
)

func nextTick() tea.Cmd {
	return tea.Tick(frameInterval, func(time.Time) tea.Msg { return tick{} })
}

// Init asks for the first frame.
func (p *picture) Init() tea.Cmd {
	p.history.add(p.snapshot())
	return nextTick()
}

// Update takes what has happened.
func (p *picture) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tick:
		p.history.add(p.snapshot())
		return p, nextTick()
	case finished:
		p.history.add(p.snapshot())
		p.done = true
		return p, tea.Quit
	case tea.KeyPressMsg:
		if s := msg.String(); s == "q" || s == "ctrl+c" || s == "esc" {
			p.left, p.done = true, true
			return p, tea.Quit
		}
	}
	return p, nil
}

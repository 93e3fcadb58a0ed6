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
	eventInterval = 100 * time.Millisecond
)

// View shows how an export runs: a picture that is drawn over and over on a
// terminal, and elsewhere one line a second without any escape code.
type View struct {
	Snapshot func() Snapshot // asked for every frame and every line
	Output   io.Writer
	Input    io.Reader // keys, on a terminal: q and ctrl+c leave; nil reads none
	Terminal bool      // whether Output is a terminal that can be drawn on
	Story    bool      // lines tell what happens, when it does, instead of one a second
}

// IsTerminal tells whether w is a terminal that can be drawn on.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}

// Width is how many characters fit into a line of w; 0 when that is not known,
// as it is no terminal.
func Width(w io.Writer) int {
	if !IsTerminal(w) {
		return 0
	}
	width, _, err := term.GetSize(int(w.(*os.File).Fd())) //nolint:forcetypeassert // a terminal is a file
	if err != nil {
		return 0
	}
	return width
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

// write prints lines.
func (v *View) write(ctx context.Context) error {
	interval, printed := lineInterval, (&plainLines{output: v.Output}).print
	if v.Story {
		interval, printed = eventInterval, (&storyLines{output: v.Output}).print
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return printed(v.Snapshot())
		}
		if err := printed(v.Snapshot()); err != nil {
			return err
		}
	}
}

// draw runs the picture.
func (v *View) draw(ctx context.Context) error {
	// The size holds when the output does not tell its own.
	p := tea.NewProgram(newPicture(v.Snapshot),
		tea.WithOutput(v.Output), tea.WithInput(v.Input), tea.WithoutSignalHandler(), tea.WithWindowSize(pictureWidth, 24))

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
	case tea.WindowSizeMsg:
		p.width = msg.Width
	case tea.KeyPressMsg:
		if s := msg.String(); s == "q" || s == "ctrl+c" || s == "esc" {
			p.left, p.done = true, true
			return p, tea.Quit
		}
	}
	return p, nil
}

package app

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"sessionexport/deadletter"
)

const (
	progressEvery = 100 * time.Millisecond // between two pictures
	progressAfter = 500 * time.Millisecond // what is quicker needs none
	progressWidth = 24                     // of the bar, in characters
)

// progress is a line on a terminal that shows how far a long work is. What is
// written through it, such as log lines, stands above that line. When it is not
// on, it only passes on what is written.
type progress struct {
	to  io.Writer
	on  bool
	now func() time.Time

	mu    sync.Mutex
	label string
	begun time.Time
	drawn time.Time
	shown bool
}

func newProgress(to io.Writer, on bool) *progress {
	return &progress{to: to, on: on, now: time.Now}
}

// phase begins a work; nil when nothing is shown anyway.
func (p *progress) phase(label string) deadletter.Progress {
	if !p.on {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.label, p.begun = label, p.now()
	p.drawn = p.begun.Add(progressAfter - progressEvery)
	return p.draw
}

func (p *progress) draw(done, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if now.Sub(p.drawn) < progressEvery {
		return
	}
	p.drawn, p.shown = now, true
	fmt.Fprint(p.to, "\r\x1b[K"+progressLine(p.label, done, total, now.Sub(p.begun)))
}

// clear takes the line away.
func (p *progress) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wipe()
}

func (p *progress) wipe() {
	if p.shown {
		fmt.Fprint(p.to, "\r\x1b[K")
		p.shown = false
	}
}

// Write writes above the line.
func (p *progress) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wipe()
	return p.to.Write(b) //nolint:wrapcheck // it stands in for to
}

// progressLine is the picture: part done, rate, and the time that the rest
// takes at that rate.
//
//	reading   [########----------------]  33 %  12,345/s  0:42 left
func progressLine(label string, done, total int64, taken time.Duration) string {
	done = max(0, min(done, total))
	part := 1.0
	if total > 0 {
		part = float64(done) / float64(total)
	}
	full := int(part * progressWidth)
	line := fmt.Sprintf("%-10s[%s%s] %3d %%", label, strings.Repeat("#", full), strings.Repeat("-", progressWidth-full), int(part*100))
	seconds := taken.Seconds()
	if done == 0 || seconds <= 0 {
		return line
	}
	rate := float64(done) / seconds
	left := time.Duration(float64(total-done) / rate * float64(time.Second)).Round(time.Second)
	return line + fmt.Sprintf("  %s/s  %s left", grouped(int64(rate)), clockOf(left))
}

// clockOf writes a duration as minutes and seconds, with hours when there are
// any.
func clockOf(d time.Duration) string {
	s := int64(d / time.Second)
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

// grouped writes a number with commas.
func grouped(n int64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

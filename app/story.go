package app

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"sessionexport/alerts"
	"sessionexport/demo"
)

// storyStep is how often the story looks at the sinks.
const storyStep = 100 * time.Millisecond

// tell tells the story of faults until its end or until ctx is done: it breaks
// receivers, looks at what the sinks make of it, and mends them. In the end all
// are well, so that everything can arrive.
func (d *demoRun) tell(ctx context.Context) {
	defer d.receivers.Mend()
	ticker := time.NewTicker(storyStep)
	defer ticker.Stop()
	for {
		scene, changed, ok := d.o.Story.Advance(d.snapshot())
		if changed {
			d.receivers.Mend()
			for k, s := range d.sinks {
				if scene.Broken && s.ID == scene.Chapter.Sink {
					d.receivers[k].Break(scene.Chapter.Defect())
				}
			}
		}
		d.mu.Lock()
		if d.scene = &scene; !ok {
			d.scene = nil
		}
		d.mu.Unlock()
		if !ok {
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			d.mu.Lock()
			d.scene = nil
			d.mu.Unlock()
			return
		}
	}
}

// teller is the notifier that shows alerts in the demo's view.
type teller struct{ d *demoRun }

// Name implements alerts.Notifier.
func (teller) Name() string { return "view" }

// Run implements alerts.Notifier: there is nothing to carry anywhere.
func (teller) Run(ctx context.Context) { <-ctx.Done() }

// Try implements alerts.Notifier.
func (t teller) Try(_ context.Context, n alerts.Notification) error {
	t.Tell(n)
	return nil
}

// Tell implements alerts.Notifier.
func (t teller) Tell(n alerts.Notification) {
	text := n.Sink + ": " + n.Cause.Summary()
	switch {
	case n.State == alerts.Resolved:
		text += fmt.Sprintf(", after %d s", int(n.At.Sub(n.Since).Round(time.Second)/time.Second))
	case n.Error != "":
		text += ": " + n.Error
	}
	t.d.mu.Lock()
	defer t.d.mu.Unlock()
	t.d.told = append(t.d.told, demo.Told{At: n.At.Sub(t.d.began), Over: n.State == alerts.Resolved, Text: text})
}

// afterword tells of what the story has left behind: the dead letters as they
// stand in their topic, and why some sessions came twice.
func (d *demoRun) afterword(ctx context.Context, to io.Writer, sum demo.Summary) error {
	letters, duplicates := 0, 0
	for _, s := range sum.Sinks {
		letters, duplicates = letters+s.DeadLetters, duplicates+s.Duplicates
	}
	var b strings.Builder
	if letters > 0 {
		desk, err := newDesk(DeadLetterOptions{Stdout: to, Stderr: io.Discard}, d.file)
		if err != nil {
			return fmt.Errorf("counting the dead letters: %w", err)
		}
		defer desk.close()
		tally, err := desk.tally(ctx)
		if err != nil {
			return fmt.Errorf("counting the dead letters: %w", err)
		}
		b.WriteString("\nDead letters, read back from their topic as by `session-export dead-letters`:\n")
		for _, g := range tally.Groups() {
			fmt.Fprintf(&b, "  %s of %s: %s, %s, answered %d\n", grouped(g.Letters), g.Sink, g.Kind, g.Reason, g.Status)
		}
	}
	if duplicates > 0 {
		taken := 0
		for k, s := range d.sinks {
			taken += d.receivers[k].Tally(s.Endpoint.Path).Unacknowledged
		}
		fmt.Fprintf(&b, "\nDuplicates come from bodies that a receiver took without being able to say so:\nhere %s sessions, when connections were cut. Receivers know them by their ids.\n", grouped(int64(taken)))
	}
	if _, err := io.WriteString(to, b.String()); err != nil {
		return fmt.Errorf("writing the view: %w", err)
	}
	return nil
}

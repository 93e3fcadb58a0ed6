package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"sessionexport/deadletter"
	"sessionexport/dispatcher"
	"sessionexport/settings"
)

// tombstonesAtOnce is how many dropped letters one write ends.
const tombstonesAtOnce = 500

// redriveLook is how often the progress of a redrive is looked at.
const redriveLook = 200 * time.Millisecond

// errUnasked is returned when the person did not agree.
var errUnasked = errors.New("nothing was done")

// Redriven is what became of the chosen letters of one sink.
type Redriven struct {
	Environment string `json:"environment"`
	Sink        string `json:"sink"`
	Chosen      int64  `json:"chosen"`
	Delivered   int64  `json:"delivered"`             // and no dead letters any more
	FailedAgain int64  `json:"failedAgain"`           // with their history
	OutOfScope  int64  `json:"outOfScope,omitempty"`  // of the sink's management zone, by now
	WithoutBody int64  `json:"withoutBody,omitempty"` // too large to be kept
	Unreadable  int64  `json:"unreadable,omitempty"`
	Left        int64  `json:"left"` // not tried, or not to the end
	Error       string `json:"error,omitempty"`
}

// choose finds the chosen letters, by sink.
func (d *desk) choose(ctx context.Context) (*deadletter.Selection, error) {
	there, err := d.letters.Snapshot(ctx, d.records, d.progress.phase("looking"))
	if err != nil {
		return nil, fmt.Errorf("looking for dead letters: %w", err)
	}
	chosen, err := there.Choose(ctx, &d.o.Filter, d.progress.phase("choosing"))
	d.progress.clear()
	if err != nil {
		return nil, fmt.Errorf("choosing dead letters: %w", err)
	}
	d.unreadable(chosen.Unreadable)
	return chosen, nil
}

// ask asks whether to do something with the chosen letters.
func (d *desk) ask(ctx context.Context, what string, chosen *deadletter.Selection) error {
	if d.o.Confirm == nil {
		return nil
	}
	var parts []string
	for _, g := range chosen.Groups {
		parts = append(parts, fmt.Sprintf("%s of %s/%s", grouped(g.Letters.Letters()), g.Environment, g.Sink))
	}
	yes, err := d.o.Confirm(ctx, fmt.Sprintf("%s %s dead letters (%s)?", what, grouped(chosen.Size()), strings.Join(parts, ", ")))
	if err != nil {
		return fmt.Errorf("asking: %w", err)
	}
	if !yes {
		return errUnasked
	}
	return nil
}

// DropDeadLetters ends the chosen letters: their sessions are lost to their
// sinks.
func DropDeadLetters(ctx context.Context, o DeadLetterOptions) error {
	return withDesk(ctx, o, func(ctx context.Context, d *desk) error {
		chosen, err := d.choose(ctx)
		if err != nil {
			return err
		}
		if chosen.Size() == 0 {
			d.note("no dead letters were chosen")
			return nil
		}
		if err := d.ask(ctx, "Drop for ever", chosen); err != nil {
			return err
		}
		for _, g := range chosen.Groups {
			n, err := d.drop(ctx, &g)
			fmt.Fprintf(o.Stdout, "dropped %s of %s dead letters of %s/%s\n", grouped(n), grouped(g.Letters.Letters()), g.Environment, g.Sink)
			if err != nil {
				return fmt.Errorf("dropping dead letters: %w", err)
			}
		}
		return nil
	})
}

func (d *desk) drop(ctx context.Context, g *deadletter.Group) (int64, error) {
	dropped := int64(0)
	var keys []string
	flush := func() error {
		err := d.letters.Tombstone(ctx, keys...)
		if err == nil {
			dropped += int64(len(keys))
		}
		keys = keys[:0]
		return err //nolint:wrapcheck // the caller says what it was doing
	}
	err := g.Letters.Each(ctx, d.progress.phase("dropping"), func(_ deadletter.At, l *deadletter.Letter, err error) error {
		if err != nil {
			return nil //nolint:nilerr // changed since it was chosen
		}
		keys = append(keys, l.ID().String())
		if len(keys) < tombstonesAtOnce {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	d.progress.clear()
	return dropped, err //nolint:wrapcheck // the caller says what it was doing
}

// RedriveDeadLetters sends the chosen letters again, each to its own sink alone,
// and prints what became of them. It fails when a letter is still there at the
// end. A signal ends it gracefully, a second one at once; what is not done then
// is done by the next redrive.
func RedriveDeadLetters(ctx context.Context, o DeadLetterOptions) error {
	d, err := openDesk(o)
	if err != nil {
		return err
	}
	defer d.close()
	soft, hard, stop := Signals(ctx)
	defer stop()
	chosen, err := d.choose(soft)
	if err != nil {
		return cutOff(soft, err)
	}
	if chosen.Size() > 0 {
		if err := d.ask(soft, "Send again", chosen); err != nil {
			return cutOff(soft, err)
		}
	}
	all := make([]Redriven, 0, len(chosen.Groups))
	left := int64(0)
	for i := range chosen.Groups {
		r := d.redriveGroup(soft, hard, &chosen.Groups[i])
		left += r.Chosen - r.Delivered
		all = append(all, r)
	}
	d.progress.clear()
	if err := printRedriven(o.Stdout, o.Output, all); err != nil {
		return fmt.Errorf("printing what was done: %w", err)
	}
	if soft.Err() != nil {
		return errors.New("ended by a signal: what is left can be redriven again")
	}
	if left > 0 {
		return fmt.Errorf("%s of %s dead letters are still there", grouped(left), grouped(chosen.Size()))
	}
	return nil
}

func (d *desk) redriveGroup(soft, hard context.Context, g *deadletter.Group) Redriven {
	r := Redriven{Environment: g.Environment, Sink: g.Sink, Chosen: g.Letters.Letters()}
	r.Left = r.Chosen
	if soft.Err() != nil {
		return r
	}
	env, export, err := d.sink(g)
	if err != nil {
		r.Error = err.Error()
		return r
	}
	letters := deadletter.NewRedrive(deadletter.RedriveOptions{
		Topic: d.letters, Letters: g.Letters, InScope: dispatcher.Scope(export),
	})
	pipeline, err := dispatcher.NewRedrive(dispatcher.RedriveOptions{
		Environment: env, Export: export, Topic: d.letters.Name(), Source: letters, Letters: letters,
		Egress: d.file.Egress, Version: Version, Logger: d.log.With("environment", env.ID, "sink", export.ID),
	})
	if err != nil {
		r.Error = err.Error()
		return r
	}
	defer pipeline.Close()
	err = d.redrive(soft, hard, letters, pipeline)
	c := letters.Counts()
	r.Delivered, r.FailedAgain, r.OutOfScope, r.WithoutBody, r.Unreadable = c.Delivered, c.Again, c.OutOfScope, c.WithoutBody, c.Unreadable
	r.Left = c.Left()
	if err != nil && soft.Err() == nil {
		r.Error = err.Error()
	}
	bare := letters.Bare()
	for _, s := range bare {
		d.note("%s/%s: a letter without its body cannot be sent: its session was at topic %q, partition %d, offset %d",
			g.Environment, g.Sink, s.Topic, s.Partition, s.Offset)
	}
	if more := c.WithoutBody - int64(len(bare)); more > 0 {
		d.note("%s/%s: and %s more without their bodies", g.Environment, g.Sink, grouped(more))
	}
	return r
}

// sink finds the export that the letters belong to.
func (d *desk) sink(g *deadletter.Group) (*settings.Environment, *settings.Export, error) {
	for i := range d.file.Environments {
		env := &d.file.Environments[i]
		if env.ID != g.Environment {
			continue
		}
		for k := range env.Exports {
			if e := &env.Exports[k]; e.ID == g.Sink {
				if !e.Enabled() {
					return nil, nil, errors.New("this sink is disabled in the configuration")
				}
				return env, e, nil
			}
		}
	}
	return nil, nil, errors.New("the configuration has no such sink")
}

// redrive runs the letters through their pipeline until all are decided on, the
// endpoint is in trouble, or soft is done.
func (d *desk) redrive(soft, hard context.Context, letters *deadletter.Redrive, pipeline *dispatcher.Redrive) error {
	reading, enough := context.WithCancel(soft)
	defer enough()
	running, end := context.WithCancel(context.WithoutCancel(soft))
	var work sync.WaitGroup
	work.Go(func() { pipeline.Run(running) })
	work.Go(func() {
		show := d.progress.phase("sending")
		ticker := time.NewTicker(redriveLook)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				if c := letters.Counts(); show != nil {
					show(c.Chosen-c.Left(), c.Chosen)
				}
			case <-pipeline.Trouble():
				enough()
				return
			case <-running.Done():
				return
			}
		}
	})
	err := letters.Run(reading)
	grace, cancel := context.WithTimeout(hard, d.file.Shutdown.Grace)
	defer cancel()
	pipeline.Stop(grace)
	flushed := letters.Flush(soft)
	end()
	work.Wait()
	select {
	case <-pipeline.Trouble():
		if soft.Err() == nil && errors.Is(err, context.Canceled) {
			c := pipeline.Cause()
			err = fmt.Errorf("given up, as one delivery after the other failed: %s", c.Text)
		}
	default:
	}
	return errors.Join(err, flushed)
}

// printRedriven writes the outcome.
func printRedriven(w io.Writer, o deadletter.Output, all []Redriven) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	switch o {
	case deadletter.JSON:
		return e.Encode(struct {
			Sinks []Redriven `json:"sinks"`
		}{all})
	case deadletter.NDJSON:
		for _, r := range all {
			if err := e.Encode(r); err != nil {
				return fmt.Errorf("encoding: %w", err)
			}
		}
		return nil
	}
	if len(all) == 0 {
		fmt.Fprintln(w, "no dead letters were chosen")
	}
	for _, r := range all {
		fmt.Fprintf(w, "%s/%s: %s chosen, %s delivered", r.Environment, r.Sink, grouped(r.Chosen), grouped(r.Delivered))
		for _, part := range []struct {
			n    int64
			text string
		}{
			{r.FailedAgain, "failed again"}, {r.OutOfScope, "out of scope"}, {r.WithoutBody, "without body"},
			{r.Unreadable, "unreadable"}, {r.Left, "left"},
		} {
			if part.n > 0 {
				fmt.Fprintf(w, ", %s %s", grouped(part.n), part.text)
			}
		}
		fmt.Fprintln(w)
		if r.Error != "" {
			fmt.Fprintf(w, "%s/%s: %s\n", r.Environment, r.Sink, r.Error)
		}
	}
	return nil
}

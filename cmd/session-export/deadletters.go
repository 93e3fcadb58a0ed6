package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sessionexport/app"
	"sessionexport/deadletter"
	"sessionexport/demo"
)

// letterFlags are what the commands about dead letters have in common.
type letterFlags struct {
	options      app.DeadLetterOptions
	statuses     []string
	since, until string
	output       string
	yes          bool
	to           string
}

func deadLettersCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "dead-letters",
		Short: "Look at sessions that were given up, send them again, or drop them",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(
		letterCommand("list [KEY...]", "List dead letters", "table", "json, ndjson", func(cmd *cobra.Command, f *letterFlags) error {
			return app.ListDeadLetters(cmd.Context(), f.options)
		}),
		letterCommand("count", "Count dead letters by sink and cause", "table", "json, ndjson", func(cmd *cobra.Command, f *letterFlags) error {
			return app.CountDeadLetters(cmd.Context(), f.options)
		}),
		letterCommand("show KEY...", "Show all about dead letters, their sessions included", "table", "json, ndjson, raw",
			func(cmd *cobra.Command, f *letterFlags) error { return app.ShowDeadLetters(cmd.Context(), f.options) }),
		downloadCommand(),
		asking(letterCommand("redrive [KEY...]", "Send dead letters again, each to its own sink", "table", "json, ndjson",
			func(cmd *cobra.Command, f *letterFlags) error {
				return app.RedriveDeadLetters(cmd.Context(), f.options)
			})),
		asking(letterCommand("drop [KEY...]", "Drop dead letters for ever", "table", "", func(cmd *cobra.Command, f *letterFlags) error {
			return app.DropDeadLetters(cmd.Context(), f.options)
		})),
	)
	return c
}

func downloadCommand() *cobra.Command {
	c := letterCommand("download [KEY...]", "Write dead letters with their sessions to a file", "ndjson", "json, sessions",
		func(cmd *cobra.Command, f *letterFlags) error {
			if f.to == "" {
				return &useError{errors.New("--to names the file; - is the standard output")}
			}
			return app.DownloadDeadLetters(cmd.Context(), f.options, f.to)
		})
	return c
}

// asking marks a command that changes something: it asks first.
func asking(c *cobra.Command) *cobra.Command {
	act := c.RunE
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if yes, _ := cmd.Flags().GetBool("yes"); !yes && !demo.IsTerminal(os.Stdin) {
			return &useError{errors.New("there is nobody to ask: --yes goes ahead without")}
		}
		return act(cmd, args)
	}
	return c
}

// letterCommand makes a command of its use; the words behind its name tell
// which keys it takes.
func letterCommand(use, short, output, others string, do func(*cobra.Command, *letterFlags) error) *cobra.Command {
	f := &letterFlags{options: app.DeadLetterOptions{Stdout: os.Stdout, Stderr: os.Stderr}}
	name, keys, _ := strings.Cut(use, " ")
	c := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.options.Filter.Keys = args
			if err := f.read(output, others, time.Now()); err != nil {
				return &useError{err}
			}
			return do(cmd, f)
		},
	}
	switch keys {
	case "KEY...":
		c.Args = cobra.MinimumNArgs(1)
	case "[KEY...]":
		c.Args = cobra.ArbitraryArgs
	}
	flags, filter := c.Flags(), &f.options.Filter
	flags.StringVar(&f.options.Config, "config", "config.yaml", "configuration file")
	if others != "" {
		flags.StringVar(&f.output, "output", output, output+", "+others)
	}
	switch name {
	case "show":
		return c
	case "download":
		flags.StringVar(&f.to, "to", "", "file, which must not exist; - is the standard output")
	case "redrive", "drop":
		flags.BoolVar(&f.yes, "yes", false, "do not ask")
	}
	flags.StringSliceVar(&filter.Environments, "environment", nil, "only of these environments")
	flags.StringSliceVar(&filter.Sinks, "sink", nil, "only of these sinks")
	flags.StringSliceVar(&filter.Kinds, "kind", nil, "only of these kinds: "+strings.Join(letterKinds, ", "))
	flags.StringSliceVar(&filter.Reasons, "reason", nil, "only with these reasons")
	flags.StringSliceVar(&f.statuses, "status", nil, "only with these statuses; none is without an answer")
	flags.StringSliceVar(&filter.Sessions, "session", nil, "only these sessions: userSessionId, or tenantId-userSessionId-startTime")
	flags.StringVar(&f.since, "since", "", "last tried at this time or later: RFC 3339, a date (UTC), or a time ago such as 36h or 7d")
	flags.StringVar(&f.until, "until", "", "last tried before this time")
	return c
}

var letterKinds = []string{"rejected", "poison", "undelivered"}

// read understands the flags.
func (f *letterFlags) read(output, others string, now time.Time) error {
	o := &f.options
	if f.output == "" {
		f.output = output
	}
	known := f.output == output
	for other := range strings.SplitSeq(others, ", ") {
		known = known || f.output == other && other != ""
	}
	if !known {
		return fmt.Errorf("--output %s: it is %s", f.output, strings.TrimSuffix(output+", "+others, ", "))
	}
	o.Output = deadletter.Output(f.output)
	for _, key := range o.Filter.Keys {
		if _, err := deadletter.ParseID(key); err != nil {
			return fmt.Errorf("%q names no dead letter: a key is environment/sink/topic/partition/offset", key)
		}
	}
	for _, kind := range o.Filter.Kinds {
		if !slices.Contains(letterKinds, kind) {
			return fmt.Errorf("--kind %s: it is %s", kind, strings.Join(letterKinds, ", "))
		}
	}
	for _, text := range f.statuses {
		n, err := strconv.Atoi(text)
		switch {
		case text == "none":
			n = 0
		case err != nil || n < 100 || n > 599:
			return fmt.Errorf("--status %s: it is a number from 100 to 599, or none", text)
		}
		o.Filter.Statuses = append(o.Filter.Statuses, n)
	}
	var err error
	if o.Filter.Since, err = moment(f.since, now); err != nil {
		return fmt.Errorf("--since %s: %w", f.since, err)
	}
	if o.Filter.Until, err = moment(f.until, now); err != nil {
		return fmt.Errorf("--until %s: %w", f.until, err)
	}
	if !f.yes {
		o.Confirm = confirm
	}
	return nil
}

// moment reads a time, a date, or how long ago.
func moment(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 && n <= 36500 {
			return now.Add(-time.Duration(n) * 24 * time.Hour), nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, errors.New("it is a time (2026-03-01T12:00:00Z), a date (2026-03-01), or a time ago (36h, 7d)")
}

// confirm asks the person at the terminal; anything but yes is no, and so is a
// signal.
func confirm(ctx context.Context, question string) (bool, error) {
	fmt.Fprint(os.Stderr, question+" [y/N] ")
	type line struct {
		text string
		err  error
	}
	read := make(chan line, 1)
	go func() {
		text, err := bufio.NewReader(os.Stdin).ReadString('\n')
		read <- line{text, err}
	}()
	select {
	case l := <-read:
		if l.err != nil && l.text == "" {
			return false, fmt.Errorf("reading the answer: %w", l.err)
		}
		answer := strings.ToLower(strings.TrimSpace(l.text))
		return answer == "y" || answer == "yes", nil
	case <-ctx.Done():
		// The goroutine that reads cannot be stopped; the process ends.
		fmt.Fprintln(os.Stderr)
		return false, nil
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"sessionexport/app"
	"sessionexport/settings"
	"sessionexport/trial"
)

// errNotDelivered ends a test whose report has said everything.
var errNotDelivered = errors.New("the export was not delivered")

func testExportCommand() *cobra.Command {
	t := app.Trial{Stdin: os.Stdin, Stderr: os.Stderr}
	output := "text"
	c := &cobra.Command{
		Use:   "test-export --config FILE (--export ID | --file EXPORT)",
		Short: "Send up to 50 recent sessions to an export's endpoint, and tell what came of it",
		Long: `Sends up to 50 of the newest sessions of the last seven days to the endpoint of an export, once, and shows every
step, the verdict and what to do about a failure. The export is one of the configuration, or is read from a file
that holds one export and is saved nowhere. No consumer group is touched.

The exit code is 0 when every session was delivered, 1 when not, and 2 for wrong use or a configuration with mistakes.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "text" && output != "json" {
				return &useError{errors.New("--output is text or json")}
			}
			soft, _, stop := app.Signals(cmd.Context())
			defer stop()
			t.Ask = func(path string) (settings.Secret, bool) { return askSecret(soft, path) }
			report, err := app.TestExport(soft, t)
			if err != nil {
				return trialError("testing the export", err)
			}
			write := report.Write
			if output == "json" {
				write = report.WriteJSON
			}
			if err := write(os.Stdout); err != nil {
				return err //nolint:wrapcheck // it says what it was doing
			}
			if !report.Delivered {
				return errNotDelivered
			}
			return nil
		},
	}
	trialFlags(c, &t)
	c.Flags().StringVar(&output, "output", output, "text or json")
	return c
}

func trialFlags(c *cobra.Command, t *app.Trial) {
	f := c.Flags()
	f.StringVar(&t.Config, "config", "config.yaml", "configuration file: Kafka and environments")
	f.StringVar(&t.Export, "export", "", "id of an export of the configuration")
	f.StringVar(&t.File, "file", "", "file with one export, YAML or JSON, that is saved nowhere; - is standard input")
	f.StringVar(&t.Environment, "environment", "", "environment whose topic is read, when there are several")
}

// trialError sorts what keeps a trial from beginning.
func trialError(doing string, err error) error {
	var use *app.UseError
	if errors.As(err, &use) {
		return &useError{err}
	}
	return fmt.Errorf("%s: %w", doing, err)
}

func sampleCommand() *cobra.Command {
	t := app.Trial{Stdin: os.Stdin, Stderr: os.Stderr}
	var o trial.SampleOptions
	var from, to, output string
	c := &cobra.Command{
		Use:   "sample --config FILE [--export ID | --file EXPORT]",
		Short: "Show recent sessions as an export would send them",
		Long: `Writes up to 50 of the newest sessions of the last seven days, one JSON document a line; with action lines in
front when the export sends to Elasticsearch. With an export only sessions in its scope are shown. Nothing is sent,
and no consumer group is touched.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if o.From, err = flagTime("--from", from); err != nil {
				return err
			}
			if o.To, err = flagTime("--to", to); err != nil {
				return err
			}
			switch {
			case o.Count < 1 || o.Count > trial.MaxCount:
				return &useError{fmt.Errorf("--count must be between 1 and %d", trial.MaxCount)}
			case from != "" && to != "" && !o.From.Before(o.To):
				return &useError{errors.New("--from must be before --to")}
			}
			soft, _, stop := app.Signals(cmd.Context())
			defer stop()
			return sample(soft, t, o, output)
		},
	}
	trialFlags(c, &t)
	f := c.Flags()
	f.StringVar(&from, "from", "", "earliest start time, RFC 3339; default seven days before --to")
	f.StringVar(&to, "to", "", "start times before this, RFC 3339; default now")
	f.IntVar(&o.Count, "count", trial.DefaultCount, "most sessions")
	f.StringVar(&output, "output", "", "file to write; default standard output")
	return c
}

func flagTime(name, value string) (time.Time, error) {
	if value == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, value)
	if err != nil {
		return time.Time{}, &useError{fmt.Errorf("%s is no time of RFC 3339, such as 2026-01-31T08:00:00Z", name)}
	}
	return at, nil
}

// sample writes to standard output, or to a file that appears only as a whole.
func sample(ctx context.Context, t app.Trial, o trial.SampleOptions, output string) (err error) {
	const doing = "taking a sample"
	var w io.Writer = os.Stdout
	finish := func() error { return nil }
	if output != "" && output != "-" {
		f, err := os.CreateTemp(filepath.Dir(output), ".sample-*")
		if err != nil {
			return fmt.Errorf("%s: %w", doing, err)
		}
		w = f
		finish = func() error { return errors.Join(f.Close(), os.Rename(f.Name(), output)) }
		defer func() {
			_ = f.Close()
			_ = os.Remove(f.Name()) // nothing to remove once it has its name
		}()
	}
	result, err := app.Sample(ctx, t, w, o)
	if err != nil {
		return trialError(doing, err)
	}
	for _, u := range result.Uncarried {
		fmt.Fprintf(os.Stderr, "left out: %d that the format cannot carry: %s\n", u.Times, u.What)
	}
	for _, u := range result.Search.Unread {
		fmt.Fprintf(os.Stderr, "not read: %s\n", u)
	}
	if result.Sessions == 0 {
		return fmt.Errorf("%s: %s", doing, result.Nothing())
	}
	if result.Search.Cut {
		fmt.Fprintf(os.Stderr, "the search stopped at its bounds, after %d records\n", result.Search.Records)
	}
	if err := finish(); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

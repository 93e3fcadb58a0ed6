package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sessionexport/app"
	"sessionexport/demo"
	"sessionexport/settings"
)

// pleasantRate is the demo's rate in sessions a second: fast enough to see
// batches leave, slow enough to read.
const pleasantRate = 1000

func demoCommand() *cobra.Command {
	o := app.DemoOptions{Stdout: os.Stdout, Stderr: os.Stderr}
	fast := false
	var faults []string
	c := &cobra.Command{
		Use:   "demo",
		Short: "Show the whole way of a session, with an embedded broker and three receivers",
		Long: "Show the whole way of a session, with an embedded broker and three receivers. With --faults the receivers\n" +
			"fail in turn, and captions say what is to be seen: all faults in about 90 seconds, or with\n" +
			"--faults=500,413 those that are named. They are " + strings.Join(demo.FaultNames(), ", ") + ".",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Sessions < 0 || o.For < 0 || o.Rate < 0 {
				return &useError{errors.New("--sessions, --for and --rate must not be negative")}
			}
			if fast {
				if cmd.Flags().Changed("rate") {
					return &useError{errors.New("--max and --rate exclude each other")}
				}
				o.Rate = 0
			} else if o.Rate == 0 {
				return &useError{errors.New("--rate must be above 0; --max is as fast as it goes")}
			}
			if o.Sessions > 0 && !cmd.Flags().Changed("for") {
				o.For = 0
			}
			if len(faults) > 0 {
				if err := tellStory(cmd, &o, faults); err != nil {
					return &useError{err}
				}
			}
			return app.Demo(cmd.Context(), o)
		},
	}
	c.Flags().DurationVar(&o.For, "for", 20*time.Second, "produce sessions for this long")
	c.Flags().IntVar(&o.Sessions, "sessions", 0, "produce this many sessions (without --for: only this many)")
	c.Flags().Float64Var(&o.Rate, "rate", pleasantRate, "sessions a second")
	c.Flags().BoolVar(&fast, "max", false, "as fast as it goes")
	c.Flags().StringSliceVar(&faults, "faults", nil, "let the receivers fail in turn: all faults, or those that are named")
	c.Flags().Lookup("faults").NoOptDefVal = allFaults
	c.Flags().Uint64Var(&o.Seed, "seed", 1, "seed of the generated sessions")
	c.Flags().StringVar(&o.Summary, "summary", "", "write the summary as JSON to this file; - is standard output")
	return c
}

// The rates at which the faults can be watched: batches have to be large enough
// to be halved, and what waits while a sink holds has to fit the demo's broker.
const (
	leastStoryRate = 200
	mostStoryRate  = 2_500
)

// allFaults is what --faults stands for without a value.
const allFaults = "all"

// tellStory makes the demo one of faults.
func tellStory(cmd *cobra.Command, o *app.DemoOptions, faults []string) error {
	for _, other := range []string{"for", "sessions", "max"} {
		if cmd.Flags().Changed(other) {
			return fmt.Errorf("--faults and --%s exclude each other: the story takes as long as it takes, at the rate of --rate", other)
		}
	}
	if o.Rate < leastStoryRate || o.Rate > mostStoryRate {
		return fmt.Errorf("--rate %v cannot be shown with --faults: use %d to %d sessions a second", o.Rate, leastStoryRate, mostStoryRate)
	}
	if len(faults) == 1 && faults[0] == allFaults {
		faults = nil
	}
	story, err := demo.NewStory(faults)
	if err != nil {
		return fmt.Errorf("--faults: %w", err)
	}
	o.Story, o.For = story, 0
	return nil
}

func serveCommand() *cobra.Command {
	o := app.ServeOptions{Stderr: os.Stderr}
	c := &cobra.Command{
		Use:   "serve --config FILE",
		Short: "Export sessions as a configuration says, until a signal ends it",
		Long:  "Export sessions as a configuration says, until a signal ends it. SIGHUP reloads the file.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return app.Serve(cmd.Context(), o)
		},
	}
	c.Flags().StringVar(&o.Config, "config", "config.yaml", "configuration file")
	c.Flags().BoolVar(&o.Watch, "watch", false, "also reload when the content of the file changed, or of a secret or certificate that it names")
	return c
}

func configCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "config",
		Short: "Work with configuration files",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(&cobra.Command{
		Use:   "check FILE",
		Short: "List every mistake of a configuration at once; with none, show what it does",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			file, err := settings.Load(args[0], os.LookupEnv)
			var problems settings.Problems
			switch {
			case errors.As(err, &problems):
				return err
			case err != nil: // no such file, or none that can be read
				return &useError{fmt.Errorf("checking the configuration: %w", err)}
			}
			if err := app.CheckNotifiers(file); err != nil {
				return err
			}
			file.Summary(os.Stdout)
			for _, w := range app.Warnings(file) {
				fmt.Fprintln(os.Stdout, "warning:", w)
			}
			return nil
		},
	})
	return c
}

// codecs are the compressions that generate offers.
var codecs = []string{"none", "gzip", "snappy", "lz4", "zstd"}

func generateCommand() *cobra.Command {
	var o demo.ProduceOptions
	start := ""
	c := &cobra.Command{
		Use:   "generate --brokers HOST:PORT --topic TOPIC",
		Short: "Produce generated sessions to a topic",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case len(o.Brokers) == 0 || o.Topic == "":
				return &useError{errors.New("--brokers and --topic are required")}
			case o.Count < 0 || o.Rate < 0 || o.First < 0:
				return &useError{errors.New("--count, --rate and --first must not be negative")}
			case !slices.Contains(codecs, o.Compression):
				return &useError{fmt.Errorf("--compression %q is none of %s", o.Compression, strings.Join(codecs, ", "))}
			}
			var err error
			if o.Start, err = startTime(start, time.Now()); err != nil {
				return &useError{err}
			}
			soft, _, stop := app.Signals(cmd.Context())
			defer stop()
			n, err := demo.Produce(soft, o)
			fmt.Fprintf(os.Stdout, "produced %d sessions to %s\n", n, o.Topic)
			if err != nil {
				return fmt.Errorf("producing sessions: %w", err)
			}
			return nil
		},
	}
	f := c.Flags()
	f.StringSliceVar(&o.Brokers, "brokers", nil, "Kafka brokers, host:port, comma-separated")
	f.StringVar(&o.Topic, "topic", "", "topic; it must exist or be created by the broker")
	f.IntVar(&o.Count, "count", 0, "sessions to produce; 0: until a signal")
	f.Float64Var(&o.Rate, "rate", 0, "sessions a second; 0: as fast as the broker takes them")
	f.Uint64Var(&o.Seed, "seed", 1, "seed of the generator")
	f.StringVar(&start, "start", "", `when the first session started: a time as in RFC 3339, or "now" (default 2026-01-01, so that the same seed makes the same bytes)`)
	f.IntVar(&o.First, "first", 0, "index of the first session")
	f.StringVar(&o.Compression, "compression", "lz4", strings.Join(codecs, ", "))
	return c
}

// startTime reads the flag --start; without it the generator has its own.
func startTime(text string, now time.Time) (time.Time, error) {
	switch text {
	case "":
		return time.Time{}, nil
	case "now":
		return now, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || t.Year() < 2002 || t.Year() > 2200 {
		return time.Time{}, fmt.Errorf("--start %q is no time from 2002 to 2200 as in RFC 3339, such as 2026-01-31T12:00:00Z, nor now", text)
	}
	return t, nil
}

// Command faults runs the program under faults and counts: produced = delivered
// ∪ dead letters, and no more duplicates than had been delivered and not
// committed. Every run prints its seed and can be run again with it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// scenario is one kind of fault.
type scenario struct {
	name  string // for -only
	fault string // as the table names it
	short bool   // it is part of the shortened campaign
	run   func(ctx context.Context, c *campaign, seed uint64) (result, error)
}

var scenarios = []scenario{
	{"kill", "SIGKILL at random moments", true, kills},
	{"control", "control: a planted bug", true, control},
}

// campaign is one run of some scenarios.
type campaign struct {
	short  bool
	dir    string // of what is built
	binary string
}

// choose is a number of the shortened campaign, or of the whole one.
func (c *campaign) choose(short, whole int) int {
	if c.short {
		return short
	}
	return whole
}

func (c *campaign) stand(o standOptions) (*stand, error) {
	if o.binary == "" {
		o.binary = c.binary
	}
	return newStand(o)
}

func main() {
	only := flag.String("only", "", "names of scenarios, with commas between them; default all")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano())%1_000_000, "seed of the schedules") //nolint:gosec // positive
	short := flag.Bool("short", false, "the shortened campaign")
	binary := flag.String("binary", "", "the program; default: built from this module")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *only, *seed, *short, *binary); err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, only string, seed uint64, short bool, binary string) error {
	chosen, err := choose(only, short)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "session-export-faults-")
	if err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if binary == "" {
		if binary, err = build(ctx, dir, "session-export", nil); err != nil {
			return err
		}
	}
	c := &campaign{short: short, dir: dir, binary: binary}
	var rows, failed []string
	for _, one := range chosen {
		fmt.Printf("%s  %s: seed %d\n", time.Now().UTC().Format(time.TimeOnly), one.name, seed)
		began := time.Now()
		r, err := one.run(ctx, c, seed)
		if err == nil {
			err = r.count.check()
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			failed = append(failed, one.name)
			fmt.Printf("          FAILED: %v\n", err)
		}
		for _, n := range r.notes {
			fmt.Printf("          %s\n", n)
		}
		if r.count.sinks != nil {
			fmt.Printf("          %s\n", r.count)
			rows = append(rows, r.row(one.fault, seed))
		}
		fmt.Printf("          %.0f s\n", time.Since(began).Seconds())
	}
	fmt.Printf("\n%s\n%s\n", tableHead, strings.Join(rows, "\n"))
	if failed != nil {
		return fmt.Errorf("failed with seed %d: %s", seed, strings.Join(failed, ", "))
	}
	return nil
}

// choose returns the scenarios with the names, or all of them.
func choose(only string, short bool) ([]scenario, error) {
	var out []scenario
	if only == "" {
		for _, s := range scenarios {
			if s.short || !short {
				out = append(out, s)
			}
		}
		return out, nil
	}
names:
	for name := range strings.SplitSeq(only, ",") {
		for _, s := range scenarios {
			if s.name == name {
				out = append(out, s)
				continue names
			}
		}
		var known []string
		for _, s := range scenarios {
			known = append(known, s.name)
		}
		return nil, fmt.Errorf("-only names %q: use %s", name, strings.Join(known, ", "))
	}
	return out, nil
}

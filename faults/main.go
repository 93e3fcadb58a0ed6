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
	"sync"
	"syscall"
	"time"
)

// scenario is one kind of fault.
type scenario struct {
	name  string // for -only
	fault string // as the table names it
	apart bool   // it runs only when it is named
	run   func(ctx context.Context, c *campaign, seed uint64) (result, error)
}

var scenarios = []scenario{
	{"kill", "SIGKILL at random moments", false, kills},
	{"group", "three instances: SIGKILL, SIGSTOP for longer than a session, joins", false, groups},
	{"restart", "all brokers restart", false, restarts},
	{"silence", "brokers accept and never answer", false, silences},
	{"move", "coordinators and leaders move", false, moves},
	{"outage", "endpoints down, then back with a backlog", false, outage},
	{"tokens", "token server down", false, tokens},
	{"log", "file-size limit on the log", false, logLimit},
	{"descriptors", "file descriptors exhausted", false, descriptors},
	{"memory", "GOMEMLIMIT of 4 MiB", false, memory},
	{"reload", "a changed configuration every 200 ms", false, reloads},
	{"control", "control: a planted bug", false, control},
	{"soak", "soak: random faults at 80 % of the maximum rate", true, soak},
}

// campaign is one run of some scenarios.
type campaign struct {
	short  bool
	dir    string // of what is built
	binary string
	soak   time.Duration
	atOnce int // scenarios that run beside each other
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
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano())%1_000_000, "seed of the schedules")
	short := flag.Bool("short", false, "the shortened campaign")
	binary := flag.String("binary", "", "the program; default: built from this module")
	length := flag.Duration("soak", 10*time.Minute, "how long the soak lasts, which runs when -only names it")
	atOnce := flag.Int("at-once", 3, "scenarios that run beside each other: most of their time they wait")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *only, *seed, campaign{short: *short, binary: *binary, soak: *length, atOnce: *atOnce}); err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, only string, seed uint64, c campaign) error {
	chosen, err := choose(only)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "session-export-faults-")
	if err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	c.dir = dir
	if c.binary == "" {
		if c.binary, err = build(ctx, dir, "session-export", nil); err != nil {
			return err
		}
	}
	fmt.Printf("%s  seed %d\n", time.Now().UTC().Format(time.TimeOnly), seed)
	all := make([]played, len(chosen))
	var turns sync.WaitGroup
	turn := make(chan struct{}, max(c.atOnce, 1))
	for i, one := range chosen {
		turns.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			if ctx.Err() == nil {
				all[i] = c.play(ctx, one, seed)
			}
		})
	}
	turns.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var rows, failed []string
	for i, p := range all {
		if p.failed {
			failed = append(failed, chosen[i].name)
		}
		if p.row != "" {
			rows = append(rows, p.row)
		}
	}
	fmt.Printf("\n%s\n%s\n", tableHead, strings.Join(rows, "\n"))
	if failed != nil {
		return fmt.Errorf("failed with seed %d: %s", seed, strings.Join(failed, ", "))
	}
	return nil
}

// played is what became of a scenario.
type played struct {
	row    string // of the table; "" for none
	failed bool
}

// play runs a scenario and tells of it.
func (c *campaign) play(ctx context.Context, one scenario, seed uint64) (p played) {
	began := time.Now()
	r, err := one.run(ctx, c, seed)
	if err == nil {
		err = r.count.check()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s, seed %d, %.0f s\n", time.Now().UTC().Format(time.TimeOnly), one.name, seed, time.Since(began).Seconds())
	if err != nil {
		p.failed = true
		fmt.Fprintf(&b, "          FAILED: %v\n", err)
	}
	for _, n := range r.notes {
		fmt.Fprintf(&b, "          %s\n", n)
	}
	if r.count.sinks != nil {
		fmt.Fprintf(&b, "          %s\n", r.count)
		p.row = r.row(one.fault, seed)
	}
	fmt.Print(b.String())
	return p
}

// choose returns the scenarios with the names, or all of them.
func choose(only string) ([]scenario, error) {
	var out []scenario
	if only == "" {
		for _, s := range scenarios {
			if !s.apart {
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

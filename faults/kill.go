package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"sessionexport/demo"
)

// killCustom bounds what may be on its way when it is killed.
var killCustom = map[string]string{"maxSessions": strconv.Itoa(killBatch), "maxInFlight": strconv.Itoa(killInFlight)}

const (
	killBatch    = 25
	killInFlight = 2
)

// poisonous makes the first sink refuse each third body for good, by its size:
// the program halves it, and now and then a session is refused alone as well
// and becomes a dead letter.
func (s *stand) poisonous() func(demo.Arrival) demo.Misbehaviour {
	return func(a demo.Arrival) demo.Misbehaviour {
		m := demo.Misbehaviour{Delay: 5 * time.Millisecond}
		if a.Path == s.sinks[0].Endpoint.Path && a.Bytes%3 == 0 {
			m.Status = 422
		}
		return m
	}
}

// kills ends the program with SIGKILL at random moments under load; it is
// started again each time.
func kills(ctx context.Context, c *campaign, seed uint64) (r result, err error) {
	times := c.choose(8, 100)
	s, err := c.stand(standOptions{seed: seed, rate: 400, custom: killCustom})
	if err != nil {
		return r, err
	}
	defer s.close()
	r.what, r.times = "kills", times
	s.trouble(s.poisonous())
	return r, s.kills(ctx, times, &r, func() error { return pause(ctx, time.Duration(s.rnd.Int64N(int64(2500*time.Millisecond)))) })
}

// kills kills the program again and again; each life lasts for as long as the
// moment takes to come.
func (s *stand) kills(ctx context.Context, times int, r *result, moment func() error) error {
	s.startLoad()
	var killed time.Time
	early := 0
	for range times {
		p, err := s.launch("only", instanceOptions{})
		if err != nil {
			return err
		}
		if err := moment(); err != nil {
			return err
		}
		if !p.running() {
			return fmt.Errorf("the program ended by itself with %d; it logged\n%s", p.code, p.tail())
		}
		if !killed.IsZero() {
			if d, ok := s.since(killed); ok {
				r.recovery = append(r.recovery, d)
			} else {
				early++
			}
		}
		p.kill()
		killed = time.Now()
		if err := s.quiet(ctx); err != nil {
			return err
		}
		if err := s.letters.sync(ctx); err != nil {
			return err
		}
		s.fault()
		s.over()
	}
	r.notes = append(r.notes, fmt.Sprintf("%d of them before a session had arrived at every sink", early))
	if _, err := s.launch("only", instanceOptions{}); err != nil {
		return err
	}
	d, err := s.arrivals(ctx, killed)
	if err != nil {
		return err
	}
	r.recovery = append(r.recovery, d)
	r.count, err = s.settle(ctx)
	return err
}

// control runs the kills on programs with a planted bug: the count must find
// it.
func control(ctx context.Context, c *campaign, seed uint64) (r result, err error) {
	r.what = "planted bugs"
	for i := range plants[:c.choose(1, len(plants))] {
		bug := &plants[i]
		binary, err := build(ctx, c.dir, fmt.Sprintf("planted-%d", i), bug)
		if err != nil {
			return r, err
		}
		err = c.control(ctx, seed, binary, bug, &r)
		if err != nil {
			return r, fmt.Errorf("%s: %w", bug.name, err)
		}
		r.times++
	}
	return r, nil
}

func (c *campaign) control(ctx context.Context, seed uint64, binary string, bug *plant, r *result) error {
	s, err := c.stand(standOptions{seed: seed, rate: 150, custom: killCustom, binary: binary})
	if err != nil {
		return err
	}
	defer s.close()
	// A receiver that is too slow, so that at any moment sessions have been read and not delivered.
	s.trouble(func(demo.Arrival) demo.Misbehaviour { return demo.Misbehaviour{Delay: 400 * time.Millisecond} })
	var of result
	first := s.sinks[0]
	err = s.kills(ctx, c.choose(3, 8), &of, func() error { // something was committed in this life
		before := s.committed(first)
		return until(ctx, "something is committed", func() (bool, error) { return s.committed(first) > before, nil })
	})
	if err != nil {
		return err
	}
	found := of.count.check()
	if !errors.Is(found, bug.caught) {
		return fmt.Errorf("was not caught: %s", of.count)
	}
	r.notes = append(r.notes, fmt.Sprintf("%s: caught, %s", bug.name, of.count))
	return nil
}

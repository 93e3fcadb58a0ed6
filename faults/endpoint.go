package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"sessionexport/demo"
)

// outage shuts the endpoints' door while sessions go on coming, and looks at
// how the program comes back: probes of 1, 10 and 100 sessions, then one batch
// at a time, and twice as many after ten good ones.
func outage(ctx context.Context, c *campaign, seed uint64) (r result, err error) {
	s, _, err := c.loaded(ctx, standOptions{seed: seed, rate: 600, custom: map[string]string{
		"maxSessions": strconv.Itoa(outageBatch), "maxInFlight": "4", "idleTimeout": "3s", "maxBatchAge": "20s", "maxRetries": "2",
	}})
	if err != nil {
		return r, err
	}
	defer s.close()
	if err := s.flowing(ctx); err != nil {
		return r, err
	}
	s.fault()
	s.door.shut()
	if err := pause(ctx, time.Duration(c.choose(2, 120))*time.Second); err != nil {
		return r, err
	}
	// Enough for the probes and twice ten good batches, and more.
	if err := until(ctx, "there is a backlog", func() (bool, error) { return s.load.produced()-s.delivered()/len(s.sinks) > 40*outageBatch, nil }); err != nil {
		return r, err
	}
	s.over()
	seen := s.observe(100 * time.Millisecond)
	ended := time.Now()
	if err := s.door.unlock(); err != nil {
		return r, err
	}
	took, err := s.arrivals(ctx, ended)
	if err != nil {
		return r, err
	}
	r.what, r.times, r.recovery = "outage", 1, []time.Duration{took}
	if !c.short {
		r.what = "outage of 2 min"
	}
	if err := until(ctx, "the slow start is over at every sink", func() (bool, error) { return seen.over(s), nil }); err != nil {
		return r, errors.Join(err, seen.check(s))
	}
	if err := seen.check(s); err != nil {
		return r, err
	}
	s.trouble(nil)
	for _, one := range s.sinks {
		r.notes = append(r.notes, fmt.Sprintf("%s came back with bodies of %v sessions", one.ID, seen.of(one)[:5]))
	}
	r.count, err = s.settle(ctx)
	return r, err
}

// outageBatch is more than the probes of 1, 10 and 100 sessions.
const outageBatch = 150

// arrivalsSeen are the bodies that came to each path, in order, and how many
// were there at once.
type arrivalsSeen struct {
	mu     sync.Mutex
	now    map[string]int
	at     map[string][]int // how many there were when each one came
	bodies map[string][]int // sessions of each one
}

// observe looks at what arrives from now on, which takes a while each.
func (s *stand) observe(delay time.Duration) *arrivalsSeen {
	seen := &arrivalsSeen{now: map[string]int{}, at: map[string][]int{}, bodies: map[string][]int{}}
	s.trouble(func(a demo.Arrival) demo.Misbehaviour {
		seen.mu.Lock()
		defer seen.mu.Unlock()
		seen.now[a.Path]++
		seen.at[a.Path] = append(seen.at[a.Path], seen.now[a.Path])
		return demo.Misbehaviour{Delay: delay}
	})
	received := func(r demo.Receipt) {
		seen.mu.Lock()
		defer seen.mu.Unlock()
		if r.Sessions > 0 {
			seen.now[r.Path]--
			seen.bodies[r.Path] = append(seen.bodies[r.Path], r.Sessions)
		}
	}
	s.received.Store(&received)
	return seen
}

func (a *arrivalsSeen) of(one *sink) []int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.bodies[one.Endpoint.Path])
}

// over tells whether every sink has sent four batches at once.
func (a *arrivalsSeen) over(s *stand) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, one := range s.sinks {
		at := a.at[one.Endpoint.Path]
		if len(at) == 0 || slices.Max(at) < 4 {
			return false
		}
	}
	return true
}

// check says what was not as a slow start is.
func (a *arrivalsSeen) check(s *stand) error {
	const probes, good = 4, 10 // 1, 10, 100 and the rest; good batches that double
	a.mu.Lock()
	defer a.mu.Unlock()
	var errs []error
	for _, one := range s.sinks {
		at, bodies := a.at[one.Endpoint.Path], a.bodies[one.Endpoint.Path]
		if len(bodies) < probes || !slices.Equal(bodies[:3], []int{1, 10, 100}) {
			errs = append(errs, fmt.Errorf("%s: the first bodies have %v sessions, not 1, 10, 100 and the rest", one.ID, bodies[:min(probes, len(bodies))]))
			continue
		}
		for i, n := range at {
			most := 4
			if i < probes+good {
				most = 1
			} else if i < probes+2*good {
				most = 2
			}
			if n > most {
				errs = append(errs, fmt.Errorf("%s: body %d came while %d others were there", one.ID, i, n-1))
				break
			}
		}
	}
	return errors.Join(errs...)
}

// tokens shuts the token server's door, and lets tokens end quickly.
func tokens(ctx context.Context, c *campaign, seed uint64) (r result, err error) {
	s, _, err := c.loaded(ctx, standOptions{seed: seed, rate: 300, custom: killCustom, life: 2 * time.Second})
	if err != nil {
		return r, err
	}
	defer s.close()
	r.what = "outages of the token server"
	for range c.choose(1, 4) {
		if err := s.flowing(ctx); err != nil {
			return r, err
		}
		s.fault()
		s.tokens.shut()
		if err := pause(ctx, time.Duration(c.choose(5, 15))*time.Second); err != nil {
			return r, err
		}
		now := time.Now()
		err := until(ctx, "sessions arrive at the sinks that need no token", func() (bool, error) {
			for _, one := range s.sinks {
				if _, ok := one.since(now); !ok && one.Endpoint.OAuth == nil {
					return false, nil
				}
			}
			return true, nil
		})
		if err != nil {
			return r, err
		}
		s.over()
		ended := time.Now()
		if err := s.tokens.unlock(); err != nil {
			return r, err
		}
		took, err := s.arrivals(ctx, ended)
		if err != nil {
			return r, err
		}
		r.times++
		r.recovery = append(r.recovery, took)
	}
	r.count, err = s.settle(ctx)
	return r, err
}

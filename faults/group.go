package main

import (
	"context"
	"fmt"
	"syscall"
	"time"
)

// groups lets instances of one group be killed, stopped for longer than a
// session and woken again, and joined by others.
func groups(ctx context.Context, c *campaign, seed uint64) (r result, err error) {
	s, err := c.stand(standOptions{seed: seed, rate: 300, custom: killCustom})
	if err != nil {
		return r, err
	}
	defer s.close()
	var alive []*instance
	for range 3 {
		p, err := s.launch("", instanceOptions{})
		if err != nil {
			return r, err
		}
		alive = append(alive, p)
	}
	if err := s.whole(ctx, alive); err != nil {
		return r, err
	}
	s.startLoad()
	kinds := []string{"killed", "paused", "joined"}
	counts := map[string]int{}
	r.what, r.times = "kills, pauses, joins", c.choose(3, 18)
	for n := range r.times {
		kind := kinds[n%3]
		if n >= 3 {
			kind = kinds[s.rnd.IntN(3)]
		}
		counts[kind]++
		if err := pause(ctx, time.Duration(s.rnd.Int64N(int64(2*time.Second)))); err != nil {
			return r, err
		}
		k := s.rnd.IntN(len(alive))
		s.fault()
		struck := time.Now()
		switch kind {
		case "killed":
			alive[k].kill()
			if err := s.risked(ctx); err != nil {
				return r, err
			}
			if alive[k], err = s.launch("", instanceOptions{}); err != nil {
				return r, err
			}
		case "paused":
			alive[k].signal(syscall.SIGSTOP)
			if err := s.risked(ctx); err != nil {
				return r, err
			}
			if err := pause(ctx, session+time.Duration(s.rnd.Int64N(int64(4*time.Second)))); err != nil {
				return r, err
			}
			for _, one := range s.sinks { // what it was about to send it may send before it hears that it is out
				one.more(2 * killBatch * killInFlight)
			}
			alive[k].signal(syscall.SIGCONT)
			struck = time.Now()
		case "joined":
			if len(alive) > 4 { // one takes leave for it
				if err := alive[k].stop(time.Minute); err != nil {
					return r, err
				}
				alive = append(alive[:k], alive[k+1:]...)
			}
			p, err := s.launch("", instanceOptions{})
			if err != nil {
				return r, err
			}
			alive = append(alive, p)
		}
		if err := s.whole(ctx, alive); err != nil {
			return r, fmt.Errorf("after one was %s: %w", kind, err)
		}
		r.recovery = append(r.recovery, time.Since(struck))
		if kind == "joined" {
			s.over()
		}
		if err := s.flowing(ctx); err != nil {
			return r, err
		}
	}
	r.notes = append(r.notes, fmt.Sprintf("%d killed, %d paused, %d joined; recovery until every partition has an owner among the living", counts["killed"], counts["paused"], counts["joined"]))
	r.count, err = s.settle(ctx)
	return r, err
}

// session is longer than the session timeout of a group's member.
const session = 12 * time.Second

// risked ends a fault whose victim does nothing any more: it waits until what
// the victim had sent has been dealt with.
func (s *stand) risked(ctx context.Context) error {
	if err := pause(ctx, 500*time.Millisecond); err != nil {
		return err
	}
	s.over()
	return nil
}

// whole waits until all of the groups have just these members, and these own
// all partitions and no more.
func (s *stand) whole(ctx context.Context, alive []*instance) error {
	return until(ctx, fmt.Sprintf("%d members share all partitions", len(alive)), func() (bool, error) {
		for _, one := range s.sinks {
			if !s.broker.whole(one.group, len(alive)) {
				return false, nil
			}
		}
		owned := 0.0
		for _, p := range alive {
			if !p.running() {
				return false, fmt.Errorf("an instance ended with %d; it logged\n%s", p.code, p.tail())
			}
			n, err := p.metric(ctx, "session_export_kafka_partitions_owned")
			if err != nil {
				return false, nil //nolint:nilerr // it does not listen yet
			}
			owned += n
		}
		return owned == float64(partitions*len(s.sinks)), nil
	})
}

// flowing waits until sessions arrive and are committed, at every sink.
func (s *stand) flowing(ctx context.Context) error {
	now := time.Now()
	if _, err := s.arrivals(ctx, now); err != nil {
		return err
	}
	before := map[*sink]int64{}
	for _, one := range s.sinks {
		before[one] = s.committed(one)
	}
	return until(ctx, "every sink commits", func() (bool, error) {
		for _, one := range s.sinks {
			if s.committed(one) <= before[one] {
				return false, nil
			}
		}
		return true, nil
	})
}

// committed is how many sessions a sink has committed.
func (s *stand) committed(one *sink) (sum int64) {
	at, _ := s.broker.committed(one.group)
	for _, n := range at {
		sum += n
	}
	return sum
}

// more lets a sink deliver so many sessions twice.
func (k *sink) more(sessions int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.bound += sessions
}

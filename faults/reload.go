package main

import (
	"context"
	"fmt"
	"syscall"
	"time"
)

// reloads changes the configuration every 200 ms: nothing is lost and nothing
// sent twice.
func reloads(ctx context.Context, c *campaign, seed uint64) (r result, err error) {
	s, p, err := c.loaded(ctx, standOptions{seed: seed, rate: 300, custom: map[string]string{"maxSessions": "25"}})
	if err != nil {
		return r, err
	}
	defer s.close()
	bad := 0
	end := time.Now().Add(time.Duration(c.choose(5, 60)) * time.Second)
	for n := 0; time.Now().Before(end); n++ {
		s.custom = map[string]string{"maxSessions": fmt.Sprint(20 + s.rnd.IntN(10)), "maxInFlight": fmt.Sprint(1 + s.rnd.IntN(4))}
		if n%5 == 4 { // a mistake
			s.custom["maxSessions"] = "many"
			bad++
		}
		if err := s.write(); err != nil {
			return r, err
		}
		p.signal(syscall.SIGHUP)
		r.times++
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return r, err
		}
		if !p.running() {
			return r, fmt.Errorf("the program ended with %d at a reload; it logged\n%s", p.code, p.tail())
		}
	}
	s.custom = map[string]string{"maxSessions": "25"}
	if err := s.write(); err != nil {
		return r, err
	}
	p.signal(syscall.SIGHUP)
	r.what = "reloads"
	r.notes = append(r.notes, fmt.Sprintf("%d of the files had a mistake and changed nothing", bad))
	if err := s.flowing(ctx); err != nil {
		return r, err
	}
	r.count, err = s.settle(ctx)
	return r, err
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// logLimit lets the log's file reach a limit of its size, so that every
// further line fails.
func logLimit(ctx context.Context, c *campaign, seed uint64) (r result, err error) {
	s, err := c.stand(standOptions{seed: seed, rate: 300, custom: killCustom})
	if err != nil {
		return r, err
	}
	defer s.close()
	p, err := s.launch("", instanceOptions{limits: "ulimit -f 8", env: []string{"SESSION_EXPORT_LOG_LEVEL=debug"}})
	if err != nil {
		return r, err
	}
	s.startLoad()
	var size int64
	err = until(ctx, "the log reaches its limit", func() (bool, error) {
		s.door.cut() // trouble to tell of
		info, err := os.Stat(p.log)
		if err != nil {
			return false, fmt.Errorf("looking at the log: %w", err)
		}
		full := info.Size() == size && (size == 8<<10 || size == 4<<10) // blocks of 1024 or 512 bytes
		size = info.Size()
		return full, nil
	})
	if err != nil {
		return r, fmt.Errorf("%w: it has %d bytes", err, size)
	}
	r.what, r.times = "full log", 1
	s.fault()
	if err := pause(ctx, time.Duration(c.choose(2, 20))*time.Second); err != nil {
		return r, err
	}
	if !p.running() {
		return r, fmt.Errorf("the program ended with %d when it could not write its log", p.code)
	}
	took, err := s.arrivals(ctx, time.Now())
	if err != nil {
		return r, err
	}
	r.recovery = append(r.recovery, took)
	s.over()
	r.notes = append(r.notes, fmt.Sprintf("deliveries went on with a log of %d bytes that took no more", size))
	r.count, err = s.settle(ctx)
	return r, err
}

// descriptors starts the program with few file descriptors, and later takes
// them away from one that works, with all its connections.
func descriptors(ctx context.Context, c *campaign, seed uint64) (r result, err error) {
	s, err := c.stand(standOptions{seed: seed, rate: 300, custom: killCustom, late: true})
	if err != nil {
		return r, err
	}
	defer s.close()
	s.startLoad()
	few, err := s.launch("", instanceOptions{limits: "ulimit -n 16"})
	if err != nil {
		return r, err
	}
	s.fault()
	if err := pause(ctx, 3*time.Second); err != nil {
		return r, err
	}
	alive := few.running()
	few.kill()
	if err := s.quiet(ctx); err != nil {
		return r, err
	}
	s.over()
	p, err := s.launch("", instanceOptions{})
	if err != nil {
		return r, err
	}
	if err := s.flowing(ctx); err != nil {
		return r, err
	}
	r.notes = append(r.notes, fmt.Sprintf("16 descriptors from the start on: still running after 3 s: %t", alive))
	r.what = "exhaustions"
	for range c.choose(1, 4) {
		s.fault()
		restore, err := limitDescriptors(p.cmd.Process.Pid, 6)
		if err != nil {
			return r, err
		}
		s.door.cut()
		s.broker.cut()
		err = pause(ctx, time.Duration(c.choose(3, 15))*time.Second)
		ended := time.Now()
		if err := errors.Join(err, restore()); err != nil {
			return r, err
		}
		took, err := s.arrivals(ctx, ended)
		if err != nil {
			return r, err
		}
		r.times++
		r.recovery = append(r.recovery, took)
		if err := s.flowing(ctx); err != nil {
			return r, err
		}
		s.over()
	}
	r.count, err = s.settle(ctx)
	r.notes = append(r.notes, s.wentBack()...)
	return r, err
}

// memoryLimit is far below what the program needs: the collector never rests.
const memoryLimit = "4MiB"

// memory lets the program work with hardly any memory: slower, not dead.
func memory(ctx context.Context, c *campaign, seed uint64) (r result, err error) {
	r.what = "drained backlogs"
	for _, limit := range []string{"", memoryLimit} {
		rate, counted, err := c.drain(ctx, seed, limit)
		if err != nil {
			return r, err
		}
		if limit == "" {
			limit = "none"
		}
		r.times++
		r.count = counted
		r.notes = append(r.notes, fmt.Sprintf("GOMEMLIMIT %s: %.0f sessions a second at each of three sinks", limit, rate))
		if err := counted.check(); err != nil {
			return r, err
		}
	}
	return r, nil
}

// drain makes a backlog and measures how fast it is delivered.
func (c *campaign) drain(ctx context.Context, seed uint64, limit string) (rate float64, counted count, err error) {
	s, err := c.stand(standOptions{seed: seed, custom: map[string]string{"maxSessions": "200"}})
	if err != nil {
		return 0, counted, err
	}
	defer s.close()
	s.startLoad()
	target := c.choose(4_000, 30_000)
	if err := until(ctx, "there is a backlog", func() (bool, error) { return s.load.produced() >= target, nil }); err != nil {
		return 0, counted, err
	}
	if err := s.load.stop(); err != nil {
		return 0, counted, err
	}
	more := instanceOptions{}
	if limit != "" {
		more.env = []string{"GOMEMLIMIT=" + limit}
	}
	began := time.Now()
	if _, err := s.launch("", more); err != nil {
		return 0, counted, err
	}
	produced := s.load.produced()
	err = until(ctx, "the backlog is delivered", func() (bool, error) { return s.delivered() >= produced*len(s.sinks), nil })
	if err != nil {
		return 0, counted, err
	}
	rate = float64(produced) / time.Since(began).Seconds()
	counted, err = s.settle(ctx)
	return rate, counted, err
}

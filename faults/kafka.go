package main

import (
	"context"
	"time"
)

// strike is one fault of the brokers: it begins and ends.
type strike func(ctx context.Context, s *stand, last time.Duration) error

// brokers lets something happen to the brokers again and again, while one
// instance works.
func (c *campaign) brokers(ctx context.Context, seed uint64, times int, least, most time.Duration, do strike) (r result, err error) {
	s, _, err := c.loaded(ctx, standOptions{seed: seed, rate: 300, nodes: 3, custom: killCustom, late: true})
	if err != nil {
		return r, err
	}
	defer s.close()
	for range times {
		if err := s.flowing(ctx); err != nil {
			return r, err
		}
		s.fault()
		if err := do(ctx, s, least+time.Duration(s.rnd.Int64N(int64(most-least)+1))); err != nil {
			return r, err
		}
		ended := time.Now()
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

// restarts stops the brokers and starts them again with what they had.
func restarts(ctx context.Context, c *campaign, seed uint64) (result, error) {
	r, err := c.brokers(ctx, seed, c.choose(1, 8), time.Second, 6*time.Second, func(ctx context.Context, s *stand, last time.Duration) error {
		s.broker.stop()
		if err := pause(ctx, last); err != nil {
			return err
		}
		return s.broker.start()
	})
	r.what = "restarts"
	return r, err
}

// silences lets the brokers accept everything and answer nothing.
func silences(ctx context.Context, c *campaign, seed uint64) (result, error) {
	least, most := 5*time.Second, 5*time.Second
	if !c.short {
		least, most = 5*time.Second, 25*time.Second
	}
	r, err := c.brokers(ctx, seed, c.choose(1, 5), least, most, func(ctx context.Context, s *stand, last time.Duration) error {
		s.broker.silence(true)
		defer s.broker.silence(false)
		return pause(ctx, last)
	})
	r.what = "silences"
	return r, err
}

// moves gives groups another coordinator and partitions another leader.
func moves(ctx context.Context, c *campaign, seed uint64) (result, error) {
	r, err := c.brokers(ctx, seed, c.choose(2, 15), 0, time.Second, func(ctx context.Context, s *stand, last time.Duration) error {
		s.broker.move()
		return pause(ctx, last)
	})
	r.what = "moves"
	return r, err
}

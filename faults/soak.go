package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"sessionexport/demo"
)

const (
	soakShare  = 0.8              // of the maximum rate
	soakSample = 2 * time.Second  // between two looks at the process
	soakBatch  = "400"            // sessions
	soakGrowth = 1.25             // of the memory from the second quarter to the last
	soakSlack  = 16.0             // MB, and goroutines
	trimEvery  = time.Second      // what all have committed is deleted
	maximumFor = 20 * time.Second // to find out the maximum rate
)

// soak runs one instance for long at 80 % of the maximum rate under random
// faults: its memory is flat and its goroutines do not grow.
func soak(ctx context.Context, c *campaign, seed uint64) (r result, err error) {
	most, err := c.maximum(ctx, seed)
	if err != nil {
		return r, err
	}
	rate := soakShare * most
	s, p, err := c.loaded(ctx, standOptions{seed: seed, rate: rate, nodes: 3, trim: true, late: true, life: 20 * time.Second, custom: map[string]string{
		"maxSessions": soakBatch, "idleTimeout": "1s", "maxBatchAge": "5s",
	}})
	if err != nil {
		return r, err
	}
	defer s.close()
	r.what = "faults"
	r.notes = append(r.notes, fmt.Sprintf("maximum %.0f sessions a second at each of three sinks; the load is %.0f", most, rate))
	var series samples
	end := time.Now().Add(c.soak)
	looking, stopLooking := context.WithCancel(ctx)
	looked := make(chan error, 1)
	go func() { looked <- series.collect(looking, p) }()
	kinds := map[string]int{}
	for time.Until(end) > 20*time.Second {
		name, took, err := s.soakFault(ctx)
		kinds[name]++
		r.recovery = append(r.recovery, took)
		if err == nil {
			err = pause(ctx, time.Duration(5+s.rnd.IntN(10))*time.Second)
		}
		if err != nil {
			stopLooking()
			return r, fmt.Errorf("%s: %w", name, err)
		}
		r.times++
	}
	err = pause(ctx, time.Until(end))
	stopLooking()
	if lerr := <-looked; err == nil {
		err = lerr
	}
	if err != nil {
		return r, err
	}
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		r.notes = append(r.notes, fmt.Sprintf("%d times: %s", kinds[name], name))
	}
	r.notes = append(r.notes, series.table()...)
	if err := series.check(); err != nil {
		return r, err
	}
	r.count, err = s.settle(ctx)
	r.notes = append(r.notes, s.wentBack()...)
	return r, err
}

// maximum is how many sessions a second the program delivers at every sink
// when there is always another one.
func (c *campaign) maximum(ctx context.Context, seed uint64) (float64, error) {
	s, err := c.stand(standOptions{seed: seed, trim: true, custom: map[string]string{"maxSessions": soakBatch}})
	if err != nil {
		return 0, err
	}
	defer s.close()
	p, err := s.launch("", instanceOptions{})
	if err != nil {
		return 0, err
	}
	if err := s.ready(ctx, p); err != nil {
		return 0, err
	}
	s.startLoad()
	if _, err := s.arrivals(ctx, time.Now()); err != nil {
		return 0, err
	}
	slowest := func() int {
		var all []int
		for _, one := range s.sinks {
			all = append(all, s.receiver.Distinct(one.Endpoint.Path))
		}
		return slices.Min(all)
	}
	before, began := slowest(), time.Now()
	if err := pause(ctx, maximumFor); err != nil {
		return 0, err
	}
	return float64(slowest()-before) / time.Since(began).Seconds(), nil
}

// soakFault lets one thing fail for some seconds.
func (s *stand) soakFault(ctx context.Context) (name string, took time.Duration, err error) {
	s.fault()
	last := time.Duration(1+s.rnd.IntN(4)) * time.Second
	var turn atomic.Uint64
	every := func(n uint64, m demo.Misbehaviour) func(demo.Arrival) demo.Misbehaviour {
		return func(demo.Arrival) demo.Misbehaviour {
			if turn.Add(1)%n == 0 {
				return m
			}
			return demo.Misbehaviour{}
		}
	}
	var begin func()
	end := func() error { return nil }
	calm := func() error { s.trouble(nil); return nil }
	switch s.rnd.IntN(10) {
	case 0:
		name, begin, end = "endpoints answer 503", func() { s.trouble(every(1, demo.Misbehaviour{Status: 503})) }, calm
	case 1:
		name, begin, end = "every third body is answered with 500", func() { s.trouble(every(3, demo.Misbehaviour{Status: 500})) }, calm
	case 2:
		name, begin, end = "every fifth answer is lost", func() { s.trouble(every(5, demo.Misbehaviour{Lost: true})) }, calm
	case 3:
		name, begin, end = "endpoints throttle", func() { s.trouble(every(2, demo.Misbehaviour{Status: 429, RetryAfter: time.Second})) }, calm
	case 4:
		name, begin = "all connections to the endpoints are cut", s.door.cut
	case 5:
		name, begin, end = "endpoints are silent", func() { s.door.silence(true) }, func() error { s.door.silence(false); return nil }
	case 6:
		name, begin, end = "the token server is down", s.tokens.shut, s.tokens.unlock
	case 7:
		name, begin = "all connections to the brokers are cut", s.broker.cut
	case 8:
		name, begin, end = "brokers are silent", func() { s.broker.silence(true) }, func() error { s.broker.silence(false); return nil }
	default:
		name, begin = "coordinators and leaders move", s.broker.move
	}
	begin()
	err = pause(ctx, last)
	if eerr := end(); err == nil {
		err = eerr
	}
	ended := time.Now()
	if err == nil {
		took, err = s.arrivals(ctx, ended)
	}
	if err == nil {
		err = s.flowing(ctx)
	}
	s.over()
	return name, took, err
}

// samples are what a process needed, over time.
type samples struct {
	memory     []float64 // MB resident
	goroutines []float64
	missed     int   // looks without an answer
	why        error // the last of them
}

// collect looks at a process until ctx is done.
func (s *samples) collect(ctx context.Context, p *instance) error {
	for pause(ctx, soakSample) == nil {
		resident, err := memoryOf(p.cmd.Process.Pid)
		if err != nil {
			return err
		}
		goroutines, err := p.metric(ctx, "go_goroutines")
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the end cut this look short
		}
		if err != nil { // it was busy: the next look tells
			s.missed++
			s.why = err
			continue
		}
		s.memory, s.goroutines = append(s.memory, resident), append(s.goroutines, goroutines)
	}
	return nil
}

// memoryOf is the resident memory of a process in MB.
func memoryOf(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("reading a process's memory: %w", err)
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if fields := bytes.Fields(lines.Bytes()); len(fields) == 3 && string(fields[0]) == "VmRSS:" {
			kb, err := strconv.Atoi(string(fields[1]))
			if err != nil {
				return 0, fmt.Errorf("reading a process's memory: %w", err)
			}
			return float64(kb) / 1024, nil
		}
	}
	return 0, fmt.Errorf("process %d tells no memory", pid)
}

// quarters are the medians of the four quarters of a series.
func quarters(series []float64) (q [4]float64) {
	for i := range q {
		part := slices.Sorted(slices.Values(series[i*len(series)/4 : (i+1)*len(series)/4]))
		if len(part) > 0 {
			q[i] = part[len(part)/2]
		}
	}
	return q
}

// check compares the last quarter with the second: in the first the memory has
// still to become what it is.
func (s *samples) check() error {
	if s.missed > len(s.memory)/10 {
		return fmt.Errorf("%d of %d looks at the process failed: %w", s.missed, s.missed+len(s.memory), s.why)
	}
	for name, series := range map[string][]float64{"memory in MB": s.memory, "goroutines": s.goroutines} {
		if q := quarters(series); q[1] == 0 || q[3] > soakGrowth*q[1]+soakSlack {
			return fmt.Errorf("%s grew: the medians of four quarters are %.0f", name, q)
		}
	}
	return nil
}

func (s *samples) table() []string {
	text := func(name string, series []float64) string {
		return fmt.Sprintf("%s: medians of four quarters %.0f, most %.0f, of %d samples", name, quarters(series), slices.Max(append(series, 0)), len(series))
	}
	out := []string{text("resident memory in MB", s.memory), text("goroutines", s.goroutines)}
	if s.missed > 0 {
		out = append(out, fmt.Sprintf("%d looks without an answer within 5 s, the last: %v", s.missed, s.why))
	}
	return out
}

// trimmed deletes what all sinks have committed.
func (s *stand) trimmed() {
	least := map[int32]int64{}
	for i, one := range s.sinks {
		at, _ := s.broker.committed(one.group)
		for partition := range int32(partitions) {
			if i == 0 || at[partition] < least[partition] {
				least[partition] = at[partition]
			}
		}
	}
	s.broker.trim(least)
}

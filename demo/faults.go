package demo

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// Faults are what a Receiver does wrong, regularly: of 100 bodies the stated
// number, spread evenly. Its zero value does nothing wrong.
type Faults struct {
	Status        int           // answered instead of taking the body; 0: none
	StatusPercent int           // of the bodies that are not cut
	RetryAfter    time.Duration // sent with Status, in whole seconds
	ResetPercent  int           // of the bodies: their connection is cut
	Delay         time.Duration // of every answer
}

func (f Faults) any() bool { return f != Faults{} }

// spread returns what decides about bodies, in their order.
func (f Faults) spread() func(Arrival) Misbehaviour {
	var mu sync.Mutex
	resets, statuses := 0, 0
	due := func(sum *int, percent int) bool {
		*sum += percent
		if *sum < 100 {
			return false
		}
		*sum -= 100
		return true
	}
	return func(Arrival) Misbehaviour {
		mu.Lock()
		defer mu.Unlock()
		m := Misbehaviour{Delay: f.Delay}
		switch {
		case due(&resets, f.ResetPercent):
			m.Reset = true
		case f.Status != 0 && due(&statuses, f.StatusPercent):
			m.Status, m.RetryAfter = f.Status, f.RetryAfter
		}
		return m
	}
}

// describe says what is going to go wrong; "" for nothing.
func (f Faults) describe() string {
	var parts []string
	if f.Delay > 0 {
		parts = append(parts, fmt.Sprintf("answers after %v", f.Delay))
	}
	if f.ResetPercent > 0 {
		parts = append(parts, fmt.Sprintf("cuts the connection of %d %% of the bodies", f.ResetPercent))
	}
	if f.Status != 0 {
		text := fmt.Sprintf("answers %d to %d %% of the bodies", f.Status, f.StatusPercent)
		if f.RetryAfter > 0 {
			text += fmt.Sprintf(" with Retry-After: %d", int(f.RetryAfter.Round(time.Second)/time.Second))
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}

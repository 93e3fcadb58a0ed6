package main

import (
	"os"
	"testing"
)

func TestSamples(t *testing.T) {
	series := func(of ...float64) []float64 { // 25 samples a quarter
		var out []float64
		for _, v := range of {
			for range 25 {
				out = append(out, v)
			}
		}
		return out
	}
	flat := series(30, 60, 62, 61)
	for name, c := range map[string]struct {
		s    samples
		good bool
	}{
		"flat":              {samples{memory: flat, goroutines: flat}, true},
		"memory grows":      {samples{memory: series(30, 60, 80, 100), goroutines: flat}, false},
		"goroutines grow":   {samples{memory: flat, goroutines: series(100, 200, 300, 400)}, false},
		"nothing was seen":  {samples{}, false},
		"hardly seen":       {samples{memory: flat, goroutines: flat, missed: 11, why: os.ErrDeadlineExceeded}, false},
		"one peak is none":  {samples{memory: append(series(30, 60, 60, 60), 900), goroutines: flat}, true},
		"it was slow first": {samples{memory: series(500, 60, 60, 60), goroutines: flat}, true},
	} {
		if err := c.s.check(); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMemoryOf(t *testing.T) {
	mb, err := memoryOf(os.Getpid())
	if err != nil || mb < 1 || mb > 100_000 {
		t.Errorf("this process has %v MB, %v", mb, err)
	}
	if _, err := memoryOf(-1); err == nil {
		t.Error("there is no such process")
	}
}

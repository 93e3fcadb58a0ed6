package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"sessionexport/demo"
)

func set(of ...int) *demo.Indexes {
	s := &demo.Indexes{}
	for _, i := range of {
		s.Add(i)
	}
	return s
}

func TestUnion(t *testing.T) {
	for name, c := range map[string]struct {
		delivered, letters *demo.Indexes
		have, missing      int
	}{
		"all delivered":       {set(0, 1, 2, 3), nil, 4, 0},
		"some dead letters":   {set(0, 3), set(1, 2), 4, 0},
		"one is both":         {set(0, 1, 3), set(1, 2), 4, 0},
		"one is missing":      {set(0, 3), set(1), 3, 1},
		"nothing":             {nil, nil, 0, 4},
		"one beyond produced": {set(0, 1, 2, 9), nil, 3, 1},
	} {
		if have, missing := union(4, c.delivered, c.letters); have != c.have || missing != c.missing {
			t.Errorf("%s: %d there and %d missing, want %d and %d", name, have, missing, c.have, c.missing)
		}
	}
}

// TestCheck makes each mistake that a count can show.
func TestCheck(t *testing.T) {
	good := sinkCount{id: "one", delivered: 10, duplicates: 3, bound: 3, committed: 10}
	for name, c := range map[string]struct {
		change func(*sinkCount)
		want   error
	}{
		"good":       {func(*sinkCount) {}, nil},
		"nothing":    {func(s *sinkCount) { s.delivered = 0 }, errNothing},
		"missing":    {func(s *sinkCount) { s.missing = 1 }, errMissing},
		"duplicates": {func(s *sinkCount) { s.duplicates = 4 }, errDuplicates},
		"foreign":    {func(s *sinkCount) { s.foreign = 1 }, errForeign},
		"commit":     {func(s *sinkCount) { s.committed = 9 }, errCommit},
		"too far":    {func(s *sinkCount) { s.committed = 11 }, errCommit},
	} {
		bad := good
		c.change(&bad)
		err := count{produced: 10, sinks: []sinkCount{good, bad}}.check()
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if err := (count{sinks: []sinkCount{{id: "one"}}}).check(); !errors.Is(err, errNothing) {
		t.Errorf("nothing produced: %v", err)
	}
}

func TestRow(t *testing.T) {
	r := result{
		times: 3, what: "kills", recovery: []time.Duration{3 * time.Second, time.Second, 2 * time.Second},
		count: count{produced: 100, sinks: []sinkCount{{missing: 1, letters: 2, duplicates: 3, bound: 4}, {duplicates: 5, bound: 6}}},
	}
	want := "| SIGKILL | 3 kills | 7 | 100 × 2 | 1 | 2 | 8 | 10 | 2.0 s, 3.0 s |"
	if got := r.row("SIGKILL", 7); got != want {
		t.Errorf("\n%s, want\n%s", got, want)
	}
	if columns := strings.Count(want, "|"); columns != strings.Count(strings.SplitN(tableHead, "\n", 2)[0], "|") {
		t.Error("the head has another number of columns")
	}
}

func TestChoose(t *testing.T) {
	if all, err := choose(""); err != nil || len(all) != len(scenarios)-1 {
		t.Errorf("all but the soak: %d of %d, %v", len(all), len(scenarios), err)
	}
	if some, err := choose("control,kill"); err != nil || len(some) != 2 || some[0].name != "control" {
		t.Errorf("two: %v, %v", some, err)
	}
	if _, err := choose("kil"); err == nil || !strings.Contains(err.Error(), `"kil"`) || !strings.Contains(err.Error(), "kill, group") {
		t.Errorf("an unknown name: %v", err)
	}
}

// TestPlants plants each bug into a copy of its file: when the file has
// changed so that it does not fit any more, this is where it is noticed.
func TestPlants(t *testing.T) {
	for _, bug := range plants {
		if _, err := bug.overlay(t.TempDir()); err != nil {
			t.Errorf("%s: %v", bug.name, err)
		}
	}
}

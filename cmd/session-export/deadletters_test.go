package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"sessionexport/app"
	"sessionexport/deadletter"
)

func TestMoment(t *testing.T) {
	now := time.Date(2026, 3, 8, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"2026-03-01T10:00:00Z":      "2026-03-01T10:00:00Z",
		"2026-03-01T10:00:00+02:00": "2026-03-01T08:00:00Z",
		"2026-03-01":                "2026-03-01T00:00:00Z",
		"36h":                       "2026-03-07T00:00:00Z",
		"7d":                        "2026-03-01T12:00:00Z",
		"0s":                        "2026-03-08T12:00:00Z",
		"yesterday":                 "",
		"-1h":                       "",
		"-1d":                       "",
		"99999999999d":              "",
		"2026-13-01":                "",
	} {
		got, err := moment(text, now)
		if (err == nil) != (want != "") || err == nil && got.UTC().Format(time.RFC3339) != want {
			t.Errorf("%q: %v, error %v", text, got, err)
		}
	}
	if got, err := moment("", now); err != nil || !got.IsZero() {
		t.Errorf("nothing: %v, error %v", got, err)
	}
}

func TestLetterFlags(t *testing.T) {
	good := letterFlags{statuses: []string{"400", "none"}, since: "7d", output: "json"}
	good.options.Filter.Keys = []string{"default/lines/sessions/3/7"}
	if err := good.read("table", "json, ndjson", time.Now()); err != nil {
		t.Fatal(err)
	}
	o := good.options
	if o.Output != deadletter.JSON || !slices.Equal(o.Filter.Statuses, []int{400, 0}) || o.Filter.Since.IsZero() || o.Confirm == nil {
		t.Errorf("%+v", o)
	}
	plain := letterFlags{yes: true}
	if err := plain.read("table", "", time.Now()); err != nil || plain.options.Output != deadletter.Table || plain.options.Confirm != nil {
		t.Errorf("%+v, error %v", plain.options, err)
	}
	for want, f := range map[string]letterFlags{
		"--output xml":       {output: "xml"},
		"--output raw":       {output: "raw"},
		"--status 99":        {statuses: []string{"99"}},
		"--status x":         {statuses: []string{"200", "x"}},
		"--kind refused":     {options: app.DeadLetterOptions{Filter: deadletter.Filter{Kinds: []string{"poison", "refused"}}}},
		"--since soon":       {since: "soon"},
		"--until 2026-02-30": {until: "2026-02-30"},
	} {
		if err := f.read("table", "json, ndjson", time.Now()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v", want, err)
		}
	}
}

// Wrong use is told before anything is read, and nothing is changed without
// somebody to ask.
func TestDeadLettersUse(t *testing.T) {
	for _, args := range []string{
		"show", "show no-key", "count default/lines/sessions/3/7", "list --status 1000", "download", "download --to x --output table",
		"redrive", "drop", "redrive --yes --since soon", "lsit",
	} {
		if code := run(append([]string{"dead-letters"}, strings.Fields(args)...)); code != exitUse {
			t.Errorf("dead-letters %s: exit code %d", args, code)
		}
	}
}

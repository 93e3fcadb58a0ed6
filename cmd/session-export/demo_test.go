package main

import (
	"errors"
	"io"
	"strings"
	"testing"
)

func TestDemoRefusesWhatDoesNotFit(t *testing.T) {
	for args, want := range map[string]string{
		"--faults --for 10s":     "--faults and --for exclude each other",
		"--faults --sessions 10": "--faults and --sessions exclude each other",
		"--faults=500 --max":     "--faults and --max exclude each other",
		"--faults --rate 100":    "--rate 100 cannot be shown with --faults: use 200 to 2500 sessions a second",
		"--faults --rate 1e6":    "use 200 to 2500 sessions a second",
		"--faults=500,teapot":    `--faults: fault "teapot" is none of bulk-items, wrong-password, 500, 429,`,
		"--rate 0":               "--rate must be above 0",
		"--max --rate 5":         "--max and --rate exclude each other",
		"--sessions=-1":          "must not be negative",
	} {
		c := demoCommand()
		c.SetArgs(strings.Fields(args))
		c.SetOut(io.Discard)
		c.SetErr(io.Discard)
		c.SilenceUsage, c.SilenceErrors = true, true
		err := c.ExecuteContext(t.Context())
		var use *useError
		if !errors.As(err, &use) || !strings.Contains(err.Error(), want) {
			t.Errorf("demo %s: error %v, want %q", args, err, want)
		}
	}
}

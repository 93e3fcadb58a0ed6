package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// heading tells what a table is of.
func heading(began time.Time) string {
	if *recorded != "" {
		return fmt.Sprintf("From recorded runs, %d cores.\n\n", runtime.NumCPU())
	}
	return fmt.Sprintf("%d sessions, medians of %d interleaved runs, %s, %s.\n\n", *n, *repeat, machine(), took(began))
}

// machine tells what ran the measurement.
func machine() string {
	return fmt.Sprintf("%d cores, %s, load %s", runtime.NumCPU(), runtime.Version(), load())
}

// load is the mean number of processes that ran in the last minute, of this measurement and of everything else.
func load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(b), " ")
	return one
}

func took(began time.Time) string {
	return fmt.Sprintf("%s in %s", time.Now().UTC().Format("2006-01-02"), time.Since(began).Round(time.Second))
}

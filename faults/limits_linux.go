package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// limitDescriptors bounds how many file descriptors a process may have, and
// returns what lifts the bound again.
func limitDescriptors(pid int, most uint64) (restore func() error, err error) {
	var before unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &before); err != nil {
		return nil, fmt.Errorf("reading a process's limit: %w", err)
	}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: most, Max: before.Max}, nil); err != nil {
		return nil, fmt.Errorf("setting a process's limit: %w", err)
	}
	return func() error {
		if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &before, nil); err != nil {
			return fmt.Errorf("lifting a process's limit: %w", err)
		}
		return nil
	}, nil
}

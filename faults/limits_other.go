//go:build !linux

package main

import "errors"

// limitDescriptors bounds how many file descriptors a process may have: only
// Linux lets another process do that.
func limitDescriptors(int, uint64) (restore func() error, err error) {
	return nil, errors.New("this fault needs Linux")
}

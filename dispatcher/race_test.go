//go:build race

package dispatcher

// The simulated world has one goroutine: the race detector only makes it slow.
const schedules, movingClusters = 150, 5

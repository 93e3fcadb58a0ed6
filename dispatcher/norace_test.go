//go:build !race

package dispatcher

// How many seeds the random tests run.
const schedules, movingClusters = 1000, 10

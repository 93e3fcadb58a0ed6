package web

import "time"

// Config says which configuration is in force, and what became of reloads.
type Config struct {
	Hash     string    // without secrets
	Since    time.Time // it is in force
	Reloads  int64     // that succeeded
	Failures int64     // reloads that changed nothing
	FailedAt time.Time // the latest failure
	Problems []string  // why the latest reload failed; empty when it did not
	Restart  []string  // keys of the file that differ and take a restart
}

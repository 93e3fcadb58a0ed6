package app

import (
	"os"
	"runtime/debug"

	"sessionexport/settings"
)

// tuneMemory tells the collector what the configuration bounds: bodies and
// fetched bytes live long and hold no pointers, so the heap may grow a little
// before it is worth looking through. An operator's own GOMEMLIMIT or GOGC wins.
func tuneMemory(file *settings.File) {
	if os.Getenv("GOMEMLIMIT") != "" || os.Getenv("GOGC") != "" {
		return
	}
	const (
		base    = 24 << 20 // the program itself, connections, the embedded parts
		fetches = 8 << 20  // what consumer holds at most when the configuration does not say
	)
	bound := int64(base)
	if n := file.Kafka.FetchBytes; n > 0 {
		bound += n
	} else {
		bound += fetches
	}
	for _, env := range file.Environments {
		for i := range env.Exports {
			if c := env.Exports[i].Custom; env.Exports[i].Enabled() {
				bound += int64(c.MaxInFlight+1) * int64(c.MaxBytes)
			}
		}
	}
	debug.SetMemoryLimit(bound)
}

package main

import (
	"os"
	"runtime/debug"
)

// collectEarly makes the garbage collector keep the daemon small beside the databases that it may share a machine with: some 300 MiB are in use at full
// speed (frames in flight, blocks of the stream's store), and by default the heap would grow to twice that between two collections. The limit is soft: rows that
// need more get it. GOGC and GOMEMLIMIT have precedence.
func collectEarly() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(400 << 20)
	}
}

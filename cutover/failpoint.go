package cutover

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// edge is a place where the process may die. Tests make it.
func (r *run) edge(name string) error {
	if name == killAt {
		// A test asked for it: the process ends here as by a power cut.
		if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
			return fmt.Errorf("failpoint %s: %w", name, err)
		}
		select {}
	}
	if at, file, ok := strings.Cut(holdAt, "="); ok && name == at {
		held.Do(func() { hold(file) })
	}
	if r.m.cfg.Failpoint == nil {
		return nil
	}
	return r.m.cfg.Failpoint(name)
}

// killAt and holdAt are edges, for tests: where the process ends, and where it stands still, once, which it says by a file, until somebody removes that, or for holdFor.
var (
	killAt, holdAt = os.Getenv("CROSSFADE_FAILPOINT"), os.Getenv("CROSSFADE_HOLDPOINT")
	held           sync.Once
)

const holdFor = 20 * time.Second

func hold(file string) {
	if os.WriteFile(file, nil, 0o600) != nil {
		return // nobody waits there
	}
	for end := time.Now().Add(holdFor); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if _, err := os.Stat(file); err != nil {
			return
		}
	}
}

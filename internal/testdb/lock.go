package testdb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// A lock file is held by an open file description, so the kernel releases it when its process dies, however it dies.

// tryLock takes an exclusive lock, or returns nil when somebody else has it.
func tryLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return f, nil
	}
	closed := f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, closed
	}
	return nil, fmt.Errorf("lock %s: %w", path, err)
}

// lock waits for an exclusive lock; closing the file releases it.
func lock(ctx context.Context, path string) (*os.File, error) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		f, err := tryLock(path)
		if f != nil || err != nil {
			return f, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for lock %s, which another process holds: %w", path, context.Cause(ctx))
		case <-tick.C:
		}
	}
}

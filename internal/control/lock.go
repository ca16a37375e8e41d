package control

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// ErrLocked says that another process works on the migration.
var ErrLocked = errors.New("the migration is in the hands of another process")

// Lock takes a migration's state directory for this process, and makes it when it is missing: one daemon, or one cleanup, at a time. The lock ends with the
// process at the latest.
func Lock(dir string) (release func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the state directory: %w; make it writable for this user, or choose another state_dir", err)
	}
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the state directory: %w; make it writable for this user, or choose another state_dir", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w, which holds %s; stop that one first", ErrLocked, path)
		}
		return nil, fmt.Errorf("lock the state directory: %s: %w", path, err)
	}
	// Whoever removed the directory may have held the lock of a file that is no longer there.
	held, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock the state directory: %w", err)
	}
	if there, err := os.Stat(path); err != nil || !os.SameFile(held, there) {
		f.Close()
		return nil, fmt.Errorf("%w: %s was removed meanwhile; try again", ErrLocked, dir)
	}
	return func() { f.Close() }, nil
}

package stream

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const lockName = "lock"

// lockDir makes the directory and takes its lock, which ends with the process.
func lockDir(dir, migration string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open stream: make directory %s: %w", dir, err)
	}
	path := filepath.Join(dir, lockName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open stream: lock directory %s: %w", dir, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder, rerr := io.ReadAll(io.LimitReader(f, 1<<10))
		f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("open stream: lock %s: %w", path, err)
		}
		who := string(bytes.TrimSpace(holder))
		if rerr != nil || who == "" {
			who = "another process"
		}
		return nil, fmt.Errorf("open stream: %w: %s is held by %s: stop it first, or use another state_dir", ErrLocked, dir, who)
	}
	// Whoever removed the directory may have held the lock of a file that is no longer there.
	if held, err := f.Stat(); err != nil {
		f.Close()
		return nil, fmt.Errorf("open stream: lock %s: %w", path, err)
	} else if there, err := os.Stat(path); err != nil || !os.SameFile(held, there) {
		f.Close()
		return nil, fmt.Errorf("open stream: %w: %s was removed meanwhile: try again", ErrLocked, dir)
	}
	host, err := os.Hostname()
	if err != nil {
		host = "this host"
	}
	who := fmt.Sprintf("pid %d on %s, migration %s, since %s\n", os.Getpid(), host, migration, time.Now().Format(time.RFC3339))
	if err = f.Truncate(0); err == nil {
		_, err = f.WriteAt([]byte(who), 0)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open stream: write %s: %w", path, err)
	}
	return f, nil
}

// freeBytes is what an ordinary user may still write to the file system of dir.
func freeBytes(dir string) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return int64(uint64(st.Bavail) * uint64(st.Bsize)), nil
}

func isNotEmpty(err error) bool {
	return errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, syscall.EEXIST)
}

// storeDir is where the server keeps its files below the directory it is given.
func storeDir(dir string) string { return filepath.Join(dir, "jetstream") }

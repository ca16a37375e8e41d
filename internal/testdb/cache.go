package testdb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// cache keeps what is expensive to get: unpacked servers and initialised data directories.
type cache struct {
	dir string
}

// systemCache is for root whose home others cannot enter: servers run as nobody and are started from the cache.
const systemCache = "/var/cache/crossfade"

func openCache(id identity) (cache, error) {
	base, err := os.UserCacheDir() // $XDG_CACHE_HOME, else ~/.cache
	dir := filepath.Join(base, "crossfade")
	if err != nil || !id.reaches(dir) {
		if !id.other {
			return cache{}, fmt.Errorf("find the user's cache directory (set XDG_CACHE_HOME): %w", err)
		}
		dir = systemCache
	}
	if err := os.MkdirAll(filepath.Join(dir, "ports"), 0o755); err != nil {
		return cache{}, fmt.Errorf("make the cache directory: %w", err)
	}
	if !id.reaches(dir) {
		return cache{}, fmt.Errorf("servers run as uid %d, which may not enter %s: set XDG_CACHE_HOME or the umask", id.uid, dir)
	}
	return cache{dir: dir}, nil
}

// entry returns the directory of a name, made by build when it is not there yet. Build gets an empty directory, which
// becomes the entry only when build succeeds; other processes that ask meanwhile wait for it.
func (c cache) entry(ctx context.Context, name string, build func(dir string) error) (string, error) {
	path := filepath.Join(c.dir, name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	held, err := lock(ctx, path+".lock")
	if err != nil {
		return "", err
	}
	defer held.Close()
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	// Whoever holds the lock is the only builder, so an earlier attempt found here is a dead one.
	unfinished := path + ".unfinished"
	if err := os.RemoveAll(unfinished); err != nil {
		return "", fmt.Errorf("remove an unfinished cache entry: %w", err)
	}
	if err := os.Mkdir(unfinished, 0o755); err != nil {
		return "", fmt.Errorf("make a cache entry: %w", err)
	}
	if err := build(unfinished); err != nil {
		return "", errors.Join(err, os.RemoveAll(unfinished))
	}
	if err := os.Rename(unfinished, path); err != nil {
		return "", fmt.Errorf("finish a cache entry: %w", err)
	}
	return path, nil
}

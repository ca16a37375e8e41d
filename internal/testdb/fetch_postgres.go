package testdb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// fetchPostgres gets a major version from npm, which has them all, or without npm from Debian, which has one per suite. The
// link bin leads to the programs.
func fetchPostgres(ctx context.Context, dir string, major int) error {
	var failed error
	if _, err := exec.LookPath("npm"); err != nil {
		failed = errors.New("npm is not installed")
	} else if err := fetchNpm(ctx, dir, major); err != nil {
		failed = err
	} else {
		return nil
	}
	if err := fetchDebian(ctx, dir, major); err != nil {
		return fmt.Errorf("PostgreSQL %d is neither installed nor to be had: %w", major, errors.Join(failed, err))
	}
	return nil
}

func fetchDebian(ctx context.Context, dir string, major int) error {
	m, err := ownMirror(ctx)
	if err != nil {
		return err
	}
	suites := []string{m.codename}
	if m.distribution == "debian" {
		suites = append(suites, "unstable")
	}
	var failed error
	for _, suite := range suites {
		if err := emptyDir(dir); err != nil {
			return err
		}
		err := m.unpack(ctx, dir, suite, fmt.Sprintf("^postgresql-%d$", major))
		if err == nil {
			return errors.Join(
				wrapDebian(filepath.Join(dir, "root"), major),
				os.Symlink(fmt.Sprintf("root/usr/lib/postgresql/%d/bin", major), filepath.Join(dir, "bin")))
		}
		failed = errors.Join(failed, err)
	}
	return failed
}

// wrapDebian puts scripts in the place of the programs, which call the tree's loader: initdb starts postgres by its path.
func wrapDebian(root string, major int) error {
	bin := filepath.Join(root, fmt.Sprintf("usr/lib/postgresql/%d/bin", major))
	loader, err := unpackedLoader(root)
	if err != nil {
		return err
	}
	// The tree is unfinished: it will lie where it is looked for, beside this script.
	const here = `here=$(dirname "$0")/../../../../..`
	for i := range loader {
		loader[i] = `"` + strings.ReplaceAll(loader[i], root, "$here") + `"`
	}
	for _, name := range []string{"postgres", "initdb"} {
		program := filepath.Join(bin, name)
		if err := os.Rename(program, program+".bin"); err != nil {
			return err
		}
		script := fmt.Sprintf("#!/bin/sh\n%s\nexec %s --argv0 \"$0\" \"$0.bin\" \"$@\"\n", here, strings.Join(loader, " "))
		if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
			return err
		}
	}
	return nil
}

func emptyDir(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

//go:build long

package testdb

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// Everything is fetched anew, by each way there is, and started.
func TestServersAreFetchedOnAFreshMachine(t *testing.T) {
	ctx := t.Context()
	own, err := openHouse(ctx)
	if err != nil {
		t.Fatal(err)
	}
	// In the run directory, so that the serving user reaches it and it goes with this process.
	fresh := cache{dir: filepath.Join(own.dir, "cache")}
	if err := os.MkdirAll(filepath.Join(fresh.dir, "ports"), 0o755); err != nil {
		t.Fatal(err)
	}
	h := &house{dir: own.dir, cache: fresh, id: own.id, servers: map[*server]struct{}{}, count: 1000}

	t.Run("MySQL", func(t *testing.T) {
		dir, err := fresh.entry(ctx, "mysql", func(dir string) error { return fetchMySQL(ctx, dir) })
		if err != nil {
			t.Fatal(err)
		}
		program, err := unpackedMySQL(ctx, filepath.Join(dir, "root"))
		if err != nil {
			t.Fatal(err)
		}
		s, err := h.startMySQL(ctx, program, "", fastMySQL)
		if err != nil {
			t.Fatal(err)
		}
		s.own(t)
		s.Database(t).Exec(t, "CREATE TABLE x (id INT PRIMARY KEY)")
	})
	distribution, codename, err := osRelease()
	if err != nil {
		t.Fatal(err)
	}
	debian := map[int]bool{18: distribution == "debian", 15: codename == "bookworm"}
	for _, major := range []int{15, 18} {
		ways := map[string]func(dir string) error{"npm": func(dir string) error { return fetchNpm(ctx, dir, major) }}
		if debian[major] {
			ways["apt"] = func(dir string) error { return fetchDebian(ctx, dir, major) }
		}
		for way, fetch := range ways {
			name := fmt.Sprintf("postgres-%d-%s", major, way)
			t.Run(name, func(t *testing.T) {
				dir, err := fresh.entry(ctx, name, fetch)
				if err != nil {
					t.Fatal(err)
				}
				bin, err := filepath.EvalSymlinks(filepath.Join(dir, "bin"))
				if err != nil {
					t.Fatal(err)
				}
				program, err := postgresVersion(ctx, bin, major)
				if err != nil {
					t.Fatal(err)
				}
				program.version += "-" + way // its own data directory too
				s, err := h.startPostgres(ctx, program, "", fastPostgres)
				if err != nil {
					t.Fatal(err)
				}
				s.own(t)
				s.Database(t).Exec(t, "CREATE TABLE x (id int)")
			})
		}
	}
}

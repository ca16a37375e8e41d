package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/crossfade-io/crossfade/internal/testdb"
)

func TestMain(m *testing.M) { testdb.Main(m) }

// ownTemp gives the test a directory for temporary files that servers may enter, too.
func ownTemp(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "bench") // short: a socket lies below it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", dir)
	return dir
}

func built(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "crossfade")
	if out, err := exec.Command("go", "build", "-o", program, "../crossfade").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// A small run measures each contestant in each round, and nothing of it is left: no process, no file.
func TestARunMeasuresEveryContestantAndLeavesNothing(t *testing.T) {
	runtime.LockOSThread() // as main does
	crossfade := built(t)
	dir := ownTemp(t)
	var out, log bytes.Buffer
	if code := program([]string{"-crossfade", crossfade, "-rows", "9000", "-transactions", "1500", "-rounds", "2", "-moves", "1", "-peak", "300ms", "-json"}, &out, &log); code != 0 {
		t.Fatalf("exit code %d\n%s", code, log.String())
	}
	var r struct {
		result
		SnapshotRatio float64 `json:"snapshot_ratio"`
		CatchUpRatio  float64 `json:"catch_up_ratio"`
	}
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for name, samples := range map[string][]sample{"limit": r.Limit, "snapshot": r.Snapshot, "subscription": r.Subscription, "catch-up": r.CatchUp} {
		if len(samples) != 2 {
			t.Errorf("%s: %d measurements of 2", name, len(samples))
		}
		want := 9000
		if name == "subscription" || name == "catch-up" {
			want = 6000
		}
		for _, s := range samples {
			if s.Rows != want || s.Took <= 0 || s.CPU.sum() < 0 {
				t.Errorf("%s: %+v", name, s)
			}
		}
	}
	if r.SnapshotRatio <= 0 || r.CatchUpRatio <= 0 {
		t.Errorf("ratios %v and %v", r.SnapshotRatio, r.CatchUpRatio)
	}
	if len(r.Pauses) != 4 {
		t.Errorf("%d series of pauses of 4", len(r.Pauses))
	}
	for _, s := range r.Pauses {
		if len(s.Moves) != 2 || s.Peak <= 0 || s.Rate != s.Peak/2 || s.Rows != 9000 && s.Rows != 450 {
			t.Errorf("pauses: %+v", s)
		}
		for _, m := range s.Moves {
			if m.WritePause <= 0 || m.Silence <= 0 || m.Slowest <= 0 || m.Predicted <= 0 {
				t.Errorf("%s of %s: %+v", m.Verb, s.Pair, m)
			}
			if strings.Contains(s.Pair, "PgBouncer") && m.Failed > 0 {
				t.Errorf("%s of %s: %d transactions failed", m.Verb, s.Pair, m.Failed)
			}
		}
	}
	var table strings.Builder
	if err := r.write(&table); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"snapshot of 9000 rows", "catch-up of 6000 row changes", "█", "1 cutovers, fence to open", "PostgreSQL to PostgreSQL, PgBouncer, 450 rows"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the table does not say %q:\n%s", want, table.String())
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range left {
		t.Errorf("%s is left", f.Name())
	}
	processes, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range processes {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, parent := cpuOf(pid); parent == os.Getpid() {
			t.Errorf("process %d is left", pid)
		}
	}
}

// A contestant that ends with other rows than the source has is an error, however fast it was.
func TestOtherRowsAreAnError(t *testing.T) {
	ownTemp(t)
	b, err := start(t.Context(), plan{Rows: 500, Transactions: 10, Rounds: 1, Postgres: 18, program: "none"}, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.close(); err != nil {
			t.Error(err)
		}
		if err := testdb.Shutdown(); err != nil {
			t.Error(err)
		}
	})
	if err := b.sameRows(t.Context(), b.publisher, database); err != nil {
		t.Fatalf("the two sources differ from the beginning: %v", err)
	}
	if err := b.backlog(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if err := b.sameRows(t.Context(), b.publisher, database); err != nil {
		t.Fatalf("the backlog is not the same on both: %v", err)
	}
	for change, undo := range map[string]string{
		"UPDATE orders SET total = total + 0.01 WHERE id = 300":                                               "UPDATE orders SET total = total - 0.01 WHERE id = 300",
		"UPDATE orders SET id = 100000 WHERE id = 301":                                                        "UPDATE orders SET id = 301 WHERE id = 100000",
		"INSERT INTO orders SELECT 100000, customer, status, total, created, NULL FROM orders WHERE id = 302": "DELETE FROM orders WHERE id = 100000",
	} {
		if err := execPostgres(t.Context(), b.publisher, database, change); err != nil {
			t.Fatal(err)
		}
		if err := b.sameRows(t.Context(), b.publisher, database); err == nil {
			t.Errorf("nothing is said of %s", change)
		}
		if err := execPostgres(t.Context(), b.publisher, database, undo); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.sameRows(t.Context(), b.publisher, database); err != nil {
		t.Fatal(err)
	}
}

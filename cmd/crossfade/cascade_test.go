package main

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/internal/control"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// families writes parents and children whose foreign keys do most of the work.
type families struct {
	parents int64
	db      *sql.DB
	next    atomic.Int64
	done    atomic.Int64
	wait    sync.WaitGroup
	cancel  context.CancelFunc
}

var familyTables = map[string]string{
	"parent": "SELECT id, v FROM parent ORDER BY id",
	"child":  "SELECT id, parent, v FROM child ORDER BY id",
	"line":   "SELECT parent, n, v FROM line ORDER BY parent, n",
	"leaf":   "SELECT id, child FROM leaf ORDER BY id",
}

func seedFamilies(t *testing.T, e *end, parents int) {
	t.Helper()
	for _, q := range []string{
		"CREATE TABLE parent (id bigint PRIMARY KEY, v int)",
		"CREATE TABLE child (id bigint PRIMARY KEY, parent bigint, v int, FOREIGN KEY (parent) REFERENCES parent (id) ON DELETE CASCADE ON UPDATE CASCADE)",
		"CREATE TABLE line (parent bigint, n int, v int, PRIMARY KEY (parent, n), FOREIGN KEY (parent) REFERENCES parent (id) ON DELETE CASCADE ON UPDATE CASCADE)",
		"CREATE TABLE leaf (id bigint PRIMARY KEY, child bigint, touched timestamp(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6), FOREIGN KEY (child) REFERENCES child (id) ON DELETE SET NULL)",
		fmt.Sprintf("INSERT INTO parent SELECT seq, 0 FROM seq_1_to_%d", parents),
		fmt.Sprintf("INSERT INTO child SELECT 10 * p.seq + c.seq, p.seq, 0 FROM seq_1_to_%d p, seq_1_to_3 c", parents),
		fmt.Sprintf("INSERT INTO line SELECT p.seq, c.seq, 0 FROM seq_1_to_%d p, seq_1_to_2 c", parents),
		fmt.Sprintf("INSERT INTO leaf (id, child) SELECT seq, 10 * seq + 1 FROM seq_1_to_%d", parents),
	} {
		execOn(t, e, q)
	}
}

func startFamilies(t *testing.T, db *sql.DB, parents int64, workers int) *families {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	f := &families{parents: parents, db: db, cancel: cancel}
	f.next.Store(100 * parents)
	db.SetMaxOpenConns(workers)
	for n := range workers {
		f.wait.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(n), 5))
			for ctx.Err() == nil {
				if f.transaction(ctx, rnd) == nil {
					f.done.Add(1)
				}
				pause(8 * time.Millisecond)
			}
		})
	}
	t.Cleanup(f.stop)
	return f
}

func (f *families) stop() {
	f.cancel()
	f.wait.Wait()
}

// transaction does one thing to a family. What a foreign key or a deadlock refuses is not done.
func (f *families) transaction(ctx context.Context, rnd *rand.Rand) error {
	tx, err := f.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it does nothing
	exec := func(q string, args ...any) {
		if err == nil {
			_, err = tx.ExecContext(ctx, q, args...)
		}
	}
	exec("SET foreign_key_checks = 1")
	p, other, id := 1+rnd.Int64N(f.parents), 1+rnd.Int64N(f.parents), f.next.Add(10)
	switch rnd.IntN(9) {
	case 0, 1:
		exec("DELETE FROM parent WHERE id = ?", p)
	case 2: // the same key comes again at once, with a child that had another parent
		exec("DELETE FROM parent WHERE id = ?", p)
		exec("INSERT INTO parent VALUES (?, 1)", p)
		exec("UPDATE child SET parent = ? WHERE parent = ?", p, other)
		exec("INSERT INTO line VALUES (?, 1, 9)", p)
	case 3, 4:
		exec("INSERT INTO parent VALUES (?, 2)", p)
		exec("INSERT INTO child VALUES (?, ?, 2), (?, ?, 3)", id, p, id+1, p)
		exec("INSERT INTO line VALUES (?, 1, 2), (?, 2, 2)", p, p)
		exec("INSERT INTO leaf (id, child) VALUES (?, ?)", id, id)
	case 5: // a key moves, and its children with it
		exec("UPDATE parent SET id = ? WHERE id = ?", other, p)
	case 6:
		exec("UPDATE child SET parent = ?, v = v + 1 WHERE parent = ? LIMIT 1", other, p)
	case 7:
		exec("DELETE FROM child WHERE parent = ?", p)
		exec("UPDATE line SET v = v + 1 WHERE parent = ?", other)
	case 8: // no foreign key acts on this one: its children stay without it
		exec("SET foreign_key_checks = 0") // until the next transaction of the session
		exec("DELETE FROM parent WHERE id = ?", p)
		exec("INSERT INTO parent VALUES (?, 8)", p)
	}
	if err == nil {
		err = tx.Commit()
	}
	return err
}

func sameFamilies(t *testing.T, source, target *end) {
	t.Helper()
	for name, q := range familyTables {
		a, b := rowsOf(t, source, q), rowsOf(t, target, q)
		if !slices.Equal(a, b) {
			t.Errorf("%s has %d rows on the source and %d in the target, not the same ones", name, len(a), len(b))
		}
	}
}

// repairFamilies repairs rows through which cascades go while they do: the tables that they reach are not strict for that time, and are compared again before the migration is
// ready.
func repairFamilies(t *testing.T, r *rig, source, target *end) {
	t.Helper()
	for _, q := range []string{"INSERT INTO parent VALUES (9000000, 1)", "INSERT INTO child VALUES (9000001, 9000000, 1), (9000002, 9000000, 1)", "INSERT INTO leaf (id, child) VALUES (9000001, 9000001)"} {
		execOn(t, source, q)
	}
	r.until("the rows to be spoilt", time.Minute, func(control.Status) bool {
		return len(rowsOf(t, target, "SELECT id FROM leaf WHERE id = 9000001")) > 0
	})
	execOn(t, target, "SET session_replication_role = replica; DELETE FROM child WHERE id = 9000001; UPDATE child SET v = 7 WHERE id = 9000002")
	if exit, out, errs := r.crossfade("verify", "--repair", "--table", strings.TrimSuffix(source.tables, "*")+"child"); exit != 0 {
		t.Fatalf("repair: exit %d\n%s%s", exit, out, errs)
	}
	if n := rowsOf(t, target, "SELECT count(*) FROM child WHERE id > 9000000 AND v = 1"); strings.Join(n, "") != "2" {
		t.Errorf("%s of 2 rows are repaired", n)
	}
	r.waitReady()
}

// A source that does not log what its foreign keys do: the daemon is killed while it copies and follows them, and at the end every row is equal. Then the writes move, under
// load, and every child that a cascade has touched was compared before the decision.
func TestCascadesThatTheLogDoesNotNameSurviveKillsAndACutover(t *testing.T) {
	for name, ends := range map[string]func() (source, target *end){
		"MariaDB to PostgreSQL": func() (source, target *end) {
			return endOnMySQL(t, testdb.MariaDB(t, "10.11")), endOnPostgres(t, testdb.Postgres(t, 18))
		},
		"MariaDB to MySQL": func() (source, target *end) {
			return endOnMySQL(t, testdb.MariaDB(t, "11.8")), endOnMySQL(t, testdb.MySQL(t))
		},
	} {
		t.Run(name, func(t *testing.T) {
			const parents = 4000
			source, target := ends()
			seedFamilies(t, source, parents)
			r := newPair(t, source, target, fmt.Sprintf("%q", source.tables), "snapshot: {chunk_rows: 200, parallel: 2}")
			config, err := os.ReadFile(r.config)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(r.config, append(config, "cutover:\n  max_pause: 20s\n  switch:\n"+r.switchStep()...), 0o600); err != nil {
				t.Fatal(err)
			}
			f := startFamilies(t, source.open(source.user()), parents, 3)
			phases := map[string]int{}
			for i := range 6 {
				r.start()
				goal := int64(i * 6000)
				r.until("copying", time.Minute, func(s control.Status) bool {
					return s.State != "pending" && (s.Snapshot.RowsDone >= goal || phaseOf(s) != "snapshot")
				})
				phases[phaseNow(r)]++
				r.kill()
			}
			r.start()
			r.waitReady()
			for range 2 {
				pause(500 * time.Millisecond)
				r.kill()
				r.start()
			}
			r.waitReady()
			if target.engine == "postgres" {
				repairFamilies(t, r, source, target)
			}
			if exit, out, errs := r.crossfade("cutover", "--json"); exit != 0 {
				t.Fatalf("cutover: exit %d\n%s%s", exit, out, errs)
			}
			f.stop()
			rep := r.report()
			t.Logf("killed in phases %v; %d transactions; write pause %d ms (predicted %d)", phases, f.done.Load(), rep.WritePauseMS, rep.PredictedPauseMS)
			if f.done.Load() < 500 || phases["running snapshot"] == 0 {
				t.Errorf("too little happened: %d transactions, killed in phases %v", f.done.Load(), phases)
			}
			sameFamilies(t, source, target)
			if n := rowsOf(t, target, "SELECT count(*) FROM leaf WHERE child IS NULL"); strings.Join(n, "") == "0" {
				t.Error("no foreign key has set a child to NULL")
			}
		})
	}
}

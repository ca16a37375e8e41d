package main

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// workload writes to the source as an application would, and notes every write that was acknowledged.
type workload struct {
	t      *testing.T
	db     *sql.DB
	cancel context.CancelFunc
	wait   sync.WaitGroup
	next   atomic.Int64
	failed atomic.Int64

	mu    sync.Mutex
	acked map[int64]bool
}

const accounts = 2000

// schema of the workload, and what it starts with.
func (r *rig) seed(rows int) {
	r.t.Helper()
	for _, ddl := range []string{
		"CREATE TABLE account (id BIGINT PRIMARY KEY, owner VARCHAR(40) NOT NULL, balance DECIMAL(12,2) NOT NULL, note TEXT, changed DATETIME(6) NOT NULL)",
		"CREATE TABLE op (id BIGINT PRIMARY KEY, worker INT NOT NULL, account_id BIGINT NOT NULL, amount DECIMAL(12,2) NOT NULL)",
		"CREATE TABLE line (order_id INT UNSIGNED NOT NULL, pos SMALLINT NOT NULL, sku VARBINARY(16) NOT NULL, qty INT NOT NULL, PRIMARY KEY (order_id, pos))",
		"CREATE TABLE handle (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(30) COLLATE utf8mb4_bin NOT NULL, UNIQUE KEY name (name))",
		"CREATE TABLE tag (code VARCHAR(20) PRIMARY KEY, label VARCHAR(60))",
	} {
		r.my.Exec(r.t, ddl)
	}
	conn, err := r.my.DB.Conn(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close()
	exec := func(q string, args ...any) {
		r.t.Helper()
		if _, err := conn.ExecContext(r.t.Context(), q, args...); err != nil {
			r.t.Fatalf("%s: %v", q, err)
		}
	}
	if strings.HasPrefix(r.my.URL(), "mariadb:") {
		exec("SET SESSION max_recursive_iterations = 100000000")
	} else {
		exec("SET SESSION cte_max_recursion_depth = 100000000")
	}
	seq := func(n int) string {
		return fmt.Sprintf("WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < %d)", n)
	}
	exec("INSERT INTO account " + seq(accounts) + " SELECT i, CONCAT('owner ', i), 1000, REPEAT('n', i % 200), '2024-01-01' FROM s")
	exec("INSERT INTO line "+seq(rows)+" SELECT i DIV 4, i % 4, UNHEX(LEFT(SHA2(i, 256), 32)), i % 17 FROM s WHERE 1", []any{}...)
	exec("INSERT INTO handle (name) " + seq(200) + " SELECT CONCAT('name', i) FROM s")
	exec("INSERT INTO tag " + seq(300) + " SELECT CONCAT('T', i), CONCAT('label ', i) FROM s")
}

// startWorkload begins to write with a number of workers. each, when not zero, is the pause between two transactions of a worker.
func (r *rig) startWorkload(workers int, each time.Duration) *workload {
	r.t.Helper()
	db, err := r.my.Server.Open(r.my.Name)
	if err != nil {
		r.t.Fatal(err)
	}
	return startWorkload(r.t, db, workers, each)
}

func startWorkload(t *testing.T, db *sql.DB, workers int, each time.Duration) *workload {
	ctx, cancel := context.WithCancel(context.Background())
	w := &workload{t: t, db: db, cancel: cancel, acked: map[int64]bool{}}
	db.SetMaxOpenConns(workers)
	db.SetMaxIdleConns(workers)
	for n := range workers {
		w.wait.Go(func() { w.run(ctx, n, each) })
	}
	t.Cleanup(func() { w.stop() })
	return w
}

func (w *workload) run(ctx context.Context, n int, each time.Duration) {
	rnd := rand.New(rand.NewPCG(uint64(n), 7))
	for ctx.Err() == nil {
		id := w.next.Add(1)
		err := w.transaction(ctx, rnd, n, id)
		if err == nil {
			w.mu.Lock()
			w.acked[id] = true
			w.mu.Unlock()
		} else if ctx.Err() == nil {
			w.failed.Add(1)
			each = max(each, 5*time.Millisecond)
		}
		if each > 0 {
			select {
			case <-ctx.Done():
			case <-time.After(each):
			}
		}
	}
}

// transaction moves an amount and notes it in op; beside it, it does what is hard to replicate.
func (w *workload) transaction(ctx context.Context, rnd *rand.Rand, worker int, id int64) error {
	tx, err := w.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it does nothing
	exec := func(q string, args ...any) {
		if err == nil {
			_, err = tx.ExecContext(ctx, q, args...)
		}
	}
	account := rnd.IntN(accounts) + 1
	exec("INSERT INTO op VALUES (?, ?, ?, ?)", id, worker, account, float64(rnd.IntN(1000))/100)
	exec("UPDATE account SET balance = balance + 1.25, changed = ? WHERE id = ?", time.Now().UTC().Format("2006-01-02 15:04:05.000000"), account)
	switch rnd.IntN(10) {
	case 0: // delete and insert the same key
		o := rnd.IntN(500)
		exec("DELETE FROM line WHERE order_id = ?", o)
		exec("INSERT INTO line VALUES (?, 0, 'again', ?), (?, 1, 'again', 2)", o, id%100, o)
	case 1: // a key moves
		o := rnd.IntN(500)
		exec("UPDATE line SET pos = pos + 10 WHERE order_id = ? AND pos < 100 ORDER BY pos DESC", o)
	case 2: // two rows swap a unique value
		a, b := rnd.IntN(100)*2+1, 0
		b = a + 1
		exec("SET @a = NULL, @b = NULL")
		exec("SELECT name INTO @a FROM handle WHERE id = ? FOR UPDATE", a)
		exec("SELECT name INTO @b FROM handle WHERE id = ? FOR UPDATE", b)
		exec("UPDATE handle SET name = CONCAT('tmp', ?) WHERE id = ?", id, a)
		exec("UPDATE handle SET name = @a WHERE id = ? AND @a IS NOT NULL", b)
		exec("UPDATE handle SET name = @b WHERE id = ? AND @b IS NOT NULL", a)
	case 3:
		exec("UPDATE tag SET label = CONCAT('label ', ?) WHERE code = ?", id, fmt.Sprintf("T%d", rnd.IntN(300)+1))
	case 4:
		exec("INSERT INTO tag VALUES (?, 'new') ON DUPLICATE KEY UPDATE label = CONCAT(label, '+')", fmt.Sprintf("N%d", rnd.IntN(300)))
	case 5:
		exec("DELETE FROM tag WHERE code = ?", fmt.Sprintf("N%d", rnd.IntN(300)))
	}
	if err != nil {
		return err
	}
	return tx.Commit()
}

// stop ends the workers and returns the acknowledged writes.
func (w *workload) stop() map[int64]bool {
	w.cancel()
	w.wait.Wait()
	_ = w.db.Close() // again is no error
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.acked
}

func (w *workload) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.acked)
}

// allEqual compares every table of the workload.
func (r *rig) allEqual() {
	r.t.Helper()
	r.equal("account", "SELECT id, owner, balance, note, DATE_FORMAT(changed, '%Y-%m-%d %H:%i:%s.%f') FROM account ORDER BY id",
		"SELECT id, owner, balance, note, to_char(changed, 'YYYY-MM-DD HH24:MI:SS.US') FROM account ORDER BY id")
	r.equal("op", "SELECT id, worker, account_id, amount FROM op ORDER BY id", "SELECT id, worker, account_id, amount FROM op ORDER BY id")
	r.equal("line", "SELECT order_id, pos, LOWER(HEX(sku)), qty FROM line ORDER BY 1, 2", "SELECT order_id, pos, encode(sku, 'hex'), qty FROM line ORDER BY 1, 2")
	r.equal("handle", "SELECT id, name FROM handle ORDER BY id", "SELECT id, name FROM handle ORDER BY id")
	r.equal("tag", "SELECT code, label FROM tag ORDER BY CAST(code AS BINARY)", `SELECT code, label FROM tag ORDER BY code COLLATE "C"`)
}

// noneLost says that every acknowledged write is in the target.
func (r *rig) noneLost(acked map[int64]bool) {
	r.t.Helper()
	conn := r.pg.Connect(r.t)
	rows, err := conn.Query(r.t.Context(), "SELECT id FROM op")
	if err != nil {
		r.t.Fatal(err)
	}
	there := map[int64]bool{}
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			r.t.Fatal(err)
		}
		there[id] = true
	}
	if err := rows.Err(); err != nil {
		r.t.Fatal(err)
	}
	lost := 0
	for id := range acked {
		if !there[id] {
			if lost++; lost < 5 {
				r.t.Errorf("acknowledged write %d is not in the target", id)
			}
		}
	}
	if lost > 0 {
		r.t.Errorf("%d of %d acknowledged writes lost", lost, len(acked))
	}
}

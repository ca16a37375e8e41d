package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/internal/control"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// TestATransactionOfAMillionRowsNeedsLittleMemory sends one through the log plain, and one compressed, which arrives as a single event of the binlog.
func TestATransactionOfAMillionRowsNeedsLittleMemory(t *testing.T) {
	const rows, limit = 1_000_000, 512 << 20
	r := newRig(t, testdb.NewMySQL(t), testdb.NewPostgres(t, 18), "")
	r.my.Exec(t, "CREATE TABLE big (id INT PRIMARY KEY, a BIGINT NOT NULL, b VARCHAR(100) NOT NULL, c DATETIME(6) NOT NULL, d DECIMAL(20,4), e VARBINARY(60))")
	r.my.Exec(t, "CREATE TABLE flat (id INT PRIMARY KEY, b VARCHAR(200) NOT NULL)")
	r.my.Exec(t, "CREATE TABLE done (id INT PRIMARY KEY)")
	r.start()
	r.waitReady()

	conn, err := r.my.DB.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, q := range []string{
		"SET SESSION cte_max_recursion_depth = 100000000",
		fmt.Sprintf("INSERT INTO big WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < %d) "+
			"SELECT i, i * 7919, SHA2(i, 256), '2024-02-29 12:00:00.123456', i / 7, UNHEX(SHA2(i, 384)) FROM s", rows),
		"INSERT INTO done VALUES (1)",
		"SET SESSION binlog_transaction_compression = ON",
		fmt.Sprintf("INSERT INTO flat WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < %d) SELECT i, REPEAT('x', 180) FROM s", rows),
		"INSERT INTO done VALUES (2)",
	} {
		if _, err := conn.ExecContext(t.Context(), q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	r.until("everything applied", 5*time.Minute, func(s control.Status) bool {
		if s.Error != nil {
			t.Fatal(*s.Error)
		}
		for _, tb := range s.Tables {
			if strings.HasSuffix(tb.Source, ".done") && tb.Inserted < 2 {
				return false
			}
		}
		return s.LagSeconds != nil && *s.LagSeconds == 0
	})
	r.caughtUp("done")

	peak := r.peakMemory()
	t.Logf("peak memory %d MiB", peak>>20)
	if peak > limit {
		t.Errorf("the daemon took %d MiB, more than %d", peak>>20, limit>>20)
	}
	sums := "SELECT COUNT(*), SUM(id), SUM(a), SUM(d), SUM(LENGTH(b)) FROM big"
	r.equal("sums", sums, sums)
	sums = "SELECT COUNT(*), SUM(id), SUM(LENGTH(b)) FROM flat"
	r.equal("sums of the compressed", sums, sums)
	r.equal("a sample", "SELECT id, a, b, d, CONCAT('\\\\x', LOWER(HEX(e))) FROM big WHERE id % 1000 = 1 ORDER BY id", "SELECT id, a, b, d, e FROM big WHERE id % 1000 = 1 ORDER BY id")
	if out := r.must("verify"); !strings.Contains(out, " 0 differences") {
		t.Errorf("verify printed %s", out)
	}
	t.Logf("peak memory after the verification %d MiB", r.peakMemory()>>20)
}

// peakMemory is the largest resident set that the daemon ever had.
func (r *rig) peakMemory() int64 {
	r.t.Helper()
	r.mu.Lock()
	pid := r.daemon.Process.Pid
	r.mu.Unlock()
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		r.t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if text, ok := strings.CutPrefix(s.Text(), "VmHWM:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(text, "kB")), 10, 64)
			if err != nil {
				r.t.Fatal(err)
			}
			return kb << 10
		}
	}
	r.t.Fatal("the kernel does not tell the peak memory of the daemon")
	return 0
}

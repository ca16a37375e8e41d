package mysql

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/capture"
	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// reading is a source that lets a test act before each read of a chunk, with the hold already taken, and change the proof.
type reading struct {
	capture.Source
	before func(n int, t *catalog.Table, proof string) string
	n      *int
	mu     *sync.Mutex
}

func beforeReads(f func(n int, t *catalog.Table, proof string) string) func(capture.Source) capture.Source {
	n, mu := 0, sync.Mutex{}
	return func(s capture.Source) capture.Source { return reading{s, f, &n, &mu} }
}

func (r reading) ReadRange(ctx context.Context, proof string, t *catalog.Table, after, upTo change.Row, emit func(change.Row) error) error {
	r.mu.Lock()
	*r.n++
	n := *r.n
	r.mu.Unlock()
	return r.Source.ReadRange(ctx, r.before(n, t, proof), t, after, upTo, emit)
}

// D23: the update of a row is in the stream before any session sees it. A chunk that is published after it must not bring the old row back.
func TestAChunkSeesEveryChangePublishedBeforeIt(t *testing.T) {
	bothModes(t, func(t *testing.T, d *testdb.MySQLDB) {
		d.Exec(t, "CREATE TABLE a (id int PRIMARY KEY, v int); INSERT INTO a VALUES (1, 1), (2, 1), (3, 1)")
		lateCommits := "SET GLOBAL rpl_semi_sync_source_timeout = 2000, GLOBAL rpl_semi_sync_source_wait_no_replica = ON, GLOBAL rpl_semi_sync_source_enabled = ON"
		undo := "UNINSTALL PLUGIN rpl_semi_sync_source"
		if isMariaDB(d) {
			lateCommits = "SET GLOBAL rpl_semi_sync_master_timeout = 2000, GLOBAL rpl_semi_sync_master_wait_no_slave = ON, GLOBAL rpl_semi_sync_master_wait_point = 'AFTER_SYNC', GLOBAL rpl_semi_sync_master_enabled = ON"
			undo = "SET GLOBAL rpl_semi_sync_master_enabled = OFF"
		} else {
			d.Exec(t, "INSTALL PLUGIN rpl_semi_sync_source SONAME 'semisync_source.so'")
		}
		t.Cleanup(func() {
			if _, err := d.DB.ExecContext(context.Background(), undo); err != nil {
				t.Error(err)
			}
		})
		c := newCapture(t, d)
		c.copied.Parallel = 0
		l := c.start()
		d.Exec(t, lateCommits)
		done := make(chan error, 1)
		go func() {
			_, err := d.DB.Exec("UPDATE a SET v = 2 WHERE id = 2")
			done <- err
		}()
		eventually(t, "the update is published", func() bool { return len(c.model.changesSeen()) == 1 })
		var v int
		if err := d.DB.QueryRowContext(t.Context(), "SELECT v FROM a WHERE id = 2").Scan(&v); err != nil || v != 1 {
			t.Fatalf("the update is visible, %d, %v: the test shows nothing", v, err)
		}
		l.stop()
		c.copied = capture.SnapshotConfig{Parallel: 1, ChunkRows: 100}
		l = c.start() // what an earlier start published must be seen too
		if err := <-done; err != nil {
			t.Error(err)
		}
		l.wholly()
		l.reached()
		c.equals()
	})
}

// D23: a proof that does not come gives the hold up, and the changes that waited are published before it is tried again.
func TestAProofThatDoesNotComeLetsChangesPass(t *testing.T) {
	d := testdb.MySQL(t).Database(t)
	d.Exec(t, "CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1), (2), (3)")
	c := newCapture(t, d)
	c.source.proofWait = time.Second
	id, err := c.source.Identity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var published []string // at each try
	c.wrapSource = beforeReads(func(n int, _ *catalog.Table, proof string) string {
		published = append(published, proof)
		if n > 2 {
			return proof
		}
		d.Exec(t, fmt.Sprintf("INSERT INTO a VALUES (%d)", 10*n))
		return "gtid:" + id + ":1-999999"
	})
	c.copied.Parallel = 1
	l := c.start()
	l.wholly()
	l.reached()
	c.equals()
	if len(published) != 3 || published[0] == published[1] || published[1] == published[2] {
		t.Errorf("the tries stood at %q", published)
	}
}

// workload changes the tables in many ways from several sessions until it is told to end.
func workload(t *testing.T, d *testdb.MySQLDB, writers int, statements func(r *rand.Rand) string) (end func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for w := range writers {
		r := rand.New(rand.NewPCG(uint64(w), 7))
		wg.Go(func() {
			for ctx.Err() == nil {
				stmt := statements(r)
				if _, err := d.DB.ExecContext(context.Background(), stmt); err != nil && !isServerError(err, erLockWait, 1213, 1062) {
					t.Errorf("%s: %v", stmt, err)
					return
				}
			}
		})
	}
	return func() {
		cancel()
		wg.Wait()
	}
}

// The copy under load: chunks of every kind of key are read in parallel while rows are inserted, changed, deleted and moved between chunks by several
// sessions, in part with row images that lack columns, and capture is started again and again. In the end the model, which applied the frames in their
// order, holds what the source holds; and nothing came after strict that contradicts it.
func TestTheCopyUnderLoadEndsEqual(t *testing.T) {
	keys := []struct{ table, definition, key string }{
		{"k_int", "id int", "{n}"},
		{"k_unsigned", "id bigint unsigned", "{n} + 18446744073709550000"},
		{"k_text", "id varchar(40) COLLATE utf8mb4_unicode_ci", "CONCAT('Kéy-', LPAD({n}, 5, '0'))"},
		{"k_binary", "id varbinary(20)", "UNHEX(LPAD(HEX({n} * 7919 % 65536), 8, '0'))"},
	}
	bothModes(t, func(t *testing.T, d *testdb.MySQLDB) {
		var b strings.Builder
		for _, k := range keys {
			fmt.Fprintf(&b, "CREATE TABLE %s (%s PRIMARY KEY, v int, pad varchar(100), w int DEFAULT 5);", k.table, k.definition)
			fmt.Fprintf(&b, "INSERT INTO %s (id, v, pad) WITH RECURSIVE s AS (SELECT 1 AS n UNION ALL SELECT n + 2 FROM s WHERE n < 600) SELECT %s, 0, 'pad' FROM s;",
				k.table, strings.ReplaceAll(k.key, "{n}", "n"))
		}
		b.WriteString("CREATE TABLE k_two (a int, b varchar(10), v int, pad varchar(100), w int DEFAULT 5, PRIMARY KEY (a, b));")
		b.WriteString("INSERT INTO k_two (a, b, v, pad) WITH RECURSIVE s AS (SELECT 1 AS n UNION ALL SELECT n + 2 FROM s WHERE n < 600) SELECT n DIV 10, CONCAT('b', n MOD 10), 0, 'pad' FROM s")
		d.Exec(t, b.String())
		c := newCapture(t, d)
		c.copied = capture.SnapshotConfig{Parallel: 3, ChunkRows: 30}
		d.DB.SetMaxIdleConns(8)
		var whole atomic.Bool // no more partial images, so that strictness comes soon
		end := workload(t, d, 4, func(r *rand.Rand) string {
			image := []string{"FULL", "FULL", "MINIMAL", "NOBLOB"}[r.IntN(4)]
			if whole.Load() {
				image = "FULL"
			}
			var s strings.Builder
			fmt.Fprintf(&s, "SET SESSION binlog_row_image = %s; BEGIN", image)
			for range 1 + r.IntN(3) {
				n, m := 1+r.IntN(600), 1+r.IntN(600)
				if r.IntN(5) == 0 {
					switch r.IntN(3) {
					case 0:
						fmt.Fprintf(&s, "; UPDATE k_two SET a = %d WHERE a = %d LIMIT 2", m/10, n/10)
					case 1:
						fmt.Fprintf(&s, "; DELETE FROM k_two WHERE a = %d LIMIT 1", n/10)
					default:
						fmt.Fprintf(&s, "; REPLACE INTO k_two (a, b, v) VALUES (%d, 'b%d', %d)", n/10, n%10, m)
					}
					continue
				}
				k := keys[r.IntN(len(keys))]
				at := func(n int) string { return strings.ReplaceAll(k.key, "{n}", fmt.Sprint(n)) }
				switch r.IntN(5) {
				case 0:
					fmt.Fprintf(&s, "; INSERT IGNORE INTO %s (id, v) VALUES (%s, %d)", k.table, at(n), m)
				case 1:
					fmt.Fprintf(&s, "; UPDATE %s SET v = v + 1, pad = 'changed' WHERE id = %s", k.table, at(n))
				case 2:
					fmt.Fprintf(&s, "; DELETE FROM %s WHERE id = %s", k.table, at(n))
				default: // to another chunk
					fmt.Fprintf(&s, "; UPDATE IGNORE %s SET id = %s, v = %d WHERE id = %s", k.table, at(m), n, at(n))
				}
			}
			return s.String() + "; COMMIT"
		})
		defer end()
		reads := 0
		var mu sync.Mutex
		c.wrapSource = beforeReads(func(n int, _ *catalog.Table, proof string) string {
			mu.Lock()
			defer mu.Unlock()
			reads = max(reads, n)
			return proof
		})
		for cut := range 4 { // a restart after some chunks
			l := c.start()
			want := 150 * (cut + 1)
			eventually(t, "some chunks are copied", func() bool {
				var rows int64
				for _, p := range l.snapshot.Progress() {
					rows += p.Rows
				}
				return rows > int64(want)
			})
			l.stop()
		}
		whole.Store(true)
		l := c.start()
		l.wholly()
		recopied := 0
		for _, f := range c.model.seen() {
			if f.control.Type == change.Recopied {
				recopied += len(f.control.Keys)
			}
		}
		if recopied == 0 {
			t.Error("no row was read again: the test shows less than it should")
		}
		strictly := l.publisher.Rows()
		eventually(t, "strict tables take changes", func() bool { return l.publisher.Rows() > strictly+200 })
		end()
		l.reached()
		c.equals()
		t.Logf("%d reads of chunks, %d rows read again", reads, recopied)
		if reads > 80 {
			t.Errorf("%d chunks were read: a restart does not go on where the copy was", reads)
		}
	})
}

// D4: rows that move from a chunk not yet read to one that has been read, and back, are neither lost nor doubled.
func TestRowsThatMoveBetweenChunksAreKept(t *testing.T) {
	for _, image := range []string{"FULL", "MINIMAL"} {
		t.Run(image, func(t *testing.T) {
			d := testdb.MySQL(t).Database(t)
			d.Exec(t, "CREATE TABLE a (id int PRIMARY KEY, v varchar(20)); INSERT INTO a WITH RECURSIVE s AS (SELECT 10 AS n UNION ALL SELECT n + 10 FROM s WHERE n < 300) SELECT n, CONCAT('v', n) FROM s")
			c := newCapture(t, d)
			c.copied = capture.SnapshotConfig{Parallel: 1, ChunkRows: 10}
			c.wrapSource = beforeReads(func(n int, _ *catalog.Table, proof string) string {
				if n == 2 {
					inOneSession(t, d, "SET SESSION binlog_row_image = "+image, "UPDATE a SET id = 5 WHERE id = 290", "UPDATE a SET id = 295 WHERE id = 20",
						"UPDATE a SET id = 25, v = 'both' WHERE id = 280", "UPDATE a SET id = 26 WHERE id = 25", "DELETE FROM a WHERE id = 30")
				}
				return proof
			})
			l := c.start()
			l.wholly()
			d.Exec(t, "UPDATE a SET v = 'strict' WHERE id IN (5, 295, 26); INSERT INTO a VALUES (30, 'again'); UPDATE a SET id = 31 WHERE id = 30")
			l.reached()
			c.equals()
		})
	}
}

// flushing is a source that waits until the stream names its end, and begins another binlog file before it says its position: no transaction is there
// that a frame could name.
type flushing struct {
	capture.Source
	d *testdb.MySQLDB
	c *captured
}

func (f flushing) Position(ctx context.Context) (string, error) {
	eventually(f.c.t, "the stream names the end of the log", func() bool {
		last, _, err := f.c.log.Last(ctx)
		if err != nil {
			return false
		}
		covered, err := f.c.source.Covers(string(last.Position), now(f.c.t, f.c.source))
		return err == nil && covered
	})
	if _, err := f.d.DB.ExecContext(ctx, "FLUSH BINARY LOGS"); err != nil {
		return "", err
	}
	return f.Source.Position(ctx)
}

// S7: a table whose source is idle becomes strict too: a heartbeat moves the stream past the position that was read.
func TestAnIdleSourceIsMovedPastThePositionOfStrict(t *testing.T) {
	bothModes(t, func(t *testing.T, d *testdb.MySQLDB) {
		d.Exec(t, "CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1)")
		c := newCapture(t, d)
		c.wrapSource = func(s capture.Source) capture.Source { return flushing{s, d, c} }
		l := c.start()
		l.wholly()
		c.equals()
	})
}

// asking counts how often it is asked whether a position is reached.
type asking struct {
	capture.Source
	times *atomic.Int64
}

func (a asking) Covers(at, p string) (bool, error) {
	a.times.Add(1)
	return a.Source.Covers(at, p)
}

// S7: what a chunk has read can be published behind it. The strict frame comes after all of that.
func TestATableIsStrictOnlyBehindWhatItsChunksHaveRead(t *testing.T) {
	d := testdb.MySQL(t).Database(t)
	d.Exec(t, "CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1)")
	c := newCapture(t, d)
	held := make(chan struct{})
	read := false
	var asked atomic.Int64
	c.wrapSource = func(s capture.Source) capture.Source {
		s = tailed{s, func(t capture.Tail, ctx context.Context) (*capture.Event, error) {
			select { // the log is far behind
			case <-held:
				return t.Next(ctx)
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}}
		return beforeReads(func(_ int, _ *catalog.Table, proof string) string {
			if !read {
				d.Exec(t, "INSERT INTO a VALUES (2); DELETE FROM a WHERE id = 1")
			}
			read = true
			return proof
		})(asking{s, &asked})
	}
	l := c.start()
	eventually(t, "the copy waits for the log", func() bool {
		select {
		case <-l.strict:
			t.Fatal("it is strict before the changes that its chunk has read")
		default:
		}
		return asked.Load() > 3
	})
	close(held)
	l.wholly()
	l.reached()
	c.equals()
}

// lagging is a ledger that stands at the beginning for the first questions.
type lagging struct {
	*model
	asked atomic.Int64
}

func (l *lagging) Applied(ctx context.Context, table string) (uint64, error) {
	if l.asked.Add(1) < 10 {
		return 0, nil
	}
	return l.model.Applied(ctx, table)
}

func (l *lagging) Recopy(ctx context.Context, source string) ([]capture.Recopy, error) {
	if l.asked.Load() < 10 {
		l.t.Error("the list is read before the ledger has passed what may add to it")
		return nil, nil // it is empty as far as the ledger knows
	}
	return l.model.Recopy(ctx, source)
}

// S8: strict waits until the ledger has passed the last key change with absent columns, also one of an earlier start, and until what it listed is read again.
func TestStrictWaitsForKeyChangesWithAbsentColumns(t *testing.T) {
	d := testdb.MySQL(t).Database(t)
	d.Exec(t, "CREATE TABLE a (id int PRIMARY KEY, v int); INSERT INTO a VALUES (1, 1), (2, 2)")
	c := newCapture(t, d)
	c.copied.Parallel = 0
	l := c.start()
	inOneSession(t, d, "SET SESSION binlog_row_image = MINIMAL", "UPDATE a SET id = 9 WHERE id = 1")
	l.reached()
	l.stop()
	c.copied.Parallel = 1
	c.ledger = &lagging{model: c.model}
	l = c.start()
	l.wholly()
	l.reached()
	c.equals()
	var order []string
	for _, f := range c.model.seen() {
		switch {
		case f.control.Type == change.Recopied, f.control.Type == change.Strict:
			order = append(order, string(f.control.Type))
		}
	}
	if strings.Join(order, " ") != "recopied strict" {
		t.Errorf("the order is %q", order)
	}
}

// cutting is a stream that breaks after a frame that the test chooses; what was given to it before arrives.
type cutting struct {
	capture.Log
	after func(frame []byte) bool
	cut   *bool
}

func (c cutting) Append(ctx context.Context, frame []byte) (uint64, error) {
	if *c.cut {
		return 0, errCut
	}
	*c.cut = c.after(frame)
	return c.Log.Append(ctx, frame)
}

// A crash between the frame that deletes the rows to be read again and their rows loses none: the next start reads them again.
func TestACrashInTheMiddleOfReadingAgainLosesNoRow(t *testing.T) {
	d := testdb.MySQL(t).Database(t)
	d.Exec(t, "CREATE TABLE a (id int PRIMARY KEY, v int); INSERT INTO a WITH RECURSIVE s AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM s WHERE n < 50) SELECT n, n FROM s")
	c := newCapture(t, d)
	cut := false
	c.wrapLog = func(l capture.Log) capture.Log {
		return cutting{l, func(f []byte) bool { return bytes.Contains(f, []byte(`"recopied"`)) }, &cut}
	}
	c.copied = capture.SnapshotConfig{Parallel: 1, ChunkRows: 20}
	c.wrapSource = beforeReads(func(n int, _ *catalog.Table, proof string) string {
		if n == 2 {
			inOneSession(t, d, "SET SESSION binlog_row_image = MINIMAL", "UPDATE a SET id = id + 100 WHERE id < 10")
		}
		return proof
	})
	if err := c.start().ended(); !errors.Is(err, errCut) {
		t.Fatalf("it ended with %v", err)
	}
	c.wrapLog, c.wrapSource = nil, nil
	l := c.start()
	l.wholly()
	l.reached()
	c.equals()
}

// A long list of rows to be read again goes in batches: neither a frame nor the memory holds it all, also when the rows are large.
func TestALongListIsReadAgainInBatches(t *testing.T) {
	d := testdb.MySQL(t).Database(t)
	d.Exec(t, `SET SESSION cte_max_recursion_depth = 10000; CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE wide (id int PRIMARY KEY, v mediumtext);
		INSERT INTO a WITH RECURSIVE s AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM s WHERE n < 5000) SELECT n, 'v' FROM s;
		INSERT INTO wide WITH RECURSIVE s AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM s WHERE n < 20) SELECT n, REPEAT('x', 500000) FROM s`)
	c := newCapture(t, d)
	c.copied = capture.SnapshotConfig{Parallel: 2, ChunkRows: 2000}
	done := false
	var mu sync.Mutex
	c.wrapSource = beforeReads(func(n int, _ *catalog.Table, proof string) string {
		mu.Lock()
		defer mu.Unlock()
		if !done {
			inOneSession(t, d, "SET SESSION binlog_row_image = MINIMAL", "UPDATE a SET id = id + 100000", "UPDATE wide SET id = id + 100")
		}
		done = true
		return proof
	})
	l := c.start()
	l.wholly()
	l.reached()
	c.equals()
	keys := map[string]int{}
	for _, f := range c.model.seen() {
		if f.control.Type != change.Recopied {
			continue
		}
		n := len(f.control.Keys)
		keys[f.control.Table] += n
		if n > 1000 || strings.HasSuffix(f.control.Table, ".wide") && n > 4 {
			t.Errorf("frame %d names %d rows of %s", f.seq, n, f.control.Table)
		}
	}
	if keys[d.Name+".a"] < 5000 || keys[d.Name+".wide"] < 20 {
		t.Errorf("rows were read again: %v", keys)
	}
}

// A repair brings a row back as it is on the source; the table is strict again behind it, also when whoever asked has gone.
func TestARepairReadsRowsAgainAndEndsStrict(t *testing.T) {
	d := testdb.MySQL(t).Database(t)
	d.Exec(t, "CREATE TABLE a (id int PRIMARY KEY, v int); INSERT INTO a VALUES (1, 1), (2, 2), (3, 3)")
	c := newCapture(t, d)
	l := c.start()
	l.wholly()
	l.reached()
	row := func(id, v int64) change.Row { return change.Row{change.NewInt(id), change.NewInt(v)} }
	key := func(id int64) []byte { return change.AppendKey(nil, []int{0}, row(id, 0)) }
	c.model.mu.Lock()
	rows := c.model.table(d.Name + ".a").rows
	delete(rows, string(key(1)))
	rows[string(key(2))] = row(2, 77)
	rows[string(key(4))] = row(4, 4)
	c.model.mu.Unlock()
	var list []capture.Recopy
	for _, id := range []int64{1, 2, 4} {
		list = append(list, capture.Recopy{Source: change.Row{change.NewInt(id)}, Target: key(id)})
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	seq, err := l.snapshot.Repair(gone, d.Name+".a", list, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.model.wait(seq)
	frames := c.model.seen()
	if last := frames[len(frames)-1]; last.seq != seq || last.control.Type != change.Strict {
		t.Errorf("frame %d is %+v, not the strict frame %d", last.seq, last, seq)
	}
	d.Exec(t, "UPDATE a SET v = 5; DELETE FROM a WHERE id = 3")
	l.reached()
	c.equals()
	l.stop()
	if _, err := l.snapshot.Repair(t.Context(), d.Name+".a", list, nil); err == nil {
		t.Error("a repair after the end")
	}
}

// deaf cannot read rows by their keys.
type deaf struct{ capture.Source }

var errDeaf = errors.New("no answer")

func (deaf) ReadKeys(context.Context, string, *catalog.Table, []change.Row, func(change.Row) error) error {
	return errDeaf
}

// A repair that fails behind the frames that say which tables are not strict ends capture: nobody else knows of it, and the next start makes them strict.
func TestARepairThatFailsLeavesNoTableThatIsNotStrict(t *testing.T) {
	d := testdb.MySQL(t).Database(t)
	d.Exec(t, "CREATE TABLE a (id int PRIMARY KEY, v int); CREATE TABLE b LIKE a; INSERT INTO a VALUES (1, 1); INSERT INTO b VALUES (1, 1)")
	c := newCapture(t, d)
	c.wrapSource = func(s capture.Source) capture.Source { return deaf{s} }
	l := c.start()
	l.wholly()
	l.reached()
	a, b := d.Name+".a", d.Name+".b"
	key := change.AppendKey(nil, []int{0}, change.Row{change.NewInt(1)})
	if _, err := l.snapshot.Repair(t.Context(), a, []capture.Recopy{{Source: change.Row{change.NewInt(1)}, Target: key}}, []string{b}); !errors.Is(err, errDeaf) {
		t.Fatalf("the repair ended with %v", err)
	}
	if l.snapshot.Progress()[b].Strict {
		t.Error("b counts as strict, and the stream says that it is not")
	}
	if err := l.ended(); !errors.Is(err, errDeaf) {
		t.Fatalf("capture ended with %v", err)
	}
	if s := c.recover(); !s.Tables[a].Strict || s.Tables[b].Strict {
		t.Errorf("the stream says %+v", s.Tables)
	}
	c.wrapSource = nil
	l = c.start()
	l.wholly()
	if s := c.recover(); !s.Tables[a].Strict || !s.Tables[b].Strict {
		t.Errorf("behind the next start the stream says %+v", s.Tables)
	}
	l.reached()
	c.equals()
}

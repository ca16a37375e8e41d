package mysql

import (
	"bytes"
	"context"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/crossfade-io/crossfade/capture"
	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// tailed is a source whose tail passes every event through a function.
type tailed struct {
	capture.Source
	next func(t capture.Tail, ctx context.Context) (*capture.Event, error)
}

func (s tailed) Tail(ctx context.Context, from string, tables []*catalog.Table) (capture.Tail, error) {
	t, err := s.Source.Tail(ctx, from, tables)
	if err != nil {
		return nil, err
	}
	return steered{t, s.next}, nil
}

type steered struct {
	capture.Tail
	next func(t capture.Tail, ctx context.Context) (*capture.Event, error)
}

func (t steered) Next(ctx context.Context) (*capture.Event, error) { return t.next(t.Tail, ctx) }

var errCut = errors.New("the connection was cut by the test")

// cutAfter is a source whose tail breaks after so many rows.
func cutAfter(rows int) func(capture.Source) capture.Source {
	return func(s capture.Source) capture.Source {
		left := rows
		return tailed{s, func(t capture.Tail, ctx context.Context) (*capture.Event, error) {
			if left == 0 {
				return nil, errCut
			}
			ev, err := t.Next(ctx)
			if err == nil && ev.Kind == capture.Row {
				left--
			}
			return ev, err
		}}
	}
}

// bothModes runs a test on a server with GTIDs and on one without, and on MariaDB.
func bothModes(t *testing.T, test func(t *testing.T, d *testdb.MySQLDB)) {
	for _, mode := range []string{"ON", "OFF"} {
		t.Run("gtid "+mode, func(t *testing.T) { test(t, server(t, mode).Database(t)) })
	}
	for _, version := range mariadbVersionsTested {
		t.Run("MariaDB "+version, func(t *testing.T) { test(t, testdb.MariaDB(t, version).Database(t)) })
	}
}

// changesSeen are the rows of all frames of changes, in order.
func (m *model) changesSeen() (rows []string) {
	for _, f := range m.seen() {
		if f.kind == change.Changes {
			rows = append(rows, f.rows...)
		}
	}
	return rows
}

// Uncommitted and rolled back rows never come; every frame carries the place after it, so that whoever goes on there reads exactly the next row; and a
// frame is marked as the end of a transaction only if it is.
func TestFramesHoldCommittedRowsAndThePlaceBehindThem(t *testing.T) {
	bothModes(t, func(t *testing.T, d *testdb.MySQLDB) {
		d.Exec(t, "CREATE TABLE a (id int PRIMARY KEY, pad varchar(2000)); CREATE TABLE side (id int PRIMARY KEY)")
		c := newCapture(t, d)
		c.copied.Parallel = 0
		c.source.cfg.Selected = func(schema, table string) bool { return schema == d.Name && table == "a" }
		c.tables = c.tables[:1]
		l := c.start()
		conn, err := d.DB.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Raw(func(any) error { return driver.ErrBadConn })
		run := func(s string) {
			if _, err := conn.ExecContext(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		run("BEGIN; INSERT INTO a VALUES (1, 'open')")
		d.Exec(t, "INSERT INTO a VALUES (2, 'first')")
		l.reached()
		if got := c.model.changesSeen(); !slices.Equal(got, []string{"insert a (id=2)"}) {
			t.Errorf("while a transaction is open the stream holds %q", got)
		}
		run("COMMIT; BEGIN; INSERT INTO a VALUES (3, 'undone'); ROLLBACK")
		want := []string{"insert a (id=2)", "insert a (id=1)"}
		// Transactions of many frames, with rows of a table that is not selected between.
		var b strings.Builder
		for tx := range 3 {
			b.WriteString("BEGIN;")
			for i := range 300 {
				id := 1000 + 1000*tx + i
				fmt.Fprintf(&b, "INSERT INTO a VALUES (%d, REPEAT('x', 2000)); INSERT INTO side VALUES (%d);", id, id)
				want = append(want, fmt.Sprintf("insert a (id=%d)", id))
			}
			b.WriteString("COMMIT;")
		}
		run(b.String())
		l.reached()
		if err := l.stop(); !errors.Is(err, context.Canceled) {
			t.Errorf("it ended with %v", err)
		}
		if got := c.model.changesSeen(); !slices.Equal(got, want) {
			t.Errorf("%d changes in the stream, %d were made", len(got), len(want))
		}
		inside, rows := 0, 0
		for _, f := range c.model.seen() {
			rows += len(f.rows)
			next := "nothing"
			if rows < len(want) {
				next = want[rows]
			}
			if got := firstRow(t, c, f.position); got != next {
				t.Errorf("behind frame %d, at %s, comes %s instead of %s", f.seq, f.position, got, next)
			}
			at, err := parsePosition(f.position)
			if err != nil {
				t.Fatal(err)
			}
			if at.inside() == (f.flags&change.TxEnd != 0) {
				t.Errorf("frame %d, with flags %d, says it ends at %s", f.seq, f.flags, f.position)
			}
			if at.inside() {
				inside++
			}
			if err := c.source.Contains(t.Context(), f.position); err != nil {
				t.Error(err)
			}
		}
		if inside < 3 {
			t.Errorf("only %d frames end inside a transaction: the test shows little", inside)
		}
	})
}

// firstRow is what a new tail reads first at a place.
func firstRow(t *testing.T, c *captured, from string) string {
	t.Helper()
	tail, err := c.source.Tail(t.Context(), from, c.tables)
	if err != nil {
		t.Fatal(err)
	}
	defer tail.Close()
	until := now(t, c.source)
	for {
		if at, err := c.source.Covers(tail.Place(), until); err != nil {
			t.Fatal(err)
		} else if at {
			return "nothing"
		}
		ev, err := tail.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if ev.Kind == capture.Row {
			return fmt.Sprintf("%s %s %s", ev.Change.Op, ev.Change.Table.Name, ev.Change.Table.KeyString(ev.Change.KeyRow()))
		}
	}
}

// D9: a restart inside a large transaction goes on at exactly the next row, whatever is selected and mapped: rows are counted as logged, not as
// published. The mapping here even changes between the starts.
func TestARestartInsideATransactionGoesOnAtTheNextRow(t *testing.T) {
	bothModes(t, func(t *testing.T, d *testdb.MySQLDB) {
		d.Exec(t, "CREATE TABLE a (id int PRIMARY KEY, pad varchar(2000)); CREATE TABLE side (id int PRIMARY KEY)")
		c := newCapture(t, d)
		c.copied.Parallel = 0
		c.source.cfg.Selected = func(schema, table string) bool { return schema == d.Name && table == "a" }
		c.tables = c.tables[:1]
		const rows = 6000
		// Large statements and small ones, rows of a table beside, in one transaction.
		d.Exec(t, `CREATE TABLE n (n int PRIMARY KEY); INSERT INTO n WITH RECURSIVE s AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM s WHERE n < 600) SELECT n FROM s;
			INSERT INTO n SELECT n + 600 * m FROM n, (WITH RECURSIVE s AS (SELECT 1 AS m UNION ALL SELECT m + 1 FROM s WHERE m < 9) SELECT m FROM s) AS m`)
		d.Exec(t, `BEGIN;
			INSERT INTO a SELECT n, REPEAT('x', 2000) FROM n WHERE n <= 2000 ORDER BY n; INSERT INTO side SELECT n FROM n WHERE n <= 777;
			INSERT INTO a SELECT n, REPEAT('x', 2000) FROM n WHERE n > 2000 AND n <= 2003 ORDER BY n; INSERT INTO side VALUES (100000);
			INSERT INTO a SELECT n, REPEAT('x', 2000) FROM n WHERE n > 2003 ORDER BY n; COMMIT; INSERT INTO a VALUES (6001, 'end')`)
		divisor := 3
		c.mapper = func() capture.Mapper {
			by := int64(divisor)
			return &plainMapper{keep: func(ch *change.Change) bool { return ch.KeyRow()[0].Int()%by == 0 }}
		}
		var want []string
		upTo := 0 // rows that are published
		for life, cut := range []int{1500, 1, 2, 700, 3000, -1} {
			divisor = []int{3, 1, 2}[life%3]
			c.wrapSource = nil
			if cut > 0 {
				c.wrapSource = cutAfter(cut)
			}
			begin := c.recover()
			at, err := parsePosition(begin.Position)
			if err != nil {
				t.Fatal(err)
			}
			if at.inside() {
				upTo = int(at.row)
				if upTo > 2000 { // the ordinal counts the rows of the table beside
					upTo -= 777
				}
				if upTo > 2003 {
					upTo--
				}
			}
			l := c.start()
			if cut < 0 {
				l.reached()
				l.stop()
			} else if err := l.ended(); !errors.Is(err, errCut) {
				t.Fatalf("it ended with %v", err)
			}
			published := rows + 1
			if cut > 0 { // what was in no frame yet is read again
				p, err := parsePosition(l.publisher.Published().Position)
				if err != nil {
					t.Fatal(err)
				}
				published = int(p.row)
				if published > 2000 {
					published -= 777
				}
				if published > 2003 {
					published--
				}
			}
			for id := upTo + 1; id <= published; id++ {
				if id%divisor == 0 {
					want = append(want, fmt.Sprintf("insert a (id=%d)", id))
				}
			}
			upTo = published
			t.Logf("start %d went to row %d", life+1, published)
		}
		last, _, err := c.log.Last(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c.model.wait(last.Seq)
		got := c.model.changesSeen()
		for i := range max(len(got), len(want)) {
			if i >= len(got) || i >= len(want) || got[i] != want[i] {
				t.Fatalf("the stream holds %d changes, should hold %d; from %d on: %v, not %v", len(got), len(want), i, got[i:min(i+3, len(got))], want[i:min(i+3, len(want))])
			}
		}
	})
}

// busyLog says that a frame is always in flight, so that changes are collected.
type busyLog struct{ capture.Log }

func (busyLog) InFlight() int { return 1 }

// What stands before a stop reaches the target, however often the source is asked again; the place is the one before it, and when the reason is gone capture
// goes on exactly there.
func TestWhatStandsBeforeAStopIsPublished(t *testing.T) {
	d := testdb.MySQL(t).Database(t)
	d.Exec(t, "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY)")
	c := newCapture(t, d)
	c.copied.Parallel = 0
	c.wrapLog = func(l capture.Log) capture.Log { return busyLog{l} }
	d.Exec(t, "INSERT INTO a VALUES (1); INSERT INTO b VALUES (2)")
	before := now(t, c.source)
	d.Exec(t, "ALTER TABLE a ADD COLUMN v int; INSERT INTO a VALUES (3, 3); INSERT INTO b VALUES (4)")
	for range 2 {
		mustStop(t, c.start().ended(), d.Name+".a", "altered", "start again")
		if at := c.recover().Position; at != before {
			t.Errorf("it goes on at %s instead of %s", at, before)
		}
	}
	last, _, err := c.log.Last(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.model.wait(last.Seq)
	want := []string{"insert a (id=1)", "insert b (id=2)"}
	if got := c.model.changesSeen(); !slices.Equal(got, want) {
		t.Errorf("the stream holds %q", got)
	}
	c.tables = c.tables[1:] // the table is excluded
	c.source.cfg.Selected = func(schema, table string) bool { return schema == d.Name && table == "b" }
	c.start().reached()
	if got := c.model.changesSeen(); !slices.Equal(got, append(want, "insert b (id=4)")) {
		t.Errorf("the stream holds %q", got)
	}
}

// An XA transaction of tables that are not migrated may be committed long after it was prepared, also after a restart of capture between the two. One that
// was prepared before the migration began may hold rows of ours: its commit stops.
func TestAnXATransactionOfOtherTablesMayEndAfterARestart(t *testing.T) {
	bothModes(t, xaOfOthersEndsLate)
}

func xaOfOthersEndsLate(t *testing.T, d *testdb.MySQLDB) {
	side := d.Server.Database(t)
	s := scoped(t, d)
	d.Exec(t, "CREATE TABLE a (id int PRIMARY KEY)")
	side.Exec(t, "CREATE TABLE o (id int PRIMARY KEY)")
	known := tables(t, d)
	before := startTail(t, s, now(t, s), known)
	inOneSession(t, side, "XA START '"+d.Name+"'", "INSERT INTO o VALUES (1)", "XA END '"+d.Name+"'", "XA PREPARE '"+d.Name+"'")
	prepared := now(t, s)
	if _, err := follow(t, s, before, prepared); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(before.Place(), ";xa=") {
		t.Errorf("the place %s does not name what is prepared", before.Place())
	}
	again := startTail(t, s, before.Place(), known)
	d.Exec(t, "XA COMMIT '"+d.Name+"'; INSERT INTO a VALUES (1)")
	events, err := follow(t, s, again, now(t, s))
	mustSee(t, events, err, "insert a -> [int 1]", "commit")
	unaware := startTail(t, s, prepared, known) // a server that has one of ours ends the one before
	_, err = follow(t, s, unaware, now(t, s))
	mustStop(t, err, "transaction", "prepared before the migration began", "XA RECOVER is empty")
}

// A message between two transactions stays between them, also when the log stalls in the middle of one.
func TestAMessageAtABoundaryIsNotInsideATransaction(t *testing.T) {
	d := testdb.MySQL(t).Database(t)
	d.Exec(t, "CREATE TABLE a (id int PRIMARY KEY)")
	c := newCapture(t, d)
	c.copied.Parallel = 0
	d.Exec(t, "INSERT INTO a VALUES (1), (2), (3)")
	inside, answered := make(chan struct{}), make(chan error, 1)
	c.wrapSource = func(s capture.Source) capture.Source {
		rows, stalls := 0, 0
		return tailed{s, func(t capture.Tail, ctx context.Context) (*capture.Event, error) {
			if rows == 2 && stalls < 200 {
				stalls++
				time.Sleep(time.Millisecond) // the log is slow
				return nil, context.DeadlineExceeded
			}
			ev, err := t.Next(ctx)
			if err == nil && ev.Kind == capture.Row {
				if rows++; rows == 2 {
					close(inside)
				}
			}
			return ev, err
		}}
	}
	l := c.start()
	<-inside
	go func() {
		_, ok, err := l.publisher.AtBoundary(t.Context(), change.ControlMessage{Type: change.Constraints}, func() bool { return true })
		if err == nil && !ok {
			err = errors.New("it was not published")
		}
		answered <- err
	}()
	if err := <-answered; err != nil {
		t.Fatal(err)
	}
	l.reached()
	var order []string
	for _, f := range c.model.seen() {
		order = append(order, f.rows...)
		if f.kind == change.Control {
			order = append(order, string(f.control.Type))
		}
	}
	if i := slices.Index(order, "constraints"); i < 0 || slices.Index(order, "insert a (id=3)") > i || slices.Contains(order[:i], "heartbeat") {
		t.Errorf("the stream holds %q", order)
	}
}

// A publisher ends when it is told to, also while the source has more to say without a pause.
func TestABusySourceDoesNotKeepThePublisherFromEnding(t *testing.T) {
	d := testdb.MySQL(t).Database(t)
	d.Exec(t, "CREATE TABLE a (id int PRIMARY KEY)")
	c := newCapture(t, d)
	c.copied.Parallel = 0
	var events atomic.Int64
	told := make(chan struct{})
	c.wrapSource = func(s capture.Source) capture.Source {
		return tailed{s, func(capture.Tail, context.Context) (*capture.Event, error) {
			if events.Add(1) == 1000 {
				close(told)
			}
			return &capture.Event{Kind: capture.Commit, Time: 1}, nil
		}}
	}
	l := c.start()
	<-told
	if err := l.stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
}

// recorded gives events without a pause.
type recorded struct{ events [][]byte }

func (r *recorded) next(context.Context) ([]byte, error) {
	if len(r.events) == 0 {
		return nil, errCut
	}
	e := r.events[0]
	r.events = r.events[1:]
	return e, nil
}

func (*recorded) close() {}

// record returns the events of the log from one position to another, as the server sends them.
func record(t *testing.T, s *Source, from, until string, known map[string]*catalog.Table) (events [][]byte) {
	t.Helper()
	real := startTail(t, s, from, known).(*tail)
	probe := replay(t, s, from, known, nil)
	for {
		raw, err := real.feed.next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		raw = slices.Clone(raw) // it is valid until the next is asked for
		events = append(events, raw)
		probe.feed = &recorded{[][]byte{raw}}
		for err == nil {
			_, err = probe.Next(t.Context())
		}
		if !errors.Is(err, errCut) {
			t.Fatal(err)
		}
		probe.failed = nil
		if done, err := s.Covers(probe.Place(), until); err != nil {
			t.Fatal(err)
		} else if done {
			return events
		}
	}
}

// replay is a tail over recorded events.
func replay(t *testing.T, s *Source, from string, known map[string]*catalog.Table, events [][]byte) *tail {
	t.Helper()
	at, err := parsePosition(from)
	if err != nil {
		t.Fatal(err)
	}
	tl := newTail(tailConfig{migration: s.cfg.Migration, selected: s.cfg.Selected, log: s.log}, at, values(known))
	if tl.collations, err = readCollations(t.Context(), s.db); err != nil {
		t.Fatal(err)
	}
	tl.feed = &recorded{slices.Clone(events)}
	return tl
}

// An event that is not known, one that says that others are lost, one that is damaged or missing: each stops, and the place stays before its transaction.
func TestALogThatIsNotWholeStops(t *testing.T) {
	d := testdb.MySQL(t).Database(t)
	s := scoped(t, d)
	d.Exec(t, "CREATE TABLE a (id int PRIMARY KEY)")
	known := tables(t, d)
	from := now(t, s)
	d.Exec(t, "INSERT INTO a VALUES (1)")
	events := record(t, s, from, now(t, s), known)
	rows := slices.IndexFunc(events, func(raw []byte) bool { return replication.EventType(raw[4]) == replication.WRITE_ROWS_EVENTv2 })
	sealed := func(raw []byte) []byte {
		binary.LittleEndian.PutUint32(raw[len(raw)-4:], crc32.ChecksumIEEE(raw[:len(raw)-4]))
		return raw
	}
	typed := func(typ replication.EventType) func([]byte) [][]byte {
		return func(raw []byte) [][]byte {
			raw[4] = byte(typ)
			return [][]byte{sealed(raw)}
		}
	}
	for name, c := range map[string]struct {
		change         func(raw []byte) [][]byte
		reason, remedy string
	}{
		"unknown":  {typed(200), "an event of type 200", "nothing has been skipped"},
		"incident": {typed(replication.INCIDENT_EVENT), "events were lost", "new snapshot"},
		"damaged":  {func(raw []byte) [][]byte { raw[len(raw)-6] ^= 1; return [][]byte{raw} }, "checksum", "damaged"},
		"cut":      {func(raw []byte) [][]byte { return [][]byte{raw[:len(raw)-1]} }, "says it has", "damaged"},
		"short row": {func(raw []byte) [][]byte {
			raw = append(raw[:len(raw)-6], raw[len(raw)-4:]...)
			binary.LittleEndian.PutUint32(raw[9:], uint32(len(raw)))
			return [][]byte{sealed(raw)}
		}, "cut short", ""},
		"two transactions in one": {func(raw []byte) [][]byte { return [][]byte{raw, bytes.Clone(events[rows-3])} }, "begins inside another", "damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			some := slices.Clone(events)
			some = slices.Replace(some, rows, rows+1, c.change(bytes.Clone(events[rows]))...)
			tl := replay(t, s, from, known, some)
			var err error
			for err == nil {
				_, err = tl.Next(t.Context())
			}
			mustStop(t, err, "", c.reason, c.remedy)
			at, perr := parsePosition(tl.Place())
			if perr != nil || name != "two transactions in one" && tl.Place() != from || at.row > 1 {
				t.Errorf("it stands at %s, the transaction begins at %s", tl.Place(), from)
			}
		})
	}
}

// A long transaction of tables that are not migrated does not keep the tail from answering: what was collected before it waits no longer than without it.
func TestPassingOverALongTransactionEndsWithItsContext(t *testing.T) {
	d := testdb.MySQL(t).Database(t)
	s := scoped(t, d)
	d.Exec(t, "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE side (id int PRIMARY KEY, pad varchar(1000))")
	s.cfg.Selected = func(schema, table string) bool { return schema == d.Name && table == "a" }
	known := tables(t, d)
	from := now(t, s)
	d.Exec(t, "INSERT INTO side WITH RECURSIVE s AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM s WHERE n < 900) SELECT n, REPEAT('x', 1000) FROM s; INSERT INTO a VALUES (1)")
	until := now(t, s)
	known = map[string]*catalog.Table{"a": known["a"]}
	tl := replay(t, s, from, known, record(t, s, from, until, known))
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	inside := false
	for {
		ev, err := tl.Next(gone)
		if errors.Is(err, context.Canceled) {
			inside = inside || tl.tx.rows > 0
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if ev.Kind == capture.Row {
			break
		}
	}
	if !inside {
		t.Error("the tail read the long transaction to its end though its context had ended")
	}
}

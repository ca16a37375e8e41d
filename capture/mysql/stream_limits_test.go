package mysql

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/capture"
	"github.com/crossfade-io/crossfade/internal/change"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// D19: rows are decoded with the version of the table that was in force at their place, though the catalog has another by now: two columns of one type
// that changed places are not swapped, with names in the log or without. Where the version ends capture stops, at that place and not behind it.
func TestRowsAreDecodedWithTheVersionAtTheirPlace(t *testing.T) {
	for _, metadata := range []string{"MINIMAL", "FULL"} {
		t.Run(metadata, func(t *testing.T) {
			d := scratch.get(t).Database(t)
			global(t, d, "binlog_row_metadata", metadata)
			d.Exec(t, "CREATE TABLE a (id int PRIMARY KEY, b int, c int); INSERT INTO a VALUES (1, 10, 20)")
			c := newCapture(t, d)
			l := c.start()
			l.wholly()
			l.reached()
			l.stop()
			d.Exec(t, "INSERT INTO a VALUES (2, 11, 21); UPDATE a SET b = 12 WHERE id = 1")
			before := now(t, c.source)
			d.Exec(t, "ALTER TABLE a MODIFY b int AFTER c; INSERT INTO a VALUES (3, 22, 13); UPDATE a SET b = 14 WHERE id = 1")
			for range 2 {
				mustStop(t, c.start().ended(), d.Name+".a", "altered", "start again")
				if at := c.recover().Position; at != before {
					t.Errorf("it stands at %s, the table was altered at %s", at, before)
				}
			}
			rows := readModel(c, d.Name+".a")
			if want := []string{"int 1 | int 12 | int 20", "int 2 | int 11 | int 21"}; !slices.Equal(rows, want) {
				t.Errorf("the target has %q, should have %q", rows, want)
			}
			if metadata == "MINIMAL" {
				return
			}
			// With names in the log a wrong version is found, should one ever be given.
			wrong := startTail(t, c.source, c.from, tables(t, d))
			_, err := follow(t, c.source, wrong, before)
			mustStop(t, err, d.Name+".a", "the log calls it b", "start again")
		})
	}
}

// A copy begun before a table was changed stops too. A chunk may still be read, by the names of its columns, and is right then.
func TestACopyStopsAtATableThatWasChanged(t *testing.T) {
	for _, c := range []struct{ change, copied string }{
		{"MODIFY b int AFTER c", "int 1 | int 10 | int 20"},
		{"CHANGE b x int, CHANGE c b int", ""},
		{"MODIFY b bigint", ""},
	} {
		d := testdb.MySQL(t).Database(t)
		d.Exec(t, "CREATE TABLE a (id int PRIMARY KEY, b int, c int); INSERT INTO a VALUES (1, 10, 20)")
		p := newCapture(t, d)
		d.Exec(t, "ALTER TABLE a "+c.change)
		var stop *capture.Stop
		if err := p.start().ended(); !errors.As(err, &stop) || !strings.Contains(stop.Object, d.Name+".a") {
			t.Errorf("%s: it ended with %v", c.change, err)
		}
		p.recover()
		for _, r := range readModel(p, d.Name+".a") {
			if r != c.copied {
				t.Errorf("%s: copied was %s", c.change, r)
			}
		}
	}
}

// readModel returns the rows that have reached the model, once it has applied all of the stream.
func readModel(c *captured, table string) (rows []string) {
	c.t.Helper()
	if last, any, err := c.log.Last(c.t.Context()); err != nil {
		c.t.Fatal(err)
	} else if any {
		c.model.wait(last.Seq)
	}
	c.model.mu.Lock()
	defer c.model.mu.Unlock()
	for _, r := range c.model.table(table).rows {
		rows = append(rows, write(r))
	}
	slices.Sort(rows)
	return rows
}

// S9: a row larger than a frame goes in parts, from the copy and from the log; one larger than stream.max_row stops, by its name, and after the limit is
// raised capture goes on with it.
func TestLargeRowsGoInPartsAndTooLargeOnesStop(t *testing.T) {
	d := testdb.MySQL(t).Database(t)
	d.Exec(t, "CREATE TABLE a (id int PRIMARY KEY, v longblob); INSERT INTO a VALUES (1, 'small'), (2, REPEAT('copied', 1500000)), (3, 'small')")
	c := newCapture(t, d)
	tooLarge := func(id int) {
		t.Helper()
		mustStop(t, c.start().ended(), d.Name+".a", fmt.Sprintf("the row (id=%d) has 9000", id), "raise stream.max_row")
	}
	c.maxRow = 8 << 20
	tooLarge(2)
	c.maxRow = 10 << 20
	l := c.start()
	l.wholly()
	l.reached()
	c.equals()
	l.stop()
	d.Exec(t, "INSERT INTO a VALUES (4, 'small'); INSERT INTO a VALUES (5, REPEAT('logged', 1500000)); UPDATE a SET v = REPEAT('change', 1500000) WHERE id = 3; DELETE FROM a WHERE id = 2")
	c.maxRow = 8 << 20
	tooLarge(5)
	c.maxRow = 10 << 20
	l = c.start()
	l.reached()
	c.equals()
	if got, want := c.model.changesSeen(), []string{"insert a (id=4)", "insert a (id=5)", "update a (id=3)", "delete a (id=2)"}; !slices.Equal(got, want) {
		t.Errorf("the stream holds %q, should hold %q", got, want)
	}
}

// heapWatch looks at the memory of live and not yet collected objects until it is stopped, and returns the most it has seen above the start.
func heapWatch() (stop func() uint64) {
	runtime.GC()
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	read := func() uint64 {
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	begin, most := read(), uint64(0)
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			most = max(most, read())
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	})
	return func() uint64 {
		close(done)
		wg.Wait()
		return most - min(most, begin)
	}
}

// counting is a stream that is as fast as memory and keeps nothing: what is measured is capture.
type counting struct {
	capture.Log
	frames, bytes *int
}

func (c counting) Append(_ context.Context, frame []byte) (uint64, error) {
	*c.frames++
	*c.bytes += len(frame)
	return uint64(*c.frames), nil
}
func (counting) InFlight() int { return 0 }

// S9: a transaction of a million rows is captured in bounded memory, in pieces and in order; compressed it is one event of the log that unfolds to 70 MB.
func TestAMillionRowsInOneTransactionNeedLittleMemory(t *testing.T) {
	d := scratch.get(t).Database(t)
	d.Exec(t, "CREATE TABLE a (id int PRIMARY KEY, pad varchar(300))")
	c := newCapture(t, d)
	c.copied.Parallel = 0
	const rows, each = 1_000_000, 60
	inOneSession(t, d, "SET SESSION cte_max_recursion_depth = 10000000, binlog_transaction_compression = ON",
		fmt.Sprintf("INSERT INTO a WITH RECURSIVE s AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM s WHERE n < %d) SELECT n, REPEAT('x', %d) FROM s", rows, each))
	var frames, size int
	c.wrapLog = func(l capture.Log) capture.Log { return counting{l, &frames, &size} }
	next := int64(1)
	c.mapper = func() capture.Mapper {
		return &plainMapper{keep: func(ch *change.Change) bool {
			if id := ch.After[0].Int(); id != next || len(ch.After[1].B) != each {
				t.Errorf("row %d comes where %d should", id, next)
			}
			next++
			return true
		}}
	}
	defer debug.SetGCPercent(debug.SetGCPercent(50)) // garbage is not what is measured
	until := now(t, c.source)
	stop := heapWatch()
	l := c.start()
	if err := l.publisher.WaitCovered(t.Context(), until); err != nil {
		t.Fatal(err)
	}
	most := stop()
	l.stop()
	t.Logf("%d MB in %d frames need %d MB of memory", size>>20, frames, most>>20)
	if most > 24<<20 {
		t.Errorf("%d MB of memory for a transaction of %d MB", most>>20, size>>20)
	}
	if next != rows+1 || size < rows*each || frames < size/(2*capture.FrameSize) {
		t.Errorf("%d rows, %d bytes in %d frames", next-1, size, frames)
	}

	// And so is the copy of them, with several reads at a time.
	frames, size = 0, 0
	c.from, c.copied, c.ledger = until, capture.SnapshotConfig{Parallel: 4, ChunkRows: 20_000}, passed{}
	var copied atomic.Int64
	c.mapper = func() capture.Mapper {
		return &plainMapper{keep: func(*change.Change) bool { copied.Add(1); return true }}
	}
	stop = heapWatch()
	l = c.start()
	l.wholly()
	most = stop()
	l.stop()
	t.Logf("the copy: %d MB in %d frames need %d MB of memory", size>>20, frames, most>>20)
	if most > 24<<20 {
		t.Errorf("%d MB of memory for the copy of %d MB", most>>20, size>>20)
	}
	if copied.Load() != rows || size < rows*each {
		t.Errorf("%d rows were copied, in %d bytes", copied.Load(), size)
	}
}

// passed is the ledger of a target that has everything.
type passed struct{}

func (passed) Applied(context.Context, string) (uint64, error)          { return math.MaxUint64, nil }
func (passed) Recopy(context.Context, string) ([]capture.Recopy, error) { return nil, nil }

// No frame before a marker's own names a place behind the marker, however the events arrive and wherever the stream breaks: whoever goes on there would
// never see it.
func TestAMarkerIsNeverPassedBeforeItsFrame(t *testing.T) {
	slow := func(kind capture.EventKind) func(*captured) { // the log stalls behind an event, then the connection is lost
		return func(c *captured) {
			c.wrapSource = func(s capture.Source) capture.Source {
				marked, stalled := false, false
				return tailed{s, func(t capture.Tail, ctx context.Context) (*capture.Event, error) {
					if stalled {
						return nil, errCut
					}
					if marked && kind == capture.MarkerEvent {
						stalled = true
						return nil, context.DeadlineExceeded
					}
					ev, err := t.Next(ctx)
					if err == nil && marked && ev.Kind == kind {
						kind = capture.MarkerEvent
					}
					marked = marked || err == nil && ev.Kind == capture.MarkerEvent
					return ev, err
				}}
			}
		}
	}
	for name, breaks := range map[string]func(*captured){
		"behind the marker":                  slow(capture.MarkerEvent),
		"behind a row of its transaction":    slow(capture.Row),
		"between the rows and the marker":    func(c *captured) { c.wrapLog = cutBehind(c.wrapLog, `id`) },
		"behind the frame of the marker too": func(c *captured) { c.wrapLog = cutBehind(c.wrapLog, `"marker"`) },
	} {
		t.Run(name, func(t *testing.T) {
			d := testdb.MySQL(t).Database(t)
			d.Exec(t, "CREATE TABLE a (id int PRIMARY KEY)")
			c := newCapture(t, d)
			c.copied.Parallel = 0
			c.wrapLog = func(l capture.Log) capture.Log { return busyLog{l} } // so that rows are collected
			inOneSession(t, d, "INSERT INTO a VALUES (1)", "BEGIN", "INSERT INTO crossfade.marker (migration, side, epoch, kind) VALUES ('"+d.Name+"', 'source', 7, 'fence')",
				"INSERT INTO a VALUES (2)", "COMMIT", "INSERT INTO a VALUES (3)")
			breaks(c)
			if err := c.start().ended(); !errors.Is(err, errCut) {
				t.Fatalf("it ended with %v", err)
			}
			c.wrapSource, c.wrapLog = nil, nil
			l := c.start()
			l.reached()
			var order []string
			for _, f := range c.model.seen() {
				order = append(order, f.rows...)
				if f.control.Type == change.Marker {
					order = append(order, fmt.Sprintf("marker %d %s", f.control.Epoch, f.control.Detail))
				}
			}
			if want := []string{"insert a (id=1)", "insert a (id=2)", "marker 7 fence", "insert a (id=3)"}; !slices.Equal(order, want) {
				t.Errorf("the stream holds %q, should hold %q", order, want)
			}
		})
	}
}

// cutBehind breaks the stream behind the first frame that holds a text.
func cutBehind(inner func(capture.Log) capture.Log, text string) func(capture.Log) capture.Log {
	cut := false
	return func(l capture.Log) capture.Log {
		return cutting{inner(l), func(f []byte) bool { return bytes.Contains(f, []byte(text)) }, &cut}
	}
}

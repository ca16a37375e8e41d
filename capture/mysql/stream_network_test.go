package mysql

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"github.com/crossfade-io/crossfade/capture"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// A network that swallows everything, without closing a connection, is noticed by the heartbeats that do not come; also while connecting. Capture then goes
// on where the stream ends: nothing is lost, and in a strict table nothing could come twice.
func TestASilentNetworkIsNoticedAndCaptureGoesOn(t *testing.T) {
	d := testdb.MySQL(t).Database(t)
	d.Exec(t, "CREATE TABLE a (id int PRIMARY KEY AUTO_INCREMENT, v int); INSERT INTO a (v) VALUES (1), (2), (3)")
	c := newCapture(t, d)
	proxy := toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), "source", "127.0.0.1:0", c.source.cfg.Host)
	if err := proxy.Start(); err != nil {
		t.Fatal(err)
	}
	defer proxy.Stop()
	c.source.cfg.Host, c.source.cfg.Heartbeat, c.source.cfg.ReadTimeout = proxy.Listen, 100*time.Millisecond, 2*time.Second
	l := c.start()
	l.wholly()
	var inserts atomic.Int64
	end := workload(t, d, 2, func(r *rand.Rand) string {
		if n := inserts.Add(1); n%3 != 0 {
			return fmt.Sprintf("INSERT INTO a (v) VALUES (%d)", n)
		}
		return fmt.Sprintf("DELETE FROM a WHERE id = %d", r.IntN(100))
	})
	defer end()
	for round := range 2 {
		rows := l.publisher.Rows()
		eventually(t, "changes are published", func() bool { return l.publisher.Rows() > rows+20 })
		for _, way := range []string{"upstream", "downstream"} {
			if _, err := proxy.Toxics.AddToxicJson(strings.NewReader(`{"name": "` + way + `", "type": "timeout", "stream": "` + way + `", "attributes": {"timeout": 0}}`)); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 { // the second finds no connection
			var stop *capture.Stop
			if err := l.ended(); err == nil || errors.As(err, &stop) {
				t.Fatalf("round %d: it ended with %v", round, err)
			}
			l = c.start()
		}
		l.stop()
		proxy.Toxics.ResetToxics(t.Context())
		l = c.start()
	}
	end()
	l.reached()
	c.source = scoped(t, d) // whose sessions have not been cut
	c.equals()
}

// What the log does not hold any more is refused, by the first question already.
func TestATailOfAPurgedLogIsRefused(t *testing.T) {
	bothModes(t, func(t *testing.T, d *testdb.MySQLDB) {
		d.Exec(t, "CREATE TABLE a (id int PRIMARY KEY)")
		c := newCapture(t, d)
		c.copied.Parallel = 0
		d.Exec(t, "INSERT INTO a VALUES (1); FLUSH BINARY LOGS; INSERT INTO a VALUES (2)")
		eventually(t, "the older binlogs are purged", func() bool { // MariaDB keeps one until the commits in it are checkpointed
			d.Exec(t, "PURGE BINARY LOGS TO '"+lastBinlog(t, d)+"'")
			var contains *capture.Stop
			return errors.As(c.source.Contains(t.Context(), c.from), &contains)
		})
		mustStop(t, c.start().ended(), "binlog", "refuses to send it", "new snapshot")
	})
}

// When capture has ended nothing of it runs on: no reader of the log, no read of a chunk, nobody who waits.
func TestNothingOutlivesCapture(t *testing.T) {
	d := testdb.MySQL(t).Database(t)
	d.Exec(t, "CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a WITH RECURSIVE s AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM s WHERE n < 900) SELECT n FROM s")
	c := newCapture(t, d)
	c.copied.ChunkRows = 20
	for _, rows := range []int64{1, 300, 900} { // ended at once, in the middle, and after it all
		l := c.start()
		eventually(t, "some rows are copied", func() bool { return l.snapshot.Progress()[d.Name+".a"].Rows >= rows })
		if len(running()) == 0 {
			t.Fatal("capture is not seen while it runs: the test shows nothing")
		}
		if err := l.stop(); !errors.Is(err, context.Canceled) {
			t.Errorf("it ended with %v", err)
		}
		if left := running(); len(left) > 0 {
			t.Errorf("%d goroutines run on:\n%s", len(left), strings.Join(left, "\n\n"))
		}
	}
}

// running are the goroutines of capture and of the library that reads the log.
func running() (stacks []string) {
	b := make([]byte, 4<<20)
	for stack := range strings.SplitSeq(string(b[:runtime.Stack(b, true)]), "\n\n") {
		ours := strings.Contains(stack, "/capture.(*") || strings.Contains(stack, "/capture/mysql.(*") || strings.Contains(stack, "go-mysql-org/")
		if ours && !strings.Contains(stack, "tRunner") && !strings.Contains(stack, "mysql.(*model)") {
			stacks = append(stacks, stack)
		}
	}
	return stacks
}

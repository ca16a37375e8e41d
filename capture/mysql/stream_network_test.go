package mysql

import (
	"errors"
	"fmt"
	"math/rand/v2"
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
		d.Exec(t, "PURGE BINARY LOGS TO '"+lastBinlog(t, d)+"'")
		mustStop(t, c.start().ended(), "binlog", "refuses to send it", "new snapshot")
	})
}

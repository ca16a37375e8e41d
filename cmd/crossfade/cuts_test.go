package main

import (
	"context"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/crossfade-io/crossfade/internal/control"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// through puts a proxy before the server of a URL, and returns the URL of the proxy.
func through(t *testing.T, s *toxiproxy.ApiServer, server string) (*toxiproxy.Proxy, string) {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	p := toxiproxy.NewProxy(s, u.Scheme, "127.0.0.1:0", u.Host)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	u.Host = p.Listen
	return p, u.String()
}

// TestConnectionsThatAreCutAllTheTimeLoseNothing cuts every connection to one of the two databases, again and again, for moments and for a second, from the first
// chunk until everything is strict and verified.
func TestConnectionsThatAreCutAllTheTimeLoseNothing(t *testing.T) {
	s := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	r := newRig(t, testdb.MySQL(t), testdb.Postgres(t, 15), "")
	r.seed(60000)
	my, source := through(t, s, r.my.URL())
	pg, target := through(t, s, r.pg.URL())
	r.configure(source, target, "snapshot: {chunk_rows: 2000, parallel: 2}")
	w := r.startWorkload(4, 4*time.Millisecond)
	r.start()
	r.until("copying", time.Minute, func(s control.Status) bool { return s.Snapshot.RowsDone > 0 })

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	var cuts atomic.Int64
	go func() {
		random := rand.New(rand.NewPCG(17, uint64(time.Now().UnixNano())))
		defer close(done)
		for ctx.Err() == nil {
			p := my
			if random.IntN(2) == 0 {
				p = pg
			}
			pause(time.Duration(50+random.IntN(400)) * time.Millisecond)
			p.Stop()
			cuts.Add(1)
			if random.IntN(5) == 0 {
				pause(time.Second)
			}
			if err := p.Start(); err != nil {
				t.Errorf("start the proxy again: %v", err)
				return
			}
		}
	}()
	strict := func(s control.Status) bool {
		if s.Error != nil {
			t.Fatalf("a lost connection stopped the migration: %s", *s.Error)
		}
		for _, tb := range s.Tables {
			if tb.State != "strict" {
				return false
			}
		}
		return true
	}
	r.until("strict", 3*time.Minute, strict)
	t.Logf("%d cuts until everything was strict", cuts.Load())
	since, cutsBefore := w.count(), cuts.Load()
	r.until("more while strict", time.Minute, func(s control.Status) bool {
		return strict(s) && w.count() > since+1000 && cuts.Load() >= cutsBefore+10
	})
	cancel()
	<-done
	t.Logf("%d cuts", cuts.Load())

	r.waitReady()
	acked := w.stop()
	r.caughtUp("op")
	r.allEqual()
	r.noneLost(acked)
	if out := r.must("verify"); !strings.Contains(out, " 0 differences") {
		t.Errorf("verify printed %s", out)
	}
}

package main

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/internal/control"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// Twenty cutovers and rollbacks in a row, forward and back, while an application writes to whichever side takes it: every write that was acknowledged is in both databases at the end.
func TestTwentyMovesInARowLoseNothing(t *testing.T) {
	source, target := endOnMySQL(t, testdb.MySQL(t)), endOnPostgres(t, testdb.Postgres(t, 18))
	seedTraffic(t, source, 600)
	r := newPair(t, source, target, fmt.Sprintf("%q", source.tables), "cutover: {reverse: true, max_pause: 20s}")
	r.start()
	r.waitReady()
	c := &crasher{t: t, r: r, source: source, target: target, acked: map[int64]bool{}, users: map[*end]string{source: source.user(), target: target.user()}}
	w := map[*end]*traffic{}
	for i, e := range []*end{source, target} {
		w[e] = startTraffic(t, e, e.open(c.users[e]), 2, 4*time.Millisecond)
		w[e].next.Store(int64(i) * 1_000_000_000)
	}
	written := func(e *end) int {
		w[e].mu.Lock()
		defer w[e].mu.Unlock()
		return len(w[e].acked)
	}
	var pauses []int64
	for turn := range 20 {
		verb, from, to := "cutover", source, target
		if turn%2 == 1 {
			verb, from, to = "rollback", target, source
		}
		if c.settled(t) != from {
			t.Fatalf("turn %d: the %s does not serve", turn, from.engine)
		}
		before := written(to)
		if exit, out, errs := r.crossfade(verb); exit != 0 {
			t.Fatalf("%s of turn %d: exit %d\n%s%s", verb, turn, exit, out, errs)
		}
		pauses = append(pauses, r.report().WritePauseMS)
		r.until("the application writes there", time.Minute, func(control.Status) bool { return written(to) >= before+20 })
	}
	c.settled(t)
	for e := range w {
		maps.Copy(c.acked, w[e].stop())
	}
	c.level(t)
	sameRows(t, source, target)
	holds(t, source, c.acked)
	holds(t, target, c.acked)
	slices.Sort(pauses)
	t.Logf("%d writes acknowledged; write pauses in ms: %v", len(c.acked), pauses)
}

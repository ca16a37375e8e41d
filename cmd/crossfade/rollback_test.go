package main

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/internal/control"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// The writes move to the target, back to the source and to the target again while the application writes, and every write that was acknowledged is in both databases.
func TestTheWritesMoveThereAndBackAndThereAgain(t *testing.T) {
	onFourPairs(t, thereAndBack)
}

func thereAndBack(t *testing.T, source, target *end) {
	seedTraffic(t, source, 600)
	r := newPair(t, source, target, fmt.Sprintf("%q", source.tables), "cutover: {reverse: true, max_pause: 20s}")
	there, back := source.user(), ""
	acked := map[int64]bool{}
	next := int64(0)
	write := func(e *end, user string) *traffic {
		w := startTraffic(t, e, e.open(user), 3, 4*time.Millisecond)
		w.next.Store(next)
		r.until("the application has written", time.Minute, func(control.Status) bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return len(w.acked) >= 60
		})
		return w
	}
	stop := func(w *traffic) {
		maps.Copy(acked, w.stop())
		next = w.next.Load()
	}
	r.start()
	w := write(source, there)
	r.waitReady()
	r.until("the target is watched", time.Minute, func(s control.Status) bool { return s.Reverse != nil && s.Reverse.State == "watching" })
	back = target.user()
	for turn, verb := range []string{"cutover", "rollback", "cutover", "rollback"} {
		if exit, out, errs := r.crossfade(verb); exit != 0 {
			t.Fatalf("%s %d: exit %d\n%s%s", verb, turn, exit, out, errs)
		}
		stop(w)
		rep := r.report()
		t.Logf("%s: write pause %d ms, predicted %d", verb, rep.WritePauseMS, rep.PredictedPauseMS)
		if verb == "cutover" {
			w = write(target, back)
			if turn > 0 {
				r.kill()
				r.start()
			}
			r.until("the way back is verified", time.Minute, func(s control.Status) bool {
				return s.State == "completed" && s.Reverse != nil && s.Reverse.State == "applying" && s.Reverse.LastCleanAt != nil && s.Reverse.Differences == 0
			})
			if exit, out, errs := r.crossfade("verify"); exit != 0 {
				t.Errorf("verify in the soak: exit %d\n%s%s", exit, out, errs)
			}
			continue
		}
		if rep.Verdict != "rolled_back" || rep.Direction != "reverse" || rep.WritePauseMS == 0 {
			t.Errorf("report of the rollback: %+v", rep)
		}
		w = write(source, there)
		r.until("rolled back and ready", time.Minute, func(s control.Status) bool {
			return s.State == "rolled_back" && phaseOf(s) == "ready" && s.Reverse != nil && s.Reverse.State == "watching" && s.LagSeconds != nil
		})
	}
	stop(w)
	r.until("level", time.Minute, func(control.Status) bool {
		return strings.Join(rowsOf(t, target, "SELECT count(*), max(id) FROM op"), "") == strings.Join(rowsOf(t, source, "SELECT count(*), max(id) FROM op"), "")
	})
	sameRows(t, source, target)
	holds(t, source, acked)
	holds(t, target, acked)
	r.stop()
	r.must("cleanup")
	for name, e := range map[string]*end{"source": source, "target": target} {
		if left := leftOf(t, e, r.name); left != "" {
			t.Errorf("cleanup leaves on the %s: %s", name, left)
		}
	}
	for user, e := range map[string]*end{there: source, back: target} {
		db := e.open(user)
		defer db.Close()
		if _, err := db.ExecContext(t.Context(), "UPDATE account SET balance = 1 WHERE id = 1"); (err == nil) != (e == source) {
			t.Errorf("after the cleanup of a migration that was rolled back a write to the %s: %v", e.engine, err)
		}
	}
}

// A rollback is refused while the source is known to differ from the target that serves, or the way back has stopped, and goes once that is mended.
func TestARollbackIsRefusedWhileTheSourceDiffers(t *testing.T) {
	source, target := endOnMySQL(t, testdb.MySQL(t)), endOnPostgres(t, testdb.Postgres(t, 18))
	seedTraffic(t, source, 100)
	r := newPair(t, source, target, fmt.Sprintf("%q", source.tables), "cutover: {reverse: true, max_pause: 2s}")
	r.start()
	r.waitReady()
	r.until("the target is watched", time.Minute, func(s control.Status) bool { return s.Reverse != nil && s.Reverse.State == "watching" })
	if exit, out, errs := r.crossfade("rollback"); exit != 3 {
		t.Errorf("a rollback of nothing: exit %d\n%s%s", exit, out, errs)
	}
	r.must("cutover")
	soaking := func() {
		t.Helper()
		r.until("soaking", time.Minute, func(s control.Status) bool {
			return s.State == "completed" && s.Reverse.State == "applying" && s.Reverse.LastCleanAt != nil && s.Reverse.LagSeconds != nil && *s.Reverse.LagSeconds == 0
		})
	}
	soaking()
	execOn(t, source, "UPDATE account SET owner = 'a stranger' WHERE id = 7") // our own user passes the gate
	r.until("found", time.Minute, func(s control.Status) bool { return s.Reverse.Differences > 0 })
	if exit, out, errs := r.crossfade("rollback"); exit != 3 || !strings.Contains(out+errs, "id=7") {
		t.Errorf("a rollback to a source that differs: exit %d\n%s%s", exit, out, errs)
	}
	if exit, out, errs := r.crossfade("verify"); exit != 4 {
		t.Errorf("verify: exit %d\n%s%s", exit, out, errs)
	}
	if exit, out, errs := r.crossfade("verify", "--repair"); exit != 3 {
		t.Errorf("a repair in the soak: exit %d\n%s%s", exit, out, errs)
	}
	execOn(t, source, "UPDATE account SET owner = 'owner 7' WHERE id = 7")
	r.must("verify")
	soaking()
	execOn(t, target, "ALTER TABLE line ALTER COLUMN sku TYPE varchar(40)")
	r.until("the way back has stopped", time.Minute, func(s control.Status) bool {
		return s.State == "completed" && s.Reverse.State == "failed" && s.Error != nil && strings.Contains(*s.Error, "line")
	})
	if exit, out, errs := r.crossfade("rollback"); exit != 3 {
		t.Errorf("a rollback while the way back has stopped: exit %d\n%s%s", exit, out, errs)
	}
	execOn(t, target, "ALTER TABLE line ALTER COLUMN sku TYPE varchar(16)")
	r.must("resume")
	soaking()
	r.must("rollback")
	r.until("rolled back", time.Minute, func(s control.Status) bool { return s.State == "rolled_back" && phaseOf(s) == "ready" })
	r.must("wait", "--for", "rolled_back", "--timeout", "10s")
	sameRows(t, source, target)
}

// Both databases may be on one server: each direction finds there only what is of its own side.
func TestTheWritesMoveThereAndBackOnOneServer(t *testing.T) {
	for engine, make := range engines {
		t.Run(engine, func(t *testing.T) { thereAndBack(t, make(t), make(t)) })
	}
}

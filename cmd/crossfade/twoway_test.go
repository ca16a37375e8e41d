package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/internal/control"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// Who has not said whether he wants a way back has one where it is possible, and is told before anything is copied, and again at the cutover, where it is not.
func TestAWayBackIsThereUnlessItIsSaidWhyNot(t *testing.T) {
	source := endOnMySQL(t, testdb.MySQL(t))
	seedTraffic(t, source, 100)
	t.Run("a target that can be read", func(t *testing.T) {
		r := newPair(t, source, endOnPostgres(t, testdb.Postgres(t, 18)), fmt.Sprintf("%q", source.tables), "cutover: {reverse: auto, max_pause: 20s}")
		if out := r.must("check"); strings.Contains(out, "rollback") {
			t.Errorf("check: %s", out)
		}
		r.start()
		r.waitReady()
		if s := r.status(); s.Reverse == nil || s.Reverse.State != "watching" {
			t.Fatalf("ready without a way back: %+v", s.Reverse)
		}
		r.must("cutover")
		r.until("soaking", time.Minute, func(s control.Status) bool {
			return s.Reverse.State == "applying" && s.Reverse.LastCleanAt != nil && s.Reverse.LagSeconds != nil && *s.Reverse.LagSeconds == 0
		})
		r.must("rollback")
		r.stop()
		r.must("cleanup")
	})
	t.Run("one that cannot", func(t *testing.T) {
		r := newPair(t, source, endOnPostgres(t, testdb.NewPostgres(t, 18, "wal_level=replica")), fmt.Sprintf("%q", source.tables), "cutover: {reverse: auto, max_pause: 20s}")
		if out := r.must("check"); !strings.Contains(out, "rollback after the cutover will not be possible") || !strings.Contains(out, "wal_level") {
			t.Errorf("check: %s", out)
		}
		r.start()
		r.waitReady()
		r.stop()
		r.start() // what was settled stays
		r.waitReady()
		r.must("cutover")
		said := false
		for _, w := range r.report().Warnings {
			said = said || strings.Contains(w.Reason, "rollback will not be possible") && strings.Contains(w.Reason, "wal_level")
		}
		if !said {
			t.Errorf("warnings of the report: %+v", r.report().Warnings)
		}
		if exit, out, errs := r.crossfade("rollback"); exit != 3 {
			t.Errorf("rollback: exit %d\n%s%s", exit, out, errs)
		}
		if s := r.status(); s.State != "completed" || s.Reverse != nil {
			t.Errorf("status %s, reverse %+v", s.State, s.Reverse)
		}
	})
}

// A way back that is switched off before the cutover leaves no slot on the target; in the soak switching it off is refused.
func TestAWayBackThatIsSwitchedOffLeavesNoSlot(t *testing.T) {
	source, target := endOnMySQL(t, testdb.MySQL(t)), endOnPostgres(t, testdb.Postgres(t, 18))
	seedTraffic(t, source, 100)
	r := newPair(t, source, target, fmt.Sprintf("%q", source.tables), "cutover: {reverse: true, max_pause: 20s}")
	text, err := os.ReadFile(r.config)
	if err != nil {
		t.Fatal(err)
	}
	say := func(reverse string) {
		r.stop()
		if err := os.WriteFile(r.config, []byte(strings.ReplaceAll(string(text), "reverse: true", "reverse: "+reverse)), 0o600); err != nil {
			t.Fatal(err)
		}
		r.start()
	}
	slots := func() int {
		return len(rowsOf(t, target, "SELECT slot_name FROM pg_replication_slots WHERE slot_name LIKE '%"+strings.ReplaceAll(r.name, "-", "_")+"%'"))
	}
	r.start()
	r.waitReady()
	if n := slots(); n != 1 {
		t.Fatalf("%d slots on the target", n)
	}
	say("false")
	r.waitReady()
	if n := slots(); n != 0 {
		t.Errorf("%d slots on the target, and no way back", n)
	}
	say("true")
	r.waitReady()
	r.must("cutover")
	say("false")
	if exit := r.exited(time.Minute); exit != 3 || !strings.Contains(r.logs(), "finalize") {
		t.Errorf("switched off in the soak: exit %d\n%s", exit, tail(r.logs(), 2000))
	}
	say("auto")
	r.until("soaking", time.Minute, func(s control.Status) bool { return s.Reverse != nil && s.Reverse.State == "applying" })
}

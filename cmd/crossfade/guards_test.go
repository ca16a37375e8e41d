package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/internal/control"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// health is what an application says of itself.
type health struct {
	*httptest.Server
	ill   atomic.Bool
	asked atomic.Int64
}

func newHealth(t *testing.T) *health {
	h := &health{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h.asked.Add(1)
		if h.ill.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(h.Close)
	return h
}

// guardDecided says that a report has a decision.
func (r *rig) guardDecided(rep cutover.Report, name, decided string) {
	r.t.Helper()
	if !slices.ContainsFunc(rep.Guards, func(g cutover.Guard) bool {
		return g.Guard == name && g.Decided == decided && g.Value != "" && !g.At.IsZero()
	}) {
		r.t.Errorf("the report of attempt %d has no decision %s of the guard %s: %+v", rep.Attempt, decided, name, rep.Guards)
	}
}

func guardStands(name, decided string) func(control.Status) bool {
	return func(s control.Status) bool {
		return slices.ContainsFunc(s.Guards, func(g control.GuardStatus) bool { return g.Guard == name && g.Decided == decided && g.Stands })
	}
}

func soakIsVerified(s control.Status) bool {
	return s.State == "completed" && s.Reverse != nil && s.Reverse.State == "applying" && s.Reverse.LastCleanAt != nil && s.Reverse.LagSeconds != nil && *s.Reverse.LagSeconds == 0
}

// An application that fails at the target is moved back by the guard of its error rate, while it writes, and loses nothing that was acknowledged.
func TestAnErrorRateInTheSoakMovesTheWritesBackAndLosesNone(t *testing.T) {
	source, target := endOnMySQL(t, testdb.MySQL(t)), endOnPostgres(t, testdb.Postgres(t, 18))
	app := newHealth(t)
	seedTraffic(t, source, 200)
	r := newPair(t, source, target, fmt.Sprintf("%q", source.tables), `cutover:
  reverse: true
  max_pause: 20s
  guards: [{when: "error_rate > 1%", do: rollback, probe: {http: "`+app.URL+`/health?token=hunter2"}}, {when: "differences > 0", do: hold}]`)
	there := source.user()
	w := startTraffic(t, source, source.open(there), 2, 4*time.Millisecond)
	r.start()
	r.waitReady()
	r.until("the target is watched", time.Minute, func(s control.Status) bool { return s.Reverse != nil && s.Reverse.State == "watching" })
	user := target.user()
	r.must("cutover")
	acked := w.stop()
	back := startTraffic(t, target, target.open(user), 2, 4*time.Millisecond)
	back.next.Store(w.next.Load())
	app.ill.Store(true)
	s := r.until("rolled back", time.Minute, func(s control.Status) bool { return s.State == "rolled_back" && phaseOf(s) == "ready" })
	maps.Copy(acked, back.stop())
	if len(acked) < 20 {
		t.Errorf("only %d writes: this test is about an application that writes", len(acked))
	}
	sameRows(t, source, target)
	holds(t, source, acked)

	rep := r.report()
	if rep.Verdict != "rolled_back" || rep.Direction != "reverse" {
		t.Errorf("verdict %s, direction %s", rep.Verdict, rep.Direction)
	}
	r.guardDecided(rep, "error_rate > 1%", "rollback")
	says(t, "the report", r.must("report"), "error_rate > 1%", "rollback")
	says(t, "the report as a page", r.must("report", "--format", "html"), "error_rate &gt; 1%", "rollback")
	var first cutover.Report
	if err := json.Unmarshal([]byte(r.must("report", "--json", "--attempt", fmt.Sprint(rep.Attempt-1))), &first); err != nil {
		t.Fatal(err)
	}
	r.guardDecided(first, "error_rate > 1%", "rollback")

	// The application is ill at the source too: that is no reason to move, and a reason not to.
	s = r.until("a no-go", time.Minute, guardStands("error_rate > 1%", "no_go"))
	exit, out, errs := r.crossfade("cutover", "--dry-run")
	if exit != 3 || !strings.Contains(out+errs, "error_rate > 1%") || !strings.Contains(out+errs, "500") || s.State != "rolled_back" {
		t.Errorf("exit %d\n%s%s", exit, out, errs)
	}
	says(t, "status", r.must("status"), "guard     error_rate > 1%: no_go at ")
	if strings.Contains(r.logs()+out+errs, "hunter2") {
		t.Error("the URL of the probe is told with its secret")
	}
}

// A difference in the soak holds until resume, also over a restart: no rollback, none by another guard either, and no end of the soak.
func TestADifferenceInTheSoakHoldsUntilResume(t *testing.T) {
	source, target := endOnMySQL(t, testdb.MySQL(t)), endOnPostgres(t, testdb.Postgres(t, 18))
	app := newHealth(t)
	seedTraffic(t, source, 100)
	r := newPair(t, source, target, fmt.Sprintf("%q", source.tables), `cutover:
  reverse: true
  max_pause: 20s
  guards: [{when: "differences > 0", do: hold}, {when: "error_rate > 1%", do: rollback, probe: {http: "`+app.URL+`"}}]`)
	r.start()
	r.waitReady()
	r.until("the target is watched", time.Minute, func(s control.Status) bool { return s.Reverse != nil && s.Reverse.State == "watching" })
	r.must("cutover")
	r.until("soaking", time.Minute, soakIsVerified)
	execOn(t, source, "UPDATE account SET owner = 'a stranger' WHERE id = 7") // our own user passes the gate
	r.until("held", time.Minute, guardStands("differences > 0", "hold"))
	refused := func(verb string) {
		t.Helper()
		if exit, out, errs := r.crossfade(verb); exit != 3 || !strings.Contains(out+errs, "the guard differences > 0 holds since") {
			t.Errorf("%s while a guard holds: exit %d\n%s%s", verb, exit, out, errs)
		}
	}
	refused("rollback")
	refused("finalize")
	says(t, "status", r.must("status"), "guard     differences > 0: hold at 1, ", "`crossfade resume` ends it")

	// Neither the end of the difference nor a restart ends it.
	execOn(t, source, "UPDATE account SET owner = 'owner 7' WHERE id = 7")
	r.must("verify")
	r.until("equal again", time.Minute, func(s control.Status) bool { return s.Reverse.Differences == 0 && s.Reverse.LastCleanAt != nil })
	r.kill()
	r.start()
	app.ill.Store(true)
	r.until("no rollback by the other guard", time.Minute, func(s control.Status) bool {
		return s.State == "completed" && guardStands("differences > 0", "hold")(s) && slices.ContainsFunc(s.Guards, func(g control.GuardStatus) bool {
			return strings.HasPrefix(g.Decided, "no rollback: the guard differences > 0 holds")
		})
	})
	app.ill.Store(false)
	refused("rollback")
	refused("finalize")
	r.must("resume")
	if s := r.status(); guardStands("differences > 0", "hold")(s) {
		t.Errorf("held after resume: %+v", s.Guards)
	}
	r.guardDecided(r.report(), "differences > 0", "hold")

	// The next one holds again; and resume is the word of whoever knows of it.
	execOn(t, source, "UPDATE account SET owner = 'a stranger' WHERE id = 9")
	r.until("held again", time.Minute, guardStands("differences > 0", "hold"))
	refused("finalize")
	r.must("resume")
	r.must("finalize")
}

// A guard that pauses makes a cutover a no-go by its name, holds nothing that is applied, and clears by itself.
func TestALagGuardIsANoGoAndClearsByItself(t *testing.T) {
	r, w := attemptRig(t, "  max_lag: 10m\n  max_pause: 5s\n  guards: [{when: \"lag > 2s\", for: 500ms, do: pause}]\n")
	r.holdUp()
	s := r.until("paused", time.Minute, guardStands("lag > 2s", "pause"))
	if s.Paused {
		t.Error("the guard holds applying")
	}
	exit, out, errs := r.crossfade("cutover", "--json")
	var rep cutover.Report
	var reply struct{ Result *cutover.Report }
	reply.Result = &rep
	if json.Unmarshal([]byte(out), &reply) == nil && rep.Verdict == "" {
		_ = json.Unmarshal([]byte(out), &rep)
	}
	if exit != 3 || rep.Verdict != "no_go" || !slices.ContainsFunc(rep.Reasons, func(f cutover.Finding) bool { return f.Code == "guard" && f.Object == "lag > 2s" }) {
		t.Errorf("exit %d, verdict %q, reasons %+v\n%s%s", exit, rep.Verdict, rep.Reasons, out, errs)
	}
	r.guardDecided(rep, "lag > 2s", "pause")
	r.letGo()
	r.until("cleared", time.Minute, func(s control.Status) bool { return !guardStands("lag > 2s", "pause")(s) })
	if _, out, errs := r.crossfade("cutover", "--dry-run"); strings.Contains(out+errs, "the guard") {
		t.Errorf("a no-go by a guard that has cleared\n%s%s", out, errs)
	}
	r.endsEqual(w)
}

// A guard that pauses while rows are copied holds the copy, and not the changes.
func TestAGuardThatPausesHoldsTheCopyAndNotTheChanges(t *testing.T) {
	app := newHealth(t)
	app.ill.Store(true)
	r := newRig(t, testdb.MySQL(t), testdb.Postgres(t, 15), "snapshot: {parallel: 1, chunk_rows: 1}\ncutover: {guards: [{when: \"error_rate > 90%\", do: pause, probe: {http: \""+app.URL+"\"}}]}")
	r.my.Exec(t, "CREATE TABLE big (id INT PRIMARY KEY, v INT NOT NULL)")
	r.my.Exec(t, "SET SESSION cte_max_recursion_depth = 100000; INSERT INTO big WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT i, i FROM n")
	r.start()
	r.until("paused", time.Minute, func(s control.Status) bool {
		return phaseOf(s) == "snapshot" && guardStands("error_rate > 90%", "pause")(s)
	})
	probed := app.asked.Load()
	var at, later int64
	r.until("the copy stands", time.Minute, func(s control.Status) bool { // what was read before the pause arrives
		at = s.Snapshot.RowsDone
		return s.Stream.Applied == s.Stream.Last && app.asked.Load() > probed+1
	})
	r.my.Exec(t, "INSERT INTO big VALUES (-1, 1)")
	r.until("a change goes on", time.Minute, func(control.Status) bool {
		var n int
		r.pg.Get(t, "SELECT count(*)::int FROM big WHERE id = -1", &n)
		return n == 1
	})
	probed = app.asked.Load()
	r.until("three seconds on", time.Minute, func(s control.Status) bool {
		later = s.Snapshot.RowsDone
		return app.asked.Load() > probed+2
	})
	if later > at+1 {
		t.Errorf("%d rows were copied during the pause", later-at)
	}
	app.ill.Store(false)
	r.until("copied", 2*time.Minute, func(s control.Status) bool { return s.Snapshot.RowsDone > later+100 })
	if guardStands("error_rate > 90%", "pause")(r.status()) {
		t.Error("the copy goes on under the pause")
	}
}

// A pause of a client that takes more than twice what was predicted is told while it lasts, and stands in the report of the cutover.
func TestAPauseOfTwiceTheEstimateWarns(t *testing.T) {
	r, w := attemptRig(t, "  max_lag: 10m\n  max_pause: 10m\n  timeout: 10m\n  guards: [{when: \"duration > 2x\", do: warn}]\n")
	r.pg.Exec(t, holdUp)
	warned := r.onAttempt("ARMED", func(ctx context.Context) error { // a go/no-go under it would predict a long pause
		if err := r.targetDo(ctx, "INSERT INTO wait VALUES (1)"); err != nil {
			return err
		}
		client := control.NewClient(r.socket())
		for ctx.Err() == nil {
			s, err := client.Status(ctx)
			if err != nil {
				return err
			}
			if slices.ContainsFunc(s.Guards, func(g control.GuardStatus) bool { return g.Guard == "duration > 2x" && g.Decided == "warn" }) {
				return r.targetDo(ctx, "DELETE FROM wait")
			}
			pause(20 * time.Millisecond)
		}
		return errors.Join(errors.New("no warning"), r.targetDo(context.Background(), "DELETE FROM wait"))
	})
	r.must("cutover")
	if err := <-warned; err != nil {
		t.Fatal(err)
	}
	r.guardDecided(r.report(), "duration > 2x", "warn")
	acked := w.stop()
	r.allEqual()
	r.noneLost(acked)
}

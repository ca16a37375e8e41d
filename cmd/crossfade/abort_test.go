package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/internal/control"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// slow makes every row of op that arrives take a while, so that draining takes long enough for something to happen meanwhile.
const slow = `CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.03); RETURN NEW; END $$;
CREATE TRIGGER slow BEFORE INSERT ON op FOR EACH ROW EXECUTE FUNCTION slow();
ALTER TABLE op ENABLE ALWAYS TRIGGER slow;`

// attemptRig is a migration that is ready, with an application writing.
func attemptRig(t *testing.T, cutover string) (*rig, *workload) {
	t.Helper()
	r := newRig(t, testdb.NewMySQL(t), testdb.NewPostgres(t, 15), "")
	r.seed(2000)
	app := r.my.User(t, "", "pw", "SELECT, INSERT, UPDATE, DELETE")
	r.configure(r.my.URL(), r.pg.URL(), "cutover:\n"+cutover+"  switch:\n"+r.switchStep())
	w := r.workloadAs(app, 4, 5*time.Millisecond)
	r.start()
	r.waitReady()
	return r, w
}

// onAttempt calls f as soon as the source's attempt is in the state.
func (r *rig) onAttempt(state string, f func(ctx context.Context) error) <-chan error {
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		for ctx.Err() == nil {
			var n int
			err := r.my.DB.QueryRowContext(ctx, "SELECT COUNT(*) FROM crossfade.attempt WHERE migration = ? AND state = ?", databaseName(r.name), state).Scan(&n)
			if err == nil && n > 0 {
				done <- f(ctx)
				return
			}
			pause(2 * time.Millisecond)
		}
		done <- fmt.Errorf("no attempt was ever %s", state)
	}()
	return done
}

// aborted says that an attempt ended with the source serving and the stream going on.
func (r *rig) aborted(w *workload, exit int, text string, reason string) {
	r.t.Helper()
	if exit != 5 || !strings.Contains(text, reason) {
		r.t.Fatalf("exit %d, want 5 for %q\n%s", exit, reason, text)
	}
	if r.active() != "source" {
		r.t.Errorf("traffic goes to %s", r.active())
	}
	before := w.count()
	end := time.Now().Add(20 * time.Second)
	for w.count() < before+20 {
		if time.Now().After(end) {
			r.t.Fatal("the source takes no writes after the abort")
		}
		pause(10 * time.Millisecond)
	}
	if rep := r.report(); rep.Verdict != "aborted" {
		r.t.Errorf("verdict %s", rep.Verdict)
	}
}

func (r *rig) endsEqual(w *workload) {
	r.t.Helper()
	acked := w.stop()
	r.caughtUp("op")
	r.allEqual()
	r.noneLost(acked)
}

func TestAnAttemptAbortsWhenASwitchStepCannotBeAsked(t *testing.T) {
	r, w := attemptRig(t, "")
	// The status command answers the go/no-go, and fails from then on.
	where := filepath.Join(r.dir, "where-is-app")
	script := fmt.Sprintf("#!/bin/sh\nn=$(cat %[1]s/asked 2>/dev/null || echo 0); n=$((n+1)); echo $n > %[1]s/asked\n[ $n -ge 2 ] && exit 1\ncat %[1]s/active\n", r.dir)
	if err := os.WriteFile(where, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	exit, out, errs := r.crossfade("cutover")
	r.aborted(w, exit, out+errs, "where")
	r.endsEqual(w)
}

func TestAnAttemptAbortsWhenTheTargetDiesWhileDraining(t *testing.T) {
	r, w := attemptRig(t, "  max_lag: 60s\n  max_pause: 30s\n")
	r.pg.Exec(t, slow)
	pause(2 * time.Second) // let changes pile up
	killed := r.onAttempt("FENCED", func(context.Context) error { return r.pg.Server.Kill() })
	exit, out, errs := r.crossfade("cutover")
	if err := <-killed; err != nil {
		t.Fatal(err)
	}
	if exit != 5 {
		t.Fatalf("exit %d\n%s%s", exit, out, errs)
	}
	before := w.count()
	end := time.Now().Add(20 * time.Second)
	for w.count() < before+20 {
		if time.Now().After(end) {
			t.Fatal("the source takes no writes while the target is dead")
		}
		pause(10 * time.Millisecond)
	}
	if err := r.pg.Server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.pg.Exec(t, "DROP TRIGGER slow ON op")
	r.endsEqual(w)
	if rep := r.report(); rep.Verdict != "aborted" {
		t.Errorf("verdict %s", rep.Verdict)
	}
}

func TestAnAttemptAbortsAtItsDeadline(t *testing.T) {
	r, w := attemptRig(t, "  max_lag: 60s\n  timeout: 1s\n  max_pause: 1s\n")
	r.pg.Exec(t, slow)
	exit, out, errs := 3, "", ""
	// While the predicted pause is above max_pause the attempt is refused; take the moment before.
	for range 20 {
		if exit, out, errs = r.crossfade("cutover"); exit != 3 {
			break
		}
	}
	r.aborted(w, exit, out+errs, "")
	r.pg.Exec(t, "DROP TRIGGER slow ON op")
	r.endsEqual(w)
}

func TestAnAttemptAbortsOnADifferencePlantedAfterTheGo(t *testing.T) {
	r, w := attemptRig(t, "  max_lag: 60s\n  max_pause: 30s\n")
	r.pg.Exec(t, slow)
	pause(2 * time.Second)
	planted := r.onAttempt("FENCED", func(ctx context.Context) error {
		conn, err := r.pg.Server.Connect(ctx, r.pg.Name)
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		_, err = conn.Exec(ctx, "SET session_replication_role = replica; UPDATE op SET amount = 99999 WHERE id IN (SELECT id FROM op ORDER BY id DESC LIMIT 20)")
		return err
	})
	exit, out, errs := r.crossfade("cutover")
	if err := <-planted; err != nil {
		t.Fatal(err)
	}
	r.aborted(w, exit, out+errs, "amount")
	r.pg.Exec(t, "DROP TRIGGER slow ON op")
	if exit, out, errs := r.crossfade("cutover"); exit != 3 || !strings.Contains(out+errs, "op") {
		t.Errorf("a known difference is no no-go: exit %d\n%s%s", exit, out, errs)
	}
	r.caughtUp("op")
	r.must("verify", "--repair")
	r.endsEqual(w)
}

func TestASwitchStepThatFailsAfterTheDecisionIsRolledForward(t *testing.T) {
	r, w := attemptRig(t, "")
	broken := filepath.Join(r.dir, "active.broken")
	if err := os.WriteFile(broken, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	exit, out, errs := r.crossfade("cutover")
	if exit != 1 || !strings.Contains(out+errs, "point-app") {
		t.Fatalf("exit %d, want 1 and the name of the step\n%s%s", exit, out, errs)
	}
	if s := r.status(); s.Error == nil || !strings.Contains(*s.Error, "point-app") {
		t.Errorf("status does not name the step: %+v", s)
	}
	if exit, _, _ := r.crossfade("rollback"); exit != 3 {
		t.Errorf("rollback after the decision: exit %d, want 3", exit)
	}
	r.kill() // and a restart goes on with it, too
	r.start()
	r.until("serving", time.Minute, func(s control.Status) bool { return s.State != "pending" })
	if err := os.Remove(broken); err != nil {
		t.Fatal(err)
	}
	r.must("cutover")
	if r.active() != "target" {
		t.Errorf("traffic goes to %s", r.active())
	}
	acked := w.stop()
	r.allEqual()
	r.noneLost(acked)
	if rep := r.report(); rep.Verdict != "completed" {
		t.Errorf("verdict %s", rep.Verdict)
	}
}

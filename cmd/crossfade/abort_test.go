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

// holdUp makes the applier wait at rows of op while table wait has a row, and spoils what it inserts while table spoil has one. So a test, and not the
// clock, says how long draining takes.
const holdUp = `CREATE TABLE wait (id int); CREATE TABLE spoil (id int);
CREATE FUNCTION hold_up() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
	WHILE EXISTS (SELECT 1 FROM public.wait) LOOP PERFORM pg_sleep(0.005); END LOOP;
	IF EXISTS (SELECT 1 FROM public.spoil) THEN NEW.amount := 99999; END IF;
	RETURN NEW;
END $$;
CREATE TRIGGER hold_up BEFORE INSERT ON op FOR EACH ROW EXECUTE FUNCTION hold_up();
ALTER TABLE op ENABLE ALWAYS TRIGGER hold_up;`

// holdUp holds up the applier, and returns when changes wait for it.
func (r *rig) holdUp() {
	r.t.Helper()
	r.pg.Exec(r.t, holdUp)
	r.pg.Exec(r.t, "INSERT INTO wait VALUES (1)")
	for end := time.Now().Add(30 * time.Second); ; pause(10 * time.Millisecond) {
		var there int
		if r.pg.Get(r.t, "SELECT count(*)::int FROM op", &there); r.rows("op") > there+20 {
			return
		}
		if time.Now().After(end) {
			r.t.Fatal("the applier is not held up")
		}
	}
}

// letGo ends holdUp.
func (r *rig) letGo() {
	r.t.Helper()
	r.pg.Exec(r.t, "DELETE FROM wait")
	r.pg.Exec(r.t, "DELETE FROM spoil")
}

// targetDo runs statements on the target, from any goroutine.
func (r *rig) targetDo(ctx context.Context, sql string) error {
	conn, err := r.pg.Server.Connect(ctx, r.pg.Name)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql)
	return err
}

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

// heldRig is one whose attempt stands still once it is let in, for cutoverHeldUp. Held up before that, the pause would be predicted too long.
func heldRig(t *testing.T, cutover string) (*rig, *workload) {
	t.Helper()
	t.Setenv("CROSSFADE_HOLDPOINT", "pause:before="+filepath.Join(t.TempDir(), "held"))
	return attemptRig(t, cutover)
}

// cutoverHeldUp tries a cutover in which nothing is applied any more from before the fence on.
func (r *rig) cutoverHeldUp() (exit int, stdout, stderr string) {
	r.t.Helper()
	_, file, _ := strings.Cut(os.Getenv("CROSSFADE_HOLDPOINT"), "=")
	done := make(chan struct{})
	go func() {
		defer close(done)
		exit, stdout, stderr = r.crossfade("cutover")
	}()
	for there := false; !there; pause(5 * time.Millisecond) {
		select {
		case <-done:
			r.t.Fatalf("it was not let in: exit %d\n%s%s", exit, stdout, stderr)
		default:
		}
		_, err := os.Stat(file)
		there = err == nil
	}
	r.holdUp()
	if err := os.Remove(file); err != nil {
		r.t.Fatal(err)
	}
	<-done
	return exit, stdout, stderr
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

// sourceServes waits until the application writes to the source.
func (r *rig) sourceServes(w *workload, otherwise string) {
	r.t.Helper()
	end := time.Now().Add(20 * time.Second)
	for before := w.count(); w.count() < before+20; pause(10 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatal(otherwise)
		}
	}
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
	r.sourceServes(w, "the source takes no writes after the abort")
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
	r, w := heldRig(t, "  guards: [{when: \"differences > 0\", do: hold}]\n  max_lag: 60s\n  max_pause: 30s\n")
	killed := r.onAttempt("FENCED", func(context.Context) error { return r.pg.Server.Kill() })
	exit, out, errs := r.cutoverHeldUp()
	if err := <-killed; err != nil {
		t.Fatal(err)
	}
	if exit != 5 {
		t.Fatalf("exit %d\n%s%s", exit, out, errs)
	}
	r.sourceServes(w, "the source takes no writes while the target is dead")
	if err := r.pg.Server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.letGo()
	r.endsEqual(w)
	if rep := r.report(); rep.Verdict != "aborted" {
		t.Errorf("verdict %s", rep.Verdict)
	}
}

// TestThePauseEndsAlthoughDaemonAndTargetFailTogether: the next start of the daemon does not reach the target, and opens the source all the same.
func TestThePauseEndsAlthoughDaemonAndTargetFailTogether(t *testing.T) {
	r, w := heldRig(t, "  guards: [{when: \"differences > 0\", do: hold}]\n  max_lag: 60s\n  max_pause: 30s\n")
	killed := r.onAttempt("FENCED", func(context.Context) error {
		r.kill()
		return r.pg.Server.Kill()
	})
	r.cutoverHeldUp()
	if err := <-killed; err != nil {
		t.Fatal(err)
	}
	if exit, out, errs := r.crossfade("run"); exit != 1 || !strings.Contains(errs, "connect to PostgreSQL") {
		t.Fatalf("run without the target: exit %d\n%s%s", exit, out, errs)
	}
	r.sourceServes(w, "the source takes no writes while the target is dead")
	if err := r.pg.Server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.letGo()
	r.start()
	if err := <-r.onAttempt("ABORTED", func(context.Context) error { return nil }); err != nil {
		t.Fatal(err)
	}
	r.endsEqual(w)
	if rep := r.report(); rep.Verdict != "aborted" {
		t.Errorf("verdict %s", rep.Verdict)
	}
}

func TestAnAttemptAbortsAtItsDeadline(t *testing.T) {
	r, w := heldRig(t, "  guards: [{when: \"differences > 0\", do: hold}]\n  max_lag: 60s\n  timeout: 8s\n  max_pause: 8s\n")
	// A reader keeps the triggers from being dropped: the abort opens the source at once all the same, and comes to its end when he has gone.
	reader, err := r.my.DB.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	reading := r.onAttempt("FENCED", func(ctx context.Context) error {
		_, err := reader.ExecContext(ctx, "START TRANSACTION")
		if err == nil {
			err = reader.QueryRowContext(ctx, "SELECT COUNT(*) FROM tag").Scan(new(int))
		}
		return err
	})
	exit, out, errs := r.cutoverHeldUp()
	if err := <-reading; err != nil {
		t.Fatal(err)
	}
	r.aborted(w, exit, out+errs, "deadline")
	triggers := func() (n int) {
		if err := r.my.DB.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = ?", r.my.Name).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if triggers() == 0 {
		t.Error("the triggers were dropped under a reader: this test is about what is left of an abort")
	}
	if _, err := reader.ExecContext(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); triggers() > 0; pause(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the abort does not come to its end by itself")
		}
	}
	r.letGo()
	r.endsEqual(w)
}

func TestAnAttemptAbortsOnADifferenceThatArisesAfterTheGo(t *testing.T) {
	r, w := heldRig(t, "  guards: [{when: \"differences > 0\", do: hold}]\n  max_lag: 60s\n  max_pause: 30s\n")
	planted := r.onAttempt("FENCED", func(ctx context.Context) error {
		return r.targetDo(ctx, "INSERT INTO spoil VALUES (1); DELETE FROM wait")
	})
	exit, out, errs := r.cutoverHeldUp()
	if err := <-planted; err != nil {
		t.Fatal(err)
	}
	r.aborted(w, exit, out+errs, "amount")
	r.guardDecided(r.report(), "differences > 0", "abort")
	r.letGo()
	if exit, out, errs := r.crossfade("cutover"); exit != 3 || !strings.Contains(out+errs, "op") {
		t.Errorf("a known difference is no no-go: exit %d\n%s%s", exit, out, errs)
	}
	r.must("verify", "--repair")
	r.endsEqual(w)
}

func TestARowWrittenPastTheGateIsANoGoUntilItIsRepaired(t *testing.T) {
	r, w := attemptRig(t, "")
	// Keys that no change ever touches: neither the stream nor the ledger knows of them.
	if err := r.targetDo(t.Context(), "SET session_replication_role = replica; INSERT INTO tag VALUES ('planted', 'x'); DELETE FROM line WHERE order_id = 500"); err != nil {
		t.Fatal(err)
	}
	exit, out, errs := r.crossfade("cutover")
	for _, table := range []string{".tag", ".line"} {
		if exit != 3 || !strings.Contains(out+errs, table+" and should have") {
			t.Errorf("exit %d, want 3 and what is wrong with %s\n%s%s", exit, table, out, errs)
		}
	}
	if exit, out, errs := r.crossfade("verify"); exit != 4 || !strings.Contains(out+errs, "code=planted") {
		t.Errorf("verify: exit %d\n%s%s", exit, out, errs)
	}
	r.must("verify", "--repair")
	r.must("cutover")
	acked := w.stop()
	r.allEqual()
	r.noneLost(acked)
	r.reportCounts()
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
	token := func() (n int64) {
		r.pg.Get(t, "SELECT min(token) FROM crossfade.ledger", &n)
		return n
	}
	before := token()
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
	if now := token(); now != before {
		t.Errorf("an applier was started on the open target: its token %d became %d", before, now)
	}
	acked := w.stop()
	r.allEqual()
	r.noneLost(acked)
	if rep := r.report(); rep.Verdict != "completed" {
		t.Errorf("verdict %s", rep.Verdict)
	}
}

package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/internal/control"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// dryRun asks for the go/no-go, and gives the reason of a code among its reasons.
func (r *rig) dryRun(code string) (exit int, g cutover.GoNoGo, reason string) {
	r.t.Helper()
	exit, out, errs := r.crossfade("cutover", "--dry-run", "--json")
	if err := json.Unmarshal([]byte(out), &g); err != nil {
		r.t.Fatalf("%v: %s%s", err, out, errs)
	}
	if i := slices.IndexFunc(g.Reasons, func(f cutover.Finding) bool { return f.Code == code }); i >= 0 {
		reason = g.Reasons[i].Reason
	}
	return exit, g, reason
}

// TestThePredictedPauseIsThatOfMeasuredRounds: a lane that waits for a lock on the target, and nothing else, makes the pause too long; the cutover is refused with
// the part that grew, although the lag is allowed. Without the lock it is let in, and the report holds the error of its prediction.
func TestThePredictedPauseIsThatOfMeasuredRounds(t *testing.T) {
	r := smallRig(t, testdb.MySQL(t), "")
	r.configure(r.my.URL(), r.pg.URL(), "cutover:\n  max_lag: 1h\n  max_pause: 5s\n  timeout: 1m\n  switch:\n"+r.switchStep())
	r.start()
	r.waitReady()
	limit := int64(5000)
	exit, free, reason := r.dryRun("pause")
	if exit != 0 || reason != "" || free.Predicted.Rounds == 0 || free.Predicted.Drain <= 0 || free.PredictedPauseMS > limit || free.PredictedClientPauseMS < free.PredictedPauseMS {
		t.Fatalf("a quiet migration: exit %d, %+v", exit, free)
	}

	conn := r.pg.Connect(t)
	defer conn.Close(t.Context())
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "SELECT FROM users WHERE id = 1 FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	r.my.Exec(t, "UPDATE users SET name = 'eve' WHERE id = 1")
	r.until("the lane waits for the lock", time.Minute, func(s control.Status) bool { return s.Stream.Last > s.Stream.Applied })
	exit, stuck, reason := r.dryRun("pause")
	if exit != 3 || !strings.Contains(reason, "cutover.max_pause is 5000 ms") || stuck.PredictedPauseMS <= limit || stuck.Predicted.Drain < limit/2 {
		t.Errorf("with a lane that is stuck: exit %d, %+v", exit, stuck)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}

	for end := time.Now().Add(3 * time.Minute); ; {
		if exit, out, errs := r.crossfade("cutover"); exit == 0 {
			break
		} else if exit != 3 || time.Now().After(end) {
			t.Fatalf("the lock is gone, cutover: exit %d\n%s%s", exit, out, errs)
		}
	}
	rep := r.report()
	t.Logf("first predicted: %+v; then %d and %d ms; was %d and %d ms", free.Predicted, rep.PredictedPauseMS, rep.PredictedClientPauseMS, rep.WritePauseMS, rep.ClientPauseMS)
	e := rep.PredictionError
	if e == nil || e.WriteMS != rep.WritePauseMS-rep.PredictedPauseMS || e.ClientMS != rep.ClientPauseMS-rep.PredictedClientPauseMS || rep.PredictedPauseMS == 0 || rep.PredictedClientPauseMS == 0 {
		t.Errorf("the report's pauses: %+v, error %+v", rep.Pauses, e)
	}
}

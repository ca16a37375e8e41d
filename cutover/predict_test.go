package cutover_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// TestAPauseThatIsPredictedTooLongIsANoGo: the drain that the stream has measured is a part of the pause; one that nobody has measured is no pause of nothing.
func TestAPauseThatIsPredictedTooLongIsANoGo(t *testing.T) {
	r := newRig(t, testdb.MySQL(t), testdb.Postgres(t, 15))
	refused := func(want string) {
		t.Helper()
		rep, err := r.machine(nil).Cutover(t.Context())
		var no *cutover.NoGo
		if !errors.As(err, &no) || len(no.Reasons) != 1 || no.Reasons[0].Code != "pause" || !strings.Contains(no.Reasons[0].Reason, want) {
			t.Errorf("%v, want a no-go that says %q", err, want)
		}
		if rep.Verdict != cutover.VerdictNoGo || rep.PredictedClientPauseMS < rep.PredictedPauseMS || rep.PredictionError != nil {
			t.Errorf("the report: %+v", rep)
		}
		r.onSource(want)
	}
	r.drains = r.cfg.MaxPause + time.Second
	refused("drain 61000")
	r.drains, r.unmeasured = 0, true
	refused("cannot be predicted")
	r.unmeasured = false
	rep, err := r.machine(nil).Cutover(t.Context())
	if err != nil || rep.PredictionError == nil || rep.PredictedPauseMS == 0 {
		t.Fatalf("%+v, %v", rep, err)
	}
	if again, err := r.machine(nil).Report(t.Context(), 0); err != nil || again.PredictionError == nil || *again.PredictionError != *rep.PredictionError || again.PredictedClientPauseMS != rep.PredictedClientPauseMS {
		t.Errorf("read again: %+v, %v", again.Pauses, err)
	}
}

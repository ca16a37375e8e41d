package cutover_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/cutover/protocol"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// waiter is a context that tells when somebody waits for its end.
type waiter struct {
	context.Context
	once  sync.Once
	waits chan struct{}
}

func (w *waiter) Done() <-chan struct{} {
	w.once.Do(func() { close(w.waits) })
	return w.Context.Done()
}

func TestRollbackBeforeTheDecisionAbortsAndAfterItIsRefused(t *testing.T) {
	r := newRig(t, testdb.MySQL(t), testdb.Postgres(t, 15))
	if err := r.machine(nil).Abort(t.Context()); !errors.Is(err, cutover.ErrNothing) {
		t.Errorf("abort of nothing: %v", err)
	}
	for _, at := range []string{"claim:before", "install:before", "hold:after", "fence:before", "fence:after", "prove:before", "drain:before", "sequences:before", "verify:after", "revoke:before", "begin:before",
		"begin:after", "open:before", "open:after", "route:before", "switch:app:after"} {
		asked := make(chan error, 1)
		var m *cutover.Machine
		m = r.machine(func(name string) error {
			if name == at {
				w := &waiter{Context: t.Context(), waits: make(chan struct{})}
				go func() { asked <- m.Abort(w) }()
				<-w.waits // it has said so, and waits for its turn
			}
			return nil
		})
		_, err := m.Cutover(t.Context())
		abortErr := <-asked
		if state, _ := r.state(); state == "DECIDED" {
			if err != nil || !errors.Is(abortErr, cutover.ErrDecided) {
				t.Errorf("rollback at %s: cutover %v, rollback %v", at, err, abortErr)
			}
			if !strings.HasPrefix(at, "begin:") && !slices.Contains([]string{"open:before", "open:after", "route:before", "switch:app:after"}, at) {
				t.Errorf("rollback at %s was not heard", at)
			}
			r.moved(at)
		} else {
			a, ok := aborted(err)
			if !ok || abortErr != nil || !strings.Contains(a.Reason, "the operator asked for it") {
				t.Errorf("rollback at %s: cutover %v, rollback %v", at, err, abortErr)
			}
			r.onSource(at)
		}
		r.reset()
	}
}

func TestAStepThatFailsAfterTheDecisionIsNamedAndRunAgainOnlyOnDemand(t *testing.T) {
	r := newRig(t, testdb.MySQL(t), testdb.Postgres(t, 15))
	failed := func(what string, err error, unknown bool, runs int32) {
		t.Helper()
		var f *cutover.StepFailed
		if !errors.As(err, &f) || f.Unknown != unknown || !strings.Contains(f.Error(), "app") || r.runs.Load() != runs {
			t.Errorf("%s: %v after %d runs, want unknown %v after %d", what, err, r.runs.Load(), unknown, runs)
		}
		if s, d := r.sides(); s || !d {
			t.Errorf("%s: source open %v, target open %v", what, s, d)
		}
	}
	cut := func() error { _, err := r.machine(nil).Cutover(t.Context()); return err }
	set := func(run, ask error) {
		r.mu.Lock()
		r.runErr, r.askErr = run, ask
		r.mu.Unlock()
	}
	broken := func(name string) error {
		if name == "open:before" {
			set(errors.New("connection refused"), nil)
		}
		return nil
	}
	_, err := r.machine(broken).Cutover(t.Context())
	failed("it fails", err, false, 1)
	failed("a restart does not run it", r.machine(nil).Recover(t.Context()), false, 1)
	failed("on demand it is run", cut(), false, 2)
	set(nil, nil)
	if err := cut(); err != nil || r.runs.Load() != 3 {
		t.Errorf("mended: %v, %d runs", err, r.runs.Load())
	}
	r.reset()

	unknown := func(name string) error {
		if name == "open:before" {
			set(fmt.Errorf("timeout: %w", cutover.ErrUnknownOutcome), nil)
		}
		return nil
	}
	_, err = r.machine(unknown).Cutover(t.Context())
	failed("its outcome is unknown", err, true, 1)
	set(nil, nil)
	failed("not even on demand", cut(), true, 1)
	failed("nor after a restart", r.machine(nil).Recover(t.Context()), true, 1)
	set(nil, cutover.ErrNoStatus)
	failed("nor when it cannot be asked", cut(), true, 1)
	set(nil, nil)
	if err := r.machine(nil).Settle(t.Context(), "app", "maybe"); err == nil {
		t.Error("settled as maybe")
	}
	if err := r.machine(nil).Settle(t.Context(), "other", "done"); !errors.Is(err, cutover.ErrNothing) {
		t.Errorf("another step: %v", err)
	}
	if err := r.machine(nil).Settle(t.Context(), "app", "done"); err != nil {
		t.Fatal(err)
	}
	if err := cut(); err != nil || r.runs.Load() != 1 {
		t.Errorf("settled as done: %v, %d runs", err, r.runs.Load())
	}
	r.reset()

	// It moved traffic before it was lost: its status settles that.
	_, err = r.machine(unknown).Cutover(t.Context())
	failed("unknown once more", err, true, 1)
	r.active.Store(protocol.Target)
	if err := r.machine(nil).Recover(t.Context()); err != nil {
		t.Error(err)
	}
	r.moved("found moved")
}

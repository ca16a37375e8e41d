package cutover

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/crossfade-io/crossfade/cutover/protocol"
)

// Finalize ends the soak: the side that serves, which this machine would leave, is never left again. Again it changes nothing. The other side need not answer.
func (m *Machine) Finalize(ctx context.Context) error {
	if !m.turn(ctx) {
		return finalizeRefused(problem("busy", m.cfg.Migration, "a "+m.name()+" is running", "wait for it to end"))
	}
	defer func() { <-m.busy }()
	r := m.newRun(ctx)
	defer r.close()
	at, err := r.look(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("finalize: %w", err)
	case r.state == protocol.Finalized:
		return nil
	case at != protocol.Rest:
		return finalizeRefused(problem("attempt", m.cfg.Migration, fmt.Sprintf("%s %d is %s", m.name(), r.epoch, r.state), "wait until it is settled"))
	case r.left:
		return finalizeRefused(problem("gate", string(m.from), fmt.Sprintf("the %s does not serve", m.from), "nothing to do: the soak begins with a cutover"))
	}
	own, err := m.leaving.Read(ctx)
	if err != nil {
		return fmt.Errorf("finalize: read the %s: %w", m.from, err)
	}
	r.epoch = 1 + max(own.Gate.Epoch, own.Attempt.Epoch)
	err = r.drive(protocol.Finalize)
	switch {
	case r.state == protocol.Finalized:
		return nil
	case errors.Is(err, ErrCrash):
		return err
	default:
		return fmt.Errorf("finalize: %w", errors.Join(r.cause, r.stopped, err))
	}
}

func finalizeRefused(f Finding) error {
	return fmt.Errorf("finalize: %w", &NoGo{Reasons: []Finding{f}})
}

// Finalized reports whether the side that this machine would leave is never left again.
func (m *Machine) Finalized(ctx context.Context) (bool, error) {
	v, err := m.leaving.Read(ctx)
	return v.Attempt.State == protocol.Finalized, err
}

type finalizedEvidence struct {
	SoakedSeconds int64 `json:"soaked_seconds"`
}

// NoteFinal writes the end of the soak into the journal of the newest attempt, which began it. Again it changes nothing.
func (m *Machine) NoteFinal(ctx context.Context) error {
	entries, err := m.entering.Journal(ctx, 0)
	if err != nil {
		return fmt.Errorf("read the journal of the %s: %w", m.to, err)
	}
	routed, found := lastRun(entries, string(protocol.Routed))
	if !found {
		return nil
	}
	now := time.Now()
	e := Entry{Epoch: routed.Epoch, Step: string(protocol.StepFinal), Run: 1, Instance: m.instance, IntentAt: now, DoneAt: now, Outcome: OutcomeDone,
		Evidence: evidence(finalizedEvidence{int64(now.Sub(routed.DoneAt).Seconds())})}
	ok, err := m.entering.Record(ctx, routed.Epoch, []Entry{e})
	if err == nil && !ok {
		err = fmt.Errorf("it is not open under %s %d", m.name(), routed.Epoch)
	}
	if err != nil {
		return fmt.Errorf("write the journal of the %s: %w", m.to, err)
	}
	return nil
}

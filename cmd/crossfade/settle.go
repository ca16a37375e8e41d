package main

import (
	"context"
	"errors"
	"time"

	"github.com/crossfade-io/crossfade/cutover"
)

// goOnAborting has runCutover do what is left of an abort.
func (m *migration) goOnAborting(err error) {
	var aborted *cutover.Aborted
	if errors.As(err, &aborted) && !aborted.Settled {
		m.unsettled.fire()
	}
}

// runCutover settles what an earlier start left of an attempt: aborts it, or carries it forward. And later, what an attempt of this start left of
// its abort.
func (m *migration) runCutover(ctx context.Context) error {
	for {
		generation := m.unsettled.now()
		if err := m.settleCutover(ctx); err != nil {
			return err
		}
		if err := m.unsettled.after(ctx, generation); err != nil {
			return nil
		}
	}
}

func (m *migration) settleCutover(ctx context.Context) error {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		done, err := m.settleOnce(ctx)
		if done || ctx.Err() != nil {
			return err
		}
		m.log.Warn("settle an earlier cutover attempt, trying again", "err", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// settleOnce settles what was left, while no verb moves anything: what belongs to whom is not said in the middle of an attempt.
func (m *migration) settleOnce(ctx context.Context) (done bool, err error) {
	m.cutovers.Lock()
	defer m.cutovers.Unlock()
	if ctx.Err() != nil {
		return true, nil
	}
	err = errors.Join(m.machine.Recover(ctx), m.machineBack.Recover(ctx))
	if ctx.Err() != nil {
		return true, nil
	}
	var failed *cutover.StepFailed
	if err != nil && !errors.As(err, &failed) {
		return false, err
	}
	err = m.conclude(ctx, err)
	return err == nil, err
}

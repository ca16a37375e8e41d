package cutover

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/crossfade-io/crossfade/cutover/protocol"
)

// Pooler is a switch step that holds clients back from before the fence until it has moved them: they wait where others meet errors.
type Pooler interface {
	Switch
	// Pause returns once no client is in a transaction and none can begin one. When it fails, or ctx ends first, clients go on.
	Pause(ctx context.Context) error
	// Resume lets clients go on and reads back that they can; where nothing is paused it changes nothing.
	Resume(ctx context.Context) error
	// Standing says where clients go, and whether they are held back.
	Standing(ctx context.Context) (at protocol.Side, paused bool, err error)
	// Repeatable: Run does twice what it does once, so that a run of unknown outcome may be followed by another.
	Repeatable() bool
}

// repeatable: see [Pooler].
func repeatable(s Switch) bool {
	p, ok := s.(Pooler)
	return ok && p.Repeatable()
}

func (m *Machine) poolers() []Pooler {
	var out []Pooler
	for _, s := range m.cfg.Switch {
		if p, ok := s.(Pooler); ok {
			out = append(out, p)
		}
	}
	return out
}

// atOnce does the same with every pooler.
func atOnce(poolers []Pooler, f func(Pooler) error) error {
	var wg sync.WaitGroup
	errs := make([]error, len(poolers))
	for i, p := range poolers {
		wg.Go(func() {
			if err := f(p); err != nil {
				errs[i] = fmt.Errorf("switch step %s: %w", p.Name(), err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

type pausedEvidence struct {
	Poolers int   `json:"poolers"`
	TookMS  int64 `json:"took_ms,omitempty"`
}

// pause pauses all poolers or none. The intent is written first, so that whoever finds the attempt knows of it.
func (r *run) pause(ctx context.Context) error {
	r.begin(protocol.Paused)
	poolers := r.m.poolers()
	if len(poolers) == 0 {
		r.finish(protocol.Paused, OutcomeDone, pausedEvidence{})
		return nil
	}
	if err := r.flush(ctx); err != nil {
		return err
	}
	r.startClock()
	limit := min(r.m.cfg.MaxPause, r.remaining())
	bounded, cancel := context.WithTimeoutCause(r.work, limit, fmt.Errorf("poolers were not paused within %v", limit))
	defer cancel()
	err := atOnce(poolers, func(p Pooler) error { return p.Pause(bounded) })
	if e := r.edge("poolers:after"); e != nil {
		return errors.Join(e, err)
	}
	if err != nil {
		// Nothing is fenced: those that stand go on at once. The abort reads back that all do.
		return errors.Join(err, atOnce(poolers, func(p Pooler) error { return r.m.unpause(r.after, p, r.m.from) }))
	}
	r.finish(protocol.Paused, OutcomeDone, pausedEvidence{len(poolers), time.Since(r.first).Milliseconds()})
	return nil
}

// unpause lets the clients of a pooler go on, if it leads to the side that is open. Paused before a closed side it stays: clients wait
// rather than meet errors, until the step is run.
func (m *Machine) unpause(ctx context.Context, p Pooler, open protocol.Side) error {
	at, paused, err := p.Standing(ctx)
	switch {
	case err != nil:
		return err
	case !paused:
		return nil
	case at != open:
		return fmt.Errorf("it is paused and leads to the %s, which is closed", at)
	}
	m.log.Info("cutover: a pooler that was paused goes on", "migration", m.cfg.Migration, "step", p.Name(), "leads to", string(at))
	return p.Resume(ctx)
}

// unpauseAll lets clients go on after an attempt that may have paused them. Without an intent to pause it was somebody else.
func (r *run) unpauseAll(ctx context.Context) error {
	poolers := r.m.poolers()
	if len(poolers) == 0 {
		return nil
	}
	if _, meant := lastRun(r.entries, string(protocol.Paused)); !meant {
		entries, err := r.m.leaving.Journal(ctx, r.epoch)
		if err != nil {
			return fmt.Errorf("read the journal of the %s: %w", r.m.from, err)
		}
		if _, meant = lastRun(entries, string(protocol.Paused)); !meant {
			return nil
		}
	}
	err := atOnce(poolers, func(p Pooler) error { return r.m.unpause(ctx, p, r.m.from) })
	if err == nil && !r.first.IsZero() {
		r.heldBack = time.Since(r.first)
	}
	return err
}

// rest sees to it that at rest no pooler stands paused by an attempt: one that an instance sent PAUSE to while another ended its attempt.
func (m *Machine) rest(ctx context.Context) error {
	poolers := m.poolers()
	if len(poolers) == 0 {
		return nil
	}
	entries, err := m.leaving.Journal(ctx, 0)
	if err != nil {
		return fmt.Errorf("read the journal of the %s: %w", m.from, err)
	}
	if _, meant := lastRun(entries, string(protocol.Paused)); !meant {
		return nil
	}
	left, err := m.leaving.Read(ctx)
	if err != nil {
		return fmt.Errorf("read the %s: %w", m.from, err)
	}
	entered, err := m.entering.Read(ctx)
	if err != nil {
		return fmt.Errorf("read the %s: %w", m.to, err)
	}
	if left.Attempt.State.Live() || entered.Attempt.State.Live() || left.Gate.Open == entered.Gate.Open {
		return nil // an attempt moves both, in whichever direction
	}
	open := m.from
	if entered.Gate.Open {
		open = m.to
	}
	return atOnce(poolers, func(p Pooler) error { return m.unpause(ctx, p, open) })
}

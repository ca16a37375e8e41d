package main

import (
	"context"
	"errors"
	"sync"

	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/cutover/protocol"
)

// serving is the side that takes the application's writes: the source, from a decision on the target, from a rollback's on the source again.
type serving struct {
	mu      sync.Mutex
	target  bool
	back    bool // the source serves again
	final   bool // the target serves for ever
	changed counterGate
}

func (s *serving) set(target, back, final bool) {
	s.mu.Lock()
	same := s.target == target && s.final == final
	s.target, s.back, s.final = target, back, final
	s.mu.Unlock()
	if !same {
		s.changed.fire()
	}
}

func (s *serving) side() protocol.Side {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.target {
		return protocol.Target
	}
	return protocol.Source
}

// over reports whether the target serves.
func (m *migration) over() bool { return m.serving.side() == protocol.Target }

// rolledBack reports whether the source serves again after the target has.
func (m *migration) rolledBack() bool {
	m.serving.mu.Lock()
	defer m.serving.mu.Unlock()
	return m.serving.back
}

// finalized reports whether the soak has been ended.
func (m *migration) finalized() bool {
	m.serving.mu.Lock()
	defer m.serving.mu.Unlock()
	return m.serving.final
}

// active reports whether a flow leads from the side that serves.
func (m *migration) active(f *flow) bool { return m.serving.side() == f.way.fills.Other() }

// flows are the directions that run.
func (m *migration) flows() []*flow {
	if back := m.reverse.Load(); back != nil {
		return []*flow{&m.flow, back}
	}
	return []*flow{&m.flow}
}

// whileServes runs f as long as a side serves, and again when it serves again. An error with which f ends by itself is returned.
func (m *migration) whileServes(ctx context.Context, side protocol.Side, f func(context.Context) error) error {
	for {
		generation := m.serving.changed.now()
		if m.serving.side() == side {
			work, cancel := context.WithCancel(ctx)
			var watch sync.WaitGroup
			watch.Go(func() {
				if m.serving.changed.after(work, generation) == nil {
					cancel()
				}
			})
			err := f(work)
			byItself := work.Err() == nil
			cancel()
			watch.Wait()
			if byItself && err != nil {
				return err
			}
		}
		if err := m.serving.changed.after(ctx, generation); err != nil {
			return nil
		}
	}
}

// learnDecision reads which side the newest decision has opened, and whether it is the last.
func (m *migration) learnDecision(ctx context.Context) error {
	there, err := decidedAt(ctx, m.machine, cutover.VerdictCompleted)
	if err != nil {
		return err
	}
	back, err := decidedAt(ctx, m.machineBack, cutover.VerdictRolledBack)
	if err != nil {
		return err
	}
	final, err := m.machineBack.Finalized(ctx)
	if err != nil {
		return err
	}
	m.serving.set(there > back, back > there, final)
	return nil
}

// decidedAt is the newest attempt of a machine if it was decided; 0: it was not.
func decidedAt(ctx context.Context, machine *cutover.Machine, verdict string) (int64, error) {
	r, err := machine.Report(ctx, 0)
	if errors.Is(err, cutover.ErrNothing) || err == nil && r.Verdict != verdict {
		return 0, nil
	}
	return r.Attempt, err
}

package cutover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// guardStep is the step under which the journal keeps what guards decide: one run for each decision.
const guardStep = "guard"

// GiveUp aborts the attempt that runs, if its decision has not begun.
func (m *Machine) GiveUp(why error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cancel != nil {
		m.cancel(why)
	}
}

// Announce puts what a guard has decided into the report of the attempt that runs, or of the next one.
func (m *Machine) Announce(g Guard) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.guards = append(m.guards, g)
}

func (m *Machine) announced() []Guard {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := m.guards
	m.guards = nil
	return out
}

// noteGuards has the journal keep what guards have announced, with what is written to it next.
func (r *run) noteGuards() {
	for _, g := range r.m.announced() {
		last, _ := lastRun(r.entries, guardStep)
		r.note(r.m.guardEntry(r.epoch, last.Run+1, g))
	}
}

func (m *Machine) guardEntry(epoch int64, n int, g Guard) Entry {
	return Entry{Epoch: epoch, Step: guardStep, Run: n, Instance: m.instance, IntentAt: g.At, DoneAt: time.Now(), Outcome: OutcomeDone, Evidence: evidence(g)}
}

// NoteGuard writes what a guard has decided in the soak into the journal of the attempt that began it.
func (m *Machine) NoteGuard(ctx context.Context, g Guard) error {
	entries, err := m.entering.Journal(ctx, 0)
	if err != nil {
		return fmt.Errorf("note what a guard has decided: read the journal of the %s: %w", m.to, err)
	}
	if len(entries) == 0 {
		return fmt.Errorf("note what a guard has decided: the %s was never entered: %w", m.to, ErrNothing)
	}
	last, _ := lastRun(entries, guardStep)
	epoch := entries[0].Epoch
	ok, err := m.entering.Record(ctx, epoch, []Entry{m.guardEntry(epoch, last.Run+1, g)})
	if err == nil && !ok {
		err = errors.New("it is not open under this attempt")
	}
	if err != nil {
		return fmt.Errorf("note what a guard has decided: write the journal of the %s, %s %d: %w", m.to, m.name(), epoch, err)
	}
	return nil
}

// addGuard takes an entry of a guard into the report.
func (r *Report) addGuard(e Entry) error {
	var g Guard
	if err := json.Unmarshal(e.Evidence, &g); err != nil {
		return err
	}
	r.Guards = append(r.Guards, g)
	return nil
}

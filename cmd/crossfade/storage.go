package main

import (
	"context"
	"slices"
	"strings"
	"time"
)

// storageEvery is how often it is looked whether rows of the source were rewritten without a change in its log. A cutover looks once more.
const storageEvery = 10 * time.Second

func (m *migration) runStorage(ctx context.Context) error {
	tick := time.NewTicker(storageEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := m.lookAtStorage(ctx); err != nil && ctx.Err() == nil {
			m.log.Warn("look whether tables of the source were rewritten", "err", err)
		}
	}
}

// lookAtStorage makes tables unverified whose rows lie elsewhere than before: they have to be compared in full again (D20).
func (m *migration) lookAtStorage(ctx context.Context) error {
	now, err := m.source.Storage(ctx, m.tables)
	if err != nil || len(now) == 0 {
		return err
	}
	var known map[string]string
	there, err := m.fact(ctx, factStorage, &known)
	if err != nil {
		return err
	}
	var moved []string
	for table, at := range now {
		if there && known[table] != at {
			moved = append(moved, table)
		}
	}
	if there && len(moved) == 0 {
		return nil
	}
	if len(moved) > 0 {
		slices.Sort(moved)
		m.log.Warn("tables of the source were rewritten, or emptied; they are compared in full again", "tables", strings.Join(moved, ", "))
		if err := m.verifier.Doubt(ctx, moved); err != nil {
			return err
		}
	}
	return m.remember(ctx, factStorage, now) // last: whoever finds it finds the doubt
}

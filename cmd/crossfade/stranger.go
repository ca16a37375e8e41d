package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/crossfade-io/crossfade/capture"
	"github.com/crossfade-io/crossfade/internal/change"
)

// strangers are those who write to the target before it is the application's: the reverse stream, which skips what is ours, should find nothing there. A table that
// somebody has written to is compared in full again before a cutover is let in, and a write during an attempt ends it.
type strangers struct {
	mu     sync.Mutex
	writes int    // that were seen
	last   string // table and key of the last
	known  int    // writes when the cutover was let in
	// belongs: it is settled that the target is not the application's. Else an attempt may have been decided, or soon be: since are the tables written to in that time.
	belongs bool
	since   map[string]bool
}

// expect notes that a cutover may be let in.
func (s *strangers) expect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = s.writes
}

// secure says by a nil error that nobody has written since.
func (s *strangers) secure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writes > s.known {
		return fmt.Errorf("somebody else has written to the target since the cutover was let in, last to %s: find out who", s.last)
	}
	s.belongs = false
	return nil
}

func (s *strangers) hasSecured() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.belongs
}

// undecided says that no attempt is decided or lives, and returns the tables that were written to while that was not known.
func (s *strangers) undecided() (tables []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for t := range s.since {
		tables = append(tables, t)
	}
	s.belongs, s.since = true, nil
	s.writes += len(tables)
	return tables
}

// note reports whether a write is a stranger's.
func (s *strangers) note(table, key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.belongs {
		if s.since == nil {
			s.since = map[string]bool{}
		}
		s.since[table] = true
		return false
	}
	s.writes++
	s.last = table + " " + key
	return true
}

// strangerMapper maps what the reverse stream reads, and takes note of what should not be there.
type strangerMapper struct {
	m     *migration
	inner capture.Mapper
}

func (s strangerMapper) Map(src *change.Change) ([]change.Change, error) {
	if !s.m.over() {
		if err := s.m.stranger(src); err != nil {
			return nil, err
		}
	}
	return s.inner.Map(src)
}

// undecided has the tables compared again that somebody wrote to while an attempt lived that has come to nothing.
func (m *migration) undecided(ctx context.Context) error {
	if tables := m.strangers.undecided(); len(tables) > 0 {
		return m.verifier.Doubt(ctx, tables)
	}
	return nil
}

// stranger makes the table of a write that is not ours unverified, durably, before its frame is published: who reads the log again does not come upon it a second time.
func (m *migration) stranger(src *change.Change) error {
	for _, t := range m.plan.Tables() {
		if t.Target.Schema != src.Table.Schema || t.Target.Name != src.Table.Name {
			continue
		}
		name, key := t.Source.String(), ""
		if src.Op != change.Truncate {
			key = src.Table.KeyString(src.KeyRow())
		}
		if !m.strangers.note(name, key) {
			return nil
		}
		if s := m.verifier.State(); s.State != "full" && s.Tables[name].Unverified {
			return nil
		}
		m.log.Warn("somebody else writes to the target", "table", t.Target.String(), "key", key)
		return m.verifier.Doubt(context.Background(), []string{name})
	}
	return fmt.Errorf("a change of %s, which no table of the plan becomes", src.Table)
}

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
	known  int    // writes when the cutover was asked for
	// belongs: it is settled that the target is not the application's. Else an attempt may have been decided, or soon be: since are the tables written to in that time.
	belongs bool // ours, and only ours
	since   map[string]bool
}

// expect notes that somebody has asked for a cutover: whether what was written until now is mended is for the go/no-go to say.
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

// accept says that the end is the application's.
func (s *strangers) accept() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.belongs, s.since = false, nil
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
	f     *flow
	inner capture.Mapper
}

func (s strangerMapper) Map(src *change.Change) ([]change.Change, error) {
	if !s.m.active(s.f) {
		if err := s.m.stranger(s.f, src); err != nil {
			return nil, err
		}
	}
	return s.inner.Map(src)
}

// settled says that no attempt lives, and has the tables compared again that somebody wrote to while one lived that has come to nothing.
func (m *migration) settled(ctx context.Context) error {
	back := m.reverse.Load()
	if back == nil {
		return nil
	}
	idle, applied := back, &m.flow
	if m.over() {
		idle, applied = applied, back
	}
	applied.strangers.accept()
	if tables := idle.strangers.undecided(); len(tables) > 0 {
		return applied.verifier.Doubt(ctx, tables)
	}
	return nil
}

// stranger makes the table of a write that is not ours unverified, durably, before its frame is published: who reads the log again does not come upon it a second time.
// f has read it; the other direction fills that end, and compares it.
func (m *migration) stranger(f *flow, src *change.Change) error {
	name, key := m.comparedAs(f, src.Table), ""
	if name == "" {
		return nil // a table that is not filled
	}
	if src.Op != change.Truncate {
		key = src.Table.KeyString(src.KeyRow())
	}
	if !f.strangers.note(name, key) {
		return nil
	}
	other := m.opposite(f)
	if other == nil {
		return fmt.Errorf("somebody else has changed %s, and the reverse stream, which compares it, does not run yet", src.Table)
	}
	if s := other.verifier.State(); s.State != "full" && s.Tables[name].Unverified {
		return nil
	}
	m.log.Warn("somebody else writes", "to", f.way.fills.Other(), "table", src.Table.String(), "key", key)
	return other.verifier.Doubt(context.Background(), []string{name})
}

// opposite is the flow that goes the other way; nil until it runs.
func (m *migration) opposite(f *flow) *flow {
	if f == &m.flow {
		return m.reverse.Load()
	}
	return &m.flow
}

// comparedAs names a table that f reads as the other direction names it, which goes by where the rows of it come from; empty: it is none of that direction.
func (m *migration) comparedAs(f *flow, read *change.Table) string {
	for _, t := range m.plan.Tables() {
		switch {
		case f == &m.flow && t.Source.Schema == read.Schema && t.Source.Name == read.Name:
			return t.Target.String()
		case f != &m.flow && t.Target.Schema == read.Schema && t.Target.Name == read.Name:
			return t.Source.String()
		}
	}
	return ""
}

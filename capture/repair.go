package capture

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/crossfade-io/crossfade/internal/change"
)

// Repair reads rows of a copied table again. The table is not strict from the frame that names them until it has taken the steps to strictness
// again: the read may see changes that are published behind its rows. It returns the sequence of the strict frame.
//
// Cascades that come upon such a row may be wrong about its children. So the tables that they reach through it are not strict for that time either, and what they
// come upon is listed and read again.
//
// Once begun it goes on when ctx ends, as long as the publisher runs: nobody else would make the tables strict again. When it fails the publisher ends too, and
// the start that follows finds in the stream that they are not strict, and completes them.
func (s *Snapshot) Repair(ctx context.Context, source string, rows []Recopy, reached []string) (seq uint64, err error) {
	var tables []*tableCopy // source and reached
	for _, name := range append([]string{source}, reached...) {
		i := slices.IndexFunc(s.tables, func(c *tableCopy) bool { return c.table.String() == name })
		if i < 0 {
			return 0, fmt.Errorf("%s is no table of this migration", name)
		}
		if p := s.Progress()[name]; !p.Strict {
			return 0, fmt.Errorf("%s is still being copied; wait until it is strict", name)
		}
		tables = append(tables, s.tables[i])
	}
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	var watch sync.WaitGroup
	defer watch.Wait()
	defer cancel(nil)
	watch.Go(func() {
		select {
		case <-s.pub.ended:
			cancel(ErrEnded)
		case <-ctx.Done():
		}
	})
	for _, c := range tables {
		c.setStrict(false)
	}
	if seq, err = s.repair(ctx, tables, rows); err != nil {
		s.pub.Abandon(fmt.Errorf("repair %s: %w", source, err))
	}
	return seq, err
}

// repair reads rows of the first table again, while those that it may cascade into are not strict either.
func (s *Snapshot) repair(ctx context.Context, tables []*tableCopy, rows []Recopy) (seq uint64, err error) {
	for _, c := range tables[1:] {
		if err := s.loosen(ctx, c); err != nil {
			return 0, err
		}
	}
	if _, err := s.recopy(ctx, tables[0], rows); err != nil {
		return 0, err
	}
	for _, c := range tables {
		if seq, err = s.makeStrict(ctx, c); err != nil {
			return 0, err
		}
	}
	return seq, nil
}

func (c *tableCopy) setStrict(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.progress.Strict = on
}

// loosen says that a table is not strict, without naming rows that are read again.
func (s *Snapshot) loosen(ctx context.Context, c *tableCopy) error {
	return s.hold(ctx, func(string) error {
		_, err := s.pub.announce(ctx, change.ControlMessage{Type: change.Recopied, Table: c.table.String()})
		return err
	})
}

package capture

import (
	"context"
	"fmt"
	"sync"
)

// Repair reads rows of a copied table again. The table is not strict from the frame that names them until it has taken the steps to strictness
// again: the read may see changes that are published behind its rows. It returns the sequence of the strict frame.
//
// Once begun it goes on when ctx ends, as long as the publisher runs: nobody else would make the table strict again.
func (s *Snapshot) Repair(ctx context.Context, source string, rows []Recopy) (uint64, error) {
	for _, c := range s.tables {
		if c.table.String() != source {
			continue
		}
		if p := s.Progress()[source]; !p.Strict {
			return 0, fmt.Errorf("%s is still being copied; wait until it is strict", source)
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
		if _, err := s.recopy(ctx, c, rows); err != nil {
			return 0, err
		}
		return s.makeStrict(ctx, c)
	}
	return 0, fmt.Errorf("%s is no table of this migration", source)
}

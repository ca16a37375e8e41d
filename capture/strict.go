package capture

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/crossfade-io/crossfade/internal/change"
)

// makeStrict takes a copied table over the four steps to strictness.
//
//	(a) Read the source position P: every read of the snapshot saw a state at or before it.
//	(b) Wait until the ledgers have passed the last key change with absent columns and the last row read again, and until the re-copy list
//	    is empty; what is on it is read again, and (a) begins anew.
//	(c) Let the frame that reaches P pass.
//	(d) Between two source transactions, publish the strict frame: what follows is strict.
//
// Without (c) a change that a chunk already contains would follow the strict frame, and be an error there.
func (s *Snapshot) makeStrict(ctx context.Context, c *tableCopy) (seq uint64, err error) {
	name := c.table.String()
	var recopied uint64
	for {
		position, err := s.pub.source.Position(ctx)
		if err != nil {
			return 0, err
		}
		floor := max(s.pub.keyMoves.of(name), recopied)
		if err := s.waitApplied(ctx, name, floor); err != nil {
			return 0, err
		}
		list, err := s.ledger.Recopy(ctx, name)
		if err != nil {
			return 0, fmt.Errorf("read the list of rows to copy again: %w", err)
		}
		if len(list) > 0 {
			if recopied, err = s.recopy(ctx, c, list); err != nil {
				return 0, err
			}
			continue
		}
		if err := s.pub.WaitCovered(ctx, position); err != nil {
			return 0, err
		}
		m := change.ControlMessage{Type: change.Strict, Table: name}
		seq, ok, err := s.pub.AtBoundary(ctx, m, func() bool { return s.pub.keyMoves.of(name) <= floor })
		if err != nil {
			return 0, err
		}
		if ok {
			c.mu.Lock()
			c.progress.Strict = true
			c.mu.Unlock()
			return seq, nil
		}
	}
}

// recopy reads the listed rows again, as a chunk. The frame before the rows deletes them on the target, so that a row that is gone stays gone.
func (s *Snapshot) recopy(ctx context.Context, c *tableCopy, list []Recopy) (seq uint64, err error) {
	m := change.ControlMessage{Type: change.Recopied, Table: c.table.String()}
	keys := make([]change.Row, 0, len(list))
	for _, r := range list {
		keys = append(keys, r.Source)
		m.Keys = append(m.Keys, r.Target)
	}
	for {
		err := s.hold(ctx, func(proof string) error {
			var rows []change.Row // few: read before anything is published, so that a proof that fails leaves nothing behind
			err := s.pub.source.ReadKeys(ctx, proof, c.table, keys, func(row change.Row) error {
				rows = append(rows, row.Clone())
				return nil
			})
			if err != nil {
				return err
			}
			if seq, err = s.pub.announce(ctx, m); err != nil {
				return err
			}
			w := s.newWriter(c.table, true)
			for _, row := range rows {
				if err := w.add(ctx, row); err != nil {
					return err
				}
			}
			if err := w.flush(ctx); err != nil {
				return err
			}
			seq = max(seq, w.seq)
			return nil
		})
		if err == nil || !errors.Is(err, ErrNotVisible) {
			return seq, err
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return 0, err
		}
	}
}

func (s *Snapshot) waitApplied(ctx context.Context, table string, seq uint64) error {
	for {
		at, err := s.ledger.Applied(ctx, table)
		if err != nil {
			return err
		}
		if at >= seq {
			return nil
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

// WaitCovered waits until a frame that is at or past the position is published. An idle source is pushed there by a heartbeat.
func (p *Publisher) WaitCovered(ctx context.Context, position string) error {
	p.urgent.Add(1)
	defer p.urgent.Add(-1)
	for beat := time.Now().Add(200 * time.Millisecond); ; {
		covered, err := p.source.Covers(p.Published().Position, position)
		if err != nil {
			return err
		}
		if covered {
			return nil
		}
		if time.Now().After(beat) {
			if err := p.source.Heartbeat(ctx); err != nil {
				return fmt.Errorf("commit a heartbeat on the source: %w", err)
			}
			beat = time.Now().Add(2 * time.Second)
		}
		if err := sleep(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}

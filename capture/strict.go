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
// Of a table that cascades change the applier lists every row that they come upon, until it knows that no row is newer than the stream. So for such a table (c) comes before
// the list is looked at, and says so to the applier (the settled frame); from then on it lists only rows that were read again since. Else the list of a busy table would
// never be empty.
//
// Without (c) a change that a chunk already contains would follow the strict frame, and be an error there.
func (s *Snapshot) makeStrict(ctx context.Context, c *tableCopy) (seq uint64, err error) {
	name := c.table.String()
	recopied, err := s.finishRecopy(ctx, c)
	if err != nil {
		return 0, err
	}
	for {
		position, err := s.position(ctx)
		if err != nil {
			return 0, err
		}
		floor := max(s.pub.keyMoves.of(name), recopied)
		if err := s.waitApplied(ctx, name, floor); err != nil {
			return 0, err
		}
		if s.cfg.Settle != nil && s.cfg.Settle(name) {
			if err := s.settle(ctx, name, position); err != nil {
				return 0, err
			}
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
			c.setStrict(true)
			return seq, nil
		}
	}
}

// settle says that everything the reads of a table have seen is in the stream, and waits until that has been applied.
func (s *Snapshot) settle(ctx context.Context, name, position string) error {
	if err := s.pub.WaitCovered(ctx, position); err != nil {
		return err
	}
	var seq uint64
	err := s.hold(ctx, func(string) (err error) {
		seq, err = s.pub.announce(ctx, change.ControlMessage{Type: change.Settled, Table: name})
		return err
	})
	if err != nil {
		return err
	}
	return s.waitApplied(ctx, name, seq)
}

// position is P. A server that cannot say it yet is asked again.
func (s *Snapshot) position(ctx context.Context) (string, error) {
	for {
		p, err := s.pub.source.Position(ctx)
		if err == nil || !errors.Is(err, ErrNotVisible) {
			return p, err
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return "", err
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
	// PostgreSQL's log goes on without commits, and only a commit moves us: under the fence nobody else makes one.
	every := 20 * time.Millisecond
	for beat := time.Now().Add(every); ; {
		covered, err := p.source.Covers(p.Published().Position, position)
		if err != nil {
			return err
		}
		if covered {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("wait for a place in the source's log: %w", ErrEnded)
		default:
		}
		if time.Now().After(beat) {
			if err := p.source.Heartbeat(ctx); err != nil {
				return fmt.Errorf("commit a heartbeat on the source: %w", err)
			}
			every = min(2*every, 2*time.Second)
			beat = time.Now().Add(every)
		}
		if err := sleep(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
}

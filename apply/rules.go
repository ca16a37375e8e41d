package apply

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// The rules of the ledger and of steps that are the same on every engine.

// CanRelane says whether the ledger rows may be replaced by another number of lanes: all carry the token, stand on one frame, and hold no table.
func CanRelane(rows []LaneRow, held []Held, token int64) error {
	if len(rows) == 0 {
		return errors.New("there are no ledger rows")
	}
	for _, r := range rows {
		if r.Token != token {
			return ErrRevoked
		}
		if r.Seq != rows[0].Seq || r.Sum != rows[0].Sum {
			return fmt.Errorf("lane %d stands on frame %d, lane 0 on %d", r.Lane, r.Seq, rows[0].Seq)
		}
	}
	if len(held) > 0 {
		return fmt.Errorf("table %s is held in a lane", held[0].Source)
	}
	return nil
}

// CanJoin says whether a table whose rows were spread over lanes may go through one from now on: while lanes stand apart one of them would skip changes, or
// repeat them.
func CanJoin(lanes []LaneRow, held []Held, source string) error {
	for _, l := range lanes {
		if l.Seq != lanes[0].Seq {
			return fmt.Errorf("its rows were spread over lanes until now, and must go through one; lane %d stands on frame %d, lane 0 on %d: run as before until all stand on one frame, which an idle moment of the source brings, then stop and start again",
				l.Lane, l.Seq, lanes[0].Seq)
		}
	}
	for _, h := range held {
		if h.Source == source {
			return fmt.Errorf("its rows were spread over lanes until now, and must go through one, while it is held in lane %d: run as before, crossfade resume --table %s, then stop and start again", h.Lane, h.Source)
		}
	}
	return nil
}

// Add counts what a statement has changed of the rows that it named.
func (c *Count) Add(t Tally, changed, named int64) {
	switch t {
	case TallyInserted:
		c.Inserted += changed
	case TallyUpdated:
		c.Updated += changed
		c.Missed += named - changed
	case TallyDeleted:
		c.Deleted += changed
		c.Missed += named - changed
	case TallyCleared:
		c.Deleted += changed
	case NoTally:
	}
}

// Cut returns where a statement that begins with a row ends.
func (s *Step) Cut(from, maxRows, maxBytes int) int {
	bytes, n := 0, s.Len()
	for to := from; to < n; to++ {
		if to > from && (to-from >= maxRows || bytes > maxBytes) {
			return to
		}
		if to < len(s.Rows) {
			for c := range s.Rows[to] {
				bytes += len(s.Rows[to][c].B) + 8
			}
		} else {
			bytes += 16
		}
	}
	return n
}

// Again runs f, and what fails for want of a connection or a lock a few times more. what says what was tried.
func Again(ctx context.Context, what string, f func() error) error {
	for attempt := 0; ; attempt++ {
		err := f()
		if err == nil {
			return nil
		}
		var lost *LostError
		if !errors.As(err, &lost) || attempt >= 5 || ctx.Err() != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		timer := time.NewTimer(100 * time.Millisecond << attempt)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%s: %w", what, context.Cause(ctx))
		}
	}
}

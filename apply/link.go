package apply

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// link is a connection that is opened again for as long as it takes, and that knows what a commit came to.
type link struct {
	target  Target
	session Session
	// trouble is told what keeps the link from working, and nil when it works again.
	trouble func(error)
	failing bool
}

func (k *link) close() {
	if k.session != nil {
		k.session.Close()
		k.session = nil
	}
}

func (k *link) report(err error) {
	if err != nil || k.failing {
		k.failing = err != nil
		k.trouble(err)
	}
}

const (
	firstBackoff = 20 * time.Millisecond
	lastBackoff  = 5 * time.Second
)

func pause(ctx context.Context, attempt int) error {
	d := lastBackoff
	if attempt < 8 {
		d = firstBackoff << attempt
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// with runs f on the session until it does not fail for want of a connection or of a lock.
func (k *link) with(ctx context.Context, f func(Session) error) error {
	for attempt := 0; ; attempt++ {
		err := k.once(ctx, f)
		var lost *LostError
		if !errors.As(err, &lost) {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		k.report(err)
		if err := pause(ctx, attempt); err != nil {
			return err
		}
	}
}

func (k *link) once(ctx context.Context, f func(Session) error) error {
	if k.session != nil && k.session.Broken() {
		k.close()
	}
	if k.session == nil {
		s, err := k.target.Session(ctx)
		if err != nil {
			return err
		}
		k.session = s
	}
	return f(k.session)
}

// commit brings tx into the target once. Lost connections, locks and ambiguous commits are its own business; it returns when the
// transaction is committed, or has failed for a reason that trying again does not cure.
func (k *link) commit(ctx context.Context, tx *Tx) error {
	if tx.From == tx.To.Seq {
		rows, err := k.ledger(ctx)
		if err != nil {
			return err
		}
		for _, r := range rows {
			if r.Lane == max(tx.Lane, 0) {
				tx.Counter = r.Counter
			}
		}
	}
	for attempt, moved := 0, 0; ; attempt++ {
		err := k.once(ctx, func(s Session) error { return s.Apply(ctx, tx) })
		var lost *LostError
		switch {
		case err == nil:
			k.report(nil)
			return nil
		case errors.As(err, &lost):
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			k.report(err)
			if err := pause(ctx, attempt); err != nil {
				return err
			}
		case errors.Is(err, ErrMoved):
			moved++
		default:
			return err
		}
		done, err := k.committed(ctx, tx)
		if err != nil {
			return err
		}
		if done {
			k.report(nil)
			return nil
		}
		if moved > 100 {
			return fmt.Errorf("apply frames %d to %d: the ledger row is not found though it stands there; is crossfade.ledger written by somebody else", tx.From+1, tx.To.Seq)
		}
	}
}

// committed asks the ledger whether tx is in it.
func (k *link) committed(ctx context.Context, tx *Tx) (bool, error) {
	rows, err := k.ledger(ctx)
	if err != nil {
		return false, err
	}
	found, at := 0, 0
	for _, r := range rows {
		if r.Token != tx.Token { // whichever lane's: all have the same, and the new owner may have made other lanes
			return false, ErrRevoked
		}
		if tx.Lane != AllLanes && r.Lane != tx.Lane {
			continue
		}
		found++
		switch {
		case tx.From == tx.To.Seq && r.Seq == tx.From: // only the counter tells
			if r.Lane == max(tx.Lane, 0) && r.Counter > tx.Counter {
				at = len(rows)
			}
		case r.Seq == tx.From:
		case r.Seq == tx.To.Seq:
			if r.Sum != tx.To.Sum {
				return false, fmt.Errorf("lane %d stands on frame %d with another checksum than this stream's: it belongs to another stream", r.Lane, r.Seq)
			}
			at++
		default:
			return false, fmt.Errorf("lane %d stands on frame %d, neither on %d nor on %d: somebody else writes to crossfade.ledger; stop it, then resume", r.Lane, r.Seq, tx.From, tx.To.Seq)
		}
	}
	if found == 0 || tx.Lane == AllLanes && (found != tx.Lanes || at != 0 && at < found) {
		return false, fmt.Errorf("the ledger holds %d of %d lanes, %d of them on frame %d: its rows were changed by somebody else", found, tx.Lanes, at, tx.To.Seq)
	}
	return at > 0, nil
}

func (k *link) ledger(ctx context.Context) (rows []LaneRow, err error) {
	err = k.with(ctx, func(s Session) (err error) {
		rows, err = s.Ledger(ctx)
		return err
	})
	return rows, err
}

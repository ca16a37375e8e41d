package apply

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/crossfade-io/crossfade/internal/change"
)

// Limits of one target transaction. Larger ones are hardly faster, and hold up barriers.
const (
	maxBatchItems = 10000
	maxBatchBytes = 4 << 20
	idleAdvance   = time.Second
)

// lane applies an ordered share of the keys through one connection.
type lane struct {
	n     int
	run   *run
	link  *link
	queue *queue
	batch batch
	units []unit
	place Place             // what the ledger stands on
	held  map[*Table]uint64 // applied up to before that frame; lives with the ledger
	holds []Held            // to be written with the next commit; their tables are in held already
	moved time.Time         // of the last commit
}

// barrier is where all lanes wait until the dispatcher lets them go on.
type barrier struct {
	arrived chan int // lanes, as they arrive
	release chan struct{}
}

// loop applies what the queue brings until ctx ends. Work outlives ctx by a little, so that a transaction under way can end.
func (l *lane) loop(ctx, work context.Context) error {
	defer l.link.close()
	timer := time.NewTimer(idleAdvance)
	defer timer.Stop()
	l.moved = time.Now()
	for {
		timer.Reset(max(0, idleAdvance-time.Since(l.moved)))
		units, idle, moved, err := l.queue.take(ctx, l.units[:0], maxBatchItems, maxBatchBytes, timer.C)
		if err != nil {
			return nil // ctx has ended
		}
		if err := l.run.a.gate.wait(ctx); err != nil { // behind the queue: it may have been closed while this lane waited there
			return nil
		}
		l.units = units
		switch {
		case moved:
			err = l.advance(work, idle)
		case len(units) == 0:
			l.moved = time.Now()
		case units[0].stop != nil:
			if err = l.advance(work, units[0].place); err == nil {
				err = l.stand(ctx, units[0].stop)
			}
		default:
			if err = l.apply(work, units); err == nil {
				for i := range units {
					if units[i].frame != nil {
						units[i].frame.release()
					}
				}
			}
		}
		if err != nil {
			if ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
				return nil
			}
			return fmt.Errorf("lane %d: %w", l.n, err)
		}
		clear(l.units)
	}
}

func (l *lane) stand(ctx context.Context, b *barrier) error {
	select {
	case b.arrived <- l.n:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case <-b.release:
		l.moved = time.Now()
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// advance moves the ledger over frames that hold nothing for this lane.
func (l *lane) advance(ctx context.Context, to Place) error {
	if to.Seq <= l.place.Seq {
		return nil
	}
	l.batch.reset(l.n)
	return l.commit(ctx, to)
}

// rowFailure is a row that was found to be the reason why a frame could not be applied.
type rowFailure struct {
	table  *Table
	seq    uint64
	key    string
	reason string
	// collides is the key, in the form of the re-copy list, of a row that can be read again instead.
	collides []byte
	// violation is set when it is not the row's fault.
	violation *Violation
}

func (e *rowFailure) Error() string {
	if e.violation != nil {
		return e.violation.Error()
	}
	return fmt.Sprintf("frame %d: row %s of %s refused: %s", e.seq, e.key, e.table.Setup.Source, e.reason)
}

// isRowTrouble says that one row is to blame, but not which.
func isRowTrouble(err error) bool {
	var refusal *Refusal
	var mismatch *Mismatch
	var violation *Violation
	return errors.As(err, &refusal) || errors.As(err, &mismatch) || errors.As(err, &violation)
}

// climb applies units together; if a row is in the way, one by one; and the one that fails row by row, which finds the row. Try commits what
// it is given. Units that succeed before that one stay committed.
func climb(units []unit, try func(units []unit, single bool) error) error {
	err := try(units, false)
	if err == nil || !isRowTrouble(err) {
		return err
	}
	if len(units) == 1 {
		return try(units, true)
	}
	for i := range units {
		if err := climb(units[i:i+1], try); err != nil {
			return err
		}
	}
	return nil
}

// apply commits the units. Tables whose rows the target refuses are held on the way.
func (l *lane) apply(ctx context.Context, units []unit) error {
	defer clear(l.batch.again)
	for {
		for len(units) > 0 && units[0].place.Seq <= l.place.Seq {
			units = units[1:]
		}
		if len(units) == 0 {
			return nil
		}
		err := climb(units, func(units []unit, single bool) error {
			if err := l.collect(units, single); err != nil {
				return err
			}
			err := l.commit(ctx, units[len(units)-1].place)
			if single {
				return blame(l.run, &l.batch.tx, units[0].seq, err)
			}
			return err
		})
		var row *rowFailure
		switch {
		case err == nil:
			return nil
		case !errors.As(err, &row):
			return err
		case row.violation != nil:
			return row.violation
		case row.collides != nil && l.batch.again.add(row.table, row.collides):
			continue
		}
		if from, twice := l.held[row.table]; twice && from <= row.seq {
			return fmt.Errorf("held table is applied: %w", row)
		}
		l.hold(row.table, row.seq, row.key, row.reason)
	}
}

// hold holds the table, and those that it is tied to.
func (l *lane) hold(t *Table, seq uint64, key, reason string) {
	for _, x := range t.tied {
		if _, ok := l.held[x]; ok {
			continue
		}
		l.held[x] = seq
		l.holds = append(l.holds, newHeld(l.n, x, seq, key, t.reasonFor(x, reason)))
		key = ""
	}
}

func newHeld(lane int, t *Table, seq uint64, key, reason string) Held {
	return Held{Lane: lane, Source: t.Setup.Source, From: seq, Key: key, Reason: reason, Since: time.Now(),
		Remedy: fmt.Sprintf("make %s take the row (its column types and constraints), or change the mapping, then run: crossfade resume --table %s", t.Setup.Target, t.Setup.Source)}
}

// collect fills the batch with what the units bring.
func (l *lane) collect(units []unit, single bool) error {
	l.batch.reset(l.n)
	l.batch.tx.Single = single
	for i := range units {
		u := &units[i]
		for _, r := range u.refused {
			if _, ok := l.held[r.table]; !ok {
				l.hold(r.table, u.seq, r.key, r.reason)
			}
		}
		l.batch.tx.Progress = append(l.batch.tx.Progress, u.progress...)
		if err := l.batch.unit(u, single, l.held); err != nil {
			return err
		}
	}
	l.batch.finish()
	return nil
}

// unit adds the items of a unit, except those of tables that are held from before it.
func (b *batch) unit(u *unit, single bool, held map[*Table]uint64) error {
	for _, it := range u.items {
		c, s := &u.frame.changes[it.index], u.frame.shapes[it.index]
		if len(held) > 0 {
			if from, ok := held[s.table]; ok && u.seq >= from {
				continue
			}
		}
		var err error
		if single || s.table.OneLane {
			err = b.step(s, c, it, u.seq)
		} else {
			err = b.fold(s, c, it, u.seq)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (l *lane) commit(ctx context.Context, to Place) error {
	tx := &l.batch.tx
	tx.Token, tx.Lane, tx.Lanes, tx.Stream = l.run.token, l.n, len(l.run.lanes), l.run.stream
	tx.From, tx.To = l.place.Seq, to
	tx.To.Time = max(to.Time, l.place.Time)
	tx.Hold = l.holds
	l.run.watch(tx)
	if err := l.link.commit(ctx, tx); err != nil {
		return err
	}
	l.place = tx.To
	l.moved = time.Now()
	l.run.a.committed(tx)
	l.holds = nil
	return nil
}

// blame turns the failure of a transaction of single rows into the row that failed.
func blame(r *run, tx *Tx, seq uint64, err error) error {
	var refusal *Refusal
	var mismatch *Mismatch
	step, row := 0, 0
	switch {
	case errors.As(err, &refusal):
		step, row = refusal.Step, refusal.Row
	case errors.As(err, &mismatch):
		step, row = mismatch.Step, mismatch.Row
	default:
		return err
	}
	if step < 0 || step >= len(tx.Steps) {
		return fmt.Errorf("frame %d: %w", seq, err)
	}
	s := &tx.Steps[step]
	t := r.tables[s.Shape.Source]
	if t == nil {
		return fmt.Errorf("frame %d: %s: %w", seq, s.Shape.Source, err)
	}
	f := &rowFailure{table: t, seq: seq, key: s.KeyString(row), reason: err.Error()}
	if mismatch != nil || refusal.Duplicate && t.mode() == strict {
		f.violation = &Violation{Source: s.Shape.Source, Target: s.Shape.String(), Key: f.key, Op: s.Op.String(), Seq: seq, Reason: "there is no such row"}
		if s.Op == InsertRows {
			f.violation.Reason = "the row exists already"
		}
		return f
	}
	f.reason = refusal.Reason
	if s.Op != CascadeRows && refusal.Unique && !refusal.Duplicate && t.mode() == lenient && !t.Strict && row >= 0 && row < len(s.Rows) {
		f.collides = change.AppendKey(nil, s.Shape.Key, s.Rows[row])
	}
	return f
}

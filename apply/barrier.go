package apply

import (
	"context"
	"errors"
	"fmt"

	"github.com/crossfade-io/crossfade/internal/change"
)

// tx returns the frame of a transaction that moves all lanes from the frame they stand on to place.
func (r *run) tx(place Place) Tx {
	return Tx{Token: r.token, Lane: AllLanes, Lanes: len(r.lanes), Stream: r.stream, From: r.place.Seq, To: place}
}

func (r *run) commit(work context.Context, tx *Tx) error {
	if err := r.link.commit(work, tx); err != nil {
		return err
	}
	r.moved(tx.To)
	r.a.committed(tx)
	return nil
}

// marker lets every lane record the marker's epoch.
func (r *run) marker(ctx, work context.Context, m *change.ControlMessage, place Place) error {
	err := r.atBarrier(ctx, func() error {
		tx := r.tx(place)
		tx.Epoch = m.Epoch
		return r.commit(work, &tx)
	})
	if err != nil {
		return fmt.Errorf("marker of epoch %d in frame %d: %w", m.Epoch, place.Seq, err)
	}
	r.a.notify(Event{Kind: EventMarker, Seq: place.Seq, Detail: fmt.Sprintf("epoch %d", m.Epoch)})
	return nil
}

// strict makes a table strict: its unique indexes are built, and its lane changes, while all lanes stand. A crash before the transaction
// repeats all of it. A table that is held stays as it is: it is held here in all lanes, and becomes strict when it is replayed.
func (r *run) strict(ctx, work context.Context, m *change.ControlMessage, place Place) error {
	t := r.tables[m.Table]
	if t == nil {
		return fmt.Errorf("frame %d makes %s strict, which is not part of this migration", place.Seq, m.Table)
	}
	held := false
	err := r.atBarrier(ctx, func() error {
		tx := r.tx(place)
		if held = r.heldAnywhere(t); held {
			r.holdEverywhere(&tx, t, tx.From+1, "the table becomes strict while it is held")
			return r.commit(work, &tx)
		}
		if err := r.makeStrict(work, t); err != nil {
			return err
		}
		tx.States = []StateChange{strictState(t, m.Shape, place.Seq)}
		if err := r.commit(work, &tx); err != nil {
			return err
		}
		t.becomeStrict()
		return nil
	})
	if err != nil {
		return fmt.Errorf("make %s strict in frame %d: %w", m.Table, place.Seq, err)
	}
	if !held {
		r.a.notify(Event{Kind: EventStrict, Table: m.Table, Seq: place.Seq})
	}
	return nil
}

func strictState(t *Table, shape, seq uint64) StateChange {
	return StateChange{Source: t.Setup.Source, Strict: true, OneLane: t.OneLane || t.Setup.Unique, Shape: shape, Seq: seq}
}

func (t *Table) becomeStrict() {
	t.Strict, t.WasStrict = true, true
	t.settled, t.noted, t.fresh = true, false, nil
	t.OneLane = t.OneLane || t.Setup.Unique
}

// makeStrict brings the table into the condition that strict means.
func (r *run) makeStrict(work context.Context, t *Table) error {
	var waiting int64
	err := r.link.with(work, func(s Session) (err error) {
		waiting, err = s.RecopyPending(work, t.Setup.Source)
		return err
	})
	if err != nil {
		return err
	}
	if waiting > 0 {
		return fmt.Errorf("%d keys still have to be read again: the strict frame came too early; this is a bug", waiting)
	}
	return r.statements(work, t.Setup.UniqueSQL)
}

func (r *run) statements(work context.Context, list []string) error {
	for _, sql := range list {
		if err := r.link.with(work, func(s Session) error { return s.Exec(work, sql) }); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	return nil
}

// lenient takes strictness back: rows of the table are about to be read again, and what was read may be newer than the changes that follow.
// The table becomes strict again by the next strict frame.
func (r *run) lenient(ctx, work context.Context, t *Table) error {
	if r.place.Seq < r.low {
		return fmt.Errorf("rows of %s are read again below the ledger: this is a bug", t.Setup.Source)
	}
	err := r.atBarrier(ctx, func() error {
		tx := r.tx(r.place)
		tx.States = []StateChange{{Source: t.Setup.Source, OneLane: t.OneLane, Seq: r.place.Seq}}
		if err := r.commit(work, &tx); err != nil {
			return err
		}
		t.Strict = false
		return nil
	})
	if err != nil {
		return fmt.Errorf("read rows of %s again after frame %d: %w", t.Setup.Source, r.place.Seq, err)
	}
	r.a.notify(Event{Kind: EventLenient, Table: t.Setup.Source, Seq: r.place.Seq})
	return nil
}

func (r *run) heldAnywhere(t *Table) bool {
	for _, l := range r.lanes {
		if _, ok := l.held[t]; ok {
			return true
		}
	}
	return false
}

// holdEverywhere holds the table, and those that it is tied to, in all lanes from seq on, where they are not held from an earlier frame.
func (r *run) holdEverywhere(tx *Tx, t *Table, seq uint64, reason string) {
	for _, l := range r.lanes {
		for _, x := range t.tied {
			if from, ok := l.held[x]; !ok || from > seq {
				l.held[x] = seq
				tx.Hold = append(tx.Hold, newHeld(l.n, x, seq, "", t.reasonFor(x, reason)))
			}
		}
	}
}

// reasonFor is why x is held when the table is for the reason.
func (t *Table) reasonFor(x *Table, reason string) string {
	if x == t {
		return reason
	}
	return "foreign keys tie it to " + t.Setup.Source + ", which is held: " + reason
}

// whole applies a frame that cannot be split between lanes: as one transaction, by one connection, while all lanes stand.
func (r *run) whole(ctx, work context.Context, fr *frame, place Place) error {
	err := r.atBarrier(ctx, func() error {
		var holds []Held
		for {
			var b batch
			b.reset(AllLanes)
			b.tx.Single = true
			if err := r.collectWhole(&b, fr, place, &holds); err != nil {
				return err
			}
			tx := &b.tx
			frame := r.tx(place)
			frame.Steps, frame.Counts, frame.Recopy, frame.Recopied, frame.Single, frame.Hold = tx.Steps, tx.Counts, tx.Recopy, tx.Recopied, true, holds
			r.watch(&frame)
			err := r.commit(work, &frame)
			if err == nil {
				return nil
			}
			var row *rowFailure
			if err = blame(r, &frame, frame.From+1, err); !errors.As(err, &row) {
				return err
			}
			if row.violation != nil {
				return row.violation
			}
			// which lane the row belongs to does not matter in a frame that belongs to all
			one := Tx{}
			r.holdEverywhere(&one, row.table, row.seq, row.reason)
			if len(one.Hold) == 0 {
				return fmt.Errorf("held table is applied: %w", row)
			}
			for i := range one.Hold {
				one.Hold[i].Key = row.key
			}
			holds = append(holds, one.Hold...)
		}
	})
	fr.refs.Store(1)
	fr.release()
	if err != nil {
		return fmt.Errorf("frame %d: %w", place.Seq, err)
	}
	return nil
}

func (r *run) collectWhole(b *batch, fr *frame, place Place, holds *[]Held) error {
	first := r.place.Seq + 1
	hold := func(t *Table, key, reason string) {
		one := Tx{}
		r.holdEverywhere(&one, t, first, reason)
		for i := range one.Hold {
			one.Hold[i].Key = key
		}
		*holds = append(*holds, one.Hold...)
	}
	for i := range fr.changes { // first what holds a table in all of the frame
		c, s := &fr.changes[i], fr.shapes[i]
		switch {
		case c.Op == change.Refused:
			hold(s.table, c.Table.KeyString(c.KeyRow()), c.Err)
		case c.Op == change.Truncate && r.heldAnywhere(s.table):
			hold(s.table, "", "the table is truncated while it is held")
		case s.table.Strict && c.KeyChanged() && !whole(c.After) && r.heldAnywhere(s.table): // perhaps between a held lane and another
			hold(s.table, c.Table.KeyString(c.Before), "its key changes while the table is held")
		}
	}
	for i := range fr.changes {
		c, s := &fr.changes[i], fr.shapes[i]
		if c.Op == change.Refused {
			continue
		}
		routes, err := r.route(r.routes[:0], i, c, s)
		switch {
		case errors.Is(err, errBarrier):
			if r.heldAnywhere(s.table) {
				continue
			}
			if err := b.step(s, c, item{index: int32(i)}, place.Seq); err != nil {
				return err
			}
		case err != nil:
			return err
		}
		for _, o := range routes {
			if from, ok := r.lanes[o.lane].held[s.table]; ok && from <= first {
				continue
			}
			if err := b.step(s, c, o.item, place.Seq); err != nil {
				return err
			}
		}
		r.routes = routes[:0]
	}
	return nil
}

package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/crossfade-io/crossfade/internal/change"
)

// ask is a request to the dispatcher.
type ask struct {
	source string
	done   chan error
}

// ErrNotHeld is returned by a replay of a table that goes on already.
var ErrNotHeld = errors.New("the table is not held")

// StillHeld is returned by a replay that came upon a row that the target still refuses.
type StillHeld struct {
	Source, Key, Reason string
	Seq                 uint64
}

func (e *StillHeld) Error() string {
	return fmt.Sprintf("replay %s: row %s in frame %d is still refused: %s", e.Source, e.Key, e.Seq, e.Reason)
}

// Replay applies what a held table has missed, and lets it go on. All lanes wait meanwhile. Its progress is durable: after a crash, or when
// another row is refused, the table is held from there on.
func (a *Applier) Replay(ctx context.Context, source string) error {
	q := ask{source: source, done: make(chan error, 1)}
	for {
		a.state.mu.Lock()
		running, changed := a.state.running, a.state.changed
		a.state.mu.Unlock()
		if !running {
			return fmt.Errorf("replay %s: %w", source, ErrStopped)
		}
		select {
		case a.asks <- q:
		case <-changed:
			continue
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		break
	}
	select {
	case err := <-q.done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// replay serves an ask. Fatal is an error that ends the run.
func (r *run) replay(ctx, work context.Context, source string) (result, fatal error) {
	barrier := r.atBarrier(ctx, func() error {
		result, fatal = r.replayStanding(ctx, work, source)
		return fatal
	})
	if result == nil {
		result = barrier
	}
	return result, barrier
}

// replayStanding serves an ask while all lanes stand.
func (r *run) replayStanding(ctx, work context.Context, source string) (result, fatal error) {
	t := r.tables[source]
	if t == nil {
		return fmt.Errorf("replay %s: the migration has no such table", source), nil
	}
	p := &replay{run: r, table: t}
	result = p.all(ctx, work)
	if errors.Is(result, ErrRevoked) {
		fatal = result
	}
	return result, fatal
}

// replay is one pass over the frames that a table has missed, and those that it is tied to.
type replay struct {
	run   *run
	table *Table // which was asked for
	batch batch
	units []unit
	items int
	bytes int64
}

func (p *replay) all(ctx, work context.Context) error {
	r, t := p.run, p.table
	from := ^uint64(0)
	for _, l := range r.lanes {
		for _, x := range t.tied {
			if at, ok := l.held[x]; ok {
				from = min(from, at)
			}
		}
	}
	if from == ^uint64(0) {
		return ErrNotHeld
	}
	if from <= r.place.Seq {
		if err := p.read(ctx, work, from); err != nil {
			return err
		}
	}
	tx := r.tx(r.place)
	for _, l := range r.lanes {
		for _, x := range t.tied {
			if _, ok := l.held[x]; ok {
				tx.Release = append(tx.Release, Held{Lane: l.n, Source: x.Setup.Source})
			}
		}
	}
	if err := r.commit(work, &tx); err != nil {
		return err
	}
	for _, l := range r.lanes {
		for _, x := range t.tied {
			delete(l.held, x)
		}
	}
	return nil
}

func (p *replay) read(ctx, work context.Context, from uint64) error {
	r := p.run
	reader, err := r.a.log.Read(ctx, from-1, 0)
	if err != nil {
		return fmt.Errorf("replay %s from frame %d: %w", p.table.Setup.Source, from, err)
	}
	defer reader.Close()
	chain := chain{stream: r.a.opts.Stream, seq: from - 1}
	assemble := change.Assembler{Limit: r.a.opts.MaxRow}
	first := from
	stop := func(err error) error { // a row that cannot be mapped still
		var row *rowFailure
		if errors.As(err, &row) {
			if err := p.flush(work); err != nil {
				return err
			}
			return p.holdAgain(work, row)
		}
		return err
	}
	for first <= r.place.Seq {
		f, err := reader.Next(ctx)
		if err != nil {
			return fmt.Errorf("replay %s from frame %d: %w", p.table.Setup.Source, first, err)
		}
		if err := chain.next(&f); err != nil {
			return err
		}
		whole, ok, err := assemble.Add(f)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if err := p.frame(work, &whole, first); err != nil {
			return stop(err)
		}
		first = whole.Seq + 1
		if p.items >= maxBatchItems || p.bytes >= maxBatchBytes {
			if err := p.flush(work); err != nil {
				return err
			}
		}
	}
	return p.flush(work)
}

// frame takes what a frame holds of the tables. First is the frame's first message.
func (p *replay) frame(work context.Context, f *change.Frame, first uint64) error {
	r := p.run
	switch f.Kind {
	case change.Changes, change.Chunk:
		all, err := r.decode(f)
		if err != nil {
			return err
		}
		fr, err := p.pick(all, f.Seq, first)
		if err != nil {
			return err
		}
		if f.Kind == change.Chunk && len(fr.changes) > 0 {
			if err := p.lenient(work, fr.shapes[0].table); err != nil {
				return err
			}
		}
		return p.add(fr, f, first)
	case change.Control:
	default:
		return fmt.Errorf("frame %d: cannot apply a %s frame: run the version that wrote it", f.Seq, f.Kind)
	}
	m, err := f.ReadControl()
	t := r.tables[m.Table]
	if err != nil || !slices.Contains(p.table.tied, t) {
		return err
	}
	switch m.Type {
	case change.Recopied:
		if err := p.lenient(work, t); err != nil {
			return err
		}
		if t.settled && t.cascadedInto() {
			if err := p.flush(work); err != nil {
				return err
			}
			if err := r.freshen(work, t, m.Keys); err != nil {
				return err
			}
		}
		fr, err := r.recopiedFrame(t, &m, f.Seq)
		if err != nil {
			return err
		}
		u := unit{frame: fr, seq: first, place: Place{Seq: f.Seq}}
		for _, o := range r.routes {
			if p.misses(t, o.lane, first) {
				u.items = append(u.items, o.item)
			}
		}
		p.push(u)
		return nil
	case change.Cleared:
		fr, err := r.cleared(&m, f.Seq)
		if err != nil {
			return err
		}
		return p.add(fr, f, first)
	case change.Settled:
		if err := p.flush(work); err != nil {
			return err
		}
		tx := p.tx(f.Seq)
		tx.States = []StateChange{settledState(t, f.Seq)}
		if err := p.commit(work, &tx); err != nil {
			return err
		}
		t.becomeSettled()
		return nil
	case change.Strict:
		if err := p.flush(work); err != nil {
			return err
		}
		if err := r.makeStrict(work, t); err != nil {
			return err
		}
		tx := p.tx(f.Seq)
		tx.States = []StateChange{strictState(t, m.Shape, f.Seq)}
		if err := p.commit(work, &tx); err != nil {
			return err
		}
		t.becomeStrict()
		r.a.notify(Event{Kind: EventStrict, Table: t.Setup.Source, Seq: f.Seq})
		return nil
	default: // progress, markers and heartbeats were never held
		return nil
	}
}

// misses reports whether a lane has not applied the table's part of a frame.
func (p *replay) misses(t *Table, lane int, first uint64) bool {
	from, ok := p.run.lanes[lane].held[t]
	return ok && from <= first
}

func (p *replay) lenient(work context.Context, t *Table) error {
	if !t.Strict || t.Setup.Filtered {
		return nil
	}
	if err := p.flush(work); err != nil {
		return err
	}
	tx := p.run.tx(p.run.place)
	tx.States = []StateChange{{Source: t.Setup.Source, OneLane: t.OneLane, Seq: p.run.place.Seq}}
	if err := p.run.commit(work, &tx); err != nil {
		return err
	}
	t.Strict = false
	return nil
}

// pick returns a frame of the tables' changes only, with rows that can be mapped now in the place of those that could not.
func (p *replay) pick(all *frame, seq, first uint64) (*frame, error) {
	fr := &frame{pool: p.run.pool}
	for i := range all.changes {
		c, s := &all.changes[i], all.shapes[i]
		if !slices.Contains(p.table.tied, s.table) {
			continue
		}
		if c.Op != change.Refused {
			fr.changes, fr.shapes = append(fr.changes, *c), append(fr.shapes, s)
			continue
		}
		if p.run.a.opts.Remap == nil {
			return nil, stuck(s.table, first, c, c.Err)
		}
		again, err := p.run.a.opts.Remap(c)
		if err != nil {
			return nil, stuck(s.table, first, c, err.Error())
		}
		for j := range again {
			n := &again[j]
			if n.Op == change.Refused {
				return nil, stuck(s.table, first, c, n.Err)
			}
			mapped := p.run.known[n.Table]
			if mapped == nil {
				if mapped, err = p.run.learn(n.Table.ID(), n.Table); err != nil {
					return nil, err
				}
			}
			if mapped.table != s.table {
				return nil, fmt.Errorf("frame %d: a row of %s was mapped to %s", seq, s.table.Setup.Source, n.Table)
			}
			if err := canonical(n, mapped); err != nil {
				return nil, err
			}
			fr.changes, fr.shapes = append(fr.changes, *n), append(fr.shapes, mapped)
		}
	}
	return fr, nil
}

func stuck(t *Table, first uint64, c *change.Change, reason string) error {
	return &rowFailure{table: t, seq: first, key: c.Table.KeyString(c.KeyRow()), reason: reason}
}

func (p *replay) add(fr *frame, f *change.Frame, first uint64) error {
	u := unit{frame: fr, seq: first, place: Place{Seq: f.Seq}, size: int64(len(f.Payload))}
	for i := range fr.changes {
		routes, err := p.run.route(p.run.routes[:0], i, &fr.changes[i], fr.shapes[i])
		if errors.Is(err, errBarrier) { // all lanes hold the table from here, or from before
			u.items = append(u.items, item{index: int32(i), part: rekey})
			continue
		}
		if err != nil {
			return err
		}
		for _, o := range routes {
			if p.misses(fr.shapes[i].table, o.lane, first) {
				u.items = append(u.items, o.item)
			}
		}
		p.run.routes = routes[:0]
	}
	p.push(u)
	return nil
}

func (p *replay) push(u unit) {
	p.units = append(p.units, u)
	p.items += work(u.frame, u.items)
	p.bytes += u.size
}

// flush applies what was collected, and moves the holds behind it.
func (p *replay) flush(work context.Context) error {
	if len(p.units) == 0 {
		return nil
	}
	units := p.units
	p.units, p.items, p.bytes = p.units[:0], 0, 0
	defer clear(p.batch.again)
	for {
		done, err := p.apply(work, units)
		var row *rowFailure
		if !errors.As(err, &row) {
			return err
		}
		units = units[done:]
		if row.violation != nil || row.collides == nil || !p.batch.again.add(row.table, row.collides) {
			return p.holdAgain(work, row)
		}
	}
}

// apply commits units, and says how many.
func (p *replay) apply(work context.Context, units []unit) (done int, err error) {
	err = climb(units, func(units []unit, single bool) error {
		p.batch.reset(AllLanes)
		p.batch.tx.Single = single
		for i := range units {
			if err := p.batch.unit(&units[i], single, nil); err != nil {
				return err
			}
		}
		p.batch.finish()
		tx := p.tx(units[len(units)-1].place.Seq)
		b := &p.batch.tx
		tx.Steps, tx.Counts, tx.Recopy, tx.Recopied, tx.Single = b.Steps, b.Counts, b.Recopy, b.Recopied, single
		p.run.watch(&tx)
		err := p.commit(work, &tx)
		if err == nil {
			done += len(units)
		} else if single {
			err = blame(p.run, &tx, units[0].seq, err)
		}
		return err
	})
	return done, err
}

// tx returns a transaction that moves the holds behind frame seq.
func (p *replay) tx(seq uint64) Tx {
	tx := p.run.tx(p.run.place)
	for _, l := range p.run.lanes {
		for _, t := range p.table.tied {
			if from, ok := l.held[t]; ok && from <= seq {
				tx.Hold = append(tx.Hold, newHeld(l.n, t, seq+1, "", "its replay is not finished"))
			}
		}
	}
	return tx
}

func (p *replay) commit(work context.Context, tx *Tx) error {
	if err := p.run.commit(work, tx); err != nil {
		return err
	}
	for _, h := range tx.Hold {
		p.run.lanes[h.Lane].held[p.run.tables[h.Source]] = h.From
	}
	return nil
}

// holdAgain notes the row at which the replay has stopped.
func (p *replay) holdAgain(work context.Context, row *rowFailure) error {
	tx := p.run.tx(p.run.place)
	for _, l := range p.run.lanes {
		for _, t := range p.table.tied {
			if from, ok := l.held[t]; ok {
				tx.Hold = append(tx.Hold, newHeld(l.n, t, max(from, row.seq), row.key, row.table.reasonFor(t, row.reason)))
			}
		}
	}
	if err := p.commit(work, &tx); err != nil {
		return err
	}
	if row.violation != nil {
		return row.violation
	}
	return &StillHeld{Source: row.table.Setup.Source, Key: row.key, Reason: row.reason, Seq: row.seq}
}

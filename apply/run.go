package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/crossfade-io/crossfade/internal/change"
)

// run is one life of an applier: one token, one set of lanes. Its methods are the dispatcher.
type run struct {
	a      *Applier
	token  int64
	stream string
	lanes  []*lane
	tables map[string]*Table // by source
	shapes map[uint64]*shape
	known  map[*change.Table]*shape
	pool   *pool
	link   *link // for barriers

	start    []Place // of the lanes' ledgers, when the run began
	low      uint64  // the lowest of them
	high     uint64  // and the highest: requests and a change of lanes wait for it
	relane   bool
	place    Place // the last frame dispatched
	chain    chain
	assemble change.Assembler
	scratch  []byte
	routes   []routed
}

// routed is an item and the lane that it goes to.
type routed struct {
	lane int
	item item
}

func newRun(a *Applier, d *Durable) (*run, error) {
	r := &run{a: a, token: d.Token, stream: a.opts.Stream.String(), tables: map[string]*Table{}, shapes: map[uint64]*shape{}, known: map[*change.Table]*shape{},
		pool: newPool(a.opts.Memory)}
	r.assemble.Limit = a.opts.MaxRow
	rows := map[string]*TableRow{}
	for i := range d.Tables {
		rows[d.Tables[i].Source] = &d.Tables[i]
	}
	for _, t := range a.opts.Tables {
		row := rows[t.Source]
		if row == nil {
			return nil, fmt.Errorf("apply table %s: it is not registered in the target: run the setup first", t.Source)
		}
		var err error
		if r.tables[t.Source], err = newTable(t, row); err != nil {
			return nil, err
		}
	}
	if err := tie(r.tables); err != nil {
		return nil, err
	}
	r.low = ^uint64(0)
	for i, l := range d.Lanes {
		if l.Lane != i || l.Lanes != len(d.Lanes) {
			return nil, fmt.Errorf("the ledger has %d rows, and row %d says lane %d of %d: its rows were changed by somebody else", len(d.Lanes), i, l.Lane, l.Lanes)
		}
		if l.Stream != "" && l.Stream != r.stream {
			return nil, fmt.Errorf("the target's ledger stands on frame %d of stream %s, this stream is %s: the stream was made anew; restore it, or clean up and copy again", l.Seq, l.Stream, r.stream)
		}
		place := Place{Seq: l.Seq, Sum: l.Sum, Time: l.SourceTime}
		r.start = append(r.start, place)
		if l.Seq < r.low {
			r.low, r.place = l.Seq, place
		}
		r.high = max(r.high, l.Seq)
		lane := &lane{n: i, run: r, queue: newQueue(), place: place, held: map[*Table]uint64{}}
		lane.link = &link{target: a.target, trouble: func(err error) { a.inTrouble(i, err) }}
		r.lanes = append(r.lanes, lane)
	}
	if len(r.lanes) == 0 {
		return nil, errors.New("the target's ledger has no rows after the start of applying: this is a bug")
	}
	for _, h := range d.Held {
		t := r.tables[h.Source]
		if t == nil || h.Lane >= len(r.lanes) {
			return nil, fmt.Errorf("table %s is held in lane %d, which is not part of this migration's tables and lanes: put the table back into the configuration", h.Source, h.Lane)
		}
		r.lanes[h.Lane].held[t] = h.From
	}
	r.relane = len(r.lanes) != a.opts.Lanes && len(d.Held) == 0
	r.link = &link{target: a.target, trouble: func(err error) { a.inTrouble(AllLanes, err) }}
	if a.opts.Cascaded != nil && len(d.Cascaded) > 0 {
		a.opts.Cascaded(d.Cascaded)
	}
	a.state.started(d)
	a.inTrouble(AllLanes, nil)
	a.state.mu.Lock()
	a.state.queues = nil
	for _, l := range r.lanes {
		a.state.queues = append(a.state.queues, l.queue)
	}
	a.state.mu.Unlock()
	return r, nil
}

// inTrouble notes what a lane waits for, or that it waits no longer.
func (a *Applier) inTrouble(lane int, err error) {
	well := a.state.trouble(lane, err)
	switch {
	case err != nil:
		a.notify(Event{Kind: EventTrouble, Detail: err.Error()})
		a.opts.Logger.Warn("target does not answer, trying again", "lane", lane, "err", err)
	case well:
		a.notify(Event{Kind: EventMended})
	}
}

// loop reads and dispatches frames, and serves requests in between.
func (r *run) loop(ctx, work context.Context) error {
	if err := r.compare(ctx); err != nil {
		return err
	}
	if r.relane && r.low == r.high {
		return r.changeLanes(ctx)
	}
	after, sum := r.low, r.place.Sum
	if c := r.a.opts.Checkpoint; c != nil && !r.relane {
		if at := c(); at < after {
			after, sum = at, 0
		}
	}
	if after == 0 {
		sum = 0
	}
	r.place = Place{Seq: after, Sum: sum, Time: r.place.Time}
	r.chain = chain{stream: r.a.opts.Stream, seq: after, sum: sum}
	reader, err := r.a.log.Read(ctx, after, sum)
	if err != nil {
		return fmt.Errorf("read the stream after frame %d: %w", after, err)
	}
	frames := make(chan change.Frame, 4)
	failed := make(chan error, 1)
	readCtx, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			f, err := reader.Next(readCtx)
			if err != nil {
				failed <- err
				return
			}
			select {
			case frames <- f:
			case <-readCtx.Done():
				return
			}
		}
	}()
	defer func() {
		stop()
		<-done
		reader.Close()
	}()
	for {
		asks := r.a.asks
		if r.place.Seq < r.high || r.assemble.Pending() {
			asks = nil // the lanes cannot all stand on one frame yet
		}
		select {
		case f := <-frames:
			if err := r.frame(ctx, work, f); err != nil {
				return err
			}
			if r.relane && r.place.Seq == r.high {
				return r.atBarrier(ctx, func() error { return r.changeLanes(ctx) })
			}
		case q := <-asks:
			result, fatal := r.replay(ctx, work, q.source)
			q.done <- result
			if fatal != nil {
				return fatal
			}
		case err := <-failed:
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("read the stream after frame %d: %w", r.place.Seq, err)
		case <-ctx.Done():
			return nil
		}
	}
}

func (r *run) changeLanes(ctx context.Context) error {
	if err := r.a.target.Relane(ctx, r.token, r.a.opts.Lanes); err != nil {
		var lost *LostError
		if errors.As(err, &lost) {
			return errRelaned // the next run looks what became of it
		}
		return fmt.Errorf("change the number of lanes from %d to %d: %w", len(r.lanes), r.a.opts.Lanes, err)
	}
	r.a.notify(Event{Kind: EventRelaned, Seq: r.high, Detail: fmt.Sprintf("%d to %d lanes", len(r.lanes), r.a.opts.Lanes)})
	return errRelaned
}

// frame dispatches the next frame of the stream.
func (r *run) frame(ctx, work context.Context, f change.Frame) error {
	if err := r.chain.next(&f); err != nil {
		return err
	}
	whole, ok, err := r.assemble.Add(f)
	if err != nil || !ok {
		return err
	}
	for i, p := range r.start {
		if p.Seq == whole.Seq && p.Sum != whole.Sum {
			return fmt.Errorf("frame %d has checksum %016x, lane %d of the target stands on it with %016x: the stream was restored or made anew; restore it, or clean up and copy again", whole.Seq, whole.Sum, i, p.Sum)
		}
	}
	place := Place{Seq: whole.Seq, Sum: whole.Sum, Time: max(whole.Time, r.place.Time)}
	switch whole.Kind {
	case change.Changes, change.Chunk:
		err = r.changes(ctx, work, &whole, place)
	case change.Control:
		err = r.control(ctx, work, &whole, place)
	default:
		err = fmt.Errorf("frame %d: cannot apply a %s frame: run the version that wrote it", whole.Seq, whole.Kind)
	}
	if err != nil {
		return err
	}
	r.place = place
	r.a.state.mu.Lock()
	r.a.state.dispatched = place.Seq
	r.a.state.mu.Unlock()
	return nil
}

// shapeOf returns the shape with that id, and its table when it is a target shape.
func (r *run) shapeOf(id uint64) (*change.Table, error) {
	if s := r.shapes[id]; s != nil {
		return s.Table, nil
	}
	t, err := r.a.opts.Shapes(id)
	if err != nil {
		return nil, err
	}
	_, err = r.learn(id, t)
	return t, err
}

func (r *run) learn(id uint64, t *change.Table) (*shape, error) {
	s := &shape{Table: t}
	source := t.Source
	if source == "" { // the raw rows of refused changes
		source = t.String()
	}
	if s.table = r.tables[source]; s.table == nil {
		return nil, fmt.Errorf("a shape of table %s, which is not part of this migration: put the table back into the configuration", source)
	}
	for _, k := range t.Key {
		if isUUID(t, k) {
			s.uuids = append(s.uuids, k)
		}
	}
	r.shapes[id], r.known[t] = s, s
	return s, nil
}

// targetShape is the shape of a table's target as it is set up.
func (r *run) targetShape(t *Table) (*shape, error) {
	if s := r.known[t.Setup.Target]; s != nil {
		return s, nil
	}
	return r.learn(t.Setup.Target.ID(), t.Setup.Target)
}

// changes dispatches a frame of rows.
func (r *run) changes(ctx, work context.Context, f *change.Frame, place Place) error {
	fr, err := r.decode(f)
	if err != nil {
		return err
	}
	chunk := f.Kind == change.Chunk
	if r.a.opts.Observe != nil && !chunk && !r.relane {
		for i := range fr.changes {
			r.a.opts.Observe(f.Seq, &fr.changes[i])
		}
	}
	if f.Seq <= r.low {
		fr.refs.Store(1)
		fr.release()
		return nil
	}
	return r.dispatch(ctx, work, fr, place, chunk)
}

// dispatch gives the changes of a decoded frame to the lanes.
func (r *run) dispatch(ctx, work context.Context, fr *frame, place Place, chunk bool) error {
	for i := range fr.changes {
		t := fr.shapes[i].table
		if t.Strict && !t.Setup.Filtered && (chunk || fr.changes[i].Op == change.Copy) {
			if err := r.lenient(ctx, work, t); err != nil {
				return err
			}
		}
	}
	var refused []refusal
	r.routes = r.routes[:0]
	for i := range fr.changes {
		c, s := &fr.changes[i], fr.shapes[i]
		if c.Op == change.Refused {
			refused = append(refused, refusal{table: s.table, key: c.Table.KeyString(c.KeyRow()), reason: c.Err})
			continue
		}
		var err error
		if r.routes, err = r.route(r.routes, i, c, s); errors.Is(err, errBarrier) {
			return r.whole(ctx, work, fr, place)
		} else if err != nil {
			return err
		}
	}
	return r.hand(ctx, fr, place, r.routes, refused)
}

// hand puts the routed items of a frame into the queues. All lanes hear of the frame, and of refused rows: the lane of a row that could not
// be mapped is not known.
func (r *run) hand(ctx context.Context, fr *frame, place Place, routes []routed, refused []refusal) error {
	if err := r.pool.admit(ctx, fr); err != nil {
		return err
	}
	for len(fr.items) < len(r.lanes) {
		fr.items = append(fr.items, nil)
	}
	for _, o := range routes {
		fr.items[o.lane] = append(fr.items[o.lane], o.item)
	}
	fr.refs.Store(int32(len(r.lanes)) + 1)
	for i, l := range r.lanes {
		if r.start[i].Seq >= place.Seq {
			fr.release()
			continue
		}
		u := unit{seq: r.place.Seq + 1, place: place, items: fr.items[i], refused: refused}
		if len(u.items) > 0 {
			u.frame = fr
			u.size = fr.size * int64(len(u.items)) / int64(max(1, len(routes)))
			u.work = work(fr, u.items)
		} else {
			fr.release()
		}
		l.queue.push(u)
	}
	fr.release()
	return nil
}

// nothing tells all lanes to move past a frame.
func (r *run) nothing(place Place) {
	for i, l := range r.lanes {
		if r.start[i].Seq < place.Seq {
			l.queue.push(unit{seq: place.Seq, place: place})
		}
	}
}

// control acts on a control frame.
func (r *run) control(ctx, work context.Context, f *change.Frame, place Place) error {
	m, err := f.ReadControl()
	if err != nil {
		return err
	}
	if f.Seq <= r.low {
		return nil
	}
	switch m.Type {
	case change.Heartbeat:
		r.nothing(place)
		return nil
	case change.Progress:
		if r.start[0].Seq < place.Seq {
			r.lanes[0].queue.push(unit{seq: place.Seq, place: place, progress: []Progress{{Source: m.Table, Next: slices.Clone(m.Next), Seq: f.Seq, Rows: m.Rows, Done: m.Done}}})
		}
		for i, l := range r.lanes {
			if i > 0 && r.start[i].Seq < place.Seq {
				l.queue.push(unit{seq: place.Seq, place: place})
			}
		}
		return nil
	case change.Recopied:
		fr, err := r.recopied(ctx, work, &m, f)
		if err != nil {
			return err
		}
		return r.hand(ctx, fr, place, r.routes, nil)
	case change.Marker:
		return r.marker(ctx, work, &m, place)
	case change.Cleared:
		fr, err := r.cleared(&m, f.Seq)
		if err != nil {
			return err
		}
		return r.whole(ctx, work, fr, place)
	case change.Settled:
		return r.settle(ctx, work, &m, place)
	case change.Strict:
		return r.strict(ctx, work, &m, place)
	case change.Constraints:
		return r.constraints(ctx, work, place)
	default:
		return fmt.Errorf("frame %d: cannot apply control message %q: run the version that wrote it", f.Seq, m.Type)
	}
}

// recopied makes a frame of deletes out of the keys that are about to be read again, with their routes.
func (r *run) recopied(ctx, work context.Context, m *change.ControlMessage, f *change.Frame) (*frame, error) {
	t := r.tables[m.Table]
	if t == nil {
		return nil, fmt.Errorf("frame %d: rows of %s are read again, which is not part of this migration", f.Seq, m.Table)
	}
	if t.Strict && !t.Setup.Filtered {
		if err := r.lenient(ctx, work, t); err != nil {
			return nil, err
		}
	}
	if t.settled && t.cascadedInto() {
		if err := r.atBarrier(ctx, func() error { return r.freshen(work, t, m.Keys) }); err != nil {
			return nil, err
		}
	}
	return r.recopiedFrame(t, m, f.Seq)
}

func (r *run) recopiedFrame(t *Table, m *change.ControlMessage, seq uint64) (*frame, error) {
	target := t.Setup.Target
	s, err := r.targetShape(t)
	if err != nil {
		return nil, err
	}
	fr := r.pool.get()
	r.routes = r.routes[:0]
	for i, b := range m.Keys {
		key, err := change.ReadKey(b, len(target.Key))
		if err != nil {
			return nil, fmt.Errorf("frame %d: key of %s to be read again: %w", seq, m.Table, err)
		}
		row := fr.arena.Row(len(target.Columns))
		clear(row)
		for n, k := range target.Key {
			row[k] = key[n]
		}
		canonicalKey(row, s.uuids)
		fr.changes = append(fr.changes, change.Change{Table: target, Op: change.Delete, Before: row})
		fr.shapes = append(fr.shapes, s)
		fr.size += int64(40*len(row) + len(b) + 112)
		it := item{index: int32(i), part: recopied, hash: r.hash(target, row)}
		to := laneOf(it.hash, len(r.lanes))
		if t.OneLane {
			to = t.lane(len(r.lanes))
		}
		r.routes = append(r.routes, routed{to, it})
	}
	return fr, nil
}

// atBarrier runs f while every lane stands on the frame dispatched last and has committed it.
func (r *run) atBarrier(ctx context.Context, f func() error) error {
	b := &barrier{arrived: make(chan int), release: make(chan struct{})}
	for _, l := range r.lanes {
		l.queue.push(unit{seq: r.place.Seq, place: r.place, stop: b})
	}
	for range r.lanes {
		select {
		case <-b.arrived:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	for _, l := range r.lanes {
		if l.place.Seq != r.place.Seq {
			return fmt.Errorf("lane %d stands on frame %d at the barrier behind frame %d: the ledger rows of the target do not belong together", l.n, l.place.Seq, r.place.Seq)
		}
	}
	if err := f(); err != nil {
		return err
	}
	close(b.release)
	return nil
}

// moved tells the lanes where a barrier has brought their ledgers. They all wait.
func (r *run) moved(place Place) {
	for _, l := range r.lanes {
		l.place = place
		l.moved = time.Now()
	}
}

package capture

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
)

const (
	// FrameSize is where a frame is closed: large enough that one fsync serves thousands of rows, small enough to be taken in pieces by the lanes.
	FrameSize = 256 << 10
	// flushAfter is how long a complete transaction waits for company while an acknowledgement is outstanding: about one fsync.
	flushAfter = 3 * time.Millisecond
	// idleAfter bounds a wait for the next event, so that requests and the position are looked after on an idle source.
	idleAfter = 100 * time.Millisecond
	// positionEvery is how often the position alone is published while only other tables change.
	positionEvery = time.Second
)

// Config of a Publisher.
type Config struct {
	Tables []*catalog.Table // selected tables, in the versions in force at the start position
	MaxRow int64            // largest row, in bytes
	// Kept says up to which frame the source may forget what the stream holds durably; nil: up to the last.
	Kept   func() uint64
	Logger *slog.Logger
}

// Published says how far the stream has come.
type Published struct {
	Position string
	Seq      uint64
	Time     int64 // commit time on the source of the newest change, microseconds since 1970
	Flags    change.Flags
}

// Publisher turns the tail of the source into frames and lets the snapshot publish between them. It is the only writer of the stream.
type Publisher struct {
	cfg    Config
	source Source
	log    Log
	newMap func() Mapper

	// publishing is the hold: whoever has it may publish. The tail takes it for a frame, the snapshot for a proof, the reads under it, and their chunks. So no
	// change can come between the proof of what a read sees and the rows it gave.
	publishing sync.Mutex
	place      atomic.Pointer[Published] // written under publishing
	appending  sync.Mutex                // keeps the parts of a frame together
	storing    sync.Mutex
	stored     map[uint64]bool

	heard     atomic.Int64 // when the source was last heard of, unix microseconds
	waiting   atomic.Int64 // since when the tail waits for the source; 0: it works
	behind    atomic.Int64 // microseconds between the commit of the last event read and its reading
	urgent    atomic.Int32 // how many wait for the position to move
	boundary  boundary
	keyMoves  keyMoves
	rows      atomic.Int64
	committed atomic.Int64

	ended   chan struct{} // closed when Run ends: nothing is published any more
	abandon chan error    // see Abandon
}

// NewPublisher returns a publisher that goes on at start.
func NewPublisher(cfg Config, source Source, log Log, newMapper func() Mapper, start Start) *Publisher {
	p := &Publisher{cfg: cfg, source: source, log: log, newMap: newMapper, stored: map[uint64]bool{}, ended: make(chan struct{}), abandon: make(chan error, 1)}
	at := Published{Position: start.Position, Seq: start.Seq, Time: start.Time}
	if !start.Inside {
		at.Flags = change.TxEnd
	}
	p.place.Store(&at)
	p.keyMoves.floor = start.Seq
	p.boundary.inside = start.Inside
	return p
}

// Abandon ends Run with an error: what the stream now says can only be completed by a start that reads it again.
func (p *Publisher) Abandon(err error) {
	select {
	case p.abandon <- err:
	default: // it is ending
	}
}

// Published is the place of the last frame that moved the position.
func (p *Publisher) Published() Published { return *p.place.Load() }

// Heard is when the source last said anything, if only that nothing happened.
func (p *Publisher) Heard() time.Time { return time.UnixMicro(p.heard.Load()) }

// Rows is the number of row changes published since the start.
func (p *Publisher) Rows() int64 { return p.rows.Load() }

// CaughtUp reports whether the tail has published what the source had and waits for more.
func (p *Publisher) CaughtUp() bool {
	since := p.waiting.Load()
	return since != 0 && time.Now().UnixMicro()-since > 2000 || p.behind.Load() < 200_000
}

// Behind is how old the changes were that were read last; 0 while nothing waits to be read.
func (p *Publisher) Behind() time.Duration {
	if p.CaughtUp() {
		return 0
	}
	return time.Duration(p.behind.Load()) * time.Microsecond
}

// Run tails the source until ctx ends or something stops it. After an error a new publisher starts from what [Recover] finds in the stream: only the
// stream knows which of the last frames arrived.
func (p *Publisher) Run(ctx context.Context) error {
	defer close(p.ended)
	ctx, cancel := context.WithCancelCause(ctx)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer cancel(nil)
	watch.Go(func() {
		select {
		case err := <-p.abandon:
			cancel(err)
		case <-ctx.Done():
		}
	})
	from := p.Published().Position
	tail, err := p.source.Tail(ctx, from, p.cfg.Tables)
	if err != nil {
		return fmt.Errorf("read the source's log from %s: %w", short(from), err)
	}
	t := &tailing{Publisher: p, tail: tail, mapper: p.newMap(), newest: p.Published().Time, lastMove: time.Now()}
	err = t.run(ctx)
	if cerr := tail.Close(); err == nil {
		err = cerr
	}
	return err
}

// tailing is one run of the tail: what it has read and not yet published.
type tailing struct {
	*Publisher
	tail    Tail
	mapper  Mapper
	builder change.Builder

	markers  []Marker
	newest   int64       // commit time of the newest change in the builder
	moved    bool        // the position is past the last frame's
	unacked  []Published // frames that may not be durable yet, oldest first
	lastMove time.Time

	wait       context.Context // reused while its deadline fits
	cancelWait context.CancelFunc
	deadline   time.Time
}

func (t *tailing) run(ctx context.Context) error {
	defer func() {
		if t.cancelWait != nil {
			t.cancelWait()
		}
	}()
	for {
		ev, err := t.next(ctx)
		var stop *Stop
		switch {
		case ctx.Err() != nil: // also while the source has more to say
			return context.Cause(ctx)
		case err == nil:
			err = t.take(ctx, ev)
		case errors.Is(err, context.DeadlineExceeded):
			err = t.idle(ctx)
		case errors.As(err, &stop): // what stands before it is good, and is not held back by it
			err = errors.Join(err, t.idle(ctx))
		}
		if err != nil {
			return err
		}
	}
}

// next waits for an event, not longer than what is collected may wait.
func (t *tailing) next(ctx context.Context) (*Event, error) {
	want := idleAfter
	if t.builder.Len() > 0 {
		want = flushAfter
	}
	now := time.Now()
	if left := t.deadline.Sub(now); t.wait == nil || left < want/2 || left > 2*want {
		if t.cancelWait != nil {
			t.cancelWait()
		}
		t.deadline = now.Add(want)
		t.wait, t.cancelWait = context.WithDeadline(ctx, t.deadline)
	}
	t.waiting.Store(now.UnixMicro())
	ev, err := t.tail.Next(t.wait)
	t.waiting.Store(0)
	if err == nil {
		t.heard.Store(now.UnixMicro())
	}
	return ev, err
}

func (t *tailing) take(ctx context.Context, ev *Event) error {
	switch ev.Kind {
	case Alive:
		t.behind.Store(0)
		t.release()
		return t.idle(ctx)
	case Row, Truncate:
		t.boundary.enter()
		return t.row(ctx, ev)
	case MarkerEvent:
		return t.marker(ctx, ev)
	case Commit:
		t.moved = true
		t.committed.Add(1)
		t.behind.Store(time.Now().UnixMicro() - ev.Time)
		t.boundary.leave()
		return t.commit(ctx)
	default:
		return fmt.Errorf("source event of unknown kind %d", ev.Kind)
	}
}

func (t *tailing) row(ctx context.Context, ev *Event) error {
	out, err := t.mapper.Map(&ev.Change)
	if err != nil {
		return fmt.Errorf("transform a row of %s: %w", ev.Change.Table, err)
	}
	t.moved = true
	alone := false
	for i := range out {
		c := &out[i]
		before := t.builder.Size()
		if err := t.builder.Add(c); err != nil {
			return err
		}
		if err := t.tooLarge(c, t.builder.Size()-before, t.Published().Position); err != nil {
			return err
		}
		t.newest = max(t.newest, ev.Time)
		t.rows.Add(1)
		alone = alone || c.Op == change.Truncate || movesAbsent(c)
	}
	// A frame ends only behind all the changes of a source row: its position says that the row is in. One with a change that is a barrier
	// for the lanes ends at once.
	if !alone && t.builder.Size() < FrameSize {
		return nil
	}
	if err := t.flush(ctx, 0); err != nil {
		return err
	}
	for i := range out {
		if movesAbsent(&out[i]) {
			t.keyMoves.note(sourceOf(&out[i]), t.Published().Seq)
		}
	}
	return nil
}

// marker notes a marker, for the end of its transaction. What was collected before it is published now, with the place before it: who goes on there
// reads the marker again.
func (t *tailing) marker(ctx context.Context, ev *Event) error {
	if t.builder.Len() > 0 && len(t.markers) == 0 {
		if err := t.flushAt(ctx, t.flags(), ev.Before); err != nil {
			return err
		}
	}
	t.boundary.enter()
	t.moved = true
	t.markers = append(t.markers, ev.Marker)
	t.newest = max(t.newest, ev.Time)
	return nil
}

// flags of a frame that ends where the tail stands.
func (t *tailing) flags() change.Flags {
	if t.boundary.isInside() {
		return 0
	}
	return change.TxEnd
}

// tooLarge is the Stop of a row that the stream shall not carry.
func (p *Publisher) tooLarge(c *change.Change, size int, at string) error {
	if p.cfg.MaxRow <= 0 || int64(size) <= p.cfg.MaxRow {
		return nil
	}
	return &Stop{Position: at, Object: sourceOf(c),
		Reason: fmt.Sprintf("the row %s has %d bytes, more than stream.max_row (%d)", c.Table.KeyString(c.KeyRow()), size, p.cfg.MaxRow),
		Remedy: "raise stream.max_row and resume"}
}

// commit publishes what must not wait, at the end of a source transaction.
func (t *tailing) commit(ctx context.Context) error {
	if t.builder.Len() > 0 && (t.log.InFlight() == 0 || t.builder.Size() >= FrameSize || len(t.markers) > 0 || t.boundary.asked()) {
		if err := t.flush(ctx, change.TxEnd); err != nil {
			return err
		}
	}
	for _, m := range t.markers {
		msg := change.ControlMessage{Type: change.Marker, Epoch: m.Epoch, Detail: m.Kind}
		if _, err := t.control(ctx, msg); err != nil {
			return err
		}
	}
	t.markers = t.markers[:0]
	return t.settle(ctx)
}

// idle publishes what was collected when the source has nothing more to say for the moment. A place behind a marker is named only by the frames
// from the marker on: who goes on there would not read it again.
func (t *tailing) idle(ctx context.Context) error {
	if t.builder.Len() > 0 && len(t.markers) == 0 {
		if err := t.flush(ctx, t.flags()); err != nil {
			return err
		}
	}
	return t.settle(ctx)
}

// settle answers requests for a place between two transactions, and publishes the position when only it has moved.
func (t *tailing) settle(ctx context.Context) error {
	if t.boundary.isInside() || t.builder.Len() > 0 {
		return nil
	}
	for _, r := range t.boundary.take() {
		if !r.still() {
			r.done <- answer{}
			continue
		}
		seq, err := t.control(ctx, r.message)
		r.done <- answer{seq: seq, ok: err == nil, err: err}
		if err != nil {
			return err
		}
	}
	if t.moved && (t.urgent.Load() > 0 || time.Since(t.lastMove) >= positionEvery) {
		_, err := t.control(ctx, change.ControlMessage{Type: change.Heartbeat})
		return err
	}
	return nil
}

// flush publishes the collected changes.
func (t *tailing) flush(ctx context.Context, flags change.Flags) error {
	return t.flushAt(ctx, flags, t.tail.Place())
}

func (t *tailing) flushAt(ctx context.Context, flags change.Flags, after string) error {
	t.publishing.Lock()
	defer t.publishing.Unlock()
	last := t.Published()
	seq, err := t.publishRows(ctx, &t.builder, change.Changes, flags, change.Place{Before: last.Position, After: after, Time: t.newest}, nil)
	if err != nil {
		return err
	}
	t.advance(Published{Position: after, Seq: seq, Time: t.newest, Flags: flags})
	return nil
}

func (t *tailing) control(ctx context.Context, m change.ControlMessage) (uint64, error) {
	after := t.tail.Place()
	frame, err := change.NewControl(m, after, t.newest)
	if err != nil {
		return 0, err
	}
	t.publishing.Lock()
	defer t.publishing.Unlock()
	seq, err := t.append(ctx, [][]byte{frame})
	if err != nil {
		return 0, err
	}
	t.advance(Published{Position: after, Seq: seq, Time: t.newest, Flags: change.TxEnd})
	return seq, nil
}

func (t *tailing) advance(to Published) {
	t.place.Store(&to)
	t.unacked = append(t.unacked, to)
	t.release()
	t.moved = false
	t.lastMove = time.Now()
}

// release tells the source what it may forget: the position of the newest frame that is acknowledged. Frames of chunks are counted among those in flight,
// so it errs to the safe side.
func (t *tailing) release() {
	seq := t.Published().Seq // before what is in flight is asked for
	inFlight := uint64(t.log.InFlight())
	kept := seq
	if t.cfg.Kept != nil {
		kept = t.cfg.Kept()
	}
	n := 0
	for n < len(t.unacked) && t.unacked[n].Seq+inFlight <= seq && t.unacked[n].Seq <= kept {
		n++
	}
	if n > 0 {
		t.tail.Release(t.unacked[n-1].Position)
		t.unacked = append(t.unacked[:0], t.unacked[n:]...)
	}
}

// publishRows stores the shapes of the collected rows, which must outlive every frame that names them, and publishes the rows.
func (p *Publisher) publishRows(ctx context.Context, b *change.Builder, kind change.FrameKind, flags change.Flags, place change.Place, meta *change.ChunkMeta) (uint64, error) {
	for _, s := range b.Shapes() {
		if err := p.store(ctx, s); err != nil {
			return 0, err
		}
	}
	frames, err := b.Frames(kind, flags, place, meta)
	if err != nil {
		return 0, err
	}
	return p.append(ctx, frames)
}

func (p *Publisher) store(ctx context.Context, t *change.Table) error {
	p.storing.Lock()
	defer p.storing.Unlock()
	if p.stored[t.ID()] {
		return nil
	}
	b, err := t.Marshal()
	if err != nil {
		return err
	}
	if err := p.log.Put(ctx, ShapeKey(t.ID()), b); err != nil {
		return fmt.Errorf("store the shape of %s: %w", t, err)
	}
	p.stored[t.ID()] = true
	return nil
}

func (p *Publisher) append(ctx context.Context, frames [][]byte) (seq uint64, err error) {
	p.appending.Lock()
	defer p.appending.Unlock()
	for _, f := range frames {
		if seq, err = p.log.Append(ctx, f); err != nil {
			return 0, fmt.Errorf("publish a frame: %w", err)
		}
	}
	return seq, nil
}

// announce publishes a message that does not move the position. The caller has the hold.
func (p *Publisher) announce(ctx context.Context, m change.ControlMessage) (uint64, error) {
	at := p.Published()
	frame, err := change.NewControlAt(m, at.Flags, at.Position, at.Time)
	if err != nil {
		return 0, err
	}
	return p.append(ctx, [][]byte{frame})
}

// ShapeKey is the key under which the stream keeps a shape.
func ShapeKey(id uint64) string { return "shape." + change.ShapeName(id) }

// movesAbsent reports a key change whose new row cannot be built from the log.
func movesAbsent(c *change.Change) bool {
	if !c.KeyChanged() {
		return false
	}
	for _, v := range c.After {
		if v.Kind == change.Absent {
			return true
		}
	}
	return false
}

func sourceOf(c *change.Change) string {
	if c.Table.Source != "" {
		return c.Table.Source
	}
	return c.Table.String()
}

func short(position string) string {
	if len(position) > 200 {
		return position[:200] + "..."
	}
	return position
}

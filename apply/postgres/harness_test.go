package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/apply"
	"github.com/crossfade-io/crossfade/internal/change"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

func TestMain(m *testing.M) { testdb.Main(m) }

// events are those that the appliers of a world have told of.
type events struct {
	mu   sync.Mutex
	list []apply.Event
}

func (e *events) add(event apply.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, event)
}

// told reports whether there was an event of that kind with the words in it.
func (e *events) told(kind apply.EventKind, words string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.ContainsFunc(e.list, func(x apply.Event) bool { return x.Kind == kind && strings.Contains(x.Table+" "+x.Detail, words) })
}

// last is the kind of the newest event of those kinds.
func (e *events) last(kinds ...apply.EventKind) (kind apply.EventKind) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, x := range e.list {
		if slices.Contains(kinds, x.Kind) {
			kind = x.Kind
		}
	}
	return kind
}

// trips ends an applier as a crash does, at a transaction that it picks: the transaction is not sent, and nothing after it.
type trips struct {
	pick func(tx *apply.Tx) bool
	wait func() // before the crash
}

var errTrip = errors.New("the power has failed")

type tripTarget struct {
	apply.Target
	trips *trips
}

func (t *tripTarget) Session(ctx context.Context) (apply.Session, error) {
	s, err := t.Target.Session(ctx)
	if err != nil {
		return nil, err
	}
	return &tripSession{s, t.trips}, nil
}

type tripSession struct {
	apply.Session
	trips *trips
}

func (s *tripSession) Apply(ctx context.Context, tx *apply.Tx) error {
	if s.trips.pick(tx) {
		if s.trips.wait != nil {
			s.trips.wait()
		}
		return errTrip
	}
	return s.Session.Apply(ctx, tx)
}

// memoryLog is a sealed, chained log of real frames.
type memoryLog struct {
	mu     sync.Mutex
	id     change.StreamID
	frames [][]byte
	sums   []uint64
	shapes map[uint64]*change.Table
	grown  chan struct{}
	skip   uint64 // sequences that the next frames leave out
}

func newLog() *memoryLog {
	return &memoryLog{id: change.StreamID{1, 2, 3}, shapes: map[uint64]*change.Table{}, grown: make(chan struct{})}
}

func (l *memoryLog) append(t testing.TB, frames ...[]byte) uint64 {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range frames {
		prev := uint64(0)
		if n := len(l.sums); n > 0 {
			prev = l.sums[n-1]
		}
		sum, err := change.Seal(f, l.id, uint64(len(l.frames)+1)+l.skip, prev)
		if err != nil {
			t.Fatal(err)
		}
		l.frames, l.sums = append(l.frames, f), append(l.sums, sum)
	}
	close(l.grown)
	l.grown = make(chan struct{})
	return uint64(len(l.frames))
}

// upTo returns another log that is the same up to a frame.
func (l *memoryLog) upTo(seq int) *memoryLog {
	out := newLog()
	out.shapes = l.shapes
	out.frames, out.sums = append(out.frames, l.frames[:seq]...), append(out.sums, l.sums[:seq]...)
	return out
}

// add appends a frame of changes.
func (l *memoryLog) add(t testing.TB, changes ...change.Change) uint64 {
	t.Helper()
	return l.rows(t, change.Changes, nil, changes...)
}

func (l *memoryLog) rows(t testing.TB, kind change.FrameKind, meta *change.ChunkMeta, changes ...change.Change) uint64 {
	t.Helper()
	var b change.Builder
	for i := range changes {
		if err := b.Add(&changes[i]); err != nil {
			t.Fatal(err)
		}
	}
	l.mu.Lock()
	for _, s := range b.Shapes() {
		l.shapes[s.ID()] = s
	}
	l.mu.Unlock()
	frames, err := b.Frames(kind, change.TxEnd, change.Place{Time: time.Now().UnixMicro()}, meta)
	if err != nil {
		t.Fatal(err)
	}
	return l.append(t, frames...)
}

func (l *memoryLog) chunk(t testing.TB, table *change.Table, rows ...change.Row) uint64 {
	t.Helper()
	changes := make([]change.Change, len(rows))
	for i, r := range rows {
		changes[i] = change.Change{Table: table, Op: change.Copy, After: r}
	}
	return l.rows(t, change.Chunk, &change.ChunkMeta{Table: table.Source}, changes...)
}

func (l *memoryLog) control(t testing.TB, m change.ControlMessage) uint64 {
	t.Helper()
	b, err := change.NewControl(m, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	return l.append(t, b)
}

func (l *memoryLog) shape(id uint64) (*change.Table, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.shapes[id]; s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("unknown shape %x", id)
}

func (l *memoryLog) Read(_ context.Context, after, sum uint64) (apply.Reader, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if after > uint64(len(l.frames)) {
		return nil, fmt.Errorf("the log ends at %d", len(l.frames))
	}
	if after > 0 && sum != 0 && l.sums[after-1] != sum {
		return nil, errors.New("another checksum at the same place")
	}
	return &memoryReader{log: l, at: after}, nil
}

type memoryReader struct {
	log *memoryLog
	at  uint64
}

func (r *memoryReader) Next(ctx context.Context) (change.Frame, error) {
	for {
		r.log.mu.Lock()
		if r.at < uint64(len(r.log.frames)) {
			b := append([]byte(nil), r.log.frames[r.at]...)
			r.at++
			r.log.mu.Unlock()
			return change.Parse(b)
		}
		grown := r.log.grown
		r.log.mu.Unlock()
		select {
		case <-grown:
		case <-ctx.Done():
			return change.Frame{}, ctx.Err()
		}
	}
}

func (r *memoryReader) Close() error { return nil }

// world is a target with a log and an applier that can be started and stopped.
type world struct {
	t      testing.TB
	db     *testdb.PostgresDB
	target *Target
	log    *memoryLog
	opts   apply.Options
	trips  *trips // may be nil
	events *events

	applier *apply.Applier
	cancel  context.CancelFunc
	done    chan error
}

func newWorld(t testing.TB, major int, ddl string, tables ...apply.TableSetup) *world {
	t.Helper()
	return newWorldAt(t, testdb.Postgres(t, major).Database(t), "", ddl, tables...)
}

// newWorldAt is a world in a database, which the applier reaches by another URL if there is one.
func newWorldAt(t testing.TB, db *testdb.PostgresDB, url, ddl string, tables ...apply.TableSetup) *world {
	t.Helper()
	if ddl != "" {
		db.Exec(t, ddl)
	}
	if url == "" {
		url = db.URL()
	}
	target, err := Open(t.Context(), Config{URL: url, Migration: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(target.Close)
	if err := target.Setup(t.Context(), tables); err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, db: db, target: target, log: newLog(), events: new(events)}
	w.opts = apply.Options{Stream: w.log.id, Tables: tables, Lanes: 3, Shapes: w.log.shape, Notify: w.events.add}
	t.Cleanup(func() { w.stop() })
	return w
}

func (w *world) start() {
	w.t.Helper()
	var target apply.Target = w.target
	if w.trips != nil {
		target = &tripTarget{w.target, w.trips}
	}
	a, err := apply.New(target, w.log, w.opts)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	w.applier, w.cancel, w.done = a, cancel, done
	go func() { done <- a.Run(ctx) }()
}

// stop ends the applier and returns what Run returned.
func (w *world) stop() error {
	if w.cancel == nil {
		return nil
	}
	w.cancel()
	err := <-w.done
	w.cancel = nil
	return err
}

// applied waits until every lane stands on the last frame.
func (w *world) applied() {
	w.t.Helper()
	w.appliedTo(uint64(len(w.log.frames)))
}

func (w *world) appliedTo(seq uint64) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	if err := w.applier.Wait(ctx, seq); err != nil {
		w.t.Fatalf("wait for frame %d: %v; stats %+v", seq, err, w.applier.Stats())
	}
}

// fails waits until Run has ended with an error, and returns it.
func (w *world) fails() error {
	w.t.Helper()
	select {
	case err := <-w.done:
		w.cancel()
		w.cancel = nil
		if err == nil {
			w.t.Fatal("the applier ended without an error")
		}
		return err
	case <-time.After(60 * time.Second):
		w.t.Fatalf("the applier did not stop; stats %+v", w.applier.Stats())
		return nil
	}
}

// eventually polls until the condition holds.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	eventuallyIn(context.Background(), t, what, ok)
}

// eventuallyIn is for other goroutines than the test's: it gives up with the context.
func eventuallyIn(ctx context.Context, t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(60 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		case <-deadline:
			t.Errorf("not in time: %s", what)
			return
		}
	}
}

// text returns one value of one row as text.
func (w *world) text(query string) string {
	w.t.Helper()
	var out *string
	w.db.Get(w.t, query, &out)
	if out == nil {
		return "<null>"
	}
	return *out
}

func (w *world) expect(query, want string) {
	w.t.Helper()
	if got := w.text(query); got != want {
		w.t.Errorf("%s\n got %s\nwant %s", query, got, want)
	}
}

// itemTable is a table with a hashable key: public.items(id bigint, a int, b text).
func itemTable() *change.Table {
	return &change.Table{Schema: "public", Name: "items", Source: "shop.items", Key: []int{0}, Columns: []change.Column{
		{Name: "id", Type: "bigint", Kind: change.Int}, {Name: "a", Type: "integer", Kind: change.Int, Nullable: true},
		{Name: "b", Type: "character varying(20)", Kind: change.Text, Nullable: true}}}
}

const itemDDL = `CREATE TABLE items (id bigint PRIMARY KEY, a integer, b character varying(20))`

func item(id, a int64, b string) change.Row {
	return change.Row{change.NewInt(id), change.NewInt(a), change.NewText(b)}
}

func key(id int64) change.Row { return change.Row{change.NewInt(id), {}, {}} }

func ins(t *change.Table, row change.Row) change.Change {
	return change.Change{Table: t, Op: change.Insert, After: row}
}

func upd(t *change.Table, row change.Row) change.Change {
	return change.Change{Table: t, Op: change.Update, After: row}
}

func rekey(t *change.Table, old, row change.Row) change.Change {
	return change.Change{Table: t, Op: change.Update, Before: old, After: row}
}

func del(t *change.Table, old change.Row) change.Change {
	return change.Change{Table: t, Op: change.Delete, Before: old}
}

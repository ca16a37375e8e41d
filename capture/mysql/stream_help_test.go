package mysql

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sort"
	"sync"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/capture"
	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
	"github.com/crossfade-io/crossfade/internal/stream"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// captured is a database captured into a real stream, whose frames a model applies one by one by the rules of the design.
type captured struct {
	t      testing.TB
	d      *testdb.MySQLDB
	source *Source
	tables []*catalog.Table // as they were at the start
	from   string
	log    *stream.Log
	model  *model
	copied capture.SnapshotConfig // Parallel 0: the log only
	maxRow int64

	// What a test puts between: the source, the stream, the ledger and the mapping.
	wrapSource func(capture.Source) capture.Source
	wrapLog    func(capture.Log) capture.Log
	ledger     capture.Ledger
	mapper     func() capture.Mapper
}

// newCapture starts at the present position of the database.
func newCapture(t testing.TB, d *testdb.MySQLDB) *captured {
	t.Helper()
	c := &captured{t: t, d: d, source: scoped(t, d), mapper: func() capture.Mapper { return &plainMapper{} },
		copied: capture.SnapshotConfig{Parallel: 2, ChunkRows: 100}}
	c.source.cfg.Migration = d.Name
	c.tables = values(tables(t, d))
	sort.Slice(c.tables, func(i, j int) bool { return c.tables[i].Name < c.tables[j].Name })
	c.from = now(t, c.source)
	var err error
	c.log, err = stream.Open(t.Context(), stream.Config{Dir: filepath.Join(t.TempDir(), "stream"), Name: "test", MaxBytes: 4 << 30}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.log.Close(); err != nil {
			t.Error(err)
		}
	})
	c.model = newModel(t, c.log)
	c.ledger = c.model
	return c
}

// life is one start of capture.
type life struct {
	c         *captured
	publisher *capture.Publisher
	snapshot  *capture.Snapshot
	cancel    context.CancelFunc
	done      chan struct{}
	err       error // of the publisher, or of the snapshot before it
	strict    chan struct{}
}

// start begins or goes on where the stream says.
func (c *captured) start() *life {
	c.t.Helper()
	var source capture.Source = c.source
	if c.wrapSource != nil {
		source = c.wrapSource(source)
	}
	var log capture.Log = c.log
	if c.wrapLog != nil {
		log = c.wrapLog(log)
	}
	begin := c.recover()
	l := &life{c: c, done: make(chan struct{}), strict: make(chan struct{}),
		publisher: capture.NewPublisher(capture.Config{Tables: c.tables, MaxRow: c.maxRow, Logger: slog.New(slog.DiscardHandler)}, source, log, c.mapper, begin)}
	var ctx context.Context
	ctx, l.cancel = context.WithCancel(c.t.Context())
	var wg sync.WaitGroup
	var once sync.Once
	end := func(err error) { once.Do(func() { l.err = err; l.cancel() }) }
	wg.Go(func() { end(l.publisher.Run(ctx)) })
	if c.copied.Parallel > 0 {
		var err error
		if l.snapshot, err = capture.NewSnapshot(c.copied, l.publisher, c.ledger, c.tables, begin); err != nil {
			c.t.Fatal(err)
		}
		wg.Go(func() {
			if err := l.snapshot.Run(ctx); err != nil {
				end(err)
				return
			}
			close(l.strict)
		})
	}
	go func() {
		wg.Wait()
		close(l.done)
	}()
	c.t.Cleanup(func() { l.stop() })
	return l
}

// recover asks the stream where capture goes on.
func (c *captured) recover() capture.Start {
	c.t.Helper()
	eventually(c.t, "what was queued is acknowledged", func() bool { return c.log.InFlight() == 0 })
	last, any, err := c.log.Last(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	if !any {
		return capture.Start{Position: c.from}
	}
	r, err := c.log.Read(c.t.Context(), 0, 0)
	if err != nil {
		c.t.Fatal(err)
	}
	defer r.Close()
	s, err := capture.Recover(c.t.Context(), nil, r, 0, last)
	if err != nil {
		c.t.Fatal(err)
	}
	return s
}

func (l *life) stop() error {
	l.cancel()
	return l.ended()
}

// ended waits until it has ended by itself.
func (l *life) ended() error {
	l.c.t.Helper()
	select {
	case <-l.done:
	case <-time.After(time.Minute):
		l.c.t.Fatal("capture does not end")
	}
	return l.err
}

// wholly waits until all tables are strict.
func (l *life) wholly() {
	l.c.t.Helper()
	select {
	case <-l.strict:
	case <-l.done:
		l.c.t.Fatalf("capture ended: %v", l.err)
	case <-time.After(90 * time.Second):
		l.c.t.Fatalf("the tables do not become strict: %+v", l.snapshot.Progress())
	}
}

// reached waits until everything that is committed now is published and applied to the model.
func (l *life) reached() {
	l.c.t.Helper()
	ctx, cancel := context.WithTimeout(l.c.t.Context(), 90*time.Second)
	defer cancel()
	if err := l.publisher.WaitCovered(ctx, now(l.c.t, l.c.source)); err != nil {
		select {
		case <-l.done:
			err = l.err
		default:
		}
		l.c.t.Fatalf("the position is not reached: %v; published is %+v", err, l.publisher.Published())
	}
	l.c.model.wait(l.publisher.Published().Seq)
}

// plainMapper gives every row as it is, as an insert or a copy, to a table of the same shape.
type plainMapper struct {
	out  [1]change.Change
	keep func(*change.Change) bool // nil: all
	to   map[*change.Table]*change.Table
}

func (m *plainMapper) Map(src *change.Change) ([]change.Change, error) {
	if m.keep != nil && !m.keep(src) {
		return nil, nil
	}
	if m.to == nil {
		m.to = map[*change.Table]*change.Table{}
	}
	to := m.to[src.Table]
	if to == nil {
		to = &change.Table{Schema: "target", Name: src.Table.Name, Columns: src.Table.Columns, Key: src.Table.Key, Source: src.Table.String()}
		m.to[src.Table] = to
	}
	m.out[0] = *src
	m.out[0].Table = to
	return m.out[:], nil
}

// frameSeen is what the model keeps of a frame.
type frameSeen struct {
	seq      uint64
	kind     change.FrameKind
	flags    change.Flags
	position string
	control  change.ControlMessage
	rows     []string // op table key, in order
}

// model is a target that applies the frames of the stream in order, and the ledger of it.
type model struct {
	t       testing.TB
	log     *stream.Log
	mu      sync.Mutex
	applied uint64
	frames  []frameSeen
	tables  map[string]*modelTable // by source
	bad     []string
}

type modelTable struct {
	rows   map[string]change.Row
	recopy map[string]uint64 // target keys, with the frame that listed them
	strict bool
	width  int // columns of the key
}

func newModel(t testing.TB, log *stream.Log) *model {
	m := &model{t: t, log: log, tables: map[string]*modelTable{}}
	ctx, cancel := context.WithCancel(context.Background())
	r, err := log.Read(ctx, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { m.follow(ctx, r) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		r.Close()
		for _, b := range m.bad {
			t.Error(b)
		}
	})
	return m
}

func (m *model) follow(ctx context.Context, r *stream.Reader) {
	var assemble change.Assembler
	shapes := map[uint64]*change.Table{}
	shape := func(id uint64) (*change.Table, error) {
		if s := shapes[id]; s != nil {
			return s, nil
		}
		b, ok, err := m.log.Get(ctx, capture.ShapeKey(id))
		if err != nil || !ok {
			return nil, fmt.Errorf("shape %d: %t, %w", id, ok, err)
		}
		shapes[id], err = change.UnmarshalTable(b)
		return shapes[id], err
	}
	var arena change.Arena
	var changes []change.Change
	for {
		f, err := r.Next(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			var ok bool
			if f, ok, err = assemble.Add(f); err == nil && !ok {
				continue
			}
		}
		arena.Reset()
		changes = changes[:0]
		if err == nil && f.Kind != change.Control {
			changes, err = f.Decode(changes, &arena, shape)
		}
		m.mu.Lock()
		if err == nil {
			err = m.frame(&f, changes)
		}
		if err != nil {
			m.bad = append(m.bad, fmt.Sprintf("after frame %d: %v", m.applied, err))
			m.mu.Unlock()
			return
		}
		m.applied = f.Seq
		m.mu.Unlock()
	}
}

func (m *model) table(source string) *modelTable {
	t := m.tables[source]
	if t == nil {
		t = &modelTable{rows: map[string]change.Row{}, recopy: map[string]uint64{}}
		m.tables[source] = t
	}
	return t
}

func (m *model) frame(f *change.Frame, changes []change.Change) error {
	seen := frameSeen{seq: f.Seq, kind: f.Kind, flags: f.Flags, position: string(f.Position)}
	if f.Kind == change.Control {
		var err error
		if seen.control, err = f.ReadControl(); err != nil {
			return err
		}
		if err := m.control(&seen.control, f.Seq); err != nil {
			return err
		}
	}
	for i := range changes {
		c := &changes[i]
		seen.rows = append(seen.rows, fmt.Sprintf("%s %s %s", c.Op, c.Table.Name, c.Table.KeyString(c.KeyRow())))
		if err := m.table(c.Table.Source).apply(c, f.Seq); err != nil {
			return fmt.Errorf("frame %d: %s of %s %s: %w", f.Seq, c.Op, c.Table, c.Table.KeyString(c.KeyRow()), err)
		}
	}
	m.frames = append(m.frames, seen)
	return nil
}

func (m *model) control(c *change.ControlMessage, seq uint64) error {
	switch c.Type {
	case change.Recopied:
		t := m.table(c.Table)
		t.strict = false
		for _, k := range c.Keys {
			delete(t.rows, string(k))
			if at, ok := t.recopy[string(k)]; ok && at <= seq {
				delete(t.recopy, string(k))
			}
		}
	case change.Strict:
		t := m.table(c.Table)
		if len(t.recopy) > 0 {
			return fmt.Errorf("%s is strict while %d rows wait to be read again", c.Table, len(t.recopy))
		}
		t.strict = true
	}
	return nil
}

var errStrict = errors.New("in a strict table")

func (t *modelTable) apply(c *change.Change, seq uint64) error {
	t.width = len(c.Table.Key)
	name := func(r change.Row) string { return string(change.AppendKey(nil, c.Table.Key, r)) }
	put := func(r change.Row) error {
		for _, v := range r {
			if v.Kind == change.Absent {
				return fmt.Errorf("a row with an absent column is written: %s", write(r))
			}
		}
		t.rows[name(r)] = r.Clone()
		return nil
	}
	switch c.Op {
	case change.Insert:
		if _, ok := t.rows[name(c.After)]; ok && t.strict {
			return fmt.Errorf("%w the row exists", errStrict)
		}
		return put(c.After)
	case change.Copy:
		t.strict = false
		return put(c.After)
	case change.Delete:
		if _, ok := t.rows[name(c.Before)]; !ok && t.strict {
			return fmt.Errorf("%w there is no such row", errStrict)
		}
		delete(t.rows, name(c.Before))
		return nil
	case change.Truncate:
		clear(t.rows)
		return nil
	case change.Update:
		have, ok := t.rows[name(c.KeyRow())]
		if !ok && t.strict {
			return fmt.Errorf("%w there is no such row", errStrict)
		}
		if !c.KeyChanged() {
			if !ok {
				return nil
			}
			return put(overlay(have, c.After))
		}
		delete(t.rows, name(c.Before))
		switch {
		case t.strict:
			return put(overlay(have, c.After))
		case slices.ContainsFunc(c.After, func(v change.Value) bool { return v.Kind == change.Absent }):
			t.recopy[name(overlay(c.Before, c.After))] = seq
			return nil
		default:
			return put(c.After)
		}
	default:
		return fmt.Errorf("it is not known")
	}
}

// overlay is the newer row with what it lacks taken from the older.
func overlay(older, newer change.Row) change.Row {
	out := newer.Clone()
	for i := range out {
		if out[i].Kind == change.Absent {
			out[i] = older[i]
		}
	}
	return out
}

// Applied and Recopy make the model a ledger.
func (m *model) Applied(context.Context, string) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.applied, nil
}

func (m *model) Recopy(_ context.Context, source string) (list []capture.Recopy, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k := range m.table(source).recopy {
		key, err := change.ReadKey([]byte(k), m.table(source).width)
		if err != nil {
			return nil, err
		}
		list = append(list, capture.Recopy{Source: key.Clone(), Target: []byte(k)})
	}
	return list, nil
}

// wait waits until the model has applied a frame.
func (m *model) wait(seq uint64) {
	m.t.Helper()
	eventually(m.t, fmt.Sprintf("frame %d is applied", seq), func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		if len(m.bad) > 0 {
			m.t.Fatal(m.bad)
		}
		return m.applied >= seq
	})
}

// seen returns the frames so far.
func (m *model) seen() []frameSeen {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.frames)
}

// equals compares the model with what the source holds now, row by row.
func (c *captured) equals() {
	c.t.Helper()
	for _, t := range c.tables {
		want := map[string]change.Row{}
		for _, r := range readAll(c.t, c.source, t) {
			want[string(change.AppendKey(nil, t.Key, r))] = r
		}
		c.model.mu.Lock()
		have := c.model.table(t.String()).rows
		bad := 0
		complain := func(format string, args ...any) {
			if bad++; bad <= 5 {
				c.t.Errorf(format, args...)
			}
		}
		for k, r := range want {
			if h, ok := have[k]; !ok {
				complain("%s: row %s is lost", t.Name, write(r))
			} else if !bytes.Equal(rowBytes(h), rowBytes(r)) {
				complain("%s: row is %s, on the source %s", t.Name, write(h), write(r))
			}
		}
		for k, r := range have {
			if _, ok := want[k]; !ok {
				complain("%s: row %s is not on the source", t.Name, write(r))
			}
		}
		c.model.mu.Unlock()
		if bad > 5 {
			c.t.Errorf("%s: %d of %d rows differ", t.Name, bad, len(want))
		}
		if len(want) == 0 {
			c.t.Errorf("%s is empty: the test shows nothing", t.Name)
		}
	}
}

func rowBytes(r change.Row) (b []byte) {
	for _, v := range r {
		b = change.AppendValue(b, v)
	}
	return b
}

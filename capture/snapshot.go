package capture

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
)

// SnapshotConfig of a Snapshot.
type SnapshotConfig struct {
	Parallel  int // reads at a time
	ChunkRows int // rows of one read
	// Settle says of a source table whether whoever applies the stream has to know when no row of it is newer than the stream: one that cascades change.
	Settle func(table string) bool
	// After names the source tables that have to be strict before a table is copied: cascades reach it through them. May be nil.
	After func(table string) []string
}

// Snapshot copies the tables in chunks, as frames of the same stream, and then makes each table strict.
//
// The rule: a chunk's read must see every transaction already published. So a set of chunks is read and published while nobody else may publish,
// each read under a proof that its snapshot sees all that was published. There is no long-lived snapshot; a restart continues at the
// first chunk that is not known to be in the stream, and reading a chunk twice does no harm.
type Snapshot struct {
	cfg    SnapshotConfig
	pub    *Publisher
	ledger Ledger
	tables []*tableCopy
	paused atomic.Bool
}

// tableCopy is the copying of one table. Its fields are guarded by mu where others than the copying goroutine read them.
type tableCopy struct {
	table *catalog.Table
	next  change.Row // source key up to which all is planned
	end   bool       // planned to the end
	begun bool       // nothing has to be strict before it any more

	mu       sync.Mutex
	progress Progress
}

// chunk is one range of one table: after < key <= upTo.
type chunk struct {
	copy        *tableCopy
	after, upTo change.Row
	rows        int64
}

// NewSnapshot returns the copying of tables that goes on where start says.
func NewSnapshot(cfg SnapshotConfig, pub *Publisher, ledger Ledger, tables []*catalog.Table, start Start) (*Snapshot, error) {
	if cfg.Parallel < 1 || cfg.ChunkRows < 1 {
		return nil, fmt.Errorf("snapshot with %d reads of %d rows", cfg.Parallel, cfg.ChunkRows)
	}
	s := &Snapshot{cfg: cfg, pub: pub, ledger: ledger}
	for _, t := range tables {
		c := &tableCopy{table: t, progress: start.Tables[t.String()]}
		if c.progress.Next != nil {
			key, err := change.ReadKey(c.progress.Next, len(t.Key))
			if err != nil {
				return nil, fmt.Errorf("snapshot progress of %s: %w", t, err)
			}
			c.next = key.Clone()
		}
		c.end = c.progress.Done
		s.tables = append(s.tables, c)
	}
	return s, nil
}

// Progress is the state of one table's copy.
func (s *Snapshot) Progress() map[string]Progress {
	out := make(map[string]Progress, len(s.tables))
	for _, c := range s.tables {
		out[c.table.String()] = c.now()
	}
	return out
}

func (c *tableCopy) now() Progress {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.progress
}

// Throttle holds or releases the copying; changes go on.
func (s *Snapshot) Throttle(on bool) { s.paused.Store(on) }

// Run copies what is not copied and makes every table strict. It returns nil when all are.
func (s *Snapshot) Run(ctx context.Context) error {
	copied := make(chan *tableCopy, len(s.tables))
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(copied)
		return s.copyAll(ctx, copied)
	})
	g.Go(func() error {
		for c := range copied {
			if _, err := s.makeStrict(ctx, c); err != nil {
				return fmt.Errorf("finish the snapshot of %s: %w", c.table, err)
			}
		}
		return ctx.Err()
	})
	return g.Wait()
}

func (s *Snapshot) copyAll(ctx context.Context, copied chan<- *tableCopy) error {
	for _, c := range s.tables {
		if p := c.now(); p.Done && !p.Strict {
			copied <- c
		}
	}
	for {
		set, err := s.plan(ctx)
		if err != nil {
			return err
		}
		if len(set) == 0 {
			if !s.left() {
				return nil
			}
			if err := sleep(ctx, 20*time.Millisecond); err != nil { // others have to be strict first
				return err
			}
			continue
		}
		took, err := s.copySet(ctx, set)
		if err != nil {
			return err
		}
		for i, k := range set {
			if k.copy.progress.Done && (i == len(set)-1 || set[i+1].copy != k.copy) {
				copied <- k.copy
			}
		}
		if err := s.letTailCatchUp(ctx, took); err != nil {
			return err
		}
	}
}

// plan cuts the next ranges, as many as are read at a time. Only keys are looked at, so no proof is needed: any cut is right.
func (s *Snapshot) plan(ctx context.Context) ([]*chunk, error) {
	var set []*chunk
	for _, c := range s.tables {
		if ready, err := s.begin(ctx, c); err != nil {
			return nil, err
		} else if !ready {
			continue
		}
		for !c.end && len(set) < s.cfg.Parallel {
			key, last, err := s.pub.source.Bound(ctx, c.table, c.next, s.cfg.ChunkRows)
			if err != nil {
				return nil, fmt.Errorf("cut %s into chunks: %w", c.table, err)
			}
			k := &chunk{copy: c, after: c.next}
			if last {
				c.end = true
			} else {
				k.upTo = key.Clone()
				c.next = k.upTo
			}
			set = append(set, k)
		}
	}
	return set, nil
}

// left reports whether a table is not planned to its end.
func (s *Snapshot) left() bool {
	return slices.ContainsFunc(s.tables, func(c *tableCopy) bool { return !c.end })
}

// begin reports whether the table may be copied. One that has waited for others is cleared first: what the log has brought meanwhile is not exact, and all of it will be
// read.
func (s *Snapshot) begin(ctx context.Context, c *tableCopy) (ready bool, err error) {
	if c.begun || c.end || s.cfg.After == nil {
		return true, nil
	}
	first := s.cfg.After(c.table.String())
	for _, other := range s.tables {
		other.mu.Lock()
		strict := other.progress.Strict
		other.mu.Unlock()
		if !strict && slices.Contains(first, other.table.String()) {
			return false, nil
		}
	}
	if len(first) > 0 && c.next == nil {
		err := s.hold(ctx, func(string) error {
			_, err := s.pub.announce(ctx, change.ControlMessage{Type: change.Cleared, Table: c.table.String()})
			return err
		})
		if err != nil {
			return false, err
		}
	}
	c.begun = true
	return true, nil
}

// copySet reads and publishes one set of chunks under one hold. A proof that does not come gives up the hold and tries again.
func (s *Snapshot) copySet(ctx context.Context, set []*chunk) (took time.Duration, err error) {
	for {
		began := time.Now()
		err := s.hold(ctx, func(proof string) error {
			g, ctx := errgroup.WithContext(ctx)
			for _, k := range set {
				g.Go(func() error { return s.readChunk(ctx, proof, k) })
			}
			if err := g.Wait(); err != nil {
				return err
			}
			return s.publishProgress(ctx, set)
		})
		if err == nil || !errors.Is(err, ErrNotVisible) {
			return time.Since(began), err
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return 0, err
		}
		if err := s.letTailCatchUp(ctx, time.Since(began)); err != nil {
			return 0, err
		}
	}
}

// hold runs f while nobody else publishes.
func (s *Snapshot) hold(ctx context.Context, f func(proof string) error) error {
	for s.paused.Load() {
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	s.pub.publishing.Lock()
	defer s.pub.publishing.Unlock()
	return f(s.pub.Published().Position)
}

func (s *Snapshot) readChunk(ctx context.Context, proof string, k *chunk) error {
	w := s.newWriter(k.copy.table, false)
	k.rows = 0
	err := s.pub.source.ReadRange(ctx, proof, k.copy.table, k.after, k.upTo, func(row change.Row) error {
		k.rows++
		return w.add(ctx, row)
	})
	if err != nil {
		return fmt.Errorf("read a chunk of %s: %w", k.copy.table, err)
	}
	return w.flush(ctx)
}

// publishProgress says which chunks are in the stream. It stands behind their rows, under the same hold.
func (s *Snapshot) publishProgress(ctx context.Context, set []*chunk) error {
	for i, k := range set {
		c := k.copy
		c.mu.Lock()
		c.progress.Rows += k.rows
		c.progress.Done = k.upTo == nil
		if k.upTo != nil {
			c.progress.Next = change.AppendKey(nil, identity(len(k.upTo)), k.upTo)
		}
		p := c.progress
		c.mu.Unlock()
		if i < len(set)-1 && set[i+1].copy == c {
			continue
		}
		m := change.ControlMessage{Type: change.Progress, Table: c.table.String(), Next: p.Next, Rows: p.Rows, Done: p.Done}
		if _, err := s.pub.announce(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// letTailCatchUp gives the changes at least as much time as the chunks had, unless nothing waits.
func (s *Snapshot) letTailCatchUp(ctx context.Context, atMost time.Duration) error {
	end := time.Now().Add(atMost)
	for time.Now().Before(end) && !s.pub.CaughtUp() {
		if err := sleep(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// rowWriter puts snapshot rows into chunk frames.
type rowWriter struct {
	s       *Snapshot
	mapper  Mapper
	builder change.Builder
	meta    change.ChunkMeta
	source  change.Change
	seq     uint64
}

func (s *Snapshot) newWriter(t *catalog.Table, recopy bool) *rowWriter {
	return &rowWriter{s: s, mapper: s.pub.newMap(), meta: change.ChunkMeta{Table: t.String(), Recopy: recopy},
		source: change.Change{Table: t.Shape(), Op: change.Copy}}
}

func (w *rowWriter) add(ctx context.Context, row change.Row) error {
	w.source.After = row
	out, err := w.mapper.Map(&w.source)
	if err != nil {
		return err
	}
	for i := range out {
		before := w.builder.Size()
		if err := w.builder.Add(&out[i]); err != nil {
			return err
		}
		if err := w.s.pub.tooLarge(&out[i], w.builder.Size()-before, w.s.pub.Published().Position); err != nil {
			return err
		}
	}
	if !w.meta.Recopy && w.builder.Size() >= FrameSize {
		return w.flush(ctx)
	}
	return nil
}

func (w *rowWriter) flush(ctx context.Context) (err error) {
	if w.builder.Len() == 0 {
		return nil
	}
	at := w.s.pub.Published()
	place := change.Place{Before: at.Position, After: at.Position, Time: at.Time}
	w.seq, err = w.s.pub.publishRows(ctx, &w.builder, change.Chunk, at.Flags, place, &w.meta)
	return err
}

func identity(n int) []int {
	k := make([]int, n)
	for i := range k {
		k[i] = i
	}
	return k
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

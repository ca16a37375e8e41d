package verify

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/crossfade-io/crossfade/cutover/rounds"
	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
)

// Source reads rows of the source, in source shape, under a proof of visibility.
type Source interface {
	Position(ctx context.Context) (string, error)
	Bound(ctx context.Context, t *catalog.Table, after change.Row, n int) (key change.Row, last bool, err error)
	ReadRange(ctx context.Context, proof string, t *catalog.Table, after, upTo change.Row, emit func(change.Row) error) error
	ReadKeys(ctx context.Context, proof string, t *catalog.Table, keys []change.Row, emit func(change.Row) error) error
}

// Stream says what has been published and applied.
type Stream interface {
	// Published is the place of the last frame that capture published, and its sequence.
	Published() (position string, seq uint64)
	// WaitCovered returns when frames up to the position are published.
	WaitCovered(ctx context.Context, position string) error
	// WaitApplied returns when every lane of the target stands on the sequence or above.
	WaitApplied(ctx context.Context, seq uint64) error
}

// Target reads rows of the target, in target shape, in key order.
type Target interface {
	ReadRange(ctx context.Context, t *change.Table, after, upTo change.Row, emit func(change.Row) error) error
	ReadKeys(ctx context.Context, t *change.Table, keys []change.Row, emit func(change.Row) error) error
	// Count counts the rows of a table, and says at the same moment what the ledger has counted: inserts less deletes.
	Count(ctx context.Context, t *change.Table) (rows, net int64, err error)
	// Net is what the ledger has counted for every table, by source name.
	Net(ctx context.Context) (map[string]int64, error)
}

// Mapper turns source rows and keys into target rows and keys, and keys back. One goroutine uses a mapper.
type Mapper interface {
	Row(source change.Row) (row change.Row, ok bool, err error)
	// TargetKey and SourceKey take and give the key columns in key order.
	TargetKey(source change.Row) (change.Row, error)
	SourceKey(target change.Row) (change.Row, error)
	// Altered is how many values Row has altered so far, by the lossy rules of the mapping.
	Altered() []uint64
}

// Table is one table of the migration.
type Table struct {
	Source *catalog.Table
	Target *change.Table
	// Ordered: both sides order the key alike, so that a range of one is a range of the other.
	Ordered   bool
	NewMapper func() Mapper
}

// Store keeps the verifier's checkpoint in the target.
type Store interface {
	Load(ctx context.Context) (Checkpoint, bool, error)
	Save(ctx context.Context, c Checkpoint) error
}

// Config of a Verifier.
type Config struct {
	ChunkRows int           // rows compared at a time; default 20000
	Every     time.Duration // between background rounds of the touched keys; default 1 s
	FullEvery time.Duration // between full passes, 0: none by itself
	RetryFull time.Duration // between full passes of tables that have become unverified; default 10 s
	MaxKeys   int           // bound of the touched set; default 500000
	// Applied is the frame up to which everything is applied; nil: nothing changes rows that the stream does not name.
	Applied func() uint64
	// Doubtful says of a table that its rows may still change without a change in the log, so that a full pass which begins now does not make it verified; nil: of none.
	Doubtful func(source string) bool
	Logger   *slog.Logger
}

// Difference is a row that is not the same on both sides.
type Difference struct {
	Table   string   `json:"table"`             // schema.table of the source
	Key     string   `json:"key"`               // (id=7)
	Kind    string   `json:"kind"`              // missing (on the target), extra (on the target), differs
	Columns []string `json:"columns,omitempty"` // target columns that differ
	Since   int64    `json:"since"`             // unix seconds

	key []byte // target key, change.AppendKey form
}

// State is what status shows.
type State struct {
	State        string       `json:"state"` // idle, full, rounds
	RowsVerified int64        `json:"rows_verified"`
	RowsExpected int64        `json:"rows_expected,omitempty"`
	Differences  []Difference `json:"-"`
	TouchedKeys  int          `json:"touched_keys"`
	LastCleanAt  *time.Time   `json:"last_clean_at"`
	// Clean: a full pass ended without differences, nothing has become unverified since, and no difference is known.
	Clean  bool                  `json:"clean"`
	Rate   float64               `json:"-"` // keys compared per second in the last rounds
	Tables map[string]TableState `json:"-"`
}

// TableState is the last full pass of one table.
type TableState struct {
	Rows       int64  `json:"rows"` // rows compared in the last full pass
	SourceRows int64  `json:"source_rows"`
	TargetRows int64  `json:"target_rows"`
	Digest     string `json:"digest"` // sum modulo 2^128 of the canonical row hashes of the source
	Position   string `json:"position,omitempty"`
	Unverified bool   `json:"unverified,omitempty"` // must be compared in full again
	// Altered is how many values of the last full pass the lossy rules of the mapping altered, by rule.
	Altered []uint64 `json:"altered,omitempty"`
	// Base is the rows of the target less the net of the ledger, counted as the last full pass began; see kept.go. Nil: not counted.
	Base *int64 `json:"base,omitempty"`
}

// Verifier compares. Its methods may be called by several goroutines; passes and rounds run one at a time.
type Verifier struct {
	cfg    Config
	source Source
	stream Stream
	target Target
	store  Store
	tables map[string]*Table // by source name
	names  []string
	saves  sync.Mutex // of the checkpoint, one at a time

	touched   *touched
	running   turn // one pass or round at a time
	quiet     atomic.Bool
	forgotten atomic.Uint64

	mu        sync.Mutex
	state     State
	diffs     map[string]Difference // by table and key
	lastClean time.Time             // end of the last full pass of every table that ended clean, perhaps of an earlier process
	lastFull  time.Time             // and of the last one of this process, however it ended
	rate      float64
	rounds    rounds.Window    // in the background, also those that had nothing to compare
	counted   map[string]int64 // base as counted again by Recount, by source table
}

// New returns a verifier for the tables. Restore must be called before anything is observed.
func New(cfg Config, source Source, stream Stream, target Target, store Store, tables []*Table) *Verifier {
	if cfg.ChunkRows == 0 {
		cfg.ChunkRows = 20000
	}
	if cfg.Every == 0 {
		cfg.Every = time.Second
	}
	if cfg.RetryFull == 0 {
		cfg.RetryFull = 10 * time.Second
	}
	if cfg.MaxKeys == 0 {
		cfg.MaxKeys = 500_000
	}
	v := &Verifier{cfg: cfg, source: source, stream: stream, target: target, store: store, tables: map[string]*Table{},
		running: make(turn, 1),
		touched: newTouched(cfg.MaxKeys), diffs: map[string]Difference{}, counted: map[string]int64{}}
	v.state.State = "idle"
	v.state.Tables = map[string]TableState{}
	for _, t := range tables {
		v.tables[t.Source.String()] = t
		v.names = append(v.names, t.Source.String())
		v.state.Tables[t.Source.String()] = TableState{Unverified: true}
	}
	return v
}

// Observe takes note of a change that is about to be applied. It is called in stream order, before the change can reach the target.
func (v *Verifier) Observe(seq uint64, c *change.Change) { v.touched.observe(seq, c) }

// Cascaded takes note of a row that a cascade is about to change, or has changed in an earlier process; without a key of all rows of its table.
func (v *Verifier) Cascaded(table string, seq uint64, key []byte) {
	v.touched.cascaded(table, seq, key)
}

// Forget is the frame up to which rows that cascades have changed need not be told of again: they are in the checkpoint.
func (v *Verifier) Forget() uint64 {
	if !v.touched.isActive() {
		return math.MaxUint64
	}
	return v.forgotten.Load()
}

// Passed takes note that every change up to a frame has been observed, also when the last frames held none.
func (v *Verifier) Passed(seq uint64) { v.touched.passed(seq) }

// Quiet holds back full passes, which would keep the comparison under the fence waiting.
func (v *Verifier) Quiet(on bool) { v.quiet.Store(on) }

// State is what is known now.
func (v *Verifier) State() State {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := v.state
	s.TouchedKeys = v.touched.len()
	s.Rate = v.rate
	s.Tables = make(map[string]TableState, len(v.state.Tables))
	all := true
	for n, t := range v.state.Tables {
		t.Unverified = t.Unverified || t.Base == nil || v.touched.overflowed(n)
		all = all && !t.Unverified
		s.Tables[n] = t
	}
	for _, d := range v.diffs {
		s.Differences = append(s.Differences, d)
	}
	if !v.lastClean.IsZero() {
		t := v.lastClean
		s.LastCleanAt = &t
	}
	s.Clean = all && len(v.diffs) == 0
	return s
}

func (v *Verifier) set(f func(*State)) {
	v.mu.Lock()
	f(&v.state)
	v.mu.Unlock()
}

// Run does the background rounds, and full passes as configured, until ctx ends.
func (v *Verifier) Run(ctx context.Context) error {
	tick := time.NewTicker(v.cfg.Every)
	defer tick.Stop()
	var retry time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if !v.touched.isActive() {
			continue
		}
		err := v.background(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil { // the databases or the stream are away for the moment: the keys stay touched
			v.cfg.Logger.Warn("background verification is held up", "err", err)
		}
		if _, due := v.due(retry); due {
			_, _, err := v.full(ctx, func() ([]string, bool) { return v.due(retry) })
			if err != nil && ctx.Err() == nil {
				v.cfg.Logger.Warn("full verification is held up", "err", err)
			}
			retry = time.Now().Add(v.cfg.RetryFull)
		}
	}
}

// due says whether a full pass has to begin by itself, and of which tables; nil: of all. The first is not this one's business. When it has ended and found
// no difference, and is not clean all the same, for a table was emptied or more keys changed than are remembered, it is taken again: no cutover is possible before one
// was clean. Nor do tables that have become unverified since wait for the next. Neither is tried again before retry, for while a backlog lasts another pass ends
// no better.
func (v *Verifier) due(retry time.Time) (only []string, due bool) {
	s := v.State()
	v.mu.Lock()
	last := v.lastFull
	v.mu.Unlock()
	if s.LastCleanAt != nil && s.LastCleanAt.After(last) {
		last = *s.LastCleanAt
	}
	if v.quiet.Load() || v.cfg.FullEvery == 0 || last.IsZero() {
		return nil, false
	}
	if time.Since(last) > v.cfg.FullEvery {
		return nil, true
	}
	if s.LastCleanAt == nil && len(s.Differences) == 0 {
		return nil, time.Now().After(retry)
	}
	for _, n := range v.names {
		if s.Tables[n].Unverified {
			only = append(only, n)
		}
	}
	return only, len(only) > 0 && time.Now().After(retry)
}

// background is one round, and its checkpoint.
func (v *Verifier) background(ctx context.Context) error {
	if err := v.running.take(ctx); err != nil {
		return err
	}
	defer v.running.give()
	end := v.rounds.Begin()
	err := v.round(ctx)
	end(err == nil)
	if err != nil {
		return err
	}
	return v.save(ctx)
}

// turn is held by whoever compares.
type turn chan struct{}

func (t turn) take(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("another comparison runs: %w", context.Cause(ctx))
	}
}

func (t turn) give() { <-t }

// Floor is the highest sequence that may be purged: what stands above it rebuilds the touched set after a crash.
func (v *Verifier) Floor() (seq uint64, active bool) { return v.touched.floor() }

func (v *Verifier) table(name string) (*Table, error) {
	t, ok := v.tables[name]
	if !ok {
		return nil, fmt.Errorf("verify %s: no such table in this migration; known: %v", name, v.names)
	}
	return t, nil
}

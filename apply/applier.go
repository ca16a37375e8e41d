package apply

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/crossfade-io/crossfade/internal/change"
)

// Log is the stream that is applied. Read checks what it reads: stream, sequence and chain of checksums, that of frame after too when sum
// is not 0.
type Log interface {
	Read(ctx context.Context, after, sum uint64) (Reader, error)
}

// Reader returns frames in order. Their bytes belong to the caller.
type Reader interface {
	Next(ctx context.Context) (change.Frame, error)
	Close() error
}

// LogFunc makes a function a Log.
type LogFunc func(ctx context.Context, after, sum uint64) (Reader, error)

// Read calls f.
func (f LogFunc) Read(ctx context.Context, after, sum uint64) (Reader, error) {
	return f(ctx, after, sum)
}

// Options say what an Applier applies.
type Options struct {
	Stream change.StreamID
	Tables []TableSetup
	// ConstraintSQL is run at a constraints frame, when every table is strict: foreign keys. Every statement must do no harm when it is repeated.
	ConstraintSQL []string
	// Lanes is the number of connections; default 4. When the ledger says another number, that one is used until all lanes stand on one
	// frame, which takes a moment after the start.
	Lanes int
	// Shapes finds a shape by its id. Its tables are kept for ever.
	Shapes func(id uint64) (*change.Table, error)
	// Checkpoint, when set, is a frame behind which somebody needs to see all frames again: reading starts there when the ledgers are further,
	// and Floor is never above it.
	Checkpoint func() uint64
	// Observe, when set, is called for every row change of a Changes frame, in order, before it is applied, from the frame after Checkpoint on.
	// The change is valid during the call.
	Observe func(seq uint64, c *change.Change)
	// Cascaded, when set, is called for rows that cascades change, before that is committed, and at the start of Run for those of earlier runs up to which nothing is
	// forgotten. A Cascaded without a key stands for all rows of its table. Forget says up to which frame they are no longer needed.
	Cascaded func([]Cascaded)
	Forget   func() uint64
	// Remap, when set, gives a row that its transform refused another try during a replay: the changes that it is now, in target shape. They
	// must stay valid until the next call of Remap plus one target transaction: copy them.
	Remap func(c *change.Change) ([]change.Change, error)
	// Memory bounds the decoded frames in flight; default 32 MiB. One larger frame passes alone.
	Memory int64
	// MaxRow is the largest frame that is put together from parts; 0 means no limit.
	MaxRow int64
	Notify func(Event) // may be nil; must not block
	Logger *slog.Logger
}

// Applier brings a stream into a target. Its methods may be called from any goroutine.
type Applier struct {
	target Target
	log    Log
	opts   Options
	gate   gate
	asks   chan ask

	state stats
}

// New returns an applier. The target must have been set up for the tables.
func New(target Target, log Log, opts Options) (*Applier, error) {
	if opts.Lanes == 0 {
		opts.Lanes = 4
	}
	if opts.Lanes < 1 || opts.Lanes > 256 {
		return nil, fmt.Errorf("apply with %d lanes: set apply.lanes to 1 to 256", opts.Lanes)
	}
	if opts.Shapes == nil {
		return nil, errors.New("apply: no source of table shapes")
	}
	if opts.Memory == 0 {
		opts.Memory = 32 << 20
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	seen := map[string]bool{}
	for _, t := range opts.Tables {
		switch {
		case t.Target == nil || len(t.Target.Key) == 0:
			return nil, fmt.Errorf("apply table %s: it has no key on the target", t.Source)
		case t.Target.Source != t.Source:
			return nil, fmt.Errorf("apply table %s: its target shape says it comes from %q", t.Source, t.Target.Source)
		case seen[t.Source]:
			return nil, fmt.Errorf("apply table %s: it is there twice", t.Source)
		}
		seen[t.Source] = true
	}
	a := &Applier{target: target, log: log, opts: opts, asks: make(chan ask)}
	a.state.init()
	return a, nil
}

// errRelaned ends the first part of a run: the ledger now has the configured number of lanes.
var errRelaned = errors.New("lanes changed")

// stopGrace is how long a transaction under way may take to end when Run is told to stop.
const stopGrace = 5 * time.Second

// Run applies until ctx ends, which is no error, or until something happens that trying again does not cure. It may be called again.
func (a *Applier) Run(ctx context.Context) error {
	for {
		err := a.run(ctx)
		if errors.Is(err, errRelaned) {
			continue
		}
		if ctx.Err() != nil && (err == nil || errors.Is(err, context.Cause(ctx)) || errors.Is(err, context.Canceled)) {
			err = nil
		}
		a.state.stopped(err)
		return err
	}
}

func (a *Applier) run(ctx context.Context) error {
	r, err := a.prepare(ctx)
	if err != nil {
		return err
	}
	defer r.link.close()
	work, cancelWork := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelWork()
	group, ctx := errgroup.WithContext(ctx)
	stopWork := context.AfterFunc(ctx, func() { time.AfterFunc(stopGrace, cancelWork) })
	defer stopWork()
	for _, l := range r.lanes {
		group.Go(func() error { return l.loop(ctx, work) })
	}
	group.Go(func() error { return r.loop(ctx, work) })
	return group.Wait()
}

// prepare takes the token and reads what is durable.
func (a *Applier) prepare(ctx context.Context) (*run, error) {
	var d *Durable
	for attempt := 0; ; attempt++ {
		var err error
		if d, err = a.target.Start(ctx, a.opts.Lanes); err == nil {
			break
		}
		var lost *LostError
		if !errors.As(err, &lost) {
			return nil, fmt.Errorf("start applying: %w", err)
		}
		a.inTrouble(AllLanes, err)
		if err := pause(ctx, attempt); err != nil {
			return nil, err
		}
	}
	return newRun(a, d)
}

// Pause holds applying: transactions under way end, no new one begins. Resume lets it go on.
func (a *Applier) Pause()       { a.gate.close() }
func (a *Applier) Resume()      { a.gate.open() }
func (a *Applier) Paused() bool { return a.gate.closed() }

// gate is open or closed.
type gate struct {
	mu   sync.Mutex
	shut chan struct{} // nil when open; closed by open
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut == nil {
		g.shut = make(chan struct{})
	}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut != nil {
		close(g.shut)
		g.shut = nil
	}
}

func (g *gate) closed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.shut != nil
}

func (g *gate) wait(ctx context.Context) error {
	for {
		g.mu.Lock()
		shut := g.shut
		g.mu.Unlock()
		if shut == nil {
			return ctx.Err()
		}
		select {
		case <-shut:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

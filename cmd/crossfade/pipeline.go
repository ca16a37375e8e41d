package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/crossfade-io/crossfade/apply"
	"github.com/crossfade-io/crossfade/capture"
	"github.com/crossfade-io/crossfade/configs"
	"github.com/crossfade-io/crossfade/internal/change"
)

// runCapture reads the source into the stream, and copies what is not copied, until ctx ends.
func (f *flow) runCapture(ctx context.Context) error {
	return f.again(ctx, "source", func(ctx context.Context) error {
		if err := f.settleStream(ctx); err != nil {
			return err
		}
		start, err := f.start(ctx)
		if err != nil {
			return err
		}
		publisher := capture.NewPublisher(capture.Config{Tables: f.tables, MaxRow: int64(f.cfg.Stream.MaxRow), Kept: f.kept(), Logger: f.log},
			f.source, f.stream, f.mapper, start)
		snapshot, err := capture.NewSnapshot(capture.SnapshotConfig{Parallel: f.cfg.Snapshot.Parallel, ChunkRows: f.cfg.Snapshot.ChunkRows, Settle: f.plan.CascadedInto, After: f.plan.CopiedAfter},
			publisher, captureLedger{f}, f.tables, start)
		if err != nil {
			return err
		}
		f.progress.publisher.Store(publisher)
		f.progress.snapshot.Store(snapshot)
		f.links.up("source")
		f.log.Info("capture goes on", "position", start.Position, "frame", start.Seq)
		g, ctx := errgroup.WithContext(ctx)
		var ended error
		g.Go(func() error { ended = publisher.Run(ctx); return ended })
		g.Go(func() error { return snapshot.Run(ctx) })
		if err = g.Wait(); errors.Is(err, capture.ErrEnded) {
			return ended // which the snapshot has noticed first
		}
		return err
	})
}

// applied is the frame up to which everything is in the target.
func (f *flow) applied() uint64 {
	if a := f.applying.now(); a != nil {
		return a.Applied()
	}
	return 0
}

// kept says what the source may forget under `stream.release: applied`: what every lane of the target has.
func (f *flow) kept() func() uint64 {
	if f.cfg.Stream.Release != configs.ReleaseApplied {
		return nil
	}
	return func() uint64 {
		if f.applying.idle() { // nothing is applied in this direction: what is in the stream is all that will be
			return math.MaxUint64
		}
		if a := f.applying.now(); a != nil {
			return a.Floor()
		}
		return 0
	}
}

// settleStream waits until every frame that an earlier try has queued is acknowledged, also for as long as the stream is full: only then the last frame of
// the stream is the last one published, and nothing is published twice.
func (f *flow) settleStream(ctx context.Context) error {
	for {
		acked := f.stream.Acked()
		if f.stream.InFlight() == 0 {
			return nil
		}
		if err := f.stream.Wait(ctx, acked+1); err != nil {
			return err
		}
	}
}

// captureLedger is what capture asks of the target.
type captureLedger struct{ f *flow }

func (l captureLedger) Applied(_ context.Context, source string) (uint64, error) {
	a := l.f.applying.now()
	if a == nil {
		return 0, nil
	}
	return a.AppliedOf(source), nil
}

func (l captureLedger) Recopy(ctx context.Context, source string) ([]capture.Recopy, error) {
	keys, err := l.f.target.Recopy(ctx, source)
	if err != nil {
		return nil, err
	}
	raw := make([][]byte, 0, len(keys))
	for _, k := range keys {
		raw = append(raw, k.Key)
	}
	return l.f.recopies(source, raw)
}

// recopies finds the source keys of target keys.
func (f *flow) recopies(source string, keys [][]byte) ([]capture.Recopy, error) {
	t, err := f.planned(source)
	if err != nil {
		return nil, err
	}
	var out []capture.Recopy
	mapper := f.plan.Mapper()
	for _, k := range keys {
		target, err := change.ReadKey(k, len(t.Target.Key))
		if err != nil {
			return nil, fmt.Errorf("key to copy again of %s: %w", source, err)
		}
		sk, err := mapper.SourceKey(t, target)
		if err != nil {
			return nil, err
		}
		out = append(out, capture.Recopy{Source: sk.Clone(), Target: k})
	}
	return out, nil
}

// runApply applies the stream until ctx ends. A pause and a cutover stop the applier; each start takes a new token.
func (f *flow) runApply(ctx context.Context) error {
	defer f.applying.set(func(a *applying) { a.over = true })
	for ctx.Err() == nil {
		generation := f.applying.changed.now()
		if !f.applying.wanted() {
			if err := f.applying.changed.after(ctx, generation); err != nil {
				return nil
			}
			continue
		}
		err := f.again(ctx, "target", func(ctx context.Context) error {
			err := f.applyOnce(ctx)
			if err != nil && !f.applying.wanted() {
				return nil // it was told to stop
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

var errHalted = errors.New("the applier was told to stop")

func (f *flow) applyOnce(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	applier, err := f.newApplier(ctx)
	if err != nil {
		return err
	}
	if !f.applying.begin(applier, cancel) {
		return nil
	}
	defer f.applying.end()
	err = applier.Run(ctx)
	if errors.Is(err, apply.ErrOpen) { // until the attempt that leaves the side is settled
		return err
	}
	if err != nil {
		return &permanent{err} // Run mends what can be mended by itself
	}
	return nil
}

// permanent is an error that only a person can clear.
type permanent struct{ err error }

func (p *permanent) Error() string { return p.err.Error() }
func (p *permanent) Unwrap() error { return p.err }

// newApplier makes one that waits for a stream that does not answer until ctx ends.
func (f *flow) newApplier(ctx context.Context) (*apply.Applier, error) {
	o := apply.Options{
		Stream: f.stream.ID(), Tables: f.setups(), Lanes: f.cfg.Apply.Lanes, Shapes: func(id uint64) (*change.Table, error) { return f.shape(ctx, id) }, MaxRow: int64(f.cfg.Stream.MaxRow) + change.MaxFrame, Logger: f.log,
		Remap: remap(f.plan),
		Notify: func(e apply.Event) {
			f.log.Info("target", "event", string(e.Kind), "table", e.Table, "frame", e.Seq, "detail", e.Detail)
			switch e.Kind {
			case apply.EventTrouble:
				f.links.down("target", errors.New(e.Detail))
			case apply.EventMended:
				f.links.up("target")
			}
		},
	}
	if !f.filled() {
		o.ConstraintSQL = constraintSQL(f.plan, f.cfg.Target.Create)
	}
	if f.verifier != nil {
		f.verified(&o)
	}
	read := func(ctx context.Context, after, sum uint64) (apply.Reader, error) {
		return f.stream.Read(ctx, after, sum)
	}
	return apply.New(f.target, apply.LogFunc(read), o)
}

// verified has the verifier see what is applied.
func (f *flow) verified(o *apply.Options) {
	o.Observe, o.Forget = f.verifier.Observe, f.verifier.Forget
	o.Cascaded = func(list []apply.Cascaded) {
		for i := range list {
			f.verifier.Cascaded(list[i].Source, list[i].Seq, list[i].Key)
		}
	}
	o.Checkpoint = func() uint64 {
		if seq, active := f.verifier.Floor(); active {
			return seq
		}
		return math.MaxUint64
	}
}

// setups are the tables as the applier takes them.
func (f *flow) setups() []apply.TableSetup {
	if !f.filled() {
		return tableSetups(f.plan, f.cfg.Target.Create)
	}
	out := tableSetups(f.plan, false)
	for i := range out {
		out[i].Filled = true
	}
	return out
}

// shape finds a shape that frames name.
func (f *flow) shape(ctx context.Context, id uint64) (*change.Table, error) {
	b, ok, err := f.stream.Get(ctx, capture.ShapeKey(id))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("the stream does not hold the shape %s that its frames name: it is damaged; run `crossfade cleanup` and take a new snapshot", change.ShapeName(id))
	}
	return change.UnmarshalTable(b)
}

func (a *applying) now() *apply.Applier {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.applier
}

// idle: a cutover has ended its work.
func (a *applying) idle() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.halted
}

func (a *applying) wanted() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.halted && !a.paused
}

func (a *applying) begin(applier *apply.Applier, cancel context.CancelCauseFunc) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.halted || a.paused {
		return false
	}
	a.applier, a.cancel = applier, cancel
	return true
}

func (a *applying) end() {
	a.mu.Lock()
	a.cancel = nil
	a.mu.Unlock()
	a.changed.fire()
}

// set changes whether an applier is wanted, and ends the one that is not.
func (a *applying) set(f func(*applying)) {
	a.mu.Lock()
	f(a)
	if a.cancel != nil && (a.halted || a.paused) {
		a.cancel(errHalted)
	}
	a.mu.Unlock()
	a.changed.fire()
}

// stopped waits until no applier runs.
func (a *applying) stopped(ctx context.Context) error {
	for {
		generation := a.changed.now()
		a.mu.Lock()
		running := a.cancel != nil
		a.mu.Unlock()
		if !running {
			return nil
		}
		if err := a.changed.after(ctx, generation); err != nil {
			return err
		}
	}
}

// running waits until an applier runs and has its token.
func (a *applying) running(ctx context.Context) error {
	for {
		a.mu.Lock()
		applier, on, over := a.applier, a.cancel != nil, a.over
		a.mu.Unlock()
		if on && applier.Stats().Running {
			return nil
		}
		if over {
			return errors.New("start the applier: the daemon is being stopped")
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("start the applier: %w", context.Cause(ctx))
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// runPurge frees the stream of what nobody needs any more.
func (f *flow) runPurge(ctx context.Context) error {
	tick, look := time.NewTicker(2*time.Second), time.NewTicker(200*time.Millisecond)
	defer tick.Stop()
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
			f.look()
			continue
		case <-tick.C:
		}
		a := f.applying.now()
		if a == nil {
			continue
		}
		if f.verifier != nil {
			f.verifier.Passed(a.Stats().Dispatched)
		}
		floor := a.Floor()
		if floor == 0 {
			continue
		}
		if err := f.stream.Purge(ctx, floor); err != nil && ctx.Err() == nil {
			f.log.Warn("purge the stream", "upto", floor, "err", err)
		}
	}
}

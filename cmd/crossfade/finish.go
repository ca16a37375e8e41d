package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/crossfade-io/crossfade/apply"
	"github.com/crossfade-io/crossfade/cutover/protocol"
	"github.com/crossfade-io/crossfade/cutover/verify"
	"github.com/crossfade-io/crossfade/internal/change"
	"github.com/crossfade-io/crossfade/transform"
)

// runFinish does, once every table is strict, what needs whole tables: indexes, foreign keys, statistics; and then the first full verification.
func (m *migration) runFinish(ctx context.Context) error {
	return m.again(ctx, "finish", func(ctx context.Context) error {
		if err := m.waitStrict(ctx); err != nil {
			return err
		}
		var done bool
		if _, err := m.fact(ctx, factFinished, &done); err != nil {
			return err
		}
		if !done {
			if err := m.finishSchema(ctx); err != nil {
				return err
			}
			if err := m.remember(ctx, factFinished, true); err != nil {
				return err
			}
		}
		m.progress.finished.Store(true)
		return m.whileServes(ctx, protocol.Source, m.firstVerification)
	})
}

// waitStrict waits until the strict frame of every table has been applied.
func (m *migration) waitStrict(ctx context.Context) error {
	for {
		tables, err := m.target.Tables(ctx)
		if err != nil {
			return err
		}
		strict := 0
		for _, t := range tables {
			if t.Strict {
				strict++
			}
		}
		if strict == len(m.plan.Tables()) {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// finishSchema builds the rest of the target's schema. Indexes are built beside the stream; foreign keys at a barrier that ends a source transaction,
// because only there the target is a state that the source has had (S8).
func (m *migration) finishSchema(ctx context.Context) error {
	if m.cfg.Target.Create {
		for _, s := range m.plan.DDL(transform.After) {
			if s.Kind == transform.ForeignKeyStatement || s.Kind == transform.ValidateStatement || s.Kind == transform.UniqueStatement {
				continue // unique indexes were built when their table became strict
			}
			if err := m.execTarget(ctx, s); err != nil {
				return err
			}
		}
	}
	publisher := m.progress.publisher.Load()
	if publisher == nil {
		return errors.New("capture has not started yet")
	}
	seq, _, err := publisher.AtBoundary(ctx, change.ControlMessage{Type: change.Constraints}, func() bool { return true })
	if err != nil {
		return err
	}
	if err := m.waitApplied(ctx, seq); err != nil {
		return err
	}
	if err := m.machine.Setup(ctx); err != nil { // the gate also on tables made by hand
		return err
	}
	for _, t := range m.plan.Tables() {
		if err := m.target.Analyze(ctx, t.Target); err != nil {
			return err
		}
	}
	return nil
}

func (m *migration) execTarget(ctx context.Context, s transform.Statement) error {
	m.log.Info("target schema", "table", s.Table, "object", s.Object, "kind", string(s.Kind))
	err := m.target.Exec(ctx, s.SQL)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%s %s of %s on the target: %w; statement: %s", s.Kind, s.Object, s.Table, err, s.SQL)
	var lost *apply.LostError
	if errors.As(err, &lost) {
		return err
	}
	return &permanent{err} // the server has understood the statement, and will refuse it again
}

// firstVerification compares everything once after the tables are strict, unless an earlier start has done it.
func (f *flow) firstVerification(ctx context.Context) error {
	if !f.verifier.State().Clean {
		f.progress.checking.Store(true)
		defer f.progress.checking.Store(false)
		began := time.Now()
		r, ran, err := f.verifier.FullUnlessClean(ctx)
		for errors.Is(err, verify.ErrQuiet) { // a cutover is being tried, and will be refused
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(200 * time.Millisecond):
			}
			r, ran, err = f.verifier.FullUnlessClean(ctx)
		}
		if err != nil {
			return err
		}
		if ran {
			f.log.Info("first full verification", "rows", r.Rows, "differences", len(r.Differences), "took", time.Since(began).Round(time.Millisecond))
		}
	}
	f.progress.validated.Store(true)
	f.links.up("finish") // what an earlier try has met is over
	return nil
}

// waitApplied waits until every lane of whichever applier runs stands on the frame.
func (f *flow) waitApplied(ctx context.Context, seq uint64) error {
	for {
		if a := f.applying.now(); a != nil {
			err := a.Wait(ctx, seq)
			if err == nil || ctx.Err() != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

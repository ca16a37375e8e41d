package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/crossfade-io/crossfade/capture"
	"github.com/crossfade-io/crossfade/configs"
	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/cutover/verify"
)

// wire makes the verifier and the cutover over the open ends, and reads what they left behind.
func (m *migration) wire(ctx context.Context) error {
	if err := m.wireVerifier(ctx); err != nil {
		return err
	}
	var err error
	if m.guards, err = newGuards(m); err != nil {
		return err
	}
	g, err := openGates(ctx, m.cfg, &m.ends)
	if err != nil {
		return err
	}
	m.gates = g
	if m.machine, err = newMachine(m.cfg, g, m); err != nil {
		return err
	}
	if m.machineBack, err = newMachineBack(m.cfg, g, m); err != nil {
		return err
	}
	if err := m.machine.Setup(ctx); err != nil {
		return fmt.Errorf("set up the gates: %w", err)
	}
	var paused bool
	if _, err := m.fact(ctx, factPaused, &paused); err != nil {
		return err
	}
	if err := m.learnDecision(ctx); err != nil {
		return err
	}
	if err := m.guards.restore(ctx); err != nil {
		return err
	}
	target, err := g.target.Read(ctx)
	if err != nil {
		return err
	}
	// An open target takes no more from the applier, also while traffic is still to be moved; after a rollback it starts where that says.
	m.applying.set(func(a *applying) { a.paused, a.halted = paused, m.over() || target.Gate.Open || m.rolledBack() })
	return nil
}

func (f *flow) wireVerifier(ctx context.Context) error {
	if err := f.copied.Setup(ctx); err != nil {
		return err
	}
	f.verifier = f.newVerifier()
	_, _, err := f.verifier.Restore(ctx)
	return err
}

func (f *flow) newVerifier() *verify.Verifier {
	var tables []*verify.Table
	for _, t := range f.plan.Tables() {
		tables = append(tables, &verify.Table{Source: t.Source, Target: t.Target, Ordered: t.Ordered,
			NewMapper: func() verify.Mapper { return verifyMapper{f.plan.Mapper(), t} }})
	}
	return verify.New(verify.Config{ChunkRows: f.cfg.Snapshot.ChunkRows, FullEvery: f.cfg.Verify.Every, Applied: f.applied, Doubtful: f.doubtful, Logger: f.log}, f.source, streamView{f}, f.copied, f.copied, tables)
}

// streamView is the stream as the verifier sees it.
type streamView struct{ f *flow }

func (s streamView) Published() (string, uint64) {
	p := s.f.progress.publisher.Load()
	if p == nil {
		return "", 0
	}
	at := p.Published()
	return at.Position, at.Seq
}

func (s streamView) WaitCovered(ctx context.Context, position string) error {
	for {
		p := s.f.progress.publisher.Load()
		if p != nil {
			if err := p.WaitCovered(ctx, position); !errors.Is(err, capture.ErrEnded) {
				return err
			}
		}
		// A lost connection gives a publisher a successor, which goes on where it was.
		for s.f.progress.publisher.Load() == p {
			if err := s.f.failure(); err != nil {
				return err
			}
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
}

func (s streamView) WaitApplied(ctx context.Context, seq uint64) error {
	return s.f.waitApplied(ctx, seq)
}

// newMachine makes the cutover over the two gates. Without a running migration (m is nil) it can only report.
func newMachine(cfg *configs.Config, g *gates, m *migration) (*cutover.Machine, error) {
	cc, err := cutoverConfig(cfg, g)
	if err != nil {
		return nil, err
	}
	var stream cutover.Stream
	var verifier cutover.Verifier
	if m != nil {
		there := func() *flow { return &m.flow }
		stream, verifier, cc.Logger, cc.Notify = direction{m, there}, comparison{m, there}, m.log, m.cutoverStep
		if m.twoWay.Goes {
			cc.Reverse = wayBack{m, m.reverse.Load}
		} else {
			cc.NoWayBack = m.twoWay.Why
		}
	}
	return cutover.New(cc, g.source, g.target, stream, verifier)
}

// newMachineBack makes the rollback over the same gates.
func newMachineBack(cfg *configs.Config, g *gates, m *migration) (*cutover.Machine, error) {
	cc, err := cutoverConfig(cfg, g)
	if err != nil {
		return nil, err
	}
	cc.Back = true
	var stream cutover.Stream
	var verifier cutover.Verifier
	if m != nil {
		stream, verifier, cc.Logger, cc.Notify = direction{m, m.reverse.Load}, comparison{m, m.reverse.Load}, m.log, m.cutoverStep
		cc.Reverse = wayBack{m, func() *flow { return &m.flow }}
	}
	return cutover.New(cc, g.targetBack, g.sourceBack, stream, verifier)
}

func cutoverConfig(cfg *configs.Config, g *gates) (cutover.Config, error) {
	steps, err := switchSteps(cfg)
	return cutover.Config{Migration: databaseName(cfg.Name), Tables: g.tables, MaxLag: cfg.Cutover.MaxLag, MaxPause: cfg.Cutover.MaxPause, Timeout: cfg.Cutover.Timeout,
		Switch: steps, SourceURL: cfg.Source.URL.WithoutPassword(), TargetURL: cfg.Target.URL.WithoutPassword()}, err
}

// cutoverStep takes note of a step of an attempt.
func (m *migration) cutoverStep(s cutover.Status) {
	if s.Step == "" { // only a look at the gates
		return
	}
	m.log.Info("cutover", "attempt", s.Epoch, "step", s.Step)
	m.guards.step(s)
}

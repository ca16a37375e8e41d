package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/crossfade-io/crossfade/configs"
	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/cutover/gate"
	"github.com/crossfade-io/crossfade/cutover/protocol"
	"github.com/crossfade-io/crossfade/internal/change"
	"github.com/crossfade-io/crossfade/internal/control"
)

// gates are the two sides as the cutover sees them.
type gates struct {
	source leaver
	target enterer
	// and as a rollback sees them.
	sourceBack enterer
	targetBack leaver
	tables     []cutover.Table
	sequences  []cutover.Counter // that no column owns
}

func openGates(ctx context.Context, cfg *configs.Config, e *ends) (*gates, error) {
	g, err := newGates(ctx, cfg, e)
	if err != nil {
		return nil, err
	}
	if err := g.target.Ping(ctx); err != nil {
		return nil, errors.Join(err, g.source.Close())
	}
	return g, nil
}

// newGates connects to the source alone; the target is connected to when it is asked.
func newGates(ctx context.Context, cfg *configs.Config, e *ends) (*gates, error) {
	g := &gates{}
	for _, t := range e.plan.Tables() {
		ct := cutover.Table{Source: cutover.Name{Schema: t.Source.Schema, Table: t.Source.Name}, Target: cutover.Name{Schema: t.Target.Schema, Table: t.Target.Name}}
		ct.AutoIncrement, ct.Sequence = numbered(t)
		g.tables = append(g.tables, ct)
	}
	for _, s := range e.plan.Sequences() {
		g.sequences = append(g.sequences, cutover.Counter{Source: cutover.Name{Schema: s.Source.Schema, Table: s.Source.Name}, Target: cutover.Name(s.Target), Down: s.Source.Increment < 0})
	}
	if err := g.newTarget(cfg); err != nil {
		return nil, err
	}
	var err error
	if g.sourceBack, err = g.newSourceBack(cfg); err != nil {
		return nil, err
	}
	if g.targetBack, err = g.newTargetBack(cfg); err != nil {
		return nil, err
	}
	if cfg.Source.URL.Engine() == configs.Postgres {
		source, err := gate.OpenPostgres(ctx, g.postgres(cfg, protocol.Source, cfg.Source.URL, cfg.Source.ProbeURL))
		if err != nil {
			return nil, err
		}
		g.source = source
		return g, nil
	}
	sc, err := mysqlGate(cfg, protocol.Source, cfg.Source.URL, cfg.Source.ProbeURL, g.tables)
	if err != nil {
		return nil, err
	}
	source, err := gate.OpenMySQL(ctx, sc)
	if err != nil {
		return nil, err
	}
	g.source = source
	return g, nil
}

// newSourceBack is the source as a rollback sees it: the side that is entered.
func (g *gates) newSourceBack(cfg *configs.Config) (enterer, error) {
	if cfg.Source.URL.Engine() == configs.Postgres {
		c := g.postgres(cfg, protocol.Source, cfg.Source.URL, cfg.Source.ProbeURL)
		c.Back = true
		return gate.NewPostgres(c)
	}
	c, err := mysqlGate(cfg, protocol.Source, cfg.Source.URL, cfg.Source.ProbeURL, g.tables)
	if err != nil {
		return nil, err
	}
	c.Back = true
	return gate.NewMySQL(c)
}

// newTargetBack is the target as a rollback sees it: the side that is left.
func (g *gates) newTargetBack(cfg *configs.Config) (leaver, error) {
	if cfg.Target.URL.Engine() == configs.Postgres {
		c := g.postgres(cfg, protocol.Target, cfg.Target.URL, cfg.Target.ProbeURL)
		c.Back = true
		return gate.NewPostgres(c)
	}
	c, err := mysqlGate(cfg, protocol.Target, cfg.Target.URL, cfg.Target.ProbeURL, g.tables)
	if err != nil {
		return nil, err
	}
	c.Back = true
	return gate.NewMySQL(c)
}

func (g *gates) newTarget(cfg *configs.Config) error {
	if cfg.Target.URL.Engine() == configs.Postgres {
		target, err := gate.NewPostgres(g.postgres(cfg, protocol.Target, cfg.Target.URL, cfg.Target.ProbeURL))
		if err != nil {
			return err
		}
		g.target = target
		return nil
	}
	tc, err := mysqlGate(cfg, protocol.Target, cfg.Target.URL, cfg.Target.ProbeURL, g.tables)
	if err != nil {
		return err
	}
	target, err := gate.NewMySQL(tc)
	if err != nil {
		return err
	}
	g.target = target
	return nil
}

func mysqlGate(cfg *configs.Config, side protocol.Side, u, probe configs.URL, tables []cutover.Table) (out gate.MySQLConfig, err error) {
	login, err := mysqlLogin(u)
	if err != nil {
		return out, err
	}
	out = gate.MySQLConfig{Engine: change.Engine(u.Engine()), Migration: databaseName(cfg.Name), Login: *login, Tables: tables, Side: side}
	if !probe.IsZero() {
		out.Probe, err = mysqlLogin(probe)
	}
	return out, err
}

func (g *gates) postgres(cfg *configs.Config, side protocol.Side, u, probe configs.URL) gate.PostgresConfig {
	out := gate.PostgresConfig{Migration: databaseName(cfg.Name), URL: postgresURL(u), Tables: g.tables, Sequences: g.sequences, Side: side}
	if !probe.IsZero() {
		out.Probe = postgresURL(probe)
	}
	return out
}

func (g *gates) close() {
	_ = g.source.Close() // nothing hangs on how these connections end
	_ = g.target.Close()
	_ = g.sourceBack.Close()
	_ = g.targetBack.Close()
}

func mysqlLogin(u configs.URL) (*gate.Login, error) {
	tls, err := u.TLSConfig()
	if err != nil {
		return nil, &usageError{err}
	}
	return &gate.Login{Addr: u.Address(), User: u.User(), Password: u.Password().Reveal(), TLS: tls}, nil
}

// settle makes what stays of the gates when everything else of ours has gone: a seal on the side that was left by the newest decision, unless it is to be opened; nothing on the
// other. Without a record of an attempt a seal stays as it is, for it is then an earlier cleanup's. It says which side stays closed.
func (g *gates) settle(ctx context.Context, cfg *configs.Config, openOld bool) (closed protocol.Side, err error) {
	there, err := newMachine(cfg, g, nil)
	if err != nil {
		return "", err
	}
	back, err := newMachineBack(cfg, g, nil)
	if err != nil {
		return "", err
	}
	newest, err := reportOf(ctx, there, back, 0)
	switch {
	case errors.Is(err, cutover.ErrNothing) && !openOld:
		return "", nil
	case err != nil && !errors.Is(err, cutover.ErrNothing):
		return "", err
	case err == nil && newest.Verdict == cutover.VerdictRunning:
		return "", control.Fail(control.ExitRefused, errors.New("a cutover or a rollback is between its beginning and its decision"), "start the daemon, which settles it")
	}
	moved, err := decidedAt(ctx, there, cutover.VerdictCompleted)
	if err != nil {
		return "", err
	}
	movedBack, err := decidedAt(ctx, back, cutover.VerdictRolledBack)
	if err != nil {
		return "", err
	}
	sides := map[protocol.Side]leaver{protocol.Source: g.source, protocol.Target: g.targetBack}
	switch {
	case moved > movedBack:
		closed = protocol.Source
	case movedBack > 0:
		closed = protocol.Target
	}
	for _, side := range []protocol.Side{protocol.Source, protocol.Target} {
		if side == closed && !openOld {
			if err := sides[side].Seal(ctx, ""); err != nil {
				return "", fmt.Errorf("keep the old side closed: %w", err)
			}
		} else if side == protocol.Source || moved > 0 { // the target's is the business of remove while nobody has moved
			if err := sides[side].Unseal(ctx); err != nil {
				return "", fmt.Errorf("open the %s: %w", side, err)
			}
		}
	}
	return closed, nil
}

// remove takes the gates away, triggers before what they read.
func (g *gates) remove(ctx context.Context) error {
	if err := g.target.Remove(ctx); err != nil {
		return err
	}
	return g.source.Remove(ctx)
}

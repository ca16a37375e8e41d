package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/crossfade-io/crossfade/configs"
	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/internal/control"
)

// What the databases alone say, while no daemon runs.

func statusFromDatabases(ctx context.Context, cfg *configs.Config) (control.Status, error) {
	s := control.Status{Name: cfg.Name, State: "pending", Version: versionText(), At: time.Now().UTC()}
	text := "the daemon is not running; start it with `crossfade run`"
	s.Error = &text
	m := newMigration(cfg, quiet)
	defer m.close()
	if err := m.openDatabases(ctx); err != nil {
		return s, err
	}
	ledger, err := m.ledger(ctx)
	if err != nil || len(ledger) == 0 {
		return s, err
	}
	s.State = "running"
	s.Stream.Applied = lowest(ledger).Seq
	tables, err := m.target.Tables(ctx)
	if err != nil {
		return s, err
	}
	for _, t := range tables {
		row := control.TableStatus{Source: t.Source, Target: t.Target, State: "copying", RowsCopied: t.RowsCopied}
		s.Snapshot.TablesTotal++
		s.Snapshot.RowsDone += t.RowsCopied
		if t.Copied {
			row.State = "copied"
			s.Snapshot.TablesDone++
		}
		if t.Strict {
			row.State = "strict"
		}
		s.Tables = append(s.Tables, row)
	}
	held, err := m.target.Held(ctx)
	if err != nil {
		return s, err
	}
	for _, h := range held {
		s.Held = append(s.Held, control.HeldTable{Table: h.Source, FromSeq: h.From, Key: h.Key, Reason: h.Reason, Remedy: h.Remedy})
	}
	r, err := m.offlineReport(ctx, 0)
	switch {
	case errors.Is(err, cutover.ErrNothing):
	case err != nil:
		return s, err
	case r.Verdict == cutover.VerdictCompleted:
		s.State, s.Cutover.Epoch = "completed", r.Attempt
	default:
		s.Cutover.Epoch = r.Attempt
	}
	return s, nil
}

func reportFromDatabases(ctx context.Context, cfg *configs.Config, attempt int64, format string) ([]byte, error) {
	m := newMigration(cfg, quiet)
	defer m.close()
	if err := m.openDatabases(ctx); err != nil {
		return nil, err
	}
	r, err := m.offlineReport(ctx, attempt)
	if err != nil {
		return nil, cutoverError(err)
	}
	return renderReport(r, format)
}

// openDatabases opens the two ends and reads the mapping, without the stream.
func (m *migration) openDatabases(ctx context.Context) (err error) {
	if err := m.readMapping(ctx); err != nil {
		return err
	}
	if m.pool, err = openTarget(ctx, m.cfg.Target.URL); err != nil {
		return err
	}
	m.target, err = openApplyTarget(ctx, m.cfg, m.log)
	return err
}

func (m *migration) offlineReport(ctx context.Context, attempt int64) (cutover.Report, error) {
	g, err := openGates(ctx, m.cfg, &m.ends)
	if err != nil {
		return cutover.Report{}, err
	}
	defer g.close()
	machine, err := newMachine(m.cfg, g, nil)
	if err != nil {
		return cutover.Report{}, fmt.Errorf("read the report: %w", err)
	}
	return machine.Report(ctx, attempt)
}

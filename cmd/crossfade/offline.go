package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/crossfade-io/crossfade/configs"
	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/cutover/verify"
	"github.com/crossfade-io/crossfade/internal/control"
)

// What the databases alone say, while no daemon runs.

func statusFromDatabases(ctx context.Context, cfg *configs.Config) (control.Status, error) {
	s := pendingStatus(cfg)
	text := "the daemon is not running; start it with `crossfade run`"
	s.Error = &text
	m := newMigration(cfg, quiet)
	defer m.close()
	if err := m.openDatabases(ctx); err != nil {
		return s, fmt.Errorf("the daemon is not running, and the databases cannot be asked: %w", err)
	}
	ledger, err := m.target.Ledger(ctx)
	if err != nil || len(ledger) == 0 {
		return s, err
	}
	s.State = "running"
	s.Stream.Applied = lowest(ledger).Seq
	if err := m.offlineTables(ctx, &s); err != nil {
		return s, err
	}
	held, err := m.target.Held(ctx)
	if err != nil {
		return s, err
	}
	s.Held = heldStatus(held)
	r, err := m.offlineReport(ctx, 0)
	switch {
	case errors.Is(err, cutover.ErrNothing):
	case err != nil:
		return s, err
	case r.Verdict == cutover.VerdictCompleted:
		s.State, s.Cutover.Epoch, s.Error = "completed", r.Attempt, nil
	case r.Verdict == cutover.VerdictRolledBack:
		s.State, s.Cutover.Epoch = "rolled_back", r.Attempt
	default:
		s.Cutover.Epoch = r.Attempt
	}
	return s, nil
}

// offlineTables fills in what the target knows of the snapshot, of what was applied, and of the verification.
func (m *migration) offlineTables(ctx context.Context, s *control.Status) error {
	tables, err := m.target.Tables(ctx)
	if err != nil {
		return err
	}
	counts, err := m.target.Counts(ctx)
	if err != nil {
		return err
	}
	var verified verify.State
	begun, err := m.copied.Begun(ctx)
	if err != nil {
		return err
	}
	if begun {
		v := m.newVerifier()
		if _, _, err := v.Restore(ctx); err != nil {
			return err
		}
		verified = v.State()
	}
	s.Verify = verifyStatus(verified)
	for _, t := range tables {
		row := control.TableStatus{Source: t.Source, Target: t.Target, State: tableState(t.Copied, t.Strict), RowsCopied: t.RowsCopied, RowsVerified: verified.Tables[t.Source].Rows}
		for _, c := range counts {
			if c.Source == t.Source {
				row.Inserted, row.Updated, row.Deleted = c.Inserted, c.Updated, c.Deleted
			}
		}
		for _, d := range verified.Differences {
			if d.Table == t.Source {
				row.Differences++
			}
		}
		s.Snapshot.TablesTotal++
		s.Snapshot.RowsDone += t.RowsCopied
		if t.Copied {
			s.Snapshot.TablesDone++
		}
		s.Tables = append(s.Tables, row)
	}
	return nil
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
	readSamples(cfg.Dir(), &r)
	return renderReport(r, format)
}

// openDatabases opens the two ends and reads the mapping, without the stream.
func (m *migration) openDatabases(ctx context.Context) error {
	if err := m.readMapping(ctx); err != nil {
		return err
	}
	return m.openTarget(ctx)
}

func (m *migration) offlineReport(ctx context.Context, attempt int64) (cutover.Report, error) {
	g, err := openGates(ctx, m.cfg, &m.ends)
	if err != nil {
		return cutover.Report{}, err
	}
	defer g.close()
	there, err := newMachine(m.cfg, g, nil)
	if err != nil {
		return cutover.Report{}, fmt.Errorf("read the report: %w", err)
	}
	back, err := newMachineBack(m.cfg, g, nil)
	if err != nil {
		return cutover.Report{}, fmt.Errorf("read the report: %w", err)
	}
	return reportOf(ctx, there, back, attempt)
}

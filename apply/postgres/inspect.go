package postgres

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/crossfade-io/crossfade/apply"
	"github.com/crossfade-io/crossfade/internal/change"
)

// Ledger reads the ledger rows, by lane; none before the first start.
func (t *Target) Ledger(ctx context.Context) (rows []apply.LaneRow, err error) {
	err = t.do(ctx, "read the ledger", func(s *session) (err error) {
		there, err := s.query(ctx, "SELECT pg_catalog.to_regclass('crossfade.ledger') IS NOT NULL")
		if err != nil || string(there[0][0]) != "t" {
			return err
		}
		rows, err = s.Ledger(ctx)
		return err
	})
	return rows, err
}

// Markers returns the newest marker epoch of every lane, by lane.
func (t *Target) Markers(ctx context.Context) ([]int64, error) {
	rows, err := t.Ledger(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]int64, len(rows))
	for i, r := range rows {
		if r.Lane != i || r.Lanes != len(rows) {
			return nil, fmt.Errorf("the ledger has %d rows, and row %d says lane %d of %d: its rows were changed by somebody else", len(rows), i, r.Lane, r.Lanes)
		}
		out[i] = r.MarkerEpoch
	}
	return out, nil
}

// Tables reads what is durable about the migration's tables.
func (t *Target) Tables(ctx context.Context) (rows []apply.TableRow, err error) {
	err = t.do(ctx, "read the target", func(s *session) (err error) {
		rows, err = s.tables(ctx)
		return err
	})
	return rows, err
}

// Held reads which tables are held.
func (t *Target) Held(ctx context.Context) (rows []apply.Held, err error) {
	err = t.do(ctx, "read the target", func(s *session) (err error) {
		rows, err = s.held(ctx)
		return err
	})
	return rows, err
}

// Counts reads how many row changes were applied, by source table. From strict on, inserted minus deleted is the change of a table's row count.
func (t *Target) Counts(ctx context.Context) (rows []apply.Count, err error) {
	err = t.do(ctx, "read the target", func(s *session) (err error) {
		rows, err = s.counts(ctx)
		return err
	})
	return rows, err
}

// Recopy reads the keys of a source table whose rows have to be read again.
func (t *Target) Recopy(ctx context.Context, source string) ([]apply.RecopyKey, error) {
	var out []apply.RecopyKey
	err := t.do(ctx, "read the re-copy list of "+source, func(s *session) error {
		rows, err := s.query(ctx, `SELECT pg_catalog.encode(key, 'hex'), seq FROM crossfade.recopy WHERE migration = $1 AND side = $2 AND source_table = $3 ORDER BY seq, key`, t.migration, t.side, source)
		if err != nil {
			return err
		}
		out = make([]apply.RecopyKey, len(rows))
		for i, r := range rows {
			key, err := hex.DecodeString(string(r[0]))
			if err != nil {
				return err
			}
			seq, err := uint64Of(r[1])
			if err != nil {
				return err
			}
			out[i] = apply.RecopyKey{Source: source, Key: key, Seq: seq}
		}
		return nil
	})
	return out, err
}

// NotEmpty returns the target tables that hold rows.
func (t *Target) NotEmpty(ctx context.Context, tables []*change.Table) ([]*change.Table, error) {
	var out []*change.Table
	err := t.do(ctx, "look for rows in the target tables", func(s *session) error {
		out = nil
		for _, table := range tables {
			rows, err := s.query(ctx, "SELECT EXISTS (SELECT 1 FROM "+quoteTable(table)+")")
			if err != nil {
				return fmt.Errorf("%s: %w", table, err)
			}
			if string(rows[0][0]) == "t" {
				out = append(out, table)
			}
		}
		return nil
	})
	return out, err
}

// Truncate empties target tables, all in one statement, since they may refer to each other. It is refused when the migration's ledger has moved: what
// it says was applied would be gone.
func (t *Target) Truncate(ctx context.Context, tables []*change.Table) error {
	if len(tables) == 0 {
		return nil
	}
	return t.do(ctx, "empty the target tables", func(s *session) error {
		return s.inTransaction(ctx, func() error {
			rows, err := s.query(ctx, "SELECT pg_catalog.to_regclass('crossfade.ledger') IS NOT NULL")
			if err != nil {
				return err
			}
			if string(rows[0][0]) == "t" {
				lanes, err := s.Ledger(ctx)
				if err != nil {
					return err
				}
				for _, l := range lanes {
					if l.Seq > 0 {
						return fmt.Errorf("lane %d has applied frame %d already: clean up the migration first", l.Lane, l.Seq)
					}
				}
			}
			names := make([]string, len(tables))
			for i, table := range tables {
				names[i] = quoteTable(table)
			}
			_, err = s.exec(ctx, "TRUNCATE "+strings.Join(names, ", "))
			return err
		})
	})
}

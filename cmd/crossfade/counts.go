package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// factRows holds, for each source table, the rows of the target less the net of inserts and deletes that the ledger has counted. It does not change
// while a table is strict, so a row count under the fence is a sum over the ledger, whatever the size of the table (S6).
const factRows = "rows"

// countTables counts every table of the target once. Rows and counters are read in one snapshot, and change in one transaction.
func (m *migration) countTables(ctx context.Context) error {
	base := map[string]int64{}
	err := pgx.BeginTxFunc(ctx, m.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		net, err := m.netCounts(ctx, tx)
		if err != nil {
			return err
		}
		for _, t := range m.plan.Tables() {
			var n int64
			if err := tx.QueryRow(ctx, "SELECT count(*) FROM "+pgx.Identifier{t.Target.Schema, t.Target.Name}.Sanitize()).Scan(&n); err != nil {
				return fmt.Errorf("count the rows of %s: %w", t.Target, err)
			}
			base[t.Source.String()] = n - net[t.Source.String()]
		}
		return nil
	})
	if err != nil {
		return err
	}
	return m.remember(ctx, factRows, base)
}

type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// netCounts is inserts minus deletes by source table, over all lanes.
func (m *migration) netCounts(ctx context.Context, q querier) (map[string]int64, error) {
	rows, err := q.Query(ctx, "SELECT source_table, sum(inserted - deleted)::bigint FROM crossfade.counts WHERE migration = $1 AND side = 'target' GROUP BY 1",
		databaseName(m.cfg.Name))
	if err != nil {
		return nil, fmt.Errorf("read the counts of the ledger: %w", err)
	}
	net := map[string]int64{}
	var source string
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&source, &n}, func() error {
		net[source] = n
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the counts of the ledger: %w", err)
	}
	return net, nil
}

// keptRows is the number of rows of every table, kept since they were counted. The source has the rows of the target, but for the known differences: that
// is what the verification has proved.
func (m *migration) keptRows(ctx context.Context) (map[string]kept, error) {
	base := map[string]int64{}
	if _, err := m.fact(ctx, factRows, &base); err != nil {
		return nil, err
	}
	net, err := m.netCounts(ctx, m.pool)
	if err != nil {
		return nil, err
	}
	out := map[string]kept{}
	for source, n := range base {
		out[source] = kept{source: n + net[source], target: n + net[source]}
	}
	for _, d := range m.verifier.State().Differences {
		k := out[d.Table]
		switch d.Kind {
		case "missing":
			k.source++
		case "extra":
			k.source--
		}
		out[d.Table] = k
	}
	return out, nil
}

type kept struct{ source, target int64 }

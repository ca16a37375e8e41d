package catalog

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Sequence is a sequence of PostgreSQL that no column owns.
type Sequence struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
	// Text is schema.name as a default writes it.
	Text      string `json:"text"`
	Type      string `json:"type"`
	Start     int64  `json:"start"`
	Increment int64  `json:"increment"`
	Min       int64  `json:"min"`
	Max       int64  `json:"max"`
	Cache     int64  `json:"cache"`
	Cycle     bool   `json:"cycle,omitempty"`
	// Used: the default of a column takes numbers from it.
	Used bool `json:"used,omitempty"`
}

func (s *Sequence) String() string { return s.Schema + "." + s.Name }

// PostgresSequences reads the sequences that no column owns: all of the schemas of the tables, and wherever they are those that defaults of the tables use.
// The connection must not be inside a transaction.
func PostgresSequences(ctx context.Context, conn *pgx.Conn, tables []*Table) (out []Sequence, err error) {
	var schemas, names []string
	for _, t := range tables {
		schemas, names = append(schemas, t.Schema), append(names, t.Name)
	}
	err = pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL search_path = ''"); err != nil { // every name is written with its schema
			return err
		}
		rows, err := tx.Query(ctx, `SELECT * FROM (SELECT n.nspname, c.relname, c.oid::regclass::text AS text, format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle,
				EXISTS (SELECT 1 FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_attrdef a ON a.oid = d.objid
					JOIN pg_catalog.pg_class r ON r.oid = a.adrelid JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace
					WHERE d.classid = 'pg_catalog.pg_attrdef'::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = c.oid
						AND EXISTS (SELECT 1 FROM unnest($1::text[], $2::text[]) AS t(s, n) WHERE t.s = rn.nspname AND t.n = r.relname)) AS used
			FROM pg_catalog.pg_sequence s JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
			WHERE c.relpersistence <> 't' AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i', 'e'))) q
			WHERE q.used OR q.nspname = ANY($1) ORDER BY q.nspname, q.relname`, schemas, names)
		if err != nil {
			return err
		}
		out, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Sequence])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read sequences: %w", err)
	}
	return out, nil
}

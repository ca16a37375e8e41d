package catalog

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/crossfade-io/crossfade/internal/change"
)

// Postgres reads the tables that match says yes to, in one snapshot. Partitions are not returned, their root is; temporary and foreign tables are not.
// The connection must not be inside a transaction.
func Postgres(ctx context.Context, conn *pgx.Conn, match func(schema, table string) bool) ([]*Table, error) {
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, fmt.Errorf("read catalog: begin: %w", err)
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) // a read; nothing is lost by it
	r := pgReader{tx: tx, byOID: map[uint32]*pgTable{}}
	// Without a search path every name in a type, default or expression is written with its schema.
	if _, err := tx.Exec(ctx, "SET LOCAL search_path = ''"); err != nil {
		return nil, fmt.Errorf("read catalog: %w", err)
	}
	for _, step := range []struct {
		name string
		read func(context.Context) error
	}{
		{"tables", func(ctx context.Context) error { return r.readTables(ctx, match) }},
		{"columns", r.columns},
		{"indexes", r.indexes},
		{"constraints", r.constraints},
		{"triggers", r.triggers},
	} {
		if err := step.read(ctx); err != nil {
			return nil, fmt.Errorf("read catalog: %s: %w", step.name, err)
		}
	}
	tables := make([]*Table, len(r.tables))
	for i, t := range r.tables {
		if err := t.chooseKey(func(x *Index) bool { return x.Where == "" && !x.Deferrable && !x.Invalid }); err != nil {
			return nil, fmt.Errorf("read catalog: %s: %w", t, err)
		}
		tables[i] = t.Table
	}
	return tables, nil
}

type pgTable struct {
	*Table
	numbers map[int16]string // attnum to name
}

type pgReader struct {
	tx     pgx.Tx
	tables []*pgTable
	byOID  map[uint32]*pgTable
	oids   []uint32
}

func (r *pgReader) query(ctx context.Context, each func(pgx.Rows) error, stmt string, args ...any) error {
	rows, err := r.tx.Query(ctx, stmt, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (r *pgReader) readTables(ctx context.Context, match func(schema, table string) bool) error {
	type found struct {
		t   *pgTable
		oid uint32
	}
	var all []found
	err := r.query(ctx, func(rows pgx.Rows) error {
		t := &pgTable{Table: &Table{Engine: change.Postgres}, numbers: map[int16]string{}}
		var oid uint32
		if err := rows.Scan(&oid, &t.Schema, &t.Name, &t.Storage, &t.Partitioned, &t.Unlogged, &t.Comment); err != nil {
			return err
		}
		if match(t.Schema, t.Name) {
			all = append(all, found{t, oid})
		}
		return nil
	}, `SELECT c.oid, n.nspname, c.relname, coalesce(a.amname, ''), c.relkind = 'p', c.relpersistence = 'u', coalesce(obj_description(c.oid, 'pg_class'), '')
		FROM pg_catalog.pg_class c
		JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		LEFT JOIN pg_catalog.pg_am a ON a.oid = c.relam
		WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
			AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
		ORDER BY n.nspname, c.relname`)
	if err != nil {
		return err
	}
	for _, f := range all {
		r.tables = append(r.tables, f.t)
		r.byOID[f.oid] = f.t
		r.oids = append(r.oids, f.oid)
	}
	// The leaves of a partitioned table hold its rows. A table never analyzed has -1; so has a tree with such a leaf.
	return r.query(ctx, func(rows pgx.Rows) error {
		var oid uint32
		var n, bytes int64
		if err := rows.Scan(&oid, &n, &bytes); err != nil {
			return err
		}
		r.byOID[oid].RowsEstimate, r.byOID[oid].Bytes = n, bytes
		return nil
	}, `SELECT root, CASE WHEN bool_or(c.reltuples < 0) THEN -1 ELSE coalesce(sum(c.reltuples), 0) END::bigint, coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint
		FROM unnest($1::oid[]) AS root
		LEFT JOIN LATERAL (
			SELECT x.oid, x.reltuples FROM pg_catalog.pg_class x WHERE x.oid = root AND x.relkind = 'r'
			UNION
			SELECT x.oid, x.reltuples FROM pg_partition_tree(root) p JOIN pg_catalog.pg_class x ON x.oid = p.relid WHERE p.isleaf AND x.relkind = 'r'
		) c ON true
		GROUP BY root`, r.oids)
}

func (r *pgReader) columns(ctx context.Context) error {
	return r.query(ctx, func(rows pgx.Rows) error {
		var oid uint32
		var number int16
		var c Column
		var mod int32
		var generated, identity string
		var labels []string
		var domain Domain
		if err := rows.Scan(&oid, &number, &c.Name, &c.Type.Name, &c.Type.Full, &mod, &c.Nullable, &c.Default, &generated, &identity,
			&c.Sequence, &c.Type.Collation, &labels, &c.Comment, &domain.Base, &domain.NotNull, &domain.Default, &domain.Checks); err != nil {
			return err
		}
		if domain.Base != "" {
			c.Type.Domain = &domain
		}
		t := r.byOID[oid]
		c.Type.Labels = labels
		c.Type.modifiers(mod)
		switch generated {
		case "":
		case "s", "v":
			if c.Default == nil {
				return fmt.Errorf("%s.%s is generated, but has no expression", t, c.Name)
			}
			c.Generated, c.GeneratedStored, c.Default = *c.Default, generated == "s", nil
		default:
			return fmt.Errorf("%s.%s: unknown kind of generated column %q", t, c.Name, generated)
		}
		switch identity {
		case "":
		case "a":
			c.Identity = "always"
		case "d":
			c.Identity = "by default"
		default:
			return fmt.Errorf("%s.%s: unknown kind of identity %q", t, c.Name, identity)
		}
		c.DefaultIsExpr = c.Default != nil
		c.AutoIncrement = c.Sequence != ""
		t.numbers[number] = c.Name
		t.Columns = append(t.Columns, c)
		return nil
	}, `SELECT a.attrelid, a.attnum, a.attname, format_type(a.atttypid, NULL), format_type(a.atttypid, a.atttypmod), a.atttypmod,
			NOT (a.attnotnull OR t.typnotnull), pg_get_expr(d.adbin, d.adrelid), a.attgenerated::text, a.attidentity::text,
			coalesce(pg_get_serial_sequence(quote_ident(n.nspname) || '.' || quote_ident(r.relname), a.attname), ''),
			CASE WHEN a.attcollation = t.typcollation THEN '' ELSE coalesce(l.collname, '') END,
			ARRAY(SELECT e.enumlabel::text FROM pg_catalog.pg_enum e WHERE e.enumtypid = a.atttypid ORDER BY e.enumsortorder),
			coalesce(col_description(a.attrelid, a.attnum), ''),
			CASE t.typtype WHEN 'd' THEN format_type(t.typbasetype, t.typtypmod) ELSE '' END, t.typnotnull, coalesce(t.typdefault, ''),
			ARRAY(SELECT pg_get_constraintdef(o.oid) FROM pg_catalog.pg_constraint o WHERE o.contypid = t.oid AND o.contype = 'c' ORDER BY o.conname)
		FROM pg_catalog.pg_attribute a
		JOIN pg_catalog.pg_class r ON r.oid = a.attrelid
		JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
		JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
		LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
		LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation
		WHERE a.attrelid = ANY($1) AND a.attnum > 0 AND NOT a.attisdropped
		ORDER BY a.attrelid, a.attnum`, r.oids)
}

// modifiers reads the type modifier of a PostgreSQL type.
func (t *Type) modifiers(mod int32) {
	switch t.Name {
	case "numeric":
		if mod >= 4 {
			mod -= 4
			t.Precision = int(mod >> 16 & 0xffff)
			t.Scale = int(mod&0x7ff^1024) - 1024 // 11 bits with a sign
		}
	case "character", "character varying":
		if mod >= 4 {
			t.Length = int(mod - 4)
		}
	case "bit", "bit varying":
		if mod >= 0 {
			t.Length = int(mod)
		}
	case "timestamp without time zone", "timestamp with time zone", "time without time zone", "time with time zone":
		if t.Fraction = 6; mod >= 0 {
			t.Fraction = int(mod)
		}
	case "interval":
		if t.Fraction = 6; mod >= 0 && mod&0xffff != 0xffff {
			t.Fraction = int(mod & 0xffff)
		}
	}
}

func (r *pgReader) indexes(ctx context.Context) error {
	return r.query(ctx, func(rows pgx.Rows) error {
		var oid uint32
		var x Index
		var immediate, valid bool
		var names, exprs []string
		var options []int16
		if err := rows.Scan(&oid, &x.Name, &x.Unique, &x.Primary, &x.Exclusion, &immediate, &valid, &x.Method, &x.Where, &x.Def, &names, &exprs, &options); err != nil {
			return err
		}
		_, x.Def, _ = strings.Cut(x.Def, " USING ")
		x.Visible, x.Invalid, x.Deferrable = true, !valid, x.Unique && !immediate
		for i, name := range names {
			part := IndexColumn{Name: name, Desc: options[i]&1 != 0}
			if name == "" {
				part.Expr = exprs[i]
			}
			x.Columns = append(x.Columns, part)
		}
		t := r.byOID[oid]
		t.Indexes = append(t.Indexes, x)
		return nil
	}, `SELECT i.indrelid, c.relname, i.indisunique, i.indisprimary, i.indisexclusion, i.indimmediate, i.indisvalid, m.amname, coalesce(pg_get_expr(i.indpred, i.indrelid), ''), pg_get_indexdef(i.indexrelid),
			ARRAY(SELECT coalesce(a.attname::text, '') FROM generate_series(0, i.indnkeyatts - 1) AS k
				LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k] AND a.attnum <> 0 ORDER BY k),
			ARRAY(SELECT pg_get_indexdef(i.indexrelid, k, true) FROM generate_series(1, i.indnkeyatts) AS k ORDER BY k),
			ARRAY(SELECT i.indoption[k] FROM generate_series(0, i.indnkeyatts - 1) AS k ORDER BY k)
		FROM pg_catalog.pg_index i
		JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
		JOIN pg_catalog.pg_am m ON m.oid = c.relam
		WHERE i.indrelid = ANY($1) AND i.indislive
		ORDER BY i.indrelid, NOT i.indisprimary, c.relname`, r.oids)
}

func (r *pgReader) constraints(ctx context.Context) error {
	return r.query(ctx, func(rows pgx.Rows) error {
		var oid uint32
		var name, kind, refSchema, refTable, onDelete, onUpdate, expr string
		var valid, deferrable, deferred bool
		var keys []int16
		var refColumns []string
		if err := rows.Scan(&oid, &name, &kind, &valid, &deferrable, &deferred, &keys, &refSchema, &refTable, &refColumns, &onDelete, &onUpdate, &expr); err != nil {
			return err
		}
		t := r.byOID[oid]
		switch kind {
		case "f":
			f := ForeignKey{Name: name, RefSchema: refSchema, RefTable: refTable, RefColumns: refColumns, NotValid: !valid, Deferrable: deferrable, Deferred: deferred}
			for _, k := range keys {
				f.Columns = append(f.Columns, t.numbers[k])
			}
			var err error
			if f.OnDelete, err = pgAction(onDelete); err != nil {
				return fmt.Errorf("%s: foreign key %s: %w", t, name, err)
			}
			if f.OnUpdate, err = pgAction(onUpdate); err != nil {
				return fmt.Errorf("%s: foreign key %s: %w", t, name, err)
			}
			t.ForeignKeys = append(t.ForeignKeys, f)
		case "c":
			t.Checks = append(t.Checks, Check{Name: name, Expr: expr, Enforced: valid})
		case "p", "u", "x": // their indexes say it
		case "n": // 18: NOT NULL, which the column says
		case "t": // a constraint trigger, which is listed as a trigger
		default:
			return fmt.Errorf("%s: constraint %s is of unknown kind %q", t, name, kind)
		}
		return nil
	}, `SELECT o.conrelid, o.conname, o.contype::text, o.convalidated, o.condeferrable, o.condeferred, coalesce(o.conkey, '{}'), coalesce(fn.nspname, ''), coalesce(fc.relname, ''),
			ARRAY(SELECT a.attname::text FROM unnest(o.confkey) WITH ORDINALITY AS k(num, ord)
				JOIN pg_catalog.pg_attribute a ON a.attrelid = o.confrelid AND a.attnum = k.num ORDER BY k.ord),
			o.confdeltype::text, o.confupdtype::text, coalesce(pg_get_expr(o.conbin, o.conrelid), '')
		FROM pg_catalog.pg_constraint o
		LEFT JOIN pg_catalog.pg_class fc ON fc.oid = o.confrelid
		LEFT JOIN pg_catalog.pg_namespace fn ON fn.oid = fc.relnamespace
		WHERE o.conrelid = ANY($1) AND o.conparentid = 0
		ORDER BY o.conrelid, o.conname`, r.oids)
}

func pgAction(c string) (string, error) {
	switch strings.TrimSpace(c) {
	case "a":
		return "NO ACTION", nil
	case "r":
		return "RESTRICT", nil
	case "c":
		return "CASCADE", nil
	case "n":
		return "SET NULL", nil
	case "d":
		return "SET DEFAULT", nil
	default:
		return "", fmt.Errorf("unknown action %q", c)
	}
}

func (r *pgReader) triggers(ctx context.Context) error {
	return r.query(ctx, func(rows pgx.Rows) error {
		var oid uint32
		var name string
		if err := rows.Scan(&oid, &name); err != nil {
			return err
		}
		r.byOID[oid].Triggers = append(r.byOID[oid].Triggers, name)
		return nil
	}, `SELECT tgrelid, tgname FROM pg_catalog.pg_trigger WHERE tgrelid = ANY($1) AND NOT tgisinternal ORDER BY tgrelid, tgname`, r.oids)
}

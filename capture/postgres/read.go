package postgres

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/crossfade-io/crossfade/capture"
	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
)

// maxListed bounds the keys of one statement.
const maxListed = 500

// query is a SELECT of some columns of a table.
type query struct {
	table   *catalog.Table
	columns []int
	sql     []byte
	params  [][]byte
}

func newQuery(t *catalog.Table, columns []int) *query {
	q := &query{table: t, columns: columns, sql: []byte("SELECT ")}
	for i, k := range columns {
		if i > 0 {
			q.sql = append(q.sql, ", "...)
		}
		q.sql = append(q.sql, pgx.Identifier{t.Columns[k].Name}.Sanitize()...)
	}
	q.sql = append(q.sql, " FROM "+pgx.Identifier{t.Schema, t.Name}.Sanitize()...)
	return q
}

// read are the columns that both the log and a SELECT have: generated ones are in no log before PostgreSQL 18, so they stay absent here too.
func read(t *catalog.Table) (columns []int) {
	for i := range t.Columns {
		if t.Columns[i].Generated == "" {
			columns = append(columns, i)
		}
	}
	return columns
}

// key appends (a, b).
func (q *query) key() {
	for i, k := range q.table.Key {
		q.sql = append(q.sql, map[bool]string{true: "(", false: ", "}[i == 0]...)
		q.sql = append(q.sql, pgx.Identifier{q.table.Columns[k].Name}.Sanitize()...)
	}
	q.sql = append(q.sql, ')')
}

// values appends ($1::integer, $2::text) and the parameters.
func (q *query) values(key change.Row) error {
	if len(key) != len(q.table.Key) {
		return fmt.Errorf("a key of %d values for a key of %d columns of %s", len(key), len(q.table.Key), q.table)
	}
	for i, k := range q.table.Key {
		c := &q.table.Columns[k]
		if kind, _ := c.Type.Kind(change.Postgres); key[i].Kind != kind {
			return fmt.Errorf("key column %s.%s (%s): a %s value", q.table, c.Name, c.Type.Full, key[i].Kind)
		}
		q.params = append(q.params, paramText(key[i]))
		q.sql = append(q.sql, map[bool]string{true: "($", false: ", $"}[i == 0]...)
		q.sql = append(strconv.AppendInt(q.sql, int64(len(q.params)), 10), "::"+c.Type.Full...)
	}
	q.sql = append(q.sql, ')')
	return nil
}

// paramText is a value as the type's input function reads it.
func paramText(v change.Value) []byte {
	switch v.Kind {
	case change.Bytes:
		return hex.AppendEncode([]byte(`\x`), v.B)
	case change.Timestamp:
		if s := string(v.B); s == "infinity" || s == "-infinity" {
			return v.B
		} else if n := len(s) - len(" BC"); n > 0 && s[n:] == " BC" {
			return []byte(s[:n] + "+00 BC")
		}
		return append(append([]byte(nil), v.B...), "+00"...)
	case change.Float32, change.Float64:
		f := v.Float64()
		if v.Kind == change.Float32 {
			f = float64(v.Float32())
		}
		switch {
		case f != f:
			return []byte("NaN")
		case f > 1 && f*2 == f:
			return []byte("Infinity")
		case f < -1 && f*2 == f:
			return []byte("-Infinity")
		}
		return v.AppendText(nil)
	default:
		return v.AppendText(nil)
	}
}

// run sends the query on a session and emits its rows. A row is valid until emit returns.
func (q *query) run(ctx context.Context, conn *pgconn.PgConn, width int, emit func(change.Row) error) (err error) {
	r := conn.ExecParams(ctx, string(q.sql), q.params, nil, nil, nil)
	row := make(change.Row, width)
	var scratch []byte
	for err == nil && r.NextRow() {
		scratch = scratch[:0]
		for i, text := range r.Values() {
			c := &q.table.Columns[q.columns[i]]
			at := i
			if width == len(q.table.Columns) {
				at = q.columns[i]
			}
			if text == nil {
				row[at] = change.Value{Kind: change.Null}
				continue
			}
			kind, _ := c.Type.Kind(change.Postgres)
			if row[at], scratch, err = appendValue(kind, text, scratch); err != nil {
				err = fmt.Errorf("column %s: %w", c.Name, err)
				break
			}
		}
		if err == nil {
			err = emit(row)
		}
	}
	if _, cerr := r.Close(); err == nil {
		err = cerr
	}
	return err
}

// Bound returns the key of the n-th row after a key, in key order; after nil counts from the start. last says that fewer than n rows follow, and key is nil
// then. Any bound is right, so it is read without proof.
func (s *Source) Bound(ctx context.Context, t *catalog.Table, after change.Row, n int) (key change.Row, last bool, err error) {
	if err := readable(t); err != nil {
		return nil, false, err
	}
	q := newQuery(t, t.Key)
	if after != nil {
		q.sql = append(q.sql, " WHERE "...)
		q.key()
		q.sql = append(q.sql, " > "...)
		if err := q.values(after); err != nil {
			return nil, false, err
		}
	}
	q.order()
	q.sql = append(q.sql, fmt.Sprintf(" OFFSET %d LIMIT 1", n-1)...)
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, false, fmt.Errorf("read %s: %w", t, err)
	}
	defer conn.Release()
	err = q.run(ctx, conn.Conn().PgConn(), len(t.Key), func(row change.Row) error {
		key = row.Clone()
		return nil
	})
	return key, key == nil, s.readError(t, err)
}

func (q *query) order() {
	q.sql = append(q.sql, " ORDER BY "...)
	for i, k := range q.table.Key {
		if i > 0 {
			q.sql = append(q.sql, ", "...)
		}
		q.sql = append(q.sql, pgx.Identifier{q.table.Columns[k].Name}.Sanitize()...)
	}
}

// ReadRange reads the rows with after < key <= upTo (nil: no limit) in key order, in a snapshot that is proven to see everything up to proof; else it
// returns [capture.ErrNotVisible]. A row is valid until emit returns.
func (s *Source) ReadRange(ctx context.Context, proof string, t *catalog.Table, after, upTo change.Row, emit func(change.Row) error) error {
	if err := readable(t); err != nil {
		return err
	}
	q := newQuery(t, read(t))
	for _, bound := range []struct {
		op  string
		key change.Row
	}{{" > ", after}, {" <= ", upTo}} {
		if bound.key == nil {
			continue
		}
		q.sql = append(q.sql, map[bool]string{true: " WHERE ", false: " AND "}[len(q.params) == 0]...)
		q.key()
		q.sql = append(q.sql, bound.op...)
		if err := q.values(bound.key); err != nil {
			return err
		}
	}
	q.order()
	return s.readProven(ctx, proof, t, func(conn *pgconn.PgConn) error { return q.run(ctx, conn, len(t.Columns), emit) })
}

// ReadKeys reads the rows with these keys, in no particular order, under the same rule. A key without a row emits nothing.
func (s *Source) ReadKeys(ctx context.Context, proof string, t *catalog.Table, keys []change.Row, emit func(change.Row) error) error {
	if err := readable(t); err != nil || len(keys) == 0 {
		return err
	}
	return s.readProven(ctx, proof, t, func(conn *pgconn.PgConn) error {
		for rest := keys; len(rest) > 0; {
			some := rest[:min(len(rest), maxListed)]
			rest = rest[len(some):]
			q := newQuery(t, read(t))
			q.sql = append(q.sql, " WHERE "...)
			q.key()
			q.sql = append(q.sql, " IN ("...)
			for i, key := range some {
				if i > 0 {
					q.sql = append(q.sql, ", "...)
				}
				if err := q.values(key); err != nil {
					return err
				}
			}
			q.sql = append(q.sql, ')')
			if err := q.run(ctx, conn, len(t.Columns), emit); err != nil {
				return err
			}
		}
		return nil
	})
}

// readProven runs read in one read-only snapshot that sees everything up to the proof.
func (s *Source) readProven(ctx context.Context, proof string, t *catalog.Table, read func(*pgconn.PgConn) error) error {
	at, err := parsePosition(proof)
	if err != nil {
		return err
	}
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("read %s: %w", t, err)
	}
	defer conn.Release()
	if err := s.snapshot(ctx, conn.Conn(), at); err != nil {
		return s.readError(t, err)
	}
	err = read(conn.Conn().PgConn())
	if _, e := conn.Exec(ctx, "ROLLBACK"); err == nil && e != nil {
		err = e
	}
	return s.readError(t, err)
}

const openSnapshot = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

// snapshot opens a transaction that sees everything up to at. Commits become visible in another order than they are logged, so each transaction that was
// read is asked for by its id. When they are not all known, as after a start: a fresh id is taken, and once the snapshot's xmin lies above it every
// transaction that had an id before has ended.
func (s *Source) snapshot(ctx context.Context, conn *pgx.Conn, at position) error {
	xids, whole := s.seen.until(at)
	fresh := int64(0)
	if !whole {
		var err error
		if fresh, err = freshID(ctx, conn); err != nil {
			return fmt.Errorf("take a transaction id: %w", err)
		}
	}
	for deadline := time.Now().Add(s.proofWait); ; {
		if _, err := conn.Exec(ctx, openSnapshot); err != nil {
			return err
		}
		sees, err := s.sees(ctx, conn, xids, fresh)
		if err == nil && sees {
			s.seen.prove(at)
			return nil
		}
		if _, e := conn.Exec(ctx, "ROLLBACK"); err == nil {
			err = e
		}
		switch {
		case err != nil:
			return err
		case time.Now().After(deadline):
			return fmt.Errorf("%w: a transaction that began before is still open, or waits for a synchronous standby", capture.ErrNotVisible)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// freshID takes a transaction id. It is rolled back: a commit could wait for a synchronous standby.
func freshID(ctx context.Context, conn *pgx.Conn) (id int64, err error) {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return 0, err
	}
	err = tx.QueryRow(ctx, "SELECT pg_current_xact_id()::text::bigint").Scan(&id)
	return id, errors.Join(err, tx.Rollback(ctx))
}

// sees asks the open snapshot. Ids in the log have 32 bits; they are at most as high as the snapshot's xmax, and lie less than half of their range below it.
func (s *Source) sees(ctx context.Context, conn *pgx.Conn, xids []int64, fresh int64) (sees bool, err error) {
	if fresh > 0 {
		err = conn.QueryRow(ctx, "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint > $1", fresh).Scan(&sees)
	} else {
		err = conn.QueryRow(ctx, `SELECT coalesce(bool_and(pg_visible_in_snapshot((CASE WHEN wide > top + 2147483648 THEN wide - 4294967296 ELSE wide END)::text::xid8, snap)), true)
			FROM (SELECT pg_current_snapshot() AS snap, pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS top) s
			CROSS JOIN LATERAL (SELECT x + (top / 4294967296) * 4294967296 AS wide FROM unnest($1::bigint[]) AS x) w`, xids).Scan(&sees)
	}
	if err != nil {
		return false, fmt.Errorf("ask what a snapshot shows: %w", err)
	}
	return sees, nil
}

func (s *Source) readError(t *catalog.Table, err error) error {
	var stop *capture.Stop
	const undefinedTable, undefinedColumn, denied = "42P01", "42703", "42501"
	switch code := pgCode(err); {
	case err == nil:
		return nil
	case errors.As(err, &stop), errors.Is(err, capture.ErrNotVisible):
		return err
	case code == undefinedTable, code == undefinedColumn:
		return &capture.Stop{Object: t.String(), Reason: "the table is no longer what it was: " + err.Error(), Remedy: "undo the change of the table, or start the migration again"}
	case code == denied:
		return fmt.Errorf("read %s: %w: GRANT SELECT ON %s TO %s", t, err, t, s.conn.User)
	default:
		return fmt.Errorf("read %s: %w", t, err)
	}
}

func readable(t *catalog.Table) error {
	if len(t.Key) == 0 {
		return &capture.Stop{Object: t.String(), Reason: "the table has neither a primary key nor a unique key over NOT NULL columns", Remedy: "add a primary key, or leave the table out of source.tables"}
	}
	return nil
}

package main

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// row is what a database prints of a row. The texts are valid until the next row is asked for.
type row struct {
	key     rowKey
	version uint32
	texts   [][]byte // of the columns; nil is NULL
}

// newRow reads the key and the version from the texts.
func newRow(t table, texts [][]byte) (r row, err error) {
	r = row{key: rowKey{table: t}, texts: texts}
	switch t {
	case products, payments:
		var n int
		if n, err = hex.Decode(r.key.id[:], texts[0]); err == nil && n != len(r.key.id) {
			err = fmt.Errorf("%d bytes", n)
		}
	default:
		var id uint64
		if id, err = strconv.ParseUint(string(texts[0]), 10, 64); err == nil {
			r.key = numbered(t, id)
		}
	}
	if err == nil && t == items {
		var line uint64
		line, err = strconv.ParseUint(string(texts[1]), 10, 16)
		r.key.line = uint16(line)
	}
	if err != nil {
		return r, fmt.Errorf("key of a row of %s: %w", t, err)
	}
	version, err := strconv.ParseUint(string(texts[len(texts)-1]), 10, 32)
	if err != nil {
		return r, fmt.Errorf("version of a row of %s: %w", t, err)
	}
	r.version = uint32(version)
	return r, nil
}

// query asks for a whole table in the order of its key.
func (t table) query(expression func(column) string) string {
	var list []string
	for _, c := range printed[t] {
		list = append(list, expression(c))
	}
	return "SELECT " + strings.Join(list, ", ") + " FROM " + t.String() + " ORDER BY " + t.orderedBy()
}

// oldRows are the rows of a table in MySQL.
func oldRows(ctx context.Context, db *sql.DB, t table) iter.Seq2[row, error] {
	return func(yield func(row, error) bool) {
		rows, err := db.QueryContext(ctx, t.query(func(c column) string { return c.mysql }))
		if err != nil {
			yield(row{}, err)
			return
		}
		defer rows.Close()
		raw := make([]sql.RawBytes, len(printed[t]))
		into, texts := make([]any, len(raw)), make([][]byte, len(raw))
		for i := range raw {
			into[i] = &raw[i]
		}
		for rows.Next() {
			var r row
			err := rows.Scan(into...)
			for i := range raw {
				texts[i] = raw[i]
			}
			if err == nil {
				r, err = newRow(t, texts)
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(row{}, err)
		}
	}
}

// newRows are the rows of a table in PostgreSQL.
func newRows(ctx context.Context, conn *pgx.Conn, t table) iter.Seq2[row, error] {
	return func(yield func(row, error) bool) {
		rows, err := conn.Query(ctx, t.query(func(c column) string { return c.postgres }), pgx.QueryResultFormats{pgx.TextFormatCode})
		if err != nil {
			yield(row{}, err)
			return
		}
		defer rows.Close()
		for rows.Next() {
			r, err := newRow(t, rows.RawValues())
			if !yield(r, err) || err != nil {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(row{}, err)
		}
	}
}

// walker goes through rows one by one.
type walker struct {
	where string
	next  func() (row, error, bool)
	stop  func()
	row   *row // where it stands; nil at the end
}

func walk(where string, rows iter.Seq2[row, error]) *walker {
	w := &walker{where: where}
	w.next, w.stop = iter.Pull2(rows)
	return w
}

// step goes to the next row. Rows out of order would be compared with the wrong ones.
func (w *walker) step() error {
	r, err, more := w.next()
	switch {
	case !more:
		w.row = nil
		return nil
	case err != nil:
		return fmt.Errorf("%s: %w", w.where, err)
	case w.row != nil && w.row.key.compare(r.key) >= 0:
		return fmt.Errorf("%s: %s comes after %s", w.where, r.key, w.row.key)
	}
	w.row = &r
	return nil
}

// compare tells which of two walkers stands on the smaller key. At the end is the largest.
func (w *walker) compare(o *walker) int {
	switch {
	case w.row == nil:
		return 1
	case o.row == nil:
		return -1
	}
	return w.row.key.compare(o.row.key)
}

// whole makes sure that nothing of either database stays unseen: the tables and their columns are those that are compared.
func whole(ctx context.Context, db *sql.DB, conn *pgx.Conn) error {
	var want, old []string
	for t, columns := range printed {
		for _, c := range columns {
			want = append(want, tableNames[t]+"."+c.name)
		}
	}
	rows, err := db.QueryContext(ctx, "SELECT CONCAT(TABLE_NAME, '.', COLUMN_NAME) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE()")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return err
		}
		old = append(old, name)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	fresh, err := conn.Query(ctx, "SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = 'public'")
	if err != nil {
		return err
	}
	names, err := pgx.CollectRows(fresh, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, found := range [][]string{want, old, names} {
		slices.Sort(found)
	}
	if !slices.Equal(want, old) || !slices.Equal(want, names) {
		return fmt.Errorf("the columns are not the same: the judge knows %v, MySQL has %v, PostgreSQL has %v", want, old, names)
	}
	return nil
}

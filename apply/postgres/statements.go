package postgres

import (
	"slices"
	"strconv"
	"strings"

	"github.com/crossfade-io/crossfade/apply"
	"github.com/crossfade-io/crossfade/internal/change"
)

// statement is one prepared statement for rows of one shape.
type statement struct {
	name string
	sql  string
	op   apply.StepOp
	// scalar: one row, its values as parameters. Else each parameter is an array, one element for each row.
	scalar bool
	keys   []int // columns taken from the rows that name a key
	cols   []int // columns taken from the rows that are written
	oids   []uint32
	// exemplar has the same columns as every row written.
	exemplar change.Row
	prepared bool
}

func present(row change.Row) []int {
	cols := make([]int, 0, len(row))
	for i := range row {
		if row[i].Kind != change.Absent {
			cols = append(cols, i)
		}
	}
	return cols
}

// newStatement writes the SQL for rows like row (nil for deletes).
func newStatement(m *meta, op apply.StepOp, scalar bool, row change.Row) *statement {
	st := &statement{op: op, scalar: scalar}
	if row != nil {
		st.cols = present(row)
		st.exemplar = make(change.Row, len(row))
		for i := range row {
			st.exemplar[i].Kind = row[i].Kind
		}
	}
	switch op {
	case apply.InsertRows, apply.PutRows, apply.CopyRows:
		st.sql = insertSQL(m, st, op != apply.InsertRows)
	case apply.UpdateRows, apply.RekeyRows:
		st.keys = m.shape.Key
		if op == apply.UpdateRows {
			st.cols = withoutKey(m.shape, st.cols)
		}
		st.sql = updateSQL(m, st)
	case apply.DeleteRows:
		st.keys, st.cols = m.shape.Key, nil
		st.sql = deleteSQL(m, st)
	}
	for _, list := range [][]int{st.keys, st.cols} {
		for _, i := range list {
			if scalar {
				st.oids = append(st.oids, m.columns[i].oid)
			} else {
				st.oids = append(st.oids, m.columns[i].array)
			}
		}
	}
	return st
}

func withoutKey(t *change.Table, cols []int) []int {
	out := make([]int, 0, len(cols))
	for _, i := range cols {
		if !t.IsKey(i) {
			out = append(out, i)
		}
	}
	return out
}

func list(b *strings.Builder, n int, sep string, item func(i int)) {
	for i := range n {
		if i > 0 {
			b.WriteString(sep)
		}
		item(i)
	}
}

func placeholder(b *strings.Builder, i int) {
	b.WriteByte('$')
	b.WriteString(strconv.Itoa(i + 1))
}

func insertSQL(m *meta, st *statement, overwrite bool) string {
	var b strings.Builder
	b.WriteString("INSERT INTO " + m.name + " (")
	list(&b, len(st.cols), ", ", func(i int) { b.WriteString(m.columns[st.cols[i]].name) })
	b.WriteString(") OVERRIDING SYSTEM VALUE ")
	if st.scalar {
		b.WriteString("VALUES (")
	} else {
		b.WriteString("SELECT ")
	}
	list(&b, len(st.cols), ", ", func(i int) { st.source(&b, m, i) })
	if st.scalar {
		b.WriteString(")")
	}
	if !overwrite {
		return b.String()
	}
	b.WriteString(" ON CONFLICT (")
	list(&b, len(m.shape.Key), ", ", func(i int) { b.WriteString(m.columns[m.shape.Key[i]].name) })
	b.WriteString(") DO ")
	n := 0
	for i := range m.columns { // a column that the row does not carry gets its default, not what was there
		if m.shape.IsKey(i) {
			continue
		}
		if n == 0 {
			b.WriteString("UPDATE SET ")
		} else {
			b.WriteString(", ")
		}
		n++
		b.WriteString(m.columns[i].name + " = ")
		if st.exemplar[i].Kind == change.Absent {
			b.WriteString("DEFAULT")
		} else {
			b.WriteString("EXCLUDED." + m.columns[i].name)
		}
	}
	if n == 0 {
		b.WriteString("NOTHING")
	}
	return b.String()
}

func unnest(b *strings.Builder, i int, c *column) {
	b.WriteString("pg_catalog.unnest(")
	placeholder(b, i)
	b.WriteByte(')')
	if c.cast != "" {
		b.WriteString("::" + c.cast)
	}
}

// source is where the values of an inserted column come from.
func (st *statement) source(b *strings.Builder, m *meta, i int) {
	if st.scalar {
		placeholder(b, i)
	} else {
		unnest(b, i, &m.columns[st.cols[i]])
	}
}

// from writes the arrays as a table u with columns c0, c1 and so on, keys first. They are unnested in a list, which gives a row at a time; as functions in
// FROM each would be written to a store of its own first.
func (st *statement) from(b *strings.Builder, m *meta) {
	columns := slices.Concat(st.keys, st.cols)
	b.WriteString("(SELECT ")
	list(b, len(columns), ", ", func(i int) {
		unnest(b, i, &m.columns[columns[i]])
		b.WriteString(" AS c" + strconv.Itoa(i))
	})
	b.WriteString(") AS u")
}

func (st *statement) operand(b *strings.Builder, i int) {
	if st.scalar {
		placeholder(b, i)
	} else {
		b.WriteString("u.c" + strconv.Itoa(i))
	}
}

func (st *statement) where(b *strings.Builder, m *meta) {
	b.WriteString(" WHERE ")
	list(b, len(st.keys), " AND ", func(i int) {
		b.WriteString("t." + m.columns[st.keys[i]].name + " = ")
		st.operand(b, i)
	})
}

func updateSQL(m *meta, st *statement) string {
	var b strings.Builder
	b.WriteString("UPDATE " + m.name + " AS t SET ")
	if len(st.cols) == 0 { // nothing to write, but the row must be there
		key := m.columns[st.keys[0]].name
		b.WriteString(key + " = t." + key)
	}
	list(&b, len(st.cols), ", ", func(i int) {
		b.WriteString(m.columns[st.cols[i]].name + " = ")
		st.operand(&b, len(st.keys)+i)
	})
	if !st.scalar {
		b.WriteString(" FROM ")
		st.from(&b, m)
	}
	st.where(&b, m)
	return b.String()
}

func deleteSQL(m *meta, st *statement) string {
	var b strings.Builder
	b.WriteString("DELETE FROM " + m.name + " AS t")
	if !st.scalar {
		b.WriteString(" USING ")
		st.from(&b, m)
	}
	st.where(&b, m)
	return b.String()
}

// copySQL reads rows in binary form.
func copySQL(m *meta, cols []int) string {
	var b strings.Builder
	b.WriteString("COPY " + m.name + " (")
	list(&b, len(cols), ", ", func(i int) { b.WriteString(m.columns[cols[i]].name) })
	b.WriteString(") FROM STDIN (FORMAT binary)")
	return b.String()
}

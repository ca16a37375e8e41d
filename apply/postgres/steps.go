package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/crossfade-io/crossfade/apply"
	"github.com/crossfade-io/crossfade/internal/change"
)

// step sends one step.
func (s *session) step(ctx context.Context, tx *apply.Tx, i int) error {
	st := &tx.Steps[i]
	if st.Op == apply.EmptyTable {
		return s.empty(ctx, tx, i)
	}
	if st.Op == apply.CascadeRows {
		return s.cascade(ctx, tx, i)
	}
	if st.Len() == 0 {
		return nil
	}
	p := s.shapes[st.Shape]
	if st.Op == apply.CopyRows && !tx.Single && len(st.Rows) >= minCopyRows {
		if done, err := s.copyRows(ctx, tx, i, p); done || err != nil {
			return err
		}
		s.openPipe(ctx)
	}
	// Rows that depend on each other go one by one, but a plain insert is refused whatever the order if two are the same. A few rows do not
	// pay for planning a join.
	join := st.Op != apply.InsertRows && st.Op != apply.PutRows && st.Op != apply.CopyRows
	scalar := tx.Single || st.Ordered && st.Op != apply.InsertRows || join && st.Len() < minJoinRows
	var row change.Row
	if len(st.Rows) > 0 {
		row = st.Rows[0]
	}
	q := p.statement(st.Op, scalar, row)
	if scalar {
		return s.scalars(tx, i, p, q)
	}
	return s.arrays(tx, i, p, q)
}

// statement returns the statement for rows with the columns of row.
func (p *prepared) statement(op apply.StepOp, scalar bool, row change.Row) *statement {
	if op == apply.CopyRows {
		op = apply.PutRows
	}
	for _, st := range p.statements {
		if st.op == op && st.scalar == scalar && (op == apply.DeleteRows || sameColumns(st.exemplar, row)) {
			return st
		}
	}
	st := newStatement(p.meta, op, scalar, row)
	p.statements = append(p.statements, st)
	return st
}

func sameColumns(a, b change.Row) bool {
	for i := range a {
		if (a[i].Kind == change.Absent) != (b[i].Kind == change.Absent) {
			return false
		}
	}
	return true
}

// scalars sends a statement for each row.
func (s *session) scalars(tx *apply.Tx, i int, p *prepared, q *statement) error {
	st := &tx.Steps[i]
	if !s.generic { // thousands of small statements: planned once, and by key there is only one plan
		s.generic = true
		s.send("SET LOCAL plan_cache_mode = force_generic_plan", sent{step: -1})
	}
	for n := range st.Len() {
		s.buf, s.offsets, s.formats = s.buf[:0], append(s.offsets[:0], 0), s.formats[:0]
		for k, list := range [2][]int{q.keys, q.cols} {
			rows := st.Rows
			if k == 0 {
				rows = st.Keys
			}
			for _, col := range list {
				if err := s.value(&p.meta.columns[col], &rows[n][col]); err != nil {
					return s.refused(i, n, err)
				}
			}
		}
		s.sendPrepared(q, s.parameters(), s.formats, sent{what: sentRows, step: i, row: n, rows: 1})
		if err := s.flush(); err != nil {
			return err
		}
	}
	return nil
}

const null = -1 // as an offset: the parameter is NULL

// value appends a parameter.
func (s *session) value(c *column, v *change.Value) error {
	var format int16
	if v.Kind != change.Null {
		var err error
		if s.buf, format, err = c.scalar(s.buf, v); err != nil {
			return err
		}
		s.offsets = append(s.offsets, len(s.buf))
	} else {
		s.offsets = append(s.offsets, null)
	}
	s.formats = append(s.formats, format)
	return nil
}

// parameters cuts the buffer at the offsets.
func (s *session) parameters() [][]byte {
	s.params = s.params[:0]
	from := 0
	for _, to := range s.offsets[1:] {
		if to == null {
			s.params = append(s.params, nil)
			continue
		}
		s.params = append(s.params, s.buf[from:to:to])
		from = to
	}
	return s.params
}

// arrays sends the rows as arrays, a column each, in statements of bounded size.
func (s *session) arrays(tx *apply.Tx, i int, p *prepared, q *statement) error {
	if s.generic && len(q.keys) > 0 { // a join must be planned for these rows
		s.generic = false
		s.send("SET LOCAL plan_cache_mode = force_custom_plan", sent{step: -1})
	}
	st := &tx.Steps[i]
	for from := 0; from < st.Len(); {
		to := st.Cut(from, maxStatementRows, maxStatementBytes)
		s.buf, s.offsets, s.formats = s.buf[:0], append(s.offsets[:0], 0), s.formats[:0]
		for k, list := range [2][]int{q.keys, q.cols} {
			rows := st.Rows
			if k == 0 {
				rows = st.Keys
			}
			for _, col := range list {
				var format int16
				var err error
				if s.buf, format, err = p.meta.columns[col].arrayOf(s.buf, rows[from:to], col); err != nil {
					var at *rowError
					if errors.As(err, &at) {
						return s.refused(i, from+at.row, err)
					}
					return err
				}
				s.offsets = append(s.offsets, len(s.buf))
				s.formats = append(s.formats, format)
			}
		}
		row := -1
		if to-from == 1 {
			row = from
		}
		s.sendPrepared(q, s.parameters(), s.formats, sent{what: sentRows, step: i, row: row, rows: to - from})
		if err := s.flush(); err != nil {
			return err
		}
		from = to
	}
	return nil
}

func (s *session) refused(step, row int, err error) error {
	return &apply.Refusal{Step: step, Row: row, Code: "crossfade", Reason: err.Error()}
}

// empty removes all rows of a table, and counts them.
func (s *session) empty(ctx context.Context, tx *apply.Tx, i int) error {
	if err := s.sync(tx); err != nil {
		return err
	}
	st := &tx.Steps[i]
	name := s.shapes[st.Shape].meta.name
	rows, err := s.query(ctx, `SELECT (SELECT pg_catalog.count(*) FROM `+name+`),
 EXISTS (SELECT 1 FROM pg_catalog.pg_constraint WHERE contype = 'f' AND confrelid = $1::regclass AND conrelid <> confrelid)`, name)
	if err != nil {
		return fmt.Errorf("count rows of %s: %w", st.Shape, err)
	}
	n, err := strconv.ParseInt(string(rows[0][0]), 10, 64)
	if err != nil {
		return fmt.Errorf("count rows of %s: %w", st.Shape, err)
	}
	sql := "TRUNCATE " + name
	if string(rows[0][1]) == "t" { // a table that others refer to cannot be truncated alone
		sql = "DELETE FROM " + name
	}
	if _, err := s.exec(ctx, sql); err != nil {
		return fmt.Errorf("empty %s: %w", st.Shape, err)
	}
	s.add(st, n, n)
	s.openPipe(ctx)
	return nil
}

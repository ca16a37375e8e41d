package mysql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/crossfade-io/crossfade/apply"
	"github.com/crossfade-io/crossfade/internal/change"
)

// step runs one step.
func (s *session) step(ctx context.Context, tx *apply.Tx, i int) error {
	st := &tx.Steps[i]
	m := s.shapes[st.Shape]
	if st.Op == apply.EmptyTable {
		r, err := s.exec(ctx, "DELETE FROM "+m.name)
		if err != nil {
			return classify(fmt.Errorf("empty %s: %w", st.Shape, err))
		}
		s.add(st, int64(r.AffectedRows), int64(r.AffectedRows))
		return nil
	}
	if st.Op == apply.CascadeRows {
		return st.Follow(ctx, tx, &cascading{session: s, step: i})
	}
	// The rows of a statement, and the statements of a packet, are run in their order; but a row that is put by deleting its key comes alone, since the same
	// key may come twice.
	one := tx.Single || st.Ordered && (st.Op == apply.PutRows || st.Op == apply.CopyRows) && !m.only
	for from := 0; from < st.Len(); {
		if st.Op == apply.CopyRows && !one && s.infile && st.Len()-from >= minLoadRows {
			to := st.Cut(from, maxLoadRows, maxLoadBytes)
			loaded, err := s.load(ctx, i, st, m, from, to)
			if err != nil {
				return err
			}
			if loaded {
				from = to
				continue
			}
		}
		to := from + 1
		if !one {
			to = st.Cut(from, maxStatementRows, maxStatementBytes)
		}
		if err := s.part(ctx, i, st, m, from, to); err != nil {
			return err
		}
		from = to
	}
	return nil
}

// part runs the rows of a step from one to another.
func (s *session) part(ctx context.Context, i int, st *apply.Step, m *meta, from, to int) error {
	switch st.Op {
	case apply.InsertRows:
		return s.insert(ctx, i, st, m, "INSERT", from, to)
	case apply.PutRows, apply.CopyRows:
		if m.only {
			return s.insert(ctx, i, st, m, "REPLACE", from, to)
		}
		keep := *st
		keep.Keys, keep.Exact, keep.Tally = st.Rows, false, apply.NoTally
		if err := s.remove(ctx, i, &keep, m, from, to); err != nil {
			return err
		}
		return s.insert(ctx, i, st, m, "INSERT", from, to)
	case apply.DeleteRows:
		return s.remove(ctx, i, st, m, from, to)
	case apply.UpdateRows, apply.RekeyRows:
		return s.update(ctx, i, st, m, from, to)
	default:
		return fmt.Errorf("a step of unknown kind %s", st.Op)
	}
}

func present(row change.Row) (cols []int) {
	for i := range row {
		if row[i].Kind != change.Absent {
			cols = append(cols, i)
		}
	}
	return cols
}

// insert writes rows in one statement. A replaced row counts once.
func (s *session) insert(ctx context.Context, i int, st *apply.Step, m *meta, verb string, from, to int) error {
	cols := present(st.Rows[from])
	b := append(append(append(s.buf[:0], verb...), " INTO "...), m.name...)
	b = append(b, " ("...)
	for n, c := range cols {
		if n > 0 {
			b = append(b, ',')
		}
		b = append(b, m.names[c]...)
	}
	b = append(b, ") VALUES "...)
	for n := from; n < to; n++ {
		if n > from {
			b = append(b, ',')
		}
		b = append(b, '(')
		for k, c := range cols {
			if k > 0 {
				b = append(b, ',')
			}
			if err := m.takes(i, n, c, &st.Rows[n][c]); err != nil {
				return err
			}
			b = appendLiteral(b, &st.Rows[n][c])
		}
		b = append(b, ')')
	}
	s.buf = b
	r, err := s.send(ctx, i, st, m, from, to)
	if err != nil {
		return err
	}
	n := int64(to - from)
	if verb == "INSERT" {
		n = int64(r.AffectedRows)
	}
	return s.count(i, st, from, to, n)
}

// appendKey writes the values of a key.
func appendKey(b []byte, m *meta, row change.Row) []byte {
	many := len(m.shape.Key) > 1
	if many {
		b = append(b, '(')
	}
	for n, k := range m.shape.Key {
		if n > 0 {
			b = append(b, ',')
		}
		b = appendLiteral(b, &row[k])
	}
	if many {
		b = append(b, ')')
	}
	return b
}

// remove deletes rows by key in one statement.
func (s *session) remove(ctx context.Context, i int, st *apply.Step, m *meta, from, to int) error {
	b := append(append(append(s.buf[:0], "DELETE FROM "...), m.name...), " WHERE "...)
	many := len(m.shape.Key) > 1
	if many {
		b = append(b, '(')
	}
	for n, k := range m.shape.Key {
		if n > 0 {
			b = append(b, ',')
		}
		b = append(b, m.names[k]...)
	}
	if many {
		b = append(b, ')')
	}
	b = append(b, " IN ("...)
	for n := from; n < to; n++ {
		if n > from {
			b = append(b, ',')
		}
		b = appendKey(b, m, st.Keys[n])
	}
	s.buf = append(b, ')')
	r, err := s.send(ctx, i, st, m, from, to)
	if err != nil {
		return err
	}
	return s.count(i, st, from, to, int64(r.AffectedRows))
}

// update writes a statement for each row, and sends them together.
func (s *session) update(ctx context.Context, i int, st *apply.Step, m *meta, from, to int) error {
	var set []int
	for _, c := range present(st.Rows[from]) {
		if st.Op == apply.RekeyRows || !m.shape.IsKey(c) {
			set = append(set, c)
		}
	}
	b := s.buf[:0]
	for n := from; n < to; n++ {
		b = append(append(append(b, "UPDATE "...), m.name...), " SET "...)
		if len(set) == 0 { // nothing to write, but the row must be there
			b = append(append(append(b, m.names[m.shape.Key[0]]...), '='), m.names[m.shape.Key[0]]...)
		}
		for k, c := range set {
			if k > 0 {
				b = append(b, ',')
			}
			b = append(append(b, m.names[c]...), '=')
			if err := m.takes(i, n, c, &st.Rows[n][c]); err != nil {
				return err
			}
			b = appendLiteral(b, &st.Rows[n][c])
		}
		for _, c := range m.now { // else the server would set it
			if !slices.Contains(set, c) {
				b = append(append(append(append(b, ','), m.names[c]...), '='), m.names[c]...)
			}
		}
		b = append(b, " WHERE "...)
		for k, c := range m.shape.Key {
			if k > 0 {
				b = append(b, " AND "...)
			}
			b = append(append(b, m.names[c]...), '=')
			b = appendLiteral(b, &st.Keys[n][c])
		}
		b = append(b, ';')
	}
	s.buf = b[:len(b)-1]
	if to-from == 1 {
		r, err := s.send(ctx, i, st, m, from, to)
		if err != nil {
			return err
		}
		return s.count(i, st, from, to, int64(r.AffectedRows))
	}
	if err := s.fits(i, from, to); err != nil {
		return err
	}
	var changed []uint64
	var failed error
	warned := false
	err := s.guard(ctx, func() error {
		_, err := s.conn.ExecuteMultiple(string(s.buf), func(r *gomysql.Result, err error) {
			switch {
			case failed != nil:
			case err != nil:
				failed = err
			default:
				changed = append(changed, r.AffectedRows)
				warned = warned || r.Warnings > 0
			}
		})
		if failed != nil {
			return failed
		}
		return err
	})
	if err != nil {
		return s.judge(i, st, m, from+len(changed), err)
	}
	if len(changed) != to-from {
		s.Close()
		return &apply.LostError{Err: fmt.Errorf("the target answered %d of %d updates", len(changed), to-from)}
	}
	if warned { // once more row by row, which finds out which and why
		return &apply.Refusal{Step: i, Row: -1, Code: "warning", Reason: "the target warns about a row"}
	}
	for n, c := range changed {
		if err := s.count(i, st, from+n, from+n+1, int64(c)); err != nil {
			return err
		}
	}
	return nil
}

// count holds what a statement has changed against what it named.
func (s *session) count(i int, st *apply.Step, from, to int, changed int64) error {
	named := int64(to - from)
	if st.Exact && changed != named {
		row := -1
		if named == 1 {
			row = from
		}
		return &apply.Mismatch{Step: i, Row: row, Want: named, Got: changed}
	}
	s.add(st, changed, named)
	return nil
}

// fits refuses a statement that the server would not read.
func (s *session) fits(i, from, to int) error {
	if len(s.buf)+16 <= s.largest {
		return nil
	}
	r := &apply.Refusal{Step: i, Row: -1, Code: "crossfade", Reason: fmt.Sprintf("a statement of %d bytes, and the target's max_allowed_packet is %d: raise it", len(s.buf), s.largest)}
	if to-from == 1 {
		r.Row = from
	}
	return r
}

// send runs the statement in the buffer.
func (s *session) send(ctx context.Context, i int, st *apply.Step, m *meta, from, to int) (*gomysql.Result, error) {
	if err := s.fits(i, from, to); err != nil {
		return nil, err
	}
	row := -1
	if to-from == 1 {
		row = from
	}
	r, err := s.exec(ctx, string(s.buf))
	if err != nil {
		return nil, s.judge(i, st, m, row, err)
	}
	if r.Warnings == 0 {
		return r, nil
	}
	said, err := s.rows(ctx, "SHOW WARNINGS")
	if err != nil {
		return nil, err
	}
	for _, w := range said {
		return nil, &apply.Refusal{Step: i, Row: row, Code: w[1], Reason: "the target warns: " + w[2]}
	}
	return r, nil
}

// judge says what an error of the server means for the transaction.
func (s *session) judge(i int, st *apply.Step, m *meta, row int, err error) error {
	var e *gomysql.MyError
	if !errors.As(err, &e) || !rowCodes[e.Code] {
		return classify(fmt.Errorf("%s into %s: %w", st.Op, st.Shape, err))
	}
	r := &apply.Refusal{Step: i, Row: row, Code: strconv.Itoa(int(e.Code)), Reason: e.Message}
	if e.Code == 1062 {
		r.Unique = true
		r.Duplicate = strings.EqualFold(duplicateIn(e.Message), m.keyIndex)
	}
	return r
}

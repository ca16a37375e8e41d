package transform

import (
	"errors"
	"fmt"

	"github.com/crossfade-io/crossfade/internal/change"
	"github.com/crossfade-io/crossfade/transform/expression"
)

// Mapper runs a plan. What its methods return is valid until the next call of any of them, and may alias what they were given.
type Mapper struct {
	plan   *Plan
	shapes map[*change.Table]*Table // by source shape
	last   *Table

	values        scratch
	expr          expression.Scratch
	after, before change.Row // as long as the widest table
	sourceKey     change.Row
	out           [1]change.Change
}

// maxScratch is the memory for values that a mapper keeps between rows.
const maxScratch = 1 << 20

// Mapper returns a new mapper, for one goroutine.
func (p *Plan) Mapper() *Mapper {
	m := &Mapper{plan: p, shapes: make(map[*change.Table]*Table, len(p.tables))}
	width := 0
	for _, t := range p.tables {
		m.shapes[t.Source.Shape()] = t
		width = max(width, len(t.Target.Columns), len(t.Source.Columns))
	}
	m.after, m.before, m.sourceKey = make(change.Row, width), make(change.Row, width), make(change.Row, width)
	m.values.lossy = make([]uint64, len(p.lossy))
	return m
}

// Altered is the number of values that this mapper has changed, by the policies of [Plan.Lossy].
func (m *Mapper) Altered() []uint64 { return m.values.lossy }

// RowError is why a row has no target row. It is about the row, not about the program: the row is refused and its table held.
type RowError struct {
	Table  string // of the source
	Column string // of the target; empty when the whole row is meant
	Err    error
}

func (e *RowError) Error() string {
	if e.Column == "" {
		return e.Err.Error()
	}
	return "column " + e.Column + ": " + e.Err.Error()
}

func (e *RowError) Unwrap() error { return e.Err }

func (m *Mapper) reset() {
	if cap(m.values.buf) > maxScratch {
		m.values.buf = nil
	}
	m.values.buf = m.values.buf[:0]
	m.expr.Reset()
}

func (m *Mapper) find(shape *change.Table) (*Table, error) {
	if m.last != nil && m.last.Source.Shape() == shape {
		return m.last, nil
	}
	t := m.shapes[shape]
	if t == nil {
		return nil, fmt.Errorf("transform a change of %s: the plan does not know this version of the table: compile it again", shape)
	}
	m.last = t
	return t, nil
}

// Map makes the target's change of a source change, in source shape. No change comes back for what the mapping leaves out. A row that cannot be
// mapped gives a change with Op Refused that holds the source row as it is; an error is a mistake of the program.
func (m *Mapper) Map(src *change.Change) ([]change.Change, error) {
	m.reset()
	t, err := m.find(src.Table)
	if err != nil {
		return nil, err
	}
	if n := len(t.Source.Columns); src.Before != nil && len(src.Before) != n || src.After != nil && len(src.After) != n {
		return nil, fmt.Errorf("transform %s of %s: rows of %d and %d values for %d columns", src.Op, t.Source, len(src.Before), len(src.After), n)
	}
	out, keep := change.Change{Table: t.Target, Op: src.Op, Unchecked: src.Unchecked}, true
	switch src.Op {
	case change.Insert, change.Copy, change.Upsert:
		if src.After == nil {
			return nil, fmt.Errorf("transform %s of %s: no row", src.Op, t.Source)
		}
		keep, err = m.insert(t, src, &out)
	case change.Update:
		if src.After == nil {
			return nil, fmt.Errorf("transform %s of %s: no row", src.Op, t.Source)
		}
		keep, err = m.update(t, src, &out)
	case change.Delete:
		if src.Before == nil {
			return nil, fmt.Errorf("transform %s of %s: no row", src.Op, t.Source)
		}
		keep, err = m.delete(t, src, &out)
	case change.Truncate:
	default:
		return nil, fmt.Errorf("transform %s of %s: not a change of a source", src.Op, t.Source)
	}
	if err != nil {
		return m.refuse(src, err)
	}
	if !keep {
		return nil, nil
	}
	m.out[0] = out
	return m.out[:], nil
}

// refuse makes a change of a row that cannot be mapped, with the row as the source has it.
func (m *Mapper) refuse(src *change.Change, err error) ([]change.Change, error) {
	var row *RowError
	if !errors.As(err, &row) {
		return nil, err
	}
	m.out[0] = change.Change{Table: src.Table, Op: change.Refused, Before: src.Before, After: src.After, Unchecked: src.Unchecked, Err: row.Error()}
	return m.out[:], nil
}

func (m *Mapper) insert(t *Table, src, out *change.Change) (bool, error) {
	if ok, err := m.holds(t, src.After); err != nil || !ok {
		return false, err
	}
	out.After = m.after[:len(t.Columns)]
	return true, m.row(t, src.After, out.After)
}

func (m *Mapper) delete(t *Table, src, out *change.Change) (bool, error) {
	if ok, err := m.holds(t, src.Before); err != nil || !ok {
		return false, err
	}
	out.Before = m.before[:len(t.Columns)]
	return true, m.key(t, src.Before, nil, out.Before)
}

func (m *Mapper) update(t *Table, src, out *change.Change) (bool, error) {
	was, is := true, true
	if t.Filtered {
		if src.Before == nil {
			return false, &RowError{Table: t.Source.String(), Err: errNoImage}
		}
		var err error
		if was, err = m.holds(t, src.Before); err != nil {
			return false, err
		}
		if is, err = m.holds(t, src.After); err != nil {
			return false, err
		}
	}
	n := len(t.Columns)
	switch {
	case !was && !is:
		return false, nil
	case was && !is: // it leaves the target
		out.Op, out.Before = change.Delete, m.before[:n]
		return true, m.key(t, src.Before, src.After, out.Before)
	case !was && is: // it comes into the target, whatever is there
		out.Op, out.After = change.Upsert, m.after[:n]
		if err := m.row(t, src.After, out.After); err != nil {
			return false, err
		}
		for i := range out.After {
			if out.After[i].Kind == change.Absent {
				return false, &RowError{Table: t.Source.String(), Column: t.Target.Columns[i].Name, Err: errNoImage}
			}
		}
		return true, nil
	}
	out.After = m.after[:n]
	if err := m.row(t, src.After, out.After); err != nil {
		return false, err
	}
	old, now := src.Before, src.After
	if old == nil {
		old = now
	}
	out.Before = m.before[:n]
	if err := m.key(t, old, now, out.Before); err != nil {
		return false, err
	}
	moved, written := false, false
	for i := range out.After {
		switch k := t.Target.IsKey(i); {
		case k && out.After[i].Kind == change.Absent:
			out.After[i] = out.Before[i] // not logged: not changed
		case k:
			moved = moved || !same(out.Before[i], out.After[i])
		case out.After[i].Kind != change.Absent:
			written = true
		}
	}
	if !moved {
		out.Before = nil
	}
	return moved || written, nil // nothing that the target has may have changed
}

var errNoImage = errors.New("the log does not carry the columns that the mapping's condition or expressions need: the table needs full row images: set binlog_row_image=FULL for every session, on PostgreSQL REPLICA IDENTITY FULL, and repair the table")

func same(a, b change.Value) bool {
	return a.Kind == b.Kind && a.N == b.N && string(a.B) == string(b.B)
}

// holds evaluates the table's condition.
func (m *Mapper) holds(t *Table, row change.Row) (bool, error) {
	if !t.Filtered {
		return true, nil
	}
	for _, i := range t.where.Columns {
		if row[i].Kind == change.Absent {
			return false, &RowError{Table: t.Source.String(), Err: errNoImage}
		}
	}
	ok, err := t.where.Holds(row, &m.expr)
	if err != nil {
		return false, &RowError{Table: t.Source.String(), Err: fmt.Errorf("where: %s: %w", t.where.Source, err)}
	}
	return ok, nil
}

// row maps a row. dst has a value for each target column.
func (m *Mapper) row(t *Table, row, dst change.Row) error {
	for i := range t.Columns {
		c := &t.Columns[i]
		var v change.Value
		if c.program == nil {
			v = row[c.Source]
		} else {
			var err error
			if v, err = m.evaluate(c.program, row); err != nil {
				return &RowError{Table: t.Source.String(), Column: t.Target.Columns[i].Name, Err: err}
			}
		}
		if c.conversion.to != nil && v.Kind > change.Null {
			var err error
			if v, err = c.conversion.to(&m.values, v); err != nil {
				return &RowError{Table: t.Source.String(), Column: t.Target.Columns[i].Name, Err: err}
			}
		}
		dst[i] = v
	}
	return nil
}

// evaluate gives Absent when every column that the expression reads is absent.
func (m *Mapper) evaluate(p *expression.Program, row change.Row) (change.Value, error) {
	absent := 0
	for _, i := range p.Columns {
		if row[i].Kind == change.Absent {
			absent++
		}
	}
	switch {
	case absent == 0:
		return p.Eval(row, &m.expr)
	case absent == len(p.Columns):
		return change.Value{}, nil
	default:
		return change.Value{}, errNoImage
	}
}

// key maps the key of a row and leaves the other columns absent. Key columns that row lacks are taken from other, when there is one.
func (m *Mapper) key(t *Table, row, other, dst change.Row) error {
	clear(dst)
	for _, k := range t.keys {
		c := &t.Columns[k.column]
		name := t.Target.Columns[k.column].Name
		var v change.Value
		var err error
		if k.source < 0 {
			if v, err = c.program.Eval(nil, &m.expr); err != nil {
				return &RowError{Table: t.Source.String(), Column: name, Err: err}
			}
		} else {
			if v = row[c.Source]; v.Kind == change.Absent && other != nil {
				v = other[c.Source]
			}
			if v.Kind == change.Absent {
				return &RowError{Table: t.Source.String(), Column: name, Err: errors.New("the log does not carry the key: the row cannot be found; set binlog_row_image=FULL")}
			}
		}
		if c.conversion.to != nil && v.Kind > change.Null {
			if v, err = c.conversion.to(&m.values, v); err != nil {
				return &RowError{Table: t.Source.String(), Column: name, Err: err}
			}
		}
		dst[k.column] = v
	}
	return nil
}

// Row maps a whole row of t's source. It is false for a row that the mapping leaves out. A *[RowError] says that the row cannot be mapped.
func (m *Mapper) Row(t *Table, src change.Row) (change.Row, bool, error) {
	m.reset()
	if len(src) != len(t.Source.Columns) {
		return nil, false, fmt.Errorf("transform a row of %s: %d values for %d columns", t.Source, len(src), len(t.Source.Columns))
	}
	if ok, err := m.holds(t, src); err != nil || !ok {
		return nil, false, err
	}
	dst := m.after[:len(t.Columns)]
	if err := m.row(t, src, dst); err != nil {
		return nil, false, err
	}
	return dst, true, nil
}

// TargetKey maps a key of t's source, its values in key order, to the target's key, in key order.
func (m *Mapper) TargetKey(t *Table, src change.Row) (change.Row, error) {
	m.reset()
	if len(src) != len(t.Source.Key) {
		return nil, fmt.Errorf("transform a key of %s: %d values for %d columns", t.Source, len(src), len(t.Source.Key))
	}
	row := m.before[:len(t.Source.Columns)]
	clear(row)
	for n, i := range t.Source.Key {
		row[i] = src[n]
	}
	dst := m.after[:len(t.Columns)]
	if err := m.key(t, row, nil, dst); err != nil {
		return nil, err
	}
	out := m.sourceKey[:len(t.keys)]
	for n, k := range t.keys {
		out[n] = dst[k.column]
	}
	return out, nil
}

// SourceKey is the inverse of TargetKey. A *[RowError] says that no source row can have this key: the target row is not the mapping's.
func (m *Mapper) SourceKey(t *Table, target change.Row) (change.Row, error) {
	m.reset()
	if len(target) != len(t.keys) {
		return nil, fmt.Errorf("transform a key of %s back: %d values for %d columns", t.Target, len(target), len(t.keys))
	}
	out := m.sourceKey[:len(t.Source.Key)]
	for n, k := range t.keys {
		v, c := target[n], &t.Columns[k.column]
		fail := func(err error) (change.Row, error) {
			return nil, &RowError{Table: t.Source.String(), Column: t.Target.Columns[k.column].Name, Err: err}
		}
		if k.source < 0 {
			want, err := c.program.Eval(nil, &m.expr)
			if err == nil && c.conversion.to != nil {
				want, err = c.conversion.to(&m.values, want)
			}
			if err != nil {
				return fail(err)
			}
			if !same(v, want) {
				return fail(fmt.Errorf("a row of another mapping: %s instead of %s", v, want))
			}
			continue
		}
		if v.Kind <= change.Null {
			return fail(errors.New("a key without a value"))
		}
		if c.conversion.back != nil {
			var err error
			if v, err = c.conversion.back(&m.values, v); err != nil {
				return fail(err)
			}
		}
		out[k.source] = v
	}
	return out, nil
}

// TableMapper is a mapper for one table.
type TableMapper struct {
	m *Mapper
	t *Table
}

// For returns m for one table. It is not a mapper of its own.
func (m *Mapper) For(t *Table) TableMapper { return TableMapper{m, t} }

// Row, TargetKey and SourceKey are those of the [Mapper].
func (m TableMapper) Row(src change.Row) (change.Row, bool, error) { return m.m.Row(m.t, src) }

func (m TableMapper) TargetKey(src change.Row) (change.Row, error) { return m.m.TargetKey(m.t, src) }

func (m TableMapper) SourceKey(target change.Row) (change.Row, error) {
	return m.m.SourceKey(m.t, target)
}

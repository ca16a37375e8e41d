package mysql

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/crossfade-io/crossfade/capture"
	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
)

func (t *tail) describe(e *event) error {
	if !t.tx.open {
		return t.damaged(errors.New("rows outside BEGIN and COMMIT"))
	}
	if len(e.body) < 6 {
		return t.damaged(errShort)
	}
	id := littleEndian(e.body[:6])
	if l := t.described[id]; l != nil && bytes.Equal(l.raw, e.body) {
		l.in = t.statement
		return nil
	}
	if len(t.described) >= maxDescribed {
		for id, l := range t.described {
			if l.in != t.statement {
				delete(t.described, id)
			}
		}
	}
	m, err := parseTableMap(e.body, t.cfg.mariadb)
	if err != nil {
		return t.damaged(err)
	}
	l := &loggedTable{tableMap: m, raw: bytes.Clone(e.body), in: t.statement}
	n := name{m.schema, m.table}
	switch table := t.table(n); {
	case table != nil:
		l.role = selected
		if err := l.match(table, t.collations); err != nil {
			return t.stop(n.String(), fmt.Sprintf("the log describes another table than the one that is known at this position: %v", err),
				"the table was changed without the change being logged, or the migration knows another version of it: start again with a new snapshot")
		}
	case t.sequences[n]:
	case t.selects(n):
		return t.stop(n.String(), "rows of a table inside the selection that did not exist when the migration began",
			"exclude it in source.tables and resume, or start again to migrate it too")
	case n == name{ownSchema, markerTable}:
		l.role = marker
		if err := l.matchMarker(); err != nil {
			return t.stop(n.String(), err.Error(), "drop the table; crossfade makes it again")
		}
	case n == name{ownSchema, ledgerTable}:
		l.role = ledger
		if err := l.matchLedger(t.collations); err != nil {
			return t.stop(n.String(), err.Error(), "make the table what crossfade has made; without it changes of ours cannot be told from those of the application")
		}
	}
	t.described[id] = l
	return nil
}

// table returns the version of a selected table in force, nil for others.
func (t *tail) table(n name) *catalog.Table {
	if c := t.tables[n]; c != nil || !t.fold {
		return c
	}
	for have, c := range t.tables {
		if strings.EqualFold(have.schema, n.schema) && strings.EqualFold(have.table, n.table) {
			return c
		}
	}
	return nil
}

func (t *tail) sequence(n name) { t.sequences[n] = true }

func (t *tail) known(n name) bool { return t.table(n) != nil }

func (t *tail) selects(n name) bool {
	return n.schema != ownSchema && (t.known(n) || t.cfg.selected(n.schema, n.table))
}

func (t *tail) holds(schema string) bool {
	if t.schemas[schema] {
		return true
	}
	for have := range t.schemas {
		if t.fold && strings.EqualFold(have, schema) {
			return true
		}
	}
	return false
}

// find returns the description of a table number, if it was made in this statement.
func (t *tail) find(id uint64) *loggedTable {
	if l := t.described[id]; l != nil && l.in == t.statement {
		return l
	}
	return nil
}

// rowsEvent begins the reading of rows.
func (t *tail) rowsEvent(e *event) (bool, error) {
	if !t.tx.open {
		return false, t.damaged(errors.New("rows outside BEGIN and COMMIT"))
	}
	r, flags, err := parseRowsEvent(e.typ, e.body, t.find)
	if flags&stmtEnd != 0 {
		t.statement++
	}
	if errors.Is(err, errNoColumns) {
		return false, t.rowStop(r.table, err)
	}
	if err != nil {
		return false, t.damaged(err)
	}
	if r.table == nil {
		return false, nil
	}
	if own, err := t.own(&r); err != nil || own {
		return false, err
	}
	if r.table.role == other || r.table.role == ledger {
		for len(r.data) > 0 {
			if err := r.skip(); err != nil {
				return false, t.damaged(fmt.Errorf("row of %s: %w", r.table, err))
			}
			t.tx.rows++
		}
		return false, nil
	}
	switch {
	case r.partial:
		return false, t.stop(r.table.String(), "a session logs changes of JSON documents in part (binlog_row_value_options=PARTIAL_JSON)",
			"turn it off for every session and on the server, and start again with a new snapshot")
	case t.tx.xid != "":
		return false, t.stop(r.table.String(), "its rows are changed in an XA transaction: the log has them before it is known whether they will be committed",
			"do not use XA on migrated tables, or exclude the table; then start again with a new snapshot")
	}
	t.tx.touched = true
	t.rows = r
	if n := len(r.table.columns); cap(t.before) < n {
		t.before, t.after = make(change.Row, n), make(change.Row, n)
	}
	return false, nil
}

// row reads the next row of a table whose rows are wanted.
func (t *tail) row() (bool, error) {
	r := &t.rows
	n := len(r.table.columns)
	if cap(t.scratch) > keepScratch {
		t.scratch = nil
	}
	var err error
	if t.tx.rows < t.skip {
		if err := r.skip(); err != nil {
			return false, t.rowStop(r.table, err)
		}
		t.tx.rows++
		return false, nil
	}
	t.event = capture.Event{Kind: capture.Row, Time: t.tx.time}
	if t.scratch, err = r.next(&t.event.Change, t.before[:n], t.after[:n], t.scratch[:0]); err != nil {
		return false, t.rowStop(r.table, err)
	}
	t.tx.rows++
	if r.table.role == marker && !t.marker() {
		return false, nil
	}
	t.returning()
	return true, nil
}

// rowStop says that a row could not be decoded.
func (t *tail) rowStop(l *loggedTable, err error) error {
	object := l.String()
	var ce *columnError
	if errors.As(err, &ce) && l.role == selected {
		object += "." + l.shape.Columns[ce.column].Name
		err = ce.err
	}
	reason := fmt.Sprintf("a value in the log (transaction %s, row %d) cannot be decoded: %v", t.tx.name(t), t.tx.rows+1, err)
	switch {
	case errors.Is(err, errNoKey), errors.Is(err, errNoColumns), errors.Is(err, errNoDefault):
		return t.stop(object, fmt.Sprintf("%v (transaction %s, row %d)", err, t.tx.name(t), t.tx.rows+1),
			"set binlog_row_image=FULL for every session of the source, and start again with a new snapshot")
	default:
		return t.stop(object, reason, "correct the value on the source and start again, or exclude the table; if the value is good report it")
	}
}

package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/crossfade-io/crossfade/capture"
	"github.com/crossfade-io/crossfade/internal/change"
)

// handle judges the message that was parsed.
func (t *tail) handle(ctx context.Context) (bool, error) {
	m := &t.msg
	if (m.kind == msgBegin) == t.tx.open && m.kind != msgRelation && m.kind != msgType {
		return false, t.damaged(fmt.Errorf("a message of kind %q where a transaction is open=%v", m.kind, t.tx.open))
	}
	switch m.kind {
	case msgBegin:
		return false, t.begin()
	case msgCommit:
		return t.commit()
	case msgOrigin, msgType: // rows that came from elsewhere are rows
		return false, nil
	case msgRelation:
		return false, t.describe(ctx)
	case msgInsert, msgUpdate, msgDelete:
		return t.row()
	case msgTruncate:
		for _, oid := range m.oids {
			l := t.relations[oid]
			if l == nil {
				return false, t.damaged(fmt.Errorf("table number %d was emptied, which has not been described", oid))
			}
			t.truncated = append(t.truncated, l)
		}
		return false, nil
	default:
		return false, t.damaged(fmt.Errorf("a message of kind %q", m.kind))
	}
}

func (t *tail) begin() error {
	m := &t.msg
	if m.lsn < t.pos.lsn {
		return t.damaged(fmt.Errorf("transaction %d at %s comes a second time", m.xid, lsnText(m.lsn)))
	}
	if t.pos.inside() && m.lsn != t.pos.in {
		return t.damaged(fmt.Errorf("the transaction at %s comes first where the one at %s was being read", lsnText(m.lsn), lsnText(t.pos.in)))
	}
	t.tx = transaction{open: true, lsn: m.lsn, xid: m.xid, time: m.time + epoch2000}
	t.source.seen.add(m.lsn, m.xid)
	return nil
}

func (t *tail) commit() (bool, error) {
	if t.tx.rows < t.skip {
		return false, t.damaged(fmt.Errorf("transaction %d has %d rows, of which %d had been read before", t.tx.xid, t.tx.rows, t.skip))
	}
	t.skip = 0
	t.pos = position{lsn: t.msg.lsn}
	t.event = capture.Event{Kind: capture.Commit, Time: t.tx.time}
	t.tx = transaction{}
	return true, nil
}

// counts counts a row, and reports whether it has been returned before.
func (t *tail) counts() (before bool) {
	t.tx.rows++
	return t.tx.rows <= t.skip
}

// returning notes that the caller gets what has just been read.
func (t *tail) returning() { t.pos.in, t.pos.row = t.tx.lsn, t.tx.rows }

// describe takes note of a table. What the log says of it must be the version in force.
func (t *tail) describe(ctx context.Context) error {
	m := &t.msg
	l := &logged{relation: m.relation}
	name := m.relation.schema + "." + m.relation.name
	table := t.tables[name]
	switch {
	case table != nil:
		l.role = selected
		names, err := t.typeNames(ctx, m.relation.columns)
		if err != nil {
			return err
		}
		if err := l.match(table, func(oid uint32, mod int32) string { return names[typeID{oid, mod}] }); err != nil && t.tx.own {
			l.altered = err
		} else if err != nil {
			return t.alteredStop(l, err)
		}
	case name == ownSchema+".marker":
		l.role = marker
		if err := l.matchMarker(); err != nil {
			return t.stop(name, err.Error(), "drop the table; crossfade makes it again")
		}
	case name == ledgerTable:
		l.role = ledger
		if err := l.matchLedger(); err != nil {
			return t.stop(name, err.Error(), "make the table what crossfade has made; without it changes of ours cannot be told from those of the application")
		}
	}
	t.relations[m.oid] = l
	return nil
}

type typeID struct {
	oid uint32
	mod int32
}

// typeNames asks for the types of columns as the catalog writes them. The message that describes them has been read and does not come again: a caller who
// has no more time does not end the question.
func (t *tail) typeNames(ctx context.Context, columns []logColumn) (map[typeID]string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), connectTimeout)
	defer cancel()
	var oids []uint32
	var mods []int32
	for _, c := range columns {
		oids, mods = append(oids, c.oid), append(mods, c.mod)
	}
	rows, err := t.source.pool.Query(ctx, "SELECT o::bigint, m, format_type(o, m) FROM unnest($1::oid[], $2::int[]) AS x(o, m)", oids, mods)
	if err != nil {
		return nil, fmt.Errorf("ask for the types of the log's columns: %w", err)
	}
	defer rows.Close()
	out := map[typeID]string{}
	for rows.Next() {
		var oid int64
		var mod int32
		var name string
		if err := rows.Scan(&oid, &mod, &name); err != nil {
			return nil, fmt.Errorf("ask for the types of the log's columns: %w", err)
		}
		out[typeID{uint32(oid), mod}] = name
	}
	return out, rows.Err()
}

func opOf(kind byte) change.Op {
	switch kind {
	case msgInsert:
		return change.Insert
	case msgUpdate:
		return change.Update
	default:
		return change.Delete
	}
}

// row reads a row of a table whose rows are wanted.
func (t *tail) row() (bool, error) {
	m := &t.msg
	l := t.relations[m.oid]
	if l == nil {
		return false, t.damaged(fmt.Errorf("a row of table number %d, which has not been described", m.oid))
	}
	if own, err := t.own(l); err != nil || own {
		return false, err
	}
	if t.counts() || l.role == counted || l.role == ledger {
		return false, nil
	}
	if l.altered != nil {
		return false, t.alteredStop(l, l.altered)
	}
	n := len(l.shape.Columns)
	if cap(t.before) < n {
		t.before, t.after = make(change.Row, n), make(change.Row, n)
	}
	if cap(t.scratch) > keepScratch {
		t.scratch = nil
	}
	c := &t.event.Change
	t.event = capture.Event{Kind: capture.Row, Time: t.tx.time, Change: change.Change{Table: l.shape, Op: opOf(m.kind)}}
	t.scratch = t.scratch[:0]
	var err error
	var whole change.Row
	if m.old != nil {
		c.Before = t.before[:n]
		if t.scratch, err = l.decode(m.old, m.oldKind == 'K', nil, c.Before, t.scratch); err != nil {
			return false, t.rowStop(l, err)
		}
		if m.oldKind == 'O' {
			whole = c.Before
		}
	}
	if m.new != nil {
		c.After = t.after[:n]
		if t.scratch, err = l.decode(m.new, false, whole, c.After, t.scratch); err != nil {
			return false, t.rowStop(l, err)
		}
	}
	if err := l.keyed(c); err != nil {
		return false, t.rowStop(l, err)
	}
	if l.role == marker && !t.marker() {
		return false, nil
	}
	t.returning()
	return true, nil
}

// keyed refuses a row that does not say which one it is.
func (l *logged) keyed(c *change.Change) error {
	for _, k := range l.shape.Key {
		if v := c.KeyRow()[k]; v.Kind == change.Absent || v.Kind == change.Null {
			return fmt.Errorf("the key column %s is not in it: the replica identity does not hold the key", l.shape.Columns[k].Name)
		}
	}
	return nil
}

func (t *tail) truncate(l *logged) (bool, error) {
	if t.counts() || l.role != selected || t.tx.own {
		return false, nil
	}
	if l.altered != nil {
		return false, t.alteredStop(l, l.altered)
	}
	t.event = capture.Event{Kind: capture.Truncate, Time: t.tx.time, Change: change.Change{Table: l.shape, Op: change.Truncate}}
	t.returning()
	return true, nil
}

// marker turns the row just read into a marker, if it is one of this migration.
func (t *tail) marker() bool {
	c := &t.event.Change
	if c.Op != change.Insert || string(c.After[0].B) != t.source.cfg.Migration {
		return false
	}
	t.event = capture.Event{Kind: capture.MarkerEvent, Time: t.event.Time, Before: t.Place(), Marker: capture.Marker{
		Migration: t.source.cfg.Migration, Side: string(c.After[1].B), Epoch: c.After[2].Int(), Kind: string(c.After[3].B)}}
	return true
}

func (t *tail) rowStop(l *logged, err error) error {
	reason := fmt.Sprintf("a row in the log (transaction %d, row %d) cannot be decoded: %v", t.tx.xid, t.tx.rows, err)
	if errors.Is(err, errShort) {
		return t.damaged(err)
	}
	return t.stop(l.schema+"."+l.name, reason, "correct the value on the source and start again, or exclude the table; if the value is good report it")
}

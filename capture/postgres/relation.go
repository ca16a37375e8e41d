package postgres

import (
	"fmt"

	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
)

// role says what happens to the rows of a table.
type role uint8

const (
	counted  role = iota // of our heartbeat, or not asked for
	selected             // returned
	marker               // crossfade's marker table: inserts are markers
	ledger               // crossfade's ledger: a transaction that begins with a row of it may be ours
)

// logged is a table as the log describes it, and how its rows are decoded.
type logged struct {
	relation
	role  role
	shape *change.Table
	at    []int // position in the shape of each column of the log
	// altered says why it is not the version in force, if that was found in a transaction of ours, of whose rows nothing is wanted.
	altered error
}

var markerShape = &change.Table{Engine: change.Postgres, Schema: ownSchema, Name: "marker", Key: []int{0, 1, 2, 3}, Columns: []change.Column{
	{Name: "migration", Kind: change.Text}, {Name: "side", Kind: change.Text}, {Name: "epoch", Kind: change.Int}, {Name: "kind", Kind: change.Text}, {Name: "at", Kind: change.Timestamp}}}

// match finds the columns of the log in the version of the table in force. The log leaves out generated columns and nothing else. typeName is the type of a
// column of the log as the catalog writes it.
func (l *logged) match(t *catalog.Table, typeName func(oid uint32, mod int32) string) error {
	l.shape = t.Shape()
	next := 0
	for _, c := range l.columns {
		for next < len(t.Columns) && t.Columns[next].Generated != "" && t.Columns[next].Name != c.name {
			next++
		}
		if next == len(t.Columns) || t.Columns[next].Name != c.name {
			return fmt.Errorf("the log has a column %s where the known version has %s", c.name, nameAt(t, next))
		}
		if now := typeName(c.oid, c.mod); now != t.Columns[next].Type.Full {
			return fmt.Errorf("column %s is %s in the log, and %s in the known version", c.name, now, t.Columns[next].Type.Full)
		}
		l.at = append(l.at, next)
		next++
	}
	for ; next < len(t.Columns); next++ {
		if t.Columns[next].Generated == "" {
			return fmt.Errorf("the log does not have the column %s", t.Columns[next].Name)
		}
	}
	return nil
}

func nameAt(t *catalog.Table, i int) string {
	if i < len(t.Columns) {
		return t.Columns[i].Name
	}
	return "none"
}

func (l *logged) matchMarker() error {
	l.shape = markerShape
	if len(l.columns) != len(markerShape.Columns) {
		return fmt.Errorf("the marker table has %d columns instead of %d", len(l.columns), len(markerShape.Columns))
	}
	for i, c := range l.columns {
		if c.name != markerShape.Columns[i].Name {
			return fmt.Errorf("the marker table has a column %s where %s should be", c.name, markerShape.Columns[i].Name)
		}
		l.at = append(l.at, i)
	}
	return nil
}

// decode reads a row. Of a key tuple only the columns of the replica identity count, the others are sent as null. What the log leaves out stays absent,
// unless the whole old row has it.
func (l *logged) decode(tuple []byte, keyOnly bool, old, row change.Row, scratch []byte) ([]byte, error) {
	for i := range row {
		row[i] = change.Value{}
	}
	c := cursor{b: tuple}
	if n := c.uint16(); n != len(l.at) {
		return scratch, fmt.Errorf("a row of %d columns, the log has described %d", n, len(l.at))
	}
	var err error
	for i, at := range l.at {
		switch c.uint8() {
		case 'n':
			if !keyOnly || l.columns[i].key {
				row[at] = change.Value{Kind: change.Null}
			}
		case 'u':
			if old != nil {
				row[at] = old[at]
			}
		case 't':
			text := c.take(int(c.uint32()))
			if keyOnly && !l.columns[i].key {
				continue
			}
			if row[at], scratch, err = appendValue(l.shape.Columns[at].Kind, text, scratch); err != nil {
				return scratch, fmt.Errorf("column %s: %w", l.columns[i].name, err)
			}
		default: // a binary value, or nothing at all
			return scratch, errShort
		}
	}
	if c.short {
		return scratch, errShort
	}
	return scratch, nil
}

package mysql

import (
	"fmt"

	"github.com/crossfade-io/crossfade/capture"
	"github.com/crossfade-io/crossfade/internal/change"
)

// The columns of crossfade's marker table that are read: migration, side, epoch, kind, at. Names and kinds are ASCII, whatever the table's character set.
const (
	markerMigration = iota
	markerSide
	markerEpoch
	markerKind
	markerAt
	markerColumns
)

var markerFields = [markerColumns]struct {
	form form
	typ  byte
}{{formText, typeVarchar}, {formText, typeVarchar}, {formInt64, typeLongLong}, {formText, typeVarchar}, {formTimestamp, typeTimestamp2}}

var markerShape = &change.Table{Schema: ownSchema, Name: markerTable, Key: []int{markerMigration, markerSide, markerEpoch, markerKind},
	Columns: []change.Column{{Name: "migration"}, {Name: "side"}, {Name: "epoch"}, {Name: "kind"}, {Name: "at"}}}

// matchMarker makes decoders for the marker table.
func (l *loggedTable) matchMarker() error {
	if len(l.fields) != markerColumns {
		return fmt.Errorf("the marker table has %d columns instead of %d", len(l.fields), markerColumns)
	}
	l.shape = markerShape
	l.columns = make([]column, markerColumns)
	for i, f := range l.fields {
		if f.typ != markerFields[i].typ {
			return fmt.Errorf("column %d of the marker table is stored as type %d", i+1, f.typ)
		}
		l.columns[i] = column{field: f, form: markerFields[i].form, digits: int(f.meta)}
	}
	return nil
}

// marker turns the row just read into a marker, if it is one of this migration.
func (t *tail) marker() bool {
	c := &t.event.Change
	if c.Op != change.Insert || string(c.After[markerMigration].B) != t.cfg.migration {
		return false
	}
	t.event = capture.Event{Kind: capture.MarkerEvent, Time: t.event.Time, Before: t.Place(), Marker: capture.Marker{
		Migration: t.cfg.migration,
		Side:      string(c.After[markerSide].B),
		Epoch:     c.After[markerEpoch].Int(),
		Kind:      string(c.After[markerKind].B),
	}}
	return true
}

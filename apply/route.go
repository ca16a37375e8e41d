package apply

import (
	"errors"
	"fmt"

	"github.com/crossfade-io/crossfade/internal/change"
)

// decode reads the changes of a frame and brings them into the form in which they are routed.
func (r *run) decode(f *change.Frame) (*frame, error) {
	fr := r.pool.get()
	var err error
	if fr.changes, err = f.Decode(fr.changes[:0], &fr.arena, r.shapeOf); err != nil {
		return nil, err
	}
	values := 0
	var last *shape
	for i := range fr.changes {
		c := &fr.changes[i]
		if last == nil || last.Table != c.Table {
			last = r.known[c.Table]
		}
		fr.shapes = append(fr.shapes, last)
		values += len(c.Before) + len(c.After)
		if err := canonical(c, last); err != nil {
			return nil, fmt.Errorf("frame %d: %w", f.Seq, err)
		}
	}
	const valueSize, changeSize = 40, 112
	fr.size = int64(len(f.Payload) + values*valueSize + len(fr.changes)*changeSize)
	return fr, nil
}

// canonical fills in what an update does not repeat, so that every row that is written whole is whole, and checks that there is a key.
func canonical(c *change.Change, s *shape) error {
	switch c.Op {
	case change.Truncate:
		return nil
	case change.Refused:
		return nil
	}
	if c.Table.Source == "" {
		return fmt.Errorf("%s of %s is in source shape: run the version that wrote it", c.Op, c.Table)
	}
	if c.Op != change.Update && c.Op != change.Delete {
		c.Before = nil
	}
	canonicalKey(c.Before, s.uuidsOf(c.Before))
	canonicalKey(c.After, s.uuidsOf(c.After))
	key := c.KeyRow()
	for _, k := range c.Table.Key {
		if kind := key[k].Kind; kind == change.Absent || kind == change.Null {
			return fmt.Errorf("%s of %s: key column %s is %s: the row cannot be named; set binlog_row_image=FULL (MySQL) or REPLICA IDENTITY (PostgreSQL)",
				c.Op, c.Table, c.Table.Columns[k].Name, kind)
		}
	}
	if c.KeyChanged() {
		for i := range c.After {
			if c.After[i].Kind == change.Absent {
				c.After[i] = c.Before[i]
			}
		}
		return nil
	}
	if c.Op == change.Update { // the key may be left out of After, and After is what inserts and folds look at
		for _, k := range c.Table.Key {
			if c.After[k].Kind == change.Absent {
				c.After[k] = key[k]
			}
		}
	}
	return nil
}

func (s *shape) uuidsOf(row change.Row) []int {
	if row == nil {
		return nil
	}
	return s.uuids
}

// errBarrier says that a frame cannot be split between lanes.
var errBarrier = errors.New("the frame is a barrier")

// route appends where change i goes.
func (r *run) route(dst []routed, i int, c *change.Change, s *shape) ([]routed, error) {
	it := item{index: int32(i)}
	t := s.table
	switch {
	case c.Op == change.Truncate:
		return dst, errBarrier
	case t.OneLane:
		return append(dst, routed{t.lane(len(r.lanes)), it}), nil
	case !c.KeyChanged():
		it.hash = r.hash(c.Table, c.KeyRow())
		return append(dst, routed{laneOf(it.hash, len(r.lanes)), it}), nil
	}
	old, new := it, it
	old.hash, old.part = r.hash(c.Table, c.Before), deleteOld
	new.hash, new.part = r.hash(c.Table, c.After), insertNew
	from, to := laneOf(old.hash, len(r.lanes)), laneOf(new.hash, len(r.lanes))
	if !whole(c.After) {
		switch {
		case !t.Strict:
			new.part = listNew
		case from != to:
			return dst, errBarrier
		default:
			old.part = rekey
			return append(dst, routed{from, old}), nil
		}
	}
	return append(dst, routed{from, old}, routed{to, new}), nil
}

// lane is the one lane of a table that is not spread over several.
func (t *Table) lane(lanes int) int {
	name := t.Setup.Source
	if t.Setup.Group != "" {
		name = t.Setup.Group
	}
	return laneOf(hashBytes([]byte(name)), lanes)
}

func (r *run) hash(t *change.Table, row change.Row) uint64 {
	r.scratch = change.AppendKey(r.scratch[:0], t.Key, row)
	return hashBytes(r.scratch)
}

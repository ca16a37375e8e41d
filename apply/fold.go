package apply

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/crossfade-io/crossfade/internal/change"
)

// mode is what may be assumed about the rows of a table.
type mode uint8

const (
	copying mode = iota // the snapshot is under way: replays are normal, counts are only informative
	lenient             // replays and missing rows are no error, but counts must be exact
	strict              // every insert finds no row, every update and delete finds one
)

// state is what the folded changes of one key come to.
type state uint8

const (
	nothing  state = iota + 1 // inserted and deleted again; strict only
	inserted                  // a new row; strict only
	updated                   // columns of a row
	replaced                  // all columns of a row that exists; strict only
	deleted                   // no row, where one was; strict only
	put                       // a row, whatever was there
	copied                    // as put; all of it came from the snapshot
	gone                      // no row, whatever was there
)

// entry is one key of a fold.
type entry struct {
	hash  uint64
	key   change.Row // a row in which the key stands
	row   change.Row // what is to be written
	state state
}

// fold collects the changes of one shape in one transaction, at most one entry for each key. Two keys are one when their values are equal
// byte for byte.
type fold struct {
	table   *Table
	shape   *change.Table
	mode    mode
	count   Count
	entries []entry
	slots   []int32 // index in entries plus one, by hash; open addressing, a power of two
	order   []int32
}

func (f *fold) reset(t *Table, shape *change.Table, m mode) {
	f.table, f.shape, f.mode, f.count = t, shape, m, Count{}
	f.entries = f.entries[:0]
	clear(f.slots)
}

func sameKey(key []int, a, b change.Row) bool {
	for _, k := range key {
		x, y := &a[k], &b[k]
		if x.Kind != y.Kind || x.N != y.N || !bytes.Equal(x.B, y.B) {
			return false
		}
	}
	return true
}

func (f *fold) find(hash uint64, key change.Row) (at int, e *entry) {
	if 2*(len(f.entries)+1) > len(f.slots) {
		f.grow()
	}
	mask := len(f.slots) - 1
	for at = int(hash) & mask; ; at = (at + 1) & mask {
		n := f.slots[at]
		if n == 0 {
			return at, nil
		}
		if e := &f.entries[n-1]; e.hash == hash && sameKey(f.shape.Key, e.key, key) {
			return at, e
		}
	}
}

func (f *fold) grow() {
	n := max(256, 2*len(f.slots))
	f.slots = make([]int32, n)
	for i := range f.entries {
		at := int(f.entries[i].hash) & (n - 1)
		for f.slots[at] != 0 {
			at = (at + 1) & (n - 1)
		}
		f.slots[at] = int32(i + 1)
	}
}

// add folds one change in. Key is a row in which the key stands, row what the change wrote. Merged rows are made in the arena: the rows of
// a frame are never changed, they may be applied again.
func (f *fold) add(op change.Op, hash uint64, key, row change.Row, arena *change.Arena) error {
	at, e := f.find(hash, key)
	if e == nil {
		s, err := f.first(op)
		if err != nil {
			return err
		}
		f.entries = append(f.entries, entry{hash: hash, key: key, row: row, state: s})
		f.slots[at] = int32(len(f.entries))
		return nil
	}
	if f.mode == strict {
		return f.strictly(e, op, key, row, arena)
	}
	return f.leniently(e, op, key, row, arena)
}

func (f *fold) first(op change.Op) (state, error) {
	f.tally(op)
	switch op {
	case change.Insert:
		if f.mode == strict {
			return inserted, nil
		}
		return put, nil
	case change.Update:
		return updated, nil
	case change.Delete:
		if f.mode == strict {
			return deleted, nil
		}
		return gone, nil
	case change.Upsert:
		return put, nil
	case change.Copy:
		return copied, nil
	default:
		return 0, f.unknown(op)
	}
}

func (f *fold) unknown(op change.Op) error {
	return &Violation{Source: f.shape.Source, Target: f.shape.String(), Op: op.String(), Reason: "it cannot be folded; this is a bug"}
}

// tally counts an event where the count does not come from what the target changed.
func (f *fold) tally(op change.Op) {
	if op == change.Copy {
		f.count.Copied++
		return
	}
	if f.mode == lenient {
		return
	}
	switch op {
	case change.Insert:
		f.count.Inserted++
	case change.Update:
		f.count.Updated++
	case change.Delete:
		f.count.Deleted++
	case change.Upsert:
		if f.mode == copying {
			f.count.Inserted++
		}
	}
}

// strictly folds a further change of a key of a strict table: each must find what it expects. Inserted minus deleted must come to the change
// of the row count; for put and gone the target says what it was.
func (f *fold) strictly(e *entry, op change.Op, key, row change.Row, arena *change.Arena) error {
	exists := e.state != nothing && e.state != deleted && e.state != gone
	c := &f.count
	switch op {
	case change.Insert:
		if exists {
			return f.violation(op, key, "the row exists already")
		}
	case change.Update, change.Delete:
		if !exists {
			return f.violation(op, key, "there is no such row")
		}
	case change.Upsert:
	case change.Copy:
		c.Copied++
	default:
		return f.unknown(op)
	}
	switch op {
	case change.Update:
		c.Updated++
		e.row = merge(e.row, row, arena)
		if e.state == copied {
			e.state = put
		}
	case change.Delete:
		e.row = nil
		switch e.state {
		case inserted:
			c.Deleted++
			e.state = nothing
		case updated, replaced:
			c.Deleted++
			e.state = deleted
		default: // put, copied
			e.state = gone
		}
	default: // a whole row
		switch e.state {
		case nothing:
			c.Inserted++
			e.state = inserted
		case deleted:
			c.Inserted++
			e.state = replaced
		case updated, replaced:
			c.Updated++
			e.state = replaced
		case inserted:
			c.Updated++
		default: // put, copied, gone
			e.state = put
		}
		e.key, e.row = key, row
	}
	return nil
}

// leniently folds a further change of a key while replays are normal: an update after a delete finds no row, and a delete stays one
// whatever came before it, since the snapshot may have brought the row.
func (f *fold) leniently(e *entry, op change.Op, key, row change.Row, arena *change.Arena) error {
	f.tally(op)
	switch op {
	case change.Insert, change.Upsert, change.Copy:
		e.key, e.row, e.state = key, row, put
	case change.Update:
		switch e.state {
		case gone:
			if f.table.Setup.Filtered && f.mode == lenient {
				f.count.Missed++
			}
		case copied:
			e.row, e.state = merge(e.row, row, arena), put
		default:
			e.row = merge(e.row, row, arena)
		}
	case change.Delete:
		e.row, e.state = nil, gone
	default:
		return f.unknown(op)
	}
	return nil
}

// remove folds in that a row is about to be read again: no row, whatever was there, and not an event to count.
func (f *fold) remove(hash uint64, key change.Row) {
	at, e := f.find(hash, key)
	if e == nil {
		f.entries = append(f.entries, entry{hash: hash, key: key, state: gone})
		f.slots[at] = int32(len(f.entries))
		return
	}
	e.row, e.state = nil, gone
}

func (f *fold) violation(op change.Op, key change.Row, reason string) error {
	return &Violation{Source: f.shape.Source, Target: f.shape.String(), Key: f.shape.KeyString(key), Op: op.String(), Reason: reason}
}

// merge returns the later row with the columns that it does not carry taken from the earlier one.
func merge(earlier, later change.Row, arena *change.Arena) change.Row {
	if whole(later) {
		return later
	}
	out := arena.Row(len(later))
	for i, v := range later {
		if v.Kind == change.Absent {
			v = earlier[i]
		}
		out[i] = v
	}
	return out
}

func whole(row change.Row) bool {
	for i := range row {
		if row[i].Kind == change.Absent {
			return false
		}
	}
	return true
}

func samePresence(a, b change.Row) bool {
	for i := range a {
		if (a[i].Kind == change.Absent) != (b[i].Kind == change.Absent) {
			return false
		}
	}
	return true
}

func compareKeys(key []int, a, b change.Row) int {
	for _, k := range key {
		x, y := &a[k], &b[k]
		if x.Kind != y.Kind {
			return cmp.Compare(x.Kind, y.Kind)
		}
		if x.Kind == change.Int {
			if c := cmp.Compare(int64(x.N), int64(y.N)); c != 0 {
				return c
			}
		} else if c := cmp.Compare(x.N, y.N); c != 0 {
			return c
		}
		if c := bytes.Compare(x.B, y.B); c != 0 {
			return c
		}
	}
	return 0
}

// steps appends what the entries come to: rows sorted by key, deletes before everything else. No key is in two steps unless it is deleted in
// one and inserted in the next.
func (f *fold) steps(dst []Step, count int) []Step {
	f.order = f.order[:0]
	for i := range f.entries {
		if f.entries[i].state != nothing {
			f.order = append(f.order, int32(i))
		}
	}
	slices.SortFunc(f.order, func(a, b int32) int {
		return compareKeys(f.shape.Key, f.entries[a].key, f.entries[b].key)
	})
	tallyUpdated, tallyDeleted := NoTally, NoTally
	if f.mode == lenient {
		tallyUpdated, tallyDeleted = TallyUpdated, TallyDeleted
	} else if f.mode == strict {
		tallyDeleted = TallyCleared // of a row that was put and deleted again: there may have been none
	}
	from := len(dst)
	// group returns the step that takes rows like this one; its index is stable, the slice is not.
	group := func(op StepOp, row change.Row, exact bool, t Tally) *Step {
		for i := from; i < len(dst); i++ {
			s := &dst[i]
			if s.Op == op && s.Exact == exact && s.Tally == t && (row == nil || samePresence(s.Rows[0], row)) {
				return s
			}
		}
		dst = append(dst, Step{Shape: f.shape, Op: op, Exact: exact, Tally: t, Count: count})
		return &dst[len(dst)-1]
	}
	remove := func(e *entry, exact bool, t Tally) {
		s := group(DeleteRows, nil, exact, t)
		s.Keys = append(s.Keys, e.key)
	}
	write := func(op StepOp, e *entry, exact bool, t Tally) {
		s := group(op, e.row, exact, t)
		s.Rows = append(s.Rows, e.row)
		if op == UpdateRows {
			s.Keys = append(s.Keys, e.key)
		}
	}
	for _, i := range f.order { // first all that takes rows away
		e := &f.entries[i]
		switch e.state {
		case deleted:
			remove(e, true, NoTally)
		case gone:
			remove(e, false, tallyDeleted)
		case put, copied:
			if f.mode != copying {
				remove(e, false, TallyCleared)
			}
		case replaced:
			if !whole(e.row) { // what it does not carry must not stay as it was
				remove(e, true, NoTally)
			}
		}
	}
	for _, i := range f.order {
		e := &f.entries[i]
		switch e.state {
		case inserted:
			write(InsertRows, e, true, NoTally)
		case replaced:
			if whole(e.row) {
				write(UpdateRows, e, true, NoTally)
			} else {
				write(InsertRows, e, true, NoTally)
			}
		case updated:
			write(UpdateRows, e, f.mode == strict, tallyUpdated)
		case put, copied:
			switch {
			case f.mode != copying:
				write(InsertRows, e, true, TallyInserted)
			case e.state == copied:
				write(CopyRows, e, false, NoTally)
			default:
				write(PutRows, e, false, NoTally)
			}
		}
	}
	return dst
}

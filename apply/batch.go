package apply

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/crossfade-io/crossfade/internal/change"
)

// TableSetup is one table of the migration, as the mapping describes it.
type TableSetup struct {
	Source string // schema.table on the source
	Target *change.Table
	// OneLane: the key's bytes do not decide whether two keys are equal. The table is applied in one lane, change by change, always.
	// A key that holds anything but integers, booleans, dates, binary strings, bits and uuids has the same effect without it.
	OneLane bool
	// Unique: the target gets further unique indexes when the table becomes strict. From then on it is applied like OneLane.
	Unique bool
	// Filtered: the mapping has a filter, so a strict table may be told of rows that it does not have.
	Filtered bool
	// Group names the tables that are tied by foreign keys whose actions are carried out here; empty: it is alone. Ties are those that refer to this table.
	Group string
	Ties  []Tie
	// Filled: the rows and the further unique indexes are there. The table is strict from the first frame.
	Filled bool
	// UniqueSQL makes the further unique indexes. Every statement must do no harm when it is repeated.
	UniqueSQL []string
}

// InOneLane says that the rows cannot be spread over lanes by their keys. A target keeps the answer of the first time: the lane map changes at
// barriers only.
func (s *TableSetup) InOneLane() bool {
	return s.OneLane || s.Group != "" || s.Filled && s.Unique || !hashable(s.Target)
}

// Registered are what a target writes down of a table that it does not know yet.
func (s *TableSetup) Registered() (state string, copied bool, strictSeq int64) {
	if s.Filled {
		return "strict", true, 1
	}
	return "copying", false, 0
}

// Table is the state of one table while it is applied. The dispatcher changes it, and only while all lanes wait.
type Table struct {
	Setup TableSetup
	// Strict and OneLane are in force for the frames behind the last barrier. A table of one lane is not folded.
	Strict  bool
	OneLane bool
	// hashable: two keys are equal exactly when their bytes are.
	hashable bool
	// tied are the tables of its group, itself among them.
	tied []*Table
	// circular: cascades of its rows come back to it.
	circular bool
	// settled: no row but the fresh ones, named by target key, may be newer than the stream.
	settled bool
	fresh   map[string]bool
	noted   bool // the target has it down that the table is settled
	// WasStrict: it has been strict, so its counts are exact.
	WasStrict bool
}

func newTable(s TableSetup, row *TableRow) (*Table, error) {
	t := &Table{Setup: s, hashable: !s.OneLane && hashable(s.Target), Strict: row.Strict, WasStrict: row.StrictSeq > 0, OneLane: row.OneLane, settled: row.Settled || row.Strict, noted: row.Settled}
	if s.InOneLane() && !t.OneLane {
		return nil, fmt.Errorf("apply table %s: its rows were spread over lanes by their keys until now, and these keys do not allow it: run the setup again", s.Source)
	}
	return t, nil
}

func (t *Table) mode() mode {
	switch {
	case t.Strict && !t.Setup.Filtered:
		return strict
	case t.Strict || t.WasStrict:
		return lenient
	default:
		return copying
	}
}

// part says which part of a change a lane applies.
type part uint8

const (
	wholeChange part = iota
	deleteOld        // of a key change: the old key goes
	insertNew        // of a key change: the new row comes
	listNew          // of a key change without the whole new row: the new key has to be read again
	rekey            // a key change as one statement
	recopied         // the row will be read again: delete it and take it off the list
)

// item is one change for one lane.
type item struct {
	hash  uint64
	index int32
	part  part
}

// shape is what the dispatcher knows about one shape.
type shape struct {
	*change.Table
	table *Table
	uuids []int // key columns
}

// batch collects the changes of one target transaction.
type batch struct {
	arena change.Arena
	folds []*fold // in order of their first change
	free  []*fold
	byKey map[*change.Table]*fold
	tx    Tx
	count map[*Table]int // index in tx.Counts
	open  map[*Table]*window
	last  int32 // window handed out
	keys  keySet
	lane  int
	again collided
	// cascades of the groups that have any in the batch
	cascades map[string]*Cascade
}

// collided are keys whose rows have met another row in a further unique index while rows of their table are read again: one of the two is newer
// than the changes that follow. They are taken away and listed, to be read again when both are as the source has them.
type collided map[*Table]map[string]bool

func (c collided) has(t *Table, shape *change.Table, row change.Row) bool {
	return len(c) > 0 && c[t][string(change.AppendKey(nil, shape.Key, row))]
}

// add reports false when the key was there.
func (c *collided) add(t *Table, key []byte) bool {
	if (*c)[t][string(key)] {
		return false
	}
	if *c == nil {
		*c = collided{}
	}
	if (*c)[t] == nil {
		(*c)[t] = map[string]bool{}
	}
	(*c)[t][string(key)] = true
	return true
}

func (b *batch) reset(lane int) {
	b.arena.Reset()
	b.free = append(b.free, b.folds...)
	b.folds = b.folds[:0]
	if b.byKey == nil {
		b.byKey, b.count, b.open = map[*change.Table]*fold{}, map[*Table]int{}, map[*Table]*window{}
	}
	clear(b.open)
	b.last = 0
	clear(b.byKey)
	clear(b.count)
	clear(b.cascades)
	b.lane = lane
	b.keys.reset()
	b.tx = Tx{Steps: b.tx.Steps[:0], Counts: b.tx.Counts[:0], Cascaded: b.tx.Cascaded[:0]}
}

func (b *batch) countOf(t *Table) int {
	n, ok := b.count[t]
	if !ok {
		n = len(b.tx.Counts)
		b.tx.Counts = append(b.tx.Counts, Count{Lane: max(b.lane, 0), Source: t.Setup.Source})
		b.count[t] = n
	}
	return n
}

// fold adds one change to the batch, put together with the others of its key.
func (b *batch) fold(s *shape, c *change.Change, it item, seq uint64) error {
	t := s.table
	if it.part == rekey {
		b.flushSource(t)
		return b.step(s, c, it, seq)
	}
	f := b.byKey[c.Table]
	if f == nil {
		b.flushSource(t) // rows of another shape of the same table come first
		if n := len(b.free); n > 0 {
			f, b.free = b.free[n-1], b.free[:n-1]
		} else {
			f = new(fold)
		}
		f.reset(t, c.Table, t.mode())
		b.folds = append(b.folds, f)
		b.byKey[c.Table] = f
	}
	switch it.part {
	case wholeChange:
		return f.add(c.Op, it.hash, c.KeyRow(), c.After, &b.arena)
	case deleteOld:
		return f.add(change.Delete, it.hash, c.Before, nil, &b.arena)
	case insertNew:
		return f.add(change.Insert, it.hash, c.After, c.After, &b.arena)
	case recopied:
		b.tx.Recopied = append(b.tx.Recopied, b.recopyKey(c.Table, c.Before, seq))
		f.remove(it.hash, c.Before)
		return nil
	case listNew:
		b.tx.Recopy = append(b.tx.Recopy, b.recopyKey(c.Table, c.After, seq))
		return nil
	default:
		return fmt.Errorf("frame %d: %s of %s has unknown part %d", seq, c.Op, c.Table, it.part)
	}
}

func (b *batch) recopyKey(t *change.Table, row change.Row, seq uint64) RecopyKey {
	return RecopyKey{Source: t.Source, Key: change.AppendKey(nil, t.Key, row), Seq: seq}
}

// flush turns what is folded of one shape into steps.
func (b *batch) flush(t *change.Table) {
	if f := b.byKey[t]; f != nil {
		b.emit(f)
		delete(b.byKey, t)
		for i := range b.folds {
			if b.folds[i] == f {
				b.folds = append(b.folds[:i], b.folds[i+1:]...)
				break
			}
		}
		b.free = append(b.free, f)
	}
}

func (b *batch) flushSource(t *Table) {
	for _, f := range b.folds {
		if f.table == t {
			b.flush(f.shape)
			return // there is never more than one
		}
	}
}

func (b *batch) emit(f *fold) {
	n := b.countOf(f.table)
	c := &b.tx.Counts[n]
	c.Copied += f.count.Copied
	c.Inserted += f.count.Inserted
	c.Updated += f.count.Updated
	c.Deleted += f.count.Deleted
	c.Missed += f.count.Missed
	delete(b.open, f.table) // what comes later stays behind
	from := len(b.tx.Steps)
	b.tx.Steps = f.steps(b.tx.Steps, n)
	w := b.next()
	for i := from; i < len(b.tx.Steps); i++ {
		b.tx.Steps[i].window = w
	}
}

func (b *batch) next() int32 {
	b.last++
	return b.last
}

// finish turns all that is folded into steps.
func (b *batch) finish() {
	for _, f := range b.folds {
		b.emit(f)
		delete(b.byKey, f.shape)
	}
	b.free = append(b.free, b.folds...)
	b.folds = b.folds[:0]
	// in a window, first what makes room
	slices.SortStableFunc(b.tx.Steps, func(x, y Step) int {
		return cmp.Or(cmp.Compare(x.window, y.window), cmp.Compare(x.Op.rank(), y.Op.rank()))
	})
}

func (o StepOp) rank() int {
	switch o {
	case DeleteRows:
		return 0
	case UpdateRows:
		return 1
	default:
		return 2
	}
}

// step adds one change as it is, behind everything that is in the batch already.
func (b *batch) step(s *shape, c *change.Change, it item, seq uint64) error {
	t := s.table
	if (it.part == wholeChange || it.part == rekey) && t.acts(c) {
		b.cascade(t, c)
	}
	n := b.countOf(t)
	count := &b.tx.Counts[n]
	m := t.mode()
	exact := m == strict
	tallyI, tallyU, tallyD := NoTally, NoTally, NoTally
	if m == lenient {
		tallyI, tallyU, tallyD = TallyInserted, TallyUpdated, TallyDeleted
	}
	remove := func(key change.Row, exact bool, tally Tally) {
		b.one(t, c.Table, DeleteRows, key, nil, exact, tally, n)
	}
	overwrite := func(op StepOp) {
		if m == copying {
			b.one(t, c.Table, op, nil, c.After, false, NoTally, n)
			return
		}
		remove(c.After, false, TallyCleared)
		if b.again.has(t, c.Table, c.After) {
			b.tx.Recopy = append(b.tx.Recopy, b.recopyKey(c.Table, c.After, seq))
			return
		}
		b.one(t, c.Table, InsertRows, nil, c.After, true, TallyInserted, n)
	}
	insert := func() {
		if exact {
			count.Inserted++
			b.one(t, c.Table, InsertRows, nil, c.After, true, tallyI, n)
			return
		}
		if m == copying {
			count.Inserted++
		}
		overwrite(PutRows)
	}
	del := func(key change.Row) {
		if m != lenient {
			count.Deleted++
		}
		remove(key, exact, tallyD)
	}
	switch it.part {
	case deleteOld:
		del(c.Before)
		return nil
	case insertNew:
		insert()
		return nil
	case listNew:
		b.tx.Recopy = append(b.tx.Recopy, b.recopyKey(c.Table, c.After, seq))
		return nil
	case recopied:
		b.tx.Recopied = append(b.tx.Recopied, b.recopyKey(c.Table, c.Before, seq))
		cleared := NoTally
		if m != copying { // the row that follows is counted as inserted
			cleared = TallyCleared
		}
		remove(c.Before, false, cleared)
		return nil
	case wholeChange, rekey:
	default:
		return fmt.Errorf("frame %d: %s of %s has unknown part %d", seq, c.Op, c.Table, it.part)
	}
	switch c.Op {
	case change.Insert:
		insert()
	case change.Upsert:
		if m == copying {
			count.Inserted++
		}
		overwrite(PutRows)
	case change.Copy:
		count.Copied++
		overwrite(CopyRows)
	case change.Delete:
		del(c.Before)
	case change.Update:
		switch {
		case b.again.has(t, c.Table, c.After):
			remove(c.KeyRow(), false, TallyCleared)
			remove(c.After, false, TallyCleared)
			b.tx.Recopy = append(b.tx.Recopy, b.recopyKey(c.Table, c.After, seq))
		case !c.KeyChanged():
			if m != lenient {
				count.Updated++
			}
			b.one(t, c.Table, UpdateRows, c.KeyRow(), c.After, exact, tallyU, n)
		case t.Strict:
			if exact {
				count.Updated++
			}
			b.one(t, c.Table, RekeyRows, c.Before, c.After, exact, tallyU, n)
		case whole(c.After):
			del(c.Before)
			insert()
		default:
			del(c.Before)
			b.tx.Recopy = append(b.tx.Recopy, b.recopyKey(c.Table, c.After, seq))
		}
	case change.Truncate:
		delete(b.open, t)
		b.tx.Steps = append(b.tx.Steps, Step{Shape: c.Table, Op: EmptyTable, Tally: TallyCleared, Count: n, window: b.next()})
	default:
		return fmt.Errorf("frame %d: cannot apply a %s of %s: run the version that wrote it", seq, c.Op, c.Table)
	}
	return nil
}
